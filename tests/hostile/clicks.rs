//! What strangers send as clicks: each between two ordinary clicks of a partition of its own, which must not be touched
//! by it.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use groundswell::columns::Rows;
use groundswell::config::{self, Settings};
use groundswell::event::{Answer, Ask, ModelId, Origin, Output, Question, RawRecord, Reason, Rejection, v1};
use groundswell::infer::{Backend, Inputs};
use groundswell::runtime::{Purchase, Registered, clicks_stage};
use groundswell::stages::clicks::ClicksStage;
use groundswell::stages::{Prepare, Stage};
use groundswell::state::{InMemory, State};
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use serde_json::{Value, json};

use super::PAYLOAD_MAX;
use crate::support::Outcome;

/// What becomes of a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is in its user's session.
    Scored,
    /// It is in no session, and changes nothing.
    TooLate,
    Dead(Reason),
}

use Expected::{Dead, Scored, TooLate};

const INVALID: Expected = Dead(Reason::Invalid);
const MALFORMED: Expected = Dead(Reason::Malformed);
const MISSING: Expected = Dead(Reason::Missing);
const FUTURE: Expected = Dead(Reason::Future);

struct Case {
    format: Format,
    name: String,
    record: RawRecord,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Protobuf,
}

impl Format {
    fn topic(self) -> &'static str {
        match self {
            Format::Json => "clicks",
            Format::Protobuf => "protobuf-clicks",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Format::Json => "Clicks as JSON",
            Format::Protobuf => "Clicks as Protobuf",
        }
    }
}

impl Expected {
    fn name(self) -> &'static str {
        match self {
            Scored => "scored",
            TooLate => "too_late",
            Dead(reason) => reason.name(),
        }
    }
}

impl Case {
    fn new(format: Format, name: impl Into<String>, payload: impl Into<Vec<u8>>, expected: Expected) -> Case {
        let origin = Origin { topic: format.topic().into(), partition: 0, offset: 1 };
        let (key, payload) = (Some(Bytes::from_static(b"stranger")), Some(Bytes::from(payload.into())));
        let timestamp_ms = Some(Timestamp::now().as_millisecond());
        let record = RawRecord { origin, key, headers: Vec::new(), timestamp_ms, payload };
        Case { format, name: name.into(), record, expected }
    }

    fn with(mut self, change: impl FnOnce(&mut RawRecord)) -> Case {
        change(&mut self.record);
        self
    }
}

/// An ordinary click as JSON.
fn ordinary(event_id: &str, user: &str, at: Timestamp) -> Value {
    json!({"event_id": event_id, "event_time": at.to_string(), "user": user, "item": "p", "category": "c",
        "price": 9.5, "action": "view"})
}

/// An ordinary click of a stranger with one field otherwise, or without it.
fn click(name: impl Into<String>, field: &str, value: Option<Value>, expected: Expected) -> Case {
    let mut click = ordinary("strange", "stranger", Timestamp::now());
    match value {
        Some(value) => click[field] = value,
        None => drop(click.as_object_mut().and_then(|click| click.remove(field))),
    }
    Case::new(Format::Json, name, click.to_string(), expected)
}

fn is(field: &str, value: Value, expected: Expected) -> Case {
    click(format!("`{field}` is `{value}`"), field, Some(value), expected)
}

fn cases() -> Vec<Case> {
    [shapes(), names(), actions(), prices(), times(), others(), protobuf()].into_iter().flatten().collect()
}

