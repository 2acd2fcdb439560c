"""Fixtures of the estimator's tests."""

import pytest
from estimator_helpers import answers, blueness, save_hub_module, smooth_images


@pytest.fixture(scope="session")
def few():
    """(images, interactions) of 48 images."""
    images = smooth_images(48, seed=5)
    return images, answers(blueness(images))


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory):
    return save_hub_module(tmp_path_factory.mktemp("hub") / "module")


@pytest.fixture(scope="session")
def large_hub(tmp_path_factory):
    """A module of 96 pixels, as the config's least for a backbone that isn't compact is 75."""
    return save_hub_module(tmp_path_factory.mktemp("hub") / "module", size=96)
