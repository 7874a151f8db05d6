//! The report as one page that needs nothing else: no script, no fonts, no network.

use std::fmt::Write;

use super::Run;
use super::compare::Difference;
use super::play::{end_ms, start_ms};
use crate::event::json::{Named, time};
use crate::event::v1;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--bar:#4c78a8;--bad:#e45756;--soft:#8888}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin:0 0 .3rem}
article{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
.zh{color:var(--soft)}.tag{border:1px solid var(--line);border-radius:1rem;padding:0 .6rem;margin-right:.3rem;font-size:.85rem}
.critical{background:#e4575633}.warning{background:#f5851833}
svg{width:100%;height:auto;display:block;margin:.5rem 0}blockquote{margin:.3rem 0;padding-left:.8rem;border-left:3px solid var(--line)}
table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}small{color:var(--soft)}";

pub fn page(runs: &[Run], difference: Option<&Difference>) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\"><title>Backtest of alerts</title>");
    put(&mut page, format_args!("<style>{STYLE}</style>\n<h1>Backtest of alerts</h1>\n"));
    if let (Some(difference), [new, old]) = (difference, runs) {
        put(
            &mut page,
            format_args!(
                "<p>Both: {}. Only {}: {}. Only {}: {}.</p>\n",
                difference.both.len(),
                escaped(&new.name),
                difference.only_new.len(),
                escaped(&old.name),
                difference.only_old.len()
            ),
        );
    }
    for (i, run) in runs.iter().enumerate() {
        let only: &[String] = match (difference, i) {
            (Some(difference), 0) => &difference.only_new,
            (Some(difference), _) => &difference.only_old,
            (None, _) => &[],
        };
        section(&mut page, run, only);
    }
    page
}

fn section(page: &mut String, run: &Run, only: &[String]) {
    let played = &run.played;
    let told = played.told();
    put(page, format_args!("<h2>{}</h2>\n", escaped(&run.name)));
    let days = played.days();
    put(page, format_args!("<p>{} in {days:.1} days, {} alerts", super::text::replayed(played), told.len()));
    put(page, format_args!(" ({:.1} a day).", told.len() as f64 / days.max(1.0 / 24.0)));
    if let Some(judged) = &run.judged {
        put(page, format_args!(" {} of {} incidents found", judged.found, judged.incidents));
        let parts = [("precision", judged.precision), ("median delay in seconds", judged.delay_s_median)];
        for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            put(page, format_args!(", {name} {value:.2}"));
        }
        page.push('.');
    }
    page.push_str("</p>\n");
    timeline(page, played.first_ms, played.last_ms, &told);
    told.iter().for_each(|alert| article(page, alert, only.contains(&alert.id)));
    let quiet: Vec<&v1::Alert> = played.alerts.iter().filter(|alert| !played.is_told(alert)).collect();
    if !quiet.is_empty() {
        put(page, format_args!("<details><summary>{} alerts that nobody was told of</summary><ul>\n", quiet.len()));
        for alert in quiet {
            let why = match (&alert.inhibited_by, &alert.silenced_by) {
                (Some(by), _) => format!("inhibited by {by}"),
                (_, Some(by)) => format!("silenced by {by}"),
                _ => v1::AlertState::name_of(alert.state).unwrap_or_default().to_owned(),
            };
            put(page, format_args!("<li>{} <small>{}</small>\n", escaped(&alert.summary_en), escaped(&why)));
        }
        page.push_str("</ul></details>\n");
    }
}

/// All of the history as one strip, with each alert where it was.
fn timeline(page: &mut String, first_ms: i64, last_ms: i64, told: &[&v1::Alert]) {
    let span = (last_ms - first_ms).max(1) as f64;
    page.push_str("<svg viewBox=\"0 0 960 40\" role=\"img\" aria-label=\"When alerts fired\">");
    page.push_str("<rect x=\"0\" y=\"12\" width=\"960\" height=\"16\" fill=\"#8882\"/>");
    for alert in told {
        let x = (start_ms(alert) - first_ms) as f64 / span * 960.0;
        let width = ((end_ms(alert) - start_ms(alert)) as f64 / span * 960.0).max(2.0);
        put(
            page,
            format_args!(
                "<a href=\"#a{}\"><rect x=\"{x:.1}\" y=\"8\" width=\"{width:.1}\" height=\"24\" fill=\"var(--bad)\" \
                 opacity=\".7\"><title>{}</title></rect></a>",
                alert.id,
                escaped(&alert.summary_en)
            ),
        );
    }
    page.push_str("</svg>\n");
}

