"""The client against a REST and a gRPC server: what is sent, what comes back, what is refused, and how often was asked."""

import base64
import contextlib
import http.server
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fake_model import FakeModel, FakeServer, Refused, png
from fake_rest import QUICK, serving

import pir_tf
from pir_tf.errors import InputError
from pir_tf.serving.canary import label_for
from pir_tf.serving.client import Patience, ServingError, connect

NOWHERE = "http://127.0.0.1:9"
BOTH = pytest.mark.parametrize("kind", ["rest", "grpc"])


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


def pictures(model, seeds, class_id=0):
    return [png(model.picture(seed, class_id)) for seed in seeds]


def refusal(call, error=ServingError):
    """The error of a call, whose text is one sentence."""
    with pytest.raises(error) as raised:
        call()
    assert "\n" not in str(raised.value) and "node" not in str(raised.value)
    return raised.value


# What is never sent


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: c.generate([], 0), "seeds received"),
        (lambda c: c.generate([1.5], 0), "seeds received"),
        (lambda c: c.generate(7, 0), "seeds received 7"),
        (lambda c: c.generate([True], 0), "seeds received"),
        (lambda c: c.generate([2**63], 0), "seeds has 9223372036854775808"),
        (lambda c: c.generate([2**64], 0), "seeds has 18446744073709551616"),
        (lambda c: c.generate([2**63, -1], 0), "seeds has 9223372036854775808, expected numbers from"),
        (lambda c: c.generate([1, 2, 3], [0, 1]), "class_ids has 2 numbers and seed 3"),
        (lambda c: c.generate([1], -1), "class_ids has -1"),
        (lambda c: c.generate([1], 2**31), "class_ids has 2147483648"),
        (lambda c: c.generate_from_latent(np.zeros(64), 0), "latent received"),
        (lambda c: c.generate_from_latent(np.zeros((2, 64), int), 0), "latent received int64"),
        (lambda c: c.generate_from_latent(np.zeros((0, 64)), 0), "latent received"),
        (lambda c: c.generate_from_latent(np.full((1, 64), np.nan), 0), "latent has NaN"),
        (lambda c: c.generate_from_latent(np.full((1, 64), 1e300), 0), "latent has NaN or infinite"),
        (lambda c: c.score(b"one file"), "images received"),
        (lambda c: c.score([]), "images received"),
        (lambda c: c.score([b"file", "name.png"]), "'name.png' at place 1"),
        (lambda c: c.score([b""]), "at place 0"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(ask, said):
    error = refusal(lambda: ask(connect(NOWHERE, model="landscapes", deadline=0.1)), InputError)
    assert said in str(error) and "expected" in str(error)


def test_what_cannot_be_connected_is_refused(monkeypatch):
    for settings in ({"model": ""}, *({"deadline": x} for x in (0, float("nan"), float("inf")))):
        assert "expected" in str(refusal(lambda: connect(NOWHERE, **{"model": "m", **settings}), InputError))  # noqa: B023
    for address in "localhost:8501 ftp://host http:// http://host:port grpc://host grpc://host:8500/v1".split() + [""]:
        error = refusal(lambda: connect(address, model="m"), InputError)  # noqa: B023
        assert "is no server, expected for example" in str(error)
    more = (
        "http://ho st:8501",
        "http://a..b:8501",
        "http://[::1",
        "grpc://[::1",
        "http://localhost:1/ä",
        "http://localhost:1/a b",
    )
    for address in (*more, "http://team:geheim@ho st:1", "grpc://team:geheim@host:1"):
        error = refusal(lambda: connect(address, model="m"), InputError)  # noqa: B023
        assert "is no server, expected for example" in str(error) and "geheim" not in str(error)
    monkeypatch.setitem(sys.modules, "grpc", None)
    error = refusal(lambda: connect("grpc://localhost:8500", model="m"), InputError)
    assert "needs the packages tensorflow-serving-api and grpcio" in str(error)
    assert "pip install 'pir_tf[serving]'" in str(error)


# What comes back


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (256, 1), (257, 2), (600, 3)])
def test_images_come_back_in_their_order_however_many(client, fake, count, requests):
    classes = [seed % 2 for seed in range(count)]
    answer = client.generate(range(count), classes)
    model = fake.versions[None]
    assert answer.image_bytes == [png(model.picture(seed, c)) for seed, c in enumerate(classes)]
    assert answer.class_names == ["mountain" if c else "coast" for c in classes]
    assert fake.requests == [(None, "generate")] * requests


