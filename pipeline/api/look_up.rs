//! What a shop asks about one of its users.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Seen, answer};

/// The engine answers between two turns; one that has not by then hangs or has ended.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Told the answer. Dropped where none will come.
pub type Reply = Box<dyn FnOnce(serde_json::Value) + Send>;
type Ask = Box<dyn Fn(&str, Option<usize>, Reply) + Send + Sync>;

/// Whom to ask. The server listens before the stages run; until then there is nobody.
#[derive(Default)]
pub struct LookUps {
    recommendations: OnceLock<Ask>,
}

impl LookUps {
    /// The first to answer for recommendations stays.
    pub fn recommendations(&self, ask: impl Fn(&str, Option<usize>, Reply) + Send + Sync + 'static) {
        let _ = self.recommendations.set(Box::new(ask));
    }
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

pub(super) async fn recommendations(
    State(seen): State<Seen>,
    user: Result<Path<String>, PathRejection>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Response {
    let (Ok(Path(user)), Ok(Query(Limit { limit }))) = (user, limit) else {
        return answer(StatusCode::BAD_REQUEST, json!({"error": "user is a path segment and limit a whole number"}));
    };
    let asked = ask(&seen.look_ups, &user, limit);
    let Some(answered) = asked else {
        return answer(StatusCode::NOT_FOUND, json!({"error": "this instance recommends nothing"}));
    };
    match timeout(ANSWER_MAX, answered).await {
        Ok(Ok(found)) => answer(StatusCode::OK, found),
        Ok(Err(_)) | Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({"error": "the stage does not answer"})),
    }
}

fn ask(look_ups: &Arc<LookUps>, user: &str, limit: Option<usize>) -> Option<oneshot::Receiver<serde_json::Value>> {
    let ask = look_ups.recommendations.get()?;
    let (reply, answered) = oneshot::channel();
    // Whoever asked may have gone away.
    let reply = move |found| drop(reply.send(found));
    ask(user, limit, Box::new(reply));
    Some(answered)
}
