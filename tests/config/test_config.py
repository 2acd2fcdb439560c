"""The configuration: the paper's values, and every value that is refused with a sentence."""

import dataclasses
import json
import math

import pytest

from pir_tf.config import (
    PRESETS,
    ComputeConfig,
    DataConfig,
    EstimatorConfig,
    EvaluationConfig,
    ExperimentConfig,
    GanConfig,
    InteractionsConfig,
    TuningConfig,
    derived_seed,
    flatten,
)
from pir_tf.errors import InputError
from pir_tf.presets import laptop, paper, preset, smoke

NAN, INF = math.nan, math.inf


# The paper's values


def test_what_the_paper_fixes_and_the_deviations_where_it_is_silent():
    values = flatten(paper())
    fixed = {
        "data.image_size": 64,
        "gan.generator": "train",
        "gan.keep": "last",
        "gan.latent_size": 64,
        "gan.fake_class_weight": 1.5,
        "gan.real_class_weight": 1.0,
        "gan.adam_beta_1": 0.5,
        "gan.generator_learning_rate": 1e-5,
        "gan.discriminator_learning_rate": 1e-5,
        "gan.steps": 1_100_000,
        "gan.batch_size": 64,  # D2
        "gan.dropout": 0.5,  # D3
        "interactions.images": 1000,
        "interactions.impressions": 1000,
        "estimator.backbone": "inception_v3",  # D4
        "estimator.image_size": 299,  # D5
        "estimator.steps": 25_000,  # D6
        "estimator.batch_size": 32,  # D6
        "estimator.learning_rate": 5e-4,
        "estimator.bins": 100,
        "estimator.output": "bins",
        "estimator.temperature": 0.01,
        "estimator.trainable": "all",
        "tuning.pir_weight": 1000.0,
        "tuning.fools_weight": 1.0,
        "tuning.learning_rate": 1e-6,
        "tuning.steps": 50_000,
        "tuning.batch_size": 64,  # D2
        "evaluation.images": 1000,
        "evaluation.alpha": 0.001,
    }
    assert {name: values[name] for name in fixed} == fixed


def test_laptop_and_smoke_are_smaller_and_keep_the_papers_weights():
    kept = ("gan.latent_size", "gan.fake_class_weight", "tuning.pir_weight", "tuning.fools_weight")
    kept += ("estimator.temperature", "estimator.bins")
    for config in (laptop(), smoke()):
        assert config.gan.generator == "bundled" and config.estimator.backbone == "compact"
        assert all(flatten(config)[name] == flatten(paper())[name] for name in kept)
    for name in ("gan.steps", "estimator.steps", "tuning.steps", "evaluation.images"):
        assert flatten(smoke())[name] <= flatten(laptop())[name] <= flatten(paper())[name]


def test_presets_by_name():
    assert PRESETS == ("smoke", "laptop", "paper")
    assert [preset(name).preset for name in PRESETS] == list(PRESETS)
    assert preset("paper") == paper() == ExperimentConfig()
    with pytest.raises(InputError, match="preset is 'papper', expected one of smoke, laptop, paper"):
        preset("papper")


def test_an_experiment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        paper().seed = 3


# Refused values: each sentence names the field, what was received and what was expected

