"""What lets a training step give the same result on one replica and on many.

A strategy of `tf.distribute` runs the step on every replica with a part of the batch, and optimizers add up the replicas'
gradients. So each replica takes the mean over its own rows times its share of the batch's rows: the sum is the mean over the
whole batch, whatever the number of replicas and however unevenly the rows fall. Without a strategy all of this does nothing.

Latents and classes are drawn for the whole batch on every replica, from (seed, step), and each takes its own rows: the numbers
don't depend on the number of replicas. What is not here: which strategy there is (`devices`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.errors import InputError
from pir_tf.training.devices import is_chief

SEED_STRIDE = 1_000_003
"""Between the seeds of two replicas: more than any job has replicas, and no multiple of what seeds are made of."""


@dataclass(frozen=True)
class Share:
    """This replica's rows of a batch.

    Attributes:
        total: Rows of the whole batch, an int32 scalar.
        start: The first of this replica's rows among them.
        rows: How many it has.
        fraction: rows / total, a float32 scalar; None without a strategy.
    """

    total: tf.Tensor
    start: tf.Tensor
    rows: tf.Tensor
    fraction: tf.Tensor | None = None

    def of(self, whole: tf.Tensor) -> tf.Tensor:
        """This replica's rows of something that has the whole batch's; one row, which counts nothing, where it has none."""
        if self.fraction is None:
            return whole
        first = tf.minimum(self.start, self.total - 1)  # for a replica without rows, the last row: see `never_empty`
        return whole[first : first + tf.maximum(self.rows, 1)]

    def scaled(self, mean: tf.Tensor) -> tf.Tensor:
        """This replica's part of the mean over the whole batch, of the mean over its own rows."""
        return mean if self.fraction is None else mean * self.fraction

    def mean(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The means over the whole batch, of means over this replica's rows; the same on every replica."""
        if self.fraction is None:
            return values
        parts = tf.stack([self.scaled(value) for value in values.values()])
        context = tf.distribute.get_replica_context()
        return dict(zip(values, tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, parts)), strict=True))


