"""What a change of PIR costs: the true change against KL, and against the distance within a class that is left. No TensorFlow.

`python -m pir_tf.paper.publish costs RUNS FOLDER` writes `costs.csv` and `costs.png`. Tuned weights, moved latents (a
shift, a residual network), the choice among n images and Plug & Play sampling stand side by side; KL, in nats from the
generator's own latents, is known of moved latents and of a choice alone. Not the paper's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pir_tf.errors import InputError
from pir_tf.paper.collect import collect, results_file
from pir_tf.paper.figures.style import columns, objective_in_words
from pir_tf.paper.rows import Row, write_rows
from pir_tf.report import style
from pir_tf.report.numbers import finite
from pir_tf.runs.directory import read_json

NAME = "costs"
FOLLOWED = {"interactions", "estimator", "seed"}
"""Sections of a config that make an estimate."""
WAYS = {
    "weights": ("tuned weights", "#1d3557", "D"),
    "shift": ("moved latents: a shift", "#c44e00", "o"),
    "residual": ("moved latents: a residual network", "#cc79a7", "s"),
    "best of n": ("best of n, untouched", "#21808d", "^"),
    "plug and play": ("Plug & Play sampling", "#8a6d00", "v"),
}
"""What raised PIR: its name in words, colour and shape (matplotlib's)."""
COLUMNS = columns(
    *("experiment", "objective", "seed", "way", "setting", "change", "cohens_d", "kl", "distance_kept"),
    setting=float, kl=float, distance_kept=float,
)  # fmt: skip


def costs(runs: Sequence[Path]) -> pd.DataFrame:
    """A row for each way in which each experiment raised PIR, by objective, way and setting.

    Where latents were moved, only what followed the same estimate is beside them: other objectives, estimators and seeds have
    no rows.

    Args:
        runs: Runs, sweeps or published folders.

    Returns:
        `COLUMNS`. `setting` is the steps of tuned weights, w_KL of moved latents, n, or the weight of Plug & Play sampling.
        `distance_kept` is that of the class which kept least. An experiment without the PIR term has no row.

    Raises:
        InputError: A path holds no experiment.
    """
    found = collect(runs)
    # Sampling or choosing by another run's networks counts once with it elsewhere.
    places: list[tuple[str, Path]] = [(one, found.places[one]) for one in found.rows["experiment"]] + found.alike
    about = [_followed(place) for _, place in places]
    moved = {followed for kind, followed, _, _ in about if kind in ("shift", "residual")}
    plain = {tuning for _, _, tuning, walked in about if not walked}
    made: list[Row] = []
    for (name, place), (_, followed, tuning, walked) in zip(places, about, strict=True):
        if followed in moved or not moved:
            made += _ways(name, place, own=not (walked and tuning in plain))
    if not made:
        raise InputError("None of these runs was tuned by a PIR term and judged by a true PIR: name others.")
    rows = pd.DataFrame(made).drop_duplicates(["objective", "seed", "way", "setting", "change"])
    return rows.sort_values(["objective", "way", "setting"], kind="stable").reindex(columns=list(COLUMNS))


def _followed(place: Path) -> tuple[str, str, str, bool]:
    """The kind of tuning; what it followed, as JSON: the objective and its answers, the estimator and the seed; that and the
    tuning; and whether latents were sampled beside, by networks that another run may have tuned alike.
    """
    config = _config(place)
    followed, tuning = (
        json.dumps({name: value for name, value in config.items() if name.split(".")[0] in sections}, sort_keys=True)
        for sections in (FOLLOWED, FOLLOWED | {"data", "gan", "tuning", "first_round"})
    )
    return config.get("tuning.kind", "weights"), followed, tuning, samples_latents(place)


def _config(place: Path) -> dict[str, Any]:
    about = read_json(place / "config.json") if (place / "config.json").is_file() else {}
    return about.get("config") or {}


def samples_latents(place: Path) -> bool:
    """Whether a run's evaluation has Plug & Play sampling, which leaves its networks as they are."""
    return bool(_config(place).get("evaluation.plug_and_play"))


def kl_of_best(n: int) -> float:
    """KL in nats of the best of n images from a draw of one; exact where no two have the same score, else an upper bound."""
    return math.log(n) - (n - 1) / n


def least_kept(ratios: Sequence[float | None] | None) -> float | None:
    """What is left of the distance within the class that kept least of it, of those that have one."""
    return finite(min((ratio for ratio in ratios or () if ratio is not None), default=None))


def d_alike(measured: dict[str, Any] | None) -> float | None:
    """d of picks, of which there are fewer than images before: both sides weigh alike, as in the d of tuning beside it.

    From the means and SDs that a run has kept: of older ones the d itself is weighed by numbers of images.
    """
    known = [finite((measured or {}).get(name)) for name in ("change", "before_sd", "after_sd")]
    if any(one is None for one in known):
        return None
    change, *spreads = map(float, known)  # type: ignore[arg-type]
    pooled = math.hypot(*spreads) / math.sqrt(2)
    return change / pooled if pooled else None


def _ways(name: str, place: Path, *, own: bool) -> Iterator[Row]:
    """The rows of one run; its own tuning among them where no other run has it."""
    file = results_file(place)
    if file is None:  # of which a sweep's table alone has kept the numbers
        return
    config, results = read_json(place / "config.json")["config"], read_json(file)
    base = {"experiment": name, "objective": results.get("objective") or "", "seed": config["seed"]}
    kind = config.get("tuning.kind", "weights")
    pulled = config.get("tuning.pir_weight") or config.get("tuning.pir_gradient_ratio")
    if own and results.get("change") is not None and pulled:
        setting = config["tuning.steps"] if kind == "weights" else config["tuning.kl_weight"]
        kept = (results.get("diversity") or {}).get("after_over_before")
        yield base | _row(kind, setting, results, kept, results.get("kl"))
    if best := (results.get("best_of") or {}).get("before"):
        n = results["best_of"]["n"]
        yield base | _row("best of n", n, _alike(best), best.get("after_over_before"), kl_of_best(n))
    if walked := results.get("plug_and_play"):
        yield base | _row("plug and play", walked["weight"], _alike(walked), walked.get("after_over_before"), None)


def _alike(measured: dict[str, Any]) -> dict[str, Any]:
    return {**measured, "cohens_d": d_alike(measured)}


def _row(way: str, setting: float, measured: dict[str, Any], kept: Sequence[float | None] | None, kl: Any) -> Row:
    numbers = {"change": finite(measured["change"]), "cohens_d": finite(measured.get("cohens_d"))}
    return {"way": way, "setting": setting, **numbers, "kl": finite(kl), "distance_kept": least_kept(kept)}


def draw(rows: pd.DataFrame) -> Any:
    """A column for each objective: above, change against KL; below, change against the distance that is left."""
    objectives = list(dict.fromkeys(rows["objective"]))
    figure = style.new_figure(5.4, width=max(5.0, 1.75 * len(objectives)))
    panels = figure.subplots(2, len(objectives), squeeze=False, sharey="col")
    axis = {"kl": "KL (nats)", "distance_kept": "distance kept\n(share; right: less)"}
    for column, objective in enumerate(objectives):
        own = rows[rows["objective"] == objective]
        for line, (name, label) in enumerate(axis.items()):
            axes = panels[line, column]
            title = objective_in_words(objective, short=True).replace(", draw", ",\ndraw") if line == 0 else None
            style.style_axes(axes, x=label, y="true change of PIR" if column == 0 else None, title=title)
            axes.axhline(0.0, color=style.RULE, linewidth=0.9, zorder=0)
            for way, (_, color, shape) in WAYS.items():
                points = own[(own["way"] == way) & own[name].notna()].sort_values("setting")
                line_style = "-" if way in ("shift", "residual") else "none"
                axes.plot(points[name], points["change"], color=color, marker=shape, linestyle=line_style, markersize=5.5,
                          linewidth=1.1, markeredgecolor="white", markeredgewidth=0.5)  # fmt: skip
            if name == "distance_kept":
                axes.axvline(1.0, color=style.RULE, linewidth=0.9, zorder=0)
                axes.invert_xaxis()  # what costs more is to the right, as above
            style.few_ticks(axes, ticks=3, which="both")
    _legend(
        figure, {way: rows.loc[rows["way"] == way, "kl"].notna().any() for way in WAYS if (rows["way"] == way).any()}
    )
    return figure


def _legend(figure: Any, ways: Mapping[str, bool]) -> None:
    """Names the ways, and which have no KL and so stand below alone."""
    from matplotlib.lines import Line2D

    looks = []
    for way, has_kl in ways.items():
        name, color, shape = WAYS[way]
        label = name if has_kl else f"{name} (no KL)"
        looks.append(Line2D([], [], color=color, marker=shape, linestyle="none", markersize=5.5, label=label))
    figure.legend(handles=looks, loc="outside lower center", ncols=3, frameon=False, fontsize=style.SMALL)


def write(rows: pd.DataFrame, folder: Path) -> None:
    """Writes the table and its figure into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{NAME}.csv", rows, COLUMNS)
    style.save(draw(rows), folder / f"{NAME}.png")
