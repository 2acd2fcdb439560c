"""What endpoints refuse: INVALID_ARGUMENT with the field's name, the row and what is expected."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def encoded(pixels=PIXELS, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


def says(endpoints, name, expected, **fields):
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        endpoints[name](**fields)
    assert expected in str(refused.value)


def seeds(*values):
    return tf.constant(values, tf.int64, (len(values),))


def classes(*values):
    return tf.constant(values, tf.int32, (len(values),))


@pytest.mark.parametrize("name", ["serving_default", "generate"])
@pytest.mark.parametrize("wrong", [2, -1, 2**31 - 1])
def test_a_class_that_is_none_is_named_with_the_classes(endpoints, name, wrong):
    expected = f"class_id[1] is {wrong}, expected 0 to 1 (0 coast, 1 mountain)"
    says(endpoints, name, expected, seed=seeds(1, 2, 3), class_id=classes(0, wrong, 1))


@pytest.mark.parametrize("n", [0, 257])
def test_none_or_too_many_rows_are_refused(endpoints, n):
    text = f"has {n} rows, expected 1 to 256"
    class_id = tf.zeros(n, tf.int32)
    says(endpoints, "generate", f"seed {text}", seed=tf.zeros(n, tf.int64), class_id=class_id)
    says(endpoints, "generate_from_latent", f"latent {text}", latent=tf.zeros((n, 64)), class_id=class_id)
    says(endpoints, "score", f"image_bytes {text}", image_bytes=tf.constant([b""] * n, tf.string, (n,)))


def test_fields_have_as_many_rows_as_each_other(endpoints):
    text = "class_id has 1 rows, expected as many as"
    says(endpoints, "generate", f"{text} seed, which has 2", seed=seeds(1, 2), class_id=classes(0))
    latent = tf.zeros((2, 64))
    says(endpoints, "generate_from_latent", f"{text} latent, which has 2", latent=latent, class_id=classes(0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_are_finite(endpoints, value):
    latent = np.zeros((3, 64), np.float32)
    latent[2, 5] = value
    text = "latent[2] has a value that is not finite"
    says(endpoints, "generate_from_latent", text, latent=tf.constant(latent), class_id=classes(0, 0, 0))


REFUSED = {
    "nothing": b"",
    "a word": b"hello",
    "jpeg": encoded(kind="JPEG"),
    "another size": encoded(PIXELS[:32]),
    "grey": encoded(PIXELS[:, :, 0]),
    "transparent": encoded(np.dstack([PIXELS, PIXELS[:, :, 0]])),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_bytes_that_are_no_such_png_are_refused_unread(endpoints, data):
    expected = f"image_bytes[1], {len(data)} bytes, is no such image as expected: an 8-bit RGB PNG of 64x64 pixels"
    says(endpoints, "score", expected, image_bytes=tf.constant([encoded(), data]))


DAMAGED = {
    "header alone": encoded()[:26],
    "half": encoded()[: len(encoded()) // 2],
    "changed": encoded()[:200] + b"\0" * 50 + encoded()[250:],
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_png_names_the_field(endpoints, data):
    says(endpoints, "score", "image_bytes", image_bytes=tf.constant([encoded(), data]))


def test_a_refused_request_leaves_the_next_one_alone(endpoints):
    says(endpoints, "generate", "class_id[0]", seed=seeds(1), class_id=classes(9))
    assert endpoints["generate"](seed=seeds(1), class_id=classes(1))["class_name"].numpy() == [b"mountain"]
