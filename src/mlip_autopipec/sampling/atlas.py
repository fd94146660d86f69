"""The record of a run's choices: where on the map of configuration space frames were seen, labelled, found uncertain.

The map is that of `projection`, fitted on the pool of generation 0; what was found later is drawn into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.frames import read_frames
from mlip_autopipec.sampling import coverage
from mlip_autopipec.sampling.projection import PoolMap, evenly, read_map
from mlip_autopipec.sampling.roles import Roles, later_frames, paths, read_roles, real
from mlip_autopipec.seeds import generator

POINTS_MAX = 3000
SEEN_OF_A_SOURCE = 5  # drawn of every source, however few are drawn of all

Record = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """Frames that were not in the pool: (n, K) scores and, for each, uid, config_type and source."""

    scores: NDArray[np.float64]
    uid: list[str]
    config_type: list[str]
    source: list[str]


def atlas(files: Mapping[str, Any], vectors_of: Callable[[list[Atoms]], NDArray[Any]], *, seed: int = 0) -> Record:
    """What `map.json` says: points of the map, and how well the labelled frames cover what was seen.

    Args:
        files: paths, each one or several: `map` (candidates_map.npz), `record` (candidates.json), `candidates`,
            `frames` (frames/gen*.extxyz), `selections` (frames/gen*.json; may be missing), `dataset` and `quarantine`
            of the last generation, `simulated` (simulated/gen*/*.extxyz), `test`.
        vectors_of: (n, F) raw vectors of frames, of the descriptor that the map was made with. It is called for
            frames found later and for the test's, not for the pool.
        seed: of the random choices that the choice is compared with.

    Returns:
        `points`, each with `x`, `y`, `what` (seen, chosen, labelled, failed, uncertain, test), `generation` (that asked
        for its label, or whose potential was uncertain), `uncertain_in` (the latter, for labelled ones too; null for
        frames of the pool), `config_type`, `source`, `uid` and `why`; `axes`, the shares of variance of both axes;
        and `coverage` (see `covering`).

    Raises:
        InputFileError: a file is missing or damaged.
        DataError: the frames' vectors do not fit the map.
    """
    pool = read_map(paths(files["map"])[0])
    roles, later = read_roles(files), later_frames(files, set(pool.uid.tolist()))
    tests = [f for path in paths(files.get("test", [])) for f in real(read_frames(path))]
    frames = [frame for _, frame in later] + tests
    scores = np.zeros((0, pool.components.number))
    if frames:
        scores = pool.place(vectors_of(frames))
    uids, types = [str(f.info["uid"]) for f in frames], [str(f.info["config_type"]) for f in frames]
    sources = [source for source, _ in later] + ["test"] * len(tests)
    cut = len(later)
    found = Found(scores[:cut], uids[:cut], types[:cut], sources[:cut])
    test = Found(scores[cut:], uids[cut:], types[cut:], sources[cut:])
    record = read_json(paths(files["record"])[0])
    return {
        **{key: record[key] for key in ("method", "descriptor") if key in record},
        "axes": [float(share) for share in pool.components.variances[:2]],
        "points": points(pool, found, test, roles),
        "coverage": covering(pool, found, test, roles, seed=seed),
    }


def points(pool: PoolMap, found: Found, test: Found, roles: Roles) -> list[Record]:
    """Points of the map, at most `POINTS_MAX` unless more were chosen: faint ones first, as they are drawn."""
    taken = np.array([roles.what(uid) != "seen" for uid in pool.uid], dtype=bool)
    room = max(0, POINTS_MAX - int(taken.sum()) - len(found.uid) - len(test.uid))
    drawn = np.flatnonzero(~taken & (pool.weight > 0))
    if len(drawn) > room:
        drawn = _thinned(drawn, pool.source, room)

    def point(score: NDArray[Any], uid: str, kind: str, source: str, what: str) -> Record:
        generation = roles.asked.get(uid, 0 if what == "chosen" else roles.uncertain.get(uid))
        return {
            "x": round(float(score[0]), 4),
            "y": round(float(score[1]), 4) if len(score) > 1 else 0.0,
            "what": what,
            "generation": None if what in ("seen", "test") else generation,
            "uncertain_in": roles.uncertain.get(uid),
            "config_type": str(kind),
            "source": str(source),
            "uid": str(uid),
            "why": roles.why.get(uid, ""),
        }

    made = [
        point(pool.scores[k], str(pool.uid[k]), pool.config_type[k], pool.source[k], roles.what(str(pool.uid[k])))
        for k in [*drawn, *np.flatnonzero(taken)]
    ]
    for group, what in ((test, "test"), (found, "")):
        rows = zip(group.scores, group.uid, group.config_type, group.source, strict=True)
        made += [point(score, uid, kind, source, what or roles.what(uid)) for score, uid, kind, source in rows]
    order = {"seen": 0, "test": 1, "uncertain": 2}
    return sorted(made, key=lambda one: order.get(one["what"], 3))


def covering(pool: PoolMap, found: Found, test: Found, roles: Roles, *, seed: int = 0) -> Record:
    """How well the labelled frames cover what was seen; distances are those of `coverage`.

    Returns:
        A record with

        - `components`, `explained`: principal components that distances are taken in, and their share of variance;
        - `seen`: frames of the pool; `chosen`: candidates among them;
        - `radius`: the typical spacing, the median distance of a candidate to the nearest other one;
        - `generations`: for each, frames `labelled` until then, and of the pool the share `covered` (a labelled frame
          is within the radius), the `mean_gap` and `largest_gap` to the nearest labelled frame;
        - `random`, `stratified`: the same numbers for as many frames as generation 0 labelled, taken at random from
          the pool, or at random with as many from each source: means of `coverage.DRAWS` draws;
        - `mean_gap_ratio`: mean gap of `random` by that of generation 0: above 1 the choice is nearer to what was
          seen than chance; `mean_gap_ratio_stratified`: the same against `stratified`;
        - `by_source`, `by_type`: frames seen, chosen, labelled, and the share covered by all labels. Frames that were
          found uncertain are a source of their own, generation by generation;
        - `uncertain`: for each generation, `frames` its potential was uncertain about, `near` (a frame that was
          labelled by then is within the radius), `outside` (farther from every labelled one than any frame of the
          pool is), their `median_gap`, and the `largest_gap` that `outside` is measured by;
        - `test`: `frames` of the test set, the share `covered` and the `mean_gap`.

        Numbers that need a labelled frame are None where there is none.
    """
    scores, weight = pool.scores.astype(float), pool.weight
    uid = [str(one) for one in pool.uid]
    where = dict(zip(uid, scores, strict=True)) | dict(zip(found.uid, found.scores, strict=True))

    def labelled_until(generation: float) -> NDArray[np.float64]:
        places = [where[u] for u, g in roles.asked.items() if g <= generation and u in roles.labelled and u in where]
        return np.array(places).reshape(-1, scores.shape[1])

    radius = coverage.spacing(np.array([scores[k] for k, u in enumerate(uid) if u in roles.chosen]))
    generations = sorted(set(roles.asked.values()) | set(roles.uncertain.values()))
    rows, uncertain = [], []
    for generation in generations:
        labelled = labelled_until(generation)
        row = coverage.numbers(coverage.gaps(scores, labelled), weight, radius)
        rows.append({"generation": generation, "labelled": len(labelled), **row})
        own = np.array([u for u in range(len(found.uid)) if roles.uncertain.get(found.uid[u]) == generation], dtype=int)
        uncertain.append(_uncertain(generation, coverage.gaps(found.scores[own], labelled), radius, row["largest_gap"]))
    first, everything = labelled_until(0), coverage.gaps(scores, labelled_until(np.inf))
    random = coverage.random_numbers(scores, weight, len(first), radius, generator(seed, "atlas", "random"))
    stratified = coverage.random_numbers(
        scores, weight, len(first), radius, generator(seed, "atlas", "stratified"), pool.source.tolist()
    )
    own_gap = rows[0]["mean_gap"] if rows else None
    of_test = coverage.gaps(test.scores, labelled_until(np.inf))
    return {
        "components": pool.components.number,
        "explained": float(pool.components.variances.sum()),
        "seen": pool.seen,
        "chosen": len(roles.chosen),
        "radius": _number(radius),
        "generations": rows,
        "random": random,
        "stratified": stratified,
        "mean_gap_ratio": _ratio(random["mean_gap"], own_gap),
        "mean_gap_ratio_stratified": _ratio(stratified["mean_gap"], own_gap),
        "by_source": [
            *_by(0, pool, everything, roles, radius),
            *_by_generation(found, coverage.gaps(found.scores, labelled_until(np.inf)), roles, radius),
        ],
        "by_type": _by(1, pool, everything, roles, radius),
        "uncertain": uncertain,
        "test": {
            "frames": len(test.uid),
            "covered": coverage.covered(of_test, np.ones(len(of_test)), radius) if np.isfinite(of_test).all() else None,
            "mean_gap": _number(of_test.mean()) if len(of_test) else None,
        },
    }


def _uncertain(generation: int, distances: NDArray[np.float64], radius: float, largest: float | None) -> Record:
    row = {"generation": generation, "frames": len(distances), "largest_gap": largest}
    if not len(distances) or largest is None:
        return row | {"near": None, "outside": None, "median_gap": None}
    return row | {
        "near": int((distances <= radius).sum()),
        "outside": int((distances > largest).sum()),
        "median_gap": float(np.median(distances)),
    }


def _by(part: int, pool: PoolMap, distances: NDArray[np.float64], roles: Roles, radius: float) -> list[Record]:
    """Rows by source (part 0) or type (part 1) of the pool, in its order."""
    names = (pool.source, pool.config_type)[part]
    seen: Counter[str] = Counter()
    for key, number in pool.counts.items():
        seen[key[part]] += number
    rows = []
    for name, number in seen.items():
        own = names == name
        uids = [str(u) for u in pool.uid[own]]
        rows.append(_row(name, number, uids, roles, distances[own], pool.weight[own], radius))
    return rows


def _by_generation(found: Found, distances: NDArray[np.float64], roles: Roles, radius: float) -> list[Record]:
    """Rows of the frames that each generation's potential was uncertain about."""
    rows = []
    for generation in sorted(set(roles.uncertain.values())):
        own = [k for k, u in enumerate(found.uid) if roles.uncertain.get(u) == generation]
        uids, number = [found.uid[k] for k in own], sum(g == generation for g in roles.uncertain.values())
        rows.append(_row(f"simulated gen{generation}", number, uids, roles, distances[own], np.ones(len(own)), radius))
    return rows


def _row(
    name: str,
    seen: int,
    uids: list[str],
    roles: Roles,
    distances: NDArray[np.float64],
    weight: NDArray[np.float64],
    radius: float,
) -> Record:
    known = bool(np.isfinite(distances).all())
    return {
        "name": name,
        "seen": seen,
        "chosen": sum(u in roles.chosen or u in roles.asked for u in uids),
        "labelled": sum(u in roles.asked and u in roles.labelled for u in uids),
        "covered": coverage.covered(distances, weight, radius) if known else None,
    }


def _thinned(rows: NDArray[np.int64], source: NDArray[Any], room: int) -> NDArray[np.int64]:
    """About `room` of the rows, evenly along each source, some of every source."""
    kept = []
    for name in dict.fromkeys(source[rows].tolist()):
        own = rows[source[rows] == name]
        number = min(len(own), max(SEEN_OF_A_SOURCE, room * len(own) // len(rows)))
        kept.append(own[evenly(len(own), number)])
    return np.sort(np.concatenate(kept)) if kept else rows


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ratio(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None
