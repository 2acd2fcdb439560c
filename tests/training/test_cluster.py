"""TF_CONFIG as TensorFlow reads it: places among processes, and mistakes in one sentence."""

import json

import pytest

from pir_tf.errors import InputError
from pir_tf.training.devices import Cluster, is_chief, read_cluster

TWO = {"worker": ["localhost:12345", "localhost:12346"]}


def text(cluster, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_without_it_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_cluster() == Cluster(1, 0) and is_chief()


@pytest.mark.parametrize(("index", "chief"), [(0, True), (1, False)])
def test_the_first_worker_is_the_chief(monkeypatch, index, chief):
    monkeypatch.setenv("TF_CONFIG", text(TWO, index=index))
    assert read_cluster() == Cluster(2, index, f"worker {index}") and is_chief() == chief


def test_a_task_called_chief_comes_before_the_workers():
    cluster = {**TWO, "chief": ["localhost:12344"]}
    assert read_cluster(text(cluster, "chief")) == Cluster(3, 0, "chief 0")
    assert read_cluster(text(cluster, "worker", 1)) == Cluster(3, 2, "worker 1")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("{", "no JSON"),
        ("[]", "without cluster"),
        ('{"cluster": {"worker": ["a:1"]}}', "without task"),
        (text({"worker": "localhost:12345"}), "cluster.worker"),
        (text({"worker": ["localhost"]}), '"localhost"'),
        (text({"worker": ["localhost:99999"]}), "99999"),
        (text({"worker": [12345]}), "12345"),
        (text({**TWO, "ps": ["localhost:1"]}), "ps"),
        (text({}), "without workers"),
        (text(TWO, index=2), '"index": 2'),
        (text(TWO, index="0"), '"index": "0"'),
        (text(TWO, kind="evaluator"), "evaluator"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(given, named):
    with pytest.raises(InputError) as caught:
        read_cluster(given)
    message = str(caught.value)
    assert named in message and message.startswith("TF_CONFIG has") and message.endswith("environment variable.")
    assert "\n" not in message and "expected for example" in message
