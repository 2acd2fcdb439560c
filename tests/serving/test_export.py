"""The command: what a version holds, where it comes from, float16, refusals, kills and two at once."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from run_to_export import RESULTS

import pir_tf
from pir_tf import cli
from pir_tf.serving import check
from pir_tf.serving.expected import answers_of, save_answers
from pir_tf.serving.export import check_version, export_run, main, write_version
from pir_tf.serving.from_run import Material

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pir_tf.__file__).parents[1])}


def provenance(version):
    return json.loads((version / "assets.extra" / "provenance.json").read_text(encoding="utf-8"))


def weights(*models):
    return sum(int(np.prod(variable.shape)) for model in models for variable in model.weights)


def stored(version):
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_the_layout_is_the_servers(version):
    assert version.name == "1" and [path.name for path in version.parent.iterdir()] == ["1"]
    files = sorted(str(path.relative_to(version)) for path in version.rglob("*") if path.is_file())
    assert files == [
        "assets.extra/provenance.json",
        "assets.extra/tf_serving_warmup_requests",
        "assets/class_names.txt",
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    assert (version / "assets" / "class_names.txt").read_text(encoding="utf-8") == "coast\nmountain\n"
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in version.rglob("*"))  # a server's user can read it


def test_only_the_weights_of_generator_and_estimator_are_inside(version, material):
    arrays = {name: value for name, value in stored(version).items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}
    count = weights(material.generator, material.estimator)
    assert sum(value.size for value in arrays.values()) == count
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float32)}
    assert all(name.startswith(("generator/weights/", "estimator/weights/")) for name in arrays)
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    assert 4 * count < size < 4 * count * 1.05


def test_provenance_says_where_it_comes_from(version, run):
    facts = provenance(version)
    assert facts["run"] == "blue" and facts["generator"] == "tuned"
    assert facts["pir"]["before"] == 0.5 and facts["pir"]["after"] == 0.75 and facts["pir"]["gain"] == 0.25
    assert {name: facts["pir"][name] for name in ("cohens_d", "p_value", "verdict", "objective")} == {
        name: RESULTS[name] for name in ("cohens_d", "p_value", "verdict", "objective")
    }
    assert (
        facts["trained_by"]["commit"] == "a" * 40 and facts["exported_by"]["versions"]["tensorflow"] == tf.__version__
    )
    assert facts["class_names"] == ["coast", "mountain"] and facts["weights"] == "float32"
    assert facts["config"]["interactions.objective"] == "color:blue"
    assert facts["checked"]["grey_levels"] <= 1 and facts["checked"]["pir"] < 1e-3
    assert str(run) not in json.dumps(facts)  # no machine's paths


def test_float16_halves_the_size_and_says_what_it_changes(run, version, tmp_path, capsys):
    half = tmp_path / "m" / "v"
    material = Material.load(run, "tuned", score=True)
    facts = write_version(material, half, "m", half=True, answers=tmp_path / "answers.npz")
    sizes = [sum(path.stat().st_size for path in folder.glob("variables/*")) for folder in (half, version)]
    assert 0.49 < sizes[0] / sizes[1] < 0.53
    assert facts["weights"] == "float16"
    difference = facts["float16_difference"]
    assert f"by {difference['greatest']} grey levels at most" in capsys.readouterr().out
    kernels = [value for value in stored(half).values() if getattr(value, "ndim", 0) > 1]
    assert kernels and {value.dtype for value in kernels} == {np.dtype(np.float16)}
    seeds, classes = tf.range(64, dtype=tf.int64), tf.range(64) % 2
    images = []
    for folder in (half, version):
        answer = tf.saved_model.load(str(folder)).signatures["generate"](seed=seeds, class_id=classes)["image_bytes"]
        images.append(np.stack([tf.io.decode_png(data) for data in answer]).astype(int))
    measured = np.abs(images[0] - images[1])
    assert 0 < difference["mean"] and abs(measured.mean() - difference["mean"]) < 0.01
    assert abs(measured.max() - difference["greatest"]) <= 1


def test_the_untuned_generator_and_no_estimator(run, version, tmp_path):
    """The other side of a canary, from the same run."""
    material = Material.load(run, "untuned", score=False)
    facts = write_version(material, tmp_path / "v", "m", half=False, answers=tmp_path / "answers.npz")
    assert facts["generator"] == "untuned" and facts["estimator_sha256"] is None
    loaded = tf.saved_model.load(str(tmp_path / "v")).signatures
    assert sorted(loaded) == ["generate", "generate_from_latent", "serving_default"]
    tuned = tf.saved_model.load(str(version)).signatures
    latent, class_id = tf.zeros((1, 64)), tf.zeros(1, tf.int32)
    images = [x["generate_from_latent"](latent=latent, class_id=class_id)["image"].numpy() for x in (loaded, tuned)]
    assert images[1].mean() > images[0].mean() + 2  # the tuned one is lighter


def test_a_version_that_answers_otherwise_gets_no_number(material, version, tmp_path):
    known = answers_of(material)
    changed = {**known, "image": known["image"] ^ 4}
    save_answers(changed, tmp_path / "changed.npz")
    with pytest.raises(RuntimeError, match="images differ from the Keras model's by [4-9] grey levels"):
        check_version(version, tmp_path / "changed.npz")


def test_the_check_knows_nothing_of_this_package():
    tree = ast.parse(Path(check.__file__).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "tensorflow"}
    with pytest.raises(ImportError):
        check._Refuse().find_spec("pir_tf.serving")


def refused(capsys, *words):
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ") and said.count("\n") == 1
    return said


def test_refusals_are_one_sentence(run, tmp_path, capsys):
    assert "has no config.json, expected the directory of a run" in refused(capsys, tmp_path, "--to", tmp_path / "m")
    assert "name is a number" in refused(capsys, run, "--to", tmp_path / "m" / "1")
    assert "--to" in refused(capsys, run)
    assert "invalid choice" in refused(capsys, run, "--to", tmp_path / "m", "--generator", "both")
    part = tmp_path / "part"
    shutil.copytree(run, part, ignore=shutil.ignore_patterns("tuning", "estimator"))
    said = refused(capsys, part, "--to", tmp_path / "m")
    assert "no finished stage tuning" in said and "or choose --generator untuned" in said
    assert not (tmp_path / "m").exists()


def test_the_command_is_known():
    assert cli.COMMANDS["export"][0] == "pir_tf.serving.export"


@pytest.mark.slow
def test_a_killed_export_leaves_no_number_and_two_at_once_get_two(run, tmp_path):
    model = tmp_path / "m"

    def start():
        line = [sys.executable, "-m", "pir_tf.cli", "export", str(run), "--to", str(model), "--no-score"]
        return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, start_new_session=True, cwd=tmp_path)

    killed = start()
    while not any(model.glob(".unfinished-*/saved_model.pb")):
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [path.name.startswith(".unfinished-") for path in model.iterdir()] == [True]

    other = start()
    ours = export_run(run, model, half=True, score=False)
    out, _ = other.communicate(timeout=300)
    assert other.returncode == 0
    assert sorted(path.name for path in model.iterdir()) == ["1", "2"]
    theirs = Path(out.decode().splitlines()[-1].removeprefix("Exported: "))
    assert {ours.name, theirs.name} == {"1", "2"}
    assert [provenance(folder)["weights"] for folder in (ours, theirs)] == ["float16", "float32"]
