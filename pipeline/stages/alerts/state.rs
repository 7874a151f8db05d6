//! What the partitions of the alerts stage remember. Those of its inputs keep sums until they are handed on; those of the
//! repartition topic keep each scope's past, its open buckets and its alerts.
//!
//! Every record is a Protobuf message whose field numbers never change meaning.

use bytes::Bytes;
use prost::Message;

use crate::detect::Fdr;
use crate::detect::rise::{Cell, Rise};
use crate::event::v1;
use crate::state::{Kind, Table};

// --- partitions of the inputs

/// By scope, as [`super::scope::key`] has it, and bucket.
pub const SUMS: Table<(String, i64), Summed> = Table::new(Kind::new(30, "alert-sums"));
/// What of it is to be handed on, or to be forgotten: by group, scope and bucket.
pub const HAND_ON: Table<((String, String), i64), Empty> = Table::new(Kind::new(31, "alert-hand-on").fires());
/// How far all has been handed on. Behind [`HAND_ON`], so that of one moment it comes last.
pub const THROUGH: Table<i64, Empty> = Table::new(Kind::new(32, "alert-through").fires());

// --- partitions of the repartition topic

/// By group and scope.
pub const SCOPES: Table<(String, String), Watched> = Table::new(Kind::new(33, "alert-scopes").expires_after(MONTH_MS));
pub const MIXES: Table<(String, String), Mix> = Table::new(Kind::new(34, "alert-mixes").expires_after(MONTH_MS));
/// As [`SUMS`].
pub const OPEN: Table<(String, i64), Open> = Table::new(Kind::new(35, "alert-open-buckets"));
/// Buckets to be closed: by bucket, group and scope.
pub const CLOSE: Table<(i64, (String, String)), Empty> = Table::new(Kind::new(36, "alert-close").fires());
/// Alerts as they were written last, by id.
pub const ALERTS: Table<str, v1::Alert> = Table::new(Kind::new(37, "alerts").expires_after(MONTH_MS));
/// Confirmed alerts that something provisional stands in the place of, by id: it may be taken back.
pub const CONFIRMED: Table<str, v1::Alert> = Table::new(Kind::new(41, "alert-confirmed").expires_after(WEEK_MS));
/// By group.
pub const GROUPS: Table<str, Group> = Table::new(Kind::new(38, "alert-groups").expires_after(WEEK_MS));
/// Buckets of which something is expected, behind those of [`CLOSE`]: by bucket, group and scope.
pub const EXPECT: Table<(i64, (String, String)), Empty> = Table::new(Kind::new(42, "alert-expected").fires());
/// By group, scope and rule, of rules that look for anomalies.
pub const SERIES: Table<((String, String), String), Series> =
    Table::new(Kind::new(40, "alert-series").expires_after(MONTH_MS));
/// One record, under the empty key.
pub const OWNER: Table<str, Owner> = Table::new(Kind::new(39, "alert-owner"));

const WEEK_MS: i64 = 7 * 86_400_000;
const MONTH_MS: i64 = 31 * 86_400_000;

