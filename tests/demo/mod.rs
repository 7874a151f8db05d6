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
    let history = before(&text, "   from before")?;
    // A machine under load may write less, but not by much.
    assert!(sent >= history + 480 && letters >= sent / 200, "{sum}");

    let (calm, incident) = shares(&text, "Velmora Q7")?;
    assert!(incident >= calm + 10, "{calm} % → {incident} %\n{text}");

    for shown in [&text, &errors] {
        let planted: Vec<_> = PLANTED.iter().filter(|planted| shown.contains(**planted)).collect();
        assert!(planted.is_empty(), "{planted:?} in\n{shown}");
    }
    let redacted = text.lines().find(|line| line.trim_start().starts_with("redacted")).ok_or("what was redacted")?;
    assert!(before(redacted, " phone")? > 0, "nothing was planted\n{text}");
    assert!(
        text.contains("bootstrap_servers") && text.contains("groundswell check") && text.contains("groundswell run")
    );
    assert!(!text.contains('\x1b'), "no terminal, no escape sequences");
    Ok(())
}

/// The story at the pace of this run: the update goes out after 10 s, its first complaints come after 13 s. The alert is
/// told within 20 s of the update, on the way and in the summary.
#[test]
fn the_incident_raises_one_alert_with_its_evidence_in_both_languages() -> Outcome<()> {
    let output = demo(&["--seconds", "40", "--seed", "1"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));

    let (story, summary) = text.split_once("Groundswell demo: ").ok_or("no summary")?;
    let news: Vec<&str> = story.lines().filter(|line| line.contains(" ALERT ")).collect();
    assert!(news.iter().any(|line| line.contains("ALERT firing")), "{text}");
    let about = |line: &&str| line.contains("velmora");
    assert!(news.iter().all(about), "{text}");

    assert!(summary.lines().any(|line| line.trim() == "alerts              1"), "{summary}");
    let told =
        summary.lines().find_map(|line| line.trim().strip_prefix("told ")).ok_or("when it was told is not said")?;
    let after: f64 = told.split(' ').next().ok_or(told)?.parse()?;
    assert!((0.0..=20.0).contains(&after), "{told}");

    let alert: Vec<&str> = summary.lines().skip_while(|line| !line.contains("ALERT")).take(6).collect();
    assert!(alert[0].contains("expected") && alert[1].contains("预期"), "{alert:#?}");
    assert!(alert[0].contains("Mostly about") && alert[1].contains("主要涉及"), "{alert:#?}");
    let samples: Vec<&&str> = alert.iter().filter(|line| line.contains("s.scored/")).collect();
    assert!(samples.iter().any(|line| line.trim_start().starts_with("en ")), "{alert:#?}");
    assert!(samples.iter().any(|line| line.trim_start().starts_with("zh ")), "{alert:#?}");
    Ok(())
}

#[test]
fn a_calm_day_raises_none() -> Outcome<()> {
    let output = demo(&["--seconds", "30", "--seed", "1", "--calm"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("ALERT") && text.contains("  alerts              0"), "{text}");
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
