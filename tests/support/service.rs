//! A service of `deploy/local/` under its supervisor, driven over stdin and stdout (see `deploy/local/service.py`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{Outcome, Patience};

/// More than the supervisor itself waits for a start or a stop, so that its message is the one that is seen.
const ANSWER_MAX: Duration = Duration::from_secs(180);

const LOOK: Duration = Duration::from_secs(1);

/// A running service. Dropping it kills its processes and removes their data.
pub struct Service {
    address: String,
    line: Mutex<Line>,
}

/// The two ends of the talk with the supervisor; one question at a time.
struct Line {
    supervisor: Child,
    /// `None` only while dropping: closing it is what ends the service.
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Service {
    /// Starts `deploy/local/SCRIPT serve ARGUMENTS` and waits until the service answers at its address.
    pub fn start(script: &str, arguments: &[&str]) -> Outcome<Self> {
        let mut supervisor = Command::new("python3")
            .arg(format!("{}/deploy/local/{script}", env!("CARGO_MANIFEST_DIR")))
            .arg("serve")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3 does not start ({error}): install Python 3.9 or later"))?;
        let questions = supervisor.stdin.take();
        let answers = lines_of(supervisor.stdout.take().ok_or("the supervisor has no stdout")?);
        let mut line = Line { supervisor, questions, answers };
        let address = line.answer()?;
        Ok(Self { address, line: Mutex::new(line) })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Has the supervisor do something (`start`, `stop`, `kill`, `pause`, `resume`) with a node, counted from 1.
    pub fn tell(&self, verb: &str, node: usize) -> Outcome<()> {
        let mut line = self.line.lock().map_err(|_| "another test panicked while it talked to the supervisor")?;
        let questions = line.questions.as_mut().ok_or("the supervisor has been let go")?;
        writeln!(questions, "{verb} {node}")?;
        line.answer().map(drop)
    }
}

impl Line {
    fn answer(&mut self) -> Outcome<String> {
        let mut patience = Patience::of(ANSWER_MAX);
        let text = loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(text) => break text,
                Err(RecvTimeoutError::Timeout) if !patience.is_over() => {}
                Err(_) => return Err("the supervisor has not answered".into()),
            }
        };
        let answer: Value = serde_json::from_str(&text)?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.into());
        }
        Ok(answer["address"].as_str().ok_or("the supervisor's answer has no address")?.to_owned())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.questions = None;
        let _ended = self.supervisor.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
