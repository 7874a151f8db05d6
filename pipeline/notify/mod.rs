//! Tells webhooks and Alertmanagers of the alerts: a consumer of the topic `alerts` for each receiver, beside the stages and
//! never in their way.
//!
//! - At least once: an offset is committed when what it stands for was delivered, superseded or given up, so that a
//!   restart tells again what was not told yet.
//! - Each receiver is a consumer group of its own and has a thread of its own: one that hangs holds up no other, and
//!   nothing holds up an epoch.
//! - Of an alert the newest revision is told, and never an older one after it.
//! - Bounded: [`queue`] says how much waits, and what is given up when.
//!
//! [`queue`] decides, [`webhook`] and [`alertmanager`] write what is posted, [`client`] posts it, [`reader`] reads the topic.

mod alertmanager;
mod client;
mod queue;
mod reader;
mod webhook;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::config::{Kafka, Outputs, Receiver, ReceiverKind};
use crate::event::{Error, v1};
use crate::telemetry::{AlertUnreadable, Delivered, DeliveryFailed, ReceiverMeasured, ReceiverStarted};
use alertmanager::Alertmanager;
use client::{Client, Refusal, Request, host};
use queue::{After, Failed, Moment, Next, Queue, Taken, Waiting};
use reader::{Reader, Seen};
use webhook::Webhook;

/// How long a poll waits where nothing is to be delivered; also how late a stop is seen.
const POLL_MAX: Duration = Duration::from_millis(100);
/// Records that are taken in between two deliveries.
const RECORDS_MAX: usize = 512;
/// How often it is measured what waits.
const MEASURE: Duration = Duration::from_secs(1);

/// One receiver at work.
pub struct Notifier {
    receiver: Receiver,
    form: Form,
    client: Client,
    queue: Queue,
    reader: Reader,
    clock: Clock,
    measured: Option<Instant>,
}

/// How the receiver wants to be told.
enum Form {
    Webhook(Webhook),
    Alertmanager(Alertmanager),
}

impl Notifier {
    /// `instance` sets its back-off apart from that of others.
    pub fn new(receiver: &Receiver, kafka: &Kafka, outputs: &Outputs, instance: &str) -> Result<Notifier, Error> {
        let form = match &receiver.kind {
            ReceiverKind::Webhook { secret } => Form::Webhook(Webhook::new(secret.clone())?),
            ReceiverKind::Alertmanager { labels, link, resend } => {
                let (labels, link) = (labels.clone(), link.clone());
                Form::Alertmanager(Alertmanager { labels, link, resend: *resend })
            }
        };
        let clock = Clock::new();
        let seed = clock.now().wall_ms as u64 ^ instance.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        let give_up_ms = i64::try_from(receiver.give_up.as_millis()).unwrap_or(i64::MAX);
        Ok(Notifier {
            form,
            client: Client::new(receiver),
            queue: Queue::new(give_up_ms, seed),
            reader: Reader::new(receiver, kafka, outputs, instance)?,
            clock,
            measured: None,
            receiver: receiver.clone(),
        })
    }

    /// Until it is stopped; `Err` where it cannot go on.
    pub fn run(mut self, stopped: &AtomicBool) -> Result<(), Error> {
        let Receiver { name, url, kind, .. } = &self.receiver;
        let group = self.reader.group();
        ReceiverStarted { receiver: name, kind: kind.name(), host: &host(url), group }.emit();
        while !stopped.load(Ordering::Relaxed) {
            let wait = match self.queue.next(self.clock.now().up_ms) {
                Next::Deliver(waiting) => {
                    self.deliver(&waiting);
                    Duration::ZERO
                }
                Next::Wait(ms) => ms.map_or(POLL_MAX, |ms| Duration::from_millis(ms.max(1) as u64).min(POLL_MAX)),
            };
            self.tell_again();
            self.read(wait)?;
            self.reader.commit(&self.queue.committable())?;
            self.measure();
        }
        self.reader.leave(&self.queue.committable());
        Ok(())
    }

