"""What the owner does with the rows: export them, take a person's away, and look at the page without recording."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, inspect, null, select

from pir_tf.errors import InputError
from pir_tf.people import pools, schema
from pir_tf.people.store import Store
from pir_tf.people.study import Study

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""
PREVIEW_IMAGES = 60

README = """# Answers of the study {name}

Written by `pir-tf people export`. Times are seconds since 1970 on the server, `at` milliseconds on the page's own clock. A cell
that a spreadsheet would take for a formula begins with an apostrophe.

- `images.csv`: an image, its round and pool, class, side (before or after tuning, in a proof), the chance with which it was
  drawn, the SHA-256 of the generator that made it and of the newest estimator then, that estimator's PIR of it, and the
  SHA-256 of its pixels.
- `raters.csv`: a person, by pseudonym, and the time of consent. Outside ids stay in the database.
- `impressions.csv`: an image handed out: rater, place (1 is their first), cell of the page, whether all raters see it, the place
  that it repeats (0: none), the block and coin of a proof.
- `events.csv`: what came back, in the server's order `seq`: `visible`, an answer (`like` 0 or 1, `rating` 1 to 5, `choice`),
  `skip`, `undo` (its value is the answer's `uuid`), or `click`, `dwell`, `share` of a page of your own.
- `controls.csv`: pools opened and closed, pauses, runs that ask and their rules. What came after
  `last_event` of a closing isn't counted.

An impression counts when it was visible and has an answer that is no skip, wasn't undone and is no repeat: the last one by `seq`.
"""


def export(store: Store, name: str, folder: Path) -> dict[str, int]:
    """Writes every row of a study as CSV with a README of the columns.

    Args:
        store: The database.
        name: The study's name, empty for the only one.
        folder: Where to; absent or empty.

    Returns:
        Rows by file.

    Raises:
        InputError: The folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty, expected a folder of its own for the export: name another with --to.")
    there = folder.exists()
    beside = folder / f".{os.getpid()}.partial"
    beside.mkdir(parents=True)
    try:
        counts = _write_all(store, name, beside)
        for path in sorted(beside.iterdir()):
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if not there:
            with contextlib.suppress(OSError):  # it isn't empty: all is written
                folder.rmdir()
    return counts


def _write_all(store: Store, name: str, folder: Path) -> dict[str, int]:
    items, raters, predictions = schema.items.c, schema.raters.c, schema.predictions
    impressions, events, controls = schema.impressions.c, schema.events.c, schema.controls.c
    with store.snapshot() as connection:
        row = pools.require(connection, name)
        person = raters.pseudonym.label("rater")
        images: Any = schema.items.outerjoin(predictions, predictions.c.item == items.item)
        predicted: Any = predictions.c.predicted
        if not inspect(connection).has_table("predictions"):  # an older database that can't be written to
            images, predicted = schema.items, null().label("predicted")
        tables: dict[str, Any] = {
            "images": select(
                items.item, items.round, items.pool, items.image_id, items.class_index, items.side, items.probability,
                items.generator, items.estimator, predicted, items.sha256,
            ).select_from(images).where(items.study == row["study"]).order_by(items.item),
            "raters": select(person, raters.consented).where(raters.study == row["study"]).order_by(raters.rater),
            "impressions": select(
                impressions.impression, person, impressions.place, impressions.cell, impressions.item, impressions.probability,
                impressions.shared, impressions.repeat_of, impressions.block, impressions.coin, impressions.handed,
            ).join(schema.raters, raters.rater == impressions.rater).where(impressions.study == row["study"])
            .order_by(impressions.handed, impressions.place, impressions.cell),
            "events": select(
                events.seq, events.uuid, person, events.place, events.kind, events.value, events.at, events.page, events.received,
            ).join(schema.raters, raters.rater == events.rater).where(events.study == row["study"]).order_by(events.seq),
            "controls": select(
                controls.seq, controls.action, controls.round, controls.pool, controls.wanted, controls.last_event, controls.why,
                controls.at,
            ).where(controls.study == row["study"]).order_by(controls.seq),
        }  # fmt: skip
        counts = {
            f"{table}.csv": _write(connection, chosen, folder / f"{table}.csv") for table, chosen in tables.items()
        }
    (folder / "README.md").write_text(README.format(name=row["name"]), encoding="utf-8")
    return counts


def _write(connection: Connection, chosen: Any, path: Path) -> int:
    result = connection.execute(chosen)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(result.keys())
        count = 0
        for row in result:
            writer.writerow([defused(cell) for cell in row])
            count += 1
    return count


def defused(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text gets an apostrophe before it, numbers stay."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def withdraw(store: Store, name: str, rater: str) -> tuple[dict[str, int], list[str]]:
    """Deletes a person's rows.

    Args:
        store: The database.
        name: The study's name, empty for the only one.
        rater: The pseudonym, or the outside id that their link had.

    Returns:
        Deleted rows by table, and where answers of theirs went: the places of the runs that have asked them.

    Raises:
        InputError: The study has no such rater.
    """
    columns, rater = schema.raters.c, rater.encode(errors="replace").decode()  # which nobody's name has
    with store.writing() as connection:
        row = pools.require(connection, name)
        ours = select(columns.rater).where(columns.study == row["study"])
        # Who has an id on the rating page may have come by the team's own page, too, and is gone from both.
        by_id = connection.execute(ours.where(columns.key.in_([f"o:{rater}", f"x:{rater}"]))).scalars().all()
        by_name = connection.execute(ours.where(columns.pseudonym == rater)).scalars().all()
        found = [*{*by_id, *by_name}]
        if not found or by_id and by_name:
            raise InputError(
                f"The study {row['name']!r} has {len(found)} raters called {rater!r}, expected one: pir-tf people status lists "
                "their pseudonyms."
            )
        items, shown = schema.items.c, schema.impressions.c
        seen = select(items.round, items.pool).join(schema.impressions, shown.item == items.item)
        rounds = {(pair.round, pair.pool) for pair in connection.execute(seen.where(shown.rater.in_(found)).distinct())}
        runs = [place for round, pool, place in pools.noted(connection, row["study"], "run") if (round, pool) in rounds]
        counts = {}
        for table in (schema.events, schema.impressions, schema.raters):
            where = (table.c.study == row["study"], table.c.rater.in_(found))
            counts[table.name] = connection.execute(select(func.count()).select_from(table).where(*where)).scalar() or 0
            connection.execute(delete(table).where(*where))
        pools.control(connection, row["study"], "withdraw", why="a rater's rows were deleted")
    store.clear_log()
    return counts, runs


def preview(store: Store, name: str, path: Path) -> None:
    """A database at `path` with the study's settings and some of its images, whose answers go nowhere."""
    items = schema.items
    with store.reading() as connection:
        row = pools.require(connection, name)
        last = pools.state(connection, row["study"]).pools
        newest = select(items).where(items.c.study == row["study"]).order_by(items.c.item.desc())
        images: list[RowMapping] = []
        for side in ("before", "after", ""):  # a proof shows as many of each
            chosen = newest.where(items.c.side == side).limit(PREVIEW_IMAGES // (2 if side else 1))
            images += connection.execute(chosen).mappings()
        images.sort(key=lambda image: -image["item"])
    if not images:
        raise InputError(f"The study {row['name']!r} has no images yet, expected some: a run's stage adds them.")
    copy = Store(path, create=True)
    try:
        with copy.writing() as connection:
            study = Study.from_json(json.dumps({**json.loads(row["settings"]), "name": "Preview", "ends": ""}))
            key = pools.begin(connection, study)["study"]
            pool = last[-1].pool if last else "random"
            kept = [
                {**image, "study": key, "round": 1, "pool": pool}
                for image in images
                if image["pool"] == images[0]["pool"]
            ]
            connection.execute(items.insert(), kept)
            pools.open_pool(connection, key, 1, pool, 0)
    finally:
        copy.close()
