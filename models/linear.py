"""The linear terms and the gate of a trained run: `python models/linear.py --data DIR --run NAME`.

`train.py` does this at its end. For each source and head that `[linear]` of the configuration names, a
linear support-vector machine is trained on the tokens and chosen runs of the source's texts; the terms
that say most are kept. The gate is a logistic regression of the kind of text on what the encoder says.
How much of both is listened to is found on dev by the export (`calibrate.py`). Written to `kinds.pt`.
"""

import argparse
import json
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC
from torch.nn import functional

import batches
import templates
import texts
import tokenizer as tokenizers_here
from kinds import Kinds
from texts import Task

FOLDS = 3
SEED = 7
CHOOSING_TEXTS = 10_000
PASSES_MAX, TOLERANCE = 300, 1e-3
"""Of a machine: it is settled to a thousandth long before it is settled to the library's own measure."""
STEPS_OF_GATE = 60
TOKENS_PER_BATCH = 8192


def main():
    import train  # which calls this module when it trains

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True, help="directory with the train file")
    parser.add_argument("--add", action="append", default=[], help="more training texts; may be repeated")
    parser.add_argument("--run", default="text", help="name of the run under models/runs/")
    arguments = parser.parse_args()
    run = train.HERE / "runs" / arguments.run
    config = json.loads((run / "config.json").read_text())["config"]
    labels = json.loads((run / "labels.json").read_text())
    torch.set_num_threads(config["training"]["threads"])
    tokenizer = tokenizers_here.Tokenizer.from_file(str(run / "tokenizer.json"))
    network = train.build(config, tokenizer.get_vocab_size(), labels)
    network.load_state_dict(train.weights(run))
    examples = train.load(arguments, "train", texts.LabelMap(), config)
    rows = tokenizers_here.encode(tokenizer, [e.text for e in examples], config["tokenizer"]["tokens_max"])
    make(run, config, network, rows, examples, labels, lambda line: print(line, flush=True))


def make(run, config, network, rows, examples, labels, say, begin=None):
    """Fits terms and gate on the training texts, and keeps them in the run.

    Kinds of text cannot be told from one another where texts of some are missing: a run that began from a directory
    (`begin`) and has not texts of all the kinds that this one knows goes on with that one's gate and terms. With
    `terms_kept` it goes on with the terms alone, which do not depend on the network; the gate does.
    """
    network.eval()
    names = kinds_of(examples, config)
    if begin and begin.kinds and not set(begin.kinds) <= set(names):
        missing = ", ".join(sorted(set(begin.kinds) - set(names)))
        say(f"gate and linear terms are kept as {begin.path} has them: no texts of {missing}")
        keep(run, begin.added_by_kinds(network, labels), begin.kinds)
        return
    kind = [kind_of(e.source, config) for e in examples]
    numbers = [names.index(k) if k in names else -1 for k in kind]
    if begin and begin.kinds == names and config["linear"].get("terms_kept"):
        found = begin.added_by_kinds(network, labels)
        _fill_gate(found.gate, network, rows, numbers, config, say)
        keep(run, found, names)
        return
    tables = {}
    for head, sources in config["linear"]["sources"].items():
        tasks = list(_tasks(head, sources, examples, labels.get(head, ())))
        if tasks:
            tables[head] = Table(tasks, network, rows, config["linear"], say)
    found = Kinds(len(names), network.encoder.width, network.places_max(), {head: len(of) for head, of in labels.items()},
                  {head: (table.columns, table.count) for head, table in tables.items()})
    for head, table in tables.items():
        table.fill(found.terms[head], found.addends[head], names, labels[head], config["linear"]["heard"])
    _fill_gate(found.gate, network, rows, numbers, config, say)
    keep(run, found, names)


def keep(run, kinds, names):
    torch.save(kinds.state_dict(), run / "kinds.pt")
    (run / "kinds.json").write_text(json.dumps(names, indent=1))


def kinds_of(examples, config):
    return sorted({kind_of(e.source, config) for e in examples if e.source != templates.SOURCE})


