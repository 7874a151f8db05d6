"""The network: one small encoder, a bag of n-grams beside it, a classifier a head.

Tokens are read into vectors, a few transformer layers mix them. Runs of two and three tokens that
tell classes apart have vectors of their own (`ngrams.py` chooses them): these join the first layer,
and their sum goes to the heads directly, which is what linear models on n-grams are strong at. Each
head sees the mean and the largest value over the text, and that sum. Everything that crosses
positions is masked exactly, so a text's answer does not depend on the padding beside it.
"""

import torch
from torch import nn
from torch.nn import functional

from ngrams import FINGERPRINTS, ID_LIMIT, THREES
from tokenizer import UNKNOWN_ID

MASKED = -1e9
EMBEDDING = "embedding"
"""The head that says where a text lies among others."""


class NGrams(nn.Module):
    """Vectors of the chosen runs of tokens. A run that was not chosen has the zero vector, not another's."""

    def __init__(self, config):
        super().__init__()
        self.first, self.second = config["ngram_buckets"]
        self.table = nn.Embedding(self.first + 1, config["ngram_width"], sparse=True, padding_idx=self.first)
        nn.init.normal_(self.table.weight, std=0.05)
        self.table.weight.data[self.first] = 0
        self.register_buffer("prints", torch.full((self.first + 1,), -1, dtype=torch.int64))

    def forward(self, ids):
        """[batch, sequence] → [batch, sequence, width]: the pair and the run of three that end at each token."""
        pairs, threes = self.places(ids)
        return self.table(pairs) + self.table(threes)

    def places(self, ids):
        """Where the pair and the run of three lie that end at each token."""
        before = functional.pad(ids, (1, 0))[:, :-1]
        pairs = before * ID_LIMIT + ids
        threes = functional.pad(pairs, (1, 0))[:, :-1] * ID_LIMIT + ids + THREES
        return self._places(pairs), self._places(threes)

    def _places(self, keys):
        print_ = keys % FINGERPRINTS
        first, second = keys % self.first, keys % self.second
        none = torch.full_like(keys, self.first)
        second = torch.where(self.prints[second] == print_, second, none)
        return torch.where(self.prints[first] == print_, first, second)


class Encoder(nn.Module):
    def __init__(self, config, vocabulary, positions, dropout, token_dropout):
        super().__init__()
        hidden = config["hidden"]
        self.token_dropout = token_dropout
        self.tokens = nn.Embedding(vocabulary, hidden, sparse=True)
        self.ngrams = NGrams(config)
        self.ngrams_in = nn.Linear(config["ngram_width"], hidden)
        self.positions = nn.Embedding(positions, hidden)
        self.layers = nn.ModuleList(
            Layer(hidden, config["heads"], config["inner"]) for _ in range(config["layers"])
        )
        self.norm = nn.LayerNorm(hidden)
        self.bag_norm = nn.LayerNorm(config["ngram_width"])
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * hidden + config["ngram_width"]
        for table, spread in ((self.tokens, 0.1), (self.positions, 0.02)):
            nn.init.normal_(table.weight, std=spread)

    def forward(self, ids, mask):
        """[batch, sequence] → [batch, width]: mean and maximum over the real tokens, and the bag of n-grams."""
        if self.training:
            ids = self._blank_some(ids)
        grams = self.ngrams(ids)
        where = torch.arange(ids.shape[1], device=ids.device).clamp(max=self.positions.num_embeddings - 1)
        x = self.dropout(self.tokens(ids) + self.ngrams_in(grams) + self.positions(where))
        bias = ((1 - mask.to(x.dtype)) * MASKED)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        return self._pool(self.norm(x), grams, mask)

    def _blank_some(self, ids):
        blank = (torch.rand(ids.shape, device=ids.device) < self.token_dropout) & (ids > UNKNOWN_ID)
        return ids.masked_fill(blank, UNKNOWN_ID)

    def _pool(self, x, grams, mask):
        real = mask.to(x.dtype)[:, :, None]
        count = real.sum(1)
        mean = (x * real).sum(1) / count
        largest = (x + (1 - real) * MASKED).amax(1)
        bag = self.bag_norm((grams * real).sum(1) / count.sqrt())
        return torch.cat([mean, largest, bag], dim=-1)


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each normalised before and added after.

    The attention is written out: for texts this short that is several times as fast on a CPU as the
    library's fused form is backwards.
    """

    def __init__(self, hidden, heads, inner):
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(hidden)
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.attention_out = nn.Linear(hidden, hidden)
        self.before_inner = nn.LayerNorm(hidden)
        self.inner_in = nn.Linear(hidden, inner)
        self.inner_out = nn.Linear(inner, hidden)

    def forward(self, x, bias):
        x = x + self._attend(self.before_attention(x), bias)
        inner = functional.relu(self.inner_in(self.before_inner(x)))
        return x + self.inner_out(inner)

    def _attend(self, x, bias):
        batch, length, hidden = x.shape
        split = self.query_key_value(x).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        shares = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + bias.to(query.dtype)
        mixed = torch.softmax(shares, dim=-1) @ value
        return self.attention_out(mixed.transpose(1, 2).reshape(batch, length, hidden))


class Head(nn.Module):
    """Two layers on all that the encoder says; `inner` is the head's own view of the text."""

    def __init__(self, width, hidden, classes, dropout):
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pooled):
        return self.out(self.dropout(functional.relu(self.inner(self.dropout(pooled)))))


class Network(nn.Module):
    """`classes` gives the size of each head's answer; `embedding`, if there, is of length 1 instead of logits.

    `kinds` comes when training is over (`linear.py`): what each kind of text adds to the heads' logits.
    """

    def __init__(self, config, vocabulary, positions, classes, dropout=0.0, token_dropout=0.0):
        super().__init__()
        self.encoder = Encoder(config, vocabulary, positions, dropout, token_dropout)
        self.heads = nn.ModuleDict(
            {head: Head(self.encoder.width, config["head_inner"], count, 2 * dropout) for head, count in classes.items()}
        )
        self.kinds = None

    def forward(self, ids, mask):
        pooled = self.encoder(ids, mask)
        found = {name: head(pooled) for name, head in self.heads.items()}
        if self.kinds is not None:
            found = self.kinds(pooled, found, self.places(ids), mask)
        if EMBEDDING in found:
            found[EMBEDDING] = functional.normalize(found[EMBEDDING].float(), dim=-1)
        return found

    def places(self, ids):
        """[batch, 3 × sequence]: the tokens' own numbers, then the places of the runs that end at each, after them."""
        vocabulary = self.encoder.tokens.num_embeddings
        pairs, threes = self.encoder.ngrams.places(ids)
        return torch.cat([ids, pairs + vocabulary, threes + vocabulary], dim=1)

    def places_max(self):
        """How many places there are."""
        return self.encoder.tokens.num_embeddings + self.encoder.ngrams.first + 1
