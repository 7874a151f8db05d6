"""Fits segments of users: centres of k-means over the numbers that the program computes of each user.

    python models/segments/fit.py clicks.jsonl.gz --field user=/user_id ... --out models/segments

One row a user, as of their last click, fits the centres; the rows of all profiles say how large each segment is, since
that is the mix that is seen online. k is the one with the largest mean silhouette among those whose segments hold at least
five users in a hundred each and come back when half of the users are drawn anew (adjusted Rand index of 0.6 or more, mean
of twenty draws). A segment is called after the numbers in which its centre lies furthest from the mean.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
CHOICES = range(2, 9)
# A user beyond this many standard deviations counts as being there, here as in the program.
FAR = 3.0
SHARE_MIN = 0.05
STABLE = 0.6
DRAWS = 20
STARTS = 20
SEED = 7
# What a centre far above or below the mean is called.
WORDS = {
    "sessions_per_day": ("frequent", "rare"),
    "clicks_per_session": ("browsing", "brief"),
    "minutes_per_session": ("lingering", "hasty"),
    "cart_share": ("cart-filling", "cart-shy"),
    "favourite_share": ("collecting", "uncollecting"),
    "purchase_share": ("buying", "looking"),
    "buying_session_share": ("decided", "undecided"),
    "breadth": ("broad", "focused"),
    "item_repeats": ("returning", "moving-on"),
    "night_share": ("nightly", "daily"),
    "price_level": ("upmarket", "thrifty"),
}


def rows_of(path, program, fields, settings):
    """Names, each user's row as of their last click, and the rows of all profiles as they come online."""
    names = list(WORDS)
    last = {user: row for user, row in written(path, program, fields, settings + ["clicks.profile_interval_ms=0"], names)}
    profiles = [row for _, row in written(path, program, fields, settings, names)]
    return names, np.array(list(last.values())), np.array(profiles)


def written(path, program, fields, settings, names):
    """User and row of each profile that the clicks give."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        command = [program, "features", str(path), "--out", str(Path(folder) / "features.parquet"), "--segment-rows", str(rows)]
        command += [part for field in fields for part in ("--field", field)]
        command += [part for setting in settings for part in ("--set", setting)]
        subprocess.run(command, check=True)
        lines = [json.loads(line) for line in rows.open(encoding="utf-8")]
    if not lines:
        raise SystemExit(f"{path} gives no profile")
    unknown = set(lines[0]["features"]) ^ set(names)
    if unknown:
        raise SystemExit(f"the program and this recipe differ in {', '.join(sorted(unknown))}")
    return [(line["user"], [line["features"][name] for name in names]) for line in lines]


def standardised(rows, mean, deviation):
    return np.clip((rows - mean) / deviation, -FAR, FAR)


def nearest(rows, centres):
    return ((rows[:, None, :] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)


def k_means(rows, k, rng):
    """Lloyd's algorithm from the best of several k-means++ starts."""
    best = (np.inf, None)
    for _ in range(STARTS):
        centres = plus_plus(rows, k, rng)
        for _ in range(300):
            labels = nearest(rows, centres)
            moved = np.array([rows[labels == at].mean(axis=0) if (labels == at).any() else centres[at] for at in range(k)])
            if np.allclose(moved, centres):
                break
            centres = moved
        inertia = ((rows - centres[nearest(rows, centres)]) ** 2).sum()
        if inertia < best[0]:
            best = (inertia, centres)
    return best[1]


def plus_plus(rows, k, rng):
    centres = [rows[rng.integers(len(rows))]]
    while len(centres) < k:
        apart = ((rows[:, None, :] - np.array(centres)[None]) ** 2).sum(axis=2).min(axis=1)
        centres.append(rows[rng.choice(len(rows), p=apart / apart.sum())])
    return np.array(centres)


def silhouette(rows, labels):
    apart = np.sqrt(((rows[:, None, :] - rows[None]) ** 2).sum(axis=2))
    scores = []
    for at, label in enumerate(labels):
        mine = labels == label
        if mine.sum() < 2:
            scores.append(0.0)
            continue
        within = apart[at][mine].sum() / (mine.sum() - 1)
        beside = min(apart[at][labels == other].mean() for other in set(labels) - {label})
        scores.append((beside - within) / max(within, beside))
    return float(np.mean(scores))


