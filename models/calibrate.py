"""Makes probabilities mean what they say: how much each kind of text is listened to, found on dev.

For each head and kind (`kinds.py`): a factor of the network's logits, a factor of the linear terms, an
addend for each of the kind's labels where they are few, and the share of the probability that goes to
all of them alike: labels that stand by chance in part make any surer answer wrong. All of it is folded
into the weights, so that the exported graph needs nothing beside it.
"""

import math

import numpy as np
import torch
from torch.nn import functional

import batches
import linear
import metrics
import scores
from kinds import PROBABILITY_MIN
from losses import CLOSED, targets

GAP_WEIGHT = 100.0
"""Of a source's mean probability against its accuracy, beside the likelihood: where errors are wilder than a factor
and a share of doubt can say, likelihood alone leaves a source surer of itself than it is right."""
PULL = 0.002
"""Of each kind's factors towards those of all, of addends towards what the machines have, of doubt towards none."""
PULL_AGAIN = 0.05
"""Of all of these towards what an earlier export found: a few texts of dev should not turn that over. `pull_again` under
`[calibration]` goes before it, for a network that is no longer the one that was found for."""
ADDENDS_OF = 20
"""A kind with more labels in a head than this has no addends of its own: dev holds too few texts of each."""
DOUBT_FIRST, DOUBT_MAX = -2.0, 0.5
FACTOR_MAX = 20.0
"""Of the logits, beside what they were: where all of dev is told rightly, likelihood would have them infinite, and
what rounding moves would grow with them."""
TRIES = 3
"""How often the search begins anew from where it ended: its memory of slopes leads it astray where a gap closes."""
SINGLE_WEIGHT = 0.1
"""Of a source whose texts all have the same label: it says little of how labels are told apart."""
CEILING_DRAWS, CEILING_SEED = 50, 7


class View:
    """What is known of each text before any kind is listened to: the kinds' shares, the logits, the terms read."""

    @torch.no_grad()
    def __init__(self, network, rows):
        kinds, count = network.kinds, len(rows)
        self.shares = torch.zeros(count, kinds.gate.out_features)
        self.read = {head: torch.zeros(count, terms.columns) for head, terms in kinds.terms.items()}
        self.logits = {head: torch.zeros(count, values.shape[1]) for head, values in kinds.addends.items()}
        for batch in batches.sorted_by_length([len(row) for row in rows], linear.TOKENS_PER_BATCH):
            ids, mask = batches.padded([rows[i] for i in batch])
            pooled = network.encoder(ids, mask)
            self.shares[batch] = torch.softmax(kinds.gate(pooled), -1)
            for head, terms in kinds.terms.items():
                self.read[head][batch] = terms.read(network.places(ids), mask)
            for head in self.logits:
                self.logits[head][batch] = network.heads[head](pooled)


def fitted(kinds, head):
    """Whether an earlier export has found factors of this head, which a new fit then starts from."""
    return bool((kinds.factors[head] != 1).any())


