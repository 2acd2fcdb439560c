"""Images that a later round shows because the estimator is unsure of them: drawn by chance, learned from, never reported."""

import dataclasses

import numpy as np
import pytest
from studies import Browser, pictures, served

from pir_tf.config import InteractionsConfig
from pir_tf.experiments import exploring, study_answers
from pir_tf.experiments.csv_answers import Waiting
from pir_tf.people.store import Store
from pir_tf.people.summary import read_summary
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


def test_the_unsure_are_drawn_more_often_and_nobody_is_out_of_reach():
    sd = np.array([0.0] * 50 + [0.1] * 50 + [0.4] * 50)
    drawn, chances = np.zeros(150), []
    for seed in range(300):
        rows, chance = exploring.draw_unsure(sd, 30, seed)
        drawn[rows] += 1
        chances.append(chance)
    sure, middle, unsure = (drawn[part].mean() / 300 for part in (slice(50), slice(50, 100), slice(100, 150)))
    assert 0 < sure < middle / 4 < unsure / 12 and np.min(chances) > 0
    rows, chance = exploring.draw_unsure(np.zeros(8), 2, 0)
    assert len(rows) == 2 and chance.tolist() == [0.25, 0.25]


def test_they_are_a_pool_of_their_own_with_its_share_of_the_answers(tmp_path):
    users = InteractionsConfig(source=f"people:{tmp_path / 'study.db'}", answers=16)
    run = RunDirectory(tmp_path / "run", dataclasses.replace(smoke(), interactions=users))
    images, ids = pictures(20), [f"r{i}" for i in range(15)] + [f"x{i}" for i in range(5)]
    chance = {f"x{i}": 0.1 * (i + 1) for i in range(5)}
    ask = lambda: study_answers.ask_pools(  # noqa: E731
        run, study_answers.source_of(run, "interactions"), images, ids, np.zeros(20, int), chance
    )
    with pytest.raises(Waiting):
        ask()
    with served(tmp_path / "study.db") as server:
        for _ in range(4):
            browser = Browser(server).join()
            for _ in range(8):
                if slots := browser.slots(1):
                    browser.answer(slots[0], "like", 1)
    found = ask()
    assert (found.impressions[:15].sum(), found.impressions[15:].sum()) == (12, 4)
    assert sorted(found.image.tolist()) == np.repeat(np.arange(20), found.impressions.astype(int)).tolist()
    store = Store(tmp_path / "study.db")
    (only,) = read_summary(store)["rounds"]
    assert only["answers"] == 12  # what is reported is random
    store.close()
    run.close()
