//! What is watched: everything, a brand, a topic of it. A scope is written as its dimensions, `brand=b-1,topic=battery`.

use std::collections::BTreeMap;

use crate::config::{Counted, ScopeKind};

/// The scope of everything.
pub const ALL: &str = "all";
/// Before what a scope counts, where that is not texts.
const OF: &str = "of=";
/// The group of scopes that belong to no brand and no product.
pub const GLOBAL: &str = "";
/// Bytes of a value; a longer one is cut, with a hash of the whole behind it.
const VALUE_BYTES_MAX: usize = 96;

/// A scope's name, and the group in which its alerts are rolled up: its brand's or, without one, its product's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    pub name: String,
    pub group: String,
}

impl Scope {
    /// What is counted stands before the dimensions, but for texts. What has nothing to do with each other is not rolled
    /// up together: that nobody pays must not hide behind more people who look, and dead letters are no matter of the
    /// shop's.
    fn of(self, counted: Counted) -> Scope {
        let Scope { name, group } = self;
        let group = match counted {
            Counted::DeadLetters => counted.name().to_owned(),
            Counted::Checkouts => prefixed(counted, if group == GLOBAL { ALL } else { &group }),
            Counted::Clicks | Counted::Purchases if group == GLOBAL => Counted::Clicks.name().to_owned(),
            Counted::Texts | Counted::Sentiment | Counted::Users | Counted::Clicks | Counted::Purchases => group,
        };
        Scope { name: prefixed(counted, &name), group }
    }
}

/// `of=clicks`, `of=clicks,product=p-7`
pub fn prefixed(counted: Counted, name: &str) -> String {
    match name {
        _ if counted == Counted::Texts => name.to_owned(),
        ALL => format!("{OF}{}", counted.name()),
        name => format!("{OF}{},{name}", counted.name()),
    }
}

/// What a scope counts.
pub fn counted(scope: &str) -> Counted {
    let name = scope.strip_prefix(OF).map_or("", |rest| rest.split(',').next().unwrap_or_default());
    Counted::ALL.into_iter().find(|counted| counted.name() == name).unwrap_or(Counted::Texts)
}

/// A scope without what it counts.
pub fn bare(scope: &str) -> &str {
    match scope.strip_prefix(OF) {
        Some(rest) => rest.split_once(',').map_or(ALL, |(_, bare)| bare),
        None => scope,
    }
}

/// What a text is about, each value written so that it can stand in a scope's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub brand: Option<String>,
    pub product: Option<String>,
    pub channel: Option<String>,
    pub topic: Option<String>,
    pub intent: Option<String>,
    pub category: Option<String>,
    pub input: Option<String>,
    pub reason: Option<String>,
}

impl About {
    /// The scopes of these kinds that it is in.
    pub fn scopes(&self, counted: Counted, kinds: &[ScopeKind]) -> Vec<Scope> {
        let scopes = kinds.iter().filter_map(|kind| self.scope(*kind));
        scopes.map(|scope| scope.of(counted)).collect()
    }

    fn scope(&self, kind: ScopeKind) -> Option<Scope> {
        let one = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}"));
        let global = |name: String| Scope { name, group: GLOBAL.to_owned() };
        let brand = one("brand", &self.brand);
        match kind {
            ScopeKind::All => Some(global(ALL.to_owned())),
            ScopeKind::Channel => one("channel", &self.channel).map(global),
            ScopeKind::Topic => one("topic", &self.topic).map(global),
            ScopeKind::Intent => one("intent", &self.intent).map(global),
            ScopeKind::Category => one("category", &self.category).map(global),
            ScopeKind::Input => one("input", &self.input).map(global),
            ScopeKind::Reason => one("reason", &self.reason).map(global),
            ScopeKind::Brand => brand.map(|name| Scope { group: name.clone(), name }),
            ScopeKind::Product => {
                let name = one("product", &self.product)?;
                Some(Scope { group: brand.unwrap_or_else(|| name.clone()), name })
            }
            ScopeKind::BrandTopic => {
                let (group, topic) = (brand?, self.topic.as_ref()?);
                Some(Scope { name: format!("{group},topic={topic}"), group })
            }
        }
    }

    /// Every dimension's value, as `product=p-7`.
    pub fn parts(&self) -> Vec<String> {
        let values = [
            ("brand", &self.brand),
            ("product", &self.product),
            ("channel", &self.channel),
            ("topic", &self.topic),
            ("intent", &self.intent),
            ("category", &self.category),
            ("input", &self.input),
            ("reason", &self.reason),
        ];
        values.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect()
    }
}

/// The value as it stands in scopes: what separates there is escaped, what is long is cut. `None` for an empty one.
pub fn value(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' => written.push_str("%25"),
            ',' => written.push_str("%2C"),
            '=' => written.push_str("%3D"),
            c if c.is_control() => written.push(' '),
            c => written.push(c),
        }
    }
    if written.len() > VALUE_BYTES_MAX {
        let end = (0..=VALUE_BYTES_MAX).rev().find(|end| written.is_char_boundary(*end)).unwrap_or_default();
        written.truncate(end);
        written.push_str(&format!("~{:08x}", super::hash::of(text.as_bytes()) as u32));
    }
    Some(written)
}

