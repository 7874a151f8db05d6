//! Which alerts: by rule and by the labels of their scopes, as silences, inhibitions and receivers have it.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::alerts::Counted;
use super::check::nearest;
use super::judge::Judge;
use super::key::Key;

/// What can be named, but for the rule: the labels of scopes.
const LABELS: [&str; 8] = ["brand", "product", "channel", "topic", "intent", "category", "input", "reason"];
/// The rule that has found it, and what it counts where that is not texts.
const RULE: &str = "rule";
const OF: &str = "of";
/// Bytes of a compiled expression: some thousand alternatives.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// Each label that is named must be as it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching(Vec<(String, Wanted)>);

/// What a label must be. One that is absent is the empty text for an expression, as in Alertmanager.
#[derive(Clone, Debug)]
enum Wanted {
    Any,
    Absent,
    Is(String),
    IsNot(String),
    Like(Regex),
    Unlike(Regex),
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Wanted) -> bool {
        match (self, other) {
            (Wanted::Any, Wanted::Any) | (Wanted::Absent, Wanted::Absent) => true,
            (Wanted::Is(one), Wanted::Is(other)) | (Wanted::IsNot(one), Wanted::IsNot(other)) => one == other,
            (Wanted::Like(one), Wanted::Like(other)) | (Wanted::Unlike(one), Wanted::Unlike(other)) => {
                one.as_str() == other.as_str()
            }
            _ => false,
        }
    }
}

impl Matching {
    pub fn matches(&self, rule: &str, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = if name == RULE { Some(rule) } else { labels.get(name).map(String::as_str) };
            wanted.is(found)
        })
    }

    /// As it is written, label by label: `value`, `!=value`, `=~expression`, `!~expression`, `*` for any value, an empty text for
    /// none. The error names the label and says what is wrong.
    pub fn parse(written: &BTreeMap<String, String>) -> Result<Matching, (String, String)> {
        let parsed = written.iter().map(|(name, text)| match Wanted::parse(text) {
            Ok(wanted) => Ok((name.clone(), wanted)),
            Err(why) => Err((name.clone(), why)),
        });
        Ok(Matching(parsed.collect::<Result<_, _>>()?))
    }
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, String> {
        Ok(match text {
            "*" => Wanted::Any,
            "" => Wanted::Absent,
            _ => match text.split_at_checked(2) {
                Some(("!=", value)) => Wanted::IsNot(value.to_owned()),
                Some(("=~", expression)) => Wanted::Like(whole(expression)?),
                Some(("!~", expression)) => Wanted::Unlike(whole(expression)?),
                _ => Wanted::Is(text.to_owned()),
            },
        })
    }

    fn is(&self, found: Option<&str>) -> bool {
        match self {
            Wanted::Any => found.is_some(),
            Wanted::Absent => found.is_none(),
            Wanted::Is(value) => found == Some(value),
            Wanted::IsNot(value) => found.unwrap_or_default() != value,
            Wanted::Like(expression) => expression.is_match(found.unwrap_or_default()),
            Wanted::Unlike(expression) => !expression.is_match(found.unwrap_or_default()),
        }
    }

    /// Whether any of these can be it.
    fn can_be(&self, known: &[&str]) -> bool {
        match self {
            Wanted::Is(value) | Wanted::IsNot(value) => known.contains(&value.as_str()),
            Wanted::Like(_) => known.iter().any(|name| self.is(Some(name))),
            Wanted::Any | Wanted::Absent | Wanted::Unlike(_) => true,
        }
    }
}

/// An expression of the whole value: what matches within it is not enough.
fn whole(expression: &str) -> Result<Regex, String> {
    let reason = |error: regex::Error| {
        let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("({expression:?}) is not a regular expression: {reason}")
    };
    // By itself first: `a)|(b` would be one between the brackets below.
    Regex::new(expression).map_err(reason)?;
    RegexBuilder::new(&format!("^(?:{expression})$")).size_limit(EXPRESSION_BYTES_MAX).build().map_err(reason)
}

