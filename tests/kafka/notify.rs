//! What receivers are told of the alerts in a topic of the real Kafka: by a webhook that fails, refuses and hangs, by a
//! real Alertmanager, and by instances that take over from each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use groundswell::runtime::changelog;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::support::receiver::{Posted, Receiver};
use crate::support::remembered::create_changelog;
use crate::support::{Instance, Kafka, Outcome, Record, free_port, wait_until};

const WAIT_MAX: Duration = Duration::from_secs(90);
const SECRET: &str = "whsec-7";

struct Scenario {
    tag: &'static str,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
}

impl Scenario {
    /// `receivers`: the sections of the configuration that name them.
    fn new(tag: &'static str, receivers: &str) -> Outcome<Scenario> {
        let kafka = Kafka::shared()?;
        let folder = TempDir::new()?;
        let config = folder.path().join("groundswell.toml");
        let state = folder.path().join("state").display().to_string();
        fs::write(&config, format!("{}\n{receivers}", configuration(tag, kafka, &state)))?;
        let (scored, repartition) = (format!("{tag}-scored"), format!("{tag}-alerts-repartition"));
        for topic in [&scored, &repartition] {
            kafka.create_topic(topic, 1, &[])?;
            create_changelog(kafka, &changelog(&format!("{tag}-alerts"), topic), 1)?;
        }
        for topic in ["alerts", "trends", "dead-letters"] {
            kafka.create_topic(&format!("{tag}-{topic}"), 1, &[])?;
        }
        Ok(Scenario { tag, kafka, folder, config })
    }

    fn start(&self, name: &str) -> Outcome<Instance> {
        self.start_as(name, "Bearer t-1")
    }

    /// `token`: what it shows receivers.
    fn start_as(&self, name: &str, token: &str) -> Outcome<Instance> {
        let environment = [("SECRET", SECRET), ("TOKEN", token)];
        Instance::start_with(self.folder.path(), name, &self.config, &["--stages", "alerts"], &[], &environment)
    }

    /// Waits until the receivers' groups have taken the topic over: what comes from here on is told.
    fn await_receivers(&self, instance: &mut Instance, groups: &[&str]) -> Outcome<()> {
        for group in groups {
            let group = self.kafka.group(&format!("{}-{group}", self.tag))?;
            wait_until(WAIT_MAX, "the receivers' partitions", || {
                instance.check_alive()?;
                Ok(!group.committed(&self.topic())?.is_empty())
            })?;
        }
        Ok(())
    }

    fn topic(&self) -> String {
        format!("{}-alerts", self.tag)
    }

    fn write(&self, alerts: &[Value]) -> Outcome<()> {
        let record = |alert: &Value| {
            let key = alert["id"].as_str().unwrap_or_default().as_bytes().to_vec();
            Record::new(alert.to_string().into_bytes()).key(key)
        };
        self.kafka.produce(&self.topic(), &alerts.iter().map(record).collect::<Vec<_>>())?;
        Ok(())
    }
}

fn alert(id: &str, revision: u32, state: &str) -> Value {
    let mut alert = json!({
        "id": id, "revision": revision, "state": state, "rule": "volume", "signal": "volume", "scope": "brand=b",
        "labels": {"brand": "b"}, "severity": "warning", "since": "2026-11-22T10:00:00.000Z",
        "pending_time": "2026-11-22T10:01:00.000Z", "updated_time": "2026-11-22T10:02:00.000Z",
        "summary_en": "Brand b: more.", "summary_zh": "品牌 b：更多。",
        "evidence": {"observed": 40.0, "expected": 5.0, "terms": [{"name": "payment page", "count": 9.0, "lift": 8.0}]},
    });
    if state != "pending" {
        alert["firing_time"] = json!("2026-11-22T10:02:00.000Z");
    }
    if state == "resolved" {
        alert["resolved_time"] = json!("2026-11-22T10:09:00.000Z");
    }
    alert
}

