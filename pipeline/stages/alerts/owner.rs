//! The second half, in the partitions of the repartition topic: sums in, trends and alerts out.
//!
//! A bucket is closed when all sources have come to its end and the grace has passed. What is closed is a function of the
//! sums alone: in whatever order those of different sources come in between, the same buckets are closed with the same
//! content in the same order. Before that, what has come so far is looked at with each sum that comes, and an alert that
//! shows is raised as provisional.
//!
//! Event time stands still while nothing comes. So that what fires then ends all the same, the instances write what the clock
//! on the wall shows into the repartition topic. Where nothing else was heard for `idle_ms` of it, event time goes on at its
//! pace until no bucket is open and no alert under way, and no further: live texts, which are as old as that clock, never
//! come too late for it. What an owner decides still follows from the records of its partition alone.

use bytes::Bytes;
use prost::Message;

use super::bucket::Bucket;
use super::lifecycle::{Change, Moment, is_idle};
use super::look::Look;
use super::publish::{self, Emit, Finding};
use super::state::{
    CLOSE, EXPECT, Empty, FromSource, GROUPS, MIXES, Mix, OPEN, OWNER, Owner, SCOPES, SERIES, Source, Sums, Track,
    Watched,
};
use super::{anomaly, partial, scope, sketch};
use crate::config::{AlertRule, Alerts, Counted, LooksFor, ScopeKind, Statistic};
use crate::detect::Fdr;
use crate::detect::growth::Growth;
use crate::detect::rise::{Cell, LAG, RECENT, Rise};
use crate::event::v1;
use crate::event::v1::AlertState;
use crate::state::Tables;
use crate::state::time::Sources;

/// Tests of the first day, before a day was counted.
const TESTS_EXPECTED: u64 = 100_000;
const DAY_MS: i64 = 86_400_000;
/// A scope is new for so many buckets: as many as are kept, so that its beginning is still there.
const NEW: i64 = RECENT;
/// Samples that an alert chooses from.
const SAMPLES_MAX: usize = 16;
/// Buckets of one scope that are open at a time. Further ones are too late or too early to be believed.
const OPEN_MAX: usize = 1_024;

/// Takes a message of the repartition topic in. `sources`: how many there are in all; one that was not heard from yet is
/// waited for as if it stood where the first one began. `group`: the record's key. False: the message's sums came after their
/// bucket was closed, or find no place, and are left out.
pub fn observe(
    tables: &mut impl Tables,
    settings: &Alerts,
    sources: usize,
    group: &str,
    message: v1::Repartitioned,
    out: &mut Vec<Emit>,
) -> bool {
    let mut taken = true;
    let mut owner = OWNER.get(tables, "").unwrap_or_default();
    if message.clock_ms > 0 {
        owner.hear_clock(message.clock_ms, settings);
    } else {
        owner.quiet_since_ms = None;
    }
    match message.partial {
        None if message.clock_ms > 0 => {}
        None => owner.advance(&message.source, message.through_ms, sources, settings),
        Some(partial) => {
            tables.advance(owner.time);
            let mut scope = Scoped { tables, settings, owner: &mut owner, group, name: partial.scope.clone() };
            taken = scope.take(message.source, partial, out);
        }
    }
    tables.advance(owner.time);
    while let Some(due) = tables.next_due() {
        if let Some(((at, (group, name)), Empty {})) = CLOSE.due(tables, &due) {
            owner.waiting = owner.waiting.saturating_sub(1);
            Scoped { tables, settings, owner: &mut owner, group: &group, name }.close(at, out);
        } else if let Some(((at, (group, name)), Empty {})) = EXPECT.due(tables, &due) {
            Scoped { tables, settings, owner: &mut owner, group: &group, name }.close(at, out);
        }
    }
    OWNER.put(tables, "", owner);
    taken
}

impl Owner {
    /// A clock on the wall shows this, and nothing else was said.
    fn hear_clock(&mut self, clock_ms: i64, settings: &Alerts) {
        if self.quiet_since_ms.is_none() {
            (self.quiet_since_ms, self.quiet_time) = (Some(clock_ms), self.time);
        }
        let quiet_ms = clock_ms.saturating_sub(self.quiet_since_ms.unwrap_or(clock_ms));
        let beyond_ms = quiet_ms.saturating_sub(idle_ms(settings));
        if beyond_ms > 0 && self.waiting > 0 {
            self.time = self.time.max(self.quiet_time.saturating_add(beyond_ms));
        }
    }