def kind_of(source, config):
    """Sources of one nature are one kind."""
    return config["linear"]["joined"].get(source, source)


def _tasks(head, sources, examples, names):
    """The sources' tasks, classes in the order in which the head has them."""
    two_classes = texts.two_classes(examples)
    for source in sources:
        at = [i for i, e in enumerate(examples) if e.source == source and e.labels.get(head) in names
              and not texts.astray(e, head, two_classes)]
        numbers = np.array([names.index(examples[i].labels[head]) for i in at], int)
        kinds, numbers = np.unique(numbers, return_inverse=True)
        if len(kinds) > 1:
            yield Machine(head, source, np.array(at, int), numbers, [names[number] for number in kinds])


@dataclass
class Machine(Task):
    """The machine of a task, once fitted. `terms` are [places, columns]: of two classes one column, of more one for each but the first."""

    terms: np.ndarray = None
    addends: np.ndarray = None
    penalty: float = 1.0


class Table:
    """The machines' terms in one table: columns for each, a row for each token or run that says enough to any of them."""

    def __init__(self, tasks, network, rows, settings, say):
        self.tasks, self.settings, self.say = tasks, settings, say
        self.places = network.places_max()
        self.columns = sum(len(task.classes) - 1 for task in tasks)
        self.features = [_counts(network, [rows[i] for i in task.at], self.places) for task in tasks]
        for task, counts in zip(tasks, self.features):
            self._fit(task, counts, np.ones(self.places, bool), choose=True)
        self.kept = self._choose(settings["rows"].get(tasks[0].head, 0))
        for task, counts in zip(tasks, self.features):
            self._fit(task, counts, self.kept)

    def _fit(self, task, counts, allowed, choose=False):
        """A machine on the terms that are allowed: each weighed by how rare it is in the source's texts."""
        rarity = np.log((1 + counts.shape[0]) / (1 + np.diff(counts.tocsc().indptr))) + 1
        scale = rarity * allowed
        vectors = (counts @ sparse.diags(scale)).tocsr()
        unit = np.sqrt(vectors.multiply(vectors).sum() / counts.shape[0])
        vectors = vectors / max(unit, 1e-9)
        if choose:
            task.penalty = self._best(task, vectors)
        machine = _machine(task.penalty).fit(vectors, task.numbers)
        weights, addends = machine.coef_.T * (scale / max(unit, 1e-9))[:, None], machine.intercept_
        if len(task.classes) > 2:
            weights, addends = weights[:, 1:] - weights[:, :1], addends[1:] - addends[0]
        task.terms, task.addends = weights.astype(np.float32), addends

    def _best(self, task, vectors):
        """The machine's C that is right most often on texts that it did not see, of a sample where there are many."""
        sample = np.random.default_rng(SEED).permutation(len(task.numbers))[:CHOOSING_TEXTS]
        right = {c: cross_val_score(_machine(c), vectors[sample], task.numbers[sample], cv=FOLDS).mean()
                 for c in self.settings["penalties"]}
        best = max(right, key=right.get)
        self.say(f"linear {task.head} {task.source}: C {best}, accuracy held out {right[best]:.4f}")
        return best

    def _choose(self, rows):
        """The `rows` places (0: all) that most move any machine's answers, as shares of all that moves it."""
        moved = []
        for task, counts in zip(self.tasks, self.features):
            squares = np.asarray(counts.multiply(counts).sum(0)).ravel()
            energy = squares * np.square(task.terms).sum(1)
            moved.append(energy / max(energy.sum(), 1e-12))
        best = np.max(moved, axis=0)
        kept = best > 0
        if rows:
            kept[np.argsort(-best, kind="stable")[rows:]] = False
        self.count = int(kept.sum()) if rows else 0
        self.say(f"linear terms of {self.tasks[0].head}: {int(kept.sum())} of {int((best > 0).sum())} places kept, "
                 f"of what moves a machine {min(of[kept].sum() for of in moved):.1%} or more")
        return kept

    @torch.no_grad()
    def fill(self, terms, addends, names, labels, heard):
        """Columns side by side; each kind reads its own, or those of another that it hears. `labels` are the head's."""
        at = np.flatnonzero(self.kept)
        rows = at
        if self.count:
            terms.row[at] = torch.arange(1, len(at) + 1)
            rows = np.arange(1, len(at) + 1)
        start = 0
        for task in self.tasks:
            width = task.terms.shape[1]
            terms.table[start : start + width, rows] = torch.from_numpy(task.terms[at].T)
            for kind in [task.source, *(kind for kind, of in heard.items() if of == task.source)]:
                if kind in names:
                    _mix(terms, addends, task, names.index(kind), start, labels)
            start += width


