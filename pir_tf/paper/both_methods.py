"""Figure 2 with the paper's method and ours side by side, a row for each objective, and a table by layer. No TensorFlow.

`python -m pir_tf.paper.publish methods OURS PAPERS FOLDER` writes `both-methods.csv`, `.png` and `.md`. What stands beside d:
the same steps without the PIR term (control), the choice among 16 images (best of n), the least share of the distance within a
class that is left, and Holm's correction over all objectives. Not the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.paper.collect import collect, results_file
from pir_tf.paper.costs import d_alike, least_kept, samples_latents
from pir_tf.paper.figures.style import columns, mark, round_ticks
from pir_tf.paper.rows import write_rows
from pir_tf.paper.select import TASKS, by_the_paper
from pir_tf.report import style
from pir_tf.report.numbers import finite, interval, number
from pir_tf.runs.directory import read_json
from pir_tf.statistics.effects import ALPHA

NAME = "both-methods"
MEASURED = (
    *("control_d", "best_of_d", "best_of_tuned_d", "distance_kept"),
    *("kid_before", "kid_after", "kid_control", "kept_step", "seconds"),
)
"""What results and `published.json` say beside a row of the figures' tables."""
COLUMNS = columns(
    *("panel", "column", "experiment", "objective", "kind", "layer", "seed"),
    *("backbone", "tuning_steps", "keep_distance"),
    *("cohens_d", "d_low", "d_high", "change", "estimated_change", "judged_change", "p_value"),
    *("paper_d", "paper_change", "paper_steps", *MEASURED, "holm"),
    **dict.fromkeys(("paper_d", "paper_change", "paper_steps", *MEASURED), float),
    holm=bool,
)
RESAMPLES = 10_000
KEPT = 0.85
"""Share of the distance within a class that a tuning should leave."""
JOINED, ALONE = "inception_v3+discriminator", "discriminator"
"""Features of ours: for VGG16's filters both networks', for colours, and for VGG16's offline, the discriminator's alone."""
HARD = ("pool2", "pool3", "pool4")
"""Layers whose single filters the comparison of means is over."""
CHOSEN_BY = ("vgg:pool3:filters=28", "vgg:pool4:filters=243")
"""Of those filters, the two by whose curves our settings were chosen; means are also said without them."""


def both_methods(ours: Sequence[Path], papers: Sequence[Path]) -> pd.DataFrame:
    """A row for each of our experiments whose objective is the paper's, with d and change of the paper's method beside.

    Args:
        ours: Runs, sweeps or published folders of our method.
        papers: The same of the paper's, which `ours` may hold too, and first: what `by_the_paper` takes of them counts. One of
            ours stands beside that of its seed, or beside the mean of those that there are.

    Raises:
        InputError: None of ours reads the discriminator out for an objective of the paper's and tunes all weights in all steps,
            or two are of one kind.
    """
    found = collect(ours)
    rows = found.rows[found.rows["output"].astype(str).str.startswith("linear")].merge(TASKS, on=["kind", "layer"])
    rows = rows[rows["backbone"].isin([JOINED, ALONE])]
    rows = rows[(rows["tuning_kind"] == "weights") & (rows["tuning_stop"] == "none")]  # others are other methods
    if rows.empty:
        raise InputError(
            "None of these runs has a linear estimator on the discriminator's features and an objective of the paper's: name "
            "others."
        )
    more = pd.DataFrame([_measured(found.places[name]) for name in rows["experiment"]], index=rows.index).astype(float)
    rows = pd.concat([rows.drop(columns=[name for name in MEASURED if name in rows]), more], axis=1)
    names = {"cohens_d": "paper_d", "change": "paper_change", "tuning_steps": "paper_steps"}
    theirs = by_the_paper(collect([*ours, *papers]).rows, every_seed=True)
    beside = theirs.set_index(["objective", "seed"])[[*names]].rename(columns=names)
    means = beside.groupby("objective").mean()
    rows = rows.merge(beside, left_on=["objective", "seed"], right_index=True, how="left")
    for name in means:
        rows[name] = rows[name].fillna(rows["objective"].map(means[name]))
    rows = rows.loc[rows["experiment"].str.len().sort_values(kind="stable").index]
    same = ["objective", "seed", "backbone", "tuning_steps", "keep_distance"]
    # One with Plug & Play sampling has the networks, and but for rounding the numbers, of the one without.
    walked = np.array([samples_latents(found.places[name]) for name in rows["experiment"]], bool)
    plain = pd.MultiIndex.from_frame(rows.loc[~walked, same])
    rows = rows[~(walked & pd.MultiIndex.from_frame(rows[same]).isin(plain))]
    if (again := rows[rows.duplicated(same, keep=False)]).size:
        two = " and ".join(again["experiment"][:2])
        raise InputError(
            f"{two} differ in other settings alone, expected one of each kind: publish them by themselves."
        )
    rows["holm"] = holm(rows["p_value"].astype(float))
    rows = rows.sort_values(["tuning_steps", "experiment"], kind="stable")
    order = TASKS[["panel", "column"]].merge(rows, on=["panel", "column"])
    return order.reindex(columns=list(COLUMNS))


