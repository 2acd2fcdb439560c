"""The README's examples from Python, as they stand there, on small networks: both tuners, with Keras's `fit` and callbacks."""

import csv
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from pir_tf.data.sources import ImageSet

README = Path(__file__).resolve().parents[1] / "README.md"
SMALLER = {
    "image_size=64, steps=300": "image_size=32, steps=4",
    "epochs=10, steps_per_epoch=15": "epochs=2, steps_per_epoch=2",
}


def examples():
    section = README.read_text(encoding="utf-8").partition("\n### From Python\n")[2].partition("\n### ")[0]
    found = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    for text, smaller in SMALLER.items():
        assert any(text in example for example in found)
        found = [example.replace(text, smaller) for example in found]
    return found


def networks():
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    x = layers.Dense(8 * 8 * 4)(layers.Concatenate()([z, class_one_hot]))
    x = layers.UpSampling2D(4)(layers.Reshape((8, 8, 4))(x))
    generator = keras.Model([z, class_one_hot], layers.Conv2D(3, 3, padding="same", activation="tanh")(x))
    image = keras.Input((32, 32, 3))
    y = layers.Flatten()(layers.Conv2D(4, 3, strides=4)(image))
    return generator, keras.Model(image, [layers.Dense(1)(y), layers.Dense(2)(y)])


@pytest.mark.slow
def test_answers_and_a_generator_become_a_tuned_generator(tmp_path, monkeypatch, eager):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    rng, (generator, discriminator) = np.random.default_rng(0), networks()
    names = {"generator": generator, "discriminator": discriminator}
    names |= {"z": rng.standard_normal((24, 5), dtype=np.float32), "classes": np.arange(24) % 2}
    names |= {"impressions": np.full(24, 10), "positives": rng.integers(0, 11, 24)}
    images = rng.integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    names["real"] = ImageSet(images, np.arange(32) % 2, ("coast", "mountain"))
    anchored, adversarial = examples()
    before = [weights.copy() for weights in generator.get_weights()]
    exec(compile(anchored, "README.md", "exec"), names)  # noqa: S102 (the example itself)
    after = keras.models.load_model("tuned.keras").get_weights()
    assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before, strict=True))
    with open("tuning.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 and 0 <= float(rows[0]["L_PIR"]) <= 1
    frozen = [weights.copy() for weights in names["estimator"].get_weights()]
    exec(compile(adversarial, "README.md", "exec"), names)  # noqa: S102
    assert all(np.abs(new - old).max() > 0 for new, old in zip(generator.get_weights(), after, strict=True))
    assert all(np.array_equal(new, old) for new, old in zip(names["estimator"].get_weights(), frozen, strict=True))
