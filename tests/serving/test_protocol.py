"""When a request is sent again, how long is waited, and that the deadline holds: on a clock of the test's own."""

import random

import pytest

from pir_tf.serving.protocol import AttemptFailed, Patience, ServingError, repeated


class Clock:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now, self.waits, self.timeouts = 100.0, [], []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    def ask(self, failures, *, deadline=60.0, takes=0.0, **settings):
        """The answer of a server that fails with these statuses first; each attempt takes some seconds."""
        left = list(failures)
        patience = Patience(clock=lambda: self.now, sleep=self.sleep, chance=random.Random(0), **settings)

        def attempt(timeout):
            self.timeouts.append(timeout)
            self.now += min(takes, timeout)
            if left:
                raise AttemptFailed(left.pop(0), "told to fail")
            return "answer"

        error = lambda failed, attempts: ServingError("request", failed, attempts=attempts)  # noqa: E731
        return repeated(attempt, until=self.now + deadline, patience=patience, error=error)


@pytest.fixture
def clock():
    return Clock()


def test_a_request_without_an_answer_is_sent_again_and_a_refusal_is_final(clock):
    assert clock.ask(["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAVAILABLE"]) == "answer"
    assert len(clock.timeouts) == 4 and len(clock.waits) == 3
    with pytest.raises(ServingError, match="INVALID_ARGUMENT, after 2 attempts: told to fail"):
        clock.ask(["UNAVAILABLE", "INVALID_ARGUMENT", "UNAVAILABLE"])
    for status in ("NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "INTERNAL", "UNKNOWN", "HTTP 301"):
        with pytest.raises(ServingError) as error:
            clock.ask([status])
        assert error.value.status == status and error.value.attempts == 1 and len(clock.waits) == 4


def test_waits_double_up_to_the_longest_and_their_second_half_is_random(clock):
    clock.ask(["UNAVAILABLE"] * 8, first_wait=0.2, longest_wait=3.0)
    whole = [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
    parts = [wait / most for wait, most in zip(clock.waits, whole, strict=True)]
    assert all(0.5 <= part <= 1 for part in parts) and max(parts) - min(parts) > 0.2
    assert Patience().wait_after(5) != Patience().wait_after(5)


def test_the_deadline_holds_for_waits_and_attempts_together(clock):
    with pytest.raises(ServingError, match="UNAVAILABLE") as error:
        clock.ask(["UNAVAILABLE"] * 1000, deadline=10.0, takes=1.0)
    assert 105.0 < clock.now <= 110.0
    assert error.value.attempts == len(clock.timeouts) > 3
    clock.now, clock.timeouts = 100.0, []
    with pytest.raises(ServingError):
        clock.ask(["DEADLINE_EXCEEDED"] * 1000, deadline=10.0, takes=99.0, attempt_seconds=4.0)
    assert clock.timeouts[:2] == [4.0, 4.0] and clock.timeouts[2] < 2.0 and clock.now <= 110.0


def test_no_wait_ends_after_the_deadline_and_one_that_is_over_sends_nothing(clock):
    with pytest.raises(ServingError):
        clock.ask(["UNAVAILABLE"] * 1000, deadline=1.0, first_wait=64.0, longest_wait=64.0)
    assert clock.now == 100.0 and len(clock.timeouts) == 1
    with pytest.raises(ServingError, match="deadline passed") as error:
        clock.ask([], deadline=0.0)
    assert error.value.status == "DEADLINE_EXCEEDED" and len(clock.timeouts) == 1


def test_the_error_is_one_sentence_with_field_and_status():
    details = "assertion failed: [class_id[0] is 9,\n expected 0]\n\t [[{{node a/b}}]]\n\t [[c]]"
    error = ServingError("score of m", AttemptFailed("INVALID_ARGUMENT", details), field="class_id")
    said = "class_id[0] is 9, expected 0."
    assert str(error) == f"score of m failed with INVALID_ARGUMENT (class_id): {said}" and "node a/b" in error.details
