//! What a shop asks about one of its users.
//!
//! A question goes to whoever has the user's partition and is answered from what is committed. So many may wait at a time,
//! each for so long; what is more is turned away at once, and never slows the pipeline.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::pass_on::Question;
use super::token::Token;
use super::{Seen, answer, refuse};
use crate::config::{Elsewhere, Http};
use crate::event::{About, AlertsWanted, Error, Found, LookUp, TrendsWanted, Way, Written};
use crate::telemetry::{LookUpOutcome, LookedUp};

/// The engine answers between two turns; one that has not by then hangs or has ended.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Questions that wait for the engine. Each costs it about as much as a click.
const WAITING_MAX: usize = 32;
/// A name that is longer is nobody's.
const USER_BYTES_MAX: usize = 1024;
/// More topics of clicks than this are not asked one after the other.
const TOPICS_MAX: usize = 64;

type Ask = Box<dyn Fn(LookUp) + Send + Sync>;
/// `None` until they have been read.
type Tell<Wanted> = Box<dyn Fn(&Wanted) -> Option<Written> + Send + Sync>;

/// Whom to ask. The server listens before the stages run; until then there is nobody.
pub struct LookUps {
    users: OnceLock<Ask>,
    pub(super) alerts: OnceLock<Tell<AlertsWanted>>,
    pub(super) trends: OnceLock<Tell<TrendsWanted>>,
    waiting: Arc<Semaphore>,
    /// Questions passed on to other instances. They take places that others want to be asked at.
    passed_on: Semaphore,
    elsewhere: Elsewhere,
    pub(super) token: Option<Token>,
}

impl LookUps {
    /// # Errors
    /// A bug's, if a token is to be asked for and cannot be.
    pub fn new(settings: &Http) -> Result<Self, Error> {
        Ok(Self {
            users: OnceLock::new(),
            alerts: OnceLock::new(),
            trends: OnceLock::new(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            passed_on: Semaphore::new(WAITING_MAX),
            elsewhere: settings.elsewhere,
            token: settings.token.as_ref().map(Token::new).transpose()?,
        })
    }

    /// The first to answer about users stays.
    pub fn users(&self, ask: impl Fn(LookUp) + Send + Sync + 'static) {
        let _ = self.users.set(Box::new(ask));
    }

    /// The first to tell of alerts and trends stays.
    pub fn boards(
        &self,
        alerts: impl Fn(&AlertsWanted) -> Option<Written> + Send + Sync + 'static,
        trends: impl Fn(&TrendsWanted) -> Option<Written> + Send + Sync + 'static,
    ) {
        let _ = self.alerts.set(Box::new(alerts));
        let _ = self.trends.set(Box::new(trends));
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    limit: Option<usize>,
    /// From an instance that has passed the question on; see [`Way`].
    hops: Option<u8>,
    asked: Option<String>,
}

/// The parts of a request that a look-up reads.
type Named = Result<Path<String>, PathRejection>;
type Asked = Result<Query<Parameters>, QueryRejection>;

pub(super) async fn profile(
    State(seen): State<Seen>,
    uri: Uri,
    headers: HeaderMap,
    user: Named,
    asked: Asked,
) -> Response {
    look_up(&seen, Request { uri, headers, user, asked }, |limit| limit.is_none().then_some(About::Profile)).await
}

pub(super) async fn sessions(
    State(seen): State<Seen>,
    uri: Uri,
    headers: HeaderMap,
    user: Named,
    asked: Asked,
) -> Response {
    look_up(&seen, Request { uri, headers, user, asked }, |limit| limit.is_none().then_some(About::Sessions)).await
}

pub(super) async fn recommendations(
    State(seen): State<Seen>,
    uri: Uri,
    headers: HeaderMap,
    user: Named,
    asked: Asked,
) -> Response {
    let about = |limit| (limit != Some(0)).then_some(About::Recommendations { limit });
    look_up(&seen, Request { uri, headers, user, asked }, about).await
}

struct Request {
    uri: Uri,
    headers: HeaderMap,
    user: Named,
    asked: Asked,
}

/// `about`: what is asked with this limit; `None` where it is no limit.
async fn look_up(seen: &Seen, request: Request, about: impl Fn(Option<usize>) -> Option<About>) -> Response {
    let started = Instant::now();
    let (outcome, response) = match understood(&request, about) {
        Ok((user, about, way)) => {
            let question = Question { path: request.uri.path(), limit: limit(about), headers: &request.headers };
            ask(&seen.look_ups, user, about, way, &question).await
        }
        Err(why) => (LookUpOutcome::Refused, refuse(StatusCode::BAD_REQUEST, &why)),
    };
    let about = request.uri.path().split('/').nth(2);
    let about = NAMES.into_iter().find(|name| about == Some(name)).unwrap_or_default();
    LookedUp { about, outcome, took: started.elapsed() }.emit();
    response
}

/// Who is asked about and what, or why that cannot be told.
fn understood(
    request: &Request,
    about: impl Fn(Option<usize>) -> Option<About>,
) -> Result<(String, About, Way), String> {
    let Ok(Path(user)) = &request.user else { return Err("the user's name is not UTF-8 in percent-encoding".into()) };
    if user.len() > USER_BYTES_MAX {
        return Err(format!("a user's name has {USER_BYTES_MAX} bytes at most, found {}", user.len()));
    }
    let asked = request.asked.as_ref().ok().and_then(|Query(asked)| Some((asked, about(asked.limit)?)));
    let Some((Parameters { hops, asked, .. }, about)) = asked else {
        let wanted = if about(Some(1)).is_some() { "limit, a whole number of 1 or more" } else { "none" };
        return Err(format!("a parameter is not known or has no value that it can have; there is {wanted}"));
    };
    let asked = asked.iter().flat_map(|topics| topics.split(',')).take(TOPICS_MAX).map(str::to_owned).collect();
    Ok((user.clone(), about, Way { hops: hops.unwrap_or_default(), asked }))
}

async fn ask(
    look_ups: &LookUps,
    user: String,
    about: About,
    way: Way,
    question: &Question<'_>,
) -> (LookUpOutcome, Response) {
    let Some(ask) = look_ups.users.get() else {
        return (LookUpOutcome::Unknown, refuse(StatusCode::NOT_FOUND, "no stage for clicks runs here"));
    };
    let busy = || (LookUpOutcome::Busy, refuse(StatusCode::SERVICE_UNAVAILABLE, "too many look-ups wait"));
    let Ok(place) = look_ups.waiting.clone().try_acquire_owned() else { return busy() };
    let (sender, answered) = oneshot::channel();
    let reply = move |found| {
        drop(place);
        // Whoever asked may have gone away.
        let _ = sender.send(found);
    };
    ask(LookUp { user, about, until: Instant::now() + ANSWER_MAX, way, reply: Box::new(reply) });
    match timeout(ANSWER_MAX, answered).await {
        Ok(Ok(Found::Elsewhere { url: Some(url), way })) => match look_ups.passed_on.try_acquire() {
            Ok(_place) => question.pass_on(&url, &way, look_ups.elsewhere).await,
            Err(_) => busy(),
        },
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

/// As paths and metrics have them.
const NAMES: [&str; 3] = ["profiles", "sessions", "recommendations"];

fn name(about: About) -> &'static str {
    match about {
        About::Profile => NAMES[0],
        About::Sessions => NAMES[1],
        About::Recommendations { .. } => NAMES[2],
    }
}

fn limit(about: About) -> Option<usize> {
    match about {
        About::Recommendations { limit } => limit,
        About::Profile | About::Sessions => None,
    }
}
