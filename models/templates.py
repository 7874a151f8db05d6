"""Training texts drawn from the patterns of `templates.toml`: negated praise, contrasts, and plain facts of whoever."""

import random
import re
import tomllib
from pathlib import Path

import texts

FILE = Path(__file__).parent / "templates.toml"
SOURCE = "templates"
SLOT = re.compile(r"\{(\w+)\}")
TRIES = 20
"""Draws for each text wanted, at most: a pattern with few fillings runs out of new ones."""


def draw(seed, path=FILE):
    """Examples of every group, none twice, the same for the same seed."""
    chance, found = random.Random(seed), {}
    for language, about in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for group in about["texts"]:
            for text in _group(chance, group, about["slots"]):
                found.setdefault(text, texts.Example(text, SOURCE, language, {"sentiment": group["sentiment"]}))
    return list(found.values())


def _group(chance, group, slots):
    made = {}
    for _ in range(TRIES * group["count"]):
        if len(made) == group["count"]:
            break
        made[_fill(chance, chance.choice(group["forms"]), slots)] = True
    return list(made)


def _fill(chance, form, slots):
    used = set()

    def word(match):
        found = chance.choice([word for word in slots[match[1]] if word not in used])
        used.add(found)
        return found

    return SLOT.sub(word, form)
