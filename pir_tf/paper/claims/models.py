"""The claims that the paper makes with linear models over objectives (4.1, A.1, A.2, C.4.2)."""

from __future__ import annotations

import dataclasses

from pir_tf.paper.claims.rules import VARIED, Claim, Evidence, Finding, decide, joined, names, said
from pir_tf.paper.linear_models import LinearModel
from pir_tf.paper.models import fit_models
from pir_tf.paper.rows import LAYERS, VGG_MULTI
from pir_tf.paper.tasks import ALPHA
from pir_tf.report.numbers import number, p_value

ABOUT_HALF = (0.35, 0.65)


def _model(evidence: Evidence, name: str) -> tuple[LinearModel, Finding | None]:
    """A fitted model, and the finding where it is undefined or of too few objectives to say anything."""
    model = fit_models(evidence.rows)[name]
    if not model.n:
        kinds = (VGG_MULTI,) if name == "layer_trend" else ()
        return model, evidence.not_run("of these objectives", lambda row: not kinds or row["kind"] in kinds)
    if model.n < VARIED:
        return model, Finding("not run", remark=f"only {model.n} objectives run, too few for a linear model ({VARIED})")
    if model.slope is None or model.r_squared is None:
        return model, Finding("not run", remark=model.reason or "undefined")
    return model, None


def _slope_finding(model: LinearModel, reproduced: bool, partly: bool, evidence: Evidence, remark: str = "") -> Finding:
    slope = model.slope
    assert slope is not None
    t = f", t = {number(slope.t, 1)}" if slope.t is not None else ""
    ours = f"beta {number(slope.beta, 2, signed=True)}{said(slope.interval)}{t}, {p_value(slope.p_value, missing='p undefined')}"
    rows = evidence.kind(VGG_MULTI) if "layer" in model.regressor else evidence.method
    return Finding(
        decide(reproduced, partly),
        ours,
        slope.beta,
        slope.interval,
        model.n,
        joined(remark, model.reason or ""),
        names(rows),
    )


def _certain(model: LinearModel) -> bool:
    """Whether the slope differs from zero at the paper's threshold; points on a line do."""
    slope = model.slope
    return slope is not None and (slope.p_value is None or slope.p_value < ALPHA)


def _layer_trend(evidence: Evidence) -> Finding:
    """The effect of 20 filters falls with the layer."""
    model, undefined = _model(evidence, "layer_trend")
    if undefined or model.slope is None:
        return undefined or Finding("not run")
    falls = model.slope.beta < 0
    layers = {row["layer"] for row in evidence.kind(VGG_MULTI)}
    lacking = [name for name in LAYERS if name not in layers]
    remark = f"without {', '.join(lacking)}" if lacking else ""
    return _slope_finding(model, falls and _certain(model), falls, evidence, remark)


def _factor(evidence: Evidence) -> Finding:
    """The true change is more than the estimated one: the slope is above 1."""
    model, undefined = _model(evidence, "change_on_estimated")
    if undefined or model.slope is None:
        return undefined or Finding("not run")
    return _slope_finding(model, model.slope.interval[0] > 1, model.slope.beta > 1, evidence)


def _spread(evidence: Evidence) -> Finding:
    """The change grows with the initial spread, the mean and the zeros held."""
    model, undefined = _model(evidence, "change_on_spread")
    if undefined or model.slope is None:
        return undefined or Finding("not run")
    grows = model.slope.beta > 0
    return _slope_finding(model, grows and _certain(model), grows, evidence)


def _spread_alone(evidence: Evidence) -> Finding:
    """About half of the variance, in the same direction."""
    model, undefined = _model(evidence, "change_on_spread_alone")
    if undefined or model.slope is None or model.r_squared is None:
        return undefined or Finding("not run")
    share, grows = model.r_squared, model.slope.beta > 0
    return Finding(
        decide(grows and ABOUT_HALF[0] <= share <= ABOUT_HALF[1], grows and share >= 0.2),
        f"R² {share:.2f}, beta {number(model.slope.beta, 2, signed=True)}",
        share,
        None,
        model.n,
        "" if grows else "the slope is negative",
        names(evidence.method),
    )


def _nonzero(evidence: Evidence) -> Finding:
    """Effects grow with the share of PIRs that aren't zero."""
    model, undefined = _model(evidence, "effect_on_nonzero")
    if undefined or model.slope is None:
        return undefined or Finding("not run")
    grows, r = model.slope.beta > 0, model.correlation or 0.0
    found = _slope_finding(model, grows and _certain(model), grows, evidence, "colours and single filters")
    rows = [row for row in evidence.method if row["kind"] != VGG_MULTI]
    return dataclasses.replace(found, ours=f"r {r:+.2f}, {found.ours}", experiments=names(rows))


_SLOPE = "beta is above 0 with p < 0.001"
_ALL = "colors vgg-single vgg-multi"

CLAIMS = (
    Claim(
        key="layer trend",
        section="4.1",
        text="With 20 filters the effect size falls with each layer, initial SD and percent zeros held",
        paper="beta -0.13 per layer, t = -7.8, p < 1e-10",
        reproduced="beta is below 0 with p < 0.001",
        partly="below 0",
        suite="vgg-multi",
        judge=_layer_trend,
    ),
    Claim(
        key="estimate to truth",
        section="A.1, Fig. 4",
        text="The change is more than estimated, by a factor of more than 1.5",
        paper="beta 1.67 of change on estimated change",
        reproduced="the 95% interval of beta is above 1",
        partly="beta is",
        suite=_ALL,
        judge=_factor,
    ),
    Claim(
        key="initial spread",
        section="A.2, Fig. 5",
        text="The change grows with the initial SD, initial mean and percent zeros held",
        paper="beta 0.99, t = 10.6, p < 1e-10",
        reproduced=_SLOPE,
        partly="above 0",
        suite=_ALL,
        judge=_spread,
    ),
    Claim(
        key="initial spread alone",
        section="A.2",
        text="The initial SD explains about half of the variance of the change",
        paper="about 50%",
        reproduced=f"R² is {ABOUT_HALF[0]} to {ABOUT_HALF[1]} with a positive slope",
        partly="0.2 or more",
        suite=_ALL,
        judge=_spread_alone,
    ),
    Claim(
        key="zeros and effect",
        section="C.4.2, Fig. 8",
        text="The effect is strongly related to the percent of non-zero PIRs",
        paper="strong, no number",
        reproduced=_SLOPE,
        partly="above 0",
        suite="colors vgg-single",
        judge=_nonzero,
    ),
)
"""In the order of the table."""
