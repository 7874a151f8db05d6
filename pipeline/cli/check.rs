use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::Outcome;
use super::admin::{Cluster, changelogs, missing, other_width, unequal, wanted};
use super::out;
use super::settings::ConfigArgs;
use super::topics::Report;
use crate::codec::registry::Client;
use crate::config::{self, Counted, Examined, InputKind, Key, Kind, Settings};
use crate::event::{Error, Fault};
use crate::infer::{Activation, Head, HeadKind, RowsDirectory};
use crate::runtime::{Loaded, Models, Purchase, segments};

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
        let mut examined = self.config.examine()?;
        let settings = examined.settings.clone();
        let described =
            [models(&mut examined), purchase(&mut examined), segments(&mut examined)].concat() + &alerts(&settings);
        library(&mut examined);
        state_directory(&mut examined);
        if !examined.faults.0.is_empty() {
            return Err(examined.faults.into());
        }
        out::print(&format!("configuration: sound\n{described}"))?;
        let mut faults = Vec::new();
        if self.connect {
            registry(&settings, &mut faults)?;
            brokers(&settings, &mut faults);
        }
        together(faults).map_or(Ok(Outcome::Done), Err)
    }
}

/// Each model by itself, so that one that is broken does not hide what is wrong with the next; then all together.
fn models(examined: &mut Examined) -> String {
    let settings = examined.settings.clone();
    let mut described = String::new();
    let mut sound = true;
    for model in &settings.models {
        let alone = Settings { models: vec![model.clone()], ..settings.clone() };
        match Models::load(&alone) {
            Ok(models) => models.loaded.iter().for_each(|model| described += &describe(model)),
            Err(Error { message, hint, .. }) => {
                sound = false;
                examined.report(Key::from("models").child(&model.name), message, hint);
            }
        }
    }
    let together = (sound && settings.models.len() > 1).then(|| Models::load(&settings));
    if let Some(Err(Error { message, hint, .. })) = together {
        examined.report(Key::from("models"), message, hint);
    }
    described
}

/// The model that clicks are asked about, where clicks are read.
fn purchase(examined: &mut Examined) -> String {
    if !reads_clicks(&examined.settings) {
        return String::new();
    }
    match Purchase::load(&examined.settings) {
        Ok(Some(purchase)) => describe_purchase(&purchase),
        Ok(None) => "clicks: no purchase model\n".to_owned(),
        Err(Error { message, hint, .. }) => {
            examined.report(Key::from("clicks.purchase_model"), message, hint);
            String::new()
        }
    }
}

/// What profiles are told apart by.
fn segments(examined: &mut Examined) -> String {
    let directory = examined.settings.clicks.segment_model.clone().filter(|_| reads_clicks(&examined.settings));
    let Some(directory) = directory else { return String::new() };
    match segments::load(&directory) {
        Ok(model) => {
            let names: Vec<&str> = model.segments.iter().map(|segment| segment.name.as_str()).collect();
            format!("model {}: version {}, {}, for profiles\n", model.name, model.version, names.join(", "))
        }
        Err(Error { message, hint, .. }) => {
            examined.report(Key::from("clicks.segment_model"), message, hint);
            String::new()
        }
    }
}

/// What alerts will lack.
fn alerts(settings: &Settings) -> String {
    if !settings.alerts.enabled {
        return String::new();
    }
    let rules: Vec<&str> = settings.alerts.rules.iter().map(|rule| rule.name.as_str()).collect();
    let mut text = format!("alerts: {}\n", rules.join(", "));
    if settings.alerts.watches(Counted::Texts) && !settings.text.include_text {
        text += "    warning: text.include_text is false: alerts will have no sample texts and no terms, and copies of a \
                 text count in full\n";
    }
    text
}

fn reads_clicks(settings: &Settings) -> bool {
    settings.inputs.iter().any(|input| input.kind == InputKind::Click)
}

/// Models are not run here, so the library is only looked for.
fn library(examined: &mut Examined) {
    let missing = examined.settings.inference.library.clone().filter(|path| !path.is_file());
    if let Some(path) = missing {
        let message = format!("inference.library ({}) is no file", path.display());
        examined.report(Key::from("inference.library"), message, None);
    }
}

/// What a stage with state keeps its local copies in has to be writable.
fn state_directory(examined: &mut Examined) {
    if !reads_clicks(&examined.settings) && !examined.settings.alerts.enabled {
        return;
    }
    let directory = examined.settings.state.directory.clone();
    let there = directory.ancestors().find(|path| path.as_os_str().is_empty() || path.exists());
    let nearest = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made and dropped at once: permissions alone do not tell of a file system that is mounted read-only.
    if let Err(error) = tempfile_in(nearest) {
        let message = format!("state.directory ({}) cannot be written to: {error}", directory.display());
        let hint = "the copies of the state are a cache: give them any disk, or watch no clicks and no alerts";
        examined.report(Key::from("state.directory"), message, Some(hint.to_owned()));
    }
}

fn tempfile_in(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".groundswell-check-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)
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
    Ok(missing(&wanted, &there)
        .or_else(|| unequal(changelogs(settings), &there))
        .or_else(|| other_width(settings, &there)))
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
    fn alerts_without_texts_are_warned_of() {
        let of = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
            alerts(&config::load(None, &overrides, std::iter::empty()).unwrap())
        };
        assert_eq!(of(&[]), "", "none are configured");
        let without = of(&["alerts.enabled=true"]);
        assert!(without.contains("volume") && without.contains("text.include_text is false"), "{without}");
        assert!(!of(&["alerts.enabled=true", "text.include_text=true"]).contains("warning"));
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