fn article(page: &mut String, alert: &v1::Alert, only: bool) {
    let severity = v1::Severity::name_of(alert.severity).unwrap_or("info");
    put(page, format_args!("<article id=\"a{}\"><h3>{}", alert.id, escaped(&alert.scope)));
    put(page, format_args!(" <span class=\"tag {severity}\">{severity}</span>"));
    put(page, format_args!("<span class=\"tag\">{}</span>", escaped(&alert.rule)));
    if only {
        page.push_str("<span class=\"tag\">only here</span>");
    }
    put(page, format_args!("</h3>\n<p>{}<br><span class=\"zh\" lang=\"zh\">", escaped(&alert.summary_en)));
    put(page, format_args!("{}</span></p>\n", escaped(&alert.summary_zh)));
    let Some(evidence) = &alert.evidence else {
        page.push_str("</article>\n");
        return;
    };
    plot(page, alert, evidence);
    drivers(page, "Terms", &evidence.terms);
    drivers(page, "Parts", &evidence.parts);
    for sample in &evidence.samples {
        let at = sample.event_time.as_ref().and_then(time::to_ms).map(clock).unwrap_or_default();
        let origin = sample.origin.as_ref().map(|o| format!("{}/{}/{}", o.topic, o.partition, o.offset));
        put(page, format_args!("<blockquote>{} <small>{at} ", escaped(&sample.text)));
        put(page, format_args!("{} {}", escaped(&sample.sentiment), escaped(&origin.unwrap_or_default())));
        page.push_str("</small></blockquote>\n");
    }
    put(page, format_args!("<small>p = {:.1e}, level {:.1e}", evidence.p_value, evidence.level));
    put(page, format_args!(", {} writers, {:.0} % not counted", evidence.users, evidence.discounted_share * 100.0));
    if !alert.takes_in.is_empty() {
        put(page, format_args!(", takes in {}", escaped(&alert.takes_in.join("; "))));
    }
    page.push_str("</small></article>\n");
}

/// Texts and negative ones as bars, what was expected as a line, and where it began.
fn plot(page: &mut String, alert: &v1::Alert, evidence: &v1::Evidence) {
    const HEIGHT: f64 = 140.0;
    let points = &evidence.series;
    if points.is_empty() {
        return;
    }
    // As of the whole length, where the last point is not full yet.
    let whole = points[0].covers_ms as f64;
    let scaled = |point: &v1::Point, value: f64| value * whole / point.covers_ms.max(1) as f64;
    let tops = points.iter().map(|point| scaled(point, (point.count as f64).max(point.expected)));
    let most = tops.fold(1.0, f64::max);
    let step = 960.0 / points.len() as f64;
    let y = |value: f64| HEIGHT - value / most * (HEIGHT - 10.0);
    put(page, format_args!("<svg viewBox=\"0 0 960 {HEIGHT}\" role=\"img\" aria-label=\"Texts by time\">"));
    for (i, point) in points.iter().enumerate() {
        let x = i as f64 * step;
        for (value, colour) in [(point.count as f64, "var(--bar)"), (point.negative as f64, "var(--bad)")] {
            let (top, width) = (y(scaled(point, value)), (step - 1.0).max(1.0));
            put(
                page,
                format_args!(
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                    HEIGHT - top
                ),
            );
        }
    }
    let line: Vec<String> = points
        .iter()
        .enumerate()
        .map(|(i, point)| format!("{:.1},{:.1}", (i as f64 + 0.5) * step, y(scaled(point, point.expected))))
        .collect();
    put(page, format_args!("<polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\"/>", line.join(" ")));
    let ends_ms = |point: &v1::Point| Some(time::to_ms(point.time.as_ref()?)? + point.covers_ms);
    let since = points.iter().position(|point| ends_ms(point) > alert.since.as_ref().and_then(time::to_ms));
    if let Some(i) = since {
        let x = i as f64 * step;
        put(page, format_args!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\" stroke=\"currentColor\" "));
        page.push_str("stroke-dasharray=\"4\"/>");
    }
    page.push_str("</svg>\n");
}

fn drivers(page: &mut String, title: &str, drivers: &[v1::Driver]) {
    if drivers.is_empty() {
        return;
    }
    let words: Vec<String> = drivers
        .iter()
        .map(|driver| {
            let share = if driver.excess_share > 0.0 {
                format!(", {:.0} % of the excess", driver.excess_share * 100.0)
            } else {
                String::new()
            };
            format!("{} <small>({:.0}, ×{:.1}{share})</small>", escaped(&driver.name), driver.count, driver.lift)
        })
        .collect();
    put(page, format_args!("<p>{title}: {}</p>\n", words.join(", ")));
}

fn clock(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.strftime("%m-%d %H:%M").to_string())
}

/// Texts are strangers' own: nothing of them is markup.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn put(page: &mut String, what: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_no_markup() {
        let mut page = String::new();
        let evidence = v1::Evidence {
            samples: vec![v1::Sample { text: "<script>alert('x')</script>".into(), ..v1::Sample::default() }],
            terms: vec![v1::Driver { name: "<b>".into(), ..v1::Driver::default() }],
            ..v1::Evidence::default()
        };
        let alert = v1::Alert {
            scope: "brand=<i>\"".into(),
            summary_en: "a & b".into(),
            evidence: Some(evidence),
            ..v1::Alert::default()
        };
        article(&mut page, &alert, false);
        for wrong in ["<script", "<b>", "<i>", "a & b", "\">\""] {
            assert!(!page.contains(wrong), "{wrong} in {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    }
}
