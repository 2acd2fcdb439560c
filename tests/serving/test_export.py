"""The command: what a version holds, where it comes from, its warm-up, float16 and refusals."""

import dataclasses
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from run_to_export import CONTRACT, RESULTS, described

from pir_tf.errors import InputError
from pir_tf.serving import check, expected
from pir_tf.serving.expected import WARM_UP, answers_of
from pir_tf.serving.export import check_version, main, write_version
from pir_tf.serving.from_run import Material

pytestmark = pytest.mark.slow


def stored(version):
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    names = reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names}


def size(version):
    return sum(path.stat().st_size for path in version.rglob("*") if path.is_file())


def test_the_layout_is_the_servers_with_the_weights_of_generator_and_estimator_alone(version, material):
    assert version.name == "1" and [path.name for path in version.parent.iterdir()] == ["1"]
    files = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert files == {
        *("assets.extra/provenance.json", "assets.extra/tf_serving_warmup_requests", "assets/class_names.txt"),
        *("fingerprint.pb", "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"),
    }
    assert (version / "assets" / "class_names.txt").read_text(encoding="utf-8") == "coast\nmountain\n"
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in version.rglob("*"))  # a server's user can read it
    count = sum(int(np.prod(w.shape)) for w in [*material.generator.weights, *material.estimator.weights])
    arrays = stored(version)
    assert sum(value.size for value in arrays.values()) == count
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float32)}
    assert all(name.startswith(("generator/weights/", "estimator/weights/")) for name in arrays)
    assert 4 * count < size(version) < 4 * count * 1.05


def test_provenance_says_where_it_comes_from(version, run):
    facts = json.loads((version / "assets.extra" / "provenance.json").read_text(encoding="utf-8"))
    assert facts["run"] == "blue" and facts["generator"] == "tuned"
    known = {name: RESULTS[name] for name in ("cohens_d", "p_value", "verdict", "objective")}
    assert facts["pir"].items() >= {"before": 0.5, "after": 0.75, "gain": 0.25, **known}.items()
    assert facts["trained_by"]["commit"] == "a" * 40
    assert facts["exported_by"]["versions"]["tensorflow"] == tf.__version__
    assert facts["class_names"] == ["coast", "mountain"] and facts["weights"] == "float32"
    assert facts["config"]["interactions.objective"] == "color:blue"
    assert facts["checked"]["grey_levels"] <= 1 and facts["checked"]["pir"] < 1e-3
    assert str(run) not in json.dumps(facts)  # no machine's paths


def test_every_endpoint_is_warmed_up_in_the_serving_apis_own_bytes(version, endpoints):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")
    asked = {}
    for record in tf.data.TFRecordDataset(str(version / WARM_UP)):
        log = apis.PredictionLog.FromString(record.numpy())
        assert record.numpy() == log.SerializeToString(deterministic=True)
        request = log.predict_log.request
        assert request.model_spec.name == "landscapes"
        name = request.model_spec.signature_name
        fields = {field: tf.constant(tf.make_ndarray(value)) for field, value in request.inputs.items()}
        (rows,) = {len(value) for value in endpoints[name](**fields).values()}
        assert rows == len(next(iter(fields.values())))
        asked.setdefault(name, []).append(rows)
    assert asked == {name: [1, 8] for name in endpoints}


