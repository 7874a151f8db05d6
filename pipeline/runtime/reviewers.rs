use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::follow::{Table, follow};
use super::models::Served;
use super::passages::{reviewers_opinions, reviewers_table, tells_of_reviews};
use super::schemas::Registered;
use super::start::{Running, start_stage};
use crate::config::Settings;
use crate::event::Error;
use crate::stages::Stage;
use crate::stages::reviewers::{ReviewersStage, SharedOpinions};
use crate::telemetry::{BoardMeasured, BoardRead, Health};

const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// What the table is called in health, metrics and the log.
const NAME: &str = "reviewers";

/// What profiles tell of reviews by; `None` where the configuration wants none, or none are scored.
pub fn opinions(settings: &Settings) -> Option<Arc<SharedOpinions>> {
    tells_of_reviews(settings).then(|| Arc::new(SharedOpinions::new(settings.clicks.reviews_bytes_max)))
}

/// Starts the stage that adds up what users say in reviews, and the reader of all its sums.
pub fn start_reviewers(
    settings: &Settings,
    opinions: Arc<SharedOpinions>,
    health: Arc<Health>,
) -> Result<Vec<Running>, Error> {
    let stage = Arc::new(ReviewersStage { table: reviewers_table(settings).into() });
    let (models, registered) = (Served::none(), Registered::new(settings)?);
    let owner = start_stage(settings, &models, stage, &registered, vec![reviewers_opinions(settings)], health.clone())?;
    health.reading(NAME, Instant::now());
    let table = Reviewers { opinions, health, measure_at: Instant::now() };
    Ok(vec![owner, follow(settings, ReviewersStage::NAME, NAME, reviewers_table(settings), table)?])
}

struct Reviewers {
    opinions: Arc<SharedOpinions>,
    health: Arc<Health>,
    measure_at: Instant,
}

impl Table for Reviewers {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        self.opinions.take(key, value)
    }

    fn complete(&mut self, read: u64, unreadable: u64) {
        self.health.read(NAME);
        let bytes = self.opinions.bytes() as usize;
        BoardRead { board: NAME, read, unreadable, entries: self.opinions.len(), bytes }.emit();
    }

    fn turn(&mut self, _: &BaseConsumer) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.measure_at {
            self.measure_at = now + MEASURE_EVERY;
            let (bytes, bytes_max) = (self.opinions.bytes() as usize, self.opinions.bytes_max() as usize);
            BoardMeasured { board: NAME, bytes, bytes_max }.emit();
        }
        Ok(())
    }
}