/// All kinds of state that the stage keeps.
pub fn kinds() -> Vec<Kind> {
    vec![
        SUMS.kind(),
        HAND_ON.kind(),
        THROUGH.kind(),
        SCOPES.kind(),
        MIXES.kind(),
        OPEN.kind(),
        CLOSE.kind(),
        ALERTS.kind(),
        CONFIRMED.kind(),
        GROUPS.kind(),
        OWNER.kind(),
        SERIES.kind(),
        EXPECT.kind(),
    ]
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Empty {}

/// Sums of a scope and bucket in an input partition.
#[derive(Clone, PartialEq, Message)]
pub struct Summed {
    #[prost(message, optional, tag = "1")]
    pub partial: Option<v1::Partial>,
    /// There is more than was handed on.
    #[prost(bool, tag = "2")]
    pub changed: bool,
}

/// A scope.
#[derive(Clone, PartialEq, Message)]
pub struct Watched {
    /// Absent until a bucket was closed.
    #[prost(message, optional, tag = "1")]
    pub rise: Option<Rise>,
    /// Closed buckets with events, as far back as windows and evidence reach.
    #[prost(message, repeated, tag = "2")]
    pub cells: Vec<Cell>,
    /// Buckets before this one are closed.
    #[prost(int64, tag = "3")]
    pub closed_to: i64,
    /// Buckets that have events and are not closed.
    #[prost(int64, repeated, tag = "4")]
    pub open: Vec<i64>,
    /// By rule; those that have nothing to remember are left out.
    #[prost(message, repeated, tag = "5")]
    pub tracks: Vec<Track>,
    /// What [`Self::open`] hold by now.
    #[prost(message, repeated, tag = "6")]
    pub open_cells: Vec<Cell>,
}

/// What a rule has found in a scope.
#[derive(Clone, PartialEq, Message)]
pub struct Track {
    #[prost(string, tag = "1")]
    pub rule: String,
    #[prost(enumeration = "v1::AlertState", tag = "2")]
    pub state: i32,
    #[prost(bool, tag = "3")]
    pub provisional: bool,
    /// Alerts before this one.
    #[prost(uint32, tag = "4")]
    pub number: u32,
    /// Buckets: the first one out of the ordinary, the one with which it was found, the last one out of the ordinary.
    #[prost(int64, tag = "5")]
    pub since: i64,
    #[prost(int64, tag = "6")]
    pub found: i64,
    #[prost(int64, tag = "7")]
    pub last: i64,
    /// Ends of buckets, in milliseconds; 0 where it has not come to that.
    #[prost(int64, tag = "8")]
    pub firing_ms: i64,
    #[prost(int64, tag = "9")]
    pub resolved_ms: i64,
    /// How often it came back.
    #[prost(uint32, tag = "10")]
    pub flaps: u32,
    /// Place of the window that found it.
    #[prost(uint32, tag = "11")]
    pub window: u32,
    /// The level at which it was an alarm.
    #[prost(double, tag = "12")]
    pub level: f64,
    #[prost(enumeration = "v1::Severity", tag = "13")]
    pub severity: i32,
    #[prost(bool, tag = "14")]
    pub emerging: bool,
    /// Writers since it was found.
    #[prost(bytes = "vec", tag = "15")]
    pub users_sketch: Vec<u8>,
    /// The bucket with which it was written last.
    #[prost(int64, tag = "16")]
    pub written: i64,
    /// Texts worth showing.
    #[prost(message, repeated, tag = "17")]
    pub samples: Vec<v1::Sample>,
    /// What stood here before something provisional did: late data may take that back, and then it never was.
    #[prost(message, optional, boxed, tag = "18")]
    pub before: Option<Box<Track>>,
    /// It was told as firing before its buckets were closed: the end of the one with which it fires if it goes on.
    #[prost(int64, tag = "19")]
    pub early_ms: i64,
    /// The alert's; empty where an earlier version found it.
    #[prost(string, tag = "20")]
    pub id: String,
}

/// A scope's buckets as the detector for one series has them.
#[derive(Clone, PartialEq, Message)]
pub struct Series {
    /// As [`crate::detect::Detector::to_bytes`] writes it, in [`crate::detect::LAYOUT`]; another layout begins anew.
    #[prost(bytes = "vec", tag = "1")]
    pub detector: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub layout: u32,
    /// The bucket that is read next.
    #[prost(int64, tag = "2")]
    pub next: i64,
    /// Buckets without an event, up to the last one.
    #[prost(uint32, tag = "3")]
    pub empty: u32,
    /// The first of the last buckets in a row that were all above what was expected, or all below it; absent where the last
    /// one was neither.
    #[prost(int64, optional, tag = "5")]
    pub unusual_from: Option<i64>,
    /// They were below.
    #[prost(bool, tag = "6")]
    pub unusual_less: bool,
}

/// What texts of a scope are about: of late and before.
#[derive(Clone, PartialEq, Message)]
pub struct Mix {
    /// The bucket up to which all has faded.
    #[prost(int64, tag = "1")]
    pub at: i64,
    #[prost(message, optional, tag = "2")]
    pub all: Option<Rate>,
    /// Buckets, fading likewise.
    #[prost(float, tag = "3")]
    pub fast_buckets: f32,
    #[prost(float, tag = "4")]
    pub slow_buckets: f32,
    #[prost(message, repeated, tag = "5")]
    pub terms: Vec<Rate>,
    #[prost(message, repeated, tag = "6")]
    pub parts: Vec<Rate>,
    /// Texts of late that hold words which rise.
    #[prost(message, repeated, tag = "7")]
    pub samples: Vec<v1::Sample>,
    /// Terms that found no place: what is new is counted here until it is heavier than the lightest of those that have one.
    #[prost(message, repeated, tag = "8")]
    pub newcomers: Vec<Rate>,
}

/// Texts with something, fading fast and slowly.
#[derive(Clone, PartialEq, Message)]
pub struct Rate {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub fast: f32,
    #[prost(float, tag = "3")]
    pub fast_negative: f32,
    #[prost(float, tag = "4")]
    pub slow: f32,
    #[prost(float, tag = "5")]
    pub slow_negative: f32,
}

/// A bucket that may still change.
#[derive(Clone, PartialEq, Message)]
pub struct Open {
    /// The newest of each source.
    #[prost(message, repeated, tag = "1")]
    pub partials: Vec<FromSource>,
}

#[derive(Clone, PartialEq, Message)]
pub struct FromSource {
    #[prost(string, tag = "1")]
    pub source: String,
    /// A [`v1::Partial`], as it is written. Most who ask only want its [`Sums`].
    #[prost(bytes = "bytes", tag = "2")]
    pub partial: Bytes,
}

/// How much a [`v1::Partial`] has counted. Its words and texts are skipped where it is read as this.
#[derive(Clone, PartialEq, Message)]
pub struct Sums {
    #[prost(uint32, tag = "3")]
    pub revision: u32,
    #[prost(message, optional, tag = "4")]
    pub tally: Option<v1::Tally>,
    #[prost(message, repeated, tag = "5")]
    pub users: Vec<v1::Heavy>,
    #[prost(bytes = "vec", tag = "6")]
    pub users_sketch: Vec<u8>,
    #[prost(message, repeated, tag = "7")]
    pub alike: Vec<v1::Heavy>,
}

/// The alerts of a group that have not ended.
#[derive(Clone, PartialEq, Message)]
pub struct Group {
    #[prost(message, repeated, tag = "1")]
    pub active: Vec<Active>,
    /// The alert that somebody was told of and that ended last. What it had taken in stays so until then.
    #[prost(string, tag = "2")]
    pub last_leader: String,
    #[prost(int64, tag = "3")]
    pub until_ms: i64,
    /// The end of the last closed bucket with which a confirmed alert was under way.
    #[prost(int64, tag = "4")]
    pub under_way_ms: i64,
    /// Those that late data may take back. They inhibit each other, and nothing that is confirmed.
    #[prost(message, repeated, tag = "5")]
    pub provisional: Vec<Active>,
    /// When the last leader ended.
    #[prost(int64, tag = "6")]
    pub ended_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Active {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub scope: String,
    #[prost(string, tag = "3")]
    pub rule: String,
    #[prost(enumeration = "v1::AlertState", tag = "4")]
    pub state: i32,
    /// The value of another dimension that explains most of it.
    #[prost(string, optional, tag = "5")]
    pub explained_by: Option<String>,
    /// What tells of the same incident.
    #[prost(string, optional, tag = "6")]
    pub inhibited_by: Option<String>,
    /// Somebody was told of it: it fired while nothing inhibited it.
    #[prost(bool, tag = "7")]
    pub told: bool,
    #[prost(int64, tag = "8")]
    pub since_ms: i64,
    /// The end of the bucket with which it was found.
    #[prost(int64, tag = "9")]
    pub found_ms: i64,
    /// When `explained_by` was last found.
    #[prost(int64, tag = "10")]
    pub explained_ms: i64,
    /// It tells of too little.
    #[prost(bool, tag = "11")]
    pub less: bool,
    #[prost(enumeration = "v1::Severity", tag = "12")]
    pub severity: i32,
    /// Too few users for anybody to be told of it.
    #[prost(bool, tag = "13")]
    pub few: bool,
}

/// What a partition of the repartition topic knows of itself. Field 5 was in use once.
#[derive(Clone, PartialEq, Message)]
pub struct Owner {
    #[prost(message, repeated, tag = "1")]
    pub sources: Vec<Source>,
    /// The time that all sources have come to.
    #[prost(int64, tag = "2")]
    pub time: i64,
    #[prost(message, optional, tag = "3")]
    pub fdr: Option<Fdr>,
    /// The first bucket that was closed.
    #[prost(int64, optional, tag = "4")]
    pub first: Option<i64>,
    /// How far the first source had come when it was first heard from.
    #[prost(int64, optional, tag = "6")]
    pub began_ms: Option<i64>,
    /// Buckets that are to be closed.
    #[prost(uint64, tag = "7")]
    pub waiting: u64,
    /// What the clock on the wall showed when it was heard first after everything else, and [`Self::time`] by then.
    #[prost(int64, optional, tag = "8")]
    pub quiet_since_ms: Option<i64>,
    #[prost(int64, tag = "9")]
    pub quiet_time: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Source {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "2")]
    pub highest: i64,
}
