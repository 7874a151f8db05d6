use crate::event::Error;

use super::graph::{Graph, Tensor};
use super::json::At;

/// A class must be likelier than all others together, unless the model's `config.json` says otherwise.
const THRESHOLD: f32 = 0.5;
/// ONNX's numbers for 32-bit, 16-bit and brain floats.
const FLOATS: [u64; 3] = [1, 10, 16];

/// One of a model's answers: an output of its graph and how to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `sentiment`, `label`, `embedding`, or as the model's `config.json` calls it.
    pub name: String,
    /// The graph's output.
    pub output: String,
    pub activation: Activation,
    /// In the order of the output's values; empty for an embedding.
    pub labels: Vec<String>,
    /// A label below this probability is not given.
    pub threshold: f32,
    /// Labels given at most.
    pub top: usize,
    /// The label that says that no other holds: it is never given, and where it is the likeliest, nothing is.
    pub none: Option<usize>,
    pub kind: HeadKind,
}

/// What turns an output's values into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// One of the labels holds.
    Softmax,
    /// Each label holds or does not.
    Sigmoid,
    /// The values are taken as they are: probabilities from within the graph, or an embedding.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadKind {
    Sentiment(Polarity),
    Labels,
    /// The output's components; one with a vector for each token is averaged over the text's tokens.
    Embedding {
        /// As `config.json` or the graph says; `None` where neither does.
        dimensions: Option<usize>,
    },
}

/// Which labels are negative, neutral and positive. Several may share a side: `1 star` and `2 stars` are both negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polarity {
    pub negative: Vec<usize>,
    /// Empty for a model that knows no middle.
    pub neutral: Vec<usize>,
    pub positive: Vec<usize>,
}

impl Head {
    /// The labels that `values` give: at most `top`, none below the threshold, the likeliest first.
    pub fn chosen(&self, values: &[f32]) -> Vec<(&str, f32)> {
        let floor = self.none.and_then(|none| values.get(none)).copied().unwrap_or(f32::NEG_INFINITY);
        if values.iter().all(|&p| p <= floor) {
            return Vec::new();
        }
        let labels = self.labels.iter().zip(values).enumerate().filter(|&(at, _)| Some(at) != self.none);
        let likely = labels.map(|(_, (label, &p))| (label.as_str(), p)).filter(|&(_, p)| p >= self.threshold);
        let mut chosen: Vec<_> = likely.collect();
        chosen.sort_by(|a, b| b.1.total_cmp(&a.1));
        chosen.truncate(self.top);
        chosen
    }

    /// No label is too unlikely to be given, none is one too many, and the one for nothing is given like any other.
    pub fn give_all(&mut self) {
        self.none = None;
        self.threshold = f32::NEG_INFINITY;
        self.top = self.labels.len();
    }

    pub fn embeds(&self) -> bool {
        matches!(self.kind, HeadKind::Embedding { .. })
    }

    /// The heads that a `groundswell` object of `config.json` lists, by name.
    pub(super) fn listed(heads: &At<'_>, graph: &Graph) -> Result<Vec<Head>, Error> {
        let entries = heads.entries()?;
        if entries.is_empty() {
            return Err(heads.expected("at least one head"));
        }
        entries.into_iter().map(|(name, at)| Head::one_listed(name, &at, graph)).collect()
    }

