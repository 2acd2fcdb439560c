"""Which experiments a figure or a claim is about: the paper's own method, and the others beside it (4, 5.1, A.3, C.3, C.5).

A collection may hold one objective many times: with other weights, a second round, an estimator with one output. Statements
about objectives take each once, with the paper's method; the rest is for those that compare settings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.rows import LATER, LAYERS, VGG_MULTI, VGG_SINGLE

TASKS = pd.DataFrame(
    [
        *(("VGG16, single filters", layer, VGG_SINGLE, layer) for layer in LAYERS),
        *(("VGG16, 20 filters at once", layer, VGG_MULTI, layer) for layer in LAYERS),
        *(("Colours", kind.split()[0], kind, "") for kind in COLOR_KINDS),
    ],
    columns=["panel", "column", "kind", "layer"],
)
"""The paper's objectives by kind and layer, as the panels and columns of Fig. 2."""

METHOD: dict[str, Any] = {
    "round": 1,
    "pir_weight": 1000.0,
    "fools_weight": 1.0,
    "fake_class_weight": 1.5,
    **LATER,
    "output": "bins",
    "temperature": 0.01,
    "scaling": "none",
    "gan_loss": "non_saturating",
    "gan_kind": "acgan",
}
"""The settings that the paper compares with others, at their values of the paper."""

_WEIGHTS = ("pir_weight", "fools_weight", "fake_class_weight")
_TRAINING = ("estimator_size", "estimator_steps", "estimator_learning_rate")
_SIZE = (
    *("preset", "data", "generator", "gan_steps", "tuning_learning_rate"),
    *("backbone", "estimator_layer", "trainable", *_TRAINING),
)
_ASKED = ("objective", "vgg_weights", "images", "impressions")
_SETTINGS = (*_ASKED, "seed", *METHOD, *_SIZE, "tuning_steps")


class Comparison(NamedTuple):
    """One setting that is compared with the paper's."""

    name: str  # in words
    field: str  # the column that differs
    free: tuple[str, ...] = ()  # columns that may differ with it
    other: str = ""  # the one value that is compared with the paper's; empty for any


COMPARISONS = (
    Comparison("One scalar output instead of 100 bins (C.3)", "output", other="scalar"),
    Comparison("Softmax temperature when used (C.3)", "temperature"),
    Comparison("PIR normalised to mean 0.5, SD 0.25 (C.5)", "scaling"),
    Comparison("Estimator fine-tuned whole or its head alone (2.3)", "trainable", _TRAINING),
    Comparison("Longer tuning (4.2)", "tuning_steps"),
    Comparison("Saturating generator loss (2.1)", "gan_loss"),
    Comparison("Plain GAN instead of ACGAN (footnote 1)", "gan_kind"),
)


def by_the_paper(rows: pd.DataFrame, *, every_seed: bool = False) -> pd.DataFrame:
    """Experiments with the paper's method and one of its objectives, each objective once, with the lowest of its seeds.

    Where one was run at several sizes (another estimator, generator or length) the setting that most experiments of its
    kind have is taken; three colours count after their longest tuning, as in the paper. What has no true PIR proves nothing.

    Args:
        rows: Experiments.
        every_seed: Each objective once a seed.

    Returns:
        The rows, with the `panel` and the `column` of Fig. 2 that they belong to.

    Source: 4, 4.2 (three colours).
    """
    measured = rows[(departures(rows) == "") & rows["change"].notna()]
    method = measured.merge(TASKS, on=["kind", "layer"])
    longest = method["tuning_steps"].where(method["kind"] == COLOR_KINDS[2], _count(method, ["kind", "tuning_steps"]))
    one = method.groupby(["objective", "seed"], dropna=False, sort=False).ngroup()
    rank = pd.DataFrame({"one": one, "size": -_count(_settings(method), ["kind", *_SIZE]), "length": -longest})
    best = rank.sort_values(["one", "size", "length"], kind="stable").drop_duplicates("one")
    found = method.loc[best.index]
    if not every_seed:
        lowest = found.sort_values("seed", kind="stable").drop_duplicates("objective").index
        found = found[found.index.isin(lowest)]
    return found.reset_index(drop=True)


