"""The trained network as an ONNX graph, written operator by operator.

Writing it by hand keeps the graph free of what an exporter leaves behind, and lets each tensor be
stored as small as it bears: tables as int8 with a scale a row (looked up as int8, so that they stay
small in memory too), other weights as fp16. All arithmetic is in fp32.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from network import HASH_FACTORS, MASKED

OPSET = 18
IR_VERSION = 9


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

    def __init__(self, network):
        self.encoder, self.heads = network.encoder, network.heads
        self.graph = Graph()

    def write(self):
        g = self.graph
        real = g.node("Unsqueeze", g.node("Cast", "attention_mask", to=TensorProto.FLOAT), g.integers(2))
        padding = g.node("Mul", g.node("Sub", g.number(1.0), real), g.number(MASKED))
        bias = g.node("Unsqueeze", g.node("Transpose", padding, perm=[0, 2, 1]), g.integers(1))
        x = self.read("input_ids")
        for place, layer in enumerate(self.encoder.layers):
            x = self.layer(layer, f"layer{place}", x, bias)
        pooled = self.pool(self.norm("norm", self.encoder.norm, x), real, padding)
        for name, head in self.heads.items():
            inner = g.node("Relu", self.linear(f"{name}_inner", head.inner, pooled))
            self.linear(f"{name}_out", head.out, inner, name)
        return g.model({name: head.out.out_features for name, head in self.heads.items()})

    def read(self, ids):
        g = self.graph
        x = g.node("Add", self.look_up("tokens", self.encoder.tokens, ids), self.bigrams(ids))
        length = g.node("Squeeze", g.node("Shape", ids, start=1, end=2), g.integers(0))
        zero, one = (g.constant(f"scalar_{n}", np.array(n, np.int64)) for n in (0, 1))
        last = g.constant("last_position", np.array(self.encoder.positions.num_embeddings - 1, np.int64))
        where = g.node("Min", g.node("Range", zero, length, one), last)
        positions = g.weight("positions", array(self.encoder.positions.weight))
        return g.node("Add", x, g.node("Gather", positions, where))

    def bigrams(self, ids):
        g = self.graph
        before = g.node("Pad", ids, g.integers(0, 1, 0, 0))
        before = g.node("Slice", before, g.integers(0), g.integers(-1), g.integers(1))
        rows = None
        for factor in HASH_FACTORS[: self.encoder.hashes]:
            mixed = g.node("Add", g.node("Mul", before, g.integers(factor)), ids)
            found = self.look_up("bigrams", self.encoder.bigrams, g.node("Mod", mixed, g.integers(self.encoder.buckets)))
            rows = found if rows is None else g.node("Add", rows, found)
        return self.linear("bigrams_in", self.encoder.bigrams_in, rows)

    def look_up(self, name, table, ids):
        g = self.graph
        rows, scales = rounded_table(array(table.weight))
        found = g.node("Cast", g.node("Gather", g.constant(name, rows), ids), to=TensorProto.FLOAT)
        scale = g.node("Cast", g.node("Gather", g.constant(f"{name}_scale", scales), ids), to=TensorProto.FLOAT)
        return g.node("Mul", found, scale)

    def layer(self, layer, name, x, bias):
        g = self.graph
        attended = self.attend(layer, name, self.norm(f"{name}_before_attention", layer.before_attention, x), bias)
        x = g.node("Add", x, attended)
        inner = self.linear(f"{name}_inner_in", layer.inner_in, self.norm(f"{name}_before_inner", layer.before_inner, x))
        return g.node("Add", x, self.linear(f"{name}_inner_out", layer.inner_out, g.node("Relu", inner)))

    def attend(self, layer, name, x, bias):
        g = self.graph
        hidden, width = x_width(layer), x_width(layer) // layer.heads
        together = self.linear(f"{name}_query_key_value", layer.query_key_value, x)
        parts = g.nodes_of("Split", [together], 3, attributes={"axis": -1, "num_outputs": 3})
        heads = [g.node("Reshape", part, g.integers(0, 0, layer.heads, width)) for part in parts]
        query, value = (g.node("Transpose", heads[i], perm=[0, 2, 1, 3]) for i in (0, 2))
        key = g.node("Transpose", heads[1], perm=[0, 2, 3, 1])
        scores = g.node("Mul", g.node("MatMul", query, key), g.number(float(np.float32(width**-0.5))))
        shares = g.node("Softmax", g.node("Add", scores, bias), axis=-1)
        mixed = g.node("Transpose", g.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = g.node("Reshape", mixed, g.integers(0, 0, hidden))
        return self.linear(f"{name}_attention_out", layer.attention_out, joined)

    def pool(self, x, real, padding):
        g = self.graph
        total = g.node("ReduceSum", g.node("Mul", x, real), g.integers(1), keepdims=0)
        mean = g.node("Div", total, g.node("ReduceSum", real, g.integers(1), keepdims=0))
        largest = g.node("ReduceMax", g.node("Add", x, padding), g.integers(1), keepdims=0)
        return g.node("Concat", mean, largest, axis=-1)

    def norm(self, name, norm, x):
        g = self.graph
        scale, shift = g.weight(f"{name}_scale", array(norm.weight)), g.weight(f"{name}_shift", array(norm.bias))
        return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=norm.eps)

    def linear(self, name, linear, x, output=None):
        g = self.graph
        product = g.node("MatMul", x, g.weight(f"{name}_weight", array(linear.weight).T))
        return g.node("Add", product, g.weight(f"{name}_bias", array(linear.bias)), name=output)


def array(parameter):
    return parameter.detach().numpy()


def x_width(layer):
    return layer.attention_out.in_features


def rounded_table(table):
    """int8 rows and an fp16 scale for each, so that a rare word with small values keeps its detail."""
    scales = (np.abs(table).max(1, keepdims=True) / 127).astype(np.float16)
    scales = np.maximum(scales, np.float16(6e-5))
    rows = np.clip(np.rint(table / scales.astype(np.float32)), -127, 127).astype(np.int8)
    return rows, scales


def round_as_stored(network):
    """Gives the network the values that the file will hold, so that both can be compared exactly."""
    for name, parameter in network.named_parameters():
        if name in ("encoder.tokens.weight", "encoder.bigrams.weight"):
            rows, scales = rounded_table(array(parameter))
            kept = rows.astype(np.float32) * scales.astype(np.float32)
        else:
            kept = array(parameter).astype(np.float16).astype(np.float32)
        parameter.data.copy_(torch.from_numpy(kept))
    return network
