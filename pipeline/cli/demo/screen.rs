//! What a person sees: the whole screen from what is known, row by row.

use super::alerts::heading;
use super::line::{Line, Style, cell};
use super::scenario::{self, PRODUCTS, Phase, Product};
use super::tally::{Moods, Tally, WINDOW_S};
use crate::event::v1;

/// Rows above the bars and below the texts, rules included.
const FIXED_ROWS: usize = 8;
/// From so many rows on, an alert speaks both languages.
const BOTH_LANGUAGES_ROWS: usize = 30;
const TEXTS_MIN: usize = 4;
const NAME_COLUMNS: usize = 22;
/// Count and share behind a bar.
const FIGURES_COLUMNS: usize = 17;
/// How wide a line of a log may be.
const PLAIN_COLUMNS: usize = 110;
/// Before the story.
const READING: &str = "reading what customers wrote in the last minute, so that alerts know the usual";
/// A bar longer than this says no more.
const BAR_COLUMNS_MAX: usize = 80;

/// What is known besides the sums.
pub struct View<'a> {
    pub tally: &'a Tally,
    pub now_ms: i64,
    /// Of the story; before it, what customers wrote until now is being read.
    pub elapsed_s: f64,
    pub began: bool,
    /// Of the run, where it ends by itself.
    pub seconds: Option<f64>,
    pub sent: u64,
    pub sent_per_second: f64,
    pub seen_per_second: f64,
    /// From 0 to 1.
    pub cache_hits: Option<f64>,
    pub phase: &'static Phase,
    pub updated: bool,
    pub addresses: &'a str,
    pub ending: bool,
}

/// The screen, at most `rows` lines.
pub fn screen(view: &View, columns: usize, rows: usize) -> Vec<Line> {
    let mut lines = vec![title(view, columns), addresses(view), figures(view), counts(view)];
    lines.push(Line::rule(
        &format!("what customers say, last {WINDOW_S} s: negative █  neutral ▒  positive ░"),
        columns,
    ));
    // On a small terminal the texts keep their rows; the incident's product is the first of the catalogue.
    let bars = PRODUCTS.len().min(rows.saturating_sub(FIXED_ROWS + TEXTS_MIN));
    lines.extend(PRODUCTS.iter().zip(0..bars).map(|(product, at)| bar_row(view, product, at, columns)));
    lines.extend(alert_rows(view, rows));
    lines.push(Line::rule("last scored", columns));
    let room = rows.saturating_sub(lines.len() + 1);
    let shown = view.tally.texts.len().min(room);
    lines.extend(view.tally.texts.iter().skip(view.tally.texts.len() - shown).map(|scored| text_row(scored, columns)));
    lines.resize(lines.len() + room - shown, Line::new());
    lines.push(foot(view));
    lines
}

/// What the newest alert says.
fn alert_rows(view: &View, rows: usize) -> Vec<Line> {
    let Some(alert) = view.tally.alerts.newest() else {
        return vec![Line::new().add(Style::Dim, " no alert")];
    };
    let style = if alert.is_over() { Style::Green } else { Style::Red };
    let mut lines = vec![Line::new().add(style, format!(" {} ", heading(alert))).plain(alert.summary_en.clone())];
    if rows >= BOTH_LANGUAGES_ROWS {
        lines.push(Line::new().plain(format!(" {}", alert.summary_zh)));
    }
    lines
}

/// For a log, where nothing can be drawn: the figures in one line, and under it the text that was scored last.
pub fn plain(view: &View) -> String {
    if !view.began {
        return format!("00:00 {READING}: {} scored\n", view.tally.scored);
    }
    let incident = view.tally.products[incident_at()].window(view.now_ms);
    let (p50, p99) = latencies(view);
    let figures = format!(
        "{} in {:.0}/s  out {:.0}/s  p50 {p50}  p99 {p99}  cache {}  redacted {}  dead letters {}  {} negative {}  {}\n",
        clock(view.elapsed_s),
        view.sent_per_second,
        view.seen_per_second,
        percent(view.cache_hits),
        view.tally.redactions(),
        view.tally.dead_lettered(),
        scenario::incident_product().name.en,
        percent(incident.negative_share()),
        view.phase.says,
    );
    let last = view
        .tally
        .texts
        .back()
        .map(|scored| format!("     {}\n", text_row(scored, PLAIN_COLUMNS).render(PLAIN_COLUMNS, false)));
    figures + &last.unwrap_or_default()
}

