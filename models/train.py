"""Trains the text model: `python models/train.py --data DIR`.

DIR holds `text.train.jsonl.gz` and `text.dev.jsonl.gz` (see README.md for the fields). A run lives in
`models/runs/NAME/`; the same command again goes on from its last checkpoint. The teachers are asked
first (`teachers.py`); what they say is kept in the run. At the end linear terms come beside the
network (`linear.py`). With `--begin DIRECTORY` training goes on from what was exported there, such as
the model that ships, instead of from nothing; what is not taught anew stays as it was there.
"""

import argparse
import copy
import json
import math
import random
import shutil
import time
import tomllib
from pathlib import Path

import numpy as np
import torch

import batches
import linear
import ngrams
import restore
import scores
import teachers
import templates
import texts
import tokenizer as tokenizers_here
from losses import Lessons, apart, targets
from network import EMBEDDING, Network

HERE = Path(__file__).parent
TOKENS_PER_BATCH_SCORED = 8192
CANDIDATES = 1.5
"""Runs of tokens that compete for a place of the table: with as many as places a quarter of the places stays empty."""
AVERAGE_EVERY = 10
"""Steps between two looks of the moving average, which costs as much as a tenth of a step."""


def main():
    arguments = parse()
    config = read_config(arguments)
    run = HERE / "runs" / arguments.run
    prepare_run(run, config, arguments)
    torch.manual_seed(config["seed"])
    torch.set_num_threads(config["training"]["threads"])
    label_map = texts.LabelMap()
    training = load(arguments, "train", label_map, config)
    dev = load(arguments, "dev", label_map, config)
    begin = restore.Directory(arguments.begin) if arguments.begin else None
    tokenizer = make_tokenizer(run, training, config["tokenizer"], begin)
    labels = make_labels(run, training, label_map, begin)
    taught = teachers.ask(run, config, training, dev, labels, places=not begin)
    trainer = Trainer(run, config, tokenizer, labels, training, dev, taught, begin)
    trainer.fit()
    if not (run / "kinds.pt").exists():
        linear.make(run, config, trainer.ended(), trainer.rows, training, labels, trainer.say, begin)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory with the train and dev files")
    parser.add_argument("--add", action="append", default=[], help="more training texts; may be repeated")
    parser.add_argument("--begin", help="an exported directory whose weights, tokenizer and labels to go on from")
    parser.add_argument("--run", default="text", help="name of the run under models/runs/")
    parser.add_argument("--config", default=str(HERE / "config.toml"))
    parser.add_argument("--over", help="a configuration whose values go over those of --config")
    parser.add_argument("--quick", action="store_true", help="2,000 texts, to see that everything works")
    parser.add_argument("--fresh", action="store_true", help="start anew instead of resuming")
    return parser.parse_args()


def read_config(arguments):
    """The configuration; what --over names goes over it, and with --quick what `[quick]` holds, table by table."""
    config = tomllib.loads(Path(arguments.config).read_text(encoding="utf-8"))
    quick = config.pop("quick")
    if getattr(arguments, "over", None):
        config = laid_over(config, tomllib.loads(Path(arguments.over).read_text(encoding="utf-8")))
    return laid_over(config, quick, depth=1) if arguments.quick else config


def laid_over(config, other, depth=2):
    """The tables of `other` over those of the same name, `depth` tables deep; other values in place of what was there."""
    both = {name: laid_over(config[name], value, depth - 1) if depth and isinstance(value, dict) and name in config else value
            for name, value in other.items()}
    return {**config, **both}


def prepare_run(run, config, arguments):
    """A run resumes only what was started with the same configuration and data."""
    if arguments.fresh and run.exists():
        shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    started = {"config": config, "data": arguments.data, "add": arguments.add, "begin": arguments.begin}
    kept = run / "config.json"
    if kept.exists() and json.loads(kept.read_text()) != started:
        raise SystemExit(f"{run} was started with another configuration; --fresh begins anew")
    kept.write_text(json.dumps(started, indent=2))


