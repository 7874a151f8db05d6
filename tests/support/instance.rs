//! The program itself, as a process that a test can end in any way.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use super::{Outcome, wait_until};

/// How long a process may take to end when asked to.
const END_MAX: Duration = Duration::from_secs(60);

/// A running `groundswell run`. Killed when dropped.
pub struct Instance {
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Instance {
    /// Starts an instance of this name with a configuration file, keys set over it (`section.key=value`) and environment
    /// variables; its log goes to `<folder>/<name>.log`.
    pub fn start(
        folder: &Path,
        name: &str,
        config: &Path,
        sets: &[String],
        environment: &[(&str, &str)],
    ) -> Outcome<Self> {
        Self::start_with(folder, name, config, &[], sets, environment)
    }

    /// With arguments of `run` besides, such as the stages.
    pub fn start_with(
        folder: &Path,
        name: &str,
        config: &Path,
        arguments: &[&str],
        sets: &[String],
        environment: &[(&str, &str)],
    ) -> Outcome<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(env!("CARGO_BIN_EXE_groundswell"))
            .args(["run", "--config"])
            .arg(config)
            .arg("--set")
            .arg(format!("instance.name={name}"))
            .args(arguments)
            .args(sets.iter().flat_map(|set| ["--set", set]))
            .envs(environment.iter().copied())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// As a power cut would.
    pub fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(&mut self) -> Outcome<ExitStatus> {
        self.signal("TERM")?;
        self.wait()
    }

    /// Waits for the end, whoever brings it about.
    pub fn wait(&mut self) -> Outcome<ExitStatus> {
        let mut status = None;
        wait_until(END_MAX, &format!("the end of {}", self.name), || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })
        .and_then(|()| status.ok_or_else(|| "no status".into()))
        .map_err(|error| format!("{error}:\n{}", self.log_tail()).into())
    }

    pub fn signal(&self, signal: &str) -> Outcome<()> {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill -{signal} failed for {}", self.name).into()) }
    }

    /// An error with its log if the process has ended by itself.
    pub fn check_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended by itself with {status}:\n{}", self.name, self.log_tail()).into()),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log, for a failure's message.
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
