"""The endpoints: their contract, any n, a row alone and among others, what they compute, and what they refuse."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from pir_tf.estimator.model import estimate
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.serving.export import write_version
from pir_tf.serving.signatures import latents_of

CONTRACT = Path(__file__).parents[2] / "export" / "signatures.txt"
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


def described(version):
    """The signatures as a server reads them: a paragraph for each, fields in alphabetical order."""
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    paragraphs = ["The endpoints of an exported generator: names, types and shapes are fixed, n is 1 to 256."]
    for name, signature in sorted(graph.signature_def.items()):
        if name.startswith("__"):  # the loader's own
            continue
        assert signature.method_name == "tensorflow/serving/predict"
        lines = [name]
        for title, fields in (("in ", signature.inputs), ("out", signature.outputs)):
            for field, info in sorted(fields.items()):
                sizes = ["n" if dimension.size == -1 else str(dimension.size) for dimension in info.tensor_shape.dim]
                kind = tf.dtypes.as_dtype(info.dtype).name
                lines.append(f"  {title}  {field:<12} {kind:<8} [{', '.join(sizes)}]")
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs) + "\n"


def test_the_signatures_are_those_of_the_contract_in_a_second_export_too(version, material, tmp_path):
    write_version(material, tmp_path / "again", "landscapes", half=False, answers=tmp_path / "answers.npz")
    assert described(version) == described(tmp_path / "again") == CONTRACT.read_text(encoding="utf-8")


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


# What is refused: INVALID_ARGUMENT with the field's name, the row and what is expected


def says(endpoints, name, expected, **fields):
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        endpoints[name](**fields)
    assert expected in str(refused.value)


@pytest.mark.parametrize("name", ["serving_default", "generate"])
@pytest.mark.parametrize("wrong", [2, -1, 2**31 - 1])
def test_a_class_that_is_none_is_named_with_the_classes(endpoints, name, wrong):
    expected = f"class_id[1] is {wrong}, expected 0 to 1 (0 coast, 1 mountain)"
    says(endpoints, name, expected, seed=seeds(1, 2, 3), class_id=classes(0, wrong, 1))
    assert endpoints[name](seed=seeds(1), class_id=classes(1))["class_name"].numpy() == [b"mountain"]  # goes on


@pytest.mark.parametrize("n", [0, 257])
def test_none_or_too_many_rows_are_refused(endpoints, n):
    text, class_id = f"has {n} rows, expected 1 to 256", tf.zeros(n, tf.int32)
    says(endpoints, "generate", f"seed {text}", seed=tf.zeros(n, tf.int64), class_id=class_id)
    says(endpoints, "generate_from_latent", f"latent {text}", latent=tf.zeros((n, 64)), class_id=class_id)
    says(endpoints, "score", f"image_bytes {text}", image_bytes=tf.constant([b""] * n, tf.string, (n,)))


def test_fields_have_as_many_rows_as_each_other_and_latents_are_finite(endpoints):
    text = "class_id has 1 rows, expected as many as"
    says(endpoints, "generate", f"{text} seed, which has 2", seed=seeds(1, 2), class_id=classes(0))
    latent = np.zeros((2, 64), np.float32)
    says(endpoints, "generate_from_latent", f"{text} latent, which has 2", latent=latent, class_id=classes(0))
    for latent[1, 5] in (np.nan, np.inf):
        text = "latent[1] has a value that is not finite"
        says(endpoints, "generate_from_latent", text, latent=tf.constant(latent), class_id=classes(0, 0))


PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def encoded(pixels=PIXELS, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


REFUSED = {
    **{"nothing": b"", "a word": b"hello", "jpeg": encoded(kind="JPEG"), "another size": encoded(PIXELS[:32])},
    **{"grey": encoded(PIXELS[:, :, 0]), "transparent": encoded(np.dstack([PIXELS, PIXELS[:, :, 0]]))},
}
GOOD = encoded()
DAMAGED = {"header alone": GOOD[:26], "half": GOOD[: len(GOOD) // 2], "changed": GOOD[:200] + bytes(50) + GOOD[250:]}


@pytest.mark.parametrize("kind", [*REFUSED, *DAMAGED])
def test_bytes_that_are_no_such_png_are_refused_unread_and_damage_names_the_field(endpoints, kind):
    data = {**REFUSED, **DAMAGED}[kind]
    unread = f"image_bytes[1], {len(data)} bytes, is no such image as expected: an 8-bit RGB PNG of 64x64 pixels"
    said = unread if kind in REFUSED else "image_bytes"
    says(endpoints, "score", said, image_bytes=tf.constant([GOOD, data]))
