"""Writes the figures into the model card: `python models/card.py [--figures FOLDER] [--page FILE]`.

The folder holds what `evaluate.py`, `check_batches.py` and `speed.py` wrote (`evaluation.json`, `batches.json`,
`speed.json`), and, written by hand, what training took (`training.json`: `seconds` of each part, `on` what, `watts` of a core). In the page, what stands between `<!-- NAME -->` and `<!-- /NAME -->` is replaced; the words around
it are written by hand, and must be true of the figures.
"""

import argparse
import json
import re
from pathlib import Path

HERE = Path(__file__).parent
FIGURES = HERE / "figures"
PAGE = HERE / "text" / "README.md"
SVM, BAG = "TF-IDF with a linear SVM", "bag of hashed n-grams"
NONE = "not measured"
WORST = 12
OPERATOR_SHARE_MIN = 0.01

ROWS = [
    ("sentiment", "online_shopping_10_cats", "f1_positive", "F1 of positive", "正面 F1"),
    ("sentiment", "online_shopping_10_cats", "accuracy", "accuracy", "准确率"),
    ("sentiment", "waimai_10k", "f1_positive", "F1 of positive", "正面 F1"),
    ("sentiment", "waimai_10k", "accuracy", "accuracy", "准确率"),
    ("sentiment", "eprstmt", "accuracy", "accuracy", "准确率"),
    ("sentiment", "multi_domain_sentiment", "accuracy", "accuracy", "准确率"),
    ("sentiment", "stockemotions", "accuracy", "accuracy", "准确率"),
    ("sentiment", "tweeteval_sentiment", "macro_recall", "macro-recall", "宏平均召回率"),
    ("sentiment", "finfe", "accuracy", "accuracy", "准确率"),
    ("sentiment", "cped", "accuracy", "accuracy", "准确率"),
    ("topic", "online_shopping_10_cats", "accuracy_in_domain", "accuracy", "准确率"),
    ("topic", "multi_domain_sentiment", "accuracy_in_domain", "accuracy", "准确率"),
    ("topic", "tnews", "accuracy_in_domain", "accuracy", "准确率"),
    ("topic", "twitter_fin_news_topic", "accuracy_in_domain", "accuracy", "准确率"),
    ("intent", "banking77", "accuracy_in_domain", "accuracy, in domain", "准确率（域内）"),
    ("intent", "clinc150", "accuracy_in_domain", "accuracy in scope, in domain", "准确率（域内）"),
    ("intent", "clinc150", "outside_recall", "recall out of scope", "域外召回率"),
    ("intent", "cic", "macro_f1_in_domain", "macro-F1", "宏平均 F1"),
    ("intent", "cic", "accuracy_in_domain", "accuracy", "准确率"),
]
"""(head, source, figure, what it is called, what it is called in Chinese), as each source's field reports it."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--figures", default=FIGURES, help="(default: %(default)s)")
    parser.add_argument("--page", default=PAGE, help="(default: %(default)s)")
    arguments = parser.parse_args()
    page, figures = Path(arguments.page), read(arguments.figures)
    page.write_text(filled(page.read_text(encoding="utf-8"), sections(figures)), encoding="utf-8")
    print(f"{page}: figures of model {figures['evaluation']['model']['version']}")


def read(folder):
    """{evaluation, batches, speed, training}; only the first must be there."""
    found = {}
    for name in ("evaluation", "batches", "speed", "training"):
        path = Path(folder) / f"{name}.json"
        found[name] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if found["evaluation"] is None:
        raise SystemExit(f"no evaluation.json in {folder}: evaluate.py --json writes it")
    return found


def filled(page, contents):
    for name, text in contents.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        if not pattern.search(page):
            raise SystemExit(f"the page has no section {name}")
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


def sections(figures):
    evaluation = figures["evaluation"]
    return {
        "version": version(evaluation),
        "heads": heads_table(evaluation),
        "training": training(figures["training"]),
        "figures": figures_table(evaluation),
        "zh": zh_table(evaluation),
        "certainty": certainty_table(evaluation),
        "languages": languages_table(evaluation),
        "lengths": lengths_table(evaluation),
        "categories": categories_table(evaluation),
        "embedding": embedding_table(evaluation),
        "behaviour": behaviour_table(evaluation),
        "exactness": exactness(evaluation, figures["batches"]),
        "speed": speed(figures["speed"], evaluation),
    }


def version(evaluation):
    model = evaluation["model"]
    return (f"Version `{model['version']}`, {model['bytes'] / 1e6:.1f} MB; "
            f"{evaluation['texts']:,} texts of `{evaluation['file']}`, {evaluation['truncated']} of them cut to the "
            "length that the model reads.")


def heads_table(evaluation):
    rows = [[f"`{head}`", number(about.get("threshold")) if about.get("threshold") else "always",
             sum(of["texts"] for of in about["sources"].values())] for head, about in evaluation["heads"].items()]
    return table(["head", "answers from a probability of", "texts judged"], rows)


def training(found):
    """Energy is an estimate: the time of the one busy core at what such a core draws."""
    if not found:
        return NONE
    parts = ", ".join(f"{name} {seconds / 60:.0f} min" for name, seconds in found["seconds"].items())
    total = sum(found["seconds"].values())
    return (f"It took {total / 60:.0f} minutes of wall time on {found['on']} ({parts}). At some {found['watts']} W for the "
            f"core that is {total * found['watts'] / 3.6e6:.3f} kWh, estimated, not measured; trials before it not counted.")


def figures_table(evaluation):
    rows = []
    for head, source, figure, name, _ in ROWS:
        found = of(evaluation["heads"], head, source)
        values = [found.get(figure), *(of(baseline(evaluation, b), head, source).get(figure) for b in (SVM, BAG))]
        if found:
            rows.append([source, head, found["texts"], name, *best_bold(values)])
    rows += [[source, head, found["texts"], "accuracy", number(found.get("accuracy")), "", ""]
             for head, source, found in own_sources(evaluation)]
    return table(["source", "head", "texts", "figure", "model", "TF-IDF + SVM", "n-gram bag"], rows)


def zh_table(evaluation):
    names = {"sentiment": "情感", "topic": "主题", "intent": "意图"}
    rows = [[source, names[head], name, number(of(evaluation["heads"], head, source).get(figure)),
             number(of(baseline(evaluation, SVM), head, source).get(figure))]
            for head, source, figure, _, name in ROWS if of(evaluation["heads"], head, source)]
    return table(["数据来源", "任务", "指标", "本模型", "TF-IDF + SVM"], rows)


def own_sources(evaluation):
    """Sources that the rows above do not know: somebody's own texts."""
    known = {source for _, source, *_ in ROWS}
    return [(head, source, found) for head, about in evaluation["heads"].items()
            for source, found in about["sources"].items() if source not in known]


