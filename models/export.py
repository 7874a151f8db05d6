"""Writes a trained run as a model directory: `python models/export.py --run NAME --data DIR --out DIR`.

The directory holds model.onnx, tokenizer.json and config.json, and is all that the program needs.
The dev texts are read to choose, for each head, below which probability it had better say nothing.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import batches
import calibrate
import graph
import linear
import metrics
import runtime
import scores
import texts
import tokenizer as tokenizers_here
from kinds import Kinds
from network import EMBEDDING
from train import HERE, TOKENS_PER_BATCH_SCORED, build, load, predict, weights

DIFFERENCE_MAX = 1e-4
BYTES_MAX = 12_000_000
LOSS_OF = ("accuracy", "accuracy_in_domain", "f1_positive", "macro_recall", "macro_f1_in_domain", "outside_recall")
# The label for what fits no other; the program then gives an empty list.
NONE = "none"


def main():
    arguments = parse()
    run, out = HERE / "runs" / arguments.run, Path(arguments.out)
    config = json.loads((run / "config.json").read_text())["config"]
    labels = json.loads((run / "labels.json").read_text())
    tokenizer = tokenizers_here.Tokenizer.from_file(str(run / "tokenizer.json"))
    network = build(config, tokenizer.get_vocab_size(), labels)
    network.load_state_dict(weights(run))
    network.kinds = Kinds.like(torch.load(run / "kinds.pt"), network.places_max())
    dev = load(arguments, "dev", texts.LabelMap(), config)
    rows = tokenizers_here.encode(tokenizer, [e.text for e in dev], config["tokenizer"]["tokens_max"])

    out.mkdir(parents=True, exist_ok=True)
    copy_small(run / "tokenizer.json", out / "tokenizer.json")
    kinds = json.loads((run / "kinds.json").read_text())
    adjust(network, dev, rows, labels, kinds, config)
    trained = predict(network, rows)
    graph.round_as_stored(network)
    logits = check(out, network, rows, trained)
    report_loss(dev, trained, logits, labels)
    about = card(config, tokenizer, labels, kinds, choose_thresholds(config, dev, logits, labels))
    (out / "config.json").write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")
    report(out)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory with the dev file")
    parser.add_argument("--run", default="text", help="name of the run under models/runs/")
    parser.add_argument("--out", default=str(HERE / "text"), help="directory to write")
    return parser.parse_args()


def copy_small(source, target):
    """Without the spaces that make JSON readable: a third of a tokenizer's file."""
    kept = json.loads(source.read_text(encoding="utf-8"))
    target.write_text(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def adjust(network, dev, rows, labels, names, config):
    """Finds on dev how much each kind of text is listened to; `names` are those of the kinds. What an earlier export
    held neutral back by is taken off first, so that it is not held back twice."""
    settings = config["calibration"]
    here = {linear.kind_of(e.source, config) for e in dev if "sentiment" in e.labels}
    neutral = {kind: by for kind, by in settings["neutral"].items() if kind in here}
    if "sentiment" in labels and calibrate.fitted(network.kinds, "sentiment"):
        shift_neutral(network.kinds, names, labels, {kind: -by for kind, by in neutral.items()})
    view = calibrate.View(network, rows)
    for head, of in labels.items():
        fit = calibrate.Fit(dev, view, network.kinds, names, head, of, config).run()
        none = 0.0
        if head == "intent":
            none = calibrate.let_outside_in(fit.mixed().detach(), fit.wanted, of, settings["outside_recall"])
        fit.fold(none)
        print("\n".join(fit.told(names)))
        for source, kind in ((source, linear.kind_of(source, config)) for source in config["noise"] if source in fit.sources):
            share = fit.chance(names.index(kind))
            accuracy, macro_f1 = calibrate.ceiling(dev, head, source, share)
            print(f"{head:10} of {source}: {share:.0%} of dev's labels stand there by chance; whoever knew every"
                  f" true one would get accuracy {accuracy:.3f} and macro-F1 {macro_f1:.3f}")
    shift_neutral(network.kinds, names, labels, neutral)
    amend(network.kinds, names, labels, settings["amended"])


@torch.no_grad()
def shift_neutral(kinds, names, labels, addends):
    """Holds neutral back or lets it come, for the kinds named: macro-recall wants another share of it than likelihood."""
    if "neutral" in labels.get("sentiment", ()):
        for kind, addend in addends.items():
            if kind in names:
                kinds.addends["sentiment"][names.index(kind), labels["sentiment"].index("neutral")] += addend


@torch.no_grad()
def amend(kinds, names, labels, amended):
    """Puts what the configuration says in place of what was fitted: {head: {kind: its factor, doubt and addends by label}}."""
    for head, by_kind in amended.items():
        for kind, values in by_kind.items():
            if kind not in names or head not in labels:
                continue
            at = names.index(kind)
            if "factor" in values:
                kinds.factors[head][at] = values["factor"]
            if "doubt" in values:
                shared = kinds.doubts[head][at] > 0
                kinds.doubts[head][at, shared] = values["doubt"] / shared.sum().clamp(min=1)
            for label, addend in values.get("addends", {}).items():
                if label in labels[head]:
                    kinds.addends[head][at, labels[head].index(label)] = addend


def check(out, network, rows, trained):
    """With products in fp32, the graph must say what the network says. Returns what the file that ships says."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        onnx.save(graph.Writer(network, "float").write(), plain)
        found = answers(plain, network, rows)
    kept = predict(network, rows)
    onnx.save(graph.Writer(network).write(), out / "model.onnx")
    shipped = answers(out / "model.onnx", network, rows)
    for head in kept:
        difference = np.abs(found[head] - kept[head]).max()
        moved = (shipped[head].argmax(1) != trained[head].argmax(1)).mean()
        print(f"{head:10} largest difference of a value, runtime against training code: {difference:.1e};"
              f" best labels that 8 bits moved: {moved:.2%}")
        if difference > DIFFERENCE_MAX:
            raise SystemExit(f"the graph does not say what the network says ({head}: {difference:.1e})")
    return shipped


def answers(path, network, rows):
    outputs = {head: head for head in network.heads}
    return runtime.run(runtime.session(path), outputs, rows, runtime.sorted_batches(rows))


def report_loss(dev, trained, shipped, labels):
    """What storing and computing in 8 bits costs, row by row; the largest is what is shown."""
    before, after = (scores.by_head(dev, logits, labels) for logits in (trained, shipped))
    losses = {
        (head, source, name): before[head][source][name] - after[head][source][name]
        for head in labels for source in before[head] for name in LOSS_OF if name in before[head][source]
    }
    (head, source, name), worst = max(losses.items(), key=lambda item: item[1])
    print(f"8 bits against fp32: largest loss {worst:.4f} ({head} of {source}, {name})")


def choose_thresholds(config, dev, logits, labels):
    """Sentiment always answers; the others are quiet where they are likely to be wrong."""
    chosen = {}
    for head, target in config["thresholds"].items():
        if head in labels:
            best, right, sources = scores.answered(dev, logits[head], head, labels[head])
            chosen[head] = metrics.threshold(best, right, sources, target)
            answered = best >= chosen[head]
            print(f"{head:10} threshold {chosen[head]}: answers {answered.mean():.1%} of its dev texts,"
                  f" {metrics.mean(right[answered]):.1%} right")
    return chosen


def card(config, tokenizer, labels, kinds, thresholds):
    label_map = texts.LabelMap()
    first = next(iter(labels))
    return {
        "architectures": ["GroundswellText"],
        "model_type": "groundswell-text",
        "problem_type": "single_label_classification",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": config["network"]["hidden"],
        "num_hidden_layers": config["network"]["layers"],
        "num_attention_heads": config["network"]["heads"],
        "intermediate_size": config["network"]["inner"],
        "max_position_embeddings": config["tokenizer"]["tokens_max"],
        "pad_token_id": batches.PAD_ID,
        "id2label": {str(place): label for place, label in enumerate(labels[first])},
        "label2id": {label: place for place, label in enumerate(labels[first])},
        "groundswell": {
            "heads": {
                head: {
                    "output": head,
                    "activation": "softmax",
                    "threshold": thresholds.get(head, 0.0),
                    "labels": found,
                    **({"none": NONE} if NONE in found else {}),
                    "names": label_map.names(head, found),
                }
                for head, found in labels.items()
            } | embedding(config),
            "kinds": kinds,
            "input_tokens_max": config["tokenizer"]["tokens_max"],
        },
    }


def embedding(config):
    """The head without labels: its values are a place, not probabilities."""
    return {EMBEDDING: {"output": EMBEDDING, "activation": "none"}} if config["network"]["embedding"] else {}


def report(out):
    sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    print("  ".join(f"{name} {size:,}" for name, size in sizes.items()), f"  all {sum(sizes.values()):,} bytes")
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    if sum(sizes.values()) > BYTES_MAX:
        raise SystemExit(f"{out} is larger than {BYTES_MAX:,} bytes")


if __name__ == "__main__":
    main()
