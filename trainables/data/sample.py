"""The built-in sample: synthetic images in the competition's layout, to try everything without the real data.

Classes differ in texture more than in brightness: soil is grainy, bedrock consists of cracked plates, sand is rippled.
Light varies between and within images. Big rocks are rare and small, about a quarter of the pixels is unlabelled, and a
few "aliens" share one mask. Scores on the sample are not comparable to scores on images of Mars.
"""

from __future__ import annotations

import cv2
import numpy as np

from trainables.data.description import MARS, MARS_SIZE
from trainables.data.pixel_format import plain_format
from trainables.data.raw_data import RawData

HEIGHT, WIDTH = MARS_SIZE
LABELLED, ALIENS, UNLABELLED = 560, 8, 120
SEED = 20_25
BACKGROUND, SOIL, BEDROCK, SAND, BIG_ROCK = range(5)
WITH_ROCK = 0.1
"""Probability that an image contains big rocks."""


def sample() -> RawData:
    """Generate the sample: 568 training pairs, 8 of them aliens, and 120 test images; the same on every machine."""
    rng = np.random.default_rng(SEED)
    scenes = [_scene(rng) for _ in range(LABELLED + UNLABELLED)]
    images = [image for image, _ in scenes[:LABELLED]]
    masks = [mask for _, mask in scenes[:LABELLED]]
    shared = _scene(rng)[1]
    for _ in range(ALIENS):
        position = int(rng.integers(len(images) + 1))
        images.insert(position, _alien(rng))
        masks.insert(position, shared)
    return RawData(
        description=MARS,
        images=np.stack(images),
        masks=np.stack(masks),
        unlabelled=np.stack([image for image, _ in scenes[LABELLED:]]),
        pixels=plain_format(np.dtype(np.uint8)),
    )


def _field(rng: np.random.Generator, cell: float) -> np.ndarray:
    """Smooth noise (H, W) float32 with mean 0 and standard deviation 1. Features are about `cell` pixels wide."""
    coarse = rng.standard_normal((max(2, round(HEIGHT / cell) + 2), max(2, round(WIDTH / cell) + 2)))
    field = cv2.resize(coarse.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / (field.std() + 1e-6)


def _scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a grayscale image (H, W) uint8 and its mask (H, W) uint8."""
    # Each pixel gets the terrain with the largest of three fields. Soil is the most common, some images have only one.
    bias = rng.normal((0.35, 0.0, -0.05), 0.9)
    kinds = np.stack([_field(rng, 48) + b for b in bias])
    terrain = kinds.argmax(axis=0) + SOIL
    textures = (_soil(rng), _bedrock(rng), _sand(rng))  # in the order of the labels
    surface = np.choose(terrain - SOIL, textures)
    mask = terrain.astype(np.uint8)
    if rng.random() < WITH_ROCK:
        for _ in range(int(rng.integers(1, 4))):
            surface, mask = _with_rock(rng, surface, mask)
    # Annotators leave uncertain areas unlabelled: patches, mostly far away (at the top).
    distance = np.linspace(1.2, -0.8, HEIGHT)[:, None]
    mask[_field(rng, 32) + distance * rng.uniform(0.3, 1.5) > rng.uniform(0.4, 1.6)] = BACKGROUND
    light = rng.uniform(70, 125) * (1 + rng.uniform(0, 0.25) * _field(rng, 120))
    image = light * (1 + surface) + rng.normal(0, 3, surface.shape)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.4, 0.8))
    return np.clip(image, 0, 255).astype(np.uint8), mask


def _soil(rng: np.random.Generator) -> np.ndarray:
    return 0.13 * _field(rng, 1.5) + 0.05 * _field(rng, 10)


def _bedrock(rng: np.random.Generator) -> np.ndarray:
    plates = np.round(_field(rng, 9) * 1.5) / 1.5
    cracks = np.abs(_field(rng, 9)) < 0.12
    return 0.10 + 0.10 * plates + 0.03 * _field(rng, 2) - 0.3 * cracks


def _sand(rng: np.random.Generator) -> np.ndarray:
    angle, period = rng.uniform(-0.6, 0.6), rng.uniform(5, 10)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    phase = (rows * np.cos(angle) + columns * np.sin(angle)) * 2 * np.pi / period + 1.2 * _field(rng, 24)
    return 0.03 + 0.08 * np.sin(phase) + 0.02 * _field(rng, 2)


def _with_rock(rng: np.random.Generator, surface: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add a boulder that is lit from the left and casts a shadow to the right. Returns new surface and mask (H, W)."""
    centre = (int(rng.integers(10, WIDTH - 10)), int(rng.integers(HEIGHT // 3, HEIGHT - 6)))
    radii = (int(rng.integers(5, 11)), int(rng.integers(4, 9)))
    tilt = float(rng.uniform(-20, 20))
    body = cv2.ellipse(np.zeros_like(mask), centre, radii, tilt, 0, 360, 1, -1).astype(bool)
    shadow = np.roll(body, (2, radii[0] // 2 + 2), axis=(0, 1)) & ~body
    side = (centre[0] - np.arange(WIDTH)[None, :]) / radii[0]
    surface = np.where(shadow, surface - 0.45, surface)
    surface = np.where(body, 0.05 + 0.35 * side + 0.08 * _field(rng, 3), surface)
    return surface, np.where(body, np.uint8(BIG_ROCK), mask)


def _alien(rng: np.random.Generator) -> np.ndarray:
    """Return an image (H, W) uint8 of a flying saucer over noise."""
    image = (90 + 25 * _field(rng, 20)).astype(np.float32)
    centre = (int(rng.integers(30, WIDTH - 30)), int(rng.integers(20, HEIGHT - 20)))
    cv2.ellipse(image, centre, (24, 7), 0, 0, 360, 200, -1)
    cv2.ellipse(image, (centre[0], centre[1] - 5), (10, 8), 0, 180, 360, 150, -1)
    return np.clip(image, 0, 255).astype(np.uint8)
