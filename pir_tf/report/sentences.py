"""The outcome of a run in sentences that need no knowledge of statistics (section 4, 5.1)."""

from __future__ import annotations

from typing import Any

from pir_tf.errors import InputError
from pir_tf.objective_names import VGG, Color, parse
from pir_tf.report.numbers import UNDEFINED, finite, interval, number, p_value, percent, two_means

MOST_FILTERS = 8
"""Filters of an objective that are named one by one."""

_VERDICTS = {
    "gain": ("A gain", "gain"),
    "gain with collapse": ("A gain with collapse", "warning"),
    "gain, not told apart from the GAN's own training": ("A gain, but not the PIR term's", "warning"),
    "loss": ("A loss", "loss"),
    "no significant change": ("No significant change", "neutral"),
    "undefined": ("The outcome is undefined", "neutral"),
    "not measured yet": ("Not measured yet", "open"),
}
"""For each verdict its headline, and the style class that gives it its colour on the page."""


def verdict(results: dict[str, Any]) -> str:
    """The verdict's word; an evaluation that is not there is not measured yet."""
    word = results.get("verdict")
    return word if word in _VERDICTS else "not measured yet"


def headline(results: dict[str, Any]) -> str:
    """The outcome in a few words."""
    return _VERDICTS[verdict(results)][0]


def tone(results: dict[str, Any]) -> str:
    """The style class of the outcome."""
    return _VERDICTS[verdict(results)][1]


def verdict_sentence(results: dict[str, Any]) -> str:
    """The outcome of `evaluation/results.json` (or of an empty dict) for a person who knows neither the paper nor statistics.

    Source: section 4 (change, d, alpha), 5.1 (collapse).
    """
    word = verdict(results)
    before, after = finite(results.get("pir_before_mean")), finite(results.get("pir_after_mean"))
    if word == "not measured yet" or before is None or after is None:
        return _not_measured(results)
    low, high = two_means(before, after)
    effect = _effect(results)
    if word == "gain":
        return f"Tuning raised the mean PIR from {low} to {high} ({effect}): a gain."
    if word == "gain with collapse":
        return (
            f"Tuning raised the mean PIR from {low} to {high} ({effect}), but the images became too alike: "
            f"{_collapsed(results)}. A gain with collapse is no success."
        )
    if word.startswith("gain, not told apart"):
        return (
            f"Tuning raised the mean PIR from {low} to {high} ({effect}), but as many steps of the GAN's own training, without "
            "the PIR term, did about as much: the gain can't be told apart from theirs."
        )
    if word == "loss":
        return f"Tuning lowered the mean PIR from {low} to {high} ({effect}): a loss."
    if word == "no significant change":
        alpha = number(results.get("alpha"), 3, missing="0.001")
        chance = p_value(results.get("p_value"), missing="p undefined")
        return (
            f"Tuning made no difference that stands out from chance: the mean PIR was {low} before and {high} after "
            f"({effect}; {chance}, threshold {alpha})."
        )
    return (
        f"The mean PIR was {low} before and {high} after tuning, but whether that is more than chance can't be told: "
        "all images of a set have the same PIR, or there are too few."
    )


def doubt(results: dict[str, Any]) -> str | None:
    """That a gain or loss can't be put down to the PIR term, where the estimated PIR didn't rise; else `None`.

    Source: 2.4.
    """
    if verdict(results) not in ("gain", "gain with collapse", "loss") or results.get("estimate_rose") is not False:
        return None
    rise = number(results.get("estimated_change"), signed=True)
    bounds = results.get("estimated_change_interval")
    if bounds:
        rise += f", 95% interval {number(bounds[0], signed=True)} to {number(bounds[1], signed=True)}"
    return (
        "This change can't be put down to the PIR term: the estimated PIR, which that term raises, didn't rise beyond chance "
        f"({rise})."
    )


def kept_sentence(results: dict[str, Any]) -> str | None:
    """Which step's networks these are, where tuning may stop; `None` where all steps were done without a look."""
    kept = results.get("kept")
    if not kept:
        return None
    these = f"of step {kept['step']:,} of {kept['of']:,}" if kept["step"] else "from before tuning"
    these = f"These are the networks {these}."
    if not chosen_by_judge(results):
        if kept.get("stopped_at"):
            these += (
                f" Tuning was stopped at step {kept['stopped_at']:,}, where a class had lost more distance than it may."
            )
        else:
            these += " No class lost more distance than it may for long."
        return these if kept["step"] else f"{these} A smaller weight of PIR, or learning rate, goes further."
    end = f", and stopped tuning at step {kept['stopped_at']:,}" if kept.get("stopped_at") else ""
    return f"{these} The judge chose the step{end}, so its own view of the result is somewhat too good."


def chosen_by_judge(results: dict[str, Any]) -> bool:
    """Whether the second judge chose which networks were kept."""
    return (results.get("kept") or {}).get("chosen_by") == "judge"


