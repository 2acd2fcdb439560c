"""The figures of tuning curves: one line for each training, and each line named by what tells it from the others."""

import pandas as pd
import pytest

from pir_tf.report import curves


@pytest.fixture
def rows():
    """Two seeds of one objective at two ratios, after none, 150 and 300 steps."""
    made = [
        {
            **{
                "objective": "color:blue",
                "seed": seed,
                "impressions": 1000,
                "settings": "a",
                "pessimism": 0.0,
                "ratio": ratio,
                "steps": steps,
            },
            **{"cohens_d": d, "estimated_d": 2 * d, "distance_kept": 1 - d / 10, "kid": 200 + d + ratio},
        }
        for seed in (0, 1)
        for ratio in (1.0, 0.3, 0.0)
        for steps in (300, 0, 150)
        for d in [(1 + seed) * ratio * steps / 150]
    ]
    return pd.DataFrame(made)


def test_a_seed_is_a_line_of_its_own(rows):
    upper, lower = curves.tuning_curves(rows).axes
    drawn = sorted(line.get_ydata().round(2).tolist() for line in upper.lines if len(line.get_xdata()) == 3)
    # Both seeds' true and estimated d at the lower ratio of two equally common ones, and both controls.
    assert drawn == [[0, 0, 0], [0, 0, 0], [0, 0.3, 0.6], [0, 0.6, 1.2], [0, 0.6, 1.2], [0, 1.2, 2.4]]
    assert len([line for line in lower.lines if len(line.get_xdata()) == 3]) == 2
    assert [text.get_text() for text in upper.texts].count("0 SD") == 1  # named once
    other = pd.concat([rows, rows[rows.steps < 300].assign(pessimism=5.0)])
    texts = {text.get_text(): text for text in curves.tuning_curves(other).axes[0].texts}
    assert texts["5 SD"].xy[0] == 150 and texts["0 SD"].xy[0] > 1  # at its own last point; at the axes' end


def test_each_number_of_answers_has_its_own_panels(rows):
    assert [axes.get_title(loc="left") for axes in curves.tuning_curves(rows).axes] == ["blue", ""]
    few = pd.concat([rows, rows.assign(impressions=10)])
    titles = [axes.get_title(loc="left") for axes in curves.tuning_curves(few).axes[:2]]
    assert titles == ["blue\n1,000 answers each", "blue\n10 answers each"]


def test_lines_against_kid_say_which_steps_they_are_of(rows):
    one = rows[rows.seed == 0]
    panel = curves.kid_of_ratios(one).axes[0]
    assert {"150 steps", "300 steps"} <= {text.get_text() for text in panel.texts} and panel.get_title("left") == "blue"
    alone = curves.kid_of_ratios(one[one.steps != 300]).axes[0]
    assert not any("steps" in text.get_text() for text in alone.texts)  # where nothing else tells them apart
    both = pd.concat([one[one.steps == 150], one[one.steps == 300].assign(objective="color:red")])
    titles = [panel.get_title("left") for panel in curves.kid_of_ratios(both).axes]
    assert titles == ["blue\n150 steps", "red\n300 steps"]
    assert curves.kid_of_ratios(one.drop(columns="kid")) is None  # as --evaluation.kid-weights none leaves them
    lines = [line for line in curves.kid_of_ratios(rows).axes[0].lines if line.get_marker() == "o"]
    assert len(lines) == 4  # the others say what was before tuning
    assert curves.kid_of_ratios(one).axes[0].get_xscale() == "linear"
    far = one.assign(kid=one.kid.where(one.ratio != one.ratio.max(), 9000))
    assert curves.kid_of_ratios(far).axes[0].get_xscale() == "log"
    begun = pd.concat([one[one.steps > 0], one[one.steps == 150].assign(steps=0, kid=26.7)])
    figure = curves.kid_of_ratios(begun)
    assert [26.7, 26.7] in [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert figure.get_supxlabel() == "Numbers along a line: gradient ratio. Vertical line: before tuning."
