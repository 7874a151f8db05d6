//! What is asked about users from outside, on its way to the engine that has their partition and back.
//!
//! An engine reads what is committed, which costs it about as much as a click; what is written from that is written by
//! whoever asked. A question that nobody waits for any more is passed over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// What is asked.
pub struct Question {
    /// Where the answer lies if it lies anywhere; none where that is not known.
    pub places: Vec<TopicPartition>,
    /// Says whether it is looked for in all other partitions where it does not lie there.
    pub searches: Arc<Searches>,
    pub until: Instant,
    pub read: Reader,
    pub done: Box<dyn FnOnce(Looked) + Send>,
}

/// A question on its way through a stage's engines: there, each looks where the answer should lie; back, where none of them
/// has it, each looks everywhere else. With the engine that has the place asked first, the way is mostly that short.
pub struct Asked {
    question: Question,
    engines: Engines,
    first: usize,
    /// The engine that has it now, counted from the first.
    at: usize,
    back: bool,
    /// The places that were found to be here.
    here: Vec<TopicPartition>,
    /// Some engine has a partition.
    any: bool,
    /// A partition in which the answer may lie is being read back.
    restoring: bool,
}

/// Puts a question to one engine.
pub type AskEngine = Arc<dyn Fn(Asked) + Send + Sync>;

/// All engines of a stage, by number.
pub type Engines = Arc<[AskEngine]>;

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
    /// A partition in which it may be is being read back, or not assigned yet.
    pub restoring: bool,
    /// Places that this instance does not have.
    pub elsewhere: Vec<TopicPartition>,
}

impl Asked {
    /// To be handed to the engine of this number.
    pub fn new(question: Question, engines: Engines, first: usize) -> Asked {
        Asked { question, engines, first, at: 0, back: false, here: Vec::new(), any: false, restoring: false }
    }

    /// `partitions`: those that this engine has, each with its state, if that is there.
    pub fn answer<'a>(mut self, partitions: impl Iterator<Item = (&'a TopicPartition, Option<&'a mut State>)>) {
        if Instant::now() > self.question.until {
            return;
        }
        let places = &self.question.places;
        let (likely, others): (Vec<_>, Vec<_>) = partitions.partition(|(name, _)| places.contains(name));
        if !self.back {
            self.any |= !likely.is_empty() || !others.is_empty();
            if let Some(found) = self.look(likely) {
                return (self.question.done)(Looked::Found { unwritten: found.1, misplaced: None });
            }
            if self.at + 1 < self.engines.len() {
                self.at += 1;
                return self.go();
            }
            let missing = self.missing();
            // Where producers place keys in another way than is assumed, it may be anywhere.
            if missing.restoring || !missing.elsewhere.is_empty() || !self.may_search() {
                return (self.question.done)(Looked::Missing(missing));
            }
            self.back = true;
        }
        if let Some((name, unwritten)) = self.look(others) {
            let misplaced = (!self.question.places.is_empty()).then_some(name);
            return (self.question.done)(Looked::Found { unwritten, misplaced });
        }
        if self.at > 0 {
            self.at -= 1;
            return self.go();
        }
        let missing = self.missing();
        (self.question.done)(Looked::Missing(missing));
    }

    fn look<'a>(
        &mut self,
        partitions: Vec<(&'a TopicPartition, Option<&'a mut State>)>,
    ) -> Option<(TopicPartition, Unwritten)> {
        for (name, state) in partitions {
            if !self.back {
                self.here.push(name.clone());
            }
            match state.map(&mut self.question.read) {
                // Of those in which it should not lie only where any is as likely.
                None => self.restoring |= !self.back || self.question.places.is_empty(),
                Some(None) => {}
                Some(Some(unwritten)) => return Some((name.clone(), unwritten)),
            }
        }
        None
    }

    fn may_search(&self) -> bool {
        self.question.places.is_empty() || self.question.searches.may(Instant::now())
    }

    fn missing(&self) -> Missing {
        let places = &self.question.places;
        // Without a partition of its own and without knowing of others', an instance cannot say that somebody is unknown.
        let restoring = self.restoring || places.is_empty() && !self.any;
        Missing { restoring, elsewhere: places.iter().filter(|place| !self.here.contains(place)).cloned().collect() }
    }

    fn go(self) {
        let engine = (self.first + self.at) % self.engines.len();
        if let Some(ask) = self.engines.get(engine).cloned() {
            ask(self);
        }
    }
}

