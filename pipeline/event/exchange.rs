//! What a stage asks of the models, and what they answer.

use std::sync::Arc;

/// A model of the configuration, by its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(pub u16);

/// Which request is served first when both wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for an answer: chats.
    High,
    /// Everything else: reviews.
    Normal,
}

/// A text as a model reads it: token ids, special tokens included, no padding, cut to the model's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    pub ids: Box<[u32]>,
    /// Tokens were cut off at the end.
    pub truncated: bool,
}

/// One question for one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub model: ModelId,
    pub priority: Priority,
    pub question: Question,
}

/// What a model is asked about. A model reads texts or rows, never both.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    Text {
        /// Shared, so that a batch can be retried without a copy of its texts.
        encoding: Arc<Encoding>,
        /// Identifies the normalised text for the result cache: a 128-bit hash of it.
        key: u128,
    },
    /// Numbers in the order of the model's features. No two are likely to be equal, so no answer is kept.
    Row(Box<[f32]>),
}

/// What one model says of one text or one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// In the order of the model's heads.
    pub heads: Box<[HeadAnswer]>,
}

/// One head's probabilities, in the order of the head's labels; an embedding's components for a head that embeds.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadAnswer {
    pub values: Box<[f32]>,
}

impl Prediction {
    /// What the prediction holds in memory, in bytes, for the bound on the result cache.
    pub fn bytes(&self) -> usize {
        self.heads.iter().map(|h| h.values.len() * size_of::<f32>() + size_of::<HeadAnswer>()).sum()
    }
}

/// The answer to an [`Ask`]: a prediction, shared with the cache, or why the model failed on this text alone.
pub type Answer = Result<Arc<Prediction>, Arc<str>>;
