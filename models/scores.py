"""Figures of a set of labelled texts: by head and source, with slices by length and category, and by language."""

from collections import defaultdict

import numpy as np

import metrics

OUTSIDE = "none"
"""The intent of a text that belongs to no domain."""
SLICE_TEXTS_MIN = 20
"""A slice of fewer texts says more about chance than about the model."""
LENGTHS = (5, 10, 20, 40, 80, 160)
"""Upper ends of the length slices, in characters of Chinese or words of another language."""


def softmax(logits):
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def by_head(examples, logits, labels):
    """{head: {source: figures}}, from logits {head: [texts, labels]}: what training looks at on its way."""
    found = {}
    for head, names in labels.items():
        judged = Judged(examples, softmax(logits[head]), head, names)
        found[head] = {source: judged.figures(rows) for source, rows in judged.groups(_source).items()}
    return found


def report(examples, probabilities, labels, thresholds):
    """Everything that an evaluation says about each head; `probabilities` is {head: [texts, labels]}."""
    found = {}
    for head, names in labels.items():
        judged = Judged(examples, probabilities[head], head, names, thresholds.get(head, 0.0))
        if len(judged.rows):
            found[head] = _head_report(judged)
    return found


def _head_report(judged):
    sources = {}
    for source, rows in judged.groups(_source).items():
        languages = sorted({judged.example(row).language for row in rows})
        slices = {"length": judged.slices(rows, length), "category": judged.slices(rows, _category)}
        sources[source] = {"language": "+".join(languages), **judged.figures(rows),
                           "slices": {name: parts for name, parts in slices.items() if parts}}
    languages = {language: judged.summary(rows) for language, rows in judged.groups(_language).items()}
    return {"threshold": judged.threshold, "sources": sources, "languages": languages}


class Judged:
    """The texts that have a label of one head, with what the model says of them."""

    def __init__(self, examples, probabilities, head, names, threshold=0.0):
        place = {name: number for number, name in enumerate(names)}
        self.rows = np.array([i for i, e in enumerate(examples) if e.labels.get(head) in place], int)
        self.examples, self.head, self.names, self.threshold = examples, head, names, threshold
        self.wanted = np.array([place[examples[row].labels[head]] for row in self.rows], int)
        self.probabilities = probabilities[self.rows]
        self.is_sentiment = head == "sentiment" and {metrics.NEGATIVE, metrics.POSITIVE} <= set(names)

    def example(self, position):
        return self.examples[self.rows[position]]

    def groups(self, key):
        """{group: positions}, of those that have one."""
        found = defaultdict(list)
        for position in range(len(self.rows)):
            group = key(self.example(position))
            if group is not None:
                found[group].append(position)
        return {group: np.array(found[group]) for group in sorted(found, key=str)}

    def figures(self, rows):
        probabilities, wanted = self.probabilities[rows], self.wanted[rows]
        if self.is_sentiment:
            two = self.two_classes(rows)
            return {"texts": len(rows), **metrics.sentiment(probabilities, wanted, self.names, two)}
        outside = self.names.index(OUTSIDE) if OUTSIDE in self.names else None
        found = metrics.classes(probabilities, wanted, self.domain(wanted, outside), outside, self.threshold)
        best, right = probabilities.max(1), probabilities.argmax(1) == wanted
        return {"texts": len(rows), **found, **metrics.covered(best, right, self.threshold)}

    def two_classes(self, rows):
        if metrics.NEUTRAL not in self.names:
            return True
        return np.mean([self.example(row).two_classes for row in rows]) > 0.5

    def domain(self, wanted, outside):
        """The labels among which a source's texts are told apart: those that share a domain (`shop.…`) with any of
        its own, or its own where labels have no domain."""
        own = {self.names[number] for number in wanted if number != outside}
        domains = {name.split(".")[0] for name in own if "." in name}
        return [number for number, name in enumerate(self.names)
                if name in own or ("." in name and name.split(".")[0] in domains)]

    def right(self, rows):
        """Whether each text is judged rightly, in the way that its source is judged."""
        flags = np.zeros(len(rows), bool)
        for source in {self.example(row).source for row in rows}:
            at = np.array([i for i, row in enumerate(rows) if self.example(row).source == source])
            flags[at] = self._right_of_one(rows[at])
        return flags

    def _right_of_one(self, rows):
        probabilities, wanted = self.probabilities[rows], self.wanted[rows]
        if self.is_sentiment:
            places = [self.names.index(n) for n in (metrics.NEGATIVE, metrics.POSITIVE)] if self.two_classes(rows) else None
        else:
            outside = self.names.index(OUTSIDE) if OUTSIDE in self.names else None
            places = self.domain(self._wanted_of_source(rows), outside)
            places += [outside] if outside is not None and (wanted == outside).any() else []
        places = np.arange(len(self.names)) if not places else np.array(places)
        return places[probabilities[:, places].argmax(1)] == wanted

    def _wanted_of_source(self, rows):
        """A slice may lack labels that its source has."""
        source = self.example(rows[0]).source
        return [number for position, number in enumerate(self.wanted) if self.example(position).source == source]

    def slices(self, rows, key):
        """{slice: texts and accuracy}."""
        right, found = self.right(rows), defaultdict(list)
        for flag, row in zip(right, rows):
            group = key(self.example(row))
            if group is not None:
                found[group].append(flag)
        return {str(group): {"texts": len(found[group]), "accuracy": metrics.mean(found[group])}
                for group in sorted(found, key=_slice_order) if len(found[group]) >= SLICE_TEXTS_MIN}

    def summary(self, rows):
        sources = {self.example(row).source for row in rows}
        right = self.right(rows)
        each = [metrics.mean(right[[self.example(row).source == source for row in rows]]) for source in sources]
        return {"texts": len(rows), "sources": len(sources), "accuracy": metrics.mean(right),
                "accuracy_sources_alike": float(np.mean(each)), "lengths": self.slices(rows, length)}


def length(example):
    """The slice of lengths that a text falls into."""
    size = len(example.text) if example.language == "zh" else len(example.text.split())
    for start, end in zip((0, *LENGTHS), LENGTHS):
        if size <= end:
            return f"{start + 1}-{end}"
    return f"{LENGTHS[-1] + 1}-"


def _slice_order(name):
    start = str(name).split("-")[0]
    return (0, int(start), "") if start.isdigit() else (1, 0, str(name))


def _source(example):
    return example.source


def _language(example):
    return example.language or None


def _category(example):
    return getattr(example, "category", None)


def answered(examples, logits, head, labels):
    """For the texts that have a label of this head: best probability, right or not, source."""
    judged = Judged(examples, softmax(logits), head, labels)
    sources = np.array([examples[row].source for row in judged.rows])
    return judged.probabilities.max(1), judged.probabilities.argmax(1) == judged.wanted, sources


def table(figures):
    """One line a source, for people: {head: {source: figures}}."""
    lines = []
    for head, sources in figures.items():
        for source, found in sources.items():
            values = "  ".join(f"{name} {value:.4f}" for name, value in found.items() if isinstance(value, float))
            lines.append(f"{head:10} {source:26} {found['texts']:6}  {values}")
    return "\n".join(lines)
