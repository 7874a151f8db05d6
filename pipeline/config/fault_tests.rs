//! What is wrong in a configuration, and what a person is told: a row a mistake.

use super::Key;
use super::kafka::REFUSED;
use super::tests::faults;

#[test]
fn every_mistake_in_a_file_is_told() {
    for (file, expected) in FILES {
        assert_eq!(told(file, &[], &[]), *expected, "{file}");
    }
}

#[test]
fn every_refused_property_is_refused() {
    for (name, reason) in REFUSED {
        let told = told(&format!("[kafka.librdkafka]\n{name} = 1"), &[], &[]);
        assert!(told.ends_with(&format!("{} {reason}", Key::from("kafka.librdkafka").child(*name))), "{told}");
    }
}

#[test]
fn every_mistake_in_an_override_is_told() {
    for Row { set, env, expected } in OVERRIDES {
        assert_eq!(told("", set, env), *expected, "{set:?} {env:?}");
    }
}

/// Faults with each hint behind a bar.
fn told(file: &str, set: &[&str], env: &[(&str, &str)]) -> String {
    faults(file, set, env).replace("\n    ", " | ")
}

struct Row {
    set: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    expected: &'static str,
}

const FILES: &[(&str, &str)] = &[
    // Unknown keys.
    (
        "[kafka]\nbootstrap_server = 'a:1'",
        "groundswell.toml:2:1: kafka.bootstrap_server is unknown | did you mean bootstrap_servers?",
    ),
    ("[kafak]\nx = 1", "groundswell.toml:1:2: kafak is unknown | did you mean kafka?"),
    (
        "[batch]\nzzz = 1",
        "groundswell.toml:2:1: batch.zzz is unknown | known here: queue_delay_ms_max, timeout_ms, tokens_max, tries_max",
    ),
    (
        "[inputs.reviews]\nkind = 'review'\ntopics = ['r']\n[inputs.reviews.fields]\ntxt = '/body'",
        "groundswell.toml:5:1: inputs.reviews.fields.txt is unknown | did you mean text?",
    ),
    (
        "[delivery]\nepoch-ms-max = 3",
        "groundswell.toml:2:1: delivery.epoch-ms-max is unknown | did you mean epoch_ms_max?",
    ),
    // Types.
    (
        "[batch]\ntokens_max = 'many'",
        "groundswell.toml:2:1: batch.tokens_max (\"many\") is a string, not a whole number from 1 to 1048576",
    ),
    (
        "[batch]\ntokens_max = 0.5",
        "groundswell.toml:2:1: batch.tokens_max (0.5) is a number, not a whole number from 1 to 1048576",
    ),
    (
        "[registry]\nregister = 'yes'",
        "groundswell.toml:2:1: registry.register (\"yes\") is a string, not true or false",
    ),
    ("kafka = 3", "groundswell.toml:1:1: kafka (3) is a whole number, not a table"),
    (
        "[batch.tokens_max]\nx = 1",
        "groundswell.toml:1:8: batch.tokens_max is a table, not a whole number from 1 to 1048576",
    ),
    ("[log]\nfilter = 2026-11-22", "groundswell.toml:2:1: log.filter (2026-11-22) is a date, not a string"),
    ("[kafka]\nbootstrap_servers = ['a:1']", "groundswell.toml:2:1: kafka.bootstrap_servers is a list, not a string"),
    ("[outputs]\nreviews = true", "groundswell.toml:2:1: outputs.reviews (true) is a truth value, not a string"),
    (
        "[inputs.reviews]\nkind = 'review'\ntopics = 'reviews'",
        "groundswell.toml:3:1: inputs.reviews.topics (\"reviews\") is a string, not a list | write [\"reviews\"]",
    ),
    (
        "[inputs.reviews]\nkind = 'review'\ntopics = ['a', 7]",
        "groundswell.toml:3:16: inputs.reviews.topics (7) is a whole number, not a string",
    ),
    ("[[inputs]]\nkind = 'review'", "groundswell.toml:1:3: inputs is a list, not a table"),
    // Choices.
    (
        "[delivery]\nmode = 'exactly-once'",
        "groundswell.toml:2:1: delivery.mode (\"exactly-once\") is not \"exactly_once\" or \"at_least_once\" | did you mean \"exactly_once\"?",
    ),
    (
        "[redaction]\nkinds = ['phone', 'e-mail']",
        "groundswell.toml:2:19: redaction.kinds (\"e-mail\") is not one of \"email\", \"ip_address\", \"phone\", \"identity_card\", \"bank_card\", \"url_token\" | did you mean \"email\"?",
    ),
    (
        "[kafka]\nstart_from = 'end'",
        "groundswell.toml:2:1: kafka.start_from (\"end\") is not \"earliest\" or \"latest\"",
    ),
    // Ranges.
    ("[batch]\ntokens_max = 0", "groundswell.toml:2:1: batch.tokens_max (0) is below 1"),
    ("[batch]\nqueue_delay_ms_max = 5000", "groundswell.toml:2:1: batch.queue_delay_ms_max (5000) is above 1000"),
    ("[delivery]\nshutdown_ms_max = -1", "groundswell.toml:2:1: delivery.shutdown_ms_max (-1) is below 100"),
    (
        "[models.text]\npath = 'm'\nkinds = ['review', 'chat']\nthresholds = { topic = 1.5 }",
        "groundswell.toml:4:16: models.text.thresholds.topic (1.5) is not from 0 to 1",
    ),
    (
        "[models.text]\npath = 'm'\nkinds = ['review', 'chat']\nthresholds = { topic = nan }",
        "groundswell.toml:4:16: models.text.thresholds.topic (NaN) is a number, not a finite number",
    ),
    // Relations.
    (
        "[delivery]\nepoch_ms_max = 6000",
        "groundswell.toml:2:1: delivery.epoch_ms_max (6000) is above half of delivery.transaction_timeout_ms (10000) | the broker could abort an epoch while it is still being filled",
    ),
    (
        "[delivery]\ntransaction_timeout_ms = 1000\nepoch_ms_max = 600\nshutdown_ms_max = 500",
        "groundswell.toml:3:1: delivery.epoch_ms_max (600) is above half of delivery.transaction_timeout_ms (1000) | the broker could abort an epoch while it is still being filled\n\
         groundswell.toml:4:1: delivery.shutdown_ms_max (500) is below delivery.epoch_ms_max (600) | the last epoch could never be committed",
    ),
    (
        "[delivery]\nin_flight_bytes_max = 65536",
        "groundswell.toml:2:1: text.payload_bytes_max (1048576) is above delivery.in_flight_bytes_max (65536) | a record of that size would never be read",
    ),
    (
        "[batch]\nqueue_delay_ms_max = 200\ntimeout_ms = 150",
        "groundswell.toml:2:1: batch.queue_delay_ms_max (200) is not below batch.timeout_ms (150)",
    ),
    (
        "[redaction]\nuser = 'pseudonym'",
        "groundswell.toml:2:1: redaction.user (\"pseudonym\") needs redaction.user_secret, which is missing | add user_secret = { env = \"NAME\" } or { file = \"PATH\" }",
    ),
    (
        "[outputs]\nformat = 'protobuf_framed'",
        "groundswell.toml:2:1: outputs.format (\"protobuf_framed\") needs a registry, and registry.url is missing | set registry.url, or use the format \"protobuf\"",
    ),
    (
        "[inputs.reviews]\nkind = 'review'\ntopics = ['r']\nformat = 'protobuf_framed'",
        "groundswell.toml:4:1: inputs.reviews.format (\"protobuf_framed\") needs a registry, and registry.url is missing | set registry.url, or use the format \"protobuf\"",
    ),
    (
        "[registry]\nurl = 'http://r:8081'\npassword = { env = 'HOME_OF_NOTHING' }",
        "groundswell.toml:1:2: registry.username is missing | registry.password is there, but not whose it is\n\
         groundswell.toml:3:1: registry.password is to be found in environment variable HOME_OF_NOTHING, which is not set",
    ),
    (
        "[registry]\nurl = 'https://r'\nca = 'nowhere.pem'\ncertificate = 'tests/fixtures/tls/client.pem'",
        "groundswell.toml:1:2: registry.key is missing | a certificate proves nothing without its private key\n\
         groundswell.toml:3:1: registry.ca (nowhere.pem) cannot be read: No such file or directory (os error 2)",
    ),
    (
        "[registry]\nurl = 'https://r'\nca = 'Cargo.toml'\nkey = { file = 'tests/fixtures/tls/client-key.pem' }",
        "groundswell.toml:1:2: registry.certificate is missing | registry.key is there, but not what it is the key of\n\
         groundswell.toml:3:1: registry.ca (Cargo.toml) holds no certificate in PEM form",
    ),
    (
        "[registry]\nurl = 'https://r'\ncertificate = 'tests/fixtures/tls/client.pem'\nkey = { file = 'tests/fixtures/tls/client.pem' }",
        "groundswell.toml:4:1: registry.key is not a private key | PKCS#8, PKCS#1 or SEC1 in PEM form, without a passphrase",
    ),
    (
        "[registry]\nurl = 'http://r'\nca = 'tests/fixtures/tls/authority.pem'",
        "groundswell.toml:3:1: registry.ca is of no use with registry.url, which begins with http:// | use https://",
    ),
    (
        "[registry]\nregister = true",
        "groundswell.toml:1:2: registry.url is missing | [registry] is of no use without it",
    ),
    (
        "[dead_letters]\npayload = 'encrypted'",
        "groundswell.toml:2:1: dead_letters.payload (\"encrypted\") needs dead_letters.key, which is missing | add key = { env = \"NAME\" } or { file = \"PATH\" }",
    ),
    (
        "[models.text]\npath = 'm'\nkinds = ['review']",
        "groundswell.toml:1:2: inputs.chats.kind (\"chat\") is not among the kinds of any model | add \"chat\" to the kinds of a model",
    ),
    // Missing and empty.
    (
        "[inputs.reviews]\nformat = 'json'",
        "groundswell.toml:1:9: inputs.reviews.kind is missing | one of \"review\", \"chat\", \"click\"\n\
         groundswell.toml:1:9: inputs.reviews.topics is missing | as in topics = [\"reviews\"]",
    ),
    ("[inputs.reviews]\nkind = 'review'\ntopics = []", "groundswell.toml:3:1: inputs.reviews.topics is empty"),
    (
        "[models.text]\nkinds = []",
        "groundswell.toml:1:9: models.text.path is missing | a directory with model.onnx, tokenizer.json and config.json\n\
         groundswell.toml:2:1: models.text.kinds is empty",
    ),
    // Topics.
    (
        "[inputs.a]\nkind = 'review'\ntopics = ['t', 't']\n[inputs.b]\nkind = 'chat'\ntopics = ['t']",
        "groundswell.toml:3:1: inputs.a.topics names \"t\" twice | a topic belongs to one input\n\
         groundswell.toml:6:1: inputs.b.topics names \"t\", and so does inputs.a.topics | a topic belongs to one input",
    ),
    (
        "[inputs.a]\nkind = 'review'\ntopics = ['reviews.scored']",
        "groundswell.toml:3:1: inputs.a.topics and outputs.reviews both name \"reviews.scored\" | the program would read what it writes",
    ),
    (
        "[outputs]\ndead_letters = 'chats.scored'",
        "groundswell.toml:2:1: outputs.chats (\"chats.scored\") and outputs.dead_letters (\"chats.scored\") are the same topic | a reader of one could not read the other",
    ),
    (
        "[outputs]\nreviews = 'chats'",
        "groundswell.toml:2:1: inputs.chats.topics and outputs.reviews both name \"chats\" | the program would read what it writes",
    ),
    (
        "[outputs]\nreviews = 'my topic'",
        "groundswell.toml:2:1: outputs.reviews (\"my topic\") is not a name that Kafka takes | 1 to 249 letters, digits, dots, underscores and hyphens",
    ),
    // Fields.
    (
        "[inputs.a]\nkind = 'review'\ntopics = ['t']\nfields = { text = 'body' }",
        "groundswell.toml:4:12: inputs.a.fields.text (\"body\") is not a JSON pointer | write \"/body\", or { constant = \"body\" } if that is meant",
    ),
    (
        "[inputs.a]\nkind = 'review'\ntopics = ['t']\nfields = { text = '/a~2', turn = '/t' }",
        "groundswell.toml:4:12: inputs.a.fields.text (\"/a~2\") is not a JSON pointer | ~ is written ~0 and / within a name ~1\n\
         groundswell.toml:4:27: inputs.a.fields.turn is not a field of a review",
    ),
    (
        "[inputs.a]\nkind = 'chat'\ntopics = ['t']\nfields = { rating = '/r', speaker = { constant = 'agnet' }, event_id = { constant = 'x' }, turn = { constant = 'one' } }",
        "groundswell.toml:4:12: inputs.a.fields.rating is not a field of a chat\n\
         groundswell.toml:4:27: inputs.a.fields.speaker (\"agnet\") is not customer or agent or bot | did you mean \"agent\"?\n\
         groundswell.toml:4:61: inputs.a.fields.event_id cannot be the same for every record\n\
         groundswell.toml:4:92: inputs.a.fields.turn (\"one\") is not a whole number",
    ),
    (
        "[inputs.a]\nkind = 'click'\ntopics = ['t']\nfields = { text = '/t', action = { constant = 'veiw' }, price = { constant = 'x' } }",
        "groundswell.toml:4:12: inputs.a.fields.text is not a field of a click\n\
         groundswell.toml:4:25: inputs.a.fields.action (\"veiw\") is not view or cart or favourite or purchase or impression or remove | did you mean \"view\"?\n\
         groundswell.toml:4:57: inputs.a.fields.price (\"x\") is not a number",
    ),
    (
        "[inputs.a]\nkind = 'click'\ntopics = ['t']\n[redaction]\nuser = 'drop'",
        "groundswell.toml:5:1: redaction.user (\"drop\") leaves no user to make sessions of inputs.a by | with \"pseudonym\" a user is told from others and is not named",
    ),
    (
        "[inputs.a]\nkind = 'review'\ntopics = ['t']\nfields = { user = { record = 'timestamp' }, brand = { heading = 'b' }, channel = { header = '' } }",
        "groundswell.toml:4:12: inputs.a.fields.user is not a time, but is taken from the record's timestamp\n\
         groundswell.toml:4:45: inputs.a.fields.brand is a table, not a string or { header = \"…\" } or { record = \"key\" or \"timestamp\" } or { constant = \"…\" }\n\
         groundswell.toml:4:72: inputs.a.fields.channel names no header",
    ),
    // librdkafka.
    (
        "[kafka.librdkafka]\nenable.auto.commit = true\n'isolation.level' = 'read_uncommitted'",
        "groundswell.toml:2:13: kafka.librdkafka.\"enable.auto.commit\" would commit offsets before their results are acknowledged\n\
         groundswell.toml:3:1: kafka.librdkafka.\"isolation.level\" is always read_committed: aborted records are not input",
    ),
    (
        "[kafka.librdkafka]\n'sasl.password' = 'hunter2'",
        "groundswell.toml:2:1: kafka.librdkafka.\"sasl.password\" is a secret and is written in clear | write { env = \"NAME\" } or { file = \"PATH\" }",
    ),
    (
        "[kafka.librdkafka]\n'fetch.min.byte' = 1",
        "groundswell.toml:2:1: kafka.librdkafka.\"fetch.min.byte\" is refused by librdkafka: No such configuration property: \"fetch.min.byte\" | librdkafka's CONFIGURATION.md lists what it knows",
    ),
    (
        "[kafka.librdkafka]\n'fetch.min.bytes' = -5",
        "groundswell.toml:2:1: kafka.librdkafka.\"fetch.min.bytes\" is refused by librdkafka: Configuration property \"fetch.min.bytes\" value -5 is outside allowed range 1..100000000 | librdkafka's CONFIGURATION.md lists what it knows",
    ),
    (
        "[kafka.librdkafka]\n'fetch.min.bytes' = [1]",
        "groundswell.toml:2:1: kafka.librdkafka.\"fetch.min.bytes\" is a list, not { env = \"…\" } or { file = \"…\" } or true or false or a whole number or a finite number or a string",
    ),
    (
        "[kafka.librdkafka]\n'max.poll.interval.ms' = 10000",
        "groundswell.toml:2:1: kafka.librdkafka.\"max.poll.interval.ms\" (10000) is not above twice delivery.transaction_timeout_ms (10000) | a partition that is taken away is committed first, and that may take so long",
    ),
    (
        "[kafka.librdkafka]\nmax.poll.interval.ms = '20000'",
        "groundswell.toml:2:19: kafka.librdkafka.\"max.poll.interval.ms\" (20000) is not above twice delivery.transaction_timeout_ms (10000) | a partition that is taken away is committed first, and that may take so long",
    ),
    (
        "[delivery]\ntransaction_timeout_ms = 150000",
        "groundswell.toml:2:1: delivery.transaction_timeout_ms (150000) is not below half of max.poll.interval.ms (300000) | a partition that is taken away is committed first, and that may take so long; kafka.librdkafka.\"max.poll.interval.ms\" can be raised",
    ),
    (
        "[kafka]\ngroup_protocol = 'consumer'\n[kafka.librdkafka]\n'session.timeout.ms' = 10000",
        "groundswell.toml:4:1: kafka.librdkafka.\"session.timeout.ms\" is the broker's matter with kafka.group_protocol (\"consumer\") | set it on the broker, or use kafka.group_protocol = \"classic\"",
    ),
    (
        "[kafka.librdkafka]\n'ssl.key.password' = { env = 'NOT_THERE' }\n'sasl.password' = { file = '/nowhere/at/all' }",
        "groundswell.toml:2:1: kafka.librdkafka.\"ssl.key.password\" is to be found in environment variable NOT_THERE, which is not set\n\
         groundswell.toml:3:1: kafka.librdkafka.\"sasl.password\" is to be found in file /nowhere/at/all, which cannot be read: No such file or directory (os error 2)",
    ),
    // Words.
    (
        "[kafka]\nbootstrap_servers = 'broker'",
        "groundswell.toml:2:1: kafka.bootstrap_servers has \"broker\", which is not host:port | as in \"broker-1:9092,broker-2:9092\"",
    ),
    (
        "[kafka]\ngroup_prefix = ''",
        "groundswell.toml:2:1: kafka.group_prefix (\"\") is not a name that Kafka takes | 1 to 249 letters, digits, dots, underscores and hyphens",
    ),
    (
        "[instance]\nname = 'a b'",
        "groundswell.toml:2:1: instance.name (\"a b\") is not a name that Kafka takes | 1 to 249 letters, digits, dots, underscores and hyphens",
    ),
    (
        "[registry]\nurl = 'ftp://r'",
        "groundswell.toml:2:1: registry.url (\"ftp://r\") is not an http:// or https:// address",
    ),
    (
        "[registry]\nurl = 'https://me:hunter2@r'",
        "groundswell.toml:2:1: registry.url carries a name or a password | use registry.username and registry.password",
    ),
    (
        "[registry]\nurl = 'https://r'\nusername = 'me'\npassword = 'hunter2'",
        "groundswell.toml:4:1: registry.password is a string, not { env = \"…\" } or { file = \"…\" }",
    ),
    (
        "[redaction.patterns]\norder = '('\nphone = 'a'\nvoid = 'a*'\n'A B' = 'x'",
        "groundswell.toml:2:1: redaction.patterns.order (\"(\") is not a regular expression: unclosed group\n\
         groundswell.toml:3:1: redaction.patterns.phone has the name of a built-in kind | counts of the two could not be told apart\n\
         groundswell.toml:4:1: redaction.patterns.void (\"a*\") matches nothing at all, and so everywhere\n\
         groundswell.toml:5:1: redaction.patterns.\"A B\" is not a name | 1 to 64 lower-case letters, digits and underscores",
    ),
    ("[redaction]\nkinds = ['phone', 'phone']", "groundswell.toml:2:1: redaction.kinds names one of its items twice"),
    (
        "[inference]\ndevice = 'gpu'",
        "groundswell.toml:2:1: inference.device (\"gpu\") is not a device | \"cpu\", \"cuda\" or, for a certain GPU, \"cuda:1\"",
    ),
    ("[inference]\nworkers = 0", "groundswell.toml:2:1: inference.workers (0) is below 1"),
    (
        "[http]\nlisten = ':9464'",
        "groundswell.toml:2:1: http.listen (\":9464\") is not address:port | \"127.0.0.1:9464\" for this machine alone, \"0.0.0.0:9464\" for all that can reach it, or \"off\"",
    ),
    (
        "[http]\nadvertised_url = 'http://a:1/path'",
        "groundswell.toml:2:1: http.advertised_url (\"http://a:1/path\") is not http://HOST:PORT or https://HOST:PORT | as in \"http://10.0.0.7:9464\"; in a pod, GROUNDSWELL__HTTP__ADVERTISED_URL can hold its own address",
    ),
    (
        "[http]\nadvertised_url = 'http://u:p@a:1'",
        "groundswell.toml:2:1: http.advertised_url carries a name or a password | use http.token",
    ),
    (
        "[http]\nadvertised_url = 'https://a:1'",
        "groundswell.toml:2:1: http.elsewhere (\"proxy\") needs an http.advertised_url of http://, found \"https://a:1\" | instances speak to each other without TLS: \"redirect\", or an address inside the network",
    ),
    (
        "[http]\ntoken = 'hunter2'",
        "groundswell.toml:2:1: http.token is a string, not { env = \"…\" } or { file = \"…\" }",
    ),
    (
        "[log]\nfilter = 'groundswell=loud'",
        "groundswell.toml:2:1: log.filter (\"groundswell=loud\") is not a filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5 | as in \"info\"",
    ),
    (
        "[inputs.Reviews]\nkind = 'review'\ntopics = ['r']",
        "groundswell.toml:1:9: inputs.Reviews is not a name | 1 to 64 lower-case letters, digits, underscores and hyphens",
    ),
    // Syntax.
    (
        "[kafka]\nbootstrap_servers = ",
        "groundswell.toml:2:21: not TOML: string values must be quoted, expected literal string",
    ),
    ("[kafka]\n[kafka]\n", "groundswell.toml:2:2: not TOML: duplicate key"),
    // Many at once, in the order of the file.
    (
        "[outputs]\nformat = 'protobuf_framed'\n[inputs.a]\nkind = 'review'\ntopics = ['a']\nformat = 'protobuf_framed'",
        "groundswell.toml:2:1: outputs.format (\"protobuf_framed\") needs a registry, and registry.url is missing | set registry.url, or use the format \"protobuf\"\n\
         groundswell.toml:6:1: inputs.a.format (\"protobuf_framed\") needs a registry, and registry.url is missing | set registry.url, or use the format \"protobuf\"",
    ),
    (
        "[http]\nlisten = 'x'\n\n[batch]\ntokens_max = 0\ntokns = 1\n\n[log]\nformat = 'xml'",
        "groundswell.toml:2:1: http.listen (\"x\") is not address:port | \"127.0.0.1:9464\" for this machine alone, \"0.0.0.0:9464\" for all that can reach it, or \"off\"\n\
         groundswell.toml:5:1: batch.tokens_max (0) is below 1\n\
         groundswell.toml:6:1: batch.tokns is unknown | known here: queue_delay_ms_max, timeout_ms, tokens_max, tries_max\n\
         groundswell.toml:9:1: log.format (\"xml\") is not one of \"auto\", \"human\", \"json\"",
    ),
    // Alerts.
    (
        "[alerts]\nfalse_discovery_rate = 1.5\n[alerts.rules.volume]\nratio_min = nan",
        "groundswell.toml:2:1: alerts.false_discovery_rate (1.5) is above 0.5\n\
         groundswell.toml:4:1: alerts.rules.volume.ratio_min (NaN) is a number, not a finite number from 1 to 1000",
    ),
    (
        "[alerts]\nfalse_discovery_rate = -1\n[alerts.rules.volume]\nratio_min = 0",
        "groundswell.toml:2:1: alerts.false_discovery_rate (-1) is below 0.000001\n\
         groundswell.toml:4:1: alerts.rules.volume.ratio_min (0) is below 1",
    ),
    (
        "[alerts.rules.orders]\nsignal = 'purchases'\nscopes = ['all', 'brand']",
        "groundswell.toml:3:1: alerts.rules.orders.scopes (\"brand\") is no scope of signal \"purchases\" | it has all, product, category",
    ),
    (
        "[alerts.silences.night]\nfrom = '2026-11-22T10:00:00Z'\nuntil = '2026-11-22T09:00:00Z'",
        "groundswell.toml:1:18: alerts.silences.night.matching names no label: every alert would be silenced | name labels, as in { brand = \"b-1\" }; { rule = \"*\" } is every alert\n\
         groundswell.toml:3:1: alerts.silences.night.until (\"2026-11-22T09:00:00Z\") is not after alerts.silences.night.from (\"2026-11-22T10:00:00Z\")",
    ),
    (
        "[alerts.silences.a]\nmatching = { brnad = 'b', rule = 'volumes' }\n[alerts.silences.b]\nmatching = { of = 'click', brand = '=~(' }",
        "groundswell.toml:2:14: alerts.silences.a.matching.brnad is no label of an alert | did you mean brand?\n\
         groundswell.toml:2:27: alerts.silences.a.matching.rule (\"volumes\") is no rule of this configuration | did you mean \"volume\"?\n\
         groundswell.toml:4:14: alerts.silences.b.matching.of (\"click\") is no thing that is counted | did you mean \"clicks\"?\n\
         groundswell.toml:4:28: alerts.silences.b.matching.brand (\"(\") is not a regular expression: unclosed group",
    ),
    (
        "[alerts.inhibitions.i]\nsource = { rule = '' }\nequal = ['brands']",
        "groundswell.toml:1:21: alerts.inhibitions.i.target names no label: every alert would be inhibited | name labels, as in { brand = \"b-1\" }; { rule = \"*\" } is every alert\n\
         groundswell.toml:2:12: alerts.inhibitions.i.source.rule is empty: every alert has a rule\n\
         groundswell.toml:3:1: alerts.inhibitions.i.equal (\"brands\") is no label of an alert | did you mean brand?",
    ),
    (
        "[alerts]\nenabled = true\n[webhooks.w]\nurl = 'https://hooks.example/a'\nmatching = { severity = 'critical' }",
        "groundswell.toml:5:14: webhooks.w.matching.severity is no label of an alert | known here: rule, of, brand, product, channel, topic, intent, category, input, reason",
    ),
];

