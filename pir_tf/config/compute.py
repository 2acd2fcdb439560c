"""The section `compute`: devices, precision, determinism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices, require_count

Form = Literal["on", "off"]
"""Whether XLA compiles a training's steps: what `jit_compile` comes to."""
ONE_DEVICE = "auto or off, since a step is compiled for one device alone, with compute.distribute "


@dataclass(frozen=True)
class ComputeConfig:
    """How the machines compute: set once, when the process starts."""

    distribute: Literal["auto", "none", "mirrored", "multiworker"] = "auto"
    """Devices that train together: one (`none`), all of this machine (`mirrored`), or those of all processes that the environment
    variable TF_CONFIG names (`multiworker`). `auto` takes what is there. No part of a run's identity."""
    logical_cpus: int = 0
    """Split the CPU into so many devices, to try `mirrored` without GPUs; 0 leaves it whole. No part of a run's identity."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Number format inside the networks in training; with `mixed_bfloat16` weights, last layers, softmaxes and losses stay
    float32."""
    deterministic: bool = True
    """Let two runs with one seed give equal weights (TensorFlow's deterministic operations)."""
    jit_compile: Literal["auto", "on", "off"] = "auto"
    """Compile training steps with XLA, on one device: `on`, `off`, or `auto`, which is on for a training on one GPU with enough
    steps to pay for the compile time, see `training.xla`. The same seed gives the same latents, and other dropout masks. A run
    holds what was on, which is its identity; this option is not. Not the paper's."""
    kernels: Literal["auto", "stock", "fast"] = "auto"
    """Forms of the training passes: `stock` (Keras's layers), `fast` (algebraically equal, made for CPUs) or `auto` (fast
    on one device without a GPU, in float32)."""

    def __post_init__(self) -> None:
        reason = (
            "; float16 has too small a range, and each of a GAN's two optimizers would need a loss scale of its own"
        )
        require_choices("compute", self, precision=reason if "float16" in self.precision else "")
        require_count("compute.logical_cpus", self.logical_cpus)
        several = self.distribute in ("mirrored", "multiworker")
        require(not (several and self.jit_compile == "on"), "compute.jit_compile", "on", ONE_DEVICE + self.distribute)
