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
        self.hard, self.weights, self.soft, self.trust, self.astray = {}, {}, {}, {}, {}
        self.noise = torch.tensor([config["noise"].get(e.source, 0.0) for e in examples])
        for head, names in labels.items():
            hard = targets(examples, head, names)
            weights = np.array([config["sources"].get(e.source, 1.0) for e in examples], np.float32)
            _teach_outside(hard, weights, names, examples, head, config)
            self.hard[head], self.weights[head] = torch.tensor(hard), torch.tensor(weights)
            self.astray[head] = self._astray(hard, examples)
            self._listen(head, names, examples, opinions, config["teachers"])
        if "neutral" in labels.get("sentiment", ()):
            stray = self.two_classes & (self.hard["sentiment"] == labels["sentiment"].index("neutral"))
            self.hard["sentiment"][stray] = -1

    def _astray(self, hard, examples):
        """How likely each text's label is to stand there by chance: its source's noise, spread over its classes."""
        found = torch.zeros(len(examples))
        for source in {e.source for e, noise in zip(examples, self.noise) if noise}:
            at = [i for i, e in enumerate(examples) if e.source == source and hard[i] >= 0]
            found[at] = self.noise[at] / max(1, len(set(hard[at].tolist())))
        return found

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
        noise = self.noise[batch]
        if noise.any():
            blurred = through_noise(logits, self.hard[head][batch], noise, self.astray[head][batch])
            each = torch.where(noise > 0, blurred, each)
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


def through_noise(values, target, noise, astray):
    """The loss where a share `noise` of labels was drawn by chance, and each class came up so with `astray`.

    The forward correction of Patrini and others (2017, "Making Deep Neural Networks Robust to Label Noise"):
    what is taught is the label as it was before; one that the network finds impossible teaches next to nothing.
    """
    right = functional.softmax(values, dim=-1).gather(1, target.clamp(min=0)[:, None])[:, 0]
    return -torch.log((1 - noise) * right + astray + 1e-9) * (target >= 0)


def apart(found, wanted):
    """How far embeddings are from where the teacher puts them: one less the cosine. A zero target says nothing."""
    return ((1 - (found * wanted).sum(1)) * (wanted.abs().sum(1) > 0)).sum() / len(found)
