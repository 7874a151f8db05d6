//! A history of scored texts, clicks and dead letters, through the alerts' own code.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::event::Event;
use super::topic::{self, Span};
use crate::cli::lines::Lines;
use crate::config::{Alerts, Settings};
use crate::event::json::{Named, time};
use crate::event::{Error, Fault, v1};
use crate::stages::alerts::{Emit, History};

/// A scored text with its embedding has some ten thousand, a click with its features a few.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines that are named on standard error.
const NAMED_MAX: u64 = 20;
/// What is let pass behind the last text, so that everything ends that can.
const PASS_MS: i64 = 12 * 3_600_000;

/// An alert as it was written once.
#[derive(Debug, Serialize)]
pub struct Revision {
    pub id: String,
    pub revision: u32,
    pub state: Option<&'static str>,
    pub provisional: bool,
    /// Milliseconds since 1970: the bucket that it was written with.
    pub at_ms: Option<i64>,
    pub inhibited_by: Option<String>,
}

/// What a set of rules has made of a history.
#[derive(Debug, Default)]
pub struct Played {
    pub texts: u64,
    pub clicks: u64,
    pub dead_letters: u64,
    /// Lines or records that are none of these.
    pub unread: u64,
    /// Events that came later than the grace and two buckets.
    pub too_late: u64,
    /// Sums of a scope and bucket that were left out because their bucket was closed.
    pub late_sums: u64,
    pub first_ms: i64,
    pub last_ms: i64,
    /// As each stands in the end, by the time at which it began.
    pub alerts: Vec<v1::Alert>,
    /// Every revision, in the order in which they were written.
    pub history: Vec<Revision>,
    pub trends: u64,
    /// The ids of those that fired while nothing kept them quiet.
    pub told: HashSet<String>,
}

impl Played {
    /// Alerts that somebody would have been told of, though another may have taken them in since.
    pub fn told(&self) -> Vec<&v1::Alert> {
        self.alerts.iter().filter(|alert| self.is_told(alert)).collect()
    }

    pub fn is_told(&self, alert: &v1::Alert) -> bool {
        self.told.contains(&alert.id)
    }

    pub fn events(&self) -> u64 {
        self.texts + self.clicks + self.dead_letters
    }

    /// Days of event time.
    pub fn days(&self) -> f64 {
        (self.last_ms - self.first_ms).max(0) as f64 / 86_400_000.0
    }
}

/// Plays the file through each of the sets of rules.
pub fn play(file: &Path, sort: bool, sets: &[Alerts]) -> Result<Vec<Played>, Error> {
    let mut players: Vec<Player> = sets.iter().map(Player::new).collect();
    let mut unread = 0;
    let mut held: Vec<(i64, Event)> = Vec::new();
    for (number, line) in (1u64..).zip(Lines::open(Some(file), LINE_BYTES_MAX)?) {
        let line = line?.payload.unwrap_or_default();
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match Event::of_line(&line, number) {
            Ok((at_ms, event)) if sort => held.push((at_ms, event)),
            Ok((at_ms, event)) => players.iter_mut().for_each(|player| player.play(at_ms, &event)),
            Err(why) => {
                unread += 1;
                if unread <= NAMED_MAX {
                    eprintln!("line {number}: {why}");
                }
            }
        }
    }
    held.sort_by_key(|(at_ms, _)| *at_ms);
    held.iter().for_each(|(at_ms, event)| players.iter_mut().for_each(|player| player.play(*at_ms, event)));
    players.into_iter().map(|player| player.end(unread)).collect()
}

/// Plays a topic through each of the sets of rules.
pub fn play_topic(settings: &Settings, span: &Span, sets: &[Alerts]) -> Result<Vec<Played>, Error> {
    let mut players: Vec<Player> = sets.iter().map(Player::new).collect();
    let mut unread = 0;
    topic::read(settings, span, |event| match event {
        Ok((at_ms, event)) => players.iter_mut().for_each(|player| player.play(at_ms, &event)),
        Err(why) => {
            unread += 1;
            if unread <= NAMED_MAX {
                eprintln!("{why}");
            }
        }
    })?;
    players.into_iter().map(|player| player.end(unread)).collect()
}

struct Player<'a> {
    settings: &'a Alerts,
    history: History,
    played: Played,
    alerts: HashMap<String, v1::Alert>,
    out: Vec<Emit>,
}

impl<'a> Player<'a> {
    fn new(settings: &'a Alerts) -> Self {
        let history = History::new(settings.clone(), 1, 1);
        Self { settings, history, played: Played::default(), alerts: HashMap::new(), out: Vec::new() }
    }

