"""Exports of runs with a linear estimator or with moved latents: what is served is what the run has, worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pir_tf.config import changed
from pir_tf.estimator.linear import LinearEstimator
from pir_tf.estimator.model import save_estimator
from pir_tf.gan.bundled import bundled_networks
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks, load_generator
from pir_tf.images import to_float
from pir_tf.presets import smoke
from pir_tf.runs.directory import identity, write_json
from pir_tf.serving.export import write_version
from pir_tf.serving.from_run import Material
from pir_tf.serving.signatures import latents_of
from pir_tf.tuning.latents import with_moved_latents

pytestmark = pytest.mark.slow

LINEAR = {"output": "linear", "backbone": "discriminator", "pessimism": 3.0}


@pytest.fixture
def export(tmp_path):
    """A function that writes a run's version and loads it: the endpoints."""

    def loaded(**which):
        write_json(tmp_path / "config.json", {"config": identity(changed(smoke(), estimator=LINEAR))})
        for stage in ("gan", "estimator", "tuning"):
            if (tmp_path / stage).exists():
                write_json(tmp_path / stage / "done.json", {})
        material = Material.load(tmp_path, **which)
        write_version(material, tmp_path / "version", "m", half=False, answers=tmp_path / "answers.npz")
        return tf.saved_model.load(str(tmp_path / "version")).signatures

    return loaded


def test_score_is_the_clipped_mean_whatever_the_pessimism(export, tmp_path):
    """Of three colours' means, learned from grey images, and asked of brighter, darker and more colourful ones."""
    rng = np.random.default_rng(0)
    shown = rng.integers(100, 156, (60, 1, 1, 3)) + rng.integers(-20, 20, (60, 64, 64, 3))
    asked = (rng.integers(0, 256, (80, 1, 1, 3)) + np.zeros((64, 64, 1))).astype(np.uint8)
    features = lambda images: to_float(images).mean((1, 2), dtype=np.float64)  # noqa: E731
    positives = rng.binomial(20, (features(shown.astype(np.uint8)) @ [0.5, 0.8, -0.5] + 0.5).clip(0, 1))
    image = keras.Input((64, 64, 3))
    backbone = keras.Model(image, layers.GlobalAveragePooling2D(name="features")(image))
    estimator = LinearEstimator.fit(
        backbone, features(shown.astype(np.uint8)), np.stack([np.full(60, 20), positives], axis=1)
    )
    save_estimator(estimator, tmp_path / "estimator")
    bundled_networks().save(tmp_path / "gan")
    ridge = estimator.ridge
    mean = (features(asked) - ridge.mean) / ridge.spread @ ridge.weights + ridge.intercept
    assert (mean > 1.05).sum() > 3 and (mean < -0.05).sum() > 3 and ((mean > 0.1) & (mean < 0.9)).sum() > 10
    assert np.array(estimator.saved_model()(to_float(asked))[1]).min() > 0.01  # a doubt that would be seen
    pir = export(which="untuned", score=True)["score"](image_bytes=tf.io.encode_png(asked))["pir"].numpy()
    np.testing.assert_allclose(pir, mean.clip(0, 1), atol=1e-4)
    assert pir.min() == 0 and pir.max() == 1


@pytest.mark.parametrize("kind", ["shift", "residual"])
def test_moved_latents_are_served_as_the_run_generates(export, tmp_path, kind):
    networks, rng = bundled_networks(), np.random.default_rng(1)
    networks.save(tmp_path / "gan")
    tuned = with_moved_latents(networks.generator, kind, seed=2)
    move = {layer.name: layer for layer in tuned.layers if layer.name.startswith("move") and layer.weights}
    for layer in move.values():
        layer.set_weights([0.3 * rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    Networks(tuned, networks.discriminator, networks.class_names).save(tmp_path / "tuning")
    z, c = draw_latents(12, latent_size=64, class_count=2, seed=3)
    if kind == "shift":
        (vectors,) = move["move"].get_weights()
        moved = z + vectors[c]
    else:
        (w_1, b_1), (w_2, b_2) = (move[name].get_weights() for name in ("move_hidden", "move"))
        moved = z + np.tanh(np.concatenate([z, np.eye(2)[c]], 1) @ w_1 + b_1) @ w_2 + b_2
    by_hand = generate(load_generator(tmp_path / "gan"), moved.astype(np.float32), c).astype(int)
    unmoved = generate(load_generator(tmp_path / "gan"), z, c).astype(int)
    assert np.abs(by_hand - unmoved).mean() > 5
    endpoints = export(which="tuned", score=False)
    served = endpoints["generate_from_latent"](latent=tf.constant(z), class_id=tf.constant(c))["image"].numpy()
    assert np.abs(served - by_hand).max() <= 1
    seeds = tf.range(12, dtype=tf.int64)
    pictures = endpoints["generate"](seed=seeds, class_id=tf.constant(c))["image_bytes"].numpy()
    expected = generate(load_generator(tmp_path / "tuning"), latents_of(seeds, 64).numpy(), c).astype(int)
    assert np.abs(np.stack([tf.io.decode_png(data) for data in pictures]) - expected).max() <= 1