fn shapes() -> Vec<Case> {
    let json = |name: &str, payload: &[u8], expected| Case::new(Format::Json, name, payload, expected);
    let whole = ordinary("strange", "stranger", Timestamp::now()).to_string();
    let deep = format!(
        "{}\"attributes\": {}1{}}}",
        "{\"user\":\"u\",\"item\":\"p\",\"action\":\"view\",",
        "{\"a\":".repeat(200),
        "}".repeat(200)
    );
    let large = format!("{{\"user\":\"u\",\"item\":\"p\",\"action\":\"view\",\"x\":\"{}\"}}", "x".repeat(PAYLOAD_MAX));
    vec![
        json("no value", b"", Dead(Reason::Tombstone)).with(|record| record.payload = None),
        json("no bytes", b"", MALFORMED),
        json("an empty object", b"{}", MISSING),
        json("an array of clicks", format!("[{whole}]").as_bytes(), MALFORMED),
        json("two lines of JSON in one record", format!("{whole}\n{whole}").as_bytes(), MALFORMED),
        json("an object never closed", &whole.as_bytes()[..whole.len() - 1], MALFORMED),
        json("bad UTF-8 in a name", b"{\"user\":\"\xff\",\"item\":\"p\",\"action\":\"view\"}", MALFORMED),
        json("objects two hundred deep", deep.as_bytes(), MALFORMED),
        json("more than `text.payload_bytes_max`", large.as_bytes(), Dead(Reason::TooLarge)),
        json("no key: the user is remembered where the record lies, and it is counted", whole.as_bytes(), Scored)
            .with(|record| record.key = None),
        json("the key of another user: the click's own counts", whole.as_bytes(), Scored)
            .with(|record| record.key = Some(Bytes::from_static(b"somebody else"))),
        json(
            "an `event_id` that another click has: it counts again",
            whole.replace("strange\"", "before\"").as_bytes(),
            Scored,
        ),
    ]
}

fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for (field, required) in
        [("user", true), ("item", true), ("category", false), ("brand", false), ("event_id", false)]
    {
        let absent = if required { MISSING } else { Scored };
        cases.push(click(format!("no `{field}`"), field, None, absent));
        for value in [json!(null), json!("")] {
            cases.push(is(field, value, absent));
        }
        for value in [json!(12), json!(u64::MAX)] {
            cases.push(is(field, value, Scored));
        }
        for value in [json!(1.5), json!(true), json!(["a"]), json!({"id": 1}), json!(1e300)] {
            cases.push(is(field, value, INVALID));
        }
        cases.push(click(format!("`{field}` has 1,024 bytes"), field, Some("é".repeat(512).into()), Scored));
        cases.push(click(format!("`{field}` has 1,025 bytes"), field, Some("x".repeat(1025).into()), INVALID));
        cases.push(click(format!("`{field}` has 200,000 bytes"), field, Some("x".repeat(200_000).into()), INVALID));
        cases.push(click(format!("`{field}` is a NUL and a line break"), field, Some("\0\n".into()), Scored));
    }
    cases.push(click("`user` is two spaces: a name as any other", "user", Some("  ".into()), Scored));
    cases
}

fn actions() -> Vec<Case> {
    vec![
        click("no `action`", "action", None, MISSING),
        is("action", json!(null), MISSING),
        is("action", json!(""), MISSING),
        is("action", json!("click"), INVALID),
        is("action", json!("unspecified"), INVALID),
        is("action", json!(1), INVALID),
        is("action", json!(["view"]), INVALID),
        is("action", json!("VIEW"), Scored),
        is("action", json!(" ACTION_VIEW "), Scored),
        click("a purchase of what nobody has looked at", "action", Some("purchase".into()), Scored),
        click("something taken out of an empty cart", "action", Some("remove".into()), Scored),
        click("an impression: of the session, and no interest", "action", Some("impression".into()), Scored),
    ]
}

fn prices() -> Vec<Case> {
    let by_hand = |number: &str, expected| {
        let whole = ordinary("strange", "stranger", Timestamp::now()).to_string().replace("9.5", number);
        Case::new(Format::Json, format!("`price` is {number}"), whole, expected)
    };
    vec![
        click("no `price`", "price", None, Scored),
        is("price", json!(null), Scored),
        is("price", json!("35.79"), Scored),
        click("`price` is 0: as good as none", "price", Some(json!(0)), Scored),
        is("price", json!(1e-320), Scored),
        is("price", json!(1e12), Scored),
        is("price", json!(1.1e12), INVALID),
        is("price", json!(1e300), INVALID),
        is("price", json!(-0.01), INVALID),
        is("price", json!("NaN"), INVALID),
        is("price", json!("Infinity"), INVALID),
        is("price", json!("1e400"), INVALID),
        is("price", json!("9,50 €"), INVALID),
        is("price", json!(""), INVALID),
        is("price", json!(true), INVALID),
        is("price", json!([9.5]), INVALID),
        by_hand("NaN", MALFORMED),
        by_hand("Infinity", MALFORMED),
        by_hand("1e400", MALFORMED),
    ]
}

