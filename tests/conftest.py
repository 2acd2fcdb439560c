"""What has to be set before TensorFlow starts, which tests run, and the two runs that end-to-end tests share."""

import copy
import fcntl
import functools
import os
import pickle
import re
import shutil

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with a thread for each core would wait for each other; commands that tests start inherit it.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

LONGEST = float(os.environ.get("PIR_TF_TEST_SECONDS", "inf"))
"""Seconds of computing that a test without a mark may take: 3 on an idle machine of today."""


def pytest_collection_modifyitems(config, items):
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    for item in items:
        if {"smoke", "small_run"} & {*getattr(item, "fixturenames", ())}:  # whichever is first makes the run
            item.add_marker(pytest.mark.slow)
    # Files with slow tests first: the processes then end together.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test that computes for long says so by its mark, or fails. Waiting for a busy machine doesn't count."""
    start = _computed()
    result = yield
    took = _computed() - start
    marked = item.get_closest_marker("slow") or item.get_closest_marker("nightly")
    if took > LONGEST and not marked:
        pytest.fail(f"took {took:.1f} s of computing without a mark: make it smaller, or mark it slow", pytrace=False)
    return result


def _computed():
    """Seconds that this process and those that it has waited for have computed."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.fixture(scope="session", autouse=True)
def same_provenance():
    """This process's versions and commit, for which each run asks git and the files of all packages, are read once."""
    from pir_tf.runs import directory

    read = functools.cache(directory.provenance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "provenance", lambda: {**copy.deepcopy(read()), "started": directory.now()})
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that fills a folder once for all processes of pytest, by a name and a function of the folder; its own copy."""

    def made(name, make):
        own = tmp_path_factory.mktemp(name)
        golden = (own.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else own.parent) / f"golden-{name}"
        golden.mkdir(exist_ok=True)
        with open(golden / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (golden / "whole").exists():
                make(golden / "whole.partial")
                (golden / "whole.partial").rename(golden / "whole")
        return shutil.copytree(golden / "whole", own / "copy")

    return made


@pytest.fixture(scope="session")
def smoke(once):
    """(run directory, finished process) of a smoke run as users have it."""
    from commands import GOLDEN, whole_command

    folder = once("smoke", lambda folder: _run(folder, whole_command, GOLDEN))
    done = pickle.loads((folder / "process.pickle").read_bytes())
    done.stdout = re.sub(r"\S*/whole\.partial(?=/)", str(folder), done.stdout)
    return folder / "run", done


@pytest.fixture(scope="session")
def small_run(once):
    """The directory of a small run with four steps of tuning and without a report."""
    from commands import SMALL, UP_TO_EVALUATION, small_command

    words = [*SMALL, "--tuning.steps", "4", *UP_TO_EVALUATION]
    return once("small", lambda folder: _run(folder, small_command, words)) / "run"


def _run(folder, command, words):
    folder.mkdir()
    done = command(*words, "--run-dir", folder / "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "process.pickle").write_bytes(pickle.dumps(done))


def _eagerly():
    from eager import eagerly

    with eagerly():
        yield


eager = pytest.fixture(_eagerly, name="eager")
"""A test without tracing."""
eager_module = pytest.fixture(_eagerly, name="eager_module", scope="module")
"""A module's tests without it."""


@pytest.fixture
def narrow_inception(monkeypatch):
    """In place of InceptionV3, which takes seconds to make, a convolution of its kind that ends at its first mixed layer."""
    import keras

    def build(*, input_shape, **options):
        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 5, strides=4, use_bias=False, name="conv2d")(image)
        x = keras.layers.BatchNormalization(scale=False, name="batch_normalization")(x)
        return keras.Model(image, keras.layers.ReLU(name="mixed0")(x), name="inception_v3")

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
