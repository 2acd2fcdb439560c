"""What a run reads from outside: files, which weights are looked at before which stages, and batches of real images."""

import contextlib
import hashlib
from types import SimpleNamespace

import keras
import pytest
from PIL import Image

from pir_tf.config import EstimatorConfig, ExperimentConfig
from pir_tf.errors import InputError
from pir_tf.experiments import inputs
from pir_tf.experiments.command_line import parse
from pir_tf.pretrained import INCEPTION_V3, VGG16, VGG16_NO_TOP
from pir_tf.runs.directory import STAGES, RunDirectory


def test_every_file_that_is_read_is_named_by_its_content(tmp_path):
    fields = ("estimator.weights", "interactions.vgg_weights", "evaluation.kid_weights")
    files = [tmp_path / f"{field}.h5" for field in fields]
    for path in files:
        path.write_text(path.stem)
    expected = {field: hashlib.sha256(field.encode()).hexdigest() for field in fields}

    def named(objective):
        words = [f"--{path.stem}=file:{path}" for path in files]
        return inputs.named_files(parse(["paper", *words, "--interactions.objective", objective]).experiment)

    assert named("vgg:pool1:k=1") == expected
    files[1].unlink()
    with pytest.raises(InputError, match=r"interactions\.vgg_weights\.h5"):
        named("vgg:pool1:k=1")
    del expected["interactions.vgg_weights"]  # which a colour doesn't read
    assert named("color:blue") == expected
    assert inputs.named_files(ExperimentConfig()) == {}


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """The names of files that Keras is asked for."""
    asked = []
    monkeypatch.delenv("PIR_TF_WEIGHTS", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", lambda name, *_, **__: asked.append(name) or f"/{name}")
    return asked


INCEPTION, WITH_TOP, NO_TOP = (network.name for network in (INCEPTION_V3, VGG16, VGG16_NO_TOP))
TOP = "--interactions.objective vgg:fc8:k=1"


@pytest.mark.parametrize(
    "words, stages, expected",
    [
        ("", STAGES, {INCEPTION}),
        ("", ("gan", "interactions"), set()),
        ("", ("report",), set()),
        ("--evaluation.kid-weights imagenet", STAGES, {INCEPTION, NO_TOP}),
        ("--evaluation.kid-weights imagenet", ("estimator", "tuning"), {INCEPTION}),
        ("--interactions.objective vgg:pool4:k=1", ("gan", "interactions"), {NO_TOP}),
        (TOP, ("tuning",), {WITH_TOP}),
        (f"{TOP} --evaluation.kid-weights imagenet", ("evaluation",), {INCEPTION, WITH_TOP, NO_TOP}),
        (TOP, ("gan", "report"), set()),
        (f"{TOP} --interactions.source csv:a.csv", ("interactions",), set()),
        ("--evaluation.no-judge", ("evaluation",), set()),
        ("--estimator.output linear --estimator.backbone discriminator", STAGES, set()),
        ("--estimator.output linear --estimator.backbone inception_v3+discriminator", STAGES, {INCEPTION}),
    ],
)
def test_weights_are_fetched_before_the_stages_that_read_them(fetched, words, stages, expected):
    inputs.require_weights(parse(["paper", "--estimator.weights", "imagenet", *words.split()]).experiment, stages)
    assert set(fetched) == expected


def test_a_missing_module_of_features_is_refused_before_any_stage():
    asked = ExperimentConfig(estimator=EstimatorConfig(weights="hub:nowhere"))
    with pytest.raises(InputError, match="'nowhere' doesn't exist"):
        inputs.require_weights(asked, STAGES)
    inputs.require_weights(asked, ("gan", "interactions"))


# Batches, compared with devices and real images before the first stage


@pytest.fixture
def photos(tmp_path):
    """Words for a GAN that is trained on a folder of two classes with six pictures each."""
    for name in ("coast", "mountain"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), (40 * i, 90, 10)).save(tmp_path / "photos" / name / f"{i}.png")
    return f"--data.source folder:{tmp_path / 'photos'} --gan.generator train"


def require_batches(tmp_path, words, stages=STAGES):
    run = RunDirectory(tmp_path / "run", parse(["smoke", *words.split()]).experiment)
    try:
        inputs.require_batches(run, stages)
    finally:
        run.close()
    return run


@pytest.mark.parametrize(
    ("words", "stages", "refused"),
    [
        ("", STAGES, None),
        ("--gan.batch-size 13", STAGES, "12 images, fewer than a batch of gan.batch_size, which is 13: .*-size 12."),
        ("--tuning.batch-size 13", STAGES, "12 images, fewer than a batch of tuning.batch_size, which is 13: "),
        ("--tuning.batch-size 13", ("gan", "interactions", "estimator"), None),
        ("--gan.batch-size 13", ("tuning", "evaluation"), None),
        ("--estimator.batch-size 13", STAGES, None),
        (
            "--data.classes coast --gan.batch-size 8",
            STAGES,
            "6 images, fewer than a batch of gan.batch_size, which is 8",
        ),
    ],
)
def test_a_batch_of_more_rows_than_real_images_is_refused_before_any_stage(photos, tmp_path, words, stages, refused):
    said = pytest.raises(InputError, match=f"data.source has {refused}") if refused else contextlib.nullcontext()
    with said:
        require_batches(tmp_path, f"{photos} {words}", stages)


def test_landscapes_are_counted_without_being_rendered(tmp_path):
    assert not (require_batches(tmp_path, "").path / "data.json").exists()
    with pytest.raises(InputError, match="has 7 images, fewer than a batch of tuning.batch_size, which is 8"):
        require_batches(tmp_path, "--data.count 7")


def test_a_batch_of_fewer_rows_than_devices_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs.devices, "strategy", lambda config: SimpleNamespace(num_replicas_in_sync=10))
    words = "--estimator.batch-size 9 --tuning.batch-size 10"
    with pytest.raises(InputError, match="estimator.batch_size is 9 for 10 devices, expected a row for each at least"):
        require_batches(tmp_path, words)
    require_batches(tmp_path, words, ("tuning", "evaluation"))


def test_shares_of_several_processes_have_to_fill_their_batches(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs.devices, "strategy", lambda config: SimpleNamespace(num_replicas_in_sync=4))
    monkeypatch.setattr(inputs.devices, "kind", lambda config: "multiworker")
    # Of six images of a class the fourth process gets one.
    with pytest.raises(InputError, match="has 8 images, fewer than a batch of tuning.batch_size, which is 9"):
        require_batches(tmp_path, f"{photos} --tuning.batch-size 9")
