"""Texts to judge by: what training reads, and the fields that an evaluation cuts slices by."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import texts


@dataclass
class Text(texts.Example):
    category: str | None = None


def read(path):
    """Labelled texts of one file of JSON lines (or of a folder's dev file), with this recipe's own labels."""
    label_map = texts.LabelMap()
    return [_example(row, label_map) for row in rows(path)]


def rows(path):
    """The lines as they are. Of a folder, those of its dev file."""
    path = file_of(path)
    opened = gzip.open if str(path).endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise SystemExit(f"cannot read {path}: {error}") from None


def file_of(path, split="dev"):
    """The file itself, or that of a folder."""
    return texts.split_file(path, split) if Path(path).is_dir() else path


def _example(row, label_map):
    source = row.get("source", "own")
    return Text(
        text=row["text"],
        source=source,
        language=row.get("lang", ""),
        labels=label_map.of(row, source),
        two_classes=row.get("classes") == 2,
        category=row.get("category"),
    )
