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
        heads = self.config["groundswell"]["heads"]
        self.heads = {head: about for head, about in heads.items() if "labels" in about}
        self.labels = {head: about["labels"] for head, about in self.heads.items()}
        self.tokens_max = self.config["groundswell"]["input_tokens_max"]
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.session = session(directory / "model.onnx")

    def encode(self, texts):
        return tokenizers_here.encode(self.tokenizer, texts, self.tokens_max)

    def predict(self, rows, order=None):
        """Logits of all rows by head. `order` gives the batches; by default sorted ones."""
        outputs = {head: about["output"] for head, about in self.heads.items()}
        return run(self.session, outputs, rows, order or sorted_batches(rows))

    def texts_per_second(self, rows):
        """The model alone, over all rows, a second of one core's own time: other work does not count."""
        order = sorted_batches(rows)
        self.predict(rows, order[: len(order) // 10])
        started = time.process_time()
        self.predict(rows, order)
        return len(rows) / (time.process_time() - started)


def session(path):
    """One thread without spinning: the program owns a session a core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def sorted_batches(rows):
    return batches.sorted_by_length([len(row) for row in rows], TOKENS_PER_BATCH)


def run(session, outputs, rows, order, length=None):
    found = {}
    for batch in order:
        ids, mask = batches.padded([rows[i] for i in batch], length)
        answers = session.run(list(outputs.values()), {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        for head, values in zip(outputs, answers):
            found.setdefault(head, np.zeros((len(rows), values.shape[1]), np.float32))[batch] = values
    return found
