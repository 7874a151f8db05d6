//! The stages of one process: which ones, started together and ended together.

use std::sync::Arc;

use clap::ValueEnum;

use crate::api::LookUps;
use crate::config::{InputKind, Settings};
use crate::event::{Error, Fault};
use crate::runtime::{
    Boards, Models, PURCHASE, Purchase, Running, start_alerts, start_boards, start_clicks, start_text,
};
use crate::stages::Stage;
use crate::stages::alerts::AlertsStage;
use crate::stages::clicks::ClicksStage;
use crate::stages::text::TextStage;
use crate::telemetry::Health;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageName {
    /// Reviews and chats: redacted, scored.
    Text,
    /// Clicks: sessions, how likely each is to buy.
    Clicks,
    /// Scored reviews, chats and clicks, dead letters: trends, alerts. Runs where alerts.enabled is set.
    Alerts,
}

impl StageName {
    const ALL: [StageName; 3] = [StageName::Text, StageName::Clicks, StageName::Alerts];

    /// As health, metrics and logs call it.
    pub fn name(self) -> &'static str {
        match self {
            StageName::Text => TextStage::NAME,
            StageName::Clicks => ClicksStage::NAME,
            StageName::Alerts => AlertsStage::NAME,
        }
    }

    fn reads(self, kind: InputKind) -> bool {
        match self {
            StageName::Text => kind.text().is_some(),
            StageName::Clicks => kind == InputKind::Click,
            StageName::Alerts => kind.text().is_some() || kind == InputKind::Click,
        }
    }

    fn has_input(self, settings: &Settings) -> bool {
        let on = self != StageName::Alerts || settings.alerts.enabled;
        on && settings.inputs.iter().any(|input| self.reads(input.kind))
    }

    fn input_kinds(self) -> &'static str {
        match self {
            StageName::Text => "review or chat",
            StageName::Clicks => "click",
            StageName::Alerts => "review, chat or click",
        }
    }
}

/// Those that were asked for, each of which must have an input; all that have one where none was asked for.
pub fn chosen(asked: &[StageName], settings: &Settings) -> Result<Vec<StageName>, Error> {
    if asked.contains(&StageName::Alerts) && !settings.alerts.enabled {
        let message = "stage alerts is asked for and alerts.enabled is false";
        return Err(Error::new(Fault::Config, message).hint("set alerts.enabled=true; its topics are wanted then"));
    }
    if let Some(idle) = asked.iter().find(|stage| !stage.has_input(settings)) {
        let (name, kinds) = (idle.name(), idle.input_kinds());
        let message = format!("stage {name} is asked for and has nothing to read: no [inputs] is of the kind {kinds}");
        return Err(Error::new(Fault::Config, message));
    }
    let wanted = |stage: &StageName| asked.contains(stage) || asked.is_empty() && stage.has_input(settings);
    Ok(StageName::ALL.into_iter().filter(wanted).collect())
}

/// The models that these stages ask, by name.
pub fn models(stages: &[StageName], settings: &Settings) -> Vec<String> {
    let texts = settings.models.iter().map(|model| model.name.clone());
    let texts = texts.filter(|_| stages.contains(&StageName::Text));
    let purchase = settings.clicks.purchase_model.as_ref().filter(|_| stages.contains(&StageName::Clicks));
    texts.chain(purchase.map(|_| PURCHASE.to_owned())).collect()
}

/// Stages at work. They share a process and nothing else: where one ends, the others are ended too.
pub struct Stages {
    running: Vec<Running>,
    boards: Option<Boards>,
}

