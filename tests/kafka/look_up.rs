//! Look-ups over HTTP against the real Kafka: two instances that share the partitions of clicks, asked about every user
//! on either; nothing that is not committed; a token; and the whole again after one of them is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::remembered::create_changelog;
use crate::support::{Instance, Kafka, Outcome, SOON, wait_until};

const PARTITIONS: i32 = 4;
const USERS: usize = 24;
const TOKEN: &str = "correct-horse-battery";
/// 2026-01-05.
const START_MS: i64 = 1_767_571_200_000;

#[test]
fn a_user_is_found_whichever_instance_is_asked_where_java_wrote() -> Outcome<()> {
    everybody_is_found("look-up-murmur2", "murmur2", "murmur2_random")
}

#[test]
fn a_user_is_found_whichever_instance_is_asked_where_librdkafka_wrote() -> Outcome<()> {
    everybody_is_found("look-up-crc32", "crc32", "consistent_random")
}

fn everybody_is_found(tag: &'static str, configured: &str, producers: &str) -> Outcome<()> {
    let stand = Stand::new(tag, configured, producers)?;
    let mut instances = [stand.start("a", 0, "redirect")?, stand.start("b", 1, "proxy")?];
    let users: Vec<String> = (0..USERS).map(|n| format!("用户 {n}/é")).collect();
    for (n, user) in users.iter().enumerate() {
        stand.click(n, user, "view")?;
        stand.click(USERS + n, user, "purchase")?;
    }
    let expected = stand.told(2 * USERS)?;
    stand.wait_until_shared(&mut instances, &users)?;

    let mut answered_by_first = BTreeSet::new();
    for user in &users {
        let (profile, session) = &expected[user];
        let path = format!("/v1/profiles/{}", encoded(user));
        // The first instance redirects, the second asks for whom it is asked.
        let (status, mut found, location) = stand.get(0, &path)?;
        match status {
            200 => drop(answered_by_first.insert(user)),
            307 => {
                let location = location.ok_or("a redirect that leads nowhere")?;
                assert_eq!(found["error"], "another instance has the user");
                let base = format!("http://{}", stand.addresses[1]);
                let path = location.strip_prefix(&base).ok_or_else(|| format!("{location} is not at {base}"))?;
                found = stand.get(1, path)?.1;
            }
            other => return Err(format!("{other} for {user}: {found}").into()),
        }
        assert_eq!(&found, profile, "{user}, asked of the first");
        assert_eq!(stand.get(1, &path)?.1, *profile, "{user}, asked of the second");
        let sessions = stand.get(1, &format!("/v1/sessions/{}", encoded(user)))?.1;
        assert_eq!(sessions["sessions"], Value::from(vec![session.clone()]), "{user}");
    }
    let here = answered_by_first.len();
    assert!((1..USERS).contains(&here), "each instance has some: {here} of {USERS}");
    stand.strangers()?;

    instances[1].kill()?;
    wait_until(SOON, "one instance for all", || {
        instances[0].check_alive()?;
        let all = users.iter().map(|user| Ok(stand.get(0, &format!("/v1/profiles/{}", encoded(user)))?.0 == 200));
        Ok(all.collect::<Outcome<Vec<bool>>>()?.into_iter().all(|found| found))
    })?;
    for user in &users {
        assert_eq!(stand.get(0, &format!("/v1/profiles/{}", encoded(user)))?.1, expected[user].0, "{user}, restored");
    }
    assert!(instances[0].stop()?.success());
    println!("{USERS} users found on both instances, {here} of them on the first; all on one after a kill");
    Ok(())
}

/// A click is looked up no earlier than a reader of committed records can see what came of it.
#[test]
fn what_is_not_committed_is_not_seen() -> Outcome<()> {
    let stand = Stand::new("look-up-commits", "murmur2", "murmur2_random")?;
    let mut instance = stand.start("a", 0, "proxy")?;
    let (mut waited, mut seen) = (0, 0);
    for n in 0..3 {
        stand.click(n, "u", "view")?;
        wait_until(SOON, "the click to be looked up", || {
            instance.check_alive()?;
            // Not listening yet.
            let Ok((status, found, _)) = stand.get(0, "/v1/profiles/u") else { return Ok(false) };
            seen = if status == 200 { found["clicks"].as_u64().unwrap_or_default() } else { 0 };
            assert!(seen <= n as u64 + 1, "{found}");
            waited += usize::from(seen <= n as u64);
            Ok(seen > n as u64)
        })?;
        let visible = stand.kafka.read_committed(&stand.name("scored"))?.len();
        assert!(visible as u64 >= seen, "{seen} clicks looked up, {visible} results can be read");
    }
    assert!(waited > 10, "epochs take their time, and what they hold was asked for meanwhile: {waited}");
    assert!(instance.stop()?.success());
    Ok(())
}