def load(arguments, split, label_map, config):
    examples = texts.read(texts.split_file(arguments.data, split), label_map)
    if split == "train":
        for path in getattr(arguments, "add", []):
            examples += texts.read(path, label_map)
        if config["repeats"].get(templates.SOURCE):
            examples += templates.draw(config["seed"])
    if "texts_max" in config:
        chance = random.Random(config["seed"])
        examples = chance.sample(examples, min(config["texts_max"], len(examples)))
    return examples


def make_tokenizer(run, examples, config, begin=None):
    kept = run / "tokenizer.json"
    if begin and not kept.exists():
        shutil.copy(begin.tokenizer, kept)
    if kept.exists():
        return tokenizers_here.Tokenizer.from_file(str(kept))
    tokenizer = tokenizers_here.train((e.text for e in examples), config["vocabulary"], config["alphabet_max"])
    tokenizer.save(str(kept))
    return tokenizer


def make_labels(run, examples, label_map, begin=None):
    """The labels of each head, in the order of its outputs; a head nobody labelled is left out."""
    seen = {head: {e.labels[head] for e in examples if head in e.labels} for head in texts.HEADS}
    labels = {head: label_map.order(head, found) for head, found in seen.items() if found}
    labels = begin.labels_with(labels) if begin else labels
    (run / "labels.json").write_text(json.dumps(labels, indent=1, ensure_ascii=False))
    return labels


ORIGIN_EVERY = 4
"""Steps between two looks at where the network that training began from has the embeddings."""


class Round:
    """Some epochs under one rise and fall of the learning rates. Its steps count from `first`."""

    def __init__(self, first, share, epochs):
        self.first, self.share, self.epochs = first, share, epochs
        self.steps = sum(map(len, epochs))

    def pace(self, step, warmup):
        """The share of the learning rates at a step: up in a straight line, then down along half a cosine."""
        warm = max(1, int(warmup * self.steps))
        done = step - self.first
        down = max(0.0, (done - warm) / max(1, self.steps - warm))
        return self.share * min((done + 1) / warm, 0.5 * (1 + math.cos(math.pi * down)))


