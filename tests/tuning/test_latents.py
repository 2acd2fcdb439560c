"""What moves latents: KL against Monte Carlo and NumPy, and all that is trained is the part before the generator."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import KillAfter, arrays, assert_same, least_estimator, small_estimator, small_generator

from pir_tf.gan import fast
from pir_tf.gan.networks import build_generator
from pir_tf.gan.train import optimizers
from pir_tf.training import checkpoints
from pir_tf.tuning.anchored import blanks
from pir_tf.tuning.latents import LatentTuner, kl_of, log_determinant, share_folded, with_moved_latents
from pir_tf.tuning.tuner import LogGradientNorms

KINDS = ("shift", "residual")


def tuner(kind, pir_weight=10.0, kl_weight=0.1, *, rate=1e-2):
    made = LatentTuner(
        small_generator(), least_estimator(), kind=kind, seed=7, pir_weight=pir_weight, kl_weight=kl_weight
    )
    made.compile(optimizers(rate, rate)[0])
    return made


def fit(model, steps, callbacks=()):
    return model.fit(blanks(16), epochs=steps, steps_per_epoch=1, verbose=0, callbacks=list(callbacks)).history


def moved(kind, scale=0.3, seed=0):
    """A tuner whose part does something known: f = W_2' tanh(W_1' [z, c] + b_1) + b_2, or v_c."""
    model, rng = tuner(kind), np.random.default_rng(seed)
    model.move.set_weights([scale * rng.standard_normal(w.shape) for w in model.move.get_weights()])
    return model


# KL


def test_the_kl_of_a_shift_by_monte_carlo():
    """E[log q - log p] of draws from q = N(v, I), each class by itself."""
    model = moved("shift", scale=0.7)
    (v,) = model.move.get_weights()
    z = np.random.default_rng(1).standard_normal((200_000, 1, 5)) + v
    sampled = np.mean(np.sum(z**2, -1) / 2 - np.sum((z - v) ** 2, -1) / 2)
    kl, folded = model.final_kl(0)
    assert kl == pytest.approx(np.mean(np.sum(v**2, 1)) / 2, rel=1e-5) == pytest.approx(sampled, rel=0.01)
    assert folded == 0 and float(model.terms(*model.draw(3))["KL"]) == pytest.approx(kl, rel=1e-5)


def test_the_kl_of_a_residual_map_by_monte_carlo():
    """E[log q(z') - log p(z')], log q(z') = log p(z) - log|det dz'/dz|, the Jacobian by hand in float64."""
    model, count = moved("residual", scale=0.1), 20_000
    w_1, b_1, w_2, b_2 = map(np.float64, model.move.get_weights())
    rng = np.random.default_rng(2)
    z, c = rng.standard_normal((count, 5)), np.eye(2)[rng.integers(0, 2, count)]
    h = np.tanh(np.concatenate([z, c], 1) @ w_1 + b_1)
    jacobian = np.einsum("ki,nk,jk->nij", w_2, 1 - h**2, w_1[:5])  # df_i / dz_j
    f, (sign, log_det) = h @ w_2 + b_2, np.linalg.slogdet(np.eye(5) + jacobian)
    sampled = np.sum((z + f) ** 2, 1) / 2 - np.sum(z**2, 1) / 2 - log_det
    assert (sign > 0).all() and sampled.mean() > 0.1
    kl, folded = model.final_kl(0, count=16_384)
    assert kl == pytest.approx(sampled.mean(), abs=4 * sampled.std() / np.sqrt(count)) and folded == 0
    by_hand = np.sum(f**2, 1) / 2 + np.trace(jacobian, axis1=1, axis2=2) - log_det
    assert float(kl_of(*map(tf.constant, (f, jacobian)))) == pytest.approx(by_hand.mean(), rel=1e-9)
    _, *own = model._moved(tf.constant(z[:64], tf.float32), tf.constant(c[:64], tf.float32))
    assert float(kl_of(*own)) == pytest.approx(by_hand[:64].mean(), rel=1e-4)


def test_a_linear_map_has_the_kl_of_a_normal_distribution_and_a_fold_is_told():
    a = np.array([[0.5, 0.2], [-0.1, 1.0]])
    z = np.random.default_rng(3).standard_normal((400_000, 2))
    jacobian = tf.constant(np.broadcast_to(a, (len(z), 2, 2)))
    covariance = (np.eye(2) + a) @ (np.eye(2) + a).T
    exact = (np.trace(covariance) - 2 - np.linalg.slogdet(covariance)[1]) / 2
    assert float(kl_of(tf.constant(z @ a.T), jacobian)) == pytest.approx(exact, rel=0.01)
    back = np.stack([np.diag([-2.0, 0.0]), np.zeros((2, 2))])  # the first row turns a direction round
    assert float(share_folded(jacobian)) == 0 and float(share_folded(tf.constant(back))) == 0.5


@pytest.mark.parametrize("by_xla", [False, True], ids=["op by op", "XLA"])
@pytest.mark.parametrize("latent_size", [5, 64])
def test_the_log_determinant_and_its_gradient_are_those_of_slogdet(latent_size, by_xla):
    """NumPy's in float64, and TensorFlow's, which XLA doesn't know; some of the determinants are below 0."""
    rng, scale = np.random.default_rng(0), 0.5 / np.sqrt(latent_size)
    matrices = np.eye(latent_size) + scale * rng.standard_normal((8, latent_size, latent_size))
    matrices[::2, 0] *= -1
    sign, log_det = np.linalg.slogdet(matrices)
    assert sorted(set(sign)) == [-1, 1]
    inverses, weights = np.linalg.inv(matrices).transpose(0, 2, 1), np.arange(1.0, 9.0)

    def of(function, dtype):
        a, w = tf.constant(matrices, dtype), tf.constant(weights, dtype)
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = function(a)
            total = tf.reduce_sum(w * value)
        return value, tape.gradient(total, a)

    ours = tf.function(lambda dtype: of(log_determinant, dtype), jit_compile=by_xla, autograph=False)
    present = lambda a: tf.linalg.slogdet(a)[1]  # noqa: E731
    for dtype, error in ((tf.float32, 2e-5), (tf.float64, 1e-12)):
        for found in (ours(dtype), of(present, dtype)):
            np.testing.assert_allclose(found[0], log_det, atol=error)
            np.testing.assert_allclose(found[1], weights[:, None, None] * inverses, atol=10 * error)


# Training


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_part_alone_moves_and_raises_l_pir(kind):
    model = tuner(kind)
    still = [*model.still.variables, *model._estimate.func.__self__.variables]
    before, latents = [np.array(v) for v in still], model.draw(64)
    start = {name: float(value) for name, value in model.terms(*latents).items()}
    images = np.array(model.still([latents[0], tf.one_hot(latents[1], 2)]))
    np.testing.assert_array_equal(model([latents[0], tf.one_hot(latents[1], 2)]), images)  # moved by nothing yet
    assert start["KL"] == 0
    history = fit(model, 25, [LogGradientNorms(5, batch_size=4)])
    end = {name: float(value) for name, value in model.terms(*latents).items()}
    assert end["L_PIR"] > start["L_PIR"] + 0.02 and 0.05 < end["KL"] < 50
    for one, other in zip(before, still, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not {id(v) for v in still} & {id(v) for v in model.state().values()}
    assert set(history) == set(model.columns(*model.gradient_columns))
    by_hand = [0.1 * kl - 10 * p for p, kl in zip(history["L_PIR"], history["KL"], strict=True)]
    np.testing.assert_allclose(history["generator_loss"], by_hand, rtol=1e-4, atol=1e-6)
    if kind == "residual":  # KL holds back
        held = tuner(kind, kl_weight=100.0)
        fit(held, 25)
        assert model.final_kl(0, count=512)[0] > 20 * held.final_kl(0, count=512)[0] > 0


@pytest.mark.slow
def test_a_resumed_tuning_repeats_an_unbroken_one(tmp_path, eager):
    whole, first, second = (tuner("residual") for _ in range(3))
    fit(whole, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(first, 2, [KillAfter(1)])
    checkpoints.save_step(tmp_path, 1, first.state())
    assert checkpoints.restore_latest(tmp_path, second.state()) == 1
    fit(second, 1)
    assert_same(arrays(whole.state()), arrays(second.state()))


def test_a_ratio_of_gradients_has_nothing_to_start_from():
    assert tuner("shift").weigh(1.0, batch_size=4) is None


# The file and the fast form


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_generator_is_stock_and_makes_the_same_images(kind, tmp_path):
    once = moved(kind, scale=0.1).generator
    twice = with_moved_latents(once, "residual", seed=1)  # as in a second round
    inputs = [np.random.default_rng(0).standard_normal((4, 5), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]]
    assert np.abs(once(inputs) - small_generator()(inputs)).max() > 1e-3
    for generator in (once, twice):
        generator.save(tmp_path / "generator.keras")
        loaded = keras.models.load_model(tmp_path / "generator.keras")
        assert [tensor.name for tensor in loaded.inputs] == ["z", "class_one_hot"]
        np.testing.assert_array_equal(loaded(inputs), once(inputs))
        assert len(loaded.trainable_variables) == len(generator.weights)  # a second round may tune all of them


@pytest.mark.filterwarnings("error")
def test_the_fast_form_knows_our_generator_behind_moved_latents():
    generator = build_generator(2, seed=1)
    model = LatentTuner(generator, small_estimator(), kind="residual", seed=0, pir_weight=1.0, kl_weight=1.0)
    model.move.set_weights([np.full(w.shape, 0.01) for w in model.move.get_weights()])
    assert fast.knows_generator(model.generator) and not fast.knows_generator(tuner("shift").generator)
    z, labels = model.draw(2)
    class_one_hot = tf.one_hot(labels, 2)
    images = fast.fast_generator(model.generator)(z, class_one_hot)
    np.testing.assert_allclose(images, model.generator([z, class_one_hot]), atol=1e-5)
    assert np.abs(images - generator([z, class_one_hot])).max() > 1e-4
