//! From a text to a model's token ids, with the `tokenizer.json` that ships with the model.
//!
//! A [`Tokeniser`] is shared by all threads. The library behind it keeps caches of words: one per thread (BPE) or one that is only tried and
//! never waited for (Unigram), bounded at ten thousand words each; WordPiece and WordLevel have none. So threads never wait for each other.

use std::path::Path;

use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

use crate::event::{Encoding, Error, Fault};

/// Characters that a token stands for at most, on average over a text that a person wrote. English has about four, German compounds and
/// Thai stay below ten; only drawn lines (`======`) have more.
const TOKEN_CHARS_MAX: usize = 16;

/// Names that padding goes by, where the file does not say.
const PADS: [&str; 4] = ["[PAD]", "<pad>", "<|pad|>", "<|endoftext|>"];

/// Turns texts into token ids.
pub struct Tokeniser {
    inner: Tokenizer,
    pad_id: u32,
    /// A longer text is cut before it is tokenised, so that a megabyte costs no more than what the model reads of it.
    chars_max: usize,
}

impl Tokeniser {
    /// Reads a Hugging Face `tokenizer.json`. `tokens_max` is the model's limit, special tokens included.
    ///
    /// What the file says of padding and truncation does not count: many ship padding to a fixed 128 tokens, which batches must not have, and
    /// the limit is the model's.
    ///
    /// # Errors
    ///
    /// [`Fault::Config`], naming the file, if it cannot be read or is not a tokenizer, or if `tokens_max` leaves no room for a text.
    pub fn load(path: &Path, tokens_max: usize) -> Result<Self, Error> {
        let refuse = |reason: String| Error::new(Fault::Config, format!("tokenizer {}: {reason}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        let mut inner = Tokenizer::from_bytes(bytes).map_err(|e| {
            refuse(format!("not a Hugging Face tokenizer: {e}")).hint("export the model with a fast tokenizer")
        })?;
        let special = inner.get_post_processor().map_or(0, |p| p.added_tokens(false));
        if tokens_max <= special {
            return Err(refuse(format!(
                "the limit of tokens ({tokens_max}) leaves no room beside the special tokens ({special})"
            )));
        }
        let pad_id = pad_id(&inner);
        inner.with_padding(None);
        let truncation = TruncationParams { max_length: tokens_max, ..TruncationParams::default() };
        inner
            .with_truncation(Some(truncation))
            .map_err(|e| refuse(format!("cannot truncate to {tokens_max} tokens: {e}")))?;
        Ok(Self { inner, pad_id, chars_max: tokens_max.saturating_mul(TOKEN_CHARS_MAX) })
    }

    /// The text's ids, special tokens included, at most `tokens_max`.
    ///
    /// # Errors
    ///
    /// [`Fault::Model`] if the tokenizer has no way to express the text (a vocabulary without a token for the unknown); the message does not
    /// quote the text.
    pub fn encode(&self, text: &str) -> Result<Encoding, Error> {
        let (text, cut) = cut(text, self.chars_max);
        let encoding = self.inner.encode_fast(text, true).map_err(|_| {
            Error::new(Fault::Model, format!("the tokenizer cannot express the text ({} bytes)", text.len()))
        })?;
        let truncated = cut || !encoding.get_overflowing().is_empty();
        Ok(Encoding { ids: encoding.get_ids().into(), truncated })
    }

    /// Fills up the shorter rows of a batch.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }
}

/// As the file says, or by a name that padding usually has; zero if there is none, which does no harm since attention leaves padding out.
fn pad_id(tokenizer: &Tokenizer) -> u32 {
    let stated = tokenizer.get_padding().map(|padding| padding.pad_id);
    stated.or_else(|| PADS.iter().find_map(|pad| tokenizer.token_to_id(pad))).unwrap_or(0)
}

