"""Quick tests of the recipe's parts: `python -m unittest discover models`."""

import json
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import torch

sys.path.insert(0, str(Path(__file__).parent))

import batches  # noqa: E402
import behaviour  # noqa: E402
import calibrate  # noqa: E402
import export  # noqa: E402
import graph  # noqa: E402
import linear  # noqa: E402
import losses  # noqa: E402
import metrics  # noqa: E402
import ngrams  # noqa: E402
import restore  # noqa: E402
import runtime  # noqa: E402
import scores  # noqa: E402
import teachers  # noqa: E402
import templates  # noqa: E402
import texts  # noqa: E402
import tokenizer as tokenizers_here  # noqa: E402
import train  # noqa: E402
import tuned  # noqa: E402
from kinds import Kinds, doubted  # noqa: E402
from network import Network  # noqa: E402

TINY = {"hidden": 16, "layers": 2, "heads": 4, "inner": 32, "head_inner": 16, "embedding": 4,
        "ngram_buckets": [101, 97], "ngram_width": 8}
CLASSES = {"sentiment": 3, "topic": 5, "embedding": 4}


class Graphs(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.network = Network(TINY, 50, 12, CLASSES).eval()
        chance = np.random.default_rng(1)
        self.rows = [chance.integers(1, 50, size).tolist() for size in (1, 2, 3, 7, 12, 12)]
        prints, _ = ngrams.place(np.unique(np.concatenate([ngrams.keys(row) for row in self.rows])), 101, 97)
        self.network.encoder.ngrams.prints.copy_(torch.from_numpy(prints))
        self.add_kinds()
        self.folder = tempfile.TemporaryDirectory()
        self.sessions = {products: self.session(products) for products in ("float", "int8")}
        graph.round_as_stored(self.network)

    def add_kinds(self):
        """Three kinds with chance values in every part, so that no part can be left out unnoticed."""
        classes = {"sentiment": 3, "topic": 5}
        kinds = Kinds(3, self.network.encoder.width, self.network.places_max(), classes, {"sentiment": (4, 90), "topic": (3, 0)})
        kinds.terms["sentiment"].row[:] = torch.randint(0, 91, (self.network.places_max(),))
        with torch.no_grad():
            for parameter in kinds.parameters():
                parameter.normal_()
            for terms in kinds.terms.values():
                terms.table[:, 0] = 0
            for doubt in kinds.doubts.values():
                doubt.copy_(torch.rand_like(doubt) / 10)
        self.network.kinds = kinds.eval()

    def session(self, products):
        path = Path(self.folder.name) / f"{products}.onnx"
        onnx.save(graph.Writer(self.network, products).write(), path)
        return runtime.session(path)

    def tearDown(self):
        self.folder.cleanup()

    def found(self, products, order, length=None):
        return runtime.run(self.sessions[products], {head: head for head in CLASSES}, self.rows, order, length)

    def test_graph_says_what_the_network_says(self):
        wanted = train.predict(self.network, self.rows)
        found = self.found("float", [list(range(len(self.rows)))])
        for head in CLASSES:
            np.testing.assert_allclose(found[head], wanted[head], atol=1e-5)

    def test_products_in_8_bits_stay_near(self):
        wanted = train.predict(self.network, self.rows)
        found = self.found("int8", [list(range(len(self.rows)))])
        for head in CLASSES:
            np.testing.assert_allclose(found[head], wanted[head], atol=0.05)

    def test_padding_and_neighbours_change_nothing(self):
        for products in self.sessions:
            alone = self.found(products, [[i] for i in range(len(self.rows))])
            padded = self.found(products, [list(range(len(self.rows)))], length=12)
            for head in CLASSES:
                np.testing.assert_allclose(alone[head], padded[head], atol=1e-5)

    def test_an_exported_directory_is_a_beginning(self):
        folder = Path(self.folder.name)
        labels = {"sentiment": ["negative", "neutral", "positive"], "topic": ["a", "b", "c", "d", "e"]}
        heads = {head: {"labels": names} for head, names in labels.items()} | {"embedding": {}}
        (folder / "config.json").write_text(json.dumps({"groundswell": {"heads": heads, "kinds": ["chats", "news", "reviews"]}}))
        onnx.save(graph.Writer(self.network).write(), folder / "model.onnx")
        begin = restore.Directory(folder)
        wanted = begin.labels_with({"topic": ["c", "own"], "intent": ["ask"]})
        self.assertEqual(wanted, {**labels, "topic": ["a", "b", "c", "d", "e", "own"], "intent": ["ask"]})
        network = Network(TINY, 50, 12, {**CLASSES, "topic": 6}).eval()
        begin.fill(network, wanted)
        kinds = begin.added_by_kinds(network, {head: wanted[head] for head in labels})
        self.same_but_for_new_labels(network)
        self.network.kinds.doubts["topic"].data.zero_()  # which the new label has a part in
        network.kinds = kinds
        kinds.doubts["topic"].data.zero_()
        kinds.addends["topic"].data[:, 5] = -100
        self.same_but_for_new_labels(network)
        with self.assertRaisesRegex(SystemExit, "shape"):
            begin.fill(Network({**TINY, "hidden": 32}, 50, 12, CLASSES), labels)

    def same_but_for_new_labels(self, network):
        """With the kinds' part or, where `network` has none, without it."""
        kept = self.network.kinds
        self.network.kinds = kept if network.kinds is not None else None
        before, after = train.predict(self.network, self.rows), train.predict(network, self.rows)
        self.network.kinds = kept
        for head in CLASSES:
            np.testing.assert_allclose(after[head][:, : CLASSES[head]], before[head], atol=1e-4)

    def test_an_embedding_has_length_one(self):
        found = self.found("int8", [list(range(len(self.rows)))])["embedding"]
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)

    def test_a_text_longer_than_the_positions_still_runs(self):
        self.rows = [list(range(1, 31))]
        self.assertTrue(np.isfinite(self.found("int8", [[0]])["sentiment"]).all())