def certainty_table(evaluation):
    rows = []
    for head, about in evaluation["heads"].items():
        for source, found in about["sources"].items():
            rows.append([head, source, number(found["calibration_error"]), percent(found.get("coverage")),
                         percent(found.get("accuracy_above")), percent(found.get("accuracy_of_three", found["accuracy"]))])
    return table(["head", "source", "calibration error", "answered", "of those right", "right, all labels open"], rows)


def languages_table(evaluation):
    rows = [[head, language, found["texts"], found["sources"], percent(found["accuracy"]),
             percent(found["accuracy_sources_alike"])]
            for head, about in evaluation["heads"].items() for language, found in about["languages"].items()]
    return table(["head", "language", "texts", "sources", "right", "right, every source alike"], rows)


def lengths_table(evaluation):
    parts = [(head, language, found["lengths"]) for head, about in evaluation["heads"].items()
             for language, found in about["languages"].items()]
    names = sorted({name for *_, lengths in parts for name in lengths}, key=lambda name: int(name.split("-")[0]))
    rows = [[head, language, *(cell(lengths.get(name)) for name in names)] for head, language, lengths in parts]
    return table(["head", "language", *names], rows)


def categories_table(evaluation):
    rows = []
    for source, found in evaluation["heads"].get("sentiment", {}).get("sources", {}).items():
        parts = found["slices"].get("category", {})
        if len(parts) > 1:
            rows += [[source, name, part["texts"], percent(part["accuracy"])] for name, part in parts.items()]
    return table(["source", "category", "texts", "sentiment right"], rows)


