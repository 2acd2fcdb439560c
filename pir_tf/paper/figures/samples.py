"""Randomly drawn images before and after tuning for the colour objectives (Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.images import grid
from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.figures.style import columns, empty, objective_in_words
from pir_tf.paper.rows import table
from pir_tf.paper.select import by_the_paper
from pir_tf.report import style
from pir_tf.runs.arrays import require_arrays

COLUMNS = columns(
    *("block", "title", "experiment", "objective", "when", "place", "sample", "draw_seed"),
    **dict.fromkeys(("block", "place", "sample", "draw_seed"), int),
)
COUNT, LINE, ACROSS = 12, 4, 3
"""Images of a block and of a line in it, and blocks side by side."""
SIDE = 0.68  # inches of an image


def draw_samples(rows: pd.DataFrame, archives: Mapping[str, Path], *, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Draws images of each colour objective with the paper's method, and of its generator before tuning.

    Args:
        rows: Experiments. Those that began with the same images share one block before tuning.
        archives: `samples.npz` by the experiment's name; experiments without one are passed over.
        seed: Seed of the draw: the same indices in every run.

    Returns:
        A row for each image, and the images [n, h, w, 3], uint8, in the rows' order.

    Source: Fig. 3.
    """
    chosen = by_the_paper(rows)
    chosen = chosen[chosen["kind"].isin(COLOR_KINDS) & chosen["experiment"].isin(list(archives))]
    found: list[dict[str, Any]] = []
    images: list[np.ndarray] = []
    known: set[bytes] = set()
    for row in chosen.sort_values("kind", key=lambda kinds: kinds.map(COLOR_KINDS.index), kind="stable").itertuples():
        archive = archives[row.experiment]
        before, after = read(archive, "before", "after", otherwise="repeat the evaluation")
        indices = np.random.default_rng(seed).permutation(min(len(before), len(after)))[:COUNT]
        for when, side in (("before", before[indices]), ("after", after[indices])):
            if when == "before" and side.tobytes() in known:
                continue
            known.add(side.tobytes())
            images.append(side)
            title = "before tuning" if when == "before" else objective_in_words(row.objective)
            about = {"block": len(images), "title": title, "experiment": row.experiment, "objective": row.objective}
            about |= {"when": when, "draw_seed": seed}
            found += [{**about, "place": place, "sample": int(index)} for place, index in enumerate(indices)]
    return table(found, COLUMNS), np.concatenate(images) if images else np.zeros((0, 64, 64, 3), np.uint8)


def draw(rows: pd.DataFrame, images: np.ndarray) -> Any:
    """A block of images for each objective after tuning, and one for the generator that they began with.

    Raises:
        InputError: The images don't belong to the table.
    """
    if len(rows) != len(images):
        raise InputError(
            f"figure-3.csv names {len(rows)} images and figure-3.npz holds {len(images)}, expected as many: make both again "
            "from the runs."
        )
    if rows.empty:
        return empty("no samples of runs with colour objectives")
    blocks = [block for _, block in rows.groupby("block", sort=False)]
    across, down = min(ACROSS, len(blocks)), -(-len(blocks) // ACROSS)
    lines = -(-max(map(len, blocks)) // LINE)
    figure = style.new_figure(down * (lines * SIDE + 0.35), width=across * (LINE * SIDE + 0.15), dpi=style.PICTURE_DPI)
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, block in zip(places, blocks, strict=False):
        first = block.iloc[0]
        color = style.BEFORE_TEXT if first["when"] == "before" else style.AFTER
        axes.set_title(first["title"], loc="left", color=color, fontsize=style.TEXT, fontweight="bold")
        axes.imshow(grid(images[block.index], LINE), interpolation="lanczos", interpolation_stage="rgba")
    return figure


def caption(rows: pd.DataFrame) -> str:
    """What the figure shows."""
    if rows.empty:
        return "Images of colour objectives: no samples were at hand."
    count = rows.loc[rows["when"] == "after", "block"].nunique()
    return (
        f"Images for {count} colour objectives after tuning, and of the generator before it. Drawn at random with seed "
        f"{rows['draw_seed'].iloc[0]}, none chosen by hand."
    )


def read(path: Path, *names: str, otherwise: str) -> list[np.ndarray]:
    """Arrays of an archive.

    Raises:
        InputError: It can't be read, with what to do otherwise.
    """
    archive = require_arrays(path, otherwise)
    if lacking := [name for name in names if name not in archive]:
        raise InputError(f"{path} can't be read (it has no {lacking[0]}): {otherwise}.")
    return [archive[name] for name in names]