def audience(results: dict[str, Any], *, demonstration: bool = False) -> str:
    """Who reacted to the images, in words: simulated users, real people, or first the ones and then the others."""
    people = "simulated raters in place of people" if demonstration else "real people"
    objective = results.get("objective")
    if results.get("source") not in (None, "simulated"):
        if not objective:
            return people
        return f"{audience({'objective': objective})}, while {people} judge the new images"
    if not objective:
        return "people who are not described here"
    try:
        return f"simulated users who like {_liked(parse(str(objective)))}"
    except InputError:
        return f"simulated users with the objective {objective}"


def _liked(objective: Color | VGG) -> str:
    if isinstance(objective, Color):
        if len(objective.colors) == 1:
            return objective.colors[0]
        places = {2: ("left half", "right half"), 3: ("left third", "middle third", "right third")}[
            len(objective.colors)
        ]
        parts = [f"{color} in the {place}" for color, place in zip(objective.colors, places, strict=True)]
        return f"{', '.join(parts[:-1])} and {parts[-1]}"
    if objective.filters is None:
        filters = f"{'1 filter' if objective.k == 1 else f'{objective.k} filters'} (draw {objective.seed})"
    else:
        *most, last = map(str, objective.filters[:MOST_FILTERS])
        if objective.k > MOST_FILTERS:
            most, last = [", ".join([*most, last])], f"{objective.k - MOST_FILTERS} more"
        filters = f"filters {', '.join(most)} and {last}" if most else f"filter {last}"
    return f"what activates {filters} of VGG16's layer {objective.layer}"


def scaling_sentence(results: dict[str, Any]) -> str | None:
    """That every PIR is on C.5's scale, how much of it is clipped, and the change without it; `None` without scaling.

    Source: C.5.
    """
    scaling, unscaled = results.get("scaling"), results.get("unscaled")
    if not scaling or not unscaled:
        return None
    low, high = two_means(unscaled["before_mean"], unscaled["after_mean"])
    clipped = ", ".join(
        f"{percent(scaling.get(f'percent_clipped_{name}'), 1)} {words}"
        for name, words in (("shown", "of those"), ("before", "of those before"), ("after", "of those after tuning"))
    )
    return (
        "Every PIR here was moved to mean 0.5 and standard deviation 0.25 on the images that were shown, and clipped to 0 to 1 "
        f"({clipped}). Without that, the mean went from {low} to {high} ({_effect(unscaled)})."
    )


def round_sentence(results: dict[str, Any], config: dict[str, Any]) -> str | None:
    """Of which run this is a further round, what that one did, and how far both have come; `None` in a first round.

    Source: A.3.
    """
    name = config.get("first_round")
    if not name:
        return None
    first = results.get("first_round") or {}
    before, after = finite(first.get("pir_before_mean")), finite(first.get("pir_after_mean"))
    said = f"This is round {results.get('round') or 2}: it goes on from the run {name}"
    if before is None or after is None:
        return f"{said}."
    low, high = two_means(before, after)
    said += f", which took the mean PIR from {low} to {high} ({_effect(first)})."
    if finite(results.get("cohens_d_from_start")) is None:
        return said
    way = {
        "cohens_d": results["cohens_d_from_start"],
        "cohens_d_interval": results.get("cohens_d_from_start_interval"),
    }
    return f"{said} From the images before the first round to those after this one, {_effect(way)}."


def estimator_sentence(results: dict[str, Any]) -> str | None:
    """How far the estimator's own view of the change is from the measured one; `None` without both.

    Source: A.1.
    """
    believed, measured = finite(results.get("estimated_change")), finite(results.get("change"))
    if believed is None or measured is None:
        return None
    said = f"The estimator believed in a change of {number(believed, signed=True)}"
    if believed * measured <= 0:
        return f"{said}, the measured change is {number(measured, signed=True)}."
    return (
        f"{said}, the measured change of {number(measured, signed=True)} is {number(measured / believed, 2)} times "
        "that (the paper's slope over many objectives: 1.67)."
    )


def _effect(results: dict[str, Any]) -> str:
    d = number(results.get("cohens_d"), 1, missing=UNDEFINED)
    bounds = interval(results.get("cohens_d_interval"), 1, missing="")
    return f"d = {d}, 95% interval {bounds}" if bounds else f"d = {d}"


def _collapsed(results: dict[str, Any]) -> str:
    diversity = results.get("diversity") or {}
    flags, names = diversity.get("collapsed") or [], results.get("class_names") or []
    classes = [str(names[i]) if i < len(names) else f"class {i}" for i, flag in enumerate(flags) if flag]
    if not classes:
        return "less than half of their variety is left"
    kind = "the class" if len(classes) == 1 else "the classes"
    return f"in {kind} {', '.join(classes)} less than half of the variety is left"


def _not_measured(results: dict[str, Any]) -> str:
    believed = finite(results.get("estimated_change"))
    first = "Whether tuning raised the PIR is not measured yet: nobody has reacted to the new images."
    if results.get("source") == "none":  # a round of several, the last of which is proved
        first = "Whether tuning raised the PIR is not measured in this run, which asks nobody about the new images."
    if believed is None:
        return first
    return f"{first} The estimator believes in a change of {number(believed, signed=True)}, which proves nothing."
