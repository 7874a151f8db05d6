//! The demo as somebody sees it who has just built the program: no terminal, another working directory, no
//! configuration.

use std::process::{Command, Output};

use crate::support::Outcome;

/// What the scenario plants; it must be redacted wherever a text is shown.
const PLANTED: [&str; 8] =
    ["1990000", "199 0000", "7700 900", "555-01", "@example.", "4111 1111", "203.0.113.", "token="];

fn demo(arguments: &[&str]) -> Outcome<Output> {
    let elsewhere = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundswell"));
    Ok(command.arg("demo").args(arguments).current_dir(elsewhere.path()).output()?)
}

/// The number in front of these words.
fn before(text: &str, words: &str) -> Outcome<u64> {
    let number = text.split(words).next().and_then(|text| text.split_whitespace().last());
    Ok(number.ok_or_else(|| format!("nothing before {words:?} in\n{text}"))?.parse()?)
}

/// The negative shares of a product before and after the update, in percent: `  Name   30 % of 27   58 % of 181`.
fn shares(text: &str, product: &str) -> Outcome<(u64, u64)> {
    let row = text.lines().find(|line| line.trim_start().starts_with(product) && line.contains(" of "));
    let row = row.ok_or_else(|| format!("no row of {product} in\n{text}"))?;
    let mut shares = row.split(" % of").filter_map(|part| part.split_whitespace().last()?.parse().ok());
    Ok((shares.next().ok_or(row)?, shares.next().ok_or(row)?))
}

#[test]
fn eight_seconds_end_by_themselves_add_up_and_show_the_incident() -> Outcome<()> {
    let output = demo(&["--seconds", "8", "--seed", "1", "--rate", "120"])?;
    let (text, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{:?}\n{text}\n{errors}", output.status);

    let sum = text.lines().find(|line| line.contains(" sent = ")).ok_or("no sum")?;
    let (sent, scored, letters) = (before(sum, " sent = ")?, before(sum, " scored + ")?, before(sum, " dead letters")?);
    assert_eq!(sent, scored + letters, "{sum}");
    // A machine under load may write less, but not by much.
    assert!(sent >= 480 && letters >= sent / 200, "{sum}");

    let (calm, incident) = shares(&text, "Velmora Q7")?;
    assert!(incident >= calm + 10, "{calm} % → {incident} %\n{text}");

    for shown in [&text, &errors] {
        let planted: Vec<_> = PLANTED.iter().filter(|planted| shown.contains(**planted)).collect();
        assert!(planted.is_empty(), "{planted:?} in\n{shown}");
    }
    assert!(before(&text, " phone")? > 0, "nothing was planted\n{text}");
    assert!(
        text.contains("bootstrap_servers") && text.contains("groundswell check") && text.contains("groundswell run")
    );
    assert!(!text.contains('\x1b'), "no terminal, no escape sequences");
    Ok(())
}

#[test]
fn what_cannot_be_had_is_named_before_anything_starts() -> Outcome<()> {
    let output = demo(&["--seconds", "1", "--set", "models.text.path=nowhere"])?;
    let errors = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("nowhere"), "{errors}");
    Ok(())
}
