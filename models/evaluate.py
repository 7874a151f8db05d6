"""Figures of an exported model: `python models/evaluate.py --data DIR [--model DIR]`.

Runs the directory that ships, through ONNX Runtime, on the dev file of DIR or on any file of that
form, and prints figures by head and source. `--baseline` adds TF-IDF with a linear SVM, trained on
the same training file, judged on the same texts by the same code.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import scores
import texts
from runtime import Exported

HERE = Path(__file__).parent


def main():
    arguments = parse()
    label_map = texts.LabelMap()
    examples = texts.read(arguments.file or texts.split_file(arguments.data, "dev"), label_map)
    exported = Exported(arguments.model)
    rows = exported.encode([example.text for example in examples])
    logits = exported.predict(rows)
    found = {"model": scores.by_head(examples, logits, exported.labels)}
    found["coverage"] = coverage(examples, logits, exported)
    print(scores.table(found["model"]))
    print_coverage(found["coverage"])
    if arguments.speed:
        found["texts_per_second"] = exported.texts_per_second(rows)
        print(f"{found['texts_per_second']:.0f} texts/s on one core, {np.mean([len(r) for r in rows]):.1f} tokens each")
    if arguments.baseline:
        import baseline
        training = texts.read(texts.split_file(arguments.data, "train"), label_map)
        found["baseline"] = baseline.figures(training, examples, exported.labels)
        print("TF-IDF with linear SVM, one a source")
        print(scores.table(found["baseline"]))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="directory with the dev file (and the train file, for --baseline)")
    parser.add_argument("--file", help="evaluate this file instead of the dev file")
    parser.add_argument("--model", default=str(HERE / "text"), help="an exported directory")
    parser.add_argument("--speed", action="store_true", help="measure texts a second on one core")
    parser.add_argument("--baseline", action="store_true", help="train and judge TF-IDF with a linear SVM beside it")
    parser.add_argument("--json", help="write all figures to this file")
    arguments = parser.parse_args()
    if not (arguments.data or arguments.file) or (arguments.baseline and not arguments.data):
        parser.error("--data is needed (or --file, without --baseline)")
    return arguments


def coverage(examples, logits, exported):
    """How many of a source's texts a head answers at its threshold, and how many of those rightly."""
    found = {}
    for head, about in exported.heads.items():
        best, right, sources = scores.answered(examples, logits[head], head, exported.labels[head])
        if about["threshold"] > 0:
            found[head] = {
                str(source): _covered(best[sources == source], right[sources == source], about["threshold"])
                for source in np.unique(sources)
            }
    return found


def _covered(best, right, threshold):
    kept = best >= threshold
    return {"answered": float(kept.mean()), "right": float(right[kept].mean()) if kept.any() else None}


def print_coverage(found):
    for head, sources in found.items():
        for source, covered in sources.items():
            right = "none" if covered["right"] is None else f"{covered['right']:.1%}"
            print(f"{head:10} {source:26} answers {covered['answered']:.1%}, right {right}")


if __name__ == "__main__":
    main()
