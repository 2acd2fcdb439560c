"""Means of the channels, whole and by thirds."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.evaluation.channels import channel_means


def test_means_by_hand_with_thirds_cut_as_the_objectives_cut_them():
    images = np.zeros((2, 4, 64, 3), np.uint8)
    images[0, :, :, 0] = 255  # one of two images is red throughout
    images[:, :, 21:42, 2] = 51  # and both have a little blue in the middle third
    found = channel_means(images)
    assert found["image"] == pytest.approx([0.5, 0.0, 0.2 * 21 / 64])
    assert np.array(found["thirds"]) == pytest.approx(np.array([[0.5, 0, 0], [0.5, 0, 0.2], [0.5, 0, 0]]))


def test_no_images_have_no_means_and_other_shapes_are_refused():
    assert channel_means(np.zeros((0, 8, 8, 3), np.uint8)) is None
    for wrong in (np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 8, 2, 3), np.uint8)):
        with pytest.raises(InputError, match="expected uint8"):
            channel_means(wrong)
