"""`folder:PATH`: the layout, the class order, and every kind of bad file found before training."""

import os

import numpy as np
import pytest
from PIL import Image

from pir_tf.data import folder, sources
from pir_tf.errors import InputError


def write(path, colour=(200, 30, 30), kind=None, size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, kind)
    return path


@pytest.fixture
def two_classes(tmp_path):
    """Two classes of ten good pictures each, the i-th one grey of value 10 i (coast) or 10 i + 100 (mountain)."""
    for offset, name in ((0, "coast"), (100, "mountain")):
        for i in range(10):
            write(tmp_path / name / f"{i:02}.png", (10 * i + offset,) * 3)
    return tmp_path


def load(path, **options):
    return folder.load(path, image_size=8, **options)


def test_images_labels_and_names_whatever_the_order_of_the_file_system(two_classes, monkeypatch):
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), key=lambda name: name[::-1], reverse=True))
    pictures, labels, names = load(two_classes)
    assert pictures.shape == (20, 8, 8, 3) and pictures.dtype == np.uint8 and labels.dtype == np.int32
    assert names == ("coast", "mountain")
    np.testing.assert_array_equal(labels, [0] * 10 + [1] * 10)
    np.testing.assert_array_equal(pictures[:, 4, 4, 0], [*range(0, 100, 10), *range(100, 200, 10)])


def test_classes_are_in_code_point_order_and_the_filter_does_not_permute_them(tmp_path):
    for i, name in enumerate(["a", "2", "B", "10", "1"]):
        write(tmp_path / name / "x.png", (i,) * 3)
    for classes, expected, levels in (
        ((), ("1", "10", "2", "B", "a"), [4, 3, 1, 2, 0]),
        (("a", "10", "B"), ("10", "B", "a"), [3, 2, 0]),
    ):
        pictures, labels, names = load(tmp_path, classes=classes)
        assert names == expected and pictures[:, 0, 0, 0].tolist() == levels
        np.testing.assert_array_equal(labels, range(len(names)))


def make_bad_files(root):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(half := root / "coast" / "half.jpg")
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    (root / "coast" / "zero.jpg").write_bytes(b"")
    for name, content in (("text.jpg", b"no picture"), ("notes.txt", b"nor this"), ("deep.tif", b"II*\0")):
        (root / "mountain" / name).write_bytes(content)
    (root / "mountain" / "broken.png").symlink_to(root / "nowhere.png")
    write(root / "mountain" / "more" / "x.png"), write(root / "loose.png")
    return {
        "coast/zero.jpg": "the file is empty",
        "coast/half.jpg": "cut off or damaged",
        "mountain/text.jpg": "its content is no JPEG",
        "mountain/notes.txt": "no picture by its extension",
        "mountain/deep.tif": "no picture by its extension",
        "mountain/broken.png": "broken link",
        "mountain/more": "folder inside a class folder",
        "loose.png": "beside the class folders",
    }


