use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Setup;
use crate::support::Outcome;

fn line(n: usize) -> String {
    format!("{{\"event_id\": \"r-{n}\", \"product\": \"p-{}\", \"text\": \"电池 {n}\"}}", n % 7)
}

#[test]
fn a_thousand_lines_become_a_thousand_records_and_bad_ones_are_named() -> Outcome<()> {
    let setup = Setup::new("replay")?;
    let topic = setup.topic("in");
    setup.kafka.create_topic(&topic, 3, &[("max.message.bytes", "20000")])?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("reviews.jsonl.gz");
    let mut file = GzEncoder::new(File::create(&path)?, Compression::fast());
    for n in 0..1000 {
        writeln!(file, "{}", line(n))?;
        match n {
            10 => writeln!(file, "13800138000 is no object}}")?,
            500 => writeln!(file, "\n\"{}\"", "x".repeat(30_000))?,
            _ => {}
        }
    }
    file.finish()?;

    let path = path.to_str().ok_or("a path")?;
    let said = setup.groundswell(&["replay", path, "--topic", &topic, "--key", "/product"])?.ended(1);
    assert!(said.out.starts_with("1000 records acknowledged, "), "{}", said.out);
    assert!(said.err.contains("line 12: not JSON: trailing characters at column 13\n"), "{}", said.err);
    assert!(said.err.contains("line 504: more bytes than replay-in takes ("), "{}", said.err);
    assert!(said.err.contains("2 lines were left out"), "{}", said.err);
    assert!(!said.err.contains("13800138000"), "nothing of a line is quoted: {}", said.err);

    let records = setup.kafka.read_committed(&topic)?;
    let mut seen: Vec<String> = records.iter().map(|record| record.text().into_owned()).collect();
    let mut expected: Vec<String> = (0..1000).map(line).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    for record in &records {
        let key = String::from_utf8(record.key.clone().ok_or("no key")?)?;
        assert!(record.text().contains(&format!("\"product\": \"{key}\"")), "{record:?}");
    }
    Ok(())
}

#[test]
fn a_file_is_read_again_up_to_the_limit() -> Outcome<()> {
    let setup = Setup::new("replay-loop")?;
    let topic = setup.topic("in");
    setup.kafka.create_topic(&topic, 1, &[])?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("three.jsonl");
    fs::write(&path, format!("{}\n{}\n{}", line(0), line(1), line(2)))?;
    let path = path.to_str().ok_or("a path")?;
    let said = setup.groundswell(&["replay", path, "--topic", &topic, "--loop", "--limit", "8", "--rate", "100/s"])?;
    assert!(said.ended(0).out.starts_with("8 records acknowledged, "));
    let seen: Vec<String> = setup.kafka.read_committed(&topic)?.iter().map(|r| r.text().into_owned()).collect();
    assert_eq!(seen, [0, 1, 2, 0, 1, 2, 0, 1].map(line), "in order");
    Ok(())
}

/// Standard input stays open, so that only Ctrl-C or the limit can end it; and with one record an hour, only Ctrl-C.
#[test]
fn ctrl_c_ends_with_what_was_acknowledged() -> Outcome<()> {
    let setup = Setup::new("replay-stop")?;
    let topic = setup.topic("in");
    setup.kafka.create_topic(&topic, 1, &[])?;
    let arguments = setup.arguments(&["replay", "-", "--topic", &topic, "--rate", "0.0003"]);
    let mut child =
        crate::cli::command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = child.stdin.take().ok_or("no stdin")?;
    writeln!(lines, "{}\n{}", line(0), line(1))?;
    lines.flush()?;
    while setup.kafka.ends(&topic)?[&0] == 0 {
        assert_eq!(child.try_wait()?, None, "it waits for the second record's time");
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    let said = crate::cli::Said::from(child.wait_with_output()?).ended(0);
    assert!(said.out.starts_with("1 record acknowledged, "), "{}", said.out);
    drop(lines);
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_not_made() -> Outcome<()> {
    let setup = Setup::new("replay-missing")?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let said = setup.groundswell(&["replay", file, "--topic", "replay-missing-in"])?.ended(2);
    assert!(said.err.starts_with("error: topic replay-missing-in is not there\nhint: "), "{}", said.err);
    assert!(setup.kafka.ends("replay-missing-in").is_err(), "still not there");
    Ok(())
}