fn title(view: &View, columns: usize) -> Line {
    let of = view.seconds.map(|seconds| format!(" of {}", clock(seconds))).unwrap_or_default();
    let time = format!(" {}{of} ", clock(view.elapsed_s));
    let (name, end) = (" Groundswell demo", " Ctrl-C ends ");
    let what = "  reviews, chats and clicks, scored exactly once";
    let room = columns.saturating_sub(name.len() + end.len() + time.len());
    Line::new().add(Style::Bold, name).plain(cell(what, room)).add(Style::Dim, end).add(Style::Bold, time)
}

fn addresses(view: &View) -> Line {
    Line::new().add(Style::Dim, format!(" {}", view.addresses))
}

fn figures(view: &View) -> Line {
    let (p50, p99) = latencies(view);
    Line::new()
        .plain(" in ")
        .add(Style::Bold, format!("{:.0}/s", view.sent_per_second))
        .plain("  out ")
        .add(Style::Bold, format!("{:.0}/s", view.seen_per_second))
        .plain("  event to result p50 ")
        .add(Style::Bold, p50)
        .plain("  p99 ")
        .add(Style::Bold, p99)
        .plain("  from cache ")
        .add(Style::Bold, percent(view.cache_hits))
}

fn counts(view: &View) -> Line {
    let tally = view.tally;
    let letters = tally.dead_lettered();
    Line::new()
        .plain(" sent ")
        .add(Style::Bold, view.sent.to_string())
        .plain("  scored ")
        .add(Style::Bold, tally.scored.to_string())
        .plain("  dead letters ")
        .add(if letters > 0 { Style::Yellow } else { Style::Bold }, letters.to_string())
        .plain("  redacted ")
        .add(Style::Bold, tally.redactions().to_string())
        .plain("  clicks ")
        .add(Style::Bold, tally.clicks.scored.to_string())
        .plain(" buying ")
        .add(Style::Bold, percent(tally.clicks.looking.of()))
}

fn bar_row(view: &View, product: &Product, at: usize, columns: usize) -> Line {
    let moods = view.tally.products[at].window(view.now_ms);
    let length = columns.saturating_sub(NAME_COLUMNS + FIGURES_COLUMNS + 2).min(BAR_COLUMNS_MAX);
    let alarming = moods.total() >= 10 && moods.negative_share().is_some_and(|share| share >= 0.5);
    let style = if alarming { Style::Red } else { Style::Plain };
    let line = Line::new().add(style, format!(" {}", cell(product.name.en, NAME_COLUMNS)));
    let figures = format!(" {:>5} {:>5} neg", moods.total(), percent(moods.negative_share()));
    bar(line, &moods, length).add(style, figures)
}

/// A bar in three parts: their lengths are the shares. Without colours they differ in their pattern.
fn bar(line: Line, moods: &Moods, length: usize) -> Line {
    if moods.total() == 0 {
        return line.add(Style::Dim, cell("", length));
    }
    let part = |count: u64| (count as f64 / moods.total() as f64 * length as f64).round() as usize;
    let negative = part(moods.negative);
    let neutral = part(moods.negative + moods.neutral) - negative;
    line.add(Style::Red, "█".repeat(negative))
        .add(Style::Dim, "▒".repeat(neutral))
        .add(Style::Green, "░".repeat(length - negative - neutral))
}

fn text_row(scored: &v1::Scored, columns: usize) -> Line {
    let sentiment = scored.sentiment.as_ref();
    let (style, label) = match sentiment.map(|sentiment| sentiment.label.as_str()) {
        Some("negative") => (Style::Red, "neg"),
        Some("positive") => (Style::Green, "pos"),
        Some("neutral") => (Style::Plain, "neu"),
        // The model was unsure, or has no such head.
        _ => (Style::Dim, "–"),
    };
    let score = sentiment.map(|sentiment| format!("{:+.2}", sentiment.score)).unwrap_or_default();
    let best =
        |head: &str| scored.labels.get(head).and_then(|labels| labels.labels.first()).map(|best| best.label.as_str());
    let named = [best("topic"), best("intent").map(unqualified)].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let name_columns = if columns >= 100 { 34 } else { 14 };
    let text = scored.text.as_deref().unwrap_or_default();
    Line::new()
        .add(Style::Dim, format!(" {} ", cell(&scored.language, 2)))
        .add(style, format!("{} {score:>5} ", cell(label, 3)))
        .add(Style::Cyan, format!("{} ", cell(&named, name_columns)))
        .plain(text)
}

