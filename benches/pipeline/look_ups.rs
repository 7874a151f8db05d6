//! Look-ups over HTTP while clicks flow: how long each takes, and what they cost the clicks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use groundswell::api::{self, LookUps, Server};
use groundswell::telemetry::Health;
use rdkafka::producer::{BaseRecord, Producer};

use super::Outcome;
use super::broker::{Broker, Record, Supply};
use super::clicks::Trial;

/// Clients that ask at the same time, each one question after the other.
pub const CLIENTS: usize = 4;
/// Of each, from the beginning of one question to that of the next: a page that is shown somewhere.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// What an engine is asked for with the settings of the clicks' part, where nothing is recommended.
pub const PATHS: [&str; 2] = ["profiles", "sessions"];

/// A trial's stage, answering on a port of its own.
pub struct Answering<'a> {
    trial: Trial<'a>,
    server: Server,
    users: u32,
    paths: &'static [&'static str],
}

impl<'a> Answering<'a> {
    /// `paths`: what is asked for.
    pub fn start(
        broker: &'a Broker,
        name: &str,
        overrides: &[&str],
        users: u32,
        paths: &'static [&'static str],
    ) -> Outcome<Answering<'a>> {
        let trial = Trial::start(broker, name, overrides)?;
        let look_ups = Arc::new(LookUps::new(&broker.settings(name, overrides)?.http)?);
        let stage = trial.look_ups().ok_or("nothing can be looked up")?;
        look_ups.users(move |look_up| stage.ask(look_up));
        let health = Arc::new(Health::new([], ["clicks"], Duration::from_secs(30), Instant::now()));
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = api::serve(any_port, health, super::trial::metrics().clone(), look_ups)?;
        Ok(Answering { trial, server, users, paths })
    }

    /// Clicks a second as fast as they come, while nobody asks (`clients` of 0) or so many do.
    pub fn rate(&mut self, clicks: &[Record], clients: usize) -> Outcome<f64> {
        let asked = Asking::start(self.server.address(), clients, self.users, self.paths);
        let rate = self.trial.rate(clicks, Supply::Live)?;
        asked.stop()?;
        Ok(rate)
    }

    /// Seconds from question to answer, by what was asked, while clicks come at this rate.
    pub fn latency(&mut self, clicks: &[Record], rate: f64, time: Duration) -> Outcome<Vec<Took>> {
        let count = ((rate * time.as_secs_f64()) as usize).min(clicks.len());
        let asked = Asking::start(self.server.address(), CLIENTS, self.users, self.paths);
        self.trial.paced(&clicks[..count], rate)?;
        asked.stop()
    }

    pub fn stop(self) -> Outcome<()> {
        self.server.stop();
        self.trial.stop()
    }
}

/// An answer: which path, how long it took, whether the user was known.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub path: &'static str,
    pub seconds: f64,
    pub found: bool,
}

/// Clients at work until they are stopped.
struct Asking {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Result<Vec<Took>, String>>>,
}

impl Asking {
    fn start(address: SocketAddr, clients: usize, users: u32, paths: &'static [&'static str]) -> Asking {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |seed: usize| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut rng = Rng::with_seed(seed as u64);
                let mut took = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let path = paths[rng.usize(..paths.len())];
                    // As often as they click.
                    let user = (rng.f32().powi(2) * users as f32) as u32;
                    let status = ask(address, &format!("/v1/{path}/user-{user}")).map_err(|error| error.to_string())?;
                    if !matches!(status, 200 | 404) {
                        return Err(format!("{status} for /v1/{path}/user-{user}"));
                    }
                    took.push(Took { path, seconds: begun.elapsed().as_secs_f64(), found: status == 200 });
                    thread::sleep(ASK_EVERY.saturating_sub(begun.elapsed()));
                }
                Ok(took)
            })
        };
        Asking { clients: (0..clients).map(client).collect(), stop }
    }

    fn stop(self) -> Outcome<Vec<Took>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut took = Vec::new();
        for client in self.clients {
            took.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(took)
    }
}

/// The status, once the whole answer is there. A connection serves one question, and making it counts.
fn ask(address: SocketAddr, path: &str) -> Outcome<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).ok_or("no status")?.parse()?)
}

impl Trial<'_> {
    /// Writes clicks at a steady rate, then waits until all are committed.
    fn paced(&mut self, clicks: &[Record], rate: f64) -> Outcome<()> {
        let producer = self.broker().producer()?;
        let started = Instant::now();
        for (number, click) in clicks.iter().enumerate() {
            let at = started + Duration::from_secs_f64(number as f64 / rate);
            // Too short a sleep is none.
            if let Some(ahead) = at.checked_duration_since(Instant::now()).filter(|ahead| ahead.as_millis() >= 2) {
                thread::sleep(ahead);
            }
            let record =
                BaseRecord::to(self.input()).payload(&click.payload).key(&click.key).partition(click.partition);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(Duration::from_secs(10))?;
        self.wrote(clicks.len())
    }
}