/// By id and revision, in the order in which they were taken.
fn taken(posted: &[Posted]) -> Vec<(String, u64)> {
    let name = |posted: &Posted| {
        let alert = posted.json();
        (alert["id"].as_str().unwrap_or_default().to_owned(), alert["revision"].as_u64().unwrap_or_default())
    };
    posted.iter().filter(|posted| posted.status == 200).map(name).collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(id, revision)| ((*id).to_owned(), *revision)).collect()
}

fn check_signature(posted: &Posted) {
    let signature = &posted.headers["groundswell-signature"];
    let (seconds, hex) = signature.split_once(",v1=").expect("two parts");
    let seconds = seconds.strip_prefix("t=").expect("a time");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(&posted.body);
    assert_eq!(hex, hex::encode(mac.finalize().into_bytes()), "{signature}");
}

#[test]
fn a_webhook_that_fails_refuses_and_misses_restarts_is_told_each_alert_in_order() -> Outcome<()> {
    let receiver = Receiver::start(|_| 503)?;
    let section = format!(
        "[webhooks.pager]\nurl = \"{}/hook?key=path-secret\"\nsecret = {{ env = \"SECRET\" }}\n\
         authorization = {{ env = \"TOKEN\" }}\n",
        receiver.url()
    );
    let scenario = Scenario::new("notify-webhook", &section)?;
    let mut instance = scenario.start("one")?;
    scenario.await_receivers(&mut instance, &["webhook-pager"])?;

    // It is down while two alerts come, one of them twice.
    scenario.write(&[alert("a", 1, "pending"), alert("a", 2, "firing"), alert("b", 1, "firing")])?;
    wait_until(WAIT_MAX, "a first try", || Ok(!receiver.posted().is_empty()))?;
    scenario.write(&[alert("a", 3, "firing")])?;
    // The process is gone before anything was taken.
    instance.kill()?;
    let tries = receiver.posted().len();
    receiver.answer(|posted| if posted.json()["id"] == "bad" { 422 } else { 200 });
    let mut instance = scenario.start("one")?;
    wait_until(WAIT_MAX, "what came before the kill", || {
        instance.check_alive()?;
        Ok(taken(&receiver.posted()).len() >= 2)
    })?;
    let mut before = taken(&receiver.posted());
    before.sort();
    assert_eq!(before, pairs(&[("a", 3), ("b", 1)]), "each once, by its newest revision");
    assert!(receiver.posted().len() > tries && tries >= 1);

    // One that is refused does not hold up the others, and is given up.
    let mut silenced = alert("quiet", 1, "firing");
    silenced["silenced_by"] = json!("night");
    scenario.write(&[alert("bad", 1, "firing"), silenced, alert("c", 1, "firing"), alert("a", 4, "resolved")])?;
    let refused = |posted: &[Posted]| posted.iter().filter(|posted| posted.status == 422).count();
    wait_until(WAIT_MAX, "the refused one to be given up", || {
        instance.check_alive()?;
        Ok(refused(&receiver.posted()) >= 5 && taken(&receiver.posted()).len() >= 4)
    })?;
    let posted = receiver.posted();
    assert_eq!(taken(&posted)[2..], pairs(&[("c", 1), ("a", 4)]));
    assert_eq!(refused(&posted), 5);

    for one in &posted {
        let alert = one.json();
        let key = format!("{}-{}", alert["id"].as_str().unwrap_or_default(), alert["revision"]);
        assert_eq!((one.path.as_str(), &one.headers["idempotency-key"]), ("/hook?key=path-secret", &key));
        assert_eq!(one.headers["authorization"], "Bearer t-1");
        assert_eq!(one.headers["content-type"], "application/json");
        check_signature(one);
    }
    let ended = posted.iter().rfind(|posted| posted.json()["id"] == "a").map(Posted::json).ok_or("no end")?;
    assert_eq!((&ended["state"], &ended["summary_zh"]), (&json!("resolved"), &json!("品牌 b：更多。")));

    let log = instance.log();
    // The receiver repeats the path in its answers.
    let secrets: Vec<_> = [SECRET, "path-secret", "t-1\""].into_iter().filter(|secret| log.contains(*secret)).collect();
    assert!(secrets.is_empty(), "{secrets:?} in\n{log}");
    assert!(log.contains("status 422") && log.contains("given up"), "{log}");
    assert!(instance.stop()?.success(), "{}", instance.log_tail());
    Ok(())
}

