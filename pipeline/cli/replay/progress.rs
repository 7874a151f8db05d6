use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::producer::Tally;
use crate::cli::table;

/// How often a line says how far it is where no terminal looks on.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:30} {percent:>3} %  {msg}";
const SPINNER: &str = "{spinner} {msg}";

/// How far a replay is: a bar on a terminal, plain lines elsewhere, both on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
    next: Instant,
}

impl Progress {
    /// `total` is what the bar's end stands for: bytes of the file, or records.
    pub fn start(total: Option<u64>) -> Progress {
        let start = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = if total.is_some() { BAR } else { SPINNER };
            // The templates are constants; were one wrong, the bar's own style would do.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let next = start + if bar.is_some() { DRAW_EVERY } else { LINE_EVERY };
        Progress { bar, start, next }
    }

    /// Shows how far it is, if it is time to.
    pub fn tick(&mut self, now: Instant, position: u64, tally: impl FnOnce() -> Tally) {
        if now < self.next {
            return;
        }
        let summary = summary(&tally(), now.duration_since(self.start));
        match &self.bar {
            Some(bar) => {
                bar.set_position(position);
                bar.set_message(summary);
                self.next = now + DRAW_EVERY;
            }
            None => {
                eprintln!("{summary}");
                self.next = now + LINE_EVERY;
            }
        }
    }

    /// A line on standard error, above the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away and returns how long it took.
    pub fn finish(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.start.elapsed()
    }
}

/// Records, bytes, seconds, rate.
pub fn summary(tally: &Tally, time: Duration) -> String {
    let rate = tally.acknowledged as f64 / time.as_secs_f64().max(0.001);
    format!(
        "{} acknowledged, {} in {:.1} s: {rate:.0} records/s",
        table::count(tally.acknowledged, "record", "records"),
        table::bytes(tally.bytes),
        time.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_records_bytes_seconds_and_rate() {
        let tally = Tally { acknowledged: 1000, bytes: 250_000, ..Tally::default() };
        let shown = summary(&tally, Duration::from_millis(2500));
        assert_eq!(shown, "1000 records acknowledged, 250.0 kB in 2.5 s: 400 records/s");
    }
}