def adjusted_rand(one, other):
    """Hubert and Arabie, 1985: 1 where two partitions are the same, 0 where they agree as chance would have it."""
    pairs = lambda counts: (counts * (counts - 1) / 2).sum()
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1)
    both, of_one, of_other = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = of_one * of_other / pairs(np.array([len(one)]))
    return float((both - expected) / ((of_one + of_other) / 2 - expected))


def stability(rows, k, centres, rng):
    labels = nearest(rows, centres)
    scores = []
    for _ in range(DRAWS):
        drawn = rows[rng.choice(len(rows), len(rows) // 2, replace=False)]
        scores.append(adjusted_rand(labels, nearest(rows, k_means(drawn, k, rng))))
    return float(np.mean(scores))


def choose(rows, rng):
    """Centres, and what each number of segments came to."""
    tried, best = [], None
    for k in CHOICES:
        centres = k_means(rows, k, rng)
        labels = nearest(rows, centres)
        found = {
            "k": k,
            "silhouette": round(silhouette(rows, labels), 4),
            "smallest_share": round(float(np.bincount(labels, minlength=k).min() / len(rows)), 4),
            "stability": round(stability(rows, k, centres, rng), 4),
        }
        tried.append(found)
        print(json.dumps(found), file=sys.stderr)
        sound = found["smallest_share"] >= SHARE_MIN and found["stability"] >= STABLE
        if sound and (best is None or found["silhouette"] > best[0]):
            best = (found["silhouette"], centres)
    if best is None:
        raise SystemExit("no number of segments is stable with segments that are large enough")
    return best[1], tried


def called(names, centres):
    """After the number furthest from the mean, and the next ones as far as two would share a name."""
    orders = [np.argsort(-np.abs(centre)) for centre in centres]
    words = lambda at, count: "-".join(WORDS[names[place]][int(centres[at][place] < 0)] for place in orders[at][:count])
    for count in range(1, len(names) + 1):
        found = [words(at, count) for at in range(len(centres))]
        if len(set(found)) == len(found):
            return found
    raise SystemExit("two segments have the same centre")


def program_of(given):
    for candidate in [given, os.environ.get("GROUNDSWELL"), ROOT / "target/release/groundswell", ROOT / "target/debug/groundswell"]:
        if candidate and Path(candidate).exists():
            return str(candidate)
    raise SystemExit("no groundswell binary: build one (`make release`) or name it with --program")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clicks", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--program")
    parser.add_argument("--field", action="append", default=[], help="as `groundswell features --field`")
    parser.add_argument("--set", action="append", default=[], help="as `groundswell features --set`")
    given = parser.parse_args()
    names, users, profiles = rows_of(given.clicks, program_of(given.program), given.field, given.set)
    mean, deviation = users.mean(axis=0), users.std(axis=0)
    # A number that is the same for all tells nobody apart.
    deviation[deviation < 1e-9] = 1.0
    rng = np.random.default_rng(SEED)
    centres, tried = choose(standardised(users, mean, deviation), rng)
    shares = np.bincount(nearest(standardised(profiles, mean, deviation), centres), minlength=len(centres)) / len(profiles)
    of_users = np.bincount(nearest(standardised(users, mean, deviation), centres), minlength=len(centres)) / len(users)
    segments = [
        {"name": name, "share": round(float(share), 6), "share_of_users": round(float(of_user), 6),
         "centre": [round(float(x), 6) for x in centre]}
        for name, share, of_user, centre in zip(called(names, centres), shares, of_users, centres)
    ]
    model = {
        "model_type": "groundswell-segments",
        "features": names,
        "mean": [round(float(x), 6) for x in mean],
        "deviation": [round(float(x), 6) for x in deviation],
        "segments": segments,
        "users": len(users),
        "profiles": len(profiles),
        "tried": tried,
    }
    path = given.out / "segments.json"
    path.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    for segment in segments:
        print(f"{segment['name']}: {segment['share_of_users']:.1%} of users, {segment['share']:.1%} of profiles")


if __name__ == "__main__":
    main()