SOURCES, OBJECTIVES = "landscapes, folder:PATH or tfds:NAME", "color: and one to three different ones"
WEIGHTS, HANDLES = "imagenet, file:PATH or none", "none, imagenet, file:PATH or hub:HANDLE"
POSITIVE = {
    DataConfig: "count",
    GanConfig: "latent_size steps batch_size generator_learning_rate log_every sample_every checkpoint_every",
    InteractionsConfig: "images impressions",
    EstimatorConfig: "image_size learning_rate steps batch_size temperature quality_images checkpoint_every",
    TuningConfig: "learning_rate steps batch_size log_every gradients_every true_pir_every checkpoint_minutes",
    EvaluationConfig: "diversity_pairs kid_images",
}
WRONG = [
    *((section, field, 0, "above 0") for section, fields in POSITIVE.items() for field in fields.split()),
    *((GanConfig, "batch_size", value, expected) for value, expected in ((-1, "above 0"), (2.5, "a whole number"))),
    *((GanConfig, "discriminator_learning_rate", value, "a finite number") for value in (INF, NAN)),
    *((EstimatorConfig, "temperature", value, "a finite number above 0") for value in (-0.01, NAN, INF)),
    *((GanConfig, "dropout", value, "at least 0 and below 1") for value in (1.0, -0.1, NAN)),
    (GanConfig, "adam_beta_1", 1.0, "at least 0 and below 1"),
    (GanConfig, "fake_class_weight", -1.0, "0 or above"),
    (GanConfig, "real_class_weight", NAN, "a finite number"),
    (TuningConfig, "pir_weight", -1.0, "0 or above"),
    (TuningConfig, "fools_weight", INF, "a finite number"),
    (GanConfig, "steps", 150, "a multiple of gan.log_every, which is 100"),
    (GanConfig, "checkpoint_every", 50, "a multiple of gan.log_every, which is 100"),
    (TuningConfig, "steps", 50, "a multiple of tuning.log_every, which is 100"),
    (TuningConfig, "checkpoint_every", 250, "a multiple of tuning.log_every, which is 100"),
    (GanConfig, "decay_steps", -1, "0 to gan.steps"),
    (GanConfig, "import_latent_size", -1, "0 or above"),
    *(
        (DataConfig, "source", value, SOURCES)
        for value in ("mountains", "", "folder", "folder:", "tfds:", "landscapes:x")
    ),
    (DataConfig, "classes", ("a", "a"), "each class once"),
    (DataConfig, "on_bad_file", "x", "stop or skip"),
    (DataConfig, "image_size", 128, "64, the size that the networks of C.2 make"),
    (GanConfig, "generator", "mine", "bundled, train or import:PATH"),
    (GanConfig, "keep", "first", "best or last"),
    (GanConfig, "loss", "wasserstein", "non_saturating or saturating"),
    (GanConfig, "kind", "cgan", "acgan or gan"),
    (GanConfig, "import_class", "x", "one-hot, integer, joined or none"),
    *((InteractionsConfig, "source", value, "simulated or csv:PATH") for value in ("people", "csv:")),
    *(
        (InteractionsConfig, "objective", value, OBJECTIVES)
        for value in ("blue", "color:", "color:pink", "color:blue-blue", "color:blue-", "Color:Blue")
    ),
    (InteractionsConfig, "objective", "vgg:pool1:3", "vgg:pool1:k=N, vgg:pool1:k=N:seed=S or vgg:pool1:filters=12,40"),
    *((InteractionsConfig, "vgg_weights", value, WEIGHTS) for value in ("file:", "vgg16.h5")),
    (EvaluationConfig, "kid_weights", "hub:x", WEIGHTS),
    (InteractionsConfig, "vgg_image_size", 31, "32 or more"),
    (InteractionsConfig, "scaling", "standard", "none or normalized"),
    (EstimatorConfig, "backbone", "resnet", "inception_v3 or compact"),
    *((EstimatorConfig, "weights", value, HANDLES) for value in ("file:", "random")),
    *((EstimatorConfig, "layer", value, "mixed0 to mixed10") for value in ("mixed11", "Mixed2")),
    (EstimatorConfig, "trainable", "none", "all or head"),
    (EstimatorConfig, "output", "vector", "bins or scalar"),
    (EstimatorConfig, "bins", 1, "2 or more"),
    (EstimatorConfig, "image_size", 74, "75 pixels or more for inception_v3"),
    *(
        (EstimatorConfig, "input_range", value, "two numbers, the lower first")
        for value in ((1.0, -1.0), (0.0, NAN), (0.0, INF))
    ),
    (GanConfig, "import_range", (1.0, 1.0), "two numbers, the lower first"),
    *((EvaluationConfig, "source", value, "same or csv:PATH") for value in ("simulated", "csv:")),
    (EvaluationConfig, "images", 1, "2 or more"),
    *((EvaluationConfig, "alpha", value, "a probability between 0 and 1") for value in (0.0, 1.0, NAN)),
    (ComputeConfig, "kernels", "quick", "auto, stock or fast"),
    (ComputeConfig, "precision", "mixed_float16", "float32 or mixed_bfloat16; float16 has too small a range"),
    (ComputeConfig, "logical_cpus", -1, "0 or more"),
    *((ExperimentConfig, "seed", value, "from 0 to 2147483647") for value in (-1, 2**31)),
    (ExperimentConfig, "preset", "huge", "one of smoke, laptop, paper"),
]


@pytest.mark.parametrize("section, field, value, expected", WRONG, ids=lambda x: getattr(x, "__name__", str(x)))
def test_a_wrong_value_is_refused_in_one_sentence(section, field, value, expected):
    with pytest.raises(InputError) as refused:
        section(**{field: value})
    said = str(refused.value)
    name = field if section is ExperimentConfig else f"{section.__name__.removesuffix('Config').lower()}.{field}"
    assert said.startswith(f"{name} is {value!r}, expected ") and expected in said
    assert said.endswith(f"change it with --{name.replace('_', '-')} VALUE.") and "\n" not in said


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"weights": "imagenet"}, "none, since the compact backbone is trained from scratch"),
        ({"layer": "mixed2"}, "nothing, since layers are chosen of inception_v3"),
        ({"trainable": "head"}, "all, since the compact backbone has no first weights"),
        ({"image_size": 31}, "32 pixels or more for compact"),
    ],
)
def test_what_the_compact_backbone_has_not(fields, expected):
    with pytest.raises(InputError, match=expected):
        EstimatorConfig(**{"backbone": "compact", "weights": "none", "image_size": 64, **fields})


