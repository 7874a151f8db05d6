//! A file of scored texts, through the alerts' own code.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::topic::{self, Span};
use crate::cli::lines::Lines;
use crate::config::{Alerts, Settings};
use crate::event::json::{Named, time};
use crate::event::{Error, Fault, v1};
use crate::stages::alerts::{Emit, History, Seen};

/// A scored text with its embedding has some ten thousand.
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
    /// Lines that are no scored text.
    pub unread: u64,
    /// Texts that came later than the grace and two buckets.
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
}

impl Played {
    /// Alerts that somebody would have been told of.
    pub fn told(&self) -> Vec<&v1::Alert> {
        self.alerts.iter().filter(|alert| alert.is_told()).collect()
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
    let mut held: Vec<(i64, v1::Scored)> = Vec::new();
    for (number, line) in (1u64..).zip(Lines::open(Some(file), LINE_BYTES_MAX)?) {
        let line = line?.payload.unwrap_or_default();
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match read(&line, number) {
            Ok((at_ms, scored)) if sort => held.push((at_ms, scored)),
            Ok((_, scored)) => players.iter_mut().for_each(|player| player.text(&scored)),
            Err(why) => {
                unread += 1;
                if unread <= NAMED_MAX {
                    eprintln!("line {number}: {why}");
                }
            }
        }
    }
    held.sort_by_key(|(at_ms, _)| *at_ms);
    held.iter().for_each(|(_, scored)| players.iter_mut().for_each(|player| player.text(scored)));
    players.into_iter().map(|player| player.end(unread)).collect()
}

/// Plays a topic through each of the sets of rules.
pub fn play_topic(settings: &Settings, span: &Span, sets: &[Alerts]) -> Result<Vec<Played>, Error> {
    let mut players: Vec<Player> = sets.iter().map(Player::new).collect();
    let mut unread = 0;
    topic::read(settings, span, |text| match text {
        Ok((_, scored)) => players.iter_mut().for_each(|player| player.text(&scored)),
        Err(why) => {
            unread += 1;
            if unread <= NAMED_MAX {
                eprintln!("{why}");
            }
        }
    })?;
    players.into_iter().map(|player| player.end(unread)).collect()
}

/// A line as a text. One without an origin, as of another program, is found again by its line.
fn read(line: &[u8], number: u64) -> Result<(i64, v1::Scored), String> {
    let mut scored: v1::Scored = serde_json::from_slice(line).map_err(|error| format!("no scored text: {error}"))?;
    let at_ms = scored.event_time.as_ref().and_then(time::to_ms).ok_or("event_time is missing")?;
    let origin = || v1::Origin { topic: "input".into(), partition: 0, offset: number as i64 - 1 };
    scored.origin.get_or_insert_with(origin);
    if scored.event_id.is_empty() {
        scored.event_id = format!("line {number}");
    }
    Ok((at_ms, scored))
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

    fn text(&mut self, scored: &v1::Scored) {
        let Some(seen) = Seen::new(scored, self.settings) else { return };
        let played = &mut self.played;
        played.first_ms = if played.texts == 0 { seen.at_ms } else { played.first_ms.min(seen.at_ms) };
        played.last_ms = if played.texts == 0 { seen.at_ms } else { played.last_ms.max(seen.at_ms) };
        played.texts += 1;
        self.history.text(0, &seen, &mut self.out);
        self.take();
    }

    fn take(&mut self) {
        for emit in self.out.drain(..) {
            match emit {
                Emit::Alert(alert) => {
                    self.played.history.push(revision(&alert));
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
