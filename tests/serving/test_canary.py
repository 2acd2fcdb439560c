"""Who sees the canary: the same person always, as many as were asked for, and nobody thrown back when the share grows."""

import pytest

from pir_tf.errors import InputError
from pir_tf.serving.canary import label_for

USERS = [f"user-{i}" for i in range(10_000)]


@pytest.mark.parametrize("percent", [0.5, 10, 50, 90])
def test_as_many_users_see_the_canary_as_were_asked_for(percent):
    share = 100 * sum(label_for(user, percent) == "canary" for user in USERS) / len(USERS)
    assert abs(share - percent) < 1.5  # three standard deviations of 10,000 coins at 50%


def test_numbers_in_a_row_spread_as_names_do():
    share = sum(label_for(number, 20) == "canary" for number in range(10_000)) / 10_000
    assert abs(share - 0.2) < 0.012


def test_a_user_stays_on_one_side():
    """By `printf ':user-0' | sha256sum`: 6cc1, 8b04, d305, b420, aa71, 5221, b1ed, e649, 4b4d, 55da; below 8000 is half."""
    sides = [label_for(f"user-{i}", 50) for i in range(10)]
    assert [i for i, side in enumerate(sides) if side == "canary"] == [0, 5, 8, 9]
    assert label_for("user-0", 42.4) == "stable" and label_for("user-0", 42.6) == "canary"  # 0x6cc1 is 42.48%
    assert [label_for(i, 50) for i in range(50)] == [label_for(str(i), 50) for i in range(50)]


def test_who_saw_the_canary_keeps_it_when_the_share_grows():
    few = {user for user in USERS if label_for(user, 10) == "canary"}
    more = {user for user in USERS if label_for(user, 25) == "canary"}
    assert few < more


def test_none_and_all():
    assert {label_for(user, 0) for user in USERS} == {"stable"}
    assert {label_for(user, 100) for user in USERS} == {"canary"}


def test_another_salt_chooses_other_people():
    first, second = ({user for user in USERS if label_for(user, 20, salt=salt) == "canary"} for salt in ("a", "b"))
    assert 0.1 < len(first & second) / len(first) < 0.3  # independent: a fifth of them again


def test_any_text_is_an_id():
    assert label_for("Зоя \udc80", 50) in ("stable", "canary")


@pytest.mark.parametrize("user", ["", None, True, 1.5, b"user"])
def test_an_id_that_is_none_is_refused(user):
    with pytest.raises(InputError, match="User id"):
        label_for(user, 10)


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_a_share_that_is_none_is_refused(percent):
    with pytest.raises(InputError, match="canary_percent"):
        label_for("user", percent)
