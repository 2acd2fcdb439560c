"""Two processes of one job on this machine: a late one is waited for, a killed one ends the job, and so does one that restores
another checkpoint; the next start goes on. What the chief's end does to the others needs no second process to be seen."""

import csv
import re
import signal
import types

import pytest
from job import Job

from pir_tf.errors import InputError
from pir_tf.experiments import stages
from pir_tf.experiments.csv_answers import Waiting
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory

WORDS = "smoke --gan.generator train --stages gan --data.count 32 --gan.batch-size 4 --gan.checkpoint-every 2".split()
WORDS += "--gan.steps 2000 --gan.decay-steps 0 --run-dir run".split()


@pytest.mark.nightly
def test_a_life_of_a_job(tmp_path):
    folder = tmp_path / "run" / "gan" / "checkpoints"

    def steps():
        return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.npz"))

    with Job(tmp_path, WORDS).start(0) as job:
        job.wait_until(lambda: "Waiting for worker 1" in job.said(0))
        job.start(1).wait_until(lambda: len(steps()) == 2)
        job.running[1].send_signal(signal.SIGKILL)
        assert job.ends() == [1, -signal.SIGKILL]
        assert "Error: Another process of this job is gone (TensorFlow names worker 1)" in job.said(0)
    before, reached = steps()[-2:]

    with Job(tmp_path, WORDS).start(0).start(1, unreadable=f"step-{reached:09d}.npz") as job:
        assert job.ends() == [2, 2], job.said(0) + job.said(1)
        first = f"step {reached} in the job's first process"
        assert f"gave another step in another process than {first}" in job.said(0)
        assert f"gave step {before} here and {first}" in job.said(1)
    assert steps() == [before, reached]

    # Checkpoints are of the config, so the number of steps stays; the end isn't waited for.
    with Job(tmp_path, WORDS).start(0).start(1) as job:
        job.wait_until(lambda: max(steps(), default=0) > reached + 2)
        assert re.search(rf"checkpoint of step {reached}\b", job.said(0))
    with open(tmp_path / "run" / "gan" / "history.csv", newline="") as handle:
        logged = [int(row["step"]) for row in csv.DictReader(handle)]
    assert logged[: reached // 2 + 1] == list(range(2, reached + 4, 2))  # no row twice, none left out


# The chief's end


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run", smoke())
    yield directory
    directory.close()


@pytest.mark.parametrize(
    "error, told",
    [(Waiting("the template is there"), stages._WAITS), (InputError("positives above impressions"), stages._STOPPED)],
)
def test_a_chief_that_stops_where_the_others_dont_train_tells_them(run, monkeypatch, error, told):
    def interactions(run):
        raise error

    agreed = []
    monkeypatch.setattr(stages, "_agree", lambda run, value: agreed.append(int(value)) or int(value))
    made = {"gan": lambda run: {}, "interactions": interactions}
    module = lambda name: types.SimpleNamespace(run=made[name.split(".")[-1].removesuffix("_stage")])  # noqa: E731
    monkeypatch.setattr(stages.importlib, "import_module", module)
    with pytest.raises(type(error), match=str(error)):
        stages.run_stages(run, ("gan", "interactions", "estimator"))
    assert agreed == [0, 0, told]  # both stages to do, then how it ended


@pytest.mark.parametrize(
    "said, kind, sentence",
    [
        (stages._WAITS, Waiting, "The job's first process says what to do"),
        (stages._STOPPED, InputError, "The job's first process stopped with an error, which it says itself"),
    ],
)
def test_the_others_end_with_the_chief(run, monkeypatch, said, kind, sentence):
    answers, trained = iter([0, 0, said]), []
    monkeypatch.setattr(stages.devices, "is_chief", lambda: False)
    monkeypatch.setattr(stages, "_agree", lambda run, value: next(answers))
    module = types.SimpleNamespace(run=lambda run: trained.append("gan"))
    monkeypatch.setattr(stages.importlib, "import_module", lambda name: module)
    with pytest.raises(kind, match=sentence):
        stages.run_stages(run, ("gan", "interactions", "estimator"))
    assert trained == ["gan"]  # and no interactions, which are the chief's
