//! One run of the demo from its first event to its summary.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::alerts;
use super::load::{Began, Load, Plan};
use super::reader::Reader;
use super::screen::{self, View};
use super::summary::Summary;
use super::tally::{Rate, Tally};
use super::terminal::{Abilities, Screen, say};
use crate::cli::run::{KILLED, Signals, ended};
use crate::cli::stages::Stages;
use crate::cli::{out, stop};
use crate::config::Settings;
use crate::event::{Error, Fault};
use crate::telemetry::Metrics;

/// How often the results are taken and the screen is drawn.
const LOOK: Duration = Duration::from_millis(250);
/// How often a line is written where nothing can be drawn.
const LINE: Duration = Duration::from_secs(2);
/// After the last event, its result must come within this time.
const RESULTS_MAX: Duration = Duration::from_secs(30);

/// The run, and all that is known of it.
pub struct Play {
    plan: Plan,
    seconds: Option<f64>,
    metrics: Metrics,
    addresses: String,
    /// When the story began.
    began: Option<Began>,
    /// How long customers wrote, once they have ended.
    lasted: Option<Duration>,
    load: Load,
    reader: Reader,
    tally: Tally,
    sent_rate: Rate,
    seen_rate: Rate,
    show: Show,
}

/// Where it is shown. The screen is put away when the run ends, before anything else is written.
enum Show {
    Screen(Screen),
    Lines { last: Option<Instant> },
}

impl Play {
    /// From here on customers write: first what comes before the story.
    pub fn start(
        settings: &Settings,
        plan: Plan,
        seconds: Option<f64>,
        metrics: Metrics,
        addresses: String,
    ) -> Result<Play, Error> {
        let reader = Reader::start(&settings.kafka, &settings.outputs)?;
        let load = Load::start(&settings.kafka, plan)?;
        Ok(Play {
            plan,
            seconds,
            metrics,
            addresses,
            began: None,
            lasted: None,
            load,
            reader,
            tally: Tally::new(),
            sent_rate: Rate::default(),
            seen_rate: Rate::default(),
            show: Show::Lines { last: None },
        })
    }

