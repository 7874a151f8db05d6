//! HTTP: health and metrics.
//!
//! | path | says |
//! |---|---|
//! | `/healthz` | 200 while the process should be left running, else 503 |
//! | `/readyz` | 200 while it does its work, else 503 with all that is missing |
//! | `/v1/recommendations/{user}?limit=` | what is recommended to the user now, from what is committed; 404 where nothing is, 503 where no answer comes |
//! | `/metrics` | the metrics in Prometheus's text format |
//! | `/` | this list |
//!
//! It only reads, takes no body, and shows no payloads. On loopback by default; it has no authentication of its own.

mod look_up;
mod server;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::telemetry::{Health, Metrics};

pub use look_up::{LookUps, Reply};
pub use server::{Server, serve};

const LISTING: &str = "groundswell\n\n\
    /healthz   200 while the process should be left running\n\
    /readyz    200 while it does its work; else what is missing\n\
    /metrics   metrics in Prometheus's text format\n\
    /v1/recommendations/{user}?limit=   what is recommended to the user now\n";

#[derive(Clone)]
struct Seen {
    health: Arc<Health>,
    metrics: Metrics,
    look_ups: Arc<LookUps>,
}

fn router(health: Arc<Health>, metrics: Metrics, look_ups: Arc<LookUps>) -> Router {
    Router::new()
        .route("/", get(|| async { text("text/plain; charset=utf-8", LISTING.to_owned()) }))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .route("/v1/recommendations/{user}", get(look_up::recommendations))
        .with_state(Seen { health, metrics, look_ups })
}

async fn healthz(State(seen): State<Seen>) -> Response {
    match seen.health.alive() {
        Ok(()) => answer(StatusCode::OK, json!({"alive": true})),
        Err(error) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({"alive": false, "error": error})),
    }
}

async fn readyz(State(seen): State<Seen>) -> Response {
    match seen.health.ready(Instant::now()) {
        Ok(()) => answer(StatusCode::OK, json!({"ready": true})),
        Err(missing) => answer(StatusCode::SERVICE_UNAVAILABLE, json!({"ready": false, "missing": missing})),
    }
}

async fn show_metrics(State(seen): State<Seen>) -> Response {
    text("text/plain; version=0.0.4; charset=utf-8", seen.metrics.render())
}

fn answer(status: StatusCode, body: serde_json::Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn text(content_type: &'static str, body: String) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests;
