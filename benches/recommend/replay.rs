//! The clicks once through, in their order: every method learns each click after it was asked what would come.

use std::collections::HashMap;
use std::ops::Range;

use groundswell::stages::clicks::Click;
use groundswell::stages::recommend::offline::Shop;
use groundswell::stages::recommend::{Rules, Visitor, interests, recommend};
use indicatif::{ProgressBar, ProgressStyle};

use crate::baselines::{Baseline, Query, Step, Token};
use crate::figures::Figures;

/// What is asked at every click that has one before it in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The next item where it has not been clicked in its session; nobody may name those that have.
    NewItem,
    /// The next item, whatever it is.
    AnyItem,
    NextCategory,
}

/// The product with rules to rank by; all of one replay learn alike.
pub struct Product {
    pub name: String,
    pub rules: Rules,
}

pub struct Rival {
    pub name: String,
    pub items: Box<dyn Baseline>,
    pub categories: Box<dyn Baseline>,
}

pub type Answers = HashMap<(String, Question), Figures>;

/// Partitions and owners of the product: more than one each, as in a shop that needs them.
const PARTITIONS: usize = 4;
const OWNERS: usize = 3;

/// `asked`: places among the clicks at which questions are asked.
pub fn replay(
    clicks: &[Click],
    asked: Range<usize>,
    gap_ms: i64,
    products: &[Product],
    rivals: &mut [Rival],
) -> Answers {
    let mut answers = Answers::new();
    let mut shop = products.first().map(|product| Shop::new(learning_only(&product.rules), PARTITIONS, OWNERS, 0));
    let (mut sessions, mut items, mut categories) = (Sessions::new(gap_ms), Names::default(), Names::default());
    let bar = ProgressBar::new(asked.end as u64).with_style(
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos} of {len} clicks, {eta} to go")
            .expect("a template"),
    );
    for (place, click) in clicks.iter().enumerate().take(asked.end) {
        let item = items.number(&click.event.item);
        let category = categories.number(click.event.category.as_deref().unwrap_or_default());
        let session = sessions.at(click);
        if asked.contains(&place) && !session.items.is_empty() {
            let mut ask = Ask { user: session.user, session, item, category, answers: &mut answers };
            rivals.iter().for_each(|rival| ask.rival(rival));
            if let Some(shop) = &mut shop {
                let visitor = shop.visitor(&click.event.user);
                products.iter().for_each(|product| ask.product(product, shop, &visitor, click, &items, &categories));
            }
        }
        let (new_item, new_category) = session.add(item, category);
        let id = session.id;
        for rival in rivals.iter_mut() {
            rival.items.learn(Step { session: id, token: item, new: new_item });
            if click.event.category.is_some() {
                rival.categories.learn(Step { session: id, token: category, new: new_category });
            }
        }
        if let Some(shop) = &mut shop {
            shop.click(click);
        }
        bar.inc(1);
        if bar.is_hidden() && place % (clicks.len() / 10).max(1) == 0 {
            eprintln!("{place} of {} clicks", asked.end);
        }
    }
    bar.finish_and_clear();
    if let Some(fault) = shop.as_ref().and_then(Shop::fault) {
        panic!("the product's state: {fault}");
    }
    answers
}

/// Nothing is recommended at the clicks themselves: it is asked for where it is measured.
fn learning_only(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    rules.emission.per_minute_max = 0;
    rules
}

struct Ask<'a> {
    user: u32,
    session: &'a Session,
    item: Token,
    category: Token,
    answers: &'a mut Answers,
}

impl Ask<'_> {
    fn rival(&mut self, rival: &Rival) {
        let query = Query { session: self.session.id, tokens: &self.session.items };
        let scores = rival.items.scores(&query);
        if !self.session.items.contains(&self.item) {
            let left_out = |token: Token| self.session.items.contains(&token);
            self.note(&rival.name, Question::NewItem, place(&scores, self.item, left_out));
        }
        self.note(&rival.name, Question::AnyItem, place(&scores, self.item, |_| false));
        let query = Query { session: self.session.id, tokens: &self.session.categories };
        let scores = rival.categories.scores(&query);
        self.note(&rival.name, Question::NextCategory, place(&scores, self.category, |_| false));
    }

    fn product(
        &mut self,
        product: &Product,
        shop: &Shop,
        visitor: &Visitor,
        click: &Click,
        items: &Names,
        categories: &Names,
    ) {
        let find = |rules: &Rules| {
            let ranked = recommend(visitor, shop.lists(), rules, click.at_ms);
            ranked.iter().position(|candidate| items.known(&candidate.item) == Some(self.item))
        };
        let new = (!self.session.items.contains(&self.item)).then(|| find(&product.rules));
        let mut repeats = product.rules.clone();
        (repeats.ranking.seen_left_out_ms, repeats.ranking.bought_left_out_ms) = (0, 0);
        let any = find(&repeats);
        let interests = interests(visitor, shop.lists(), &product.rules, click.at_ms);
        let category = interests.iter().position(|(name, _)| categories.known(name) == Some(self.category));
        if let Some(new) = new {
            self.note(&product.name, Question::NewItem, new);
        }
        self.note(&product.name, Question::AnyItem, any);
        self.note(&product.name, Question::NextCategory, category);
    }

    fn note(&mut self, name: &str, question: Question, place: Option<usize>) {
        self.answers.entry((name.to_owned(), question)).or_default().add(self.user, place);
    }
}

/// Where a token stands when the highest score is first and, of equal ones, the lower number.
fn place(scores: &[(Token, f64)], token: Token, left_out: impl Fn(Token) -> bool) -> Option<usize> {
    let own = scores.iter().find(|(other, _)| *other == token)?.1;
    let ahead = scores.iter().filter(|(other, score)| *score > own || (*score == own && *other < token));
    Some(ahead.filter(|(other, _)| !left_out(*other)).count())
}

/// A user's clicks with no gap.
struct Session {
    id: u32,
    user: u32,
    last_ms: i64,
    items: Vec<Token>,
    categories: Vec<Token>,
}

impl Session {
    fn add(&mut self, item: Token, category: Token) -> (bool, bool) {
        let new = (!self.items.contains(&item), !self.categories.contains(&category));
        self.items.push(item);
        self.categories.push(category);
        new
    }
}

struct Sessions {
    gap_ms: i64,
    opened: u32,
    by_user: HashMap<String, Session>,
}

impl Sessions {
    fn new(gap_ms: i64) -> Self {
        Self { gap_ms, opened: 0, by_user: HashMap::new() }
    }

    /// The session that the click belongs to, as it was before it.
    fn at(&mut self, click: &Click) -> &mut Session {
        let users = self.by_user.len() as u32;
        let (last_ms, id) = (click.at_ms, self.opened);
        let open = |user| Session { id, user, last_ms, items: Vec::new(), categories: Vec::new() };
        let session = self.by_user.entry(click.event.user.clone()).or_insert_with(|| open(users));
        if session.items.is_empty() || click.at_ms - session.last_ms > self.gap_ms {
            *session = open(session.user);
            self.opened += 1;
        }
        session.last_ms = click.at_ms;
        session
    }
}

/// Numbers for names, in the order in which they come up.
#[derive(Default)]
struct Names(HashMap<String, Token>);

impl Names {
    fn number(&mut self, name: &str) -> Token {
        let next = self.0.len() as Token;
        *self.0.entry(name.to_owned()).or_insert(next)
    }

    fn known(&self, name: &str) -> Option<Token> {
        self.0.get(name).copied()
    }
}
