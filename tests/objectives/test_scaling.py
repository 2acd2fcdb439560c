"""Data scaling (C.5): mean 0.5 and standard deviation 0.25 on the shown images, one map for all later ones."""

import json

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.objectives.scaling import Scaling


def rates(count=1000, seed=0):
    return np.random.default_rng(seed).normal(0.03, 0.004, count)


def test_worked_by_hand():
    scaling = Scaling.fit(np.array([0.1, 0.2, 0.3]))
    assert (scaling.mean, scaling.sd) == pytest.approx((0.2, 0.1))
    np.testing.assert_allclose(scaling(np.array([0.1, 0.2, 0.3])), [0.25, 0.5, 0.75])
    assert scaling.percent_clipped(np.array([0.1, 0.2, 0.3])) == 0.0
    np.testing.assert_allclose(scaling(np.array([0.0, 0.4, 0.45, 1.0, -1.0])), [0.0, 1.0, 1.0, 1.0, 0.0], atol=1e-15)


def test_percent_clipped_is_counted():
    pir = rates()
    pir.flags.writeable = False
    scaling = Scaling.fit(pir)
    beyond = np.abs(pir - pir.mean()) > 2 * pir.std(ddof=1)
    assert 2 < 100 * beyond.mean() < 8
    assert scaling.percent_clipped(pir) == pytest.approx(100 * beyond.mean())
    scaled = scaling(pir)
    assert ((scaled == 0) | (scaled == 1)).mean() == pytest.approx(beyond.mean())


def test_saved_and_loaded(tmp_path):
    scaling = Scaling.fit(rates())
    scaling.save(tmp_path / "scaling.json", percent_clipped=4.5)
    assert Scaling.load(tmp_path / "scaling.json") == scaling
    assert json.loads((tmp_path / "scaling.json").read_text())["percent_clipped"] == 4.5


@pytest.mark.parametrize("pir", [np.full(1000, 0.1), np.zeros(5), np.array([0.3]), np.array([])])
def test_nothing_to_divide_by_is_refused(pir):
    with pytest.raises(InputError, match=rf"PIR of the {len(pir)} shown images .*--interactions.scaling none"):
        Scaling.fit(pir)
