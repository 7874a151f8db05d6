use std::sync::Arc;

use super::scoring::{Scoring, ServedModel, Work};
use crate::config::{self, Kind, Settings};
use crate::event::{Error, Fault};
use crate::infer::{Backend, Done, Factory, Head, ModelDirectory, OnnxBackend, Pool};
use crate::stages::text::{TextModel, Tokenise};
use crate::text::Tokeniser;

/// More models than this in one configuration are a mistake, and their numbers would no longer fit a ticket.
const MODELS_MAX: usize = 64;

/// A model, loaded as far as can be told without running it.
#[derive(Clone)]
pub struct Loaded {
    pub name: String,
    pub version: String,
    pub kinds: Vec<Kind>,
    /// What a run answers.
    pub heads: Vec<Head>,
    /// Embeddings that nobody asked for: `text.include_embedding`.
    pub unused: Vec<Head>,
    pub tokens_max: usize,
    /// Texts that one run may take.
    pub rows_max: Option<usize>,
    /// What an operator should know about it.
    pub warning: Option<String>,
    pub tokenise: Tokenise,
}

/// The configured models of texts and what runs them.
#[derive(Clone)]
pub struct Models {
    pub loaded: Vec<Loaded>,
    pub factory: Factory,
}

/// The models that a stage asks, by [`crate::event::ModelId`], and what runs them.
#[derive(Clone)]
pub struct Served {
    pub models: Vec<ServedModel>,
    /// Threads that run them.
    pub workers: usize,
    /// Of answers about texts.
    pub cache_bytes_max: usize,
    pub factory: Factory,
}

impl Models {
    /// Reads the model directories. Nothing is run yet.
    pub fn load(settings: &Settings) -> Result<Models, Error> {
        if settings.models.len() > MODELS_MAX {
            let message = format!("{} models are configured, more than {MODELS_MAX}", settings.models.len());
            return Err(Error::new(Fault::Config, message));
        }
        let mut directories: Vec<ModelDirectory> =
            settings.models.iter().map(ModelDirectory::open).collect::<Result<_, _>>()?;
        let loaded = directories
            .iter_mut()
            .zip(&settings.models)
            .map(|(directory, model)| Loaded::new(directory, &model.kinds, settings))
            .collect::<Result<Vec<_>, _>>()?;
        refuse_equal_heads(&loaded)?;
        if settings.text.include_embedding {
            refuse_missing_embedding(&loaded)?;
        }
        let inference = settings.inference.clone();
        let factory: Factory = Arc::new(move || {
            let mut backend = OnnxBackend::new(&directories, &inference)?;
            backend.warm_up()?;
            Ok(Box::new(backend) as Box<dyn Backend>)
        });
        Ok(Models { loaded, factory })
    }

    /// From now on every head gives all its labels, whatever their probability.
    pub fn give_all_labels(&mut self) {
        self.loaded.iter_mut().flat_map(|model| &mut model.heads).for_each(Head::give_all);
    }

    pub(super) fn text_models(&self) -> Vec<TextModel> {
        let models = self.loaded.iter().map(|model| TextModel {
            name: model.name.clone(),
            version: model.version.clone(),
            kinds: model.kinds.clone(),
            heads: model.heads.clone(),
            tokenise: model.tokenise.clone(),
        });
        models.collect()
    }

    /// As a stage asks them.
    pub fn served(&self, settings: &Settings) -> Served {
        let served = |model: &Loaded| {
            let Loaded { name, version, rows_max, .. } = model;
            ServedModel { name: name.clone(), version: version.clone(), rows_max: *rows_max }
        };
        Served {
            models: self.loaded.iter().map(served).collect(),
            workers: settings.inference.workers,
            cache_bytes_max: settings.cache_bytes_max,
            factory: self.factory.clone(),
        }
    }
}

impl Served {
    /// For a stage that asks no model.
    pub fn none() -> Served {
        let refuse = || Err(Error::new(Fault::Bug, "a stage without models has no model workers"));
        Served { models: Vec::new(), workers: 0, cache_bytes_max: 0, factory: Arc::new(refuse) }
    }

    /// Starts the workers and waits until each has run its models once.
    pub(super) fn scoring(
        &self,
        settings: &config::Batch,
        done: impl Fn(Done<Work>) + Send + Sync + 'static,
    ) -> Result<Scoring, Error> {
        let pool = Pool::start(self.workers, settings.timeout, self.factory.clone(), done)?;
        Ok(Scoring::new(pool, settings, self.cache_bytes_max, self.models.clone()))
    }
}

impl Loaded {
    /// Takes the embeddings out of the directory's heads where nobody asked for them.
    fn new(directory: &mut ModelDirectory, kinds: &[Kind], settings: &Settings) -> Result<Loaded, Error> {
        config::fits_batch(&settings.batch, &directory.name, directory.tokens_max)?;
        let unused = match settings.text.include_embedding {
            true => Vec::new(),
            false => directory.heads.extract_if(.., |head| head.embeds()).collect(),
        };
        if directory.heads.is_empty() {
            let message = format!("model {} has nothing but an embedding", directory.name);
            return Err(Error::new(Fault::Config, message).hint("text.include_embedding = true asks for it"));
        }
        let tokeniser = Tokeniser::load(&directory.tokenizer, directory.tokens_max)
            .map_err(|e| e.context(format_args!("model {}", directory.name)))?;
        Ok(Loaded {
            name: directory.name.clone(),
            version: directory.version.clone(),
            kinds: kinds.to_vec(),
            heads: directory.heads.clone(),
            unused,
            tokens_max: directory.tokens_max,
            rows_max: directory.batch_rows_max(),
            warning: directory.warning(),
            tokenise: Arc::new(move |text| tokeniser.encode(text)),
        })
    }
}

/// What was asked for and cannot be had stops the start.
fn refuse_missing_embedding(models: &[Loaded]) -> Result<(), Error> {
    for (kind, texts) in [(Kind::Review, "reviews"), (Kind::Chat, "chats")] {
        let embeddings =
            models.iter().filter(|m| m.kinds.contains(&kind)).flat_map(|m| &m.heads).filter(|h| h.embeds());
        let names: Vec<&str> = embeddings.map(|head| head.name.as_str()).collect();
        if names.len() == 1 || models.iter().all(|model| !model.kinds.contains(&kind)) {
            continue;
        }
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let message = format!("text.include_embedding wants one embedding for {texts}, whose models have {found}");
        let hint = "an embedding is a head without labels in the groundswell object of config.json";
        return Err(Error::new(Fault::Config, message).hint(hint));
    }
    Ok(())
}

/// Two models that answer under one name for the same texts would overwrite each other.
fn refuse_equal_heads(models: &[Loaded]) -> Result<(), Error> {
    for (at, model) in models.iter().enumerate() {
        for other in &models[..at] {
            let both = model.kinds.iter().any(|kind| other.kinds.contains(kind));
            let Some(head) = model.heads.iter().find(|h| both && other.heads.iter().any(|o| o.name == h.name)) else {
                continue;
            };
            let message = format!("models {} and {} both have a head {}", other.name, model.name, head.name);
            let hint = "give them different kinds, or name the head in the groundswell object of config.json";
            return Err(Error::new(Fault::Config, message).hint(hint));
        }
    }
    Ok(())
}
