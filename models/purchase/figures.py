"""How good probabilities of a later purchase are, and a picture of it by prefix length."""

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from sessions import PREFIXES, span

BINS = 10


def of(follows, probabilities):
    """All figures over these rows; None where only one outcome is among them."""
    if follows.min() == follows.max():
        return None
    return {
        "rows": len(follows),
        "share": float(follows.mean()),
        "auc": float(roc_auc_score(follows, probabilities)),
        "pr_auc": float(average_precision_score(follows, probabilities)),
        "log_loss": float(log_loss(follows, np.clip(probabilities, 1e-6, 1 - 1e-6))),
        "log_loss_of_share": float(log_loss(follows, np.full(len(follows), follows.mean()))),
        "calibration_error": calibration_error(follows, probabilities),
        "lift_10": lift(follows, probabilities, 0.1),
    }


def calibration_error(follows, probabilities):
    """How far, on average, the stated probability is from how often it comes true; bins of equally many rows."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(abs(probabilities[p].mean() - follows[p].mean()) * len(p) for p in parts) / len(follows))


def lift(follows, probabilities, share):
    """How often a purchase follows in the best rows of this share, over how often it does anywhere."""
    best = np.argsort(-probabilities, kind="stable")[: max(1, int(len(follows) * share))]
    return float(follows[best].mean() / follows.mean())


def by_prefix(follows, probabilities, clicks):
    found = {}
    for first, last in PREFIXES:
        kept = (clicks >= first) & (clicks <= (last or clicks.max()))
        figures = of(follows[kept], probabilities[kept]) if kept.any() else None
        if figures:
            found[span(first, last)] = figures
    return found


def spread(follows, probabilities, users, times=200, seed=7):
    """AUC's standard error over users drawn with replacement: rows of one user are no independent witnesses."""
    chance = np.random.default_rng(seed)
    names, place = np.unique(users, return_inverse=True)
    order = np.argsort(place, kind="stable")
    rows = np.split(order, np.searchsorted(place[order], np.arange(1, len(names))))
    found = []
    for _ in range(times):
        drawn = np.concatenate([rows[i] for i in chance.integers(0, len(names), len(names))])
        found.append(roc_auc_score(follows[drawn], probabilities[drawn]))
    return float(np.std(found))


def line(name, figures):
    return (f"{name:28} AUC {figures['auc']:.3f}  PR-AUC {figures['pr_auc']:.3f}  log loss {figures['log_loss']:.4f}"
            f"  calibration {figures['calibration_error']:.3f}  lift {figures['lift_10']:.2f}"
            f"  {figures['rows']} rows, {figures['share']:.1%}")


def picture(curves, path):
    """AUC by prefix length as SVG: `curves` has, by name, what `by_prefix` gives."""
    width, height, left, top, bottom = 640, 320, 56, 24, 64
    spans = [span(*prefix) for prefix in PREFIXES]
    values = [figures["auc"] for curve in curves.values() for figures in curve.values()]
    low, high = np.floor(min(values) * 20) / 20, np.ceil(max(values) * 20) / 20
    across = lambda name: left + (spans.index(name) + 0.5) * (width - left - 16) / len(spans)  # noqa: E731
    up = lambda auc: top + (high - auc) / (high - low) * (height - top - bottom)  # noqa: E731
    colours = ["#0b6e4f", "#c8553d", "#3d5a80", "#8a6d3b", "#6a4c93"]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
             ' font-size="12">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for auc in np.arange(low, high + 1e-9, 0.05):
        parts.append(f'<line x1="{left}" x2="{width - 16}" y1="{up(auc):.1f}" y2="{up(auc):.1f}" stroke="#dddddd"/>'
                     f'<text x="{left - 8}" y="{up(auc) + 4:.1f}" text-anchor="end">{auc:.2f}</text>')
    for name in spans:
        parts.append(f'<text x="{across(name):.1f}" y="{height - bottom + 18}" text-anchor="middle">{name}</text>')
    parts.append(f'<text x="{(left + width) / 2:.0f}" y="{height - bottom + 36}" text-anchor="middle">'
                 "clicks of the session so far</text>")
    for index, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{across(at):.1f},{up(f['auc']):.1f}" for at, f in curve.items())
        x, colour = left + index * (width - left) / len(curves), colours[index % len(colours)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                     f'<rect x="{x:.0f}" y="{height - 18}" width="12" height="4" fill="{colour}"/>'
                     f'<text x="{x + 18:.0f}" y="{height - 12}">{name}</text>')
    parts.append(f'<text x="{left}" y="14">AUC of "a purchase follows", users held back</text></svg>')
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
