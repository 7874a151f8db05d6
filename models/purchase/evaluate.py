"""Figures of the purchase model on any file of clicks: `python models/purchase/evaluate.py FILE`.

FILE holds JSON lines of clicks, plain or .gz. `config.toml` says where the fields are found; `--field item=/sku` says
otherwise. Features come from the groundswell program, probabilities from the ONNX model that ships.
"""

import argparse
import json
import tomllib
from pathlib import Path

import figures
import sessions
from runtime import Exported

HERE = Path(__file__).parent


def main():
    arguments = parse()
    config = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
    config["fields"] |= dict(field.split("=", 1) for field in arguments.field)
    rows = sessions.read(arguments.file, config, sessions.binary(arguments.binary))
    exported = Exported(arguments.model)
    probabilities = exported.probabilities(rows)
    whole = figures.of(rows.follows, probabilities)
    if whole is None:
        raise SystemExit(f"{arguments.file}: every row has the same label, so there is nothing to tell apart")
    whole["auc_error"] = figures.spread(rows.follows, probabilities, rows.users)
    found = {"all": whole, "by_prefix": figures.by_prefix(rows.follows, probabilities, rows.clicks)}
    print(figures.line("all prefixes", whole), f" AUC's standard error over users {whole['auc_error']:.3f}")
    for name, part in found["by_prefix"].items():
        print(figures.line(f"clicks so far {name}", part))
    if arguments.speed:
        found["microseconds_a_row"] = exported.microseconds_a_row(rows)
        print(f"{found['microseconds_a_row']:.2f} µs a row on one core, in batches of 256")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="JSON lines of clicks, plain or .gz")
    parser.add_argument("--model", default=str(HERE), help="an exported directory")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=POINTER", help="where a field is found")
    parser.add_argument("--binary", help="the groundswell program; looked for under target/ otherwise")
    parser.add_argument("--speed", action="store_true", help="measure the model's time a row on one core")
    parser.add_argument("--json", help="write all figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