def departures(rows: pd.DataFrame) -> pd.Series:
    """The columns in which each experiment departs from the paper's method, in words; empty where in none that is known."""
    away = pd.DataFrame({name: rows[name].notna() & ~rows[name].isin(["", value]) for name, value in METHOD.items()})
    # One scalar output has no softmax, so no temperature.
    away["temperature"] &= ~rows["output"].astype(str).str.startswith("scalar")
    # Random filters are only to try out; the paper's are ImageNet's.
    away["vgg_weights"] = rows["vgg_weights"] == "none"
    # An imported generator has L_anchor in place of L_fake_image_fools.
    away["generator"] = rows["generator"].astype(str).str.startswith("import:")
    words = [" and ".join(away.columns[flags]) for flags in away.to_numpy(bool)]
    return pd.Series(words, index=rows.index, dtype=str)


def comparisons(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of experiments that differ in one compared setting alone, the first of which is all the paper's.

    Returns:
        Two rows for each pair, the paper's and then the other, with its number as `pair`, the setting as `field` and its
        `comparison` in words.

    Source: 2.1, 4.2, C.3, C.5.
    """
    found: list[pd.DataFrame] = []
    away = departures(rows)
    for comparison in COMPARISONS:
        field = comparison.field
        for group in _alike(rows, {field, *comparison.free}):
            base = _base(group, field)
            if base is None or away[base]:
                continue
            for other in group.index[group[field] != group.loc[base, field]]:
                if comparison.other not in ("", group.loc[other, field]):
                    continue
                about = {"comparison": comparison.name, "field": field, "pair": len(found) + 1}
                found.append(group.loc[[base, other]].assign(**about))
    nothing = rows.iloc[:0].assign(comparison="", field="", pair=0)
    return pd.concat(found, ignore_index=True) if found else nothing


def trade_offs(rows: pd.DataFrame) -> pd.DataFrame:
    """Experiments that differ from the paper's in the weights of the generator's loss alone, each setting of them once.

    Returns:
        The rows by rising weight of PIR, with the number of their set as `curve`.

    Source: 5.1.
    """
    found: list[pd.DataFrame] = []
    weighed = departures(rows).str.split(" and ").map(lambda names: {*names} <= {"", *_WEIGHTS}).astype(bool)
    for group in _alike(rows[weighed], set(_WEIGHTS)):
        # Of equal ones that which measured more.
        curve = group.sort_values("kid_after", key=pd.isna, kind="stable").drop_duplicates(list(_WEIGHTS)).sort_index()
        if len(curve) > 1:
            # Without a generator loss the weight of PIR is no longer relative to anything: the extreme comes last.
            curve = curve.assign(extreme=curve["fools_weight"] == 0.0).sort_values(["extreme", "pir_weight"])
            found.append(curve.drop(columns="extreme").assign(curve=len(found) + 1))
    return pd.concat(found, ignore_index=True) if found else rows.iloc[:0].assign(curve=0)


def second_rounds(rows: pd.DataFrame) -> pd.DataFrame:
    """Second rounds of the paper's method whose effect sizes of both rounds are known.

    Source: A.3.
    """
    second = (rows["round"] == 2) & (departures(rows) == "round")
    return rows[second].dropna(subset=["first_round_d", "d_from_start"])


def _settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, without the length of a training that no experiment chose."""
    return rows.assign(gan_steps=rows["gan_steps"].mask(rows["generator"] == "bundled"))


def _alike(rows: pd.DataFrame, without: set[str]) -> list[pd.DataFrame]:
    """Groups of two experiments or more by one objective with the same settings, but for some of these."""
    rows = rows[rows["objective"].astype(str) != ""]  # people's questions aren't known
    same = [name for name in _SETTINGS if name not in without]
    number = _settings(rows).groupby(same, dropna=False, sort=False).ngroup()
    return [group for _, group in rows[number.duplicated(keep=False)].groupby(number)]


def _count(rows: pd.DataFrame, same: list[str]) -> pd.Series:
    """How many rows have each row's values of some columns."""
    return rows.groupby(same, dropna=False)["experiment"].transform("size")


def _base(group: pd.DataFrame, field: str) -> Any:
    """The index of the experiment that the others of a group are compared with; None where nothing is to compare."""
    values = group[field]
    if values.nunique() < 2 or values.isna().any():
        return None
    if field == "tuning_steps":
        return values.idxmin()
    # Most experiments here read features out, so the head alone is what whole fine-tuning is compared with.
    paper = values.index[values == ("head" if field == "trainable" else METHOD[field])]
    return paper[0] if len(paper) else None
