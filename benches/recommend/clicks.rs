//! Recorded clicks as the stage takes them, in the order of their times.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use groundswell::event::v1;
use groundswell::stages::clicks::Click;
use jiff::Timestamp;
use serde_json::Value;

use crate::Outcome;

/// JSON lines, plain or .gz, with the names of Taobao's or REES46's columns, or with ours.
pub fn read(path: &str) -> Outcome<Vec<Click>> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let reader: Box<dyn Read> =
        if path.ends_with(".gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut clicks = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(reader).lines()) {
        let line = line.map_err(|error| format!("{path}: {error}"))?;
        let value: Value = serde_json::from_str(&line).map_err(|error| format!("{path}:{number}: {error}"))?;
        clicks.push(click(&value, number).ok_or_else(|| format!("{path}:{number}: no user, item, action or time"))?);
    }
    clicks.sort_by_key(|click| click.at_ms);
    Ok(clicks)
}

fn click(value: &Value, number: usize) -> Option<Click> {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| value.get(name))?;
        found.as_str().map(str::to_owned).or_else(|| found.as_i64().map(|number| number.to_string()))
    };
    let action = match text(&["action", "event_type"])?.as_str() {
        "view" => v1::Action::View,
        "cart" => v1::Action::Cart,
        "favourite" => v1::Action::Favourite,
        "purchase" => v1::Action::Purchase,
        "remove_from_cart" | "remove" => v1::Action::Remove,
        _ => return None,
    };
    let seconds = time(&text(&["ts", "event_time"])?)?;
    Some(Click::new(v1::Click {
        event_id: number.to_string(),
        event_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        user: text(&["user", "user_id"])?,
        item: text(&["item", "item_id", "product_id"])?,
        category: text(&["category", "category_id"]),
        action: action.into(),
        ..Default::default()
    }))
}

/// Seconds since 1970; REES46 writes `2019-10-01 00:00:00 UTC`.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let time: Timestamp = text.replace(" UTC", "Z").parse().ok()?;
    Some(time.as_second())
}