/// The dimensions of a scope by name, as they came.
pub fn labels(scope: &str) -> BTreeMap<String, String> {
    let parts = scope.split(',').filter_map(|part| part.split_once('='));
    parts.map(|(name, value)| (name.to_owned(), unescaped(value))).collect()
}

/// What a person calls it.
pub fn unescaped(value: &str) -> String {
    value.replace("%2C", ",").replace("%3D", "=").replace("%25", "%")
}

/// What a scope is known by among those of all groups: a product of two brands, or that is named with its brand and without,
/// is in two groups, and counted in each.
pub fn key(group: &str, name: &str) -> String {
    match kind(name) {
        ScopeKind::Product if group != bare(name) => format!("{group} {name}"),
        _ => name.to_owned(),
    }
}

/// The kind of a scope by its name.
pub fn kind(scope: &str) -> ScopeKind {
    let scope = bare(scope);
    let dimension = scope.split_once('=').map_or("", |(dimension, _)| dimension);
    match dimension {
        "product" => ScopeKind::Product,
        "channel" => ScopeKind::Channel,
        "topic" => ScopeKind::Topic,
        "intent" => ScopeKind::Intent,
        "category" => ScopeKind::Category,
        "input" => ScopeKind::Input,
        "reason" => ScopeKind::Reason,
        "brand" if scope.contains(',') => ScopeKind::BrandTopic,
        "brand" => ScopeKind::Brand,
        _ => ScopeKind::All,
    }
}

/// Which of two scopes is the broader one: everything before one dimension before two.
pub fn breadth(scope: &str) -> usize {
    match kind(scope) {
        ScopeKind::All => 0,
        ScopeKind::Brand | ScopeKind::Channel | ScopeKind::Topic | ScopeKind::Intent => 1,
        ScopeKind::Category | ScopeKind::Input | ScopeKind::Reason => 1,
        ScopeKind::Product | ScopeKind::BrandTopic => 2,
    }
}

/// Different values of one dimension, which share no text: a surge of the one says nothing of the other.
pub fn are_apart(one: &str, other: &str) -> bool {
    let one_of = matches!(kind(one), ScopeKind::Channel | ScopeKind::Topic | ScopeKind::Intent | ScopeKind::Category);
    one_of && kind(one) == kind(other) && bare(one) != bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_in_the_scopes_of_all_that_it_names() {
        let about = About { brand: value("b,1"), product: value("p=2%"), topic: value("battery"), ..About::default() };
        let names: Vec<String> =
            about.scopes(Counted::Texts, &ScopeKind::ALL).into_iter().map(|scope| scope.name).collect();
        assert_eq!(names, ["all", "brand=b%2C1", "product=p%3D2%25", "topic=battery", "brand=b%2C1,topic=battery"]);
        assert_eq!(labels(&names[4])["brand"], "b,1");
        assert_eq!(labels(&names[2])["product"], "p=2%");
        let breadths: Vec<usize> = names.iter().map(|name| breadth(name)).collect();
        assert_eq!(breadths, [0, 1, 2, 1, 2]);
    }

    #[test]
    fn a_brand_and_its_products_are_one_group() {
        let about = About { brand: value("b"), product: value("p"), ..About::default() };
        let groups: Vec<String> =
            about.scopes(Counted::Texts, &ScopeKind::ALL).into_iter().map(|scope| scope.group).collect();
        assert_eq!(groups, [GLOBAL, "brand=b", "brand=b"]);
        let alone = About { product: value("p"), ..About::default() };
        assert_eq!(alone.scopes(Counted::Texts, &[ScopeKind::Product])[0].group, "product=p");
    }

    #[test]
    fn what_is_counted_stands_before_the_dimensions_and_texts_are_understood() {
        let about = About { product: value("p"), category: value("c"), ..About::default() };
        let scopes = about.scopes(Counted::Clicks, &ScopeKind::ALL);
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
        assert_eq!(names, ["of=clicks", "of=clicks,product=p", "of=clicks,category=c"]);
        assert_eq!((counted(names[1]), counted("product=p"), counted("of=clicks")), {
            (Counted::Clicks, Counted::Texts, Counted::Clicks)
        });
        assert_eq!((bare(names[0]), bare(names[1]), kind(names[2])), (ALL, "product=p", ScopeKind::Category));
        assert_eq!(labels(names[1])["of"], "clicks");
        let groups: Vec<&str> = scopes.iter().map(|scope| scope.group.as_str()).collect();
        assert_eq!(groups, ["clicks", "product=p", "clicks"]);
        let checkouts = about.scopes(Counted::Checkouts, &ScopeKind::ALL);
        let groups: Vec<&str> = checkouts.iter().map(|scope| scope.group.as_str()).collect();
        assert_eq!(groups, ["of=checkouts", "of=checkouts,product=p", "of=checkouts"]);
        let letters = About { input: value("reviews"), ..About::default() };
        assert!(
            letters.scopes(Counted::DeadLetters, &ScopeKind::ALL).iter().all(|scope| scope.group == "dead_letters")
        );
    }

    #[test]
    fn long_values_are_cut_and_stay_apart() {
        let (one, other) = ("长".repeat(90) + "a", "长".repeat(90) + "b");
        let (one, other) = (value(&one).unwrap(), value(&other).unwrap());
        assert!(one != other && one.len() < 120, "{one}");
        assert_eq!(value(" \t"), None);
    }
}
