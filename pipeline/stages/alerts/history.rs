//! Both halves over a history, without Kafka: the same steps in memory, for backtests and tests.

use std::sync::Arc;

use super::seen::Seen;
use super::state::SCOPES;
use super::sums::HandedOn;
use super::{Emit, kinds, owner, owner_of, sums};
use crate::config::{Alerts, LooksFor};
use crate::state::{InMemory, State};

/// Messages in a row that nothing came of: what is due by then is worked off.
const SILENT_MAX: u32 = 16;

/// As many input partitions and owners as one wants; texts of an input partition in their order.
pub struct History {
    settings: Arc<Alerts>,
    inputs: Vec<InMemory>,
    owners: Vec<InMemory>,
    newest_ms: i64,
    too_late: u64,
    late_sums: u64,
    handed_on: Vec<HandedOn>,
}

impl History {
    pub fn new(settings: Alerts, inputs: usize, owners: usize) -> History {
        let states = |count: usize| (0..count.max(1)).map(|_| State::in_memory(&kinds(), 0)).collect();
        History {
            settings: Arc::new(settings),
            inputs: states(inputs),
            owners: states(owners),
            newest_ms: i64::MIN,
            too_late: 0,
            late_sums: 0,
            handed_on: Vec::new(),
        }
    }

    /// A text in an input partition. What is written because of it is appended.
    pub fn text(&mut self, input: usize, seen: &Seen, out: &mut Vec<Emit>) {
        self.event(input, std::slice::from_ref(seen), out);
    }

    /// An event in an input partition, as each of what counts it sees it.
    pub fn event(&mut self, input: usize, seen: &[Seen], out: &mut Vec<Emit>) {
        let (settings, source) = (&self.settings, source(input));
        let mut late = false;
        for seen in seen {
            self.newest_ms = self.newest_ms.max(seen.at_ms);
            let handed_on = &mut self.handed_on;
            let observed =
                self.inputs[input].observe(|tables| sums::observe(tables, settings, &source, seen, handed_on));
            late |= observed.is_some();
        }
        self.too_late += u64::from(late);
        self.deliver(out);
    }

    /// There is no more to come: lets so much event time pass, so that everything ends that can. That nothing comes is no
    /// anomaly then.
    pub fn end(&mut self, ms: i64, out: &mut Vec<Emit>) {
        let mut settings = Alerts::clone(&self.settings);
        settings.rules.retain(|rule| rule.looks_for == LooksFor::Surge);
        self.settings = Arc::new(settings);
        self.pass(ms, out);
    }

    /// Nothing comes any more: lets so much event time pass in all partitions.
    pub fn pass(&mut self, ms: i64, out: &mut Vec<Emit>) {
        if self.newest_ms == i64::MIN {
            return;
        }
        self.newest_ms = self.newest_ms.saturating_add(ms);
        let through_ms = self.newest_ms;
        for input in 0..self.inputs.len() {
            let (settings, source) = (self.settings.clone(), source(input));
            loop {
                let handed_on = &mut self.handed_on;
                self.inputs[input].observe(|tables| sums::pass(tables, &settings, &source, through_ms, handed_on));
                if self.handed_on.is_empty() {
                    break;
                }
                self.deliver(out);
            }
        }
        // Only when all have handed on what they have: one that goes ahead would leave the others behind.
        self.settle(out);
    }

    /// Nothing comes, and a clock on the wall shows this.
    pub fn clock(&mut self, clock_ms: i64, out: &mut Vec<Emit>) {
        self.handed_on.push(sums::clock(clock_ms));
        self.deliver(out);
    }

    /// Works off what has fallen due at the owners: one message works off a bounded part of it.
    fn settle(&mut self, out: &mut Vec<Emit>) {
        for input in 0..self.inputs.len() {
            let again = sums::through(&source(input), self.newest_ms);
            let (mut silent, mut before) = (0, out.len());
            while silent < SILENT_MAX {
                self.handed_on.push(again.clone());
                self.deliver(out);
                silent = if out.len() == before { silent + 1 } else { 0 };
                before = out.len();
            }
        }
    }

    /// Texts that came too late to be counted.
    pub fn too_late(&self) -> u64 {
        self.too_late
    }

    /// Sums of a scope and bucket that came after their bucket was closed.
    pub fn late_sums(&self) -> u64 {
        self.late_sums
    }

    /// What the owners remember, in bytes.
    pub fn owned_bytes(&self) -> usize {
        let entries = self.owners.iter().flat_map(|owner| owner.entries());
        entries.map(|(key, value)| key.len() + value.bytes().len()).sum()
    }

    /// Scopes that the owners watch.
    pub fn scopes(&self) -> usize {
        let keys = self.owners.iter().flat_map(|owner| owner.entries().into_keys());
        keys.filter(|key| key.first() == Some(&SCOPES.kind().id())).count()
    }

    /// What a stage has done wrong with its state, if anything.
    pub fn fault(&self) -> Option<String> {
        let faults = self.inputs.iter().chain(&self.owners).filter_map(|state| state.fault());
        faults.map(|fault| fault.to_string()).next()
    }

    fn deliver(&mut self, out: &mut Vec<Emit>) {
        for HandedOn { group, message } in std::mem::take(&mut self.handed_on) {
            let owners = self.owners.len();
            let whose = match &group {
                Some(group) => {
                    let owner = owner_of(group, owners as u32) as usize;
                    owner..owner + 1
                }
                None => 0..owners,
            };
            let group = group.unwrap_or_default();
            for owner in whose {
                let (settings, sources, message) = (&self.settings, self.inputs.len(), message.clone());
                let taken = self.owners[owner]
                    .observe(|tables| owner::observe(tables, settings, sources, &group, message, out));
                self.late_sums += u64::from(!taken);
            }
        }
    }
}

fn source(input: usize) -> String {
    format!("input/{input}")
}
