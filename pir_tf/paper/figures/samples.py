"""Randomly drawn images before and after tuning for the colour objectives (Fig. 3)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.errors import InputError
from pir_tf.paper.figures.style import empty
from pir_tf.paper.rows import COLOR_KINDS, Row
from pir_tf.paper.select import by_the_paper
from pir_tf.paper.tasks import objective_in_words
from pir_tf.report import style
from pir_tf.runs.directory import atomic

COLUMNS = ("block", "title", "experiment", "objective", "when", "place", "sample", "draw_seed")
TYPES = dict.fromkeys(("block", "place", "sample", "draw_seed"), int)
"""Those of the table's columns that are no text."""

DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
"""What NumPy raises for a file that is no whole archive."""

COUNT, LINE = 12, 4
"""Images of a block, and of a line in it."""

ACROSS = 3
SIDE, GAP, BETWEEN, HEADING = 0.64, 0.03, 0.2, 0.24
"""Inches: an image's side, and the distances of images, of blocks and of a block from its name."""


def draw_samples(rows: Sequence[Row], archives: dict[str, Path], *, seed: int) -> tuple[list[Row], np.ndarray]:
    """Draws images of each colour objective with the paper's method, and of its generator before tuning.

    Runs that began with the same images share one block before tuning.

    Args:
        rows: Experiments.
        archives: `evaluation/samples.npz` by the experiment's name; experiments without one are passed over.
        seed: Seed of the draw: the same indices in every run.

    Returns:
        A row for each image, and the images [n, h, w, 3], uint8, in the rows' order.

    Raises:
        InputError: An archive can't be read.

    Source: Fig. 3.
    """
    chosen = [row for row in by_the_paper(rows) if row["kind"] in COLOR_KINDS and row["experiment"] in archives]
    chosen.sort(key=lambda row: COLOR_KINDS.index(row["kind"]))
    blocks: list[tuple[str, Row, np.ndarray, np.ndarray]] = []
    known: set[bytes] = set()
    for row in chosen:
        before, after = _read(archives[row["experiment"]])
        indices = np.random.default_rng(seed).permutation(min(len(before), len(after)))[:COUNT]
        if before[indices].tobytes() not in known:
            known.add(before[indices].tobytes())
            blocks.append(("before", row, before[indices], indices))
        blocks.append(("after", row, after[indices], indices))
    table = [
        {
            "block": number,
            "title": "before tuning" if when == "before" else objective_in_words(row["objective"]),
            "experiment": row["experiment"],
            "objective": row["objective"],
            "when": when,
            "place": place,
            "sample": int(index),
            "draw_seed": seed,
        }
        for number, (when, row, _, indices) in enumerate(blocks, 1)
        for place, index in enumerate(indices)
    ]
    return table, np.concatenate([images for *_, images, _ in blocks]) if blocks else np.zeros((0, 64, 64, 3), np.uint8)


def draw(rows: Sequence[Row], images: np.ndarray) -> Any:
    """A block of images for each objective after tuning, and one for the generator that they began with.

    Args:
        rows: The table of `draw_samples`.
        images: Uint8 [n, h, w, 3] in the rows' order.

    Returns:
        The figure; it says when there are no images.

    Raises:
        InputError: The images don't belong to the table.

    Source: Fig. 3.
    """
    if len(rows) != len(images):
        raise InputError(
            f"figure-3.csv names {len(rows)} images and figure-3.npz holds {len(images)}, expected as many: make both "
            "again from the runs."
        )
    numbers = list(dict.fromkeys(row["block"] for row in rows))
    if not numbers:
        return empty("no samples of runs with colour objectives")
    columns = min(ACROSS, len(numbers))
    block_width = LINE * (SIDE + GAP) - GAP
    block_height = -(-max(sum(row["block"] == n for row in rows) for n in numbers) // LINE) * (SIDE + GAP) - GAP
    lines = -(-len(numbers) // columns)
    width = columns * (block_width + BETWEEN) - BETWEEN
    height = lines * (block_height + HEADING + 0.6 * BETWEEN) - 0.6 * BETWEEN
    figure = style.new_figure(height, width=width, dpi=style.PICTURE_DPI)
    figure.set_layout_engine("none")
    for order, number in enumerate(numbers):
        left = (order % columns) * (block_width + BETWEEN)
        top = (order // columns) * (block_height + HEADING + 0.6 * BETWEEN) + HEADING
        own = [(row, image) for row, image in zip(rows, images, strict=True) if row["block"] == number]
        color = style.BEFORE_TEXT if own[0][0]["when"] == "before" else style.AFTER
        figure.text(
            left / width,
            1 - (top - 0.07) / height,
            own[0][0]["title"],
            color=color,
            fontsize=style.TEXT,
            fontweight="bold",
        )
        for row, image in own:
            x = left + (row["place"] % LINE) * (SIDE + GAP)
            y = height - top - (row["place"] // LINE) * (SIDE + GAP) - SIDE
            axes = figure.add_axes((x / width, y / height, SIDE / width, SIDE / height))
            axes.set_axis_off()
            axes.imshow(image, interpolation="lanczos", interpolation_stage="rgba", aspect="auto")
    return figure


def caption(rows: Sequence[Row]) -> str:
    """What the figure shows."""
    if not rows:
        return "Images of colour objectives: no samples were at hand."
    count = len({row["block"] for row in rows if row["when"] == "after"})
    return (
        f"Images for {count} colour objectives after tuning, and of the generator before it. Drawn at random with seed "
        f"{rows[0]['draw_seed']}, none chosen by hand."
    )


def save_images(path: Path, images: np.ndarray) -> None:
    """Keeps the images of the figure, so that it can be drawn again without the runs."""
    with atomic(path) as beside:
        np.savez_compressed(beside, images=images)


def load_images(path: Path) -> np.ndarray:
    """Reads what `save_images` wrote.

    Raises:
        InputError: The file can't be read.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["images"]
    except DAMAGED as error:
        raise InputError(f"{path} can't be read ({error}): make the figures again from the runs.") from error


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["before"], archive["after"]
    except DAMAGED as error:
        raise InputError(f"{path} can't be read ({error}): repeat the evaluation.") from error