def test_numbers_arrive_bit_for_bit(client, fake):
    seeds = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    assert client.generate(seeds, 0).image_bytes == pictures(fake.versions[None], seeds)
    latent = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    images = client.generate_from_latent(latent, 1)
    # A fake picture depends on the bits of its latent's first number.
    expected = [fake.versions[None].picture(z[:1].view(np.int32)[0], 1) for z in latent]
    assert images.dtype == np.uint8 and np.array_equal(images, np.stack(expected))
    files = pictures(fake.versions[None], range(300))
    pir = client.score(files)
    assert pir.dtype == np.float32 and pir.shape == (300,)
    np.testing.assert_allclose(pir, [fake.versions[None].pir(data) for data in files], rtol=1e-6)


@BOTH
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
    assert answers == pictures(fake.versions[None], range(32))


def test_a_label_chooses_the_version_and_a_user_the_label(served, fake):
    with connect(served[1], model="landscapes", label="stable") as client:
        answers = [client.generate([1], 0), client.generate([1], 0, label="canary")]
        for user in ("user-0", "user-1", "user-0"):
            client.generate([1], 0, label=label_for(user, canary_percent=50))
    assert [label for label, _ in fake.requests] == ["stable", "canary", "canary", "stable", "canary"]
    assert [answer.image_bytes for answer in answers] == [pictures(FakeModel(shift, 8), [1]) for shift in (1, 2)]


# What is refused, and what is asked again


def test_a_refusal_is_not_asked_again_and_names_field_and_status(client, served, fake):
    error = refusal(lambda: client.generate([1, 2], [0, 7]))
    assert (error.status, error.field) == ("INVALID_ARGUMENT", "class_id")
    assert "class_id has 7, expected 0 to 1" in str(error) and "INVALID_ARGUMENT" in str(error)
    error = refusal(lambda: client.generate([1], 0, label="newest"))
    assert (error.status, error.field) == ("INVALID_ARGUMENT", None) and "version label: newest" in str(error)
    fake.troubles[:] = statuses = ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"]
    assert [refusal(lambda: client.generate([1], 0)).status for _ in range(3)] == statuses
    with connect(served[1], model="lnadscapes", patience=QUICK) as other:
        error = refusal(lambda: other.generate([1], 0))
    assert error.status == "NOT_FOUND" and "lnadscapes at " in str(error) and len(fake.requests) == 6


@pytest.mark.parametrize(
    ("troubles", "count", "requests"),
    [(["UNAVAILABLE"] * 2, 1, 3), (["DEADLINE_EXCEEDED"] * 2, 1, 3), ([None, "UNAVAILABLE", None, None], 600, 4)],
)
def test_only_a_request_without_an_answer_is_asked_again(client, fake, troubles, count, requests):
    fake.troubles[:] = troubles
    assert len(client.generate(range(count), 0).image_bytes) == count
    assert len(fake.requests) == requests


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(served, fake):
    fake.troubles[:] = ["silent"] * 1000
    begun = time.monotonic()
    patience = Patience(attempt_seconds=0.15, first_wait=0.01, longest_wait=0.01)
    with connect(served[1], model="landscapes", deadline=1.5, patience=patience) as client:
        error = refusal(lambda: client.generate([1], 0))
    assert error.status == "DEADLINE_EXCEEDED" and error.attempts >= 2
    assert time.monotonic() - begun < 10  # the server keeps silent for 20 seconds, a request


@BOTH
def test_a_server_that_starts_in_the_meantime_is_found_and_nobody_there_is_one_sentence(kind):
    fake = FakeServer(size=8)
    with serving(kind, fake) as address:
        port = int(address.rpartition(":")[2])
    with connect(address, model="landscapes", deadline=1, patience=QUICK) as client:
        error = refusal(lambda: client.generate([1], 0))
    assert error.status == "UNAVAILABLE" and error.attempts > 1
    assert f"generate of landscapes at {address} failed with UNAVAILABLE, after " in str(error)
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


# REST alone


@pytest.fixture
def rest():
    fake = FakeServer(size=8)
    with serving("rest", fake) as address:
        yield fake, address