class NGrams(unittest.TestCase):
    def test_the_network_finds_what_was_placed_and_nothing_else(self):
        rows = [[2, 7, 9, 3], [2, 8, 9, 3]]
        prints, placed = ngrams.place(np.unique(ngrams.keys(rows[0])), 101, 97)
        network = Network(TINY, 50, 12, CLASSES).eval()
        network.encoder.ngrams.prints.copy_(torch.from_numpy(prints))
        found = network.encoder.ngrams(torch.tensor(rows)).detach()
        self.assertTrue((found[0].abs().sum(1) > 0).all())
        self.assertEqual(found[1, 1:3].abs().sum().item(), 0)
        self.assertEqual(len(placed), len(set(placed.values())))

    def test_keys_are_the_networks_own(self):
        self.assertEqual(ngrams.tokens_of(int(ngrams.keys([5, 6, 7])[-1])), [5, 6, 7])
        self.assertEqual(ngrams.tokens_of(int(ngrams.keys([5, 6, 7])[1])), [5, 6])

    def test_runs_that_tell_classes_apart_come_first(self):
        rows = [[2, 10, 11, 3], [2, 10, 12, 3]] * 10
        best = ngrams.choose(rows, [(list(range(20)), [0, 1] * 10, 1.0)], 2)
        self.assertTrue(all({11, 12} & set(ngrams.tokens_of(int(key))) for key in best))


class Batches(unittest.TestCase):
    def test_every_text_once_and_no_batch_above_the_budget(self):
        lengths = np.random.default_rng(2).integers(1, 60, 1000).tolist()
        for made in (batches.shuffled(lengths, range(1000), 128, 9, 3), batches.sorted_by_length(lengths, 128)):
            self.assertEqual(sorted(i for batch in made for i in batch), list(range(1000)))
            self.assertLessEqual(max(max(lengths[i] for i in batch) * len(batch) for batch in made), 128)

    def test_a_text_above_the_budget_goes_alone(self):
        self.assertEqual(batches.cut([200, 3, 3], [0, 1, 2], 100), [[0], [1, 2]])

    def test_no_batch_above_the_count(self):
        self.assertEqual(max(map(len, batches.shuffled([1] * 100, range(100), 1000, 9, 3))), 9)

    def test_an_epoch_repeats(self):
        self.assertEqual(batches.shuffled([5] * 50, range(50), 20, 9, 4), batches.shuffled([5] * 50, range(50), 20, 9, 4))


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
        sources = ["one"] * 100 + ["two"] * 1000
        found = [sources[i] for i in batches.repeated(sources, {"one": 3, "two": 0.3}, seed=1)]
        self.assertEqual(found.count("one"), 300)
        self.assertAlmostEqual(found.count("two"), 300, delta=60)


