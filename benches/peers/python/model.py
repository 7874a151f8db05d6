"""The text model as a Python program asks it: tokenizers, numpy, ONNX Runtime."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class TextModel:
    """`threads`: of ONNX Runtime's own; None leaves it to ONNX Runtime, which takes every core."""

    def __init__(self, folder, threads=None):
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["groundswell"]
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.enable_truncation(config["input_tokens_max"])
        self.heads = {name: head for name, head in config["heads"].items() if head["activation"] == "softmax"}
        options = onnxruntime.SessionOptions()
        if threads:
            options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def encode(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def predict(self, rows):
        """Of each row of ids, padded to the longest: the sentiment, and the labels above their head's threshold."""
        width = max(map(len, rows))
        ids = np.array([row + [0] * (width - len(row)) for row in rows], np.int64)
        mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
        outputs = [head["output"] for head in self.heads.values()]
        answers = self.session.run(outputs, {"input_ids": ids, "attention_mask": mask})
        answers = dict(zip(self.heads, map(softmax, answers)))
        return [{name: self.named(name, answers[name][place]) for name in self.heads} for place in range(len(rows))]

    def named(self, name, probabilities):
        head = self.heads[name]
        labels = head["labels"]
        if name == "sentiment":
            best = int(np.argmax(probabilities))
            return {"label": labels[best], "probabilities": dict(zip(labels, map(float, probabilities)))}
        likely = np.flatnonzero(probabilities >= head["threshold"])
        likely = likely[np.argsort(-probabilities[likely])]
        found = [{"label": labels[i], "probability": float(probabilities[i])} for i in likely]
        return [one for one in found if one["label"] != head.get("none")]


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def scored(payload, answer):
    """The record that goes out for the one that came in."""
    return json.dumps({"event_id": payload["event_id"], "product": payload.get("product"), **answer}).encode()
