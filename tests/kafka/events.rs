//! What the kill tests write: reviews in three formats, some of them poison.

use fastrand::Rng;
use groundswell::event::v1;
use prost::Message;

use crate::support::{Fate, Record, framed};

/// The topics, each with a format of its name.
pub const TOPICS: [&str; 3] = ["json", "protobuf", "framed"];
pub const PARTITIONS: i32 = 3;

/// A writer that knows fewer fields than we do.
pub const WRITERS_REVIEW: &str = r#"
syntax = "proto3";
package groundswell.v1;
message Review {
  string text = 3;
  optional string product = 4;
}
"#;

/// One in so many events is poison.
const POISON_ONE_IN: usize = 50;

const TEXTS: [&str; 6] = [
    "电池很耐用，屏幕也清晰，值得买",
    "刚用两天就坏了，客服一直不回复",
    "Battery died after the update, really disappointed",
    "Great value, arrived early, would buy again",
    "还行吧，没有想象中那么好",
    "ok",
];

/// The same events for the same seed.
pub struct Events {
    rng: Rng,
    /// The id of [`WRITERS_REVIEW`].
    schema: u32,
    number: usize,
}

impl Events {
    pub fn new(seed: u64, schema: u32) -> Self {
        Self { rng: Rng::with_seed(seed), schema, number: 0 }
    }

    /// The next event, the topic that it is for, and what must become of it.
    pub fn next(&mut self) -> (&'static str, Record, Fate) {
        let rng = &mut self.rng;
        let poison = rng.usize(..POISON_ONE_IN) == 0;
        // No two are equal: equal texts would come from the cache.
        let text = format!("第{}条 {}", self.number, rng.choice(TEXTS).unwrap_or_default());
        self.number += 1;
        let review = v1::Review { text, product: Some(format!("p-{}", rng.u8(..20))), ..v1::Review::default() };
        let topic = TOPICS[rng.usize(..TOPICS.len())];
        let payload = match (topic, poison) {
            ("json", true) => Some(json_poison(rng)),
            ("json", false) => serde_json::to_vec(&review).ok(),
            ("protobuf", true) => protobuf_poison(rng),
            ("protobuf", false) => Some(review.encode_to_vec()),
            (_, true) => Some(framed_poison(self.schema, &review, rng)),
            (_, false) => Some(framed(self.schema, &[0], &review.encode_to_vec())),
        };
        let fate = if poison { Fate::DeadLettered } else { Fate::Scored };
        let record = Record { payload, ..Record::new("").partition(rng.i32(0..PARTITIONS)) };
        (topic, record, fate)
    }
}

fn json_poison(rng: &mut Rng) -> Vec<u8> {
    let poison: [&[u8]; 5] = [
        b"{\"text\": \"never closed",
        b"\xff\xfe not text at all",
        b"{\"product\": \"p-1\"}",
        b"{\"text\": {\"no\": \"object\"}}",
        b"{\"text\": \"from the future\", \"event_time\": \"2199-01-01T00:00:00Z\"}",
    ];
    poison[rng.usize(..poison.len())].to_vec()
}

fn protobuf_poison(rng: &mut Rng) -> Option<Vec<u8>> {
    let review = |text: &str, product: Option<&str>| {
        v1::Review { text: text.into(), product: product.map(str::to_owned), ..v1::Review::default() }.encode_to_vec()
    };
    match rng.u8(..3) {
        0 => Some(review("cut off in the middle", None)[..9].to_vec()),
        1 => Some(review("", Some("p-1"))),
        _ => None,
    }
}

/// Another magic byte, a schema that nobody knows, a message that is cut off.
fn framed_poison(schema: u32, review: &v1::Review, rng: &mut Rng) -> Vec<u8> {
    let good = framed(schema, &[0], &review.encode_to_vec());
    match rng.u8(..3) {
        0 => [&[7], &good[1..]].concat(),
        1 => framed(999_999, &[0], &review.encode_to_vec()),
        _ => good[..8].to_vec(),
    }
}