/// Without the topic of owners an instance cannot say whom to ask, so it is not ready for questions.
#[test]
fn who_does_not_know_the_others_is_not_ready() -> Outcome<()> {
    let stand = Stand::without_owners("look-up-owners", "murmur2", "murmur2_random")?;
    let mut instance = stand.start("a", 0, "proxy")?;
    let mut last = Value::Null;
    let ready = |last: &mut Value| {
        // Not listening yet.
        let Ok((status, body, _)) = stand.ask(0, "/readyz", None) else { return 0 };
        *last = body;
        status
    };
    let missing = |body: &Value| -> Vec<String> {
        let missing = body["missing"].as_array().cloned().unwrap_or_default();
        missing.iter().filter_map(|why| why.as_str().map(str::to_owned)).collect()
    };
    wait_until(SOON, "nothing but the owners to be missing", || {
        instance.check_alive()?;
        let status = ready(&mut last);
        assert_ne!(status, 200, "{last}");
        Ok(matches!(&missing(&last)[..], [only] if only.starts_with("table `owners` is being read since ")))
    })
    .map_err(|error| format!("{error}: {last}"))?;
    stand.kafka.create_topic(&stand.name("owners"), 1, &[("cleanup.policy", "compact")])?;
    wait_until(SOON, "the instance to be ready", || Ok(ready(&mut last) == 200))?;
    assert!(instance.stop()?.success());
    Ok(())
}

struct Stand {
    tag: &'static str,
    kafka: &'static Kafka,
    folder: TempDir,
    config: PathBuf,
    addresses: [String; 2],
    writer: ThreadedProducer<DefaultProducerContext>,
}

impl Stand {
    fn new(tag: &'static str, partitioner: &str, producers: &str) -> Outcome<Stand> {
        let stand = Stand::without_owners(tag, partitioner, producers)?;
        stand.kafka.create_topic(&stand.name("owners"), 1, &[("cleanup.policy", "compact")])?;
        Ok(stand)
    }

    fn without_owners(tag: &'static str, partitioner: &str, producers: &str) -> Outcome<Stand> {
        let kafka = Kafka::shared()?;
        let folder = TempDir::new()?;
        let config = folder.path().join("groundswell.toml");
        fs::write(&config, configuration(tag, kafka, partitioner, &folder.path().join("state").display().to_string()))?;
        for topic in ["clicks", "scored", "profiles", "dead-letters"] {
            kafka.create_topic(&format!("{tag}-{topic}"), PARTITIONS, &[])?;
        }
        let changelog = groundswell::runtime::changelog(&format!("{tag}-clicks"), &format!("{tag}-clicks"));
        create_changelog(kafka, &changelog, PARTITIONS)?;
        // Held until both are known: two sockets get two ports.
        let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let addresses = [ports[0].local_addr()?.to_string(), ports[1].local_addr()?.to_string()];
        let writer = kafka.client().set("partitioner", producers).set("linger.ms", "0").create()?;
        Ok(Stand { tag, kafka, folder, config, addresses, writer })
    }

    fn name(&self, topic: &str) -> String {
        format!("{}-{topic}", self.tag)
    }

    fn start(&self, name: &str, place: usize, elsewhere: &str) -> Outcome<Instance> {
        let address = &self.addresses[place];
        let sets = [
            format!("http.listen={address}"),
            format!("http.advertised_url=http://{address}"),
            format!("http.elsewhere={elsewhere}"),
            // One of them is two members of the group.
            format!("clicks.engines={}", place + 1),
        ];
        Instance::start(self.folder.path(), name, &self.config, &sets, &[("LOOK_UP_TOKEN", TOKEN)])
    }

    /// Keyed by the user, and put where this producer puts such keys.
    fn click(&self, number: usize, user: &str, action: &str) -> Outcome<()> {
        let click = serde_json::json!({"event_id": format!("c-{number}"), "event_time": START_MS + 1000 * number as i64,
            "user": user, "item": "p", "category": "things", "price": 9.5, "action": action});
        let (topic, payload) = (self.name("clicks"), click.to_string());
        self.writer.send(BaseRecord::to(&topic).key(user).payload(&payload)).map_err(|(error, _)| error)?;
        Ok(self.writer.flush(SOON)?)
    }

