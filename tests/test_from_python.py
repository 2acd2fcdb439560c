"""The package from Python: one's own generator, answers as arrays, Keras's `compile` and `fit`, and no run directory."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import arrays, images_of, small_discriminator, small_generator

from pir_tf.gan.sampling import draw_latents, generate

ANCHORED = """
import keras
import numpy as np
from pir_tf.config import EstimatorConfig
from pir_tf.estimator.train import fit_estimator
from pir_tf.interactions.records import Interactions
from pir_tf.tuning.anchored import AnchoredTuner

# images: uint8 [n, h, w, 3], made by your generator; shown, liked: how often each was shown to people, and liked
answers = Interactions([str(i) for i in range(len(images))], np.zeros(len(images), int), shown, liked)
settings = EstimatorConfig(backbone="compact", weights="none", image_size=64, steps=300)
estimator = fit_estimator(images, answers, settings, seed=0)

# generator: a Keras model of [latents, one-hot classes] to images in [-1, 1]
tuner = AnchoredTuner(generator, estimator, pir_weight=1000, anchor_weight=100, seed=0)
tuner.compile(keras.optimizers.Adam(1e-5))
# 800 images an epoch, of latents that the tuner draws: of what it is given only the number of rows counts
tuner.fit(np.zeros(800), batch_size=16, epochs=3, callbacks=[keras.callbacks.CSVLogger("tuning.csv")])
generator.save("tuned.keras")
"""

WITH_DISCRIMINATOR = """
from pir_tf.tuning.tuner import Tuner

# discriminator: a Keras model of images to [u, class logits], P(real) = sigmoid(2u); real: images in [-1, 1] and their classes
tuner = Tuner(generator, discriminator, estimator, pir_weight=1000, seed=0)
tuner.compile(keras.optimizers.Adam(1e-5), keras.optimizers.RMSprop(1e-5))
tuner.fit(*real, batch_size=16, epochs=3, callbacks=[keras.callbacks.CSVLogger("tuning.csv")])
generator.save("tuned.keras")
"""


@pytest.fixture
def eager():
    """A few steps aren't worth tracing."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def run(text, names):
    for long, short in (
        ("image_size=64, steps=300", "image_size=32, steps=3"),
        ("zeros(800)", "zeros(32)"),
        ("=3,", "=2,"),
    ):
        text = text.replace(long, short)
    exec(text, names)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # tf.data's functions stay traced
def test_the_examples_tune_a_generator_of_ones_own(eager, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = small_generator()
    images = generate(generator, *draw_latents(16, latent_size=5, class_count=2, seed=0))
    people = {"shown": np.full(16, 10), "liked": np.random.default_rng(0).integers(0, 11, 16)}
    names = {"generator": generator, "images": images, **people, "discriminator": small_discriminator()}
    names["real"] = images_of(32)
    before = arrays(generator)
    for text, term in ((ANCHORED, "L_anchor"), (WITH_DISCRIMINATOR, "L_fake_image_fools")):
        run(text, names)
        tuned, log = keras.models.load_model("tuned.keras"), (tmp_path / "tuning.csv").read_text().splitlines()
        assert {"L_PIR", "generator_loss", term} < set(log[0].split(",")) and len(log) == 1 + 2
        after = arrays(tuned)
        assert all(np.isfinite(after[name]).all() and not np.array_equal(after[name], before[name]) for name in before)
        before = after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tuned.keras", "tuning.csv"]