class Rounds(unittest.TestCase):
    def test_the_rates_rise_and_fall_in_each_round(self):
        made = train.Round(100, 0.5, [[[0]] * 60, [[0]] * 40])
        paces = [made.pace(step, 0.1) for step in range(100, 200)]
        self.assertEqual(max(paces), 0.5)
        self.assertEqual(paces.index(0.5), 9)
        self.assertLess(paces[0], 0.06)
        self.assertLess(paces[-1], 0.001)


    def test_the_mean_of_rounds_leaves_whole_numbers_alone(self):
        found = train.mean([{"w": torch.tensor([1.0]), "n": torch.tensor(4)}, {"w": torch.tensor([2.0]), "n": torch.tensor(4)}])
        self.assertEqual((found["w"].item(), found["n"].item()), (1.5, 4))


class Held(unittest.TestCase):
    def test_a_source_that_is_held_hears_the_network_and_no_other_does(self):
        examples = [texts.Example("a", "mine", "en"), texts.Example("b", "other", "en"), texts.Example("c", "mine", "en")]
        logits = {"intent": np.array([[2.0, 0.0, 9.0], [0.0, 0.0, 9.0]], np.float32)}
        asked, teachers_said = [], ([1], ["pay", "none"], np.array([[0.5, 0.5]]))
        with mock.patch.object(train, "predict", lambda network, rows: asked.append(rows) or logits):
            found = train.with_held({"intent": {"other": teachers_said, "mine": "forgotten"}}, {"intent": ["mine", "absent"]},
                                    None, [[1], [2], [3]], examples, {"intent": ["pay", "none"]})
        self.assertEqual(asked, [[[1], [3]]])
        at, names, said = found["intent"]["mine"]
        self.assertEqual((at, names), ([0, 2], ["pay", "none"]))
        np.testing.assert_allclose(said, scores.softmax(np.array([[2.0, 0.0], [0.0, 0.0]])))
        self.assertIs(found["intent"]["other"], teachers_said)


class Losses(unittest.TestCase):
    def test_an_unlabelled_text_costs_nothing(self):
        cost = losses.cross_entropy(torch.randn(3, 4), torch.tensor([-1, 2, -1]), 0.1)
        self.assertEqual(cost[0].item(), 0)
        self.assertGreater(cost[1].item(), 0)

    def test_a_masked_class_gets_no_share_of_the_smoothing(self):
        values = torch.tensor([[1.0, -1e9, 0.0]])
        self.assertLess(losses.cross_entropy(values, torch.tensor([0]), 0.1).item(), 1)


class Lessons(unittest.TestCase):
    CONFIG = {
        "training": {"smoothing": 0.0}, "heads": {"sentiment": 1.0, "intent": 1.0}, "sources": {},
        "outside": {"head": "intent", "label": "none", "weight": 0.1, "labelled_weight": 5.0, "sources": ["reviews"]},
        "noise": {}, "teachers": {"share": 0.5, "shares": {}, "transfer": {"more": {"head": "sentiment", "from": "reviews"}}},
    }
    LABELS = {"sentiment": ["negative", "neutral", "positive"], "intent": ["pay", "none"]}

    def setUp(self):
        self.examples = [
            texts.Example("a", "reviews", "en", {"sentiment": "positive"}, two_classes=True),
            texts.Example("b", "chats", "en", {"intent": "none"}),
            texts.Example("c", "more", "en"),
        ]
        opinions = {"sentiment": {"more": ([2], ["negative", "positive"], np.array([[0.2, 0.8]]))}}
        self.lessons = losses.Lessons(self.examples, self.LABELS, self.CONFIG, opinions)

    def test_reviews_ask_for_nothing_and_rare_labels_weigh_more(self):
        self.assertEqual(self.lessons.hard["intent"].tolist(), [1, 1, -1])
        np.testing.assert_allclose(self.lessons.weights["intent"], [0.1, 5.0, 1.0])

    def test_the_neutral_of_a_two_class_source_is_neither_taught_nor_punished(self):
        values = torch.tensor([[0.0, 9.0, 0.0]], requires_grad=True)
        self.lessons.loss("sentiment", values, torch.tensor([0])).backward()
        self.assertAlmostEqual(values.grad[0, 1].item(), 0, places=5)

    def test_a_text_without_labels_hears_another_sources_teachers(self):
        at = torch.tensor([2])
        right = self.lessons.loss("sentiment", torch.tensor([[0.0, 0.0, 2.0]]), at)
        wrong = self.lessons.loss("sentiment", torch.tensor([[2.0, 0.0, 0.0]]), at)
        self.assertLess(right, wrong)

    def test_an_embedding_without_a_teacher_costs_nothing(self):
        found = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        self.assertAlmostEqual(losses.apart(found, torch.tensor([[0.0, 1.0], [0.0, 0.0]])).item(), 0.5)


