"""`tfds:NAME`: a tiny set written offline, the same pictures as from a folder, one sentence for what is missing."""

import builtins
import io
import sys

import numpy as np
import pytest
from PIL import Image

from pir_tf import images
from pir_tf.data import folder, sources, tfds_source
from pir_tf.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")

NAMES = ("mountain", "desert", "coast")  # not in alphabetical order: the set's own order counts


def encoded(image, kind="PNG", **options):
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def grey(value):
    return encoded(Image.new("RGB", (20, 10), (value,) * 3))


def write_set(root, name, rows, names=NAMES, features=None):
    """Writes (label, encoded picture) rows as a prepared set; the bytes go in as they are, no network is needed."""
    if features is None:
        label = tfds.features.ClassLabel(names=names)
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "label": label}
        rows = [{"image": io.BytesIO(content), "label": label} for label, content in rows]
    place = root / name / "1.0.0"
    place.mkdir(parents=True)
    facts = {"version": tfds.core.Version("1.0.0"), "data_dir": str(place), "module_name": "tests"}
    builder = tfds.core.DatasetIdentity(name=name, **facts)
    info = tfds.core.DatasetInfo(builder=builder, features=tfds.features.FeaturesDict(features))
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=4)
    writer.initialize_splits(["train"])
    writer.add_examples({"train": rows})
    writer.close_all()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Ten pictures over three shards: picture i is grey of value 10 i, of class i modulo 3."""
    root = tmp_path_factory.mktemp("tfds")
    write_set(root, "tiny_scenes", [(i % 3, grey(10 * i)) for i in range(10)])
    return root


def load(data_dir, name="tiny_scenes", **options):
    return tfds_source.load(name, image_size=8, data_dir=str(data_dir), **options)


def test_images_labels_and_names_in_the_sets_own_order(data_dir):
    pictures, labels, names = load(data_dir)
    assert pictures.shape == (10, 8, 8, 3) and pictures.dtype == np.uint8 and labels.dtype == np.int32
    assert names == NAMES
    np.testing.assert_array_equal(labels, np.arange(10) % 3)
    np.testing.assert_array_equal(pictures[:, 4, 4, 0], 10 * np.arange(10))


def test_the_class_filter_does_not_permute(data_dir):
    options = {"image_size": 8, "count": 0, "seed": 0, "data_dir": str(data_dir)}
    made = sources.load("tfds:tiny_scenes", classes=("coast", "mountain"), **options)
    assert made.class_names == ("mountain", "coast")
    np.testing.assert_array_equal(made.images[:, 0, 0, 0], [0, 20, 30, 50, 60, 80, 90])
    np.testing.assert_array_equal(made.labels, [0, 1, 0, 1, 0, 1, 0])
    with pytest.raises(InputError, match="no class 'lake'; its 3 classes are mountain, desert, coast"):
        load(data_dir, classes=("lake",))
    with pytest.raises(InputError, match="class 'desert', 'coast' has no images"):
        sources.load("tfds:tiny_scenes", split="train[:1]", **options)


def test_parts_of_a_split_work_and_others_are_refused(data_dir):
    np.testing.assert_array_equal(load(data_dir, split="train[:80%]")[0][:, 0, 0, 0], 10 * np.arange(8))
    for split in ("test", "train[:80", "train[50:]", ""):
        expected = r"split .* of tfds:tiny_scenes can't be read .* its splits are train"
        with pytest.raises(InputError, match=expected) as caught:
            load(data_dir, split=split)
        assert "\n" not in str(caught.value)


def odd_files():
    """Files of kinds that go wrong in common decoders."""
    y, x = np.mgrid[0:24, 0:32]
    rgb = np.stack([8 * x, 10 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    picture, exif = Image.fromarray(rgb), Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "green", "blue")]
    return [
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(Image.fromarray(np.dstack([rgb, (8 * x).astype(np.uint8)]))),
        encoded(Image.fromarray((2000 * x).astype(np.uint16))),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40),
        encoded(picture, "JPEG", exif=exif),
    ]


def test_every_kind_of_file_is_the_same_picture_through_every_path(tmp_path):
    files = odd_files()
    (tmp_path / "folder" / "x").mkdir(parents=True)
    for number, content in enumerate(files):
        (tmp_path / "folder" / "x" / f"{number}.png").write_bytes(content)
    write_set(tmp_path, "odd_scenes", [(0, content) for content in files], names=["x"])
    direct = np.stack([images.center_crop_resize(images.decode(content), 16) for content in files])
    for pictures, _, names in (
        folder.load(tmp_path / "folder", image_size=16),
        tfds_source.load("odd_scenes", image_size=16, data_dir=str(tmp_path)),
    ):
        np.testing.assert_array_equal(pictures, direct)
        assert names == ("x",)


def test_bad_pictures_are_listed_by_their_place_or_left_out_with_a_count(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    cut = encoded(Image.fromarray(noise))[:1000]
    rows = [(0, grey(0)), (1, b"no picture"), (0, grey(20)), (1, grey(30)), (2, b""), (2, cut), (2, grey(60))]
    write_set(tmp_path, "bad_scenes", rows)
    with pytest.raises(InputError, match="3 of 7 files of tfds:bad_scenes can't be used") as caught:
        load(tmp_path, "bad_scenes")
    lines = str(caught.value).split("\n")[1:]
    for line, place, reason in zip(lines, "101", ("no JPEG", "empty", "cut off or damaged"), strict=True):
        assert line.split(": ")[0].rpartition("__")[2] == place and ".tfrecord-" in line and reason in line
    with pytest.warns(UserWarning, match="3 of 7 files of tfds:bad_scenes are left out"):
        pictures, labels, _ = load(tmp_path, "bad_scenes", on_bad_file="skip")
    np.testing.assert_array_equal(pictures[:, 0, 0, 0], [0, 20, 30, 60])
    np.testing.assert_array_equal(labels, [0, 0, 1, 2])


def test_a_set_without_image_and_label_is_refused_with_what_it_has(tmp_path):
    features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["a"])}
    write_set(tmp_path, "words", [{"text": "x", "label": 0}], features=features)
    with pytest.raises(InputError, match=r"has the features label \(ClassLabel\), text \(Text\), expected an Image"):
        load(tmp_path, "words")


def test_an_unprepared_set_fails_at_once_and_says_how_to_prepare_it(tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path / "none", "places365_small", classes=("coast", "mountain"))
    message = str(caught.value)
    assert "\n" not in message and message.startswith("tfds:places365_small is not prepared")
    assert f"{tmp_path}/none/places365_small" in message
    assert f"t.builder('places365_small', data_dir='{tmp_path}/none').download_and_prepare()" in message
    assert not (tmp_path / "none").exists()


def test_an_unknown_set_version_or_configuration_or_a_damaged_folder_is_one_sentence(tmp_path):
    write_set(tmp_path, "cut_scenes", [(0, grey(0))])
    (tmp_path / "cut_scenes" / "1.0.0" / "features.json").write_text("{")
    for name in ("no_such_set_at_all", "places365_small:9.9.9", "places365_small/nothing", "a b c", "cut_scenes"):
        with pytest.raises(InputError, match=f"tfds:{name}") as caught:
            load(tmp_path, name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("error", [ImportError("no module"), TypeError("Descriptors cannot be created\ndirectly")])
def test_absent_or_broken_tfds_is_one_sentence_with_its_cause(monkeypatch, tmp_path, error):
    plain = builtins.__import__

    def broken(name, *args, **options):
        if name == "tensorflow_datasets":
            raise error
        return plain(name, *args, **options)

    monkeypatch.delitem(sys.modules, "tensorflow_datasets")
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(InputError, match=r"needs the package tensorflow-datasets.*pip install") as caught:
        load(tmp_path)
    assert caught.value.__cause__ is error and "\n" not in str(caught.value)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(grey(1))
    assert sources.load(f"folder:{tmp_path}", image_size=4, count=0, seed=0).class_names == ("x",)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "gone"])
def test_a_damaged_record_file_is_one_sentence(tmp_path, damage):
    write_set(tmp_path, "torn_scenes", [(i % 3, grey(10 * i)) for i in range(4)])
    record = next(tmp_path.rglob("*.tfrecord*"))
    whole = record.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    if damage == "gone":
        record.unlink()
    else:
        record.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "flipped": bytes(flipped)}[damage])
    with pytest.raises(InputError, match="tfds:torn_scenes is damaged") as caught:
        load(tmp_path, "torn_scenes")
    assert "\n" not in str(caught.value)
