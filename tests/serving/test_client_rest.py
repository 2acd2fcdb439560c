"""The REST client where answers are broken, endless or something else, and what it loads."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from client_servers import QUICK
from fake_model import FakeServer
from fake_rest import rest_server

import pir_tf
from pir_tf.serving.client import connect
from pir_tf.serving.retries import ServingError


@pytest.fixture(scope="module")
def rest():
    fake = FakeServer(size=8)
    with rest_server(fake) as address:
        yield fake, address


def test_an_answer_that_breaks_off_is_asked_for_again(rest):
    fake, address = rest
    fake.troubles[:], fake.requests[:] = ["cut"], []
    assert len(connect(address, model="landscapes", patience=QUICK).generate([1], 0).image_bytes) == 1
    assert len(fake.requests) == 2


def test_a_page_of_something_else_is_shown(rest):
    fake, address = rest
    fake.troubles[:], fake.requests[:] = ["page"], []
    with pytest.raises(ServingError, match="no prediction.*hotel"):
        connect(address, model="landscapes").generate([1], 0)
    assert len(fake.requests) == 1


def test_an_answer_that_never_ends_is_given_up(rest):
    fake, address = rest
    fake.troubles[:] = ["drip"] * 1000
    begun = time.monotonic()
    with (
        connect(address, model="landscapes", deadline=0.5, patience=QUICK) as client,
        pytest.raises(ServingError) as error,
    ):
        client.generate([1], 0)
    fake.troubles.clear()
    assert error.value.status == "DEADLINE_EXCEEDED" and time.monotonic() - begun < 10


def test_rest_needs_no_tensorflow(rest):
    program = (
        "import sys\n"
        "from pir_tf.serving.client import connect\n"
        "answer = connect(sys.argv[1], model='landscapes').generate([1, 2], [0, 1])\n"
        "assert answer.class_names == ['coast', 'mountain'], answer\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'tensorflow', 'keras', 'grpc', 'tensorflow_serving', 'scipy', 'pandas', 'PIL'}))\n"
    )
    line = [sys.executable, "-c", program, rest[1]]
    done = subprocess.run(line, capture_output=True, text=True, cwd=Path(pir_tf.__file__).parents[1], check=False)
    assert done.stdout.strip() == "[]", done.stderr
