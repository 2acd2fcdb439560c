"""Which runs share a control through the cache, and which have one of their own."""

import dataclasses
from types import SimpleNamespace

import pytest
from small_networks import least_discriminator, least_generator

from pir_tf.config import changed
from pir_tf.experiments import control
from pir_tf.experiments.cache import digest
from pir_tf.gan.saved import Networks
from pir_tf.presets import laptop
from pir_tf.runs.directory import RunDirectory

BASE = changed(
    laptop(),
    tuning={"steps": 20, "batch_size": 4, "log_every": 10},
    evaluation={"control": True},
    compute={"kernels": "stock"},
)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that gives a run's control; its `trained` are the trainings that this took, each to other weights."""
    trained = []

    def train(acgan, stream, schedule, *rest, **options):
        trained.append(schedule)
        for weight in acgan.generator.weights:
            weight.assign(weight + len(trained))

    monkeypatch.setattr(control, "fit_resumable", train)
    compiled = lambda generator, *rest, **settings: SimpleNamespace(  # noqa: E731
        generator=generator, compile=lambda *rates, jit_compile: None
    )
    monkeypatch.setattr(control, "ACGAN", compiled)

    def make(config=BASE, *, generator=0.0, discriminator=0.0, images="x", form="off", **tuned):
        networks = Networks(least_generator(), least_discriminator(), ("one", "two"))
        for network, more in ((networks.generator, generator), (networks.discriminator, discriminator)):
            network.weights[-1].assign(network.weights[-1] + more)
        monkeypatch.setattr(control, "Networks", SimpleNamespace(load=lambda path: networks))
        run = SimpleNamespace(config=config, path=tmp_path, cache=tmp_path / "cache", forms={"tuning": form}, round=1)
        run.facts, run.file = lambda stage: tuned, lambda stage, name: tmp_path / stage / name
        run.seed_of = lambda purpose: RunDirectory.seed_of(run, purpose)
        return digest(*control.control_generator(run, SimpleNamespace(digest=images)).get_weights())

    make.trained = trained
    return make


SHARED = [
    {"interactions": {"objective": "color:red"}},
    {"interactions": {"objective": "color:green-blue", "images": 300, "impressions": 7}},
    {"estimator": {"output": "linear", "backbone": "compact", "grid": 2, "pessimism": 0.5}},
    {"estimator": {"bins": 10, "steps": 7, "temperature": 0.1}},
    {"tuning": {"pir_gradient_ratio": 0.0, "pir_weight": 5.0, "pir_gradient_limit": 2.0}},
    {"tuning": {"pir_gradient_ratio": 0.3}},
    {"tuning": {"log_every": 5, "gradients_every": 10, "true_pir_every": 10, "checkpoint_every": 10}},
    {"tuning": {"keep_distance": 0.85}},
    {"tuning": {"stop": "judge", "log_every": 5}},
    {"evaluation": {"images": 30, "alpha": 0.01, "best_of": 2}},
]
OTHERS = [
    {"config": changed(BASE, tuning={"steps": 30})},
    {"config": changed(BASE, tuning={"batch_size": 5})},
    {"config": changed(BASE, tuning={"learning_rate": 0.5})},
    {"config": changed(BASE, tuning={"fools_weight": 0.5})},
    {"config": changed(BASE, gan={"fake_class_weight": 2.0})},
    {"config": changed(BASE, gan={"loss": "saturating"})},
    {"config": changed(BASE, compute={"precision": "mixed_bfloat16"})},
    {"form": "on"},
    {"generator": 0.5},
    {"discriminator": 0.5},
    {"images": "y"},
    {"kept_step": 19},
]


def test_all_objectives_and_estimators_share_a_control(made):
    first = made()
    for sections in SHARED:
        assert made(changed(BASE, **sections)) == first, sections
    assert len(made.trained) == 1 and made.trained[0].steps == 20


def test_another_start_batch_rate_or_number_of_steps_has_a_control_of_its_own(made):
    made()
    for count, other in enumerate([{"config": dataclasses.replace(BASE, seed=1)}, *OTHERS], start=2):
        assert made(**other) == made(**other)
        assert len(made.trained) == count, other


def test_a_tuning_that_was_stopped_has_a_control_of_the_steps_that_are_kept(made):
    longer = changed(BASE, tuning={"steps": 90})
    assert made(longer, kept_step=20) == made() and [schedule.steps for schedule in made.trained] == [20]
    assert made(kept_step=0) == digest(*least_generator().get_weights()) and len(made.trained) == 1
