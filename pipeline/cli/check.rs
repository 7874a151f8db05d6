use std::collections::BTreeSet;
use std::fmt::Write;

use clap::Args;

use super::Outcome;
use super::admin::{Cluster, changelogs, missing, unequal, wanted};
use super::out;
use super::settings::ConfigArgs;
use super::topics::Report;
use crate::codec::registry::Client;
use crate::config::{self, InputKind, Kind, Settings};
use crate::event::{Error, Fault};
use crate::infer::{Activation, Head, HeadKind, RowsDirectory};
use crate::runtime::{Loaded, Models, Purchase};

/// Labels of a head that are shown by name.
const LABELS_SHOWN: usize = 8;

/// Say what is wrong with a configuration, its models and, if asked, the brokers and the registry.
///
/// All faults are reported at once, each with its place, and exit code 2. Models are read and not run: their answers may
/// depend on the library and device they run on.
///
/// Example: groundswell check --config groundswell.toml --connect
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigArgs,

    /// Ask the brokers and the schema registry too: missing topics, settings that endanger the delivery promise.
    #[arg(long)]
    connect: bool,

    /// Print every default with its reason, as TOML, and do nothing else.
    #[arg(long, conflicts_with_all = ["connect", "config", "overrides"])]
    print_default: bool,

    /// Print what every key means, as Markdown, and do nothing else.
    #[arg(long, conflicts_with_all = ["connect", "config", "overrides", "print_default"])]
    print_reference: bool,
}

impl Check {
    pub fn run(self) -> Result<Outcome, Error> {
        if self.print_default {
            return out::print(config::DEFAULTS).map(|()| Outcome::Done);
        }
        if self.print_reference {
            return out::print(&config::reference()).map(|()| Outcome::Done);
        }
        let settings = self.config.load()?;
        let mut faults = Vec::new();
        out::line("configuration: sound")?;
        models(&settings, &mut faults)?;
        purchase(&settings, &mut faults)?;
        if self.connect {
            registry(&settings, &mut faults)?;
            brokers(&settings, &mut faults);
        }
        together(faults).map_or(Ok(Outcome::Done), Err)
    }
}

/// Each model by itself, so that one that is broken does not hide what is wrong with the next; then all together.
fn models(settings: &Settings, faults: &mut Vec<Error>) -> Result<(), Error> {
    let before = faults.len();
    for model in &settings.models {
        let alone = Settings { models: vec![model.clone()], ..settings.clone() };
        match Models::load(&alone) {
            Ok(models) => models.loaded.iter().try_for_each(|model| out::print(&describe(model)))?,
            Err(error) => faults.push(error),
        }
    }
    if faults.len() == before && settings.models.len() > 1 {
        faults.extend(Models::load(settings).err());
    }
    Ok(())
}

/// The model that clicks are asked about, where clicks are read.
fn purchase(settings: &Settings, faults: &mut Vec<Error>) -> Result<(), Error> {
    if !settings.inputs.iter().any(|input| input.kind == InputKind::Click) {
        return Ok(());
    }
    match Purchase::load(settings) {
        Ok(Some(purchase)) => out::print(&describe_purchase(&purchase))?,
        Ok(None) => out::line("clicks: no purchase model")?,
        Err(error) => faults.push(error),
    }
    Ok(())
}

fn registry(settings: &Settings, faults: &mut Vec<Error>) -> Result<(), Error> {
    let Some(registry) = &settings.registry else { return Ok(()) };
    match Client::new(registry).and_then(|client| Ok(client.ping()?)) {
        Ok(()) => out::line(format_args!("registry {}: answers", registry.url))?,
        Err(error) => faults.push(error),
    }
    Ok(())
}

fn brokers(settings: &Settings, faults: &mut Vec<Error>) {
    match ask(settings) {
        Ok(lacks) => faults.extend(lacks),
        Err(error) => faults.push(error),
    }
}

/// The error within says which topics are missing, the one around it that the brokers could not be asked.
fn ask(settings: &Settings) -> Result<Option<Error>, Error> {
    let cluster = Cluster::connect(&settings.kafka)?;
    out::line(format_args!("brokers {}: {} answer\n", settings.kafka.bootstrap_servers, cluster.brokers()?))?;
    let wanted = wanted(settings);
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let there = cluster.topics(&names)?;
    out::print(&Report::new(&wanted, &there, BTreeSet::new(), settings).text())?;
    Ok(missing(&wanted, &there).or_else(|| unequal(changelogs(settings), &there)))
}

