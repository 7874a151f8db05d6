"""Probabilities from the program that ships: its `score`, with its redaction, its tokenizer and its batches."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
RELEASE, DEBUG = (ROOT / "target" / kind / "groundswell" for kind in ("release", "debug"))
SENTIMENT = ["negative", "neutral", "positive"]


class Scored:
    """What the program said: `labels` by head, `probabilities` by head as [texts, labels], and by whose version."""

    def __init__(self, count):
        self.labels, self.probabilities, self.version = {}, {}, None
        self.answered = np.zeros(count, bool)
        self.truncated = 0

    def add(self, line):
        row = int(line["event_id"])
        self.answered[row] = True
        self.version = line["model"]["version"]
        self.truncated += line.get("truncated", False)
        for head, found in heads_of(line).items():
            if head not in self.labels:
                self.labels[head] = sorted(found) if head != "sentiment" else SENTIMENT
                self.probabilities[head] = np.zeros((len(self.answered), len(found)), np.float32)
            self.probabilities[head][row] = [found[label] for label in self.labels[head]]


class Program:
    """`groundswell score --all-labels` with the model directory in place of the configured one."""

    def __init__(self, path=None, model=ROOT / "models" / "text"):
        self.path, self.model = Path(path or RELEASE), Path(model)
        if not self.path.is_file():
            raise SystemExit(f"no program at {self.path}: build it with `make release`, or name one with --program")

    def score(self, texts, languages=None):
        """A text that the program refuses (an empty one) stays unanswered."""
        found = Scored(len(texts))
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "texts.jsonl"
            _write(lines, texts, languages or [""] * len(texts))
            for line in self._lines(lines, Path(folder) / "errors"):
                found.add(line)
        if not found.answered.any():
            raise SystemExit(f"{self.path} answered for none of {len(texts)} texts")
        return found

    def _lines(self, lines, errors):
        command = [self.path, "score", "--all-labels", "--set", f"models.text.path={self.model.resolve()}",
                   "--set", "log.filter=error", lines]
        with open(errors, "w+", encoding="utf-8") as said:
            run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, cwd=ROOT)
            yield from map(json.loads, run.stdout)
            if run.wait() > 1:  # 1: some lines were refused
                said.seek(0)
                raise SystemExit(f"{self.path} score ended with {run.returncode}: {said.read().strip()}")


def heads_of(line):
    """{head: {label: probability}} of one scored line."""
    heads = {"sentiment": line["sentiment"]["probabilities"]} if "sentiment" in line else {}
    for head, labels in line.get("labels", {}).items():
        heads[head] = {found["label"]: found["probability"] for found in labels}
    return heads


def thresholds(model):
    """{head: the probability below which it does not answer}, from the directory's config.json."""
    return {head: about.get("threshold", 0.5) for head, about in _heads(model).items()}


def embeds(model):
    """Whether a head of the directory has no labels: an embedding."""
    return any(not about.get("labels") for about in _heads(model).values())


def _heads(model):
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    return config.get("groundswell", {}).get("heads", {})


def _write(path, texts, languages):
    with open(path, "w", encoding="utf-8") as out:
        for row, (text, language) in enumerate(zip(texts, languages)):
            event = {"event_id": str(row), "text": text} | ({"language": language} if language else {})
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