class Fit:
    """The kinds' parameters of one head, as functions of what is fitted."""

    def __init__(self, examples, view, kinds, names, head, labels, config):
        self.kinds, self.head, self.labels = kinds, head, labels
        wanted = targets(examples, head, labels)
        at = np.flatnonzero(wanted >= 0)
        self.sources = np.array([examples[i].source for i in at])
        self.wanted, self.shares = torch.from_numpy(wanted[at]), view.shares[at]
        self.logits = view.logits[head][at]
        self.closed = _closed([examples[i] for i in at], head, labels)
        self.weights = torch.tensor(_alike(self.sources, self.wanted))
        self.own = self._own(names, config)
        few = (self.own.sum(1, keepdim=True) <= ADDENDS_OF).float()
        self.free = self.own * few
        self.spread = self._spread(view.read[head][at]) if head in kinds.terms else None
        self.before = kinds.factors[head].detach().clone(), kinds.doubts[head].detach().clone()
        self.again = fitted(kinds, head)
        self.pull = config.get("calibration", {}).get("pull_again", PULL_AGAIN) if self.again else PULL
        self.parameters = [torch.zeros(len(names), requires_grad=True), torch.zeros(len(names), requires_grad=True),
                           torch.zeros_like(self.free, requires_grad=True), self._doubts_first().requires_grad_()]

    def _own(self, names, config):
        """[kinds, labels]: 1 where dev's texts of a kind have a label; `none` is nobody's own."""
        own = torch.zeros(len(names), len(self.labels))
        for source, number in zip(self.sources, self.wanted.tolist()):
            kind = linear.kind_of(source, config)
            if kind in names and self.labels[number] != scores.OUTSIDE:
                own[names.index(kind), number] = 1
        return own

    def _doubts_first(self):
        """What is known of each kind's doubt from an earlier fit, and otherwise a guess."""
        share = (self.before[1].sum(1) / DOUBT_MAX).clamp(max=0.99)
        return torch.where(share > 0, torch.logit(share, eps=1e-6), DOUBT_FIRST)

    def _spread(self, read):
        """[texts, kinds, labels]: what the terms of each kind say."""
        mix = self.kinds.terms[self.head].mix.detach()
        return torch.einsum("nc,kcl->nkl", read, mix.reshape(-1, read.shape[1], mix.shape[1]))

    def values(self):
        """(factors, factors of terms, addends, doubts) of the kinds. One that dev has no text of keeps its doubts."""
        logs, terms, addends, doubt = self.parameters
        factors, doubts = self.before
        share = DOUBT_MAX * doubt.sigmoid()[:, None]
        known = self.own.sum(1, keepdim=True) > 0
        terms = terms.exp()[:, None]
        addends = self.kinds.addends[self.head].detach() * terms + addends * self.free
        doubts = torch.where(known, share * self.own / self.own.sum(1, keepdim=True).clamp(min=1), doubts)
        return factors * self._bounded(logs)[:, None], terms, addends, doubts

    @staticmethod
    def _bounded(logs):
        bound = math.log(FACTOR_MAX)
        return torch.exp(bound * torch.tanh(logs / bound))

    def mixed(self):
        factors, terms, addends, _ = self.values()
        found = self.logits * (self.shares @ factors) + self.shares @ addends
        if self.spread is not None:
            found = found + torch.einsum("nk,nkl->nl", self.shares * terms[:, 0], self.spread)
        return found

    def probabilities(self):
        """Among the labels that are open to each text's source."""
        doubt = self.shares @ self.values()[3]
        sure = torch.softmax(self.mixed(), -1) * (1 - doubt.sum(1, keepdim=True)) + doubt
        return functional.normalize((sure + PROBABILITY_MIN) * (self.closed == 0), p=1, dim=-1)

    def run(self):
        def cost():
            optimizer.zero_grad()
            found = self.probabilities()
            right = found.gather(1, self.wanted[:, None])[:, 0]
            total = -(torch.log(right) * self.weights).mean() + GAP_WEIGHT * self._gaps(found) + self.pull * self._pull()
            total.backward()
            return total

        for _ in range(TRIES):
            optimizer = torch.optim.LBFGS(self.parameters, max_iter=60, line_search_fn="strong_wolfe")
            optimizer.step(cost)
        return self

    def _gaps(self, found):
        """The mean square of how far a source's mean best probability is from how often its best label is right."""
        best, chosen = found.max(1)
        right = (chosen == self.wanted).float()
        names = sorted(set(self.sources))
        return sum((best[at].mean() - right[at].mean()) ** 2 for at in (self.sources == name for name in names)) / max(1, len(names))

    def _pull(self):
        logs, terms, addends, doubt = self.parameters
        known = self.own.sum(1) > 0
        middle = logs[known].mean() if known.any() and not self.again else 0.0
        return ((logs - middle).square().sum() + terms.square().sum() + addends.square().sum()
                + 0.02 * (doubt - self._doubts_first()).square().sum())

    @torch.no_grad()
    def chance(self, kind):
        """The share of a kind's labels that stand there by chance, as far as doubt has been fitted."""
        return float(DOUBT_MAX * self.parameters[3][kind].sigmoid())

    @torch.no_grad()
    def told(self, names):
        """A line for each kind that dev has texts of."""
        factors, terms, _, doubts = (values.sum(1).tolist() for values in self.values())
        return [f"{self.head:10} {name}: logits times {factors[k]:.2f}, terms times {terms[k] if self.spread is not None else 0:.2f}, doubt {doubts[k]:.3f}"
                for k, name in enumerate(names) if self.own[k].any()]

    @torch.no_grad()
    def fold(self, none=0.0):
        """Into the kinds' weights. `none` is added to the label of no domain, for every kind."""
        factors, terms, addends, doubts = self.values()
        kinds, head = self.kinds, self.head
        kinds.factors[head].copy_(factors)
        if self.spread is not None:
            kinds.terms[head].mix.mul_(terms.repeat_interleave(kinds.terms[head].columns, 0))
        kinds.addends[head].copy_(addends)
        kinds.doubts[head].copy_(doubts)
        if none:
            kinds.addends[head][:, self.labels.index(scores.OUTSIDE)] += none


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


def let_outside_in(logits, wanted, labels, recall_min):
    """How far `none` must be raised until dev's texts from outside are told often enough: they are rare in any set."""
    if scores.OUTSIDE not in labels:
        return 0.0
    outside = labels.index(scores.OUTSIDE)
    values = logits[wanted == outside]
    gaps = np.sort((values.max(1).values - values[:, outside]).numpy()) if len(values) else []
    last = min(len(gaps), int(np.ceil(recall_min * len(gaps)))) - 1
    needed = gaps[last : last + 2].mean() if len(gaps) else 0.0  # halfway to the next, so that 8 bits turn none over
    return max(0.0, float(needed)) + 1e-3


def _closed(examples, head, labels):
    """Sources without a neutral class are judged between the other two."""
    closed = torch.zeros(len(examples), len(labels))
    if head == "sentiment" and "neutral" in labels:
        two = torch.tensor([e.two_classes for e in examples])
        closed[:, labels.index("neutral")] = torch.where(two, CLOSED, 0.0)
    return closed


def _alike(sources, wanted):
    """Weights that let every source count alike, as its row of the table does, but for those of one label only."""
    names, place, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = len(sources) / len(counts) / counts[place]
    single = np.array([len(set(wanted[sources == name].tolist())) < 2 for name in names])
    return np.where(single[place], SINGLE_WEIGHT * weights, weights).astype(np.float32)
