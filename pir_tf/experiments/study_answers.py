"""People's answers from the database of a study: the `people:DATABASE` of a config.

A stage adds its images to the database once, opens them for as many answers as its config asks for, and waits. What has come when
they are closed is copied into the run; nothing that comes later changes it.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.errors import InputError, Unavailable
from pir_tf.experiments.csv_answers import Waiting
from pir_tf.experiments.origins import Origin
from pir_tf.people.extra import require_extra
from pir_tf.runs.directory import RunDirectory, atomic, read_json, write_json

NOTE = "study.json"
"""File of a stage that says which study it asks."""
RAW = "answers.csv"
"""File of a stage with every counted judgement, under pseudonyms."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a stage asks people.

    Attributes:
        source: `people:DATABASE` or `people:DATABASE#STUDY`.
        pool: `random`, `explore` or `proof`.
        wanted: Answers that it waits for, 0 for as many as come until it is closed.
        engagement: What counts as positive on a team's own page.
    """

    source: str
    pool: str
    wanted: int
    engagement: str

    @property
    def database(self) -> str:
        """File or URL."""
        return self._parts()[0]

    @property
    def study(self) -> str:
        """The study's name, empty for the only one."""
        return self._parts()[1]

    def _parts(self) -> tuple[str, str]:
        """Both, parted at the first # before which there is a file: folders and studies may have one in their names."""
        place = self.source.removeprefix("people:")
        cuts = [i for i, letter in enumerate(place) if letter == "#"] + [len(place)]
        cut = next((i for i in cuts if "://" not in place and Path(place[:i]).is_file()), cuts[0])
        return place[:cut], place[cut + 1 :]


@dataclasses.dataclass(frozen=True)
class Answered:
    """What people said of n images.

    Attributes:
        impressions: Judgements of each, whole numbers as float64 `[n]`.
        positives: Their sum of values in [0, 1], float64 `[n]`.
        mode: The study's mode.
        rater, image, value: Every counted judgement in the server's order: rater and image by number `[m]`, value in [0, 1].
        pairs: Of pairs in a proof, (rater, pair, win) of each answer, win 1 where the image after was chosen, 0.5 for a tie; else
            empty.
        bets: Of a proof, after less before for each coin of the server's, in [-1, 1], in order.
        closed: Why the pool was closed.
        study: What the study is called, and by which key the database knows it.
    """

    impressions: np.ndarray
    positives: np.ndarray
    mode: str
    rater: np.ndarray
    image: np.ndarray
    value: np.ndarray
    pairs: np.ndarray
    bets: np.ndarray
    closed: str
    study: dict[str, str]


def is_study(source: str) -> bool:
    """Whether a source is the database of a study."""
    return source.startswith("people:")


def ask(
    run: RunDirectory,
    stage: str,
    asked: Asked,
    images: np.ndarray,
    ids: list[str],
    labels: np.ndarray,
    sides: list[str],
    origin: Origin = Origin(),  # noqa: B008  frozen
) -> Answered:
    """The answers to a stage's images, once their pool is closed.

    Args:
        run: The run.
        stage: The stage that asks.
        asked: What it asks for.
        images: uint8 `[n, h, w, 3]`.
        ids: Their names.
        labels: Their classes `[n]`.
        sides: `before` or `after` in a proof, else empty; n of them.
        origin: Where they come from, for the database.

    Raises:
        Waiting: People have to answer first; the images are in the database.
        InputError: The database holds other images for this round, or is another study's than the run began with.
    """
    require_extra()
    from pir_tf.people import pools
    from pir_tf.people.store import Store
    from pir_tf.people.study import Study

    store = Store(asked.database, create=True)
    try:
        with store.writing() as connection:
            row = pools.find(connection, asked.study) or pools.begin(connection, Study(name=asked.study or "study"))
            _require_same(run, stage, row["study"], row["name"], store.name)
            pools.fill(
                connection,
                row["study"],
                run.round,
                asked.pool,
                images,
                ids,
                labels=labels,
                sides=sides,
                probability=origin.chance,
                generator=origin.generator,
                estimator=origin.estimator,
                predicted=origin.predicted,
            )
            pools.open_pool(connection, row["study"], run.round, asked.pool, asked.wanted)
            pools.note(connection, row["study"], "run", run.round, asked.pool, _place(run.path, asked.database))
            pools.note(connection, row["study"], "rule", run.round, asked.pool, asked.engagement)
        write_json(run.file(stage, NOTE), {"study": row["study"], "name": row["name"], "database": store.name})
        with store.reading() as connection:
            return _collect(connection, run, asked, row, store.name)
    except Unavailable as error:
        raise InputError(
            f"The database {store.name} can't take the images ({error}): mend that, and repeat the command."
        ) from None
    finally:
        store.close()


