//! What is replayed: scored texts, scored clicks and dead letters, told apart by the fields that only one of them has.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::config::Alerts;
use crate::event::json::time;
use crate::event::v1;
use crate::stages::alerts::Seen;

/// Fields that are named where none fits.
const NAMED_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Text(Box<v1::Scored>),
    Click(Box<v1::ScoredClick>),
    /// A record of this topic was refused for this reason.
    DeadLetter {
        at_ms: i64,
        input: String,
        reason: String,
    },
}

/// What tells them apart.
#[derive(Deserialize)]
struct Fields {
    kind: Option<IgnoredAny>,
    sentiment: Option<IgnoredAny>,
    labels: Option<IgnoredAny>,
    action: Option<IgnoredAny>,
    reason: Option<IgnoredAny>,
}

/// As `groundswell dead-letters list --json` writes them.
#[derive(Deserialize)]
struct Letter {
    time: String,
    origin: Option<Origin>,
    reason: String,
}

#[derive(Deserialize)]
struct Origin {
    topic: String,
}

impl Event {
    /// A line of a file. What has no origin or id, as of another program, is found again by its line.
    pub fn of_line(line: &[u8], number: u64) -> Result<(i64, Event), String> {
        let (at_ms, mut event) = Event::of_json(line)?;
        if let Event::Text(scored) = &mut event {
            let origin = || v1::Origin { topic: "input".into(), partition: 0, offset: number as i64 - 1 };
            scored.origin.get_or_insert_with(origin);
            if scored.event_id.is_empty() {
                scored.event_id = format!("line {number}");
            }
        }
        Ok((at_ms, event))
    }

    /// With its event time. No error quotes a value: it may be what redaction would have removed.
    pub fn of_json(json: &[u8]) -> Result<(i64, Event), String> {
        let fields: Fields = read(json, "a JSON object")?;
        if fields.kind.is_some() || fields.sentiment.is_some() || fields.labels.is_some() {
            return Event::of_text(read(json, "a scored text")?);
        }
        if fields.action.is_some() {
            return Event::of_click(read(json, "a scored click")?);
        }
        if fields.reason.is_some() {
            return Event::of_letter(read(json, "a dead letter")?);
        }
        Err(format!(
            "{} is none of what is replayed: a scored text has kind, sentiment or labels, a scored click has action, a dead \
             letter of `dead-letters list --json` has reason",
            held(json)
        ))
    }

    pub fn of_text(scored: v1::Scored) -> Result<(i64, Event), String> {
        let at_ms = scored.event_time.as_ref().and_then(time::to_ms).ok_or("event_time is missing")?;
        Ok((at_ms, Event::Text(Box::new(scored))))
    }

    pub fn of_click(scored: v1::ScoredClick) -> Result<(i64, Event), String> {
        let at_ms = scored.event_time.as_ref().and_then(time::to_ms).ok_or("event_time is missing")?;
        Ok((at_ms, Event::Click(Box::new(scored))))
    }

    fn of_letter(letter: Letter) -> Result<(i64, Event), String> {
        let at_ms = time::from_text(&letter.time).as_ref().and_then(time::to_ms).ok_or("time is missing")?;
        let input = letter.origin.ok_or("origin is missing: the dead letter is not of this program")?.topic;
        Ok((at_ms, Event::DeadLetter { at_ms, input, reason: letter.reason }))
    }

    /// As each of what counts it sees it.
    pub fn seen(&self, settings: &Alerts) -> Vec<Seen> {
        match self {
            Event::Text(scored) => Seen::new(scored, settings).into_iter().collect(),
            Event::Click(scored) => Seen::of_click(scored, settings),
            Event::DeadLetter { at_ms, input, reason } => vec![Seen::of_dead_letter(*at_ms, input, reason, settings)],
        }
    }
}

fn read<T: DeserializeOwned>(json: &[u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| match error.is_eof() {
        true => format!("expected {what}, and it ends at byte {}", json.len()),
        false => format!("expected {what}, found something else at column {}", error.column()),
    })
}

/// The names of an object's fields.
fn held(json: &[u8]) -> String {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let names: Vec<&str> = object.keys().map(String::as_str).take(NAMED_MAX).collect();
    let more = if object.len() > names.len() { ", …" } else { "" };
    match names.is_empty() {
        true => "an object without fields".to_owned(),
        false => format!("an object with {}{more}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-22T10:00:00Z";
    const AT_MS: i64 = 1_795_341_600_000;

    fn of(line: &str) -> Result<Event, String> {
        Event::of_line(line.as_bytes(), 7).map(|(at_ms, event)| {
            assert_eq!(at_ms, AT_MS, "{line}");
            event
        })
    }

    #[test]
    fn texts_clicks_and_dead_letters_are_told_apart() {
        let text = of(&format!(r#"{{"event_time":"{AT}","sentiment":{{"label":"negative"}},"text":"no action"}}"#));
        let Ok(Event::Text(text)) = text else { panic!("{text:?}") };
        assert_eq!((&*text.event_id, text.origin.map(|origin| origin.offset)), ("line 7", Some(6)));
        let click = of(&format!(r#"{{"event_time":"{AT}","item":"p","action":"cart","user":"u"}}"#));
        let Ok(Event::Click(click)) = click else { panic!("{click:?}") };
        assert_eq!((click.action(), &*click.item), (v1::Action::Cart, "p"));
        let letter = of(&format!(
            r#"{{"position":"0/1","time":"{AT}","origin":{{"topic":"reviews","partition":0,"offset":3}},"reason":"malformed"}}"#
        ));
        let expected = Event::DeadLetter { at_ms: AT_MS, input: "reviews".into(), reason: "malformed".into() };
        assert_eq!(letter, Ok(expected));
    }

    #[test]
    fn what_is_none_of_them_is_refused_without_its_values() {
        for (line, expected) in [
            ("{\"kind\":\"review\"", "expected a JSON object, and it ends at byte 16"),
            ("call 13812345678", "expected a JSON object, found something else at column 1"),
            ("{\"sentiment\":\"secret\"}", "expected a scored text, found something else at column 21"),
            ("{\"kind\":\"review\",\"text\":\"late\"}", "event_time is missing"),
            ("{\"action\":\"cart\"}", "event_time is missing"),
            (
                "{\"body\":\"secret\",\"at\":5}",
                "an object with at, body is none of what is replayed: a scored text has kind, sentiment or labels, a scored \
                 click has action, a dead letter of `dead-letters list --json` has reason",
            ),
        ] {
            assert_eq!(of(line), Err(expected.to_owned()), "{line}");
        }
    }
}
