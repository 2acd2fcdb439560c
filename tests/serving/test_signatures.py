"""The endpoints: their contract, any n, a row alone and among others, and what they compute."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from described import described
from PIL import Image

from pir_tf.estimator.model import estimate
from pir_tf.gan.sampling import generate
from pir_tf.serving.export import write_version
from pir_tf.serving.signatures import latents_of

CONTRACT = Path(__file__).parents[2] / "export" / "signatures.txt"


def decoded(png):
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in png.numpy()])


def asked(endpoints, seeds, classes=None, name="generate"):
    """PNG files as arrays, int [n, h, w, c]."""
    classes = [0] * len(seeds) if classes is None else classes
    answer = endpoints[name](seed=tf.constant(seeds, tf.int64), class_id=tf.constant(classes, tf.int32))
    return decoded(answer["image_bytes"]).astype(int)


def test_the_signatures_are_those_of_the_contract(version):
    assert described(version) == CONTRACT.read_text(encoding="utf-8")


def test_a_second_export_in_one_process_has_the_same_signatures(material, tmp_path):
    folder = tmp_path / "again"
    write_version(material, folder, "landscapes", half=False, answers=tmp_path / "answers.npz")
    assert described(folder) == CONTRACT.read_text(encoding="utf-8")


@pytest.mark.parametrize("n", [1, 3, 7, 64, 256])
def test_any_number_of_rows_gives_the_keras_models_images(endpoints, material, n):
    latent = np.random.default_rng(n).standard_normal((n, 64), dtype=np.float32)
    classes = (np.arange(n) % 2).astype(np.int32)
    image = endpoints["generate_from_latent"](latent=tf.constant(latent), class_id=tf.constant(classes))["image"]
    assert image.dtype == tf.uint8 and image.shape == (n, 64, 64, 3)
    rows = sorted({*range(min(n, 8)), n // 2, n - 1})
    expected = generate(material.generator, latent[rows], classes[rows])
    assert np.abs(image.numpy()[rows].astype(int) - expected).max() <= 1
    assert expected.std() > 20  # pictures, not a plain colour


def test_a_seeds_image_is_that_of_its_latent(endpoints, material):
    seeds, classes = np.array([5, -5, 2**63 - 1]), np.array([0, 1, 1], np.int32)
    expected = generate(material.generator, latents_of(tf.constant(seeds), 64).numpy(), classes)
    for name in ("generate", "serving_default"):
        assert np.abs(asked(endpoints, seeds, classes, name) - expected).max() <= 1


def test_a_seed_gives_one_image_alone_among_others_and_after_a_reload(endpoints, version):
    seeds = np.arange(100, 164)
    among = asked(endpoints, seeds)
    again = tf.saved_model.load(str(version)).signatures
    for row in (0, 17, 63):
        for loaded in (endpoints, again):
            alone = asked(loaded, seeds[row : row + 1])[0]
            assert np.abs(alone - among[row]).max() <= 1
    turned = asked(endpoints, seeds[::-1])
    assert np.abs(turned[::-1] - among).max() <= 1


def test_different_seeds_and_classes_give_different_images(endpoints):
    images = asked(endpoints, [1, 2, -1, 2**32 + 1, 1], [0, 0, 0, 0, 1])
    for i in range(len(images)):
        for j in range(i):
            assert np.abs(images[i] - images[j]).mean() > 2


def test_classes_are_named_by_their_order(endpoints):
    seed, class_id = tf.constant([1, 2, 3], tf.int64), tf.constant([1, 0, 1])
    answer = endpoints["generate"](seed=seed, class_id=class_id)
    assert answer["class_name"].numpy().tolist() == [b"mountain", b"coast", b"mountain"]


def test_score_is_the_estimators_pir(endpoints, material):
    images = generate(material.generator, *_draw(64))
    pir = endpoints["score"](image_bytes=tf.io.encode_png(images))["pir"]
    assert pir.dtype == tf.float32 and pir.shape == (64,)
    expected = estimate(material.estimator, images)
    assert np.ptp(expected) > 0.05  # it tells images apart
    np.testing.assert_allclose(pir, expected, atol=1e-4)
    alone = endpoints["score"](image_bytes=tf.io.encode_png(images[5:6]))["pir"]
    np.testing.assert_allclose(alone, expected[5:6], atol=1e-4)


def test_score_takes_what_generate_returns_and_what_pillow_writes(endpoints):
    png = endpoints["generate"](seed=tf.constant([3], tf.int64), class_id=tf.constant([0]))["image_bytes"]
    buffer = io.BytesIO()
    Image.fromarray(decoded(png)[0]).save(buffer, format="PNG")
    assert buffer.getvalue() != png.numpy()[0]
    scores = endpoints["score"](image_bytes=tf.constant([png.numpy()[0], buffer.getvalue()]))["pir"].numpy()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def _draw(n):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 64), dtype=np.float32), (np.arange(n) % 2).astype(np.int32)
