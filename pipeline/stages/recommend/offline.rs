//! All parts in one place, without Kafka: what the topics do between partitions and owners is a call here. For
//! evaluation on recorded clicks, and for tests.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Anchor, Handed, List, Lists, Outcome, Rules, Seen, Visitor, click, due, kinds, owner, owner_kinds};
use crate::stages::clicks::{Click, Id};
use crate::state::{InMemory, State, StateError, Tables};

/// A shop whose clicks lie in so many partitions, and its lists with as many owners.
pub struct Shop {
    rules: Rules,
    partitions: Vec<InMemory>,
    owners: Vec<InMemory>,
    lists: Table,
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
            rules,
            partitions: std::iter::repeat_with(partition).take(partitions).collect(),
            owners: std::iter::repeat_with(owner).take(owners).collect(),
            lists: Table::default(),
        }
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
        let (handed, outcome) = partitions[place].conclude(|tables| (due(tables), click(tables, lists, rules, &seen)));
        handed.into_iter().chain(outcome.handed.iter().cloned()).for_each(|handed| self.hand(handed));
        outcome
    }

    /// Brings all clocks so far that everything that waits is handed on and published.
    pub fn settle(&mut self, at_ms: i64) {
        for place in 0..self.partitions.len() {
            loop {
                self.partitions[place].observe(|tables| tables.advance(at_ms));
                let handed = self.partitions[place].conclude(|tables| due(tables));
                if handed.is_empty() {
                    break;
                }
                handed.into_iter().for_each(|handed| self.hand(handed));
            }
        }
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
        let place = place(&key, self.owners.len());
        self.owners[place].observe(|tables| owner::ANCHORS.get(tables, &key))
    }

    fn hand(&mut self, Handed { anchor, counts }: Handed) {
        let place = place(&anchor.key(), self.owners.len());
        let (learning, at_ms) = (&self.rules.learning, counts.since_ms);
        self.owners[place].observe(|tables| {
            tables.advance(at_ms);
            owner::take(tables, learning, &anchor, counts);
        });
        self.publish(place, at_ms);
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