class Trainer:
    def __init__(self, run, config, tokenizer, labels, training, dev, taught, begin=None):
        self.run, self.config, self.labels, self.dev = run, config, labels, dev
        self.settings = config["training"]
        tokens_max = config["tokenizer"]["tokens_max"]
        self.dev_rows = tokenizers_here.encode(tokenizer, [e.text for e in dev], tokens_max)
        self.rows = tokenizers_here.encode(tokenizer, [e.text for e in training], tokens_max)
        self.lengths, self.sources = [len(row) for row in self.rows], [e.source for e in training]
        self.wanted = torch.from_numpy(taught.places) if config["network"]["embedding"] else None
        self.network = build(config, tokenizer.get_vocab_size(), labels, training=True)
        self.origin, self.beginning, opinions = None, None, taught.opinions
        if begin:
            begin.fill(self.network, labels)
            opinions = with_held(opinions, config["teachers"].get("held", {}), self.network, self.rows, training, begin.labels)
            if labels == begin.labels:  # a new label has no weights there worth keeping
                self.beginning = copy.deepcopy(self.network.state_dict())
            self.origin = copy.deepcopy(self.network).eval() if self.wanted is not None else None
        else:
            self._begin_anew(tokenizer, training)
        self.lessons = Lessons(training, labels, config, opinions)
        self.average = copy.deepcopy(self.network)
        self._make_optimizers()
        self.rounds = self._plan()
        self.steps = sum(made.steps for made in self.rounds)
        self.round, self.step, self.seconds = self.rounds[0], 0, 0.0

    def _begin_anew(self, tokenizer, training):
        config = self.config
        chosen = choose_ngrams(self.rows, training, self.labels, config)
        prints, placed = ngrams.place(chosen, *config["network"]["ngram_buckets"])
        self.network.encoder.ngrams.prints.copy_(torch.from_numpy(prints))
        self.say(f"{len(placed)} of {len(chosen)} chosen n-grams found a place")
        if config["teachers"]["tables"] and not (self.run / "checkpoint.pt").exists():
            teachers.begin_tables(self.run, self.network, tokenizer, placed, config)

    def _make_optimizers(self):
        """Tables learn by rows: a step touches few of them, and a row that is rarely met must learn quickly."""
        tables = {"tokens": self.network.encoder.tokens.weight, "ngrams": self.network.encoder.ngrams.table.weight}
        ids = {id(table) for table in tables.values()}
        self.rest = [p for p in self.network.parameters() if id(p) not in ids]
        self.optimizers = {
            "rest": torch.optim.AdamW(self.rest, weight_decay=self.settings["weight_decay"], betas=(0.9, 0.98)),
            **{name: torch.optim.SparseAdam([table], betas=(0.9, 0.98)) for name, table in tables.items()},
        }
        self.rates = {"rest": self.settings["learning_rate"],
                      **{name: self.settings[f"{name}_rate"] for name in tables}}

    def _plan(self):
        """Every batch of every round, known beforehand, so that a run can be resumed and says how far it is."""
        made, first, seed = [], 0, self.config["seed"]
        for about in self.config["rounds"]:
            repeats = {**self.config["repeats"], **about.get("repeats", {})}
            epochs = [self._epoch_batches(repeats, seed + place) for place in range(about["epochs"])]
            made.append(Round(first, about["share"], epochs))
            first, seed = first + made[-1].steps, seed + about["epochs"]
        return made

    def _epoch_batches(self, repeats, seed):
        order = batches.repeated(self.sources, repeats, seed)
        bounds = self.settings["tokens_per_batch"], self.settings["texts_per_batch"]
        return batches.shuffled(self.lengths, order, *bounds, seed)

    def fit(self):
        self.resume()
        tokens = sum(self.lengths[i] for made in self.rounds for epoch in made.epochs for batch in epoch for i in batch)
        self.say(f"{len(self.rows)} texts, {tokens} tokens in all epochs, {self.steps} steps from step {self.step}")
        self.started, self.saved, self.before = time.time(), time.time(), self.seconds
        for number, made in enumerate(self.rounds):
            if self.step < made.first + made.steps:
                self.begin(made)
                self.go_through(made)
                torch.save(self.average.state_dict(), self.run / f"round{number}.pt")
        self.save()
        found = mean([torch.load(self.run / f"round{n}.pt") for n in range(len(self.rounds))])
        if self.beginning:
            found = mean([found, self.beginning], [1 - self.settings["beginning_kept"], self.settings["beginning_kept"]])
        torch.save(found, self.run / "network.pt")

    def ended(self):
        """The network as the run leaves it."""
        network = copy.deepcopy(self.average)
        network.load_state_dict(torch.load(self.run / "network.pt"))
        return network

    def begin(self, made):
        """A later round goes on from the average, with a fresh memory of slopes."""
        self.round = made
        if made.first and self.step == made.first:
            self.network.load_state_dict(self.average.state_dict())
            self._make_optimizers()

    def go_through(self, made):
        passed = made.first
        for epoch, planned in enumerate(made.epochs):
            for batch in planned[max(0, self.step - passed) :]:
                self.learn(batch)
                self.report_and_save()
            passed += len(planned)
            last = epoch + 1 == len(made.epochs)
            if passed == self.step and (last or (epoch + 1) % self.settings["judge_epochs"] == 0):
                self.judge()

    def report_and_save(self):
        self.seconds = self.before + time.time() - self.started
        if self.step % 100 == 0:
            left = self.seconds / self.step * (self.steps - self.step)
            losses = "  ".join(f"{head} {value:.3f}" for head, value in self.losses.items())
            self.say(f"step {self.step}/{self.steps}  {losses}  {self.seconds:.0f} s, {left:.0f} s left")
        if time.time() - self.saved > 60 * self.settings["checkpoint_minutes"]:
            self.save()
            self.saved = time.time()

    def learn(self, batch):
        self.network.train()
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = self.rates[name] * self.round.pace(self.step, self.settings["warmup"])
            optimizer.zero_grad(set_to_none=True)
        ids, mask = batches.padded([self.rows[i] for i in batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings["bfloat16"]):
            found = {head: values.float() for head, values in self.network(ids, mask).items()}
        batch = torch.tensor(batch)
        losses = {head: self.lessons.loss(head, found[head], batch) for head in self.labels}
        places = self.places(ids, mask, batch)
        if places is not None:
            losses[EMBEDDING] = self.config["heads"][EMBEDDING] * apart(found[EMBEDDING], places)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimizer in self.optimizers.values():
            optimizer.step()
        self.losses = {head: float(value.detach()) for head, value in losses.items()}
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.follow()

    @torch.no_grad()
    def places(self, ids, mask, batch):
        """Where the embeddings of a batch should lie: where the teachers put them or, for a network that began from
        another, where that one has them (now and then, since asking it costs a third of a step)."""
        if self.origin is None:
            return None if self.wanted is None else self.wanted[batch].float()
        return self.origin(ids, mask)[EMBEDDING] if self.step % ORIGIN_EVERY == 0 else None

    @torch.no_grad()
    def follow(self):
        """The average forgets its first steps quickly, so that a short run is not stuck at its start."""
        kept = self.settings["average_decay"] ** AVERAGE_EVERY
        done = self.step - self.round.first
        share = 1 - min(kept, (1 + done) / (10 * AVERAGE_EVERY + done))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), share)

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
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "step": self.step, "seconds": self.seconds, "random": torch.get_rng_state(),
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
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["random"])