    /// Takes in what there is, as far as there is room for it.
    fn read(&mut self, wait: Duration) -> Result<(), Error> {
        self.reader.pause(self.queue.is_full());
        let mut wait = wait;
        for _ in 0..RECORDS_MAX {
            let Some(seen) = self.reader.next(wait)? else { return Ok(()) };
            self.take(seen);
            if self.queue.is_full() {
                return Ok(());
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Begins { partition, offset } => self.queue.begin(partition, offset),
            Seen::Leaves { partition } => self.queue.leave(partition),
            Seen::CaughtUp { partition } => self.queue.catch_up(partition),
            Seen::Before { alert, partition } => {
                if self.is_wanted(&alert) {
                    self.queue.remember(*alert, partition);
                }
            }
            Seen::Deleted { place } => self.queue.pass(place),
            Seen::Alert { alert, place, at_ms } => {
                let wanted = self.is_wanted(&alert);
                if self.queue.push(*alert, place, at_ms, wanted) == Taken::Supersedes {
                    Delivered { receiver: &self.receiver.name, outcome: "superseded", alerts: 1 }.emit();
                }
            }
            Seen::Unreadable { place, error } => {
                AlertUnreadable { receiver: &self.receiver.name, error: &error }.emit();
                self.queue.pass(place);
            }
        }
    }

    fn is_wanted(&self, alert: &v1::Alert) -> bool {
        self.receiver.matching.matches(&alert.rule, &alert.labels)
    }

    fn deliver(&mut self, waiting: &Waiting) {
        let wall_ms = self.clock.now().wall_ms;
        let request = match &self.form {
            Form::Webhook(webhook) => webhook.request(&waiting.alert, wall_ms),
            Form::Alertmanager(manager) => {
                manager.request(&waiting.alert, self.queue.standing(&waiting.alert.id), wall_ms)
            }
        };
        let Err(Refusal { failed, reason }) = self.post(&request) else {
            let now = self.clock.now();
            self.queue.delivered(waiting, now.up_ms);
            Delivered { receiver: &self.receiver.name, outcome: "delivered", alerts: 1 }.emit();
            return;
        };
        let after = self.queue.failed(waiting, failed, self.clock.now());
        let delay_ms = match after {
            After::Again(delay_ms) => Some(delay_ms),
            After::GivenUp => {
                Delivered { receiver: &self.receiver.name, outcome: "given_up", alerts: 1 }.emit();
                None
            }
        };
        self.failed(&reason, Some(&waiting.alert), delay_ms);
    }

    /// An Alertmanager forgets what it is not told again.
    fn tell_again(&mut self) {
        let Form::Alertmanager(manager) = &self.form else { return };
        let now = self.clock.now();
        let every_ms = i64::try_from(manager.resend.as_millis()).unwrap_or(i64::MAX);
        let due = self.queue.due_again(now.up_ms, every_ms);
        if due.is_empty() {
            return;
        }
        let request = manager.again(&due, now.wall_ms);
        match self.post(&request) {
            Ok(()) => {
                self.queue.told_again(&due, self.clock.now().up_ms);
                Delivered { receiver: &self.receiver.name, outcome: "told_again", alerts: due.len() as u64 }.emit();
            }
            Err(Refusal { failed: Failed::Refused, reason }) => {
                let forgotten = self.queue.refused_again(&due);
                if forgotten {
                    Delivered { receiver: &self.receiver.name, outcome: "given_up", alerts: 1 }.emit();
                }
                self.failed(&reason, due.first().filter(|_| forgotten), (!forgotten).then_some(0));
            }
            Err(Refusal { failed, reason }) => {
                let retry_after_ms = match failed {
                    Failed::Failing { retry_after_ms } => retry_after_ms,
                    Failed::Unreachable | Failed::Refused => None,
                };
                let delay_ms = self.queue.unreachable(retry_after_ms, self.clock.now().up_ms);
                self.failed(&reason, None, Some(delay_ms));
            }
        }
    }

    fn post(&self, request: &Request) -> Result<(), Refusal> {
        self.client.post(request)
    }

    fn failed(&self, reason: &str, alert: Option<&v1::Alert>, delay_ms: Option<i64>) {
        let host = host(&self.receiver.url);
        let (alert, revision) = alert.map_or(("", 0), |alert| (alert.id.as_str(), alert.revision));
        DeliveryFailed { receiver: &self.receiver.name, host: &host, alert, revision, reason, delay_ms }.emit();
    }

    fn measure(&mut self) {
        if self.measured.is_some_and(|measured| measured.elapsed() < MEASURE) {
            return;
        }
        self.measured = Some(Instant::now());
        let (waiting, retrying, since_ms) = self.queue.backlog();
        let age_ms = since_ms.map_or(0, |since_ms| self.clock.now().wall_ms.saturating_sub(since_ms).max(0));
        let oldest = Duration::from_millis(age_ms as u64);
        ReceiverMeasured { receiver: &self.receiver.name, waiting, retrying, oldest }.emit();
    }
}

struct Clock {
    start: Instant,
}

impl Clock {
    fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    fn now(&self) -> Moment {
        let up_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment { up_ms, wall_ms: jiff::Timestamp::now().as_millisecond() }
    }
}

/// The consumer group of a receiver.
pub fn group(receiver: &Receiver, kafka: &Kafka) -> String {
    format!("{}-{}-{}", kafka.group_prefix, receiver.kind.name(), receiver.name)
}
