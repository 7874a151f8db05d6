//! `groundswell detect`: a series in, the same rows with what is thought of them out.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::{command, groundswell};
use crate::support::Outcome;

const HEAD: &str = "timestamp,value,expected_low,expected_high,anomaly_score,alert";
/// 600 rows of 5 minutes; a spike in row 300 and a new level from row 450 on.
const SERIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/series/in.csv");
const WATCHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/series/out.csv");
/// Numbers may differ by this part from one machine's mathematics to another's.
const TOLERANCE: f64 = 1e-3;

/// `UPDATE_GOLDEN=1` writes what comes out; look at the difference before you commit it.
#[test]
fn a_series_is_watched_as_it_was() -> Outcome<()> {
    let said = groundswell(&["detect", SERIES])?.ended(0);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return Ok(std::fs::write(WATCHED, said.out)?);
    }
    let expected = std::fs::read_to_string(WATCHED)?;
    assert_eq!(said.out.lines().count(), expected.lines().count());
    for (expected, found) in expected.lines().zip(said.out.lines()) {
        for (expected, found) in expected.split(',').zip(found.split(',')) {
            let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * a.abs().max(1.0);
            let alike = expected == found || near(expected.parse()?, found.parse()?);
            assert!(alike, "expected {expected} of {found}");
        }
    }
    let alerts: Vec<usize> =
        (0..).zip(said.out.lines()).filter(|(_, row)| row.ends_with(",1")).map(|(i, _)| i).collect();
    assert!(alerts.contains(&300) && alerts.iter().any(|row| (450..453).contains(row)), "{alerts:?}");
    assert!(alerts.len() <= 6, "{alerts:?}");
    Ok(())
}

/// A row's answer must not wait for the next row, nor change with it.
#[test]
fn following_a_pipe_answers_line_by_line() -> Outcome<()> {
    let mut child = command(&["detect", "--follow"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut to = child.stdin.take().ok_or("no standard input")?;
    let mut answers = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    assert_eq!(answers.next().ok_or("no head")??, HEAD);
    let whole = groundswell(&["detect", SERIES])?.ended(0);
    let mut expected = whole.out.lines().skip(1);
    for line in std::fs::read_to_string(SERIES)?.lines().take(320) {
        to.write_all(format!("{line}\n").as_bytes())?;
        to.flush()?;
        if line.starts_with("timestamp") {
            continue;
        }
        assert_eq!(answers.next().ok_or("no answer")??, expected.next().ok_or("no row")?);
    }
    drop(to);
    assert!(answers.next().is_none());
    assert!(child.wait()?.success());
    Ok(())
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_rest_is_done() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bad.csv");
    std::fs::write(&file, "timestamp,value\n1700000000,1\nyesterday,2\n1700000300,x\n\n1700000600,\n1700000900,4\n")?;
    let said = groundswell(&["detect", file.to_str().ok_or("a path")?])?.ended(1);
    assert_eq!(said.out.lines().count(), 4, "{}", said.out);
    let named: Vec<&str> = said.err.lines().collect();
    assert_eq!(named.len(), 2, "{}", said.err);
    assert!(named[0].starts_with("line 3: timestamp \"yesterday\" is not a time"), "{}", named[0]);
    assert_eq!(named[1], "line 4: value \"x\" is not a number");
    let said = groundswell(&["detect", "/nowhere/series.csv"])?.ended(2);
    assert!(said.err.starts_with("error: cannot open /nowhere/series.csv: "), "{}", said.err);
    Ok(())
}
