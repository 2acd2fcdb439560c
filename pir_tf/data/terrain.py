"""The ground of a procedural landscape: relief, materials and light, seen in perspective.

Not part of the paper, which took its landscapes from the web (Deviation: D10). The ground is a sheet over
(depth, column). Depth runs from 0 at the viewer's feet to 1 at the horizon and stands for a logarithmic distance, so
one noise grid gives small features near and large ones far. Heights are apparent ones: fractions of the picture's
height.
Everything is drawn for a batch of images at once; the sky and the composition are in `landscapes`.
"""

import dataclasses
from typing import Any

import numpy as np

DISTANCE_RATE = 4.2  # distance = exp(DISTANCE_RATE * depth): the far end is 67 times as far as the near one

Values = float | np.ndarray  # that broadcasts with the others


@dataclasses.dataclass
class Ground:
    """A batch of ground sheets, float32 arrays [batch, depth, column]."""

    height: np.ndarray  # apparent, above the water plane, in fractions of the picture's height
    albedo: np.ndarray  # colour of the material, [3, batch, depth, column] in 0..1
    light: np.ndarray  # share of the direct light that arrives, 0..1
    haze: np.ndarray  # share of the air's colour in front of it, 0..1
    water: np.ndarray  # share of mirror, 0 on land and foam
    wave: np.ndarray  # height of the water's waves, about -2..2


