"""Makes a head's probabilities mean what they say: a factor for each group of labels, found on dev.

A group is what the sources of one field label: the labels that stand together in any source, such as
the intents of a bank or the topics of news. The factors are folded into the head's last layer, so that
the exported graph needs nothing beside it; the order within a group does not change.

Where a source's labels are known to stand there by chance in part (`[noise]` of config.toml), how many
do in dev is fitted beside the factors, and a probability is made to mean the label as it was before.
"""

import numpy as np
import torch
from torch.nn import functional

import metrics
import scores
from losses import CLOSED, targets, through_noise

GAP_WEIGHT = 100.0
"""Of a source's mean probability against its accuracy, beside the likelihood: where errors are wilder than a factor
can say, likelihood alone leaves a source surer of itself than it is right. A head whose sources share one factor is
left to likelihood: there the wildest source would make all others too modest."""
RIDGE = 1e-3
"""Of the regression that tells languages apart, as a share of the mean square of what it reads."""
CEILING_DRAWS, CEILING_SEED = 50, 7
CHANCE_FIRST = -1.0
"""Where the fit of a noisy source begins: the logit of a share of a quarter or so."""


def fit(examples, logits, head, labels, noisy=()):
    """A factor and an addend for each label of a head, and the share of chance labels of each noisy source."""
    wanted = targets(examples, head, labels)
    at = np.flatnonzero(wanted >= 0)
    member, count = _groups([examples[i].source for i in at], wanted[at], labels)
    sources = np.array([examples[i].source for i in at])
    values = torch.from_numpy(logits[at]) + _closed([examples[i] for i in at], head, labels)
    weights, wanted = torch.tensor(_alike(sources)), torch.from_numpy(wanted[at])
    noisy = [source for source in noisy if source in sources]
    which = torch.tensor([noisy.index(source) if source in noisy else len(noisy) for source in sources])
    kinds = torch.tensor([len(wanted[which == place].unique()) for place in range(len(noisy))] + [1])
    clean = [torch.from_numpy(sources == source) for source in sorted(set(sources) - set(noisy))]
    logs, shift = torch.zeros(count, requires_grad=True), torch.zeros(count, requires_grad=True)
    chance = torch.full((len(noisy),), CHANCE_FIRST, requires_grad=True)
    optimizer = torch.optim.LBFGS([logs, shift, chance], max_iter=100, line_search_fn="strong_wolfe")

    def cost():
        optimizer.zero_grad()
        found = values * logs.exp()[member] + (shift - shift.mean())[member]
        share = torch.cat([chance.sigmoid(), torch.zeros(1)])[which]
        likely = (through_noise(found, wanted, share, share / kinds[which]) * weights).mean()
        if count > 1:
            likely = likely + GAP_WEIGHT * _gaps(found, wanted, clean)
        likely.backward()
        return likely

    optimizer.step(cost)
    noise = dict(zip(noisy, chance.sigmoid().tolist()))
    return logs.exp().detach()[member], (shift - shift.mean()).detach()[member], noise


def ceiling(examples, head, source, noise):
    """(accuracy, macro-F1) that somebody who knows every text's true label would get on a noisy source's labels.

    The true labels are drawn as often as the given ones say once chance is taken off, and blurred by chance anew.
    """
    given = [e.labels[head] for e in examples if e.source == source and head in e.labels]
    kinds, numbers = np.unique(given, return_inverse=True)
    often = np.bincount(numbers) / len(given)
    often = np.maximum((often - noise / len(kinds)) / (1 - noise), 0)
    chance, found = np.random.default_rng(CEILING_SEED), []
    for _ in range(CEILING_DRAWS):
        true = chance.choice(len(kinds), len(given), p=often / often.sum())
        blurred = np.where(chance.random(len(given)) < noise, chance.integers(0, len(kinds), len(given)), true)
        found.append((metrics.mean(blurred == true), metrics.macro_f1(blurred, true)))
    return tuple(np.mean(found, axis=0).tolist())


def _gaps(logits, wanted, sources):
    """The mean square of how far a source's mean best probability is from how often its best label is right."""
    best, chosen = functional.softmax(logits, dim=-1).max(1)
    return sum((best[at].mean() - (chosen[at] == wanted[at]).float().mean()) ** 2 for at in sources) / max(1, len(sources))


def let_outside_in(examples, logits, labels, factors, addends, recall_min):
    """Raises the addend of `none` until dev's texts from outside are told often enough: they are rare in any set."""
    if scores.OUTSIDE not in labels:
        return addends
    outside = labels.index(scores.OUTSIDE)
    at = np.flatnonzero(targets(examples, "intent", labels) == outside)
    values = torch.from_numpy(logits[at]) * factors + addends
    gaps = np.sort((values.max(1).values - values[:, outside]).numpy())
    last = min(len(gaps), int(np.ceil(recall_min * len(gaps)))) - 1
    needed = gaps[last : last + 2].mean() if len(gaps) else 0.0  # halfway to the next, so that 8 bits turn none over
    found = addends.clone()
    found[outside] += max(0.0, float(needed)) + 1e-3
    return found


@torch.no_grad()
def shift_by_language(head, inner, languages, label, addends):
    """Raises or lowers one label of a head by a value a language, as far as the head's inner view tells languages apart.

    `inner` is [texts, width], what the last layer reads. The shift is the ridge regression of the wanted values on
    it, folded into the label's row; returned is how much of the values' spread it explains.
    """
    wanted = np.array([addends.get(language, 0.0) for language in languages])
    if not wanted.any():
        return 1.0
    read = np.concatenate([inner, np.ones((len(inner), 1))], axis=1).astype(np.float64)
    penalty = np.diag([RIDGE * np.square(inner).sum() / inner.shape[1]] * inner.shape[1] + [0.0])
    weights = np.linalg.solve(read.T @ read + penalty, read.T @ wanted)
    head.out.weight[label] += torch.from_numpy(weights[:-1]).float()
    head.out.bias[label] += float(weights[-1])
    rest, spread = np.square(read @ weights - wanted).sum(), np.square(wanted - wanted.mean()).sum()
    return 1 - rest / spread if spread else 1.0


def _groups(sources, wanted, labels):
    """The number of each label's group, and how many groups there are. `none` is a group of its own."""
    group = list(range(len(labels)))
    for source in sorted(set(sources)):
        own = {int(number) for place, number in zip(sources, wanted) if place == source and labels[number] != scores.OUTSIDE}
        joined = {group[number] for number in own}
        group = [min(joined) if number in joined else number for number in group]
    kinds = sorted(set(group))
    return torch.tensor([kinds.index(number) for number in group]), len(kinds)


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
