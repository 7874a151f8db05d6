//! Commands against a real broker.

mod backtest;
mod dead_letters;
mod replay;
mod topics;

use crate::support::{Kafka, Outcome};

/// A configuration of a test's own: topics and groups that begin with its name.
struct Setup {
    kafka: &'static Kafka,
    name: &'static str,
    sets: Vec<String>,
}

impl Setup {
    fn new(name: &'static str) -> Outcome<Self> {
        let kafka = Kafka::shared()?;
        let sets = vec![
            format!("kafka.bootstrap_servers={}", kafka.bootstrap()),
            format!("kafka.group_prefix={name}"),
            format!("inputs.reviews.topics=[\"{name}-reviews\"]"),
            format!("inputs.chats.topics=[\"{name}-chats\"]"),
            format!("outputs.reviews={name}-reviews.scored"),
            format!("outputs.chats={name}-chats.scored"),
            format!("inputs.clicks.topics=[\"{name}-clicks\"]"),
            format!("outputs.clicks={name}-clicks.scored"),
            format!("outputs.profiles={name}-profiles"),
            format!("outputs.recommendations={name}-recommendations"),
            format!("outputs.dead_letters={name}-dead-letters"),
        ];
        Ok(Self { kafka, name, sets })
    }

    fn set(mut self, set: &str) -> Self {
        self.sets.push(set.to_owned());
        self
    }

    /// A topic of this test.
    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// A command's arguments, then the configuration.
    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        arguments.iter().copied().chain(self.sets.iter().flat_map(|set| ["--set", set])).collect()
    }

    fn groundswell(&self, arguments: &[&str]) -> Outcome<super::Said> {
        super::groundswell(&self.arguments(arguments))
    }
}
