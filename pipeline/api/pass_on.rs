//! A look-up whose user another instance has: passed on to it, or the client is sent there.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use axum::http::{Request, Response as HttpResponse, StatusCode};
use axum::response::Response;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::refuse;
use crate::config::Elsewhere;
use crate::event::Way;
use crate::telemetry::LookUpOutcome;

/// From the connection to the last byte of the answer: more than the other instance gives its engine.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Of an answer.
const BODY_BYTES_MAX: usize = 1 << 20;
/// After so many instances it is the partition that moves, and not the question.
const HOPS_MAX: u8 = 3;

/// A question as it came.
pub struct Question<'a> {
    /// In percent-encoding.
    pub path: &'a str,
    pub limit: Option<usize>,
    pub headers: &'a HeaderMap,
}

impl Question<'_> {
    pub async fn pass_on(&self, url: &str, way: &Way, elsewhere: Elsewhere) -> (LookUpOutcome, Response) {
        if way.hops > HOPS_MAX {
            let why = "the user's partition is on the move between instances";
            return (LookUpOutcome::Nowhere, refuse(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let target = self.target(way);
        match elsewhere {
            Elsewhere::Redirect => redirect(&format!("{url}{target}")),
            Elsewhere::Proxy => match timeout(ANSWER_MAX, self.ask(url, &target)).await {
                Ok(Some(response)) => (LookUpOutcome::PassedOn, response),
                Ok(None) | Err(_) => {
                    let why = "the instance that has the user does not answer";
                    (LookUpOutcome::Nowhere, refuse(StatusCode::SERVICE_UNAVAILABLE, why))
                }
            },
        }
    }

    /// Path and query, with what those who are asked next must know.
    fn target(&self, way: &Way) -> String {
        let limit = self.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        let asked = if way.asked.is_empty() { String::new() } else { format!("&asked={}", way.asked.join(",")) };
        format!("{}?hops={}{limit}{asked}", self.path, way.hops)
    }

    /// `None` where the instance cannot be asked.
    async fn ask(&self, url: &str, target: &str) -> Option<Response> {
        let authority = url.strip_prefix("http://")?;
        let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut request = Request::get(target).header(HOST, authority);
        if let Some(authorization) = self.headers.get(AUTHORIZATION) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Body::empty()).ok()?;
        let exchange = async {
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            Some((parts, to_bytes(Body::new(body), BODY_BYTES_MAX).await.ok()?))
        };
        // The connection may end before the answer has been taken from it; where it fails, so does the exchange.
        let served = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        let (parts, body) = tokio::select! {
            answered = exchange => answered?,
            () = served => return None,
        };
        let mut response = HttpResponse::builder().status(parts.status);
        for name in [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, LOCATION] {
            if let Some(value) = parts.headers.get(&name) {
                response = response.header(name, value);
            }
        }
        response.body(Body::from(body)).ok()
    }
}

fn redirect(location: &str) -> (LookUpOutcome, Response) {
    let Ok(location) = HeaderValue::from_str(location) else {
        let why = "the instance that has the user gives no address that can be followed";
        return (LookUpOutcome::Nowhere, refuse(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let mut response = refuse(StatusCode::TEMPORARY_REDIRECT, "another instance has the user");
    response.headers_mut().insert(LOCATION, location);
    (LookUpOutcome::Redirected, response)
}
