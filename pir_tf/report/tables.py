"""Tables of a run: the result for the terminal, and rows of text for the page (sections 4, A.1, 5.1)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pir_tf.report.numbers import MISSING, UNDEFINED, duration, finite, interval, number, p_value, percent, plain, whole
from pir_tf.report.sentences import chosen_by_judge, doubt, kept_sentence, verdict
from pir_tf.runs import directory
from pir_tf.runs.directory import read_json
from pir_tf.statistics.closing import EARLY

WIDTH = 80
STAGES = directory.STAGES[:-1]  # a report says nothing of itself
VIEWS = (("estimated", "the estimator's own view"), ("judged", "a second judge"))
"""Estimates of PIR beside the measured one, and what they are called."""
CHOSE = {"judged": "the judge (chose the step)"}
"""Those that had a say in the result, and what they are called then."""

NOT_JUDGED = "not measured"

Row = tuple[str, ...]


def result_rows(results: dict[str, Any]) -> list[Row]:
    """The measured result: rows (label, value, remark) of `evaluation/results.json`, or of an empty dict.

    Source: section 4. Deviation: D12.
    """
    measured = finite(results.get("change")) is not None
    missing = UNDEFINED if measured else MISSING
    bounds = interval(results.get("cohens_d_interval"), missing="")
    t = number(results.get("welch_t"), 1, missing="") if (results.get("people") or {}).get("mode") != "pair" else ""
    d = number(results.get("cohens_d"), 2, missing=missing)
    rows: list[Row] = [
        ("Mean PIR before", number(results.get("pir_before_mean")), _images(results, "before")),
        ("Mean PIR after", number(results.get("pir_after_mean")), _images(results, "after")),
        ("Change", number(results.get("change"), signed=True), ""),
        ("Cohen's d", d, f"95% interval {bounds}" if bounds else ""),
        (_test(results), p_value(results.get("p_value"), missing=missing), f"t = {t}" if t else ""),
        (f"Verdict at alpha {number(results.get('alpha'), missing='0.001')}", verdict(results), ""),
    ]
    if finite(results.get("kl")) is not None:
        rows.append(("KL of the moved latents", number(results["kl"], 2), "nats"))
    return rows


def _test(results: dict[str, Any]) -> str:
    """What p is of. Runs of an earlier version don't say so, and have Welch's t also where the evidence ended a study."""
    people = results.get("people") or {}
    pairs = people.get("mode") == "pair"
    if people.get("by_evidence", people.get("closed") == EARLY and (pairs or results.get("welch_t") is None)):
        return "Evidence that ended it"
    return "Sign test of pairs" if pairs else "Welch's t-test"


def estimate_rows(results: dict[str, Any]) -> list[Row]:
    """What the estimator and the second judge believe: (name, mean before, mean after, change, d).

    Source: A.1.
    """
    called = dict(VIEWS) | (CHOSE if chosen_by_judge(results) else {})
    return [
        (name, *(_compared(results[key]) if results.get(key) else (NOT_JUDGED,) * 4)) for key, name in called.items()
    ]


def baseline_rows(results: dict[str, Any]) -> list[Row]:
    """What tuning has to beat, where it was measured: (name, mean before, mean with it, change, d)."""
    rows, best = [], results.get("best_of") or {}
    if results.get("control"):
        rows.append(("  the GAN's own training", *_compared(results["control"])))
    for when, called in (("before", "untouched"), ("after", "tuned")):
        if best.get(when):
            rows.append((f"  best of {best['n']}, {called}", *_compared(best[when])))
    if results.get("plug_and_play"):
        rows.append(("  Plug & Play sampling", *_compared(results["plug_and_play"])))
    return rows


def observed_values(results: dict[str, Any]) -> Row | None:
    """Mean before, mean after, change and d of simulated reactions with their noise; `None` where they don't exist.

    Deviation: D15.
    """
    view = results.get("observed")
    return _compared(view) if view and results.get("source") == "simulated" else None


def result_table(results: dict[str, Any]) -> str:
    """The result of `evaluation/results.json` as lines for the terminal, at most 80 columns wide.

    What the estimator and the second judge say is labelled as an estimate.

    Source: section 4, A.1.
    """
    rows = result_rows(results)
    label_width, value_width = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    lines = [f"{label:<{label_width}}{value:<{value_width}}{remark}".rstrip() for label, value, remark in rows]
    estimates: list[Row] = [("Estimates, not gains", "before", "after", "change", "d")]
    estimates += [(f"  {name}", *values) for name, *values in estimate_rows(results)]
    baselines = baseline_rows(results)
    if baselines:
        estimates += [("",) * 5, ("Baselines, true PIR", "before", "with it", "change", "d"), *baselines]
    width = max(9, *(len(cell) + 2 for _, *cells in estimates for cell in cells if cell != NOT_JUDGED))
    lines.append("")
    for name, *cells in estimates:
        known = cells[0] != NOT_JUDGED
        line = f"{name:<28}" + ("".join(f"{cell:>{width}}" for cell in cells) if known else f"   {NOT_JUDGED}")
        lines.append(line.rstrip())
    if kid := kid_row(results):
        of = results["kid"]
        lines += ["", "KID " + ", ".join(map(" ".join, zip(("before", "after", "of the control"), kid, strict=False)))]
        by = textwrap.TextWrapper(WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        lines += by.wrap(f"of {of['images']:,} images by {of['network']}")
    for note in (doubt(results), kept_sentence(results), results.get("note")):
        if note:
            lines += ["", *textwrap.wrap(f"Note: {note}", WIDTH)]
    return "\n".join(lines)


def print_result(run_directory: Path) -> None:
    """Prints the table of a run's result; nothing before its evaluation."""
    path = run_directory / "evaluation" / "results.json"
    if path.exists():
        print(f"\n{result_table(read_json(path))}", flush=True)


