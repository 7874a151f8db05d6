use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::*;
use crate::event::v1::{AlertState, Severity};
use crate::event::{AlertsWanted, Fault, Found, LookUp, TrendsWanted, Way};

const TOKEN: &str = "0123456789abcdef";

fn start() -> (Server, Arc<Health>) {
    let (server, health, _) = start_with_look_ups();
    (server, health)
}

fn start_with_look_ups() -> (Server, Arc<Health>, Arc<LookUps>) {
    start_set(&[])
}

fn look_ups(sets: &[&str]) -> Arc<LookUps> {
    let env = [("TOKEN".to_owned(), TOKEN.to_owned())].into_iter();
    let sets: Vec<String> = ["instance.name=a"].iter().chain(sets).map(|set| (*set).to_owned()).collect();
    let settings = crate::config::load(None, &sets, env).unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(LookUps::new(&settings.http).unwrap())
}

/// With these settings over the defaults.
fn start_set(sets: &[&str]) -> (Server, Arc<Health>, Arc<LookUps>) {
    let look_ups = look_ups(sets);
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
    let error = serve(server.address(), health, Metrics::detached().unwrap(), look_ups(&[])).unwrap_err();
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
    serve(address, health, Metrics::detached().unwrap(), look_ups(&[])).unwrap().stop();
}

#[test]
fn it_starts_from_within_another_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let server = runtime.block_on(async { start().0 });
    assert_eq!(get(&server, "/healthz").0, 200);
}

/// Answers with what it was asked; nobody is `nobody`, and `hangs` gets no answer.
fn start_answering() -> Server {
    let (server, _, look_ups) = start_with_look_ups();
    assert_eq!(get(&server, "/v1/profiles/u").0, 404, "nobody answers yet");
    look_ups.users(|LookUp { user, about, reply, .. }| match user.as_str() {
        "hangs" => {}
        "nobody" => reply(Found::Unknown),
        "restoring" => reply(Found::NotYet),
        "elsewhere" => reply(Found::Elsewhere { url: None, way: Way::default() }),
        "none" => reply(Found::Nothing),
        _ => reply(Found::Here(Box::new(move || json!({"user": user, "about": format!("{about:?}")})))),
    });
    server
}

#[test]
fn whoever_has_the_user_is_asked() {
    let server = start_answering();
    let check = |path: &str, status: u16, expected: serde_json::Value| {
        let (seen, body) = get(&server, path);
        let body: serde_json::Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!((seen, body), (status, expected), "{path}");
    };
    let found = |user: &str, about: &str| json!({"user": user, "about": about});
    check("/v1/profiles/u", 200, found("u", "Profile"));
    check("/v1/sessions/%E4%B8%AD", 200, found("中", "Sessions"));
    check("/v1/recommendations/a%2Fb?limit=3", 200, found("a/b", "Recommendations { limit: Some(3) }"));
    check("/v1/recommendations/u", 200, found("u", "Recommendations { limit: None }"));
    check("/v1/profiles/nobody", 404, json!({"error": "no such user is known"}));
    check("/v1/recommendations/none", 404, json!({"error": "no recommendations are made here"}));
    check("/v1/profiles/restoring", 503, json!({"error": "what is remembered of the user is being read back"}));
    check("/v1/profiles/hangs", 503, json!({"error": "the stage does not answer"}));
}

