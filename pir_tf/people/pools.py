"""Studies and their pools of images: begun, opened, closed and paused by rows that are only added."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import secrets
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, RowMapping, func, select

from pir_tf.errors import InputError
from pir_tf.people import schema
from pir_tf.people.study import Study


@dataclass(frozen=True)
class Pool:
    """A pool as the control rows leave it: whether it is open, and how many answers it waits for (0: until closed)."""

    round: int
    pool: str
    wanted: int
    open: bool
    why: str = ""
    last_event: int = 0
    """Of a closed pool: the number of the last event that counts."""

    @property
    def key(self) -> tuple[int, str]:
        """Round and pool."""
        return self.round, self.pool


@dataclass(frozen=True)
class State:
    """What all control rows of a study say: pools in the order of their opening, a pause, an end, and the last row seen."""

    pools: tuple[Pool, ...] = ()
    paused: bool = False
    ended: bool = False
    seq: int = 0

    @property
    def open(self) -> tuple[Pool, ...]:
        """Pools that images are handed out from."""
        return tuple(pool for pool in self.pools if pool.open)

    def pool(self, round: int, name: str) -> Pool | None:
        """One of them."""
        return next((pool for pool in self.pools if pool.key == (round, name)), None)


def begin(connection: Connection, study: Study, stated: Collection[str] | None = None) -> RowMapping:
    """The row of the study of this name, made if it isn't there.

    Args:
        connection: A transaction.
        study: The settings.
        stated: Names of those that count where it is there, the others stay as they are; None for the mode and what isn't the
            usual value.

    Raises:
        InputError: It was begun with other settings than those that are stated now, or would be over from the beginning.
    """
    row = find(connection, study.name)
    if row is None:
        if study.over(time.time()):
            raise InputError(f"ends = {study.ends!r}, expected today (UTC) or a later day: nobody could answer.")
        connection.execute(
            schema.studies.insert().values(
                study=uuid.uuid4().hex,
                name=study.name,
                settings=study.to_json(),
                secret=secrets.token_hex(32),
                **{name: secrets.token_urlsafe(24) for name in ("join_token", "owner_token", "server_secret")},
                created=time.time(),
            )
        )
        row = find(connection, study.name)
        assert row is not None
    there = Study.from_json(row["settings"])
    usual = Study(name=study.name, mode=study.mode)
    names = [field.name for field in dataclasses.fields(Study)]
    if stated is None:
        stated = {"mode", *(name for name in names if getattr(study, name) != getattr(usual, name))}
    if "mode" in stated and there.mode != study.mode:
        raise InputError(
            f"The database holds a study {study.name!r} with mode {there.mode}, expected {study.mode}: name another study or "
            "another database, for answers of both kinds don't add up."
        )
    for name in (name for name in names if name in stated):
        held, now = getattr(there, name), getattr(study, name)
        if now != held:
            raise InputError(
                f"The study {study.name!r} was begun with {name} {held!r}, not {now!r}: leave it out, for raters have answered "
                "to the former, or begin another study."
            )
    return row


def find(connection: Connection, name: str = "") -> RowMapping | None:
    """The row of the study of this name, or of the only one there is; None where there is none.

    Raises:
        InputError: There are several, and none is named.
    """
    rows = connection.execute(select(schema.studies).order_by(schema.studies.c.created)).mappings().all()
    if not name and len(rows) > 1:
        raise InputError(
            f"The database holds {len(rows)} studies ({', '.join(row['name'] for row in rows)}), expected one to be named: add "
            "--study NAME."
        )
    return next((row for row in rows if not name or row["name"] == name), None)


def require(connection: Connection, name: str = "") -> RowMapping:
    """The row of a study that must be there."""
    row = find(connection, name)
    if row is None:
        raise InputError(
            f"The database holds no study{f' {name!r}' if name else ''}, expected one: begin it with pir-tf loop."
        )
    return row


def fill(
    connection: Connection,
    study: str,
    round: int,
    pool: str,
    images: np.ndarray,
    ids: Sequence[str],
    *,
    labels: np.ndarray,
    sides: Sequence[str],
    probability: np.ndarray | None = None,
    generator: str | Sequence[str] = "",
    estimator: str = "",
    predicted: np.ndarray | None = None,
) -> int:
    """Adds a pool's images, once: a second call with the same images adds nothing.

    Args:
        connection: A transaction.
        study: The study's key.
        round: Round of collection.
        pool: One of `schema.POOLS`.
        images: uint8 `[n, h, w, 3]`.
        ids: Names, n distinct strings.
        labels: Classes, whole numbers `[n]`.
        sides: `before`, `after`, or empty, n of them.
        probability: Chance `[n]` with which each was drawn from its candidates; 1 where all were taken.
        generator: Version that made them all, or n of them, each its own.
        estimator: Version of the newest estimator there was.
        predicted: What it says of each `[n]`, None where it wasn't asked.

    Returns:
        How many were added.

    Raises:
        InputError: The pool holds other images.
    """
    digests = [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images]
    columns = schema.items.c
    where = (columns.study == study, columns.round == round, columns.pool == pool)
    there = select(columns.image_id, columns.sha256).where(*where)
    held = {row.image_id: row.sha256 for row in connection.execute(there)}
    if held:
        if held != dict(zip(ids, digests, strict=True)):
            raise InputError(
                f"The images of round {round}, pool {pool} changed since they were shown ({len(held)} there, {len(ids)} now), "
                "expected the same ones, which the answers are about: restore the run's files, or begin a new study."
            )
        return 0
    makers = [generator] * len(images) if isinstance(generator, str) else generator
    chances = np.ones(len(images)) if probability is None else probability
    height, width = images.shape[1:3]
    rows = [
        {
            **{"study": study, "round": round, "pool": pool, "number": number, "image_id": name, "sha256": digest},
            **{"class_index": int(labels[number]), "side": sides[number], "probability": float(chances[number])},
            **{"generator": makers[number], "estimator": estimator, "width": width, "height": height},
            "png": flat_png(images[number]),
        }
        for number, (name, digest) in enumerate(zip(ids, digests, strict=True))
    ]
    connection.execute(schema.items.insert(), rows)
    if predicted is not None:
        names = select(columns.image_id, columns.item)
        item = {row.image_id: row.item for row in connection.execute(names.where(*where))}
        given = zip(ids, predicted, strict=True)
        said = [{"item": item[name], "study": study, "predicted": float(value)} for name, value in given]
        connection.execute(schema.predictions.insert(), said)
    return len(rows)


def flat_png(image: np.ndarray) -> bytes:
    """An uncompressed PNG, whose length says nothing of the picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()


