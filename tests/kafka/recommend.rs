//! Recommendations on the real Kafka, from end to end.

use serde_json::{Value, json};

use crate::support::remembered::create_changelog;
use crate::support::{Kafka, Outcome, Record, SOON, Stand, wait_until};

const TAG: &str = "recommend-quiet";
const PARTITIONS: i32 = 2;
/// 2026-01-05.
const START_MS: i64 = 1_767_571_200_000;

/// Event time stands still where nobody clicks; what was counted last is in the lists all the same, and somebody who was
/// never seen is shown it.
#[test]
fn what_was_clicked_last_in_a_quiet_shop_is_recommended_without_another_click() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let state = tempfile::tempdir()?;
    let stand = stand(kafka, &state.path().display().to_string())?;
    let outputs = ["clicks", "profiles", "recommendations"].map(|topic| format!("outputs.{topic}={TAG}-out-{topic}"));
    let mut instance = stand.start_with_http("a", &outputs.each_ref().map(String::as_str), &[])?;
    stand.wait_until_ready(true)?;
    let click = |number: i64, user: &str, item: &str| {
        let click = json!({"event_id": format!("c-{number}"), "event_time": START_MS + 1000 * number, "user": user,
            "item": item, "category": "things", "action": "view"});
        Record::new(click.to_string()).key(user.to_owned())
    };
    kafka.produce(&stand.name("clicks"), &[click(0, "u", "p"), click(1, "u", "q"), click(2, "v", "p")])?;
    let mut last = Value::Null;
    // Both that v has not seen: q is seen together with p, and popular.
    wait_until(SOON, "q to be recommended", || {
        instance.check_alive()?;
        last = serde_json::from_str(&stand.get("/v1/recommendations/v")?.1)?;
        Ok(last["items"][0]["item"] == "q" && last["items"][0]["reason"]["kind"] == "seen_together")
    })
    .map_err(|error| format!("{error}: {last}\n{}", instance.log_tail()))?;
    assert!(instance.stop()?.success(), "{}", instance.log_tail());
    Ok(())
}

fn stand<'a>(kafka: &'a Kafka, state: &str) -> Outcome<Stand<'a>> {
    let extra = format!(
        r#"
[inputs.clicks]
kind = "click"
topics = ["{TAG}-clicks"]
[recommendations]
publish_ms = 2000
idle_ms = 1000
[state]
directory = "{state}"
"#
    );
    let stand = Stand::bare(kafka, TAG, &extra)?;
    let topics = ["clicks", "out-clicks", "out-profiles", "out-recommendations", "dead-letters"];
    for topic in topics.into_iter().chain(["recommend-counts", "recommend-lists"]) {
        stand.topic(topic, PARTITIONS, &[])?;
    }
    for (group, input) in [("clicks", "clicks"), ("recommend", "recommend-counts")] {
        let changelog = groundswell::runtime::changelog(&stand.name(group), &stand.name(input));
        create_changelog(kafka, &changelog, PARTITIONS)?;
    }
    Ok(stand)
}
