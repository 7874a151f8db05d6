//! Links, files, tests and dependencies that the pages name are there.

use std::collections::BTreeSet;

use super::{files, quoted, read, repository, rows, section};

/// More than this, and nobody keeps the way of a record in mind.
const WALK_MAX: usize = 9;

#[test]
fn relative_links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { beside(&page, path) };
            let there = repository().join(&target).exists();
            let anchored =
                anchor.is_empty() || (target.ends_with(".md") && there && anchors(&read(&target)).contains(anchor));
            if !there || !anchored {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_walk_is_short_and_its_files_are_there() {
    let page = read("ARCHITECTURE.md");
    let walk = section(&page, "## The walk of one review");
    let stations: Vec<&str> = walk
        .lines()
        .filter(|line| line.split_once(". ").is_some_and(|(number, _)| number.parse::<usize>().is_ok()))
        .filter_map(|line| quoted(line).first().copied())
        .collect();
    assert!((1..=WALK_MAX).contains(&stations.len()), "{} stations, at most {WALK_MAX}", stations.len());
    let distinct: BTreeSet<_> = stations.iter().collect();
    assert_eq!(distinct.len(), stations.len(), "a station twice is a way back");
    let named = quoted(&walk).into_iter().filter(|name| name.ends_with(".rs"));
    for path in named.map(|name| format!("pipeline/{name}")) {
        assert!(repository().join(&path).is_file(), "{path} is not there");
    }
}

#[test]
fn every_test_that_an_invariant_names_is_there() {
    let page = read("ARCHITECTURE.md");
    let invariants = section(&page, "## Invariants");
    let code: String = ["pipeline", "tests"]
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|f| f.ends_with(".rs"))
        .map(|f| read(&f))
        .collect();
    let rows = rows(&invariants);
    assert_eq!(rows.len(), 8, "eight invariants");
    for cells in rows {
        for place in quoted(cells[2]).into_iter().filter(|name| name.ends_with(".rs")) {
            assert!(repository().join("pipeline").join(place).is_file(), "{}: {place} is not there", cells[0]);
        }
        for test in quoted(cells[3]) {
            assert!(code.contains(&format!("fn {test}(")), "{}: no test {test}", cells[0]);
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let page = read("ARCHITECTURE.md");
    let section = section(&page, "## Dependencies");
    let reasons = rows(&section);
    let named: BTreeSet<&str> = reasons.iter().flat_map(|cells| quoted(cells[0])).collect();
    let manifest = read("Cargo.toml");
    let mut table = "";
    let mut missing = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line;
        } else if table.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once(" = ")
            && !named.contains(name)
        {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "without a reason in ARCHITECTURE.md: {missing:?}");
}

#[test]
fn the_map_holds_every_module() {
    let page = read("ARCHITECTURE.md");
    let map = section(&page, "## The map");
    for module in read("pipeline/lib.rs").lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let named = [format!("`{module}/`"), format!("`{module}.rs`")].iter().any(|name| map.contains(name));
        assert!(named, "the map has no line for {module}");
    }
}

/// Both languages say the same, so they have the same parts in the same order.
#[test]
fn the_two_readmes_have_the_same_parts() {
    let shape = |page: &str| -> Vec<String> {
        let page = read(page);
        let mut fenced = false;
        let parts = page.lines().filter_map(|line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            let hashes = line.chars().take_while(|c| *c == '#').count();
            match (fence && fenced, hashes > 0 && !fenced) {
                (true, _) => Some(line.to_owned()),
                (_, true) => Some("#".repeat(hashes)),
                _ => None,
            }
        });
        parts.collect()
    };
    assert_eq!(shape("README.md"), shape("README.zh-CN.md"));
}

fn pages() -> Vec<String> {
    files("").into_iter().filter(|path| path.ends_with(".md")).collect()
}

/// Targets of links outside code blocks that are no address.
fn links(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if fenced {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        found.extend(targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")));
    }
    found
}

/// A link's target as a path in the repository.
fn beside(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as code hosts make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_are_found_and_resolved() {
    assert_eq!(links("[a](b.md) and [c](https://d) [e](../f#g)\n```\n[h](i)\n```"), ["b.md", "../f#g"]);
    assert_eq!(beside("docs/operations.md", "../README.md"), "README.md");
    assert!(anchors("## Exactly once, or at least once").contains("exactly-once-or-at-least-once"));
}
