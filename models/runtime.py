"""An exported directory, run by ONNX Runtime as the program does: one thread, sorted batches."""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import batches
import tokenizer as tokenizers_here

TOKENS_PER_BATCH = 512


class Exported:
    def __init__(self, directory):
        directory = Path(directory)
        self.config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        self.heads = self.config["groundswell"]["heads"]
        self.labels = {head: about["labels"] for head, about in self.heads.items() if about.get("labels")}
        self.outputs = {head: about["output"] for head, about in self.heads.items()}
        self.tokens_max = self.config["groundswell"]["input_tokens_max"]
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.path = directory / "model.onnx"
        self.session = session(self.path)

    def encode(self, texts):
        return tokenizers_here.encode(self.tokenizer, texts, self.tokens_max)

    def predict(self, rows, order=None, length=None):
        """What every head's output says of all rows. `order` gives the batches; by default sorted ones."""
        return run(self.session, self.outputs, rows, order or sorted_batches(rows), length)

    def texts_per_second(self, rows):
        """The model alone, over all rows, a second of one core's own time: other work does not count."""
        order = sorted_batches(rows)
        self.predict(rows, order[: len(order) // 10])
        started = time.process_time()
        self.predict(rows, order)
        return len(rows) / (time.process_time() - started)


def session(path, entries=None, profile=None):
    """One thread without spinning: the program owns a session a core. `profile` is where to write how long
    each operator took."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def sorted_batches(rows, tokens=TOKENS_PER_BATCH):
    return batches.sorted_by_length([len(row) for row in rows], tokens)


def run(session, outputs, rows, order, length=None):
    found = {}
    for batch in order:
        for head, values in run_one(session, outputs, [rows[i] for i in batch], length).items():
            found.setdefault(head, np.zeros((len(rows), values.shape[1]), np.float32))[batch] = values
    return found


def run_one(session, outputs, rows, length=None):
    """One batch: {head: values}."""
    ids, mask = batches.padded(rows, length)
    fed = {"input_ids": np.asarray(ids), "attention_mask": np.asarray(mask)}
    return dict(zip(outputs, session.run(list(outputs.values()), fed)))
