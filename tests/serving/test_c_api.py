"""The version is loaded without Python: through TensorFlow's C API, as a server loads it, and by saved_model_cli."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pir_tf.gan.sampling import generate
from pir_tf.serving.expected import answers_of
from pir_tf.serving.warmup import FILE, prediction_log

SOURCE = Path(__file__).with_name("c_api") / "serve.c"
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
REFUSED = [
    (
        "generate",
        {"seed": np.array([1, 2]), "class_id": np.array([0, 2], np.int32)},
        "class_id[1] is 2, expected 0 to 1",
    ),
    (
        "generate_from_latent",
        {"latent": np.zeros((2, 63), np.float32), "class_id": np.array([0, 1], np.int32)},
        "latent has rows of 63 numbers, expected 64",
    ),
    ("score", {"image_bytes": np.array([b"no image", b""], object)}, "image_bytes[0], 8 bytes, is no such image"),
]
"""Requests that a server would pass on as they are, and what it would answer."""
INVALID_ARGUMENT = 3
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler, folder = shutil.which("gcc"), Path(tf.sysconfig.get_lib())
    if compiler is None or not all((folder / name).exists() for name in LIBRARIES):
        pytest.skip("needs gcc and a TensorFlow with its C API as a shared library")
    path = tmp_path_factory.mktemp("c_api") / "serve"
    line = [compiler, "-std=c11", "-Wall", "-Werror", "-o", path, SOURCE, f"-I{SOURCE.parent}"]
    line += ["-isystem", tf.sysconfig.get_include(), f"-L{folder}", *(f"-l:{name}" for name in LIBRARIES)]
    done = subprocess.run([*line, f"-Wl,-rpath,{folder}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def served(program, version, tmp_path_factory):
    """(lines that the program printed, folder of its answers) for the warm-up requests, and after them refused ones."""
    folder = tmp_path_factory.mktemp("answers")
    with tf.io.TFRecordWriter(str(folder / "refused")) as writer:
        for name, fields, _ in REFUSED:
            writer.write(prediction_log("landscapes", name, fields))
    warmup = (version / "assets.extra" / FILE).read_bytes()
    (folder / "records").write_bytes(warmup + (folder / "refused").read_bytes())
    line = [program, version, folder / "records", folder]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), folder


@pytest.fixture(scope="module")
def known(material):
    return answers_of(material)


def test_every_warm_up_request_is_answered(served):
    lines, _ = served
    names = ["serving_default", "generate", "generate_from_latent", "score"]
    assert lines[:8] == [f"{number} ok {name}" for number, name in enumerate(2 * names)]


@pytest.mark.parametrize("record, rows", [(0, 1), (1, 1), (4, 8), (5, 8)])
def test_the_png_bytes_are_the_keras_models_images(served, known, record, rows):
    _, folder = served
    files = [(folder / f"{record}.image_bytes.{row}").read_bytes() for row in range(rows)]
    images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files]).astype(int)
    assert np.abs(images - known["image"][:rows]).max() <= 1
    names = [(folder / f"{record}.class_name.{row}").read_text() for row in range(rows)]
    assert names == known["class_name"][:rows].tolist()


@pytest.mark.parametrize("record, rows", [(2, 1), (6, 8)])
def test_pixels_of_latents(served, known, record, rows):
    images = np.frombuffer((served[1] / f"{record}.image").read_bytes(), np.uint8).reshape(rows, 64, 64, 3)
    assert np.abs(images.astype(int) - known["image"][:rows]).max() <= 1


@pytest.mark.parametrize("record, rows", [(3, 1), (7, 8)])
def test_scores(served, known, record, rows):
    pir = np.frombuffer((served[1] / f"{record}.pir").read_bytes(), np.float32)
    np.testing.assert_allclose(pir, known["pir"][:rows], atol=1e-4)


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refusals_are_invalid_argument_with_the_field(served, index):
    number, said, code, message = served[0][8 + index].split(" ", 3)
    assert (int(number), said, int(code)) == (8 + index, "error", INVALID_ARGUMENT)
    assert REFUSED[index][2] in message


def test_saved_model_cli_runs_an_endpoint(version, material, tmp_path):
    latent, class_id = np.random.default_rng(1).standard_normal((2, 64), dtype=np.float32), np.array([0, 1], np.int32)
    np.savez(tmp_path / "request.npz", latent=latent, class_id=class_id)
    inputs = ";".join(f"{name}={tmp_path / 'request.npz'}[{name}]" for name in ("latent", "class_id"))
    program = Path(sys.executable).with_name("saved_model_cli")
    line = [program, "run", "--dir", version, "--tag_set", "serve", "--signature_def", "generate_from_latent"]
    done = subprocess.run(
        [*line, "--inputs", inputs, "--outdir", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    images = np.load(tmp_path / "image.npy")
    assert np.abs(images.astype(int) - generate(material.generator, latent, class_id)).max() <= 1