class Teachers(unittest.TestCase):
    def test_what_a_text_is_taught_comes_from_machines_that_did_not_see_it(self):
        chance = np.random.default_rng(3)
        numbers = chance.integers(0, 2, 60)
        words = [f"{'good' if number else 'bad'} thing {chance.integers(9)}" for number in numbers]
        school = types.SimpleNamespace(seed=1, settings={"decays": [1.0]})
        pair = teachers.Pair(2, words, numbers, None, school)
        self.assertEqual((pair.held_out.argmax(1) == numbers).mean(), 1.0)
        self.assertEqual(pair.of(["a good one", "a bad one"], None).argmax(1).tolist(), [1, 0])

    def test_two_teachers_are_weighed_by_what_they_know(self):
        chance = np.random.default_rng(4)
        numbers = chance.integers(0, 2, 800)
        read = chance.normal(size=(800, 6)).astype(np.float32)
        read[:, 0] += 4 * numbers
        school = types.SimpleNamespace(seed=1, settings={"decays": [0.3, 3.0]})
        pair = teachers.Pair(2, [f"word {chance.integers(9)}" for _ in numbers], numbers, teachers.Said(read=read), school)
        self.assertIn(pair.decay, (0.3, 3.0))
        self.assertGreater((pair.held_out.argmax(1) == numbers).mean(), 0.75)

    def test_a_tuned_encoder_stands_alone_where_machines_would_be_too_many(self):
        numbers = np.array([0, 1] * 20)
        words = [["bad", "good"][number] for number in numbers]
        said = teachers.Said(logits=np.stack([1.0 - numbers, numbers * 2.0], 1).astype(np.float32))
        school = types.SimpleNamespace(seed=1, settings={"decays": [1.0], "machines_max": 279})
        alone = teachers.Pair(2, words, numbers, said, school)
        school.settings["machines_max"] = 280
        beside = teachers.Pair(2, words, numbers, said, school)
        self.assertEqual((len(alone.weights), len(beside.weights)), (1, 2))
        self.assertEqual(alone.of(["?", "?"], teachers.Said(logits=said.logits[:2])).argmax(1).tolist(), [0, 1])

    def test_what_a_source_hears_comes_from_the_task_of_another(self):
        with tempfile.TemporaryDirectory() as folder:
            school = self._school(folder)
            np.savez(Path(folder) / "tuned.fake.npz", **{"sentiment.reviews": np.arange(12.0).reshape(6, 2)})
            answers = tuned.Answers(school, "fake")
            self.assertEqual([(task.source, task.numbers.tolist()) for task in answers.tasks], [("reviews", [1, 0, 1, 0])])
            self.assertEqual(answers.of("reviews", "sentiment", "train", [1, 4]).tolist(), [[2, 3], [10, 11]])

    def _school(self, folder):
        training = [texts.Example(f"text {i}", "reviews", "en", {"sentiment": ["negative", "positive"][i % 2]}, two_classes=True)
                    for i in (1, 2, 3, 4)] + [texts.Example("more", "other", "en")]
        training.append(texts.Example("stray", "reviews", "en", {"sentiment": "neutral"}))
        config = {"seed": 1, "teachers": {
            "readers": {"fake": ["reviews", "other"]}, "texts_min": 2, "tuned": {"fake": {}}, "tuning": {},
            "transfer": {"other": {"head": "sentiment", "from": "reviews"}}}}
        school = teachers.School(Path(folder), config, training, [])
        school.folder = Path(folder)
        return school

    def test_pieces_are_spelled_as_people_write_them(self):
        self.assertEqual(teachers._spelled(["re", "##fund", "me"]), "refund me")
        self.assertEqual(teachers._spelled(["退", "货", "ok"]), "退货ok")


