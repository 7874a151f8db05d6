//! The clicks stage, exactly once on the real Kafka, against the plain loop over the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use groundswell::config::Settings;
use groundswell::runtime::{self, Passage, Purchase, Purpose, Running, UserLookUps};
use groundswell::telemetry::Health;

use super::Outcome;
use super::broker::{Broker, Record, Supply};
use super::progress::Progress;

pub struct Trial<'a> {
    broker: &'a Broker,
    progress: Progress,
    running: Running,
    began: Instant,
}

/// What the state takes.
pub struct Size {
    /// In memory.
    pub entries: f64,
    /// Bytes in memory, what they may be, and bytes on disk.
    pub memory: f64,
    pub limit: f64,
    pub local: f64,
}

impl<'a> Trial<'a> {
    /// With the default settings but for the overrides: sessions, features, the purchase model, profiles and segments.
    pub fn start(broker: &'a Broker, name: &str, overrides: &[&str]) -> Outcome<Trial<'a>> {
        super::trial::metrics();
        let settings = broker.settings(name, overrides)?;
        let input = format!("{name}-clicks");
        let changelog = runtime::changelog(&format!("{name}-clicks"), &input);
        let topics = [input.clone(), settings.outputs.clicks.clone(), settings.outputs.profiles.clone()];
        broker.create_topics(&topics)?;
        broker.create_topics(&[changelog, settings.outputs.dead_letters.clone()])?;
        for Passage { topic, purpose } in runtime::passages(&settings) {
            if let Purpose::Repartition { owner } = purpose {
                broker.create_topics(&[runtime::changelog(&format!("{name}-{owner}"), &topic)])?;
            }
            broker.create_topics(&[topic])?;
        }
        if settings.recommendations.enabled {
            broker.create_topics(std::slice::from_ref(&settings.outputs.recommendations))?;
        }
        let progress = Progress::new(broker, &format!("{name}-clicks"), &input)?;
        Self::over(broker, &settings, progress)
    }

    fn over(broker: &'a Broker, settings: &Settings, progress: Progress) -> Outcome<Trial<'a>> {
        let began = Instant::now();
        let purchase = Purchase::load(settings)?;
        let health = Arc::new(Health::new([], ["clicks"], Duration::from_secs(30), Instant::now()));
        let running = runtime::start_clicks(settings, purchase.as_ref(), health)?;
        Ok(Trial { broker, progress, running, began })
    }

    /// Ends it and starts it anew on the same topics, with the local copies of its state or without.
    pub fn again(self, name: &str, overrides: &[&str], keep: bool) -> Outcome<Trial<'a>> {
        let Trial { broker, progress, running, .. } = self;
        end(running)?;
        if !keep {
            std::fs::remove_dir_all(broker.folder(name))?;
        }
        Self::over(broker, &broker.settings(name, overrides)?, progress)
    }

    /// Seconds from the start until these clicks, one for each partition, are through: then the state has been read back.
    pub fn through(&mut self, clicks: &[Record]) -> Outcome<f64> {
        self.rate(clicks, Supply::Backlog)?;
        Ok(self.began.elapsed().as_secs_f64())
    }

    pub fn size(&self) -> Size {
        let page = super::trial::metrics().render();
        let of = |name: &str| super::trial::sum_of(&page, name);
        Size {
            entries: of("groundswell_state_entries"),
            memory: of("groundswell_state_size_bytes"),
            limit: of("groundswell_state_limit_bytes"),
            local: of("groundswell_state_spilled_bytes"),
        }
    }

    /// Clicks a second, until the last of them is committed, which is when its result is visible.
    pub fn rate(&mut self, clicks: &[Record], supply: Supply) -> Outcome<f64> {
        self.progress.rate(self.broker, clicks, supply, || self.running.is_finished())
    }

    /// Waits until the owners of items and categories have taken all that the clicks committed so far have counted.
    pub fn wait_for_owners(&self, name: &str) -> Outcome<()> {
        let (group, topic) = (format!("{name}-recommend"), format!("{name}-recommend-counts"));
        let mut owners = Progress::new(self.broker, &group, &topic)?;
        owners.through(|| self.running.is_finished())
    }

    pub fn look_ups(&self) -> Option<UserLookUps> {
        self.running.look_ups()
    }

    pub fn broker(&self) -> &'a Broker {
        self.broker
    }

    /// The topic that it reads.
    pub fn input(&self) -> &str {
        self.progress.topic()
    }

    /// Waits until so many more clicks, which were written by somebody else, are committed.
    pub fn wrote(&mut self, clicks: usize) -> Outcome<()> {
        self.progress.wrote(clicks, || self.running.is_finished())
    }

    pub fn stop(self) -> Outcome<()> {
        end(self.running)
    }
}

fn end(running: Running) -> Outcome<()> {
    running.stop();
    Ok(running.join()?)
}