def quality_rows(quality: dict[str, Any], *, observed: bool = False) -> list[Row]:
    """The estimator's quality: (measure, at temperature 1, at the temperature of use).

    Args:
        quality: `estimator/quality.json`.
        observed: It was measured against people's answers, not the true PIR.

    Source: A.1, C.3.
    """
    both = [quality.get(key) or {} for key in ("at_temperature_1", "at_temperature")]
    measures = (
        ("Images", "n", 0),
        ("Rank correlation (Spearman)", "spearman", 3),
        ("Mean absolute error", "mean_absolute_error", 3),
        (f"Bias (predicted minus {'observed' if observed else 'true'})", "bias", 3),
        ("Spread of predictions (SD)", "sd_predicted", 3),
        ("Spread of the observed rates (SD)" if observed else "Spread of the truth (SD)", "sd_true", 3),
    )

    def said(side: dict[str, Any], key: str, digits: int) -> str:
        reason = (side.get("undefined") or {}).get(key)
        missing = f"undefined: {reason}" if reason else "not measured"
        if key == "n":
            return whole(side.get(key), missing=missing)
        return number(side.get(key), digits, signed=key == "bias", missing=missing)

    return [(label, *(said(side, key, digits) for side in both)) for label, key, digits in measures]


def diversity_rows(results: dict[str, Any], class_names: Sequence[str]) -> list[tuple[str, Row, Row, str]]:
    """Diversity class by class: (name, distances, MS-SSIMs, a sentence), both before, after and of real images.

    Source: 5.1.
    """
    diversity = results.get("diversity") or {}

    def said(measure: str, index: int) -> Row:
        sides = [diversity.get(side) for side in ("before", "after", "real")]
        return tuple(
            number(_item(side.get(measure), index), missing="too few images") if side else "none" for side in sides
        )

    return [
        (name, said("distance", index), said("ms_ssim", index), _diversity_sentence(diversity, index))
        for index, name in enumerate(class_names if diversity else ())
    ]


def kid_row(results: dict[str, Any]) -> Row | None:
    """The distance from the real images, before and after tuning, each with its standard error; `None` without both.

    The control's comes third, where there is one.

    Source: 5.1.
    """
    kid = results.get("kid") or {}
    values = [(finite(kid.get(when)), finite(kid.get(f"{when}_se"))) for when in ("before", "after")]
    if any(value is None for value, _ in values):
        return None
    control = (finite(kid.get("control")), finite(kid.get("control_se")))
    known = [*values, control] if control[0] is not None else values
    return tuple(f"{value:.3g}" + ("" if error is None else f" ± {error:.2g}") for value, error in known)


def stage_rows(stages: dict[str, dict[str, Any] | None]) -> list[Row]:
    """Stages with their time, peak memory, where the time went, and when they finished."""
    rows: list[Row] = []
    for stage in STAGES:
        facts = stages.get(stage)
        if facts is None:
            rows.append((stage, "not finished", "", "", ""))
            continue
        memory = whole(facts.get("peak_memory_mb"), missing="")
        finished = str(facts.get("finished") or "")[:16].replace("T", " ")
        said = f"{memory} MB" if memory else "unknown"
        rows.append((stage, duration(facts.get("seconds")), said, _parts(facts.get("parts") or {}), finished))
    return rows


def _parts(parts: dict[str, Any]) -> str:
    """Where a stage's time went: its parts of half a second and more, the longest first."""
    known = [(name, finite(seconds) or 0.0) for name, seconds in parts.items()]
    longest = sorted((part for part in known if part[1] >= 0.5), key=lambda part: -part[1])
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in longest)


def config_groups(config: dict[str, Any]) -> list[tuple[str, list[Row]]]:
    """All fields of the config, grouped by stage: (stage, rows of name and value)."""
    groups: dict[str, list[Row]] = {}
    for name, value in config.items():
        stage, dot, rest = name.partition(".")
        groups.setdefault(stage if dot else "experiment", []).append((rest if dot else name, plain(value)))
    return list(groups.items())


def _compared(view: dict[str, Any]) -> Row:
    before, after = (number(view.get(name), missing=UNDEFINED) for name in ("before_mean", "after_mean"))
    change = number(view.get("change"), signed=True, missing=UNDEFINED)
    return before, after, change, number(view.get("cohens_d"), 2, missing=UNDEFINED)


def _images(results: dict[str, Any], when: str) -> str:
    """How many images the mean is of: people may have left some without an answer."""
    made = results.get(f"images_{when}")
    judged = (results.get("people") or {}).get(f"images_{when}")  # by raters who saw both sides
    rated = (results.get("true") or {}).get(f"n_{when}", made) if judged is None else judged
    if rated == made:
        return f"{whole(made)} images" if made else ""
    return f"{whole(rated)} of {whole(made)} images rated"


def _item(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list | tuple) and index < len(values) else None


def _diversity_sentence(diversity: dict[str, Any], index: int) -> str:
    kept = finite(_item(diversity.get("after_over_before"), index))
    against_real = finite(_item(diversity.get("after_over_real"), index))
    if kept is None:
        return "Not known: too few images, or no variety before tuning."
    said = f"{percent(100 * kept)} of the distance before tuning is left"
    if against_real is not None:
        said += f", {percent(100 * against_real)} of that of real images"
    if _item(diversity.get("collapsed"), index):
        return f"Collapsed: {said}."
    if _item(diversity.get("collapsed_against_real"), index):
        return f"Less than half as varied as real images: {said}."
    return f"No collapse: {said}."
