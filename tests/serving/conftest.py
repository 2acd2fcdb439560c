"""A run, its export with everything that the command does, and that export loaded again: once for all tests.

TensorFlow is imported where it is used, since not every test here needs it.
"""

import pytest


@pytest.fixture(scope="session")
def run(once):
    def make(folder):
        from run_to_export import make_run

        make_run(folder / "blue")

    return once("run-to-export", make) / "blue"


@pytest.fixture(scope="session")
def version(run, once):
    def make(folder):
        from pir_tf.serving.export import export_run

        export_run(run, folder / "landscapes")

    return once("models", make) / "landscapes" / "1"


@pytest.fixture(scope="session")
def endpoints(version):
    import tensorflow as tf

    return tf.saved_model.load(str(version)).signatures


@pytest.fixture(scope="session")
def material(run):
    from pir_tf.serving.from_run import Material

    return Material.load(run, "tuned", score=True)