fn times() -> Vec<Case> {
    let at = |name: &str, from_now: SignedDuration, expected| {
        click(name, "event_time", Some((Timestamp::now() + from_now).to_string().into()), expected)
    };
    let recorded = |name: &str, timestamp_ms: Option<i64>, expected| {
        click(name, "event_time", None, expected).with(|record| record.timestamp_ms = timestamp_ms)
    };
    let now_ms = Timestamp::now().as_millisecond();
    vec![
        at("nine minutes behind the newest click", SignedDuration::from_mins(-9), Scored),
        at("eleven minutes behind the newest click", SignedDuration::from_mins(-11), TooLate),
        at("ten years behind", SignedDuration::from_hours(-24 * 3650), TooLate),
        at("59 minutes ahead of the clock on the wall", SignedDuration::from_mins(59), Scored),
        at("61 minutes ahead of the clock on the wall", SignedDuration::from_mins(61), FUTURE),
        at("a year ahead", SignedDuration::from_hours(24 * 365), FUTURE),
        is("event_time", json!("9999-12-30T00:00:00Z"), FUTURE),
        is("event_time", json!("0001-01-01T00:00:00Z"), TooLate),
        is("event_time", json!("1969-12-31T23:59:59Z"), TooLate),
        is("event_time", json!("yesterday"), INVALID),
        is("event_time", json!("2026-11-22T10:00:00"), INVALID),
        is("event_time", json!("2026-02-30T10:00:00Z"), INVALID),
        is("event_time", json!(0), INVALID),
        is("event_time", json!(-5), INVALID),
        is("event_time", json!(9e30), INVALID),
        is("event_time", json!(true), INVALID),
        is("event_time", json!({"seconds": 1}), INVALID),
        click("`event_time` in milliseconds", "event_time", Some(json!(now_ms)), Scored),
        click("`event_time` in seconds, as a string", "event_time", Some(json!((now_ms / 1000).to_string())), Scored),
        recorded("no `event_time`: the record's timestamp", Some(now_ms), Scored),
        recorded(
            "no `event_time`, and the record's timestamp is ten years behind",
            Some(now_ms - 315_360_000_000),
            TooLate,
        ),
        recorded("no `event_time`, and the record's timestamp is a year ahead", Some(now_ms + 31_536_000_000), FUTURE),
        recorded("no `event_time`, and the record's timestamp is none", Some(i64::MIN), INVALID),
        recorded("no `event_time`, and no timestamp", None, MISSING),
    ]
}

fn others() -> Vec<Case> {
    vec![
        click(
            "`recommendation_id` of nobody: put down to nothing, and counted",
            "recommendation_id",
            Some("zzz".into()),
            Scored,
        ),
        is("recommendation_id", json!(""), Scored),
        is("recommendation_id", json!([1]), INVALID),
        click("`recommendation_id` has 50,000 bytes", "recommendation_id", Some("x".repeat(50_000).into()), INVALID),
        is("attributes", json!([1]), INVALID),
        is("attributes", json!("x"), INVALID),
        is("attributes", json!({"in_stock": "perhaps"}), Scored),
        click("an unknown field of 100,000 bytes: kept to itself", "x", Some("x".repeat(100_000).into()), Scored),
    ]
}

