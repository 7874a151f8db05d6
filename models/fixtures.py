"""Model directories as other people's exporters write them, small enough to keep as test fixtures.

    python models/fixtures.py --data DIR

Builds randomly initialised BERT, RoBERTa, DistilBERT and XLM-R classifiers with Hugging Face
`transformers`, exports them to ONNX, and writes beside each the logits that ONNX Runtime gives for
the same 200 texts, one text at a time. Whoever loads these directories must get the same numbers.
The weights are random and wide, so that one wrong token moves the logits far more than rounding does.
The texts are made of the templates below; DIR only teaches the tokenizers their pieces.
"""

import argparse
import json
import random
import shutil
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from onnxconverter_common import float16
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import texts

HERE = Path(__file__).parent
SEED = 11
VOCABULARY = 1200
POSITIONS = 160
OPSET = 17
BYTES_MAX = 400_000
TEACHING_TEXTS = 20_000
UNIGRAM_CHARACTERS = 700

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
         "initializer_range": 0.35, "attn_implementation": "eager"}
SMALL_DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64,
                    "initializer_range": 0.35, "attn_implementation": "eager"}


@dataclass
class Kind:
    """One exported model: what transformers calls it, and what its tokenizer looks like."""

    name: str
    config: type
    model: type
    tokenizer: callable
    labels: list
    size: dict
    inputs: list = field(default_factory=lambda: ["input_ids", "attention_mask"])
    problem: str = "single_label_classification"
    pad: str = "[PAD]"
    positions: int = POSITIONS
    fixed_padding: int = 0


def main():
    arguments = parse()
    warnings.filterwarnings("ignore")
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    said = written_texts()
    write_json(out / "texts.json", said)
    teaching = teaching_texts(arguments.data)
    for kind in kinds():
        build(kind, teaching, out / kind.name)
        expect(out / kind.name, kind, said, tolerance=1e-4)
    variant(out, "bert", "bert-fp16", to_fp16)
    expect(out / "bert-fp16", kinds()[0], said, tolerance=2e-2)
    variant(out, "bert", "bert-int8-dynamic", to_int8)
    expect(out / "bert-int8-dynamic", kinds()[0], said, tolerance=1e-4, alone=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory with a train file, for the tokenizers' pieces")
    parser.add_argument("--out", default=str(HERE.parent / "tests" / "fixtures" / "models"))
    return parser.parse_args()


def kinds():
    return [
        Kind("bert", transformers.BertConfig, transformers.BertForSequenceClassification, word_piece,
             ["negative", "neutral", "positive"], SMALL, ["input_ids", "attention_mask", "token_type_ids"]),
        Kind("roberta", transformers.RobertaConfig, transformers.RobertaForSequenceClassification, byte_level,
             ["NEGATIVE", "POSITIVE"], SMALL, pad="<pad>", positions=POSITIONS + 2),
        Kind("distilbert", transformers.DistilBertConfig, transformers.DistilBertForSequenceClassification, word_piece,
             ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], SMALL_DISTILBERT, fixed_padding=128),
        Kind("xlmr", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
             ["delivery", "price", "quality", "service"], SMALL, problem="multi_label_classification",
             pad="<pad>", positions=POSITIONS + 2),
    ]


def teaching_texts(directory):
    found = texts.read(texts.split_file(directory, "train"), texts.LabelMap())
    return [example.text for example in random.Random(SEED).sample(found, min(TEACHING_TEXTS, len(found)))]


