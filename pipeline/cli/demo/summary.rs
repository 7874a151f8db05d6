//! What the demo says at its end.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::alerts::{heading, samples};
use super::scenario::{self, CAUSE, PRODUCTS};
use super::screen::{clock, percent};
use super::tally::Tally;

const NEXT_STEPS: &str = "\
Point it at your own Kafka. In groundswell.toml:

    [kafka]
    bootstrap_servers = \"broker:9092\"

then

    groundswell check --config groundswell.toml --connect   # what is wrong
    groundswell topics --config groundswell.toml --create   # what is missing
    groundswell run --config groundswell.toml

It reads the topics reviews, chats and clicks and writes reviews.scored,
chats.scored, clicks.scored, profiles, recommendations and dead-letters; with
alerts.enabled = true also alerts and trends.
";

/// The run, told after it.
pub struct Summary<'a> {
    pub tally: &'a Tally,
    pub seed: u64,
    pub elapsed_s: f64,
    /// When the incident's update went out, in seconds of the story and in milliseconds since 1970.
    pub update: Option<(f64, i64)>,
    pub sent: u64,
    /// Of these, written before the story.
    pub history: u64,
    pub cache_hits: Option<f64>,
}

impl Summary<'_> {
    /// True if every event sent has one result.
    pub fn adds_up(&self) -> bool {
        self.sent == self.tally.scored + self.tally.dead_lettered() && self.tally.delivered.repeated() == 0
    }

    pub fn text(&self) -> String {
        let mut text = format!("\nGroundswell demo: {} with seed {}\n\n", clock(self.elapsed_s), self.seed);
        self.counts(&mut text);
        self.speed(&mut text);
        self.alerts(&mut text);
        self.products(&mut text);
        text.push_str(NEXT_STEPS);
        text
    }

    fn counts(&self, text: &mut String) {
        let tally = self.tally;
        let letters = tally.dead_lettered();
        let _ = writeln!(text, "  sent          {:>7}", self.sent);
        if self.history > 0 {
            let _ = writeln!(text, "  of these      {:>7}   from before, so that alerts know the usual", self.history);
        }
        let _ = writeln!(text, "  scored        {:>7}", tally.scored);
        let _ = writeln!(text, "  dead letters  {letters:>7}   {}", listed(&tally.dead_letters));
        let _ = match self.adds_up() {
            true => writeln!(text, "  {} sent = {} scored + {letters} dead letters", self.sent, tally.scored),
            false => writeln!(
                text,
                "  {} sent, but {} scored + {letters} dead letters, {} of them seen again: THIS DOES NOT ADD UP",
                self.sent,
                tally.scored,
                tally.delivered.repeated()
            ),
        };
        let _ = writeln!(text, "  redacted      {:>7}   {}", tally.redactions(), listed(&tally.redacted));
        if let Some(example) = &tally.redacted_text {
            let _ = writeln!(text, "                          such as: {example}");
        }
        let clicks = &tally.clicks;
        let _ = writeln!(
            text,
            "  clicks        {:>7}   {} purchases; said to lead to one: {} while looking, {} with something in the cart",
            clicks.scored,
            clicks.purchases,
            percent(clicks.looking.of()),
            percent(clicks.carting.of())
        );
        text.push('\n');
    }

    fn speed(&self, text: &mut String) {
        let ms = |part| self.tally.latency.quantile(part).map_or("–".to_owned(), |ms| format!("{ms} ms"));
        let rate = self.sent.saturating_sub(self.history) as f64 / self.elapsed_s.max(1e-3);
        let _ = writeln!(text, "  rate            {rate:.0} events a second");
        let _ = writeln!(
            text,
            "  event to result p50 {}, p99 {}, as a read_committed consumer saw them",
            ms(0.5),
            ms(0.99)
        );
        let _ = writeln!(text, "  cache           {} of the texts had been scored before\n", percent(self.cache_hits));
    }

    fn alerts(&self, text: &mut String) {
        let told = self.tally.alerts.told();
        let _ = writeln!(text, "  alerts        {:>7}", told.len());
        for one in told {
            let _ = writeln!(text, "    {}: {}", heading(&one.alert), one.alert.summary_en);
            let _ = writeln!(text, "    {}", one.alert.summary_zh);
            text.push_str(&samples(&one.alert, "      "));
            if let Some((_, update_ms)) = self.update {
                let after = (one.seen_ms - update_ms) as f64 / 1000.0;
                let _ = writeln!(text, "    told {after:.1} s after the update went out");
            }
        }
        text.push('\n');
    }

    fn products(&self, text: &mut String) {
        let _ = match self.update {
            Some((update_s, _)) => {
                let at = clock(update_s);
                writeln!(text, "  Negative among what customers said, before and after {CAUSE} ({at}):")
            }
            None => writeln!(text, "  Negative among what customers said (nothing went wrong):"),
        };
        for (product, tally) in PRODUCTS.iter().zip(&self.tally.products) {
            let incident = self.update.is_some() && product.id == scenario::INCIDENT_PRODUCT;
            let mark = if incident { "  <- the update" } else { "" };
            let _ = writeln!(
                text,
                "    {:<22} {:>5} of {:>5}   {:>5} of {:>5}{mark}",
                product.name.en,
                percent(tally.before.negative_share()),
                tally.before.total(),
                percent(tally.after.negative_share()),
                tally.after.total(),
            );
        }
        text.push('\n');
    }
}

