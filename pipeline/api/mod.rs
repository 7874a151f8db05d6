//! HTTP: health and metrics.
//!
//! | path | says |
//! |---|---|
//! | `/healthz` | 200 while the process should be left running, else 503 |
//! | `/readyz` | 200 while it does its work, else 503 with all that is missing |
//! | `/v1/profiles/{user}` | who the user is, from what is committed |
//! | `/v1/sessions/{user}` | the user's sessions that are not over |
//! | `/v1/recommendations/{user}?limit=` | what is recommended to the user now |
//! | `/v1/alerts?state=&severity=&scope=&rule=&since=&limit=` | how alerts stand |
//! | `/v1/trends?scope=&from=&to=&limit=` | buckets of scopes |
//! | `/metrics` | the metrics in Prometheus's text format |
//! | `/` | this list |
//!
//! It only reads and takes no body. On loopback by default. Under `/v1/` a token is asked for where one is configured, and
//! docs/http.md says what is asked and answered.

mod boards;
mod look_up;
mod pass_on;
mod server;
mod token;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::telemetry::{Health, Metrics};

pub use look_up::LookUps;
pub use server::{Server, serve};

const LISTING: &str = "groundswell\n\n\
    /healthz   200 while the process should be left running\n\
    /readyz    200 while it does its work; else what is missing\n\
    /metrics   metrics in Prometheus's text format\n\
    /v1/profiles/{user}                 who a user is\n\
    /v1/sessions/{user}                 a user's sessions that are not over\n\
    /v1/recommendations/{user}?limit=   what is recommended to a user now\n\
    /v1/alerts                          alerts that are open\n\
    /v1/trends                          how texts have gone, by scope\n";

#[derive(Clone)]
struct Seen {
    health: Arc<Health>,
    metrics: Metrics,
    look_ups: Arc<LookUps>,
}

fn router(health: Arc<Health>, metrics: Metrics, look_ups: Arc<LookUps>) -> Router {
    let seen = Seen { health, metrics, look_ups };
    let look_up = Router::new()
        .route("/v1/profiles/{user}", get(look_up::profile))
        .route("/v1/sessions/{user}", get(look_up::sessions))
        .route("/v1/recommendations/{user}", get(look_up::recommendations))
        .route("/v1/alerts", get(boards::alerts))
        .route("/v1/trends", get(boards::trends))
        .route_layer(from_fn_with_state(seen.clone(), token::ask_for_token));
    Router::new()
        .route("/", get(|| async { text("text/plain; charset=utf-8", LISTING.to_owned()) }))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .merge(look_up)
        .with_state(seen)
}

async fn healthz(State(seen): State<Seen>) -> Response {
    match seen.health.alive() {
        Ok(()) => answer(StatusCode::OK, &json!({"alive": true})),
        Err(error) => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"alive": false, "error": error})),
    }
}

async fn readyz(State(seen): State<Seen>) -> Response {
    match seen.health.ready(Instant::now()) {
        Ok(()) => answer(StatusCode::OK, &json!({"ready": true})),
        Err(missing) => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"ready": false, "missing": missing})),
    }
}

async fn show_metrics(State(seen): State<Seen>) -> Response {
    text("text/plain; version=0.0.4; charset=utf-8", seen.metrics.render())
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// What is not answered, and why. One that is only not answered now may be asked again soon.
fn refuse(status: StatusCode, why: &str) -> Response {
    let mut response = answer(status, &json!({ "error": why }));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn text(content_type: &'static str, body: String) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests;
