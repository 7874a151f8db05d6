"""Trains the text model: `python models/train.py --data DIR`.

DIR holds `text.train.jsonl.gz` and `text.dev.jsonl.gz` (see README.md for the fields). A run lives in
`models/runs/NAME/`; the same command again goes on from its last checkpoint.
"""

import argparse
import copy
import json
import random
import shutil
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import batches
import scores
import texts
import tokenizer as tokenizers_here
from network import Network

HERE = Path(__file__).parent
TOKENS_PER_BATCH_SCORED = 8192


def main():
    arguments = parse()
    config = read_config(arguments)
    run = HERE / "runs" / arguments.run
    prepare_run(run, config, arguments)
    start = HERE / "runs" / arguments.start_from if arguments.start_from else None
    if start and not (run / "tokenizer.json").exists():
        shutil.copy(start / "tokenizer.json", run / "tokenizer.json")
    torch.manual_seed(config["seed"])
    torch.set_num_threads(config["training"]["threads"])
    label_map = texts.LabelMap()
    training = load(arguments, "train", label_map, config)
    dev = load(arguments, "dev", label_map, config)
    tokenizer = make_tokenizer(run, training, config["tokenizer"])
    labels = make_labels(run, training, label_map)
    trainer = Trainer(run, config, tokenizer, labels, training, dev)
    if start:
        trainer.begin_with(start)
    trainer.fit()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory with the train and dev files")
    parser.add_argument("--add", action="append", default=[], help="more training texts; may be repeated")
    parser.add_argument("--run", default="text", help="name of the run under models/runs/")
    parser.add_argument("--start-from", help="begin with the weights and tokenizer of this run")
    parser.add_argument("--config", default=str(HERE / "config.toml"))
    parser.add_argument("--quick", action="store_true", help="2,000 texts, to see that everything works")
    parser.add_argument("--fresh", action="store_true", help="start anew instead of resuming")
    return parser.parse_args()


def read_config(arguments):
    config = tomllib.loads(Path(arguments.config).read_text(encoding="utf-8"))
    quick = config.pop("quick")
    if arguments.quick:
        config["texts_max"] = quick["texts"]
        config["training"]["epochs"] = quick["epochs"]
        config["training"]["tokens_per_batch"] = quick["tokens_per_batch"]
        config["tokenizer"]["vocabulary"] = quick["vocabulary"]
    return config


def prepare_run(run, config, arguments):
    """A run resumes only what was started with the same configuration and data."""
    if arguments.fresh and run.exists():
        shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    started = {"config": config, "data": arguments.data, "add": arguments.add, "start_from": arguments.start_from}
    kept = run / "config.json"
    if kept.exists() and json.loads(kept.read_text()) != started:
        raise SystemExit(f"{run} was started with another configuration; --fresh begins anew")
    kept.write_text(json.dumps(started, indent=2))


def load(arguments, split, label_map, config):
    examples = texts.read(texts.split_file(arguments.data, split), label_map)
    if split == "train":
        for path in getattr(arguments, "add", []):
            examples += texts.read(path, label_map)
    if "texts_max" in config:
        chance = random.Random(config["seed"])
        examples = chance.sample(examples, min(config["texts_max"], len(examples)))
    return examples


def make_tokenizer(run, examples, config):
    kept = run / "tokenizer.json"
    if kept.exists():
        return tokenizers_here.Tokenizer.from_file(str(kept))
    tokenizer = tokenizers_here.train((e.text for e in examples), config["vocabulary"], config["alphabet_max"])
    tokenizer.save(str(kept))
    return tokenizer


def make_labels(run, examples, label_map):
    """The labels of each head, in the order of its outputs; a head nobody labelled is left out."""
    seen = {head: {e.labels[head] for e in examples if head in e.labels} for head in texts.HEADS}
    labels = {head: label_map.order(head, found) for head, found in seen.items() if found}
    (run / "labels.json").write_text(json.dumps(labels, indent=1, ensure_ascii=False))
    return labels