def ask_pools(
    run: RunDirectory,
    asked: Asked,
    images: np.ndarray,
    ids: list[str],
    labels: np.ndarray,
    chance: dict[str, float],
    origin: Origin = Origin(),  # noqa: B008  frozen
) -> Answered:
    """The answers to images to learn from: random ones, and those drawn with a `chance`, which are a pool of their own.

    Both are open at once, each for its share of the answers. Otherwise as `ask`.
    """
    drawn = np.array([name in chance for name in ids])
    found: list[tuple[np.ndarray, Answered]] = []
    waits: list[str] = []
    for pool, which in (("random", ~drawn), ("explore", drawn)):
        rows = np.flatnonzero(which)
        if not len(rows):
            continue
        own = dataclasses.replace(asked, pool=pool, wanted=round(asked.wanted * len(rows) / len(ids)))
        names = [ids[row] for row in rows]
        chances = np.array([chance.get(name, 1.0) for name in names])
        predicted = None if origin.predicted is None else origin.predicted[rows]
        whence = dataclasses.replace(origin, chance=chances, predicted=predicted)
        sides = [""] * len(rows)
        try:
            answered = ask(run, "interactions", own, images[rows], names, labels[rows], sides, whence)
        except Waiting as waiting:
            waits.append(str(waiting))
        else:
            found.append((rows, answered))
    if waits:
        raise Waiting(waits[0])
    return found[0][1] if len(found) == 1 else _together(found, len(ids))


def _together(found: list[tuple[np.ndarray, Answered]], count: int) -> Answered:
    """The answers to `count` images from those of pools, each with its images' rows."""
    whole = found[0][1]
    impressions, positives = np.zeros(count), np.zeros(count)
    for rows, answered in found:
        impressions[rows], positives[rows] = answered.impressions, answered.positives
    return dataclasses.replace(
        whole,
        impressions=impressions,
        positives=positives,
        rater=np.concatenate([one.rater for _, one in found]),
        image=np.concatenate([rows[one.image] for rows, one in found]),
        value=np.concatenate([one.value for _, one in found]),
    )


def _collect(connection: Any, run: RunDirectory, asked: Asked, row: Any, name: str) -> Answered:
    from pir_tf.interactions.engagement import Rule
    from pir_tf.people import counted, pools

    state = pools.state(connection, row["study"])
    pool = state.pool(run.round, asked.pool)
    assert pool is not None
    images = counted.items(connection, row["study"], run.round, [asked.pool])
    slots = counted.slots(connection, row["study"], run.round, [asked.pool])
    if pool.open:
        given = sum(slot.judged for slot in slots)
        wanted = f" of {asked.wanted:,}" if asked.wanted else ""
        raise Waiting(
            f"Round {run.round} has {given:,}{wanted} answers to the images of pool {asked.pool} in {name}. The page for raters "
            f"is opened by `pir-tf people serve {name}`, and closed for this round on the owner's page; then give the same "
            "command again. `pir-tf loop` does all of it."
        )
    answers = counted.answers(slots, images, Rule.parse(asked.engagement))
    impressions, positives = counted.totals(answers, len(images.item))
    from pir_tf.people.study import Study

    return Answered(
        impressions, positives, Study.from_json(row["settings"]).mode, answers.rater, answers.image, answers.value,
        counted.pairs(slots, images), counted.bets(slots, images),
        pool.why,
        {"study": row["study"], "name": row["name"], "database": name},
    )  # fmt: skip


def keep(run: RunDirectory, stage: str, answered: Answered, ids: list[str]) -> None:
    """Copies the counted judgements into the run: a rater's number, the image's name, the value."""
    table = pd.DataFrame(
        {"rater": answered.rater, "image_id": np.array(ids, object)[answered.image], "value": answered.value}
    )
    with atomic(run.file(stage, RAW)) as beside:
        table.to_csv(beside, index=False)


def source_of(run: RunDirectory, stage: str) -> Asked | None:
    """What a stage asks of a study's database; None where it asks nobody, or by a file."""
    users, proof = run.config.interactions, run.config.evaluation
    if stage == "interactions" and is_study(users.source):
        return Asked(users.source, "random", users.answers, users.engagement)
    if stage == "evaluation" and is_study(run.config.proof_source):
        return Asked(run.config.proof_source, "proof", proof.answers, users.engagement)
    return None


def run_of_study(source: str, round: int = 1) -> Path | None:
    """The run that asks the study of this source about a round, so that the same command goes on with it."""
    if not is_study(source):
        return None
    require_extra()
    from pir_tf.people import pools
    from pir_tf.people.store import Store

    asked = Asked(source, "random", 0, "")
    if "://" not in asked.database and not Path(asked.database).exists():
        return None
    store = Store(asked.database)
    try:
        with store.reading() as connection:
            row = pools.find(connection, asked.study)
            noted = pools.noted(connection, row["study"], "run") if row else []
    finally:
        store.close()
    for number, _, place in reversed(noted):
        path = Path(place) if os.path.isabs(place) else Path(os.path.abspath(asked.database)).parent / place
        if number == round and (path / "config.json").exists():
            return path
    return None


def _require_same(run: RunDirectory, stage: str, study: str, name: str, database: str) -> None:
    """A run that began to ask one study doesn't go on with another."""
    for other in ("interactions", "evaluation"):
        note = run.file(other, NOTE)
        if (other == stage or other == "interactions") and note.exists():
            before = read_json(note)
            if before["study"] != study:
                raise InputError(
                    f"{database} holds another study ({name!r}) than the one that this run asked ({before['name']!r} in "
                    f"{before['database']}), expected that one: name its database."
                )


def _place(path: Path, database: str) -> str:
    """Where a run lies as seen from its database, so that both may be moved together; a URL has no place."""
    if "://" in database:
        return str(path.resolve())
    return os.path.relpath(path.resolve(), Path(os.path.abspath(database)).parent)
