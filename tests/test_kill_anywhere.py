"""The short form of `kill_anywhere.py`: a run that is killed and repeated ends as an unbroken one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import LONGER, SMALL
from kill_anywhere import differences

HERE = Path(__file__).parent
JOB = [*SMALL, *LONGER, "--stages", "gan", "interactions", "estimator", "tuning"]


@pytest.mark.nightly
def test_runs_killed_at_a_moment_and_inside_a_write_end_as_the_unbroken_one(tmp_path):
    script = [sys.executable, HERE / "kill_anywhere.py", "--kills", "2", "--seed", "1", "--small"]
    line = [*script, "--work", tmp_path / "runs", "--", *JOB]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("equal") == 3 and "0 differences in 2 kills" in done.stdout


def test_differences_are_found(tmp_path):
    for run, pixel in (("one", 1), ("other", 2)):
        (tmp_path / run).mkdir()
        (tmp_path / run / "done.json").write_text(json.dumps({"seconds": pixel, "rows": 3}))
        (tmp_path / run / "history.csv").write_text("step,loss\n2,0.5\n")
        np.savez(tmp_path / run / "equal.npz", a=np.array([np.nan, 1.0]))
        np.savez(tmp_path / run / "images.npz", a=np.full(3, pixel))
    (tmp_path / "other" / ".images.42.partial.npz").write_bytes(b"")
    found = differences(tmp_path / "one", tmp_path / "other")
    assert found == [".images.42.partial.npz in one run only", "images.npz"]
