"""Names of objectives: what each says, and what is refused with the layer's own bounds."""

import pytest

from pir_tf.errors import InputError
from pir_tf.objective_names import VGG_FILTERS, VGGName, is_vgg, parse_vgg, require_objective, require_vgg_size


def test_layers_and_their_filters():
    counts = {
        "pool1": 64,
        "pool2": 128,
        "pool3": 256,
        "pool4": 512,
        "pool5": 512,
        "fc6": 4096,
        "fc7": 4096,
        "fc8": 1000,
    }
    assert VGG_FILTERS == counts and list(VGG_FILTERS) == list(counts)


@pytest.mark.parametrize(
    "text, said",
    [
        ("vgg:pool1:k=1", VGGName("pool1", 1, 0, None)),
        ("vgg:pool1:k=64", VGGName("pool1", 64, 0, None)),
        ("vgg:fc7:k=20:seed=0", VGGName("fc7", 20, 0, None)),
        ("vgg:fc8:k=1000:seed=12", VGGName("fc8", 1000, 12, None)),
        ("vgg:pool3:filters=40", VGGName("pool3", 1, None, (40,))),
        ("vgg:pool3:filters=255,12,0", VGGName("pool3", 3, None, (0, 12, 255))),
    ],
)
def test_what_a_name_says(text, said):
    require_objective(text)
    assert is_vgg(text) and parse_vgg(text) == said


@pytest.mark.parametrize(
    "text, expected",
    [
        ("vgg", "vgg:LAYER:k=N"),
        ("vgg:", "one of pool1, pool2, pool3, pool4, pool5, fc6, fc7, fc8"),
        ("vgg:pool6:k=1", "one of pool1"),
        ("vgg:Pool1:k=1", "one of pool1"),
        ("vgg:5:k=1", "one of pool1"),
        ("vgg:pool1", "vgg:pool1:k=N"),
        ("vgg:pool1:k=", "vgg:pool1:k=N"),
        ("vgg:pool1:k=-1", "vgg:pool1:k=N"),
        ("vgg:pool1:k=1.5", "vgg:pool1:k=N"),
        ("vgg:pool1:k=²", "vgg:pool1:k=N"),
        ("vgg:pool1:k=1:seed=", "vgg:pool1:k=N"),
        ("vgg:pool1:k=1:seed=2:x", "vgg:pool1:k=N"),
        ("vgg:pool1:filters=1:seed=2", "vgg:pool1:k=N"),
        ("vgg:pool1:filters=1, 2", "vgg:pool1:k=N"),
        ("vgg:pool1:filters=,1", "vgg:pool1:k=N"),
        ("vgg:pool1:k=0", "k from 1 to 64"),
        ("vgg:pool1:k=65", "k from 1 to 64"),
        ("vgg:fc8:k=1001", "k from 1 to 1000"),
        ("vgg:fc8:filters=1000", "different filters from 0 to 999 of fc8"),
        ("vgg:fc8:filters=7,8,7", "different filters from 0 to 999 of fc8"),
    ],
)
def test_other_names_are_refused_with_what_would_be_one(text, expected):
    with pytest.raises(InputError) as refused:
        parse_vgg(text)
    said = str(refused.value)
    assert said.startswith(f"interactions.objective is {text!r}, expected ") and expected in said and "\n" not in said


def test_size_is_that_of_the_layers():
    for size in (32, 96, 224, 299):
        require_vgg_size("vgg:pool5:k=1", size)
        require_vgg_size("color:blue", size)
    require_vgg_size("vgg:fc6:k=1", 224)
    for objective, size, expected in (
        ("vgg:pool1:k=1", 31, "32 or more"),
        ("vgg:fc6:k=1", 96, "224 for fc6, fc7, fc8"),
        ("vgg:fc8:k=1", 225, "224 for fc6, fc7, fc8"),
    ):
        with pytest.raises(InputError, match=f"vgg_image_size is {size}, expected {expected}"):
            require_vgg_size(objective, size)
