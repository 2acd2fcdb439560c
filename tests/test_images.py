"""The image convention: exact conversions, every kind of picture file, crops without distortion, grids."""

import io
import os
import struct
import zlib
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from pir_tf import images
from pir_tf.errors import InputError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
LOSSY = {"quality": 95}


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(header, *chunks):
    """A PNG file by hand; the header is width, height, bits, colour type."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks, (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data


def photo(height=48, width=64):
    """A smooth colour picture whose four corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    return np.stack([red, green, 128 + 0 * red], axis=-1).round().astype(np.uint8)


def test_all_256_bytes_survive_the_round_trip():
    values = np.arange(256, dtype=np.uint8)
    floats = images.to_float(values)
    assert floats.dtype == np.float32 and floats[0] == -1.0 and floats[255] == 1.0
    np.testing.assert_allclose(floats, (values.astype(np.float64) - 127.5) / 127.5, atol=1e-7)
    np.testing.assert_array_equal(images.to_uint8(floats), values)
    step = 2 / 255  # rounded to nearest, and clipped
    x = np.array([-1.5, -1.0, -1 + 0.49 * step, -1 + 0.51 * step, 1 - 0.51 * step, 1 - 0.49 * step, 1.0, 1.5, np.inf])
    np.testing.assert_array_equal(images.to_uint8(x), [0, 0, 0, 1, 254, 255, 255, 255, 255])


@pytest.mark.parametrize(
    "kind, options, off", [("PNG", {}, 0), ("BMP", {}, 0), ("JPEG", LOSSY, 16), ("WEBP", LOSSY, 16)]
)
def test_plain_rgb(kind, options, off, tmp_path):
    path = tmp_path / "a.whatever"
    path.write_bytes(encoded(Image.fromarray(photo()), kind, **options))
    got = images.decode(path)
    assert got.dtype == np.uint8 and got.shape == (48, 64, 3)
    assert np.abs(got.astype(int) - photo()).max() <= off
    np.testing.assert_array_equal(images.decode(path.read_bytes()), got)


def test_cmyk_jpeg_has_the_right_colours():
    """Ink values written by hand: no ink is white, all cyan has no red. Inverted, white would be black."""
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:, 16:, 0] = 255  # cyan
    data = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=95, subsampling=0)
    assert b"Adobe" in data  # the marker that makes decoders invert
    got = images.decode(data).astype(int)
    for columns, colour in ((slice(0, 12), WHITE), (slice(20, 32), (0, 255, 255))):
        assert np.abs(got[:, columns] - colour).max() < 8


def row_of(*pixels):
    return Image.fromarray(np.array([pixels], np.uint8))


PALETTE = row_of(0, 1, 2)
PALETTE.putpalette([*RED, *GREEN, *BLUE])
RGBA = row_of((255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(row_of(0, 255).convert("1")), [(0, 0, 0), WHITE]),
        (encoded(row_of(7, 200)), [(7, 7, 7), (200, 200, 200)]),
        (encoded(row_of(90, 90), "JPEG", quality=100), [(90, 90, 90)] * 2),
        (encoded(RGBA), [RED, WHITE, (127, 127, 127)]),
        (encoded(RGBA, "WEBP", lossless=True), [RED, WHITE, (127, 127, 127)]),
        (encoded(Image.merge("LA", [row_of(10, 10), row_of(255, 0)])), [(10, 10, 10), WHITE]),
        (encoded(PALETTE), [RED, GREEN, BLUE]),
        (encoded(PALETTE, transparency=1), [RED, WHITE, BLUE]),
        (encoded(PALETTE, transparency=bytes([255, 255, 0])), [RED, GREEN, WHITE]),
        (encoded(PALETTE, "GIF", transparency=0), [WHITE, GREEN, BLUE]),
        (encoded(row_of(RED, GREEN), transparency=RED), [WHITE, GREEN]),
        (encoded(row_of(7, 8), transparency=7), [WHITE, (8, 8, 8)]),
    ],
)
def test_palettes_and_transparency_go_onto_white(data, expected):
    np.testing.assert_array_equal(images.decode(data)[0], expected)


def test_a_16_bit_gradient_stays_a_gradient_and_its_colour_key_is_transparent():
    deep = np.linspace(0, 65535, 1024).round().astype(np.uint16)
    got = images.decode(encoded(Image.fromarray(np.tile(deep, (2, 1)))))
    np.testing.assert_array_equal(got[0, :, 0], np.round(deep / 257.0).astype(np.uint8))
    assert got[0, 0, 0] == 0 and got[0, -1, 0] == 255 and len(np.unique(got)) == 256
    assert (got == got[:, :, :1]).all()
    key, rows = (b"tRNS", struct.pack(">H", 257)), b"\x00" + struct.pack(">HH", 257, 514)
    data = png((2, 1, 16, 0), key, (b"IDAT", zlib.compress(rows)))
    np.testing.assert_array_equal(images.decode(data)[0], [WHITE, (2, 2, 2)])


