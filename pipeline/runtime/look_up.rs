//! What is asked about users from outside, on its way to the engine that has their partition and back.
//!
//! The engine reads what is committed, which costs it about as much as a click; what is written from that is written by
//! whoever asked. A question that nobody waits for any more is passed over.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::owners::Owners;
use super::start::{Ask, Running};
use crate::event::{About, Found, LookUp, TopicPartition, Unwritten, Way};
use crate::stages::clicks::ClicksStage;
use crate::stages::recommend::{VISITORS, Visitor};
use crate::state::{Side, State};
use crate::telemetry::UserMisplaced;

/// Reads one partition's state; `None` where it holds nothing of the user.
pub type Reader = Box<dyn FnMut(&mut State) -> Option<Unwritten> + Send>;

/// A question as the engine takes it.
pub struct Asked {
    /// Where the answer lies if it lies anywhere; none where that is not known.
    pub places: Vec<TopicPartition>,
    pub until: Instant,
    pub read: Reader,
    pub done: Box<dyn FnOnce(Looked) + Send>,
}

/// What came of looking into the partitions of one instance.
pub enum Looked {
    Found {
        unwritten: Unwritten,
        /// It lies in a partition in which it should not.
        misplaced: Option<TopicPartition>,
    },
    Missing(Missing),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// A partition in which it may be is being read back.
    pub restoring: bool,
    /// Places that this instance does not have.
    pub elsewhere: Vec<TopicPartition>,
}

impl Asked {
    /// `partitions`: those that this instance has, each with its state, if that is there.
    pub fn answer<'a>(self, partitions: impl Iterator<Item = (&'a TopicPartition, Option<&'a mut State>)>) {
        let Asked { places, until, mut read, done } = self;
        if Instant::now() > until {
            return;
        }
        let (likely, others): (Vec<_>, Vec<_>) = partitions.partition(|(name, _)| places.contains(name));
        let mut missing = Missing::default();
        let is_here = |place: &&TopicPartition| !likely.iter().any(|(name, _)| *name == *place);
        missing.elsewhere = places.iter().filter(is_here).cloned().collect();
        for (_, state) in likely {
            match state.map(&mut read) {
                None => missing.restoring = true,
                Some(None) => {}
                Some(Some(unwritten)) => return done(Looked::Found { unwritten, misplaced: None }),
            }
        }
        // Where producers place keys in another way than is assumed, it may be anywhere.
        if missing.elsewhere.is_empty() && !missing.restoring {
            for (name, state) in others {
                match state.map(&mut read) {
                    None => missing.restoring |= places.is_empty(),
                    Some(None) => {}
                    Some(Some(unwritten)) => {
                        let misplaced = (!places.is_empty()).then(|| name.clone());
                        return done(Looked::Found { unwritten, misplaced });
                    }
                }
            }
        }
        done(Looked::Missing(missing));
    }
}

/// Answers what is asked about users whose clicks this instance reads.
#[derive(Clone)]
pub struct UserLookUps {
    stage: Arc<ClicksStage>,
    ask: Ask,
    /// `None`: this instance knows of no others.
    owners: Option<Arc<Owners>>,
}

impl UserLookUps {
    pub(super) fn new(stage: &Arc<ClicksStage>, running: &Running, owners: Option<Arc<Owners>>) -> Option<Self> {
        Some(Self { stage: stage.clone(), ask: running.ask()?, owners })
    }

    /// The reply is called on the engine's thread, and dropped where the engine has ended.
    pub fn ask(&self, look_up: LookUp) {
        let LookUp { user, about, until, way, reply } = look_up;
        let name = self.stage.remembered_as(&user);
        if let (About::Recommendations { .. }, None) = (about, &self.stage.recommender) {
            return reply(Found::Nothing);
        }
        let (read, newcomer) = (self.reader(&name, about), self.newcomer(&name, about));
        let owners = self.owners.clone();
        // By the name in the record's key, which is as the shop writes it.
        let counted = owners.as_ref().map(|owners| owners.places(&user, &way.asked));
        let (places, uncounted) = match counted {
            Some(Some(places)) => (places, false),
            Some(None) => (Vec::new(), true),
            None => (Vec::new(), false),
        };
        let looked_in = places.clone();
        let done = move |looked| match looked {
            Looked::Found { unwritten, misplaced } => {
                if let Some(place) = misplaced {
                    UserMisplaced { topic: &place.topic, partition: place.partition }.emit();
                }
                reply(Found::Here(unwritten));
            }
            Looked::Missing(Missing { restoring: true, .. }) => reply(Found::NotYet),
            Looked::Missing(Missing { elsewhere, .. }) if !elsewhere.is_empty() || uncounted => {
                let url = owners.and_then(|owners| owners.url(&elsewhere));
                let here = looked_in.into_iter().filter(|place| !elsewhere.contains(place));
                let asked = way.asked.into_iter().chain(here.map(|place| place.topic.to_string())).collect();
                reply(Found::Elsewhere { url, way: Way { hops: way.hops.saturating_add(1), asked } });
            }
            Looked::Missing(_) => reply(newcomer.map_or(Found::Unknown, Found::Here)),
        };
        (self.ask)(Asked { places, until, read, done: Box::new(done) });
    }

    fn reader(&self, name: &str, about: About) -> Reader {
        let (stage, name) = (self.stage.clone(), name.to_owned());
        match about {
            About::Profile => Box::new(move |state| {
                let profile = stage.profile(&mut state.committed_of(Side::Observe), &name)?;
                Some(Box::new(move || json(&profile)))
            }),
            About::Sessions => Box::new(move |state| {
                let sessions = stage.sessions(&mut state.committed_of(Side::Observe), &name)?;
                Some(Box::new(move || json(&sessions)))
            }),
            About::Recommendations { limit } => Box::new(move |state| {
                let visitor = VISITORS.get(&mut state.committed_of(Side::Conclude), &name)?;
                let (stage, name) = (stage.clone(), name.clone());
                Some(Box::new(move || recommended(&stage, &name, Some(&visitor), limit)))
            }),
        }
    }

    /// What is answered about a user who is not known: recommendations have a path for them.
    fn newcomer(&self, name: &str, about: About) -> Option<Unwritten> {
        let About::Recommendations { limit } = about else { return None };
        let (stage, name) = (self.stage.clone(), name.to_owned());
        Some(Box::new(move || recommended(&stage, &name, None, limit)))
    }
}

fn recommended(stage: &ClicksStage, name: &str, visitor: Option<&Visitor>, limit: Option<usize>) -> serde_json::Value {
    let Some(recommender) = &stage.recommender else { return serde_json::Value::Null };
    let items_max = limit.unwrap_or(recommender.rules.ranking.items_max);
    let nobody = Visitor::default();
    let items = recommender.now(visitor.unwrap_or(&nobody), items_max, Timestamp::now());
    serde_json::json!({ "user": name, "known": visitor.is_some(), "items": items })
}

/// An event of ours can be expressed: its numbers are finite and its times are times.
fn json(event: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(event).unwrap_or_default()
}
