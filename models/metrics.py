"""Figures by source, each as its field reports it."""

import numpy as np
from sklearn.metrics import f1_score, recall_score

NEUTRAL = 1


def sentiment(probabilities, wanted, two_classes):
    """Two-class sources are judged between negative and positive, with neutral left aside."""
    if two_classes:
        chosen = np.where(probabilities[:, 2] > probabilities[:, 0], 2, 0)
        return {
            "accuracy": mean(chosen == wanted),
            "f1_positive": float(f1_score(wanted == 2, chosen == 2)),
        }
    chosen = probabilities.argmax(1)
    return {
        "accuracy": mean(chosen == wanted),
        "macro_f1": _macro_f1(wanted, chosen),
        "macro_recall": float(recall_score(wanted, chosen, average="macro", zero_division=0)),
    }


def classes(probabilities, wanted, domain, outside=None):
    """Over all labels, and among the source's own; `outside` is the label for none of them."""
    chosen = probabilities.argmax(1)
    inside = wanted != outside if outside is not None else np.ones(len(wanted), bool)
    among = domain[probabilities[:, domain].argmax(1)]
    found = {
        "accuracy": mean(chosen[inside] == wanted[inside]),
        "accuracy_in_domain": mean(among[inside] == wanted[inside]),
        "macro_f1_in_domain": _macro_f1(wanted[inside], among[inside]),
    }
    if not inside.all():
        found["outside_recall"] = mean(chosen[~inside] == outside)
    return found


def calibration_error(probabilities, right, bins=15):
    """How far, on average, the stated probability is from how often it comes true."""
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


def _macro_f1(wanted, chosen):
    return float(f1_score(wanted, chosen, average="macro", zero_division=0, labels=np.unique(wanted)))


def mean(flags):
    """A share; of nothing, not a number."""
    return float(np.mean(flags)) if len(flags) else float("nan")