class Tuned(unittest.TestCase):
    SETTINGS = {"folds": 2, "epochs": 12, "rate": 1e-2, "decay": 0.0, "smoothing": 0.0, "token_dropout": 0.0, "dropout": 0.0,
                "tokens_per_batch": 64, "texts_per_batch": 16, "repeats": {}}

    def setUp(self):
        torch.manual_seed(5)
        chance = np.random.default_rng(5)
        width, inner = 8, 16
        shapes = {"query": (width, width), "key": (width, width), "value": (width, width), "out": (width, width),
                  "inner": (inner, width), "outer": (width, inner)}
        self.layer = {name: (chance.normal(0, 0.2, shape), chance.normal(0, 0.1, shape[0])) for name, shape in shapes.items()}
        self.layer |= {name: (1 + chance.normal(0, 0.1, width), chance.normal(0, 0.1, width)) for name in ("norm1", "norm2")}

    def _read(self, numbers, signal):
        """Texts of three tokens, the first of which gives its class away as far as `signal` goes."""
        read = object.__new__(tuned.Read)
        read.upper, read.heads, read.width = [self.layer], 2, 8
        read.lengths, read.starts = [3] * len(numbers), np.arange(0, 3 * len(numbers) + 1, 3)
        read.tokens = 0.1 * torch.randn(3 * len(numbers), 8)
        read.tokens[::3, 0] += signal * torch.from_numpy(2.0 * numbers - 1).float()
        read.tokens = read.tokens.bfloat16()
        return read

    def _course(self, signal):
        numbers = np.random.default_rng(6).integers(0, 2, 120)
        task = texts.Task("sentiment", "reviews", np.arange(100), numbers[:100], ["negative", "positive"])
        course = tuned.Course(self._read(numbers, signal), ["reviews"] * 120, [task], [[0]] * 120, self.SETTINGS, 3, lambda line: None)
        return (course.answers()[0].argmax(1) == numbers), course

    def test_what_is_learned_is_said_of_texts_not_seen(self):
        right, _ = self._course(3.0)
        self.assertGreater(right.mean(), 0.9)

    def test_labels_by_chance_cannot_be_told_by_those_who_did_not_see_them(self):
        right, course = self._course(0.0)
        self.assertLess(right[:100].mean(), 0.7)
        self.assertEqual(sorted(set(course.fold[:100].tolist())), [0, 1])
        self.assertEqual(set(course.fold[100:].tolist()), {-1})

    def test_padding_changes_nothing(self):
        layer, x = tuned.Layer(self.layer, 2), torch.randn(1, 5, 8)
        alone = tuned._stack([layer], x[:, :3], torch.ones(1, 3))
        beside = tuned._stack([layer], x, torch.tensor([[1.0, 1, 1, 0, 0]]))
        self.assertTrue(torch.allclose(alone, beside[:, :3], atol=1e-5))

    def test_a_layer_is_the_librarys(self):
        other = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True).eval()
        mine = tuned.Layer(self.layer, 2)
        with torch.no_grad():
            for there, here in ((other.self_attn.out_proj, mine.out), (other.linear1, mine.inner), (other.linear2, mine.outer),
                                (other.norm1, mine.norm1), (other.norm2, mine.norm2)):
                there.weight.copy_(here.weight)
                there.bias.copy_(here.bias)
            other.self_attn.in_proj_weight.copy_(mine.query_key_value.weight)
            other.self_attn.in_proj_bias.copy_(mine.query_key_value.bias)
            x = torch.randn(2, 4, 8)
            self.assertLess((other(x) - tuned._stack([mine], x, torch.ones(2, 4))).abs().max().item(), 1e-2)

    def test_what_is_too_long_keeps_both_ends(self):
        self.assertEqual(tuned._shortened(list(range(9)), 9), list(range(9)))
        self.assertEqual(tuned._shortened(list(range(20)), 9), [0, 1, 2, 3, 4, 5, 17, 18, 19])


class Configuration(unittest.TestCase):
    def test_what_goes_over_replaces_value_by_value(self):
        config = {"seed": 1, "teachers": {"share": 0.6, "shares": {"a": 1, "b": 2}}, "rounds": [1, 2]}
        found = train.laid_over(config, {"teachers": {"shares": {"b": 3}}, "rounds": [9]})
        self.assertEqual(found, {"seed": 1, "teachers": {"share": 0.6, "shares": {"a": 1, "b": 3}}, "rounds": [9]})

    def test_quick_replaces_what_lies_in_its_tables_whole(self):
        found = train.laid_over({"teachers": {"share": 0.6, "readers": {"e5": ["a"]}}}, {"teachers": {"readers": {}}}, depth=1)
        self.assertEqual(found, {"teachers": {"share": 0.6, "readers": {}}})


class Templates(unittest.TestCase):
    def test_no_case_of_behaviour_comes_out(self):
        drawn = {example.text for example in templates.draw(7)}
        cases = {text for case in behaviour.read(behaviour.CASES) for text in case["texts"]}
        self.assertGreater(len(drawn), 5000)
        self.assertFalse(drawn & cases)

    def test_a_draw_repeats_itself_and_fills_every_slot(self):
        drawn = templates.draw(3)
        self.assertEqual(drawn, templates.draw(3))
        self.assertFalse([example.text for example in drawn if "{" in example.text])
        self.assertEqual({e.labels["sentiment"] for e in drawn}, {"negative", "neutral", "positive"})


