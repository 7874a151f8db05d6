use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;

/// Faults as a person sees them, the file's folder taken off.
pub fn faults(file: &str, set: &[&str], env: &[(&str, &str)]) -> String {
    match loaded(file, set, env) {
        Ok(settings) => format!("no fault: {settings:?}"),
        Err(faults) => faults,
    }
}

fn loaded(file: &str, set: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("groundswell.toml");
    std::fs::write(&path, file).expect("a file in it");
    let set: Vec<String> = set.iter().map(|words| words.to_string()).collect();
    let variables = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    load(Some(&path), &set, variables)
        .map_err(|faults| faults.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn sound(file: &str, set: &[&str], env: &[(&str, &str)]) -> Settings {
    loaded(file, set, env).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn defaults_are_sound() {
    let settings = load(None, &[], [("HOSTNAME".to_owned(), "host-1".to_owned())].into_iter()).expect("no fault");
    assert_eq!(settings.instance, "host-1");
    assert_eq!(settings.kafka.bootstrap_servers, "localhost:9092");
    assert_eq!(settings.kafka.start_from, StartFrom::Earliest);
    assert_eq!(settings.delivery.mode, DeliveryMode::ExactlyOnce);
    assert_eq!(settings.delivery.epoch_ms_max, Duration::from_millis(25));
    assert_eq!(settings.delivery.in_flight_bytes_max, 64 << 20);
    let inputs: Vec<_> = settings.inputs.iter().map(|i| (i.name.as_str(), i.kind, i.topics.join(" "))).collect();
    let expected = [("chats", InputKind::Chat), ("clicks", InputKind::Click), ("reviews", InputKind::Review)];
    assert_eq!(inputs, expected.map(|(name, kind)| (name, kind, name.to_owned())));
    assert!(settings.registry.is_none());
    assert_eq!(settings.redaction.kinds.len(), 6);
    assert!(matches!(settings.redaction.user, UserRedaction::Keep));
    assert_eq!(settings.models.len(), 1);
    assert_eq!(settings.models[0].path, Path::new("models/text"));
    assert!(settings.inference.workers >= 1);
    assert_eq!(settings.http.listen, Some("127.0.0.1:9464".parse().expect("an address")));
}

#[test]
fn the_last_layer_wins() {
    let file = "[log]\nfilter = 'file'\n[batch]\ntokens_max = 1\n[text]\npayload_bytes_max = 7";
    let env = [("GROUNDSWELL__LOG__FILTER", "env"), ("GROUNDSWELL__BATCH__TOKENS_MAX", "2")];
    let settings = sound(file, &["log.filter=set"], &env);
    assert_eq!(settings.log.filter, "set");
    assert_eq!(settings.batch.tokens_max, 2);
    assert_eq!(settings.text.payload_bytes_max, 7);
    assert_eq!(settings.batch.tries_max, 2);
}

#[test]
fn a_files_inputs_and_models_replace_the_default_ones() {
    let file = "[inputs.forum]\nkind = 'review'\ntopics = ['posts']\n[models.own]\npath = 'm'\nkinds = ['review']";
    let settings = sound(file, &[], &[]);
    assert_eq!(settings.inputs.len(), 1);
    assert_eq!(settings.inputs[0].format, InputFormat::Json);
    assert_eq!(settings.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["own"]);
}

#[test]
fn overrides_change_the_inputs_that_are_there() {
    let env = [("GROUNDSWELL__INPUTS__REVIEWS__TOPICS", "['a', 'b']")];
    let settings = sound("", &["inputs.reviews.fields.text=/body"], &env);
    let reviews = settings.inputs.iter().find(|input| input.name == "reviews").expect("still there");
    assert_eq!(reviews.topics, ["a", "b"]);
    assert_eq!(reviews.fields["text"], FieldSource::Pointer("/body".to_owned()));
    assert_eq!(settings.inputs.len(), 3);
}

#[test]
fn words_that_read_as_toml_stay_words_where_a_string_is_wanted() {
    let settings = sound("", &["instance.name=7", "kafka.group_prefix=2026-11-22"], &[]);
    assert_eq!((settings.instance.as_str(), settings.kafka.group_prefix.as_str()), ("7", "2026-11-22"));
}

#[test]
fn a_variable_of_kubernetes_is_not_ours() {
    sound("", &[], &[("GROUNDSWELL_PORT", "tcp://10.0.0.1:9464"), ("GROUNDSWELL_SERVICE_HOST", "10.0.0.1")]);
}

#[test]
fn fields_are_found_in_five_ways() {
    let file = "[inputs.a]\nkind = 'review'\ntopics = ['t']\n[inputs.a.fields]\ntext = '/a~1b'\nproduct.header = 'p'\n\
                user = { record = 'key' }\nevent_time = { record = 'timestamp' }\nchannel = { constant = 'app' }";
    let settings = sound(file, &[], &[]);
    let expected = [
        ("channel", FieldSource::Constant("app".to_owned())),
        ("event_time", FieldSource::Timestamp),
        ("product", FieldSource::Header("p".to_owned())),
        ("text", FieldSource::Pointer("/a~1b".to_owned())),
        ("user", FieldSource::Key),
    ];
    let found: Vec<_> = settings.inputs[0].fields.iter().map(|(name, at)| (name.as_str(), at.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn fields_are_those_of_the_schemas() {
    let of = |proto: &'static str| {
        let words = |line: &'static str| line.strip_suffix(';')?.split(" = ").next()?.rsplit(' ').next();
        let message = proto.split("message ").nth(1).unwrap_or_default();
        message.lines().filter_map(words).filter(|name| *name != "attributes").collect::<BTreeSet<_>>()
    };
    let review = of(include_str!("../../schemas/groundswell/v1/review.proto"));
    let chat = of(include_str!("../../schemas/groundswell/v1/chat.proto"));
    let click = of(include_str!("../../schemas/groundswell/v1/click.proto"));
    let ours: BTreeSet<_> = raw::Fields::default().named().map(|(name, _)| name).into();
    assert_eq!(ours, [&review, &chat, &click].into_iter().flatten().copied().collect());
    let file = |kind: &str, name: &str| {
        format!("[inputs.a]\nkind = '{kind}'\ntopics = ['t']\n[inputs.a.fields]\n{name} = '/x'")
    };
    for name in ours {
        assert_eq!(loaded(&file("review", name), &[], &[]).is_ok(), review.contains(name), "{name} of a review");
        assert_eq!(loaded(&file("chat", name), &[], &[]).is_ok(), chat.contains(name), "{name} of a chat");
        assert_eq!(loaded(&file("click", name), &[], &[]).is_ok(), click.contains(name), "{name} of a click");
    }
}

#[test]
fn librdkafka_takes_dotted_quoted_and_underscored_names() {
    let file = "[kafka.librdkafka]\nfetch.min.bytes = 2\n'client.id' = 'c'\nsasl.password = { env = 'P' }";
    let env = [("P", "planted"), ("GROUNDSWELL__KAFKA__LIBRDKAFKA__FETCH_MAX_BYTES", "1000000")];
    let settings = sound(file, &["kafka.librdkafka.enable.ssl.certificate.verification=true"], &env);
    let found: Vec<_> = settings.kafka.librdkafka.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let expected = [
        ("client.id", "c"),
        ("enable.ssl.certificate.verification", "true"),
        ("fetch.max.bytes", "1000000"),
        ("fetch.min.bytes", "2"),
        ("sasl.password", "planted"),
    ];
    assert_eq!(found, expected);
}

/// `private`: no secret in what `Debug` shows, nor in any fault about it.
#[test]
fn secrets_are_not_shown() {
    const PLANTED: &str = "planted-secret-0123456789";
    let key = hex::encode([7_u8; 32]);
    let file = "[kafka.librdkafka]\n'sasl.password' = { env = 'S' }\n[registry]\nurl = 'https://r'\nusername = 'me'\n\
                password = { env = 'S' }\nca = 'tests/fixtures/tls/authority.pem'\n\
                certificate = 'tests/fixtures/tls/client.pem'\nkey = { file = 'tests/fixtures/tls/client-key.pem' }\n[redaction]\nuser = 'pseudonym'\nuser_secret = { env = 'S' }\n\
                [dead_letters]\npayload = 'encrypted'\nkey = { env = 'K' }";
    let env = [("S", PLANTED), ("K", key.as_str())];
    let settings = sound(file, &[], &env);
    assert_eq!(settings.registry.as_ref().and_then(|r| r.password.as_ref()).map(Secret::expose), Some(PLANTED));
    assert!(matches!(&settings.dead_letters.payload, DeadLetterPayload::Encrypted(key) if key.0 == [7; 32]));
    let registry = settings.registry.as_ref().unwrap();
    assert_eq!(registry.authorities.as_ref().map(Vec::len), Some(1));
    assert!(registry.identity.is_some());
    let shown = format!("{settings:?}{settings:#?}");
    assert!(!shown.contains(PLANTED) && !shown.contains(&key) && !shown.contains("7, 7, 7"), "{shown}");
    assert!(shown.contains("PrivateKey { kind: Pkcs8 }"), "nothing but its kind: {shown}");

    let clear = format!(
        "[kafka.librdkafka]\n'sasl.password' = '{PLANTED}'\n'ssl.key.pem' = '{PLANTED}'\n[registry]\n\
         url = 'https://me:{PLANTED}@r'\npassword = '{PLANTED}'\npasword = '{PLANTED}'\n\
         [redaction]\nuser_secret = ['{PLANTED}']\n[dead_letters]\nkey = '{PLANTED}'"
    );
    let set = [&format!("kafka.librdkafka.ssl.key.password={PLANTED}") as &str, PLANTED];
    let env = [("GROUNDSWELL__REGISTRY__PASSWORD", PLANTED), ("K", PLANTED)];
    let told = faults(&clear, &set, &env);
    assert!(!told.contains(PLANTED), "{told}");
    assert_eq!(told.matches("groundswell.toml:").count(), 7, "{told}");
    assert!(!faults("[registry\npassword = 'planted-secret", &[], &[]).contains("planted"));
    assert!(!faults("[dead_letters]\npayload = 'encrypted'\nkey = { env = 'K' }", &[], &env[1..]).contains(PLANTED));
}

#[test]
fn a_secrets_file_may_end_in_a_line_break() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("password");
    std::fs::write(&path, "word \r\n").expect("a file in it");
    let file = format!("[kafka.librdkafka]\n'sasl.password' = {{ file = '{}' }}", path.display());
    assert_eq!(sound(&file, &[], &[]).kafka.librdkafka["sasl.password"].expose(), "word ");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let faults = load(Some(Path::new("/nowhere/groundswell.toml")), &[], std::iter::empty()).expect_err("no such file");
    let expected = "/nowhere/groundswell.toml:1:1: the file cannot be read: No such file or directory (os error 2)";
    assert_eq!(faults.to_string(), expected);
    let error = crate::event::Error::from(faults);
    assert_eq!((error.fault, error.message.as_str()), (crate::event::Fault::Config, expected));
}

#[test]
fn a_batch_holds_a_models_longest_input() {
    let mut batch = sound("", &[], &[]).batch;
    assert_eq!(fits_batch(&batch, "text", 512), Ok(()));
    batch.tokens_max = 128;
    let error = fits_batch(&batch, "text", 512).expect_err("too long");
    assert_eq!(error.message, "batch.tokens_max (128) is below the longest input of model text (512)");
}

#[test]
fn devices_and_workers() {
    let device = |name: &str| sound("", &[&format!("inference.device={name}")], &[]).inference;
    assert_eq!(device("cuda:1").device, Device::Cuda { id: 1 });
    assert_eq!((device("cuda").device, device("cuda").workers), (Device::Cuda { id: 0 }, 2));
    assert_eq!(sound("", &["http.listen=off"], &[]).http.listen, None);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever a slip of the hand does to a file, it is an answer and never a panic; a fault has a place.
    #[test]
    fn a_slip_is_an_answer(at in 0..DEFAULTS.len(), cut in 0..40_usize, put in "[a-z0-9\\[\\]{}.='\"# \n-]{0,6}") {
        let (before, after) = (DEFAULTS.get(..at).unwrap_or_default(), DEFAULTS.get(at + cut..).unwrap_or_default());
        if let Err(told) = loaded(&format!("{before}{put}{after}"), &[], &[]) {
            proptest::prop_assert!(told.starts_with("groundswell.toml:"), "{}", told);
        }
    }
}

/// To many receivers `/hook` and `/hook/` are two addresses.
#[test]
fn a_webhook_is_posted_to_where_it_is_written_and_an_alertmanager_behind_it() {
    let file = "[alerts]\nenabled = true\n[webhooks.a]\nurl = 'https://hooks.example/in/?key=a/'\n\
                [alertmanagers.b]\nurl = 'http://manager:9093/prefix/'";
    let urls: Vec<String> = sound(file, &[], &[]).receivers.into_iter().map(|receiver| receiver.url).collect();
    assert_eq!(urls, ["https://hooks.example/in/?key=a/", "http://manager:9093/prefix"]);
    let said = faults("[alerts]\nenabled = true\n[alertmanagers.b]\nurl = 'http://manager:9093/?x=1'", &[], &[]);
    assert!(said.contains("alertmanagers.b.url") && said.contains("carries a query"), "{said}");
}
