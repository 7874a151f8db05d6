//! The project speaks of itself alone: no file names the machine it was written on or the hosts that packages come from.

use std::fs;

use super::{files, repository};

/// Written by tools, which name their sources.
const GENERATED: [&str; 1] = ["Cargo.lock"];
/// Written apart, so that this file does not hold them.
const WORDS: [&str; 8] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("repo.maven", ".apache.org"),
    concat!("registry.npmjs", ".org"),
    concat!("proxy.golang", ".org"),
];

#[test]
fn no_file_names_a_machine_or_a_package_host() {
    let mut found = Vec::new();
    for path in files("").into_iter().filter(|path| !GENERATED.contains(&path.as_str())) {
        let bytes = fs::read(repository().join(&path)).unwrap();
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for (number, line) in text.lines().enumerate() {
            found.extend(
                WORDS.iter().filter(|word| line.contains(*word)).map(|word| format!("{path}:{}: {word}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
