//! Records that cannot be processed, as they come from the programs of others.

use fastrand::Rng;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

/// The event, spoilt in one of several ways; each must end as a dead letter.
pub fn spoil(mut event: Value, rng: &mut Rng, now: Timestamp) -> Option<Vec<u8>> {
    let bytes = |event: &Value| event.to_string().into_bytes();
    match rng.u32(..6) {
        // Cut off in the middle.
        0 => {
            let mut whole = bytes(&event);
            whole.truncate(whole.len() / 2);
            Some(whole)
        }
        1 => {
            event.as_object_mut()?.remove("text");
            Some(bytes(&event))
        }
        // A clock that is a year ahead.
        2 => {
            let ahead = now.checked_add((365 * 24).hours()).unwrap_or(now);
            event["event_time"] = json!(format!("{ahead:.3}"));
            Some(bytes(&event))
        }
        3 => {
            event["text"] = json!(" \u{3000}\t ");
            Some(bytes(&event))
        }
        // In an encoding of the last century.
        4 => Some(b"{\"text\": \"\xba\xdc\xba\xc3\"}".to_vec()),
        _ => None,
    }
}
