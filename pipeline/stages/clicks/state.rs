//! What a partition of clicks remembers: four kinds of records.
//!
//! Every record is a Protobuf message whose field numbers never change meaning: what an older program wrote reads as it
//! was, what it did not know yet reads as zero.

use bytes::Bytes;
use prost::Message;

use crate::state::{Kind, Table};

const DAY_MS: i64 = 86_400_000;

/// By name. A user who stays away for a quarter of a year is a new one.
pub const USERS: Table<str, User> = Table::new(Kind::new(10, "click-users").expires_after(90 * DAY_MS));
/// By [`Id`](super::click::Id). What nobody looks at for a month says little of the next.
pub const ITEMS: Table<u64, Entity> = Table::new(Kind::new(11, "click-items").expires_after(30 * DAY_MS));
pub const CATEGORIES: Table<u64, Entity> = Table::new(Kind::new(12, "click-categories").expires_after(90 * DAY_MS));
/// What the numbers of categories stand for, for profiles.
pub const CATEGORY_NAMES: Table<u64, String> =
    Table::new(Kind::new(14, "click-category-names").expires_after(90 * DAY_MS));
/// One record, under the empty key.
pub const PARTITION: Table<str, Partition> = Table::new(Kind::new(13, "click-partition"));

/// All kinds of state that the stage keeps.
pub fn kinds() -> Vec<Kind> {
    vec![USERS.kind(), ITEMS.kind(), CATEGORIES.kind(), PARTITION.kind(), CATEGORY_NAMES.kind()]
}

/// What is known of one user.
#[derive(Clone, PartialEq, Message)]
pub struct User {
    /// Those that a click may still reach, by start; the others are in `history`.
    #[prost(message, repeated, tag = "1")]
    pub sessions: Vec<Session>,
    #[prost(message, optional, tag = "2")]
    pub history: Option<History>,
    /// What was clicked, the last clicked first; at most [`ITEMS_MAX`].
    #[prost(message, repeated, tag = "3")]
    pub items: Vec<Memory>,
    /// The same of categories; at most [`CATEGORIES_MAX`].
    #[prost(message, repeated, tag = "4")]
    pub categories: Vec<Memory>,
    /// Those clicked last first; at most [`BRANDS_MAX`].
    #[prost(message, repeated, tag = "5")]
    pub brands: Vec<Brand>,
    #[prost(message, optional, tag = "6")]
    pub habits: Option<Habits>,
}

/// A brand that a user has looked at.
#[derive(Clone, PartialEq, Message)]
pub struct Brand {
    /// UTF-8. A part of the bytes that it was read from, so that the copies of a user that are made from click to click share
    /// it.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    #[prost(int64, tag = "2")]
    pub last_ms: i64,
    /// Weights of clicks, decayed to `last_ms`.
    #[prost(float, tag = "3")]
    pub interest: f32,
}

/// When a user is about, what they spend, and when that was last told.
#[derive(Clone, PartialEq, Message)]
pub struct Habits {
    /// The event time of the last profile; 0 where there was none.
    #[prost(int64, tag = "1")]
    pub emitted_ms: i64,
    /// Clicks by hour of the shop's day, halved together now and then.
    #[prost(uint32, repeated, tag = "2")]
    pub hours: Vec<u32>,
    /// The sum of the prices of purchases.
    #[prost(double, tag = "3")]
    pub value: f64,
    /// Logarithms of prices over the mean prices of their categories, and how many.
    #[prost(double, tag = "4")]
    pub price_logarithms: f64,
    #[prost(uint32, tag = "5")]
    pub prices: u32,
}

/// Sums over sessions that are over.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct History {
    #[prost(int64, tag = "1")]
    pub first_ms: i64,
    #[prost(uint32, tag = "2")]
    pub sessions: u32,
    /// Sessions with a purchase.
    #[prost(uint32, tag = "3")]
    pub bought: u32,
    #[prost(message, optional, tag = "4")]
    pub tally: Option<Tally>,
    /// Seconds between first and last click, over all sessions.
    #[prost(uint64, tag = "5")]
    pub seconds: u64,
    /// The session that ended last.
    #[prost(message, optional, tag = "6")]
    pub last: Option<Ended>,
    /// 0 where nothing was bought.
    #[prost(int64, tag = "7")]
    pub purchase_ms: i64,
    /// Clicks that a purchase followed within their session.
    #[prost(uint32, tag = "8")]
    pub followed: u32,
}

/// A session that is over.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Ended {
    #[prost(int64, tag = "1")]
    pub last_ms: i64,
    #[prost(uint32, tag = "2")]
    pub seconds: u32,
    #[prost(message, optional, tag = "3")]
    pub tally: Option<Tally>,
}

