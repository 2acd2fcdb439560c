"""Procedural landscapes: coasts and mountains rendered in NumPy from a seed, the embedded data set.

Not part of the paper, which took its landscapes from the web and didn't release them (Deviation: D10). A picture is a
sky (a time of day, a sun, clouds), a ground (`terrain`) projected onto it, and water that mirrors what stands above it.
Pictures are drawn at twice their size and averaged, so that outlines are smooth. This module makes arrays only; the
pipeline is in `sources`.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pir_tf.data import terrain
from pir_tf.data.terrain import chance, draw, fractal_noise, mix, smoothstep
from pir_tf.errors import InputError

CLASS_NAMES = ("coast", "mountain")
CHUNK = 8  # Images drawn together, half of each class. Changing it changes the pictures of a seed.
MOST_THREADS = 4

# Each time of day: zenith, middle sky, horizon, sun, direct light, ambient light, lit cloud, shaded cloud.
TIMES = np.array(
    [
        [  # dawn
            [0.42, 0.52, 0.76], [0.80, 0.70, 0.80], [1.00, 0.80, 0.72], [1.00, 0.80, 0.60],
            [0.80, 0.58, 0.52], [0.44, 0.44, 0.56], [1.00, 0.82, 0.78], [0.66, 0.58, 0.72],
        ],
        [  # day
            [0.16, 0.40, 0.78], [0.42, 0.66, 0.92], [0.80, 0.90, 0.96], [1.00, 0.98, 0.90],
            [0.76, 0.73, 0.66], [0.40, 0.45, 0.52], [1.00, 1.00, 1.00], [0.66, 0.72, 0.80],
        ],
        [  # afternoon
            [0.24, 0.54, 0.74], [0.56, 0.78, 0.84], [0.93, 0.93, 0.84], [1.00, 0.95, 0.78],
            [0.80, 0.71, 0.56], [0.40, 0.44, 0.46], [1.00, 0.98, 0.92], [0.70, 0.72, 0.74],
        ],
        [  # golden hour
            [0.40, 0.52, 0.68], [0.86, 0.76, 0.60], [1.00, 0.80, 0.46], [1.00, 0.86, 0.52],
            [0.96, 0.66, 0.36], [0.38, 0.36, 0.38], [1.00, 0.88, 0.66], [0.68, 0.54, 0.48],
        ],
        [  # sunset
            [0.32, 0.24, 0.48], [0.86, 0.40, 0.42], [1.00, 0.60, 0.28], [1.00, 0.70, 0.30],
            [0.82, 0.42, 0.28], [0.33, 0.26, 0.36], [1.00, 0.54, 0.38], [0.46, 0.25, 0.38],
        ],
        [  # afterglow
            [0.42, 0.16, 0.26], [0.82, 0.26, 0.24], [1.00, 0.50, 0.22], [1.00, 0.66, 0.34],
            [0.70, 0.30, 0.20], [0.32, 0.20, 0.24], [1.00, 0.42, 0.28], [0.40, 0.16, 0.24],
        ],
        [  # dusk
            [0.09, 0.11, 0.30], [0.36, 0.27, 0.52], [0.88, 0.50, 0.54], [1.00, 0.64, 0.56],
            [0.42, 0.32, 0.42], [0.25, 0.25, 0.40], [0.76, 0.44, 0.56], [0.24, 0.20, 0.38],
        ],
        [  # overcast
            [0.54, 0.58, 0.62], [0.70, 0.73, 0.75], [0.85, 0.86, 0.85], [0.96, 0.96, 0.93],
            [0.36, 0.36, 0.35], [0.54, 0.56, 0.57], [0.88, 0.89, 0.90], [0.54, 0.57, 0.61],
        ],
    ],
    dtype=np.float32,
)  # fmt: skip
TIME_SHARE = np.array([0.13, 0.20, 0.13, 0.15, 0.13, 0.07, 0.09, 0.10])
SUN_ELEVATION = np.array([0.10, 0.42, 0.36, 0.14, 0.06, 0.03, 0.02, 0.40])  # fractions of the picture above the horizon
SUN_STRENGTH = np.array([0.8, 0.7, 0.8, 1.0, 1.0, 0.9, 0.5, 0.25])


def render(count: int, *, seed: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Renders landscapes of 16 pixels a side or more; image i depends on the seed, i and the size alone.

    Returns:
        Images, uint8 [count, size, size, 3] in 0..255, and labels, int32 [count]: image i has class i % 2 of
        `CLASS_NAMES`.
    """
    for name, value, least in (("count", count, 0), ("seed", seed, 0), ("size", size, 16)):
        if value < least:
            raise InputError(f"landscapes got {name} {value} but need at least {least}: give a larger {name}")
    images = np.empty((count, size, size, 3), np.uint8)

    def draw_chunk(start: int) -> None:
        # A chunk is always drawn whole, so a longer run begins with the images of a shorter one.
        chunk = np.empty((CHUNK, size, size, 3), np.uint8)
        for label in range(len(CLASS_NAMES)):
            rng = np.random.default_rng((seed, start // CHUNK, label))
            chunk[label :: len(CLASS_NAMES)] = _render_class(rng, label, CHUNK // len(CLASS_NAMES), size)
        images[start : start + CHUNK] = chunk[: count - start]

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
        for _ in threads.map(draw_chunk, range(0, count, CHUNK)):
            pass
    return images, np.arange(count, dtype=np.int32) % len(CLASS_NAMES)


def _render_class(rng: np.random.Generator, label: int, count: int, size: int) -> np.ndarray:
    """Returns `count` images of one class, uint8 [count, size, size, 3]."""
    pixels = size * 2
    rows = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    coast = CLASS_NAMES[label] == "coast"
    horizon = draw(rng, 0.36, 0.56, count) if coast else draw(rng, 0.56, 0.74, count)
    elevation = horizon - rows[None, :, None]  # of each row above the horizon, [count, pixels, 1]
    colours, sun = _time_of_day(rng, count)
    sky = _sky(rng, colours, sun, elevation[:, : int(np.ceil(horizon.max() * pixels))], rows)

    depth = np.linspace(0, 1, pixels, dtype=np.float32) ** 1.4  # closer together at the viewer's feet
    side = np.where(sun["x"] < 0.5, -1, 1).astype(np.float32)
    ground = (terrain.coasts if coast else terrain.mountains)(rng, count, depth, rows, side)
    image = _compose(ground, sky, colours, sun, elevation, depth, rows, horizon)
    if not coast:
        image = _spruces(rng, image, colours, rows)
    image = np.clip(image, 0, 1)
    image = image[..., ::2, :] + image[..., 1::2, :]
    image = image[..., ::2] + image[..., 1::2]
    return (image * (255 / 4) + 0.5).astype(np.uint8).transpose(1, 2, 3, 0)


def _time_of_day(rng: np.random.Generator, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the eight colours of each picture, [8, 3, count, 1, 1], and its sun (x, elevation, strength)."""
    first, second = rng.choice(len(TIMES), (2, count), p=TIME_SHARE)
    share = rng.uniform(0, 0.3, (count, 1, 1)).astype(np.float32)
    colours = mix(TIMES[first], TIMES[second], share)
    cast = rng.normal(0, 0.025, (count, 1, 3)) + rng.normal(0, 0.02, (count, 8, 3))
    colours = np.clip(colours + cast, 0, 1).astype(np.float32).transpose(1, 2, 0)[:, :, :, None, None]
    lift = SUN_ELEVATION[first, None, None].astype(np.float32)
    sun = {
        "x": draw(rng, 0.12, 0.88, count),
        "elevation": lift * draw(rng, 0.6, 1.6, count),
        "strength": SUN_STRENGTH[first, None, None].astype(np.float32) * draw(rng, 0.7, 1.0, count),
    }
    return colours, sun


def _sky(
    rng: np.random.Generator,
    colours: np.ndarray,
    sun: dict[str, np.ndarray],
    elevation: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Returns the sky, [3, count, rows of `elevation`, pixels]."""
    zenith, middle, low, glow, _, _, lit, shaded = colours
    count = elevation.shape[0]
    up = np.maximum(elevation, 0)
    gradient = mix(low, middle, smoothstep(0.0, 0.26, up))
    gradient = mix(gradient, zenith, smoothstep(0.12, 0.68, up))

    across, along = columns[None, None, :] - sun["x"], elevation - sun["elevation"]
    squared = across * across + along * along * 1.3
    halo = sun["strength"] * (0.55 * np.exp(-squared * 14) + 0.35 * np.exp(-squared * 110))
    sky = mix(gradient, glow, halo)

    # A flat layer of clouds: its rows crowd towards the horizon.
    layer = 0.35 / (np.abs(elevation[..., 0]) + 0.35)
    cover = draw(rng, -1.3, 0.9, count)
    density = fractal_noise(rng, count, layer, columns, (12, 3), 4, 0.5)
    veil = smoothstep(0.0, 1.5, density + cover) * smoothstep(0.0, 0.10, up) * draw(rng, 0.55, 1.0, count)
    # Thick parts are shaded, thin edges and the parts near the sun are lit.
    bright = np.clip(1.05 - 0.42 * np.maximum(density + cover - 0.3, 0) + halo, 0, 1)
    cloud = mix(shaded, lit, bright)
    sky = mix(sky, cloud, veil)
    disc = smoothstep(0.034**2, 0.020**2, squared) * np.minimum(sun["strength"] * 1.2, 1) * (1 - 0.75 * veil)
    return mix(sky, np.minimum(glow + 0.25, 1), disc)


def _compose(
    ground: terrain.Ground,
    sky: np.ndarray,
    colours: np.ndarray,
    sun: dict[str, np.ndarray],
    elevation: np.ndarray,
    depth: np.ndarray,
    columns: np.ndarray,
    horizon: np.ndarray,
) -> np.ndarray:
    """Returns the ground seen in front of the sky, water included, [3, count, pixels, pixels]."""
    _, _, low, glow, direct, ambient, _, _ = colours
    count, steps, pixels = ground.height.shape
    near = 1.02 - horizon
    plane = -near * np.exp(-terrain.DISTANCE_RATE * depth)[None, :, None]
    plane[:, -1] = 0
    # Each column is scanned from near to far: a pixel shows the first depth whose top reaches above it.
    skyline = np.maximum.accumulate(plane + ground.height, axis=1)
    top = np.ceil((horizon - skyline) * pixels - 0.5).astype(np.int32).clip(0, pixels)  # first row it covers
    image_index = np.arange(count, dtype=np.int32)[:, None, None]
    column_index = np.arange(pixels, dtype=np.int32)
    cell = (image_index * (pixels + 1) + top) * pixels + column_index
    hidden = np.bincount(cell.ravel(), minlength=count * (pixels + 1) * pixels)
    hidden = hidden.reshape(count, pixels + 1, pixels)[:, ::-1].cumsum(axis=1)[:, ::-1]
    seen = hidden[:, 1:]  # number of depths whose top lies below the row, so the index of the first that covers it
    source = (image_index * steps + np.minimum(seen, steps - 1)) * pixels + column_index

    colour = ground.albedo * (ambient + direct * ground.light)
    colour = mix(colour, mix(low, glow, 0.15), ground.haze)
    image = np.stack([channel.take(source) for channel in colour])
    above = sky.shape[2]
    image[:, :, :above] = np.where(seen[:, :above] >= steps, sky, image[:, :, :above])

    # Water shows what stands as far above the horizon as the water lies below it; waves make it waver.
    first = int(horizon.min() * pixels)
    elevation, source = elevation[:, first:], source[:, first:]
    below = np.maximum(-elevation, 0)
    water, wave = ground.water.take(source) * (seen[:, first:] < steps), ground.wave.take(source)
    mirrored = (horizon + elevation - wave * (0.012 + 0.10 * below)) * pixels
    row = np.clip(mirrored, 0, horizon * pixels - 1).astype(np.int32)
    source = (image_index * pixels + row) * pixels + column_index
    lower = mix(image[:, :, first:], np.stack([channel.take(source) for channel in image]), water)

    # The sun's road on the water: a column that widens towards the viewer and breaks into glints.
    width = 0.035 + 0.30 * below
    road = np.exp(-(((columns - sun["x"]) / width) ** 2)) * smoothstep(-0.6, 1.2, wave + 0.5 - below)
    road = road * sun["strength"] * smoothstep(0.5, 0.1, sun["elevation"]) * np.minimum(water * 3, 1)
    image[:, :, first:] = mix(lower, np.minimum(glow + 0.12, 1), 0.9 * road)
    return image


def _spruces(rng: np.random.Generator, image: np.ndarray, colours: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the pictures with spruces in front of about two in five of them."""
    count, trees = image.shape[1], 16
    direct, ambient = colours[4], colours[5]
    at = rng.uniform(0, 1, (count, trees, 1)).astype(np.float32)
    gap, open_width = draw(rng, 0.2, 0.8, count), draw(rng, 0.05, 0.4, count)
    tall = (rng.uniform(0.12, 0.30, (count, trees, 1)) * draw(rng, 0.6, 1.3, count)).astype(np.float32)
    tall = tall * smoothstep(0.3, 1.2, np.abs(at - gap) / open_width)
    present = chance(rng, 0.4, count) > 0
    spire = tall - np.abs(columns[None, None, :] - at) * 5.0
    outline = np.where(present, spire.max(axis=1, keepdims=True), -1)
    first = len(columns) // 2  # Spruces stand in the lower half.
    rows = columns[None, first:, None]
    above = rows + outline - 1.0 + 0.025 * np.mod(rows * 21, 1)  # The saw is the tiers of branches.
    cover = smoothstep(0.0, 0.012, above)
    needles = np.array([0.13, 0.22, 0.13], np.float32).reshape(3, 1, 1, 1) * (ambient + 0.35 * direct)
    image[:, :, first:] = mix(image[:, :, first:], needles, cover)
    return image
