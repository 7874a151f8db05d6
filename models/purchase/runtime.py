"""The exported directory, run by ONNX Runtime as the program does: one thread, no spinning."""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime

ROWS_A_BATCH = 256


class Exported:
    def __init__(self, directory):
        directory = Path(directory)
        self.about = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = str(directory / "model.onnx")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def probabilities(self, rows, rows_a_batch=ROWS_A_BATCH):
        return self._run(rows.of(self.about["features"]), rows_a_batch)

    def microseconds_a_row(self, rows, rows_a_batch=ROWS_A_BATCH):
        """Of one core's own time: other work does not count."""
        features = rows.of(self.about["features"])[:20_000]
        self._run(features[:1000], rows_a_batch)
        started = time.process_time()
        self._run(features, rows_a_batch)
        return 1e6 * (time.process_time() - started) / len(features)

    def _run(self, features, rows_a_batch):
        batches = [features[at:at + rows_a_batch] for at in range(0, len(features), rows_a_batch)]
        name, output = self.about["input"], self.about["output"]
        return np.concatenate([self.session.run([output], {name: batch})[0] for batch in batches])