    /// A source has handed on all up to here.
    fn advance(&mut self, source: &str, through_ms: i64, expected: usize, settings: &Alerts) {
        let began_ms = *self.began_ms.get_or_insert(through_ms);
        let place = self.sources.iter().position(|known| known.name == source).unwrap_or_else(|| {
            self.sources.push(Source { name: source.to_owned(), highest: through_ms });
            self.sources.len() - 1
        });
        let unheard = (self.sources.len() < expected).then_some((u32::MAX, began_ms));
        let highest = (0..).zip(&self.sources).map(|(i, source)| (i, source.highest)).chain(unheard);
        let mut sources = Sources::from_parts(idle_ms(settings), highest, self.time);
        self.time = sources.observe(place as u32, through_ms);
        let known = &mut self.sources[place];
        known.highest = known.highest.max(through_ms);
    }
}

fn idle_ms(settings: &Alerts) -> i64 {
    i64::try_from(settings.idle.as_millis()).unwrap_or(i64::MAX)
}

/// A scope at work.
struct Scoped<'a, T> {
    tables: &'a mut T,
    settings: &'a Alerts,
    owner: &'a mut Owner,
    group: &'a str,
    name: String,
}

impl<T: Tables> Scoped<'_, T> {
    fn key(&self) -> (String, String) {
        (self.group.to_owned(), self.name.clone())
    }

    fn name_in_all(&self) -> String {
        scope::key(self.group, &self.name)
    }

    /// What its alerts are known by: not those of the same scope that was forgotten in between.
    fn identity(&self, watched: &Watched) -> String {
        let first = watched.rise.as_ref().map_or(0, |rise| rise.first);
        format!("{}\n{first}", self.name_in_all())
    }

    /// Keeps a source's sums until their bucket is closed, and looks at what that bucket is by now. False: it is
    /// closed already, or too many are open.
    fn take(&mut self, source: String, partial: v1::Partial, out: &mut Vec<Emit>) -> bool {
        let bucket_ms = self.settings.bucket_ms();
        let at = partial.start_ms.div_euclid(bucket_ms);
        let due_ms = (at + 1).saturating_mul(bucket_ms).saturating_add(self.settings.grace_ms());
        let mut watched = SCOPES.get(self.tables, &self.key()).unwrap_or_default();
        let opened = !watched.open.contains(&at);
        let full = opened && watched.open.len() >= OPEN_MAX;
        if at < watched.closed_to || due_ms <= self.tables.stream_time() || full {
            return false;
        }
        let mut open = OPEN.get(self.tables, &(self.name_in_all(), at)).unwrap_or_default();
        let mut sums: Vec<Sums> = open.partials.iter().map(|from| self.read(&from.partial)).collect();
        let known = open.partials.iter().position(|known| known.source == source);
        if known.is_some_and(|place| sums[place].revision >= partial.revision) {
            return true;
        }
        let new = FromSource { source, partial: partial.encode_to_vec().into() };
        let new_sums = self.read(&new.partial);
        match known {
            Some(place) => (open.partials[place], sums[place]) = (new, new_sums),
            None => {
                open.partials.push(new);
                sums.push(new_sums);
            }
        }
        OPEN.put(self.tables, &(self.name_in_all(), at), open);
        let counts = Bucket::counts(&sums);
        if opened {
            let place = watched.open.partition_point(|other| *other < at);
            watched.open.insert(place, at);
            self.close_at(at, due_ms);
        }
        self.see(&mut watched, at, &counts, out);
        SCOPES.put(self.tables, &self.key(), watched);
        true
    }

    fn close_at(&mut self, at: i64, due_ms: i64) {
        let key = (at, self.key());
        self.owner.waiting += u64::from(CLOSE.get(self.tables, &key).is_none());
        CLOSE.put_until(self.tables, &key, Empty {}, due_ms);
    }

    /// What the open buckets show, now that one of them has changed. `counts`: what that one holds.
    fn see(&mut self, watched: &mut Watched, at: i64, counts: &Bucket, out: &mut Vec<Emit>) {
        if publish::has_trend(&self.name, self.settings) {
            out.push(Emit::Trend(publish::trend(self.group, &self.name, at, counts, true, self.settings)));
        }
        let cell = self.cell(at, counts);
        match watched.open_cells.binary_search_by_key(&at, |cell| cell.at) {
            Ok(place) => watched.open_cells[place] = cell,
            Err(place) => watched.open_cells.insert(place, cell),
        }
        if watched.open.last() != Some(&at) || watched.rise.is_none() {
            return;
        }
        let mut seen = watched.clone();
        seen.cells.extend(&watched.open_cells);
        let mut open: Option<Vec<(i64, Bucket)>> = None;
        let level = self.fdr().level();
        let mut mix = None;
        for rule in &self.settings.rules {
            if rule.looks_for == LooksFor::Anomaly {
                // Half a bucket is less than expected.
                continue;
            }
            let Some(emerging) = self.tested(rule, watched, at) else { continue };
            let mut track = track(watched, &rule.name);
            let look = Look::new(rule, &seen, at, track.told(), self.settings.bucket_ms());
            let (identity, users) = (self.identity(watched), users(&track, counts));
            let moment =
                Moment { settings: self.settings, rule, look: &look, now: at, emerging, identity: &identity, users };
            let told = track.told();
            let since = || Look::since(rule, &seen, at, told, self.settings.bucket_ms());
            let change = track.see(&moment, level, since);
            if change != Change::None {
                let open = open.get_or_insert_with(|| watched.open.iter().map(|at| (*at, self.bucket(*at))).collect());
                open.iter().for_each(|(_, bucket)| remember(&mut track, bucket));
                let mix = mix.get_or_insert_with(|| {
                    let mut mix = MIXES.get(self.tables, &self.key()).unwrap_or_default();
                    let (bucket_ms, counted) = (self.settings.bucket_ms(), scope::counted(&self.name));
                    open.iter().for_each(|(at, bucket)| mix.add(*at, bucket, bucket_ms, counted));
                    mix
                });
                self.publish(&moment, &seen, mix, &track, change, out);
            }
            put_track(watched, track);
        }
    }

    /// The bucket holds what it will ever hold: learns, judges, and forgets its parts.
    fn close(&mut self, at: i64, out: &mut Vec<Emit>) {
        let Some(mut watched) = SCOPES.get(self.tables, &self.key()) else { return };
        if at < watched.closed_to {
            return;
        }
        let bucket = self.bucket(at);
        OPEN.delete(self.tables, &(self.name_in_all(), at));
        watched.open.retain(|open| *open != at);
        watched.open_cells.retain(|cell| cell.at != at);
        watched.learn(self.cell(at, &bucket), self.settings);
        self.owner.first = Some(self.owner.first.map_or(at, |first| first.min(at)));
        let mut mix = None;
        if bucket.tally.count > 0 {
            let mut new = MIXES.get(self.tables, &self.key()).unwrap_or_default();
            new.add(at, &bucket, self.settings.bucket_ms(), scope::counted(&self.name));
            if publish::has_trend(&self.name, self.settings) {
                let mut trend = publish::trend(self.group, &self.name, at, &bucket, false, self.settings);
                if self.is_known(&watched, at) {
                    (trend.terms, trend.samples) = publish::hot(&mut new, &bucket);
                }
                out.push(Emit::Trend(trend));
            }
            MIXES.put(self.tables, &self.key(), new.clone());
            mix = Some(new);
        }
        let expects = self.judge(&mut watched, at, &bucket, mix, out);
        let due_ms = (at + 2).saturating_mul(self.settings.bucket_ms()).saturating_add(self.settings.grace_ms());
        if watched.tracks.iter().any(Track::holds) {
            // An alert must be able to end without another text…
            self.close_at(at + 1, due_ms);
        } else if expects {
            // …and one of what stops to begin. A clock on the wall does not go on for that alone.
            EXPECT.put_until(self.tables, &(at + 1, self.key()), Empty {}, due_ms);
        }
        SCOPES.put(self.tables, &self.key(), watched);
    }

    /// True where the next bucket is to be closed whatever it holds.
    fn judge(
        &mut self,
        watched: &mut Watched,
        at: i64,
        bucket: &Bucket,
        mut mix: Option<Mix>,
        out: &mut Vec<Emit>,
    ) -> bool {
        let bucket_ms = self.settings.bucket_ms();
        let mut expects = false;
        for rule in &self.settings.rules {
            let mut track = track(watched, &rule.name);
            let Some(emerging) = self.tested(rule, watched, at) else { continue };
            let (look, began) = match rule.looks_for {
                // That a bucket holds something is a part of the p-value.
                LooksFor::Surge if bucket.tally.count == 0 && !track.is_active() => continue,
                LooksFor::Surge => {
                    let look = Look::new(rule, watched, at, track.told(), bucket_ms);
                    if emerging { self.grown(look, rule, watched, &track, at) } else { (look, None) }
                }
                LooksFor::Anomaly => {
                    let (look, waits, since) = self.anomaly(rule, watched, &track, &self.cell(at, bucket));
                    expects |= waits;
                    (look, Some(since))
                }
            };
            let (identity, users) = (self.identity(watched), users(&track, bucket));
            let moment =
                Moment { settings: self.settings, rule, look: &look, now: at, emerging, identity: &identity, users };
            let level = if track.holds() {
                None
            } else {
                let level = self.fdr().level();
                let end_ms = self.end_ms(at);
                let alarm = self.fdr().is_alarm(end_ms, look.p_value);
                if alarm && moment.are_enough() && self.opens(rule, &look, at, &mut mix) {
                    self.fdr().discovered();
                }
                alarm.then_some(level)
            };
            let told = track.told();
            let since = || began.unwrap_or_else(|| Look::since(rule, watched, at, told, bucket_ms));
            let change = track.close(&moment, level, since);
            if track.is_active() {
                remember(&mut track, bucket);
            }
            if change != Change::None {
                let mix = self.mix(&mut mix);
                self.publish(&moment, watched, mix, &track, change, out);
            }
            if track.holds() {
                self.under_way(at);
            }
            if let (Change::Ended(AlertState::Resolved), Some(rise)) = (change, &mut watched.rise) {
                // The past ends behind it, and begins again after it.
                rise.skip(track.last + 1);
            }
            if matches!(change, Change::Ended(_)) {
                (track.users_sketch, track.samples) = Default::default();
            }
            put_track(watched, track);
        }
        expects
    }

    /// What the detector says of a bucket, or what the last of them hold together; whether the next one is waited for; and
    /// since when it is unusual if this one is.
    fn anomaly(&mut self, rule: &AlertRule, watched: &Watched, track: &Track, cell: &Cell) -> (Look, bool, i64) {
        let (key, bucket_ms) = ((self.key(), rule.name.clone()), self.settings.bucket_ms());
        let mut series = SERIES.get(self.tables, &key).unwrap_or_default();
        let learns = !track.is_news(cell.at, self.settings);
        let mut look = anomaly::observe(&mut series, rule, cell, bucket_ms, learns);
        if let (Statistic::Count, Some(past)) = (rule.signal.statistic(), &watched.rise) {
            look = look.or_stopped(rule, &past.stops(&watched.cells, cell.at, bucket_ms), cell.at, track.told());
        }
        let since = match look.best {
            Some(1..) => Look::stopped_since(watched, cell.at, track.told(), bucket_ms),
            _ => anomaly::since(&series, cell.at, track.told()),
        };
        let waits = series.empty < anomaly::EMPTY_MAX;
        SERIES.put(self.tables, &key, series);
        (look, waits, since)
    }

    /// Whether a scope that is new has grown since it began, beside what the scope does that it is a part of; and since
    /// when, where that says more than its windows do.
    fn grown(
        &mut self,
        look: Look,
        rule: &AlertRule,
        watched: &Watched,
        track: &Track,
        at: i64,
    ) -> (Look, Option<i64>) {
        let of = if scope::kind(&self.name) == ScopeKind::BrandTopic { self.group } else { scope::ALL };
        let of = (self.group.to_owned(), scope::prefixed(scope::counted(&self.name), of));
        let (Statistic::Count, Some(rise)) = (rule.signal.statistic(), &watched.rise) else { return (look, None) };
        let Some(whole) = SCOPES.get(self.tables, &of) else { return (look, None) };
        let until = if track.holds() { track.since } else { i64::MAX };
        let growth = Growth { own: &watched.cells, whole: &whole.cells, first: rise.first, until };
        let before = look;
        let look = look.or_grown(rule, &growth.windows(at), at, track.told());
        let is_grown = |i: &usize| look.windows[*i] != before.windows[*i];
        (look, look.best.filter(is_grown).map(|i| growth.since(i, at)))
    }

    /// A bucket as the scope counts.
    fn cell(&self, at: i64, bucket: &Bucket) -> Cell {
        let v1::Tally { count, judged, .. } = bucket.tally;
        let (events, hits, all) = match scope::counted(&self.name) {
            Counted::Users => (bucket.users() as f64, 0.0, bucket.users() as f64),
            Counted::Sentiment => {
                let events = bucket.effective.min(judged as f64);
                let mean = bucket.effective_score_milli / 1000.0 / events.max(1.0);
                (events, events * (1.0 - mean.clamp(-1.0, 1.0)) / 2.0, judged as f64)
            }
            _ => (bucket.effective, bucket.effective_negative, count as f64),
        };
        Cell { at, events: events as f32, hits: hits as f32, all: all as f32 }
    }

    /// What the closed buckets were about.
    fn mix<'m>(&mut self, mix: &'m mut Option<Mix>) -> &'m Mix {
        mix.get_or_insert_with(|| MIXES.get(self.tables, &self.key()).unwrap_or_default())
    }

    /// Whether an alarm is the first of its incident: nothing was under way in its group of late, and no other group
    /// explains it. By closed buckets alone.
    fn opens(&mut self, rule: &AlertRule, look: &Look, at: i64, mix: &mut Option<Mix>) -> bool {
        let group = GROUPS.get(self.tables, self.group).unwrap_or_default();
        let flap_ms = self.settings.flap.as_millis() as i64;
        let rests = group.under_way_ms > 0 && self.end_ms(at).saturating_sub(group.under_way_ms) <= flap_ms;
        let within = matches!(scope::kind(&self.name), ScopeKind::Brand | ScopeKind::BrandTopic | ScopeKind::Product);
        if rests || within {
            return !rests;
        }
        let mix = self.mix(mix);
        publish::explained_by(&self.name, self.settings, rule, look, mix).is_none()
    }

    /// Something confirmed goes on in the group.
    fn under_way(&mut self, at: i64) {
        let mut group = GROUPS.get(self.tables, self.group).unwrap_or_default();
        group.under_way_ms = group.under_way_ms.max(self.end_ms(at));
        GROUPS.put(self.tables, self.group, group);
    }

    fn end_ms(&self, at: i64) -> i64 {
        (at + 1).saturating_mul(self.settings.bucket_ms())
    }

    fn publish(
        &mut self,
        moment: &Moment,
        watched: &Watched,
        mix: &Mix,
        track: &Track,
        change: Change,
        out: &mut Vec<Emit>,
    ) {
        let finding = Finding { scope: &self.name, group: self.group, moment, watched, mix, track, change };
        publish::alert(self.tables, &finding, out);
    }

    /// Whether what is usual in the scope is known.
    fn is_known(&self, watched: &Watched, at: i64) -> bool {
        let warm_up = self.settings.warm_up.as_millis() as i64;
        watched.rise.as_ref().is_some_and(|rise| (at + 1 - rise.first) * self.settings.bucket_ms() >= warm_up)
    }

    /// Whether a rule looks at the scope, and if so, whether as one that is new.
    fn tested(&self, rule: &AlertRule, watched: &Watched, at: i64) -> Option<bool> {
        let kind = scope::kind(&self.name);
        if rule.looks_for == LooksFor::Anomaly {
            // Its detector warms up by itself.
            return rule.watches(kind, scope::counted(&self.name)).then_some(false);
        }
        let first = watched.rise.as_ref()?.first;
        if !rule.watches(kind, scope::counted(&self.name)) {
            return None;
        }
        let (bucket_ms, warm_up) = (self.settings.bucket_ms(), self.settings.warm_up.as_millis() as i64);
        let may_emerge = matches!(kind, ScopeKind::Topic | ScopeKind::Intent | ScopeKind::BrandTopic);
        let known_for = (first - self.owner.first?).saturating_mul(bucket_ms);
        let is_new = may_emerge && known_for >= warm_up.max(bucket_ms) && at - first < NEW;
        (is_new || self.is_known(watched, at)).then_some(is_new)
    }

    fn bucket(&mut self, at: i64) -> Bucket {
        let open = OPEN.get(self.tables, &(self.name_in_all(), at)).unwrap_or_default();
        let partials: Vec<v1::Partial> = open.partials.iter().map(|from| self.read(&from.partial)).collect();
        Bucket::merge(partials.iter())
    }

    /// Sums as they were written.
    fn read<M: prost::Message + Default>(&mut self, partial: &Bytes) -> M {
        M::decode(partial.clone()).unwrap_or_else(|error| {
            self.tables.fail(format!("sums of {} that were kept cannot be read: {error}", self.name));
            M::default()
        })
    }

    fn fdr(&mut self) -> &mut Fdr {
        let bound = self.settings.false_discovery_rate;
        self.owner.fdr.get_or_insert_with(|| Fdr::new(bound, TESTS_EXPECTED, DAY_MS))
    }
}

