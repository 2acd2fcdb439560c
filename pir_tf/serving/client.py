"""A client for exported models behind TensorFlow Serving: `connect` to a REST or gRPC address, and ask for images.

    from pir_tf.serving.canary import label_for
    from pir_tf.serving.client import connect

    with connect("http://localhost:8501", model="landscapes") as client:
        answer = client.generate([1, 2, 3], class_ids=0, label=label_for("user-17", canary_percent=10))

With an http:// address it imports no TensorFlow. What can't be sent is refused here, in a sentence about the caller's own
argument. `pir_tf.serving.generate` is a command that uses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pir_tf.errors import InputError
from pir_tf.serving import protocol
from pir_tf.serving.client_rest import RestTransport
from pir_tf.serving.protocol import AttemptFailed, Endpoint, Patience, ServingError, Values, repeated

if TYPE_CHECKING:
    from pir_tf.serving.client_grpc import GrpcTransport


class Generated(NamedTuple):
    """Images as files: PNG bytes and the name of each one's class."""

    image_bytes: list[bytes]
    class_names: list[str]


def connect(
    address: str, *, model: str, label: str | None = None, deadline: float = 60.0, patience: Patience | None = None
) -> Client:
    """A client for one served model. Nothing is sent yet.

    Args:
        address: `http://HOST:8501` or `https://HOST` for REST; `grpc://HOST:8500` or `grpcs://HOST:PORT` for gRPC, which is
            faster for arrays and needs `pip install 'pir_tf[serving]'`.
        model: the model's name in the server's configuration.
        label: label of the version to ask, such as `stable`; None is the newest version that is loaded.
        deadline: seconds that one call may take, with all its requests and repetitions.
        patience: how to wait between repetitions; the default suits a server that restarts.

    Raises:
        InputError: an address, model or deadline that can't be one, or packages that gRPC needs are absent.
    """
    if not model:
        raise InputError("The model's name is empty, expected the one in the server's configuration: give it.")
    if not 0 < deadline < float("inf"):
        raise InputError(f"The deadline is {deadline!r}, expected seconds above 0: change it.")
    transport: RestTransport | GrpcTransport
    if address.startswith("grpc"):
        from pir_tf.serving.client_grpc import GrpcTransport

        transport = GrpcTransport(address, model)
    else:
        transport = RestTransport(address, model)
    return Client(transport, f"{model} at {address}", label, deadline, patience or Patience())


class Client:
    """What `connect` gives. Its methods may be called from several threads.

    Every method takes any number of images. More than 256 are asked for in several requests, one after the other, and come back
    in their order; when one of the requests fails, the call fails. A `label` is asked instead of the client's own.

    Raises:
        InputError: values that can't be sent.
        ServingError: the server refused, or gave no answer in time.
    """

    def __init__(
        self,
        transport: RestTransport | GrpcTransport,
        name: str,
        label: str | None,
        deadline: float,
        patience: Patience,
    ) -> None:
        self._transport, self._name, self._label = transport, name, label
        self._deadline, self._patience = deadline, patience

    def generate(self, seeds: Sequence[int], class_ids: int | Sequence[int], *, label: str | None = None) -> Generated:
        """Images from seeds: a seed and a class give the same picture, whoever asks and whenever.

        Args:
            seeds: int64 numbers [n].
            class_ids: class indices [n], in the order of the exported class names, or one for all.
        """
        rows = _integers("seeds", seeds, np.int64)
        outputs = self._ask(
            protocol.GENERATE, {"seed": rows, "class_id": _classes(class_ids, "seed", len(rows))}, label
        )
        return Generated(outputs["image_bytes"], outputs["class_name"])

    def generate_from_latent(
        self, latent: np.ndarray, class_ids: int | Sequence[int], *, label: str | None = None
    ) -> np.ndarray:
        """Images from latent vectors. Over REST every pixel is a decimal number: use gRPC for many.

        Args:
            latent: finite float array [n, latent size].
            class_ids: as in `generate`.

        Returns:
            uint8 array [n, height, width, channels].
        """
        rows = _latents(latent)
        inputs: dict[str, Values] = {"latent": rows, "class_id": _classes(class_ids, "latent", len(rows))}
        return self._ask(protocol.GENERATE_FROM_LATENT, inputs, label)["image"]

    def score(self, images: Sequence[bytes], *, label: str | None = None) -> np.ndarray:
        """The estimator's view of PNG files [n] of the generator's image size: their PIR, float32 [n] from 0 to 1."""
        return self._ask(protocol.SCORE, {"image_bytes": _files(images)}, label)["pir"]

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, endpoint: Endpoint, inputs: Mapping[str, Values], label: str | None) -> dict[str, Any]:
        until = self._patience.clock() + self._deadline
        parts = []
        for start in range(0, len(inputs[endpoint.inputs[0]]), protocol.MAX_BATCH):
            part = {name: values[start : start + protocol.MAX_BATCH] for name, values in inputs.items()}
            parts.append(self._ask_once(endpoint, part, label or self._label, until))
        return {name: _joined([part[name] for part in parts]) for name in endpoint.outputs}

    def _ask_once(
        self, endpoint: Endpoint, inputs: Mapping[str, Values], label: str | None, until: float
    ) -> dict[str, Any]:
        count = len(inputs[endpoint.inputs[0]])

        def attempt(timeout: float) -> dict[str, Any]:
            outputs = self._transport.predict(endpoint, inputs, label=label, timeout=timeout)
            for name, values in outputs.items():
                there = len(values) if np.ndim(values) else "no list"
                if there != count:
                    raise AttemptFailed("UNKNOWN", f"the answer has {there} of {name}, expected {count}")
            return outputs

        def error(failed: AttemptFailed, attempts: int) -> ServingError:
            field = next((name for name in endpoint.inputs if re.search(rf"\b{name}\b", failed.details)), None)
            version = f" ({label})" if label else ""
            request = f"{endpoint.signature} of {self._name}{version}"
            return ServingError(request, failed, field=field, attempts=attempts)

        return repeated(attempt, until=until, patience=self._patience, error=error)


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [item for part in parts for item in part]


