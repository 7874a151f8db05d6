//! Somebody on the other end of HTTP: takes what is posted to it, and answers as the test says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::Outcome;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// What it was answered with.
    pub status: u16,
}

impl Posted {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Decides the status by what came.
type Answer = dyn Fn(&Posted) -> u16 + Send + Sync;

/// A server on the loopback interface; its thread ends with the process.
pub struct Receiver {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
    answer: Arc<Mutex<Box<Answer>>>,
}

impl Receiver {
    pub fn start(answer: impl Fn(&Posted) -> u16 + Send + Sync + 'static) -> Outcome<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let answer: Arc<Mutex<Box<Answer>>> = Arc::new(Mutex::new(Box::new(answer)));
        let (seen, answers) = (posted.clone(), answer.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answers) = (seen.clone(), answers.clone());
                // A client that goes away in the middle of a request has posted nothing.
                thread::spawn(move || serve(stream, &seen, &answers).is_ok());
            }
        });
        Ok(Receiver { address, posted, answer })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn answer(&self, answer: impl Fn(&Posted) -> u16 + Send + Sync + 'static) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answer);
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Posted>>, answers: &Mutex<Box<Answer>>) -> Outcome<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut posted = Posted { path, headers, body, status: 0 };
        posted.status = answers.lock().unwrap_or_else(PoisonError::into_inner)(&posted);
        // As many do, and as a receiver's secret would come into a log.
        let (status, said) = (posted.status, format!("cannot POST {}", posted.path));
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(posted);
        let location = if (300..400).contains(&status) { "location: http://127.0.0.1:1/\r\n" } else { "" };
        let length = said.len();
        write!(stream, "HTTP/1.1 {status} status\r\n{location}content-length: {length}\r\n\r\n{said}")?;
    }
}
