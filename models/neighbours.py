"""Whether the embedding puts texts of one intent together: the share of texts whose nearest neighbour means the same.

The program's `score` does not show embeddings, so these come from the directory through ONNX Runtime.
"""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

import runtime
from scores import OUTSIDE

HEAD = "intent"
ROWS = 512
"""Texts compared with all others at a time."""


def figures(model, examples):
    """{source: share, TF-IDF's share, how far lengths are from 1}; empty for a model without an embedding."""
    exported = runtime.Exported(model)
    embedding = next((head for head in exported.heads if head not in exported.labels), None)
    found = {}
    for source in sorted({e.source for e in examples}) if embedding else ():
        asked = [e for e in examples if e.source == source and e.labels.get(HEAD, OUTSIDE) != OUTSIDE]
        if len({e.labels[HEAD] for e in asked}) > 1:
            vectors = exported.predict(exported.encode([e.text for e in asked]))[embedding]
            found[source] = _of_one(asked, vectors)
    return found


def _of_one(asked, vectors):
    wanted = np.array([e.labels[HEAD] for e in asked])
    words = {"analyzer": "char", "ngram_range": (1, 3)} if asked[0].language == "zh" else {"ngram_range": (1, 2)}
    plain = TfidfVectorizer(sublinear_tf=True, **words).fit_transform([e.text for e in asked])
    return {
        "texts": len(asked),
        "nearest_means_the_same": same(vectors, wanted),
        "nearest_by_tfidf": same(plain, wanted),
        "length_error": float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max()),
    }


def same(vectors, wanted):
    """The share whose nearest other row has the same label; rows are of length 1."""
    right = []
    for start in range(0, len(wanted), ROWS):
        near = vectors[start : start + ROWS] @ vectors.T
        near = np.asarray(near.todense() if hasattr(near, "todense") else near)
        near[np.arange(len(near)), np.arange(start, start + len(near))] = -np.inf
        right.append(wanted[near.argmax(1)] == wanted[start : start + ROWS])
    return float(np.concatenate(right).mean())


def table(found):
    return "\n".join(
        f"embedding  {source:26} {about['texts']:6}  nearest means the same {about['nearest_means_the_same']:.4f}  "
        f"by TF-IDF {about['nearest_by_tfidf']:.4f}" for source, about in found.items())