/// The text's first characters, and whether there were more.
fn cut(text: &str, chars_max: usize) -> (&str, bool) {
    if text.len() <= chars_max {
        return (text, false);
    }
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => (&text[..at], true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use tempfile::TempDir;
    use tokenizers::models::bpe::BPE;
    use tokenizers::models::unigram::Unigram;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::models::wordpiece::WordPiece;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::processors::bert::BertProcessing;
    use tokenizers::{PaddingParams, PaddingStrategy};

    use super::*;

    const VOCABULARY: [&str; 11] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "phone", "##s", "很", "好", "a", "##a"];

    fn entries() -> [(String, u32); 11] {
        std::array::from_fn(|id| (VOCABULARY[id].to_string(), id as u32))
    }

    /// A tokenizer as BERT's, whose file pads to 128 and truncates to 5.
    fn bert() -> Tokenizer {
        let model = WordPiece::builder().vocab(entries()).unk_token("[UNK]".into());
        let mut tokenizer = Tokenizer::new(model.build().unwrap());
        tokenizer.with_normalizer(Some(BertNormalizer::default())).unwrap();
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_post_processor(Some(BertProcessing::new(("[SEP]".into(), 3), ("[CLS]".into(), 2))));
        tokenizer
            .with_padding(Some(PaddingParams { strategy: PaddingStrategy::Fixed(128), ..PaddingParams::default() }));
        tokenizer.with_truncation(Some(TruncationParams { max_length: 5, ..TruncationParams::default() })).unwrap();
        tokenizer
    }

    fn saved(tokenizer: &Tokenizer) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        tokenizer.save(&path, false).unwrap();
        (folder, path)
    }

    fn load(tokenizer: &Tokenizer, tokens_max: usize) -> Result<Tokeniser, Error> {
        let (_folder, path) = saved(tokenizer);
        Tokeniser::load(&path, tokens_max)
    }

    fn encoded(tokeniser: &Tokeniser, text: &str) -> (Vec<u32>, bool) {
        let encoding = tokeniser.encode(text).unwrap();
        (encoding.ids.to_vec(), encoding.truncated)
    }

    #[test]
    fn the_limit_is_the_models_and_special_tokens_stay() {
        let tokeniser = load(&bert(), 7).unwrap();
        assert_eq!(encoded(&tokeniser, "good phones"), (vec![2, 4, 5, 6, 3], false));
        assert_eq!(encoded(&tokeniser, "很好 很好 a"), (vec![2, 7, 8, 7, 8, 9, 3], false));
        assert_eq!(encoded(&tokeniser, "很好 很好 a good"), (vec![2, 7, 8, 7, 8, 9, 3], true));
        assert_eq!(encoded(&tokeniser, ""), (vec![2, 3], false));
        assert_eq!(tokeniser.pad_id(), 0);
    }

    #[test]
    fn padding_is_known_by_the_file_or_by_name() {
        let mut tokenizer = bert();
        tokenizer.with_padding(Some(PaddingParams { pad_id: 9, ..PaddingParams::default() }));
        assert_eq!(load(&tokenizer, 7).unwrap().pad_id(), 9);
        let words = [("a".to_string(), 0), ("<pad>".to_string(), 1), ("<unk>".to_string(), 2)];
        let model = WordLevel::builder().vocab(words.into_iter().collect()).unk_token("<unk>".into()).build().unwrap();
        assert_eq!(load(&Tokenizer::new(model), 7).unwrap().pad_id(), 1);
    }

    #[test]
    fn errors_name_the_file_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let missing = Tokeniser::load(&path, 7).err().unwrap();
        assert_eq!(missing.fault, Fault::Config);
        assert!(missing.message.contains("tokenizer.json: cannot be read"), "{missing}");
        std::fs::write(&path, "{}").unwrap();
        let wrong = Tokeniser::load(&path, 7).err().unwrap();
        assert!(wrong.message.contains("tokenizer.json: not a Hugging Face tokenizer"), "{wrong}");
        let small = load(&bert(), 2).err().unwrap();
        assert!(
            small.message.contains("the limit of tokens (2) leaves no room beside the special tokens (2)"),
            "{small}"
        );
    }

    #[test]
    fn a_text_that_cannot_be_expressed_is_an_error_without_the_text() {
        let model = WordLevel::builder()
            .vocab([("a".to_string(), 0)].into_iter().collect())
            .unk_token("[UNK]".into())
            .build()
            .unwrap();
        let error = load(&Tokenizer::new(model), 7).unwrap().encode("secret").err().unwrap();
        assert_eq!(error.fault, Fault::Model);
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn what_is_cut_off_does_not_change_what_is_kept() {
        let tokeniser = load(&bert(), 12).unwrap();
        let text = "good phones 很好 ".repeat(200);
        let whole = tokeniser.inner.encode_fast(text.as_str(), true).unwrap();
        assert_eq!(encoded(&tokeniser, &text), (whole.get_ids().to_vec(), true));
        let fits = "a ".repeat(10);
        assert_eq!(encoded(&tokeniser, &fits).0.len(), 12);
        assert!(!encoded(&tokeniser, &fits).1);
    }

    #[test]
    fn a_megabyte_costs_what_the_model_reads_of_it() {
        let letters = ('a'..='z')
            .map(|c| (c.to_string(), -1.0))
            .chain([("<unk>".into(), 0.0), ("aa".into(), -1.5)])
            .collect::<Vec<_>>();
        let unigram = Tokenizer::new(Unigram::from(letters, Some(26), false).unwrap());
        let pairs = [("a".to_string(), 0), ("aa".to_string(), 1), ("aaaa".to_string(), 2)];
        let merges = vec![("a".to_string(), "a".to_string()), ("aa".to_string(), "aa".to_string())];
        let vocabulary: tokenizers::models::bpe::Vocab = pairs.into_iter().collect();
        let bpe = Tokenizer::new(BPE::builder().vocab_and_merges(vocabulary, merges).build().unwrap());
        for tokenizer in [bert(), unigram, bpe] {
            let tokeniser = load(&tokenizer, 512).unwrap();
            for text in ["a".repeat(1 << 20), "好".repeat(1 << 18), "a ".repeat(1 << 19), "\u{1F600}".repeat(1 << 18)]
            {
                let began = Instant::now();
                let encoding = tokeniser.encode(&text).unwrap();
                assert!(encoding.truncated && encoding.ids.len() <= 512);
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            }
        }
    }

    #[test]
    fn threads_share_one_tokeniser() {
        let tokeniser = load(&bert(), 16).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert_eq!(encoded(&tokeniser, "good phones 很好").0, [2, 4, 5, 6, 7, 8, 3]);
                    }
                });
            }
        });
    }
}
