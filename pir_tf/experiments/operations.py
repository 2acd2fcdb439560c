"""Counts the floating-point operations of a traced TensorFlow function from its graph: what it does, not what it should do.

A multiplication and an addition are two operations. Counted are matrix products and convolutions, forward and backward, that
the function's results depend on, inside the functions that it calls too; everything else is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def count_operations(function: Any) -> float:
    """Operations of one call.

    Args:
        function: a concrete function whose batch size is known.

    Raises:
        ValueError: a shape that matters isn't known.
    """
    graph = function.graph
    # What changes a variable is no input of the results, but is done.
    return _count(graph, [*[t.op for t in graph.outputs], *graph.control_outputs])


def _count(graph: tf.Graph, ends: Iterable[tf.Operation]) -> float:
    total, seen, waiting = 0.0, set(), list(ends)
    while waiting:
        operation = waiting.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
        if operation.type in CALLS:
            inner = graph._get_function(operation.get_attr("f").name).graph  # TensorFlow has no public way into it
            total += _count(inner, [tensor.op for tensor in inner.outputs])
        else:
            total += _operations(operation)
    return total


def _operations(operation: tf.Operation) -> float:
    kind, inputs, outputs = operation.type, operation.inputs, operation.outputs
    if kind == "MatMul":
        depth = inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return _product(2, _size(outputs[0]), depth)
    if kind.startswith("BatchMatMul"):
        depth = inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]
        return _product(2, _size(outputs[0]), depth)
    if kind == "Conv2D":
        return _product(2, _size(outputs[0]), *inputs[1].shape[:3])
    if kind == "Conv2DBackpropInput":  # a transposed convolution too
        return _product(2, _size(inputs[2]), *inputs[1].shape[:3])
    if kind == "Conv2DBackpropFilter":
        kernel = tf.get_static_value(inputs[1])
        return _product(2, _size(inputs[2]), *(outputs[0].shape[:3] if kernel is None else kernel[:3]))
    return 0.0


def _size(tensor: tf.Tensor) -> int | None:
    return tensor.shape.num_elements()


def _product(*numbers: int | None) -> float:
    if any(number is None for number in numbers):
        raise ValueError("a shape isn't known: trace the function with a fixed batch size")
    return float(np.prod([float(number) for number in numbers if number is not None]))