impl Stages {
    /// Reads all models before any stage starts, so that what cannot be had stops the start of all. Returns when the
    /// models are warm; brokers may still be out of reach then.
    pub fn start(stages: &[StageName], settings: &Settings, health: &Arc<Health>) -> Result<Stages, Error> {
        let has = |stage: StageName| stages.contains(&stage);
        let texts = has(StageName::Text).then(|| Models::load(settings)).transpose()?;
        let purchase = if has(StageName::Clicks) { Purchase::load(settings)? } else { None };
        let of_texts = texts.iter().flat_map(|models| &models.loaded).filter_map(|model| model.warning.as_deref());
        let of_clicks = purchase.iter().filter_map(|purchase| purchase.warning.as_deref());
        of_texts.chain(of_clicks).for_each(|warning| tracing::warn!(warning, "model"));

        // Whichever stages run here: who asks for alerts asks any instance.
        let (boards, reads) = start_boards(settings)?.unzip();
        let mut started = Stages { running: reads.unwrap_or_default(), boards };
        for stage in stages {
            let running = match (stage, &texts) {
                (StageName::Text, Some(models)) => start_text(settings, models, health.clone()),
                (StageName::Text, None) => continue,
                (StageName::Alerts, _) => start_alerts(settings, health.clone()),
                (StageName::Clicks, _) => start_clicks(settings, purchase.as_ref(), health.clone()),
            };
            match running {
                Ok(running) => started.running.extend(running.apart()),
                Err(error) => {
                    // Why it could not start says more than how the others ended.
                    let _ = started.join();
                    return Err(error);
                }
            }
        }
        Ok(started)
    }

    /// Answers what is asked over HTTP, as far as these stages can.
    pub fn answer(&self, look_ups: &LookUps) {
        for users in self.running.iter().filter_map(Running::look_ups) {
            look_ups.users(move |look_up| users.ask(look_up));
        }
        if let Some(boards) = self.boards.clone() {
            let of_trends = boards.clone();
            look_ups.boards(move |wanted| boards.alerts(wanted), move |wanted| of_trends.trends(wanted));
        }
    }

    /// Finishes what is under way within `delivery.shutdown_ms_max`, then ends.
    pub fn stop(&self) {
        self.running.iter().for_each(Running::stop);
    }

    /// True as soon as one of them has ended by itself, or all have after a stop.
    pub fn is_finished(&self, stopped: bool) -> bool {
        let mut finished = self.running.iter().map(Running::is_finished);
        if stopped { finished.all(|finished| finished) } else { finished.any(|finished| finished) }
    }

    /// Waits for none that is still at work; says why one that has ended could not go on.
    pub fn leave(self) -> Result<(), Error> {
        self.running.into_iter().filter(Running::is_finished).try_for_each(Running::join)
    }

    /// Ends all, and says why the first that could not go on could not.
    pub fn join(self) -> Result<(), Error> {
        self.stop();
        let ended: Vec<Result<(), Error>> = self.running.into_iter().map(Running::join).collect();
        ended.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(sets: &[&str], file: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groundswell.toml");
        std::fs::write(&path, file).unwrap();
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let env = [("HOSTNAME".to_owned(), "test".to_owned())];
        crate::config::load(Some(&path), &sets, env.into_iter()).unwrap()
    }

    #[test]
    fn what_has_an_input_starts() {
        let both = settings(&[], "");
        assert_eq!(chosen(&[], &both), Ok(vec![StageName::Text, StageName::Clicks]));
        assert_eq!(chosen(&[StageName::Clicks], &both), Ok(vec![StageName::Clicks]));
        let texts = settings(&[], "[inputs.comments]\nkind = \"review\"\ntopics = [\"c\"]\n");
        assert_eq!(chosen(&[], &texts), Ok(vec![StageName::Text]));
        let watched = settings(&["alerts.enabled=true"], "");
        assert_eq!(chosen(&[], &watched), Ok(StageName::ALL.to_vec()));
        let off = chosen(&[StageName::Alerts], &both).unwrap_err();
        assert_eq!(off.message, "stage alerts is asked for and alerts.enabled is false");
        let refused = chosen(&[StageName::Text, StageName::Clicks], &texts).unwrap_err();
        let expected = "stage clicks is asked for and has nothing to read: no [inputs] is of the kind click";
        assert_eq!(refused.message, expected);
    }

    #[test]
    fn only_the_models_of_stages_that_start_are_waited_for() {
        let both = settings(&[], "");
        assert_eq!(models(&[StageName::Text, StageName::Clicks], &both), ["text", "purchase"]);
        assert_eq!(models(&[StageName::Clicks], &both), ["purchase"]);
        let off = settings(&["clicks.purchase_model=off"], "");
        assert_eq!(models(&[StageName::Clicks], &off), Vec::<String>::new());
    }
}
