//! Sessions of one user: clicks with no gap of [`Rules::gap_ms`] between them.
//!
//! Where clicks come in order, a click goes on with the last session or opens one. A click that comes late, but within
//! the grace, goes where its time says: into a session that was thought to be over, before the first click of one, or
//! between two, which then are one. As long as grace has not passed, the sessions do not depend on the order in which the
//! clicks came. A purchase ends nothing: who bought one thing often buys the next.

use super::click::{Click, Id};
use super::state::{CLICKS_MAX, Dropped, Ended, History, Past, Session, Tally, User};
use crate::event::v1::Action;

/// What makes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A click this many milliseconds after the last one still belongs to its session; a later one opens the next.
    pub gap_ms: i64,
    /// A click is taken into sessions as long as no click of the partition is dated more than this ahead of it.
    pub grace_ms: i64,
    /// What the shop's clocks show ahead of UTC, for the hour and the day of the week.
    pub utc_offset_minutes: i32,
    /// Until a click weighs half as much in what interests a user.
    pub interest_half_life_ms: i64,
    /// Of event time, from one profile of a user to the next that no purchase and no new session brings about.
    pub profile_interval_ms: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            gap_ms: 30 * 60_000,
            grace_ms: 10 * 60_000,
            utc_offset_minutes: 0,
            interest_half_life_ms: 14 * 86_400_000,
            profile_interval_ms: 5 * 60_000,
        }
    }
}

/// Where a click went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The session, by its place among the user's.
    pub session: usize,
    /// It came after a later click of its session, or made one session of two.
    pub late: bool,
    /// The session that this one took in.
    pub merged: Option<u64>,
}

impl User {
    /// Sums up the sessions that no click dated `clock_ms` or later can reach.
    pub fn close(&mut self, clock_ms: i64, rules: &Rules) {
        let Self { sessions, history, .. } = self;
        sessions.retain(|session| {
            let open = session.last_ms() + rules.gap_ms >= clock_ms;
            if !open {
                history.get_or_insert_default().add(session);
            }
            open
        });
    }

    pub fn place(&mut self, click: &Click, rules: &Rules) -> Placed {
        let near = |session: &Session| {
            click.at_ms >= session.first_ms() - rules.gap_ms && click.at_ms <= session.last_ms() + rules.gap_ms
        };
        let Some(first) = self.sessions.iter().position(near) else { return self.open(click) };
        let merged = self.sessions.get(first + 1).is_some_and(near).then(|| self.sessions.remove(first + 1));
        let session = &mut self.sessions[first];
        let merged_id = merged.as_ref().map(|later| later.id);
        if let Some(later) = merged {
            session.append(later);
        }
        let late = session.insert(click.into()) || merged_id.is_some();
        session.revision += u32::from(late);
        session.trim();
        Placed { session: first, late, merged: merged_id }
    }

    fn open(&mut self, click: &Click) -> Placed {
        let id = Id::of(&format!("{}\n{}", click.event.user, click.at_ms)).0;
        let session = Session { id, clicks: vec![click.into()], ..Session::default() };
        let place = self.sessions.partition_point(|other| other.first_ms() < click.at_ms);
        self.sessions.insert(place, session);
        Placed { session: place, late: false, merged: None }
    }
}

impl Session {
    pub fn first_ms(&self) -> i64 {
        self.dropped
            .map(|dropped| dropped.first_ms)
            .or(self.clicks.first().map(|click| click.at_ms))
            .unwrap_or_default()
    }

    pub fn last_ms(&self) -> i64 {
        self.clicks.last().map(|click| click.at_ms).unwrap_or_default()
    }

    /// Seconds from the first click to the last.
    pub fn seconds(&self) -> u32 {
        u32::try_from((self.last_ms() - self.first_ms()) / 1000).unwrap_or_default()
    }

    pub fn tally(&self) -> Tally {
        let mut tally = self.dropped.and_then(|dropped| dropped.tally).unwrap_or_default();
        self.clicks.iter().for_each(|click| tally.count(click.action()));
        tally
    }

    /// True where later clicks were there already.
    fn insert(&mut self, click: Past) -> bool {
        let place = self.clicks.partition_point(|other| other.at_ms <= click.at_ms);
        self.clicks.insert(place, click);
        place + 1 < self.clicks.len()
    }

