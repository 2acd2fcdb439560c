"""Every image that people are shown can be traced to what made it and to the estimator of its time, also in older databases."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import sqlalchemy
from studies import Browser, begin, pictures, served

from pir_tf.config import InteractionsConfig
from pir_tf.errors import Unavailable
from pir_tf.experiments import interactions_stage, origins, study_answers
from pir_tf.experiments.csv_answers import Waiting
from pir_tf.people import counted, keeping, pools, schema
from pir_tf.people.store import Store
from pir_tf.people.summary import read_summary
from pir_tf.presets import smoke
from pir_tf.report.people import write_people_report
from pir_tf.runs.directory import RunDirectory, write_json


def test_a_version_is_of_the_contents_alone(tmp_path):
    first, second = tmp_path / "gan", tmp_path / "tuning"
    (first / "generator" / "variables").mkdir(parents=True)
    (first / "generator" / "variables" / "a").write_bytes(b"1")
    (first / "generator.json").write_text("{}")
    shutil.copytree(first, second)
    assert (
        origins.generator_version(first) == origins.generator_version(second)
        and len(origins.generator_version(first)) == 64
    )
    (second / "generator" / "variables" / "a").write_bytes(b"2")
    assert origins.generator_version(first) != origins.generator_version(second)
    (second / "generator" / "variables" / "a").rename(second / "generator" / "a")
    folder = origins.generator_version(second)
    (second / "generator.keras").write_bytes(b"weights")
    assert origins.generator_version(second) not in (folder, "") and origins.generator_version(tmp_path) == ""


def test_learning_and_proof_name_their_generators_and_estimator(tmp_path, monkeypatch):
    before = tmp_path / "before"
    run = RunDirectory(tmp_path / "run", smoke())
    for folder, name in ((before, "estimator"), (run.path, "gan"), (run.path, "tuning"), (run.path, "estimator")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        kind = "estimator" if name == "estimator" else "generator"
        (folder / name / f"{kind}.keras").write_text(f"{folder.name} {name}")
    proof = origins.of_proof(run, run.path / "gan", (np.array([0.1, 0.2]), np.array([0.3])))
    gan, tuned = (origins.generator_version(run.path / name) for name in ("gan", "tuning"))
    assert proof.generator == (gan, gan, tuned) and gan != tuned and proof.predicted.tolist() == [0.1, 0.2, 0.3]
    assert proof.estimator == origins.estimator_version(run.path / "estimator") != ""
    assert interactions_stage._origin(run, ["a"]) == origins.Origin(gan)
    first = interactions_stage.RoundBefore(before)
    monkeypatch.setattr(interactions_stage.RoundBefore, "of", classmethod(lambda cls, config: first))
    write_json(run.file("interactions", interactions_stage.PREDICTED), {"b": 0.4, "a": 0.9})
    later = interactions_stage._origin(run, ["a", "b"])
    assert later.estimator == origins.estimator_version(before / "estimator") != proof.estimator
    assert (later.generator, later.predicted.tolist()) == (gan, [0.9, 0.4])
    run.close()


@pytest.fixture
def foreseen(tmp_path):
    """A database whose 12 random and 4 explored images were offered with predictions, and answered as predicted."""
    where = tmp_path / "study.db"
    users = InteractionsConfig(source=f"people:{where}", answers=16)
    run = RunDirectory(tmp_path / "run", dataclasses.replace(smoke(), interactions=users))
    ids, said = [f"r{i}" for i in range(12)] + [f"x{i}" for i in range(4)], np.linspace(0, 1, 16)
    origin = origins.Origin("g" * 64, "e" * 64, None, said)
    asked = study_answers.source_of(run, "interactions")
    with pytest.raises(Waiting):
        study_answers.ask_pools(
            run, asked, pictures(16), ids, np.zeros(16, int), {f"x{i}": 0.5 for i in range(4)}, origin
        )
    store = Store(where)
    with store.reading() as connection:
        rows = connection.execute(sqlalchemy.select(schema.items.c.item, schema.items.c.image_id))
        item = {row.item: row.image_id for row in rows}
    with served(where) as server:
        browser = Browser(server).join()
        while slots := browser.slots(1):
            with store.reading() as connection:
                number = connection.execute(
                    sqlalchemy.select(schema.impressions.c.item).order_by(schema.impressions.c.place.desc()).limit(1)
                ).scalar()
            browser.answer(slots[0], "like", int(said[ids.index(item[number])] > 0.35))
    yield where, store, said
    store.close()
    run.close()


def test_what_was_foreseen_is_stored_exported_and_reported(foreseen, tmp_path):
    where, store, said = foreseen
    keeping.export(store, "", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "images.csv").open()))
    assert {(row["generator"], row["estimator"]) for row in rows} == {("g" * 64, "e" * 64)}
    assert [float(row["predicted"]) for row in rows] == pytest.approx(said)
    found = read_summary(store)
    assert found["rounds"][0]["foreseen"] > 0.7  # of the random ones alone
    page = write_people_report(found, tmp_path / "report.html").read_text()
    assert "the estimator foresaw" in page and "after learning" not in page
    assert "simulated" not in page and "raters</span>" not in page and "people</span>" in page
    (tmp_path / "demo.txt").write_text("mine")
    assert not read_summary(store)["simulated"]
    (tmp_path / "demo.txt").write_text("The raters of this loop are simulated.\n")
    found = read_summary(store)
    page = write_people_report(found, tmp_path / "report.html").read_text()
    assert "The raters of this demonstration are simulated" in page and "simulated raters</span>" in page
    for mode, drawn in (("like", True), ("pair", False)):  # shares of wins are half in every round: no curve of them
        two = {**found, "study": {**found["study"], "mode": mode}, "rounds": found["rounds"] * 2}
        page = write_people_report(two, tmp_path / "report.html").read_text()
        assert ("Mean PIR of each round" in page) is drawn and ("is one half however good" in page) is not drawn


def test_older_databases_keep_working(tmp_path, monkeypatch):
    where = tmp_path / "study.db"
    key = begin(where, images=6)
    store = Store(where)
    with store.writing() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE predictions"))
    store.close()

    def refuse(self):
        raise Unavailable("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "writing", refuse)
        old = Store(where)
    with old.snapshot() as connection:
        assert np.isnan(counted.predicted(connection, counted.items(connection, key, 1, ["random"]))).all()
    assert keeping.export(old, "", tmp_path / "out")["images.csv"] == 6
    assert "the estimator foresaw" not in write_people_report(read_summary(old), tmp_path / "a.html").read_text()
    old.close()
    store = Store(where)  # made where that can be
    with store.writing() as connection:
        pools.fill(
            connection, key, 2, "random", pictures(2, seed=9), ["a", "b"], labels=np.zeros(2), sides=["", ""],
            generator=["g1", "g2"], estimator="e", predicted=np.array([0.25, 0.75]),
        )  # fmt: skip
        assert counted.predicted(connection, counted.items(connection, key, 2, ["random"])).tolist() == [0.25, 0.75]
    store.close()
