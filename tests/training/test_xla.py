"""When XLA compiles a training's steps, what it is told before TensorFlow starts, and what is refused."""

import os
import subprocess
import sys

import pytest

from pir_tf.config import ComputeConfig, EstimatorConfig, ExperimentConfig, changed
from pir_tf.errors import InputError
from pir_tf.presets import laptop, paper
from pir_tf.training import devices, xla

FLAG = "--xla_gpu_deterministic_ops=true"


@pytest.fixture
def machine(monkeypatch):
    """A function that sets how many GPUs there seem to be, and how trainings are distributed."""

    def have(gpus, kind="none"):
        monkeypatch.setattr(devices, "gpus", lambda: gpus)
        monkeypatch.setattr(devices, "kind", lambda compute: kind)

    return have


def test_the_rule_is_the_longest_compile_time_over_the_least_saving():
    assert xla.LEAST_STEPS == 8334 and xla.LEAST_STEPS * 0.009 >= 75 > (xla.LEAST_STEPS - 1) * 0.009


@pytest.mark.parametrize(
    "asked, gpus, steps, pays, expected",
    [
        ("auto", 1, 8334, True, "on"),
        ("auto", 1, 8333, True, "off"),
        ("auto", 1, 10**6, False, "off"),
        ("auto", 0, 10**6, True, "off"),
        ("on", 0, 1, False, "on"),
        ("off", 1, 10**6, True, "off"),
    ],
)
def test_form(machine, asked, gpus, steps, pays, expected):
    machine(gpus)
    assert xla.form(ComputeConfig(jit_compile=asked), steps, pays=pays) == expected


def test_several_devices_compile_nothing_and_are_refused_what_is_asked_for(machine):
    machine(8, "mirrored")
    assert xla.form(ComputeConfig(), 10**6) == "off"
    with pytest.raises(
        InputError, match="expected auto or off, since a step is compiled for one device .* mirrored: change"
    ):
        xla.form(ComputeConfig(jit_compile="on"), 10**6)


WHOLE = EstimatorConfig(trainable="all", weights="none")
OFF = {"gan": "off", "estimator": "off", "tuning": "off"}


@pytest.mark.parametrize(
    "config, on",
    [
        (ExperimentConfig(estimator=WHOLE), {"gan", "estimator", "tuning"}),
        (changed(paper(), gan={"generator": "bundled"}, estimator={"trainable": "head"}), {"tuning"}),
        (changed(paper(), tuning={"kind": "residual"}, estimator={"trainable": "head"}), {"gan", "tuning"}),
        (changed(paper(), estimator={"weights": "hub:https://example.org/module"}), {"gan"}),
        (laptop(), set()),
    ],
)
def test_an_experiment_on_one_gpu(machine, config, on):
    machine(1)
    assert {stage for stage, form in xla.forms(config).items() if form == "on"} == on
    machine(0)
    assert xla.forms(config) == OFF


def test_auto_keeps_what_the_run_began_with_where_it_can(machine):
    machine(0)
    began = {**OFF, "tuning": "on"}
    assert xla.forms(paper(), began) == began
    assert xla.forms(changed(paper(), compute={"jit_compile": "off"}), began) == OFF
    machine(2, "mirrored")
    assert xla.forms(paper(), began) == OFF  # which the run's directory refuses by name, once a stage has used it


@pytest.mark.parametrize(
    "before, after",
    [
        (None, FLAG),
        ("", FLAG),
        ("--xla_dump_to=there --xla_x=1", f"--xla_dump_to=there --xla_x=1 {FLAG}"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),
        ("flags.txt", "flags.txt"),  # the name of a file
    ],
)
def test_a_flag_is_added_to_the_users_own(before, after):
    environment = {} if before is None else {"XLA_FLAGS": before}
    xla.prepare(ComputeConfig(), environment)
    assert environment["XLA_FLAGS"] == after


@pytest.mark.parametrize("fields", [{"deterministic": False}, {"jit_compile": "off"}])
def test_no_flag_is_added_where_nothing_asks_for_it(fields):
    environment = {}
    xla.prepare(ComputeConfig(**fields), environment)
    assert environment == {}


def test_flags_that_say_otherwise_are_refused_on_a_gpu(machine):
    machine(1)
    on, compute = {**OFF, "gan": "on"}, ComputeConfig()
    xla.require_deterministic(compute, on, {"XLA_FLAGS": f"--xla_x=1 {FLAG}"})
    xla.require_deterministic(compute, OFF, {})
    xla.require_deterministic(ComputeConfig(deterministic=False), on, {})
    for flags in ("flags.txt", "--xla_gpu_deterministic_ops=false"):
        with pytest.raises(
            InputError, match=f"XLA_FLAGS is '{flags}' while XLA compiles .* add --compute.no-deterministic"
        ):
            xla.require_deterministic(compute, on, {"XLA_FLAGS": flags})
    machine(0)
    xla.require_deterministic(compute, on, {})


@pytest.mark.nightly
def test_the_flag_is_known_and_changes_nothing_without_a_gpu():
    """XLA ends a process for a flag that it doesn't know: the smoke run too, whose generator it compiles."""
    words = "import tensorflow as tf; print(float(tf.function(tf.square, jit_compile=True)(tf.constant(3.0))))"
    environment = {**os.environ, "XLA_FLAGS": FLAG, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "9.0\n"
