//! What a shop asks about one of its users.
//!
//! A question goes to whoever has the user's partition and is answered from what is committed. So many may wait at a time,
//! each for so long; what is more is turned away at once, and never slows the pipeline.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::{Seen, answer, refuse};
use crate::event::{About, Found, LookUp, Way};
use crate::telemetry::{LookUpOutcome, LookedUp};

/// The engine answers between two turns; one that has not by then hangs or has ended.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Questions that wait for the engine. Each costs it about as much as a click.
const WAITING_MAX: usize = 32;
/// A name that is longer is nobody's.
const USER_BYTES_MAX: usize = 1024;

type Ask = Box<dyn Fn(LookUp) + Send + Sync>;

/// Whom to ask. The server listens before the stages run; until then there is nobody.
pub struct LookUps {
    users: OnceLock<Ask>,
    waiting: Arc<Semaphore>,
}

impl Default for LookUps {
    fn default() -> Self {
        Self { users: OnceLock::new(), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }
}

impl LookUps {
    /// The first to answer about users stays.
    pub fn users(&self, ask: impl Fn(LookUp) + Send + Sync + 'static) {
        let _ = self.users.set(Box::new(ask));
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    limit: Option<usize>,
}

type Named = Result<Path<String>, PathRejection>;
type Asked = Result<Query<Parameters>, QueryRejection>;

pub(super) async fn profile(State(seen): State<Seen>, user: Named, asked: Asked) -> Response {
    match asked {
        Ok(Query(Parameters { limit: None })) => look_up(&seen, user, About::Profile).await,
        _ => refuse(StatusCode::BAD_REQUEST, "there are no parameters"),
    }
}

pub(super) async fn sessions(State(seen): State<Seen>, user: Named, asked: Asked) -> Response {
    match asked {
        Ok(Query(Parameters { limit: None })) => look_up(&seen, user, About::Sessions).await,
        _ => refuse(StatusCode::BAD_REQUEST, "there are no parameters"),
    }
}

pub(super) async fn recommendations(State(seen): State<Seen>, user: Named, asked: Asked) -> Response {
    match asked {
        Ok(Query(Parameters { limit })) if limit != Some(0) => {
            look_up(&seen, user, About::Recommendations { limit }).await
        }
        _ => refuse(StatusCode::BAD_REQUEST, "the only parameter is limit, a whole number of 1 or more"),
    }
}

async fn look_up(seen: &Seen, user: Named, about: About) -> Response {
    let started = Instant::now();
    let (outcome, response) = match user {
        Ok(Path(user)) if user.len() <= USER_BYTES_MAX => ask(&seen.look_ups, user, about, started).await,
        Ok(_) => {
            let why = format!("a user's name has {USER_BYTES_MAX} bytes at most");
            (LookUpOutcome::Refused, refuse(StatusCode::BAD_REQUEST, &why))
        }
        Err(_) => (
            LookUpOutcome::Refused,
            refuse(StatusCode::BAD_REQUEST, "the user's name is not UTF-8 in percent-encoding"),
        ),
    };
    LookedUp { about: name(about), outcome, took: started.elapsed() }.emit();
    response
}

async fn ask(look_ups: &LookUps, user: String, about: About, now: Instant) -> (LookUpOutcome, Response) {
    let Some(ask) = look_ups.users.get() else {
        return (LookUpOutcome::Unknown, refuse(StatusCode::NOT_FOUND, "no stage for clicks runs here"));
    };
    let Ok(place) = look_ups.waiting.clone().try_acquire_owned() else {
        return (LookUpOutcome::Busy, refuse(StatusCode::SERVICE_UNAVAILABLE, "too many look-ups wait"));
    };
    let (sender, answered) = oneshot::channel();
    let reply = move |found| {
        drop(place);
        // Whoever asked may have gone away.
        let _ = sender.send(found);
    };
    ask(LookUp { user, about, until: now + ANSWER_MAX, way: Way::default(), reply: Box::new(reply) });
    match timeout(ANSWER_MAX, answered).await {
        Ok(Ok(found)) => told(found, about),
        Ok(Err(_)) | Err(_) => {
            (LookUpOutcome::Late, refuse(StatusCode::SERVICE_UNAVAILABLE, "the stage does not answer"))
        }
    }
}

fn told(found: Found, about: About) -> (LookUpOutcome, Response) {
    match found {
        Found::Here(unwritten) => (LookUpOutcome::Found, answer(StatusCode::OK, &unwritten())),
        Found::Unknown => (LookUpOutcome::Unknown, refuse(StatusCode::NOT_FOUND, "no such user is known")),
        Found::Nothing => {
            let why = format!("no {} are made here", name(about));
            (LookUpOutcome::Unknown, refuse(StatusCode::NOT_FOUND, &why))
        }
        Found::NotYet => {
            let why = "what is remembered of the user is being read back";
            (LookUpOutcome::Restoring, refuse(StatusCode::SERVICE_UNAVAILABLE, why))
        }
        Found::Elsewhere { .. } => {
            let why = "another instance has the user, and it is not known which";
            (LookUpOutcome::Nowhere, refuse(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}

/// As the path has it.
fn name(about: About) -> &'static str {
    match about {
        About::Profile => "profiles",
        About::Sessions => "sessions",
        About::Recommendations { .. } => "recommendations",
    }
}