@pytest.mark.slow
def test_float16_halves_the_size_and_says_what_it_changes(run, version, endpoints, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(expected, "COMPARED_IMAGES", 24)
    half = tmp_path / "m" / "v"
    material = Material.load(run, "tuned", score=True)
    facts = write_version(material, half, "m", half=True, answers=tmp_path / "answers.npz")
    assert described(half) == CONTRACT.read_text(encoding="utf-8")  # of a second export in a process, too
    assert 0.49 < size(half / "variables") / size(version / "variables") < 0.53
    difference = facts["float16_difference"]
    assert facts["weights"] == "float16"
    assert f"by {difference['greatest']} grey levels at most" in capsys.readouterr().out
    kernels = [value for value in stored(half).values() if value.ndim > 1]
    assert kernels and {value.dtype for value in kernels} == {np.dtype(np.float16)}
    images = []
    for signatures in (tf.saved_model.load(str(half)).signatures, endpoints):
        answer = signatures["generate"](seed=tf.range(24, dtype=tf.int64), class_id=tf.range(24) % 2)["image_bytes"]
        images.append(np.stack([tf.io.decode_png(data) for data in answer]).astype(int))
    measured = np.abs(images[0] - images[1])
    assert 0 < difference["mean"] and abs(measured.mean() - difference["mean"]) < 0.01
    assert abs(measured.max() - difference["greatest"]) <= 1


@pytest.mark.slow
def test_the_untuned_generator_and_no_estimator(run, endpoints, tmp_path):
    material = Material.load(run, "untuned", score=False)
    facts = write_version(material, tmp_path / "v", "m", half=False, answers=tmp_path / "answers.npz")
    assert facts["generator"] == "untuned" and facts["estimator_sha256"] is None
    loaded = tf.saved_model.load(str(tmp_path / "v")).signatures
    assert sorted(loaded) == ["generate", "generate_from_latent", "serving_default"]
    latent, class_id = tf.zeros((1, 64)), tf.zeros(1, tf.int32)
    images = [x["generate_from_latent"](latent=latent, class_id=class_id)["image"].numpy() for x in (loaded, endpoints)]
    assert images[1].mean() > images[0].mean() + 2  # the tuned one is lighter


def test_a_generator_of_16_bits_may_differ_by_more_grey_levels(material):
    """Its images depend on how many are made at once, and on how it is called."""
    assert answers_of(material)["grey_levels"] == 1
    generator = keras.models.clone_model(material.generator)
    core = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Dense(3, dtype="mixed_bfloat16")])
    z, class_one_hot = generator.inputs
    images = keras.layers.Activation("linear", dtype="float32")(core(generator([z, class_one_hot])))
    halves = dataclasses.replace(material, generator=keras.Model([z, class_one_hot], images))
    assert answers_of(halves)["grey_levels"] == 8


@pytest.mark.slow
def test_a_version_that_answers_otherwise_gets_no_number(material, version, tmp_path, capsys, monkeypatch):
    """`version` has passed the check in a process of its own; here the program runs in this one, which takes no imports."""
    known = answers_of(material)
    np.savez(tmp_path / "changed.npz", **{**known, "image": known["image"] ^ 4})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "argv", [check.__file__, str(version), str(tmp_path / "changed.npz")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(check.__file__, run_name="__main__")
    said = capsys.readouterr().err
    assert end.value.code == 1 and re.search("images differ from the Keras model's by [4-9] grey levels", said)
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match="images differ from the Keras model's by [4-9] grey levels"):
        check_version(version, tmp_path / "changed.npz")
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", Path(check.__file__).read_text(encoding="utf-8"), re.M))
    assert imported - sys.stdlib_module_names == {"numpy", "tensorflow"}  # the check knows nothing of this package


def test_refusals_are_one_sentence(run, tmp_path, capsys):
    def refused(*words):
        assert main([str(word) for word in (*words, "--to", tmp_path / "m")]) == 2
        said = capsys.readouterr().err
        assert said.startswith("Error: ") and said.count("\n") == 1
        return said

    assert "has no config.json, expected the directory of a run" in refused(tmp_path)
    assert main([str(run)]) == 2 and "--to" in capsys.readouterr().err
    assert main([str(run), "--to", str(tmp_path / "1")]) == 2 and "name is a number" in capsys.readouterr().err
    assert "invalid choice" in refused(run, "--generator", "both")
    part = tmp_path / "part"
    shutil.copytree(run, part, ignore=shutil.ignore_patterns("tuning"))
    said = refused(part)
    assert "no finished stage tuning" in said and "or choose --generator untuned" in said
    for name in ("estimator/estimator.keras", "gan/generator.keras", "gan/generator.json"):  # cut, or gone
        (part / name).write_bytes((part / name).read_bytes()[:1000]) if "keras" in name else (part / name).unlink()
        stage = name.partition("/")[0]
        said = refused(part, "--generator", "untuned")
        assert f"{name} is missing or damaged" in said and f"{stage}/done.json to make it again" in said
    assert not (tmp_path / "m").exists()
