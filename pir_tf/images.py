"""The image convention and every conversion at its edges.

Inside the package an image batch is float32 `[n, h, w, 3]` in `[-1, 1]` (the generator ends in a tanh, section C.2 of
the paper); on disk, on the web and in figures it is uint8 RGB or PNG. Photographs of any common kind come in through
`decode` alone, whichever path they take (a folder, a TFDS set), so one file is one picture everywhere.

Colour profiles and gamma chunks are not applied: the stored values are taken as sRGB.
"""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pir_tf.errors import InputError, one_line

if TYPE_CHECKING:
    import tensorflow as tf
    from PIL import Image

# Every other decoder of Pillow stays shut: these are what people and TFDS hand over, and each open decoder is a risk.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
KINDS = "JPEG, PNG, WebP, BMP or GIF"
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels
GRID_BACKGROUND = 240  # light grey, so that white images keep their edge
RANGE_TOLERANCE = 1e-3  # rounding, as of a resize or of half precision, but not another convention of range

# uint8 value v to v / 127.5 - 1. A table, because a compiler may turn the division into a product with a rounded
# reciprocal; looked up, the values are the same bits in NumPy, tf.data and XLA.
FLOAT_OF_UINT8 = (np.arange(256, dtype=np.float64) / 127.5 - 1.0).astype(np.float32)


class BadImage(InputError):
    """A picture that can't be used. `reason` is the cause alone, for lists that name the file themselves."""

    def __init__(self, name: str, reason: str):
        self.reason = reason
        super().__init__(f"image {name} can't be used: {reason}; expected a whole {KINDS} file, so repair or remove it")


def require_images(
    images: Any, *, uint8: bool = False, floats: bool = False, dimensions: int = 4, width: int = 1
) -> np.ndarray:
    """Images as an array, after the check that they are RGB, of a wanted type and in its range.

    Args:
        images: `[n, h, w, 3]`, or one image `[h, w, 3]` where `dimensions` is 3.
        uint8: whether bytes are wanted.
        floats: whether floats in [-1, 1] are, `RANGE_TOLERANCE` aside; both may be.
        dimensions: 4 or 3.
        width: the least number of columns.

    Raises:
        InputError: another type, shape or range, or values that are not finite.
    """
    array = np.asarray(images)
    shape, kind = array.shape, array.dtype
    wanted = (uint8 and kind == np.uint8) or (floats and kind.kind == "f")
    if not wanted or len(shape) != dimensions or shape[-1] != 3 or shape[-3] < 1 or shape[-2] < width:
        expected = " or ".join(["uint8"] * uint8 + ["floats in [-1, 1]"] * floats)
        form = "[h, w, 3]" if dimensions == 3 else "[n, h, w, 3]"
        least = f" with at least {width} columns" if width > 1 else ""
        raise InputError(
            f"received {kind} images of shape {list(shape)}, expected {expected} {form}{least}; "
            f"convert them with images.{'to_uint8' if uint8 else 'to_float'}"
        )
    if kind.kind == "f" and array.size:
        low, high = float(array.min()), float(array.max())  # a NaN anywhere makes both NaN
        if not (low >= -1.0 - RANGE_TOLERANCE and high <= 1.0 + RANGE_TOLERANCE):
            raise InputError(
                f"received images with values from {low:g} to {high:g}, expected finite ones in [-1, 1]; scale them first"
            )
    return array


def to_uint8(images: Any) -> np.ndarray:
    """Float images of any shape, in [-1, 1], as uint8: `round((x + 1) * 127.5)`, clipped to [0, 255].

    Raises:
        InputError: values that are not floats (converted twice?) or not a number (a diverged generator).
    """
    values = np.asarray(images)
    if values.dtype.kind in "biuO":
        raise InputError(f"received {values.dtype} images, expected floats in [-1, 1]; uint8 images need no conversion")
    values = values.astype(np.float32)
    if wrong := int(np.isnan(values).sum()):
        raise InputError(
            f"{wrong} of {values.size} image values are NaN, expected numbers in [-1, 1]; training has probably diverged, so go "
            "back to an earlier checkpoint or lower the learning rate"
        )
    return np.clip(np.rint((values + np.float32(1.0)) * np.float32(127.5)), 0, 255).astype(np.uint8)


def to_float(images: Any) -> np.ndarray:
    """uint8 images of any shape as networks see them, float32 in [-1, 1]: `x / 127.5 - 1`, which `to_uint8` undoes exactly.

    Raises:
        InputError: images that are not uint8 (converted twice?).
    """
    values = np.asarray(images)
    if values.dtype != np.uint8:
        raise InputError(f"received {values.dtype} images, expected uint8 in [0, 255]; floats need no conversion")
    return FLOAT_OF_UINT8[values]


def tensor_to_float(images: tf.Tensor) -> tf.Tensor:
    """The same bits as `to_float`, within TensorFlow's graphs."""
    import tensorflow as tf

    return tf.gather(FLOAT_OF_UINT8, tf.cast(images, tf.int32))