    /// Shows what flows until the time is over, somebody ends it, or it cannot go on.
    pub async fn watch(&mut self, abilities: Abilities, running: &Stages, signals: &mut Signals) -> Result<(), Error> {
        if abilities.drawing {
            self.show = Show::Screen(Screen::open(abilities.colours).map_err(out::failed)?);
        } else {
            say(&format!("{}\n", self.addresses))?;
        }
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = signals.next() => return Ok(()),
            }
            self.look()?;
            self.show(false)?;
            let over = self.seconds.is_some_and(|seconds| self.elapsed_s() >= seconds);
            if over || running.is_finished(false) || self.load.is_finished() {
                return Ok(());
            }
        }
    }

    /// Customers stop; what they wrote is scored and seen; then the pipeline stops, as `run` does.
    pub async fn end(&mut self, running: Stages) -> Result<(), Error> {
        self.load.stop();
        self.lasted = self.began.map(|began| began.at.elapsed());
        let drained = self.drain(&running).await;
        running.stop();
        ended(&running, true).await;
        self.show = Show::Lines { last: None };
        drained.and_then(|()| self.look()).and(running.join())
    }

    async fn drain(&mut self, running: &Stages) -> Result<(), Error> {
        let deadline = Instant::now() + RESULTS_MAX;
        loop {
            self.look()?;
            self.show(true)?;
            let complete = self.load.is_finished() && self.tally.delivered.records() >= self.load.sent();
            if complete || running.is_finished(false) || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::time::sleep(LOOK / 5).await;
        }
    }

    /// The summary; an error where it does not add up.
    pub fn conclude(self) -> Result<(), Error> {
        let (cache_hits, update, history) = (self.cache_hits(), self.update(), self.history());
        let sent = self.load.join()?;
        let summary = Summary {
            tally: &self.tally,
            seed: self.plan.seed,
            elapsed_s: self.lasted.unwrap_or_default().as_secs_f64(),
            update,
            sent,
            history: history.min(sent),
            cache_hits,
        };
        say(&summary.text())?;
        if summary.adds_up() {
            return Ok(());
        }
        let (scored, letters) = (self.tally.scored, self.tally.dead_lettered());
        Err(Error::new(Fault::Bug, format!("sent ({sent}) is not scored ({scored}) + dead letters ({letters})")))
    }

    fn look(&mut self) -> Result<(), Error> {
        for seen in self.reader.take() {
            self.tally.add(seen?);
        }
        let (now_ms, done) = (Timestamp::now().as_millisecond(), self.tally.delivered.records());
        self.load.done(done);
        if let (None, Some(began)) = (self.began, self.load.began()) {
            self.began = Some(began);
            self.tally.begin(began.ms, self.update().map(|(_, ms)| ms));
        }
        self.sent_rate.read(now_ms, self.load.sent());
        self.seen_rate.read(now_ms, done);
        Ok(())
    }

    fn elapsed_s(&self) -> f64 {
        self.began.map_or(0.0, |began| began.at.elapsed().as_secs_f64())
    }

    /// When the update goes out: in seconds of the story, and in milliseconds since 1970.
    fn update(&self) -> Option<(f64, i64)> {
        let (update_s, began) = (self.plan.timeline.update_s()?, self.began?);
        Some((update_s, began.ms + (update_s * 1000.0) as i64))
    }

    /// Records from before the story.
    fn history(&self) -> u64 {
        self.began.map_or(u64::MAX, |began| began.history)
    }

    fn show(&mut self, ending: bool) -> Result<(), Error> {
        if matches!(self.show, Show::Lines { .. }) {
            let elapsed_s = self.elapsed_s();
            for alert in self.tally.alerts.news() {
                say(&alerts::news(&alert, elapsed_s))?;
            }
        }
        let view = self.view(ending);
        match &self.show {
            Show::Screen(screen) => {
                let (columns, rows) = Screen::size();
                screen.draw(&screen::screen(&view, columns, rows), columns, rows).map_err(out::failed)
            }
            Show::Lines { last } => {
                if !ending && last.is_none_or(|last| last.elapsed() >= LINE) {
                    say(&screen::plain(&view))?;
                    self.show = Show::Lines { last: Some(Instant::now()) };
                }
                Ok(())
            }
        }
    }

    fn view(&self, ending: bool) -> View<'_> {
        let elapsed_s = self.elapsed_s();
        let timeline = self.plan.timeline;
        View {
            tally: &self.tally,
            now_ms: Timestamp::now().as_millisecond(),
            elapsed_s,
            began: self.began.is_some(),
            seconds: self.seconds,
            sent: self.load.sent(),
            sent_per_second: self.sent_rate.per_second(),
            seen_per_second: self.seen_rate.per_second(),
            cache_hits: self.cache_hits(),
            phase: timeline.phase(elapsed_s),
            updated: timeline.update_s().is_some_and(|update_s| elapsed_s >= update_s),
            addresses: &self.addresses,
            ending,
        }
    }

    /// How much of what was asked the cache knew, from the metrics that anybody can read.
    fn cache_hits(&self) -> Option<f64> {
        let page = self.metrics.render();
        let hits = counter(&page, "groundswell_cache_hits_total")?;
        let asked = hits + counter(&page, "groundswell_cache_misses_total")?;
        (asked > 0.0).then(|| hits / asked)
    }
}

/// A second signal: the screen is given back, and nothing is waited for. What is in the broker goes with it.
pub fn leave_at_once(abilities: Abilities) -> ! {
    if abilities.drawing {
        // A terminal that has gone away needs no tidying.
        let _ = Screen::leave();
    }
    stop::at_once(KILLED)
}

fn counter(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let page = "# HELP cache_hits_total Texts.\ncache_hits_total_more 3\ncache_hits_total 12\n";
        assert_eq!(counter(page, "cache_hits_total"), Some(12.0));
        assert_eq!(counter(page, "cache"), None);
    }
}
