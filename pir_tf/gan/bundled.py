"""The networks that come with the package, pretrained on the embedded landscapes.

Stored as arrays and put into networks that are built in code, so that they outlive any file format: kernels as float16,
batch-normalization statistics and biases as float32. `weights/CARD.md` says how they were made.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from pir_tf.data.landscapes import CLASS_NAMES
from pir_tf.errors import InputError
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.saved import Networks
from pir_tf.runs.arrays import DAMAGE, read_arrays
from pir_tf.runs.directory import atomic

WEIGHTS = Path(__file__).parent / "weights" / "landscapes.npz"


def bundled_networks(*, dropout: float = 0.5, path: Path = WEIGHTS) -> Networks:
    """The bundled generator and discriminator, this one with the dropout rate of tuning.

    Raises:
        InputError: the file is missing or damaged, or doesn't fit the networks of C.2.
    """
    if not path.exists():
        raise InputError(f"{path} is missing from this installation: reinstall, or train with --gan.generator train.")
    try:
        arrays = read_arrays(path)
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({error}): reinstall the package.") from error
    generator, discriminator = build_generator(len(CLASS_NAMES)), build_discriminator(len(CLASS_NAMES), dropout=dropout)
    for prefix, network in (("generator", generator), ("discriminator", discriminator)):
        for variable in network.weights:  # moving statistics too, but no state of random generators
            name = f"{prefix}/{variable.path}"
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                raise InputError(f"{path} doesn't hold {name} of shape {tuple(variable.shape)}: reinstall the package.")
            variable.assign(arrays[name].astype(np.float32))
    return Networks(generator, discriminator, CLASS_NAMES)


def write_bundle(networks: Networks, path: Path) -> None:
    """Writes what `bundled_networks` reads: matrices and kernels as float16, vectors as float32."""
    arrays = {}
    for prefix, network in (("generator", networks.generator), ("discriminator", networks.discriminator)):
        for variable in network.weights:
            value = keras.ops.convert_to_numpy(variable)
            arrays[f"{prefix}/{variable.path}"] = value.astype(np.float16) if value.ndim > 1 else value
    with atomic(path) as beside:
        np.savez_compressed(beside, **arrays)
