"""Does a text's score depend on the texts beside it? `python models/check_batches.py FILE [--json OUT]`.

Scores 500 texts of the file alone, in sorted batches, in mixed batches of 32, and padded to the longest length
the model takes; every probability must be the same within 1e-4, every component of an embedding too.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np

import corpus
import runtime
import scores

CHANGE_MAX = 1e-4
"""What `deterministic` allows in ARCHITECTURE.md."""
SEED = 7


def main():
    arguments = parse()
    texts = [row["text"] for row in corpus.rows(arguments.file) if row["text"].strip()]
    chosen = random.Random(SEED).sample(texts, min(arguments.texts, len(texts)))
    exported = runtime.Exported(arguments.model)
    rows = exported.encode(chosen)
    alone = probabilities(exported, rows, [[i] for i in range(len(rows))])
    changes = {name: compare(name, alone, found) for name, found in others(exported, rows)}
    worst = max(change for heads in changes.values() for change in heads.values())
    if arguments.json:
        said = {"texts": len(rows), "changes": changes, "largest": worst}
        Path(arguments.json).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    if worst > CHANGE_MAX:
        raise SystemExit(f"scores depend on the batch: {worst:.1e} is above {CHANGE_MAX:.0e}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", help="texts: JSON lines, plain or .gz")
    parser.add_argument("--model", default=Path(__file__).parent / "text", help="an exported directory")
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--json", help="write the changes to this file")
    return parser.parse_args()


def others(exported, rows):
    mixed = list(range(len(rows)))
    mixed = [mixed[start : start + 32] for start in range(0, len(mixed), 32)]
    yield "sorted batches of 512 tokens", probabilities(exported, rows, None)
    yield "mixed batches of 32", probabilities(exported, rows, mixed)
    yield "mixed, padded to the maximum", probabilities(exported, rows, mixed, exported.tokens_max)


def probabilities(exported, rows, order, length=None):
    """By head; what has no labels (an embedding) is taken as it is."""
    found = exported.predict(rows, order, length)
    return {head: scores.softmax(values) if head in exported.labels else values for head, values in found.items()}


def compare(name, alone, found):
    changes = {head: float(np.abs(alone[head] - found[head]).max()) for head in alone}
    said = "  ".join(f"{head} {change:.1e}" for head, change in changes.items())
    print(f"{name:30} largest change against alone: {said}")
    return changes


if __name__ == "__main__":
    main()