    /// Waits until so many clicks are scored; by user, the last profile and the last session that were written, the profile
    /// without the click that it was made at, which the state does not keep.
    fn told(&self, clicks: usize) -> Outcome<BTreeMap<String, (Value, Value)>> {
        wait_until(SOON, "all clicks scored", || Ok(self.kafka.read_committed(&self.name("scored"))?.len() == clicks))?;
        let last = |topic: &str| -> Outcome<BTreeMap<String, Value>> {
            let mut last = BTreeMap::new();
            for record in self.kafka.read_committed(&self.name(topic))? {
                let value: Value = serde_json::from_slice(record.payload.as_deref().unwrap_or_default())?;
                last.insert(value["user"].as_str().ok_or("no user")?.to_owned(), value);
            }
            Ok(last)
        };
        let (mut profiles, scored) = (last("profiles")?, last("scored")?);
        profiles.values_mut().filter_map(Value::as_object_mut).for_each(|profile| drop(profile.remove("origin")));
        let session = |user: &String| scored.get(user).map(|scored| scored["session"].clone());
        let both = profiles.into_iter().filter_map(|(user, profile)| Some((user.clone(), (profile, session(&user)?))));
        Ok(both.collect())
    }

    /// Waits until every user is found on both, which have some partitions each.
    fn wait_until_shared(&self, instances: &mut [Instance], users: &[String]) -> Outcome<()> {
        let mut last = String::new();
        let shared = wait_until(SOON, "both instances to answer", || {
            instances.iter_mut().try_for_each(Instance::check_alive)?;
            let mut here = 0;
            for user in users {
                let path = format!("/v1/profiles/{}", encoded(user));
                // Not listening yet, or not restored yet.
                let (Ok((first, ..)), Ok((second, body, _))) = (self.get(0, &path), self.get(1, &path)) else {
                    return Ok(false);
                };
                if !matches!(first, 200 | 307) || second != 200 {
                    last = format!("{user}: {first}, {second}: {body}");
                    return Ok(false);
                }
                here += usize::from(first == 200);
            }
            last = format!("{here} of {} on the first", users.len());
            Ok(here > 0 && here < users.len())
        });
        shared.map_err(|error| format!("{error}; last: {last}\n{}", instances[0].log_tail()).into())
    }

    /// Who is not known, and who may not ask.
    fn strangers(&self) -> Outcome<()> {
        assert_eq!(self.get(1, "/v1/profiles/nobody-0")?.0, 404);
        let owner_or_way = self.get(0, "/v1/profiles/nobody-0")?.0;
        assert!(matches!(owner_or_way, 307 | 404), "{owner_or_way}");
        assert_eq!(self.get(0, "/v1/recommendations/u")?.0, 404, "none are made");
        for token in [None, Some("another-horse-battery")] {
            let (status, body, _) = self.ask(0, "/v1/profiles/u", token)?;
            assert_eq!(status, 401, "{body}");
        }
        assert_eq!(self.ask(0, "/readyz", None)?.0, 200);
        Ok(())
    }

    fn get(&self, place: usize, path: &str) -> Outcome<(u16, Value, Option<String>)> {
        self.ask(place, path, Some(TOKEN))
    }

    /// Status, body and where a redirect leads; none is followed.
    fn ask(&self, place: usize, path: &str, token: Option<&str>) -> Outcome<(u16, Value, Option<String>)> {
        let agent = ureq::Agent::config_builder().proxy(None).max_redirects(0).max_redirects_will_error(false);
        let agent = agent.timeout_global(Some(SOON)).http_status_as_error(false).build().new_agent();
        let mut request = agent.get(format!("http://{}{path}", self.addresses[place]));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call()?;
        let location = response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((response.status().as_u16(), response.body_mut().read_json()?, location))
    }
}

/// In percent-encoding, all of it.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn configuration(tag: &str, kafka: &Kafka, partitioner: &str, state: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{tag}"
librdkafka."session.timeout.ms" = 6000
[delivery]
transaction_timeout_ms = 6000
epoch_ms_max = 1000
[inputs.clicks]
kind = "click"
topics = ["{tag}-clicks"]
[outputs]
clicks = "{tag}-scored"
profiles = "{tag}-profiles"
dead_letters = "{tag}-dead-letters"
[recommendations]
enabled = false
[state]
directory = "{state}"
[http]
token = {{ env = "LOOK_UP_TOKEN" }}
partitioner = "{partitioner}"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
    )
}
