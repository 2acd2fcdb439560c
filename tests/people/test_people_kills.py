"""Nothing is lost: the server killed again and again, lines cut before a reply, and the disk's sync before every reply."""

import asyncio
import json
import os
import random
import re
import shutil
import subprocess

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import sqlalchemy
from many_raters import Cutter, join, two
from people_process import process
from studies import begin

from pir_tf.people import schema
from pir_tf.people.store import Store

LIFTED = "from pir_tf.people import sessions; sessions.Limit.wait = lambda self, name, cost=1.0: 0.0"


async def rate(port, path, answers, acknowledged, seed):
    """One rater: sends each answer until it is acknowledged. A reply that was lost is asked for again with the same events."""
    rng = random.Random(seed)
    line = await join(port, path)
    waiting = json.loads(await line.insist("POST", "/api/events", {"ahead": 4}))["slots"]
    given = set()
    while len(given) < answers:
        slot = next(slot for slot in waiting if slot["place"] not in given)
        events = two(slot, rng.randrange(2))
        reply = json.loads(await line.insist("POST", "/api/events", {"events": events, "ahead": 4}))
        assert reply["stored"] == [event["uuid"] for event in events] and not reply["refused"], reply
        acknowledged += events
        given.add(slot["place"])
        waiting = reply["slots"]
    line.close()


async def rate_through_kills(server, path, raters, answers, kills, seed, between, kill=None):
    """Raters answer through a line that is cut, while the server is killed and started again."""
    rng, acknowledged = random.Random(seed), []
    async with Cutter(server.port, rng) as cutter:
        work = [asyncio.ensure_future(rate(cutter.port, path, answers, acknowledged, seed + n)) for n in range(raters)]
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(*between))
            if all(one.done() for one in work):
                break
            await asyncio.to_thread(kill or again, server)
        await asyncio.gather(*work)
        return acknowledged, cutter.cuts


def again(server):
    """kill -9, and the server starts again."""
    server.kill()
    server.start()


def check(where, acknowledged, raters, answers):
    """Every acknowledged event is there, once, as it was sent; and nothing else."""
    store = Store(where)
    with store.reading() as connection:
        rows = connection.execute(sqlalchemy.select(schema.events)).all()
        slots = connection.execute(sqlalchemy.select(schema.impressions)).all()
    store.close()
    assert len(acknowledged) == 2 * raters * answers
    there = {row.uuid: (row.place, row.kind, json.loads(row.value)) for row in rows}
    assert len(there) == len(rows)
    assert there == {event["uuid"]: (event["place"], event["kind"], event["value"]) for event in acknowledged}
    assert len({(row.rater, row.place) for row in rows if row.kind == "like"}) == raters * answers
    assert {(row.rater, row.place) for row in rows} <= {(slot.rater, slot.place) for slot in slots}
    by_rater = {}
    for slot in slots:
        by_rater.setdefault(slot.rater, []).append(slot.place)
    assert len(by_rater) == raters
    assert all(sorted(places) == list(range(1, len(places) + 1)) for places in by_rater.values())


def kill_and_check(where, raters, answers, kills, seed, between, kill=None, **options):
    begin(where, images=1200, answers_per_rater=10**5)
    with process(where, first=LIFTED, **options) as server:
        path = "/" + server.links()[0][1].split("/", 3)[3]
        work = rate_through_kills(server, path, raters, answers, kills, seed, between, kill)
        acknowledged, cuts = asyncio.run(work)
        check(where, acknowledged, raters, answers)
    return cuts


@pytest.mark.slow
def test_a_few_kills_lose_nothing(tmp_path):
    assert kill_and_check(tmp_path / "study.db", raters=4, answers=60, kills=3, seed=1, between=(0.2, 0.6)) > 3


@pytest.mark.nightly
def test_many_kills_lose_nothing(database):
    """With PIR_TF_KILLS=30 20,000 answers and as many kills, in seven minutes; else a seventh of both."""
    kills = int(os.environ.get("PIR_TF_KILLS", "4"))
    assert (
        kill_and_check(database, raters=20, answers=kills * 1000 // 30, kills=kills, seed=2, between=(0.5, 4.0)) > 100
    )


@pytest.mark.nightly
def test_kills_of_postgresql_lose_nothing(mortal_postgres):
    def kill(server):
        mortal_postgres.kill()
        mortal_postgres.start()

    assert (
        kill_and_check(mortal_postgres.new(), raters=8, answers=200, kills=5, seed=3, between=(0.5, 2.0), kill=kill)
        > 10
    )


def synced_before_replies(lines):
    """For each reply to an answer, whether the disk had synced after the last write to the database's files.

    Args:
        lines: Of strace -f -y: writes with the names of what is written.
    """
    found, dirty = [], False
    for line in lines:
        if re.search(r"<\.\.\. (fsync|fdatasync) resumed", line):
            dirty = False
        call = re.search(r"(\w+)\(\d+<([^>]*)>", line)
        if call is None:
            continue
        name, place = call.groups()
        ours = re.search(r"study\.db(-journal|-wal)?$", place)
        if name in ("pwrite64", "write", "ftruncate") and ours:
            dirty = True
        elif name in ("fsync", "fdatasync") and ours and "unfinished" not in line:
            dirty = False
        elif name in ("sendto", "send", "write", "sendmsg") and "stored" in line:
            found.append(not dirty)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
def test_the_disk_is_synced_before_every_reply(tmp_path, synchronous):
    """A kill can't tell a commit on the disk from one in memory. Without synchronous FULL this very check fails."""
    if not shutil.which("strace"):
        pytest.skip("needs strace (Debian's package strace)")
    if subprocess.run(["strace", "-o", tmp_path / "try", "true"], capture_output=True).returncode:
        pytest.skip("strace isn't allowed to trace here")
    where = tmp_path / "study.db"
    begin(where, images=60)
    trace = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "400", "-o", str(tmp_path / "trace")]
    trace += ["-e", "trace=pwrite64,write,ftruncate,fsync,fdatasync,sendto,sendmsg,send"]
    first = LIFTED
    if synchronous == "OFF":
        first += """
from sqlalchemy import engine, event
event.listen(engine.Engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA synchronous=OFF"))
"""
    with process(where, first=first, before=trace) as server:
        path = "/" + server.links()[0][1].split("/", 3)[3]

        async def all_of_them():
            acknowledged = []  # of one rater: between the sync and the reply another's transaction could begin
            await rate(server.port, path, 20, acknowledged, 1)
            return acknowledged

        acknowledged = asyncio.run(all_of_them())
    check(where, acknowledged, 1, 20)
    found = synced_before_replies((tmp_path / "trace").read_text(errors="replace").splitlines())
    assert len(found) >= 20
    assert all(found) if synchronous == "FULL" else not all(found)
