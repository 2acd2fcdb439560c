"""The figures over many experiments as one list: for each its table, how it is drawn from that, and its caption.

Each figure lies beside the CSV that it was drawn from, so that it can be drawn again, or differently, without the runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pir_tf.paper.figures import ablations, rounds, samples, scatter, strips, tradeoff
from pir_tf.paper.rows import COLUMNS, Row, read_rows, write_rows
from pir_tf.report import style


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """One figure that is drawn from rows.

    Attributes:
        name: Name of its files.
        title: Its heading.
        columns: Columns of its CSV.
        table: Its rows, from those of all experiments.
        draw: The figure, from its rows.
        caption: What it shows, from its rows.
        types: Types of its columns that experiments don't have.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    table: Callable[[Sequence[Row]], list[Row]]
    draw: Callable[[Sequence[Row]], Any]
    caption: Callable[[Sequence[Row]], str]
    types: Mapping[str, type] = dataclasses.field(default_factory=dict)

    def read(self, path: Path) -> list[Row]:
        """Reads its CSV."""
        return read_rows(path, {**COLUMNS, **self.types})


def _strips(name: str, title: str, value: str) -> PaperFigure:
    return PaperFigure(
        name,
        title,
        strips.COLUMNS,
        strips.points,
        partial(strips.strips, value=value),
        partial(strips.caption, value=value),
    )


def _scatter(name: str, title: str, shown: scatter.Scatter) -> PaperFigure:
    return PaperFigure(
        name,
        title,
        shown.columns,
        partial(scatter.table, scatter=shown),
        partial(scatter.draw, scatter=shown),
        partial(scatter.caption, scatter=shown),
    )


SAMPLES = "figure-3"
SAMPLES_TITLE = "Figure 3: samples of colour objectives"
"""The one figure that needs pictures besides its table: see `paper_samples`."""

FIGURES = (
    _strips("figure-2", "Figure 2: effect size by task", "cohens_d"),
    _scatter("figure-4", "Figure 4: true against estimated change", scatter.ESTIMATED),
    _scatter("figure-5", "Figure 5: change against initial spread", scatter.SPREAD),
    PaperFigure(
        "figure-6",
        "Figure 6: two rounds",
        rounds.COLUMNS,
        rounds.table,
        rounds.draw,
        rounds.caption,
    ),
    _strips("figure-7", "Figure 7: change in mean PIR by task", "change"),
    _scatter("figure-8", "Figure 8: effect size against non-zero PIRs", scatter.NONZERO),
    PaperFigure(
        "trade-off",
        "Trade-off of PIR and diversity (5.1)",
        tradeoff.COLUMNS,
        tradeoff.table,
        tradeoff.draw,
        tradeoff.caption,
        types=tradeoff.TYPES,
    ),
    PaperFigure(
        "ablations",
        "Settings compared with the paper's",
        ablations.COLUMNS,
        ablations.table,
        ablations.draw,
        ablations.caption,
        types=ablations.TYPES,
    ),
)
"""All others, in the order in which they are shown."""

ORDER = ("figure-2", SAMPLES, *(figure.name for figure in FIGURES[1:]))


def write_tables(directory: Path, rows: Sequence[Row], archives: Mapping[str, Path], *, seed: int) -> None:
    """Writes the CSV of each figure, and the pictures of Fig. 3.

    Args:
        directory: Where to.
        rows: All experiments.
        archives: `samples.npz` by the experiment's name.
        seed: Seed of the draw of Fig. 3.

    Raises:
        InputError: An archive of samples can't be read.
    """
    for figure in FIGURES:
        write_rows(directory / f"{figure.name}.csv", figure.table(rows), figure.columns)
    table, images = samples.draw_samples(rows, dict(archives), seed=seed)
    samples.save_images(directory / f"{SAMPLES}.npz", images)
    write_rows(directory / f"{SAMPLES}.csv", table, samples.COLUMNS)


def draw_all(directory: Path) -> dict[str, tuple[str, str]]:
    """Draws every figure whose CSV is in a directory.

    Args:
        directory: Where `write_tables` has written; figures whose CSV is absent are passed over.

    Returns:
        For each figure that was drawn, in their order, its title and its caption.

    Raises:
        InputError: A table or the pictures can't be read, or don't fit each other.
    """
    drawn = {}
    for figure in FIGURES:
        path = directory / f"{figure.name}.csv"
        if path.is_file():
            rows = figure.read(path)
            style.save(figure.draw(rows), path.with_suffix(".png"))
            drawn[figure.name] = figure.title, figure.caption(rows)
    path = directory / f"{SAMPLES}.csv"
    if path.is_file():
        rows = read_rows(path, samples.TYPES)
        images = samples.load_images(path.with_suffix(".npz"))
        style.save(samples.draw(rows, images), path.with_suffix(".png"))
        drawn[SAMPLES] = SAMPLES_TITLE, samples.caption(rows)
    return {name: drawn[name] for name in ORDER if name in drawn}
