"""How fast the model is: `python models/speed.py FILE [--json OUT]`.

One thread of one core through ONNX Runtime, on the file's own mix of lengths, in batches sorted by length; next to
MiniLM-L6 in int8 in the same run, turn by turn, so that what else the machine does meets both. Prints the medians,
the share of each operator in a forward pass, and the sizes on disk.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import corpus
import minilm
import runtime

SEED = 7
PROFILED_TEXTS = 300
BUDGETS = (256, 512)
"""Padded tokens a batch: the best ones for a core's own cache; each contender is given its better one."""


def main():
    arguments = parse()
    texts = [row["text"] for row in corpus.rows(arguments.file) if row["text"].strip()]
    chosen = random.Random(SEED).sample(texts, min(arguments.texts, len(texts)))
    contenders = [Contender.shipped(arguments.model, chosen)]
    if not arguments.alone:
        contenders.append(Contender.minilm(chosen))
    for contender in contenders:
        contender.choose_budget()
    for turn in range(arguments.turns):
        for contender in contenders[:: 1 if turn % 2 else -1]:
            contender.turn()
    found = {contender.name: contender.found() for contender in contenders}
    ours, *other = found.values()
    if other:
        found["times"] = ours["texts_per_second"] / other[0]["texts_per_second"]
    found["operators"] = operators(arguments.model, contenders[0].rows[:PROFILED_TEXTS], contenders[0].budget)
    print(table(found))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", help="texts: JSON lines, plain or .gz")
    parser.add_argument("--model", default=Path(__file__).parent / "text", help="an exported directory")
    parser.add_argument("--texts", type=int, default=2000, help="drawn with a fixed seed")
    parser.add_argument("--turns", type=int, default=7, help="of each, of which the median counts")
    parser.add_argument("--alone", action="store_true", help="leave MiniLM out")
    parser.add_argument("--json", help="write everything to this file")
    return parser.parse_args()


class Contender:
    """A session with the texts as it reads them, and the times its turns took."""

    def __init__(self, name, session, outputs, rows, size):
        self.name, self.session, self.outputs, self.rows, self.bytes = name, session, outputs, rows, size
        self.budget, self.walls, self.cores = None, [], []

    @classmethod
    def shipped(cls, directory, texts):
        exported = runtime.Exported(directory)
        size = sum((Path(directory) / name).stat().st_size for name in ("model.onnx", "tokenizer.json", "config.json"))
        return cls("model", exported.session, exported.outputs, exported.encode(texts), size)

    @classmethod
    def minilm(cls, texts):
        tokenizer, path = minilm.quantised()
        rows = minilm.encode(tokenizer, texts)
        session = runtime.session(path, minilm.TUNED)
        size = path.stat().st_size
        return cls("MiniLM-L6 int8", session, {"vectors": session.get_outputs()[0].name}, rows, size)

    def choose_budget(self):
        """Warms up too."""
        few = self.rows[: max(1, len(self.rows) // 10)]
        self.budget = min(BUDGETS, key=lambda budget: self.once(few, budget)[1])

    def once(self, rows, budget):
        order = runtime.sorted_batches(rows, budget)
        wall, core = time.perf_counter(), time.process_time()
        for batch in order:
            runtime.run_one(self.session, self.outputs, [rows[i] for i in batch])
        return time.perf_counter() - wall, time.process_time() - core

    def turn(self):
        wall, core = self.once(self.rows, self.budget)
        self.walls.append(wall)
        self.cores.append(core)

    def found(self):
        """Texts a second of the core's own time: other work on the machine does not count, waiting does not either."""
        tokens = sum(map(len, self.rows))
        return {
            "texts_per_second": len(self.rows) / statistics.median(self.cores),
            "texts_per_second_wall": len(self.rows) / statistics.median(self.walls),
            "slowest": len(self.rows) / max(self.cores), "fastest": len(self.rows) / min(self.cores),
            "turns": len(self.cores), "texts": len(self.rows), "tokens_per_text": tokens / len(self.rows),
            "batch_tokens": self.budget, "bytes": self.bytes,
        }


def operators(directory, rows, budget):
    """[(operator, share of the time in operators)], the largest first, as ONNX Runtime's profiler counts them."""
    with tempfile.TemporaryDirectory() as folder:
        session = runtime.session(Path(directory) / "model.onnx", profile=Path(folder) / "profile")
        outputs = runtime.Exported(directory).outputs
        for batch in runtime.sorted_batches(rows, budget):
            runtime.run_one(session, outputs, [rows[i] for i in batch])
        events = json.loads(Path(session.end_profiling()).read_text())
    took = defaultdict(int)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            took[event["args"]["op_name"]] += event["dur"]
    total = sum(took.values())
    return {name: took[name] / total for name in sorted(took, key=took.get, reverse=True)}


def table(found):
    lines = []
    for name, about in found.items():
        if isinstance(about, dict) and "texts_per_second" in about:
            lines.append(
                f"{name:15} {about['texts_per_second']:7.0f} texts/s of one core ({about['slowest']:.0f} to "
                f"{about['fastest']:.0f} in {about['turns']} turns), {about['tokens_per_text']:.1f} tokens a text, "
                f"batches of {about['batch_tokens']} tokens, {about['bytes'] / 1e6:.1f} MB")
    if "times" in found:
        lines.append(f"{found['times']:.1f} times as fast")
    lines += [f"  {name:24} {share:6.1%}" for name, share in found["operators"].items() if share >= 0.005]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
