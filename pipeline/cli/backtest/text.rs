//! The report for a terminal.

use std::fmt::Write;

use super::Run;
use super::compare::Difference;
use super::incidents::Judged;
use super::play::{Played, end_ms, start_ms};
use crate::cli::table::{count, shown, table};
use crate::event::json::Named;
use crate::event::v1;

/// Characters of a sentence in the table.
const SENTENCE_CHARS: usize = 400;

pub fn report(runs: &[Run], difference: Option<&Difference>) -> String {
    let mut text = String::new();
    for run in runs {
        section(&mut text, run);
    }
    if let Some(difference) = difference {
        compared(&mut text, runs, difference);
    }
    text
}

/// So many events within a minute are rather events without a time of their own, which have that of their reading.
const UNDATED: u64 = 1_000;
const MINUTES_A_DAY: f64 = 1_440.0;

fn section(text: &mut String, run: &Run) {
    let played = &run.played;
    let told = played.told();
    put(text, format_args!("Rules: {}\n", run.name));
    let (days, texts) = (played.days(), replayed(played));
    let a_day = told.len() as f64 / days.max(1.0 / 24.0);
    put(
        text,
        format_args!("{texts} in {days:.1} days: {}, {a_day:.1} a day", count(told.len() as u64, "alert", "alerts")),
    );
    let quiet = played.alerts.len() - told.len();
    let were = were(quiet as u64);
    put(text, format_args!("; {quiet} more that {were} inhibited or silenced from the first, or never fired\n"));
    if played.events() >= UNDATED && played.days() * MINUTES_A_DAY < 1.0 {
        put(text, format_args!("All are of one minute: is the time of the events mapped to event_time?\n"));
    }
    if let Some(judged) = &run.judged {
        judgement(text, judged);
    }
    if !told.is_empty() {
        let rows: Vec<Vec<String>> = told.iter().map(|alert| row(alert)).collect();
        put(text, format_args!("\n{}", table(&["since (UTC)", "minutes", "severity", "rule", "what"], &rows)));
    }
    text.push('\n');
}

/// What came too late, if anything did, a line each: what the report says is of the rest. `hint`: what to do about it.
pub fn left_out(played: &Played, hint: &str) -> String {
    let mut text = String::new();
    if played.too_late > 0 {
        let (late, were) = (count(played.too_late, "event", "events"), were(played.too_late));
        put(&mut text, format_args!("{late} came after the grace and {were} left out{hint}\n"));
    }
    if played.late_sums > 0 {
        let late = count(played.late_sums, "sum of a scope's bucket", "sums of scopes' buckets");
        let were = were(played.late_sums);
        put(
            &mut text,
            format_args!(
                "{late} came after the bucket was closed and {were} left out, with what was late in them{hint}\n"
            ),
        );
    }
    text
}

fn were(number: u64) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// What was replayed, of each kind that there was.
pub fn replayed(played: &Played) -> String {
    let kinds = [
        (played.texts, ("text", "texts")),
        (played.clicks, ("click", "clicks")),
        (played.dead_letters, ("dead letter", "dead letters")),
    ];
    let some = kinds.iter().filter(|(number, _)| *number > 0 || played.events() == 0);
    some.map(|(number, (one, many))| count(*number, one, many)).collect::<Vec<_>>().join(", ")
}

fn row(alert: &v1::Alert) -> Vec<String> {
    let since = jiff::Timestamp::from_millisecond(start_ms(alert)).map_or_else(
        |_| String::new(),
        |at| {
            at.strftime(if start_ms(alert) % 60_000 == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
        },
    );
    vec![
        since,
        ((end_ms(alert) - start_ms(alert)) / 60_000).to_string(),
        v1::Severity::name_of(alert.severity).unwrap_or_default().to_owned(),
        alert.rule.clone(),
        shown(&alert.summary_en, SENTENCE_CHARS),
    ]
}

fn judgement(text: &mut String, judged: &Judged) {
    let share = |part: Option<f64>| part.map_or("–".to_owned(), |part| format!("{part:.2}"));
    let delay = judged.delay_s_median.map_or("–".to_owned(), |s| format!("{s:.0} s"));
    put(
        text,
        format_args!(
            "{} of {} incidents found, delay {delay} (median), precision {}, {} alerts an incident\n",
            judged.found,
            judged.incidents,
            share(judged.precision),
            share(judged.alerts_per_incident)
        ),
    );
}

fn compared(text: &mut String, runs: &[Run], difference: &Difference) {
    put(text, format_args!("Both: {}\n", difference.both.len()));
    for (run, ids) in runs.iter().zip([&difference.only_new, &difference.only_old]) {
        put(text, format_args!("Only {}: {}\n", run.name, ids.len()));
        let alerts = run.played.alerts.iter().filter(|alert| ids.contains(&alert.id));
        alerts.for_each(|alert| put(text, format_args!("  {}\n", shown(&alert.summary_en, SENTENCE_CHARS))));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(what);
}
