"""What is taught: hard labels with smoothing, the teachers' opinion, and where texts lie among others."""

import numpy as np
import torch
from torch.nn import functional

CLOSED = -1e9
"""A logit that takes a class out of the question."""


class Lessons:
    """For each head, each text's target and weight. A text without a label of a head weighs nothing there."""

    def __init__(self, examples, labels, config, opinions):
        self.labels, self.smoothing = labels, config["training"]["smoothing"]
        self.shares = config["heads"]
        self.two_classes = torch.tensor([e.two_classes for e in examples])
        self.hard, self.weights, self.soft, self.trust = {}, {}, {}, {}
        for head, names in labels.items():
            hard = targets(examples, head, names)
            weights = np.array([config["sources"].get(e.source, 1.0) for e in examples], np.float32)
            _teach_outside(hard, weights, names, examples, head, config)
            self.hard[head], self.weights[head] = torch.tensor(hard), torch.tensor(weights)
            self._listen(head, names, examples, opinions, config["teachers"])
        if "neutral" in labels.get("sentiment", ()):
            stray = self.two_classes & (self.hard["sentiment"] == labels["sentiment"].index("neutral"))
            self.hard["sentiment"][stray] = -1

    def _listen(self, head, names, examples, opinions, config):
        """The teachers' probabilities, each over its source's own classes, and how far they are trusted."""
        soft, trust = np.zeros((len(examples), len(names)), np.float16), np.zeros(len(examples), np.float32)
        for source, (at, classes, probabilities) in opinions.get(head, {}).items():
            if head == "sentiment" and source in config["transfer"]:
                self.two_classes[at] = _two_classes(examples, config["transfer"][source]["from"])
            places = [names.index(label) for label in classes]
            soft[np.ix_(at, places)] = self._open(head, at, classes, probabilities)
            trust[at] = config["shares"].get(source, config["share"])
        self.soft[head], self.trust[head] = torch.from_numpy(soft), torch.from_numpy(trust)

    def _open(self, head, at, classes, probabilities):
        """A stray neutral among two classes is left out of the teachers' opinion too."""
        if head != "sentiment" or "neutral" not in classes:
            return probabilities
        closed = self.two_classes[at].numpy()
        probabilities = probabilities.copy()
        probabilities[closed, classes.index("neutral")] = 0
        return probabilities / probabilities.sum(1, keepdims=True)

    def loss(self, head, logits, batch):
        if head == "sentiment" and "neutral" in self.labels[head]:
            logits = logits + self._without_neutral(batch)
        trust = self.trust[head][batch]
        each = cross_entropy(logits, self.hard[head][batch], self.smoothing)
        heard = -(self.soft[head][batch].float() * functional.log_softmax(logits, dim=-1)).sum(1)
        each = ((1 - trust) * each + trust * heard) * self.weights[head][batch]
        return self.shares[head] * each.sum() / len(batch)

    def _without_neutral(self, batch):
        """A source without a neutral class says nothing about it: its loss is between the other two."""
        closed = torch.zeros(len(batch), len(self.labels["sentiment"]))
        closed[:, self.labels["sentiment"].index("neutral")] = torch.where(self.two_classes[batch], CLOSED, 0.0)
        return closed


def _two_classes(examples, source):
    return bool(np.mean([e.two_classes for e in examples if e.source == source]) > 0.5)


def _teach_outside(hard, weights, names, examples, head, config):
    """What is no request at all, such as a review, has the intent `none`: taught lightly, since it is easy."""
    settings = config["outside"]
    if head != settings["head"] or settings["label"] not in names:
        return
    for index, example in enumerate(examples):
        if hard[index] < 0 and example.source in settings["sources"]:
            hard[index], weights[index] = names.index(settings["label"]), settings["weight"]
        elif hard[index] == names.index(settings["label"]):
            weights[index] *= settings["labelled_weight"]


def targets(examples, head, labels):
    """Class numbers; -1 where a text has no label of this head."""
    place = {label: index for index, label in enumerate(labels)}
    return np.array([place.get(e.labels.get(head), -1) for e in examples], np.int64)


def cross_entropy(values, target, smoothing):
    """A loss a text. Smoothing spreads over the classes that are open to it, never to closed ones."""
    logs = functional.log_softmax(values, dim=-1)
    open_classes = values > CLOSED / 2
    right = -logs.gather(1, target.clamp(min=0)[:, None])[:, 0]
    spread = -(logs.masked_fill(~open_classes, 0)).sum(1) / open_classes.sum(1)
    return ((1 - smoothing) * right + smoothing * spread) * (target >= 0)


def apart(found, wanted):
    """How far embeddings are from where the teacher puts them: one less the cosine. A zero target says nothing."""
    return ((1 - (found * wanted).sum(1)) * (wanted.abs().sum(1) > 0)).sum() / len(found)
