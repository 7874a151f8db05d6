"""Figures of what ships: `python models/evaluate.py FILE [--model DIR] [--train FILE] [--json OUT]`.

Runs the program's `score` on any file of JSON lines (plain or .gz, fields as in README.md), and prints and
writes, by head, source and language, how it did; how it behaves on the cases of `behaviour/`; with `--train`,
what two simple learners make of the same texts; with `--reference`, what another directory (an fp32 export of the
same weights) scores on them, row by row.
"""

import argparse
import json
import random
import sys
from pathlib import Path

import numpy as np

import baseline
import behaviour
import corpus
import scores
from program import RELEASE, ROOT, Program, embeds, thresholds

SEED = 7


def main():
    arguments = parse()
    examples = corpus.read(arguments.file)
    if arguments.texts and arguments.texts < len(examples):
        examples = random.Random(SEED).sample(examples, arguments.texts)
    program = Program(arguments.program, arguments.model)
    found = {"file": Path(corpus.file_of(arguments.file)).name, **judge(program, examples)}
    print_report(found)
    if not arguments.no_behaviour:
        found["behaviour"] = behaviour.run(program)
        print(behaviour.table(found["behaviour"]))
    if embeds(arguments.model):
        import neighbours  # brings PyTorch along, which takes seconds to load
        found["embedding"] = neighbours.figures(arguments.model, examples)
        print(neighbours.table(found["embedding"]))
    if arguments.reference:
        found["reference"] = judge(Program(arguments.program, arguments.reference), examples)
        found["losses"] = losses(found["reference"]["heads"], found["heads"])
        print(losses_table(found["losses"]))
    if arguments.train:
        found["baselines"] = baseline.both(corpus.file_of(arguments.train, "train"), examples)
        for name, figures in found["baselines"].items():
            print(f"\n{name}\n{scores.table(figures)}")
    if arguments.json:
        text = json.dumps(rounded(found), indent=1, ensure_ascii=False)
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", help="texts to judge by: JSON lines, plain or .gz, or a folder with a dev file")
    parser.add_argument("--model", default=ROOT / "models" / "text", help="an exported directory (default: %(default)s)")
    parser.add_argument("--program", default=RELEASE, help="the program (default: %(default)s)")
    parser.add_argument("--train", help="train baselines on this file, or on a folder's train file, and judge them beside the model")
    parser.add_argument("--reference", help="another exported directory, to compare with row by row")
    parser.add_argument("--texts", type=int, help="judge by this many texts, drawn with a fixed seed")
    parser.add_argument("--no-behaviour", action="store_true", help="leave the table of cases out")
    parser.add_argument("--json", help="write everything to this file")
    return parser.parse_args()


def judge(program, examples):
    """The program's answers and what they are worth."""
    scored = program.score([e.text for e in examples], [e.language for e in examples])
    heads = thresholds(program.model)
    kept = np.flatnonzero(scored.answered)
    if len(kept) < len(examples):
        print(f"{len(examples) - len(kept)} of {len(examples)} texts were refused and are left out", file=sys.stderr)
    answered = [examples[row] for row in kept]
    probabilities = {head: values[kept] for head, values in scored.probabilities.items()}
    return {
        "texts": len(examples), "refused": len(examples) - len(kept), "truncated": scored.truncated,
        "model": {"version": scored.version, **sizes(program.model)},
        "heads": scores.report(answered, probabilities, scored.labels, heads),
    }


def sizes(model):
    """Bytes of what a model directory needs to run."""
    needed = [path for path in sorted(Path(model).rglob("*")) if path.suffix in (".onnx", ".json", ".onnx_data")]
    found = {path.name: path.stat().st_size for path in needed if path.name != "evaluation.json"}
    return {"bytes": sum(found.values()), "files": found}


def losses(reference, heads):
    """How much each figure is worse than the reference's, {head: {source: {figure: loss}}}; below 0 where better."""
    found = {}
    for head, about in heads.items():
        if head not in reference:
            raise SystemExit(f"the reference has no head {head}")
        for source, figures in about["sources"].items():
            other = reference[head]["sources"][source]
            lost = {name: loss(name, other[name], value) for name, value in figures.items()
                    if isinstance(value, float) and name in other and name != "coverage"}
            found.setdefault(head, {})[source] = lost
    return found


def loss(name, reference, value):
    """A calibration error is better when it is smaller."""
    return value - reference if name == "calibration_error" else reference - value


def losses_table(found):
    rows = [(lost, head, source, name) for head, sources in found.items()
            for source, figures in sources.items() for name, lost in figures.items() if lost == lost]
    rows.sort(reverse=True)
    lines = [f"\nagainst the reference: largest loss of {len(rows)} figures {rows[0][0]:+.4f}"]
    return "\n".join(lines + [f"  {lost:+.4f}  {head} {source} {name}" for lost, head, source, name in rows[:8]])


def print_report(found):
    print(f"{found['texts']} texts of {found['file']}, model {found['model']['version']}, "
          f"{found['model']['bytes']:,} bytes, {found['truncated']} texts cut to the model's length\n")
    print(scores.table({head: about["sources"] for head, about in found["heads"].items()}))
    for head, about in found["heads"].items():
        for language, summary in about["languages"].items():
            print(f"{head:10} {'all of ' + language:26} {summary['texts']:6}  accuracy {summary['accuracy']:.4f}  "
                  f"sources alike {summary['accuracy_sources_alike']:.4f}")
    for head, about in found["heads"].items():
        for source, figures in about["sources"].items():
            for name, parts in figures["slices"].items():
                said = "  ".join(f"{part} {of['accuracy']:.3f} ({of['texts']})" for part, of in parts.items())
                print(f"{head} of {source} by {name}: {said}")


def rounded(value):
    """Four digits say what a few thousand texts can; what is not a number becomes null."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if value == value else None
    return value


if __name__ == "__main__":
    main()
