"""Quick tests of how figures come about: `python -m unittest discover models`."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import baseline  # noqa: E402
import behaviour  # noqa: E402
import card  # noqa: E402
import corpus  # noqa: E402
import evaluate  # noqa: E402
import metrics  # noqa: E402
import neighbours  # noqa: E402
import program  # noqa: E402
import sample  # noqa: E402
import scores  # noqa: E402

NAMES = ["negative", "neutral", "positive"]


def text(source="s", language="en", two_classes=False, words="a b c", category=None, **labels):
    return corpus.Text(words, source, language, labels, two_classes, category)


class Figures(unittest.TestCase):
    def test_two_class_sources_leave_neutral_aside(self):
        values = np.array([[0.1, 0.8, 0.1001], [0.3, 0.5, 0.2]])
        found = metrics.sentiment(values, np.array([2, 0]), NAMES, True)
        self.assertEqual((found["accuracy"], found["f1_positive"]), (1.0, 1.0))
        self.assertEqual(found["accuracy_of_three"], 0.0, "the program would have said neutral twice")

    def test_three_classes_by_recall(self):
        values = np.eye(3)[[0, 0, 1, 2]]
        found = metrics.sentiment(values, np.array([0, 1, 1, 2]), NAMES, False)
        self.assertAlmostEqual(found["macro_recall"], (1 + 0.5 + 1) / 3)

    def test_in_domain_and_over_all_labels(self):
        names = ["bank.a", "bank.b", "shop.a", "none"]
        values = np.array([[0.3, 0.1, 0.6, 0.0], [0.1, 0.7, 0.2, 0.0], [0.0, 0.1, 0.0, 0.9], [0.4, 0.3, 0.3, 0.0]])
        examples = [text(intent=label) for label in ("bank.a", "bank.b", "none", "none")]
        judged = scores.Judged(examples, values, "intent", names, threshold=0.5)
        found = judged.figures(np.arange(4))
        self.assertEqual((found["accuracy_in_domain"], found["accuracy"]), (1.0, 0.5))
        self.assertEqual((found["outside_recall"], found["outside_held_back"]), (0.5, 1.0))
        self.assertEqual((found["coverage"], found["accuracy_above"]), (0.75, 2 / 3))

    def test_labels_without_a_domain_are_told_apart_among_the_source_s_own(self):
        values = np.array([[0.2, 0.3, 0.5], [0.3, 0.2, 0.5]])
        judged = scores.Judged([text(topic="b"), text(topic="a")], values, "topic", ["a", "b", "c"])
        self.assertEqual(judged.figures(np.arange(2))["accuracy_in_domain"], 1.0)

    def test_calibration_error_is_the_gap_between_said_and_so(self):
        values = np.array([[0.9, 0.1]] * 10)
        right = np.array([True] * 6 + [False] * 4)
        self.assertAlmostEqual(metrics.calibration_error(values, right), 0.3)

    def test_threshold_is_the_lowest_that_is_right_often_enough(self):
        best, right = np.array([0.2, 0.4, 0.6, 0.9]), np.array([False, False, True, True])
        self.assertEqual(metrics.threshold(best, right, np.array(["a"] * 4), 0.9), 0.45)

    def test_softmax_sums_to_one(self):
        np.testing.assert_allclose(scores.softmax(np.array([[1e3, 0, -1e3]])).sum(1), 1)

    def test_slices_by_length_category_and_language(self):
        examples = [text(words="好" * 3, language="zh", topic="a", category="x") for _ in range(scores.SLICE_TEXTS_MIN)]
        examples += [text(words="a b c d e f", source="t", topic="b", category="x") for _ in range(3)]
        values = np.tile([0.9, 0.1], (len(examples), 1))
        found = scores.report(examples, {"topic": values}, {"topic": ["a", "b"]}, {})["topic"]
        self.assertEqual(found["sources"]["s"]["slices"]["length"], {"1-5": {"texts": 20, "accuracy": 1.0}})
        self.assertEqual(found["sources"]["t"]["slices"], {}, "three texts are too few to speak of")
        self.assertEqual(found["languages"]["en"]["texts"], 3)

    def test_losses_are_positive_where_the_shipped_model_is_worse(self):
        def heads(accuracy, error):
            return {"topic": {"sources": {"s": {"texts": 9, "accuracy": accuracy, "calibration_error": error}}}}
        found = evaluate.losses(heads(0.9, 0.01), heads(0.8, 0.03))["topic"]["s"]
        self.assertAlmostEqual(found["accuracy"], 0.1)
        self.assertAlmostEqual(found["calibration_error"], 0.02)


class Program(unittest.TestCase):
    LINE = {"event_id": "1", "model": {"version": "v"}, "labels": {"topic": [{"label": "b", "probability": 0.7},
            {"label": "a", "probability": 0.3}]}, "sentiment": {"probabilities": dict(zip(NAMES, (0.5, 0.2, 0.3)))}}

    def test_a_line_is_put_where_its_text_stood(self):
        scored = program.Scored(2)
        scored.add(self.LINE)
        self.assertEqual(scored.answered.tolist(), [False, True])
        self.assertEqual(scored.labels, {"topic": ["a", "b"], "sentiment": NAMES})
        np.testing.assert_allclose(scored.probabilities["topic"], [[0, 0], [0.3, 0.7]])
        np.testing.assert_allclose(scored.probabilities["sentiment"][1], [0.5, 0.2, 0.3])


class Behaviour(unittest.TestCase):
    def judged(self, case, *values):
        scored = program.Scored(len(values))
        scored.answered[:] = True
        scored.labels, scored.probabilities = {case["head"]: NAMES}, {case["head"]: np.array(values)}
        return behaviour.judge(case, range(len(values)), scored)[:2]

    def test_minimum(self):
        case = {"kind": "minimum", "head": "sentiment", "expect": "negative"}
        self.assertEqual(self.judged(case, [0.6, 0.1, 0.3])[0], True)
        passed, missed = self.judged(case, [0.2, 0.1, 0.7])
        self.assertFalse(passed)
        self.assertAlmostEqual(missed, 0.5)
        self.assertIsNone(self.judged({**case, "expect": "angry"}, [0.2, 0.1, 0.7])[0], "no such label")

    def test_invariance_holds_within_the_bound_of_the_first(self):
        case = {"kind": "invariance", "head": "sentiment", "expect": "same score", "bound": 0.2}
        self.assertTrue(self.judged(case, [0.1, 0, 0.9], [0.15, 0, 0.85], [0.05, 0, 0.95])[0])
        self.assertFalse(self.judged(case, [0.1, 0, 0.9], [0.3, 0, 0.7])[0])

    def test_direction_asks_for_a_move_of_at_least_the_bound(self):
        case = {"kind": "direction", "head": "sentiment", "expect": "lower", "bound": 0.1}
        self.assertTrue(self.judged(case, [0.1, 0, 0.9], [0.3, 0, 0.7])[0])
        self.assertFalse(self.judged(case, [0.3, 0, 0.7], [0.29, 0, 0.71])[0])

    def test_neutral_is_a_lesser_mistake_than_the_opposite(self):
        case = {"kind": "minimum", "expect": "negative"}
        self.assertTrue(behaviour.turned_round(case, "positive 0.61"))
        self.assertFalse(behaviour.turned_round(case, "neutral 0.61"))

    def test_every_case_is_well_formed_and_there_are_enough(self):
        cases = behaviour.read(behaviour.CASES)
        self.assertGreaterEqual(len(cases), 300)
        asked = {" / ".join(case["texts"]) for case in cases}
        self.assertEqual(len(asked), len(cases), "a case stands twice")

    def test_a_broken_case_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            case = {"id": "x", "capability": "c", "language": "en", "kind": "direction", "head": "sentiment",
                    "expect": "same score", "texts": ["a", "b"], "bound": 0}
            (Path(folder) / "c.jsonl").write_text(json.dumps(case))
            with self.assertRaisesRegex(SystemExit, "case x is of kind direction and expects same score"):
                behaviour.read(folder)


class Neighbours(unittest.TestCase):
    def test_a_text_is_not_its_own_neighbour(self):
        vectors = np.array([[1, 0], [0.9, 0.436], [0, 1], [0.1, 0.995]])
        self.assertEqual(neighbours.same(vectors, np.array(["a", "a", "b", "b"])), 1.0)
        self.assertEqual(neighbours.same(vectors, np.array(["a", "b", "a", "b"])), 0.0)


class Baselines(unittest.TestCase):
    def test_both_learn_what_words_say(self):
        good, bad = ["very good indeed", "good and fine", "so good"], ["very bad indeed", "bad and poor", "so bad"]
        taught, numbers = (good + bad) * 20, np.array([1, 1, 1, 0, 0, 0] * 20)
        for learner, _ in baseline.LEARNERS.values():
            values = learner("en", taught, ["a good one", "a bad one"], numbers, 2)
            self.assertEqual(values.argmax(1).tolist(), [1, 0], learner.__name__)


class Sample(unittest.TestCase):
    def test_no_text_stands_on_both_sides_and_every_head_has_labels(self):
        taught, asked = sample.rows("train", 400), sample.rows("dev", 100)
        self.assertFalse({row["text"] for row in taught} & {row["text"] for row in asked})
        for field in ("sentiment", "topic", "intent"):
            self.assertGreater(len({row[field] for row in taught if field in row}), 2, field)
        self.assertEqual(taught, sample.rows("train", 400), "the same each time")


class Card(unittest.TestCase):
    def test_a_section_is_replaced_and_the_rest_stays(self):
        page = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
        self.assertEqual(card.filled(page, {"x": "new"}), "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n")

    def test_a_page_without_the_section_is_named(self):
        with self.assertRaisesRegex(SystemExit, "no section x"):
            card.filled("a", {"x": "new"})

    def test_the_card_says_what_its_figures_say(self):
        page = card.PAGE.read_text(encoding="utf-8")
        self.assertEqual(page, card.filled(page, card.sections(card.read(card.FIGURES))), "run models/card.py")


if __name__ == "__main__":
    unittest.main()
