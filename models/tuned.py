"""A public encoder with its upper layers trained on the labels of many sources at once, as a teacher.

The frozen readers of `encoders.py` know what a text is about better than whether it pleases. Here the lower layers
read every text once, and the upper ones learn, together with one linear layer for each source and head, what the
labels say. The training texts are split into folds, and what is said of a text comes from those that did not train
on it, so that it is as unsure as it ought to be; what is said of texts without labels is the mean of all.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import batches
import encoders
from texts import Task

TOKENS_READ = 8192
HEAD_RATE = 10
"""How much faster the linear layers learn, which begin from nothing."""
WARMUP = 0.1
MASKED = -1e4


class Layer(nn.Module):
    """One layer of BERT, normalised after each part."""

    def __init__(self, weights, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value = _linear(*(np.concatenate([weights[part][i] for part in ("query", "key", "value")]) for i in (0, 1)))
        self.out, self.inner, self.outer = (_linear(*weights[part]) for part in ("out", "inner", "outer"))
        self.norm1, self.norm2 = _norm(*weights["norm1"]), _norm(*weights["norm2"])

    def forward(self, x, bias):
        batch, length, width = x.shape
        query, key, value = self.query_key_value(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        shares = torch.softmax(query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2) + bias, dim=-1)
        x = self.norm1(x + self.out((shares @ value).transpose(1, 2).reshape(batch, length, width)))
        return self.norm2(x + self.outer(functional.gelu(self.inner(x), approximate="tanh")))


def _linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    return _filled(layer, weight, bias)


def _norm(scale, shift):
    return _filled(nn.LayerNorm(len(scale), eps=1e-12), scale, shift)


@torch.no_grad()
def _filled(layer, weight, bias):
    layer.weight.copy_(torch.from_numpy(np.array(weight, np.float32)))
    layer.bias.copy_(torch.from_numpy(np.array(bias, np.float32)))
    return layer


def _stack(layers, x, mask):
    bias = ((1 - mask) * MASKED).to(x.dtype)[:, None, None, :]
    for layer in layers:
        x = layer(x, bias)
    return x


class Read:
    """What the lower layers say of each token of each text, in half precision: 0.8 KB a token of a 384-wide encoder."""

    def __init__(self, texts, name, trained, tokens_max, say):
        tokenizer, _, weights, self.heads = encoders.WEIGHTS[name]()
        self.upper = weights["layers"][len(weights["layers"]) - trained :]
        lower = nn.ModuleList(Layer(of, self.heads) for of in weights["layers"][: len(weights["layers"]) - trained]).bfloat16()
        rows = [_shortened(e.ids, tokens_max) for e in tokenizer.encode_batch(texts)]
        self.lengths = [len(row) for row in rows]
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.width = weights["words"].shape[1]
        self.tokens = torch.zeros(int(self.starts[-1]), self.width, dtype=torch.bfloat16)
        places, norm = torch.from_numpy(weights["positions"] + weights["type"]).float(), _norm(*weights["norm"])
        order = batches.sorted_by_length(self.lengths, TOKENS_READ)
        with torch.no_grad():
            for number, batch in enumerate(order):
                ids, mask = batches.padded([rows[i] for i in batch])
                words = torch.from_numpy(weights["words"][ids.numpy()].astype(np.float32))
                x = _stack(lower, norm(words + places[: ids.shape[1]]).bfloat16(), mask.float())
                for i, row, length in zip(batch, x, mask.sum(1).tolist()):
                    self.tokens[self.starts[i] : self.starts[i] + length] = row[:length]
                if number % 100 == 99:
                    say(f"{name}: {number + 1} of {len(order)} batches read by the lower layers")

    def of(self, batch):
        """[texts, tokens, width] and the mask."""
        lengths = torch.tensor([self.lengths[i] for i in batch])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        x = torch.zeros(*mask.shape, self.width, dtype=self.tokens.dtype)
        x[mask] = torch.cat([self.tokens[self.starts[i] : self.starts[i + 1]] for i in batch])
        return x, mask.float()


def _shortened(ids, most):
    """The beginning and the end of what is too long: reviews sum up at both."""
    return ids if len(ids) <= most else [*ids[: most - most // 3], *ids[-(most // 3) :]]


class Pupil(nn.Module):
    """The upper layers and a linear layer a task, in bfloat16; the optimizer's own copy has full precision."""

    def __init__(self, read, tasks, settings):
        super().__init__()
        self.layers = nn.ModuleList(Layer(weights, read.heads) for weights in read.upper)
        self.outs = nn.ModuleList(nn.Linear(read.width, len(task.classes)) for task in tasks)
        for out in self.outs:
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)
        self.token_dropout, self.dropout = settings["token_dropout"], settings["dropout"]
        self.bfloat16()

    def forward(self, x, mask):
        """[texts, width]: the mean of the last layer over the tokens."""
        if self.training:
            kept = mask * (torch.rand(mask.shape) >= self.token_dropout)
            mask = torch.where(kept.sum(1, keepdim=True) > 0, kept, mask)
        x = _stack(self.layers, x, mask)
        share = (mask / mask.sum(1, keepdim=True)).to(x.dtype)
        return functional.dropout((share[:, None, :] @ x)[:, 0], self.dropout, self.training)