    fn one_listed(name: &str, at: &At<'_>, graph: &Graph) -> Result<Head, Error> {
        // `names` are what people call the labels, by language: for those who show them.
        const KNOWN: [&str; 8] = ["output", "activation", "labels", "none", "threshold", "top", "names", "dimensions"];
        if let Some((key, _)) = at.entries()?.into_iter().find(|(key, _)| !KNOWN.contains(key)) {
            return Err(at.fault(format_args!("has an unknown key {key:?}, expected one of {}", KNOWN.join(", "))));
        }
        let Some(output) = at.get("output") else { return Err(at.fault("has no output")) };
        let labels = match at.get("labels") {
            Some(labels) => labels.items()?.iter().map(|l| l.text().map(str::to_owned)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let default = if labels.is_empty() { Activation::None } else { Activation::Softmax };
        let activation = at.get("activation").map_or(Ok(default), |a| Activation::read(&a))?;
        let mut head = Head::new(name, output.text()?, activation, labels);
        head.kind = match head.labels.is_empty() {
            true => HeadKind::Embedding { dimensions: at.get("dimensions").map(|d| d.count()).transpose()? },
            false if name == "sentiment" => HeadKind::Sentiment(head.polarity(at)?),
            false => HeadKind::Labels,
        };
        if let (Some(dimensions), false) = (at.get("dimensions"), head.labels.is_empty()) {
            return Err(dimensions.fault("is for an embedding, which has no labels"));
        }
        if let Some(none) = at.get("none") {
            head.none = Some(head.position_of_none(&none)?);
        }
        if let Some(threshold) = at.get("threshold") {
            head.threshold = threshold.share()?;
        }
        if let Some(top) = at.get("top") {
            head.top = top.count()?;
        }
        head.fits(at, graph)?;
        Ok(head)
    }

    /// The one head of a `config.json` as Hugging Face writes it: `id2label` and `problem_type`, or an embedding.
    pub(super) fn usual(config: &At<'_>, graph: &Graph) -> Result<Head, Error> {
        let output = usual_output(config, graph)?;
        let labels = match config.get("id2label") {
            Some(labels) => labels_by_id(&labels)?,
            None => default_labels(output),
        };
        let embeds = output.name != "logits" && (labels.is_empty() || output.rank() == Some(3));
        let mut head = if embeds {
            let kind = HeadKind::Embedding { dimensions: None };
            Head { kind, ..Head::new("embedding", &output.name, Activation::None, Vec::new()) }
        } else {
            Head::new("label", &output.name, usual_activation(config, labels.len())?, labels)
        };
        if !embeds && head.labels.is_empty() {
            return Err(config.fault(format_args!(
                "has no id2label, and the output {} does not say how many labels there are",
                output.name
            )));
        }
        if head.activation == Activation::Softmax
            && let Some(polarity) = Polarity::read(&head.labels)
        {
            head.name = "sentiment".to_owned();
            head.kind = HeadKind::Sentiment(polarity);
        }
        head.fits(config, graph)?;
        Ok(head)
    }

    fn new(name: &str, output: &str, activation: Activation, labels: Vec<String>) -> Head {
        let top = if activation == Activation::Sigmoid { labels.len() } else { 1 };
        let (name, output) = (name.to_owned(), output.to_owned());
        Head { name, output, activation, labels, threshold: THRESHOLD, top, none: None, kind: HeadKind::Labels }
    }

    fn position_of_none(&self, at: &At<'_>) -> Result<usize, Error> {
        let name = at.text()?;
        match (&self.kind, self.labels.iter().position(|label| label == name)) {
            (HeadKind::Labels, Some(position)) => Ok(position),
            (HeadKind::Labels, None) => Err(at.expected("one of the head's labels")),
            _ => Err(at.fault("is for heads of labels, not for a sentiment or an embedding")),
        }
    }

    fn polarity(&self, at: &At<'_>) -> Result<Polarity, Error> {
        if self.activation == Activation::Sigmoid {
            return Err(at.fault("is a sentiment with the activation \"sigmoid\", expected \"softmax\" or \"none\""));
        }
        Polarity::read(&self.labels).ok_or_else(|| {
            at.fault(format_args!(
                "is a sentiment with the labels {:?}, expected negative, perhaps neutral, and positive",
                self.labels
            ))
        })
    }

    /// Whether the graph has the output, and its type and shape are what the head needs. An embedding learns its
    /// dimensions.
    fn fits(&mut self, at: &At<'_>, graph: &Graph) -> Result<(), Error> {
        let name = &self.output;
        let Some(output) = graph.outputs.iter().find(|o| o.name == *name) else {
            return Err(at.fault(format_args!("names the output {name:?}; the graph has {}", names(&graph.outputs))));
        };
        if !FLOATS.contains(&output.element) {
            let element = output.element;
            return Err(
                at.fault(format_args!("names the output {name}, whose type {element} is no float of 16 or 32 bits"))
            );
        }
        let Some(dimensions) = &output.dimensions else { return Ok(()) };
        let width = dimensions.last().copied().flatten();
        if let HeadKind::Embedding { dimensions: wanted } = &mut self.kind {
            return match (dimensions.len(), *wanted, width.map(|w| w as usize)) {
                (2 | 3, Some(wanted), Some(width)) if wanted != width => Err(at
                    .fault(format_args!("has {wanted} dimensions, but the output {name} has {width} values a vector"))),
                (2 | 3, _, width) => {
                    *wanted = wanted.or(width);
                    Ok(())
                }
                (rank, ..) => {
                    Err(at.fault(format_args!("embeds by the output {name} of {rank} dimensions, expected 2 or 3")))
                }
            };
        }
        match (dimensions.len(), width) {
            (2, None) => Ok(()),
            (2, Some(width)) if width == self.labels.len() as u64 => Ok(()),
            (2, Some(width)) => Err(at.fault(format_args!(
                "has {} labels, but the output {name} has {width} values a text",
                self.labels.len()
            ))),
            (rank, _) => Err(at.fault(format_args!(
                "classifies by the output {name} of {rank} dimensions, expected 2 (texts and labels)"
            ))),
        }
    }
}

impl Activation {
    fn read(at: &At<'_>) -> Result<Activation, Error> {
        match at.text()? {
            "softmax" => Ok(Activation::Softmax),
            "sigmoid" => Ok(Activation::Sigmoid),
            "none" => Ok(Activation::None),
            _ => Err(at.expected("softmax, sigmoid or none")),
        }
    }
}

impl Polarity {
    /// `None` unless every label takes a side, and both sides are taken. Read in lower case, without what stands in
    /// brackets: `negative`, `neg`, `very negative`, `1 star`, `2 stars` | `neutral`, `neu`, `3 stars` |
    /// `positive`, `pos`, `very positive`, `4 stars`, `5 stars`.
    pub fn read(labels: &[String]) -> Option<Polarity> {
        let mut polarity = Polarity::default();
        for (i, label) in labels.iter().enumerate() {
            let label = label.to_lowercase().replace(['_', '-'], " ");
            match label.split('(').next().unwrap_or_default().trim() {
                "negative" | "neg" | "very negative" | "1 star" | "2 stars" => polarity.negative.push(i),
                "neutral" | "neu" | "3 stars" => polarity.neutral.push(i),
                "positive" | "pos" | "very positive" | "4 stars" | "5 stars" => polarity.positive.push(i),
                _ => return None,
            }
        }
        (!polarity.negative.is_empty() && !polarity.positive.is_empty()).then_some(polarity)
    }

    /// The probabilities of negative, neutral and positive; neutral is 0 for a model that knows no middle.
    pub fn distribution(&self, values: &[f32]) -> [f32; 3] {
        [&self.negative, &self.neutral, &self.positive]
            .map(|side| side.iter().filter_map(|&label| values.get(label)).sum())
    }
}

/// `logits`, else a sentence's embedding, else the tokens' embeddings, else the only output there is.
fn usual_output<'g>(config: &At<'_>, graph: &'g Graph) -> Result<&'g Tensor, Error> {
    const USUAL: [&str; 4] = ["logits", "sentence_embedding", "last_hidden_state", "token_embeddings"];
    let found = USUAL.iter().find_map(|&name| graph.outputs.iter().find(|o| o.name == name));
    match (found, graph.outputs.as_slice()) {
        (Some(output), _) | (None, [output]) => Ok(output),
        (None, outputs) => Err(config.fault(format_args!(
            "does not say which output to read: the graph has {}, none of them called logits; list them as heads under \
             the key groundswell",
            names(outputs)
        ))),
    }
}

/// Labels 0, 1, 2, ... without a gap.
fn labels_by_id(at: &At<'_>) -> Result<Vec<String>, Error> {
    let entries = at.entries()?;
    (0..entries.len())
        .map(|id| match at.get(&id.to_string()) {
            Some(label) => label.text().map(str::to_owned),
            None => Err(at.fault(format_args!("has {} labels, but none for {id}", entries.len()))),
        })
        .collect()
}

/// The names that Hugging Face gives, and leaves out of `config.json`, when nobody chose any.
fn default_labels(output: &Tensor) -> Vec<String> {
    match output.dimensions.as_deref() {
        Some([_, Some(width)]) if output.name == "logits" && *width < 100_000 => {
            (0..*width).map(|i| format!("LABEL_{i}")).collect()
        }
        _ => Vec::new(),
    }
}

fn usual_activation(config: &At<'_>, labels: usize) -> Result<Activation, Error> {
    let Some(problem) = config.get("problem_type") else {
        return match labels {
            1 => Err(config.fault("has one label and no problem_type: a regression, which gives no probabilities")),
            _ => Ok(Activation::Softmax),
        };
    };
    match problem.text()? {
        "multi_label_classification" => Ok(Activation::Sigmoid),
        "single_label_classification" => Ok(Activation::Softmax),
        "regression" => Err(problem.expected("a classification: a regression gives no probabilities")),
        _ => Err(problem.expected("single_label_classification or multi_label_classification")),
    }
}

fn names(tensors: &[Tensor]) -> String {
    tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;

    fn output(name: &str, dimensions: &[Option<u64>]) -> Tensor {
        Tensor { name: name.into(), element: 1, dimensions: Some(dimensions.to_vec()) }
    }

    fn heads(config: &str, outputs: &[Tensor]) -> Result<Vec<Head>, String> {
        let json = Json::of("config.json", config);
        let graph = Graph { outputs: outputs.to_vec(), ..Graph::default() };
        let root = json.root();
        match root.get("groundswell").and_then(|g| g.get("heads")) {
            Some(listed) => Head::listed(&listed, &graph),
            None => Head::usual(&root, &graph).map(|h| vec![h]),
        }
        .map_err(|e| e.message)
    }

    fn check_usual(config: &str, outputs: &[Tensor], name: &str, activation: Activation, kind: HeadKind) {
        let found = heads(config, outputs).unwrap();
        let head = &found[0];
        assert_eq!((head.name.as_str(), head.activation, &head.kind), (name, activation, &kind), "{config}");
    }

    #[test]
    fn one_head_from_id2label() {
        let two = [output("logits", &[None, Some(2)])];
        let three = [output("logits", &[None, Some(3)])];
        let five = [output("scores", &[None, None])];
        let tokens = [output("last_hidden_state", &[None, None, Some(8)])];
        let pooled =
            [output("token_embeddings", &[None, None, Some(8)]), output("sentence_embedding", &[None, Some(8)])];
        let sides = |n: &[usize], m: &[usize], p: &[usize]| {
            HeadKind::Sentiment(Polarity { negative: n.into(), neutral: m.into(), positive: p.into() })
        };
        use Activation::{None as Plain, Sigmoid, Softmax};
        check_usual(
            r#"{"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}"#,
            &two,
            "sentiment",
            Softmax,
            sides(&[0], &[], &[1]),
        );
        check_usual(
            r#"{"id2label": {"0": "positive", "1": "neutral", "2": "negative"}}"#,
            &three,
            "sentiment",
            Softmax,
            sides(&[2], &[1], &[0]),
        );
        check_usual(
            r#"{"id2label": {"0": "1 star", "1": "2 stars", "2": "3 stars", "3": "4 stars", "4": "5 stars"}}"#,
            &five,
            "sentiment",
            Softmax,
            sides(&[0, 1], &[2], &[3, 4]),
        );
        check_usual(
            r#"{"id2label": {"0": "negative (stars 1, 2 and 3)", "1": "positive (stars 4 and 5)"}}"#,
            &two,
            "sentiment",
            Softmax,
            sides(&[0], &[], &[1]),
        );
        check_usual(r#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}"#, &two, "label", Softmax, HeadKind::Labels);
        check_usual("{}", &three, "label", Softmax, HeadKind::Labels);
        check_usual(
            r#"{"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"}"#,
            &two,
            "label",
            Sigmoid,
            HeadKind::Labels,
        );
        let eight = HeadKind::Embedding { dimensions: Some(8) };
        check_usual("{}", &tokens, "embedding", Plain, eight.clone());
        check_usual("{}", &pooled, "embedding", Plain, eight);
        assert_eq!(heads("{}", &pooled).unwrap()[0].output, "sentence_embedding");
    }

    #[test]
    fn listed_heads() {
        let outputs = [output("sentiment", &[None, Some(2)]), output("topic", &[None, Some(3)])];
        let config = r#"{"groundswell": {"heads": {
            "sentiment": {"output": "sentiment", "labels": ["negative", "positive"]},
            "topic": {"output": "topic", "activation": "sigmoid", "labels": ["a", "b", "c"], "threshold": 0.3, "top": 2}}}}"#;
        let found = heads(config, &outputs).unwrap();
        assert!(matches!(found[0].kind, HeadKind::Sentiment(_)));
        assert_eq!(found[1].activation, Activation::Sigmoid);
        assert_eq!(found[1].chosen(&[0.31, 0.1, 0.9]), [("c", 0.9), ("a", 0.31)]);
        assert_eq!(found[1].chosen(&[0.8, 0.85, 0.9]), [("c", 0.9), ("b", 0.85)], "two at most");
        assert_eq!(found[1].chosen(&[0.1, 0.2, 0.29]), [], "nothing rather than a guess");
        let mut open = found[1].clone();
        open.give_all();
        assert_eq!(open.chosen(&[0.1, 0.0, 0.29]), [("c", 0.29), ("a", 0.1), ("b", 0.0)], "neither bound holds");
    }

