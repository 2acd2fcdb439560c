"""Data scaling: the PIR of one objective moved to mean 0.5 and standard deviation 0.25, and clipped (C.5).

The map is fitted once, on the true PIR of the images that a run shows, and is the same for every later image of that run:
only so are images before and after tuning on one scale. It is monotone, so it changes no order but among clipped values.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pir_tf.errors import InputError
from pir_tf.runs.directory import read_json, write_json

TARGET_MEAN = 0.5
TARGET_SD = 0.25


@dataclasses.dataclass(frozen=True)
class Scaling:
    """The map PIR -> clip(0.5 + 0.25 (PIR - mean) / sd, 0, 1).

    Source: C.5.
    """

    mean: float  # true PIR of the images that it was fitted on
    sd: float  # with ddof 1, above 0

    @classmethod
    def fit(cls, pir: npt.NDArray[np.float64]) -> Scaling:
        """The map of these images' true PIR, [n], refused where they don't differ."""
        mean, spread = (float(np.mean(pir)), float(np.std(pir, ddof=1))) if len(pir) > 1 else (float(np.sum(pir)), 0.0)
        # Equal values have a mean that is rounded, and so a spread of a few last places.
        if not spread > 1e-12:
            raise InputError(
                f"The PIR of the {len(pir)} shown images is {mean:.6g} throughout; expected some spread, which scaling divides "
                "by: choose another objective, or --interactions.scaling none."
            )
        return cls(mean, spread)

    @classmethod
    def load(cls, path: Path) -> Scaling:
        """Reads what `save` wrote."""
        stored = read_json(path)
        return cls(stored["mean"], stored["sd"])

    def save(self, path: Path, **facts: Any) -> None:
        """Writes the map, with facts about it, as JSON."""
        write_json(path, {"mean": self.mean, "sd": self.sd, **facts})

    def __call__(self, pir: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The scaled PIR, float64 of the same shape in [0, 1]."""
        return np.clip(self._moved(pir), 0.0, 1.0)

    def percent_clipped(self, pir: npt.NDArray[np.float64]) -> float:
        """Percent of values that fall below 0 or above 1 before they are clipped."""
        moved = self._moved(pir)
        return float(100.0 * np.mean((moved < 0.0) | (moved > 1.0)))

    def _moved(self, pir: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return TARGET_MEAN + TARGET_SD * (np.asarray(pir, np.float64) - self.mean) / self.sd
