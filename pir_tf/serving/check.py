"""`python check.py VERSION ANSWERS`: loads an exported version where this package can't be imported, and calls every endpoint.

A program by itself, which imports nothing of this package: the export runs it in a fresh process before a version gets its
number. ANSWERS is an npz with requests and the Keras models' answers. The last line it prints is a JSON object of what was
found; the exit code is 1 when an answer differs.
"""

from __future__ import annotations

import importlib.abc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

PIR = 1e-3


class _Refuse(importlib.abc.MetaPathFinder):
    """Makes this package impossible to import."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] == "pir_tf":
            raise ImportError("a served model has no pir_tf")


def main(version: str, answers: str) -> int:
    """Checks a version: 0, or 1 after a line on standard error that says what is wrong."""
    sys.meta_path.insert(0, _Refuse())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np
    import tensorflow as tf

    with np.load(answers) as stored:
        known = {name: stored[name] for name in stored.files}
    endpoints = tf.saved_model.load(version).signatures
    expected = ["serving_default", "generate", "generate_from_latent", *(["score"] if "pir" in known else [])]
    if sorted(endpoints) != sorted(expected):
        return _wrong(f"the signatures are {sorted(endpoints)}, expected {sorted(expected)}")

    seed, class_id, latent = (tf.constant(known[name]) for name in ("seed", "class_id", "latent"))
    images, names = known["image"], [str(name) for name in known["class_name"]]
    levels = 0
    for rows in (1, 3, len(seed)):
        classes = {"class_id": class_id[:rows]}
        made = [endpoints["generate_from_latent"](latent=latent[:rows], **classes)["image"].numpy()]
        for name in ("serving_default", "generate"):
            answer = endpoints[name](seed=seed[:rows], **classes)
            made.append(np.stack([tf.io.decode_png(data, channels=3) for data in answer["image_bytes"]]))
            if [data.decode() for data in answer["class_name"].numpy()] != names[:rows]:
                return _wrong(f"{name} names other classes than {names[:rows]}")
        levels = max([levels, *(int(np.abs(x.astype(int) - images[:rows]).max()) for x in made)])
    most = int(known["grey_levels"])
    if levels > most:
        return _wrong(f"images differ from the Keras model's by {levels} grey levels, expected at most {most}")
    differences: dict[str, Any] = {"grey_levels": levels}

    png = tf.io.encode_png(images)
    if "pir" in known:
        difference = max(
            float(np.abs(endpoints["score"](image_bytes=png[:rows])["pir"].numpy() - known["pir"][:rows]).max())
            for rows in (1, len(seed))
        )
        if not difference <= PIR:
            return _wrong(f"PIR differs from the Keras model's by {difference}, expected at most {PIR}")
        differences["pir"] = difference
        if not _refuses(tf, lambda: endpoints["score"](image_bytes=tf.constant([b"no image"])), "image_bytes"):
            return _wrong("score takes bytes that are no image")
    outside = tf.fill(tf.shape(class_id), known["class_count"].astype(np.int32))
    if not _refuses(tf, lambda: endpoints["generate"](seed=seed, class_id=outside), "class_id"):
        return _wrong("generate takes a class that is out of range")
    print(json.dumps(differences))
    return 0


def _refuses(tf: Any, call: Callable[[], Any], field: str) -> bool:
    try:
        call()
    except tf.errors.InvalidArgumentError as error:
        return field in str(error)
    return False


def _wrong(what: str) -> int:
    print(f"Checked: {what}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
