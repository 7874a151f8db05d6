"""What kind of text it is, and what each kind adds to what the network says.

A kind is a source of the training texts, or several of one nature: reviews of food deliveries, news of
finance, chats with a bank. The gate tells kinds apart by what the encoder says of the text, and mixes by
its shares, for each head: a factor of the network's logits; linear terms, one for each token and chosen
run of tokens, as a linear machine of that kind weighs them (Cheng and others 2016, "Wide & Deep Learning
for Recommender Systems"; Jacobs and others 1991, "Adaptive Mixtures of Local Experts"); an addend a label;
and a share of the probability that goes to the kind's labels alike, where labels stand by chance in part.
"""

import torch
from torch import nn

PROBABILITY_MIN = 1e-9
"""Of any label, so that every logarithm is finite."""


class Terms(nn.Module):
    """The linear terms of one head, `columns` values for each of the `places` of tokens and n-grams.

    With `rows`, only so many places have terms of their own; row 0 is for the others. Without, the table has a row a
    place, of which the first, that of padding, stays empty.
    """

    def __init__(self, kinds, places, columns, classes, rows=0):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(columns, rows + 1 if rows else places))
        self.register_buffer("row", torch.zeros(places, dtype=torch.int64) if rows else None)
        self.mix = nn.Parameter(torch.zeros(kinds * columns, classes))

    @property
    def columns(self):
        return len(self.table)

    def read(self, places, mask):
        """[batch, columns]: the terms of a text added, over the root of its length."""
        times = places.shape[1] // mask.shape[1]
        rows = (places if self.row is None else self.row[places]) * mask.repeat(1, times)
        return self.table.T[rows].sum(1) / mask.sum(1, keepdim=True).to(self.table.dtype).sqrt()

    def said(self, shares, read):
        """[batch, classes]: what the kinds make of the terms that were read, by the kinds' shares."""
        return (shares[:, :, None] * read[:, None, :]).flatten(1) @ self.mix


class Kinds(nn.Module):
    """`classes` gives the number of labels of each head, `terms` the columns and rows (0 for all) of those with terms."""

    def __init__(self, kinds, width, places, classes, terms):
        super().__init__()
        self.gate = nn.Linear(width, kinds)
        self.terms = nn.ModuleDict({head: Terms(kinds, places, columns, classes[head], rows) for head, (columns, rows) in terms.items()})
        self.factors = nn.ParameterDict({head: nn.Parameter(torch.ones(kinds, 1)) for head in classes})
        self.addends = nn.ParameterDict({head: nn.Parameter(torch.zeros(kinds, count)) for head, count in classes.items()})
        self.doubts = nn.ParameterDict({head: nn.Parameter(torch.zeros(kinds, count)) for head, count in classes.items()})

    @classmethod
    def like(cls, state, places):
        """Of the shapes of a saved state, and filled with it."""
        kinds, width = state["gate.weight"].shape
        classes = {name.removeprefix("addends."): value.shape[1] for name, value in state.items() if name.startswith("addends.")}
        terms = {}
        for head in classes:
            if f"terms.{head}.table" in state:
                columns, rows = state[f"terms.{head}.table"].shape
                terms[head] = columns, rows - 1 if f"terms.{head}.row" in state else 0
        found = cls(kinds, width, places, classes, terms)
        found.load_state_dict(state)
        return found

    def forward(self, pooled, logits, places, mask):
        """The heads' logits, as logarithms of probabilities. `places` are those of all tokens and runs of each text."""
        shares = torch.softmax(self.gate(pooled), dim=-1)
        read = {head: terms.read(places, mask) for head, terms in self.terms.items()}
        return {head: self.answer(head, values, shares, read.get(head)) if head in self.factors else values
                for head, values in logits.items()}

    def answer(self, head, logits, shares, read=None):
        mixed = logits * (shares @ self.factors[head]) + shares @ self.addends[head]
        if read is not None:
            mixed = mixed + self.terms[head].said(shares, read)
        return doubted(mixed, shares @ self.doubts[head])


def doubted(logits, doubt):
    """Logarithms of probabilities of which the shares `doubt` were given away."""
    sure = torch.softmax(logits, dim=-1) * (1 - doubt.sum(1, keepdim=True)) + doubt
    return torch.log(sure + PROBABILITY_MIN)

