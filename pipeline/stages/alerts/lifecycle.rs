//! From what is seen to what is said: nothing → pending → firing → resolved, and retracted where late data took the reason
//! away. Pure: a track, a look and a bucket in, a track and what has changed out.

use prost::Message;

use super::hash;
use super::look::{Look, quantity};
use super::state::Track;
use crate::config::{AlertRule, Alerts, Statistic};
use crate::detect::rise::{WINDOWS, Window};
use crate::event::v1::{AlertState, Severity};

/// What has become of an alert with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing to say.
    None,
    /// It is written anew.
    Written,
    /// It has ended, by this state.
    Ended(AlertState),
}

/// What is asked of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub settings: &'a Alerts,
    pub rule: &'a AlertRule,
    pub look: &'a Look,
    pub now: i64,
    /// A scope that is compared with its own first hours.
    pub emerging: bool,
    /// What alerts of this scope are known by.
    pub identity: &'a str,
    /// Different users in the incident so far; 0 where none are named.
    pub users: u64,
}

impl Moment<'_> {
    /// Whether it is more than what a few people do. What stops needs nobody.
    pub fn are_enough(&self) -> bool {
        self.users == 0 || self.users >= self.rule.users_min || self.look.is_less(self.rule)
    }
}

/// How often a flapping alert is kept up for longer: twice as long each time.
const FLAPS_MAX: u32 = 3;
/// Factors of the effect, and texts beyond what is expected, of the severities.
const WARNING: (f64, f64) = (2.0, 15.0);
const CRITICAL: (f64, f64) = (3.0, 50.0);
/// Longer windows say that it went on, and for too long afterwards.
const SUSTAINED_BUCKETS: i64 = 15;
/// Written again when so many buckets have passed, so that the evidence stays fresh.
const REFRESH_BUCKETS: i64 = 5;

impl Track {
    /// The last bucket of an incident that is over; what is provisional does not change it.
    pub fn told(&self) -> Option<i64> {
        let settled = self.before.as_deref().unwrap_or(self);
        (settled.state() == AlertState::Resolved).then_some(settled.last)
    }

    /// It is under way, and late data cannot take it back. What follows from the texts alone follows from this.
    pub fn holds(&self) -> bool {
        self.is_active() && !self.provisional
    }

    /// It holds, and has not been so for so long that it is the new normal: nothing is learned from it.
    pub fn is_news(&self, at: i64, settings: &Alerts) -> bool {
        let new_normal = i64::try_from(settings.new_normal.as_millis()).unwrap_or(i64::MAX);
        self.holds() && (at - self.since).saturating_mul(settings.bucket_ms()) < new_normal
    }

    /// How it is written: what has fired as provisional goes on firing when it is confirmed, while what follows from closed
    /// buckets still waits for the next of them.
    pub fn shown_state(&self) -> AlertState {
        if self.early_ms > 0 && self.state() == AlertState::Pending { AlertState::Firing } else { self.state() }
    }

    /// When it began to fire, as it is written; 0 where it has not.
    pub fn shown_firing_ms(&self) -> i64 {
        match self.shown_state() {
            AlertState::Firing if self.firing_ms == 0 => self.early_ms,
            _ => self.firing_ms,
        }
    }

    pub fn is_active(&self) -> bool {
        matches!(self.state(), AlertState::Pending | AlertState::Firing)
    }

    /// The alert's id. Where none was given, as it once was: of the scope, the rule and how many were before.
    pub fn id(&self, scope: &str) -> String {
        if self.id.is_empty() { self.new_id(scope, self.number) } else { self.id.clone() }
    }

    fn new_id(&self, identity: &str, number: u32) -> String {
        format!("{:016x}", hash::of(format!("{identity}\n{}\n{number}", self.rule).as_bytes()))
    }

    /// The bucket is not closed yet: what is seen is said, as provisional, where nothing is under way. `level`: what a
    /// p-value must not exceed.
    pub fn see(&mut self, moment: &Moment, level: f64, since: impl FnOnce() -> i64) -> Change {
        if !self.is_active() {
            if moment.look.p_value > level {
                return Change::None;
            }
            self.settle();
            let before = Box::new(self.clone());
            self.begin(moment, level, since());
            self.provisional = true;
            self.before = Some(before);
            self.fire_when_due(moment);
            return Change::Written;
        }
        if self.provisional && self.state() == AlertState::Pending && self.goes_on(moment) {
            self.last = self.last.max(moment.now);
            if self.fire_when_due(moment) {
                self.written = moment.now;
                return Change::Written;
            }
        }
        Change::None
    }