/// `banking.card_arrival` → `card_arrival`
fn unqualified(label: &str) -> &str {
    label.split_once('.').map_or(label, |(_, name)| name)
}

fn foot(view: &View) -> Line {
    if view.ending {
        return Line::new().add(Style::Bold, " ending: what was sent is still being scored and committed");
    }
    if !view.began {
        return Line::new().add(Style::Dim, format!(" {READING}"));
    }
    let style = if view.updated { Style::Yellow } else { Style::Plain };
    Line::new().add(style, format!(" story: {}", view.phase.says))
}

fn latencies(view: &View) -> (String, String) {
    let shown = |part| view.tally.latency.recent_quantile(part).map_or("–".to_owned(), |ms| format!("{ms} ms"));
    (shown(0.5), shown(0.99))
}

fn incident_at() -> usize {
    PRODUCTS.iter().position(|product| product.id == scenario::INCIDENT_PRODUCT).unwrap_or(0)
}

/// `61 %`
pub fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// `01:05`
pub fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::super::alerts::tests::firing;
    use super::super::scenario::Timeline;
    use super::super::tally::tests::scored;
    use super::*;

    fn shown(columns: usize, rows: usize) -> Vec<String> {
        let mut tally = Tally::new();
        tally.begin(0, Some(0));
        tally.alerts.add(firing("a", 1), 1);
        for offset in 0..40 {
            let label = if offset % 4 == 0 { "positive" } else { "negative" };
            tally.add(scored(offset, offset as usize % 2, label, 20_000));
        }
        let view = View {
            tally: &tally,
            now_ms: 20_000,
            elapsed_s: 65.0,
            began: true,
            seconds: None,
            sent: 40,
            sent_per_second: 60.0,
            seen_per_second: 59.6,
            cache_hits: Some(0.123),
            phase: Timeline::new(None).phase(31.0),
            updated: true,
            addresses: "Kafka 127.0.0.1:40000",
            ending: false,
        };
        screen(&view, columns, rows).iter().map(|line| line.render(columns, false)).collect()
    }

    #[test]
    fn every_screen_fits_its_terminal() {
        for (columns, rows) in [(80, 24), (120, 40), (200, 60), (60, 16), (40, 12)] {
            let lines = shown(columns, rows);
            assert_eq!(lines.len(), rows, "{columns}×{rows}");
            assert!(lines.iter().all(|line| line.width() <= columns), "{columns}×{rows}: {lines:#?}");
        }
    }

    #[test]
    fn at_80_by_24_there_is_every_product_and_some_texts() {
        let lines = shown(80, 24);
        assert!(PRODUCTS.iter().all(|product| lines.iter().any(|line| line.contains(product.name.en))));
        assert!(lines.iter().filter(|line| line.contains("升级之后")).count() >= TEXTS_MIN, "{lines:#?}");
        assert!(
            lines[5].contains("  20  50 % neg") && lines[5].contains('█') && lines[5].contains('░'),
            "{}",
            lines[5]
        );
        assert!(lines[6].contains(" 20 100 % neg"), "{}", lines[6]);
        assert!(lines.iter().any(|line| line.starts_with(" ALERT firing warning Product velmora-q7")), "{lines:#?}");
        assert!(
            lines[2].contains("in 60/s  out 60/s  event to result p50 10 ms  p99 10 ms  from cache 12 %"),
            "{}",
            lines[2]
        );
    }

    #[test]
    fn shares_and_times_as_people_write_them() {
        assert_eq!((percent(Some(0.614)), percent(None)), ("61 %".to_owned(), "–".to_owned()));
        assert_eq!((clock(65.9), clock(3600.0)), ("01:05".to_owned(), "60:00".to_owned()));
    }
}