/// From what is written to what holds. `rules`: the names of those that there are.
pub fn matching(key: &Key, written: &BTreeMap<String, String>, rules: &[&str], judge: &mut Judge) -> Matching {
    let mut found = Vec::new();
    for (name, text) in written {
        let key = key.child(name);
        if !is_label(name) {
            unknown(&key, name, judge);
            continue;
        }
        match Wanted::parse(text) {
            Ok(wanted) => {
                named(&key, name, text, &wanted, rules, judge);
                found.push((name.clone(), wanted));
            }
            Err(why) => judge.wrong(key, why, None),
        }
    }
    Matching(found)
}

/// As [`matching`], where nothing named would be everything.
pub fn chosen(
    key: &Key,
    written: &BTreeMap<String, String>,
    rules: &[&str],
    empty: &str,
    judge: &mut Judge,
) -> Matching {
    if written.is_empty() {
        let hint = "name labels, as in { brand = \"b-1\" }; { rule = \"*\" } is every alert";
        judge.wrong(key.clone(), format!("names no label: {empty}"), Some(hint));
    }
    matching(key, written, rules, judge)
}

/// Labels in which alerts must be alike.
pub fn labels(key: &Key, written: &[String], judge: &mut Judge) {
    for name in written.iter().filter(|name| !is_label(name)) {
        let message = format!("({name:?}) is no label of an alert");
        judge.wrong(key.clone(), message, Some(&known_labels(name)));
    }
}

fn is_label(name: &str) -> bool {
    name == RULE || name == OF || LABELS.contains(&name)
}

fn unknown(key: &Key, name: &str, judge: &mut Judge) {
    judge.wrong(key.clone(), "is no label of an alert", Some(&known_labels(name)));
}

fn known_labels(name: &str) -> String {
    let known = || [RULE, OF].into_iter().chain(LABELS);
    match nearest(name, known()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// Values of labels that have few.
fn named(key: &Key, name: &str, text: &str, wanted: &Wanted, rules: &[&str], judge: &mut Judge) {
    let counted: Vec<&str> = Counted::ALL.iter().filter(|of| **of != Counted::Texts).map(|of| of.name()).collect();
    let (known, what) = match name {
        RULE => (rules, "rule of this configuration"),
        OF => (&*counted, "thing that is counted"),
        _ => return,
    };
    if name == RULE && matches!(wanted, Wanted::Absent) {
        judge.wrong(key.clone(), "is empty: every alert has a rule", None);
    } else if !wanted.can_be(known) {
        let hint = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        judge.wrong(key.clone(), format!("({text:?}) is no {what}"), Some(&hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(wanted: &[(&str, &str)]) -> Result<Matching, (String, String)> {
        Matching::parse(&wanted.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn what_is_named_must_be_so() {
        let labels = BTreeMap::from([("brand".to_owned(), "acme-2".to_owned())]);
        let check = |wanted: &[(&str, &str)], expected: bool| {
            assert_eq!(matching(wanted).unwrap().matches("volume", &labels), expected, "{wanted:?}");
        };
        check(&[], true);
        check(&[("brand", "acme-2"), ("rule", "volume")], true);
        check(&[("brand", "*"), ("topic", "")], true);
        check(&[("brand", "acme")], false);
        check(&[("topic", "*")], false);
        check(&[("brand", "")], false);
        check(&[("rule", "negative_share")], false);
        check(&[("brand", "!=acme-2")], false);
        check(&[("brand", "!=acme-3"), ("topic", "!=battery")], true);
        // The whole value, also of alternatives.
        check(&[("brand", "=~acme-[0-9]")], true);
        check(&[("brand", "=~acme")], false);
        check(&[("brand", "=~acme|other-2")], false);
        check(&[("brand", "!~acme")], true);
        check(&[("brand", "!~acme-.*")], false);
        // An absent label is the empty text.
        check(&[("topic", "=~.*")], true);
        check(&[("topic", "=~.+")], false);
        check(&[("topic", "!~battery")], true);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["=~(", "=~a)|(b", "!~[z-a]", "=~(?:x{1000}){1000}"] {
            let (name, why) = matching(&[("brand", wrong)]).unwrap_err();
            assert!(name == "brand" && why.contains(&wrong[2..]), "{why}");
        }
    }
}
