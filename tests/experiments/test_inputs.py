"""What a run reads from outside: files, which weights are looked at before which stages, and batches of real images."""

import contextlib
import dataclasses
import hashlib
from types import SimpleNamespace

import keras
import pytest
from PIL import Image

from pir_tf.config import EstimatorConfig, EvaluationConfig, ExperimentConfig, InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.experiments import inputs
from pir_tf.experiments.command_line import parse
from pir_tf.runs.directory import STAGES, RunDirectory


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


# Batches, compared with devices and real images before the first stage


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes with six pictures each."""
    for name in ("coast", "mountain"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), (40 * i, 90, 10)).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def of_photos(photos, tmp_path, *words):
    words = ["smoke", "--data.source", f"folder:{photos}", "--gan.generator", "train", *words]
    return RunDirectory(tmp_path / "run", parse(words).experiment)


@pytest.mark.parametrize(
    ("words", "stages", "refused"),
    [
        ([], STAGES, None),
        (["--gan.batch-size", "13"], STAGES, "gan.batch_size, which is 13"),
        (["--tuning.batch-size", "13"], STAGES, "tuning.batch_size, which is 13"),
        (["--tuning.batch-size", "13"], ("gan", "interactions", "estimator"), None),
        (["--gan.batch-size", "13"], ("tuning", "evaluation"), None),
        (["--estimator.batch-size", "13"], STAGES, None),
        (["--data.classes", "coast", "--gan.batch-size", "8"], STAGES, "gan.batch_size, which is 8"),
    ],
)
def test_a_batch_of_more_rows_than_real_images_is_refused_before_any_stage(photos, tmp_path, words, stages, refused):
    run = of_photos(photos, tmp_path, *words)
    if refused is None:
        return inputs.require_batches(run, stages)
    count = 6 if "--data.classes" in words else 12
    with pytest.raises(
        InputError, match=f"data.source has {count} images, fewer than a batch of {refused}: .*-size {count}."
    ):
        inputs.require_batches(run, stages)


def test_landscapes_are_counted_without_being_rendered(tmp_path):
    for words, said in (
        ([], None),
        (["--data.count", "7"], "has 7 images, fewer than a batch of tuning.batch_size, which is 8"),
    ):
        run = RunDirectory(tmp_path / str(len(words)), parse(["smoke", *words]).experiment)
        with contextlib.nullcontext() if said is None else pytest.raises(InputError, match=said):
            inputs.require_batches(run, STAGES)
        assert not (run.path / "data.json").exists()


def test_a_batch_of_fewer_rows_than_devices_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs.devices, "strategy", lambda config: SimpleNamespace(num_replicas_in_sync=10))
    run = RunDirectory(
        tmp_path, parse(["smoke", "--estimator.batch-size", "9", "--tuning.batch-size", "10"]).experiment
    )
    with pytest.raises(InputError, match="estimator.batch_size is 9 for 10 devices, expected a row for each at least"):
        inputs.require_batches(run, STAGES)
    inputs.require_batches(run, ("tuning", "evaluation"))


def test_shares_of_several_processes_have_to_fill_their_batches(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs.devices, "strategy", lambda config: SimpleNamespace(num_replicas_in_sync=4))
    monkeypatch.setattr(inputs.devices, "kind", lambda config: "multiworker")
    run = of_photos(
        photos, tmp_path, "--tuning.batch-size", "9"
    )  # of six images of a class the fourth process gets one
    with pytest.raises(InputError, match="has 8 images, fewer than a batch of tuning.batch_size, which is 9"):
        inputs.require_batches(run, STAGES)


def test_a_class_whose_name_has_two_lines_is_refused_before_any_stage(photos, tmp_path):
    (photos / "coast").rename(photos / "the\ncoast")
    with pytest.raises(InputError, match="expected at least one, all different, each of one line"):
        inputs.require_batches(of_photos(photos, tmp_path), STAGES)


def test_a_missing_module_of_features_is_refused_before_any_stage():
    asked = ExperimentConfig(estimator=EstimatorConfig(weights="hub:nowhere"))
    with pytest.raises(InputError, match="'nowhere' doesn't exist"):
        inputs.require_weights(asked, STAGES)
    inputs.require_weights(asked, ("gan", "interactions"))
