use std::collections::HashMap;
use std::sync::Arc;

use super::models::Models;
use super::passages::{reviewers_opinions, tells_of_reviews};
use super::schemas::Registered;
use super::start::{Running, start_stage};
use crate::codec::{Decoder, Encoder, SCORED_FILES};
use crate::config::{Kind, Settings};
use crate::event::Error;
use crate::stages::text::{TextOutput, TextStage};
use crate::telemetry::Health;
use crate::text::Redactor;

/// Starts the text stage, which reads the inputs of reviews and chats.
pub fn start_text(settings: &Settings, models: &Models, health: Arc<Health>) -> Result<Running, Error> {
    let registered = Registered::new(settings)?;
    let stage = Arc::new(text_stage(settings, models, &registered)?);
    let texts = settings.inputs.iter().filter(|input| input.kind.text().is_some());
    let topics = texts.flat_map(|input| input.topics.clone()).collect();
    start_stage(settings, &models.served(settings), stage, &registered, topics, health)
}

/// The text stage, ready to prepare and conclude.
pub fn text_stage(settings: &Settings, models: &Models, registered: &Registered) -> Result<TextStage, Error> {
    let mut decoders = HashMap::default();
    for input in settings.inputs.iter().filter(|input| input.kind.text().is_some()) {
        for topic in &input.topics {
            decoders.insert(topic.clone(), Decoder::new(input, registered.schemas())?);
        }
    }
    let output = |kind: Kind| -> Result<TextOutput, Error> {
        let topic = settings.outputs.topic(kind.into());
        let schema = registered.output_schema(settings, topic, &SCORED_FILES)?;
        Ok(TextOutput { topic: Arc::from(topic), encoder: Encoder::new(settings.outputs.format, schema)? })
    };
    Ok(TextStage {
        decoders,
        redactor: Redactor::new(&settings.redaction),
        settings: settings.text.clone(),
        models: models.text_models(),
        reviews: output(Kind::Review)?,
        chats: output(Kind::Chat)?,
        opinions: tells_of_reviews(settings).then(|| reviewers_opinions(settings).into()),
    })
}
