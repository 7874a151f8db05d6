use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use ureq::tls::{Certificate, ClientCert, PrivateKey};

use super::super::schema::SCORED_FILES;
use super::*;
use crate::config::Secret;

/// Answers each connection with the next of these, and hands out what it was asked.
fn registry(answers: Vec<(u16, String)>) -> (Client, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/apis/ccompat/v7/", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = asked.send(request(&mut stream));
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            // The client may hang up on an answer that is too large.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    (client(url, Duration::from_secs(10)), requests)
}

fn client(url: String, timeout: Duration) -> Client {
    let (username, password) = (Some("shop".to_string()), Some(Secret::new("hunter2")));
    Client::new(&Registry { username, password, timeout, ..plain(url) }).unwrap()
}

fn plain(url: String) -> Registry {
    Registry {
        url,
        username: None,
        password: None,
        authorities: None,
        identity: None,
        register: true,
        timeout: Duration::from_secs(10),
    }
}

/// Reads a request to its end: the head, and the body that it announces.
fn request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn answer(value: Value) -> (u16, String) {
    (200, value.to_string())
}

#[test]
fn a_schema_is_fetched_with_all_that_it_imports() {
    let reference = |name: &str, subject: &str| json!([{"name": name, "subject": subject, "version": 2}]);
    let (client, requests) = registry(vec![
        answer(json!({
            "schema": "syntax = \"proto3\"; import \"a/body.proto\"; message M { Body body = 1; }",
            "schemaType": "PROTOBUF", "references": reference("a/body.proto", "a/body.proto")
        })),
        answer(json!({
            "schema": "syntax = \"proto3\"; import \"mood.proto\"; message Body { Mood mood = 1; }",
            "references": reference("mood.proto", "mood")
        })),
        answer(json!({"schema": "syntax = \"proto3\"; enum Mood { CALM = 0; }"})),
    ]);
    let schema = client.fetch(7).unwrap();
    assert_eq!(schema.message(&[0]).unwrap().full_name(), "M");
    let lines: Vec<_> = requests.iter().map(|r| r.lines().next().unwrap().to_string()).collect();
    assert_eq!(
        lines,
        [
            "GET /apis/ccompat/v7/schemas/ids/7 HTTP/1.1",
            "GET /apis/ccompat/v7/subjects/a%2Fbody.proto/versions/2 HTTP/1.1",
            "GET /apis/ccompat/v7/subjects/mood/versions/2 HTTP/1.1",
        ]
    );
}

#[test]
fn a_schema_is_registered_after_what_it_imports() {
    let (client, requests) = registry(vec![
        answer(json!({"id": 3})),
        answer(json!({"id": 3, "version": 5, "subject": "s", "schema": "…"})),
        answer(json!({"id": 4})),
    ]);
    assert_eq!(client.register(&subject("reviews.scored"), &SCORED_FILES), Ok(4));
    let requests: Vec<_> = requests.iter().collect();
    let line = |n: usize| requests[n].lines().next().unwrap();
    assert_eq!(line(0), "POST /apis/ccompat/v7/subjects/groundswell%2Fv1%2Fchat.proto/versions HTTP/1.1");
    assert_eq!(line(1), "POST /apis/ccompat/v7/subjects/groundswell%2Fv1%2Fchat.proto HTTP/1.1");
    assert_eq!(line(2), "POST /apis/ccompat/v7/subjects/reviews.scored-value/versions HTTP/1.1");
    assert!(requests[2].to_ascii_lowercase().contains("authorization: basic c2hvcdpodw50zxiy"), "{}", requests[2]);
    let body: Value = serde_json::from_str(requests[2].split_once("\r\n\r\n").unwrap().1).unwrap();
    let name = "groundswell/v1/chat.proto";
    assert_eq!(body["references"], json!([{"name": name, "subject": name, "version": 5}]));
    assert_eq!((&body["schemaType"], &body["schema"]), (&json!("PROTOBUF"), &json!(SCORED_FILES[1].text)));
}

#[test]
fn each_fault_is_told_from_the_others() {
    let check = |status: u16, body: String, expected: &str, exit: u8| {
        let (client, _requests) = registry(vec![(status, body)]);
        let error = client.fetch(7).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!format!("{error:?} {}", Error::from(error.clone())).contains("hunter2"), "{message}");
        assert_eq!(Error::from(error).fault.exit_code(), exit);
    };
    let refusal = |code: u32| json!({"error_code": code, "message": "says\nso"}).to_string();
    check(404, refusal(40403), "the schema registry does not know schema 7", 3);
    check(404, "<html>".to_string(), "refuses with status 404", 3);
    check(401, refusal(401), "refuses with status 401: says so", 3);
    check(302, String::new(), "refuses with status 302", 3);
    check(500, refusal(50001), "cannot be reached: status 500 says so", 3);
    check(429, String::new(), "cannot be reached: status 429", 3);
    check(200, "<html>".to_string(), "cannot be reached: the answer is not a schema registry's", 3);
    check(200, json!({"schema": "{}"}).to_string(), "schema 7 cannot be used: expected type PROTOBUF, found AVRO", 3);
    check(200, json!({"schema": "x", "schemaType": "PROTOBUF"}).to_string(), "schema 7 cannot be used", 3);
    check(200, "x".repeat(ANSWER_BYTES_MAX as usize + 1), "the answer is larger than 1048576 bytes", 3);
}

