"""What `results.json` says: who judged, and whether a change can be put down to the PIR term."""

import json

import numpy as np
import pytest

from pir_tf.evaluation.diversity import Diversity, DiversityReport
from pir_tf.evaluation.measure import compare, diversity_report, rated, results, scaling_facts
from pir_tf.objectives.scaling import Scaling
from pir_tf.statistics.effects import change_interval

SAME = Diversity((0.2, 0.2), (0.5, 0.5), 3, (64, 64))
DIVERSITY = DiversityReport.compare(SAME, SAME, None)


def pirs(mean, sd=0.02, count=60, seed=0):
    return np.random.default_rng(seed).normal(mean, sd, count)


def measured(estimated, *, control=None, alpha=0.001, **others):
    pir = {"estimated": estimated, **others}
    found = results(pir, training=pirs(0.5), diversity=DIVERSITY, alpha=alpha, control=control)
    return json.loads(json.dumps(found, allow_nan=False))


def test_only_the_truth_makes_a_gain():
    up, level = (pirs(0.5), pirs(0.6, seed=1)), (pirs(0.5), pirs(0.5, seed=1))
    found = measured(up, true=level, judged=up)
    assert found["verdict"] == "no significant change" and found["significant"] is False
    assert found["change"] == found["true"]["change"] and found["estimated"] == found["judged"] == compare(*up)
    waiting = measured(up)
    assert waiting["verdict"] == "not measured yet"
    assert waiting["true"] is waiting["observed"] is waiting["change"] is waiting["significant"] is None
    assert waiting["initial_sd"] == pytest.approx(np.std(pirs(0.5), ddof=1))


def test_a_gain_that_the_control_has_too_is_not_told_apart():
    """Both gain surely; between them, of 60 images each, p is 0.005."""
    before, after, control = pirs(0.5), pirs(0.6, seed=1), pirs(0.588, seed=2)
    found = measured((before, after), true=(before, after), control=control)
    assert found["control"] == compare(before, control) and found["over_control"] == compare(control, after)
    assert found["control"]["p_value"] < 1e-9 and 0.001 < found["over_control"]["p_value"] < 0.01
    assert found["verdict"] == "gain, not told apart from the GAN's own training" and found["significant"] is True
    assert measured((before, after), true=(before, after), control=control, alpha=0.01)["verdict"] == "gain"
    alone, higher = (
        measured((before, after), true=(before, after), control=other) for other in (None, pirs(0.7, seed=2))
    )
    assert alone["verdict"] == "gain" and alone["control"] is alone["over_control"] is None
    assert higher["verdict"] == found["verdict"]  # p is tiny, and the control's the gain


@pytest.mark.parametrize(
    ("estimated", "rose"),
    [
        ((pirs(0.5), pirs(0.55, seed=1)), True),
        ((pirs(0.5), pirs(0.5, seed=1)), False),  # the interval covers 0
        ((pirs(0.5), pirs(0.4, seed=1)), False),
        ((pirs(0.5, 1e-9), pirs(0.5, 1e-9) + 4e-9), False),  # float32 knows no such change
        ((np.full(60, 0.995), np.full(60, 0.995)), False),  # without spread there is no interval
        ((np.full(60, 0.5), np.full(60, 0.6)), True),
    ],
)
def test_whether_the_estimate_rose(estimated, rose):
    found = measured(estimated, true=(pirs(0.5), pirs(0.6, seed=1)))
    assert found["verdict"] == "gain" and found["estimate_rose"] is rose
    interval = change_interval(*estimated)
    assert found["estimated_change_interval"] == (list(interval) if interval else None)


def test_images_that_nobody_rated_are_left_out():
    before, after = rated((np.array([0.1, np.nan, 0.3]), np.array([np.nan, 0.5])))
    assert (before.tolist(), after.tolist()) == ([0.1, 0.3], [0.5])


def test_diversity_of_all_sets_or_without_real_images():
    rng = np.random.default_rng(0)
    sets = {name: rng.integers(0, 256, (6, 12, 12, 3), np.uint8) for name in ("before", "after", "real")}
    labels = {name: np.arange(6) % 2 for name in ("labels_before", "labels_after", "real_labels")}
    none = {"real": sets["real"][:0], "real_labels": labels["real_labels"][:0]}
    found, alone = (diversity_report({**sets, **labels, **more}, 2, seed=0, pairs=3) for more in ({}, none))
    assert found.before == alone.before and found.after_over_before == alone.after_over_before
    assert None not in found.after_over_real and alone.real is None
    assert found.before == Diversity.measure(sets["before"] / 127.5 - 1, labels["labels_before"], 2, seed=0, pairs=3)


def test_scaling_is_reported_with_the_comparison_that_knows_nothing_of_it():
    assert scaling_facts(None, None, None) == {"unscaled": None, "scaling": None}
    unscaled, scaling = (np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.3, 0.9])), Scaling(0.2, 0.1)
    found = scaling_facts(unscaled, scaling, 1.5)
    assert found["unscaled"] == compare(*unscaled)
    assert found["scaling"] == {
        **{"mean": 0.2, "sd": 0.1, "percent_clipped_shown": 1.5, "percent_clipped_before": 0.0},
        "percent_clipped_after": pytest.approx(100 / 3),
    }
