"""Who teaches the small model: a linear machine on n-grams and a public encoder, together.

Each source and head has teachers of its own. The encoder is frozen, with a linear layer on what it reads, or its
upper layers learn too (`tuned.py`). What they say of a training text comes from a fold that did not see it, so it
is as unsure as it ought to be; the two are weighed, and the sum is made a probability, on the same held-out
answers. Everything is kept in `runs/NAME/teachers/`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC
from torch.nn import functional

import encoders
import metrics
import ngrams
import scores
import templates
import texts
import tuned

FOLDS = 5
WORDS_OR_SIGNS = r"(?u)\b\w+\b|[^\w\s]"


@dataclass
class Taught:
    opinions: dict
    """{head: {source: (places in the training texts, class names, probabilities)}}"""
    places: np.ndarray
    """Where each training text's embedding should lie; zeros where no encoder read it."""


class School:
    """The training and dev texts of each source, what the encoders read in them, and the files that keep it."""

    def __init__(self, run, config, training, dev):
        self.folder, self.settings, self.seed = run / "teachers", config["teachers"], config["seed"]
        self.folder.mkdir(exist_ok=True)
        self.log = run / "log.txt"
        self.texts = {"train": training, "dev": dev}
        self.two_classes = texts.two_classes([*training, *dev])
        self.readers, self.tuned_readers = {}, {}

    def say(self, line):
        print(line, flush=True)
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def at(self, split, source, head=None):
        """The texts of a source or, given a head, those with a label of it that is not a stray one."""
        return [i for i, e in enumerate(self.texts[split]) if e.source == source
                and (head is None or head in e.labels and not texts.astray(e, head, self.two_classes))]

    def reader_of(self, source):
        return next((name for name, sources in self.settings["readers"].items() if source in sources), None)

    def reader(self, name):
        if name not in self.readers:
            self.readers[name] = encoders.Reader(name)
        return self.readers[name]

    def reading(self, source, split):
        """What the source's encoder reads, or None for a source that has no encoder."""
        name = self.reader_of(source)
        if name is None or not self.at(split, source):
            return None
        kept = self.folder / f"{name}.{source}.{split}.npy"
        if not kept.exists():
            self.say(f"{name} reads {source} ({split})")
            texts = [self.texts[split][i].text for i in self.at(split, source)]
            tokens_max = self.settings["tokens_max_long" if source in self.settings["long"] else "tokens_max"]
            np.save(kept, self.reader(name).read(texts, tokens_max, self.say))
        return np.load(kept)

    def labelled(self, source, head, split):
        """(texts, labels, what the encoder says) of those with a label of this head."""
        at = self.at(split, source, head)
        examples = [self.texts[split][i] for i in at]
        return [e.text for e in examples], np.array([e.labels[head] for e in examples]), self.said(source, head, split, source, at)

    def said(self, source, head, split, other, at):
        """What the encoder of `source` and `head` says of the texts of the source `other` that stand `at`; None without one."""
        name = self.reader_of(source)
        if name is None or not at:
            return None
        if name in self.settings["tuned"]:
            return Said(logits=self._tuned(name).of(source, head, split, at))
        read = self.reading(other, split)
        if read is None:
            return None
        place = {i: row for row, i in enumerate(self.at(split, other))}
        return Said(read=read[[place[i] for i in at]].astype(np.float32))

    def _tuned(self, name):
        if name not in self.tuned_readers:
            self.tuned_readers[name] = tuned.Answers(self, name)
        return self.tuned_readers[name]


@dataclass
class Said:
    """What an encoder says of some texts: a reading, or the logits of one that was tuned."""

    read: np.ndarray = None
    logits: np.ndarray = None


def ask(run, config, training, dev, labels, places=True):
    """`places`: whether it is also asked where each text's embedding should lie."""
    school = School(run, config, training, dev)
    opinions = {head: {} for head in labels}
    for head in labels:
        for source in sorted({e.source for e in training} - {templates.SOURCE}):
            at = school.at("train", source, head)
            found = _opinion(school, source, head) if len(at) >= school.settings["texts_min"] else None
            if found is not None:
                opinions[head][source] = (at, *found)
    for source, about in school.settings["transfer"].items():
        kept, at = school.folder / f"{about['head']}.{source}.npz", school.at("train", source)
        if at and kept.exists():
            opinions[about["head"]][source] = (at, *_kept(kept))
    return Taught(opinions, _places(school, config["network"]["embedding"] if places else 0))