/// What JSON cannot say.
fn protobuf() -> Vec<Case> {
    let now = Timestamp::now();
    let whole = v1::Click {
        event_id: "strange".into(),
        event_time: Some(prost_types::Timestamp { seconds: now.as_second(), nanos: 0 }),
        user: "stranger".into(),
        item: "p".into(),
        action: v1::Action::View.into(),
        ..v1::Click::default()
    };
    let but = |name: &str, change: &dyn Fn(&mut v1::Click), expected| {
        let mut click = whole.clone();
        change(&mut click);
        Case::new(Format::Protobuf, name, click.encode_to_vec(), expected)
    };
    let bytes = whole.encode_to_vec();
    let binary = |name: &str, payload: &[u8], expected| Case::new(Format::Protobuf, name, payload, expected);
    let time = |seconds: i64, nanos: i32| Some(prost_types::Timestamp { seconds, nanos });
    vec![
        but("as it should be", &|_| {}, Scored),
        but("no `user`", &|click| click.user.clear(), MISSING),
        but("no `item`", &|click| click.item.clear(), MISSING),
        but("no `action`", &|click| click.action = 0, MISSING),
        but("`action` is 99", &|click| click.action = 99, INVALID),
        but("`action` is -1", &|click| click.action = -1, INVALID),
        but("`price` is NaN", &|click| click.price = Some(f64::NAN), INVALID),
        but("`price` is infinite", &|click| click.price = Some(f64::INFINITY), INVALID),
        but("`price` is 1e300", &|click| click.price = Some(1e300), INVALID),
        but("`price` is -0.0", &|click| click.price = Some(-0.0), Scored),
        but("`user` has 1,025 bytes", &|click| click.user = "x".repeat(1025), INVALID),
        but("no `event_time`: the record's timestamp", &|click| click.event_time = None, Scored),
        but("`event_time` at the end of all seconds", &|click| click.event_time = time(i64::MAX, 0), INVALID),
        but(
            "`event_time` with two billion nanoseconds: two seconds more",
            &|click| click.event_time = time(now.as_second(), i32::MAX),
            Scored,
        ),
        but("`event_time` a year ahead", &|click| click.event_time = time(now.as_second() + 31_536_000, 0), FUTURE),
        but(
            "`event_time` ten years behind",
            &|click| click.event_time = time(now.as_second() - 315_360_000, 0),
            TooLate,
        ),
        binary("no bytes", b"", MISSING),
        binary("cut off", &bytes[..bytes.len() - 1], MALFORMED),
        binary("JSON", ordinary("strange", "stranger", now).to_string().as_bytes(), MALFORMED),
        binary("a number where a text belongs", &[0x08, 0x01], MALFORMED),
        binary("a text that is no UTF-8", &[0x1a, 0x01, 0xff], MALFORMED),
        binary("a length beyond the end", &[0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f], MALFORMED),
    ]
}

/// The stage, its model, and a partition.
struct Bench {
    stage: ClicksStage,
    model: Box<dyn Backend>,
    state: InMemory,
}

impl Bench {
    fn new() -> Outcome<Bench> {
        let settings = settings()?;
        let purchase = Purchase::load(&settings)?.ok_or("a purchase model is configured")?;
        let stage = clicks_stage(&settings, Some(&purchase), &Registered::new(&settings)?)?;
        let state = State::in_memory(&stage.kinds(), stage.grace_ms());
        Ok(Bench { model: (purchase.factory())()?, stage, state })
    }

    fn begin_anew(&mut self) {
        self.state = State::in_memory(&self.stage.kinds(), self.stage.grace_ms());
    }

    fn take(&mut self, record: &RawRecord) -> Outcome<Result<Vec<Output>, Rejection>> {
        let prepared = match self.stage.prepare(record, Timestamp::now()) {
            Ok(Prepare::Ready(click)) => click,
            Ok(Prepare::NeedsSchema(id)) => return Err(format!("schema {id} is asked for").into()),
            Err(rejection) => return Ok(Err(rejection)),
        };
        let (waiting, asks) = self.state.observe(|view| self.stage.observe(view, prepared));
        let answers = asks.iter().map(|ask| self.answer(ask)).collect::<Outcome<Vec<_>>>()?;
        let stage = &self.stage;
        Ok(self.state.conclude(|view| stage.conclude(view, record, waiting, &answers, Timestamp::now())))
    }

    fn answer(&mut self, ask: &Ask) -> Outcome<Answer> {
        let Question::Row(row) = &ask.question else { return Err("a text".into()) };
        let mut rows = Rows::with_capacity(row.len(), 1);
        rows.push(row);
        let mut answers = self.model.run(ModelId(0), &Inputs::Rows(Arc::new(rows.into_array()?)))?;
        Ok(Ok(Arc::new(answers.pop().ok_or("no answer")?)))
    }

