"""What makes an impression on a team's own page a positive one."""

import math

import pytest

from pir_tf.config import InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.interactions.engagement import Rule


@pytest.mark.parametrize(
    ("text", "positive", "not_positive"),
    [
        ("click", [{"click": 1}, {"click": 2, "dwell": 0.1}], [{}, {"share": 1}, {"dwell": 99}, {"click": 0}]),
        ("share", [{"share": 1}], [{"click": 1}]),
        ("click,dwell:2.5", [{"click": 1}, {"dwell": 2.5}, {"dwell": 3}], [{"dwell": 2.4}, {"share": 1}, {}]),
    ],
)
def test_a_rule_by_hand(text, positive, not_positive):
    rule = Rule.parse(text)
    assert all(rule.positive(seen) for seen in positive) and not any(rule.positive(seen) for seen in not_positive)


def test_a_rule_says_itself():
    said = Rule.parse("click,share,dwell:3").sentence()
    assert said.endswith("when it was clicked, shared or looked at for 3 s or more.")
    assert Rule.parse("click").sentence().endswith("when it was clicked.")
    assert Rule() == Rule.parse("click,share") and Rule().dwell == math.inf


@pytest.mark.parametrize(
    "text",
    ["", "clicks", "click:2", "dwell", "dwell:soon", "dwell:0", "dwell:-1", "click,,share", "dwell:nan"]
    + ["dwell:inf", "dwell:" + "9" * 400, "dwell:5,dwell:3", "click,click", "click,"],
)
def test_another_rule_is_refused(text):
    for refuse in (Rule.parse, lambda text: InteractionsConfig(engagement=text)):
        with pytest.raises(InputError, match="expected click, share and dwell:SECONDS"):
            refuse(text)