def _opinion(school, source, head):
    """Held-out probabilities of the training texts, kept once found."""
    kept = school.folder / f"{head}.{source}.npz"
    if not kept.exists():
        words, labels, said = school.labelled(source, head, "train")
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            return None
        pair = Pair(len(classes), words, numbers, said, school)
        _judge(school, pair, source, head, classes)
        _transfer(school, pair, source, head, classes)
        np.savez(kept, logits=pair.held_out, classes=classes)
    return _kept(kept)


def _kept(path):
    found = np.load(path)
    return found["classes"].tolist(), scores.softmax(found["logits"])


def _judge(school, pair, source, head, classes):
    """The teachers' figures on dev, from machines that saw all training texts: what the small model may reach."""
    words, labels, said = school.labelled(source, head, "dev")
    if not words:
        return
    logits = pair.of(words, said)
    place = {label: number for number, label in enumerate(classes)}
    wanted = np.array([place.get(label, -1) for label in labels])
    best = logits.argmax(1)
    right = best == wanted
    inside = labels != scores.OUTSIDE
    line = f"teacher {head} {source}: accuracy {metrics.mean(right[inside]):.4f}  macro-F1 {metrics.macro_f1(wanted, best):.4f}"
    if not inside.all():
        line += f"  outside recall {metrics.mean(right[~inside]):.4f}"
    school.say(line + f"  calibration error {metrics.calibration_error(scores.softmax(logits), right):.4f}")


def _transfer(school, pair, source, head, classes):
    """What these teachers say of the texts of another source, which has no labels of its own, or too few."""
    for other, about in school.settings["transfer"].items():
        if (about["from"], about["head"]) == (source, head) and school.at("train", other):
            at = school.at("train", other)
            words = [school.texts["train"][i].text for i in at]
            logits = pair.of(words, school.said(source, head, "train", other, at))
            np.savez(school.folder / f"{head}.{other}.npz", logits=logits, classes=classes)


class Pair:
    """The teachers of one source and head, and how they are weighed."""

    def __init__(self, count, texts, numbers, said, school):
        self.count, self.seed, self.texts, self.numbers = count, school.seed, texts, numbers
        self.chinese = _is_chinese(texts)
        self.read = None if said is None else said.read
        self.spread = None if self.read is None else (self.read.mean(0), self.read.std(0) + 1e-6)
        self.decays, self.decay = school.settings["decays"], None
        # A machine learns each class by itself; where an encoder was tuned, it may cost more than it adds.
        cost = count * sum(map(len, texts))
        self.machine = said is None or said.logits is None or cost <= school.settings["machines_max"]
        parts = [self._held_out(self._linear)] if self.machine else []
        if self.read is not None:
            self.decay = self._best_decay()
            parts.append(self._held_out(self._dense))
        elif said is not None:
            parts.append(said.logits)
        self.weights, self.bias = _weigh(parts, numbers, count)
        self.held_out = self._together(parts)

    def of(self, texts, said):
        """Logits of new texts, from machines that saw all the training texts."""
        every = np.arange(len(self.texts))
        parts = [self._linear(every, texts)] if self.machine else []
        if self.read is not None:
            parts.append(self._dense(every, said.read))
        elif said is not None:
            parts.append(said.logits)
        return self._together(parts)

    def _together(self, parts):
        return (sum(w * part for w, part in zip(self.weights, parts)) + self.bias).astype(np.float32)

    def _folds(self):
        return StratifiedKFold(FOLDS, shuffle=True, random_state=self.seed).split(self.numbers, self.numbers)

    def _best_decay(self):
        """The weight decay under which the first fold's answers are likeliest."""
        seen, unseen = next(self._folds())
        wanted, costs = torch.from_numpy(self.numbers[unseen]), {}
        for self.decay in self.decays:
            costs[self.decay] = functional.cross_entropy(torch.from_numpy(self._dense(seen, self.read[unseen])), wanted)
        return min(costs, key=costs.get)

    def _held_out(self, machine):
        found = np.zeros((len(self.texts), self.count), np.float32)
        for seen, unseen in self._folds():
            texts = [self.texts[i] for i in unseen] if machine == self._linear else self.read[unseen]
            found[unseen] = machine(seen, texts)
        return found

    def _linear(self, seen, texts):
        """Margins of a linear machine on n-grams of characters, and of words where there are words."""
        vectors = _vectorizer(self.chinese)
        machine = LinearSVC(C=0.5).fit(vectors.fit_transform([self.texts[i] for i in seen]), self.numbers[seen])
        margins = machine.decision_function(vectors.transform(texts)).astype(np.float32)
        found = np.full((len(texts), self.count), -1.0, np.float32)
        found[:, machine.classes_] = np.stack([-margins, margins], 1) if margins.ndim == 1 else margins
        return found

    def _dense(self, seen, read):
        """Logits of one layer on what the encoder reads."""
        mean, deviation = self.spread
        return _one_layer((self.read[seen] - mean) / deviation, self.numbers[seen], (read - mean) / deviation,
                          self.count, self.decay, self.seed)


