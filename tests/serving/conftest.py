"""A run, its export with everything that the command does, and that export loaded again: once for all tests.

TensorFlow is imported where it is used, since not every test here needs it.
"""

import pytest


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    from run_to_export import make_run

    return make_run(tmp_path_factory.mktemp("runs") / "blue")


@pytest.fixture(scope="session")
def version(run, tmp_path_factory):
    from pir_tf.serving.export import export_run

    return export_run(run, tmp_path_factory.mktemp("models") / "landscapes")


@pytest.fixture(scope="session")
def endpoints(version):
    import tensorflow as tf

    return tf.saved_model.load(str(version)).signatures


@pytest.fixture(scope="session")
def material(run):
    from pir_tf.serving.from_run import Material

    return Material.load(run, "tuned", score=True)