#[test]
fn a_redirect_is_not_followed_and_a_hanging_receiver_holds_up_no_other() -> Outcome<()> {
    let good = Receiver::start(|_| 204)?;
    let moved = Receiver::start(|_| 307)?;
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let section = format!(
        "[webhooks.good]\nurl = \"{}\"\nmatching = {{ brand = \"b\" }}\n[webhooks.moved]\nurl = \"{}\"\n\
         [webhooks.silent]\nurl = \"http://{}\"\ntimeout_ms = 500\n",
        good.url(),
        moved.url(),
        silent.local_addr()?
    );
    let scenario = Scenario::new("notify-many", &section)?;
    let mut instance = scenario.start("one")?;
    scenario.await_receivers(&mut instance, &["webhook-good", "webhook-moved", "webhook-silent"])?;
    let mut other = alert("other", 1, "firing");
    other["labels"] = json!({"brand": "c"});
    scenario.write(&[other, alert("a", 1, "firing")])?;
    wait_until(WAIT_MAX, "the good one and tries of the others", || {
        instance.check_alive()?;
        Ok(!good.posted().is_empty() && moved.posted().len() >= 2 && instance.log().contains("no answer in time"))
    })?;
    assert_eq!(good.posted().iter().map(|posted| posted.json()["id"].clone()).collect::<Vec<_>>(), ["a"]);
    assert!(instance.log().contains("redirects are not followed"), "{}", instance.log_tail());
    assert!(instance.stop()?.success(), "{}", instance.log_tail());
    Ok(())
}

/// The real one, on a free port.
struct Alertmanager {
    child: Child,
    url: String,
}