def embedding_table(evaluation):
    rows = [[source, about["texts"], percent(about["nearest_means_the_same"]), percent(about["nearest_by_tfidf"])]
            for source, about in evaluation.get("embedding", {}).items()]
    return table(["source", "texts", "nearest text has the same intent", "by TF-IDF"], rows) if rows else "This model has none."


def behaviour_table(evaluation):
    found = evaluation.get("behaviour")
    if not found:
        return NONE
    rows = [[name, part["cases"], part["passed"], percent(part["rate"]), part["turned_round"]]
            for name, part in found["capability"].items()]
    turned = sum(part["turned_round"] for part in found["capability"].values())
    rows.append(["**all**", found["cases"], found["passed"], percent(found["passed"] / found["cases"]), turned])
    kinds = ", ".join(f"{name} {part['passed']} of {part['cases']}" for kind in ("kind", "language")
                      for name, part in found[kind].items())
    worst = [[case["id"], " · ".join(case["texts"]).replace("|", "\\|"), expected(case), said(case["found"])]
             for case in found["worst"][:WORST]]
    return "\n\n".join([table(["capability", "cases", "passed", "", "turned round"], rows), f"By kind and language: {kinds}.",
                        "Furthest off:", table(["case", "texts", "expected", "found"], worst)])


def expected(case):
    return case["expect"] if case["bound"] is None or case["expect"] == "same label" else f"{case['expect']}, {case['bound']:g}"


def said(found):
    return ", ".join(map(str, found)) if isinstance(found, list) else found


def exactness(evaluation, batches):
    lines = []
    lost = [(value, head, source, name) for head, sources in evaluation.get("losses", {}).items()
            for source, figures in sources.items() for name, value in figures.items() if value is not None]
    if lost:
        value, head, source, name = max(lost)
        lines.append(f"Against the same weights in fp32, {len(lost)} figures compared: the largest loss is {value:.4f} "
                     f"({head} of {source}, {name}), the mean {sum(row[0] for row in lost) / len(lost):+.5f}.")
    if batches:
        lines.append(f"{batches['texts']} texts alone, in sorted batches, in mixed batches of 32, and padded to the "
                     f"longest length: the largest change of any probability is {batches['largest']:.1e}.")
    return "\n\n".join(lines) or NONE


def speed(found, evaluation):
    if not found:
        return NONE
    rows = [[name, f"{about['texts_per_second']:,.0f}", f"{about['slowest']:,.0f} to {about['fastest']:,.0f}",
             f"{about['tokens_per_text']:.1f}", about["batch_tokens"], f"{about['bytes'] / 1e6:.1f} MB"]
            for name, about in found.items() if isinstance(about, dict) and "texts_per_second" in about]
    lines = [table(["", "texts/s of one core", "in all turns", "tokens a text", "padded tokens a batch", "on disk"], rows)]
    if "times" in found:
        lines.append(f"That is {found['times']:.1f} times as fast.")
    operators = [[name, percent(share)] for name, share in found["operators"].items() if share >= OPERATOR_SHARE_MIN]
    return "\n\n".join([*lines, table(["operator", "share of a forward pass"], operators)])


def of(heads, head, source):
    about = heads.get(head, {})
    return about.get("sources", about).get(source, {})


def baseline(evaluation, name):
    return evaluation.get("baselines", {}).get(name, {})


def best_bold(values):
    """As text, the largest in bold."""
    known = [value for value in values if value is not None]
    return ["" if value is None else f"**{number(value)}**" if value == max(known) else number(value) for value in values]


def cell(part):
    return f"{percent(part['accuracy'])} ({part['texts']})" if part else ""


def number(value):
    return "" if value is None else f"{value:.3f}".removeprefix("0")


def percent(value):
    return "" if value is None else f"{100 * value:.1f} %"


def table(names, rows):
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(str(value) for value in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
