"""A tokenizer of this corpus: characters for Chinese, word pieces for the rest."""

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

PAD, UNKNOWN, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = [PAD, UNKNOWN, CLS, SEP, MASK]
UNKNOWN_ID = SPECIAL.index(UNKNOWN)


def train(texts, vocabulary, alphabet_max):
    """A tokenizer without padding or truncation: whoever batches does both."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=64))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        limit_alphabet=alphabet_max,
        special_tokens=SPECIAL,
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(CLS, SPECIAL.index(CLS)), (SEP, SPECIAL.index(SEP))],
    )
    return tokenizer


def _normalizer():
    """A link says nothing in its letters, and full-width forms say the same as plain ones."""
    return normalizers.Sequence([
        normalizers.Replace(Regex(r"https?://\S+"), " http "),
        normalizers.NFKC(),
        normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
        ),
    ])


def encode(tokenizer, texts, tokens_max):
    """Ids a text, cut to `tokens_max` with the closing token kept."""
    encodings = tokenizer.encode_batch(texts)
    return [_cut(encoding.ids, tokens_max) for encoding in encodings]


def _cut(ids, tokens_max):
    return ids if len(ids) <= tokens_max else ids[: tokens_max - 1] + ids[-1:]
