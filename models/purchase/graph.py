"""Writes the parts that ship as one ONNX graph: rows of features in, calibrated probabilities out.

    features [rows, inputs] ─┬─ logarithms ─ product with weights ─┐
                             └─ tree ensemble ─────────────────────┴─ mean ─ slope, shift ─ sigmoid ─ probability [rows]
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "features", "purchase_probability"


def write(kept):
    """The model of `train.py`'s parts."""
    parts, names = kept["parts"], list(kept["parts"])
    writer = Writer(len(kept["features"]))
    logits = [writer.logistic(parts[n]) if n == "logistic" else writer.trees(parts[n]) for n in names]
    summed = logits[0] if len(logits) == 1 else writer.node("Sum", logits)
    calibration = kept["calibration"]
    scaled = writer.node("Mul", [summed, writer.number("slope", calibration.slope / len(names))])
    shifted = writer.node("Add", [scaled, writer.number("shift", calibration.shift)])
    column = writer.node("Sigmoid", [shifted])
    writer.node("Squeeze", [column, writer.constant("columns", np.array([1], np.int64))], OUTPUT)
    return writer.model()


class Writer:
    def __init__(self, inputs):
        self.inputs, self.nodes, self.constants = inputs, [], []

    def logistic(self, part):
        """log(1 + x) where x is 0 or more, -1 where it is missing; weights hold the standardisation."""
        known = self.node("Max", [INPUT, self.number("zero", 0.0)])
        logs = self.node("Log", [self.node("Add", [known, self.number("one", 1.0)])])
        missing = self.node("Less", [INPUT, self.number("nothing", 0.0)])
        taken = self.node("Where", [missing, self.number("minus_one", -1.0), logs])
        weights = self.constant("weights", part.weights.astype(np.float32)[:, None])
        return self.node("Add", [self.node("MatMul", [taken, weights]), self.number("bias", part.bias)])

    def trees(self, part):
        """All bags in one ensemble, each leaf weighted by one over their number."""
        columns = {key: [] for key in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes",
                                       "nodes_truenodeids", "nodes_falsenodeids", "target_treeids", "target_nodeids",
                                       "target_ids", "target_weights")}
        trees = [step[0].nodes for bag in part.bags for step in bag._predictors]
        for number, nodes in enumerate(trees):
            for place, node in enumerate(nodes):
                _add_node(columns, number, place, node, len(part.bags))
        base = float(np.mean([bag._baseline_prediction[0, 0] for bag in part.bags]))
        return self.node("TreeEnsembleRegressor", [INPUT], domain="ai.onnx.ml", n_targets=1, aggregate_function="SUM",
                         post_transform="NONE", base_values=[base], **columns)

    def node(self, kind, inputs, output=None, domain="", **attributes):
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def number(self, name, value):
        return self.constant(name, np.array([value], np.float32))

    def constant(self, name, values):
        if all(kept.name != name for kept in self.constants):
            self.constants.append(numpy_helper.from_array(values, name))
        return name

    def model(self):
        graph = helper.make_graph(
            self.nodes, "purchase",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", self.inputs])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows"])], self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="groundswell", ir_version=8)
        onnx.checker.check_model(model)
        return model


def _add_node(columns, tree, place, node, bags):
    leaf = bool(node["is_leaf"])
    columns["nodes_treeids"].append(tree)
    columns["nodes_nodeids"].append(place)
    columns["nodes_featureids"].append(0 if leaf else int(node["feature_idx"]))
    columns["nodes_values"].append(0.0 if leaf else as_float32(float(node["num_threshold"])))
    columns["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
    columns["nodes_truenodeids"].append(0 if leaf else int(node["left"]))
    columns["nodes_falsenodeids"].append(0 if leaf else int(node["right"]))
    if leaf:
        columns["target_treeids"].append(tree)
        columns["target_nodeids"].append(place)
        columns["target_ids"].append(0)
        columns["target_weights"].append(float(node["value"]) / bags)


def as_float32(threshold):
    """The largest 32-bit number that is not above it: the same 32-bit features pass as against the 64-bit one."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