    /// The bucket is closed, and what is seen holds. `level`: at which this is an alarm, if it is one.
    pub fn close(&mut self, moment: &Moment, level: Option<f64>, since: impl FnOnce() -> i64) -> Change {
        match (self.is_active(), self.provisional, level) {
            (false, _, None) => {
                self.settle();
                Change::None
            }
            (false, _, Some(level)) => {
                self.settle();
                self.begin(moment, level, since());
                self.fire_when_due(moment);
                Change::Written
            }
            (true, true, Some(level)) => self.confirm(moment, level, since()),
            (true, true, None) if moment.now >= self.found => self.retract(moment),
            (true, true, None) => Change::None,
            (true, false, _) => self.go_on(moment),
        }
    }

    fn begin(&mut self, moment: &Moment, level: f64, since: i64) {
        let Moment { settings, look, now, .. } = *moment;
        let end = (now + 1) * settings.bucket_ms();
        let back = self.resolved_ms > 0 && end - self.resolved_ms <= settings.flap.as_millis() as i64;
        let flaps = if back { self.flaps + 1 } else { 0 };
        let number = match self.state() {
            // Nothing was there, or what was there is taken up again.
            AlertState::Unspecified => self.number,
            _ if back => self.number,
            _ => self.number + 1,
        };
        // It is known by the scope, the rule and how many were before.
        let id = if number == self.number && !self.id.is_empty() {
            std::mem::take(&mut self.id)
        } else {
            self.new_id(moment.identity, number)
        };
        *self = Track {
            id,
            rule: std::mem::take(&mut self.rule),
            state: AlertState::Pending.into(),
            number,
            since,
            found: now,
            last: now,
            window: look.best.unwrap_or_default() as u32,
            level,
            emerging: moment.emerging,
            written: now,
            flaps,
            resolved_ms: self.resolved_ms,
            ..Track::default()
        };
        self.judge(moment);
    }

    fn confirm(&mut self, moment: &Moment, level: f64, since: i64) -> Change {
        let fired = self.firing_ms > 0;
        self.settle();
        self.begin(moment, level, since);
        self.fire_when_due(moment);
        if fired {
            // With the first bucket in which it had lasted long enough.
            let bucket_ms = moment.settings.bucket_ms();
            let pending = i64::try_from(moment.rule.pending.as_millis()).unwrap_or(i64::MAX);
            self.early_ms = (moment.now + 1).saturating_mul(bucket_ms).saturating_add(pending);
        }
        Change::Written
    }

    /// Goes back to what stood here before something provisional did: what closed buckets say follows from that alone.
    fn settle(&mut self) {
        if let Some(before) = self.before.take() {
            *self = *before;
        }
    }

    fn retract(&mut self, moment: &Moment) -> Change {
        self.state = AlertState::Retracted.into();
        self.written = moment.now;
        Change::Ended(AlertState::Retracted)
    }

    fn go_on(&mut self, moment: &Moment) -> Change {
        let before = (self.state, self.severity);
        if self.goes_on(moment) {
            self.last = moment.now;
            self.judge(moment);
            self.fire_when_due(moment);
        } else if (moment.now - self.last) * moment.settings.bucket_ms() >= self.keep_ms(moment) {
            self.state = AlertState::Resolved.into();
            self.resolved_ms = (moment.now + 1) * moment.settings.bucket_ms();
            self.written = moment.now;
            return Change::Ended(AlertState::Resolved);
        }
        if before == (self.state, self.severity) && moment.now - self.written < REFRESH_BUCKETS {
            return Change::None;
        }
        self.written = moment.now;
        Change::Written
    }

    /// In the window that found it, or one that lies within the incident by now.
    fn goes_on(&self, moment: &Moment) -> bool {
        let within = |i: &usize| WINDOWS[*i] <= SUSTAINED_BUCKETS && WINDOWS[*i] <= moment.now + 1 - self.since;
        let longest = (0..WINDOWS.len()).rev().find(within).unwrap_or_default();
        moment.look.goes_on(moment.rule, self.window as usize, longest)
    }

    fn keep_ms(&self, moment: &Moment) -> i64 {
        let keep = i64::try_from(moment.rule.keep.as_millis()).unwrap_or(i64::MAX);
        keep.saturating_mul(1 << self.flaps.min(FLAPS_MAX))
    }

