//! `private`: what redaction removes is seen nowhere: no output, dead letter, log line or metric.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Fate, Instance, Kafka, Outcome, Record, Stand};

/// What is planted, by what it is. None of them occurs in anything else that a test writes.
const SECRETS: [(&str, &str); 9] = [
    ("phone", "13987654321"),
    ("foreign phone", "+44 20 7946 0958"),
    ("e-mail", "planted.person@secret.example"),
    ("identity card", "11010519491231002X"),
    ("bank card", "4111111111111111"),
    ("token", "tok3nZ9f8e7d6c5b4a"),
    ("IP address", "203.0.113.77"),
    ("order", "ORD-77441122"),
    ("user", "planted-user-4711"),
];
const CONFIGURATION: &str = r#"
[inputs.chats]
kind = "chat"
topics = ["secrets-chats"]
[text]
include_text = true
[redaction]
user = "pseudonym"
user_secret = { env = "PLANTED_USER_SECRET" }
[redaction.patterns]
order_number = "ORD-[0-9]{8}"
[log]
filter = "debug"
"#;
const USER_SECRET: &str = "the-planted-hmac-secret";
const LETTER_KEY: &str = "6b1f0c9c5f0d4a3e8b7a69584736251409f8e7d6c5b4a39281706f5e4d3c2b1a";

#[test]
fn nothing_planted_is_seen_where_dead_letters_withhold() -> Outcome<()> {
    let mut test = Planted::new("secrets", &["dead_letters.payload=withheld"])?;
    test.run()?;
    test.search(&test.letters()?)
}

#[test]
fn nothing_planted_is_seen_where_dead_letters_are_encrypted() -> Outcome<()> {
    let sets = ["dead_letters.payload=encrypted", "dead_letters.key.env=PLANTED_LETTER_KEY"];
    let mut test = Planted::new("secrets-encrypted", &sets)?;
    test.run()?;
    let letters = test.letters()?;
    assert!(letters.iter().all(|letter| letter.payload.as_ref().is_some_and(|payload| payload.len() > 12)));
    test.search(&letters)
}

/// The stated exception: a raw dead letter is the record as it came. Only there, and not in our own headers.
#[test]
fn a_raw_dead_letter_shows_the_record_and_nothing_else_does() -> Outcome<()> {
    let mut test = Planted::new("secrets-raw", &["dead_letters.payload=raw"])?;
    test.run()?;
    let mut letters = test.letters()?;
    let shown: BTreeSet<&str> = letters.iter().flat_map(|letter| found_in(&bytes_of(letter))).collect();
    assert!(shown.contains("phone") && shown.contains("user"), "raw means raw: {shown:?}");
    for letter in &mut letters {
        (letter.payload, letter.key) = (None, None);
        letter.headers.retain(|(name, _)| name.starts_with("groundswell."));
    }
    test.search(&letters)
}

struct Planted {
    stand: Stand<'static>,
    instance: Instance,
}

impl Planted {
    fn new(tag: &'static str, sets: &[&str]) -> Outcome<Self> {
        let stand =
            Stand::new(Kafka::shared()?, tag, 1, &CONFIGURATION.replace("secrets-chats", &format!("{tag}-chats")))?;
        stand.topic("chats", 1, &[])?;
        let environment = [("PLANTED_USER_SECRET", USER_SECRET), ("PLANTED_LETTER_KEY", LETTER_KEY)];
        let instance = stand.start_with_http("a", sets, &environment)?;
        Ok(Self { stand, instance })
    }

    /// Each secret in good texts, and in records that are refused for every reason that can quote something.
    fn run(&mut self) -> Outcome<()> {
        for (_, secret) in SECRETS {
            let user = "planted-user-4711";
            let text = if secret == user { "good".to_owned() } else { format!("问一下 {} 谢谢", written(secret)) };
            let good = json!({"text": text, "user": user});
            self.stand.write("reviews", &[Record::new(good.to_string())], Fate::Scored)?;
            self.stand.write("chats", &[Record::new(good.to_string())], Fate::Scored)?;
            self.stand.write("reviews", &poison(secret), Fate::DeadLettered)?;
        }
        self.stand.wait_until_ready(true)?;
        self.stand.wait_until_processed(&mut [&mut self.instance])?;
        self.stand.judge()
    }

