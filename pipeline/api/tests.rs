use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::*;
use crate::event::Fault;

fn start() -> (Server, Arc<Health>) {
    let (server, health, _) = start_with_look_ups();
    (server, health)
}

fn start_with_look_ups() -> (Server, Arc<Health>, Arc<LookUps>) {
    let look_ups = Arc::new(LookUps::default());
    let health = Arc::new(Health::new(["text".to_owned()], ["text"], Duration::from_secs(30), Instant::now()));
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = serve(any_port, Arc::clone(&health), Metrics::detached().unwrap(), Arc::clone(&look_ups)).unwrap();
    (server, health, look_ups)
}

/// Sends these bytes on a new connection and reads until the server closes it.
fn send(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may have answered and closed before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn get(server: &Server, path: &str) -> (u16, String) {
    let answer = send(server, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {path}: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {head}")), body.to_owned())
}

#[test]
fn readiness_lists_what_is_missing_until_nothing_is() {
    let (server, health) = start();
    let (status, body) = get(&server, "/readyz");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (503, &json!(false)));
    assert_eq!(body["missing"][0], "model `text` is not warm");
    assert_eq!(body["missing"].as_array().unwrap().len(), 3);
    health.model_warm("text");
    health.broker_up();
    health.assigned("text");
    assert_eq!(get(&server, "/readyz"), (200, json!({"ready": true}).to_string()));
}

#[test]
fn it_is_alive_until_a_fatal_error() {
    let (server, health) = start();
    assert_eq!(get(&server, "/healthz"), (200, json!({"alive": true}).to_string()));
    health.fatal("fenced");
    assert_eq!(get(&server, "/healthz"), (503, json!({"alive": false, "error": "fenced"}).to_string()));
}

#[test]
fn metrics_are_text_with_the_version_that_prometheus_asks_for() {
    let (server, _) = start();
    let answer = send(&server, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
}

#[test]
fn the_root_lists_the_paths_and_others_are_not_found() {
    let (server, _) = start();
    let (status, body) = get(&server, "/");
    assert_eq!(status, 200);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(body.contains(path), "{body}");
        assert_ne!(get(&server, path).0, 404);
    }
    assert_eq!(get(&server, "/nothing").0, 404);
}

#[test]
fn it_only_reads() {
    let (server, _) = start();
    let answer = send(&server, b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn headers_are_bounded() {
    let (server, _) = start();
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: {}\r\n\r\n", "x".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Many: x\r\n".repeat(100));
    for request in [large, many] {
        let answer = send(&server, request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(get(&server, "/").0, 200);
}

#[test]
fn idle_connections_do_not_lock_others_out_below_the_bound() {
    let (server, _) = start();
    let idle: Vec<_> = (0..60).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(get(&server, "/healthz").0, 200);
    drop(idle);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (server, health) = start();
    let error = serve(server.address(), health, Metrics::detached().unwrap(), Arc::default()).unwrap_err();
    assert_eq!(error.fault, Fault::Config);
    let named = format!("http.listen ({}) cannot be used: ", server.address());
    assert!(error.message.starts_with(&named), "{error}");
}

#[test]
fn a_stopped_server_has_left_its_address() {
    let (server, health) = start();
    let address = server.address();
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    serve(address, health, Metrics::detached().unwrap(), Arc::default()).unwrap().stop();
}

#[test]
fn it_starts_from_within_another_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let server = runtime.block_on(async { start().0 });
    assert_eq!(get(&server, "/healthz").0, 200);
}

#[test]
fn recommendations_are_asked_of_whoever_makes_them() {
    let (server, _, look_ups) = start_with_look_ups();
    assert_eq!(get(&server, "/v1/recommendations/u").0, 404, "nobody makes any yet");
    look_ups.recommendations(|user, limit, reply| {
        if user != "hangs" {
            reply(json!({"user": user, "limit": limit}));
        }
    });
    assert_eq!(
        get(&server, "/v1/recommendations/a%2Fb?limit=3"),
        (200, json!({"user": "a/b", "limit": 3}).to_string())
    );
    assert_eq!(get(&server, "/v1/recommendations/u"), (200, json!({"user": "u", "limit": null}).to_string()));
    assert_eq!(get(&server, "/v1/recommendations/u?limit=many").0, 400);
    assert_eq!(get(&server, "/v1/recommendations/hangs").0, 503, "the reply was dropped");
}