def test_a_broken_answer_is_asked_for_again_another_page_shown_and_an_endless_one_given_up(rest):
    fake, address = rest
    fake.troubles[:] = ["cut", None, "page", *["drip"] * 1000]
    with connect(address, model="landscapes", patience=QUICK) as client:
        assert len(client.generate([1], 0).image_bytes) == 1 and len(fake.requests) == 2
        with pytest.raises(ServingError, match="no prediction.*hotel"):
            client.generate([1], 0)
        assert len(fake.requests) == 3
    with connect(address, model="landscapes", deadline=0.5, patience=QUICK) as client:
        begun = time.monotonic()
        assert refusal(lambda: client.generate([1], 0)).status == "DEADLINE_EXCEEDED"
        assert time.monotonic() - begun < 10


def test_rest_needs_no_tensorflow(rest):
    program = """import sys
from pir_tf.serving.client import connect
assert connect(sys.argv[1], model="landscapes").generate([1, 2], [0, 1]).class_names == ["coast", "mountain"]
print(*{"tensorflow", "keras", "grpc", "tensorflow_serving", "scipy", "pandas", "PIL"} & sys.modules.keys(), "loaded")"""
    line = [sys.executable, "-c", program, rest[1]]
    done = subprocess.run(line, capture_output=True, text=True, cwd=Path(pir_tf.__file__).parents[1], check=False)
    assert done.stdout == "loaded\n", done.stderr


# A real version behind the test's servers


class ExportedVersion:
    """A loaded version, asked as the servers ask a fake one."""

    def __init__(self, endpoints):
        self.endpoints = endpoints

    def predict(self, signature, inputs):
        try:
            outputs = self.endpoints[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            raise Refused("INVALID_ARGUMENT", error.message) from None
        return {name: listed(name, value.numpy()) for name, value in outputs.items()}


def listed(name, array):
    if array.dtype != object:
        return array
    return [item if name.endswith("_bytes") else item.decode() for item in array]


@pytest.fixture(params=["rest", "grpc"])
def exported(request, endpoints):
    fake = FakeServer()
    fake.versions = {"stable": ExportedVersion(endpoints)}
    with serving(request.param, fake) as address:
        with connect(address, model="landscapes", label="stable", deadline=300) as client:
            yield client


def test_what_the_client_gets_is_the_versions_own_its_refusals_too(exported, endpoints):
    answer = exported.generate([3, -1, 2**40], [0, 1, 0])
    direct = endpoints["generate"](seed=tf.constant([3, -1, 2**40], tf.int64), class_id=tf.constant([0, 1, 0]))
    assert answer.image_bytes == direct["image_bytes"].numpy().tolist()
    assert [name.encode() for name in answer.class_names] == direct["class_name"].numpy().tolist()
    latent = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    direct = endpoints["generate_from_latent"](latent=tf.constant(latent), class_id=tf.constant([1, 1, 1]))
    assert np.array_equal(exported.generate_from_latent(latent, 1), direct["image"].numpy())
    direct = endpoints["score"](image_bytes=tf.constant(answer.image_bytes))["pir"].numpy()
    np.testing.assert_array_equal(exported.score(answer.image_bytes), direct)
    for field, ask in {
        "class_id": lambda: exported.generate([1], 9),
        "latent": lambda: exported.generate_from_latent(np.zeros((1, 3)), 0),
        "image_bytes": lambda: exported.score([b"no image"]),
    }.items():
        error = refusal(ask)
        assert (error.status, error.field) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize("outputs", ['{"outputs": 0.5}', '{"outputs": {"pir": 0.5}}'])
def test_an_address_with_a_name_and_a_password_and_an_answer_that_is_one_number(outputs):
    seen = []

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", str(len(outputs)))
            self.end_headers()
            self.wfile.write(outputs.encode())

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for known, sent in (("team:p%40ss@", "Basic " + base64.b64encode(b"team:p@ss").decode()), ("", None)):
            with connect(f"http://{known}127.0.0.1:{server.server_port}", model="m", deadline=5) as client:
                assert "the answer has no list of pir, expected 1" in str(refusal(lambda: client.score([b"png"])))  # noqa: B023
            assert seen[-1] == sent
        server.shutdown()
