"""Quick tests of the recipe's parts: `python -m unittest discover models/purchase`."""

import json
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent))

import figures  # noqa: E402
import graph  # noqa: E402
import sessions  # noqa: E402
from learners import LEARNERS, Calibration, logarithms, row_weights  # noqa: E402
from runtime import Exported  # noqa: E402

CONFIG = tomllib.loads((Path(__file__).parent / "config.toml").read_text(encoding="utf-8"))


def made_up(rows=2000, columns=5, seed=1):
    """Counts with magnitudes and gaps, and an outcome that depends on two of them."""
    chance = np.random.default_rng(seed)
    features = np.floor(np.exp(chance.normal(2, 2, (rows, columns)))).astype(np.float32)
    features[chance.random(features.shape) < 0.1] = -1
    odds = 0.5 * logarithms(features)[:, 0] - 2 + (features[:, 1] > 20)
    follows = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return features, follows


class Graphs(unittest.TestCase):
    def setUp(self):
        self.features, follows = made_up()
        config = CONFIG | {"trees": CONFIG["trees"] | {"iterations": 20, "leaf_rows_min": 20}}
        weights = np.ones(len(follows))
        self.parts = {name: LEARNERS[name](config).fit(self.features, follows, weights) for name in ("logistic", "trees")}
        logits = np.mean([part.logits(self.features) for part in self.parts.values()], axis=0)
        self.kept = {"features": [f"f{i}" for i in range(5)], "parts": self.parts,
                     "calibration": Calibration().fit(logits, follows)}

    def exported(self, folder, kept):
        onnx.save(graph.write(kept), Path(folder) / "model.onnx")
        about = {"features": kept["features"], "input": graph.INPUT, "output": graph.OUTPUT}
        (Path(folder) / "config.json").write_text(json.dumps(about))
        return Exported(folder)

    def check(self, names):
        kept = self.kept | {"parts": {name: self.parts[name] for name in names}}
        logits = np.mean([part.logits(self.features) for part in kept["parts"].values()], axis=0)
        rows = sessions.Rows(kept["features"], self.features, None, None, None, None)
        with tempfile.TemporaryDirectory() as folder:
            exported = self.exported(folder, kept)
            found, alone = exported.probabilities(rows), exported.probabilities(rows, rows_a_batch=1)
        np.testing.assert_allclose(found, kept["calibration"].probabilities(logits), atol=1e-5)
        np.testing.assert_allclose(found, alone, atol=1e-6)

    def test_graph_says_what_each_part_says(self):
        for names in (["logistic"], ["trees"], ["logistic", "trees"]):
            self.check(names)

    def test_a_value_at_a_threshold_goes_where_it_went_in_training(self):
        for threshold in (0.1, 1 / 3, 16777217.0, 5.0):
            stored = np.float32(graph.as_float32(threshold))
            above = np.nextafter(stored, np.float32(np.inf))
            self.assertLessEqual(float(stored), threshold)
            self.assertGreater(float(above), threshold)


class Sequences(unittest.TestCase):
    def test_it_learns_from_what_was_done_last(self):
        config = CONFIG | {"sequence": CONFIG["sequence"] | {"epochs": 8, "batch": 64}}
        whole, follows = made_up(columns=2)
        steps = np.full((len(whole), 8, 6), -1, np.float32)
        chance = np.random.default_rng(2)
        steps[:, 0] = chance.integers(0, 2, (len(whole), 6))
        follows = (steps[:, 0, 2] > 0).astype(np.int8)
        features = np.concatenate([whole, steps.reshape(len(whole), -1)], axis=1)
        learner = LEARNERS["sequence"](config).fit(features, follows, np.ones(len(follows)))
        self.assertGreater(figures.of(follows, learner.logits(features))["auc"], 0.95)


class Figures(unittest.TestCase):
    def test_lift_counts_the_best_tenth(self):
        follows = np.array([1] * 5 + [0] * 95)
        self.assertAlmostEqual(figures.lift(follows, np.arange(100)[::-1] / 100, 0.1), 10.0)
        self.assertEqual(figures.lift(follows, np.arange(100) / 100, 0.1), 0.0)

    def test_a_sure_and_right_model_is_calibrated(self):
        follows = np.array([0, 1] * 50)
        self.assertAlmostEqual(figures.calibration_error(follows, follows.astype(float)), 0.0)
        self.assertAlmostEqual(figures.calibration_error(follows, np.full(100, 0.9)), 0.4)

    def test_one_outcome_alone_tells_nothing(self):
        self.assertIsNone(figures.of(np.zeros(10), np.zeros(10)))


class Splits(unittest.TestCase):
    def test_a_user_stays_in_one_fold(self):
        users = np.array(["a", "b", "a", "c"])
        fold = sessions.fold_of(users, 5)
        self.assertEqual(fold[0], fold[2])
        self.assertEqual(list(fold), list(sessions.fold_of(users, 5)))

    def test_sessions_weigh_alike(self):
        weights = row_weights(np.array(["a", "a", "b", "c"]), np.array(["u", "u", "u", "v"]))
        self.assertAlmostEqual(weights[0] + weights[1], weights[2])
        self.assertAlmostEqual(weights[3], weights[2] * np.sqrt(2))
        self.assertAlmostEqual(weights.mean(), 1.0)


if __name__ == "__main__":
    unittest.main()
