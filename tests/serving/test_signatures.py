"""The endpoints: their contract, any n, a row alone and among others, what they compute, and what they refuse."""

import io
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from run_to_export import CONTRACT, described

from pir_tf.estimator.model import estimate
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.serving.signatures import latents_of

KNOWN = {
    0: (-1.697034, -0.4813767, -0.6622369),
    1: (0.1266503, -0.49301657, 0.6311907),
    -1: (0.47443357, -0.3832537, -1.7960681),
    2**63 - 1: (-1.6310319, 1.4542305, -0.7037483),
}
"""First three numbers of some seeds' latents: people keep seeds, so another release must give the same."""


def seeds(*values):
    return tf.constant(values, tf.int64, (len(values),))


def classes(*values):
    return tf.constant(values, tf.int32, (len(values),))


def asked(endpoints, numbers, class_ids=None, name="generate"):
    """PNG files as arrays, int [n, h, w, c]."""
    class_ids = [0] * len(numbers) if class_ids is None else class_ids
    answer = endpoints[name](seed=seeds(*numbers), class_id=classes(*class_ids))
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in answer["image_bytes"].numpy()]).astype(int)


# The latent of a seed


def test_known_seeds_keep_their_latents_alone_and_among_others():
    numbers = [*KNOWN, 7, -3, 2**40, 7]
    together = latents_of(seeds(*numbers), 64).numpy()
    np.testing.assert_allclose(together[: len(KNOWN), :3], list(KNOWN.values()), rtol=1e-6)
    for row, seed in enumerate(numbers):
        np.testing.assert_array_equal(latents_of(seeds(seed), 64)[0], together[row])
    np.testing.assert_array_equal(tf.function(lambda s: latents_of(s, 64))(seeds(*numbers)), together)


def test_seeds_differ_and_are_standard_normal():
    z = latents_of(tf.range(256, dtype=tf.int64), 64).numpy()
    assert len({row.tobytes() for row in z}) == 256
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03  # 16,384 numbers: standard errors 0.008 and 0.006
    correlation = np.corrcoef(z) - np.eye(256)
    assert np.abs(correlation).max() < 0.65  # of 64 numbers: 5.2 standard errors, among 32,640 pairs


# What is answered


def test_the_signatures_are_those_of_the_contract(version):
    assert described(version) == CONTRACT.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 7, 256])
def test_any_number_of_rows_gives_the_keras_models_images(endpoints, material, n):
    latent, class_id = draw_latents(n, latent_size=64, class_count=2, seed=n)
    image = endpoints["generate_from_latent"](latent=tf.constant(latent), class_id=tf.constant(class_id))["image"]
    assert image.dtype == tf.uint8 and image.shape == (n, 64, 64, 3)
    rows = sorted({*range(min(n, 8)), n // 2, n - 1})
    expected = generate(material.generator, latent[rows], class_id[rows])
    assert np.abs(image.numpy()[rows].astype(int) - expected).max() <= 1
    assert expected.std() > 20  # pictures, not a plain colour


def test_a_seeds_image_is_that_of_its_latent(endpoints, material):
    numbers, class_ids = [5, -5, 2**63 - 1], np.array([0, 1, 1], np.int32)
    expected = generate(material.generator, latents_of(seeds(*numbers), 64).numpy(), class_ids)
    for name in ("generate", "serving_default"):
        assert np.abs(asked(endpoints, numbers, class_ids, name) - expected).max() <= 1
    answer = endpoints["generate"](seed=seeds(1, 2, 3), class_id=classes(1, 0, 1))
    assert answer["class_name"].numpy().tolist() == [b"mountain", b"coast", b"mountain"]


def test_score_is_the_estimators_pir_of_any_png(endpoints, material):
    images = generate(material.generator, *draw_latents(64, latent_size=64, class_count=2, seed=0))
    pir = endpoints["score"](image_bytes=tf.io.encode_png(images))["pir"]
    assert pir.dtype == tf.float32 and pir.shape == (64,)
    expected = estimate(material.estimator, images)
    assert np.ptp(expected) > 0.05  # it tells images apart
    np.testing.assert_allclose(pir, expected, atol=1e-4)
    ours, other = tf.io.encode_png(images[5]).numpy(), encoded(images[5])
    assert ours != other
    np.testing.assert_allclose(endpoints["score"](image_bytes=[ours, other])["pir"], expected[[5, 5]], atol=1e-4)


# What is refused by INVALID_ARGUMENT


PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def encoded(pixels=PIXELS, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


GOOD, LATENT = encoded(), np.zeros((2, 64))
NO_PNG = [
    *(b"", b"hello", encoded(kind="JPEG"), encoded(PIXELS[:32]), encoded(PIXELS[:, :, 0])),
    encoded(np.dstack([PIXELS, PIXELS[:, :, 0]])),  # transparent
]
DAMAGED = GOOD[:26], GOOD[: len(GOOD) // 2], GOOD[:200] + bytes(50) + GOOD[250:]
TYPES = {"seed": tf.int64, "class_id": tf.int32, "latent": tf.float32, "image_bytes": tf.string}


def refusals():
    for name, wrong in itertools.product(("serving_default", "generate"), (2, -1, 2**31 - 1)):
        said = f"class_id[1] is {wrong}, expected 0 to 1 (0 coast, 1 mountain)"
        yield name, {"seed": [1, 2, 3], "class_id": [0, wrong, 1]}, said
    for n in (0, 257):
        said = f"has {n} rows, expected 1 to 256"
        yield "generate", {"seed": [1] * n, "class_id": [0] * n}, f"seed {said}"
        yield "generate_from_latent", {"latent": np.zeros((n, 64)), "class_id": [0] * n}, f"latent {said}"
        yield "score", {"image_bytes": [b""] * n}, f"image_bytes {said}"
    said = "class_id has 1 rows, expected as many as"
    yield "generate", {"seed": [1, 2], "class_id": [0]}, f"{said} seed, which has 2"
    yield "generate_from_latent", {"latent": LATENT, "class_id": [0]}, f"{said} latent, which has 2"
    for value in (np.nan, np.inf):
        latent = np.where(np.arange(128).reshape(2, 64) == 69, value, LATENT)
        yield "generate_from_latent", {"latent": latent, "class_id": [0, 0]}, "latent[1] has a value that is not finite"
    said = "bytes, is no such image as expected: an 8-bit RGB PNG of 64x64 pixels"
    yield from (("score", {"image_bytes": [GOOD, data]}, f"image_bytes[1], {len(data)} {said}") for data in NO_PNG)
    yield from (("score", {"image_bytes": [GOOD, data]}, "image_bytes") for data in DAMAGED)


@pytest.mark.parametrize(("name", "fields", "said"), list(refusals()))
def test_a_refusal_names_the_field_the_row_and_what_is_expected(endpoints, name, fields, said):
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        endpoints[name](**{field: tf.constant(value, TYPES[field]) for field, value in fields.items()})
    assert said in str(refused.value)
