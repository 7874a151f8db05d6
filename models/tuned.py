"""A public encoder fitted to one source's labels, all its layers: all-MiniLM-L6-v2 (Apache-2.0), in training code.

Where the frozen reading of `encoders.py` says too little — feelings in tweets, which sentence encoders
were not made to tell — a few passes over the labelled texts say more, at a price: minutes of a core.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import batches
import minilm

TOKENS_MAX = 96
TEXTS_PER_BATCH = 32
TOKENS_PER_BATCH = 2048
EPOCHS = 3
RATE = 1e-4
HEAD_RATE = 1e-3
DROPOUT = 0.1
WARMUP = 0.1


class Tuned(nn.Module):
    """The encoder, the mean over the real tokens, and one layer. Vectors of words stay as they are."""

    def __init__(self, count):
        super().__init__()
        from transformers import BertModel

        self.encoder = BertModel.from_pretrained(minilm.folder(), add_pooling_layer=False)
        self.encoder.embeddings.requires_grad_(False)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(self.encoder.config.hidden_size, count)
        nn.init.zeros_(self.out.weight)

    def forward(self, ids, mask):
        x = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.to(x.dtype)[:, :, None]
        return self.out(self.dropout((x * real).sum(1) / real.sum(1))).float()


def logits(seen, numbers, unseen, count, seed):
    """Fits to the texts `seen` with their classes' numbers; what is then said of the texts `unseen`."""
    torch.manual_seed(seed)
    tokenizer = minilm.tokenizer()
    rows, others = (minilm.encode(tokenizer, texts, TOKENS_MAX) for texts in (seen, unseen))
    network, numbers = Tuned(count), torch.from_numpy(numbers)
    _fit(network, rows, numbers, seed)
    return _say(network, others, count)


def _fit(network, rows, numbers, seed):
    head = list(network.out.parameters())
    body = [p for p in network.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": body, "lr": RATE}, {"params": head, "lr": HEAD_RATE}], weight_decay=0.01)
    lengths = [len(row) for row in rows]
    order = [batch for epoch in range(EPOCHS)
             for batch in batches.shuffled(lengths, range(len(rows)), TOKENS_PER_BATCH, TEXTS_PER_BATCH, seed + epoch)]
    warm = max(1, int(WARMUP * len(order)))
    pace = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (len(order) - step) / (len(order) - warm)))
    network.train()
    for batch in order:
        ids, mask = batches.padded([rows[i] for i in batch])
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            found = network(ids, mask)
        functional.cross_entropy(found.float(), numbers[batch]).backward()
        torch.nn.utils.clip_grad_norm_(body, 1.0)
        optimizer.step()
        pace.step()


@torch.no_grad()
def _say(network, rows, count):
    network.eval()
    found = np.zeros((len(rows), count), np.float32)
    for batch in batches.sorted_by_length([len(row) for row in rows], TOKENS_PER_BATCH):
        with torch.autocast("cpu", torch.bfloat16):
            found[batch] = network(*batches.padded([rows[i] for i in batch])).float().numpy()
    return found
