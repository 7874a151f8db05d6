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
    pub fn add(&mut self, planted: &[Planted], alerts: &[Told], lists: bool) {
        let told: Vec<&Told> = alerts.iter().filter(|told| told.told_ms.is_some()).collect();
        let of: Vec<Option<usize>> = told.iter().map(|told| incident(told, planted)).collect();
        let mut wrong = 0;
        for (told, _) in told.iter().zip(&of).filter(|(_, of)| of.is_none()) {
            wrong += 1;
            println!("{}", explained(told, planted));
        }
        self.told += told.len();
        self.false_alerts += wrong;
        self.false_shares.push(wrong as f64 / told.len().max(1) as f64);
        for (number, planted) in planted.iter().enumerate() {
            let own: Vec<&Told> =
                told.iter().zip(&of).filter(|(_, of)| **of == Some(number)).map(|(told, _)| *told).collect();
            let class = CLASSES.iter().position(|(below, _)| planted.usual < *below).unwrap_or(CLASSES.len() - 1);
            let row = self.rows.entry((surge_name(planted), class)).or_default();
            row.planted += 1;
            if let Some(first) = own.iter().filter_map(|told| told.told_ms).min() {
                row.found += 1;
                row.delays_s.push((first - planted.start_ms) / 1000);
                self.found += 1;
                self.alerts_of_found += own.len();
                if lists && own.len() > 1 {
                    println!("  several: {}", described(planted));
                    own.iter().for_each(|told| println!("    {}", written(told, planted)));
                }
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

/// The incident that an alert tells of. One of everything tells of the largest that went on, of its own kind before others.
fn incident(told: &Told, planted: &[Planted]) -> Option<usize> {
    let negative = told.alert.signal == "negative_share";
    let excess = |planted: &Planted| (planted.usual as f64 * (planted.factor - 1.0)) as i64;
    let own = (0..planted.len()).filter(|number| belongs(told, &planted[*number]));
    own.max_by_key(|number| (planted[*number].negative == negative, excess(&planted[*number])))
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
    match near {
        Some(planted) => format!("  false: {}; near {}", written(told, planted), described(planted)),
        None => format!("  false: {}", written(told, &NONE)),
    }
}

/// Where nothing was planted, times are those since 1970.
const NONE: Planted =
    Planted { brand: 0, product: None, start_ms: 0, end_ms: 0, negative: false, factor: 1.0, usual: 0 };

fn described(planted: &Planted) -> String {
    let product = planted.product.map_or(String::new(), |product| format!("p{product}"));
    format!("{} b{}{product}, {} texts expected", surge_name(planted), planted.brand, planted.usual)
}

/// An alert, in minutes from the beginning of what was planted.
fn written(told: &Told, planted: &Planted) -> String {
    let Told { alert, told_ms } = told;
    let evidence = alert.evidence.clone().unwrap_or_default();
    let minutes = |ms: i64| (ms - planted.start_ms) / 60_000;
    format!(
        "{} {} {} since {} found {} told {} ended {}: {:.0} of {} expected {:.1} in {} min, p {:.1e} at {:.1e}, flaps {}",
        alert.scope,
        alert.rule,
        alert.state,
        minutes(ms(alert.since.as_ref())),
        minutes(ms(alert.pending_time.as_ref())),
        minutes(told_ms.unwrap_or_default()),
        minutes(ms(alert.resolved_time.as_ref())),
        evidence.observed,
        evidence.texts,
        evidence.expected,
        evidence.window_ms / 60_000,
        evidence.p_value,
        evidence.level,
        alert.flaps,
    )
}
