"""The page of a study with people: one HTML file from what its database says. No TensorFlow."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError
from pir_tf.report import numbers, style
from pir_tf.report.page import template
from pir_tf.runs.directory import atomic

GENERATOR = b'<meta name="generator" content="pir_tf">'
TONES = {"gain": "gain", "loss": "loss", "not measured yet": "open", "undefined": "open"}
BETS = {"pair": "pairs", "grid": "grids"}
"""What an e-value bets on, where it isn't two single images."""
HEADLINES = {
    "gain": "{Who} like the tuned images better",
    "loss": "{Who} like the tuned images less",
    "gain with collapse": "{Who} like the tuned images better, which have become alike",
    "not measured yet": "Not measured yet",
    "undefined": "No result",
}


def write_people_report(found: dict[str, Any], path: Path) -> Path:
    """Writes the report of a study, in place of an older one.

    Args:
        found: What `people.summary.read_summary` returns.
        path: The HTML file.

    Raises:
        InputError: The file is there and is no report of ours.
    """
    if path.is_dir() or (path.exists() and GENERATOR not in path.read_bytes()[:4000]):
        raise InputError(f"{path} is there and no report of pir_tf, expected a name that is free: choose another.")
    path.parent.mkdir(parents=True, exist_ok=True)
    proof = found["proof"]
    verdict = proof["verdict"] if proof else "not measured yet"
    who = "Simulated raters" if found["simulated"] else "People"
    these = f"These {'simulated ' if found['simulated'] else ''}raters"
    claimed = these if proof and proof["sentence"].startswith("For these raters") else who
    page = template("people.html.j2", picture=lambda item: _data(found["pictures"][item])).render(
        **found,
        headline=HEADLINES.get(verdict, "No difference was found").format(Who=claimed),
        who=who.lower(),
        tone=TONES.get(verdict, "neutral"),
        curve=_figure(_curve(found)),
        evidence=_figure(_evidence(proof, found["study"]["mode"])) if proof and len(proof["e_values"]) > 1 else None,
        foreseen=any(one["foreseen"] is not None for one in found["rounds"]),
        estimated=any(one["estimator"] is not None for one in found["rounds"]),
        number=numbers.number,
    )
    with atomic(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="replace")
    return path


def points(found: dict[str, Any]) -> list[tuple[str, float, float | None, float | None]]:
    """The curve over rounds: (name, mean PIR, low, high) of each round's random images, then of the proof's after tuning.

    Of pairs there is none: in every round the images win half of the comparisons with each other, however good they are.
    """
    if found["study"]["mode"] == "pair":
        return []
    shown = [
        (f"round {one['round']}", one["mean"], one["low"], one["high"])
        for one in found["rounds"]
        if one["mean"] is not None
    ]
    proof = found["proof"]
    if proof and not proof["open"] and proof.get("after") is not None:
        shown.append(("proof", proof["after"], None, None))
    return shown


def _curve(found: dict[str, Any]) -> Any:
    shown = points(found)
    if len(shown) < 2:
        return None
    figure = style.new_figure(2.4)
    axes = figure.add_subplot()
    style.style_axes(axes, y="mean PIR of random images", title="What people thought of each round's images")
    places = range(len(shown))
    for place, (_, mean, low, high) in zip(places, shown, strict=True):
        if low is not None and high is not None:
            axes.plot([place, place], [low, high], color=style.AFTER, linewidth=1.2)
        axes.annotate(
            f"{mean:.2f}", (place, mean), xytext=(7, 0), textcoords="offset points", fontsize=style.SMALL, va="center"
        )
    axes.plot(places, [mean for _, mean, _, _ in shown], color=style.AFTER, marker="o", markersize=4, linewidth=1)
    axes.set_xticks(list(places), [name for name, *_ in shown])
    axes.set_xlim(-0.3, len(shown) - 0.5)
    return figure


def _evidence(proof: dict[str, Any], mode: str) -> Any:
    figure = style.new_figure(2.4)
    axes = figure.add_subplot()
    style.style_axes(
        axes, x=f"{BETS.get(mode, 'blocks of two')} answered", y="e-value", title="Evidence as the answers came"
    )
    values = [1.0, *proof["e_values"]]
    axes.plot(range(len(values)), values, color=style.AFTER, linewidth=1)
    axes.axhline(proof["e_needed"], color=style.MUTED, linewidth=0.8, linestyle="--")
    needed = f"enough to stop: {proof['e_needed']:,.0f}"
    look = {"fontsize": style.SMALL, "color": style.MUTED}
    axes.annotate(needed, (0, proof["e_needed"]), xytext=(0, 3), textcoords="offset points", **look)
    axes.set_yscale("log")
    style.count_axis(axes)
    return figure


def _figure(figure: Any) -> str | None:
    if figure is None:
        return None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return _data(buffer.getvalue())


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
