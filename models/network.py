"""The network: one small encoder, a classifier a head.

Tokens and hashed pairs of neighbouring tokens are read into vectors, a few transformer layers mix
them, and each head looks at the mean and the largest value over the text. Everything that crosses
positions is masked exactly, so a text's answer does not depend on the padding beside it.
"""

import torch
from torch import nn
from torch.nn import functional

from tokenizer import UNKNOWN_ID

HASH_FACTORS = (10007, 28657, 46337)
"""Odd primes; with ids below 2^17 the products stay far inside 64 bits."""
MASKED = -1e9


class Encoder(nn.Module):
    def __init__(self, config, vocabulary, positions, dropout, token_dropout):
        super().__init__()
        hidden = config["hidden"]
        self.buckets = config["bigram_buckets"]
        self.hashes = config["bigram_hashes"]
        self.token_dropout = token_dropout
        self.tokens = nn.Embedding(vocabulary, hidden)
        self.bigrams = nn.Embedding(self.buckets, config["bigram_width"])
        self.bigrams_in = nn.Linear(config["bigram_width"], hidden)
        self.positions = nn.Embedding(positions, hidden)
        self.layers = nn.ModuleList(
            Layer(hidden, config["heads"], config["inner"], dropout) for _ in range(config["layers"])
        )
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        for table, spread in ((self.tokens, 0.1), (self.bigrams, 0.1), (self.positions, 0.02)):
            nn.init.normal_(table.weight, std=spread)

    def forward(self, ids, mask):
        """[batch, sequence] → [batch, 2 × hidden]: mean and maximum over the real tokens."""
        if self.training:
            ids = self._blank_some(ids)
        x = self.tokens(ids) + self._bigrams(ids)
        where = torch.arange(ids.shape[1], device=ids.device).clamp(max=self.positions.num_embeddings - 1)
        x = self.dropout(x + self.positions(where))
        bias = ((1 - mask.to(x.dtype)) * MASKED)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        return self._pool(self.norm(x), mask)

    def _blank_some(self, ids):
        blank = (torch.rand(ids.shape, device=ids.device) < self.token_dropout) & (ids > UNKNOWN_ID)
        return ids.masked_fill(blank, UNKNOWN_ID)

    def _bigrams(self, ids):
        previous = functional.pad(ids, (1, 0))[:, :-1]
        rows = [self.bigrams((previous * factor + ids) % self.buckets) for factor in HASH_FACTORS[: self.hashes]]
        return self.bigrams_in(sum(rows))

    @staticmethod
    def _pool(x, mask):
        real = mask.to(x.dtype)[:, :, None]
        mean = (x * real).sum(1) / real.sum(1)
        largest = (x + (1 - real) * MASKED).amax(1)
        return torch.cat([mean, largest], dim=-1)


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each normalised before and added after."""

    def __init__(self, hidden, heads, inner, dropout):
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(hidden)
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.attention_out = nn.Linear(hidden, hidden)
        self.before_inner = nn.LayerNorm(hidden)
        self.inner_in = nn.Linear(hidden, inner)
        self.inner_out = nn.Linear(inner, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, bias):
        x = x + self.dropout(self._attend(self.before_attention(x), bias))
        inner = functional.relu(self.inner_in(self.before_inner(x)))
        return x + self.dropout(self.inner_out(inner))

    def _attend(self, x, bias):
        batch, length, hidden = x.shape
        split = self.query_key_value(x).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.attention_out(mixed.transpose(1, 2).reshape(batch, length, hidden))


class Head(nn.Module):
    def __init__(self, hidden, classes, dropout):
        super().__init__()
        self.inner = nn.Linear(2 * hidden, hidden)
        self.out = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pooled):
        return self.out(self.dropout(functional.relu(self.inner(self.dropout(pooled)))))


class Network(nn.Module):
    def __init__(self, config, vocabulary, positions, classes, dropout=0.0, token_dropout=0.0):
        super().__init__()
        self.encoder = Encoder(config, vocabulary, positions, dropout, token_dropout)
        self.heads = nn.ModuleDict(
            {head: Head(config["hidden"], count, 2 * dropout) for head, count in classes.items()}
        )

    def forward(self, ids, mask):
        pooled = self.encoder(ids, mask)
        return {name: head(pooled) for name, head in self.heads.items()}
