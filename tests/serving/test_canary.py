"""Who sees the canary: the same person always, as many as were asked for, and nobody thrown back when the share grows."""

import pytest

from pir_tf.errors import InputError
from pir_tf.serving.canary import label_for

USERS = [f"user-{i}" for i in range(10_000)]


def seeing(percent, users=USERS, **options):
    return {user for user in users if label_for(user, percent, **options) == "canary"}


@pytest.mark.parametrize("users", [USERS, range(10_000)])
def test_as_many_users_see_the_canary_as_were_asked_for_and_keep_it_when_the_share_grows(users):
    before = seeing(0, users)
    assert before == set()
    for percent in (0.5, 10, 50, 90, 100):
        now = seeing(percent, users)
        assert abs(len(now) / 100 - percent) < 1.5  # three standard deviations of 10,000 coins at 50%
        assert before < now
        before = now
    assert len(before) == 10_000


def test_a_user_stays_on_one_side():
    """By `printf ':user-0' | sha256sum`: 6cc1, 8b04, d305, b420, aa71, 5221, b1ed, e649, 4b4d, 55da; below 8000 is half."""
    sides = [label_for(f"user-{i}", 50) for i in range(10)]
    assert [i for i, side in enumerate(sides) if side == "canary"] == [0, 5, 8, 9]
    assert label_for("user-0", 42.4) == "stable" and label_for("user-0", 42.6) == "canary"  # 0x6cc1 is 42.48%
    assert [label_for(i, 50) for i in range(50)] == [label_for(str(i), 50) for i in range(50)]
    assert label_for("Зоя \udc80", 50) in ("stable", "canary")


def test_another_salt_chooses_other_people():
    first, second = seeing(20, salt="a"), seeing(20, salt="b")
    assert 0.1 < len(first & second) / len(first) < 0.3  # independent: a fifth of them again


def test_ids_and_shares_that_are_none_are_refused():
    for user in ("", None, True, 1.5, b"user"):
        with pytest.raises(InputError, match="User id"):
            label_for(user, 10)
    for percent in (-1, 101, float("nan")):
        with pytest.raises(InputError, match="canary_percent"):
            label_for("user", percent)
