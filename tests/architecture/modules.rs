//! Which module knows which: ARCHITECTURE.md's table against the paths that the code names.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, quoted, read, rows, section};

const TABLE: &str = "## Who may know whom";

#[test]
fn modules_know_only_whom_the_table_lets_them_know() {
    let (allowed, modules) = (table(), declared());
    let mut breaches = Vec::new();
    for path in files("pipeline").iter().filter(|path| path.ends_with(".rs")) {
        let Some(module) = module_of(path) else { continue };
        let Some(allowed) = allowed.get(&module) else {
            breaches.push(format!("{path}: the table has no row for {module}"));
            continue;
        };
        for known in known(path, &read(path), &modules) {
            if known != module && !allowed.contains(&known) {
                breaches.push(format!("{path}: {module} knows {known}"));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn the_table_holds_every_module_in_the_order_of_the_library() {
    let in_order: Vec<String> =
        rows(&section(&read("ARCHITECTURE.md"), TABLE)).iter().map(|cells| quoted(cells[0]).concat()).collect();
    assert_eq!(in_order, declared());
}

#[test]
fn no_module_knows_one_that_comes_after_it() {
    let order = declared();
    let place = |module: &str| order.iter().position(|m| m == module);
    for (module, known) in table() {
        for other in known {
            assert!(place(&other) < place(&module), "{module} may know {other}, which stands behind it in lib.rs");
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let modules = ["event", "sink", "source"].map(str::to_owned);
    let check = |path: &str, code: &str, expected: &[&str]| {
        let found: Vec<String> = known(path, code, &modules).into_iter().collect();
        assert_eq!(found, expected, "{code}");
    };
    check("pipeline/text/a.rs", "use crate::event::Error;", &["event"]);
    check("pipeline/text/a.rs", "use crate::{event::Error, sink::{Sink, source}};", &["event", "sink"]);
    check("pipeline/text/a.rs", "fn f() -> crate::sink::Sink", &["sink"]);
    check("pipeline/text/a.rs", "use super::super::source::Room;", &["source"]);
    check("pipeline/text/a.rs", "use super::source::Room;", &[]);
    check("pipeline/text/mod.rs", "use super::source::Room;", &["source"]);
    check("pipeline/text/a.rs", "//! [`crate::sink`] is only spoken of", &[]);
    check("pipeline/text/a.rs", "let url = \"http://x\"; crate::sink::f()", &["sink"]);
}

/// Modules whose decisions must not depend on when they are made: they take the time as an argument.
#[test]
fn what_decides_is_handed_the_time() {
    const PURE: [&str; 8] = [
        "pipeline/stages",
        "pipeline/detect",
        "pipeline/state",
        "pipeline/batch",
        "pipeline/text",
        "pipeline/codec",
        "pipeline/event",
        "pipeline/config",
    ];
    const CLOCKS: [&str; 4] = ["Instant::now", "Timestamp::now", "SystemTime", "thread::sleep"];
    let mut breaches = Vec::new();
    for path in PURE.iter().flat_map(|folder| files(folder)) {
        let is_test = path.ends_with("tests.rs") || path.ends_with("properties.rs");
        if !path.ends_with(".rs") || is_test {
            continue;
        }
        let code = read(&path);
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        breaches.extend(CLOCKS.iter().filter(|clock| code.contains(*clock)).map(|clock| format!("{path}: {clock}")));
    }
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// By module, whom it may know.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("ARCHITECTURE.md");
    let section = section(&page, TABLE);
    let entries = rows(&section).into_iter().map(|cells| {
        let (module, known) = (quoted(cells[0]).concat(), quoted(cells[1]));
        (module, known.into_iter().map(str::to_owned).collect())
    });
    entries.collect()
}

/// The library's modules, in its order.
fn declared() -> Vec<String> {
    let library = read("pipeline/lib.rs");
    let names = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// `pipeline/sink/epoch.rs` belongs to `sink`; `lib.rs` and `main.rs` to none.
fn module_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("pipeline/")?;
    let first = inside.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

/// The library's modules that the code of a file names, by `crate::` or by enough `super::`.
fn known(path: &str, code: &str, modules: &[String]) -> BTreeSet<String> {
    let code: String = code.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    let mut found: BTreeSet<String> = after(&code, "crate::").flat_map(first_names).collect();
    let up = "super::".repeat(depth(path));
    let above = after(&code, &up).flat_map(|rest| first_names(rest.trim_start_matches("super::")));
    found.extend(above.filter(|name| modules.contains(name)));
    found
}

/// How many `super::` lead from a file to the library's root.
fn depth(path: &str) -> usize {
    let folders = path.split('/').count() - 2;
    if path.ends_with("/mod.rs") { folders } else { folders + 1 }
}

fn after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix)
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$'))
        .map(|(at, _)| &code[at + prefix.len()..])
}

/// The first name of a path; of a group in braces, the first name of each path in it.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut names = vec![name(group.trim_start())];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The line without a comment; two slashes behind a colon are an address.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}