def _mix(terms, addends, task, kind, start, labels):
    """Which columns speak for which labels of a kind."""
    first, classes = kind * terms.columns + start, [labels.index(name) for name in task.classes]
    if len(classes) == 2:
        for label, side in zip(classes, (-0.5, 0.5)):
            terms.mix[first, label] = side
            addends[kind, label] = side * float(task.addends[0])
        return
    for column, label in enumerate(classes[1:]):
        terms.mix[first + column, label] = 1.0
        addends[kind, label] = float(task.addends[column])


def _machine(penalty):
    return LinearSVC(C=penalty, max_iter=PASSES_MAX, tol=TOLERANCE)


def _counts(network, rows, places):
    """[texts, places]: how often each token and run stands in a text, over the root of its length."""
    found = []
    for batch in range(0, len(rows), 256):
        part = rows[batch : batch + 256]
        ids, mask = batches.padded(part)
        at = network.places(ids)
        real = mask.bool().repeat(1, at.shape[1] // ids.shape[1])
        text = torch.arange(len(part))[:, None].expand_as(at)[real]
        values = (1 / mask.sum(1, keepdim=True).float().sqrt()).expand_as(at)[real]
        found.append(sparse.csr_matrix((values.numpy(), (text.numpy(), at[real].numpy())), (len(part), places)))
    counts = sparse.vstack(found, format="csr")
    counts.sum_duplicates()
    none = places - 1  # the place of runs that were not chosen
    keep = sparse.diags((np.arange(places) != none).astype(np.float32))
    return (counts @ keep).tocsr()


def _fill_gate(gate, network, rows, wanted, config, say):
    """Logistic regression, every kind alike, on a sample of each."""
    chance, settings = np.random.default_rng(config["seed"]), config["linear"]
    wanted = np.array(wanted)
    sample = np.concatenate([chance.permutation(np.flatnonzero(wanted == kind))[: settings["gate_texts"]]
                             for kind in range(gate.out_features)])
    read = pooled(network, [rows[i] for i in sample])
    aims = torch.from_numpy(wanted[sample])
    weights = 1.0 / torch.bincount(aims, minlength=gate.out_features).float()[aims] / gate.out_features
    mean, spread = read.mean(0), read.std(0) + 1e-6
    read = (read - mean) / spread
    layer = torch.nn.Linear(read.shape[1], gate.out_features)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS_OF_GATE, line_search_fn="strong_wolfe")

    def cost():
        optimizer.zero_grad()
        found = (functional.cross_entropy(layer(read), aims, reduction="none") * weights).sum()
        found = found + settings["gate_decay"] * layer.weight.square().sum()
        found.backward()
        return found

    optimizer.step(cost)
    with torch.no_grad():
        right = (layer(read).argmax(1) == aims).float()
        gate.weight.copy_(layer.weight / spread)
        gate.bias.copy_(layer.bias - gate.weight @ mean)
    say(f"gate: {len(sample)} texts of {gate.out_features} kinds, told rightly {float((right * weights).sum()):.1%}")


@torch.no_grad()
def pooled(network, rows):
    """What the encoder says of each text."""
    found = torch.zeros(len(rows), network.encoder.width)
    for batch in batches.sorted_by_length([len(row) for row in rows], TOKENS_PER_BATCH):
        found[batch] = network.encoder(*batches.padded([rows[i] for i in batch]))
    return found


if __name__ == "__main__":
    main()
