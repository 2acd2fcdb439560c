"""A client for exported models behind TensorFlow Serving: `connect` to a REST or gRPC address, and ask for images.

    from pir_tf.serving.canary import label_for
    from pir_tf.serving.client import connect

    with connect("http://localhost:8501", model="landscapes") as client:
        answer = client.generate([1, 2, 3], class_ids=0, label=label_for("user-17", canary_percent=10))

With an http:// address it imports no TensorFlow. `pir_tf.serving.generate` is a command that uses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pir_tf.serving import client_inputs as checked
from pir_tf.serving.client_rest import RestTransport
from pir_tf.serving.endpoints import GENERATE, GENERATE_FROM_LATENT, MAX_BATCH, SCORE, Endpoint, Values
from pir_tf.serving.retries import AttemptFailed, Patience, ServingError, repeated

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
    checked.require_settings(model, deadline)
    if address.startswith("grpc"):
        from pir_tf.serving.client_grpc import GrpcTransport

        return Client(GrpcTransport(address, model), f"{model} at {address}", label, deadline, patience or Patience())
    return Client(RestTransport(address, model), f"{model} at {address}", label, deadline, patience or Patience())


class Client:
    """What `connect` gives. Its methods may be called from several threads.

    Every method takes any number of images. More than 256 are asked for in several requests, one after the other, and come back
    in their order; when one of the requests fails, the call fails.
    """

    def __init__(
        self,
        transport: RestTransport | GrpcTransport,
        name: str,
        label: str | None,
        deadline: float,
        patience: Patience,
    ) -> None:
        self._transport = transport
        self._name = name
        self._label = label
        self._deadline = deadline
        self._patience = patience

    def generate(self, seeds: Sequence[int], class_ids: int | Sequence[int], *, label: str | None = None) -> Generated:
        """Images from seeds: a seed and a class give the same picture, whoever asks and whenever.

        Args:
            seeds: int64 numbers [n].
            class_ids: class indices [n], in the order of the exported class names, or one for all.
            label: instead of the client's own.

        Returns:
            PNG files and class names, n each.

        Raises:
            InputError: values that can't be sent.
            ServingError: the server refused, or gave no answer in time.
        """
        inputs = checked.together(seed=checked.integers("seeds", seeds, np.int64), class_id=class_ids)
        outputs = self._ask(GENERATE, inputs, label)
        return Generated(outputs["image_bytes"], outputs["class_name"])

    def generate_from_latent(
        self, latent: np.ndarray, class_ids: int | Sequence[int], *, label: str | None = None
    ) -> np.ndarray:
        """Images from latent vectors. Over REST every pixel is a decimal number: use gRPC for many.

        Args:
            latent: finite float array [n, latent size].
            class_ids: as in `generate`.
            label: instead of the client's own.

        Returns:
            uint8 array [n, height, width, channels].

        Raises:
            InputError: values that can't be sent.
            ServingError: the server refused, or gave no answer in time.
        """
        inputs = checked.together(latent=checked.latents(latent), class_id=class_ids)
        return self._ask(GENERATE_FROM_LATENT, inputs, label)["image"]

    def score(self, images: Sequence[bytes], *, label: str | None = None) -> np.ndarray:
        """The estimator's view of images: their PIR. A model that was exported without its estimator refuses.

        Args:
            images: PNG files of the generator's image size [n].
            label: instead of the client's own.

        Returns:
            float32 array [n], from 0 to 1.

        Raises:
            InputError: values that can't be sent.
            ServingError: the server refused, or gave no answer in time.
        """
        return self._ask(SCORE, {"image_bytes": checked.files(images)}, label)["pir"]

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, endpoint: Endpoint, inputs: Mapping[str, Values], label: str | None) -> dict[str, Any]:
        until = self._patience.clock() + self._deadline
        label = label or self._label
        count = len(inputs[endpoint.inputs[0]])
        parts = []
        for start in range(0, count, MAX_BATCH):
            part = {name: values[start : start + MAX_BATCH] for name, values in inputs.items()}
            parts.append(self._ask_once(endpoint, part, label, until))
        return {name: _joined([part[name] for part in parts]) for name in endpoint.outputs}

    def _ask_once(
        self, endpoint: Endpoint, inputs: Mapping[str, Values], label: str | None, until: float
    ) -> dict[str, Any]:
        count = len(inputs[endpoint.inputs[0]])

        def attempt(timeout: float) -> dict[str, Any]:
            outputs = self._transport.predict(endpoint, inputs, label=label, timeout=timeout)
            for name, values in outputs.items():
                if len(values) != count:
                    raise AttemptFailed("UNKNOWN", f"the answer has {len(values)} of {name}, expected {count}")
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
