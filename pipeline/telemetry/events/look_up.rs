//! What is asked over HTTP.

use std::time::Duration;

use tracing::{info, trace, warn};

use crate::telemetry::{limiter, names};

/// A question about a user has got its answer.
#[derive(Debug)]
pub struct LookedUp {
    /// As its path calls it.
    pub about: &'static str,
    pub outcome: LookUpOutcome,
    pub took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpOutcome {
    Found,
    Unknown,
    Redirected,
    /// To the instance that has the user.
    PassedOn,
    Restoring,
    /// No instance is known to have it.
    Nowhere,
    /// Too many wait.
    Busy,
    Late,
    /// It was no question.
    Refused,
}

impl LookUpOutcome {
    pub const ALL: [LookUpOutcome; 9] = [
        LookUpOutcome::Found,
        LookUpOutcome::Unknown,
        LookUpOutcome::Redirected,
        LookUpOutcome::PassedOn,
        LookUpOutcome::Restoring,
        LookUpOutcome::Nowhere,
        LookUpOutcome::Busy,
        LookUpOutcome::Late,
        LookUpOutcome::Refused,
    ];

    fn name(self) -> &'static str {
        match self {
            LookUpOutcome::Found => "found",
            LookUpOutcome::Unknown => "unknown",
            LookUpOutcome::Redirected => "redirected",
            LookUpOutcome::PassedOn => "passed_on",
            LookUpOutcome::Restoring => "restoring",
            LookUpOutcome::Nowhere => "nowhere",
            LookUpOutcome::Busy => "busy",
            LookUpOutcome::Late => "late",
            LookUpOutcome::Refused => "refused",
        }
    }
}

impl LookedUp {
    pub fn emit(&self) {
        let &Self { about, outcome, took } = self;
        names::LOOK_UP_SECONDS.record(&[about, outcome.name()], took.as_secs_f64());
        trace!(about, outcome = outcome.name(), seconds = took.as_secs_f64(), "looked up");
    }
}

/// A user was found in another partition than the configuration says: other instances look in the wrong place.
#[derive(Debug)]
pub struct UserMisplaced<'a> {
    pub topic: &'a str,
    pub partition: i32,
}

impl UserMisplaced<'_> {
    pub fn emit(&self) {
        let &Self { topic, partition } = self;
        if let Some(suppressed) = limiter::admit("user_misplaced", topic) {
            warn!(topic, partition, suppressed, "a user's clicks lie in another partition than http.partitioner says");
        }
    }
}

/// Another instance says that it answers where this one does: questions about its users are not passed on to it.
#[derive(Debug)]
pub struct AddressShared<'a> {
    pub url: &'a str,
    pub instance: &'a str,
}

impl AddressShared<'_> {
    pub fn emit(&self) {
        let &Self { url, instance } = self;
        if let Some(suppressed) = limiter::admit("address_shared", url) {
            warn!(url, instance, suppressed, "another instance has the same http.advertised_url");
        }
    }
}

/// All alerts, or trends, that were there at the start have been read back.
#[derive(Debug)]
pub struct BoardRead {
    pub board: &'static str,
    pub read: u64,
    /// Of them, records that are none.
    pub unreadable: u64,
    pub entries: usize,
    pub bytes: usize,
}

impl BoardRead {
    pub fn emit(&self) {
        let Self { board, read, unreadable, entries, bytes } = self;
        info!(board, read, unreadable, entries, bytes, "board read");
    }
}

/// How much of alerts, or trends, is kept to answer with.
#[derive(Debug)]
pub struct BoardMeasured {
    pub board: &'static str,
    pub bytes: usize,
    pub bytes_max: usize,
}

impl BoardMeasured {
    pub fn emit(&self) {
        let &Self { board, bytes, bytes_max } = self;
        names::BOARD_SIZE.set(&[board], bytes as f64);
        names::BOARD_LIMIT.set(&[board], bytes_max as f64);
        trace!(board, bytes, bytes_max, "board measured");
    }
}
