//! The listener and its bounds: what any client may take of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::LookUps;
use crate::event::{Error, Fault};
use crate::telemetry::{Health, Metrics};

/// Connections served at the same time: a few probes and scrapers. More wait in the system's backlog.
const CONNECTIONS_MAX: usize = 64;
/// A request's line and headers; hyper takes no less.
const HEADER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// From the first byte to the last. A connection serves one request, so that none is held without use.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections that are open when the server is stopped get this long to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);
/// After an error of `accept`, which is most often too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A running HTTP server on a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens: with the port that the system chose, if it was asked for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and waits until those that are open have ended, for a second at most.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Listens, and answers from a thread of its own until the [`Server`] is stopped or dropped. Also keeps the metrics up,
/// every five seconds. May be called from within another runtime.
///
/// # Errors
/// The configuration's, if the address cannot be listened on.
pub fn serve(
    listen: SocketAddr,
    health: Arc<Health>,
    metrics: Metrics,
    look_ups: Arc<LookUps>,
) -> Result<Server, Error> {
    let cannot = |error: std::io::Error| {
        Error::new(Fault::Config, format!("http.listen ({listen}) cannot be used: {error}"))
            .hint("choose another address, or port 0 for any that is free")
    };
    let listener = std::net::TcpListener::bind(listen).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).map_err(cannot)?
    };
    let (stop, stopped) = oneshot::channel();
    let run =
        move || runtime.block_on(run(listener, super::router(health, metrics.clone(), look_ups), metrics, stopped));
    let thread = thread::Builder::new().name("http".to_owned()).spawn(run).map_err(cannot)?;
    Ok(Server { address, stop: Some(stop), thread: Some(thread) })
}

async fn run(listener: TcpListener, router: Router, metrics: Metrics, stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    tokio::select! {
        // Ends with the sender: sent or dropped.
        _ = stopped => {}
        () = accept(&listener, router, &mut connections) => {}
        () = keep_up(metrics) => {}
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(STOP_TIME_MAX, all_ended).await;
}

async fn accept(listener: &TcpListener, router: Router, connections: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed, so a place always comes.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    // Time-outs and clients that go away are the clients' matter.
                    let _ = timeout(CONNECTION_TIME_MAX, connection(stream, router)).await;
                    drop(place);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, router: Router) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}

async fn keep_up(metrics: Metrics) {
    loop {
        sleep(UPKEEP_EVERY).await;
        metrics.upkeep();
    }
}