/// Clicks by action.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Tally {
    #[prost(uint32, tag = "1")]
    pub views: u32,
    #[prost(uint32, tag = "2")]
    pub carts: u32,
    #[prost(uint32, tag = "3")]
    pub favourites: u32,
    #[prost(uint32, tag = "4")]
    pub purchases: u32,
    #[prost(uint32, tag = "5")]
    pub impressions: u32,
    #[prost(uint32, tag = "6")]
    pub removes: u32,
}

/// A visit: clicks of one user with no gap of `clicks.session_gap` between them.
#[derive(Clone, PartialEq, Message)]
pub struct Session {
    /// Made of the user and the click that opened it; the earlier session's where two became one.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// How often a late click changed what had been said of it.
    #[prost(uint32, tag = "2")]
    pub revision: u32,
    /// By time, equal times in the order of arrival; at most [`CLICKS_MAX`], the earlier ones are in `dropped`.
    #[prost(message, repeated, tag = "3")]
    pub clicks: Vec<Past>,
    #[prost(message, optional, tag = "4")]
    pub dropped: Option<Dropped>,
}

/// The beginning of a session too long to be remembered click by click.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Dropped {
    #[prost(int64, tag = "1")]
    pub first_ms: i64,
    #[prost(message, optional, tag = "2")]
    pub tally: Option<Tally>,
    #[prost(uint32, tag = "3")]
    pub items: u32,
    #[prost(uint32, tag = "4")]
    pub categories: u32,
    /// Clicks that a purchase followed.
    #[prost(uint32, tag = "5")]
    pub followed: u32,
    /// The longest gap between two clicks.
    #[prost(uint32, tag = "6")]
    pub gap_seconds: u32,
}

/// A click within a session.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Past {
    #[prost(int64, tag = "1")]
    pub at_ms: i64,
    #[prost(int32, tag = "2")]
    pub action: i32,
    #[prost(fixed64, tag = "3")]
    pub item: u64,
    /// 0 where there is none.
    #[prost(fixed64, tag = "4")]
    pub category: u64,
    /// 0 where there is none.
    #[prost(float, tag = "5")]
    pub price: f32,
    /// A purchase followed it.
    #[prost(bool, tag = "6")]
    pub followed: bool,
}

/// What a user did to an item or within a category.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Memory {
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    #[prost(int64, tag = "2")]
    pub last_ms: i64,
    #[prost(uint32, tag = "3")]
    pub clicks: u32,
    #[prost(uint32, tag = "4")]
    pub carts: u32,
    #[prost(uint32, tag = "5")]
    pub favourites: u32,
    #[prost(uint32, tag = "6")]
    pub purchases: u32,
    /// Of an item: it lies in the cart since then; 0 where it does not.
    #[prost(int64, tag = "7")]
    pub cart_ms: i64,
    /// Of an item: what it cost when it went into the cart; 0 where that is not known.
    #[prost(float, tag = "8")]
    pub price: f32,
    /// Of a category: weights of clicks, decayed to `interest_ms`.
    #[prost(float, tag = "9")]
    pub interest: f32,
    #[prost(int64, tag = "10")]
    pub interest_ms: i64,
}

/// What all users of the partition did to an item or within a category.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Entity {
    #[prost(uint64, tag = "1")]
    pub clicks: u64,
    #[prost(uint64, tag = "2")]
    pub carts: u64,
    #[prost(uint64, tag = "3")]
    pub favourites: u64,
    #[prost(uint64, tag = "4")]
    pub purchases: u64,
    /// Clicks that a purchase followed within their session.
    #[prost(uint64, tag = "5")]
    pub followed: u64,
    #[prost(message, optional, tag = "6")]
    pub day: Option<Window>,
    /// Prices seen: how many, their sum, and the sum of their squares.
    #[prost(uint64, tag = "7")]
    pub prices: u64,
    #[prost(double, tag = "8")]
    pub price_sum: f64,
    #[prost(double, tag = "9")]
    pub price_squares: f64,
}

/// How many in the day that has passed, from two counts: this day's and the day before's.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Window {
    /// Days since 1970.
    #[prost(int64, tag = "1")]
    pub day: i64,
    #[prost(uint64, tag = "2")]
    pub current: u64,
    #[prost(uint64, tag = "3")]
    pub before: u64,
}

/// What the partition knows of itself.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Partition {
    /// All of the partition, as if it were one item.
    #[prost(message, optional, tag = "1")]
    pub all: Option<Entity>,
    /// Clicks that came after the grace had passed.
    #[prost(uint64, tag = "2")]
    pub too_late: u64,
}

/// Enough for nearly every session to be whole: of Taobao's one in a hundred is longer.
pub const CLICKS_MAX: usize = 128;
/// A user's memory of items; at some 40 bytes each it weighs less than the clicks of a session.
pub const ITEMS_MAX: usize = 64;
pub const CATEGORIES_MAX: usize = 32;
pub const BRANDS_MAX: usize = 16;
