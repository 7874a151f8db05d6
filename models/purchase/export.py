"""Writes a trained run as a model directory: `python models/purchase/export.py --file CLICKS [--run NAME]`.

The directory holds model.onnx and config.json. CLICKS is read to see that the file says what the learners say.
"""

import argparse
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import onnx

import graph
import runtime
import sessions

HERE = Path(__file__).parent
DIFFERENCE_MAX = 1e-5


def main():
    arguments = parse()
    run, out = HERE / "runs" / arguments.run, Path(arguments.out)
    kept = pickle.loads((run / "parts.pickle").read_bytes())
    onnx.save(graph.write(kept), out / "model.onnx")
    about = {
        "model_type": "groundswell-purchase",
        "input": graph.INPUT,
        "output": graph.OUTPUT,
        "features": kept["features"],
        "session_gap_ms": 1_800_000,
        "utc_offset_minutes": kept["config"]["clicks"]["utc_offset_minutes"],
    }
    (out / "config.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    rows = sessions.read(arguments.file, kept["config"], sessions.binary(arguments.binary))
    difference = np.abs(runtime.Exported(out).probabilities(rows) - wanted(kept, rows)).max()
    print(f"largest difference of a probability, runtime against training code: {difference:.1e} over {len(rows)} rows")
    if difference > DIFFERENCE_MAX:
        raise SystemExit(f"{out / 'model.onnx'} does not say what the learners say ({difference:.1e})")
    for name in ("model.onnx", "config.json"):
        content = (out / name).read_bytes()
        print(f"{name} {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()[:12]}")


def wanted(kept, rows):
    features = rows.of(kept["features"])
    logits = np.mean([part.logits(features) for part in kept["parts"].values()], axis=0)
    return kept["calibration"].probabilities(logits)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", required=True, help="JSON lines of clicks in the training file's form")
    parser.add_argument("--run", default="purchase", help="name of the run under models/purchase/runs/")
    parser.add_argument("--out", default=str(HERE), help="directory to write")
    parser.add_argument("--binary", help="the groundswell program; looked for under target/ otherwise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