def choose_ngrams(rows, examples, labels, config):
    """Every head and source is a task of its own; without any label, the runs that most texts have."""
    tasks = []
    for head, names in labels.items():
        numbers = targets(examples, head, names)
        for source in sorted({e.source for e in examples}):
            at = [i for i, e in enumerate(examples) if e.source == source and numbers[i] >= 0]
            kinds, classes = np.unique(numbers[at], return_inverse=True)
            if len(kinds) > 1:
                tasks.append((at, classes, config["ngrams"].get(source, 1.0)))
    return ngrams.choose(rows, tasks, int(config["network"]["ngram_buckets"][0] * CANDIDATES))


def with_held(opinions, held, network, rows, examples, labels):
    """The opinions, with the network's own in place of the teachers' for the sources that `held` names by head: these
    stay where they are while others learn. `labels` are those that the network has been taught."""
    found = {head: dict(of) for head, of in opinions.items()}
    for head, sources in held.items():
        for source in sources:
            at = [i for i, e in enumerate(examples) if e.source == source]
            if at and head in labels:
                logits = predict(network, [rows[i] for i in at])[head][:, : len(labels[head])]
                found.setdefault(head, {})[source] = at, labels[head], scores.softmax(logits)
    return found


def mean(states, shares=None):
    """Several states of a network, averaged: each knows something that the next forgets. Whole numbers are the same in all."""
    shares = shares or [1 / len(states)] * len(states)
    return {name: sum(share * state[name] for share, state in zip(shares, states)) if value.is_floating_point() else value
            for name, value in states[0].items()}


def weights(run):
    """Of the finished run, or of the last checkpoint of one that is still under way."""
    if (run / "network.pt").exists():
        return torch.load(run / "network.pt")
    print(f"{run} has not ended: taking its last checkpoint")
    return torch.load(run / "checkpoint.pt")["average"]


def build(config, vocabulary, labels, training=False):
    settings = config["training"] if training else {"dropout": 0.0, "token_dropout": 0.0}
    classes = {head: len(found) for head, found in labels.items()}
    if config["network"]["embedding"]:
        classes[EMBEDDING] = config["network"]["embedding"]
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
