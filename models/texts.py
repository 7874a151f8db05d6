"""Labelled texts: JSON lines in, examples with this recipe's own labels out.

Every source names its classes in its own way. `labels.json` maps them to one readable label set a
head; a source it does not know is taken at its word, so that a shop's own labels need no mapping.
A known source with an empty mapping has no labels of that head: what strays into it is dropped.
"""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HEADS = ("sentiment", "topic", "intent")
LABELS_FILE = Path(__file__).parent / "labels.json"


@dataclass
class Example:
    text: str
    source: str
    language: str
    labels: dict = field(default_factory=dict)
    two_classes: bool = False
    """The source has no neutral class, so nothing it says tells neutral from the other two."""


@dataclass
class Task:
    """The labels of one source and head: for each of the texts that stand `at` some places, its label's number among `classes`."""

    head: str
    source: str
    at: np.ndarray
    numbers: np.ndarray
    classes: list


class LabelMap:
    """What each source calls a thing, and what we call it."""

    def __init__(self, path=LABELS_FILE):
        self.heads = json.loads(Path(path).read_text(encoding="utf-8"))

    def of(self, row, source):
        """The labels of one row, by head. A class that the mapping leaves out is dropped."""
        found = {head: self._label(head, row, source) for head in HEADS}
        return {head: label for head, label in found.items() if label is not None}

    def _label(self, head, row, source):
        rule = self.heads[head].get("sources", {}).get(source)
        if rule is not None:
            return rule["map"].get(_plain(row.get(rule["field"])))
        if head == "sentiment":
            return row.get("sentiment")
        if source in self._mapped_sources():
            return None
        return _plain(row.get(head))

    def _mapped_sources(self):
        return {source for head in HEADS for source in self.heads[head].get("sources", {})}

    def order(self, head, seen):
        """The labels of a head that were seen, known ones in the file's order, new ones after."""
        known = [label for label in self.heads[head]["labels"] if label in seen]
        return known + sorted(set(seen) - set(known))

    def names(self, head, labels):
        """Display names by language; a language that lacks a label's name leaves it out."""
        names = {}
        for label in labels:
            for language, name in self.heads[head]["labels"].get(label, {}).items():
                names.setdefault(language, {})[label] = name
        return names


def _plain(value):
    return None if value is None else str(value)


def read(path, label_map):
    """Examples of one file of JSON lines, plain or gzipped."""
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [_example(json.loads(line), label_map) for line in lines if line.strip()]


def _example(row, label_map):
    source = row.get("source", "own")
    return Example(
        text=row["text"],
        source=source,
        language=row.get("lang", ""),
        labels=label_map.of(row, source),
        two_classes=row.get("classes") == 2,
    )


def two_classes(examples):
    """The sources most of whose texts say that they have no neutral class."""
    said = {}
    for e in examples:
        said.setdefault(e.source, []).append(e.two_classes)
    return {source for source, of in said.items() if 2 * sum(of) > len(of)}


def astray(example, head, two_classes):
    """Whether a text's label is a neutral among two classes, which stands there by mistake."""
    return head == "sentiment" and example.labels[head] == "neutral" and example.source in two_classes


def split_file(directory, split):
    """`text.train.jsonl.gz`, or without `.gz`, or `train.jsonl`: the first that is there."""
    names = [f"{stem}.jsonl{end}" for stem in (f"text.{split}", split) for end in (".gz", "")]
    for name in names:
        if (Path(directory) / name).exists():
            return Path(directory) / name
    raise SystemExit(f"no {split} file in {directory} (looked for {', '.join(names)})")