def _integers(argument: str, values: Any, dtype: type) -> np.ndarray:
    """Whole numbers [n] of the signature's type. Floats are refused: a seed of 1.5 is nobody's intention."""
    try:
        array = np.asarray(values)
        whole = array.ndim == 1 and (array.dtype.kind in "iu" or _are_whole(values))
    except (ValueError, OverflowError):
        whole = False
    if not whole or not len(array):
        raise InputError(
            f"{argument} received {_shown(values)}, expected a list of at least one whole number: change it."
        )
    limits = np.iinfo(dtype)
    numbers = [int(value) for value in values]  # NumPy makes other numbers of large ones
    if min(numbers) < limits.min or max(numbers) > limits.max:
        worst = max(numbers) if max(numbers) > limits.max else min(numbers)
        raise InputError(f"{argument} has {worst}, expected numbers from {limits.min} to {limits.max}: change it.")
    return np.array(numbers, dtype)


def _are_whole(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)


def _classes(values: Any, other: str, count: int) -> np.ndarray:
    """The class of each row; one class stands for all. How many classes there are is the server's to say."""
    one = isinstance(values, int | np.integer) and not isinstance(values, bool)
    classes = _integers("class_ids", [values] * count if one else values, np.int32)
    if len(classes) != count:
        raise InputError(
            f"class_ids has {len(classes)} numbers and {other} {count}, expected as many of both: change one."
        )
    if classes.min() < 0:
        raise InputError(f"class_ids has {classes.min()}, expected 0 or more: change it.")
    return classes


def _latents(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        received = f"{array.dtype} values of shape {list(array.shape)}"
        raise InputError(f"latent received {received}, expected floats [n, latent size]: change it.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():  # after the conversion: a large float64 becomes infinite by it
        raise InputError("latent has NaN or infinite values, expected finite float32 ones: change it.")
    return array


def _files(images: Any) -> list[bytes]:
    """Files' bytes [n]. Whether they are an image is for the server to say."""
    # bytes are a sequence too, of numbers: one image alone would be taken apart.
    if isinstance(images, bytes | bytearray | str) or not len(images):
        raise InputError(f"images received {_shown(images)}, expected a list of at least one file's bytes: change it.")
    for place, image in enumerate(images):
        if not isinstance(image, bytes | bytearray) or not image:
            raise InputError(
                f"images has {_shown(image)} at place {place}, expected the bytes of a PNG file: change it."
            )
    return [bytes(image) for image in images]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
