"""Does a text's score depend on the texts beside it? `python models/check_batches.py --data DIR`.

Scores 500 dev texts alone, in sorted batches, in mixed batches of 32, and padded to the longest
length the model takes; every probability must be the same within 1e-4.
"""

import argparse
import random

import numpy as np

import runtime
import scores
import texts
from train import HERE

CHANGE_MAX = 1e-4


def main():
    arguments = parse()
    examples = texts.read(texts.split_file(arguments.data, "dev"), texts.LabelMap())
    chosen = random.Random(7).sample(examples, min(arguments.texts, len(examples)))
    exported = runtime.Exported(arguments.model)
    rows = exported.encode([example.text for example in chosen])
    alone = probabilities(exported, rows, [[i] for i in range(len(rows))])
    worst = max(compare(name, alone, found) for name, found in others(exported, rows))
    if worst > CHANGE_MAX:
        raise SystemExit(f"scores depend on the batch: {worst:.1e} is above {CHANGE_MAX:.0e}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory with the dev file")
    parser.add_argument("--model", default=str(HERE / "text"), help="an exported directory")
    parser.add_argument("--texts", type=int, default=500)
    return parser.parse_args()


def others(exported, rows):
    mixed = list(range(len(rows)))
    mixed = [mixed[start : start + 32] for start in range(0, len(mixed), 32)]
    yield "sorted batches of 512 tokens", probabilities(exported, rows, None)
    yield "mixed batches of 32", probabilities(exported, rows, mixed)
    yield "mixed, padded to the maximum", probabilities(exported, rows, mixed, exported.tokens_max)


def probabilities(exported, rows, order, length=None):
    outputs = {head: about["output"] for head, about in exported.heads.items()}
    logits = runtime.run(exported.session, outputs, rows, order or runtime.sorted_batches(rows), length)
    return {head: scores.softmax(values) for head, values in logits.items()}


def compare(name, alone, found):
    changes = {head: float(np.abs(alone[head] - found[head]).max()) for head in alone}
    print(f"{name:30} largest change of a probability against alone: "
          + "  ".join(f"{head} {change:.1e}" for head, change in changes.items()))
    return max(changes.values())


if __name__ == "__main__":
    main()
