"""Clicks as rows of features, made by the program itself, so that training sees what serving computes."""

import os
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

ROOT = Path(__file__).parents[2]
PREFIXES = [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, None)]


@dataclass
class Rows:
    names: list
    features: np.ndarray
    follows: np.ndarray
    users: np.ndarray
    sessions: np.ndarray
    event_ms: np.ndarray

    def __len__(self):
        return len(self.follows)

    def of(self, names):
        """The columns of these features, in this order."""
        place = {name: index for index, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise SystemExit(f"the program does not compute {', '.join(missing)}: is the binary as new as the model?")
        return np.ascontiguousarray(self.features[:, [place[name] for name in names]])

    def where(self, kept):
        return Rows(self.names, self.features[kept], self.follows[kept], self.users[kept], self.sessions[kept],
                    self.event_ms[kept])

    @property
    def clicks(self):
        """How many clicks of the session are known at each row."""
        return self.of(["clicks"])[:, 0].astype(int)


def binary(given=None):
    """The program: as given, as GROUNDSWELL names it, as built here, or as installed."""
    candidates = [given, os.environ.get("GROUNDSWELL"), ROOT / "target/release/groundswell",
                  ROOT / "target/debug/groundswell", shutil.which("groundswell")]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            return str(candidate)
    raise SystemExit("no groundswell binary: build one (`make release`) or name it with --binary")


def read(path, config, program):
    """Features of a file of clicks."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "features.parquet"
        command = [program, "features", str(path), "--out", str(out)]
        command += [f"--field={name}={pointer}" for name, pointer in config["fields"].items()]
        command += [f"--set=clicks.{name}={value}" for name, value in config["clicks"].items()]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return load(out)


def load(path):
    table = parquet.read_table(path)
    first = table.column_names.index("purchase_follows") + 1
    names = table.column_names[first:]
    features = np.stack([table[name].to_numpy() for name in names], axis=1)
    column = lambda name: np.array(table[name].to_pylist())  # noqa: E731
    return Rows(names, features, column("purchase_follows").astype(np.int8), column("user"), column("session"),
                column("event_ms"))


def fold_of(users, folds):
    """The same user is always in the same fold, whatever else is in the file."""
    return np.array([zlib.crc32(str(user).encode()) % folds for user in users])


def span(first, last):
    return f"{first}" if first == last else f"{first}-{last}" if last else f"{first}+"