def holm(p_values: pd.Series) -> pd.Series:
    """Which are significant at the paper's threshold when all of them are looked at; an undefined one isn't."""
    from statsmodels.stats.multitest import multipletests

    return pd.Series(multipletests(p_values.fillna(1.0), alpha=ALPHA, method="holm")[0], index=p_values.index)


def _measured(place: Path) -> dict[str, float | None]:
    file = results_file(place)
    if file is None:  # a table alone knows it
        return dict.fromkeys(MEASURED)
    results = read_json(file)
    best, kid = results.get("best_of") or {}, results.get("kid") or {}
    made = place / "published.json"
    values = (
        (results.get("control") or {}).get("cohens_d"),
        *(d_alike(best.get(when)) for when in ("before", "after")),
        least_kept(results["diversity"]["after_over_before"]),
        *(kid.get(when) for when in ("before", "after", "control")),
        (results.get("kept") or {}).get("step"),
        read_json(made)["seconds"] if made.is_file() else None,
    )
    return dict(zip(MEASURED, map(finite, values), strict=True))


def ratio_of_means(rows: pd.DataFrame) -> tuple[float, float, float] | None:
    """Mean d of ours over that of the paper's method, over the single filters of `HARD`, with a 95% bootstrap interval.

    Filters are drawn anew, with both their numbers; seeds of one filter count as their mean. None with fewer than three filters.
    A percentile interval of few is too narrow: in simulations it covers 77% with three filters, 91% with eight, 92% with 12.

    Args:
        rows: Rows of one number of steps.
    """
    pairs = _single_filters(rows)
    if len(pairs) < 3:
        return None
    values = pairs.to_numpy(float)
    drawn = values[np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    ratio, ratios = values.mean(axis=0), drawn[:, 0] / drawn[:, 1]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ratio[0] / ratio[1]), float(low), float(high)


def _single_filters(rows: pd.DataFrame) -> pd.DataFrame:
    single = rows[rows["panel"].str.contains("single") & rows["column"].isin(HARD)]
    return single.dropna(subset=["paper_d", "cohens_d"]).groupby("objective")[["cohens_d", "paper_d"]].mean()


def _shortest(rows: pd.DataFrame) -> pd.Series:
    """Of several lengths of tuning by one objective, the shortest is drawn."""
    return rows["tuning_steps"] == rows.groupby("objective")["tuning_steps"].transform("min")


def _form(rows: pd.DataFrame) -> pd.Series:
    """In which way each departs from all features and all steps, in words; empty for most."""
    offline = (rows["layer"].fillna("") != "") & (rows["backbone"] == ALONE)
    alone = pd.Series(np.where(offline, "discriminator alone", ""), index=rows.index)
    return alone.where(rows["keep_distance"] == 0, "keeping distance")


def by_layer(rows: pd.DataFrame) -> str:
    """Means of each layer or number of colours and number of steps, in Markdown, and the sentence on the ratio of means."""
    head = ("objectives", "steps (at most)", "n", "the paper's steps", "d, the paper's", "d, ours", "change, the paper's", "ours",
            "estimated", "control d", "best of 16, untouched", "distance kept (least)", "KID before, after, control",
            "significant by Holm", "seconds")  # fmt: skip
    lines = [head, ("---",) * len(head)]
    rows = rows.assign(form=_form(rows))
    for (panel, column, steps, form), runs in rows.groupby(["panel", "column", "tuning_steps", "form"], sort=False):
        own = runs.groupby("objective").mean(numeric_only=True)  # seeds of one are no more objectives
        kid = [_mean(own, f"kid_{when}", 0) for when in ("before", "after", "control")]
        least = number(finite(runs["distance_kept"].min()), 2, missing="")
        lines.append((
            f"{panel}, {column}", f"{steps:g}, {form}" if form else f"{steps:g}",
            f"{len(own)}" if len(own) == len(runs) else f"{len(own)} ({len(runs)} runs)", _mean(own, "paper_steps", 0),
            _mean(own, "paper_d"), _mean(own, "cohens_d"),
            *(_mean(own, name, 3, signed=True) for name in ("paper_change", "change", "estimated_change")),
            _mean(own, "control_d"), _mean(own, "best_of_d"), f"{_mean(own, 'distance_kept')} ({least})",
            ", ".join(filter(None, kid)), f"{int(runs['holm'].sum())} of {len(runs)}", _mean(own, "seconds", 0),
        ))  # fmt: skip
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{summary(rows)}\n"


