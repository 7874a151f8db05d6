"""Which runs of two and three tokens get a vector of their own, and where it is found.

A run's key is exact: its tokens' numbers side by side in 64 bits. It may lie in one of two places of
the table, and a fingerprint there says whether it does; so the graph can look runs up with plain
arithmetic, and a run that was not chosen is told apart from those that were.
"""

from collections import Counter

import numpy as np
from scipy import sparse

ID_LIMIT = 1 << 17
"""Above every token's number; three of them fit into 51 bits."""
THREES = 1 << 52
"""Added to the keys of threes, so that no three has the key of a pair."""
FINGERPRINTS = 32749
"""A prime below 2^15: a run that was not chosen is taken for one that was once in 16,000 times."""
PLACED_MIN = 2
"""Texts in which a run must stand to be worth a vector."""


def keys(row):
    """The keys of the pairs and threes that end at each token of a text, as the network computes them."""
    ids = np.asarray(row, np.int64)
    pairs = np.concatenate([[0], ids[:-1]]) * ID_LIMIT + ids
    return np.concatenate([pairs, np.concatenate([[0], pairs[:-1]]) * ID_LIMIT + ids + THREES])


def choose(rows, tasks, wanted):
    """The `wanted` keys that tell classes apart best, the best first.

    `tasks` lists, for each, the texts' places and their classes' numbers. Each task ranks its own
    runs, and the ranks are merged, so that a large source does not crowd out a small one.
    """
    ranks = {}
    for texts, classes, weight in tasks:
        found, scores = _scores([rows[i] for i in texts], np.asarray(classes))
        best = np.argsort(-scores, kind="stable")[:wanted]
        for rank, key in enumerate(found[best].tolist()):
            ranks[key] = min(ranks.get(key, np.inf), rank / weight)
    return np.array(sorted(ranks, key=ranks.get)[:wanted], np.int64)


def _scores(rows, classes):
    """For each run of these texts: how far the class that has most too many of it is from chance, in deviations."""
    of_text = [np.unique(keys(row)) for row in rows]
    all_keys = np.concatenate(of_text)
    found, place, counts = np.unique(all_keys, return_inverse=True, return_counts=True)
    text = np.repeat(np.arange(len(rows)), [len(k) for k in of_text])
    kept = counts >= PLACED_MIN
    number = np.cumsum(kept) - 1
    inside = kept[place]
    shape = (int(kept.sum()), int(classes.max()) + 1)
    ones = np.ones(int(inside.sum()), np.float32)
    seen = sparse.csr_matrix((ones, (number[place[inside]], classes[text[inside]])), shape).toarray()
    expected = np.outer(counts[kept], np.bincount(classes, minlength=shape[1]) / len(classes)).astype(np.float32)
    return found[kept], ((seen - expected) / np.sqrt(expected + 1)).max(1)


def place(chosen, first, second):
    """Fingerprints a place (-1 where none lies), and each placed key's place. The earlier of two has the first right."""
    prints, placed = np.full(first + 1, -1, np.int64), {}
    for key in chosen.tolist():
        for spot in (key % first, key % second):
            if prints[spot] < 0:
                prints[spot] = key % FINGERPRINTS
                placed[key] = spot
                break
            if prints[spot] == key % FINGERPRINTS:
                break
    return prints, placed


def tokens_of(key):
    """The token numbers of a key, without the padding before a text."""
    key, count = (key - THREES, 3) if key >= THREES else (key, 2)
    return [part for part in (key >> 17 * at & ID_LIMIT - 1 for at in reversed(range(count))) if part]


def frequent(rows, most):
    """The runs that stand in most texts, for data without labels."""
    seen = Counter()
    for row in rows:
        seen.update(set(keys(row).tolist()))
    return np.array([key for key, _ in seen.most_common(most)], np.int64)
