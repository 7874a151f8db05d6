"""Compares purchase models on users held back, and trains the one that ships: `python models/purchase/train.py FILE`.

FILE holds clicks as JSON lines, plain or .gz; `config.toml` says where their fields are. Its users are dealt into folds,
and features are made for each fold by itself: no fold knows what another's users did. A run lives in
`models/purchase/runs/NAME/`: every learner's logits on users held back, figures, and the fitted parts.
"""

import argparse
import gzip
import json
import pickle
import tempfile
import time
import tomllib
from pathlib import Path

import numpy as np

import figures
import sessions
from learners import LEARNERS, Calibration, row_weights

HERE = Path(__file__).parent
DAY_MS = 86_400_000


def main():
    arguments = parse()
    config = tomllib.loads(Path(arguments.config).read_text(encoding="utf-8"))
    run = HERE / "runs" / arguments.run
    run.mkdir(parents=True, exist_ok=True)
    folds = read_folds(arguments.file, config, sessions.binary(arguments.binary))
    rows = joined(folds)
    fold = np.concatenate([np.full(len(part), number) for number, part in enumerate(folds)])
    logits = {name: held_back(run, name, config, rows, fold) for name in arguments.learners}
    logits |= blends(logits)
    found = report(rows, fold, logits)
    found["by_time"] = by_time(config, rows, fold)
    (run / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    curves = {name: found["learners"][name]["by_prefix"] for name in logits}
    figures.picture(curves, run / "prefixes.svg")
    ship(run, config, rows, logits)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="JSON lines of clicks, plain or .gz")
    parser.add_argument("--run", default="purchase", help="name of the run under models/purchase/runs/")
    parser.add_argument("--config", default=str(HERE / "config.toml"))
    parser.add_argument("--binary", help="the groundswell program; looked for under target/ otherwise")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=list(LEARNERS))
    return parser.parse_args()


def read_folds(path, config, program):
    """Rows of each fold of users, from a file of that fold alone."""
    user = config["fields"]["user"].lstrip("/")
    opened = gzip.open(path, "rt") if str(path).endswith(".gz") else open(path, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, opened as lines:
        names = [Path(folder) / f"{fold}.jsonl" for fold in range(config["folds"])]
        parts = [open(name, "w", encoding="utf-8") for name in names]
        for line in lines:
            parts[sessions.fold_of([json.loads(line)[user]], config["folds"])[0]].write(line)
        for part in parts:
            part.close()
        return [sessions.read(name, config, program) for name in names]


def joined(parts):
    stack = lambda of: np.concatenate([of(part) for part in parts])  # noqa: E731
    return sessions.Rows(parts[0].names, stack(lambda p: p.features), stack(lambda p: p.follows),
                         stack(lambda p: p.users), stack(lambda p: p.sessions), stack(lambda p: p.event_ms))


def inputs(config, names, learner):
    """The features that a learner reads; the steps come last and only where they are read."""
    whole = [name for name in names if not name.startswith("step_") and name not in config["inputs"]["left_out"]]
    steps = [name for name in names if name.startswith("step_")]
    return whole + steps if learner == "sequence" else whole


def held_back(run, name, config, rows, fold):
    """Logits for every row from a learner that has seen no row of that row's user."""
    kept = run / f"{name}.npy"
    if kept.exists() and len(np.load(kept)) == len(rows):
        return np.load(kept)
    features, logits, started = rows.of(inputs(config, rows.names, name)), np.zeros(len(rows)), time.process_time()
    for held in range(config["folds"]):
        aside = fold == held
        weights = row_weights(rows.sessions[~aside], rows.users[~aside])
        learner = LEARNERS[name](config).fit(features[~aside], rows.follows[~aside], weights)
        logits[aside] = learner.logits(features[aside])
    print(f"{name}: {time.process_time() - started:.0f} s of one core", flush=True)
    np.save(kept, logits)
    return logits


def fit(config, name, rows):
    features = rows.of(inputs(config, rows.names, name))
    return LEARNERS[name](config).fit(features, rows.follows, row_weights(rows.sessions, rows.users))


def blends(logits):
    """Means of logits: of all learners, and of those without the sequence."""
    names = list(logits)
    pairs = [names[:2], names] if len(names) > 2 else [names] if len(names) == 2 else []
    return {" + ".join(pair): np.mean([logits[name] for name in pair], axis=0) for pair in pairs}


def report(rows, fold, logits):
    found = {}
    for name, values in logits.items():
        probabilities = calibrated_apart(values, rows.follows, fold)
        whole = figures.of(rows.follows, probabilities)
        whole["auc_error"] = figures.spread(rows.follows, probabilities, rows.users)
        of_fold = [figures.of(rows.follows[fold == f], probabilities[fold == f])["auc"] for f in np.unique(fold)]
        prefixes = figures.by_prefix(rows.follows, probabilities, rows.clicks)
        found[name] = {"all": whole, "auc_by_fold": of_fold, "by_prefix": prefixes}
        print(figures.line(name, whole), f" ± {whole['auc_error']:.3f}", [round(auc, 3) for auc in of_fold], flush=True)
    return {"learners": found}


def calibrated_apart(logits, follows, fold):
    """Each fold's probabilities by a calibration that saw only the others."""
    probabilities = np.zeros(len(logits))
    for held in np.unique(fold):
        aside = fold == held
        probabilities[aside] = Calibration().fit(logits[~aside], follows[~aside]).probabilities(logits[aside])
    return probabilities


def by_time(config, rows, fold):
    """Trained on the first two thirds of the days of four fifths of the users; judged on the rest of the days, by users
    known from training and by users held back."""
    starts = {}
    for session, at in zip(rows.sessions, rows.event_ms):
        starts[session] = min(at, starts.get(session, at))
    start = np.array([starts[session] for session in rows.sessions])
    days = (rows.event_ms.max() - rows.event_ms.min()) / DAY_MS
    cut = int(rows.event_ms.min()) + int(days * 2 / 3) * DAY_MS
    early, held = start < cut, fold == 0
    # A session that runs over the cut is left out: its label would look ahead.
    ended = np.isin(rows.sessions, rows.sessions[~early | (rows.event_ms >= cut)], invert=True)
    training = early & ended & ~held
    names, taught = config["ship"]["parts"], rows.where(training)
    learned = {name: fit(config, name, taught) for name in names}
    found = {"cut_ms": cut}
    for title, kept in {"later_known_users": ~early & ~held, "later_users_held_back": ~early & held}.items():
        part = rows.where(kept)
        logits = np.mean([learned[n].logits(part.of(inputs(config, part.names, n))) for n in names], axis=0)
        found[title] = figures.of(part.follows, 1 / (1 + np.exp(-logits)))
        print(figures.line(title, found[title]), flush=True)
    return found


def ship(run, config, rows, logits):
    """The parts that ship, trained on all users; the calibration comes from users held back."""
    names = config["ship"]["parts"]
    held = np.mean([logits[name] for name in names], axis=0)
    parts = {name: fit(config, name, rows) for name in names}
    kept = {"config": config, "features": inputs(config, rows.names, names[0]), "parts": parts,
            "calibration": Calibration().fit(held, rows.follows)}
    with open(run / "parts.pickle", "wb") as file:
        pickle.dump(kept, file)


if __name__ == "__main__":
    main()
