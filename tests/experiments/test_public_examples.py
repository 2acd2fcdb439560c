"""Two generators that nobody here designed go through import, tuning and proof."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from public_examples import DIGITS, conditional_gan, dcgan, spread

from pir_tf.config import EvaluationConfig, GanConfig
from pir_tf.experiments.inputs import named_files
from pir_tf.experiments.stages import run_stages
from pir_tf.gan.imported.generator import import_generator
from pir_tf.presets import by_papers_method
from pir_tf.runs.directory import STAGES, RunDirectory

LEVELS = 255


def gan_of(path, **fields):
    return GanConfig(generator=f"import:{path}", import_range=(0.0, 1.0), tensorboard=False, **fields)


def config_of(path, *, objective, **gan):
    """A small experiment; PIR by filters is scaled as in C.5, since that of a few filters hardly differs between images."""
    base, vgg = by_papers_method("laptop"), objective.startswith("vgg")
    more = {"vgg_weights": "none", "vgg_image_size": 32, "scaling": "normalized"} if vgg else {}
    return dataclasses.replace(
        base,
        gan=gan_of(path, **gan),
        interactions=dataclasses.replace(base.interactions, objective=objective, images=300, **more),
        estimator=dataclasses.replace(base.estimator, output="linear", image_size=32, quality_images=64),
        tuning=dataclasses.replace(
            base.tuning,
            pir_weight=100.0,
            learning_rate=3e-4,
            steps=40,
            true_pir_every=40,
            gradients_every=40,
            tensorboard=False,
        ),
        evaluation=EvaluationConfig(images=200, diversity_pairs=50, judge=False),
    )


def results_of(directory, config):
    run = RunDirectory(directory, config, files=named_files(config))
    run_stages(run, [stage for stage in STAGES if stage != "report"])
    run.close()
    results, contract = (
        json.loads((directory / name).read_text()) for name in ("evaluation/results.json", "gan/contract.json")
    )
    return results, contract


def test_the_networks_are_those_of_the_examples():
    """Numbers of weights as the examples print them."""
    assert dcgan().count_params() == 3_979_651
    generator = conditional_gan()
    assert (generator.input_shape, generator.output_shape) == ((None, 138), (None, 28, 28, 1))
    # 138 * 6762 + 6762, then 4 * 4 kernels of 138 and of 128 to 128 maps, then 7 * 7 of 128 to 1.
    assert generator.count_params() == 939_918 + 282_752 + 262_272 + 6_273


@pytest.mark.parametrize(
    "make, size, fields",
    [
        (lambda: dcgan(1 / 16), 64, {"import_class": "none"}),
        (lambda: conditional_gan(1 / 16), 28, {"import_class": "joined", "import_class_count": DIGITS}),
    ],
)
def test_they_are_imported(make, size, fields, tmp_path):
    make().save(tmp_path / "theirs.keras")
    generator, description = import_generator(gan_of(tmp_path / "theirs.keras", **fields), ())
    latents = np.random.default_rng(0).standard_normal((2, description.latent_size)).astype(np.float32)
    classes = np.eye(len(description.class_names), dtype=np.float32)[[0, -1]]
    images = np.asarray(generator([latents, classes]))
    assert images.shape == (2, size, size, 3) and images.std() > 0


@pytest.mark.nightly
def test_dcgan_of_64_rgb_pixels_is_tuned_on_a_colour(tmp_path):
    keras.utils.set_random_seed(0)
    generator = dcgan(1 / 16)
    spread(generator, 100)
    generator.save(tmp_path / "dcgan.keras")
    config = config_of(tmp_path / "dcgan.keras", objective="color:blue", import_class="none")
    results, contract = results_of(tmp_path / "run", config)
    assert contract["class_change"] is None and contract["latent_change"] > 10
    assert results["verdict"].startswith("gain") and results["p_value"] < 0.001
    tuned = keras.models.load_model(tmp_path / "run" / "tuning" / "imported.keras")
    assert (tuned.input_shape, tuned.output_shape) == ((None, 8), (None, 64, 64, 3))


def class_means(generator, latents):
    """Each class's mean image of the same latents, in grey levels `[10, 28, 28, 1]`."""
    one_hot = np.eye(DIGITS, dtype=np.float32)
    given = [np.concatenate([latents, np.tile(row, (len(latents), 1))], -1) for row in one_hot]
    return np.stack([np.asarray(generator(z)).mean(0) for z in given]) * LEVELS


@pytest.mark.nightly
def test_conditional_gan_of_28_grey_pixels_is_tuned_on_filters(tmp_path):
    keras.utils.set_random_seed(0)
    generator = conditional_gan(1 / 4)
    spread(generator, 50)
    latents = np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32)
    apart = class_means(generator, latents).std(0).mean()
    assert apart > 3  # grey levels, averaged over all pixels
    generator.save(tmp_path / "cgan.keras")
    config = config_of(
        tmp_path / "cgan.keras", objective="vgg:pool1:k=20", import_class="joined", import_class_count=DIGITS
    )
    results, contract = results_of(tmp_path / "run", config)
    assert contract["class_change"] > 5
    assert results["verdict"].startswith("gain") and results["p_value"] < 0.001
    assert results["class_names"][9] == "class 9" and results["scaling"] is not None
    tuned = keras.models.load_model(tmp_path / "run" / "tuning" / "imported.keras")
    assert (tuned.input_shape, tuned.output_shape) == ((None, 42), (None, 28, 28, 1))
    assert class_means(tuned, latents).std(0).mean() > apart / 4  # classes still differ
