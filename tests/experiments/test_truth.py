"""The simulated truth of a run: which objective, computed how often, on which scale."""

import dataclasses

import numpy as np
import pytest

from pir_tf.config import InteractionsConfig, derived_seed
from pir_tf.experiments import truth
from pir_tf.experiments.truth import scaling_of, true_pir, unscaled_pir
from pir_tf.objectives import vgg
from pir_tf.objectives.scaling import Scaling
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory

VGG = {"vgg_weights": "none", "vgg_image_size": 32}


def images(count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


@pytest.fixture
def open_run(tmp_path):
    def opening(*, cache=None, name="run", seed=0, **fields):
        config = dataclasses.replace(smoke(), interactions=InteractionsConfig(**fields), seed=seed)
        return RunDirectory(tmp_path / name, config, cache=cache)

    return opening


@pytest.fixture
def computed(monkeypatch):
    """Forgets earlier runs, and notes (layers, images) of each call of the network."""
    truth._energies.cache_clear()
    calls, original = [], vgg.VGGFeatures.__call__

    def counting(self, some):
        calls.append((self._names, len(some)))
        return original(self, some)

    monkeypatch.setattr(vgg.VGGFeatures, "__call__", counting)
    yield calls
    truth._energies.cache_clear()


def test_real_people_have_no_objective(open_run):
    run = open_run(source="csv:answers.csv", scaling="normalized")
    assert true_pir(run) is None and unscaled_pir(run.config, None) is None and scaling_of(run) is None


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["pool1", "pool2"])
def test_vgg_filters_and_that_no_image_set_is_computed_twice_in_a_process(open_run, computed, layer):
    run = open_run(objective=f"vgg:{layer}:filters=3,7", **VGG)
    first = true_pir(run)(images())
    assert np.array_equal(true_pir(run)(images()), first)
    assert np.array_equal(true_pir(run, reuse=False)(images()), first)
    true_pir(run)(images(seed=1))
    assert len(computed) == 2
    seed = derived_seed(0, "vgg weights")
    energies = vgg.VGGFeatures((layer,), weights="none", image_size=32, seed=seed)(images())[layer].astype(np.float64)
    expected = np.sqrt((energies[:, 3] + energies[:, 7]) / energies.sum(axis=1))
    np.testing.assert_allclose(first, expected, rtol=1e-6)


def test_many_images_come_in_pieces_and_equal(open_run, computed, monkeypatch):
    monkeypatch.setattr(truth, "PIECE", 10)
    run, many = open_run(objective="vgg:pool1:k=4", **VGG), images(13)
    found = true_pir(run)(many)
    assert [count for _, count in computed] == [10, 3]
    np.testing.assert_allclose(found[-3:], true_pir(run)(many[-3:]), rtol=1e-6)


@pytest.mark.slow
def test_with_a_cache_all_objectives_up_to_the_layer_share_one_computation(open_run, computed, tmp_path):
    cache, objectives = tmp_path / "cache", ("pool2:k=1", "pool2:k=20:seed=3", "pool1:k=1", "pool2:k=1")

    def pir(objective, some=None, **more):
        truth._energies.cache_clear()  # as in a process of its own
        words = {**VGG, "objective": f"vgg:{objective}", "name": f"run {len(list(tmp_path.iterdir()))}", **more}
        return true_pir(open_run(cache=cache, **words))(images() if some is None else some)

    found = [pir(objective) for objective in objectives]
    assert computed == [(("pool1", "pool2"), 6)] and np.array_equal(found[0], found[-1])
    assert len(list(cache.glob("vgg-*.npz"))) == 2
    # Other layers, sizes and weights, random ones of the seed, are other entries.
    pir("pool3:k=1")
    pir("pool1:k=1", vgg_image_size=64)
    pir("pool1:k=1", vgg_image_size=64, seed=1)
    assert len(computed) == 4 and len(list(cache.glob("vgg-*.npz"))) == 5


def test_a_second_round_finds_the_first_rounds_images_in_the_cache(open_run, computed, tmp_path):
    cache, first, new = tmp_path / "cache", images(), images(seed=1)
    true_pir(open_run(cache=cache, name="a", objective="vgg:pool1:k=1", **VGG))(first)
    truth._energies.cache_clear()
    second = open_run(cache=cache, name="b", objective="vgg:pool1:k=1", **VGG)
    true_pir(second)(new)
    true_pir(second)(np.concatenate([first, new]))
    assert [count for _, count in computed] == [6, 6]
    true_pir(second, reuse=False)(images(seed=2))
    assert len(computed) == 3 and len(list(cache.glob("vgg-*.npz"))) == 2


def test_scaled_by_the_map_of_the_run(open_run):
    run = open_run(objective="color:red", scaling="normalized")
    unscaled = unscaled_pir(run.config, None)
    raw = unscaled(images(50))
    values = images(50).astype(np.float64) / 255
    np.testing.assert_allclose(raw, np.sqrt((values[..., 0] ** 2).sum((1, 2)) / (values**2).sum((1, 2, 3))), rtol=1e-6)
    scaling = Scaling.fit(raw)
    scaling.save(run.file("interactions", "scaling.json"))
    np.testing.assert_array_equal(true_pir(run)(images(50)), scaling(raw))
    np.testing.assert_array_equal(true_pir(run)(images(4, seed=1)), scaling(unscaled(images(4, seed=1))))
