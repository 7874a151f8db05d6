//! Conversations with the shop: many at once, each going on turn by turn.

use fastrand::Rng;

use super::catalogue::Product;
use super::phrases::{Phrases, Talk, Turn};
use super::{Language, pick};

/// Conversations going on at the same time; below the lower number a new one may begin, at the upper one none does.
const OPEN_MIN: usize = 12;
const OPEN_MAX: usize = 96;

/// What a conversation that begins now would be about.
pub struct Opening {
    pub incident: bool,
    pub product: &'static Product,
    pub language: Language,
    pub user: String,
}

/// What is said next in one of them.
pub struct Said {
    pub conversation: String,
    pub number: usize,
    pub speaker: &'static str,
    pub line: &'static str,
    pub product: &'static Product,
    pub about_product: bool,
    pub language: Language,
    pub user: String,
}

impl Said {
    pub fn by_customer(&self) -> bool {
        self.speaker == "customer"
    }
}

/// The conversations going on.
#[derive(Default)]
pub struct Talks {
    open: Vec<Conversation>,
    count: u64,
}

struct Conversation {
    id: String,
    talk: &'static Talk,
    next: usize,
    product: &'static Product,
    language: Language,
    user: String,
}

impl Talks {
    /// The next turn of a conversation, or the first of a new one. What an incident brings always begins at once.
    pub fn next(&mut self, rng: &mut Rng, opening: Opening) -> Said {
        let begin = self.open.len() < OPEN_MIN || opening.incident || rng.u32(..4) == 0;
        if begin && self.open.len() < OPEN_MAX {
            self.begin(rng, opening);
            return self.go_on(rng, self.open.len() - 1);
        }
        let at = rng.usize(..self.open.len());
        self.go_on(rng, at)
    }

    fn begin(&mut self, rng: &mut Rng, opening: Opening) {
        let Opening { incident, product, language, user } = opening;
        let phrases = Phrases::of(language);
        let talks = if incident { phrases.incident_talks } else { phrases.talks };
        self.count += 1;
        let id = format!("conv-{}", self.count);
        self.open.push(Conversation { id, talk: &talks[rng.usize(..talks.len())], next: 0, product, language, user });
    }

    fn go_on(&mut self, rng: &mut Rng, at: usize) -> Said {
        let conversation = &mut self.open[at];
        let (speaker, lines) = match &conversation.talk.turns[conversation.next] {
            Turn::Customer(lines) => ("customer", lines),
            Turn::Agent(lines) => ("agent", lines),
            Turn::Bot(lines) => ("bot", lines),
        };
        conversation.next += 1;
        let said = Said {
            conversation: conversation.id.clone(),
            number: conversation.next,
            speaker,
            line: pick(rng, lines),
            product: conversation.product,
            about_product: conversation.talk.about_product,
            language: conversation.language,
            user: conversation.user.clone(),
        };
        if conversation.next == conversation.talk.turns.len() {
            self.open.swap_remove(at);
        }
        said
    }
}