    fn letters(&self) -> Outcome<Vec<Record>> {
        self.stand.kafka.read_committed(&self.stand.name("dead-letters"))
    }

    fn search(&mut self, letters: &[Record]) -> Outcome<()> {
        let mut places: Vec<(String, Vec<u8>)> = Vec::new();
        for topic in ["reviews.scored", "chats.scored"] {
            for record in self.stand.kafka.read_committed(&self.stand.name(topic))? {
                places.push((format!("{topic}/{}", record.offset), bytes_of(&record)));
            }
        }
        assert_eq!(places.len(), SECRETS.len() * 2, "every good text is scored");
        places.extend(letters.iter().map(|letter| (format!("dead-letters/{}", letter.offset), bytes_of(letter))));
        for page in ["/metrics", "/readyz", "/healthz", "/"] {
            places.push((page.to_owned(), self.stand.get(page)?.1.into_bytes()));
        }
        self.instance.stop()?;
        let log = self.instance.log();
        assert!(log.contains("DEBUG"), "the log must be searched at the level debug");
        places.push(("log".to_owned(), log.into_bytes()));
        let seen: Vec<String> = places
            .iter()
            .flat_map(|(place, bytes)| found_in(bytes).into_iter().map(move |what| format!("{what} in {place}")))
            .collect();
        assert!(seen.is_empty(), "{seen:#?}");
        Ok(())
    }
}

/// As it stands in a text.
fn written(secret: &str) -> String {
    match secret {
        "tok3nZ9f8e7d6c5b4a" => format!("https://shop.example/reset?token={secret}"),
        _ => secret.to_owned(),
    }
}

fn poison(secret: &str) -> Vec<Record> {
    let refused = [
        format!("{{\"text\": \"never closed {secret}"),
        format!("{secret} is no JSON"),
        json!([secret]).to_string(),
        json!({"text": [secret]}).to_string(),
        json!({"text": {"a": secret}}).to_string(),
        json!({"text": "", "user": secret}).to_string(),
        json!({"text": " ", "user": secret}).to_string(),
        json!({"text": "a", "rating": format!("x{secret}")}).to_string(),
        json!({"text": "a", "event_time": format!("x{secret}")}).to_string(),
        json!({"text": "a", "attributes": secret}).to_string(),
        json!({"text": "a", "product": {secret: 1}}).to_string(),
        json!({"text": format!("from the future {secret}"), "event_time": "2199-01-01T00:00:00Z"}).to_string(),
    ];
    let bad_utf8 = [secret.as_bytes(), b"\xff"].concat();
    let records = refused.into_iter().map(String::into_bytes).chain([bad_utf8]).map(Record::new);
    records.map(|record| record.key(secret).header("from", secret)).collect()
}

/// Everything that a reader of the record gets.
fn bytes_of(record: &Record) -> Vec<u8> {
    let headers = record.headers.iter().flat_map(|(name, value)| [Some(name.clone().into_bytes()), value.clone()]);
    let parts = [record.key.clone(), record.payload.clone()].into_iter().chain(headers);
    parts.flatten().flat_map(|part| [part, vec![b'\n']].concat()).collect()
}

/// What of the planted is in these bytes, the configuration's own secrets included.
fn found_in(bytes: &[u8]) -> Vec<&'static str> {
    let own = [("HMAC secret", USER_SECRET), ("letter key", LETTER_KEY)];
    let text = String::from_utf8_lossy(bytes);
    SECRETS.into_iter().chain(own).filter(|(_, secret)| text.contains(secret)).map(|(what, _)| what).collect()
}