#[test]
fn imports_without_end_are_cut_off() {
    let reference = |n: usize| json!([{"name": n.to_string(), "subject": "s", "version": n}]);
    let endless = |n: usize| answer(json!({"schema": "", "schemaType": "PROTOBUF", "references": reference(n)}));
    let (client, _requests) = registry((0..100).map(endless).collect());
    let error = client.fetch(7).unwrap_err();
    assert_eq!(error.to_string(), "schema 7 cannot be used: it imports more than 64 files");
}

#[test]
fn a_registry_that_is_not_there_or_does_not_answer_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = client(url.clone(), Duration::from_millis(50)).fetch(7).unwrap_err();
    assert!(matches!(silent, RegistryError::Unreachable { .. }), "{silent:?}");
    drop(listener);
    let gone = client(url, Duration::from_secs(10)).ping().unwrap_err();
    assert!(matches!(gone, RegistryError::Unreachable { .. }), "{gone:?}");
}

#[test]
fn a_record_is_refused_only_on_the_registrys_word() {
    let (schemas, now) = (Schemas::new(8, Duration::from_secs(60)), Instant::now());
    let unknown = (404, json!({"error_code": 40403, "message": "not found"}).to_string());
    let good = answer(json!({"schema": "syntax = \"proto3\"; message M {}", "schemaType": "PROTOBUF"}));
    let (client, requests) = registry(vec![(503, String::new()), unknown, good]);
    assert!(matches!(client.resolve(&schemas, 7, now), Err(RegistryError::Unreachable { .. })));
    let refused =
        Ok(Resolved::Rejected(Rejection::new(Reason::UnknownSchema, "the schema registry does not know schema 7")));
    assert_eq!(client.resolve(&schemas, 7, now), refused);
    assert_eq!(client.resolve(&schemas, 7, now + Duration::from_secs(59)), refused);
    assert_eq!(client.resolve(&schemas, 7, now + Duration::from_secs(60)), Ok(Resolved::Ready));
    assert!(schemas.get(7).is_some());
    assert_eq!(requests.iter().count(), 3, "the second refusal came from the cache");
}

#[test]
fn addresses_are_checked_and_credentials_in_them_not_shown() {
    let check = |url: &str, expected: &str| {
        let result = Client::new(&plain(url.to_string())).map(|client| client.url).map_err(|error| error.to_string());
        let shown = result.unwrap_or_else(|message| message);
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    };
    check("https://registry:8081/base//", "https://registry:8081/base");
    check("registry:8081", "found `registry:8081`");
    check("http:///x", "found `http:///x`");
    check("http://shop:hunter2@registry", "must not hold credentials");
    check("shop:hunter2@registry", "must not hold credentials");
}

const AUTHORITY: &[u8] = include_bytes!("../../../tests/fixtures/tls/authority.pem");
const CLIENT: &[u8] = include_bytes!("../../../tests/fixtures/tls/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/client-key.pem");

/// A registry with a certificate of a private authority, which lets in only whom that authority knows.
fn private_registry(connections: usize) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let chain = CertificateDer::from_pem_slice(include_bytes!("../../../tests/fixtures/tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../tests/fixtures/tls/server-key.pem")).unwrap();
    let config =
        ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(vec![chain], key).unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            // Whom it does not let in gets no answer.
            let _ = stream
                .read(&mut [0; 4096])
                .and_then(|_| stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]"));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[test]
fn a_registry_of_a_private_authority_is_believed_only_where_it_is_named() {
    let url = private_registry(3);
    let authorities = Some(vec![Certificate::from_pem(AUTHORITY).unwrap()]);
    let identity = ClientCert::new_with_certs(
        &[Certificate::from_pem(CLIENT).unwrap()],
        PrivateKey::from_pem(CLIENT_KEY).unwrap(),
    );
    let ping = |registry: Registry| Client::new(&registry).unwrap().ping();

    let stranger = ping(plain(url.clone())).unwrap_err();
    assert!(Error::from(stranger.clone()).to_string().contains("registry.ca"), "{stranger}");
    let unknown = ping(Registry { authorities: authorities.clone(), ..plain(url.clone()) });
    assert!(matches!(unknown, Err(RegistryError::Unreachable { .. })), "{unknown:?}");
    assert_eq!(ping(Registry { authorities, identity: Some(identity), ..plain(url) }), Ok(()));
}