/// `3 malformed, 1 missing`
fn listed(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::alerts::tests::firing;
    use super::super::tally::tests::scored;
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::new();
        tally.begin(0, Some(5_000));
        for offset in 0..10 {
            tally.add(scored(offset, 0, if offset < 5 { "positive" } else { "negative" }, 1000 * (offset + 1)));
        }
        tally
    }

    #[test]
    fn an_alert_is_told_with_its_texts_and_how_soon_it_came() {
        let mut tally = tally();
        tally.alerts.add(firing("a", 1), 29_500);
        let update = Some((5.0, 5_000));
        let summary =
            Summary { tally: &tally, seed: 1, elapsed_s: 40.0, update, sent: 10, history: 4, cache_hits: None };
        let text = summary.text();
        assert!(
            text.contains("ALERT firing warning: Product velmora-q7: more.\n    商品 velmora-q7：更多。\n"),
            "{text}"
        );
        assert!(text.contains("“四”") && text.contains("told 24.5 s after the update went out"), "{text}");
    }

    fn check(sent: u64, again: bool, adds_up: bool) {
        let mut tally = tally();
        if again {
            tally.add(scored(3, 0, "positive", 20_000));
        }
        let summary = Summary {
            tally: &tally,
            seed: 1,
            elapsed_s: 10.0,
            update: Some((5.0, 5_000)),
            sent,
            history: 0,
            cache_hits: None,
        };
        assert_eq!(summary.adds_up(), adds_up);
        assert_eq!(summary.text().contains("DOES NOT ADD UP"), !adds_up);
    }

    #[test]
    fn what_is_missing_or_doubled_is_said() {
        check(10, false, true);
        check(11, false, false);
        check(10, true, false);
    }

    #[test]
    fn the_incident_shows_in_its_product() {
        let tally = tally();
        let summary = Summary {
            tally: &tally,
            seed: 1,
            elapsed_s: 10.0,
            update: Some((5.0, 5_000)),
            sent: 10,
            history: 0,
            cache_hits: Some(0.2),
        };
        let text = summary.text();
        assert!(text.contains("Velmora Q7               0 % of     5   100 % of     5  <- the update"), "{text}");
        assert!(text.contains("bootstrap_servers = \"broker:9092\"") && text.contains("10 phone"), "{text}");
        assert!(text.contains("alerts              0\n"), "{text}");
        assert!(text.contains("such as: 升级之后电池很快就没电了 [phone]"), "{text}");
    }
}
