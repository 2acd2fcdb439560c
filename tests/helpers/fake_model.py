"""A served model in NumPy: the export's endpoints, names, types and refusals, without a network or TensorFlow."""

import io
import threading

import numpy as np
from PIL import Image

CLASSES = ("coast", "mountain")
SIGNATURES = {
    **dict.fromkeys(("serving_default", "generate"), {"seed": np.int64, "class_id": np.int32}),
    "generate_from_latent": {"latent": np.float32, "class_id": np.int32},
    "score": {"image_bytes": bytes},
}


class Refused(Exception):
    """What the model server answers: a status and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class FakeModel:
    """A version of a model: `shift` tells its pictures, noise that PNG can't make smaller, from another version's."""

    def __init__(self, shift=0, size=64):
        self.shift, self.size = shift, size

    def predict(self, signature, inputs):
        """Outputs by name: arrays, or lists of bytes or text."""
        class_id = inputs.get("class_id")
        (rows,) = {len(values) for values in inputs.values()}
        assert 1 <= rows <= 256
        if class_id is not None and (min(class_id) < 0 or max(class_id) >= len(CLASSES)):
            # As TensorFlow prints an assertion: the place in the graph follows.
            said = f"class_id has {max(class_id)}, expected 0 to {len(CLASSES) - 1}"
            raise Refused("INVALID_ARGUMENT", f"assertion failed: [{said}]\n\t [[{{{{node Assert/Assert}}}}]]")
        if "seed" in inputs:
            images = [self.picture(seed, c) for seed, c in zip(inputs["seed"], class_id, strict=True)]
            return {"image_bytes": [png(image) for image in images], "class_name": [CLASSES[c] for c in class_id]}
        if signature == "generate_from_latent":
            pairs = zip(inputs["latent"], class_id, strict=True)
            return {"image": np.stack([self.picture(latent[:1].view(np.int32)[0], c) for latent, c in pairs])}
        return {"pir": np.array([self.pir(data) for data in inputs["image_bytes"]], np.float32)}

    def picture(self, seed, class_id):
        """The uint8 picture of a seed and a class."""
        generator = np.random.default_rng([abs(int(seed)), int(seed) < 0, int(class_id), self.shift])
        return generator.integers(0, 256, (self.size, self.size, 3), np.uint8)

    def pir(self, data):
        """The share of blue in an encoded picture."""
        try:
            values = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)
        except OSError:
            raise Refused("INVALID_ARGUMENT", "image_bytes holds no PNG or JPEG") from None
        return values[..., 2].sum() / values.sum()


def png(image):
    """A picture as a PNG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


class FakeServer:
    """Versions under labels; `troubles`, with which the next requests end (None for none), silence until `talk` is set;
    and `requests`, the labels and signatures that came."""

    def __init__(self, size=64):
        self.versions = {None: FakeModel(2, size), "stable": FakeModel(1, size), "canary": FakeModel(2, size)}
        self.name, self.troubles, self.requests = "landscapes", [], []
        self.talk = threading.Event()

    def signature(self, model, label, signature):
        """The inputs' types of a signature, after the checks that the server makes first, in its own words."""
        self.requests.append((label, signature))
        if self.troubles and (trouble := self.troubles.pop(0)):
            raise Refused(trouble, "told to fail")
        if model != self.name:
            raise Refused("NOT_FOUND", f"Servable not found for request: Latest({model})")
        if label not in self.versions:
            raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        signature = signature or "serving_default"
        return signature, SIGNATURES[signature]