class Noise(unittest.TestCase):
    def test_without_noise_it_is_the_plain_loss(self):
        values, target = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([1])
        plain = losses.cross_entropy(values, target, 0.0)
        self.assertAlmostEqual(losses.through_noise(values, target, torch.zeros(1), torch.zeros(1)).item(), plain.item(), 5)

    def test_a_label_that_cannot_be_right_teaches_little(self):
        slopes = []
        for noise in (0.0, 0.4):
            values = torch.tensor([[12.0, 0.0, 0.0]], requires_grad=True)
            share = torch.tensor([noise])
            losses.through_noise(values, torch.tensor([1]), share, share / 3).backward()
            slopes.append(values.grad.abs().sum().item())
        self.assertGreater(slopes[0], 1.9)
        self.assertLess(slopes[1], 0.01)


class Calibration(unittest.TestCase):
    """Two kinds of text, told apart by the gate for certain, whose logits and terms are given."""

    CONFIG = {"linear": {"joined": {}}}

    def fit(self, sources, logits, wanted, labels, read=None, head="topic"):
        names = sorted(set(sources))
        kinds = Kinds(len(names), 4, 10, {head: len(labels)}, {head: (1, 1)} if read is not None else {})
        if read is not None:
            kinds.terms[head].mix.data[:, 0] = 1.0
        view = types.SimpleNamespace(
            shares=torch.eye(len(names))[[names.index(source) for source in sources]],
            read={} if read is None else {head: torch.tensor(read, dtype=torch.float32)[:, None]},
            logits={head: torch.tensor(logits, dtype=torch.float32)})
        examples = [texts.Example("x", source, "en", {head: labels[n]}) for source, n in zip(sources, wanted)]
        return calibrate.Fit(examples, view, kinds, names, head, labels, self.CONFIG).run(), kinds

    def test_what_is_always_right_is_not_made_infinitely_sure(self):
        wanted = np.arange(200) % 3
        fit, _ = self.fit(["a"] * 200, 0.01 * np.eye(3)[wanted], wanted, list("xyz"))
        factor = fit.values()[0][0, 0].item()
        self.assertGreater(factor, 5)
        self.assertLessEqual(factor, calibrate.FACTOR_MAX)

    def test_each_kind_has_a_factor_of_its_own(self):
        chance = np.random.default_rng(3)
        logits = chance.normal(size=(4000, 4))
        wanted = (logits + chance.gumbel(size=logits.shape)).argmax(1)
        logits[:2000] *= 4
        logits[2000:] *= 0.5
        fit, _ = self.fit(["a"] * 2000 + ["b"] * 2000, logits, wanted, list("wxyz"))
        factors = fit.values()[0][:, 0].tolist()
        self.assertAlmostEqual(factors[0], 0.25, delta=0.06)
        self.assertAlmostEqual(factors[1], 2.0, delta=0.4)

    def test_chance_labels_become_doubt_and_leave_the_factor_alone(self):
        chance = np.random.default_rng(5)
        labels = [f"shop.{n}" for n in range(10)]
        logits = chance.normal(0, 3, (4000, 10))
        true = (logits + chance.gumbel(size=logits.shape)).argmax(1)
        given = np.where(chance.random(4000) < 0.7, true, chance.integers(0, 10, 4000))
        fit, _ = self.fit(["one"] * 4000, logits / 2, given, labels, head="intent")
        self.assertAlmostEqual(fit.chance(0), 0.3, delta=0.04)
        self.assertAlmostEqual(fit.values()[0].item(), 2, delta=0.4)
        found = fit.probabilities().detach().numpy()
        self.assertLess(metrics.calibration_error(found, found.argmax(1) == given), 0.03)

    def test_terms_are_heard_where_they_know_more(self):
        chance = np.random.default_rng(6)
        read = chance.normal(size=2000)
        wanted = (read + 0.3 * chance.normal(size=2000) < 0).astype(int)
        fit, kinds = self.fit(["one"] * 2000, np.zeros((2000, 2)), wanted, ["a", "b"], read)
        fit.fold()
        self.assertGreater(kinds.terms["topic"].mix[0, 0].item(), 2)

    def test_what_is_folded_says_what_was_fitted(self):
        chance = np.random.default_rng(7)
        logits, wanted, read = chance.normal(size=(300, 3)), chance.integers(0, 3, 300), chance.normal(size=300)
        fit, kinds = self.fit(["a", "b"] * 150, logits, wanted, list("xyz"), read)
        before = fit.probabilities().detach()
        fit.fold()
        shares, read = torch.eye(2)[[0, 1] * 150], torch.tensor(read, dtype=torch.float32)[:, None]
        after = kinds.answer("topic", torch.tensor(logits, dtype=torch.float32), shares, read).exp()
        np.testing.assert_allclose(after.detach(), before, atol=1e-5)

    def test_a_kind_without_texts_on_dev_keeps_what_an_earlier_fit_found(self):
        chance = np.random.default_rng(8)
        logits, wanted = chance.normal(size=(300, 3)), chance.integers(0, 3, 300)
        kinds = Kinds(2, 4, 10, {"topic": 3}, {})
        with torch.no_grad():
            kinds.factors["topic"][:] = torch.tensor([[0.5], [3.0]])
            kinds.doubts["topic"][1] = 0.1
        view = types.SimpleNamespace(shares=torch.eye(2)[[0] * 300], read={}, logits={"topic": torch.tensor(logits, dtype=torch.float32)})
        examples = [texts.Example("x", "a", "en", {"topic": "xyz"[n]}) for n in wanted]
        calibrate.Fit(examples, view, kinds, ["a", "b"], "topic", list("xyz"), self.CONFIG).run().fold()
        self.assertNotAlmostEqual(kinds.factors["topic"][0].item(), 0.5, delta=0.05)
        self.assertAlmostEqual(kinds.factors["topic"][1].item(), 3.0, delta=1e-3)
        np.testing.assert_allclose(kinds.doubts["topic"].detach()[1], 0.1, atol=1e-6)

    def test_a_fit_again_stays_nearer_the_stronger_it_is_pulled(self):
        chance = np.random.default_rng(9)
        logits = chance.normal(size=(400, 3))
        wanted = (logits + chance.gumbel(size=logits.shape)).argmax(1)
        view = types.SimpleNamespace(shares=torch.ones(400, 1), read={}, logits={"topic": torch.tensor(logits, dtype=torch.float32)})
        examples = [texts.Example("x", "a", "en", {"topic": "xyz"[n]}) for n in wanted]
        moved = []
        for pull in (0.001, 10.0):
            kinds = Kinds(1, 4, 10, {"topic": 3}, {})
            kinds.factors["topic"].data[:] = 3.0
            config = {**self.CONFIG, "calibration": {"pull_again": pull}}
            fit = calibrate.Fit(examples, view, kinds, ["a"], "topic", list("xyz"), config).run()
            moved.append(abs(fit.values()[0].item() - 3.0))
        self.assertGreater(moved[0], 2 * moved[1])

    def test_what_is_put_in_place_of_what_was_fitted(self):
        kinds = Kinds(2, 4, 10, {"topic": 3}, {})
        kinds.doubts["topic"].data[1, :2] = 0.01
        export.amend(kinds, ["a", "b"], {"topic": list("xyz")}, {
            "topic": {"b": {"factor": 2.0, "doubt": 0.3, "addends": {"z": -1.5, "unknown": 9.0}}, "unknown": {"factor": 9.0}}})
        self.assertEqual(kinds.factors["topic"][:, 0].tolist(), [1.0, 2.0])
        np.testing.assert_allclose(kinds.doubts["topic"].detach(), [[0, 0, 0], [0.15, 0.15, 0]])
        self.assertEqual(kinds.addends["topic"].tolist(), [[0, 0, 0], [0, 0, -1.5]])

    def test_chance_labels_bound_what_anybody_can_reach(self):
        labels = [f"shop.{n}" for n in range(4)]
        examples = [texts.Example("x", "one", "en", {"intent": labels[n % 4]}) for n in range(4000)]
        accuracy, macro_f1 = calibrate.ceiling(examples, "intent", "one", 0.4)
        self.assertAlmostEqual(accuracy, 0.7, delta=0.01)
        self.assertAlmostEqual(macro_f1, 0.7, delta=0.01)

    def test_texts_from_outside_are_told_as_often_as_asked(self):
        labels = ["shop.a", "shop.b", "none"]
        logits = torch.zeros(10, 3)
        logits[:, 0] = torch.arange(10)
        raised = calibrate.let_outside_in(logits, torch.full((10,), 2), labels, 0.6)
        logits[:, 2] += raised
        self.assertEqual((logits.argmax(1) == 2).float().mean().item(), np.float32(0.6))
        self.assertEqual(calibrate.let_outside_in(logits, torch.zeros(10), ["a", "b", "c"], 0.6), 0.0)