    /// What is written of a click.
    fn scored(&mut self, record: &RawRecord) -> Outcome<Result<Value, Rejection>> {
        let outputs = match self.take(record)? {
            Ok(outputs) => outputs,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let mut scored = Value::Null;
        for output in outputs {
            // Counts go to the owners as they are.
            if output.topic == self.stage.scored.topic || output.topic == self.stage.profiles.topic {
                let payload: Value = serde_json::from_slice(output.payload.as_deref().unwrap_or_default())?;
                // An infinite number is written so.
                assert!(!has_null(&payload), "a number that is none: {payload}");
                scored = if output.topic == self.stage.scored.topic { payload } else { scored };
            }
        }
        Ok(Ok(scored))
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

#[test]
fn every_hostile_click_ends_as_it_should() -> Outcome<()> {
    let mut bench = Bench::new()?;
    let mut faults = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 120, "{} clicks", cases.len());
    for case in &cases {
        bench.begin_anew();
        if let Err(why) = judge(&mut bench, case) {
            faults.push(format!("{:?} {}: {why}", case.format, case.name));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

/// Between two clicks of somebody else, in whose session nothing of it may be.
fn judge(bench: &mut Bench, case: &Case) -> Outcome<()> {
    let neighbour = |event_id: &str, offset: i64| {
        let origin = Origin { topic: "clicks".into(), partition: 0, offset };
        let payload = Some(ordinary(event_id, "neighbour", Timestamp::now()).to_string().into());
        RawRecord { origin, key: None, headers: Vec::new(), timestamp_ms: None, payload }
    };
    let clicks = |scored: &Value| scored["session"]["clicks"].as_u64();
    let before = bench.scored(&neighbour("before", 0))?.map_err(|rejection| rejection.to_string())?;
    let (found, shown) = match bench.scored(&case.record)? {
        Ok(scored) if scored["too_late"] == true => (TooLate, scored),
        Ok(scored) => (Scored, scored),
        Err(rejection) => (Dead(rejection.reason), rejection.message.into()),
    };
    if found != case.expected {
        return Err(format!("expected {}, found {}: {shown}", case.expected.name(), found.name()).into());
    }
    if (found == Scored) != (clicks(&shown) == Some(1)) {
        return Err(format!("a session that is not its own: {shown}").into());
    }
    // One dated ahead takes the clock with it, by no more than an hour.
    let after = bench.scored(&neighbour("after", 2))?.map_err(|rejection| rejection.to_string())?;
    let carried = case.name.contains("59 minutes ahead") && after["too_late"] == true;
    if clicks(&before) != Some(1) || (clicks(&after) != Some(2) && !carried) {
        return Err(format!("the clicks beside it: {before}, {after}").into());
    }
    match bench.state.fault() {
        Some(fault) => Err(fault.to_string().into()),
        None => Ok(()),
    }
}

/// The tables for people.
pub fn tables() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "\n# Clicks\n\nThe same for clicks, with the default limits: each between two ordinary clicks of somebody else, \
        in a partition of its own. `scored` gives a scored click with a session; `too_late` a scored click that says so \
        and is in no session: it is counted and changes nothing else. Anything else is the reason in a dead letter's \
        header `groundswell.reason`.\n",
    );
    let mut last = None;
    for Case { format, name, expected, .. } in cases() {
        if last.replace(format) != Some(format) {
            write!(text, "\n## {}\n\n| input | outcome |\n|---|---|\n", format.title())?;
        }
        writeln!(text, "| {name} | `{}` |", expected.name())?;
    }
    text.push_str(
        "\nWhat is taken and still bounded: one user's clicks ([ARCHITECTURE.md](../ARCHITECTURE.md#recommendations)), \
        names ([Bounds](../ARCHITECTURE.md#bounds)). What nobody notices: the same click sent twice counts twice, and a \
        click dated up to `clicks.future_ms_max` ahead takes its partition's clock along, so that clicks of the present \
        come too late until it has caught up.\n",
    );
    Ok(text)
}

fn settings() -> Outcome<Settings> {
    let file = tempfile::NamedTempFile::with_suffix(".toml")?;
    std::fs::write(file.path(), CONFIGURATION)?;
    let sets = ["instance.name=hostile".to_owned()];
    Ok(config::load(Some(file.path()), &sets, std::env::vars()).map_err(groundswell::event::Error::from)?)
}

const CONFIGURATION: &str = r#"
[inputs.clicks]
kind = "click"
topics = ["clicks"]

[inputs.protobuf]
kind = "click"
topics = ["protobuf-clicks"]
format = "protobuf"

[clicks]
include_features = true
profile_interval_ms = 0
"#;
