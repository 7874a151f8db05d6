"""How the model behaves where a test set is silent: the cases of `behaviour/`, in the form of CheckList
(Ribeiro and others 2020, "Beyond Accuracy").

A case has an id, a capability, a language, a head and a kind:

  minimum     one `text`, and the label that the program must `expect`
  invariance  several `texts` that say the same: the score may not move by more than `bound` from the first
              (`same score`, sentiment's P(positive) - P(negative)), or the label may not change (`same label`)
  direction   two `texts`: the second's score must be `higher` or `lower` by `bound` at least
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from program import RELEASE, ROOT, Program

CASES = Path(__file__).parent / "behaviour"
WORST = 20
FIELDS = {"id", "capability", "language", "kind", "head", "expect"}
EXPECTED = {"invariance": {"same score", "same label"}, "direction": {"higher", "lower"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=ROOT / "models" / "text")
    parser.add_argument("--program", default=RELEASE)
    arguments = parser.parse_args()
    print(table(run(Program(arguments.program, arguments.model))))


def run(program, folder=CASES):
    """Pass rates by capability, kind and language, and the failures that miss by most."""
    cases = read(folder)
    texts = [text for case in cases for text in case["texts"]]
    languages = [case["language"] for case in cases for _ in case["texts"]]
    scored = program.score(texts, languages)
    results, row = [], 0
    for case in cases:
        rows = range(row, row + len(case["texts"]))
        row += len(rows)
        results.append((case, *judge(case, rows, scored)))
    return summary(results)


def read(folder):
    """All cases, in the files' order; one that is not well formed ends the run, named by its id."""
    cases, ids = [], set()
    for path in sorted(Path(folder).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            fault = fault_of(case, ids)
            if fault:
                raise SystemExit(f"{path.name}: case {case.get('id')} {fault}")
            ids.add(case["id"])
            cases.append({**case, "texts": case.get("texts") or [case["text"]]})
    return cases


def fault_of(case, ids):
    if FIELDS - set(case):
        return f"lacks {', '.join(sorted(FIELDS - set(case)))}"
    if case["id"] in ids:
        return "comes twice"
    if case["kind"] == "minimum":
        return None if "text" in case else "has no text"
    if case["expect"] not in EXPECTED.get(case["kind"], ()):
        return f"is of kind {case['kind']} and expects {case['expect']}"
    if len(case.get("texts", [])) < 2 or "bound" not in case:
        return "needs two texts and a bound"
    return None


def judge(case, rows, scored):
    """(passed, by how much it missed, what was found); passed is None where the model has no such head or label."""
    head, labels = case["head"], scored.labels.get(case["head"])
    if labels is None or not scored.answered[list(rows)].all():
        return None, 0.0, None
    found = [scored.probabilities[head][row] for row in rows]
    if case["kind"] == "minimum":
        return judge_minimum(case, labels, found[0])
    if case["expect"] == "same label":
        chosen = [labels[values.argmax()] for values in found]
        return len(set(chosen)) == 1, float(len(set(chosen)) > 1), chosen
    scores = [score(labels, values) for values in found]
    if case["kind"] == "invariance":
        missed = max(abs(other - scores[0]) for other in scores[1:]) - case["bound"]
    else:
        moved = scores[1] - scores[0] if case["expect"] == "higher" else scores[0] - scores[1]
        missed = case["bound"] - moved
    return missed <= 0, max(missed, 0.0), [round(value, 3) for value in scores]


def judge_minimum(case, labels, values):
    if case["expect"] not in labels:
        return None, 0.0, None
    best = labels[values.argmax()]
    missed = float(values.max() - values[labels.index(case["expect"])])
    return best == case["expect"], missed, f"{best} {values.max():.2f}"


def score(labels, values):
    """What the program calls the sentiment's score."""
    return float(values[labels.index("positive")] - values[labels.index("negative")])


def summary(results):
    judged = [result for result in results if result[1] is not None]
    groups = {"capability": lambda case: case["capability"], "kind": lambda case: case["kind"],
              "language": lambda case: case["language"]}
    failures = sorted((r for r in judged if not r[1]), key=lambda r: (-r[2], r[0]["id"]))
    return {
        "cases": len(judged), "skipped": len(results) - len(judged), "passed": sum(r[1] for r in judged),
        **{name: rates(judged, key) for name, key in groups.items()},
        "worst": [{"id": case["id"], "texts": case["texts"], "expect": case["expect"], "bound": case.get("bound"),
                   "found": found, "missed_by": missed} for case, _, missed, found in failures[:WORST]],
        "failed": sorted(case["id"] for case, *_ in failures),
    }


def rates(judged, key):
    found = defaultdict(list)
    for case, passed, _, said in judged:
        found[key(case)].append((passed, turned_round(case, said)))
    return {group: {"cases": len(flags), "passed": sum(p for p, _ in flags), "turned_round": sum(t for _, t in flags),
                    "rate": sum(p for p, _ in flags) / len(flags)}
            for group, flags in sorted(found.items())}


def turned_round(case, said):
    """Whether negative was called positive or the other way round, which is worse than calling it neutral."""
    sides = {case["expect"], str(said).split(" ")[0]}
    return case["kind"] == "minimum" and sides == {"negative", "positive"}


def table(found):
    lines = [f"\nbehaviour: {found['passed']} of {found['cases']} cases pass, {found['skipped']} skipped"]
    for name in ("capability", "kind", "language"):
        lines += [f"  {group:14} {of['passed']:4} of {of['cases']:4}  {of['rate']:.1%}" for group, of in found[name].items()]
    lines.append("  furthest off:")
    lines += [f"  {case['id']:18} expects {case['expect']}, found {case['found']}: {' | '.join(case['texts'])}"
              for case in found["worst"][:10]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
