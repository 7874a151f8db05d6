use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line says how far it is where no terminal looks on.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);

const BAR: &str = "{bar:30} {percent:>3} %  {msg}";
const SPINNER: &str = "{spinner} {msg}";

/// How far a command is: a bar where standard error is a terminal.
pub struct Progress {
    bar: Option<ProgressBar>,
    unseen: Unseen,
    start: Instant,
    next: Instant,
}

/// What stands for the bar where no terminal looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// A plain line now and then, on standard error.
    Lines,
    /// Nothing, because standard error is for other programs to read, or standard output for the same person.
    Nothing,
}

impl Progress {
    /// `total` is what the bar's end stands for: bytes of the file, or records.
    pub fn start(total: Option<u64>, unseen: Unseen) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| bar(total));
        Progress::with(bar, unseen)
    }

    /// Never shown.
    pub fn none() -> Progress {
        Progress::with(None, Unseen::Nothing)
    }

    fn with(bar: Option<ProgressBar>, unseen: Unseen) -> Progress {
        let start = Instant::now();
        let next = start + if bar.is_some() { DRAW_EVERY } else { LINE_EVERY };
        Progress { bar, unseen, start, next }
    }

    /// Shows how far it is, if it is time to. `summary` puts the time since the start into words.
    pub fn tick(&mut self, now: Instant, position: u64, summary: impl FnOnce(Duration) -> String) {
        if now < self.next {
            return;
        }
        let time = now.duration_since(self.start);
        match &self.bar {
            Some(bar) => {
                bar.set_position(position);
                bar.set_message(summary(time));
                self.next = now + DRAW_EVERY;
            }
            None => {
                if self.unseen == Unseen::Lines {
                    eprintln!("{}", summary(time));
                }
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
    pub fn finish(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.start.elapsed()
    }

    /// Somebody looks on.
    pub fn is_seen(&self) -> bool {
        self.bar.is_some()
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = if total.is_some() { BAR } else { SPINNER };
    // The templates are constants; were one wrong, the bar's own style would do.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
