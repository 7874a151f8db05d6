"""Writes a run once more, all in fp32: `python models/reference.py --data DIR --run NAME --out DIR`.

What ships is stored and computed in 8 bits; `evaluate.py --reference DIR` compares it with this, row by row. The
configuration is the shipped one's, so that both answer from the same thresholds.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch

import export
import graph
import texts
import tokenizer as tokenizers_here
from kinds import Kinds
from train import HERE, build, load, weights


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True, help="directory with the dev file, as given to export.py")
    parser.add_argument("--run", default="text", help="name of the run under models/runs/")
    parser.add_argument("--model", default=HERE / "text", help="what was exported from it (default: %(default)s)")
    parser.add_argument("--out", default=HERE / "runs" / "reference", help="directory to write (default: %(default)s)")
    arguments = parser.parse_args()
    network = adjusted(arguments)
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(Path(arguments.model) / name, Path(arguments.out) / name)
    onnx.save(PlainWriter(network).write(), Path(arguments.out) / "model.onnx")


def adjusted(arguments):
    """The trained network with calibrated heads, as the export has it before it is rounded."""
    run = HERE / "runs" / arguments.run
    config = json.loads((run / "config.json").read_text())["config"]
    labels = json.loads((run / "labels.json").read_text())
    tokenizer = tokenizers_here.Tokenizer.from_file(str(run / "tokenizer.json"))
    network = build(config, tokenizer.get_vocab_size(), labels)
    network.load_state_dict(weights(run))
    network.kinds = Kinds.like(torch.load(run / "kinds.pt"), network.places_max())
    dev = load(arguments, "dev", texts.LabelMap(), config)
    rows = tokenizers_here.encode(tokenizer, [e.text for e in dev], config["tokenizer"]["tokens_max"])
    export.adjust(network, dev, rows, labels, json.loads((run / "kinds.json").read_text()), config)
    return network


class PlainGraph(graph.Graph):
    def weight(self, name, array):
        return self.constant(name, array.astype(np.float32))


class PlainWriter(graph.Writer):
    """Every weight as it was trained, every product in fp32."""

    def __init__(self, network):
        super().__init__(network, "float")
        self.graph = PlainGraph()

    def product(self, name, linear, x, positive=False):
        return self.linear(name, linear, x)

    def linear(self, name, linear, x, output=None):
        g = self.graph
        product = g.node("MatMul", x, g.weight(f"{name}_weight", graph.array(linear.weight).T))
        return g.node("Add", product, g.weight(f"{name}_bias", graph.array(linear.bias)), name=output)

    def terms(self, name, table, rows):
        g = self.graph
        return g.node("ReduceSum", g.node("Gather", g.weight(name, graph.array(table).T), rows), g.integers(1), keepdims=0)

    def look_up(self, name, table, ids):
        return self.graph.node("Gather", self.graph.weight(name, graph.array(table.weight)), ids)


if __name__ == "__main__":
    main()
