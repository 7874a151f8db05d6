//! The report as one page that needs nothing else: no script, no fonts, no network.

use std::fmt::Write;

use super::Run;
use super::compare::Difference;
use super::play::{end_ms, start_ms};
use crate::cli::table::count;
use crate::event::json::{Named, time};
use crate::event::v1;

/// Of every drawing, in its own units.
const WIDTH: f64 = 960.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--bar:#4c78a8;--bad:#e45756;--soft:#8888}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin:0 0 .3rem}
article{border:1px solid var(--line);border-radius:.5rem;padding:1rem;margin:1rem 0}
.zh{color:var(--soft)}.tag{border:1px solid var(--line);border-radius:1rem;padding:0 .6rem;margin-right:.3rem;font-size:.85rem}
.critical{background:#e4575633}.warning{background:#f5851833}
svg text{font-size:11px;fill:currentColor}svg{width:100%;height:auto;display:block;margin:.5rem 0}blockquote{margin:.3rem 0;padding-left:.8rem;border-left:3px solid var(--line)}
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
    let alerts = count(told.len() as u64, "alert", "alerts");
    put(page, format_args!("<p>{} in {days:.1} days, {alerts}", super::text::replayed(played)));
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
        let alerts = count(quiet.len() as u64, "alert", "alerts");
        put(page, format_args!("<details><summary>{alerts} that nobody was told of</summary><ul>\n"));
        for alert in quiet {
            let why = match (&alert.inhibited_by, &alert.silenced_by) {
                (Some(by), _) => format!("inhibited by {by}"),
                (_, Some(by)) => format!("silenced by {by}"),
                _ => v1::AlertState::name_of(alert.state).unwrap_or_default().to_owned(),
            };
            put(page, format_args!("<li>{} <span class=\"zh\" lang=\"zh\">", escaped(&alert.summary_en)));
            put(page, format_args!("{}</span> <small>{}</small>\n", escaped(&alert.summary_zh), escaped(&why)));
        }
        page.push_str("</ul></details>\n");
    }
}

/// All of the history as one strip, with each alert where it was, and the days or hours below.
fn timeline(page: &mut String, first_ms: i64, last_ms: i64, told: &[&v1::Alert]) {
    let span = (last_ms - first_ms).max(1) as f64;
    let x = |ms: i64| (ms - first_ms) as f64 / span * WIDTH;
    page.push_str("<svg viewBox=\"0 0 960 56\" role=\"img\" aria-label=\"When alerts fired, UTC\">");
    page.push_str("<rect x=\"0\" y=\"12\" width=\"960\" height=\"16\" fill=\"#8882\"/>");
    for (at, shown) in marks(first_ms, last_ms) {
        let x = x(at);
        put(page, format_args!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"12\" y2=\"34\" stroke=\"var(--soft)\"/>"));
        // The last one has no room to its right.
        let (x, anchor) = if x > WIDTH - 60.0 { (x - 3.0, "end") } else { (x + 3.0, "start") };
        label(page, x, 46.0, anchor, &shown);
    }
    for alert in told {
        let width = (x(end_ms(alert)) - x(start_ms(alert))).max(2.0);
        put(
            page,
            format_args!(
                "<a href=\"#a{}\"><rect x=\"{:.1}\" y=\"8\" width=\"{width:.1}\" height=\"24\" fill=\"var(--bad)\" \
                 opacity=\".7\"><title>{}</title></rect></a>",
                alert.id,
                x(start_ms(alert)),
                escaped(&alert.summary_en)
            ),
        );
    }
    page.push_str("</svg>\n");
}

/// Moments of a history that are marked: the beginnings of its days or, of a short one, of its hours; some ten of them.
fn marks(first_ms: i64, last_ms: i64) -> Vec<(i64, String)> {
    const MARKS_MAX: i64 = 12;
    const HOUR_MS: i64 = 3_600_000;
    let span_ms = (last_ms - first_ms).max(1);
    let steps_ms = [1, 3, 6, 12, 24, 48, 168, 720].map(|hours| hours * HOUR_MS);
    let step_ms = steps_ms.into_iter().find(|step| span_ms / step < MARKS_MAX).unwrap_or(span_ms);
    let first = first_ms.div_euclid(step_ms) + 1;
    let form = if step_ms < 24 * HOUR_MS { "%m-%d %H:%M" } else { "%m-%d" };
    let all = (first..=last_ms.div_euclid(step_ms)).map(|i| i * step_ms);
    all.map(|at| {
        (at, jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| at.strftime(form).to_string()))
    })
    .collect()
}

fn label(page: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    put(page, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text)));
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
    put(page, format_args!("<small>p = {:.1e}, an alarm from {:.1e} down", evidence.p_value, evidence.level));
    put(page, format_args!(", {} writers, {:.0} % not counted", evidence.users, evidence.discounted_share * 100.0));
    if !alert.takes_in.is_empty() {
        put(page, format_args!(", takes in {}", escaped(&alert.takes_in.join("; "))));
    }
    page.push_str("</small></article>\n");
}

