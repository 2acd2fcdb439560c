"""A run whose every training XLA compiles; killed in its tuning and resumed, that ends as the unbroken one."""

import json
import signal

import numpy as np
import pytest
from commands import SMALL, UP_TO_EVALUATION, copy_stages, narrow_command
from kill_anywhere import differences

pytestmark = pytest.mark.nightly

WORDS = [
    *SMALL,
    *UP_TO_EVALUATION,
    *"--compute.jit-compile on --estimator.trainable all --evaluation.judge --evaluation.control".split(),
    *"--tuning.steps 60 --tuning.log-every 2 --tuning.checkpoint-every 2 --tuning.gradients-every 60".split(),
    *"--tuning.true-pir-every 60".split(),
]


def made_by(path):
    """What the newest of some checkpoints says of itself."""
    with np.load(max(path.glob("step-*.npz"))) as held:
        return json.loads(str(held["made_by"]))


def test_every_training_of_a_run_is_by_xla_and_a_killed_one_ends_as_the_unbroken_one(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = narrow_command(*WORDS, "--run-dir", whole, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((whole / "config.json").read_text())["jit_compile"].values()) == {"on"}
    found = sorted(path.parent for path in whole.rglob("checkpoints/step-*.npz"))
    stages = {path.relative_to(whole).parts[0] for path in found}
    assert stages == {"gan", "estimator", "tuning", "evaluation"}  # the judge and the control are trained in the last
    assert {made_by(path)["compute.jit_compile"] for path in found} == {"on"}
    copy_stages(whole, killed, "gan", "interactions", "estimator")
    words = [*WORDS[: WORDS.index("evaluation")], *WORDS[WORDS.index("evaluation") + 1 :], "--run-dir", killed]
    row_of_step_4 = (signal.SIGKILL, killed / "tuning" / "history.csv", "\n4,")
    cut = narrow_command(*words, cwd=tmp_path, stop=row_of_step_4)
    assert cut.returncode == -signal.SIGKILL and not (killed / "tuning" / "done.json").exists()
    refused = narrow_command(*words, "--compute.jit-compile", "off", cwd=tmp_path)
    assert refused.returncode == 2 and "tuning.jit_compile" in refused.stderr
    done = narrow_command(*words, cwd=tmp_path)
    assert done.returncode == 0 and "Tuning the generator: resumed from its checkpoint" in done.stdout, done.stderr
    assert differences(whole / "tuning", killed / "tuning") == []
