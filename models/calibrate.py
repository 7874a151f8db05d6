"""Makes a head's probabilities mean what they say: a factor for each group of labels, found on dev.

A group is a domain of labels (what stands before the first dot of `banking.card_arrival`), or all
labels of a head without domains. The factors are folded into the head's last layer, so that the
exported graph needs nothing beside it; the order within a group does not change.
"""

import numpy as np
import torch
from torch.nn import functional

import scores
from losses import CLOSED, targets


def fit(examples, logits, head, labels):
    """A factor and an addend for each label of a head."""
    wanted = targets(examples, head, labels)
    at = np.flatnonzero(wanted >= 0)
    groups = sorted({_group(label) for label in labels})
    member = torch.tensor([groups.index(_group(label)) for label in labels])
    values = torch.from_numpy(logits[at]) + _closed([examples[i] for i in at], head, labels)
    weights = torch.tensor(_alike([examples[i].source for i in at]))
    logs, shift = torch.zeros(len(groups), requires_grad=True), torch.zeros(len(groups), requires_grad=True)
    optimizer = torch.optim.LBFGS([logs, shift], max_iter=100, line_search_fn="strong_wolfe")

    def cost():
        optimizer.zero_grad()
        found = values * logs.exp()[member] + (shift - shift.mean())[member]
        found = (functional.cross_entropy(found, torch.from_numpy(wanted[at]), reduction="none") * weights).mean()
        found.backward()
        return found

    optimizer.step(cost)
    return logs.exp().detach()[member], (shift - shift.mean()).detach()[member]


def let_outside_in(examples, logits, labels, factors, addends, recall_min):
    """Raises the addend of `none` until dev's texts from outside are told often enough: they are rare in any set."""
    if scores.OUTSIDE not in labels:
        return addends
    outside = labels.index(scores.OUTSIDE)
    at = np.flatnonzero(targets(examples, "intent", labels) == outside)
    values = torch.from_numpy(logits[at]) * factors + addends
    gaps = np.sort((values.max(1).values - values[:, outside]).numpy())
    needed = gaps[min(len(gaps), int(np.ceil(recall_min * len(gaps)))) - 1] if len(gaps) else 0.0
    found = addends.clone()
    found[outside] += max(0.0, float(needed)) + 1e-3
    return found


def _group(label):
    return label.split(".")[0] if "." in label or label == scores.OUTSIDE else ""


def _closed(examples, head, labels):
    """Sources without a neutral class are judged between the other two."""
    closed = torch.zeros(len(examples), len(labels))
    if head == "sentiment" and "neutral" in labels:
        two = torch.tensor([e.two_classes for e in examples])
        closed[:, labels.index("neutral")] = torch.where(two, CLOSED, 0.0)
    return closed


def _alike(sources):
    """Weights that let every source count alike, as its row of the table does."""
    _, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    return (len(sources) / len(counts) / counts[place]).astype(np.float32)


@torch.no_grad()
def fold(head, factors, addends):
    """Into the last layer of a head."""
    head.out.weight.mul_(factors[:, None])
    head.out.bias.mul_(factors).add_(addends)
