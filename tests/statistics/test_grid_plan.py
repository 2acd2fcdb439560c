"""What nine answers of a grid count for: four or five are of each side, so a rater's mood and leniency leave their difference."""

import numpy as np
import pytest

from pir_tf.statistics import proof as proof_module
from pir_tf.statistics.planning import plan


def test_nine_answers_count_as_nine_likes():
    it = plan(180, "grid")
    assert it.smallest_d == plan(1620, "like", answers_per_image=1.25).smallest_d and it.images == 720
    assert not any("grid" in said for said in it.sentences())


@pytest.mark.slow
@pytest.mark.parametrize("by", ["grid", "rater"])
def test_power_is_as_promised_with_moods_that_a_grid_shares(by, monkeypatch):
    """In log odds; a design effect of 1.6, which is that of one side's mean, would promise a d that is seen in 95 of 100."""
    monkeypatch.setattr(proof_module, "REPLICATES", 1)
    it, rng, found = plan(180, "grid"), np.random.default_rng(0), 0
    half = it.images // 2
    side = np.repeat([0, 1], half)
    for _ in range(150):
        pir = np.clip(0.5 + 0.2 * rng.standard_normal(it.images) + it.smallest_d * 0.2 * side, 0.02, 0.98)
        shown = [iter(np.concatenate([rng.permutation(half), rng.permutation(half)]) + half * one) for one in (0, 1)]
        rater = np.repeat(np.arange(it.proof) % 10, 9)
        more = 4 + rng.integers(0, 2, it.proof)
        image = np.concatenate(
            [[next(shown[0]) for _ in range(9 - m)] + [next(shown[1]) for _ in range(m)] for m in more]
        )
        mood = 0.7 * (np.repeat(rng.standard_normal(it.proof), 9) if by == "grid" else rng.standard_normal(10)[rater])
        liked = rng.random(image.size) < 1 / (1 + np.exp(-np.log(pir / (1 - pir))[image] - mood))
        found += proof_module.prove(rater, image, liked.astype(float), side).verdict == "gain"
    assert 0.68 < found / 150 < 0.9
