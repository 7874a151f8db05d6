//! A history replayed from a file: silences, two sets of rules, incidents that are known, and the page that is written.

use std::fs;

use fastrand::Rng;
use serde_json::{Value, json};

use super::groundswell;
use crate::support::Outcome;

pub const START_S: i64 = 1_767_571_200;
const MINUTES: i64 = 130;
/// Minutes in which one product has a wave of negative texts.
const WAVE: std::ops::Range<i64> = 90..100;

/// A shop's texts in the order of event time; one product has a wave of negative ones.
pub fn texts() -> Vec<(i64, Value)> {
    let mut rng = Rng::with_seed(4);
    let mut texts = Vec::new();
    for minute in 0..MINUTES {
        let wave = WAVE.contains(&minute);
        let mut seconds: Vec<i64> = (0..if wave { 36 } else { 18 }).map(|_| rng.i64(0..60)).collect();
        seconds.sort_unstable();
        for (i, second) in seconds.into_iter().enumerate() {
            let more = wave && i % 2 == 1;
            let (product, negative) = (if more { 2 } else { rng.usize(0..4) }, more || rng.f64() < 0.2);
            let at_s = START_S + minute * 60 + second;
            let noise: String = (0..14).map(|_| rng.lowercase()).collect();
            let time = jiff::Timestamp::from_second(at_s).unwrap_or_default();
            let text = json!({
                "event_id": format!("e{}", texts.len()), "kind": "review", "event_time": format!("{time:.3}"),
                "product": format!("p{product}"), "user": format!("u{}", texts.len()), "language": "en",
                "text": format!("payment {noise}"),
                "sentiment": {"label": if negative { "negative" } else { "positive" }, "score": -0.5},
            });
            texts.push((at_s, text));
        }
    }
    texts
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Outcome<Files> {
        Ok(Files { folder: tempfile::tempdir()? })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn put(&self, name: &str, text: &str) -> Outcome<String> {
        fs::write(self.path(name), text)?;
        Ok(self.path(name))
    }

    fn history(&self) -> Outcome<String> {
        let lines: Vec<String> = texts().iter().map(|(_, text)| text.to_string()).collect();
        self.put("scored.jsonl", &lines.join("\n"))
    }

    fn json(&self, name: &str) -> Outcome<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path(name))?)?)
    }
}

/// Of an alert that fired.
fn waves(run: &Value) -> Vec<&Value> {
    let alerts = run["alerts"].as_array().map(Vec::as_slice).unwrap_or_default();
    alerts.iter().filter(|alert| !alert["firing_time"].is_null() && alert["scope"] == "product=p2").collect()
}

fn at(minute: i64) -> String {
    jiff::Timestamp::from_second(START_S + minute * 60).unwrap_or_default().to_string()
}

#[test]
fn what_was_found_of_known_incidents_is_said_and_drawn() -> Outcome<()> {
    let files = Files::new()?;
    let incident = |start: i64, end: i64, scope: &str| json!({"start": at(start), "end": at(end), "scope": scope});
    let known = format!("{}\n{}\n", incident(WAVE.start, WAVE.end, "product=p2"), incident(20, 25, "product=p1"));
    let (from, known) = (files.history()?, files.put("incidents.jsonl", &known)?);
    let (html, json) = (files.path("alerts.html"), files.path("alerts.json"));
    let said = groundswell(&["backtest", "--from", &from, "--incidents", &known, "--html", &html, "--json", &json])?;
    let said = said.ended(0);
    assert!(said.out.contains("1 of 2 incidents found, delay "), "{}", said.out);
    assert_eq!(said.err, "");
    let judged = &files.json("alerts.json")?["runs"][0]["judged"];
    assert_eq!((&judged["incidents"], &judged["found"]), (&json!(2), &json!(1)));
    let delay_s = judged["delay_s_median"].as_f64().ok_or("no delay")?;
    assert!((60.0..600.0).contains(&delay_s), "{delay_s} s");
    let page = fs::read_to_string(&html)?;
    for shown in
        ["<svg", "1 of 2 incidents found", "product=p2", "; the line: as many as expected", "lang=\"zh\"", "01-05 "]
    {
        assert!(page.contains(shown), "{shown}");
    }
    // For any browser, without a server.
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    Ok(())
}

#[test]
fn a_silence_keeps_an_alert_quiet_and_the_difference_says_so() -> Outcome<()> {
    let files = Files::new()?;
    let silence = |until: i64| {
        format!("[alerts.silences]\nrelease = {{ matching = {{ product = \"p2\" }}, until = \"{}\" }}\n", at(until))
    };
    let (from, json) = (files.history()?, files.path("alerts.json"));
    let (new, old) = (files.put("new.toml", &silence(MINUTES + 60))?, files.put("old.toml", &silence(30))?);
    let said = groundswell(&["backtest", "--rules", &new, "--against", &old, "--from", &from, "--json", &json])?;
    let said = said.ended(0);
    let found = files.json("alerts.json")?;
    let (silenced, spoken) = (waves(&found["runs"][0]), waves(&found["runs"][1]));
    assert!(!silenced.is_empty() && silenced.iter().all(|alert| alert["silenced_by"] == "release"), "{silenced:?}");
    assert!(spoken.iter().all(|alert| alert["silenced_by"].is_null()), "{spoken:?}");
    let told: Vec<&Value> =
        spoken.iter().filter(|alert| alert["inhibited_by"].is_null()).map(|alert| &alert["id"]).collect();
    let only_old = found["difference"]["only_old"].as_array().ok_or("no difference")?;
    assert!(!told.is_empty() && told.iter().all(|id| only_old.contains(id)), "{told:?} {only_old:?}");
    assert!(said.out.contains(&format!("Only {old}: {}\n  Product p2: ", only_old.len())), "{}", said.out);
    assert!(said.out.contains(&format!("Only {new}: 0")), "{}", said.out);
    Ok(())
}

#[test]
fn a_file_out_of_order_is_no_success_and_can_be_put_in_order() -> Outcome<()> {
    let files = Files::new()?;
    let mut lines: Vec<String> = texts().iter().map(|(_, text)| text.to_string()).collect();
    let (sorted, json) = (files.put("sorted.jsonl", &lines.join("\n"))?, files.path("alerts.json"));
    Rng::with_seed(8).shuffle(&mut lines);
    let mixed = files.put("mixed.jsonl", &lines.join("\n"))?;
    let said = groundswell(&["backtest", "--from", &mixed])?.ended(1);
    assert!(
        said.err.contains(" events came after the grace and were left out; --sort puts a file in order"),
        "{said:?}"
    );
    let mut ids = Vec::new();
    for arguments in [["--from", &sorted, "--json", &json], ["--from", &mixed, "--json", &json]] {
        groundswell(&[&["backtest", "--sort"][..], &arguments[..]].concat())?.ended(0);
        let found = files.json("alerts.json")?;
        ids.push(waves(&found["runs"][0]).iter().map(|alert| alert["id"].clone()).collect::<Vec<_>>());
    }
    assert!(!ids[0].is_empty() && ids[0] == ids[1], "{ids:?}");
    Ok(())
}
