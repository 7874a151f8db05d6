//! From a file as written to [`Settings`] that cannot be wrong.
//!
//! What is written passes through here once and in one direction:
//!
//! 1. `raw.rs` lists the keys, `default.toml` their defaults; `shape.rs` turns the list into what a check can walk.
//! 2. `layers.rs` reads defaults, file, environment and `--set` into trees (`tree.rs`) that know where each value was written, has `check.rs` take out what does not fit, and lays them over each other.
//! 3. `validate.rs`, with `kafka.rs`, `inputs.rs`, `alerts.rs`, `recommendations.rs`, `receivers.rs`, `http.rs` and `tls.rs`, holds the values against each other and makes [`Settings`].
//!
//! All faults are found in one run. The only things read besides the arguments are the file itself, the files of secrets and of certificates, and the host's name where the instance has none.

mod alerts;
mod check;
mod fault;
mod http;
mod inputs;
mod judge;
mod kafka;
mod key;
mod layers;
mod matching;
mod raw;
mod receivers;
mod recommendations;
mod reference;
mod settings;
mod shape;
mod tls;
mod tree;
mod validate;

use std::collections::BTreeMap;
use std::path::Path;

use crate::event;

pub use alerts::{AlertRule, Alerts, Counted, Inhibition, LooksFor, ScopeKind, Signal, Silence, Statistic};
pub use fault::{Fault, Faults, Place};
pub use http::{Elsewhere, Http, Partitioner};
pub use key::Key;
pub use layers::DEFAULTS;
pub use matching::Matching;
pub use receivers::{Receiver, ReceiverKind};
pub use recommendations::Recommendations;
pub use reference::reference;
pub use settings::*;

use judge::Judge;
use raw::Raw;
use shape::Shape;

/// The defaults, with the file laid over them, then the variables named `GROUNDSWELL__SECTION__KEY`, then the overrides (`section.key=value`), the last word winning.
///
/// `env` is the whole environment: secrets are looked up in it as well.
pub fn load(
    file: Option<&Path>,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Faults> {
    let examined = examine(file, overrides, env)?;
    if examined.faults.0.is_empty() { Ok(examined.settings) } else { Err(examined.faults) }
}

/// A configuration as far as it can be read.
pub struct Examined {
    /// With defaults in place of what is faulty: to look for further faults with, not to run with.
    pub settings: Settings,
    pub faults: Faults,
    tree: tree::Node,
}

impl Examined {
    /// Adds what was found wrong behind a key, by somebody who knows more than this module: a model that cannot be read.
    pub fn report(&mut self, key: Key, message: String, hint: Option<String>) {
        self.faults.add(self.tree.place_of(&key), key, message, hint);
        self.faults.sort();
    }
}

/// What [`load`] does, for whoever goes on looking for faults. An error: nothing could be read.
pub fn examine(
    file: Option<&Path>,
    overrides: &[String],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Examined, Faults> {
    let env: BTreeMap<String, String> = env.collect();
    let mut faults = Faults::default();
    let tree = layers::gather(&Shape::of::<Raw>(), file, overrides, &env, &mut faults);
    if faults.lost_file() {
        return Err(faults);
    }
    let raw: Raw = match serde_json::from_value(tree.to_json()) {
        Ok(raw) => raw,
        Err(error) => {
            faults.report(
                Place::Default,
                Key::root(),
                format!("the configuration does not fit its own types: {error}"),
                None,
            );
            return Err(faults);
        }
    };
    let mut judge = Judge::new(&tree, &env, faults);
    let settings = validate::validate(&raw, &mut judge);
    let faults = judge.found();
    Ok(Examined { settings, faults, tree })
}

/// The process's environment for [`load`], without variables that are not UTF-8: none of ours is.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A text that a model may be given must fit into a batch, or it would wait for ever. Known once the models are loaded.
pub fn fits_batch(batch: &Batch, model: &str, longest_input: usize) -> Result<(), event::Error> {
    let tokens_max = batch.tokens_max;
    if longest_input <= tokens_max {
        return Ok(());
    }
    let message =
        format!("batch.tokens_max ({tokens_max}) is below the longest input of model {model} ({longest_input})");
    Err(event::Error::new(event::Fault::Config, message)
        .hint(format!("set batch.tokens_max to {longest_input} or more")))
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
