"""Scores of a set of examples, by head and source, from any function that gives logits."""

from collections import defaultdict

import numpy as np

import metrics

OUTSIDE = "none"


def softmax(logits):
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def by_head(examples, logits, labels):
    """{head: {source: figures}}; `logits` is {head: [examples, labels]}."""
    return {head: _by_source(examples, softmax(logits[head]), head, labels[head]) for head in labels}


def answered(examples, logits, head, labels):
    """For the texts that have a label of this head: best probability, right or not, source."""
    rows, wanted = _labelled(examples, head, labels)
    probabilities = softmax(logits[rows])
    sources = np.array([examples[row].source for row in rows])
    return probabilities.max(1), probabilities.argmax(1) == wanted, sources


def _labelled(examples, head, labels):
    place = {label: index for index, label in enumerate(labels)}
    rows = [i for i, example in enumerate(examples) if example.labels.get(head) in place]
    return np.array(rows, int), np.array([place[examples[row].labels[head]] for row in rows], int)


def _by_source(examples, probabilities, head, labels):
    rows, wanted = _labelled(examples, head, labels)
    of_source = defaultdict(list)
    for position, row in enumerate(rows):
        of_source[examples[row].source].append(position)
    found = {}
    for source, positions in sorted(of_source.items()):
        at, truth = rows[positions], wanted[positions]
        found[source] = {"texts": len(at), **_figures(examples, probabilities[at], truth, at, head, labels)}
    return found


def _figures(examples, probabilities, truth, rows, head, labels):
    if head == "sentiment" and len(labels) == 3:
        two = np.mean([examples[row].two_classes for row in rows]) > 0.5
        if two:
            kept = truth != metrics.NEUTRAL
            probabilities, truth = probabilities[kept], truth[kept]
        found = metrics.sentiment(probabilities, truth, two)
        judged = _without_neutral(probabilities) if two else probabilities
        right = judged.argmax(1) == (truth // 2 if two else truth)
        return {**found, "calibration_error": metrics.calibration_error(judged, right)}
    outside = labels.index(OUTSIDE) if OUTSIDE in labels else None
    found = metrics.classes(probabilities, truth, np.unique(truth), outside)
    right = probabilities.argmax(1) == truth
    return {**found, "calibration_error": metrics.calibration_error(probabilities, right)}


def _without_neutral(probabilities):
    pair = probabilities[:, [0, 2]]
    return pair / pair.sum(1, keepdims=True)


def table(figures):
    """One line a source, for people."""
    lines = []
    for head, sources in figures.items():
        for source, found in sources.items():
            values = "  ".join(f"{name} {value:.4f}" for name, value in found.items() if name != "texts")
            lines.append(f"{head:10} {source:26} {found['texts']:6}  {values}")
    return "\n".join(lines)
