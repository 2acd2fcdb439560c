"""The version is loaded without Python: through TensorFlow's C API, as a server loads it."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pir_tf.serving.expected import WARM_UP, answers_of, prediction_log

SOURCE = Path(__file__).with_name("c_api") / "serve.c"
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
INVALID_ARGUMENT = 3
ONE, TWO, NARROW = np.array([0, 1], np.int32), np.array([0, 2], np.int32), np.zeros((2, 63), np.float32)
REFUSED = [
    ("generate", {"seed": np.array([1, 2]), "class_id": TWO}, "class_id[1] is 2, expected 0 to 1"),
    ("generate_from_latent", {"latent": NARROW, "class_id": ONE}, "latent has rows of 63 numbers, expected 64"),
    ("score", {"image_bytes": np.array([b"no image", b""], object)}, "image_bytes[0], 8 bytes, is no such image"),
]
"""Requests that a server would pass on as they are, and what it would answer."""
pytestmark = pytest.mark.nightly


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


def test_the_warm_up_requests_are_answered_as_by_keras_and_others_refused(program, version, material, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "refused")) as writer:
        for name, fields, _ in REFUSED:
            writer.write(prediction_log("landscapes", name, fields))
    (tmp_path / "records").write_bytes((version / WARM_UP).read_bytes() + (tmp_path / "refused").read_bytes())
    line, quiet = [program, version, tmp_path / "records", tmp_path], {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, **quiet})
    assert done.returncode == 0, done.stderr
    lines, known = done.stdout.splitlines(), answers_of(material)
    names = ["serving_default", "generate", "generate_from_latent", "score"]
    assert lines[:8] == [f"{number} ok {name}" for number, name in enumerate(2 * names)]
    for first, rows in ((0, 1), (4, 8)):
        for record in (first, first + 1):
            files = [(tmp_path / f"{record}.image_bytes.{row}").read_bytes() for row in range(rows)]
            images = np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in files]).astype(int)
            assert np.abs(images - known["image"][:rows]).max() <= 1
            named = [(tmp_path / f"{record}.class_name.{row}").read_text() for row in range(rows)]
            assert named == known["class_name"][:rows].tolist()
        pixels = np.frombuffer((tmp_path / f"{first + 2}.image").read_bytes(), np.uint8).reshape(rows, 64, 64, 3)
        assert np.abs(pixels.astype(int) - known["image"][:rows]).max() <= 1
        pir = np.frombuffer((tmp_path / f"{first + 3}.pir").read_bytes(), np.float32)
        np.testing.assert_allclose(pir, known["pir"][:rows], atol=1e-4)
    for number, (line, (_, _, expected)) in enumerate(zip(lines[8:], REFUSED, strict=True), start=8):
        assert line.startswith(f"{number} error {INVALID_ARGUMENT} ") and expected in line