class LinearTerms(unittest.TestCase):
    """Reviews in two languages; what decides stands in one word."""

    CONFIG = {"seed": 1, "linear": {"rows": {"sentiment": 60}, "penalties": [1.0], "gate_texts": 50, "gate_decay": 1e-4, "joined": {"more": "food"},
                                    "heard": {}, "sources": {"sentiment": ["food", "goods"]}}}

    def setUp(self):
        torch.manual_seed(2)
        chance, self.rows, self.examples = np.random.default_rng(2), [], []
        for number in range(200):
            chinese, good = number % 2 == 0, chance.random() < 0.5
            base = 10 if chinese else 30
            filler = chance.integers(base + 2, base + 15, 6).tolist()
            self.rows.append([2, base + int(good), *filler, 3])
            self.examples.append(texts.Example("x", "food" if chinese else "goods", "zh" if chinese else "en",
                                               {"sentiment": "positive" if good else "negative"}, two_classes=True))
        self.network = Network(TINY, 50, 12, {"sentiment": 3}).eval()

    def test_kinds_and_classes_are_told(self):
        labels = {"sentiment": ["negative", "neutral", "positive"]}
        with tempfile.TemporaryDirectory() as folder:
            linear.make(Path(folder), self.CONFIG, self.network, self.rows, self.examples, labels, lambda line: None)
            kinds = Kinds.like(torch.load(Path(folder) / "kinds.pt"), self.network.places_max())
            names = json.loads((Path(folder) / "kinds.json").read_text())
        self.assertEqual(names, ["food", "goods"])
        terms = kinds.terms["sentiment"]
        self.assertEqual(terms.columns, 2)
        view_of = linear.pooled(self.network, self.rows)
        self.assertGreater((kinds.gate(view_of).argmax(1) == torch.tensor([0, 1] * 100)).float().mean(), 0.9)
        with torch.no_grad():
            for row, example in list(zip(self.rows, self.examples))[:40]:
                ids = torch.tensor([row])
                read = terms.read(self.network.places(ids), torch.ones_like(ids))[0, names.index(example.source)]
                read += 2 * kinds.addends["sentiment"][names.index(example.source), 2]
                self.assertEqual(bool(read > 0), example.labels["sentiment"] == "positive")

    def test_a_beginning_whose_kinds_are_not_all_at_hand_is_kept(self):
        kept = Kinds(2, self.network.encoder.width, self.network.places_max(), {"sentiment": 3}, {})
        torch.nn.init.normal_(kept.gate.weight)
        for kinds, same in ((["food", "news"], True), (["food", "goods"], False)):
            begin = types.SimpleNamespace(kinds=kinds, path="there", added_by_kinds=lambda network, labels: kept)
            with tempfile.TemporaryDirectory() as folder:
                linear.make(Path(folder), self.CONFIG, self.network, self.rows, self.examples,
                            {"sentiment": ["negative", "neutral", "positive"]}, lambda line: None, begin)
                found = torch.load(Path(folder) / "kinds.pt")
                names = json.loads((Path(folder) / "kinds.json").read_text())
            self.assertEqual(names, kinds)
            self.assertEqual(torch.equal(found["gate.weight"], kept.gate.weight), same)

    def test_terms_may_be_kept_and_the_gate_learned_anew(self):
        kept = Kinds(2, self.network.encoder.width, self.network.places_max(), {"sentiment": 3}, {"sentiment": (2, 5)})
        torch.nn.init.normal_(kept.terms["sentiment"].table)
        before = kept.gate.weight.detach().clone()
        begin = types.SimpleNamespace(kinds=linear.kinds_of(self.examples, self.CONFIG), path="there",
                                      added_by_kinds=lambda network, labels: kept)
        config = {**self.CONFIG, "linear": {**self.CONFIG["linear"], "terms_kept": True}}
        with tempfile.TemporaryDirectory() as folder:
            linear.make(Path(folder), config, self.network, self.rows, self.examples,
                        {"sentiment": ["negative", "neutral", "positive"]}, lambda line: None, begin)
            found = torch.load(Path(folder) / "kinds.pt")
        self.assertTrue(torch.equal(found["terms.sentiment.table"], kept.terms["sentiment"].table))
        self.assertFalse(torch.equal(found["gate.weight"], before))

    def test_sources_of_one_nature_are_one_kind(self):
        self.assertEqual(linear.kind_of("more", self.CONFIG), "food")
        self.assertEqual(linear.kind_of("other", self.CONFIG), "other")

    def test_doubt_takes_from_every_answer_alike(self):
        found = doubted(torch.tensor([[50.0, 0.0]]), torch.tensor([[0.1, 0.1]])).exp()
        np.testing.assert_allclose(found, [[0.9, 0.1]], atol=1e-5)


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
