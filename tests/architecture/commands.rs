//! What the pages print can be typed: commands and flags exist, `make` targets too, and TOML is a configuration.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use groundswell::config;
use tempfile::TempDir;

use super::{quoted, read, repository};

const PAGES: [&str; 5] = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/operations.md", "docs/delivery.md"];
/// Long enough for every secret, and 32 bytes in hexadecimal.
const SECRET: &str = "0011223344556677001122334455667700112233445566770011223344556677";

#[test]
fn commands_and_flags_exist() {
    let mut helps: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut faults = Vec::new();
    for (page, line) in printed("groundswell") {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let command = subcommand(&words);
        let help = helps.entry(command.join(" ")).or_insert_with(|| help(&command));
        let Some(help) = help else {
            faults.push(format!("{page}: no command {:?}: {line}", command.join(" ")));
            continue;
        };
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or_default();
            if !help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag) {
                faults.push(format!("{page}: {} has no {flag}: {line}", command.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn make_targets_exist() {
    let makefile = read("Makefile");
    for (page, line) in printed("make") {
        let target = line.split_whitespace().skip(1).find(|word| !word.contains('='));
        let Some(target) = target else { continue };
        let pattern = target.split_once('-').map_or_else(String::new, |(first, _)| format!("{first}-%:"));
        let there = makefile
            .lines()
            .any(|rule| rule.starts_with(&format!("{target}:")) || (!pattern.is_empty() && rule.starts_with(&pattern)));
        assert!(there, "{page}: no target {target}: {line}");
    }
}

#[test]
fn toml_in_the_pages_is_configuration() {
    for page in PAGES {
        for block in blocks(&read(page), "toml") {
            check_configuration(page, &block);
        }
    }
}

/// As it is, and with everything in it that is commented out.
#[test]
fn the_configuration_that_deploys_is_sound() {
    let page = "deploy/groundswell.toml";
    let text = read(page);
    check_configuration(page, &text);
    let uncomment = |line: &str| -> String {
        let example = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[' || c == '"'));
        example.unwrap_or(line).to_owned()
    };
    let all: Vec<String> = text.lines().map(uncomment).collect();
    assert!(all.join("\n") != text.trim_end(), "nothing was commented out");
    check_configuration(page, &all.join("\n"));
}

#[test]
fn metrics_that_the_runbook_names_exist() {
    let reference = read("docs/metrics.md");
    let runbook = read("docs/operations.md");
    let names: Vec<&str> = quoted(&runbook).into_iter().filter(|name| name.starts_with("groundswell_")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let metric = name.split('{').next().unwrap_or_default();
        let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric);
        assert!(
            reference.contains(&format!("`{metric}`")) || reference.contains(&format!("`{histogram}`")),
            "no metric {name}"
        );
    }
}

fn check_configuration(page: &str, text: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("groundswell.toml");
    fs::write(&file, text).unwrap();
    let named = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let secrets = named.map(|name| (name.to_owned(), SECRET.to_owned()));
    let host = [("HOSTNAME".to_owned(), "test".to_owned())];
    if let Err(faults) = config::load(Some(&file), &[], secrets.chain(host)) {
        panic!("{page}: {}\n{text}", groundswell::event::Error::from(faults));
    }
}

/// Lines of code blocks that begin with this program, with the page; continued lines are joined.
fn printed(program: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for page in PAGES {
        for block in blocks(&read(page), "sh") {
            let joined = block.replace("\\\n", " ");
            let lines = joined.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim());
            let lines = lines.filter(|line| line.split_whitespace().next() == Some(program));
            found.extend(lines.map(|line| (page, line.to_owned())));
        }
    }
    assert!(!found.is_empty(), "no page prints {program}");
    found
}

/// The code blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if inside && line.starts_with("```") {
            inside = false;
        } else if inside {
            found.last_mut().unwrap().push(line);
        } else if line == fence {
            inside = true;
            found.push(Vec::new());
        }
    }
    found.into_iter().map(|lines| lines.join("\n")).collect()
}

/// The words that name a command: `dead-letters` has commands of its own.
fn subcommand<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let count = if words.first() == Some(&"dead-letters") { 2 } else { 1 };
    words.iter().copied().take(count).collect()
}

fn help(command: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_groundswell"))
        .args(command)
        .arg("--help")
        .current_dir(repository())
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
