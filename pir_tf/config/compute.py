"""The section `compute`: devices, precision, determinism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices
from pir_tf.errors import InputError


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
    jit_compile: bool = False
    """Compile training steps with XLA, whose random numbers differ: the same seed then gives other latents. Needs
    `deterministic` false, with which alone Keras compiles."""
    kernels: Literal["auto", "stock", "fast"] = "auto"
    """Forms of the training passes: `stock` (Keras's layers), `fast` (algebraically equal, made for CPUs) or `auto` (fast
    on one device without a GPU, in float32)."""

    def __post_init__(self) -> None:
        reason = (
            "; float16 has too small a range, and each of a GAN's two optimizers would need a loss scale of its own"
        )
        require_choices("compute", self, precision=reason if "float16" in self.precision else "")
        require(self.logical_cpus >= 0, "compute.logical_cpus", self.logical_cpus, "0 or more")
        if self.jit_compile and self.deterministic:  # Keras would leave XLA out
            raise InputError(
                "compute.jit_compile is true while compute.deterministic is, expected one of them, since XLA doesn't promise the "
                "latter: add --compute.no-deterministic, or leave --compute.jit-compile out."
            )