def build(kind, teaching, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = kind.tokenizer(teaching)
    if kind.fixed_padding:
        pad = tokenizer.token_to_id(kind.pad)
        tokenizer.enable_padding(length=kind.fixed_padding, pad_id=pad, pad_token=kind.pad)
        tokenizer.enable_truncation(kind.fixed_padding)
    tokenizer.save(str(folder / "tokenizer.json"))
    model = random_model(kind, tokenizer)
    model.config.save_pretrained(folder)
    export(kind, model, folder / "model.onnx")
    agree(kind, model, folder / "model.onnx")


def random_model(kind, tokenizer):
    torch.manual_seed(SEED)
    config = kind.config(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=kind.positions,
        pad_token_id=tokenizer.token_to_id(kind.pad), problem_type=kind.problem,
        id2label=dict(enumerate(kind.labels)), label2id={label: i for i, label in enumerate(kind.labels)},
        **special_ids(tokenizer), **kind.size,
    )
    model = kind.model(config).eval()
    model.config.architectures = [kind.model.__name__]
    return model


def special_ids(tokenizer):
    start, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    return {} if start is None else {"bos_token_id": start, "eos_token_id": end}


def export(kind, model, path):
    ids = torch.randint(5, 100, (2, 9))
    values = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in kind.inputs}
    torch.onnx.export(
        Logits(model, kind.inputs).eval(), tuple(values[name] for name in kind.inputs), str(path),
        input_names=kind.inputs, output_names=["logits"], dynamic_axes={**axes, "logits": {0: "batch_size"}},
        opset_version=OPSET, dynamo=False,
    )


@torch.no_grad()
def agree(kind, model, path):
    """An exporter may have frozen a length or dropped the mask: padded batches of other lengths tell."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for lengths in ((1,), (40, 7), (POSITIONS, 3, 100)):
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        ids = torch.where(mask > 0, torch.randint(5, VOCABULARY - 100, mask.shape), model.config.pad_token_id)
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        given = {name: values[name] for name in kind.inputs}
        found = session.run(["logits"], {name: value.numpy() for name, value in given.items()})[0]
        difference = np.abs(found - model(**given).logits.numpy()).max()
        if difference > 1e-4:
            raise SystemExit(f"{path} differs from transformers by {difference:.1e} at lengths {lengths}")


class Logits(torch.nn.Module):
    """Positional inputs in, the one tensor out, as exporters wrap it."""

    def __init__(self, model, inputs):
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, *values):
        return self.model(**dict(zip(self.inputs, values)), return_dict=True).logits


def word_piece(teaching):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, limit_alphabet=900, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(teaching, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def of_common_characters(teaching, count):
    """A unigram vocabulary must hold every character it was taught with; a small one, only common ones."""
    common = {character for character, _ in Counter("".join(teaching)).most_common(count)}
    return [text for text in teaching if common.issuperset(text)]


def byte_level(teaching):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(teaching, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(teaching):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(of_common_characters(teaching, UNIGRAM_CHARACTERS), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def variant(out, source, name, convert):
    """The same directory with another form of the same graph."""
    folder = out / name
    folder.mkdir(exist_ok=True)
    for file in ("tokenizer.json", "config.json"):
        shutil.copy(out / source / file, folder / file)
    convert(out / source / "model.onnx", folder / "model.onnx")


def to_fp16(source, target):
    """Logits come out as fp16 too, as half-precision exports have them."""
    onnx.save(float16.convert_float_to_float16(onnx.load(source), keep_io_types=False), target)


def to_int8(source, target):
    with tempfile.TemporaryDirectory() as folder:
        inferred = Path(folder) / "inferred.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(onnx.load(source)), inferred)
        quantize_dynamic(inferred, target, weight_type=QuantType.QInt8)
    assert any(node.op_type == "DynamicQuantizeLinear" for node in onnx.load(target).graph.node)


def expect(folder, kind, said, tolerance, alone=False):
    """What ONNX Runtime says of each text by itself, unpadded."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(POSITIONS)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    logits = np.array([score(session, tokenizer.encode(one["text"])) for one in said], np.float32)
    write_json(folder / "expected.json", {
        "onnxruntime": onnxruntime.__version__,
        "output": "logits",
        "activation": "sigmoid" if kind.problem.startswith("multi") else "softmax",
        "tolerance": tolerance,
        "scores_depend_on_batch": alone,
        "logits": [[round(float(value), 6) for value in row] for row in logits],
    })
    report(folder, logits)


