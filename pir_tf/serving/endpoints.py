"""What the exported model answers, as the client sees it: names, inputs, outputs and the largest batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_BATCH = 256
"""Images that one request may ask for."""

Values = np.ndarray | list[bytes]
"""An input: numbers of the signature's type, or encoded images; the images lie along the first axis."""


@dataclass(frozen=True)
class Endpoint:
    """A signature of the served model.

    Args:
        signature: its name there.
        inputs: names of the inputs.
        outputs: what each output is: `bytes`, `str`, or the type of an array.
    """

    signature: str
    inputs: tuple[str, ...]
    outputs: dict[str, Any]


GENERATE = Endpoint("generate", ("seed", "class_id"), {"image_bytes": bytes, "class_name": str})
GENERATE_FROM_LATENT = Endpoint("generate_from_latent", ("latent", "class_id"), {"image": np.uint8})
SCORE = Endpoint("score", ("image_bytes",), {"pir": np.float32})
