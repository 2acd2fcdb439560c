"""Names of objectives: what each says, and what is refused with the layer's own bounds."""

import pytest

from pir_tf.errors import InputError
from pir_tf.objective_names import VGG, Color, parse, require_objective


@pytest.mark.parametrize(
    "text, said, kind, words",
    [
        ("color:blue", Color(("blue",)), "single color", "blue"),
        ("color:red-blue", Color(("red", "blue")), "two colors", "red left, blue right"),
        ("color:green-blue-red", Color(("green", "blue", "red")), "three colors", "green left, blue middle, red right"),
        ("vgg:pool1:k=1", VGG("pool1", 1, 0, None), "vgg single", "pool1, 1 filter, draw 0"),
        ("vgg:pool1:k=64", VGG("pool1", 64, 0, None), "vgg k=64", "pool1, 64 filters, draw 0"),
        ("vgg:fc7:k=20:seed=0", VGG("fc7", 20, 0, None), "vgg k=20", "fc7, 20 filters, draw 0"),
        ("vgg:fc8:k=1000:seed=12", VGG("fc8", 1000, 12, None), "vgg k=1000", "fc8, 1000 filters, draw 12"),
        ("vgg:pool3:filters=40", VGG("pool3", 1, None, (40,)), "vgg single", "pool3 filter 40"),
        ("vgg:pool3:filters=40,12", VGG("pool3", 2, None, (12, 40)), "vgg k=2", "pool3 filters 12 and 40"),
        ("vgg:pool3:filters=255,12,0", VGG("pool3", 3, None, (0, 12, 255)), "vgg k=3", "pool3 filters 0, 12 and 255"),
    ],
)
def test_what_a_name_says(text, said, kind, words):
    found = parse(text)
    assert found == said and found.kind == kind and found.in_words() == words
    assert found.layer == (said.layer if isinstance(said, VGG) else "")
    assert found.in_words(short=True) == (text.partition(":")[2] if isinstance(said, Color) else words)


@pytest.mark.parametrize(
    "text, expected",
    [
        *(
            (name, "color: and one to three different ones of red, green, blue")
            for name in ("", "blue", "vgg", "color:")
        ),
        *((f"color:{name}", "color:red-green)") for name in ("purple", "Red", "red-", "red-red", "red,blue")),
        *((f"color:{name}", "joined by '-'") for name in ("red-green-red", "red-green-blue-red", "red blue")),
        ("vgg:", "one of pool1, pool2, pool3, pool4, pool5, fc6, fc7, fc8"),
        *((f"vgg:{layer}:k=1", "one of pool1") for layer in ("pool6", "Pool1", "5")),
        ("vgg:pool1", "vgg:pool1:k=N"),
        *((f"vgg:pool1:k={k}", "vgg:pool1:k=N") for k in ("", "-1", "1.5", "²", "1:seed=", "1:seed=2:x")),
        *((f"vgg:pool1:filters={named}", "vgg:pool1:k=N") for named in ("1:seed=2", "1, 2", ",1")),
        ("vgg:pool1:k=0", "k from 1 to 64"),
        ("vgg:pool1:k=65", "k from 1 to 64"),
        ("vgg:fc8:k=1001", "k from 1 to 1000"),
        ("vgg:fc8:filters=1000", "different filters from 0 to 999 of fc8"),
        ("vgg:fc8:filters=7,8,7", "different filters from 0 to 999 of fc8"),
    ],
)
def test_other_names_are_refused_with_what_would_be_one(text, expected):
    with pytest.raises(InputError) as refused:
        parse(text)
    said = str(refused.value)
    assert said.startswith(f"interactions.objective is {text!r}, expected ") and expected in said and "\n" not in said


def test_size_is_that_of_the_layers():
    for size in (32, 96, 224, 299):
        require_objective("vgg:pool5:k=1", size)
        require_objective("color:blue", size)
    require_objective("vgg:fc6:k=1", 224)
    for objective, size, expected in (
        ("vgg:pool1:k=1", 31, "32 or more"),
        ("vgg:fc6:k=1", 96, "224 for fc6, fc7, fc8"),
        ("vgg:fc8:k=1", 225, "224 for fc6, fc7, fc8"),
    ):
        with pytest.raises(InputError, match=f"vgg_image_size is {size}, expected {expected}"):
            require_objective(objective, size)