def score(session, encoding):
    values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
    wanted = {one.name: np.array([values[one.name]], np.int64) for one in session.get_inputs()}
    return session.run(["logits"], wanted)[0][0]


def report(folder, logits):
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder.name:18} {size:8,} bytes  logits spread {logits.std(0).min():.2f} to {logits.std(0).max():.2f}"
          f"  best labels {np.bincount(logits.argmax(1)).tolist()}")
    if size > BYTES_MAX:
        raise SystemExit(f"{folder} is larger than {BYTES_MAX:,} bytes")
    if logits.std(0).min() < 0.05:
        raise SystemExit(f"{folder}: the texts hardly differ, a wrong token would not show")


def write_json(path, value):
    """One text or one row of logits a line, so that a change can be read."""
    if isinstance(value, list):
        body = "[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in value) + "\n]"
    else:
        inner = [f" {json.dumps(key)}: {_lines(one)}" for key, one in value.items()]
        body = "{\n" + ",\n".join(inner) + "\n}"
    path.write_text(body + "\n", encoding="utf-8")


def _lines(value):
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in value) + "\n ]"


# The texts: made here, of nobody's data.

ODD = {
    "en": ["ok", "NO!!!", "👍👍👍", "a", "Refund?", "   spaces   everywhere   ", "it's 3:45pm, order #10293-B",
           "see https://example.com/a?b=1&c=%20d", "Ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ", "naïve café, déjà vu",
           "line one\nline two\ttabbed", "C++ & Rust <3 \"quotes\" 'and' `ticks`",
           "supercalifragilisticexpialidocious " * 6, "The kettle works. " * 20],
    "zh": ["好", "不行！！！", "😡😡", "退款？", "　全角　空格　", "１２３号订单，编号Ａ－７", "這個商品質量很好，謝謝",
           "买了iPhone充电器，only 5W，太慢了", "详见 https://example.com/x", "嗯……算了吧～", "“引号”与《书名》、顿号；分号",
           "龘靐齉", "物流很快，" * 20, "第一行\n第二行"],
}
PARTS = {
    "en": (
        ["The kettle", "My order", "This lamp", "The courier", "Your support team", "The blue jacket", "The app", "Battery life"],
        ["arrived late", "is better than I expected", "stopped working after a week", "was never delivered",
         "looks cheap but does its job", "solved my problem in minutes", "keeps crashing on start", "is not worth the price"],
        ["and I want my money back.", "but I would buy it again!", "so I am giving it two stars.", "which made my day :)",
         "and nobody answers my emails.", "even though the box was damaged.", "- thanks a lot!", "as described on the page."],
    ),
    "zh": (
        ["这个水壶", "我的订单", "台灯", "快递员", "客服", "蓝色外套", "手机软件", "电池"],
        ["来得太晚了", "比想象中好得多", "用了一周就坏了", "一直没有送到", "看着便宜但是够用", "几分钟就解决了问题", "一打开就闪退", "不值这个价"],
        ["，我要退款。", "，下次还会再买！", "，只能给两星。", "，心情都变好了～", "，发消息也没人回。", "，虽然包装破了。", "，非常感谢！", "，和页面描述一致。"],
    ),
}


def written_texts():
    chance = random.Random(SEED)
    made = []
    for language in ("zh", "en"):
        found = list(ODD[language])
        while len(found) < 100:
            one = _sentence(language, chance)
            if one not in found:
                found.append(one)
        made += [{"language": language, "text": one} for one in found]
    return made


def _sentence(language, chance):
    subject, verb, end = PARTS[language]
    space = " " if language == "en" else ""
    sentences = [space.join([chance.choice(subject), chance.choice(verb)]) + space + chance.choice(end)
                 for _ in range(chance.choice([1, 1, 1, 2, 3]))]
    return space.join(sentences)


if __name__ == "__main__":
    main()