    /// True where it begins to fire now.
    fn fire_when_due(&mut self, moment: &Moment) -> bool {
        let pending = i64::try_from(moment.rule.pending.as_millis()).unwrap_or(i64::MAX);
        let lasted = (self.last - self.found) * moment.settings.bucket_ms();
        let due = self.state() == AlertState::Pending && lasted >= pending && moment.are_enough();
        if due {
            self.state = AlertState::Firing.into();
            self.firing_ms = (moment.now + 1) * moment.settings.bucket_ms();
        }
        due
    }

    /// The highest severity that it has come to.
    fn judge(&mut self, moment: &Moment) {
        let Some(window) = moment.look.shown(self.window as usize) else { return };
        self.severity = self.severity.max(severity(moment.rule, &window).into());
    }
}

/// By how much it is more, and by how many texts.
fn severity(rule: &AlertRule, window: &Window) -> Severity {
    let x = quantity(rule, window);
    let beyond = (x - window.expected).abs();
    // A share cannot rise by more than what is left of it: twice as many negative ones of one half is all.
    let factor = match rule.signal.statistic() {
        Statistic::Count => x / window.expected.max(1e-9),
        Statistic::Share => {
            let (share, usual) = (x / window.events.max(1.0), window.expected / window.events.max(1.0));
            let odds = |share: f64| share.clamp(0.01, 0.99) / (1.0 - share.clamp(0.01, 0.99));
            odds(share) / odds(usual)
        }
    };
    // What is less by a factor is as much out of the ordinary.
    let factor = if x < window.expected { 1.0 / factor.max(1e-9) } else { factor };
    if factor >= CRITICAL.0 && beyond >= CRITICAL.1 {
        Severity::Critical
    } else if factor >= WARNING.0 && beyond >= WARNING.1 {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Whether there is anything to remember of it.
pub fn is_idle(track: &Track) -> bool {
    !track.is_active() && track.number == 0 && track.encoded_len() <= track.rule.len() + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::alerts::seen::tests::settings;

    /// A window of one bucket with so many texts of five expected.
    fn look(events: f64, p_value: f64) -> Look {
        let window = Window { buckets: 1, events, hits: 0.0, expected: 5.0, low: 1.0, high: 11.0, p_value };
        let best = (events >= 10.0).then_some(0);
        Look { windows: [Some(window), None, None, None], best, p_value: best.map_or(1.0, |_| p_value) }
    }

    struct Life {
        settings: Alerts,
        track: Track,
        now: i64,
        users: u64,
    }

    impl Life {
        fn new() -> Life {
            let settings = settings();
            let track = Track { rule: settings.rules[1].name.clone(), ..Track::default() };
            Life { track, settings, now: 100, users: 0 }
        }

        fn step(&mut self, look: Look, closed: bool, alarm: bool) -> Change {
            let Life { settings, track, now, users } = self;
            let rule = &settings.rules[1];
            let (identity, users) = ("all\n1", *users);
            let moment = Moment { settings, rule, look: &look, now: *now, emerging: false, identity, users };
            let since = *now - 1;
            match closed {
                true => track.close(&moment, alarm.then_some(1e-6), || since),
                false => track.see(&moment, if alarm { 1.0 } else { 0.0 }, || since),
            }
        }

        fn close(&mut self, events: f64) -> Change {
            let change = self.step(look(events, if events >= 10.0 { 1e-9 } else { 0.5 }), true, events >= 10.0);
            self.now += 1;
            change
        }
    }

    #[test]
    fn an_alert_is_pending_fires_and_ends_when_it_was_over_for_long_enough() {
        let mut life = Life::new();
        assert_eq!(life.close(5.0), Change::None);
        assert_eq!((life.close(40.0), life.track.state()), (Change::Written, AlertState::Pending));
        let id = life.track.id("all");
        assert_eq!((life.close(40.0), life.track.state()), (Change::Written, AlertState::Firing));
        // A pause is not the end.
        assert_eq!([5.0, 5.0, 40.0, 5.0].map(|events| life.close(events)), [Change::None; 4]);
        assert_eq!(life.close(5.0), Change::Written, "refreshed");
        assert_eq!([5.0, 5.0].map(|events| life.close(events)), [Change::None; 2]);
        assert_eq!(life.track.state(), AlertState::Firing);
        assert_eq!(life.close(5.0), Change::Ended(AlertState::Resolved));
        assert_eq!(life.track.id("all"), id);
        // Soon after it is the same one, kept up for twice as long.
        assert_eq!((life.close(40.0), life.track.flaps), (Change::Written, 1));
        assert_eq!(life.track.id("all"), id);
        let ended = (0..20).take_while(|_| life.close(5.0) != Change::Ended(AlertState::Resolved)).count();
        assert_eq!(ended, 9);
        life.now += 1_000;
        assert_eq!((life.close(40.0), life.track.flaps), (Change::Written, 0));
        assert_ne!(life.track.id("all"), id, "another one");
    }

    #[test]
    fn what_few_people_do_waits_for_more_of_them() {
        let mut life = Life::new();
        life.settings.rules[1].users_min = 3;
        life.users = 2;
        assert!((0..9).all(|_| life.close(40.0) != Change::Ended(AlertState::Resolved)));
        assert_eq!(life.track.state(), AlertState::Pending);
        life.users = 3;
        assert_eq!((life.close(40.0), life.track.state()), (Change::Written, AlertState::Firing));
    }

    #[test]
    fn another_life_of_a_scope_has_other_alerts() {
        let track = Track { rule: "volume".into(), number: 1, ..Track::default() };
        assert_ne!(track.new_id("all\n1", 1), track.new_id("all\n2", 1));
        assert_eq!(track.id("all"), track.new_id("all", 1), "as an earlier version had it");
    }

    #[test]
    fn what_was_seen_too_early_is_confirmed_or_retracted() {
        let mut life = Life::new();
        assert_eq!(life.step(look(40.0, 1e-9), false, true), Change::Written);
        assert!(life.track.provisional);
        let id = life.track.id("all");
        assert_eq!((life.close(40.0), life.track.provisional), (Change::Written, false));
        assert_eq!(life.track.id("all"), id);

        let mut life = Life::new();
        life.step(look(40.0, 1e-9), false, true);
        assert_eq!(life.close(5.0), Change::Ended(AlertState::Retracted));
        // What comes next takes the number that was given back.
        assert_eq!(life.close(40.0), Change::Written);
        assert_eq!(life.track.id("all"), id);
    }

    /// Whatever was seen before buckets were closed, what the next incident is told as does not depend on it.
    #[test]
    fn what_was_seen_too_early_leaves_no_trace() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let (mut plain, mut hasty) = (Life::new(), Life::new());
            // Incidents, pauses within one and of any length between them.
            let mut events = Vec::new();
            while events.len() < 200 {
                events.extend(std::iter::repeat_n(40.0, rng.usize(1..4)));
                events.extend(std::iter::repeat_n(5.0, rng.usize(1..40)));
            }
            for events in events {
                if rng.bool() {
                    let seen = if rng.bool() { 40.0 } else { 5.0 };
                    hasty.step(look(seen, if seen > 5.0 { 1e-9 } else { 0.5 }), false, seen > 5.0);
                }
                plain.close(events);
                hasty.close(events);
                let told = |life: &Life| {
                    let mut track = life.track.clone();
                    track.settle();
                    (track.number, track.flaps, track.resolved_ms, track.told(), track.is_active(), track.last)
                };
                assert_eq!(told(&hasty), told(&plain));
            }
        }
    }

    #[test]
    fn a_provisional_alert_fires_without_waiting_for_the_grace() {
        let mut life = Life::new();
        life.step(look(40.0, 1e-9), false, true);
        life.now += 1;
        assert_eq!(life.step(look(40.0, 1e-9), false, true), Change::Written);
        assert_eq!(life.track.state(), AlertState::Firing);
        // The first of its buckets is closed, then the second.
        life.now -= 1;
        assert_eq!((life.close(40.0), life.track.shown_state()), (Change::Written, AlertState::Firing));
        assert_eq!((life.track.provisional, life.track.state()), (false, AlertState::Pending));
        let told_ms = life.track.shown_firing_ms();
        assert_eq!((life.close(40.0), life.track.state()), (Change::Written, AlertState::Firing));
        assert_eq!(life.track.firing_ms, told_ms);
    }

    #[test]
    fn the_larger_the_worse() {
        let rule = &settings().rules[1];
        let of = |events, expected| {
            severity(rule, &Window { buckets: 1, events, hits: 0.0, expected, low: 0.0, high: 0.0, p_value: 0.0 })
        };
        assert_eq!(of(12.0, 3.0), Severity::Info);
        assert_eq!(of(40.0, 20.0), Severity::Warning);
        assert_eq!(of(90.0, 20.0), Severity::Critical);
    }
}
