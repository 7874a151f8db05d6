//! Clicks to measure with.

use fastrand::Rng;

use super::broker::{PARTITIONS, Record};

/// 2026-01-05.
pub const START_MS: u64 = 1_767_571_200_000;
/// Clicks of all users in a second of event time.
const CLICKS_A_SECOND: u64 = 200;
pub const ITEMS: u32 = 20_000;
const CATEGORIES: u32 = 300;

/// Clicks as a shop writes them, in the order of their time: visits of a few clicks by users of whom some come often.
pub fn clicks(count: usize, users: u32) -> Vec<Record> {
    let mut rng = Rng::with_seed(5);
    // Who is about: each visit goes on for a while, then somebody else comes.
    let mut visits: Vec<(u32, u32)> = (0..1000).map(|_| (visitor(&mut rng, users), rng.u32(..CATEGORIES))).collect();
    (0..count)
        .map(|number| {
            let place = rng.usize(..visits.len());
            if rng.u8(..10) == 0 {
                visits[place] = (visitor(&mut rng, users), rng.u32(..CATEGORIES));
            }
            let (user, category) = visits[place];
            let item = category + CATEGORIES * (rng.f32().powi(3) * (ITEMS / CATEGORIES) as f32) as u32;
            let action = match rng.u8(..100) {
                0..90 => "view",
                90..95 => "cart",
                95..98 => "favourite",
                _ => "purchase",
            };
            let at_ms = START_MS + number as u64 * 1000 / CLICKS_A_SECOND;
            click(&format!("c-{number}"), at_ms, user, item, action)
        })
        .collect()
}

/// As a shop writes it.
pub fn click(id: &str, at_ms: u64, user: u32, item: u32, action: &str) -> Record {
    let payload = format!(
        r#"{{"event_id":"{id}","event_time":{at_ms},"user":"user-{user}","item":"item-{item}","category":"category-{}","brand":"brand-{}","price":{}.5,"action":"{action}"}}"#,
        item % CATEGORIES,
        item % 40,
        item % 500 + 1
    );
    Record {
        partition: user as i32 % PARTITIONS,
        key: format!("user-{user}").into_bytes(),
        payload: payload.into_bytes(),
    }
}

/// Few come often: the number of visits falls with the square of the rank.
fn visitor(rng: &mut Rng, users: u32) -> u32 {
    (rng.f32().powi(2) * users as f32) as u32
}
