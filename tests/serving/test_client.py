"""The client against a REST and a gRPC server: what comes back, what is refused, and how often was asked."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from client_servers import QUICK, serving
from fake_model import FakeModel, FakeServer, png

from pir_tf.serving.canary import label_for
from pir_tf.serving.client import connect
from pir_tf.serving.retries import Patience, ServingError


@pytest.fixture(scope="module", params=["rest", "grpc"])
def served(request):
    fake = FakeServer(size=8)
    with serving(request.param, fake) as address:
        yield fake, address


@pytest.fixture
def fake(served):
    served[0].requests.clear()
    served[0].troubles.clear()
    return served[0]


@pytest.fixture
def client(served, fake):
    with connect(served[1], model="landscapes", patience=QUICK, deadline=300) as client:
        yield client


# What comes back


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (200, 1), (256, 1), (257, 2), (600, 3)])
def test_images_come_back_in_their_order_however_many(client, fake, count, requests):
    classes = [seed % 2 for seed in range(count)]
    answer = client.generate(range(count), classes)
    model = fake.versions[None]
    assert answer.image_bytes == [png(model.picture(seed, c)) for seed, c in enumerate(classes)]
    assert answer.class_names == ["mountain" if c else "coast" for c in classes]
    assert fake.requests == [(None, "generate")] * requests


@pytest.mark.parametrize("count", [1, 200, 300])
def test_latents_arrive_bit_for_bit_and_images_as_bytes(client, fake, count):
    latent = np.random.default_rng(0).standard_normal((count, 64)).astype(np.float32)
    images = client.generate_from_latent(latent, 1)
    assert images.dtype == np.uint8
    # A fake picture depends on the bits of its latent's first number.
    expected = [fake.versions[None].picture(z[:1].view(np.int32)[0], 1) for z in latent]
    assert np.array_equal(images, np.stack(expected))


def test_scores_come_back_as_numbers(client, fake):
    files = [png(fake.versions[None].picture(seed, 0)) for seed in range(300)]
    pir = client.score(files)
    assert pir.dtype == np.float32 and pir.shape == (300,)
    np.testing.assert_allclose(pir, [fake.versions[None].pir(data) for data in files], rtol=1e-6)


def test_seeds_of_64_bits_arrive_whole(client, fake):
    seeds = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    expected = [png(fake.versions[None].picture(seed, 0)) for seed in seeds]
    assert client.generate(seeds, 0).image_bytes == expected


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_messages_over_4_mb_pass_both_ways(kind):
    """gRPC's default limit is 4,194,304 bytes; 256 noisy pictures of 96 pixels are over 7 MB."""
    fake = FakeServer(size=96)
    with serving(kind, fake) as address, connect(address, model="landscapes", deadline=300) as client:
        answer = client.generate(range(256), 0)
        assert sum(map(len, answer.image_bytes)) > 7_000_000
        assert len(client.score(answer.image_bytes)) == 256
    assert len(fake.requests) == 2


def test_threads_share_a_client(client, fake):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: client.generate([seed], 0).image_bytes[0], range(32)))
    assert answers == [png(fake.versions[None].picture(seed, 0)) for seed in range(32)]


# Who answers


def test_a_label_chooses_the_version(served, fake):
    address = served[1]
    with connect(address, model="landscapes", label="stable") as client:
        stable, canary = client.generate([1], 0), client.generate([1], 0, label="canary")
    assert fake.requests == [("stable", "generate"), ("canary", "generate")]
    assert stable.image_bytes == [png(FakeModel(1, 8).picture(1, 0))]
    assert canary.image_bytes == [png(FakeModel(2, 8).picture(1, 0))]


def test_a_user_is_answered_by_one_version(client, fake):
    for user in ("user-0", "user-1", "user-0"):
        client.generate([1], 0, label=label_for(user, canary_percent=50))
    assert [label for label, _ in fake.requests] == ["canary", "stable", "canary"]


# What is refused


@pytest.mark.parametrize(
    ("ask", "status", "field", "said"),
    [
        (lambda c: c.generate([1, 2], [0, 7]), "INVALID_ARGUMENT", "class_id", "class_id has 7, expected 0 to 1"),
        (lambda c: c.generate_from_latent(np.ones((1, 64)), 2), "INVALID_ARGUMENT", "class_id", "class_id has 2"),
        (lambda c: c.score([b"no image"]), "INVALID_ARGUMENT", "image_bytes", "holds no PNG"),
        (lambda c: c.generate([1], 0, label="newest"), "INVALID_ARGUMENT", None, "version label: newest"),
    ],
)
def test_the_servers_refusals_name_field_and_status(client, fake, ask, status, field, said):
    with pytest.raises(ServingError) as error:
        ask(client)
    assert (error.value.status, error.value.field) == (status, field)
    text = str(error.value)
    assert said in text and status in text and "landscapes at " in text and "\n" not in text and "node" not in text
    assert len(fake.requests) == 1  # a refusal would be the same again


def test_a_wrong_model_is_not_found(served, fake):
    with connect(served[1], model="lnadscapes", patience=QUICK) as client, pytest.raises(ServingError) as error:
        client.generate([1], 0)
    assert error.value.status == "NOT_FOUND" and "lnadscapes at " in str(error.value)
    assert len(fake.requests) == 1


# Repetitions


@pytest.mark.parametrize("status", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_an_unavailable_server_is_asked_again(client, fake, status):
    fake.troubles[:] = [status, status]
    assert len(client.generate([1], 0).image_bytes) == 1
    assert len(fake.requests) == 3


def test_only_the_request_that_failed_is_repeated(client, fake):
    fake.troubles[:] = [None, "UNAVAILABLE", None, None]
    assert len(client.generate(range(600), 0).image_bytes) == 600
    assert len(fake.requests) == 4


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"])
def test_nothing_else_is_asked_again(client, fake, status):
    fake.troubles[:] = [status]
    with pytest.raises(ServingError, match=status):
        client.generate([1], 0)
    assert len(fake.requests) == 1


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(served, fake):
    fake.troubles[:] = ["silent"] * 1000
    begun = time.monotonic()
    patience = Patience(attempt_seconds=0.15, first_wait=0.01, longest_wait=0.01)
    with connect(served[1], model="landscapes", deadline=1.5, patience=patience) as client:
        with pytest.raises(ServingError) as error:
            client.generate([1], 0)
    assert error.value.status == "DEADLINE_EXCEEDED" and error.value.attempts >= 2
    assert time.monotonic() - begun < 10  # the server keeps silent for 20 seconds, a request


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_a_server_that_starts_in_the_meantime_is_found(kind):
    fake = FakeServer(size=8)
    with serving(kind, fake) as address:
        port = int(address.rpartition(":")[2])
    with contextlib.ExitStack() as later:

        def sleep(seconds):
            if not fake.requests and not started:
                started.append(later.enter_context(serving(kind, fake, port)))
            time.sleep(seconds)

        started = []
        patience = Patience(first_wait=0.05, longest_wait=0.2, sleep=sleep)
        with connect(address, model="landscapes", deadline=120, patience=patience) as client:
            assert len(client.generate([1], 0).image_bytes) == 1
    assert started


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_nobody_there_is_one_sentence(kind):
    with serving(kind, FakeServer()) as address:
        pass
    with connect(address, model="landscapes", deadline=1, patience=QUICK) as client:
        with pytest.raises(ServingError) as error:
            client.generate([1], 0)
    text = str(error.value)
    assert error.value.status == "UNAVAILABLE" and error.value.attempts > 1
    assert f"generate of landscapes at {address} failed with UNAVAILABLE, after " in text and "\n" not in text
