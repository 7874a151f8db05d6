"""The weights of an exported directory, back in a network: so that training can go on from a model that ships.

Undoes what `graph.py` writes, tensor by tensor, under the names that it gives. What 8 bits rounded off
is lost, which moves a few best labels in a thousand. A label that the directory does not know begins
untaught, and one that no kind of text adds anything to.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from kinds import Kinds
from network import EMBEDDING


class Directory:
    """What lies in an exported directory: its labels by head, its kinds' names, its tokenizer's path and its tensors."""

    def __init__(self, path):
        self.path = Path(path)
        self.tokenizer = self.path / "tokenizer.json"
        about = json.loads((self.path / "config.json").read_text(encoding="utf-8"))["groundswell"]
        self.labels = {head: found["labels"] for head, found in about["heads"].items() if "labels" in found}
        self.kinds = about.get("kinds", [])
        graph = onnx.load(self.path / "model.onnx").graph
        self.tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def labels_with(self, wanted):
        """This directory's labels of each head, in their order, and the wanted ones that it lacks after them."""
        found = {head: list(names) for head, names in self.labels.items()}
        for head, names in wanted.items():
            found.setdefault(head, []).extend(label for label in names if label not in self.labels.get(head, ()))
        return found

    @torch.no_grad()
    def fill(self, network, labels):
        """Gives `network`, whose heads have `labels`, every weight that this directory holds."""
        encoder = network.encoder
        self._table(encoder.tokens, "tokens")
        self._table(encoder.ngrams.table, "ngrams")
        encoder.ngrams.prints.copy_(torch.from_numpy(self._tensor("fingerprints").astype(np.int64)))
        if "positions_scale" in self.tensors:
            self._table(encoder.positions, "positions")
        else:  # of earlier exports, in fp16
            _copy(encoder.positions.weight, self._tensor("positions"))
        self._product(encoder.ngrams_in, "ngrams_in")
        for name in ("norm", "bag_norm"):
            self._norm(getattr(encoder, name), name)
        for place, layer in enumerate(encoder.layers):
            self._layer(layer, f"layer{place}")
        for name, head in network.heads.items():
            if f"{name}_inner_weight" in self.tensors:
                self._linear(head.inner, f"{name}_inner")
                self._out(head.out, name, labels)

    @torch.no_grad()
    def added_by_kinds(self, network, labels):
        """What each kind of text adds to the heads of `network`, which have `labels`."""
        heads = {head: len(names) for head, names in labels.items()}
        terms = {head: (self._tensor(f"{head}_terms").shape[1], len(self._tensor(f"{head}_terms")) - 1 if f"{head}_terms_rows" in self.tensors else 0)
                 for head in heads if f"{head}_terms" in self.tensors}
        found = Kinds(len(self.kinds), network.encoder.width, network.places_max(), heads, terms)
        self._linear(found.gate, "gate")
        for head in terms:
            self._terms(found.terms[head], f"{head}_terms", head)
        for head in (head for head in heads if f"{head}_factors" in self.tensors):
            _copy(found.factors[head], self._tensor(f"{head}_factors"))
            for part in ("addends", "doubts"):
                _copy(getattr(found, part)[head][:, : len(self.labels[head])], self._tensor(f"{head}_{part}"))
        return found

    def _terms(self, terms, name, head):
        _copy(terms.table, (self._tensor(name) * self._tensor(f"{name}_scale")).T)
        mix = self._tensor(f"{name}_mix") * self._tensor(f"{name}_mix_scale").astype(np.float32)
        _copy(terms.mix[:, : len(self.labels[head])], mix)
        if terms.row is not None:
            terms.row.copy_(torch.from_numpy(self._tensor(f"{name}_rows").astype(np.int64)))

    def _tensor(self, name):
        if name not in self.tensors:
            raise SystemExit(f"{self.path}/model.onnx has no tensor {name}: it was not written by export.py")
        return self.tensors[name]

    def _table(self, table, name):
        rows, scales = self._tensor(name), self._tensor(f"{name}_scale")
        _copy(table.weight, rows.astype(np.float32) * scales.astype(np.float32))

    def _layer(self, layer, name):
        for part in ("before_attention", "before_inner"):
            self._norm(getattr(layer, part), f"{name}_{part}")
        for part in ("query_key_value", "attention_out", "inner_in"):
            self._product(getattr(layer, part), f"{name}_{part}")
        self._product(layer.inner_out, f"{name}_inner_out", positive=True)

    def _product(self, linear, name, positive=False):
        """The columns' scales stand in the file with the step of their inputs."""
        scales = self._tensor(f"{name}_scale") * (255 if positive else 127)
        _copy(linear.weight, (self._tensor(f"{name}_weight").astype(np.float32) * scales).T)
        _copy(linear.bias, self._tensor(f"{name}_bias"))

    def _norm(self, norm, name):
        _copy(norm.weight, self._tensor(f"{name}_scale"))
        _copy(norm.bias, self._tensor(f"{name}_shift"))

    def _linear(self, linear, name):
        _copy(linear.weight, self._matrix(name))
        _copy(linear.bias, self._tensor(f"{name}_bias"))

    def _matrix(self, name):
        """Stored in 8 bits with a scale a column or, by earlier exports, in fp16."""
        weight = self._tensor(f"{name}_weight").astype(np.float32)
        return (weight * self.tensors[f"{name}_scale"] if f"{name}_scale" in self.tensors else weight).T

    def _out(self, out, head, labels):
        if head == EMBEDDING:
            return self._linear(out, f"{head}_out")
        weight, bias = self._matrix(f"{head}_out"), self._tensor(f"{head}_out_bias")
        place = {label: row for row, label in enumerate(self.labels[head])}
        known = [(row, place[label]) for row, label in enumerate(labels[head]) if label in place]
        here, there = map(list, zip(*known))
        out.weight[here] = torch.from_numpy(weight[there].astype(np.float32))
        out.bias[here] = torch.from_numpy(bias[there].astype(np.float32))
        return None


def _copy(parameter, values):
    if tuple(parameter.shape) != values.shape:
        raise SystemExit(f"a weight has the shape {values.shape} where config.toml asks for {tuple(parameter.shape)}")
    parameter.copy_(torch.from_numpy(values.astype(np.float32)))