fn describe(model: &Loaded) -> String {
    let kinds: Vec<&str> = model.kinds.iter().map(|kind| kind_name(*kind)).collect();
    let mut text = format!(
        "model {}: version {}, texts of up to {} tokens, for {}\n",
        model.name,
        model.version,
        model.tokens_max,
        kinds.join(" and ")
    );
    for head in &model.heads {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {}", describe_head(head));
    }
    for head in &model.unused {
        let _ = writeln!(text, "    {}, left out: text.include_embedding is false", describe_head(head));
    }
    if let Some(warning) = &model.warning {
        let _ = writeln!(text, "    warning: {warning}");
    }
    text
}

fn describe_purchase(purchase: &Purchase) -> String {
    let RowsDirectory { name, version, features, output, .. } = &purchase.directory;
    let warning = purchase.warning.as_ref().map(|warning| format!("    warning: {warning}\n")).unwrap_or_default();
    format!(
        "model {name}: version {version}, rows of {} features, gives {output}, for clicks\n{warning}",
        features.len()
    )
}

fn describe_head(head: &Head) -> String {
    if let HeadKind::Embedding { dimensions } = head.kind {
        let dimensions = dimensions.map(|d| format!(" of {d} dimensions")).unwrap_or_default();
        return format!("{}: an embedding{dimensions}", head.name);
    }
    let what = if head.activation == Activation::Sigmoid { "any of" } else { "one of" };
    let shown: Vec<&str> = head.labels.iter().take(LABELS_SHOWN).map(String::as_str).collect();
    let more = match head.labels.len().saturating_sub(LABELS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let sentiment = if matches!(head.kind, HeadKind::Sentiment(_)) { ", as the sentiment" } else { "" };
    let from = match head.threshold {
        0.0 => String::new(),
        threshold => format!("; from a probability of {threshold}"),
    };
    let none = head.none.and_then(|at| head.labels.get(at)).map(|l| format!("; {l} gives nothing")).unwrap_or_default();
    format!("{}: {what} {}{more}{sentiment}{from}{none}", head.name, shown.join(", "))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Review => "reviews",
        Kind::Chat => "chats",
    }
}

/// Several errors as one; a fault of the configuration decides the exit code, since only a person can mend it.
fn together(faults: Vec<Error>) -> Option<Error> {
    let rank = |fault: Fault| match fault {
        Fault::Bug => 0,
        Fault::Config => 1,
        _ => 2,
    };
    let fault = faults.iter().map(|error| error.fault).min_by_key(|fault| rank(*fault))?;
    let lines: Vec<String> = faults
        .into_iter()
        .map(|Error { message, hint, .. }| hint.map_or(message.clone(), |hint| format!("{message}\n    {hint}")))
        .collect();
    Some(Error::new(fault, lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_come_as_one_and_the_configuration_decides_the_exit_code() {
        assert_eq!(together(Vec::new()), None);
        let unreachable = Error::new(Fault::Broker, "no broker").hint("start one");
        let faults = vec![unreachable.clone(), Error::new(Fault::Config, "no model")];
        let error = together(faults).expect("an error");
        assert_eq!((error.fault, error.message.as_str()), (Fault::Config, "no broker\n    start one\nno model"));
        assert_eq!(together(vec![unreachable]).map(|e| e.fault), Some(Fault::Broker));
    }

    #[test]
    fn a_head_with_many_labels_is_cut_short() {
        let head = |labels: usize| Head {
            name: "topic".into(),
            output: "logits".into(),
            activation: Activation::Sigmoid,
            labels: (0..labels).map(|n| format!("l{n}")).collect(),
            threshold: 0.5,
            top: 3,
            none: None,
            kind: HeadKind::Labels,
        };
        assert_eq!(describe_head(&head(2)), "topic: any of l0, l1; from a probability of 0.5");
        assert!(describe_head(&head(10)).contains("l7 and 2 more"));
        let out_of_scope = Head { none: Some(1), ..head(2) };
        assert!(describe_head(&out_of_scope).ends_with("from a probability of 0.5; l1 gives nothing"));
        let embedding = Head { kind: HeadKind::Embedding { dimensions: Some(64) }, ..head(0) };
        assert_eq!(describe_head(&embedding), "topic: an embedding of 64 dimensions");
    }
}
