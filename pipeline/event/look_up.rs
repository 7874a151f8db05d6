//! What somebody outside asks about a user, and what is answered.

use std::time::Instant;

use super::v1::{AlertState, Severity};

/// A question about one user.
pub struct LookUp {
    /// As the shop writes it.
    pub user: String,
    pub about: About,
    /// Nobody waits for the answer any more then.
    pub until: Instant,
    pub way: Way,
    /// Dropped where no answer will come.
    pub reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Profile,
    Sessions,
    Recommendations {
        /// Items at most; none is as many as the configuration has.
        limit: Option<usize>,
    },
}

/// How a question has come here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Instances that have passed it on.
    pub hops: u8,
    /// Topics in which the user has been looked for.
    pub asked: Vec<String>,
}

pub type Reply = Box<dyn FnOnce(Found) + Send>;

/// An answer that is yet to be written, which is work for whoever asked.
pub type Unwritten = Box<dyn FnOnce() -> serde_json::Value + Send>;

pub enum Found {
    Here(Unwritten),
    /// The partition is here and knows no such user.
    Unknown,
    /// The partition is here, and what it remembers is still being read back.
    NotYet,
    /// Another instance has the partition.
    Elsewhere {
        /// Where that instance answers; `None` where nobody is known to have it.
        url: Option<String>,
        way: Way,
    },
    /// Nothing of the kind is kept here.
    Nothing,
}

/// Which alerts somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsWanted {
    pub states: Vec<AlertState>,
    /// Any where there is none.
    pub severities: Vec<Severity>,
    pub scope: Option<String>,
    pub rule: Option<String>,
    /// Written for a bucket that ended then or later.
    pub since_ms: Option<i64>,
    pub limit: usize,
}

/// Which buckets somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrendsWanted {
    pub scope: Option<String>,
    /// Those that begin in here.
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    pub limit: usize,
}

/// An answer as JSON.
pub type Written = String;
