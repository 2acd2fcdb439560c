"""Whether XLA compiles a training's steps: the rule behind `compute.jit_compile`, and what XLA is told before TensorFlow starts.

    on     where there is one device
    off    never
    auto   on one GPU, from `LEAST_STEPS` steps on; not on CPUs, nor for a head alone, whose steps are tiny, nor where XLA may not
           know the operations: imported generators and TF-Hub modules

The rule's numbers were seen on H200s with TensorFlow 2.21, but for the 75 s in trials outside of this package (their table is in
`experiments/bench/README.md`). Compiling a step took 30 to 75 s. It then saved 13.9 ms of the 18.0 of an ACGAN step of 64 images,
26.3 of the 34.1 of a tuning step with InceptionV3 at 75 pixels and batch 32, and 21.3 of 43.7 at 299 pixels and batch 64; with
deterministic operations the ACGAN's step saved 9.0 ms, and the others weren't measured so. The least saving has to pay for the
longest compile time.

Compiled or not, latents and classes are the same: they are drawn outside of what is compiled, as XLA draws others. Dropout masks
are drawn inside, and differ. What is not here: the compiled step (`steps`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping

from pir_tf.config import ComputeConfig, ExperimentConfig
from pir_tf.config.compute import ONE_DEVICE, Form
from pir_tf.errors import InputError
from pir_tf.training import devices

COMPILE_S = 75.0
"""Seconds that compiling a step took at the most."""
SAVED_S = 0.009
"""Seconds a step that it saved at the least, in trials outside of this package."""
LEAST_STEPS = math.ceil(COMPILE_S / SAVED_S)
"""Steps that pay for the compile time: 8,334."""

DETERMINISTIC = "--xla_gpu_deterministic_ops"


def form(compute: ComputeConfig, steps: int, *, pays: bool = True, gpus: int | None = None) -> Form:
    """Whether XLA compiles the steps of a training here.

    Args:
        compute: The section of the config.
        steps: Steps of the training in all.
        pays: False where `auto` leaves XLA out whatever the steps: they are tiny, or may have operations that it doesn't know.
        gpus: How many GPUs there are; None to look.

    Raises:
        InputError: It is asked for on several devices.
    """
    if compute.jit_compile == "off":
        return "off"
    distribution = devices.kind(compute)
    if compute.jit_compile == "on":
        if distribution != "none":
            raise InputError(
                f"compute.jit_compile is 'on', expected {ONE_DEVICE}{distribution}: change it with --compute.jit-compile auto."
            )
        return "on"
    one = distribution == "none" and (devices.gpus() if gpus is None else gpus) == 1
    return "on" if one and pays and steps >= LEAST_STEPS else "off"


def forms(
    config: ExperimentConfig, held: Mapping[str, Form] | None = None, *, gpus: int | None = None
) -> dict[str, Form]:
    """The form of each training of an experiment, by its stage. The judge has the estimator's, the control that of tuning.

    Args:
        config: The experiment.
        held: The forms that its run began with, which `auto` keeps where it can: on one device.
        gpus: How many GPUs there are; None to look.

    Raises:
        InputError: They are to be compiled, and there are several devices.
    """
    compute, estimator = config.compute, config.estimator
    known = not estimator.weights.startswith("hub:")
    whole = estimator.trainable == "all" and estimator.output != "linear"
    ours = not config.gan.generator.startswith("import:")
    found: dict[str, Form] = {
        "gan": form(compute, config.gan.steps if config.gan.generator == "train" else 0, gpus=gpus),
        "estimator": form(compute, estimator.steps, pays=known and whole, gpus=gpus),
        "tuning": form(compute, config.tuning.steps, pays=known and ours, gpus=gpus),
    }
    if held and compute.jit_compile == "auto" and devices.kind(compute) == "none":
        return {**found, **held}
    return found


def prepare(compute: ComputeConfig, environment: MutableMapping[str, str] = os.environ) -> None:
    """Asks XLA for deterministic operations on a GPU, where that is wanted: before TensorFlow starts, which reads it once.

    What the user's own `XLA_FLAGS` say stays. Without a GPU, and without XLA, it changes nothing.
    """
    flags = environment.get("XLA_FLAGS", "")
    a_file = bool(flags.strip()) and not flags.strip().startswith("-")
    if compute.deterministic and compute.jit_compile != "off" and not a_file and DETERMINISTIC not in flags:
        environment["XLA_FLAGS"] = f"{flags} {DETERMINISTIC}=true".strip()


def require_deterministic(
    compute: ComputeConfig, found: Mapping[str, Form], environment: Mapping[str, str] = os.environ
) -> None:
    """Refuses to compile for a GPU without deterministic operations where they are asked for.

    Raises:
        InputError: The user's `XLA_FLAGS` say otherwise, or name a file.
    """
    flags = environment.get("XLA_FLAGS", "")
    compiled = "on" in found.values() and devices.gpus()
    if compute.deterministic and compiled and f"{DETERMINISTIC}=true" not in flags.split():
        raise InputError(
            f"XLA_FLAGS is {flags!r} while XLA compiles steps for a GPU and compute.deterministic is true, expected "
            f"{DETERMINISTIC}=true among flags that stand there themselves: change it, or add --compute.no-deterministic."
        )
