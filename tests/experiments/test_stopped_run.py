"""A run whose tuning may stop, by a judge or a distance: what its files say, and what is said where there is no judge."""

import csv
import json

import numpy as np
import pytest
from commands import LONGER, SMALL, small_command, whole_command
from synthetic_run import results

from pir_tf.gan.saved import Networks
from pir_tf.report.tables import result_table

WORDS = [
    *SMALL,
    *LONGER,
    *"--estimator.output linear --estimator.backbone discriminator --evaluation.judge --tuning.stop judge".split(),
]
TUNED = (
    "--evaluation.control --tuning.pir-gradient-limit 1 --tuning.pir-weight 10000 --tuning.learning-rate 1e-3".split()
)

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    path = tmp_path_factory.mktemp("judged")
    done = small_command(*WORDS, *TUNED, "--interactions.images", 300, "--run-dir", path / "run", cwd=path)
    assert done.returncode == 0, done.stderr
    return path / "run", done.stdout


def test_the_step_that_is_kept_is_the_judges_best_and_said(judged):
    path, said = judged
    with open(path / "tuning" / "history.csv") as file:
        rows = list(csv.DictReader(file))
    views = [float(row["judge_pir"]) for row in rows]
    smooth = [np.mean(views[max(0, i - 2) : i + 1]) for i in range(len(views))]
    found = json.loads((path / "evaluation" / "results.json").read_text())
    step = int(rows[int(np.argmax(smooth))]["step"])
    assert found["kept"] == {"step": step, "of": 6, "stopped_at": None, "chosen_by": "judge"}
    assert all(0 < float(row["pir_gradient_scale"]) <= 1 and row["estimator_pir"] for row in rows)
    for line in (f"kept the networks of step {step}, which the judge chose", "  the judge (chose the step)  "):
        assert line in said
    assert "The judge chose the step" in (path / "report" / "index.html").read_text()
    control = json.loads(str(np.load(sorted((path / "evaluation/control/steps/checkpoints").iterdir())[-1])["made_by"]))
    assert control["steps"] == step and not {"tuning.stop", "tuning.log_every", "tuning.pir_gradient_limit"} & set(
        control
    )
    best = np.load(path / "tuning" / "checkpoints" / "step-000000006.npz")
    assert best["judged/kept"] == step and best["judged/rows"][0, -1] == pytest.approx(views[-1], rel=1e-6)


def test_that_there_is_no_judge_is_said_and_all_steps_are_done(tmp_path):
    done = small_command(
        *WORDS, "--stages", *"gan interactions estimator tuning".split(), "--run-dir", "run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "no judge stops it, as a judge needs 300 images with answers" in done.stdout
    assert "judge_pir" not in (tmp_path / "run" / "tuning" / "history.csv").read_text()
    assert "kept_step" not in json.loads((tmp_path / "run" / "tuning" / "done.json").read_text())


def test_a_stopped_result_is_said_in_80_columns():
    kept = {"step": 1040, "of": 1500, "stopped_at": 1200, "chosen_by": "judge"}
    table = result_table({**results(), "kept": kept})
    assert max(map(len, table.splitlines())) <= 80 and "a second judge" not in table
    assert "step 1,040 of 1,500. The judge chose the step, and stopped tuning at step 1,200" in " ".join(table.split())


GUARDED = (
    "smoke --interactions.images 32 --evaluation.images 16 --evaluation.diversity-pairs 2 --evaluation.control "
    "--estimator.output linear --estimator.backbone discriminator --tuning.batch_size 4 --tuning.steps 20 "
    "--tuning.true_pir_every 20 --tuning.gradients_every 20 --tuning.learning-rate 5e-5 --tuning.pir-weight 10000 "
    "--tuning.keep-distance 0.9"
).split()
"""The bundled generator, which has a distance to lose, under a PIR term that costs it."""


def test_a_tuning_that_costs_distance_is_stopped_and_its_control_is_as_long(tmp_path):
    done = whole_command(*GUARDED, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "run" / "tuning" / "history.csv") as file:
        rows = [(int(row["step"]), float(row["distance_kept"])) for row in csv.DictReader(file)]
    assert len(rows) > 4 and all(share < 0.9 for _, share in rows[-3:])
    last, end = max(step for step, share in rows if share >= 0.9), rows[-1][0]
    found = json.loads((tmp_path / "run" / "evaluation" / "results.json").read_text())
    assert found["kept"] == {"step": last, "of": 20, "stopped_at": end, "chosen_by": "distance"}
    assert f"stopped at step {end}; kept the networks of step {last}, the last to keep the distance" in done.stdout
    assert f"stopped at step {end}, where a class had lost more distance than it may." in " ".join(done.stdout.split())
    control = json.loads(
        str(np.load(sorted((tmp_path / "run/evaluation/control/steps/checkpoints").iterdir())[-1])["made_by"])
    )
    assert control["steps"] == last and not {"tuning.stop", "tuning.keep_distance"} & set(control)


def test_nothing_is_kept_where_no_row_keeps_the_distance(tmp_path):
    words = [*GUARDED, "--tuning.keep-distance", "0.999", "--tuning.learning-rate", "1e-3"]
    done = whole_command(*words, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "evaluation" / "results.json").read_text())
    assert found["kept"]["step"] == 0 and not (tmp_path / "run" / "evaluation" / "control" / "steps").exists()
    before, after = (Networks.load(tmp_path / "run" / stage).generator.get_weights() for stage in ("gan", "tuning"))
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    said = " ".join(done.stdout.split())
    assert "kept the networks of the start" in said and "These are the networks from before tuning" in said


def test_a_distance_that_is_kept_is_said():
    kept = {"step": 1500, "of": 1500, "stopped_at": None, "chosen_by": "distance"}
    table = result_table({**results(), "kept": kept})
    assert "a second judge" in table and "No class lost more distance than it may" in " ".join(table.split())