def smoothstep(low: Values, high: Values, value: Values) -> np.ndarray:
    """Returns 0 below `low`, 1 above `high` and a smooth cubic between."""
    t = np.clip((value - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Values, second: Values, share: Values) -> np.ndarray:
    """Returns `first` where `share` is 0 and `second` where it is 1."""
    change: Any = (second - first) * share
    change += first
    return change


def draw(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """Returns one uniform number for each image as float32 [count, 1, 1]."""
    return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)


def chance(rng: np.random.Generator, share: float, count: int) -> np.ndarray:
    """Returns 1 for about `share` of the images and 0 for the others, float32 [count, 1, 1]."""
    return (rng.random((count, 1, 1)) < share).astype(np.float32)


def spline_weights(position: np.ndarray, cells: int) -> np.ndarray:
    """Returns cubic B-spline weights [..., cells + 3] of positions 0..1 on a grid of `cells` cells."""
    t = np.abs(position[..., None] * cells + 1 - np.arange(cells + 3, dtype=np.float32))
    far = np.maximum(2 - t, 0)
    near = np.maximum(1 - t, 0)
    return (far * far * far - 4 * near * near * near) / 6


def smooth_noise(
    rng: np.random.Generator, count: int, rows: np.ndarray, columns: np.ndarray, cells: tuple[int, int]
) -> np.ndarray:
    """Returns smooth noise of mean 0 and deviation about 1, [count, rows, columns].

    Positions are in 0..1, those of rows [R] or one set for each image [count, R]; cells are of the grid along both.
    """
    grid = rng.standard_normal((count, cells[0] + 3, cells[1] + 3), dtype=np.float32) * 2.1
    return spline_weights(rows, cells[0]) @ (grid @ spline_weights(columns, cells[1]).T)


def fractal_noise(
    rng: np.random.Generator,
    count: int,
    rows: np.ndarray,
    columns: np.ndarray,
    cells: tuple[int, int],
    octaves: int,
    gain: float = 0.5,
) -> np.ndarray:
    """Returns a sum of `octaves` smooth noises, each twice as fine and `gain` times as high as the one before."""
    total: Any = 0.0
    for octave in range(octaves):
        scaled = (cells[0] << octave, cells[1] << octave)
        total = total + np.float32(gain**octave) * smooth_noise(rng, count, rows, columns, scaled)
    return total


def slopes(height: np.ndarray, depth: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ground's slopes to the right and away from the viewer, as rise over run."""
    across = np.gradient(height, columns, axis=2)
    away = np.gradient(height, depth, axis=1) / DISTANCE_RATE + height
    return across, away


def lambert(across: np.ndarray, away: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Returns the cosine of the angle to a light on `side` (-1 left, 1 right), 0..1."""
    height, toward = 0.52, -0.36
    norm = np.float32(np.sqrt(1 + height**2 + toward**2))
    dot = (height - across * side - away * toward) / norm
    return np.clip(dot / np.sqrt(1 + across * across + away * away), 0, 1)


def pick(rng: np.random.Generator, table: np.ndarray, count: int) -> np.ndarray:
    """Returns a jittered row of a colour table for each image, [3, count, 1, 1]."""
    colour = table[rng.integers(len(table), size=count)] + rng.normal(0, 0.025, (count, 3))
    return np.clip(colour, 0, 1).astype(np.float32).T[:, :, None, None]


VEGETATION = np.array(
    [
        [0.20, 0.36, 0.15],  # spruce
        [0.36, 0.50, 0.18],  # meadow
        [0.50, 0.56, 0.22],  # dry meadow
        [0.66, 0.46, 0.16],  # larch in autumn
        [0.62, 0.30, 0.14],  # beech in autumn
        [0.46, 0.32, 0.44],  # heather
    ]
)
ROCK = np.array([[0.47, 0.45, 0.45], [0.40, 0.38, 0.40], [0.54, 0.44, 0.36], [0.60, 0.40, 0.30], [0.36, 0.38, 0.44]])
SAND = np.array([[0.93, 0.83, 0.62], [0.88, 0.72, 0.50], [0.96, 0.90, 0.78], [0.78, 0.60, 0.42], [0.46, 0.43, 0.42]])
SEA = np.array([[0.03, 0.27, 0.46], [0.03, 0.36, 0.46], [0.06, 0.34, 0.36], [0.05, 0.20, 0.38], [0.16, 0.30, 0.36]])
SNOW = np.array([0.92, 0.94, 0.98], dtype=np.float32).reshape(3, 1, 1, 1)
FOAM = np.array([0.97, 0.98, 0.98], dtype=np.float32).reshape(3, 1, 1, 1)
LAGOON = np.array([0.25, 0.72, 0.68], dtype=np.float32).reshape(3, 1, 1, 1)


def mountains(rng: np.random.Generator, count: int, depth: np.ndarray, columns: np.ndarray, side: np.ndarray) -> Ground:
    """Returns ranges of mountains behind a foreground of meadow or forest, some with a lake.

    The sheet's depths [D] and the picture's columns [C] rise in 0..1; the light comes from the side -1 or 1, [count, 1, 1].
    """
    d, x = depth[None, :, None], columns[None, None, :]
    ridges, weight = 0.0, 1.0
    for octave in range(5):
        n = smooth_noise(rng, count, depth, columns, (3 << octave, 2 << octave))
        crest = np.maximum(1.0 - np.sqrt(n * n + 0.004), -0.5)
        ridges = ridges + np.float32(0.46**octave) * crest * weight
        weight = np.clip(0.35 + crest, 0, 1)  # Valleys are smooth, crests are rough.
    # A few ranges, one behind the other, each higher than the one before it.
    wander = 0.10 * smooth_noise(rng, count, depth, columns, (2, 3))
    ranges = 0.5 + 0.5 * np.cos(2 * np.pi * ((d + wander) * draw(rng, 2.6, 4.6, count) + draw(rng, 0, 1, count)))
    envelope = (0.15 + 0.85 * ranges) * smoothstep(0.16, 0.80, d)
    layered = chance(rng, 0.35, count)  # pictures of ranges fading into the air, without great summits
    height = draw(rng, 0.14, 0.28, count) * mix(1.0, 1.3, layered) * envelope * (0.45 + 0.75 * ridges)
    for scale in (1.0, 0.7, 0.5):  # The summits that give each picture its outline.
        at, back = draw(rng, 0.08, 0.92, count) + 0.4 * wander, draw(rng, 0.66, 0.86, count)
        wide, tall = draw(rng, 0.20, 0.42, count), scale * draw(rng, 0.14, 0.36, count) * mix(1.0, 0.3, layered)
        cone = np.sqrt(((x - at) / wide) ** 2 + ((d - back) / 0.15) ** 2 + 0.004)
        summit = np.maximum(1 - cone, 0)
        height = np.maximum(height, 0) + tall * summit * (0.50 + 0.62 * ridges)
    texture = fractal_noise(rng, count, depth, columns, (10, 8), 2)
    height = height * (1 - smoothstep(0.90, 1.0, d))
    height = height + 0.022 * smooth_noise(rng, count, depth, columns, (6, 3)) * (1 - d)

    lake = chance(rng, 0.34, count)
    shore = 0.05 * smooth_noise(rng, count, depth, columns, (1, 4))
    basin = smoothstep(0.03, 0.09, d + shore - draw(rng, 0.0, 0.16, count))
    basin = basin * (1 - smoothstep(0.36, 0.50, d + shore)) * lake
    height = np.maximum(height * (1 - basin), 0)
    water = smoothstep(0.6, 0.95, basin)

    across, away = slopes(height, depth, columns)
    light = lambert(across, away, side)
    steep = np.sqrt(across * across + away * away)
    top = height.max(axis=(1, 2), keepdims=True)
    # Snow lies above a line that noise bends, and slides from steep faces.
    line = top * draw(rng, 0.25, 0.85, count)
    snow = smoothstep(-0.025, 0.03, height - line + 0.016 * texture - 0.018 * (steep - 0.9))
    snow = snow * smoothstep(0.42, 0.55, d)
    green = smoothstep(0.05, -0.05, height - top * draw(rng, 0.12, 0.55, count) + 0.02 * texture + 0.03 * (steep - 0.8))
    field, wood = (
        pick(rng, VEGETATION[[0, 1, 1, 2, 2, 3, 4, 5]], count),
        pick(rng, VEGETATION[[0, 0, 1, 3]], count) * 0.8,
    )
    wood = mix(field, wood, 0.65)
    plants = mix(field, wood, smoothstep(-1.6, 2.0, texture + 4.0 * (d - 0.35)))
    plants = plants * (1 + 0.10 * texture * (1 - d))
    albedo = mix(pick(rng, ROCK, count) * (1 + 0.05 * texture), plants, green)
    albedo = mix(albedo, SNOW, snow)
    albedo = mix(albedo, pick(rng, SEA, count) * 0.8, water)

    haze = 1 - np.exp(-draw(rng, 0.5, 1.9, count) * mix(1.0, 1.9, layered) * np.square(smoothstep(0.1, 1.2, d)))
    mist = draw(rng, 0.0, 0.55, count) * smoothstep(0.35, 0.8, d) * np.exp(-height * 16)  # Valleys fill with mist.
    haze = 1 - (1 - haze) * (1 - mist)
    wave = smooth_noise(rng, count, depth, columns, (40, 6))
    return Ground(height, albedo, light, haze, water * 0.62, wave * 0.5)


def coasts(rng: np.random.Generator, count: int, depth: np.ndarray, columns: np.ndarray, side: np.ndarray) -> Ground:
    """Returns a sea with a beach in front or on one side, headlands and cliffs; arguments as in `mountains`."""
    d, x = depth[None, :, None], columns[None, None, :]
    hand = 2 * chance(rng, 0.5, count) - 1
    inland = hand * (x - 0.5)
    # `land` is the distance to the water's edge, in picture widths: positive on land, negative at sea.
    bend = smooth_noise(rng, count, depth, columns, (3, 2))
    beach = draw(rng, -0.15, 0.42, count) - draw(rng, 1.6, 3.2, count) * d
    land = beach + draw(rng, 0.35, 1.0, count) * inland + 0.05 * bend
    land = np.maximum(land, -0.75)
    shore = land  # before headlands and stacks: breakers roll onto the beach
    back_height = 0.0
    for far in (0.56, 0.74):  # Headlands come in from one side each.
        turn = hand * (2 * chance(rng, 0.8, count) - 1)
        present = chance(rng, 0.72, count) > 0
        tip = draw(rng, -0.25, 0.40, count)
        tongue = turn * (x - 0.5) - tip - np.abs(d - far - 0.06 * bend) * 2.2
        tongue = np.where(present, tongue + 0.03 * bend, -0.75)
        rise = draw(rng, 0.05, 0.20, count) * (0.8 + draw(rng, 0.0, 0.8, count) * np.maximum(tongue, 0))
        back_height = np.maximum(back_height, rise * smoothstep(0.0, draw(rng, 0.12, 0.34, count), tongue))
        land = np.maximum(land, tongue)
    stack_at, stack_d = draw(rng, 0.1, 0.9, count), draw(rng, 0.36, 0.6, count)
    stack = 0.055 - np.sqrt((x - stack_at) ** 2 + (0.5 * (d - stack_d)) ** 2) + 0.008 * bend
    stack = np.where(chance(rng, 0.22, count) > 0, stack, -0.75)
    back_height = np.maximum(back_height, draw(rng, 0.06, 0.15, count) * smoothstep(0.0, 0.035, stack))
    land = np.maximum(land, stack)

    rough = fractal_noise(rng, count, depth, columns, (5, 5), 3)
    texture = smooth_noise(rng, count, depth, columns, (24, 12))
    dune = 0.05 * smoothstep(0.08, 0.5, land) * (1 - smoothstep(0.3, 0.5, d)) * (1 + 0.5 * bend)
    height = np.maximum(back_height * (1 + 0.16 * rough) + dune, 0) * smoothstep(-0.01, 0.03, land)
    height = height * (1 - smoothstep(0.9, 0.97, d))

    across, away = slopes(height, depth, columns)
    light = lambert(across, away, side)
    steep = np.sqrt(across * across + away * away)
    dry = smoothstep(0.0, 0.07, land + 0.01 * bend)
    sand = pick(rng, SAND, count) * (mix(0.62, 1.0, dry) * (1 + 0.04 * texture))
    rock = pick(rng, np.concatenate([ROCK, SAND[:2]]), count) * (1 + 0.12 * rough)
    plants = pick(rng, VEGETATION[[0, 1, 2, 2, 1]], count) * (1 + 0.08 * texture)
    grass = smoothstep(1.3, 0.6, steep + 0.15 * rough) * smoothstep(0.02, 0.06, height)
    albedo = mix(rock, plants, grass)
    low = smoothstep(0.035, 0.012, height - 0.05 * (1 - smoothstep(0.25, 0.4, d)) + 0.004 * rough)
    albedo = mix(albedo, sand, low)

    sea = smoothstep(0.006, -0.006, land)
    wave = smooth_noise(rng, count, depth, columns, (44, 5)) + 0.6 * smooth_noise(rng, count, depth, columns, (60, 12))
    shallow = np.exp(np.minimum(land, 0) * draw(rng, 3.0, 9.0, count)) * draw(rng, 0.25, 0.95, count)
    deep = pick(rng, SEA, count) * (1 + 0.13 * wave)
    body = mix(deep, LAGOON, shallow)
    # Breakers: lines at some distances from the water's edge, broken and bent by noise.
    ragged, surf = 0.018 * bend + 0.006 * rough, draw(rng, 0.4, 1.0, count)
    reach, rolling = land + ragged, shore + ragged
    thin = mix(1.0, 0.5, smoothstep(0.1, 0.5, d))
    foam = np.exp(-((reach / 0.024) ** 2)) * mix(1.0, 0.35, smoothstep(0.26, 0.6, d))
    for out in (0.10, 0.22):
        patch = smoothstep(-0.5, 0.7, smooth_noise(rng, count, depth, columns, (4, 4)))
        foam = foam + surf * patch * np.exp(-(((rolling + out * draw(rng, 0.8, 1.2, count)) / (0.025 * thin)) ** 2))
    foam = np.minimum(foam, 1) * smoothstep(0.012, -0.004, land)
    body = mix(body, FOAM, foam)
    albedo = mix(albedo, body, np.maximum(sea, foam))
    light = mix(light, 0.62 + 0.10 * wave * (1 - d), sea)
    light = mix(light, 0.9, foam)

    haze = 1 - np.exp(-draw(rng, 0.25, 1.3, count) * d**3)
    mirror = sea * (1 - foam) * mix(0.22, 0.68, smoothstep(0.0, 0.75, d)) * (1 - 0.6 * shallow)
    return Ground(height, albedo, light, haze * mix(1.0, 0.45, sea), mirror, wave)
