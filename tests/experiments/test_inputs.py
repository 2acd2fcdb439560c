"""The files that a run names, and which of them are looked at before which stages."""

import dataclasses
import hashlib

import keras
import pytest

from pir_tf.config import EstimatorConfig, EvaluationConfig, ExperimentConfig, InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.experiments import inputs
from pir_tf.runs.directory import STAGES


@pytest.fixture
def named(tmp_path):
    """Three files of other contents, by the field that names them."""
    made = {}
    for field in ("estimator.weights", "interactions.vgg_weights", "evaluation.kid_weights"):
        made[field] = tmp_path / f"{field}.h5"
        made[field].write_text(field)
    return made


def config(named, **interactions):
    return ExperimentConfig(
        estimator=EstimatorConfig(weights=f"file:{named['estimator.weights']}"),
        interactions=InteractionsConfig(vgg_weights=f"file:{named['interactions.vgg_weights']}", **interactions),
        evaluation=EvaluationConfig(kid_weights=f"file:{named['evaluation.kid_weights']}"),
    )


def test_every_file_that_is_read_is_named_by_its_content(named):
    expected = {field: hashlib.sha256(field.encode()).hexdigest() for field in named}
    assert inputs.named_files(config(named, objective="vgg:pool1:k=1")) == expected
    colour = inputs.named_files(config(named, objective="color:blue"))
    assert colour == {field: value for field, value in expected.items() if field != "interactions.vgg_weights"}
    assert inputs.named_files(ExperimentConfig()) == {}
    named["interactions.vgg_weights"].unlink()
    inputs.named_files(config(named, objective="color:blue"))
    with pytest.raises(InputError, match=r"interactions\.vgg_weights\.h5"):
        inputs.named_files(config(named, objective="vgg:pool1:k=1"))


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """The names of files that Keras is asked for."""
    asked = []

    def get_file(name, *rest, **options):
        asked.append(name)
        return f"/{name}"

    monkeypatch.delenv("PIR_TF_WEIGHTS", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    return asked


INCEPTION = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
WITH_TOP = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
NO_TOP = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.mark.parametrize(
    "objective, kid, stages, expected",
    [
        ("color:blue", "none", STAGES, {INCEPTION}),
        ("color:blue", "none", ("gan", "interactions"), set()),
        ("color:blue", "none", ("report",), set()),
        ("color:blue", "imagenet", STAGES, {INCEPTION, NO_TOP}),
        ("color:blue", "imagenet", ("estimator", "tuning"), {INCEPTION}),
        ("vgg:pool4:k=1", "none", ("gan", "interactions"), {NO_TOP}),
        ("vgg:fc6:k=1", "none", ("tuning",), {WITH_TOP}),
        ("vgg:fc8:k=1", "imagenet", ("evaluation",), {INCEPTION, WITH_TOP, NO_TOP}),
        ("vgg:fc8:k=1", "none", ("gan", "report"), set()),
    ],
)
def test_weights_are_fetched_before_the_stages_that_read_them(fetched, objective, kid, stages, expected):
    asked = ExperimentConfig(
        interactions=InteractionsConfig(objective=objective), evaluation=EvaluationConfig(kid_weights=kid)
    )
    inputs.require_weights(asked, stages)
    assert set(fetched) == expected


def test_without_a_judge_evaluation_needs_no_backbone(fetched):
    asked = ExperimentConfig(evaluation=EvaluationConfig(judge=False))
    inputs.require_weights(asked, ("evaluation",))
    assert fetched == []
    people = dataclasses.replace(asked, interactions=InteractionsConfig(source="csv:a.csv", objective="vgg:fc8:k=1"))
    inputs.require_weights(people, ("interactions",))
    assert fetched == []