#[test]
fn what_may_be_asked_again_soon_says_so() {
    let server = start_answering();
    for (path, soon) in
        [("/v1/profiles/restoring", true), ("/v1/profiles/elsewhere", true), ("/v1/profiles/nobody", false)]
    {
        let answer = send(&server, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert_eq!(answer.contains("retry-after: 1\r\n"), soon, "{answer}");
    }
}

#[test]
fn a_token_is_asked_for_where_one_is_configured_and_nowhere_else() {
    let (server, _, look_ups) = start_set(&["http.token={ env = \"TOKEN\" }"]);
    look_ups.users(|LookUp { reply, .. }| reply(Found::Unknown));
    let ask = |path: &str, header: &str| {
        send(&server, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n").as_bytes())
    };
    let check = |header: &str, expected: &str, challenge: Option<&str>| {
        for path in ["/v1/profiles/u", "/v1/sessions/u", "/v1/recommendations/u", "/v1/alerts", "/v1/trends"] {
            let answer = ask(path, header);
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{path} {header}: {answer}");
            let found = answer.lines().find_map(|line| line.strip_prefix("www-authenticate: "));
            assert_eq!(found, challenge, "{answer}");
            assert!(!answer.contains(TOKEN));
        }
    };
    check("", "401 ", Some("Bearer realm=\"groundswell\""));
    check("Authorization: Basic MDEyMzQ1Njc4OWFiY2RlZg==\r\n", "401 ", Some("Bearer realm=\"groundswell\""));
    let another = Some("Bearer realm=\"groundswell\", error=\"invalid_token\"");
    check("Authorization: Bearer 0123456789abcdeg\r\n", "401 ", another);
    check("Authorization: Bearer \r\n", "401 ", Some("Bearer realm=\"groundswell\""));
    check(&format!("Authorization: Bearer {TOKEN}{}\r\n", "x".repeat(8000)), "401 ", another);
    check(&format!("authorization: bearer {TOKEN}\r\n"), "404 ", None);
    for open in ["/", "/healthz", "/metrics"] {
        assert!(ask(open, "").starts_with("HTTP/1.1 200 "), "{open}");
    }
}

/// Two instances, the first of which passes everything on to the second.
fn start_two(elsewhere: &str) -> (Server, Server) {
    let (second, _, of_second) = start_set(&["http.token={ env = \"TOKEN\" }"]);
    of_second.users(|LookUp { user, about, way, reply, .. }| {
        let Way { hops, asked } = way;
        reply(Found::Here(Box::new(
            move || json!({"user": user, "about": format!("{about:?}"), "hops": hops, "asked": asked}),
        )));
    });
    let (first, _, of_first) = start_set(&["http.token={ env = \"TOKEN\" }", &format!("http.elsewhere={elsewhere}")]);
    let url = format!("http://{}", second.address());
    of_first.users(move |LookUp { user, way, reply, .. }| {
        let url = if user == "gone" { "http://127.0.0.1:1".to_owned() } else { url.clone() };
        let hops = if user == "moving" { 9 } else { way.hops + 1 };
        reply(Found::Elsewhere { url: Some(url), way: Way { hops, asked: vec!["web".into(), "app".into()] } });
    });
    (first, second)
}

fn get_with_token(server: &Server, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    send(server, request.as_bytes())
}

#[test]
fn who_is_elsewhere_is_asked_for_there() {
    let (first, _second) = start_two("proxy");
    let answer = get_with_token(&first, "/v1/recommendations/a%2Fb%20%E4%B8%AD?limit=3");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let about = "Recommendations { limit: Some(3) }";
    assert_eq!(body, json!({"user": "a/b 中", "about": about, "hops": 1, "asked": ["web", "app"]}));
    for (user, why) in [("gone", "the instance that has the user does not answer"), ("moving", "on the move")] {
        let answer = get_with_token(&first, &format!("/v1/profiles/{user}"));
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(why), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    }
}

#[test]
fn or_the_client_is_sent_there() {
    let (first, second) = start_two("redirect");
    let answer = get_with_token(&first, "/v1/profiles/a%2Fb%0d%0aSet-Cookie:x");
    assert!(answer.starts_with("HTTP/1.1 307 Temporary Redirect\r\n"), "{answer}");
    let location =
        answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{answer}"));
    let path = "/v1/profiles/a%2Fb%0d%0aSet-Cookie:x?hops=1&asked=web,app";
    assert_eq!(location, format!("http://{}{path}", second.address()));
    assert!(get_with_token(&second, path).starts_with("HTTP/1.1 200 "));
}

/// What strangers ask: each with the status that it must get.
#[test]
fn hostile_questions_are_answered_and_harm_nothing() {
    let server = start_answering();
    let long = format!("/v1/profiles/{}", "u".repeat(1025));
    let longest = format!("/v1/profiles/{}", "%61".repeat(1024));
    let huge = format!("/v1/profiles/{}", "u".repeat(64 << 10));
    let check = |path: &str, expected: &[u16]| {
        let answer = send(&server, &[b"GET ", path.as_bytes(), b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat());
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!(expected.contains(&status), "{path:.80}: {answer:.200}");
    };
    check(&longest, &[200]);
    check(&long, &[400]);
    // Closed without a word, or told that it is too long.
    check(&huge, &[0, 414, 431]);
    check("/v1/profiles/", &[404]);
    check("/v1/profiles/a/b", &[404]);
    check("/v1/profiles/%ff%fe", &[400]);
    check("/v1/profiles/%00", &[200]);
    check("/v1/profiles/%zz", &[200, 400]);
    check("/v1/profiles/%", &[200, 400]);
    check("/v1/profiles/..%2f..%2fetc%2fpasswd", &[200]);
    check("/v1/profiles/u?limit=1", &[400]);
    check("/v1/profiles/u?x=1", &[400]);
    check("/v1/sessions/u?%ff=%ff", &[400]);
    check("/v1/sessions/u?hops=256", &[400]);
    check(&format!("/v1/sessions/u?asked={}", ",".repeat(8000)), &[200]);
    for limit in ["-1", "0", "many", "", "1.5", "1e3", "99999999999999999999999", "%00", "1&limit=2"] {
        check(&format!("/v1/recommendations/u?limit={limit}"), &[400]);
    }
    check("/v1/recommendations/u?limit=18446744073709551615", &[200]);
    check("/v1/profiles/caf\u{e9}", &[200, 400]);
    check("/v1/profiles/a\u{0}b", &[400]);
    assert_eq!(get(&server, "/v1/profiles/u").0, 200, "it goes on");
}

/// `bounded`
#[test]
fn so_many_wait_and_no_more() {
    let (server, _, look_ups) = start_with_look_ups();
    let (kept, hung) = std::sync::mpsc::channel();
    look_ups.users(move |look_up| kept.send(look_up).unwrap());
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..40).map(|_| scope.spawn(|| get(&server, "/v1/profiles/u").0)).collect();
        assert!(asked.into_iter().all(|asked| asked.join().unwrap() == 503));
    });
    let waiting: Vec<LookUp> = hung.try_iter().collect();
    assert_eq!(waiting.len(), 32, "the others were turned away");
    drop(waiting);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| get(&server, "/v1/profiles/u").0);
        (hung.recv().unwrap().reply)(Found::Unknown);
        assert_eq!(asked.join().unwrap(), 404, "there is room again");
    });
}