class Trainer:
    def __init__(self, run, config, tokenizer, labels, training, dev):
        self.run, self.config, self.labels, self.dev = run, config, labels, dev
        self.settings = config["training"]
        tokens_max = config["tokenizer"]["tokens_max"]
        self.dev_rows = tokenizers_here.encode(tokenizer, [e.text for e in dev], tokens_max)
        training = repeated([e for e in training if e.labels], config["repeats"], config["seed"])
        self.rows = tokenizers_here.encode(tokenizer, [e.text for e in training], tokens_max)
        self.targets = {head: torch.tensor(targets(training, head, labels[head])) for head in labels}
        self.two_classes = torch.tensor([e.two_classes for e in training])
        self.weights = torch.tensor([config["sources"].get(e.source, 1.0) for e in training])
        self.network = build(config, tokenizer.get_vocab_size(), labels, training=True)
        self.average = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.settings["learning_rate"],
            weight_decay=self.settings["weight_decay"], betas=(0.9, 0.98),
        )
        self.lengths = [len(row) for row in self.rows]
        self.steps_per_epoch = len(self.epoch_batches(0))
        self.steps = self.steps_per_epoch * self.settings["epochs"]
        self.step, self.seconds = 0, 0.0

    def epoch_batches(self, epoch):
        bounds = self.settings["tokens_per_batch"], self.settings["texts_per_batch"]
        return batches.shuffled(self.lengths, *bounds, self.config["seed"] + epoch)

    def begin_with(self, start):
        """Another run's weights; its labels must be the same, since the heads' outputs stand for them."""
        if json.loads((start / "labels.json").read_text()) != self.labels:
            raise SystemExit(f"{start} was trained with other labels")
        for network in (self.network, self.average):
            network.load_state_dict(weights(start))

    def fit(self):
        self.resume()
        self.say(f"{len(self.rows)} texts, {sum(self.lengths)} tokens, {self.steps} steps from step {self.step}")
        started, saved, before = time.time(), time.time(), self.seconds
        while self.step < self.steps:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            for batch in self.epoch_batches(epoch)[done:]:
                loss = self.learn(batch)
                self.seconds = before + time.time() - started
                if self.step % 50 == 0:
                    left = self.seconds / self.step * (self.steps - self.step)
                    self.say(f"step {self.step}/{self.steps}  loss {loss:.4f}  {self.seconds:.0f} s, {left:.0f} s left")
                if time.time() - saved > 60 * self.settings["checkpoint_minutes"]:
                    self.save()
                    saved = time.time()
            self.judge()
        self.save()
        torch.save(self.average.state_dict(), self.run / "network.pt")

    def learn(self, batch):
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings["learning_rate"] * self.pace()
        ids, mask = batches.padded([self.rows[i] for i in batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings["bfloat16"]):
            logits = {head: values.float() for head, values in self.network(ids, mask).items()}
        loss = self.loss(logits, torch.tensor(batch))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.follow()
        return float(loss.detach())

    @torch.no_grad()
    def follow(self):
        """The average forgets its first steps quickly, so that a short run is not stuck at its start."""
        share = 1 - min(self.settings["average_decay"], (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), share)

    def pace(self):
        """Up in a straight line, then down in one."""
        warm = max(1, int(self.settings["warmup"] * self.steps))
        return min((self.step + 1) / warm, (self.steps - self.step) / max(1, self.steps - warm))

    def loss(self, logits, batch):
        weights = self.weights[batch]
        total = 0.0
        for head, values in logits.items():
            target = self.targets[head][batch]
            values = self.without_neutral(values, batch) if head == "sentiment" else values
            each = cross_entropy(values, target, self.settings["smoothing"])
            total = total + self.config["heads"][head] * (each * weights).sum() / len(batch)
        return total

    def without_neutral(self, values, batch):
        """A source without a neutral class says nothing about it: its loss is between the other two."""
        if "neutral" not in self.labels["sentiment"]:
            return values
        hidden = torch.zeros_like(values)
        hidden[:, self.labels["sentiment"].index("neutral")] = torch.where(self.two_classes[batch], -1e9, 0.0)
        return values + hidden

    def judge(self):
        logits = predict(self.average, self.dev_rows)
        figures = scores.by_head(self.dev, logits, self.labels)
        self.say(f"after step {self.step}\n{scores.table(figures)}")

    def say(self, line):
        print(line, flush=True)
        with open(self.run / "log.txt", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def save(self):
        """Written aside and renamed, so that a stop in the middle leaves the last one whole."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds,
            "random": torch.get_rng_state(),
        }
        torch.save(state, self.run / "checkpoint.new")
        (self.run / "checkpoint.new").rename(self.run / "checkpoint.pt")

    def resume(self):
        kept = self.run / "checkpoint.pt"
        if not kept.exists():
            return
        state = torch.load(kept)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["random"])


def weights(run):
    """Of the finished run, or of the last checkpoint of one that is still under way."""
    if (run / "network.pt").exists():
        return torch.load(run / "network.pt")
    print(f"{run} has not ended: taking its last checkpoint")
    return torch.load(run / "checkpoint.pt")["average"]


def repeated(examples, repeats, seed):
    """Some sources are read more than once an epoch, or only a share of them is."""
    chance = random.Random(seed)
    found = []
    for example in examples:
        whole, part = divmod(repeats.get(example.source, 1), 1)
        found += [example] * (int(whole) + (chance.random() < part))
    return found


def targets(examples, head, labels):
    """Class numbers; -1 where a text has no label of this head."""
    place = {label: index for index, label in enumerate(labels)}
    return [place.get(e.labels.get(head), -1) for e in examples]


def cross_entropy(values, target, smoothing):
    """A loss a text. Smoothing spreads over the classes that are open to it, never to masked ones."""
    logs = functional.log_softmax(values, dim=-1)
    open_classes = values > -1e8
    right = -logs.gather(1, target.clamp(min=0)[:, None])[:, 0]
    spread = -(logs * open_classes).sum(1) / open_classes.sum(1)
    return ((1 - smoothing) * right + smoothing * spread) * (target >= 0)


def build(config, vocabulary, labels, training=False):
    settings = config["training"] if training else {"dropout": 0.0, "token_dropout": 0.0}
    classes = {head: len(found) for head, found in labels.items()}
    return Network(config["network"], vocabulary, config["tokenizer"]["tokens_max"], classes,
                   settings["dropout"], settings["token_dropout"])


@torch.no_grad()
def predict(network, rows):
    """Logits of all rows by head, in the rows' order."""
    network.eval()
    lengths = [len(row) for row in rows]
    found = {}
    for batch in batches.sorted_by_length(lengths, TOKENS_PER_BATCH_SCORED):
        for head, values in network(*batches.padded([rows[i] for i in batch])).items():
            found.setdefault(head, np.zeros((len(rows), values.shape[1]), np.float32))[batch] = values.numpy()
    return found


if __name__ == "__main__":
    main()