def _mean(rows: pd.DataFrame, name: str, digits: int = 2, *, signed: bool = False) -> str:
    return number(finite(rows[name].mean()), digits, signed=signed, missing="")


def summary(rows: pd.DataFrame) -> str:
    """The comparison in sentences: ratio of means, best of 16, estimate against truth.

    At equal steps, in more, with a distance to keep, and by the discriminator alone. What has fewer than the paper's is left out.
    """
    rows = rows[rows["paper_steps"].notna()]
    form = _form(rows)
    known = rows[form == ""]
    equal = known["tuning_steps"] == known["paper_steps"]
    said = [_sentences(known[equal], "at equal steps") + _held_out(known[equal])] if equal.any() else []
    for steps, own in known[known["tuning_steps"] > known["paper_steps"]].groupby("tuning_steps"):
        when = f"in {steps:,.0f} steps, the paper's in {own['paper_steps'].max():,.0f}"
        said.append(_sentences(own, when) + _held_out(own))
    for steps, own in rows[form == "keeping distance"].groupby("tuning_steps"):
        steps = f"in {steps:,.0f} steps at most, {own['kept_step'].median():,.0f} in the median, that keep the distance"
        said.append(_sentences(own, steps))
    offline = rows[form == "discriminator alone"]
    if len(offline):
        said.append(_sentences(offline, "by the discriminator alone") + _beside_joined(offline, known[equal]))
    if fewer := int((known["tuning_steps"] < known["paper_steps"]).sum()):
        said.append(f"{fewer} that had fewer steps than the paper's count in the table alone.")
    return "\n\n".join(said)


def _held_out(rows: pd.DataFrame) -> str:
    """Both means over the single filters that no setting was chosen by."""
    rows = rows[~rows["objective"].isin(CHOSEN_BY)]
    pairs = _single_filters(rows)
    mine, theirs = pairs["cohens_d"].mean(), pairs["paper_d"].mean()
    if not len(pairs) or not theirs:
        return ""
    ratio = ratio_of_means(rows)
    within = f" (95% bootstrap interval over filters {interval(ratio[1:])})" if ratio else ""
    left_out = " and ".join(name.removeprefix("vgg:").replace(":filters=", " filter ") for name in CHOSEN_BY)
    return (
        f" Without {left_out}, by which our settings were chosen, the mean d of the other {len(pairs)} is {mine:.2f}, the "
        f"paper's method's {theirs:.2f}: {mine / theirs:.1f} times{within}."
    )


def _beside_joined(offline: pd.DataFrame, joined: pd.DataFrame) -> str:
    """How much of the others' change the offline form reaches on the same objectives."""
    both = offline.merge(joined, on=["objective", "seed", "tuning_steps"], suffixes=("", "_joined"))
    mine, others = both["change"].mean(), both["change_joined"].mean()
    if not len(both) or not others:
        return ""
    return (
        f" On the {len(both)} objectives that both have it changes PIR by {number(mine, 3, signed=True)}, with InceptionV3 by "
        f"{number(others, 3, signed=True)}: {mine / others:.2f} of it."
    )


def _sentences(rows: pd.DataFrame, when: str) -> str:
    said = []
    if ratio := ratio_of_means(rows):
        said.append(
            f"Over the {len(_single_filters(rows))} single filters of pool2 to pool4 the mean d is {ratio[0]:.1f} times the "
            f"paper's method's (95% bootstrap interval over filters {interval(ratio[1:])})."
        )
    compared = rows.dropna(subset=["best_of_d", "cohens_d"])
    if len(compared):
        above = int((compared["cohens_d"] > compared["best_of_d"]).sum())
        said.append(f"Tuned images are above the best of 16 untouched ones in {above} of {len(compared)} runs.")
    true = rows[rows["change"] > 0]
    if len(true):
        factor = float((true["estimated_change"] / true["change"]).median())
        said.append(f"The estimated change is {factor:.2f} times the true one in the median of {len(true)}.")
    keep = rows["distance_kept"].dropna()
    if len(keep):
        said.append(f"{int((keep >= KEPT).sum())} of {len(keep)} keep {KEPT:g} of the distance in each class.")
    return f"{when[0].upper()}{when[1:]}: {' '.join(said)}"


