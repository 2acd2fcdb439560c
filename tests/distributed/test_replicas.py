"""What replicas share, what differs between them, and where all processes of a job end."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import small_discriminator, small_generator

from pir_tf.config import ComputeConfig
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.gan.acgan import ACGAN
from pir_tf.training import fit, replicas, xla


def on_each(strategy, what):
    return [np.array(value) for value in strategy.experimental_local_results(strategy.run(what))]


def test_replicas_draw_other_dropout_masks_and_the_same_ones_again(two_replicas):
    with two_replicas.scope():
        acgan = ACGAN(small_generator(), small_discriminator(dropout=0.5), seed=3)

    def judge():
        acgan._seed_dropout()
        u, _ = acgan._judge(tf.ones((2, 8, 8, 3)), update=False)
        return u

    first, second = on_each(two_replicas, judge)
    again, _ = on_each(two_replicas, judge)
    assert np.abs(first - second).max() > 1e-3 and np.array_equal(first, again)


def test_a_long_epoch_on_two_replicas_keeps_its_logs_finite(two_replicas):
    """A mean whose total were added up over the replicas at each step would double it: 2**128 is no float32."""
    with two_replicas.scope():
        mean = ACGAN(small_generator(), small_discriminator(), seed=3).metrics[0]

    @tf.function
    def steps():
        for _ in tf.range(140):
            two_replicas.run(lambda: mean.update_state(3.0))

    steps()
    assert float(mean.result()) == 3.0


def test_fewer_rows_than_replicas_are_refused(two_replicas):
    with pytest.raises(InputError, match="batch_size is 1 for 2 replicas"):
        replicas.distributed(two_replicas, lambda part: tf.data.Dataset.range(1), batch_size=1)


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_the_images_are_disjoint_make_up_the_set_and_have_all_classes(count):
    images = np.arange(11, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    whole = ImageSet(images, np.array([0, 1] * 5 + [1], np.int32), ("a", "b"))
    parts = [whole.part(index, count) for index in range(count)]
    seen = [set(part.images[:, 0, 0, 0].tolist()) for part in parts]
    assert set.union(*seen) == set(range(11)) and sum(map(len, seen)) == 11
    assert all(set(part.labels) == {0, 1} for part in parts)
    assert whole.part(0, 1) is whole
    with pytest.raises(InputError, match="'a' has fewer images than the 6 devices"):
        whole.part(0, 6)


@pytest.mark.parametrize(
    ("is_chief", "mine", "chiefs", "differ", "said"),
    [
        (True, 6, 6, 0, None),
        (False, 6, 6, 0, None),
        (True, 6, 6, 1, "gave another step in another process than step 6 in the job's first process"),
        (False, 6, 6, 1, "gave another step in another process than step 6 in the job's first process"),
        (False, 4, 6, 1, "gave step 4 here and step 6 in the job's first process"),
    ],
)
def test_all_processes_end_where_one_restored_another_step(is_chief, mine, chiefs, differ, said, monkeypatch, tmp_path):
    given = []
    answers = iter([(2.0 * chiefs, 2), (2.0 * differ, 2)])  # of two replicas here
    monkeypatch.setattr(replicas, "is_multi_worker", lambda strategy: True)
    monkeypatch.setattr(replicas, "is_chief", lambda: is_chief)
    monkeypatch.setattr(replicas, "_sum", lambda strategy, value: given.append(value) or next(answers))
    with pytest.raises(InputError, match=f"{said}, expected one step in all") if said else contextlib.nullcontext():
        replicas.require_one_step(None, mine, tmp_path)
    assert given == [mine if is_chief else 0, int(mine != chiefs)]


def test_a_number_is_added_up_exactly(two_replicas):
    assert replicas._sum(two_replicas, 123_456_789) == (246_913_578.0, 2)


def test_replicas_take_one_step_a_call_op_by_op(two_replicas):
    """They meet in the middle of a step, which is then no one device's."""
    mirrored = ComputeConfig(distribute="mirrored")
    assert xla.form(mirrored, 10**6, gpus=1) == "off"
    with two_replicas.scope():
        acgan = ACGAN(small_generator(), small_discriminator(), seed=3)
        acgan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    assert not fit._alone(acgan) and not acgan.by_xla
    with pytest.raises(InputError, match="compute.jit_compile is 'on', expected auto or off"):
        ComputeConfig(distribute="mirrored", jit_compile="on")
