//! A contender at work, as processes of its own: what it has done, what it has cost, and its sudden end.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Outcome;
use super::broker::{Broker, PARTITIONS};
use super::contender::Contender;

const LOOK: Duration = Duration::from_millis(20);
/// A machine with much else to do answers late.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// More than what is left of a dead member's session and a transaction's time-out together.
const STUCK_AFTER: Duration = Duration::from_secs(120);
const LEAVE_MAX: Duration = Duration::from_secs(20);
/// USER_HZ, the unit in /proc: 100 on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

pub struct Runner<'a> {
    pub contender: Contender,
    broker: &'a Broker,
    trial: String,
    processes: Vec<Child>,
    /// Never subscribed: it only asks what the group has committed and where topics end.
    group: BaseConsumer,
}

/// Of all processes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub cpu_seconds: f64,
    /// The most that each has had resident.
    pub peak_mib: f64,
}

impl<'a> Runner<'a> {
    /// With topics of its own; nothing runs yet.
    pub fn new(broker: &'a Broker, contender: Contender, trial: &str) -> Outcome<Self> {
        let trial = format!("{}-{trial}", contender.name());
        let mut topics = vec![contender.input(&trial), contender.output(&trial)];
        topics.extend(contender.others(&trial));
        broker.create_topics(&topics)?;
        let group = broker.client().set("group.id", contender.group(&trial)).create()?;
        Ok(Self { contender, broker, trial, processes: Vec::new(), group })
    }

    pub fn input(&self) -> String {
        self.contender.input(&self.trial)
    }

    pub fn output(&self) -> String {
        self.contender.output(&self.trial)
    }

    pub fn start(&mut self) -> Outcome<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        for mut command in self.contender.commands(self.broker, &self.trial) {
            let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?).spawn();
            let process = process.map_err(|error| format!("{}: {error}", command.get_program().display()))?;
            self.processes.push(process);
        }
        Ok(())
    }

    /// As a machine that loses its power does.
    pub fn kill(&mut self) -> Outcome<()> {
        for mut process in self.processes.drain(..) {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// In order, so that no transaction stays open.
    pub fn stop(&mut self) -> Outcome<()> {
        for process in &self.processes {
            Command::new("kill").arg(process.id().to_string()).status()?;
        }
        let asked = Instant::now();
        while asked.elapsed() < LEAVE_MAX && !self.all_ended()? {
            thread::sleep(LOOK);
        }
        self.kill()
    }

    /// Where each partition of a topic ends.
    pub fn ends(&self, topic: &str) -> Outcome<Vec<i64>> {
        let end = |partition| Ok(self.group.fetch_watermarks(topic, partition, ANSWER_MAX)?.1);
        (0..PARTITIONS).map(end).collect()
    }

    /// Records of the input, up to these offsets, that are not committed.
    pub fn left(&self, ends: &[i64]) -> Outcome<usize> {
        let committed = self.committed()?;
        let left = committed.elements().into_iter().map(|at| {
            let end = ends[at.partition() as usize];
            (end - at.offset().to_raw().unwrap_or(0).max(0)).max(0)
        });
        Ok(usize::try_from(left.sum::<i64>())?)
    }

    /// A coordinator that has just been made says for a while that it is none.
    fn committed(&self) -> Outcome<TopicPartitionList> {
        let asked = Instant::now();
        loop {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&self.input(), 0, PARTITIONS - 1);
            match self.group.committed_offsets(partitions, ANSWER_MAX) {
                Ok(committed) => return Ok(committed),
                Err(error) if asked.elapsed() > ANSWER_MAX => return Err(error.into()),
                Err(_) => thread::sleep(LOOK),
            }
        }
    }

    /// Until a condition holds; fails where a process has ended or it takes too long.
    pub fn wait_until(&mut self, mut holds: impl FnMut(&Self) -> Outcome<bool>) -> Outcome<()> {
        let asked = Instant::now();
        while !holds(self)? {
            if self.any_ended()? || asked.elapsed() > STUCK_AFTER {
                return Err(format!("{} does not go on; its log: {}", self.trial, self.said()).into());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    pub fn cost(&self) -> Outcome<Cost> {
        let mut cost = Cost::default();
        for process in &self.processes {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
            // Behind the name in parentheses: user and system time are the twelfth and thirteenth.
            let behind = stat.rsplit(')').next().unwrap_or_default();
            let ticks = behind.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
            cost.cpu_seconds += ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND;
            let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
            cost.peak_mib += peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0;
        }
        Ok(cost)
    }

    fn all_ended(&mut self) -> Outcome<bool> {
        Ok(self.ended()? == self.processes.len())
    }

    fn any_ended(&mut self) -> Outcome<bool> {
        Ok(self.ended()? > 0)
    }

    fn ended(&mut self) -> Outcome<usize> {
        let mut ended = 0;
        for process in &mut self.processes {
            ended += usize::from(process.try_wait()?.is_some());
        }
        Ok(ended)
    }

    fn log(&self) -> std::path::PathBuf {
        self.broker.folder(&format!("{}.log", self.trial))
    }

    /// The end of what it has written to its log.
    fn said(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned()
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        // Best effort: what is still there has nobody left to serve.
        let _ = self.kill();
    }
}
