//! Many scopes with few texts each: what a scope costs.

use std::time::Instant;

use fastrand::Rng;
use groundswell::config::Alerts;
use groundswell::stages::alerts::{History, Seen};

use crate::Outcome;
use crate::traffic::{PRODUCTS, Text, Traffic};

/// Of every brand and product together.
const TEXTS_EACH: usize = 3;
/// They come within this time.
const WITHIN_MS: i64 = 6 * 3_600_000;

/// Texts a second, and bytes a scope: of what is remembered, and of the process.
pub fn measure(traffic: &Traffic, settings: &Alerts, scopes: usize) -> Outcome<()> {
    let mut rng = Rng::with_seed(1);
    let brands = (scopes / (PRODUCTS + 1)).max(1);
    let count = brands * (PRODUCTS + 1) * TEXTS_EACH;
    let mut history = History::new(settings.clone(), 1, 1);
    let (mut out, mut written) = (Vec::new(), 0);
    let (before, started) = (resident_bytes()?, Instant::now());
    for number in 0..count {
        let text = Text {
            at_ms: traffic.first_ms() + number as i64 * WITHIN_MS / count as i64,
            brand: rng.usize(0..brands),
            product: rng.usize(0..PRODUCTS),
            text: number % traffic.texts(),
            number,
        };
        if let Some(seen) = Seen::new(&text.scored(traffic), settings) {
            history.text(0, &seen, &mut out);
            written += out.drain(..).count();
        }
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    let (resident, scopes) = (resident_bytes()?.saturating_sub(before), history.scopes());
    println!(
        "{count} texts in {scopes} scopes: {rate:.0} texts/s, {written} records written, {} bytes remembered a scope, {} of \
         the process",
        history.owned_bytes() / scopes,
        resident / scopes
    );
    history.fault().map_or(Ok(()), |fault| Err(fault.into()))
}

fn resident_bytes() -> Outcome<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split_whitespace().nth(1).ok_or("/proc/self/statm holds no second number")?;
    Ok(resident.parse::<usize>()? * 4096)
}