/// Answers what is asked about users whose clicks this instance reads.
#[derive(Clone)]
pub struct UserLookUps {
    stage: Arc<ClicksStage>,
    ask: Ask,
    /// `None`: this instance knows of no others.
    owners: Option<Arc<Owners>>,
    searches: Arc<Searches>,
}

/// Searches through all partitions for users who are not where they should be.
///
/// Where producers place keys as `http.partitioner` says, nobody is ever found so, and whoever asks for users that do not
/// exist makes the engine look into each partition in vain. So as long as nobody has been found, a few a second are enough
/// to notice a wrong setting; from the first one that is, all that are not in their place are searched for.
#[derive(Default)]
pub struct Searches(Mutex<Searched>);

#[derive(Default)]
struct Searched {
    found: bool,
    /// The second that is counted, from its beginning.
    since: Option<Instant>,
    searches: u32,
}

const SEARCHES_A_SECOND: u32 = 10;

impl Searches {
    fn may(&self, now: Instant) -> bool {
        let mut searched = self.lock();
        if searched.since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            (searched.since, searched.searches) = (Some(now), 0);
        }
        let may = searched.found || searched.searches < SEARCHES_A_SECOND;
        searched.searches += 1;
        may
    }

    fn found(&self) {
        self.lock().found = true;
    }

    fn lock(&self) -> MutexGuard<'_, Searched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserLookUps {
    pub(super) fn new(stage: &Arc<ClicksStage>, running: &Running, owners: Option<Arc<Owners>>) -> Option<Self> {
        Some(Self { stage: stage.clone(), ask: running.ask()?, owners, searches: Arc::default() })
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
        let (looked_in, searches) = (places.clone(), self.searches.clone());
        let done = move |looked| match looked {
            Looked::Found { unwritten, misplaced } => {
                if let Some(place) = misplaced {
                    searches.found();
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
        (self.ask)(Question { places, searches: self.searches.clone(), until, read, done: Box::new(done) });
    }

    fn reader(&self, name: &str, about: About) -> Reader {
        let (stage, name) = (self.stage.clone(), name.to_owned());
        match about {
            About::Profile => Box::new(move |state| {
                let mut profile = stage.profile(&mut state.committed_of(Side::Observe), &name)?;
                let visitor = VISITORS.get(&mut state.committed_of(Side::Conclude), &name);
                profile.recommendations = visitor.and_then(|visitor| visitor.told());
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::state::{Kind, Kinds, Table};

    const NAMES: Table<str, String> = Table::new(Kind::new(1, "names"));

    /// A partition and the user that it holds, if its state is there.
    type Held = (i32, Option<&'static str>);

    fn place(partition: i32) -> TopicPartition {
        TopicPartition { topic: "clicks".into(), partition }
    }

    fn holding(user: &str) -> State {
        let mut state = State::unbounded(Kinds::new(&[NAMES.kind()]), 0);
        state.observe(0, |view| NAMES.put(view, user, user.to_owned()));
        state.cut(0);
        state.committed();
        state
    }

    /// What comes of asking for `u` in these places, and which engines were asked, in their order.
    fn asked(engines: &[&[Held]], places: &[i32], first: usize) -> (String, Vec<usize>) {
        asked_within(&Arc::default(), engines, places, first)
    }

    fn asked_within(
        searches: &Arc<Searches>,
        engines: &[&[Held]],
        places: &[i32],
        first: usize,
    ) -> (String, Vec<usize>) {
        let (ways, visits): (Vec<AskEngine>, Vec<Receiver<Asked>>) = engines
            .iter()
            .map(|_| {
                let (way, visits) = channel();
                let way = Mutex::new(way);
                let ask: AskEngine = Arc::new(move |asked| way.lock().unwrap().send(asked).unwrap());
                (ask, visits)
            })
            .unzip();
        let (told, answer) = channel();
        let question = Question {
            places: places.iter().copied().map(place).collect(),
            searches: searches.clone(),
            until: Instant::now() + Duration::from_secs(600),
            read: Box::new(|state| {
                let user = NAMES.get(&mut state.committed_of(Side::Observe), "u")?;
                Some(Box::new(move || serde_json::Value::from(user)))
            }),
            done: Box::new(move |looked| {
                let words = match looked {
                    Looked::Found { misplaced: None, .. } => "found".to_owned(),
                    Looked::Found { misplaced: Some(place), .. } => format!("misplaced in {place}"),
                    Looked::Missing(Missing { restoring: true, .. }) => "restoring".to_owned(),
                    Looked::Missing(Missing { elsewhere, .. }) => format!("missing, {} elsewhere", elsewhere.len()),
                };
                told.send(words).unwrap();
            }),
        };
        let engine_of = ways.clone();
        engine_of[first](Asked::new(question, ways.into(), first));
        let mut order = Vec::new();
        while let Some((engine, asked)) = visits.iter().enumerate().find_map(|(n, v)| Some((n, v.try_recv().ok()?))) {
            order.push(engine);
            let names: Vec<TopicPartition> = engines[engine].iter().map(|(partition, _)| place(*partition)).collect();
            let mut states: Vec<Option<State>> = engines[engine].iter().map(|(_, user)| user.map(holding)).collect();
            asked.answer(names.iter().zip(states.iter_mut().map(Option::as_mut)));
        }
        (answer.try_recv().unwrap(), order)
    }

    #[test]
    fn a_question_goes_to_the_engine_that_has_the_place_and_no_further_than_it_must() {
        let other = Some("v");
        let both: &[&[Held]] = &[&[(0, other), (1, other)], &[(2, Some("u")), (3, other)]];
        for (engines, places, first, expected, order) in [
            (both, &[2][..], 1, "found", &[1][..]),
            (both, &[2], 0, "found", &[0, 1]),
            (both, &[0], 0, "misplaced in clicks/2", &[0, 1]),
            (both, &[], 0, "found", &[0, 1]),
            (both, &[7], 0, "missing, 1 elsewhere", &[0, 1]),
            (&[&[(0, other)], &[(1, other)]], &[1], 1, "missing, 0 elsewhere", &[1, 0, 1]),
            (&[&[(0, other)], &[(1, None)]], &[1], 1, "restoring", &[1, 0]),
            (&[&[(0, other)], &[(1, None)]], &[0], 0, "missing, 0 elsewhere", &[0, 1, 0]),
            (&[&[(0, other)], &[(1, None)]], &[], 0, "restoring", &[0, 1, 0]),
            (&[&[], &[]], &[], 0, "restoring", &[0, 1]),
            (&[&[(0, other), (1, Some("u"))]], &[0], 0, "misplaced in clicks/1", &[0]),
            (&[&[(0, other)]], &[0], 0, "missing, 0 elsewhere", &[0]),
        ] {
            assert_eq!(asked(engines, places, first), (expected.to_owned(), order.to_vec()), "{engines:?} {places:?}");
        }
    }
    /// Whoever asks for users that do not exist does not make the engines look into all partitions each time.
    #[test]
    fn searches_for_those_who_are_nowhere_are_few_until_one_is_found() {
        let searches = Searches::default();
        let start = Instant::now();
        let granted = |at| (0..100).filter(|_| searches.may(at)).count() as u32;
        assert_eq!(granted(start), SEARCHES_A_SECOND);
        assert_eq!(granted(start + Duration::from_millis(999)), 0);
        assert_eq!(granted(start + Duration::from_secs(1)), SEARCHES_A_SECOND);
        searches.found();
        assert_eq!(granted(start + Duration::from_secs(1)), 100);

        let engines: &[&[Held]] = &[&[(0, Some("v"))], &[(1, Some("u"))]];
        let spent = Arc::new(Searches::default());
        // Of a second that does not end within the test.
        spent.may(start + Duration::from_secs(3600));
        assert!((1..SEARCHES_A_SECOND).all(|_| spent.may(start)));
        assert_eq!(asked_within(&spent, engines, &[0], 0), ("missing, 0 elsewhere".into(), vec![0, 1]));
        assert_eq!(asked_within(&spent, engines, &[], 0).0, "found", "it may be anywhere");
        spent.found();
        assert_eq!(asked_within(&spent, engines, &[0], 0).0, "misplaced in clicks/1");
    }
}
