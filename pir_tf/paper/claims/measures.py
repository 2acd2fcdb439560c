"""Our number for each claim, in figures and in words, before any verdict. No TensorFlow."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
from pandas import DataFrame as Frame
from scipy import stats

from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.claims.evidence import Evidence, select
from pir_tf.paper.claims.rules import (
    Finding,
    Interval,
    Measure,
    NotRun,
    Table,
    Words,
    average,
    count,
    joined,
    mean_interval,
    names,
    said,
    said_mean,
    say,
    shared,
)
from pir_tf.paper.rows import CHANNELS, LAYERS, VGG_MULTI, VGG_SINGLE
from pir_tf.paper.select import METHOD, TASKS, departures
from pir_tf.report.numbers import number, p_value

SINGLE, TWO, THREE = COLOR_KINDS
SPARSE = ("pool5", "fc6", "fc7")  # single filters give many zeros, and the paper's system does poorly (4.1, C.4.2)
COMPLEX = LAYERS.index("pool5") + 1  # from here on "the system produced lower effect sizes" (A.1)
ALL_BUT = 90  # percent of zeros above which a filter has almost only zeros (C.4.2)
LONGER = 5  # times as many steps are a longer tuning; the paper's is ten times (4.2)
FEWEST = 12  # objectives that a linear model needs to say anything
WEIGHTS = 3  # weights of PIR that make a curve

OF_PAPER = f"kind in {sorted(set(TASKS.kind))}"
OF_VGG = f"kind in {[VGG_SINGLE, VGG_MULTI]}"
OF_SPARSE = f"{OF_VGG} and layer in {list(SPARSE)}"


def only(kind: str, layer: str = "") -> str:
    """The query for objectives of a kind, or of a layer too."""
    return f"kind == '{kind}'" + (f" and layer == '{layer}'" if layer else "")


# Words


def mean_d(rows: Frame) -> str:
    """The mean effect size with its interval over objectives, of one its own; empty where undefined."""
    rows = rows.dropna(subset="cohens_d")
    if len(rows) != 1:
        return f"mean d {said_mean(rows.cohens_d)}" if len(rows) else ""
    own = rows.iloc[0]
    return f"d {said_mean(rows.cohens_d)}{said((own.d_low, own.d_high)) if pd.notna(own.d_low) else ''}"


def steps(rows: Frame) -> str:
    """The lengths of tuning."""
    return f"{' or '.join(f'{int(length):,}' for length in sorted(set(rows.tuning_steps.dropna())))} steps"


def d_after_steps(rows: Frame) -> str:
    """The effect, and after how long: of pairs of both sides."""
    sides = [rows, usual(rows)] if "paper_cohens_d" in rows else [rows]
    return ", ".join(f"{mean_d(side)} after {steps(side)}" for side in sides)


def without(rows: Frame, layers: Sequence[str] = LAYERS) -> str:
    """Which layers were not run; empty where all were."""
    lacking = [name for name in layers if name not in set(rows.layer)]
    return f"without {', '.join(lacking)}" if lacking else ""


def mean_bias(rows: Frame) -> str:
    """Mean estimated minus mean true PIR before tuning."""
    return f"mean bias {said_mean(rows.estimator_bias, 4)}"


def collapses(rows: Frame) -> str:
    """A gain that cost more than half of the images' variety is said, as in a run's own verdict."""
    return f"{rows.lost.sum()} with collapse" if rows.lost.any() else ""


def variety_left(rows: Frame) -> str:
    """What tuning left of the distance within classes."""
    left = (rows.distance_after / rows.distance_before)[rows.distance_before != 0]
    return f"distance {left.mean():.2f} of that before; {rows.lost.sum()} lost more than half" if len(left) else ""


def each(words: str, before: str, between: str = "; ") -> Words:
    """Something said of each row after its objective."""
    words = f"{{objective}} {words}"
    return lambda rows: f"{before} {between.join(words.format(**row) for row in rows.to_dict('records'))}"


# Tables


def second_rounds(evidence: Evidence) -> Frame:
    """Second rounds of the paper's method, those without an effect size among them."""
    return evidence.rows[departures(evidence.rows) == "round"]


def compared(setting: str) -> Callable[[Evidence], Frame]:
    """Experiments that depart from the paper in one setting alone; the columns `paper_...` are of the paper's setting."""
    return lambda evidence: evidence.compared(setting)


