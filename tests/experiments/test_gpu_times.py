"""Times on a GPU by what was measured on one: the table's own rows, and what lies between and beyond them."""

import pytest

from pir_tf.config import changed
from pir_tf.experiments.gpu_times import acgan_seconds, training_seconds, tuning_seconds
from pir_tf.presets import laptop, paper


@pytest.mark.parametrize(
    "form, batch, size, expected",
    [("off", 32, 75, 34.1), ("on", 32, 75, 7.8), ("off", 64, 299, 43.7), ("on", 64, 299, 22.4), ("on", 16, 0, 7.8)],
)
def test_the_measured_steps_and_none_below_the_smallest(form, batch, size, expected):
    around = 1 if form == "on" else 0
    assert tuning_seconds(form, batch, size, deterministic=False) == pytest.approx((expected + around) / 1e3)


def test_other_sizes_lie_on_the_line_and_deterministic_xla_is_slower_as_the_acgans_step():
    middle = (32 * 75**2 + 64 * 299**2) / 2
    assert tuning_seconds("on", 1, middle**0.5, deterministic=False) == pytest.approx((7.8 + 22.4) / 2e3 + 1e-3)
    assert tuning_seconds("on", 32, 75, deterministic=True) == pytest.approx((7.8 * 9.0 / 4.1 + 1) / 1e3)
    assert tuning_seconds("off", 32, 75, deterministic=True) == pytest.approx(34.1 / 1e3)
    forms = (("off", True), ("on", True), ("on", False))
    assert [acgan_seconds(form, deterministic=fixed) for form, fixed in forms] == pytest.approx(
        [0.018, (5.7 * 9.0 / 4.1 + 1) / 1e3, 0.0067]
    )


def test_an_experiments_trainings():
    free = changed(paper(), estimator={"trainable": "all"}, compute={"deterministic": False})
    found = training_seconds(free)
    assert found["gan"] == pytest.approx(1_100_000 * 0.0067 + 75)
    assert found["tuning"] == pytest.approx(50_000 * 0.0234 + 75)
    judge = 2 if free.evaluation.judge else 1
    assert found["estimator"] == pytest.approx(25_000 * judge * tuning_seconds("on", 32, 299, deterministic=False) + 75)
    assert set(training_seconds(changed(free, gan={"generator": "bundled"}, estimator={"trainable": "head"}))) == {
        "tuning"
    }
    assert training_seconds(laptop())["tuning"] == pytest.approx(150 * 0.0341)  # too few steps for XLA
