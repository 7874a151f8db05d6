"""The trained network as an ONNX graph, written operator by operator.

Writing it by hand keeps the graph free of what an exporter leaves behind, and lets each tensor be
stored as small as it bears: tables as int8 with a scale a row (looked up as int8, so that they stay
small in memory too), matrices as int8 with a scale a column, other weights as fp16.

The encoder's products are taken in int8, each token's vector with a scale of its own: so a token's
numbers do not depend on the texts beside it. `products="float"` writes the same weights with products
in fp32, to measure what that costs and to compare with the training code exactly.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from kinds import PROBABILITY_MIN
from network import EMBEDDING, MASKED
from ngrams import FINGERPRINTS, ID_LIMIT, THREES

OPSET = 18
IR_VERSION = 9
TABLE_MAX = 127
WEIGHT_MAX = 63
"""Seven bits: processors without VNNI add two products of 8 bits in 16, and would cut off what is larger."""
LARGEST_MIN = 1e-6
"""Below every scale of a token that says something; keeps a vector of zeros from being divided by zero."""


class Graph:
    """Nodes and constants in the order in which they are asked for."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def constant(self, name, array):
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def integers(self, *values):
        return self.constant("int_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value):
        return self.constant(f"number_{value:g}", np.array(value, np.float32))

    def weight(self, name, array):
        """Stored in half the bytes; the runtime widens it once, when it loads the graph."""
        return self.node("Cast", self.constant(name, array.astype(np.float16)), to=TensorProto.FLOAT)

    def node(self, operator, *inputs, name=None, **attributes):
        return self.nodes_of(operator, inputs, 1, name, attributes)[0]

    def nodes_of(self, operator, inputs, outputs, name=None, attributes=None):
        place = f"{operator.lower()}_{len(self.nodes)}"
        names = [name] if name else [f"{place}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=place, **(attributes or {})))
        return names

    def model(self, outputs):
        tokens = ["batch", "sequence"]
        made = helper.make_graph(
            self.nodes, "text",
            [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in outputs.items()],
            list(self.constants.values()),
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="groundswell")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model


class Writer:
    """Walks the network's parts in the order of its forward pass."""

    def __init__(self, network, products="int8"):
        self.network, self.encoder, self.heads = network, network.encoder, network.heads
        self.products = products
        self.graph = Graph()

    def write(self):
        g = self.graph
        real = g.node("Unsqueeze", g.node("Cast", "attention_mask", to=TensorProto.FLOAT), g.integers(2))
        count = g.node("ReduceSum", real, g.integers(1), keepdims=0)
        padding = g.node("Mul", g.node("Sub", g.number(1.0), real), g.number(MASKED))
        bias = g.node("Unsqueeze", g.node("Transpose", padding, perm=[0, 2, 1]), g.integers(1))
        pairs, threes = self.runs("input_ids")
        grams = g.node("Add", *(self.look_up("ngrams", self.encoder.ngrams.table, at) for at in (pairs, threes)))
        x = self.read("input_ids", grams)
        for place, layer in enumerate(self.encoder.layers):
            x = self.layer(layer, f"layer{place}", x, bias)
        pooled = self.pool(self.norm("norm", self.encoder.norm, x), grams, real, count, padding)
        kinds = self.network.kinds and Blend(self, self.network.kinds, pooled, (pairs, threes), count)
        for name, head in self.heads.items():
            self.head(name, head, pooled, kinds)
        return g.model({name: head.out.out_features for name, head in self.heads.items()})

    def head(self, name, head, pooled, kinds):
        g = self.graph
        inner = g.node("Relu", self.linear(f"{name}_inner", head.inner, pooled))
        if name == EMBEDDING:
            g.node("LpNormalization", self.linear(f"{name}_out", head.out, inner), name=name, axis=-1, p=2)
        elif kinds:
            kinds.answer(name, self.linear(f"{name}_out", head.out, inner))
        else:
            self.linear(f"{name}_out", head.out, inner, name)

    def read(self, ids, grams):
        g = self.graph
        x = g.node("Add", self.look_up("tokens", self.encoder.tokens, ids), self.product("ngrams_in", self.encoder.ngrams_in, grams))
        length = g.node("Squeeze", g.node("Shape", ids, start=1, end=2), g.integers(0))
        zero, one = (g.constant(f"scalar_{n}", np.array(n, np.int64)) for n in (0, 1))
        last = g.constant("last_position", np.array(self.encoder.positions.num_embeddings - 1, np.int64))
        where = g.node("Min", g.node("Range", zero, length, one), last)
        return g.node("Add", x, self.look_up("positions", self.encoder.positions, where))

    def runs(self, ids):
        """Where the pair and the run of three lie that end at each token."""
        g = self.graph
        pairs = g.node("Add", g.node("Mul", self.shifted(ids), g.integers(ID_LIMIT)), ids)
        threes = g.node("Add", g.node("Mul", self.shifted(pairs), g.integers(ID_LIMIT)), g.node("Add", ids, g.integers(THREES)))
        return self.places(pairs), self.places(threes)

    def shifted(self, values):
        g = self.graph
        return g.node("Slice", g.node("Pad", values, g.integers(0, 1, 0, 0)), g.integers(0), g.integers(-1), g.integers(1))

    def places(self, keys):
        """Where a run's vector lies: in one of two places, or, if neither has its fingerprint, in the row of zeros."""
        g, about = self.graph, self.encoder.ngrams
        wanted = g.node("Mod", keys, g.integers(FINGERPRINTS))
        prints = g.constant("fingerprints", about.prints.numpy().astype(np.int16))
        place = g.integers(about.first)
        for size in (about.second, about.first):
            spot = g.node("Mod", keys, g.integers(size))
            there = g.node("Cast", g.node("Gather", prints, spot), to=TensorProto.INT64)
            place = g.node("Where", g.node("Equal", there, wanted), spot, place)
        return place

    def look_up(self, name, table, ids):
        g = self.graph
        rows, scales = rounded(array(table.weight), TABLE_MAX)
        found = g.node("Cast", g.node("Gather", g.constant(name, rows), ids), to=TensorProto.FLOAT)
        scale = g.node("Cast", g.node("Gather", g.constant(f"{name}_scale", scales), ids), to=TensorProto.FLOAT)
        return g.node("Mul", found, scale)

    def terms(self, name, table, rows):
        """The rows of a text added."""
        g = self.graph
        columns, scales = rounded(array(table), TABLE_MAX)
        found = g.node("Cast", g.node("Gather", g.constant(name, columns.T), rows), to=TensorProto.FLOAT)
        added = g.node("ReduceSum", found, g.integers(1), keepdims=0)
        return g.node("Mul", added, g.constant(f"{name}_scale", scales.astype(np.float32)[:, 0]))

    def layer(self, layer, name, x, bias):
        g = self.graph
        attended = self.attend(layer, name, self.norm(f"{name}_before_attention", layer.before_attention, x), bias)
        x = g.node("Add", x, attended)
        inner = self.product(f"{name}_inner_in", layer.inner_in, self.norm(f"{name}_before_inner", layer.before_inner, x))
        return g.node("Add", x, self.product(f"{name}_inner_out", layer.inner_out, g.node("Relu", inner), positive=True))

    def attend(self, layer, name, x, bias):
        g = self.graph
        hidden, width = x_width(layer), x_width(layer) // layer.heads
        together = self.product(f"{name}_query_key_value", layer.query_key_value, x)
        parts = g.nodes_of("Split", [together], 3, attributes={"axis": -1, "num_outputs": 3})
        heads = [g.node("Reshape", part, g.integers(0, 0, layer.heads, width)) for part in parts]
        query, value = (g.node("Transpose", heads[i], perm=[0, 2, 1, 3]) for i in (0, 2))
        key = g.node("Transpose", heads[1], perm=[0, 2, 3, 1])
        scores = g.node("Mul", g.node("MatMul", query, key), g.number(float(np.float32(width**-0.5))))
        shares = g.node("Softmax", g.node("Add", scores, bias), axis=-1)
        mixed = g.node("Transpose", g.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = g.node("Reshape", mixed, g.integers(0, 0, hidden))
        return self.product(f"{name}_attention_out", layer.attention_out, joined)

    def product(self, name, linear, x, positive=False):
        """A layer's product. In int8, a token's largest value is its scale; the columns' scales come with the weights."""
        g = self.graph
        rows, scales = rounded(array(linear.weight), WEIGHT_MAX)
        weight, scales = g.constant(f"{name}_weight", rows.T), scales.astype(np.float32)[:, 0]
        bias = g.weight(f"{name}_bias", array(linear.bias))
        if self.products == "float":
            wide = g.node("Mul", g.node("Cast", weight, to=TensorProto.FLOAT), g.constant(f"{name}_scale", scales))
            return g.node("Add", g.node("MatMul", x, wide), bias)
        zero, most = (0, 255) if positive else (128, 127)
        largest = g.node("ReduceMax", x if positive else g.node("Abs", x), g.integers(-1), keepdims=1)
        largest = g.node("Max", largest, g.number(LARGEST_MIN))
        zero = g.constant(f"zero_{zero}", np.array(zero, np.uint8))
        step = np.float32(1 / most)
        shrunk = g.node("Mul", x, g.node("Reciprocal", largest))
        small = g.node("QuantizeLinear", shrunk, g.constant(f"step_{most}", step), zero)
        whole = g.node("Cast", g.node("MatMulInteger", small, weight, zero), to=TensorProto.FLOAT)
        found = g.node("Mul", g.node("Mul", whole, g.constant(f"{name}_scale", scales * step)), largest)
        return g.node("Add", found, bias)

    def pool(self, x, grams, real, count, padding):
        g = self.graph
        mean = g.node("Div", self.total(x, real), count)
        largest = g.node("ReduceMax", g.node("Add", x, padding), g.integers(1), keepdims=0)
        bag = g.node("Div", self.total(grams, real), g.node("Sqrt", count))
        return g.node("Concat", mean, largest, self.norm("bag_norm", self.encoder.bag_norm, bag), axis=-1)

    def total(self, x, real):
        g = self.graph
        return g.node("ReduceSum", g.node("Mul", x, real), g.integers(1), keepdims=0)

    def norm(self, name, norm, x):
        g = self.graph
        scale, shift = g.weight(f"{name}_scale", array(norm.weight)), g.weight(f"{name}_shift", array(norm.bias))
        return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=norm.eps)

    def linear(self, name, linear, x, output=None):
        """A product in fp32 of a matrix that is stored in 8 bits; the runtime widens it once, when it loads the graph."""
        g = self.graph
        rows, scales = rounded(array(linear.weight), TABLE_MAX)
        narrow = g.node("Cast", g.constant(f"{name}_weight", rows.T), to=TensorProto.FLOAT)
        wide = g.node("Mul", narrow, g.constant(f"{name}_scale", scales.astype(np.float32)[:, 0]))
        product = g.node("MatMul", x, wide)
        return g.node("Add", product, g.weight(f"{name}_bias", array(linear.bias)), name=output)


class Blend:
    """What `kinds.Kinds` does with the heads' logits."""

    def __init__(self, writer, kinds, pooled, runs, count):
        self.writer, self.graph, self.kinds, self.count = writer, writer.graph, kinds, count
        g = self.graph
        vocabulary = writer.encoder.tokens.num_embeddings
        self.shares = g.node("Softmax", writer.linear("gate", kinds.gate, pooled), axis=-1)
        self.places = g.node("Concat", "input_ids", *(g.node("Add", at, g.integers(vocabulary)) for at in runs), axis=1)
        self.real = g.node("Concat", *["attention_mask"] * 3, axis=1)

    def said(self, name, terms):
        """What the kinds make of a text's terms, which are looked up in 8 bits, a scale a column."""
        g, rows = self.graph, self.places
        if terms.row is not None:
            kept = g.constant(f"{name}_rows", terms.row.numpy().astype(np.uint16))
            rows = g.node("Cast", g.node("Gather", kept, rows), to=TensorProto.INT64)
        added = self.writer.terms(name, terms.table, g.node("Mul", rows, self.real))
        read = g.node("Unsqueeze", g.node("Div", added, g.node("Sqrt", self.count)), g.integers(1))
        spread = g.node("Mul", g.node("Unsqueeze", self.shares, g.integers(2)), read)
        rows, scales = rounded(array(terms.mix), TABLE_MAX)
        narrow, scales = g.constant(f"{name}_mix", rows), g.weight(f"{name}_mix_scale", scales.astype(np.float32))
        mix = g.node("Mul", g.node("Cast", narrow, to=TensorProto.FLOAT), scales)
        return g.node("MatMul", g.node("Reshape", spread, g.integers(0, -1)), mix)

    def answer(self, name, logits):
        g, kinds = self.graph, self.kinds
        mixed = g.node("Add", g.node("Mul", logits, self.mixed(f"{name}_factors", kinds.factors[name])),
                       self.mixed(f"{name}_addends", kinds.addends[name]))
        if name in kinds.terms:
            mixed = g.node("Add", mixed, self.said(f"{name}_terms", kinds.terms[name]))
        doubt = self.mixed(f"{name}_doubts", kinds.doubts[name])
        sure = g.node("Sub", g.number(1.0), g.node("ReduceSum", doubt, g.integers(1), keepdims=1))
        blurred = g.node("Add", g.node("Mul", g.node("Softmax", mixed, axis=-1), sure), doubt)
        g.node("Log", g.node("Add", blurred, g.number(PROBABILITY_MIN)), name=name)

    def mixed(self, name, values):
        """Each kind's values, by the shares of the kinds."""
        return self.graph.node("MatMul", self.shares, self.graph.weight(name, array(values)))


def array(parameter):
    return parameter.detach().numpy()


def x_width(layer):
    return layer.attention_out.in_features


def rounded(table, most):
    """int8 rows and an fp16 scale for each, so that a row with small values keeps its detail."""
    scales = (np.abs(table).max(1, keepdims=True) / most).astype(np.float16)
    scales = np.maximum(scales, np.float16(6e-5))
    rows = np.clip(np.rint(table / scales.astype(np.float32)), -most, most).astype(np.int8)
    return rows, scales


def round_as_stored(network):
    """Gives the network the values that the file will hold, so that both can be compared exactly."""
    for name, parameter in network.named_parameters():
        most = stored_in_8_bits(name)
        if most:
            rows, scales = rounded(array(parameter), most)
            kept = rows.astype(np.float32) * scales.astype(np.float32)
        else:
            kept = array(parameter).astype(np.float16).astype(np.float32)
        parameter.data.copy_(torch.from_numpy(kept))
    return network


def stored_in_8_bits(name):
    """The largest number that a parameter's rows are stored with, or None where it is stored as fp16."""
    if name in ("encoder.tokens.weight", "encoder.ngrams.table.weight", "encoder.positions.weight", "kinds.gate.weight"):
        return TABLE_MAX
    if name.startswith("heads.") and name.endswith(".weight") or name.startswith("kinds.terms."):
        return TABLE_MAX
    matrix = name.endswith(".weight") and "before_" not in name
    in_layers = name.startswith(("encoder.layers.", "encoder.ngrams_in."))
    return WEIGHT_MAX if matrix and in_layers else None
