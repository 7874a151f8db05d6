use std::collections::BTreeMap;
use std::fmt::Write;

use crate::plant::Planted;
use crate::{Told, ms, surge_name};

/// An alert that is found this much after a surge's end is still about it, and so is one that has lasted since before that.
const SLACK_MS: i64 = 15 * 60_000;
/// Texts that were to be expected during a surge, by classes.
const CLASSES: [(usize, &str); 4] = [(30, "below 30"), (100, "30–99"), (300, "100–299"), (usize::MAX, "300 and more")];

/// Over all runs.
#[derive(Default)]
pub struct Scores {
    rows: BTreeMap<(String, usize), Row>,
    told: usize,
    false_alerts: usize,
    /// By run: of the alerts, the part that was false.
    false_shares: Vec<f64>,
    found: usize,
    alerts_of_found: usize,
}

#[derive(Default)]
struct Row {
    planted: usize,
    found: usize,
    delays_s: Vec<i64>,
}

impl Scores {
    pub fn add(&mut self, planted: &[Planted], alerts: &[Told]) {
        let told: Vec<&Told> = alerts.iter().filter(|told| told.told_ms.is_some()).collect();
        let wrong = told.iter().filter(|alert| !planted.iter().any(|planted| belongs(alert, planted))).count();
        for told in told.iter().filter(|alert| !planted.iter().any(|planted| belongs(alert, planted))) {
            println!("{}", explained(told, planted));
        }
        self.told += told.len();
        self.false_alerts += wrong;
        self.false_shares.push(wrong as f64 / told.len().max(1) as f64);
        for planted in planted {
            let own: Vec<&&Told> = told.iter().filter(|alert| belongs(alert, planted)).collect();
            let class = CLASSES.iter().position(|(below, _)| planted.usual < *below).unwrap_or(CLASSES.len() - 1);
            let row = self.rows.entry((surge_name(planted), class)).or_default();
            row.planted += 1;
            if let Some(first) = own.iter().filter_map(|told| told.told_ms).min() {
                row.found += 1;
                row.delays_s.push((first - planted.start_ms) / 1000);
                self.found += 1;
                self.alerts_of_found += own.len();
            }
        }
    }

    pub fn report(&mut self, bound: f64) -> String {
        let mut text =
            String::from("\nsurge               texts expected   planted  found    rate  delay (median, 9 of 10)\n");
        for ((name, class), row) in &mut self.rows {
            row.delays_s.sort_unstable();
            let at = |part: f64| row.delays_s.get(((row.delays_s.len() as f64 - 1.0) * part).round() as usize);
            let delay = |part: f64| at(part).map_or("–".to_owned(), |s| format!("{:.1} min", *s as f64 / 60.0));
            let rate = row.found as f64 / row.planted as f64;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{name:<20}{:<16} {:>7} {:>6} {rate:>7.2}  {}, {}",
                CLASSES[*class].1,
                row.planted,
                row.found,
                delay(0.5),
                delay(0.9)
            );
        }
        let mean = self.false_shares.iter().sum::<f64>() / self.false_shares.len().max(1) as f64;
        let most = self.false_shares.iter().copied().fold(0.0, f64::max);
        let _ = write!(
            text,
            "\n{} alerts told, {} false; false share of a run: mean {mean:.3}, highest {most:.3} (bound {bound})\n\
             {:.2} alerts an incident found",
            self.told,
            self.false_alerts,
            self.alerts_of_found as f64 / self.found.max(1) as f64
        );
        text
    }
}

/// Of its time, and of its brand or of everything.
fn belongs(told: &Told, planted: &Planted) -> bool {
    let (alert, fired) = (&told.alert, told.told_ms.unwrap_or_default());
    let since = ms(alert.since.as_ref());
    let then = fired >= planted.start_ms && (fired <= planted.end_ms + SLACK_MS || since < planted.end_ms);
    let brand = alert.labels.get("brand").is_none_or(|brand| *brand == format!("b{}", planted.brand));
    let product = alert.labels.get("product").is_none_or(|name| match planted.product {
        Some(product) => *name == format!("b{}p{product}", planted.brand),
        None => name.starts_with(&format!("b{}p", planted.brand)),
    });
    then && brand && product
}

/// A false alert, with what was planted nearest to it.
fn explained(told: &Told, planted: &[Planted]) -> String {
    let Told { alert, told_ms } = told;
    let evidence = alert.evidence.clone().unwrap_or_default();
    let fired = told_ms.unwrap_or_default();
    let brand = alert
        .labels
        .get("brand")
        .or(alert.labels.get("product"))
        .map(|name| name.split('p').next().unwrap_or(name).to_owned());
    let near = planted
        .iter()
        .filter(|planted| brand.as_ref().is_none_or(|brand| *brand == format!("b{}", planted.brand)))
        .min_by_key(
            |planted| if fired < planted.start_ms { planted.start_ms - fired } else { (fired - planted.end_ms).max(0) },
        );
    let near = near.map_or("none".to_owned(), |planted| {
        format!(
            "{} b{} {:?} {:.0}–{:.0} min before",
            surge_name(planted),
            planted.brand,
            planted.product,
            (fired - planted.start_ms) as f64 / 60_000.0,
            (fired - planted.end_ms) as f64 / 60_000.0
        )
    });
    format!(
        "  false: {} {} state {} window {} min observed {:.3} of {:.0} expected {:.3} p {:.1e} level {:.1e} since {} min, fired {:.2} h flaps {}; near {near}",
        alert.scope,
        alert.rule,
        alert.state,
        evidence.window_ms / 60_000,
        evidence.observed,
        evidence.texts,
        evidence.expected,
        evidence.p_value,
        evidence.level,
        (fired - ms(alert.since.as_ref())) / 60_000,
        fired as f64 / 3_600_000.0 % 24.0,
        alert.flaps,
    )
}
