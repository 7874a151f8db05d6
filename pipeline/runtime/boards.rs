//! Alerts and trends read back from their topics by every instance that answers over HTTP: whichever is asked tells of
//! all, and the stage that writes them is not asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::follow::{Table, follow};
use super::start::Running;
use crate::config::Settings;
use crate::event::v1::Severity;
use crate::event::{AlertsWanted, Error, TrendsWanted, Written};
use crate::stages::Stage;
use crate::stages::alerts::{AlertBoard, AlertsStage, TrendBoard};
use crate::telemetry::{AlertsFiring, BoardMeasured, BoardRead};

const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Tells of alerts and trends.
#[derive(Clone)]
pub struct Boards {
    alerts: Arc<Shared<AlertBoard>>,
    trends: Arc<Shared<TrendBoard>>,
}

struct Shared<B> {
    board: Mutex<B>,
    /// What was there at the start has been read.
    complete: AtomicBool,
}

impl Boards {
    /// `None` until all that was there at the start has been read.
    pub fn alerts(&self, wanted: &AlertsWanted) -> Option<Written> {
        Some(self.alerts.complete()?.wanted(wanted))
    }

    /// As [`Boards::alerts`].
    pub fn trends(&self, wanted: &TrendsWanted) -> Option<Written> {
        Some(self.trends.complete()?.wanted(wanted))
    }
}

impl<B> Shared<B> {
    fn new(board: B) -> Arc<Self> {
        Arc::new(Shared { board: Mutex::new(board), complete: AtomicBool::new(false) })
    }

    fn board(&self) -> MutexGuard<'_, B> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self) -> Option<MutexGuard<'_, B>> {
        self.complete.load(Ordering::Acquire).then(|| self.board())
    }
}

/// Reads alerts and trends, where there are any and somebody may ask.
pub fn start_boards(settings: &Settings) -> Result<Option<(Boards, Vec<Running>)>, Error> {
    if !settings.alerts.enabled || settings.http.listen.is_none() {
        return Ok(None);
    }
    let (outputs, http) = (&settings.outputs, &settings.http);
    let alerts = Shared::new(AlertBoard::new(outputs.format, http.alerts_bytes_max));
    let trends = Shared::new(TrendBoard::new(outputs.format, http.trends_bytes_max));
    let rules: Vec<String> = settings.alerts.rules.iter().map(|rule| rule.name.clone()).collect();
    let reads_alerts = Reads {
        name: "alerts",
        shared: alerts.clone(),
        take: AlertBoard::take,
        size: |board| (board.len(), board.bytes()),
        bytes_max: http.alerts_bytes_max,
        report: Box::new(move |board| report_firing(board, &rules)),
        measure_at: Instant::now(),
    };
    let reads_trends = Reads {
        name: "trends",
        shared: trends.clone(),
        take: TrendBoard::take,
        size: |board| (board.len(), board.bytes()),
        bytes_max: http.trends_bytes_max,
        report: Box::new(|_| {}),
        measure_at: Instant::now(),
    };
    let running = vec![
        follow(settings, AlertsStage::NAME, "alerts", outputs.alerts.clone(), reads_alerts)?,
        follow(settings, AlertsStage::NAME, "trends", outputs.trends.clone(), reads_trends)?,
    ];
    Ok(Some((Boards { alerts, trends }, running)))
}

/// Under the rules of this instance's configuration, so that the labels are known beforehand.
fn report_firing(board: &AlertBoard, rules: &[String]) {
    for rule in rules {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            AlertsFiring { rule, severity, alerts: board.firing(rule, severity) }.emit();
        }
    }
}

/// One of the two topics, on its way to its board.
struct Reads<B> {
    name: &'static str,
    shared: Arc<Shared<B>>,
    take: fn(&mut B, &[u8], Option<&[u8]>) -> bool,
    /// Entries and bytes.
    size: fn(&B) -> (usize, usize),
    bytes_max: usize,
    report: Box<dyn Fn(&B) + Send>,
    measure_at: Instant,
}

impl<B: Send + 'static> Table for Reads<B> {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        (self.take)(&mut self.shared.board(), key, value)
    }

    fn complete(&mut self, read: u64, unreadable: u64) {
        self.shared.complete.store(true, Ordering::Release);
        let (entries, bytes) = (self.size)(&self.shared.board());
        BoardRead { board: self.name, read, unreadable, entries, bytes }.emit();
    }

    fn turn(&mut self, _: &BaseConsumer) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.measure_at {
            self.measure_at = now + MEASURE_EVERY;
            let board = self.shared.board();
            let (_, bytes) = (self.size)(&board);
            (self.report)(&board);
            drop(board);
            BoardMeasured { board: self.name, bytes, bytes_max: self.bytes_max }.emit();
        }
        Ok(())
    }
}
