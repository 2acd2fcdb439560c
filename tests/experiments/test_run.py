"""The main job end to end, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import GOLDEN, SMALL, command, copy_stages, small_command, whole_command
from PIL import Image

from pir_tf.errors import InputError
from pir_tf.estimator.model import load_estimator
from pir_tf.experiments import run
from pir_tf.experiments.command_line import parse
from pir_tf.gan.saved import Networks

TOP = (
    "pir_before_mean pir_after_mean change cohens_d cohens_d_interval welch_t p_value significant verdict estimated_change "
    "initial_mean initial_sd initial_percent_zero"
).split()

FILES = (
    "config.json data.json gan/generator.keras gan/discriminator.keras gan/generator.json interactions/images.npz "
    "interactions/interactions.csv estimator/estimator.keras estimator/quality.json tuning/generator.keras "
    "tuning/discriminator.keras tuning/history.csv evaluation/samples.npz evaluation/results.json report/index.html"
).split()


def read(path):
    def refuse(word):
        raise AssertionError(f"{path} holds {word}")

    return json.loads(path.read_text(), parse_constant=refuse)


def weights(path):
    import keras

    return [np.asarray(v) for v in keras.models.load_model(path).weights]


def test_every_stage_leaves_its_files_and_the_config_says_what_made_the_run(smoke):
    directory, _ = smoke
    for name in FILES:
        assert (directory / name).stat().st_size > 0, name
    assert not list(directory.rglob("*.partial*"))
    about = read(directory / "config.json")
    assert {"seed": 0, "preset": "smoke"}.items() <= about["config"].items()
    assert about["versions"]["keras"] and "commit" in about
    assert about["hardware"]["cores"] == os.cpu_count() and isinstance(about["hardware"]["gpus"], list)
    text = (directory / "report" / "index.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>") and "data:image/png;base64," in text and 'src="http' not in text


@pytest.mark.parametrize("looped", [False, True])
def test_inside_a_loop_it_leaves_to_it_how_to_go_on(tmp_path, monkeypatch, capsys, looped):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pir_tf.training.xla.prepare", stopped)
    if looped:
        monkeypatch.setenv("PIR_TF_LOOP", str(tmp_path))
    assert run.main(["smoke", "--run-dir", str(tmp_path / "run")]) == 130
    said = "".join(capsys.readouterr())
    assert ("Resume with" in said) is ("first line above resumes it" in said) is not looped


def test_it_prints_the_way_to_resume_first_then_the_proof_and_then_draws_the_report(smoke):
    directory, done = smoke
    lines = done.stdout.strip().splitlines()
    assert lines[0].startswith("Resume with: python -m pir_tf.experiments.run smoke")
    assert lines[-1] == f"Report: {directory / 'report' / 'index.html'}"
    places = [
        next(i for i, line in enumerate(lines) if line.startswith(start))
        for start in ("evaluation: ", "Mean PIR before", "Change", "Cohen's d", "Verdict at alpha 0.001", "report: ")
    ]
    assert places == sorted(places) and "95% interval" in done.stdout


def test_results_hold_the_proof_by_the_objective_of_new_images(smoke):
    results = read(smoke[0] / "evaluation" / "results.json")
    assert set(TOP) <= set(results)
    shown = np.load(smoke[0] / "interactions" / "images.npz")["images"]
    samples = np.load(smoke[0] / "evaluation" / "samples.npz")
    before, after = samples["true_before"], samples["true_after"]
    assert results["pir_before_mean"] == pytest.approx(before.mean())
    assert results["change"] == pytest.approx(after.mean() - before.mean())
    values = samples["before"].astype(np.float64) / 255
    blue = np.sqrt((values[..., 2] ** 2).sum((1, 2)) / (values**2).sum((1, 2, 3)))
    np.testing.assert_allclose(before, blue, rtol=1e-6)
    seen = {image.tobytes() for image in shown}
    assert not any(image.tobytes() in seen for image in samples["before"])


def test_a_rerun_skips_what_is_done(smoke):
    directory, _ = smoke
    before = {name: (directory / name).stat().st_mtime_ns for name in FILES}
    again = command(*GOLDEN, "--run-dir", directory, cwd=directory.parent)
    assert again.returncode == 0
    assert again.stdout.count("done before, skipped") == 6
    some = command(*GOLDEN, "--stages", "evaluation", "report", "--run-dir", directory, cwd=directory.parent)
    assert some.returncode == 0 and some.stdout.count("done before, skipped") == 2
    assert before == {name: (directory / name).stat().st_mtime_ns for name in FILES}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smoke", "--stages", "tuning"], "gan, estimator"),
        (["paper", "--estimator.weights", "file:nowhere.weights.h5"], "nowhere.weights.h5"),
    ],
)
def test_a_run_that_misses_something_names_it_and_leaves_no_directory_of_its_own(tmp_path, words, said):
    refused = command(*words, cwd=tmp_path)
    assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
    assert not list((tmp_path / "runs").glob("*-paper"))


@pytest.mark.slow
def test_what_no_stage_has_used_may_be_corrected_and_what_one_has_used_may_not(tmp_path):
    for name in ("coast", "mountain"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (80, 60), (40 * i, 90, 200)).save(tmp_path / "photos" / name / f"{i}.png")
    words = [*SMALL, "--data.source", "folder:photos", "--stages", "gan", "interactions", "estimator", "tuning"]
    asked = [*words, "--run-dir", "run", "--tuning.steps"]
    refused = small_command(*asked, 4, "--tuning.batch_size", 8, cwd=tmp_path)
    assert refused.returncode == 2
    assert "has 6 images, fewer than a batch of tuning.batch_size, which is 8" in refused.stderr
    assert not (tmp_path / "run" / "gan").exists()
    (tmp_path / "photos" / "coast" / "0.png").unlink()  # another set now, and another config
    first = small_command(*asked, 4, "--stages", "gan", "interactions", "estimator", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "goes on with tuning.batch_size (8 there, 4 now)" in first.stdout
    second = small_command(*asked, 2, "--stages", "gan", "interactions", "estimator", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "goes on with tuning.steps (4 there, 2 now)" in second.stdout
    assert second.stdout.count("done before, skipped") == 3
    (tmp_path / "photos" / "coast" / "1.png").unlink()
    other = small_command(*asked, 2, cwd=tmp_path)
    assert other.returncode == 2 and "data.source holds 4 images" in other.stderr
    assert "Traceback" not in refused.stderr + other.stderr


def test_a_runs_folder_that_leads_nowhere_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to("/nonexistent/runs")
    with pytest.raises(InputError, match="runs can't be used .File exists.: mend that"):
        run._new_directory(parse(["smoke"]).experiment)


def test_runs_that_begin_in_one_second_and_long_objectives_get_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "now")
    long = ",".join(map(str, range(100)))
    asked = [["--interactions.objective", f"vgg:pool3:filters={some}"] for some in (long, long[:-3], "1")]
    asked += [["--interactions.source", "csv:a.csv"]] * 3
    names = [run._new_directory(parse(["smoke", *words]).experiment).name for words in asked]
    assert names[2:4] == ["now-vgg-pool3-filters=1-smoke", "now-people-smoke"]
    assert names[4:] == ["now-people-smoke-2", "now-people-smoke-3"]
    assert names[0] != names[1] and {len(name) for name in names[:2]} == {len("now--smoke") + 60}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(names)


@pytest.mark.slow
def test_saved_networks_load_without_this_package_and_compute_the_same(smoke, tmp_path):
    program = """
