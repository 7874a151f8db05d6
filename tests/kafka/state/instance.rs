//! The counting stage in a process of its own, so that it can be killed: this test binary, started again.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use groundswell::config;
use groundswell::runtime::{Models, Registered, start_stage};
use groundswell::telemetry::{self, Health};

use super::stage::Counting;
use crate::support::Outcome;

const CONFIG: &str = "GROUNDSWELL_TEST_STATE_CONFIG";
const NAME: &str = "GROUNDSWELL_TEST_STATE_INSTANCE";
/// The input topic; the output is called after it.
pub const INPUT: &str = "GROUNDSWELL_TEST_STATE_INPUT";
const THIS: &str = "kafka::state::instance::the_counting_stage_until_its_input_ends";
const END_MAX: Duration = Duration::from_secs(60);

/// Runs until its standard input ends.
#[test]
#[ignore = "a process that other tests start"]
fn the_counting_stage_until_its_input_ends() -> Outcome<()> {
    let (config, name, input) = (std::env::var(CONFIG)?, std::env::var(NAME)?, std::env::var(INPUT)?);
    let sets = [format!("instance.name={name}")];
    let settings = config::load(Some(Path::new(&config)), &sets, std::iter::empty()).map_err(|e| format!("{e:?}"))?;
    telemetry::init(&settings.log)?;
    let models = Models::load(&settings)?;
    let registered = Registered::new(&settings)?;
    let stage = Arc::new(Counting { output: format!("{input}-counted").into() });
    let health = Arc::new(Health::new(Vec::new(), ["counting"], Duration::from_secs(60), Instant::now()));
    let running = start_stage(&settings, &models.served(&settings), stage, &registered, vec![input], health)?;
    let stdin = thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    while !stdin.is_finished() && !running.is_finished() {
        thread::sleep(Duration::from_millis(20));
    }
    running.stop();
    Ok(running.join()?)
}

/// One of them. Killed when dropped.
pub struct Instance {
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Instance {
    pub fn start(folder: &Path, name: &str, config: &Path, input: &str) -> Outcome<Instance> {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(std::env::current_exe()?)
            .args([THIS, "--exact", "--ignored", "--nocapture"])
            .env(CONFIG, config)
            .env(NAME, name)
            .env(INPUT, input)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Instance { name: name.to_owned(), child, log })
    }

    /// As a power cut would.
    pub fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it finish what is under way.
    pub fn stop(&mut self) -> Outcome<()> {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + END_MAX;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("{} ended with {status}:\n{}", self.name, self.log_tail()).into()),
                None if Instant::now() > deadline => return Err(format!("{} does not end", self.name).into()),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    pub fn check_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended by itself with {status}:\n{}", self.name, self.log_tail()).into()),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.kill();
    }
}
