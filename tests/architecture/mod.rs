//! What ARCHITECTURE.md and the other pages say, held against the repository: who knows whom, that what is named is
//! there, that what is printed can be typed. They need no Kafka and no network.

mod commands;
mod modules;
mod pages;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of what is built or fetched.
const NOT_OURS: [&str; 8] = [".git", ".local", ".venv", "__pycache__", "dist", "node_modules", "runs", "target"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(repository().join(path));
    text.unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// All files below a folder of the repository, by their paths in it, in order. Links are not followed.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let (kind, name) = (entry.file_type().unwrap(), entry.file_name());
            if NOT_OURS.iter().any(|not_ours| name == *not_ours) {
                continue;
            }
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                found.push(path.strip_prefix(repository()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The lines of a page between the heading and the next one of its level or above.
fn section(page: &str, heading: &str) -> String {
    let level = heading.chars().take_while(|c| *c == '#').count();
    let mut fenced = false;
    let is_end = |line: &str| {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        (1..=level).contains(&hashes) && line[hashes..].starts_with(' ')
    };
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no heading {heading:?}");
    let inside = lines.take_while(|line| {
        fenced ^= line.starts_with("```");
        fenced || !is_end(line)
    });
    inside.collect::<Vec<_>>().join("\n")
}

/// The cells of a page's tables, heads and rules left out.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = section.lines().collect();
    let is_rule = |line: &str| line.starts_with("|-");
    let is_body = |at: usize| {
        let line = lines[at];
        line.starts_with('|') && !is_rule(line) && !lines.get(at + 1).is_some_and(|next| is_rule(next))
    };
    let cells = |at: usize| lines[at].trim_matches('|').split('|').map(str::trim).collect();
    (0..lines.len()).filter(|at| is_body(*at)).map(cells).collect()
}

/// What stands between back-ticks, in order.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
