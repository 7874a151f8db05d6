//! Everything that the features of a session are computed from, gathered in one pass: the session as far as it is known,
//! seen from its last click.

use super::session::Rules;
use super::state::{CLICKS_MAX, Ended, Entity, History, Memory, Past, Session, Tally, User};
use crate::event::v1::Action;

/// How many of the last clicks are features one by one.
pub const STEPS: usize = 8;

/// What the partition knows of the session's last click's item and category, and of all clicks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Known {
    pub item: Entity,
    pub category: Entity,
    pub all: Entity,
}

/// Times are in seconds before the last click; `None` where there was no such thing.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub rules: &'a Rules,
    pub known: &'a Known,
    pub last: Past,
    pub session: SessionView,
    pub user: UserView,
    /// What the user did to the last click's item and within its category, that click left out.
    pub item: Memory,
    pub category: Memory,
    pub cart: CartView,
    /// The last clicks, the last one first.
    pub steps: [Option<Step>; STEPS],
}

#[derive(Clone, Debug, Default)]
pub struct SessionView {
    pub tally: Tally,
    pub seconds: f64,
    /// Between the last two clicks.
    pub gap: Option<f64>,
    pub gap_longest: Option<f64>,
    pub since_cart: Option<f64>,
    pub since_favourite: Option<f64>,
    pub since_purchase: Option<f64>,
    pub items: u32,
    pub categories: u32,
    /// Clicks on the last click's item, on items of its category, and how many of its category's items those are.
    pub item_clicks: u32,
    pub category_clicks: u32,
    pub category_items: u32,
    pub category_carts: u32,
    pub category_favourites: u32,
    pub category_purchases: u32,
    /// Seconds that passed after clicks in the last click's category.
    pub category_seconds: f64,
    /// Clicks on an item that had been clicked before in the session.
    pub repeats: u32,
    /// Clicks in another category than the click before.
    pub switches: u32,
    /// Clicks in a row, the last one included, in its category.
    pub run: u32,
    pub prices: u32,
    pub price_sum: f64,
    pub price_lowest: f64,
    pub price_highest: f64,
    /// In the last minutes.
    pub clicks_5_minutes: u32,
}

/// The user's earlier sessions.
#[derive(Clone, Debug, Default)]
pub struct UserView {
    pub history: History,
    pub since_first: Option<f64>,
    /// Between the end of the session before and the start of this one.
    pub since_session: Option<f64>,
    pub since_purchase: Option<f64>,
    pub last: Option<Ended>,
}

/// What lies in the cart.
#[derive(Clone, Copy, Debug, Default)]
pub struct CartView {
    pub items: u32,
    pub value: f64,
    pub since_first: Option<f64>,
    pub since_last: Option<f64>,
    /// The last click's item lies in it.
    pub holds_item: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub action: Action,
    pub ago: f64,
    /// It is on the last click's item, or in its category.
    pub same_item: bool,
    pub same_category: bool,
    /// The item, the category had not been clicked in the session.
    pub new_item: bool,
    pub new_category: bool,
}

impl<'a> View<'a> {
    /// `user` as after the last click; `known` as before it.
    pub fn new(user: &User, place: usize, known: &'a Known, rules: &'a Rules) -> Option<Self> {
        let session = user.sessions.get(place)?;
        let last = *session.clicks.last()?;
        let firsts = Firsts::of(session);
        Some(View {
            rules,
            known,
            last,
            session: SessionView::new(session, &last, &firsts),
            user: UserView::new(user, place, &last),
            item: without(user.item(last.item), &last),
            category: without(user.category(last.category), &last),
            cart: CartView::new(user, &last),
            steps: steps(session, &last, &firsts),
        })
    }
}

/// By click: whether its item and its category come up for the first time.
struct Firsts(Vec<(bool, bool)>);

impl Firsts {
    fn of(session: &Session) -> Self {
        let (mut items, mut categories) = (Distinct::default(), Distinct::default());
        let firsts = session
            .clicks
            .iter()
            .map(|click| (items.insert(click.item), click.category != 0 && categories.insert(click.category)));
        Self(firsts.collect())
    }
}

/// Numbers of items or categories, none of which is 0, as many as a session remembers clicks. They are hashes already.
struct Distinct([u64; 2 * CLICKS_MAX]);

impl Default for Distinct {
    fn default() -> Self {
        Self([0; 2 * CLICKS_MAX])
    }
}

impl Distinct {
    /// False where it was there.
    fn insert(&mut self, id: u64) -> bool {
        let first = id as usize % self.0.len();
        let (before, from) = self.0.split_at_mut(first);
        for place in from.iter_mut().chain(before) {
            if *place == id {
                return false;
            }
            if *place == 0 {
                *place = id;
                return true;
            }
        }
        false
    }
}

