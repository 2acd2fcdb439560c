"""A run whose every training XLA compiles: killed in two of them and resumed, it ends as an unbroken one."""

import json
import signal

import numpy as np
import pytest
from commands import SMALL, UP_TO_EVALUATION, narrow_command
from kill_anywhere import differences

pytestmark = pytest.mark.nightly

WORDS = [
    *SMALL,
    *UP_TO_EVALUATION,
    *"--compute.jit-compile on --estimator.trainable all --evaluation.judge --evaluation.control".split(),
    *"--gan.steps 60 --gan.log-every 2 --gan.checkpoint-every 2 --gan.sample-every 60".split(),
    *"--tuning.steps 60 --tuning.log-every 2 --tuning.checkpoint-every 2 --tuning.gradients-every 60".split(),
    *"--tuning.true-pir-every 60".split(),
]


def made_by(path):
    """What the newest of some checkpoints says of itself."""
    with np.load(max(path.glob("step-*.npz"))) as held:
        return json.loads(str(held["made_by"]))


def test_a_run_by_xla_that_is_killed_and_resumed_ends_as_an_unbroken_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = narrow_command(*WORDS, "--run-dir", whole, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((whole / "config.json").read_text())["jit_compile"].values()) == {"on"}
    found = sorted(path.parent for path in whole.rglob("checkpoints/step-*.npz"))
    stages = {path.relative_to(whole).parts[0] for path in found}
    assert stages == {"gan", "estimator", "tuning", "evaluation"}  # the judge and the control are trained in the last
    assert {made_by(path)["compute.jit_compile"] for path in found} == {"on"}
    for stage in ("gan", "tuning"):
        row_of_step_4 = (signal.SIGKILL, killed / stage / "history.csv", "\n4,")
        cut = narrow_command(*WORDS, "--run-dir", killed, cwd=tmp_path, stop=row_of_step_4)
        assert cut.returncode == -signal.SIGKILL and not (killed / stage / "done.json").exists()
    refused = narrow_command(*WORDS, "--compute.jit-compile", "off", "--run-dir", killed, cwd=tmp_path)
    assert refused.returncode == 2 and "tuning.jit_compile" in refused.stderr
    done = narrow_command(*WORDS, "--run-dir", killed, cwd=tmp_path)
    assert done.returncode == 0 and "Tuning the generator: resumed from its checkpoint" in done.stdout, done.stderr
    assert differences(whole, killed) == []
