//! Events in, events out: each folder here holds a configuration and, for a kind of event, lines that go in
//! (`review.in.jsonl`), the lines that come out (`review.out.jsonl`) and those that are refused (`review.err.jsonl`).
//! A file `arguments` holds what the command is given besides.
//!
//! The lines pass through `groundswell score` with a fixture's random weights: the structure is what is held here, and
//! the numbers with it. `UPDATE_GOLDEN=1` writes what comes out; look at the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Outcome;

/// Numbers may differ by this much from one machine to another.
const TOLERANCE: f64 = 1e-4;
/// Stands for a time that the program took from the clock.
const NOW: &str = "now";

#[test]
fn a_review_keeps_its_fields_and_gains_a_sentiment() -> Outcome<()> {
    check("reviews")
}

#[test]
fn a_chat_keeps_its_speaker_and_turn() -> Outcome<()> {
    check("chats")
}

#[test]
fn fields_are_found_where_the_mapping_says() -> Outcome<()> {
    check("mapping")
}

#[test]
fn what_is_redacted_is_counted_by_kind() -> Outcome<()> {
    check("redaction")
}

#[test]
fn a_kind_that_is_switched_off_is_left_in() -> Outcome<()> {
    check("redaction-chosen")
}

#[test]
fn a_user_can_be_a_pseudonym() -> Outcome<()> {
    check("user-pseudonym")
}

#[test]
fn a_user_can_be_dropped() -> Outcome<()> {
    check("user-drop")
}

#[test]
fn a_language_is_believed_or_recognised() -> Outcome<()> {
    check("languages")
}

#[test]
fn a_text_longer_than_the_model_reads_is_marked() -> Outcome<()> {
    check("truncation")
}

#[test]
fn several_models_answer_for_one_text() -> Outcome<()> {
    check("models")
}

#[test]
fn an_unsure_head_gives_nothing() -> Outcome<()> {
    check("thresholds")
}

#[test]
fn an_evaluation_sees_every_label() -> Outcome<()> {
    check("all-labels")
}

#[test]
fn a_label_for_nothing_gives_nothing_and_an_embedding_has_length_1() -> Outcome<()> {
    check("embedding")
}

#[test]
fn what_cannot_be_scored_says_why() -> Outcome<()> {
    check("refusals")
}

/// A folder that no test reads would hold nothing.
#[test]
fn every_folder_has_its_test() -> Outcome<()> {
    let source = include_str!("mod.rs");
    for entry in fs::read_dir(folder())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = name == "directories" || source.contains(&format!("check(\"{name}\")"));
        assert!(!entry.file_type()?.is_dir() || read, "{name} is read by no test");
    }
    Ok(())
}

fn check(case: &str) -> Outcome<()> {
    let folder = folder().join(case);
    let kinds: Vec<&str> =
        ["review", "chat"].into_iter().filter(|kind| folder.join(format!("{kind}.in.jsonl")).exists()).collect();
    assert!(!kinds.is_empty(), "{} holds no lines to go in", folder.display());
    for kind in kinds {
        check_kind(&folder, kind)?;
    }
    Ok(())
}

fn check_kind(folder: &Path, kind: &str) -> Outcome<()> {
    let file = |what: &str| folder.join(format!("{kind}.{what}.jsonl"));
    let run = Command::new(env!("CARGO_BIN_EXE_groundswell"))
        .args(["score", "--kind", kind, "--config"])
        .arg(folder.join("config.toml"))
        .args(fs::read_to_string(folder.join("arguments")).unwrap_or_default().split_whitespace())
        .arg(file("in"))
        .env("GROUNDSWELL_USER_SECRET", "a secret for these tests alone")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let (scored, refused) = (lines(&run.stdout)?, lines(&run.stderr)?);
    let expected_code = if refused.is_empty() { 0 } else { 1 };
    assert_eq!(run.status.code(), Some(expected_code), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(scored.len() + refused.len(), fs::read_to_string(file("in"))?.lines().count(), "a line in, a line out");
    hold(&file("out"), scored)?;
    hold(&file("err"), refused)
}

/// Compares with the file; no file stands for no lines.
fn hold(path: &Path, lines: Vec<Value>) -> Outcome<()> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return write(path, &lines);
    }
    let expected = if path.exists() { self::lines(&fs::read(path)?)? } else { Vec::new() };
    for (number, (expected, found)) in expected.iter().zip(&lines).enumerate() {
        if let Some(difference) = difference(expected, found, String::new()) {
            return Err(format!("{} line {}: {difference}\n{found}", path.display(), number + 1).into());
        }
    }
    assert_eq!(lines.len(), expected.len(), "lines of {}", path.display());
    Ok(())
}

fn write(path: &Path, lines: &[Value]) -> Outcome<()> {
    if lines.is_empty() {
        // Most often there is none to remove.
        let _ = fs::remove_file(path);
        return Ok(());
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(fs::write(path, text)?)
}

/// Lines of JSON, without what differs from run to run.
fn lines(bytes: &[u8]) -> Outcome<Vec<Value>> {
    let lines = std::str::from_utf8(bytes)?.lines();
    lines
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
            if let Some(event) = value.as_object_mut() {
                event.remove("scored_time");
                event.entry("error").and_modify(without_clock);
                if let Some(time) = event.get_mut("event_time").filter(|time| is_now(time)) {
                    *time = json!(NOW);
                }
            }
            Ok(value)
        })
        .collect()
}

/// How far ahead a time is depends on when that is asked.
fn without_clock(error: &mut Value) {
    let ahead = error.as_str().and_then(|text| text.split_once(" ms ahead"));
    if let Some((_, rest)) = ahead {
        *error = json!(format!("event_time is … ms ahead{rest}"));
    }
}

/// Within a quarter of an hour of the clock: longer than a test takes, shorter than any time written in a line.
fn is_now(time: &Value) -> bool {
    let time = time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    time.is_some_and(|time| (jiff::Timestamp::now().as_second() - time.as_second()).abs() < 900)
}

/// Where two values differ first, and how.
fn difference(expected: &Value, found: &Value, place: String) -> Option<String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| {
                let place = format!("{place}/{name}");
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => difference(a, b, place),
                    (a, b) => Some(format!("{place}: expected {a:?}, found {b:?}")),
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut items = a.iter().zip(b).enumerate();
            items.find_map(|(at, (a, b))| difference(a, b, format!("{place}/{at}")))
        }
        (Value::Number(a), Value::Number(b)) if close(a.as_f64(), b.as_f64()) => None,
        (a, b) => (a != b).then(|| format!("{place}: expected {a}, found {b}")),
    }
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= TOLERANCE)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
