"""How somebody else's generator is called: told from its config and shapes, or asked for in one sentence."""

import dataclasses

import keras
import pytest
from foreign import CLASSES, LATENT, config, foreign
from keras import layers

from pir_tf.errors import InputError
from pir_tf.gan.imported.description import Description, describe

NUMBERED = ("class 0", "class 1", "class 2")
COUNTED = {"class_count": CLASSES}


@pytest.mark.parametrize(
    ("way", "fields", "names", "class_input"),
    [
        ("none", {}, ("images",), ""),
        ("one-hot", COUNTED, NUMBERED, "label"),
        ("one-hot", {}, NUMBERED, "label"),
        ("integer", COUNTED, NUMBERED, "label"),
        ("joined", COUNTED, NUMBERED, ""),
        ("joined", {"latent_size": LATENT}, NUMBERED, ""),
    ],
)
def test_what_the_config_leaves_out_is_told_from_the_shapes(way, fields, names, class_input):
    found = describe(foreign(way), config(way, **fields), ())
    assert found == Description(way, names, LATENT, (0.0, 1.0), class_input, "")
    assert Description.of_facts({"form": "keras", **dataclasses.asdict(found)}) == found


def test_classes_have_the_names_of_the_data_section():
    assert describe(foreign("integer"), config("integer"), ("a", "b", "c")).class_names == ("a", "b", "c")
    assert describe(foreign("none"), config("none"), ("faces",)).class_names == ("faces",)
    with pytest.raises(InputError, match=r"names 2 classes \(a, b\) while import:mine.keras has 1"):
        describe(foreign("none"), config("none"), ("a", "b"))


def test_the_class_is_told_apart_whatever_the_order_and_the_names():
    swapped = ("label", "noise")  # names that lie: the shapes decide
    for turned in (False, True):
        for way, fields in (("integer", COUNTED), ("one-hot", COUNTED), ("one-hot", {"latent_size": LATENT})):
            found = describe(foreign(way, turned=turned, names=swapped), config(way, **fields), ())
            assert (found.class_input, found.latent_size) == ("noise", LATENT)
    named = foreign("one-hot", names=("a", "b"))
    with pytest.raises(InputError, match=r"a \[6\] and b \[3\].*--gan.import-class-input"):
        describe(named, config("one-hot"), ())
    assert describe(named, config("one-hot", class_input="b"), ()).class_input == "b"


@pytest.mark.parametrize(
    ("way", "given", "fields", "words"),
    [
        ("none", "one-hot", {}, "expected two inputs"),
        ("integer", "none", {}, "expected one input"),
        ("integer", "integer", {}, "--gan.import-class-count N"),
        ("one-hot", "one-hot", {"class_count": 4}, "can't be told"),
        ("one-hot", "one-hot", {"class_count": 4, "class_input": "label"}, "expected 4 entries"),
        ("one-hot", "one-hot", {"class_input": "c"}, "expected one of noise, label"),
        ("none", "none", {"latent_size": 7}, "expected 7 entries: change --gan.import-latent-size"),
        ("joined", "joined", {}, "--gan.import-latent-size N and --gan.import-class-count N"),
        ("joined", "joined", {"latent_size": 6, "class_count": 4}, "noise [9]"),
        ("joined", "joined", {"class_count": 9}, "noise [9]"),
    ],
)
def test_what_does_not_fit_or_stays_open_is_said(way, given, fields, words):
    with pytest.raises(InputError) as refused:
        describe(foreign(way), config(given, **fields), ())
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "last",
    [
        layers.Flatten(),
        layers.Conv2D(4, 1),
        layers.Permute((3, 1, 2)),
        layers.Activation("linear", dtype="int32"),
        layers.Cropping2D(3),  # 2 x 6 pixels: evaluation cuts an image in thirds
        layers.Cropping2D((0, 5)),
        lambda image: [image, image],
    ],
)
def test_what_is_no_image_is_refused(last):
    model = foreign("none")
    expected = r"expected one output of images \[batch, height, width, 1 or 3\], 3 pixels a side or more"
    with pytest.raises(InputError, match=expected):
        describe(keras.Model(model.inputs, last(model.outputs[0])), config("none"), ())
