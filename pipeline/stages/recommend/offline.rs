//! All parts in one place, without Kafka: what the topics do between partitions and owners is a call here. For
//! evaluation on recorded clicks, and for tests.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::owner::Came;
use super::{Anchor, Gathered, List, Lists, Outcome, Rules, Seen, Visitor, click, kinds, owner, owner_kinds, said};
use crate::stages::clicks::{Click, Id};
use crate::state::{InMemory, State, StateError, Tables};

/// A shop whose clicks lie in so many partitions, and its lists with as many owners.
pub struct Shop {
    rules: Rules,
    partitions: Vec<InMemory>,
    owners: Vec<InMemory>,
    lists: Table,
    gathered: Gathered,
    /// Clicks in `gathered`, and how many are gathered before they are handed on.
    waiting: usize,
    epoch: usize,
}

/// All lists as published last.
#[derive(Clone, Debug, Default)]
pub struct Table(HashMap<Anchor, Arc<List>, RandomState>);

impl Lists for Table {
    fn list(&self, anchor: &Anchor) -> Option<Arc<List>> {
        self.0.get(anchor).cloned()
    }
}

impl Shop {
    /// `grace_ms`: how far the partitions' clocks stay behind their clicks.
    pub fn new(rules: Rules, partitions: usize, owners: usize, grace_ms: i64) -> Self {
        let partition = || State::in_memory(&kinds(), grace_ms);
        let owner = || State::in_memory(&owner_kinds(), 0);
        Self {
            partitions: std::iter::repeat_with(partition).take(partitions).collect(),
            owners: std::iter::repeat_with(owner).take(owners).collect(),
            gathered: Gathered::new(&rules.learning),
            lists: Table::default(),
            waiting: 0,
            epoch: 1,
            rules,
        }
    }

    /// Hands on what so many clicks have counted together; 1 where it is not called.
    pub fn epochs_of(self, clicks: usize) -> Self {
        Self { epoch: clicks.max(1), ..self }
    }

    pub fn lists(&self) -> &Table {
        &self.lists
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is remembered of a user.
    pub fn visitor(&mut self, user: &str) -> Visitor {
        let place = place(user.as_bytes(), self.partitions.len());
        self.partitions[place].conclude(|tables| super::VISITORS.get(tables, user)).unwrap_or_default()
    }

    pub fn click(&mut self, new: &Click) -> Outcome {
        let place = place(new.event.user.as_bytes(), self.partitions.len());
        self.partitions[place].observe(|tables| tables.advance(new.at_ms));
        let Self { rules, lists, partitions, .. } = self;
        let seen = Seen::new(new, &rules.business);
        let outcome = partitions[place].conclude(|tables| click(tables, lists, rules, &seen));
        self.gathered.add(outcome.said.clone());
        self.waiting += 1;
        if self.waiting >= self.epoch {
            self.hand_on();
        }
        outcome
    }

    /// Hands on what waits, and brings the owners' clocks so far that everything is published.
    pub fn settle(&mut self, at_ms: i64) {
        self.hand_on();
        for place in 0..self.owners.len() {
            while self.publish(place, at_ms) > 0 {}
        }
    }

    /// What went wrong in a state, if anything.
    pub fn fault(&self) -> Option<&StateError> {
        self.partitions.iter().chain(&self.owners).find_map(InMemory::fault)
    }

    /// What is counted for an anchor.
    pub fn anchored(&mut self, anchor: &Anchor) -> Option<owner::Anchored> {
        let key = anchor.key();
        let place = place(&said::way(&key), self.owners.len());
        self.owners[place].observe(|tables| owner::ANCHORS.get(tables, &key))
    }

    fn hand_on(&mut self) {
        self.waiting = 0;
        let gathered = std::mem::replace(&mut self.gathered, Gathered::new(&self.rules.learning));
        for (key, parcel) in gathered.parcels() {
            let (place, learning) = (place(&key, self.owners.len()), &self.rules.learning);
            let came: Vec<Came> =
                parcel.parts.into_iter().filter_map(|part| Came::read(&part.key, part.counts)).collect();
            self.owners[place].observe(|tables| {
                owner::take(tables, learning, parcel.clock_ms, &came);
            });
            self.publish(place, parcel.clock_ms);
        }
    }

    fn publish(&mut self, place: usize, at_ms: i64) -> usize {
        let learning = &self.rules.learning;
        let published = self.owners[place].observe(|tables| {
            tables.advance(at_ms);
            owner::due(tables, learning)
        });
        let count = published.len();
        self.lists.0.extend(published.into_iter().map(|(anchor, list)| (anchor, Arc::new(list))));
        count
    }
}

fn place(key: &[u8], places: usize) -> usize {
    let hash = Id::of(&String::from_utf8_lossy(key)).0;
    usize::try_from(hash % places as u64).unwrap_or_default()
}