import sys
sys.modules["pir_tf"] = None
import keras, numpy as np
run = sys.argv[1]
names = ("tuning/generator", "tuning/discriminator", "estimator/estimator")
g, d, r = (keras.models.load_model(f"{run}/{name}.keras", safe_mode=True) for name in names)
images = np.asarray(g({"z": np.load(sys.argv[2]), "class_one_hot": np.eye(2, dtype="float32")}))
source, classes = (np.asarray(x) for x in d(images, training=False))
assert g.output_names == ["image"] and d.output_names == ["source", "class_logits"]
assert {type(layer).__module__.partition(".")[0] for model in (g, d) for layer in model.layers} == {"keras"}
np.savez(sys.argv[3], images=images, source=source, classes=classes, pir=np.asarray(r(images, training=False)))
"""
    z = np.random.default_rng(4).standard_normal((2, 64)).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    line = [sys.executable, "-c", program, str(smoke[0]), str(tmp_path / "z.npy"), str(tmp_path / "there.npz")]
    done = subprocess.run(line, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    there, networks = np.load(tmp_path / "there.npz"), Networks.load(smoke[0] / "tuning")
    images = np.asarray(networks.generator([z, np.eye(2, dtype=np.float32)]))
    u, classes = (np.asarray(x) for x in networks.discriminator(images, training=False))
    np.testing.assert_allclose(there["images"], images, atol=1e-6)
    np.testing.assert_allclose(there["source"], np.tanh(u), atol=1e-5)
    np.testing.assert_allclose(there["classes"], classes, atol=1e-5)
    pir = load_estimator(smoke[0] / "estimator" / "estimator.keras")(images, training=False)
    np.testing.assert_allclose(there["pir"], np.asarray(pir).reshape(there["pir"].shape), atol=1e-5)
    assert images.shape == (2, 64, 64, 3) and np.abs(images).max() <= 1 and images.std() > 0
    assert np.abs(there["source"]).max() <= 1 and (there["pir"] > 0).all() and (there["pir"] < 1).all()


@pytest.mark.nightly
def test_one_seed_gives_one_result_and_another_seed_another(smoke, tmp_path):
    directory, _ = smoke
    all_but_the_page = ["--stages", "gan", "interactions", "estimator", "tuning", "evaluation"]
    for seed, stages in ((0, all_but_the_page), (1, all_but_the_page[:-1])):
        words = [*GOLDEN, "--seed", seed, *stages, "--run-dir", tmp_path / str(seed)]
        assert whole_command(*words, cwd=tmp_path).returncode == 0
    for name in ("tuning/generator.keras", "tuning/discriminator.keras", "estimator/estimator.keras"):
        first, same, other = (weights(path / name) for path in (directory, tmp_path / "0", tmp_path / "1"))
        assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True)), name
        assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)), name
    assert (directory / "evaluation/results.json").read_text() == (tmp_path / "0/evaluation/results.json").read_text()


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_tuning_loses_nothing_and_another_configs_checkpoint_is_refused(small_run, tmp_path):
    cut, words = (
        tmp_path / "cut",
        [*SMALL, "--tuning.steps", "4", "--stages", "gan", "interactions", "estimator", "tuning"],
    )
    copy_stages(small_run, cut, "gan", "interactions", "estimator")
    checkpoints = cut / "tuning" / "checkpoints"
    ctrl_c = (signal.SIGINT, checkpoints / "step-000000002.npz", "")
    stopped = small_command(*words, "--run-dir", cut, cwd=tmp_path, stop=ctrl_c)
    assert stopped.returncode == 130 and "Interrupted" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not (cut / "tuning" / "generator.keras").exists()

    newest = max(checkpoints.glob("step-*.npz"))
    whole, arrays = newest.read_bytes(), dict(np.load(newest))
    arrays["made_by"] = np.array(json.dumps({**json.loads(str(arrays["made_by"])), "tuning.learning_rate": 0.1}))
    np.savez(newest, **arrays)
    refused = small_command(*words, "--run-dir", cut, cwd=tmp_path)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "differs in tuning.learning_rate (0.1 there, 1e-05 now)" in refused.stderr

    newest.write_bytes(whole)
    resumed = small_command(*words, "--run-dir", cut, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "estimator: done before, skipped" in resumed.stdout
    assert "Tuning the generator: resumed from its checkpoint of step 2 of 4" in resumed.stdout
    pairs = zip(*(weights(path / "tuning" / "generator.keras") for path in (small_run, cut)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert (small_run / "tuning" / "history.csv").read_text() == (cut / "tuning" / "history.csv").read_text()


ONE_STEP = """
--gan.steps 1 --gan.log_every 1 --gan.checkpoint_every 1 --gan.sample_every 1 --data.count 64
--estimator.weights none --estimator.steps 1 --estimator.batch_size 2 --estimator.quality_images 4 --interactions.images 10
--tuning.steps 1 --tuning.log_every 1 --tuning.checkpoint_every 1 --tuning.gradients_every 1 --tuning.true_pir_every 1
--tuning.batch_size 2 --evaluation.images 8 --evaluation.no-judge
""".split()


@pytest.mark.nightly
def test_one_step_of_every_stage_runs_at_paper_sizes(tmp_path):
    """All networks and images as in the paper; fewer images, and fewer in a batch where InceptionV3 sees them."""
    done = command("paper", *ONE_STEP, "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(TOP) <= set(read(tmp_path / "run" / "evaluation" / "results.json"))
