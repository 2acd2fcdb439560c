"""What a run's files say beside its results."""

import json

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.paper.claims.evidence import Facts, channels_of, read_facts


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


ABOUT = {
    "config": {"tuning.pir_weight": 1000.0},
    "commit": "0123456789",
    "hardware": {"cores": 2, "machine": "x86_64"},
}
QUALITY = {"at_temperature_1": {"bias": 0.001, "mean_absolute_error": 0.02}, "at_temperature": {"bias": -0.03}}
HISTORY = "step,L_fake_image_fools,L_PIR,gradient_fools,gradient_pir\n" + "\n".join(
    f"{step},{-1.0 - 0.1 * i},{0.5 + 0.01 * i},{'' if i % 2 else 2.0},{'' if i % 2 else 1.0}"
    for i, step in enumerate(range(5, 55, 5))
)


def test_a_run_directory(tmp_path):
    write(tmp_path / "config.json", ABOUT)
    write(tmp_path / "estimator" / "quality.json", QUALITY)
    write(tmp_path / "tuning" / "history.csv", HISTORY)
    write(tmp_path / "gan" / "history.csv", "step,swd\n1,300\n2,\n3,250.5\n")
    write(tmp_path / "gan" / "done.json", {"seconds": 10.0})
    write(tmp_path / "tuning" / "done.json", {"seconds": 2.5})
    facts = read_facts(tmp_path)
    assert (facts.commit, facts.hardware, facts.seconds, facts.gan) == (
        "0123456",
        "2 CPU cores (x86_64)",
        12.5,
        None,
    )
    assert (facts.bias, facts.bias_at_1, facts.error, facts.swd) == (-0.03, 0.001, 0.02, 250.5)
    assert facts.gradient_ratio == 0.5
    # Medians 0.545 and 1.45; the first and last fifth are two of ten rows each.
    assert facts.loss_ratio == pytest.approx(1000 * 0.545 / 1.45)
    assert facts.pir_rise == pytest.approx(0.08)
    assert facts.generator_loss_rise == pytest.approx(0.8)


def test_gpus_are_part_of_the_hardware(tmp_path):
    hardware = {**ABOUT["hardware"], "gpus": ["NVIDIA H100"]}
    write(tmp_path / "config.json", {**ABOUT, "hardware": hardware})
    assert read_facts(tmp_path).hardware == "2 CPU cores (x86_64), 1 GPU (NVIDIA H100)"


def test_commits_that_a_run_went_on_with(tmp_path):
    write(tmp_path / "config.json", {**ABOUT, "continued": [{"commit": "89abcdef01", "versions": {}}]})
    assert read_facts(tmp_path).commit == "0123456 then 89abcde"


def test_a_published_folder_has_them_under_base_names(tmp_path):
    write(tmp_path / "config.json", ABOUT)
    write(tmp_path / "quality.json", QUALITY)
    write(tmp_path / "history.csv", HISTORY)
    write(tmp_path / "README.md", "# x\n\n| time | 68 s in its stages: gan 0 s |\n")
    facts = read_facts(tmp_path)
    assert facts.seconds == 68.0 and facts.bias == -0.03 and facts.gradient_ratio == 0.5 and facts.swd is None


def test_a_shared_gan_counts_where_it_was_trained(tmp_path):
    run = tmp_path / "blue"
    write(run / "gan" / "done.json", {"seconds": 100.0, "trained_in": "gan/abc"})
    write(run / "tuning" / "done.json", {"seconds": 3.0})
    assert (read_facts(run).seconds, read_facts(run).gan) == (3.0, ("gan/abc", 100.0))


def test_a_sweep_s_table_has_the_seconds_of_runs_that_are_not_there(tmp_path):
    write(tmp_path / "timings.csv", "name,seconds,gan_trained_in\ngan/abc,100.0,\nblue,3.5,gan/abc\nred,,\n")
    assert read_facts(tmp_path / "blue") == Facts(seconds=3.5, gan=("gan/abc", 100.0))
    assert read_facts(tmp_path / "red") == Facts() == read_facts(tmp_path / "absent")


def test_what_is_absent_or_undefined_is_none(tmp_path):
    write(tmp_path / "tuning" / "history.csv", "step,L_PIR,gradient_fools,gradient_pir\n5,0.5,0.0,1.0\n")
    write(tmp_path / "gan" / "history.csv", "")
    assert read_facts(tmp_path) == Facts()


def test_a_damaged_file_is_refused(tmp_path):
    write(tmp_path / "config.json", "{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_facts(tmp_path)


def test_channels_of_runs_whose_results_lack_them(tmp_path):
    before, after = np.full((2, 4, 9, 3), 51, np.uint8), np.full((2, 4, 9, 3), 51, np.uint8)
    after[:, :, 3:6, 2] = 102
    np.savez(tmp_path / "samples.npz", before=before, after=after)
    found = channels_of(tmp_path / "samples.npz")
    assert found["red_before"] == found["red_after"] == found["blue_before"] == pytest.approx(0.2)
    assert found["blue_after"] == pytest.approx(0.8 / 3)
    assert (found["middle_blue_before"], found["middle_blue_after"]) == (0.0, pytest.approx(0.2))
    assert channels_of(tmp_path / "absent.npz") == {}
    np.savez(tmp_path / "odd.npz", before=before)
    assert channels_of(tmp_path / "odd.npz") == {}