impl Alertmanager {
    fn start(folder: &Path) -> Outcome<Alertmanager> {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join(".local/bin/alertmanager");
        let config = folder.join("alertmanager.yml");
        fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n")?;
        let port = free_port()?;
        let child = Command::new(&binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start ({error}): make fetch brings it", binary.display()))?;
        let manager = Alertmanager { child, url: format!("http://127.0.0.1:{port}") };
        wait_until(WAIT_MAX, "the Alertmanager", || Ok(ureq::get(format!("{}/-/ready", manager.url)).call().is_ok()))?;
        Ok(manager)
    }

    /// What it takes for going on.
    fn active(&self) -> Outcome<Vec<Value>> {
        let mut answer = ureq::get(format!("{}/api/v2/alerts", self.url)).call()?;
        Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn alertmanagers_know_what_goes_on_and_what_is_over() -> Outcome<()> {
    let folder = TempDir::new()?;
    let one = Alertmanager::start(folder.path())?;
    let section = |name: &str, url: &str| {
        format!(
            "[alertmanagers.{name}]\nurl = \"{url}\"\nlabels = {{ team = \"care\" }}\nresend_ms = 1000\n\
             link = \"https://watch.example/{{id}}\"\n"
        )
    };
    // The second of them is not there.
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let scenario = Scenario::new("notify-manager", &(section("one", &one.url) + &section("two", &nobody)))?;
    let mut instance = scenario.start("one")?;
    scenario.await_receivers(&mut instance, &["alertmanager-one", "alertmanager-two"])?;
    scenario.write(&[alert("a", 1, "firing"), alert("a", 2, "firing")])?;
    let mut seen = Vec::new();
    wait_until(WAIT_MAX, "the alert in the Alertmanager", || {
        instance.check_alive()?;
        seen = one.active()?;
        Ok(!seen.is_empty())
    })?;
    assert_eq!(
        seen[0]["labels"],
        json!({"alertname": "volume", "signal": "volume", "scope": "brand=b", "severity": "warning", "brand": "b",
               "team": "care"})
    );
    assert_eq!(seen[0]["annotations"]["summary"], "Brand b: more.");
    assert_eq!(seen[0]["annotations"]["terms"], "payment page");
    assert_eq!(seen[0]["generatorURL"], "https://watch.example/a");
    assert_eq!(seen[0]["startsAt"], "2026-11-22T10:00:00.000Z");

    // It goes on: its end is moved further, also by a process that was not there when it began.
    instance.kill()?;
    let mut instance = scenario.start("one")?;
    let ends = |seen: &[Value]| seen.first().and_then(|alert| alert["endsAt"].as_str().map(str::to_owned));
    let first = ends(&seen);
    wait_until(WAIT_MAX, "its end to be moved", || {
        instance.check_alive()?;
        let seen = one.active()?;
        Ok(ends(&seen).is_some() && ends(&seen) > first)
    })?;

    // Another severity is another alert to it, and the one before is over.
    let mut worse = alert("a", 3, "firing");
    worse["severity"] = json!("critical");
    scenario.write(&[worse])?;
    wait_until(WAIT_MAX, "the severity", || {
        instance.check_alive()?;
        let severities: Vec<Value> = one.active()?.iter().map(|alert| alert["labels"]["severity"].clone()).collect();
        Ok(severities == ["critical"])
    })?;
    let mut over = alert("a", 4, "resolved");
    over["severity"] = json!("critical");
    scenario.write(&[over])?;
    wait_until(WAIT_MAX, "the end", || {
        instance.check_alive()?;
        Ok(one.active()?.is_empty())
    })?;
    assert!(instance.stop()?.success(), "{}", instance.log_tail());
    Ok(())
}

/// Whoever the partition of an alert has left tells nobody of it again: it would not hear of its end.
#[test]
fn an_alert_that_moved_to_another_instance_is_over_for_both() -> Outcome<()> {
    let receiver = Receiver::start(|_| 200)?;
    let section = format!(
        "[alertmanagers.main]\nurl = \"{}\"\nresend_ms = 500\nauthorization = {{ env = \"TOKEN\" }}\n",
        receiver.url()
    );
    let scenario = Scenario::new("notify-moved", &section)?;
    // The only partition is the first member's by name.
    let mut former = scenario.start_as("z", "z")?;
    scenario.await_receivers(&mut former, &["alertmanager-main"])?;
    scenario.write(&[alert("a", 1, "firing")])?;
    let told = |token: &str, id: &str| -> Vec<Value> {
        let by = |posted: &Posted| posted.headers.get("authorization").is_some_and(|value| value == token);
        let posted: Vec<Posted> = receiver.posted().into_iter().filter(by).collect();
        let alerts = posted.iter().flat_map(|posted| posted.json().as_array().cloned().unwrap_or_default());
        alerts.filter(|alert| alert["annotations"]["alert_id"] == id).collect()
    };
    wait_until(WAIT_MAX, "the alert to be told again", || {
        former.check_alive()?;
        Ok(told("z", "a").len() >= 2)
    })?;
    let mut owner = scenario.start_as("b", "b")?;
    wait_until(WAIT_MAX, "the other instance to tell it again", || {
        owner.check_alive()?;
        Ok(!told("b", "a").is_empty())
    })?;
    let before = told("z", "a").len();
    scenario.write(&[alert("a", 2, "resolved"), alert("c", 1, "firing")])?;
    wait_until(WAIT_MAX, "another one to be told again and again", || {
        former.check_alive()?;
        owner.check_alive()?;
        Ok(told("b", "c").len() >= 6)
    })?;
    let last = told("b", "a").pop().ok_or("no end")?;
    assert_eq!((&last["annotations"]["state"], told("z", "a").len()), (&json!("resolved"), before));
    for mut instance in [owner, former] {
        assert!(instance.stop()?.success(), "{}", instance.log_tail());
    }
    Ok(())
}

fn configuration(tag: &str, kafka: &Kafka, state: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."session.timeout.ms" = 6000
[delivery]
transaction_timeout_ms = 6000
[inputs.reviews]
kind = "review"
topics = ["{tag}-reviews"]
[outputs]
reviews = "{tag}-scored"
alerts = "{tag}-alerts"
trends = "{tag}-trends"
dead_letters = "{tag}-dead-letters"
[alerts]
enabled = true
partitions = 1
[state]
directory = "{state}"
[http]
listen = "off"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
    )
}
