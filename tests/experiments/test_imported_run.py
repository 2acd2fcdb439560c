"""A run with somebody else's generator, from its file to the report, and back into a file of its own form."""

import contextlib
import dataclasses
import functools
import shutil
import zipfile

import drawing
import keras
import numpy as np
import pytest
import tensorflow as tf
from eager import eagerly
from foreign import HEIGHT, LATENT, WIDTH, foreign

from pir_tf.config import DataConfig, EvaluationConfig, ExperimentConfig, GanConfig
from pir_tf.errors import InputError
from pir_tf.experiments import dry_run, tuning_stage
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.inputs import named_files
from pir_tf.experiments.stages import run_stages
from pir_tf.gan.sampling import generate
from pir_tf.gan.saved import load_generator
from pir_tf.paper.publish import publish
from pir_tf.runs.directory import STAGES, RunDirectory, read_json

NAMES = ("day", "night", "dusk")
make_generator = functools.partial(foreign, "integer", turned=True, factor=255.0)
"""The class first, as a whole number; values in 0 to 255; no square."""


SMALLER = """
smoke --gan.import-class integer --gan.import-range 0 255 --gan.no-tensorboard --interactions.images 48
--estimator.image-size 32 --estimator.steps 6 --estimator.quality-images 16 --tuning.no-tensorboard --tuning.learning-rate 1e-3
--evaluation.images 32 --evaluation.diversity-pairs 4 --evaluation.no-judge
""".split()


def config_of(path, *words):
    return parse([*SMALLER, "--data.classes", *NAMES, "--gan.generator", f"import:{path}", *words]).experiment


