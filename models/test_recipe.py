"""Quick tests of the recipe's parts: `python -m unittest discover models`."""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

sys.path.insert(0, str(Path(__file__).parent))

import batches  # noqa: E402
import graph  # noqa: E402
import runtime  # noqa: E402
import texts  # noqa: E402
import tokenizer as tokenizers_here  # noqa: E402
import train  # noqa: E402
from network import Network  # noqa: E402

TINY = {"hidden": 16, "layers": 2, "heads": 4, "inner": 32,
        "bigram_buckets": 101, "bigram_width": 8, "bigram_hashes": 2}
CLASSES = {"sentiment": 3, "topic": 5}


class Graphs(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.network = Network(TINY, 50, 12, CLASSES).eval()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "model.onnx"
        onnx.save(graph.Writer(self.network).write(), path)
        graph.round_as_stored(self.network)
        self.session = runtime.session(path)
        chance = np.random.default_rng(1)
        self.rows = [chance.integers(1, 50, size).tolist() for size in (1, 2, 3, 7, 12, 12)]

    def tearDown(self):
        self.folder.cleanup()

    def found(self, order, length=None):
        return runtime.run(self.session, {head: head for head in CLASSES}, self.rows, order, length)

    def test_graph_says_what_the_network_says(self):
        wanted = train.predict(self.network, self.rows)
        found = self.found([list(range(len(self.rows)))])
        for head in CLASSES:
            np.testing.assert_allclose(found[head], wanted[head], atol=1e-5)

    def test_padding_and_neighbours_change_nothing(self):
        alone = self.found([[i] for i in range(len(self.rows))])
        padded = self.found([list(range(len(self.rows)))], length=12)
        for head in CLASSES:
            np.testing.assert_allclose(alone[head], padded[head], atol=1e-6)

    def test_a_text_longer_than_the_positions_still_runs(self):
        self.rows = [list(range(1, 31))]
        self.assertTrue(np.isfinite(self.found([[0]])["sentiment"]).all())


class Batches(unittest.TestCase):
    def test_every_text_once_and_no_batch_above_the_budget(self):
        lengths = np.random.default_rng(2).integers(1, 60, 1000).tolist()
        for made in (batches.shuffled(lengths, 128, 9, 3), batches.sorted_by_length(lengths, 128)):
            self.assertEqual(sorted(i for batch in made for i in batch), list(range(1000)))
            self.assertLessEqual(max(max(lengths[i] for i in batch) * len(batch) for batch in made), 128)

    def test_a_text_above_the_budget_goes_alone(self):
        self.assertEqual(batches.cut([200, 3, 3], [0, 1, 2], 100), [[0], [1, 2]])

    def test_no_batch_above_the_count(self):
        self.assertEqual(max(map(len, batches.shuffled([1] * 100, 1000, 9, 3))), 9)

    def test_an_epoch_repeats(self):
        self.assertEqual(batches.shuffled([5] * 50, 20, 9, 4), batches.shuffled([5] * 50, 20, 9, 4))


class Labels(unittest.TestCase):
    def setUp(self):
        self.map = texts.LabelMap()

    def test_known_sources_are_mapped_and_stray_classes_dropped(self):
        self.assertEqual(self.map.of({"topic": 9}, "twitter_fin_news_topic"), {"topic": "general_news"})
        self.assertEqual(self.map.of({"intent": "oos"}, "clinc150"), {"intent": "none"})
        self.assertEqual(self.map.of({"intent": "card_declined"}, "banking77"), {})

    def test_a_stray_class_of_a_source_without_that_head_makes_no_label(self):
        self.assertEqual(self.map.of({"intent": "yes", "sentiment": "neutral"}, "cped"), {"sentiment": "neutral"})

    def test_own_labels_are_taken_at_their_word_and_come_last(self):
        self.assertEqual(self.map.of({"topic": "sofas", "sentiment": "positive"}, "own"),
                         {"topic": "sofas", "sentiment": "positive"})
        self.assertEqual(self.map.order("topic", {"sofas", "hotel", "fruit"}), ["fruit", "hotel", "sofas"])

    def test_every_mapped_class_has_a_label(self):
        for head in texts.HEADS:
            about = self.map.heads[head]
            mapped = {label for rule in about.get("sources", {}).values() for label in rule["map"].values()}
            self.assertLessEqual(mapped, set(about["labels"]))


class Repeats(unittest.TestCase):
    def test_whole_and_partial_repeats(self):
        many = [texts.Example("a", "one", "en")] * 100 + [texts.Example("b", "two", "en")] * 1000
        found = train.repeated(many, {"one": 3, "two": 0.3}, seed=1)
        self.assertEqual(sum(e.source == "one" for e in found), 300)
        self.assertAlmostEqual(sum(e.source == "two" for e in found), 300, delta=60)


class Losses(unittest.TestCase):
    def test_an_unlabelled_text_costs_nothing(self):
        cost = train.cross_entropy(torch.randn(3, 4), torch.tensor([-1, 2, -1]), 0.1)
        self.assertEqual(cost[0].item(), 0)
        self.assertGreater(cost[1].item(), 0)

    def test_a_masked_class_gets_no_share_of_the_smoothing(self):
        values = torch.tensor([[1.0, -1e9, 0.0]])
        self.assertLess(train.cross_entropy(values, torch.tensor([0]), 0.1).item(), 1)


class Tokens(unittest.TestCase):
    def test_chinese_by_character_links_as_one_word_and_no_padding(self):
        made = tokenizers_here.train(["很好 good https://a.b/c", "很好 good"] * 5, 200, 100)
        one, two = made.encode_batch(["很好", "very good https://x.y/z good"])
        self.assertEqual(one.tokens, ["[CLS]", "很", "好", "[SEP]"])
        self.assertEqual(two.tokens[-3:], ["http", "good", "[SEP]"])
        self.assertEqual(made.padding, None)

    def test_a_cut_keeps_the_closing_token(self):
        made = tokenizers_here.train(["a b c d e"] * 5, 100, 100)
        self.assertEqual(tokenizers_here.encode(made, ["a b c d e"], 4)[0][-1], 3)


if __name__ == "__main__":
    unittest.main()