def usual(pairs: Frame) -> Frame:
    """The paper's side of pairs."""
    own = [name for name in pairs if name.startswith("paper_")]
    return pairs[own].rename(columns=lambda name: name.removeprefix("paper_"))


def lengths(*, longer: bool) -> Table:
    """Three-colour experiments after the usual tuning, or beside them those after a much longer one."""

    def rows(evidence: Evidence) -> Frame:
        found = select(evidence.compared("tuning_steps"), f"tuning_steps >= {LONGER} * paper_tuning_steps")
        return found.drop(columns="paper_experiment") if longer else usual(found)

    return Table("of three colours at two lengths", only(THREE), rows=rows)


def channels(word: str, kind: str) -> Table:
    """Colour experiments with `moved`, the change of a channel: with one colour of its own, with two of the third one."""

    def moved(row: pd.Series) -> float:
        asked = row.objective.partition(":")[2].split("-")
        (name,) = asked if kind == SINGLE else set(CHANNELS[:3]) - set(asked)
        return float(row[f"{name}_after"] - row[f"{name}_before"])

    def rows(evidence: Evidence) -> Frame:
        own = select(evidence.method, only(kind))
        return own.assign(moved=[moved(row) for _, row in own.iterrows()])

    return Table(f"of {word} colours with channel means", only(kind), rows=rows)


def image_sets(evidence: Evidence) -> Frame:
    """First rounds, of those that judge the same images one: runs of one generator and seed, to float32's digits."""
    rows = select(evidence.rows, "round == 1 and distance_before.notna() and distance_real > 0")
    return rows[~rows[["distance_before", "distance_real"]].round(6).duplicated()]


def curves(what: str, *fields: str) -> Table:
    """Trade-offs with enough weights: a row for each, with the rank correlations of the weight with fields that vary."""

    def rows(evidence: Evidence) -> Frame:
        found = []
        for _, curve in evidence.curves.groupby("curve"):
            weighted = curve[curve.fools_weight != 0]
            known = {field: weighted.dropna(subset=["pir_weight", field]) for field in fields}
            if all(len(own) >= WEIGHTS and own[field].nunique() > 1 for field, own in known.items()):
                about = {"objective": curve.objective.iloc[0], "weights": len(weighted)}
                ranks = {field: stats.spearmanr(own.pir_weight, own[field])[0] for field, own in known.items()}
                found.append({"experiment": list(curve.experiment), **about, **ranks})
        if not found:
            raise NotRun(what, f"pir_weight.notna() and pir_weight != {METHOD['pir_weight']}")
        return pd.DataFrame(found)

    return Table(what, rows=rows)


def extremes(where: str = "") -> Table:
    """Experiments without the generator's loss, with the paper's weights beside them, of each trade-off that has both."""

    def rows(evidence: Evidence) -> Frame:
        curves = evidence.curves
        paper = curves[(curves.fools_weight != 0) & (curves.pir_weight == METHOD["pir_weight"])].drop_duplicates(
            "curve"
        )
        alone = curves[curves.fools_weight == 0].drop_duplicates("curve")
        return alone.merge(paper.add_prefix("paper_"), left_on="curve", right_on="paper_curve")

    return Table("of tuning without the generator's loss", "fools_weight == 0", where, rows)


# Measures


def raises(what: str, of: str, where: str = "", remark: Words = collapses) -> Measure:
    """On how many objectives PIR rose significantly. Source: 4."""
    return count("improved", "improved", Table(f"of {what}", of, where), mean_d, remark)


def poor(layer: str) -> Measure:
    """The same of a layer's single filters, and how far they are behind those of layers that aren't sparse."""

    def rows(evidence: Evidence) -> Frame:
        others = select(evidence.method, f"{only(VGG_SINGLE)} and layer not in {list(SPARSE)}")
        return evidence.method.assign(elsewhere=others.cohens_d.mean())

    def remark(rows: Frame) -> str:
        return f"mean d {rows.elsewhere.mean():+.2f} at the other layers" if rows.elsewhere.notna().all() else ""

    table = Table(f"of single filters of {layer}", only(VGG_SINGLE, layer), rows=rows)
    return count("improved", "improved", table, mean_d, remark, behind="cohens_d - elsewhere")