def run_all(directory, config, stages=STAGES):
    run = RunDirectory(directory, config, files=named_files(config))
    with contextlib.closing(run), eagerly(), pytest.MonkeyPatch.context() as patch:
        drawing.emptily(patch.setattr)
        patch.setattr(tuning_stage, "DISPLAY_IMAGES", 8)
        run_stages(run, stages)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(the run's directory, its config) of a Keras generator."""
    root = tmp_path_factory.mktemp("imported")
    make_generator().save(root / "mine.keras")
    config = config_of(root / "mine.keras")
    run_all(root / "run", config)
    return root / "run", config


@pytest.mark.slow
def test_every_stage_leaves_its_files_and_people_see_the_generators_own_images(finished, tmp_path):
    run, config = finished
    names = (
        "gan/generator.keras gan/generator.json gan/contract.json interactions/images.npz estimator/estimator.keras "
        "tuning/generator.keras tuning/imported.keras tuning/generator.json evaluation/results.json report/index.html"
    )
    for name in names.split():
        assert (run / name).stat().st_size > 0, name
    for name in ("data.json", "gan/discriminator.keras", "tuning/discriminator.keras"):
        assert not (run / name).exists(), name
    columns = (run / "tuning" / "history.csv").read_text().splitlines()[0]
    assert columns == "step,L_PIR,L_anchor,generator_loss,gradient_pir,gradient_anchor,true_pir"
    shown = np.load(run / "interactions" / "images.npz")
    assert shown["images"].shape == (48, HEIGHT, WIDTH, 3) and set(shown["labels"]) == {0, 1, 2}
    theirs = keras.models.load_model(config.gan.generator.removeprefix("import:"))
    own = np.asarray(theirs([shown["labels"][:, None], shown["z"]]))
    assert np.abs(own - shown["images"]).max() <= 0.51
    # Results without real images, and all else.
    results = read_json(run / "evaluation" / "results.json")
    assert results["class_names"] == list(NAMES)
    assert results["diversity"]["real"] is None and results["diversity"]["after_over_real"] == [None] * 3
    assert all(value > 0 for value in results["diversity"]["after_over_before"])
    assert "no real images" in results["kid"]["reason"]
    samples = np.load(run / "evaluation" / "samples.npz")
    sizes = {"real": 0, "before": 32, "after": 32}
    assert {name: samples[name].shape for name in sizes} == {name: (n, HEIGHT, WIDTH, 3) for name, n in sizes.items()}
    assert results["change"] == pytest.approx(samples["true_after"].mean() - samples["true_before"].mean())
    page = (run / "report" / "index.html").read_text()
    assert "pull of each term" in page.lower() and "Real images," not in page
    assert all(name in page for name in NAMES)
    publish(run, tmp_path / "published")
    assert (tmp_path / "published" / "results.json").exists() and not (tmp_path / "published" / "data.json").exists()


@pytest.mark.slow
def test_both_tuned_files_load_without_this_package_as_generator_json_says(finished):
    tuning = finished[0] / "tuning"
    facts = read_json(tuning / "generator.json")
    own, z = facts["imported"], np.random.default_rng(0).standard_normal((6, facts["latent_size"])).astype("float32")
    labels = np.array([facts["class_names"].index(name) for name in ["dusk", "day", "night"] * 2])
    for name in ("generator", "imported"):  # Keras imports what a file names and nothing else
        with zipfile.ZipFile(tuning / f"{name}.keras") as archive:
            assert "pir_tf" not in archive.read("config.json").decode()
    ours, theirs = (keras.models.load_model(tuning / f"{name}.keras") for name in ("generator", "imported"))
    images = ours.predict([z, np.eye(len(facts["class_names"]))[labels]], verbose=0)
    given = {own["class_input"]: labels[:, None]}
    raw = theirs.predict([given.get(tensor.name, z) for tensor in theirs.inputs], verbose=0)
    (low, high), (our_low, our_high) = own["value_range"], facts["image_range"]
    same = our_low + (raw - low) / (high - low) * (our_high - our_low)
    assert images.shape[1:] == tuple(facts["image_shape"]) and np.ptp(images) > 0.5
    assert np.abs(same - images).max() < 1e-5


@pytest.mark.slow
def test_tuning_resumes_from_its_checkpoint_to_the_same_weights(finished, tmp_path):
    (run, config), again = finished, tmp_path / "again"
    shutil.copytree(run, again)
    _, newest = sorted((again / "tuning" / "checkpoints").glob("step-*.npz"))
    for left in (newest, again / "tuning" / "done.json", again / "tuning" / "generator.keras"):
        left.unlink()  # as in a run that was killed after the checkpoint before
    run_all(again, config, ("tuning",))
    assert (again / "tuning" / "history.csv").read_text() == (run / "tuning" / "history.csv").read_text()
    whole, resumed = (load_generator(path / "tuning").get_weights() for path in (run, again))
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


@pytest.mark.slow
def test_a_second_round_goes_on_from_the_tuned_generator(finished, tmp_path):
    run, config = finished
    second = dataclasses.replace(config, first_round=str(run))
    run_all(tmp_path / "two", second, ("gan", "interactions"))
    begun, tuned = (path / "generator.keras" for path in (tmp_path / "two" / "gan", run / "tuning"))
    assert begun.read_bytes() == tuned.read_bytes()
    assert len(np.load(tmp_path / "two" / "interactions" / "images.npz")["images"]) == 96
    unnamed = dataclasses.replace(second, gan=GanConfig())
    for needed in (dry_run.counts, dry_run.stage_flops, dry_run.memory_megabytes):
        assert needed(unnamed) == needed(second) != needed(dataclasses.replace(unnamed, first_round=""))


@pytest.mark.slow
def test_a_saved_model_is_tuned_and_comes_back_as_one(finished, tmp_path):
    first, _ = finished
    core = make_generator()
    core.export(tmp_path / "mine", verbose=False)
    config = config_of(tmp_path / "mine", "--tuning.true-pir-every", "4")
    run_all(tmp_path / "run", config, ("gan", "interactions", "estimator", "tuning"))
    # The same generator, so the same images; then tuned, under the same signature.
    shown, of_keras = (np.load(path / "interactions" / "images.npz")["images"] for path in (tmp_path / "run", first))
    assert np.abs(shown.astype(int) - of_keras.astype(int)).max() <= 1
    folders = (tmp_path / "mine", tmp_path / "run" / "tuning" / "generator")
    old, new = (tf.saved_model.load(str(folder)).signatures["serving_default"] for folder in folders)
    assert new.structured_input_signature == old.structured_input_signature
    z = np.random.default_rng(0).standard_normal((4, LATENT)).astype(np.float32)
    labels = np.array([0, 1, 2, 0], np.int32)
    before, after = (next(iter(f(noise=z, label=labels[:, None]).values())).numpy() for f in (old, new))
    np.testing.assert_allclose(before, np.asarray(core([labels[:, None], z])), atol=1e-3)
    assert np.abs(after - before).max() > 1
    tuned = generate(load_generator(tmp_path / "run" / "tuning"), z, labels)
    assert np.abs(after - tuned).max() <= 0.51
    assert not list((tmp_path / "run" / "tuning").glob(".*"))


def test_a_breach_of_the_contract_and_grey_images_for_a_colour_leave_no_finished_stage(tmp_path):
    make_generator(channels=1).save(tmp_path / "grey.keras")
    config = config_of(tmp_path / "grey.keras")
    wrong = config_of(tmp_path / "grey.keras", "--gan.import-range", "0", "1")
    for refused, said in (
        (config, "grey.keras makes grey images, whose colours never change"),
        (wrong, "--gan.import-range LOW HIGH"),
    ):
        with pytest.raises(InputError, match=said):
            run_all(tmp_path / "run", refused, ("gan",))
        assert not (tmp_path / "run" / "gan" / "done.json").exists()
    words = "--interactions.objective vgg:pool1:k=1 --interactions.vgg-weights none --interactions.vgg-image-size 32"
    run_all(tmp_path / "filters", config_of(tmp_path / "grey.keras", *words.split()), ("gan",))
    assert read_json(tmp_path / "filters" / "gan" / "generator.json")["imported"]["channels"] == 1


def test_the_file_is_known_by_its_content_and_its_base_name(tmp_path):
    def opened(place):
        config = config_of(tmp_path / place / "mine.keras")
        return RunDirectory(tmp_path / "run", config, files=named_files(config))

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.keras").write_bytes(b"one")
    begun = opened("a")
    begun.mark_done("gan")
    begun.close()
    assert read_json(tmp_path / "run" / "config.json")["config"]["gan.generator"] == "import:mine.keras"
    shutil.move(tmp_path / "a", tmp_path / "b")
    opened("b").close()
    (tmp_path / "b" / "mine.keras").write_bytes(b"two")
    with pytest.raises(InputError, match="gan.generator"):
        opened("b")


def test_a_folder_is_known_by_all_of_its_files(tmp_path):
    def known(place, **files):
        for name, content in {"saved_model.pb": b"graph", **files}.items():
            (tmp_path / place / "variables").mkdir(parents=True, exist_ok=True)
            (tmp_path / place / name).write_bytes(content)
        return named_files(config_of(tmp_path / place))["gan.generator"]

    data, index = "variables/data", "variables/index"
    assert known("a", **{data: b"weights"}) == known("b", **{data: b"weights"})
    assert len({known("a"), known("c", **{index: b"weights"}), known("d", **{data: b"others"})}) == 3
    with pytest.raises(InputError, match="is not there, expected a Keras model"):
        named_files(config_of(tmp_path / "e"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": DataConfig(source="folder:photos")}, "without real images"),
        ({"evaluation": EvaluationConfig(kid_weights="imagenet")}, "without real images"),
        (
            {"gan": GanConfig(generator="import:m.keras", import_class_count=2), "data": DataConfig(classes=NAMES)},
            "names 3 classes",
        ),
    ],
)
def test_the_config_refuses_what_makes_no_sense(change, words):
    with pytest.raises(InputError, match=words):
        ExperimentConfig(**{"gan": GanConfig(generator="import:mine.keras"), **change})
    with pytest.raises(InputError, match="bundled, train or import:PATH"):
        GanConfig(generator="import:")
