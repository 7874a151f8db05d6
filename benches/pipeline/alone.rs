//! The limit: the model and nothing else, given everything it could wish for.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use groundswell::config::Settings;
use groundswell::event::{Encoding, ModelId};
use groundswell::infer::Inputs;
use groundswell::runtime::Models;

use super::Outcome;

/// Texts a second: tokenised on all cores, sorted by length, in full batches, one session a core.
pub fn rate(settings: &Settings, texts: &[String]) -> Outcome<f64> {
    let models = Models::load(settings)?;
    let workers = settings.inference.workers;
    let mut backends = (0..workers).map(|_| (models.factory)()).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let mut encodings = tokenise(&models, texts, workers)?;
    encodings.sort_by_key(|encoding| encoding.ids.len());
    let batches = batches(encodings, settings.batch.tokens_max);
    thread::scope(|scope| {
        let runs: Vec<_> = backends
            .iter_mut()
            .enumerate()
            .map(|(worker, backend)| {
                let mine = batches.iter().skip(worker).step_by(workers);
                scope.spawn(move || mine.map(|batch| backend.run(ModelId(0), batch)).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        for run in runs {
            run.join().map_err(|_| "a model thread panicked")??;
        }
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    Ok(texts.len() as f64 / started.elapsed().as_secs_f64())
}

fn tokenise(models: &Models, texts: &[String], threads: usize) -> Outcome<Vec<Arc<Encoding>>> {
    let tokenise = &models.loaded[0].tokenise;
    let parts: Vec<_> = thread::scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(threads));
        let runs: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(|text| tokenise(text).map(Arc::new)).collect::<Vec<_>>()))
            .collect();
        runs.into_iter().map(|run| run.join()).collect()
    });
    let mut encodings = Vec::with_capacity(texts.len());
    for part in parts {
        for encoding in part.map_err(|_| "a tokeniser thread panicked")? {
            encodings.push(encoding?);
        }
    }
    Ok(encodings)
}

/// Of sorted texts: each batch as full as the budget of padded tokens lets it be.
fn batches(encodings: Vec<Arc<Encoding>>, tokens_max: usize) -> Vec<Inputs> {
    let mut batches: Vec<Vec<Arc<Encoding>>> = vec![Vec::new()];
    for encoding in encodings {
        let last = batches.len() - 1;
        if !batches[last].is_empty() && encoding.ids.len() * (batches[last].len() + 1) > tokens_max {
            batches.push(Vec::new());
        }
        let last = batches.len() - 1;
        batches[last].push(encoding);
    }
    batches.into_iter().map(Inputs::Texts).collect()
}
