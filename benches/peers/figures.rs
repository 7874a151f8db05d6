//! What was measured, kept from one run to the next, and the page that is made of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

use super::contender::{Contender, OF_CLICKS, OF_TEXTS};
use super::{CLICK_USERS, Outcome, WHOLE};

const PAGE: &str = include_str!("page.md");

#[derive(Default, Serialize, Deserialize)]
pub struct Figures {
    parts: BTreeMap<String, Part>,
}

/// One comparison.
#[derive(Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub cells: Vec<Cell>,
}

/// One contender's figures.
#[derive(Serialize, Deserialize)]
pub struct Cell {
    contender: String,
    values: BTreeMap<String, f64>,
}

impl Cell {
    pub fn new(contender: &str, values: Vec<(&str, f64)>) -> Cell {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Cell { contender: contender.to_owned(), values }
    }
}

impl Part {
    pub fn value(&self, contender: &str, name: &str) -> Outcome<f64> {
        let cell = self.cells.iter().find(|cell| cell.contender == contender);
        let value = cell.and_then(|cell| cell.values.get(name));
        value.copied().ok_or_else(|| format!("{} has no {name} of {contender}: measure it again", self.name).into())
    }
}

impl Figures {
    pub fn load() -> Outcome<Figures> {
        let kept = kept();
        if !kept.exists() {
            return Ok(Figures::default());
        }
        let figures = serde_json::from_slice(&fs::read(&kept)?);
        Ok(figures.map_err(|error| format!("{}: {error}", kept.display()))?)
    }

    pub fn keep(&mut self, part: Part) -> Outcome<()> {
        self.parts.insert(part.name.clone(), part);
        Ok(fs::write(kept(), serde_json::to_vec_pretty(self)?)?)
    }

    /// `docs/comparison.md`, where everything has been measured.
    pub fn write_page(&self) -> Outcome<()> {
        let names = ["clicks", "safety-clicks", "texts", "safety-texts"];
        let found: Option<Vec<&Part>> = names.iter().map(|name| self.parts.get(*name)).collect();
        let Some(&[clicks, safe_clicks, texts, safe_texts]) = found.as_deref() else {
            println!("docs/comparison.md is written when all parts are measured");
            return Ok(());
        };
        let page = PAGE
            .replace("{cores}", &available_parallelism()?.to_string())
            .replace("{click_events}", &WHOLE.clicks.to_string())
            .replace("{click_users}", &CLICK_USERS.to_string())
            .replace("{text_events}", &WHOLE.texts.to_string())
            .replace("{clicks}", &rates(clicks, &OF_CLICKS)?)
            .replace("{texts}", &rates(texts, &OF_TEXTS)?)
            .replace("{kills}", &safe_clicks.value(OF_CLICKS[0].name(), "kills")?.to_string())
            .replace("{safe_clicks}", &safety(safe_clicks, &OF_CLICKS)?)
            .replace("{safe_texts}", &safety(safe_texts, &OF_TEXTS)?);
        print!("\n{page}");
        Ok(fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/comparison.md"), page)?)
    }
}

fn rates(part: &Part, contenders: &[Contender]) -> Outcome<String> {
    let mut table = String::from(
        "| | events/s | Groundswell is faster by | processor time an event | peak memory | lines of code of your own |\n|---|---|---|---|---|---|\n",
    );
    let ours = part.value(contenders[0].name(), "rate")?;
    for contender in contenders {
        let of = |name| part.value(contender.name(), name);
        writeln!(
            table,
            "| {} | {:.0} | {:.1} × | {:.0} µs | {:.0} MiB | {} |",
            contender.title(),
            of("rate")?,
            ours / of("rate")?,
            of("cpu_us")?,
            of("peak_mib")?,
            contender.lines()
        )?;
    }
    Ok(table)
}

fn safety(part: &Part, contenders: &[Contender]) -> Outcome<String> {
    let mut table = String::from(
        "| | events | lost | doubled | answers changed | back at work after |\n|---|---|---|---|---|---|\n",
    );
    let measured = |contender: &&Contender| part.cells.iter().any(|cell| cell.contender == contender.name());
    for contender in contenders.iter().filter(measured) {
        let of = |name| part.value(contender.name(), name);
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | {:.1} s |",
            contender.title(),
            of("events")?,
            of("lost")?,
            of("doubled")?,
            of("changed")?,
            of("back_s")?
        )?;
    }
    Ok(table)
}

fn kept() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers.json"))
}
