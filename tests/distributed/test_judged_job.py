"""A tuning of two processes that the judge stops: the first process decides for both."""

import json

import pandas as pd
import pytest
from commands import JUDGED, small_command
from job import Job


@pytest.mark.nightly
def test_both_processes_stop_where_the_firsts_judge_says(tmp_path):
    words = [*JUDGED, "--tuning.steps", "8", "--run-dir", "run"]
    done = small_command(*words, "--stages", *"gan interactions estimator".split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Job(tmp_path, [*words, "--stages", "tuning"]).start(0).start(1) as job:
        assert job.ends() == [0, 0], job.said(0) + job.said(1)
    facts = json.loads((tmp_path / "run" / "tuning" / "done.json").read_text())
    rows = pd.read_csv(tmp_path / "run" / "tuning" / "history.csv")
    end = facts["stopped_at"]
    assert 4 <= end < 8 and rows.step.tolist() == list(range(1, end + 1)) and rows.judge_pir.notna().all()
    said = f"tuning: stopped at step {end}; kept the networks of step {facts['kept_step']}, which the judge chose"
    assert said in job.said(0) and "which the judge chose" not in job.said(1)