    /// Takes in a session that began after this one ended.
    fn append(&mut self, later: Session) {
        self.revision = self.revision.max(later.revision);
        if let Some(lost) = later.dropped {
            // What is not remembered click by click lies before what is: then neither are the clicks before it.
            let before = std::mem::take(&mut self.clicks);
            before.iter().for_each(|click| self.dropped.get_or_insert_default().take(click, &[]));
            self.dropped.get_or_insert_default().append(&lost);
        }
        self.clicks.extend(later.clicks);
    }

    fn trim(&mut self) {
        while self.clicks.len() > CLICKS_MAX {
            let first = self.clicks.remove(0);
            let gap_ms = self.clicks[0].at_ms - first.at_ms;
            let dropped = self.dropped.get_or_insert_default();
            dropped.take(&first, &self.clicks);
            dropped.gap_seconds = dropped.gap_seconds.max(u32::try_from(gap_ms / 1000).unwrap_or_default());
        }
    }
}

impl Dropped {
    /// An item that is clicked again among `kept` is counted there.
    fn take(&mut self, click: &Past, kept: &[Past]) {
        self.first_ms = if self.tally.is_none() { click.at_ms } else { self.first_ms.min(click.at_ms) };
        self.tally.get_or_insert_default().count(click.action());
        self.items += u32::from(kept.iter().all(|other| other.item != click.item));
        let new = click.category != 0 && kept.iter().all(|other| other.category != click.category);
        self.categories += u32::from(new);
        self.followed += u32::from(click.followed);
    }

    fn append(&mut self, later: &Dropped) {
        self.first_ms = if self.tally.is_none() { later.first_ms } else { self.first_ms.min(later.first_ms) };
        self.tally.get_or_insert_default().add(&later.tally.unwrap_or_default());
        self.items += later.items;
        self.categories += later.categories;
        self.followed += later.followed;
        self.gap_seconds = self.gap_seconds.max(later.gap_seconds);
    }
}

impl History {
    pub fn add(&mut self, session: &Session) {
        let tally = session.tally();
        self.first_ms = if self.sessions == 0 { session.first_ms() } else { self.first_ms.min(session.first_ms()) };
        self.sessions += 1;
        self.bought += u32::from(tally.purchases > 0);
        self.tally.get_or_insert_default().add(&tally);
        self.seconds += u64::from(session.seconds());
        let dropped = session.dropped.map_or(0, |dropped| dropped.followed);
        self.followed += dropped + session.clicks.iter().filter(|click| click.followed).count() as u32;
        let bought = session.clicks.iter().rfind(|click| click.action() == Action::Purchase);
        self.purchase_ms = self.purchase_ms.max(bought.map_or(0, |click| click.at_ms));
        if self.last.is_none_or(|last| last.last_ms < session.last_ms()) {
            self.last = Some(Ended { last_ms: session.last_ms(), seconds: session.seconds(), tally: Some(tally) });
        }
    }
}

impl Tally {
    pub fn clicks(&self) -> u32 {
        self.views + self.carts + self.favourites + self.purchases + self.impressions + self.removes
    }

    pub fn count(&mut self, action: Action) {
        match action {
            // A kind of click that a newer writer added is looked at as a view.
            Action::View | Action::Unspecified => self.views += 1,
            Action::Cart => self.carts += 1,
            Action::Favourite => self.favourites += 1,
            Action::Purchase => self.purchases += 1,
            Action::Impression => self.impressions += 1,
            Action::Remove => self.removes += 1,
        }
    }

    pub fn add(&mut self, other: &Tally) {
        self.views += other.views;
        self.carts += other.carts;
        self.favourites += other.favourites;
        self.purchases += other.purchases;
        self.impressions += other.impressions;
        self.removes += other.removes;
    }
}

impl Past {
    pub fn action(&self) -> Action {
        Action::try_from(self.action).unwrap_or_default()
    }
}

impl From<&Click> for Past {
    fn from(click: &Click) -> Self {
        Past {
            at_ms: click.at_ms,
            action: click.action.into(),
            item: click.item.0,
            category: click.category.map_or(0, |category| category.0),
            price: click.price().unwrap_or_default() as f32,
            followed: false,
        }
    }
}
