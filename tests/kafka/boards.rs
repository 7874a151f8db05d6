//! Alerts and trends over HTTP against the real Kafka: whichever instance is asked tells of all that the topics hold, as
//! it was committed last.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::remembered::create_changelog;
use crate::support::{Instance, Kafka, Outcome, Record, SOON, wait_until};

const TAG: &str = "boards";

#[test]
fn any_instance_tells_of_all_alerts_and_trends() -> Outcome<()> {
    let kafka = Kafka::shared()?;
    let folder = TempDir::new()?;
    let config = folder.path().join("groundswell.toml");
    fs::write(&config, configuration(kafka, &folder.path().join("state").display().to_string()))?;
    for (topic, partitions) in [("scored", 2), ("alerts-repartition", 2)] {
        kafka.create_topic(&format!("{TAG}-{topic}"), partitions, &[])?;
        let changelog = groundswell::runtime::changelog(&format!("{TAG}-alerts"), &format!("{TAG}-{topic}"));
        create_changelog(kafka, &changelog, partitions)?;
    }
    for topic in ["alerts", "trends"] {
        kafka.create_topic(&format!("{TAG}-{topic}"), 3, &[("cleanup.policy", "compact")])?;
    }
    kafka.create_topic(&format!("{TAG}-dead-letters"), 1, &[])?;
    let sample = |name: &str| -> Outcome<Value> {
        let path = format!("{}/schemas/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    };
    let alert = |id: &str, state: &str, revision: u32| -> Outcome<Value> {
        let mut alert = sample("alert")?;
        (alert["id"], alert["state"], alert["revision"]) = (json!(id), json!(state), json!(revision));
        Ok(alert)
    };
    let trend = sample("trend")?;
    let before =
        [alert("a", "pending", 1)?, alert("b", "firing", 1)?, alert("c", "resolved", 2)?, alert("a", "firing", 2)?];
    put_alerts(kafka, &before)?;
    let key = "brand=Nova 1795341600000";
    kafka.produce(&format!("{TAG}-trends"), &[Record::new(trend.to_string()).key(key)])?;

    let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let addresses = [ports[0].local_addr()?.to_string(), ports[1].local_addr()?.to_string()];
    drop(ports);
    let start = |name: &str, address: &str| {
        let arguments = ["--stages", "alerts"];
        Instance::start_with(folder.path(), name, &config, &arguments, &[format!("http.listen={address}")], &[])
    };
    let mut instances = [start("a", &addresses[0])?, start("b", &addresses[1])?];
    for (instance, address) in instances.iter_mut().zip(&addresses) {
        let mut tells = |path: &str, expected: &Value| {
            wait_until(SOON, &format!("{expected} from {path}"), || {
                instance.check_alive()?;
                // Not listening yet, or not all read yet.
                Ok(get(address, path).is_ok_and(|(status, found)| status == 200 && found == *expected))
            })
        };
        let open = json!({"alerts": [before[3], before[1]], "matching": 2, "complete": true});
        tells("/v1/alerts", &open)?;
        tells("/v1/alerts?state=resolved", &json!({"alerts": [before[2]], "matching": 1, "complete": true}))?;
        let all = json!({"trends": [trend], "oldest_time": trend["start_time"]});
        tells("/v1/trends?scope=brand%3DNova", &all)?;
    }
    // How it stands changes, and both hear of it.
    put_alerts(kafka, &[alert("a", "resolved", 3)?])?;
    for address in &addresses {
        wait_until(SOON, "the end of an alert", || {
            Ok(get(address, "/v1/alerts")?.1 == json!({"alerts": [before[1]], "matching": 1, "complete": true}))
        })?;
    }
    for instance in &mut instances {
        assert!(instance.stop()?.success(), "{}", instance.log_tail());
    }
    Ok(())
}

fn put_alerts(kafka: &Kafka, alerts: &[Value]) -> Outcome<()> {
    let id = |alert: &Value| alert["id"].as_str().unwrap_or_default().to_owned();
    let records: Vec<Record> = alerts.iter().map(|alert| Record::new(alert.to_string()).key(id(alert))).collect();
    kafka.produce(&format!("{TAG}-alerts"), &records)?;
    Ok(())
}

fn get(address: &str, path: &str) -> Outcome<(u16, Value)> {
    let agent =
        ureq::Agent::config_builder().proxy(None).timeout_global(Some(SOON)).http_status_as_error(false).build();
    let mut response = agent.new_agent().get(format!("http://{address}{path}")).call()?;
    Ok((response.status().as_u16(), response.body_mut().read_json()?))
}

fn configuration(kafka: &Kafka, state: &str) -> String {
    format!(
        r#"
[kafka]
bootstrap_servers = "{bootstrap}"
group_prefix = "{TAG}"
[inputs.reviews]
kind = "review"
topics = ["{TAG}-reviews"]
[outputs]
reviews = "{TAG}-scored"
alerts = "{TAG}-alerts"
trends = "{TAG}-trends"
dead_letters = "{TAG}-dead-letters"
[alerts]
enabled = true
partitions = 2
[state]
directory = "{state}"
[log]
format = "json"
"#,
        bootstrap = kafka.bootstrap(),
    )
}
