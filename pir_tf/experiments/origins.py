"""Where the images that people are shown come from: the versions of what made and chose them, so that an answer can be traced.

A version is a SHA-256: of the model's file, the same in every run directory that holds a copy, or of all files of a folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from pir_tf.estimator.model import saved_estimator
from pir_tf.pretrained import sha256
from pir_tf.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Origin:
    """Of n images.

    Attributes:
        generator: Version of the generator of each, or one for all.
        estimator: Version of the newest estimator when they were offered; empty in a first round, before there is one.
        chance: Probability with which each was drawn from candidates, float64 `[n]`; None where all were taken.
        predicted: What that estimator says of each, float64 `[n]`; None where nobody asked it.
    """

    generator: str | tuple[str, ...] = ""
    estimator: str = ""
    chance: np.ndarray | None = None
    predicted: np.ndarray | None = None


def version(path: Path) -> str:
    """The version of a model's file, or of its folder by the names and contents of its files; empty where there is none."""
    if not path.is_dir():
        return sha256(path) if path.exists() else ""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = "".join(f"{file.relative_to(path).as_posix()} {sha256(file)}\n" for file in files)
    return hashlib.sha256(names.encode()).hexdigest()


def generator_version(folder: Path) -> str:
    """The version of the generator that a stage left in this folder: a `.keras` file, or an imported SavedModel."""
    stock, other = folder / "generator.keras", folder / "generator"
    return version(other if other.is_dir() and not stock.exists() else stock)


def estimator_version(folder: Path) -> str:
    """The version of the estimator that a stage left in this folder."""
    return version(saved_estimator(folder))


def of_proof(run: RunDirectory, before: Path, estimated: tuple[np.ndarray, np.ndarray]) -> Origin:
    """Of a proof's images, those before first: two generators, and what the estimator that tuned one of them says.

    Args:
        run: The run.
        before: Where the generator of the images before lies.
        estimated: Their estimated PIR, and that of the images after.
    """
    versions = (generator_version(before), generator_version(run.path / "tuning"))
    sides = tuple(name for name, side in zip(versions, estimated, strict=True) for _ in side)
    return Origin(sides, estimator_version(run.path / "estimator"), None, np.concatenate(estimated).astype(float))
