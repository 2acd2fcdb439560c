"""What a tuning that may stop sees: the least share of its distance that a class keeps."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pir_tf.config import decisive_fields
from pir_tf.config.tuning import TuningConfig
from pir_tf.experiments.tuning_stops import _distance_view


def generator(scales):
    """Images that differ as much as their class's scale says."""
    z, c = keras.Input((3,)), keras.Input((len(scales),))
    noise = keras.layers.Dense(
        48, use_bias=False, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.1, seed=1)
    )(z)
    scale = keras.layers.Dense(1, use_bias=False)
    images = keras.layers.Reshape((4, 4, 3))(keras.layers.Multiply()([noise, scale(c)]))
    scale.set_weights([np.array(scales, np.float32)[:, None]])
    return keras.Model([z, c], images)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1, 1], [1, 1], 1.0),
        ([1, 1], [2, 0.5], 0.5),  # the least of the classes
        ([2, 1], [1, 1], 0.5),  # of what each had
        ([1, 1], [0, 1], 0.0),
        ([0, 1], [1, 0.8], 0.8),  # of no distance there is no share
        ([0, 0], [1, 1], 1.0),
        ([1] * 40, [0.7] * 40, 0.7),
        ([1], [0.6], 0.6),
    ],
)
def test_the_least_share_of_a_class_is_seen(before, after, expected):
    tuner = SimpleNamespace(latent_size=3, class_count=len(before), generator=generator(before))
    view = _distance_view(SimpleNamespace(seed_of=lambda purpose: 5), tuner)
    (share,) = view(SimpleNamespace(generator=generator(after)))
    assert share == pytest.approx(expected, abs=0.03)  # of 256 grey levels


def test_rows_decide_where_they_are_looked_at_and_nothing_is_new_to_old_checkpoints():
    plain, keeping = (decisive_fields("tuning", TuningConfig(keep_distance=share)) for share in (0.0, 0.85))
    assert not {"tuning.keep_distance", "tuning.log_every"} & set(plain)
    assert (keeping["tuning.keep_distance"], keeping["tuning.log_every"]) == (0.85, 100)