    fn play(&mut self, at_ms: i64, event: &Event) {
        let seen = event.seen(self.settings);
        let played = &mut self.played;
        match event {
            // What agents and bots write is nothing that customers say.
            Event::Text(_) if seen.is_empty() => return,
            Event::Text(_) => played.texts += 1,
            Event::Click(_) => played.clicks += 1,
            Event::DeadLetter { .. } => played.dead_letters += 1,
        }
        let first = played.events() == 1;
        played.first_ms = if first { at_ms } else { played.first_ms.min(at_ms) };
        played.last_ms = if first { at_ms } else { played.last_ms.max(at_ms) };
        self.history.event(0, &seen, &mut self.out);
        self.take();
    }

    fn take(&mut self) {
        for emit in self.out.drain(..) {
            match emit {
                Emit::Alert(alert) => {
                    self.played.history.push(revision(&alert));
                    if alert.is_told() && !self.played.told.contains(&alert.id) {
                        self.played.told.insert(alert.id.clone());
                    }
                    self.alerts.insert(alert.id.clone(), *alert);
                }
                Emit::Trend(_) => self.played.trends += 1,
            }
        }
    }

    fn end(mut self, unread: u64) -> Result<Played, Error> {
        self.history.end(PASS_MS, &mut self.out);
        self.take();
        if let Some(fault) = self.history.fault() {
            return Err(Error::new(Fault::Bug, fault));
        }
        let by_time: BTreeMap<_, _> = self
            .alerts
            .into_values()
            .map(|alert| ((start_ms(&alert), alert.scope.clone(), alert.rule.clone(), alert.id.clone()), alert))
            .collect();
        let alerts = by_time.into_values().collect();
        let (too_late, late_sums) = (self.history.too_late(), self.history.late_sums());
        Ok(Played { unread, too_late, late_sums, alerts, ..self.played })
    }
}

fn revision(alert: &v1::Alert) -> Revision {
    Revision {
        id: alert.id.clone(),
        revision: alert.revision,
        state: v1::AlertState::name_of(alert.state),
        provisional: alert.provisional,
        at_ms: alert.updated_time.as_ref().and_then(time::to_ms),
        inhibited_by: alert.inhibited_by.clone(),
    }
}

/// When it began, and when it was over or looked at last.
pub fn start_ms(alert: &v1::Alert) -> i64 {
    alert.since.as_ref().and_then(time::to_ms).unwrap_or_default()
}

pub fn end_ms(alert: &v1::Alert) -> i64 {
    let end = alert.resolved_time.as_ref().or(alert.updated_time.as_ref());
    end.and_then(time::to_ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use fastrand::Rng;

    use super::*;
    use crate::config;

    const START_S: i64 = 1_767_571_200;
    const MINUTES: i64 = 110;
    /// From here on carts are filled, and nobody pays.
    const BROKEN: i64 = 90;

    #[test]
    fn clicks_are_replayed_as_texts_are_and_what_is_neither_is_left_out() {
        let (mut rng, mut lines) = (Rng::with_seed(3), vec!["{\"body\": 1}".to_owned(), String::new()]);
        for minute in 0..MINUTES {
            for second in (0..60).step_by(3) {
                let bought = minute < BROKEN && rng.f64() < 0.6;
                let action = if bought { "purchase" } else { "cart" };
                let time = jiff::Timestamp::from_second(START_S + minute * 60 + second).unwrap();
                lines.push(format!(
                    "{{\"event_time\":\"{time}\",\"user\":\"u{}\",\"item\":\"p{}\",\"category\":\"c\",\"action\":\"{action}\"}}",
                    lines.len(),
                    rng.u32(0..4)
                ));
            }
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        let settings = config::load(None, &[], std::iter::empty()).unwrap();
        let played = play(file.path(), false, &[settings.alerts]).unwrap().remove(0);
        assert_eq!((played.clicks, played.texts, played.unread), (MINUTES as u64 * 20, 0, 1));
        assert!((played.days() - MINUTES as f64 / 1_440.0).abs() < 0.01, "{}", played.days());
        let told = played.told();
        assert!(told.iter().any(|alert| alert.signal == "cart_share"), "{told:?}");
        let broken = told.iter().map(|alert| (start_ms(alert) / 1000 - START_S) / 60);
        assert!(
            broken.clone().all(|minute| (BROKEN - 2..BROKEN + 8).contains(&minute)),
            "{:?}",
            broken.collect::<Vec<_>>()
        );
    }
}