/// What is counted and what is looked for among it as bars, what was expected as a line, and where it began; with the numbers
/// on the left and the times below.
fn plot(page: &mut String, alert: &v1::Alert, evidence: &v1::Evidence) {
    const HEIGHT: f64 = 140.0;
    const LEFT: f64 = 48.0;
    const TOP: f64 = 10.0;
    let points = &evidence.series;
    let Some(first) = points.first() else { return };
    // As of the whole length, where the last point is not full yet.
    let whole = first.covers_ms as f64;
    let scaled = |point: &v1::Point, value: f64| value * whole / point.covers_ms.max(1) as f64;
    let tops = points.iter().map(|point| scaled(point, (point.count as f64).max(point.expected)));
    let most = tops.fold(1.0, f64::max);
    let step = (WIDTH - LEFT) / points.len() as f64;
    let x = |i: usize| LEFT + i as f64 * step;
    let y = |value: f64| HEIGHT - value / most * (HEIGHT - TOP);
    let (counted, hits) = counted(&alert.signal);
    put(
        page,
        format_args!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{counted} by time\">", HEIGHT + 18.0),
    );
    for value in [0.0, most / 2.0, most] {
        let y = y(value);
        put(
            page,
            format_args!("<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\"/>"),
        );
        let shown = if value.fract() == 0.0 || value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        label(page, LEFT - 4.0, y + 4.0, "end", &shown);
    }
    for (i, point) in points.iter().enumerate() {
        for (value, colour) in [(point.count as f64, "var(--bar)"), (point.negative as f64, "var(--bad)")] {
            let (x, top, width) = (x(i), y(scaled(point, value)), (step - 1.0).max(1.0));
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
        .map(|(i, point)| format!("{:.1},{:.1}", x(i) + step / 2.0, y(scaled(point, point.expected))))
        .collect();
    put(page, format_args!("<polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\"/>", line.join(" ")));
    let starts_ms = |point: &v1::Point| time::to_ms(point.time.as_ref()?);
    let ends_ms = |point: &v1::Point| Some(starts_ms(point)? + point.covers_ms);
    let since = points.iter().position(|point| ends_ms(point) > alert.since.as_ref().and_then(time::to_ms));
    if let Some(i) = since {
        let x = x(i);
        put(page, format_args!("<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\" stroke=\"currentColor\" "));
        page.push_str("stroke-dasharray=\"4\"/>");
    }
    let below = HEIGHT + 14.0;
    label(page, LEFT, below, "start", &starts_ms(first).map(clock).unwrap_or_default());
    label(page, WIDTH, below, "end", &points.last().and_then(ends_ms).map(clock).unwrap_or_default());
    // In between, where it covers neither.
    if let Some(i) = since.filter(|i| (x(*i) - WIDTH / 2.0).abs() < WIDTH / 2.0 - 150.0) {
        label(page, x(i), below, "middle", &starts_ms(&points[i]).map(clock).unwrap_or_default());
    }
    page.push_str("</svg>\n");
    put(page, format_args!("<small>A bar: {counted} in {} s", first.covers_ms / 1000));
    if !hits.is_empty() {
        put(page, format_args!(", {hits} in red"));
    }
    page.push_str("; the line: as many as expected; dashes: since when; UTC.</small>\n");
}

/// What a signal counts, and what it looks for among that.
fn counted(signal: &str) -> (&'static str, &'static str) {
    match signal {
        "clicks" | "conversion" => ("clicks", "purchases"),
        "purchases" => ("purchases", ""),
        "cart_share" => ("carts and purchases", "carts"),
        "dead_letters" => ("dead letters", ""),
        "users" => ("writers", ""),
        _ => ("texts", "negative ones"),
    }
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
    fn marks_are_some_ten_whole_hours_or_days() {
        const HOUR: i64 = 3_600_000;
        let start = 1_795_341_600_000;
        for (hours, expected) in [(5, "11-22 11:00"), (30, "11-22 12:00"), (180, "11-23"), (2_000, "11-26")] {
            let marks = marks(start, start + hours * HOUR);
            assert!((3..=12).contains(&marks.len()), "{hours} h: {marks:?}");
            assert_eq!(marks[0].1, expected, "{hours} h");
        }
        assert_eq!(marks(start + 1, start + 2), []);
    }

    #[test]
    fn a_plot_says_how_many_and_when() {
        let at = |minute: i64| time::from_ms(1_795_341_600_000 + minute * 60_000);
        let point = |minute| v1::Point { time: at(minute), count: 7, negative: 2, expected: 3.0, covers_ms: 60_000 };
        let evidence = v1::Evidence { series: (0..9).map(point).collect(), ..v1::Evidence::default() };
        let alert = v1::Alert { since: at(5), signal: "cart_share".into(), ..v1::Alert::default() };
        let mut page = String::new();
        plot(&mut page, &alert, &evidence);
        for shown in [
            ">0<",
            ">3.5<",
            ">7<",
            ">11-22 10:00<",
            ">11-22 10:05<",
            ">11-22 10:09<",
            "carts and purchases in 60 s, carts in red",
        ] {
            assert!(page.contains(shown), "{shown} in {page}");
        }
    }

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