def control(
    connection: Connection,
    study: str,
    action: str,
    *,
    round: int = 0,
    pool: str = "",
    wanted: int = 0,
    why: str = "",
    last_event: int | None = None,
) -> None:
    """Adds a control row: `open` or `close` a pool, `pause`, `resume`, `end`, after this event, or the last one there is."""
    last = last_event
    if last is None:
        last = connection.execute(select(func.max(schema.events.c.seq)).where(schema.events.c.study == study)).scalar()
    values = {"study": study, "action": action, "round": round, "pool": pool, "wanted": wanted, "why": why}
    connection.execute(schema.controls.insert().values(**values, last_event=last or 0, at=time.time()))


def open_pool(connection: Connection, study: str, round: int, pool: str, wanted: int) -> None:
    """Opens a pool for so many answers (0: until it is closed). One that is closed stays so, unless more are wanted now."""
    there = state(connection, study).pool(round, pool)
    if there is None or (there.wanted != wanted if there.open else there.wanted < wanted):
        control(connection, study, "open", round=round, pool=pool, wanted=wanted)


def close_pools(connection: Connection, study: str, why: str) -> None:
    """Closes every open pool: what comes later is kept, and not counted."""
    for pool in state(connection, study).open:
        close_pool(connection, study, pool, why)


def close_pool(connection: Connection, study: str, pool: Pool, why: str, last_event: int | None = None) -> None:
    """Closes a pool after this event, or the last one there is."""
    named = {"round": pool.round, "pool": pool.pool}
    control(connection, study, "close", **named, wanted=pool.wanted, why=why, last_event=last_event)  # type: ignore[arg-type]


def last_control(connection: Connection, study: str) -> int:
    """The number of the study's last control row, 0 for none."""
    found = connection.execute(select(func.max(schema.controls.c.seq)).where(schema.controls.c.study == study)).scalar()
    return int(found or 0)


def withdrawn_since(connection: Connection, study: str, seq: int) -> bool:
    """Whether a rater's rows were deleted after this control row."""
    columns = schema.controls.c
    where = (columns.study == study, columns.action == "withdraw", columns.seq > seq)
    return connection.execute(select(columns.seq).where(*where).limit(1)).first() is not None


def state(connection: Connection, study: str) -> State:
    """What the study's control rows say, read in their order."""
    columns = schema.controls.c
    pools: dict[tuple[int, str], Pool] = {}
    paused = ended = False
    seq = 0
    for row in connection.execute(select(schema.controls).where(columns.study == study).order_by(columns.seq)):
        seq = row.seq
        key = (row.round, row.pool)
        if row.action in ("open", "close"):
            pools[key] = Pool(row.round, row.pool, row.wanted, row.action == "open", row.why, row.last_event)
        elif row.action in ("pause", "resume"):
            paused = row.action == "pause"
        elif row.action == "end":
            ended = True
    return State(tuple(pools.values()), paused, ended, seq)


def note(connection: Connection, study: str, action: str, round: int, pool: str, what: str) -> None:
    """Notes once what a stage says of a pool: `run`, the place of one that asks about it, or `rule`, its rule of engagement."""
    said = [found for *key, found in noted(connection, study, action) if key == [round, pool]]
    if what not in (said if action == "run" else said[-1:]):
        control(connection, study, action, round=round, pool=pool, why=what)


def noted(connection: Connection, study: str, action: str) -> list[tuple[int, str, str]]:
    """(round, pool, what was said) of the stages that said so, in their order."""
    columns = schema.controls.c
    rows = connection.execute(
        select(columns.round, columns.pool, columns.why)
        .where(columns.study == study, columns.action == action)
        .order_by(columns.seq)
    )
    return [(row.round, row.pool, row.why) for row in rows]