impl SessionView {
    fn new(session: &Session, last: &Past, firsts: &Firsts) -> Self {
        let mut view = Self { seconds: seconds(session.first_ms(), last.at_ms), ..Self::default() };
        if let Some(dropped) = &session.dropped {
            view.tally = dropped.tally.unwrap_or_default();
            view.items = dropped.items;
            view.categories = dropped.categories;
            view.repeats = view.tally.clicks().saturating_sub(dropped.items);
            view.gap_longest = Some(f64::from(dropped.gap_seconds));
        }
        let mut before: Option<&Past> = None;
        for (click, first) in session.clicks.iter().zip(&firsts.0) {
            view.add(click, *first, before, last);
            before = Some(click);
        }
        view
    }

    fn add(&mut self, click: &Past, (new_item, new_category): (bool, bool), before: Option<&Past>, last: &Past) {
        self.tally.count(click.action());
        let ago = seconds(click.at_ms, last.at_ms);
        match click.action() {
            Action::Cart => self.since_cart = Some(ago),
            Action::Favourite => self.since_favourite = Some(ago),
            Action::Purchase => self.since_purchase = Some(ago),
            _ => {}
        }
        self.items += u32::from(new_item);
        self.categories += u32::from(new_category);
        self.repeats += u32::from(!new_item);
        self.clicks_5_minutes += u32::from(ago <= 300.0);
        self.add_gap(click, before, last);
        self.add_same(click, new_item, last);
        if click.price > 0.0 {
            self.add_price(f64::from(click.price));
        }
    }

    fn add_gap(&mut self, click: &Past, before: Option<&Past>, last: &Past) {
        let Some(before) = before else { return };
        let gap = seconds(before.at_ms, click.at_ms);
        self.gap = Some(gap);
        self.gap_longest = Some(self.gap_longest.map_or(gap, |longest| longest.max(gap)));
        self.switches += u32::from(before.category != click.category);
        if before.category == last.category {
            self.category_seconds += gap;
        }
    }

    fn add_same(&mut self, click: &Past, new_item: bool, last: &Past) {
        self.item_clicks += u32::from(click.item == last.item);
        if click.category != last.category {
            self.run = 0;
            return;
        }
        self.run += 1;
        self.category_clicks += 1;
        self.category_items += u32::from(new_item);
        match click.action() {
            Action::Cart => self.category_carts += 1,
            Action::Favourite => self.category_favourites += 1,
            Action::Purchase => self.category_purchases += 1,
            _ => {}
        }
    }

    fn add_price(&mut self, price: f64) {
        self.price_lowest = if self.prices == 0 { price } else { self.price_lowest.min(price) };
        self.price_highest = self.price_highest.max(price);
        self.price_sum += price;
        self.prices += 1;
    }
}

impl UserView {
    fn new(user: &User, place: usize, last: &Past) -> Self {
        let mut history = user.history.unwrap_or_default();
        user.sessions[..place].iter().for_each(|session| history.add(session));
        let known = history.sessions > 0;
        let start = user.sessions[place].first_ms();
        UserView {
            since_first: known.then(|| seconds(history.first_ms, last.at_ms)),
            since_session: history.last.map(|ended| seconds(ended.last_ms, start)),
            since_purchase: (history.purchase_ms > 0).then(|| seconds(history.purchase_ms, last.at_ms)),
            last: history.last,
            history,
        }
    }
}

impl CartView {
    fn new(user: &User, last: &Past) -> Self {
        let mut view = Self::default();
        for item in user.items.iter().filter(|item| item.cart_ms > 0) {
            let ago = seconds(item.cart_ms, last.at_ms);
            view.items += 1;
            view.value += f64::from(item.price);
            view.since_first = Some(view.since_first.map_or(ago, |first| first.max(ago)));
            view.since_last = Some(view.since_last.map_or(ago, |last| last.min(ago)));
            view.holds_item |= item.id == last.item;
        }
        view
    }
}

fn steps(session: &Session, last: &Past, firsts: &Firsts) -> [Option<Step>; STEPS] {
    let mut steps = [None; STEPS];
    let clicks = session.clicks.iter().zip(&firsts.0).rev();
    for (step, (click, (new_item, new_category))) in steps.iter_mut().zip(clicks) {
        *step = Some(Step {
            action: click.action(),
            ago: seconds(click.at_ms, last.at_ms),
            same_item: click.item == last.item,
            same_category: click.category == last.category,
            new_item: *new_item,
            new_category: *new_category,
        });
    }
    steps
}

/// The memory as it was before this click.
fn without(mut memory: Memory, click: &Past) -> Memory {
    memory.clicks = memory.clicks.saturating_sub(1);
    match click.action() {
        Action::Cart => memory.carts = memory.carts.saturating_sub(1),
        Action::Favourite => memory.favourites = memory.favourites.saturating_sub(1),
        Action::Purchase => memory.purchases = memory.purchases.saturating_sub(1),
        _ => {}
    }
    memory
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms).max(0) as f64 / 1000.0
}