def _is_chinese(texts):
    characters = "".join(texts[:200])
    return sum("\u4e00" <= c <= "\u9fff" for c in characters) > 0.3 * len(characters)


def _vectorizer(chinese):
    if chinese:
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2, dtype=np.float32)
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, token_pattern=WORDS_OR_SIGNS),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2, dtype=np.float32),
    )


def _one_layer(vectors, numbers, wanted, count, decay, seed, epochs=12, rate=4e-3, texts_per_batch=256):
    vectors, numbers = torch.from_numpy(vectors), torch.from_numpy(numbers)
    layer = torch.nn.Linear(vectors.shape[1], count)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=decay)
    chance = torch.Generator().manual_seed(seed)
    steps = epochs * -(-len(numbers) // texts_per_batch)
    pace = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(numbers), generator=chance).split(texts_per_batch):
            optimizer.zero_grad()
            functional.cross_entropy(layer(vectors[batch]), numbers[batch]).backward()
            optimizer.step()
            pace.step()
    with torch.no_grad():
        return layer(torch.from_numpy(wanted)).numpy()


def _weigh(parts, numbers, count):
    """A weight for each teacher and a bias for each class that make held-out answers likeliest."""
    logs = torch.zeros(len(parts), requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    parts, numbers = [torch.from_numpy(part) for part in parts], torch.from_numpy(numbers)
    optimizer = torch.optim.LBFGS([logs, bias], max_iter=200, line_search_fn="strong_wolfe")

    def cost():
        optimizer.zero_grad()
        logits = sum(log.exp() * part for log, part in zip(logs, parts)) + bias
        found = functional.cross_entropy(logits, numbers) + 1e-3 * (bias * bias).mean()
        found.backward()
        return found

    optimizer.step(cost)
    return logs.exp().tolist(), bias.detach().numpy()


def _places(school, width):
    """Each encoder's space cut down to its `width` main directions, every text's place of length 1."""
    found = np.zeros((len(school.texts["train"]), max(width, 1)), np.float16)
    for name, sources in school.settings["readers"].items() if width else ():
        at = [i for source in sources for i in school.at("train", source)]
        read = [school.reading(source, "train") for source in sources if school.at("train", source)]
        if sum(map(len, read)) <= width:
            continue
        last = np.concatenate(read)[:, read[0].shape[1] // 2 :].astype(np.float32)
        places = PCA(width, random_state=school.seed).fit_transform(last)
        found[at] = places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-6)
    return found


def begin_tables(run, network, tokenizer, placed, config):
    """Tokens and n-grams begin where an encoder puts them when it reads each by itself."""
    kept = run / "teachers" / "tables.npz"
    if not kept.exists():
        reader = encoders.Reader(config["teachers"]["tables"])
        words = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
        runs = [_spelled([words[i] for i in ngrams.tokens_of(key)]) for key in placed]
        np.savez(kept, tokens=_last(reader.read([_spelled([w]) for w in words])), ngrams=_last(reader.read(runs)))
    found, encoder = np.load(kept), network.encoder
    _begin(encoder.tokens.weight, np.arange(len(found["tokens"])), found["tokens"], config["seed"])
    _begin(encoder.ngrams.table.weight, np.array(list(placed.values())), found["ngrams"], config["seed"])


def _last(read):
    return read[:, read.shape[1] // 2 :]


@torch.no_grad()
def _begin(table, rows, read, seed):
    width = min(table.shape[1], *read.shape)
    places = PCA(width, random_state=seed).fit_transform(read.astype(np.float32))
    spread = float(table[: len(rows)].std())
    table[torch.from_numpy(rows), :width] = torch.from_numpy(places * (spread / places.std())).float()


def _spelled(run):
    """Word pieces joined again; a space between words, none between Chinese characters."""
    text = ""
    for piece in run:
        joined = piece.startswith("##") or (text and ord(text[-1]) > 0x2E7F) or ord(piece[0]) > 0x2E7F
        text += piece.removeprefix("##") if joined or not text else " " + piece
    return text
