"""Figures of one group of texts, each as its field reports it.

`probabilities` is [texts, labels], `wanted` holds the number of the right label of each text.
"""

import numpy as np
from sklearn.metrics import f1_score, recall_score

NEGATIVE, NEUTRAL, POSITIVE = "negative", "neutral", "positive"
BINS = 15
"""Of the calibration error, as Guo and others (2017, "On Calibration of Modern Neural Networks") count them."""


def sentiment(probabilities, wanted, names, two_classes):
    """Sources of two classes are judged between negative and positive, with neutral left aside."""
    found = {"accuracy_of_three": mean(probabilities.argmax(1) == wanted)} if two_classes else {}
    if two_classes:
        pair = [names.index(NEGATIVE), names.index(POSITIVE)]
        kept = np.isin(wanted, pair)
        probabilities = among(probabilities[kept], pair)
        wanted, names = (wanted[kept] == pair[1]).astype(int), [NEGATIVE, POSITIVE]
    chosen = probabilities.argmax(1)
    found = {"accuracy": mean(chosen == wanted), "macro_f1": macro_f1(wanted, chosen), **found}
    if two_classes:
        found["f1_positive"] = float(f1_score(wanted == 1, chosen == 1, zero_division=0))
    else:
        found["macro_recall"] = macro_recall(wanted, chosen)
    return {**found, "calibration_error": calibration_error(probabilities, chosen == wanted)}


def classes(probabilities, wanted, domain, outside=None, threshold=0.0):
    """Over all labels, and among those of the source's own domain; `outside` is the label for none of them.

    Texts that belong outside are judged by how many are found (`outside_recall`), and by how many get no
    wrong answer because the head says "none" or is unsure (`outside_held_back`).
    """
    chosen, best = probabilities.argmax(1), probabilities.max(1)
    inside = wanted != outside if outside is not None else np.ones(len(wanted), bool)
    near = np.asarray(domain)[probabilities[:, domain].argmax(1)] if len(domain) else chosen
    found = {
        "accuracy_in_domain": mean(near[inside] == wanted[inside]),
        "macro_f1_in_domain": macro_f1(wanted[inside], near[inside]),
        "accuracy": mean(chosen[inside] == wanted[inside]),
        "macro_f1": macro_f1(wanted[inside], chosen[inside]),
    }
    if not inside.all():
        found["outside_texts"] = int((~inside).sum())
        found["outside_recall"] = mean(chosen[~inside] == outside)
        found["outside_held_back"] = mean((chosen[~inside] == outside) | (best[~inside] < threshold))
    return {**found, "calibration_error": calibration_error(probabilities, chosen == wanted)}


def covered(best, right, threshold):
    """How many texts a head answers at its threshold, and how many of those answers are right."""
    kept = best >= threshold
    return {"coverage": mean(kept), "accuracy_above": mean(right[kept])}


def among(probabilities, places):
    """The same probabilities, were these the only labels."""
    kept = probabilities[:, places]
    return kept / np.maximum(kept.sum(1, keepdims=True), 1e-12)


def calibration_error(probabilities, right, bins=BINS):
    """How far, on average, the stated probability is from how often it comes true."""
    if not len(right):
        return float("nan")
    best = probabilities.max(1)
    place = np.minimum((best * bins).astype(int), bins - 1)
    gaps = [abs(best[place == b].mean() - right[place == b].mean()) * (place == b).mean()
            for b in range(bins) if (place == b).any()]
    return float(sum(gaps))


def threshold(best, right, sources, target):
    """The lowest threshold above which answers are right `target` of the time, every source alike."""
    weights = _weights_alike(sources)
    for candidate in np.arange(0.05, 0.96, 0.05):
        kept = best >= candidate
        if kept.any() and np.average(right[kept], weights=weights[kept]) >= target:
            return round(float(candidate), 2)
    return 0.95


def _weights_alike(sources):
    names, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    return 1.0 / counts[place]


def macro_f1(wanted, chosen):
    """The mean over the classes that occur; of no texts, not a number."""
    if not len(wanted):
        return float("nan")
    return float(f1_score(wanted, chosen, average="macro", zero_division=0, labels=np.unique(wanted)))


def macro_recall(wanted, chosen):
    if not len(wanted):
        return float("nan")
    return float(recall_score(wanted, chosen, average="macro", zero_division=0, labels=np.unique(wanted)))


def mean(flags):
    """A share; of nothing, not a number."""
    return float(np.mean(flags)) if len(flags) else float("nan")