class Optimizer:
    def __init__(self, pupil, rate, decay, steps):
        groups = [(pupil.layers.parameters(), rate), (pupil.outs.parameters(), HEAD_RATE * rate)]
        groups = [(list(parameters), rate) for parameters, rate in groups]
        self.small = [p for parameters, _ in groups for p in parameters]
        self.full = [[p.detach().float().clone() for p in parameters] for parameters, _ in groups]
        self.adam = torch.optim.AdamW([{"params": of, "lr": rate} for of, (_, rate) in zip(self.full, groups)],
                                      weight_decay=decay, betas=(0.9, 0.98), foreach=True)
        warm = max(1, int(WARMUP * steps))
        self.pace = torch.optim.lr_scheduler.LambdaLR(
            self.adam, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm))))

    @torch.no_grad()
    def step(self):
        full = [p for of in self.full for p in of]
        for p, small in zip(full, self.small):
            p.grad = None if small.grad is None else small.grad.float()
            small.grad = None
        torch.nn.utils.clip_grad_norm_(full, 1.0)
        self.adam.step()
        self.pace.step()
        torch._foreach_copy_(self.small, full)


class Course:
    """The texts, what is known of each, and the folds' answers."""

    def __init__(self, read, sources, tasks, asked, settings, seed, say):
        """`asked` gives for each text the numbers of the tasks whose answer is wanted."""
        self.sources = sources
        self.read, self.tasks, self.asked, self.settings, self.seed, self.say = read, tasks, asked, settings, seed, say
        count = len(asked)
        self.wanted = torch.full((len(tasks), count), -1)
        for number, task in enumerate(tasks):
            self.wanted[number, torch.from_numpy(task.at)] = torch.from_numpy(task.numbers)
        self.labelled = np.flatnonzero((self.wanted >= 0).any(0).numpy())
        self.fold = np.full(count, -1)
        self.fold[self.labelled] = np.random.default_rng(seed).integers(settings["folds"], size=len(self.labelled))

    def answers(self):
        """A matrix [texts, classes] of logits a task: of labelled texts by the fold that did not see them."""
        sums = [np.zeros((len(self.asked), len(task.classes)), np.float32) for task in self.tasks]
        times = np.zeros(len(self.asked))
        for fold in range(self.settings["folds"]):
            pupil = self.taught(fold)
            unseen = np.flatnonzero((self.fold == fold) | (self.fold < 0))
            times[unseen] += 1
            self.ask(pupil, unseen, sums)
        return [total / np.maximum(times, 1)[:, None] for total in sums]

    def taught(self, fold):
        settings = self.settings
        torch.manual_seed(self.seed + fold)
        pupil = Pupil(self.read, self.tasks, settings).train()
        seen = [i for i in self.labelled if self.fold[i] != fold]
        plan = [batch for epoch in range(settings["epochs"]) for batch in self.epoch(seen, self.seed + 100 * fold + epoch)]
        optimizer, total = Optimizer(pupil, settings["rate"], settings["decay"], len(plan)), 0.0
        for step, batch in enumerate(plan):
            loss = self.loss(pupil, batch)
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
            if step % 100 == 99:
                self.say(f"fold {fold}: step {step + 1} of {len(plan)}, loss {total / 100:.3f}")
                total = 0.0
        return pupil.eval()

    def epoch(self, seen, seed):
        order = batches.repeated([self.sources[i] for i in seen], self.settings["repeats"], seed)
        bounds = self.settings["tokens_per_batch"], self.settings["texts_per_batch"]
        return batches.shuffled(self.read.lengths, [seen[i] for i in order], *bounds, seed)

    def loss(self, pupil, batch):
        pooled, wanted, total = pupil(*self.read.of(batch)), self.wanted[:, batch], 0.0
        for number, task in enumerate(self.tasks):
            if (here := wanted[number] >= 0).any():
                each = functional.cross_entropy(pupil.outs[number](pooled[here]).float(), wanted[number, here],
                                                label_smoothing=self.settings["smoothing"], reduction="sum")
                total = total + each / len(batch)
        return total

    @torch.no_grad()
    def ask(self, pupil, places, sums):
        places = np.array([i for i in places if self.asked[i]])
        for batch in batches.sorted_by_length([self.read.lengths[i] for i in places], TOKENS_READ):
            batch = places[batch]
            pooled = pupil(*self.read.of(batch))
            for number, out in enumerate(pupil.outs):
                here = np.array([number in self.asked[i] for i in batch])
                if here.any():
                    sums[number][batch[here]] += out(pooled[torch.from_numpy(here)]).float().numpy()


