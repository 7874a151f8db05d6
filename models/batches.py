"""Texts of like length together: a batch is bounded by its padded tokens, and may be by its texts."""

import random
import sys

import numpy as np
import torch

from tokenizer import SPECIAL

PAD_ID = SPECIAL.index("[PAD]")
POOL = 8192
"""Texts sorted together. Large enough to waste little padding, small enough to mix every epoch."""


def cut(lengths, order, tokens_max, texts_max=sys.maxsize):
    """Cuts `order` into batches of at most `tokens_max` padded tokens, at least one text each."""
    batches, batch, longest = [], [], 0
    for index in order:
        grown = max(longest, lengths[index])
        if batch and (grown * (len(batch) + 1) > tokens_max or len(batch) == texts_max):
            batches.append(batch)
            batch, grown = [], lengths[index]
        batch.append(index)
        longest = grown
    return batches + [batch] if batch else batches


def shuffled(lengths, order, tokens_max, texts_max, seed):
    """The batches of one epoch over the texts in `order`, the same for the same seed, so that a run can be resumed."""
    chance = random.Random(seed)
    order = list(order)
    chance.shuffle(order)
    batches = []
    for start in range(0, len(order), POOL):
        pool = sorted(order[start : start + POOL], key=lengths.__getitem__)
        batches += cut(lengths, pool, tokens_max, texts_max)
    chance.shuffle(batches)
    return batches


def repeated(sources, repeats, seed):
    """The texts of one epoch: some sources are read more than once, of others only a share, another one each time."""
    chance = random.Random(seed)
    found = []
    for index, source in enumerate(sources):
        whole, part = divmod(repeats.get(source, 1), 1)
        found += [index] * (int(whole) + (chance.random() < part))
    return found


def sorted_by_length(lengths, tokens_max):
    return cut(lengths, sorted(range(len(lengths)), key=lengths.__getitem__), tokens_max)


def padded(rows, length=None):
    """Ids and mask of one batch, as tensors, padded to the longest row or to `length`."""
    lengths = np.array([len(row) for row in rows])
    width = length or lengths.max()
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, PAD_ID, np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