def share(rows: tf.Tensor) -> Share:
    """This replica's share of a batch of which it has so many rows, 0 or more. Every replica must call it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return Share(rows, tf.constant(0), rows)
    count, place = context.num_replicas_in_sync, context.replica_id_in_sync_group
    mine = tf.one_hot(place, count) * tf.cast(rows, tf.float32)
    sizes = tf.cast(tf.round(context.all_reduce(tf.distribute.ReduceOp.SUM, mine)), tf.int32)
    total, start = tf.reduce_sum(sizes), tf.reduce_sum(sizes[:place])
    fraction = tf.math.divide_no_nan(tf.cast(rows, tf.float32), tf.cast(total, tf.float32))
    return Share(total, start, rows, fraction)


def total(value: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over all replicas, the same on each. Every replica must call it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def never_empty(batch: Any) -> Any:
    """The batch, or one row of zeros where this replica has none, since networks don't run on no rows.

    The last batch of an epoch may have fewer rows than replicas. The row's share is 0, so it adds nothing to losses and
    gradients. Batch normalization alone counts it, in the statistics of that training step: `drop_remainder=True` avoids it.

    Args:
        batch: tensors with a row each along the first axis, in any nest.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return batch

    def padded(rows: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(rows)
        missing = 1 - tf.minimum(shape[:1], 1)
        return tf.concat([rows, tf.zeros(tf.concat([missing, shape[1:]], axis=0), rows.dtype)], axis=0)

    return tf.nest.map_structure(padded, batch)


def seed_offset() -> tf.Tensor:
    """What to add to a seed (int64) so that every replica draws other numbers; 0 on the first, and without a strategy."""
    context = tf.distribute.get_replica_context()
    place = 0 if context is None else context.replica_id_in_sync_group
    return tf.cast(place, tf.int64) * SEED_STRIDE


def synchronize(network: keras.Model) -> None:
    """Lets batch normalization take its statistics over the batches of all replicas, where there is more than one."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            synchronize(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1


class BuiltModel(keras.Model):
    """A Keras model whose networks are built when it is made, so that `fit` has nothing to build.

    Under a strategy Keras averages the replicas' parts of a first batch to build a model from it, which fails where their
    sizes differ. The method is Keras's own; should it get another name, uneven batches fail again and a test tells.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        del iterator, data_batch


def logs(means: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a training step returns, in the shape that `fit` can reduce.

    Keras reduces the logs of several processes along their first axis, which a scalar hasn't.
    """
    several = is_multi_worker(tf.distribute.get_strategy())
    return {name: value[None] for name, value in means.items()} if several else means


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy spans several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def agree(strategy: tf.distribute.Strategy, value: int) -> int:
    """The chief's value, in every process of the job; each waits here for all others.

    Raises:
        tf.errors.OpError: another process is gone.
    """
    if not is_multi_worker(strategy):
        return value
    total, here = _sum(strategy, value if is_chief() else 0)
    return round(total / here)


def require_one_step(strategy: tf.distribute.Strategy, step: int, directory: Path) -> None:
    """Refuses to train where the processes of a job restored checkpoints of different steps, in all of them at once.

    One machine may see an older state of the directory, or fail to read a file that the others can.

    Args:
        strategy: the model's `distribute_strategy`.
        step: what this process restored; each waits here for all others.
        directory: where the checkpoints lie.

    Raises:
        InputError: a process restored another step than the chief.
        tf.errors.OpError: another process is gone.
    """
    chiefs = agree(strategy, step)
    if not is_multi_worker(strategy) or not _sum(strategy, int(step != chiefs))[0]:
        return
    here = f"step {step} here and " if step != chiefs else "another step in another process than "
    raise InputError(
        f"The checkpoints in {directory} gave {here}step {chiefs} in the job's first process, expected one step in all: see that "
        "every machine can read all of them, then start all processes again with the same commands."
    )


def _sum(strategy: tf.distribute.Strategy, value: int) -> tuple[float, int]:
    """The sum of a number over all replicas of a job, and how many of them this process has."""
    sums = _adder(strategy)(tf.constant(value, tf.float64))
    return float(sums[0]), len(sums)


@functools.lru_cache(maxsize=1)
def _adder(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    def one(mine: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(mine))  # on this replica's device

    return tf.function(lambda mine: strategy.experimental_local_results(strategy.run(one, (mine,))), autograph=False)


@dataclass(frozen=True)
class Part:
    """What one reader of the training data gets: the images index, index + count, index + 2 count, ...

    Attributes:
        index: Which part, from 0.
        count: Number of parts.
        batch_size: Rows of its batches.
    """

    index: int
    count: int
    batch_size: int

    @property
    def seed_offset(self) -> int:
        """To be added to the seed of its draws; 0 for the first."""
        return self.index * SEED_STRIDE


def distributed(
    strategy: tf.distribute.Strategy, make: Callable[[Part], tf.data.Dataset], *, batch_size: int
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Training data for `fit` under a strategy.

    In one process the data are one stream of whole batches, which `fit` shares out over the replicas, so that their number
    changes nothing. Several processes learn from disjoint shares of the images, one for each replica.

    Args:
        strategy: the model's `distribute_strategy`.
        make: makes the stream of a part: a dataset of batches with `Part.batch_size` rows.
        batch_size: rows of a step, over all replicas.

    Raises:
        InputError: fewer rows than replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size < replicas:
        raise InputError(
            f"batch_size is {batch_size} for {replicas} replicas, expected at least one row for each: use a larger batch or "
            "fewer devices."
        )
    if not is_multi_worker(strategy):
        return make(Part(0, 1, batch_size))
    sizes = [batch_size // replicas + (i < batch_size % replicas) for i in range(replicas)]

    def of_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = here * context.input_pipeline_id
        streams = [make(Part(i, replicas, sizes[i])) for i in range(first, first + here)]
        if here == 1:
            return streams[0]
        return tf.data.Dataset.choose_from_datasets(streams, tf.data.Dataset.range(here).repeat())

    return strategy.distribute_datasets_from_function(of_process)