def draw(rows: pd.DataFrame) -> Any:
    """Effect size by task: a line from the paper's method (hollow) to ours (full), at equal steps, and to a dash in more."""
    shown = TASKS[~TASKS["column"].str.startswith("fc") & TASKS["panel"].isin(rows["panel"])]
    panels = list(shown.groupby("panel", sort=False))
    widths = [len(tasks) + 0.4 for _, tasks in panels]
    rows = rows[_form(rows) == ""]
    shortest = _shortest(rows)
    longer = rows[~shortest].set_index(["objective", "seed"])["cohens_d"].to_dict()
    figure = style.new_figure(3.6, width=max(6.6, 0.74 * sum(widths)))
    drawn = figure.subplots(1, len(panels), sharey=True, width_ratios=widths, squeeze=False)
    for axes, (panel, tasks) in zip(drawn[0], panels, strict=True):
        own = rows[(rows["panel"] == panel) & shortest]
        style.style_axes(axes, y="effect size (Cohen's d)" if panel == panels[0][0] else None, title=panel)
        axes.axhline(0.0, color=style.RULE, linewidth=0.9, zorder=0)
        for place, column in enumerate(tasks["column"]):
            points = own[own["column"] == column].reset_index(drop=True)
            step = min(0.2, 0.8 / max(1, len(points)))
            for i, row in enumerate(points.itertuples()):
                x = place + (i - (len(points) - 1) / 2) * step
                look = mark(row.kind, row.layer, 5.5, pale=not row.holm)
                if pd.notna(row.paper_d) and row.tuning_steps == row.paper_steps:
                    axes.plot([x, x], [row.paper_d, row.cohens_d], color=style.RULE, linewidth=1.2, zorder=0)
                    hollow = look | {"markerfacecolor": "white", "markeredgecolor": look["color"], "alpha": 1.0}
                    axes.plot([x], [row.paper_d], **(hollow | {"markersize": look["markersize"] * 0.75}))
                axes.plot([x], [row.cohens_d], **look)
                more = longer.get((row.objective, row.seed))
                if more is not None and more > row.cohens_d:
                    axes.plot([x, x], [row.cohens_d, more], color=style.RULE, linewidth=1.2, zorder=0)
                if more is not None:
                    axes.plot([x], [more], marker="_", markersize=9, color=look["color"])
        counts = [int((own["column"] == column).sum()) for column in tasks["column"]]
        axes.set_xticks(
            range(len(tasks)),
            [f"{c}\n{n} run{'s' * (n > 1)}" if n else c for c, n in zip(tasks["column"], counts, strict=True)],
        )
        axes.set_xlim(-0.6, len(tasks) - 0.4)
        axes.tick_params(axis="x", length=0)
        round_ticks(axes)
    ours = f"ridge on frozen features; pale: not significant (Holm, α = {ALPHA:g})"
    below = f"Hollow: the paper's method with as many steps. Full: {ours}."
    apart = rows[shortest & rows["paper_d"].notna() & (rows["tuning_steps"] != rows["paper_steps"])]
    if len(apart):
        kinds, steps = sorted(set(apart["panel"] + " " + apart["column"])), apart["paper_steps"].mode()[0]
        below += f"\nNo hollow mark in {', '.join(kinds).lower()}: the paper's method has {steps:,.0f} steps there."
    below += f"\nDash: ours in {rows['tuning_steps'].max():,.0f} steps." if longer else ""
    figure.supxlabel(below, fontsize=style.SMALL, color=style.MUTED)
    return figure


def write(rows: pd.DataFrame, folder: Path) -> str:
    """Writes the table, its figure and the summary by layer into the folder; returns the summary."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{NAME}.csv", rows, COLUMNS)
    style.save(draw(rows), folder / f"{NAME}.png")
    said = by_layer(rows)
    (folder / f"{NAME}.md").write_text(said, encoding="utf-8")
    return said
