"""When a request is sent again, how long is waited, and that the deadline holds: on a clock of the test's own."""

import random

import pytest

from pir_tf.serving.retries import AttemptFailed, Patience, ServingError, repeated


class Clock:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now, self.waits, self.timeouts = 100.0, [], []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    def patience(self, **settings):
        return Patience(clock=lambda: self.now, sleep=self.sleep, chance=random.Random(0), **settings)


def ask(clock, failures, *, deadline=60.0, takes=0.0, **settings):
    """The answer of a server that fails with these statuses first; each attempt takes some seconds."""
    left = list(failures)

    def attempt(timeout):
        clock.timeouts.append(timeout)
        clock.now += min(takes, timeout)
        if left:
            raise AttemptFailed(left.pop(0), "told to fail")
        return "answer"

    error = lambda failed, attempts: ServingError("request", failed, attempts=attempts)  # noqa: E731
    return repeated(attempt, until=clock.now + deadline, patience=clock.patience(**settings), error=error)


@pytest.mark.parametrize("status", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_a_request_without_an_answer_is_sent_again(status):
    clock = Clock()
    assert ask(clock, [status] * 3) == "answer"
    assert len(clock.timeouts) == 4 and len(clock.waits) == 3


@pytest.mark.parametrize(
    "status",
    ["INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "INTERNAL", "UNKNOWN", "HTTP 301"],
)
def test_a_refusal_is_final(status):
    clock = Clock()
    with pytest.raises(ServingError) as error:
        ask(clock, [status])
    assert error.value.status == status and error.value.attempts == 1 and clock.waits == []


def test_a_refusal_after_an_outage_is_what_is_said():
    clock = Clock()
    with pytest.raises(ServingError, match="INVALID_ARGUMENT, after 2 attempts: told to fail"):
        ask(clock, ["UNAVAILABLE", "INVALID_ARGUMENT", "UNAVAILABLE"])


def test_waits_double_up_to_the_longest_and_their_second_half_is_random():
    clock = Clock()
    ask(clock, ["UNAVAILABLE"] * 8, first_wait=0.2, longest_wait=3.0)
    whole = [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
    parts = [wait / most for wait, most in zip(clock.waits, whole, strict=True)]
    assert all(0.5 <= part <= 1 for part in parts)
    assert max(parts) - min(parts) > 0.2


def test_two_clients_wait_differently():
    waits = [[Patience().wait_after(n) for n in range(1, 6)] for _ in range(2)]
    assert waits[0] != waits[1]


def test_the_deadline_holds_for_waits_and_attempts_together():
    clock = Clock()
    with pytest.raises(ServingError, match="UNAVAILABLE") as error:
        ask(clock, ["UNAVAILABLE"] * 1000, deadline=10.0, takes=1.0)
    assert clock.now <= 110.0 and clock.now > 105.0
    assert error.value.attempts == len(clock.timeouts) > 3


def test_an_attempt_gets_no_more_time_than_is_left():
    clock = Clock()
    with pytest.raises(ServingError):
        ask(clock, ["DEADLINE_EXCEEDED"] * 1000, deadline=10.0, takes=99.0, attempt_seconds=4.0)
    assert clock.timeouts[:2] == [4.0, 4.0] and clock.timeouts[2] < 2.0
    assert clock.now <= 110.0


def test_no_wait_ends_after_the_deadline():
    clock = Clock()
    with pytest.raises(ServingError):
        ask(clock, ["UNAVAILABLE"] * 1000, deadline=1.0, first_wait=64.0, longest_wait=64.0)
    assert clock.now == 100.0


def test_a_deadline_that_is_over_sends_nothing():
    clock = Clock()
    with pytest.raises(ServingError, match="deadline passed") as error:
        ask(clock, [], deadline=0.0)
    assert error.value.status == "DEADLINE_EXCEEDED" and clock.timeouts == []


def test_the_error_is_one_sentence_with_field_and_status():
    failed = AttemptFailed("INVALID_ARGUMENT", "class_id has 7,\n expected 0 to 1\n\t [[{{node a/b}}]]\n\t [[c]]")
    error = ServingError("score of m", failed, field="class_id", attempts=1)
    assert str(error) == "score of m failed with INVALID_ARGUMENT (class_id): class_id has 7, expected 0 to 1."
    assert "node a/b" in error.details
    failed = AttemptFailed(
        "INVALID_ARGUMENT", "assertion failed: [class_id[0] is 9, expected 0 to 1]\n\t [[{{node a/b}}]]"
    )
    assert str(ServingError("score of m", failed)).endswith("INVALID_ARGUMENT: class_id[0] is 9, expected 0 to 1.")