def consistent(evidence: Evidence) -> Finding:
    """How often 20 filters are improved, and how far their effects spread, each against one filter."""
    rows = select(evidence.method, OF_VGG)
    layers = [name for name in LAYERS if rows[rows.layer == name].kind.nunique() > 1]
    if not layers:
        raise NotRun("of one and 20 filters of one layer", OF_VGG)
    kinds = rows[rows.layer.isin(layers)].groupby("kind")
    spread = (kinds.cohens_d.std() / kinds.cohens_d.mean()).where(kinds.cohens_d.mean() > 0)
    words = [number(spread[kind], 2, missing="undefined") for kind in (VGG_MULTI, VGG_SINGLE)]
    single, multi = kinds.get_group(VGG_SINGLE), kinds.get_group(VGG_MULTI)
    more = f"{single.improved.sum()} of {len(single)} single filters; SD of d over its mean {' against '.join(words)}"
    often, wider = multi.improved.mean() - single.improved.mean(), spread[VGG_MULTI] - spread[VGG_SINGLE]
    table = [[own.improved.sum(), (~own.improved.astype(bool)).sum()] for own in (multi, single)]
    p = float(stats.fisher_exact(table, alternative="greater")[1])
    more += f"; Fisher's one-sided {p_value(p)}"
    return shared(
        multi, multi.improved, "sets improved", more, f"layers {', '.join(layers)}", often=often, wider=wider, p=p
    )


def harder(evidence: Evidence) -> Finding:
    """The mean effect with three colours, against one and two."""
    tables = [Table(f"of {kind.split()[0]} colours", only(kind)) for kind in COLOR_KINDS]
    rows = [table.read(evidence, "cohens_d") for table in tables]
    single, two, three = (statistics.fmean(own.cohens_d) for own in rows)
    bounds = mean_interval(rows[2].cohens_d)
    words = f"mean d {single:+.2f} with one colour, {two:+.2f} with two, {three:+.2f}{said(bounds)} with three"
    remark, numbers = f"three colours after {steps(rows[2])}", {"over_one": three - single, "over_two": three - two}
    return Finding(names(pd.concat(rows)), words, len(rows[2]), three, bounds, remark, numbers)


def nonzero(layer: str, paper: float) -> Measure:
    """The percent of non-zero PIRs of a layer's single filters, and how many have almost only zeros."""
    table = Table(f"of single filters of {layer}", f"{OF_VGG} and layer == '{layer}'", only(VGG_SINGLE))

    def measure(evidence: Evidence) -> Finding:
        rows = table.read(evidence, "initial_percent_nonzero")
        value, bounds = statistics.fmean(rows.initial_percent_nonzero), mean_interval(rows.initial_percent_nonzero)
        bounds = (max(bounds[0], 0.0), min(bounds[1], 100.0)) if bounds else None
        zeros, n = int((100 - rows.initial_percent_nonzero > ALL_BUT).sum()), len(rows)
        words = f"{value:.0f}% non-zero{said(bounds, 0)}, {zeros} of {n} filters above {ALL_BUT}% zeros"
        numbers = {"off": abs(value - paper), "zeros": zeros / n, "off_half": abs(zeros / n - 0.5)}
        return Finding(names(rows), words, n, value, bounds, "", numbers)

    return measure


def sparsest(evidence: Evidence) -> Finding:
    """How many of the sparse layers have fewer non-zero PIRs than every other layer that was run."""
    rows = select(evidence.method, only(VGG_SINGLE)).dropna(subset="initial_percent_nonzero")
    means = rows.groupby("layer").initial_percent_nonzero.mean().reindex(LAYERS).dropna()
    sparse = means.index.isin(SPARSE)
    if sparse.all() or not sparse.any():
        raise NotRun("of single filters of sparse and of other layers", OF_VGG if sparse.any() else OF_SPARSE)
    words = ", ".join(f"{layer} {percent:.0f}%" for layer, percent in means.items())
    below = (means[sparse] < means[~sparse].min()).sum() / len(SPARSE)
    return Finding(names(rows), words, len(rows), remark=without(rows), numbers={"share": below})


