//! What the tests of the clicks stage write: shoppers in two formats, some of their clicks late, some of them poison.

use fastrand::Rng;
use groundswell::event::v1;
use prost::Message;
use serde_json::json;

use crate::support::{Record, framed};

/// A topic of a shop's own JSON, and one in Confluent's framing.
pub const TOPICS: [&str; 2] = ["json", "framed"];
pub const PARTITIONS: i32 = 3;
/// 2026-01-05, a Monday.
const START_MS: i64 = 1_767_571_200_000;
/// Between two clicks of anybody, on average.
const STEP_MS: u64 = 4_000;
/// Most of them come once or twice: more than memory has room for.
const USERS: u32 = 3_000;
const REGULARS: u32 = 60;
const ITEMS: u32 = 400;
const CATEGORIES: u32 = 12;
/// One in so many records is no click.
const POISON_ONE_IN: usize = 40;

/// The inputs' part of a configuration, for topics that carry this tag.
pub fn inputs(tag: &str) -> String {
    format!(
        r#"
[inputs.json]
kind = "click"
topics = ["{tag}-json"]
[inputs.json.fields]
user = "/who/id"
item = "/sku"
category = "/shelf"
action = "/did"
event_time = "/ms"
[inputs.framed]
kind = "click"
topics = ["{tag}-framed"]
format = "protobuf_framed"
"#
    )
}

/// The schema of a writer who knows fewer fields than we do.
pub const WRITERS_CLICK: &str = r#"
syntax = "proto3";
package groundswell.v1;
import "google/protobuf/timestamp.proto";
enum Action {
  ACTION_UNSPECIFIED = 0;
  ACTION_VIEW = 1;
  ACTION_CART = 2;
  ACTION_FAVOURITE = 3;
  ACTION_PURCHASE = 4;
}
message Click {
  google.protobuf.Timestamp event_time = 2;
  string user = 3;
  string item = 4;
  optional string category = 5;
  optional double price = 7;
  Action action = 8;
}
"#;

/// The same clicks for the same seed.
pub struct Clicks {
    rng: Rng,
    /// The id of [`WRITERS_CLICK`].
    schema: u32,
    now_ms: i64,
}

impl Clicks {
    pub fn new(seed: u64, schema: u32) -> Self {
        Self { rng: Rng::with_seed(seed), schema, now_ms: START_MS }
    }

    /// The next record and the topic that it is for. A user's clicks are in one partition of each.
    pub fn next(&mut self) -> (&'static str, Record) {
        let rng = &mut self.rng;
        let user = if rng.bool() { rng.u32(..REGULARS) } else { rng.u32(..USERS) };
        self.now_ms += rng.u64(..2 * STEP_MS) as i64;
        // Some within the grace of ten minutes, some after it.
        let late_ms = if rng.u8(..10) == 0 { rng.i64(0..800_000) } else { 0 };
        let item = rng.u32(..ITEMS);
        let actions = [v1::Action::View, v1::Action::View, v1::Action::View, v1::Action::Cart];
        let rare = [v1::Action::Favourite, v1::Action::Purchase];
        let action = if rng.u8(..6) == 0 { rng.choice(rare) } else { rng.choice(actions) }.unwrap_or_default();
        let at_ms = self.now_ms - late_ms;
        let click = v1::Click {
            event_time: Some(prost_types::Timestamp {
                seconds: at_ms.div_euclid(1000),
                nanos: (at_ms.rem_euclid(1000) * 1_000_000) as i32,
            }),
            user: format!("u{user}"),
            item: format!("p-{item}"),
            category: (!item.is_multiple_of(5)).then(|| format!("c-{}", item % CATEGORIES)),
            price: (!item.is_multiple_of(3)).then(|| f64::from(item) + 0.5),
            action: action.into(),
            ..v1::Click::default()
        };
        let topic = TOPICS[rng.usize(..TOPICS.len())];
        let poison = rng.usize(..POISON_ONE_IN) == 0;
        let payload = match (topic, poison) {
            ("json", false) => shops_json(&click, at_ms),
            ("json", true) => json_poison(rng),
            (_, false) => framed(self.schema, &[0], &click.encode_to_vec()),
            (_, true) => framed(self.schema, &[0], &v1::Click { item: String::new(), ..click }.encode_to_vec()),
        };
        (topic, Record::new(payload).key(format!("u{user}")).partition(user as i32 % PARTITIONS))
    }
}

fn shops_json(click: &v1::Click, at_ms: i64) -> Vec<u8> {
    let did = match click.action() {
        v1::Action::Cart => "cart",
        v1::Action::Favourite => "favourite",
        v1::Action::Purchase => "purchase",
        _ => "view",
    };
    json!({"who": {"id": click.user}, "sku": click.item, "shelf": click.category, "did": did, "ms": at_ms,
        "price": click.price})
    .to_string()
    .into_bytes()
}

fn json_poison(rng: &mut Rng) -> Vec<u8> {
    let poison: [&[u8]; 4] = [
        b"{\"who\": never closed",
        b"{\"who\": {\"id\": \"u1\"}, \"sku\": \"p-1\"}",
        b"{\"who\": {\"id\": \"u1\"}, \"sku\": \"p-1\", \"did\": \"yawn\"}",
        b"{\"who\": {\"id\": \"u1\"}, \"sku\": \"p-1\", \"did\": \"view\", \"ms\": \"2199-01-01T00:00:00Z\"}",
    ];
    poison[rng.usize(..poison.len())].to_vec()
}
