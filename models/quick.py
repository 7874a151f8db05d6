"""The whole way in minutes: `python models/quick.py [--data FOLDER] [--program PATH]`.

Trains on 2,000 texts, exports, checks that scores do not depend on the batch, and evaluates through the program.
Without a folder of texts, made-up ones are used (`sample.py`), and what comes out must be right about them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sample
from program import RELEASE

HERE = Path(__file__).parent
RUN = "quick"
ACCURACY_MIN = 0.6
"""On made-up texts, of which .94 can be right. A guess is right one time in three about sentiment, one in four else."""
TEXTS = 2000


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", help="folder with a train and a dev file (default: made-up texts)")
    parser.add_argument("--program", default=RELEASE, help="the program (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or folder
        if not arguments.data:
            sample.write(folder)
        figures = the_whole_way(data, Path(folder), arguments.program)
    if not arguments.data:
        demand(figures)


def the_whole_way(data, folder, program):
    model, figures = folder / "model", folder / "figures.json"
    step("train.py", "--data", data, "--quick", "--run", RUN, "--fresh")
    step("export.py", "--data", data, "--run", RUN, "--out", model)
    step("check_batches.py", data, "--model", model, "--texts", 200)
    step("evaluate.py", data, "--model", model, "--program", program, "--texts", TEXTS, "--json", figures)
    return json.loads(figures.read_text(encoding="utf-8"))


def step(script, *arguments):
    started = time.monotonic()
    ended = subprocess.run([sys.executable, HERE / script, *map(str, arguments)], check=False)
    if ended.returncode:
        raise SystemExit(f"{script} ended with {ended.returncode}")
    print(f"{script} took {time.monotonic() - started:.0f} s", flush=True)


def demand(figures):
    """What even a small model must have learnt of texts put together from a few parts."""
    for head in ("sentiment", "topic", "intent"):
        for source, found in figures["heads"][head]["sources"].items():
            accuracy = found.get("accuracy_in_domain", found["accuracy"])
            if accuracy < ACCURACY_MIN:
                raise SystemExit(f"{head} of {source}: accuracy {accuracy:.3f} is below {ACCURACY_MIN}")
    print("the whole way works")


if __name__ == "__main__":
    main()