    #[test]
    fn an_embedding_is_a_head_without_labels() {
        let check = |head: &str, width: Option<u64>| {
            let config = format!(r#"{{"groundswell": {{"heads": {{"embedding": {head}}}}}}}"#);
            heads(&config, &[output("vector", &[None, width])]).map(|mut heads| heads.remove(0).kind)
        };
        let of = |dimensions| Ok(HeadKind::Embedding { dimensions });
        assert_eq!(check(r#"{"output": "vector"}"#, Some(64)), of(Some(64)));
        assert_eq!(check(r#"{"output": "vector", "dimensions": 64}"#, Some(64)), of(Some(64)));
        assert_eq!(check(r#"{"output": "vector", "dimensions": 64}"#, None), of(Some(64)));
        assert_eq!(check(r#"{"output": "vector"}"#, None), of(None));
        let message = check(r#"{"output": "vector", "dimensions": 32}"#, Some(64)).unwrap_err();
        assert!(message.ends_with("has 32 dimensions, but the output vector has 64 values a vector"), "{message}");
        let message = check(r#"{"output": "vector", "dimensions": 2, "labels": ["a", "b"]}"#, Some(2)).unwrap_err();
        assert!(message.ends_with("dimensions is for an embedding, which has no labels"), "{message}");
    }

    #[test]
    fn the_label_for_nothing_is_never_given() {
        let outputs = [output("intent", &[None, Some(3)])];
        let config = r#"{"groundswell": {"heads": {"intent": {
            "output": "intent", "labels": ["return", "none", "thanks"], "none": "none", "threshold": 0.2, "top": 3}}}}"#;
        let head = &heads(config, &outputs).unwrap()[0];
        assert_eq!(head.chosen(&[0.25, 0.5, 0.25]), [], "none is the likeliest");
        assert_eq!(head.chosen(&[0.4, 0.4, 0.2]), [], "as likely as any other");
        assert_eq!(head.chosen(&[0.5, 0.3, 0.2]), [("return", 0.5), ("thanks", 0.2)]);
    }

    #[test]
    fn refusals_name_both_values() {
        let two = [output("logits", &[None, Some(2)])];
        let check = |config: &str, outputs: &[Tensor], part: &str| {
            let message = heads(config, outputs).unwrap_err();
            assert!(message.starts_with("config.json: ") && message.contains(part), "{message}");
        };
        check(r#"{"id2label": {"0": "a"}}"#, &two, "regression");
        check(r#"{"problem_type": "regression", "id2label": {"0": "a", "1": "b"}}"#, &two, "regression");
        check(r#"{"id2label": {"0": "a", "1": "b", "2": "c"}}"#, &two, "3 labels, but the output logits has 2");
        check(r#"{"id2label": {"0": "a", "2": "b"}}"#, &two, "id2label has 2 labels, but none for 1");
        check(r#"{"id2label": {"0": "a", "1": "b"}}"#, &[output("logits", &[None, None, Some(2)])], "3 dimensions");
        check("{}", &[output("a", &[None, Some(2)]), output("b", &[None, Some(2)])], "the graph has a, b");
        let listed = |head: &str| format!(r#"{{"groundswell": {{"heads": {{"sentiment": {head}}}}}}}"#);
        check(&listed(r#"{"output": "x", "labels": ["negative", "positive"]}"#), &two, r#""x"; the graph has logits"#);
        check(&listed(r#"{"output": "logits", "labels": ["bad", "good"]}"#), &two, r#"["bad", "good"]"#);
        check(&listed(r#"{"output": "logits", "labels": ["neg", "pos"], "activation": "relu"}"#), &two, r#""relu""#);
        check(&listed(r#"{"output": "logits", "labels": ["neg", "pos"], "activation": "sigmoid"}"#), &two, "sigmoid");
        check(&listed(r#"{"output": "logits", "labels": ["neg", "pos"], "limit": 1}"#), &two, r#"unknown key "limit""#);
        check(&listed(r#"{"output": "logits", "labels": ["neg", "pos"], "threshold": 2}"#), &two, "threshold is 2");
        check(&listed(r#"{"output": "logits", "labels": ["neg", "pos"], "none": "neg"}"#), &two, "not for a sentiment");
        let topic = r#"{"groundswell": {"heads": {"topic": {"output": "logits", "labels": ["a", "b"], "none": "c"}}}}"#;
        check(topic, &two, r#"none is "c", expected one of the head's labels"#);
    }

    #[test]
    fn sides_add_up() {
        let stars = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"].map(str::to_owned);
        let distribution = Polarity::read(&stars).unwrap().distribution(&[0.5, 0.25, 0.125, 0.0625, 0.0625]);
        assert_eq!(distribution, [0.75, 0.125, 0.125]);
        assert_eq!(Polarity::read(&["negative".to_owned(), "neutral".to_owned()]), None, "one side is no sentiment");
    }
}