def less_sparse(evidence: Evidence) -> Finding:
    """At how many of the sparse layers 20 filters have more non-zero PIRs than one."""
    rows = select(evidence.method, OF_SPARSE).dropna(subset="initial_percent_nonzero")
    means = rows.pivot_table("initial_percent_nonzero", "layer", "kind")
    means = means.reindex(SPARSE, columns=[VGG_SINGLE, VGG_MULTI]).dropna()
    if means.empty:
        raise NotRun("of one and 20 filters of pool5, fc6 or fc7", OF_SPARSE)
    words = ", ".join(f"{layer} {many:.0f}% against {one:.0f}%" for layer, one, many in means.itertuples())
    rows, more = rows[rows.layer.isin(means.index)], (means[VGG_MULTI] > means[VGG_SINGLE]).sum() / len(SPARSE)
    return Finding(names(rows), words, len(rows), remark=without(rows, SPARSE), numbers={"share": more})


def all_zero(evidence: Evidence) -> Finding:
    """How many filters of sparse layers have PIRs that are all, or nearly all, zero."""
    table = Table("of single filters of sparse layers", OF_SPARSE, only(VGG_SINGLE))
    rows = table.read(evidence, "initial_percent_zero")
    zero, nearly = (int((rows.initial_percent_zero >= percent).sum()) for percent in (100, 99))
    words = f"{zero} of {len(rows)} filters all zero, {nearly} at least 99%"
    return Finding(names(rows), words, len(rows), zero, numbers={"most": rows.initial_percent_zero.max()})


def poor_where_zero(evidence: Evidence) -> Finding:
    """The effects of filters with almost only zeros, against the others of the same layers."""
    rows = select(evidence.method, f"{OF_SPARSE} and {only(VGG_SINGLE)}").dropna(
        subset=["initial_percent_zero", "cohens_d"]
    )
    zero, rest = (rows[(rows.initial_percent_zero > ALL_BUT) == wanted].cohens_d for wanted in (True, False))
    if zero.empty or rest.empty:
        raise NotRun(f"of filters above and below {ALL_BUT}% zeros", OF_SPARSE)
    value, bounds = statistics.fmean(zero), mean_interval(zero)
    words = f"mean d {value:+.2f}{said(bounds)} of {len(zero)} such filters, {rest.mean():+.2f} of {len(rest)} others"
    numbers = {"behind": value - rest.mean(), "share": (zero < rest.median()).mean()}
    return Finding(names(rows), words, len(zero), value, bounds, without(rows, SPARSE), numbers)


def slope(model: str, of: str = "", remark: Words = "", *, r: bool = False) -> Measure:
    """The slope of a linear model over the objectives with the paper's method."""

    def measure(evidence: Evidence) -> Finding:
        fitted = evidence.models[model]
        if not fitted.n:
            raise NotRun("of these objectives", of)
        if fitted.n < FEWEST:
            raise NotRun(reason=f"only {fitted.n} objectives run, too few for a linear model ({FEWEST})")
        found = fitted.slope
        if found is None:
            raise NotRun(reason=fitted.reason or "undefined")
        rows = select(evidence.method, of)
        words = f"r {fitted.correlation or 0.0:+.2f}, " if r else ""
        words += f"beta {number(found.beta, 2, signed=True)}{said(found.interval)}"
        words += f", t = {number(found.t, 1)}" if found.t is not None else ""
        words += f", {p_value(found.p_value, missing='p undefined')}"
        # Points on a line have no p, but a slope that is certain.
        numbers = {"p": found.p_value or 0.0, "beta": found.beta, "r_squared": fitted.r_squared}
        why = joined(say(remark, rows), fitted.reason or "")
        return Finding(names(rows), words, fitted.n, found.beta, found.interval, why, numbers)

    return measure


def explained(evidence: Evidence) -> Finding:
    """The share of the change's variance that the initial spread explains alone. Source: A.2."""
    found = slope("change_on_spread_alone")(evidence)
    r_squared, beta = found.numbers["r_squared"], found.numbers["beta"] or 0.0
    words = f"R² {r_squared:.2f}, beta {number(beta, 2, signed=True)}"
    remark = "" if beta > 0 else "the slope is negative"
    return replace(found, ours=words, value=r_squared, interval=None, remark=remark)


def complex_objectives(evidence: Evidence) -> Finding:
    """How the estimate follows the layer, and how often at the complex ones the truth is below it."""
    rows = select(evidence.method, OF_VGG).dropna(subset="excess")
    hard = rows[rows.layer_index >= COMPLEX]
    if hard.empty or rows.layer.nunique() < 3:
        what = "of objectives of pool5 or above and of three layers"
        raise NotRun(what, f"{OF_VGG} and layer_index >= {COMPLEX}")
    varies = rows.estimated_change.nunique() > 1
    trend, p = map(float, stats.spearmanr(rows.layer_index, rows.estimated_change)) if varies else (0.0, 1.0)
    did, lacking = "complex ones with a true change below the estimate", without(rows, LAYERS[COMPLEX - 1 :])
    more = f"rank correlation of estimate and layer {trend:+.2f} over {len(rows)}, {p_value(p)}"
    return shared(hard, hard.excess > 0, did, more, lacking, trend=trend, p=p)


