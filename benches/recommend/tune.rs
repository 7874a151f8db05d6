//! Parameters chosen on `dev`, one after the other: each is set to the best of a few values while the others stand.

use std::ops::Range;

use groundswell::stages::clicks::Click;

use crate::baselines::{ItemKnn, VSknn, VSknnSettings};
use crate::replay::{Answers, Product, Question, replay};
use crate::{GAP_MS, Outcome, rival, rules};

/// What changes the counts: a replay for each value.
const LEARNING: [(&str, &[&str]); 9] = [
    ("pair_window_ms", &["1800000", "7200000", "86400000", "259200000"]),
    ("pair_clicks_max", &["10", "20", "40"]),
    ("pair_delay_ms", &["60000", "300000", "1800000", "7200000"]),
    ("reverse_weight", &["0.4", "0.7", "1"]),
    ("half_life_ms", &["172800000", "604800000", "1209600000"]),
    ("popularity_half_life_ms", &["28800000", "86400000", "259200000"]),
    ("weight_cart", &["1", "2", "4"]),
    ("weight_purchase", &["1", "3"]),
    ("neighbours_max", &["25", "50", "100"]),
];
/// What changes the ranking alone: one replay for all values.
const RANKING: [(&str, &[&str]); 7] = [
    ("smoothing", &["0.25", "0.5", "1", "2", "4", "8"]),
    ("recency", &["0.6", "0.7", "0.8", "0.85", "0.9"]),
    ("seen_before", &["0", "0.05", "0.1", "0.2", "0.3", "0.5", "0.8"]),
    ("popular_in_category", &["0.1", "0.2", "0.3", "0.6", "1", "2"]),
    ("popular", &["0", "0.01", "0.02", "0.05", "0.1", "0.3"]),
    ("beside", &["0", "0.05", "0.1", "0.2", "0.3", "0.4"]),
    ("relevance", &["1", "0.98", "0.95", "0.9"]),
];

pub fn tune(clicks: &[Click], dev: Range<usize>, overrides: &[String]) -> Outcome<()> {
    let mut chosen = overrides.to_vec();
    for round in 1..=2 {
        for (name, values) in RANKING.into_iter().chain(LEARNING) {
            let one_replay = RANKING.iter().any(|(ranking, _)| *ranking == name);
            let products = values.iter().map(|value| product(&chosen, name, value)).collect::<Outcome<Vec<_>>>()?;
            let mut best: Option<(f64, &str)> = None;
            // One replay for all values, or one for each.
            let at_once = if one_replay { values.len() } else { 1 };
            for (products, values) in products.chunks(at_once).zip(values.chunks(at_once)) {
                let answers = replay(clicks, dev.clone(), GAP_MS, products, &mut []);
                for value in values {
                    let merit = merit(&answers, value);
                    println!("{round} {name} = {value}: {}", describe(&answers, value));
                    if best.is_none_or(|(most, _)| merit > most) {
                        best = Some((merit, value));
                    }
                }
            }
            if let Some((merit, value)) = best {
                println!("{round} {name} = {value} is best ({merit:.4})");
                chosen.push(format!("recommendations.{name}={value}"));
            }
        }
    }
    println!("{}", chosen.join(" "));
    Ok(())
}

fn product(chosen: &[String], name: &str, value: &str) -> Outcome<Product> {
    let overrides = [chosen, &[format!("recommendations.{name}={value}")]].concat();
    Ok(Product { name: value.to_owned(), rules: rules(&overrides)? })
}

/// What is maximised: the new item counts most, because that is what is shown.
fn merit(answers: &Answers, name: &str) -> f64 {
    let of = |question, weight: f64| {
        let figures = answers.get(&(name.to_owned(), question));
        figures.map_or(0.0, |figures| weight * (figures.recall().value + figures.mrr().value))
    };
    of(Question::NewItem, 1.0) + of(Question::AnyItem, 0.25) + of(Question::NextCategory, 0.1)
}

fn describe(answers: &Answers, name: &str) -> String {
    let all = [Question::NewItem, Question::AnyItem, Question::NextCategory].map(|question| {
        let figures = answers.get(&(name.to_owned(), question)).cloned().unwrap_or_default();
        format!("{:.4} {:.4}", figures.recall().value, figures.mrr().value)
    });
    format!("{} = {:.4}", all.join(" | "), merit(answers, name))
}

pub fn baselines(clicks: &[Click], dev: Range<usize>) {
    let mut rivals = Vec::new();
    for regularisation in [0.0, 1.0, 5.0, 20.0] {
        rivals.push(rival(&format!("item-kNN {regularisation}"), || ItemKnn::new(regularisation)));
    }
    for neighbours in [50, 100, 500] {
        for sample in [1000, 5000] {
            for (decay, idf) in [(0, false), (1, false), (2, false), (1, true), (2, true)] {
                let settings = VSknnSettings { neighbours, sample, decay, idf };
                rivals.push(rival(&format!("{settings:?}"), || VSknn::new(settings)));
            }
        }
    }
    let answers = replay(clicks, dev, GAP_MS, &[], &mut rivals);
    for rival in &rivals {
        println!("{}: {}", rival.name, describe(&answers, &rival.name));
    }
}
