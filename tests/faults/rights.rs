//! Rights that are missing: the process ends and names them, whichever request is refused.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::RDKafkaApiKey as Api;
use rdkafka::types::RDKafkaRespErr as Answer;
use tempfile::TempDir;

use crate::support::{Instance, Outcome};

/// Far more tries than an instance makes before it should have given up.
const ALWAYS: usize = 1000;

/// What is refused, with which settings, and what the last words must say.
struct Row {
    name: &'static str,
    refused: Refused,
    sets: &'static [&'static str],
    says: &'static str,
}

enum Refused {
    Request(Api, Answer),
    Topic(&'static str),
}

const TOPIC: Answer = Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
const GROUP: Answer = Answer::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
const TRANSACTIONAL_ID: Answer = Answer::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
const CLUSTER: Answer = Answer::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
const AT_LEAST_ONCE: &[&str] = &["delivery.mode=at_least_once"];

const ROWS: [Row; 9] = [
    Row {
        name: "begin",
        refused: Refused::Request(Api::InitProducerId, TRANSACTIONAL_ID),
        sets: &[],
        says: "WRITE on transactional id rights-text-begin",
    },
    Row { name: "output", refused: Refused::Topic("scored"), sets: &[], says: "WRITE on topic scored" },
    Row { name: "produce", refused: Refused::Request(Api::Produce, TOPIC), sets: &[], says: "WRITE on topic scored" },
    Row {
        name: "offsets",
        refused: Refused::Request(Api::AddOffsetsToTxn, GROUP),
        sets: &[],
        says: "READ on group rights-text",
    },
    Row {
        name: "commit",
        refused: Refused::Request(Api::TxnOffsetCommit, TOPIC),
        sets: &[],
        says: "READ on topic reviews",
    },
    Row {
        name: "end",
        refused: Refused::Request(Api::EndTxn, TRANSACTIONAL_ID),
        sets: &[],
        says: "WRITE on transactional id rights-text-end",
    },
    Row {
        name: "plain-produce",
        refused: Refused::Request(Api::InitProducerId, CLUSTER),
        sets: AT_LEAST_ONCE,
        says: "IDEMPOTENT_WRITE on the cluster",
    },
    Row {
        name: "plain-commit",
        refused: Refused::Request(Api::OffsetCommit, GROUP),
        sets: AT_LEAST_ONCE,
        says: "READ on group rights-text",
    },
    Row {
        name: "start",
        refused: Refused::Request(Api::OffsetCommit, GROUP),
        sets: &["kafka.start_from=latest"],
        says: "READ on group rights-text",
    },
];

#[test]
fn a_missing_right_ends_the_process_and_is_named() -> Outcome<()> {
    let folder = TempDir::new()?;
    let mut under_way = Vec::new();
    for row in &ROWS {
        let broker = MockCluster::new(1)?;
        for topic in ["reviews", "scored", "letters"] {
            broker.create_topic(topic, 1, 1)?;
        }
        write_review(&broker)?;
        match row.refused {
            Refused::Request(api, answer) => broker.request_errors(api, &[answer; ALWAYS]),
            Refused::Topic(topic) => broker.topic_error(topic, TOPIC)?,
        }
        under_way.push((start(folder.path(), row, &broker)?, broker));
    }
    for (row, (instance, _broker)) in ROWS.iter().zip(&mut under_way) {
        let status = instance.wait()?;
        let (log, tail) = (instance.log(), instance.log_tail());
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains(row.says), "{}: {:?} is not said:\n{tail}", row.name, row.says);
        assert_eq!(status.code(), Some(3), "{}:\n{tail}", row.name);
    }
    Ok(())
}

fn start(folder: &Path, row: &Row, broker: &MockCluster<'_, DefaultProducerContext>) -> Outcome<Instance> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert");
    let config = folder.join(format!("{}.toml", row.name));
    let text = format!(
        "[kafka]\nbootstrap_servers = \"{}\"\ngroup_prefix = \"rights\"\n\
         [inputs.reviews]\nkind = \"review\"\ntopics = [\"reviews\"]\n\
         [outputs]\nreviews = \"scored\"\nchats = \"scored-chats\"\ndead_letters = \"letters\"\n\
         [models.text]\npath = \"{}\"\nkinds = [\"review\"]\n\
         [inference]\nworkers = 1\n[http]\nlisten = \"off\"\n",
        broker.bootstrap_servers(),
        model.display(),
    );
    fs::write(&config, text)?;
    let sets: Vec<String> = row.sets.iter().map(|set| (*set).to_owned()).collect();
    Instance::start(folder, row.name, &config, &sets, &[])
}

fn write_review(broker: &MockCluster<'_, DefaultProducerContext>) -> Outcome<()> {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create()?;
    let payload = r#"{"text": "good enough, would buy again"}"#;
    producer.send(BaseRecord::<(), str>::to("reviews").payload(payload)).map_err(|(error, _)| error)?;
    Ok(producer.flush(Duration::from_secs(30))?)
}