def comparable(evidence: Evidence) -> Finding:
    """The size of the weighted PIR term over that of L_fake_image_fools, and of their gradients. Source: 2.4."""
    rows = Table("with a log of tuning", f"pir_weight == {METHOD['pir_weight']}").read(evidence, "loss_ratio")
    pulls, loss = rows.gradient_ratio.dropna(), float(rows.loss_ratio.median())
    pull, bounds = float(pulls.median()) if len(pulls) else None, median_interval(pulls)
    pulled = "not measured" if pull is None else f"{pull:.3g}{said(bounds)}"
    words = f"weighted PIR term over L_fools: gradients {pulled}, values {loss:.3g}"
    ratios = {"gradients": pull, "values": loss}
    numbers = {
        name: None if one is None else max(one, 1 / one) if one > 0 else math.inf for name, one in ratios.items()
    }
    return Finding(names(rows), words, len(rows), pull, bounds, "medians over runs", numbers)


def median_interval(values: pd.Series) -> Interval | None:
    """95% interval of a median, from order statistics; None for fewer than six values, of which there is none."""
    rank = int(stats.binom.ppf(0.025, len(values), 0.5)) if len(values) else 0
    ordered = sorted(map(float, values))
    return (ordered[rank - 1], ordered[-rank]) if rank else None


def temperature(evidence: Evidence) -> Finding:
    """By how much the effect is higher at temperature 0.01 than at 1, and how often more variety is left."""
    table = Table("of temperature 1", "temperature == 1", rows=compared("temperature"))
    difference = "paper_cohens_d - cohens_d"
    rows = table.read(evidence, difference)
    words = "mean d {paper_cohens_d:+.2f} at 0.01, {cohens_d:+.2f} at 1, difference {value:+.2f}{interval}"
    if rows[["paper_distance_after", "distance_after"]].notna().all(axis=None):
        words += "; within-class distance {paper_distance_after:.3f} against {distance_after:.3f}"
    lost = rows.lost.sum(), rows.paper_lost.sum()
    remark = f"{lost[0]} collapsed at 1, {lost[1]} at 0.01" if any(lost) else ""
    return average(difference, words, table, remark, kept="paper_distance_after > distance_after")(evidence)


def closer(setting: str, departure: str, mine: str, theirs: str) -> Measure:
    """By how much the paper's setting makes images closer to real ones; the interval is over pairs of GANs (Student's t).

    It is no narrower than 1.96 of KID's own standard errors, which are all that is known of one pair.
    """
    table = Table(f"of {theirs} with KID", f"{setting} == '{departure}'", rows=compared(setting))

    def measure(evidence: Evidence) -> Finding:
        rows = table.read(evidence, "kid_before - paper_kid_before")
        mean, n = rows.mean(numeric_only=True), len(rows)
        differences = rows.kid_before - rows.paper_kid_before
        value, bounds = statistics.fmean(differences), mean_interval(differences)
        half = 1.96 * float((rows[["kid_before_se", "paper_kid_before_se"]] ** 2).sum().sum()) ** 0.5 / n
        half = max(half, bounds[1] - value if bounds else 0.0)
        digits = 1 if min(mean.kid_before, mean.paper_kid_before) >= 10 else 4  # its unit is that of the features
        words = f"KID {mean.paper_kid_before:.{digits}f} {mine}, {mean.kid_before:.{digits}f} {theirs}, "
        words += f"difference {value:+.{digits}f}{said((value - half, value + half), digits)}"
        if pd.notna([mean.swd, mean.paper_swd]).all():
            words += f"; sliced Wasserstein distance {mean.paper_swd:.0f} against {mean.swd:.0f}"
        remark = f"difference of KID before tuning; lower in {int((differences > 0).sum())} of {n} pairs of GANs"
        if n == 1:
            remark += ", and the interval knows KID's own standard errors alone"
        return Finding(names(rows), words, n, value, (value - half, value + half), remark)

    return measure
