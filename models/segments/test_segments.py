"""Quick tests of the recipe's parts: `python -m unittest discover models/segments`."""

import json
import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import fit  # noqa: E402


def clumps(rng, at=((0, 0), (8, 0), (0, 8)), rows=60):
    return np.concatenate([rng.normal(centre, 0.5, (rows, 2)) for centre in at])


class Choice(unittest.TestCase):
    def test_clumps_are_found_again(self):
        rng = np.random.default_rng(1)
        rows = clumps(rng)
        centres, tried = fit.choose(rows, rng)
        self.assertEqual(len(centres), 3)
        labels = fit.nearest(rows, centres)
        self.assertEqual(fit.adjusted_rand(labels, np.repeat([2, 0, 1], 60)), 1.0)
        self.assertGreater(max(found["silhouette"] for found in tried), 0.8)

    def test_agreement_by_chance_is_none(self):
        rng = np.random.default_rng(2)
        one, other = rng.integers(0, 3, 5000), rng.integers(0, 3, 5000)
        self.assertLess(abs(fit.adjusted_rand(one, other)), 0.01)

    def test_segments_are_told_apart_by_name(self):
        names = list(fit.WORDS)
        centres = np.zeros((3, len(names)))
        centres[0, 0], centres[1, 0], centres[2, 0] = 2.0, -2.0, 1.5
        centres[2, 5] = 1.0
        self.assertEqual(len(set(fit.called(names, centres))), 3)
        self.assertTrue(all(called.startswith(("frequent", "rare")) for called in fit.called(names, centres)))


class Shipped(unittest.TestCase):
    def test_the_model_is_of_the_numbers_that_the_recipe_knows(self):
        model = json.loads((Path(__file__).parent / "segments.json").read_text(encoding="utf-8"))
        self.assertEqual(model["features"], list(fit.WORDS))
        self.assertAlmostEqual(sum(segment["share"] for segment in model["segments"]), 1.0, places=4)
        self.assertTrue(all(len(segment["centre"]) == len(fit.WORDS) for segment in model["segments"]))


if __name__ == "__main__":
    unittest.main()