def decode(source: bytes | str | os.PathLike[str], *, name: str | None = None) -> np.ndarray:
    """Reads one picture of any common kind as upright RGB.

    The file's bytes decide its format, not its name. The EXIF orientation is applied; CMYK becomes RGB; grey is
    repeated over the three channels; 16 bits are scaled to 8; transparency (alpha, palette or colour key) goes onto
    white; of an animation (GIF, APNG, WebP) the first frame is taken.

    Args:
        source: the encoded file, or its path.
        name: what messages call it; default the path.

    Returns:
        uint8 array [h, w, 3].

    Raises:
        BadImage: the file is missing, empty, cut off, damaged, of another format, or has more than twice
            `PIL.Image.MAX_IMAGE_PIXELS` pixels (about 179 million: a decompression bomb).
    """
    from PIL import Image, UnidentifiedImageError

    label = name or ("(bytes)" if isinstance(source, bytes) else os.fspath(source))
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise BadImage(label, error.strerror or str(error)) from error
    if not data:
        raise BadImage(label, "the file is empty (0 bytes)")
    try:
        try:
            return _decoded(data)
        except ValueError as error:
            if "MAX_TEXT" not in str(error):
                raise
            return _decoded(_without_text(data))
    except UnidentifiedImageError as error:
        raise BadImage(label, f"its content is no {KINDS} image, or cut off in its header") from error
    except Image.DecompressionBombError as error:
        raise BadImage(label, f"it has too many pixels to be a photograph ({error})".rstrip(".")) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise almost any type on damaged data
        raise BadImage(label, f"it is cut off or damaged ({one_line(error)})") from error


def _decoded(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.load()
        if data.startswith(PNG):
            _scale_key(image, depth=data[24], colours=data[25])
        return _rgb(_upright(image))


def _scale_key(png: Image.Image, *, depth: int, colours: int) -> None:
    """The colour key in the values that the pixels have: Pillow scales those of 2, 4 and 16 bits, and not the key.

    Of 16-bit RGB the upper half of each value is kept, of pixels and key.
    """
    key = png.info.get("transparency")
    if colours == 0 and depth in (2, 4) and isinstance(key, int):
        png.info["transparency"] = key * 255 // (2**depth - 1)
    elif colours == 2 and depth == 16 and isinstance(key, tuple):
        png.info["transparency"] = tuple(value >> 8 for value in key)


def _without_text(png: bytes) -> bytes:
    """A PNG file without its texts and colour profile: Pillow refuses large ones, and the pixels need neither."""
    kept, place = [png[:8]], 8
    while place < len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] not in (b"iCCP", b"tEXt", b"zTXt", b"iTXt"):
            kept.append(png[place:end])
        place = end
    return b"".join(kept)


def _upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF (or XMP) orientation. `ImageOps.exif_transpose` also rewrites odd metadata, and fails at it."""
    from PIL import ExifTags, Image

    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # unreadable metadata says nothing about the orientation, and the pixels are whole
        return image
    turn = Image.Transpose
    first = (turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM)
    turns = (*first, turn.TRANSPOSE, turn.ROTATE_270, turn.TRANSVERSE, turn.ROTATE_90)  # of orientations 2 to 8
    return image.transpose(turns[orientation - 2]) if orientation in range(2, 9) else image


def _rgb(image: Image.Image) -> np.ndarray:
    """A loaded Pillow image of any mode as uint8 [h, w, 3]."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips everything above 255 to white
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        key = image.info.get("transparency")
        bytes_ = np.where(grey == key, BACKGROUND[0], (grey + 128) // 257)  # 65535 = 255 * 257, to nearest
        return np.repeat(bytes_.astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        front = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", front.size, (*BACKGROUND, 255)), front)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def center_crop_resize(image: np.ndarray, size: int) -> np.ndarray:
    """The largest centred square of a uint8 image [h, w, 3] at [size, size, 3]: small ones are enlarged, none is stretched."""
    from PIL import Image

    require_images(image, uint8=True, dimensions=3)
    if size < 1:
        raise InputError(f"image size {size} received, expected at least 1 pixel; use for example 64")
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return square.copy()
    # Pillow widens a filter by the reduction, so each of them is antialiased. Lanczos keeps most of the detail that 64
    # pixels can hold; box blurs it, and enlarges into blocks. The faint overshoot of Lanczos at edges is clipped.
    return np.array(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS), dtype=np.uint8)


def save_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes a uint8 image [h, w, 3] without loss; the file appears under its name only when whole."""
    from PIL import Image

    path = Path(path)
    picture = Image.fromarray(np.ascontiguousarray(require_images(image, uint8=True, dimensions=3)))
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        picture.save(beside, format="PNG")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def grid(images: np.ndarray, columns: int, padding: int = 2) -> np.ndarray:
    """Lays one or more images, uint8 [n, h, w, 3], out row by row, with a padding of light pixels between and around them."""
    require_images(images, uint8=True)
    count, height, width, _ = images.shape
    if count < 1 or columns < 1:
        raise InputError(f"grid received {count} images and {columns} columns, expected at least one of each")
    columns = min(columns, count)
    rows = -(-count // columns)
    step_y, step_x = height + padding, width + padding
    picture = np.full((rows * step_y + padding, columns * step_x + padding, 3), GRID_BACKGROUND, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = padding + (i // columns) * step_y, padding + (i % columns) * step_x
        picture[top : top + height, left : left + width] = image
    return picture