impl Watched {
    /// Puts the bucket among the closed ones, and learns those that have become the past. While a confirmed alert is under
    /// way nothing is learned, until it is the new normal.
    fn learn(&mut self, cell: Cell, settings: &Alerts) {
        let at = cell.at;
        let bucket_ms = settings.bucket_ms();
        let new_normal = settings.new_normal.as_millis() as i64;
        let lasts_ms = |track: &Track| (at - track.since) * bucket_ms;
        let surges = self.tracks.iter().any(|track| track.is_news(at, settings));
        let rise = self.rise.get_or_insert_with(|| Rise::new(at));
        match surges {
            true => rise.skip(at + 1 - rise.lag(bucket_ms)),
            false => rise.learn(&self.cells, at, bucket_ms),
        }
        for track in self.tracks.iter().filter(|track| track.holds()) {
            // The bucket with which it has lasted for that long.
            if lasts_ms(track) < new_normal || lasts_ms(track) - bucket_ms >= new_normal {
                continue;
            }
            let rule = settings.rules.iter().find(|rule| rule.name == track.rule);
            match rule.map(|rule| rule.signal.statistic()) {
                Some(Statistic::Count) => rise.adopt_events(&self.cells, at - 1, bucket_ms),
                Some(Statistic::Share) => rise.adopt_share(&self.cells, at - 1),
                None => {}
            }
        }
        let kept = rise.learned_to.min(at + 1) - (RECENT - LAG);
        self.cells.retain(|cell| cell.at >= kept);
        if cell.all > 0.0 {
            self.cells.push(cell);
        }
        self.closed_to = at + 1;
    }
}

fn track(watched: &Watched, rule: &str) -> Track {
    let known = watched.tracks.iter().find(|track| track.rule == rule).cloned();
    known.unwrap_or_else(|| Track { rule: rule.to_owned(), ..Track::default() })
}

fn put_track(watched: &mut Watched, track: Track) {
    watched.tracks.retain(|other| other.rule != track.rule);
    if !is_idle(&track) {
        watched.tracks.push(track);
    }
}

/// Writers and texts of a bucket, for the alert under way.
/// Different users in an incident and in this bucket; 0 where none are named.
fn users(track: &Track, bucket: &Bucket) -> u64 {
    let mut users = if track.is_active() { track.users_sketch.clone() } else { Vec::new() };
    sketch::merge(&mut users, &bucket.users_sketch);
    sketch::count(&users)
}

fn remember(track: &mut Track, bucket: &Bucket) {
    sketch::merge(&mut track.users_sketch, &bucket.users_sketch);
    track.samples.extend(bucket.samples.iter().cloned());
    partial::keep_samples(&mut track.samples, SAMPLES_MAX);
}
