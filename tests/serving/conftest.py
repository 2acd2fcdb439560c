"""A run, its export with everything that the command does, and that export loaded again: once for all tests."""

import pytest
import tensorflow as tf
from run_to_export import make_run

from pir_tf.serving.export import export_run
from pir_tf.serving.material import Material


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "blue")


@pytest.fixture(scope="session")
def version(run, tmp_path_factory):
    """The folder of the first version of a model."""
    return export_run(run, tmp_path_factory.mktemp("models") / "landscapes")


@pytest.fixture(scope="session")
def endpoints(version):
    return tf.saved_model.load(str(version)).signatures


@pytest.fixture(scope="session")
def material(run):
    """The Keras models that the version came from."""
    return Material.load(run, "tuned", score=True)