class Answers:
    """What a tuned encoder says of the texts of all its sources, kept in the run's folder of teachers once found."""

    def __init__(self, school, name):
        self.school, self.place = school, {}
        self.splits = [(split, i) for split in ("train", "dev") for source in school.settings["readers"][name] for i in school.at(split, source)]
        self.place = {at: row for row, at in enumerate(self.splits)}
        self.tasks = self._tasks(name)
        kept = school.folder / f"tuned.{name}.npz"
        if not kept.exists():
            np.savez(kept, **{_key(task.source, task.head): found for task, found in zip(self.tasks, self._found(name))})
        self.kept = np.load(kept)

    def of(self, source, head, split, at):
        """Logits of the task of `source` and `head` for the texts that stand `at` in a split."""
        return self.kept[_key(source, head)][[self.place[split, i] for i in at]]

    def _example(self, row):
        split, i = self.splits[row]
        return self.school.texts[split][i]

    def _tasks(self, name):
        found, settings = [], self.school.settings
        for source in settings["readers"][name]:
            heard = [other for other, about in settings["transfer"].items() if about["from"] == source]
            for head in {head for i in self.school.at("train", source) for head in self.school.texts["train"][i].labels}:
                at = [i for of in (source, *heard) for i in self.school.at("train", of, head)
                      if of == source or settings["transfer"][of]["head"] == head]
                classes, numbers = np.unique([self.school.texts["train"][i].labels[head] for i in at], return_inverse=True)
                if len(classes) > 1 and len(self.school.at("train", source, head)) >= settings["texts_min"]:
                    found.append(Task(head, source, np.array([self.place["train", i] for i in at]), numbers, classes.tolist()))
        return sorted(found, key=lambda task: (task.source, task.head))

    def _found(self, name):
        school = self.school
        settings = {**school.settings["tuning"], **school.settings["tuned"][name]}
        examples = [self._example(row) for row in range(len(self.splits))]
        heard = {(source, about["from"], about["head"]) for source, about in school.settings["transfer"].items()}
        asked = [[number for number, task in enumerate(self.tasks)
                  if e.source == task.source or (e.source, task.source, task.head) in heard] for e in examples]
        read = Read([e.text for e in examples], name, settings["layers"], settings["tokens_max"], school.say)
        return Course(read, [e.source for e in examples], self.tasks, asked, settings, school.seed, school.say).answers()


def _key(source, head):
    return f"{head}.{source}"