#[test]
fn alerts_and_trends_are_told_by_whoever_reads_them() {
    let (server, _, look_ups) = start_with_look_ups();
    assert_eq!(get(&server, "/v1/alerts").0, 404, "nobody reads them");
    look_ups.boards(
        |wanted| (wanted.rule.as_deref() != Some("unread")).then(|| json!(format!("{wanted:?}")).to_string()),
        |wanted| Some(json!(format!("{wanted:?}")).to_string()),
    );
    let check = |path: &str, expected: String| {
        let (status, body) = get(&server, path);
        assert_eq!((status, serde_json::from_str(&body).ok()), (200, Some(json!(expected))), "{path}: {body}");
    };
    let open = AlertsWanted { states: vec![AlertState::Pending, AlertState::Firing], limit: 100, ..Default::default() };
    check("/v1/alerts", format!("{open:?}"));
    let some = AlertsWanted {
        states: vec![AlertState::Resolved, AlertState::Retracted],
        severities: vec![Severity::Critical, Severity::Info],
        scope: Some("brand=b 1,topic=中".into()),
        rule: Some("volume".into()),
        since_ms: Some(1_000),
        limit: 1_000,
    };
    let query = "severity=critical,info&scope=brand%3Db+1%2Ctopic%3D%E4%B8%AD&rule=volume&since=1970-01-01T00:00:01Z&limit=1000";
    check(&format!("/v1/alerts?state=resolved,retracted&{query}"), format!("{some:?}"));
    let trends = TrendsWanted { scope: Some("all".into()), from_ms: Some(0), to_ms: Some(60_000), limit: 5 };
    check("/v1/trends?scope=all&from=0&to=60000&limit=5", format!("{trends:?}"));
    assert_eq!(get(&server, "/v1/alerts?rule=unread").0, 503);
    let hostile = [
        "/v1/alerts?state=",
        "/v1/alerts?state=gone",
        "/v1/alerts?severity=loud",
        "/v1/alerts?since=soon",
        "/v1/alerts?x=1",
        "/v1/alerts?limit=0",
        "/v1/alerts?limit=-1",
        "/v1/alerts?limit=1001",
        "/v1/alerts?scope=a&scope=b",
        "/v1/trends?limit=10001",
        "/v1/trends?from=99999999999999999",
        "/v1/trends?to=%ff",
        "/v1/trends?rule=volume",
    ];
    for path in hostile {
        assert_eq!(get(&server, path).0, 400, "{path}");
    }
    assert_eq!(get(&server, "/v1/alerts/").0, 404);
}