@pytest.mark.parametrize(
    "data, gan",
    [
        ({"source": "folder:photos"}, {}),
        ({"source": "tfds:places"}, {}),
        ({"classes": ("coast",)}, {}),
        ({}, {"latent_size": 32}),
        ({}, {"kind": "gan"}),
    ],
)
def test_bundled_networks_fit_their_own_data_alone(data, gan):
    with pytest.raises(InputError, match="the bundled networks know .*--gan.generator train"):
        ExperimentConfig(data=DataConfig(**data), gan=GanConfig(generator="bundled", **gan))
    ExperimentConfig(data=DataConfig(**data), gan=GanConfig(generator="train", **gan))


def test_a_class_whose_name_an_export_could_not_write_is_refused():
    with pytest.raises(InputError, match=r"classes \['two\\nlines'\] have line breaks"):
        DataConfig(classes=("one", "two\nlines"))


@pytest.mark.parametrize(
    "section, fields",
    [
        (DataConfig, {"source": "folder:photos/of summer"}),
        (DataConfig, {"source": "tfds:places365_small", "split": "train[:80%]", "classes": ("coast", "mountain")}),
        (GanConfig, {"dropout": 0.0, "adam_beta_1": 0.0, "fake_class_weight": 0.0}),
        (InteractionsConfig, {"objective": "color:red-green-blue"}),
        (InteractionsConfig, {"source": "csv:answers.csv", "objective": "not used"}),
        (InteractionsConfig, {"objective": "vgg:fc8:k=1000:seed=3", "vgg_weights": "none"}),
        (
            InteractionsConfig,
            {"objective": "vgg:pool5:filters=511,0", "vgg_weights": "file:w.h5", "vgg_image_size": 96},
        ),
        (InteractionsConfig, {"scaling": "normalized"}),
        (GanConfig, {"loss": "saturating", "kind": "gan"}),
        (EstimatorConfig, {"weights": "file:w.npz", "layer": "mixed2", "trainable": "head", "image_size": 75}),
        (EstimatorConfig, {"weights": "hub:https://tfhub.dev/google/inaturalist/5", "input_range": (0.0, 1.0)}),
        (EstimatorConfig, {"temperature": 1.0, "output": "scalar", "bins": 2}),
        (TuningConfig, {"pir_weight": 0.0, "fools_weight": 0.0, "gradients_every": 30, "true_pir_every": 7}),
        (EvaluationConfig, {"source": "csv:judged.csv", "images": 2}),
        (ComputeConfig, {"deterministic": False, "jit_compile": True}),
        (ExperimentConfig, {"seed": 2**31 - 1}),
    ],
)
def test_what_is_allowed(section, fields):
    made = section(**fields)
    assert {name: getattr(made, name) for name in fields} == fields


def test_xla_and_determinism_exclude_each_other():
    """Keras would silently not compile."""
    with pytest.raises(
        InputError, match="jit_compile is true while compute.deterministic is.*--compute.no-deterministic"
    ):
        ComputeConfig(jit_compile=True)


# Seeds and the flat form


def test_derived_seeds_never_change():
    """Other values here would give other results for a published seed."""
    assert derived_seed(0, "data") == 171566453
    assert derived_seed(0, "gan steps") == 866848527
    assert derived_seed(7, "data") == 986566036
    assert derived_seed(2**31 - 1, "folds") == 1601812768


def test_derived_seeds_are_seeds_and_differ_by_seed_and_purpose():
    made = [derived_seed(seed, purpose) for seed in range(200) for purpose in ("a", "b", "1/a")]
    assert all(0 <= seed < 2**31 for seed in made) and len(set(made)) == len(made)


def test_the_flat_form_has_every_field_and_is_plain_json():
    for config in (paper(), laptop(), smoke()):
        flat = flatten(config)
        assert json.loads(json.dumps(flat, allow_nan=False)) == flat
    sections = [value for value in vars(paper()).values() if dataclasses.is_dataclass(value)]
    assert len(flatten(paper())) == 3 + sum(len(dataclasses.fields(section)) for section in sections)
    assert len(sections) == 7
