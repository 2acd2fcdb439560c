"""Imported generators with equal weights that make other images are other entries of a cache."""

import keras
import numpy as np
import pytest
from keras import layers

from pir_tf.experiments.interactions_stage import sample
from pir_tf.gan.imported.description import Description
from pir_tf.gan.imported.generator import load_imported, save_imported, wrap
from pir_tf.gan.imported.signature import open_signature
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


def core_with(slope):
    """A generator whose weights say nothing of the slope of its activation."""
    z = keras.Input((4,), name="z")
    wide = keras.initializers.RandomNormal(stddev=0.5, seed=1)
    x = layers.Dense(8 * 8 * 3, activation="tanh", kernel_initializer=wide, name="dense")(z)
    return keras.Model(z, layers.Reshape((8, 8, 3), name="image")(layers.LeakyReLU(slope, name="leaky")(x)), name="own")


@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_another_architecture_with_the_same_weights_is_another_entry(form, tmp_path):
    def images(name, slope):
        core, signature = core_with(slope), ""
        if form == "saved_model":
            core.export(tmp_path / f"{name}-theirs", verbose=False)
            core, signature = open_signature(tmp_path / f"{name}-theirs")
        description = Description("none", ("images",), 4, (-1.0, 1.0), "", signature)
        run = RunDirectory(tmp_path / name, smoke(), cache=tmp_path / "cache")
        save_imported(wrap(core, description), description, run.path / "gan", own=False)
        made, _, _ = sample(run, load_imported(run.path / "gan"), 8, seed=0, title="Images")
        run.close()
        return made

    entries = lambda: len(list((tmp_path / "cache").iterdir()))  # noqa: E731
    first, other = images("first", 0.1), images("other", 0.6)
    assert not np.array_equal(first, other) and entries() == 2
    if form == "keras":  # a SavedModel counts what its process has traced, so only processes of their own share
        assert np.array_equal(first, images("same", 0.1)) and entries() == 2