def make_good_oddities(root):
    """Five more good pictures, and what is never looked at."""
    names = ("coast/X.JPG", "coast/really a webp.jpg", "coast/sea side é 海.jpeg", "mountain/y.Bmp", "mountain/z.GIF")
    for level, (name, kind) in enumerate(zip(names, ("JPEG", "WEBP", "JPEG", "BMP", "GIF"), strict=True), start=250):
        write(root / name, (level,) * 3, kind)
    for name in ("._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "coast" / name).write_bytes(b"\0\5\x16\7")
        (root / name).write_bytes(b"\0\5\x16\7")
    for name in (".git", "__MACOSX", "@eaDir"):
        write(root / name / "x.jpg")
        write(root / "mountain" / name / "x.jpg")
    (root / "README.md").write_text("licence")


def test_odd_files_are_used_hidden_ones_never_and_bad_ones_listed_or_left_out(two_classes):
    make_good_oddities(two_classes)
    good = load(two_classes)  # without a warning, which would be an error
    assert good[2] == ("coast", "mountain") and np.bincount(good[1]).tolist() == [13, 12]
    levels = good[0][:, 4, 4].mean(axis=-1)
    assert all(np.abs(levels - level).min() <= 1 for level in range(250, 255))
    bad = make_bad_files(two_classes)
    with pytest.raises(InputError) as caught:
        load(two_classes)
    first, *lines = str(caught.value).split("\n")
    assert first.startswith(f"8 of 33 files of folder:{two_classes} can't be used")
    assert first.endswith("leave them out with --data.on-bad-file skip:") and len(lines) == len(bad)
    for name, reason in bad.items():
        assert [line for line in lines if line.startswith(f"  {two_classes / name}: ") and reason in line], name
    with pytest.warns(UserWarning, match=r"8 of 33 files .* are left out") as warned:
        pictures, labels, _ = load(two_classes, on_bad_file="skip")
    assert len(warned) == 1 and all(name in str(warned[0].message) for name in bad)
    np.testing.assert_array_equal(pictures, good[0])
    np.testing.assert_array_equal(labels, good[1])


def test_what_pillow_warns_of_names_the_file(two_classes, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    large = write(two_classes / "coast" / "large.png", size=(30, 20))
    with pytest.warns(UserWarning, match="1 of 21 files of folder:.* are odd, but used:") as caught:
        assert len(load(two_classes)[0]) == 21
    (said,) = caught
    assert f"\n  {large}: Image size (600 pixels) exceeds limit" in str(said.message)


def test_an_empty_class_folder_is_refused_by_name_unless_filtered_out(two_classes):
    (two_classes / "desert").mkdir()
    (two_classes / "desert" / ".DS_Store").write_bytes(b"x")
    for policy in ("stop", "skip"):
        with pytest.raises(InputError, match=r"class folder 'desert' .* has no images"):
            load(two_classes, on_bad_file=policy)
        assert load(two_classes, on_bad_file=policy, classes=("coast",))[2] == ("coast",)
    (two_classes / "desert" / "x.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match="1 of 21"), pytest.raises(InputError, match="class 'desert' has no images"):
        sources.load(f"folder:{two_classes}", image_size=8, count=0, seed=0, on_bad_file="skip")


@pytest.mark.parametrize(
    "path, options, words",
    [
        ("nowhere", {}, "does not exist; expected a folder with one subfolder per class"),
        ("a.png", {}, "is a file; expected a folder"),
        ("loose", {}, "1 images directly in it; expected one subfolder per class"),
        ("empty", {}, "has no subfolders; expected one subfolder per class"),
        ("", {"classes": ("coast", "desert")}, r"no class 'desert'; its 2 classes are coast, mountain"),
        ("", {"split": "train[:80%]"}, r"split 'train\[:80%\]' received .* a folder has no splits"),
        ("", {"classes": ("coast", "mountain"), "on_bad_file": "ignore"}, "on_bad_file is 'ignore', expected"),
    ],
)
def test_wrong_paths_and_options_are_one_sentence(two_classes, path, options, words):
    if path:
        write(two_classes / "a.png"), write(two_classes / "loose" / "a.png")
        (two_classes / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        load(two_classes / path, **options)


def test_names_with_accents_are_the_same_in_both_unicode_forms(tmp_path):
    write(tmp_path / "Ku\u0308ste" / "a.png")  # as macOS writes it
    assert load(tmp_path, classes=("K\u00fcste",))[2] == ("K\u00fcste",)
    write(tmp_path / "K\u00fcste" / "a.png")
    with pytest.raises(InputError, match="two class folders that read 'Küste'"):
        load(tmp_path)


def test_names_that_are_not_utf8_are_shown_and_never_crash_the_message(tmp_path):
    write(tmp_path / "coast" / "a.png")
    try:
        open(os.fsencode(tmp_path / "coast") + b"/\xff.jpg", "wb").close()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(InputError, match="the file is empty") as caught:
        load(tmp_path)
    str(caught.value).encode("utf-8")
    os.mkdir(os.fsencode(tmp_path) + b"/\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load(tmp_path)