const OVERRIDES: &[Row] = &[
    Row {
        set: &["kafka.bootstrap_server=a:1"],
        env: &[],
        expected: "--set kafka.bootstrap_server: kafka.bootstrap_server is unknown | did you mean bootstrap_servers?",
    },
    Row { set: &["batch.tokens_max=0"], env: &[], expected: "--set batch.tokens_max: batch.tokens_max (0) is below 1" },
    Row {
        set: &["batch.tokens_max"],
        env: &[],
        expected: "--set …: there is no = between key and value | write --set section.key=value",
    },
    Row {
        set: &["batch..tokens_max=1"],
        env: &[],
        expected: "--set batch..tokens_max: \"batch..tokens_max\" is not a key | write --set section.key=value",
    },
    Row {
        set: &["kafka.bootstrap_servers.x=1"],
        env: &[],
        expected: "--set kafka.bootstrap_servers.x: kafka.bootstrap_servers is a table, not a string",
    },
    Row {
        set: &["kafka.librdkafka.sasl.password=hunter2"],
        env: &[],
        expected: "--set kafka.librdkafka.sasl.password: kafka.librdkafka.\"sasl.password\" is a secret and is written in clear | write { env = \"NAME\" } or { file = \"PATH\" }",
    },
    Row {
        set: &["inputs.chats.topics=reviews"],
        env: &[],
        expected: "--set inputs.chats.topics: inputs.chats.topics (\"reviews\") is a string, not a list | write [\"reviews\"]",
    },
    Row {
        set: &["inputs.chats.topics=[\"reviews\"]"],
        env: &[],
        expected: "--set inputs.chats.topics: inputs.reviews.topics names \"reviews\", and so does inputs.chats.topics | a topic belongs to one input",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__BATCH__TOKENS_MAX", "lots")],
        expected: "GROUNDSWELL__BATCH__TOKENS_MAX: batch.tokens_max (\"lots\") is a string, not a whole number from 1 to 1048576",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__BATCH__TOKENMAX", "5")],
        expected: "GROUNDSWELL__BATCH__TOKENMAX: batch.tokenmax is unknown | did you mean tokens_max?",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__BATCH", "5")],
        expected: "GROUNDSWELL__BATCH: batch (5) is a whole number, not a table",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__", "5")],
        expected: "GROUNDSWELL__: the variable names no key | a variable is named GROUNDSWELL__SECTION__KEY, two underscores between levels",
    },
    Row {
        set: &[],
        env: &[
            ("GROUNDSWELL_BATCH_TOKENS_MAX", "512"),
            ("GROUNDSWELL_PORT", "tcp://10.0.0.1:80"),
            ("GROUNDSWELL_REGISTRY_PASSWORD", "hunter2"),
        ],
        expected: "GROUNDSWELL_BATCH_TOKENS_MAX: the variable is not read | GROUNDSWELL__BATCH__TOKENS_MAX is: two underscores between levels",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__KAFKA____X", "5")],
        expected: "GROUNDSWELL__KAFKA____X: the variable names no key | a variable is named GROUNDSWELL__SECTION__KEY, two underscores between levels",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__REGISTRY__PASSWORD", "hunter2")],
        expected: "GROUNDSWELL__REGISTRY__PASSWORD: registry.password is a string, not { env = \"…\" } or { file = \"…\" }",
    },
    Row {
        set: &[],
        env: &[("GROUNDSWELL__KAFKA__LIBRDKAFKA__ENABLE_AUTO_COMMIT", "true")],
        expected: "GROUNDSWELL__KAFKA__LIBRDKAFKA__ENABLE_AUTO_COMMIT: kafka.librdkafka.\"enable.auto.commit\" would commit offsets before their results are acknowledged",
    },
    Row {
        set: &[],
        env: &[
            ("GROUNDSWELL__REDACTION__USER", "pseudonym"),
            ("GROUNDSWELL__REDACTION__USER_SECRET", "{ env = 'S' }"),
            ("S", "hunter2"),
        ],
        expected: "GROUNDSWELL__REDACTION__USER_SECRET: redaction.user_secret has 7 bytes, fewer than 16 | a short secret can be guessed, and every pseudonym with it; `openssl rand -hex 32` makes one",
    },
    Row {
        set: &["dead_letters.payload=encrypted"],
        env: &[("GROUNDSWELL__DEAD_LETTERS__KEY", "{ env = 'S' }"), ("S", "hunter2")],
        expected: "GROUNDSWELL__DEAD_LETTERS__KEY: dead_letters.key is not 32 bytes in hexadecimal or Base64 | `openssl rand -hex 32` makes one",
    },
    Row {
        set: &["dead_letters.key.env=S"],
        env: &[("S", "")],
        expected: "--set dead_letters.key.env: dead_letters.key is to be found in environment variable S, which is empty",
    },
    Row {
        set: &["log.format=xml", "http.listen=here"],
        env: &[("GROUNDSWELL__LOG__FORMAT", "yaml"), ("GROUNDSWELL__INFERENCE__DEVICE", "tpu")],
        expected: "GROUNDSWELL__INFERENCE__DEVICE: inference.device (\"tpu\") is not a device | \"cpu\", \"cuda\" or, for a certain GPU, \"cuda:1\"\n\
         GROUNDSWELL__LOG__FORMAT: log.format (\"yaml\") is not one of \"auto\", \"human\", \"json\"\n\
         --set http.listen: http.listen (\"here\") is not address:port | \"127.0.0.1:9464\" for this machine alone, \"0.0.0.0:9464\" for all that can reach it, or \"off\"\n\
         --set log.format: log.format (\"xml\") is not one of \"auto\", \"human\", \"json\"",
    },
];