def test_a_colour_key_is_meant_as_the_file_means_it():
    """By hand, of 2 and 4 bits a pixel and of 16 a channel, whose pixels Pillow scales, and not the key."""
    for bits, row, key, expected in (
        (2, [0b00011011], 1, [0, 255, 170, 255]),
        (2, [0b00011011], 0, [255, 85, 170, 255]),
        (4, [0x05, 0xAF], 5, [0, 255, 170, 255]),
        (8, [0, 5, 10, 85], 5, [0, 255, 10, 85]),
    ):
        pixels = (b"IDAT", zlib.compress(bytes([0, *row])))
        got = images.decode(png((4, 1, bits, 0), (b"tRNS", struct.pack(">H", key)), pixels))
        assert got[0, :, 0].tolist() == expected, (bits, key)
    row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x4000, 0x4100, 0x4200)
    key = (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC))
    got = images.decode(png((2, 1, 16, 2), key, (b"IDAT", zlib.compress(b"\x00" + row))))
    np.testing.assert_array_equal(got[0], [WHITE, (0x40, 0x41, 0x42)])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    with Image.open(io.BytesIO(data)) as check:
        assert check.n_frames == 3
    got = images.decode(data)
    assert got.shape == (6, 8, 3) and (got == RED).all()


def test_exif_orientation_is_applied_and_broken_exif_does_not_spoil_a_picture():
    upright = photo(6, 4)
    stored = [  # how a camera stores the upright picture under 1 to 8, from the definition of the tag
        *(upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]),
        *(upright.transpose(1, 0, 2), np.rot90(upright, 1)),
        *(upright[::-1, ::-1].transpose(1, 0, 2), np.rot90(upright, -1), upright),
    ]
    for orientation, picture in enumerate(stored, start=1):  # 9 says nothing
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(Image.fromarray(np.ascontiguousarray(picture)), exif=exif)
        np.testing.assert_array_equal(images.decode(data), upright, err_msg=str(orientation))
    broken = encoded(Image.fromarray(photo()), "JPEG", exif=b"Exif\x00\x00garbage that is no TIFF header")
    assert images.decode(broken).shape == (48, 64, 3)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "kind, head", [(b"iCCP", b"x\0\0"), (b"zTXt", b"x\0\0"), (b"iTXt", b"x\0\1\0\0\0"), (b"tEXt", b"x\0")]
)
def test_a_large_text_or_profile_does_not_spoil_a_png(kind, head, last, monkeypatch):
    """As cameras and image generators write them; the orientation beside it still counts."""
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1 << 20)
    large = b"A" * (2 << 20)
    chunk = (kind, head + (large if kind == b"tEXt" else zlib.compress(large)))
    exif = (b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0")  # upside down
    pixels = (b"IDAT", zlib.compress(b"\0" + bytes(RED) + b"\0" + bytes(BLUE)))
    data = png((1, 2, 8, 2), exif, *((pixels, chunk) if last else (chunk, pixels)))
    np.testing.assert_array_equal(images.decode(data)[:, 0], [BLUE, RED])
    with pytest.raises(images.BadImage, match="cut off or damaged"):
        images.decode(png((1, 2, 8, 2), chunk, (b"IDAT", pixels[1][:8])))


@pytest.mark.parametrize(
    "kind, options", [*((kind, {}) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")), ("JPEG", {"progressive": True})]
)
def test_a_file_cut_in_half_is_refused(kind, options):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind, **options)
    with pytest.raises(images.BadImage, match="cut off or damaged") as caught:
        images.decode(data[: len(data) // 2], name="half.file")
    assert "half.file" in str(caught.value) and "half.file" not in caught.value.reason
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_other_bad_files_are_one_sentence_with_the_reason(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    for source, reason in (
        (tmp_path / "empty.jpg", "the file is empty"),
        (b"I am no picture", "its content is no JPEG"),
        (encoded(Image.new("RGB", (4, 4)), "TIFF"), "its content is no JPEG"),
        (tmp_path / "missing.jpg", "No such file"),
        (tmp_path, "Is a directory"),
        (png((60000, 60000, 8, 2), (b"IDAT", zlib.compress(bytes(1000)))), "too many pixels"),  # before it unfolds
    ):
        with pytest.raises(InputError, match=reason) as caught:
            images.decode(source)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("height, width", [(100, 300), (300, 100), (101, 64), (64, 64), (20, 32)])
def test_a_circle_in_the_middle_stays_a_circle(height, width):
    y, x = np.mgrid[0:height, 0:width]
    side = min(height, width)
    inside = (y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2 <= (0.4 * side) ** 2
    got = images.center_crop_resize(np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, -1), 64)
    assert got.shape == (64, 64, 3) and got.dtype == np.uint8
    disc = got[:, :, 0] > 127
    rows, columns = disc.any(axis=1).sum(), disc.any(axis=0).sum()
    assert abs(rows - columns) <= 2 and abs(rows - 0.8 * 64) <= 4
    assert abs(disc.mean() - np.pi * 0.4**2) < 0.04


def test_shrinking_is_antialiased_and_a_pixel_may_grow():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    got = images.center_crop_resize(stripes, 64)[:, 4:-4].astype(int)
    assert np.abs(got - 127.5).max() <= 2  # sampled without a filter, the stripes would be all black or all white
    assert (images.center_crop_resize(stripes[:1, :1], 64) == 255).all()


ZEROS = np.zeros((2, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        (ZEROS[0], {"floats": True}, "float32 images of shape [4, 4, 3], expected floats in [-1, 1] [n, h, w, 3]"),
        (ZEROS, {"floats": True, "dimensions": 3}, "expected floats in [-1, 1] [h, w, 3]"),
        (ZEROS.transpose(0, 3, 1, 2), {"floats": True}, "shape [2, 3, 4, 4]"),
        (ZEROS[:, :0], {"floats": True}, "shape [2, 0, 4, 3]"),
        (ZEROS[:, :, :0], {"floats": True}, "shape [2, 4, 0, 3]"),
        (ZEROS[:, :, :1], {"floats": True, "width": 2}, "with at least 2 columns"),
        (ZEROS, {"uint8": True}, "expected uint8 [n, h, w, 3]; convert them with images.to_uint8"),
        (ZEROS.astype(np.uint8), {"floats": True}, "received uint8 images"),
        (ZEROS.astype(np.int64), {"uint8": True, "floats": True}, "expected uint8 or floats in [-1, 1]"),
        (ZEROS.astype(np.uint16), {"uint8": True, "floats": True}, "received uint16 images"),
        *((ZEROS + x, {"floats": True}, f"values from {x:g} to {x:g}") for x in (1.002, -1.002, 255, np.inf, -np.inf)),
        (np.where(np.arange(3) == 1, np.nan, ZEROS), {"floats": True}, "values from nan to nan"),
    ],
)
def test_what_is_no_image_of_the_convention_is_refused(given, wanted, words):
    with pytest.raises(InputError) as error:
        images.require_images(given, **wanted)
    assert words in str(error.value)


def test_what_is_one_is_taken():
    for good in (ZEROS + 1.0005, ZEROS.astype(np.float16), ZEROS[:0], ZEROS.astype(np.uint8)):
        assert images.require_images(good, uint8=True, floats=True) is good


def test_png_round_trip_is_exact_and_the_file_appears_whole(tmp_path, monkeypatch):
    picture = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    images.save_png(path := tmp_path / "a.png", picture)
    monkeypatch.setattr(os, "replace", mock.Mock(side_effect=OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        images.save_png(path, np.zeros_like(picture))
    np.testing.assert_array_equal(images.decode(path), picture)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_grid_places_images_row_by_row():
    batch = np.stack([np.full((4, 6, 3), 10 * i, np.uint8) for i in range(5)])
    got = images.grid(batch, columns=3, padding=2)
    assert got.shape == (2 * (4 + 2) + 2, 3 * (6 + 2) + 2, 3)
    for i in range(5):
        top, left = 2 + (i // 3) * 6, 2 + (i % 3) * 8
        assert (got[top : top + 4, left : left + 6] == 10 * i).all()
    assert (got == images.GRID_BACKGROUND).sum() == got.size - batch.size
    assert images.grid(batch[:2], columns=9, padding=0).shape == (4, 12, 3)


@pytest.mark.parametrize(
    ("call", "given", "words"),
    [
        (images.to_uint8, (ZEROS.astype(np.uint8),), r"uint8 images.*no conversion"),
        (images.to_float, (ZEROS,), r"float32 images.*expected uint8"),
        (images.to_uint8, (np.array([np.nan, 0.0, np.nan, 1.0]),), r"2 of 4 image values are NaN.*diverged"),
        (images.grid, (ZEROS[:0].astype(np.uint8), 2), "0 images"),
        (images.grid, (ZEROS.astype(np.uint8), 0), "0 columns"),
        (images.grid, (ZEROS, 1), "convert them with images.to_uint8"),
        (images.center_crop_resize, (photo(), 0), "expected at least 1 pixel"),
        (images.center_crop_resize, (ZEROS[0], 2), r"float32 images of shape \[4, 4, 3\]"),
    ],
)
def test_conversions_grids_and_crops_refuse_what_can_not_be(call, given, words):
    with pytest.raises(InputError, match=words):
        call(*given)
