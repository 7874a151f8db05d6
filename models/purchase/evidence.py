"""Further evidence, apart from the model that ships: the same recipe on two other shops' data.

`python models/purchase/evidence.py --rees46 FILE --uci FILE`. REES46's clicks (with prices and brands) are brought into
our form, go through the same features and are learned by the same learners, users held back. UCI's sessions are summed up
already, so they show only what the learners make of such sums; PageValues is left out, because it knows the outcome.
"""

import argparse
import csv
import gzip
import json
import tempfile
import tomllib
from pathlib import Path

import numpy as np

import figures
import sessions
from learners import LEARNERS, Calibration, row_weights

HERE = Path(__file__).parent
ACTIONS = {"view": "view", "cart": "cart", "remove_from_cart": "remove", "purchase": "purchase"}
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
VISITORS = ["New_Visitor", "Other", "Returning_Visitor"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rees46", help="JSON lines with REES46's columns, plain or .gz")
    parser.add_argument("--uci", help="online_shoppers_intention.csv")
    parser.add_argument("--binary", help="the groundswell program; looked for under target/ otherwise")
    parser.add_argument("--learners", nargs="+", default=["logistic", "trees"], choices=["logistic", "trees"])
    arguments = parser.parse_args()
    config = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
    if arguments.rees46:
        rees46(arguments, config)
    if arguments.uci:
        uci(arguments, config)


def rees46(arguments, config):
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder) / "clicks.jsonl"
        opened = gzip.open(arguments.rees46, "rt") if arguments.rees46.endswith(".gz") else open(arguments.rees46)
        with opened as lines, open(ours, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(from_rees46(json.loads(line))) + "\n" for line in lines)
        plain = {"fields": {"user": "/user"}, "clicks": {"utc_offset_minutes": 0}}
        rows = sessions.read(ours, plain, sessions.binary(arguments.binary))
    names = [n for n in rows.names if not n.startswith("step_") and np.ptp(rows.of([n])) > 0]
    judge("REES46", arguments, config, rows.of(names), rows.follows, rows.users,
          row_weights(rows.sessions, rows.users))


def from_rees46(row):
    click = {"user": row["user_id"], "item": row["product_id"], "category": row["category_id"],
             "action": ACTIONS[row["event_type"]], "event_time": row["event_time"].replace(" UTC", "Z").replace(" ", "T")}
    return click | ({"brand": row["brand"]} if row["brand"] else {}) | ({"price": row["price"]} if row["price"] else {})


def uci(arguments, config):
    with open(arguments.uci, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    features = np.array([from_uci(row) for row in rows], np.float32)
    follows = np.array([row["Revenue"] == "TRUE" for row in rows], np.int8)
    judge("UCI 468", arguments, config, features, follows, np.arange(len(rows)), np.ones(len(rows)))


def from_uci(row):
    numbers = [float(value) for name, value in row.items()
               if name not in ("Month", "VisitorType", "Weekend", "Revenue", "PageValues")]
    return numbers + [MONTHS.index(row["Month"]), VISITORS.index(row["VisitorType"]), row["Weekend"] == "TRUE"]


def judge(title, arguments, config, features, follows, users, weights):
    fold = sessions.fold_of(users, config["folds"])
    for name in arguments.learners:
        probabilities = np.zeros(len(follows))
        for held in range(config["folds"]):
            aside = fold == held
            learner = LEARNERS[name](config).fit(features[~aside], follows[~aside], weights[~aside])
            calibration = Calibration().fit(learner.logits(features[~aside]), follows[~aside])
            probabilities[aside] = calibration.probabilities(learner.logits(features[aside]))
        error = figures.spread(follows, probabilities, users)
        print(figures.line(f"{title}, {name}", figures.of(follows, probabilities)), f" ± {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
