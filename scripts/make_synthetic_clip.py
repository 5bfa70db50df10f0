#!/usr/bin/env python3
"""Make the synthetic clip with exactly known motion.

A textured square moves over a textured background. The background moves too, as in a camera pan.
Both velocities are whole numbers of pixels per frame. Each frame is therefore made of exactly
shifted copies of two fixed textures, and the true optical flow is known at each pixel. The video
codec adds a small error. The pure functions `frames`, `square_box`, `square_mask` and `true_flow`
need NumPy only.

Ground truth of the default scene, (x to the right, y down) in pixels per frame:

- The background moves at (2, -1), which corresponds to a camera pan of (-2, 1).
- The square of 48 x 48 px moves at (-2, 1). Its top left corner is at (225, 42) in frame 0 and at
  (225 - 2 i, 42 + i) in frame i. It stays inside the picture in all 90 frames.
- The square moves at (-4, 2) relative to the background.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "sample_media" / "moving_square.mp4"

# Darkest and lightest colour as (R, G, B), 0 to 255. The background is cool and the square is warm,
# so that a viewer sees the two motions at once.
BACKGROUND_COLOURS = ((40, 70, 60), (150, 180, 165))
SQUARE_COLOURS = ((110, 20, 10), (255, 215, 90))


@dataclass(frozen=True)
class Scene:
    """Geometry and motion of a synthetic clip.

    Attributes
    ----------
    width, height : int
        Picture size in pixels. Both are even, since yuv420p requires it.
    frame_count : int
        Number of frames.
    rate : float
        Frames per second of the encoded clip.
    background_velocity, square_velocity : tuple of int
        Motion in the picture, (x to the right, y down) in pixels per frame.
    square_size : int
        Side of the square in pixels.
    square_start : tuple of int
        Top left corner of the square in frame 0, (x, y) in pixels.
    seed : int
        Seed of both textures.
    """

    width: int = 320
    height: int = 180
    frame_count: int = 90
    rate: float = 30.0
    background_velocity: tuple[int, int] = (2, -1)
    square_velocity: tuple[int, int] = (-2, 1)
    square_size: int = 48
    square_start: tuple[int, int] = (225, 42)
    seed: int = 20240229


def smooth_texture(
    height: int,
    width: int,
    sigma: float,
    colours: tuple[tuple[int, int, int], tuple[int, int, int]],
    seed: int,
) -> np.ndarray:
    """Return a smooth random colour texture that is periodic in both directions.

    Parameters
    ----------
    height, width : int
        Size of one period in pixels.
    sigma : float
        Standard deviation of the Gaussian blur in pixels. Blobs are a few sigma wide.
    colours : tuple of two RGB triples
        Colours of the darkest and the lightest value, 0 to 255.
    seed : int
        Seed of the noise.

    Returns
    -------
    numpy.ndarray
        Texture of shape (height, width, 3), uint8, RGB.
    """
    noise = np.random.default_rng(seed).standard_normal((height, width))
    # A blur in the Fourier domain wraps round at the edges, so the texture is periodic. A pan of
    # any length therefore has a background everywhere.
    frequency_y = np.fft.fftfreq(height)[:, None]
    frequency_x = np.fft.rfftfreq(width)[None, :]
    gain = np.exp(-2.0 * (np.pi * sigma) ** 2 * (frequency_y**2 + frequency_x**2))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * gain, s=(height, width))
    spread = 2.0 * smooth.std()
    level = np.clip((smooth - smooth.mean()) / (2.0 * spread) + 0.5, 0.0, 1.0)[..., None]
    dark, light = (np.asarray(colour, dtype=np.float64) for colour in colours)
    texture: np.ndarray = np.rint(dark + level * (light - dark)).astype(np.uint8)
    return texture


def square_box(index: int, scene: Scene | None = None) -> tuple[int, int, int, int]:
    """Return the box of the square in one frame.

    Parameters
    ----------
    index : int
        Frame number, from 0.
    scene : Scene, optional
        Default: the default scene.

    Returns
    -------
    tuple of int
        (left, top, right, bottom) in pixels; right and bottom are exclusive.
    """
    scene = scene or Scene()
    left = scene.square_start[0] + index * scene.square_velocity[0]
    top = scene.square_start[1] + index * scene.square_velocity[1]
    return left, top, left + scene.square_size, top + scene.square_size


def square_mask(index: int, scene: Scene | None = None) -> np.ndarray:
    """Return the mask of the square in one frame.

    Parameters
    ----------
    index : int
        Frame number, from 0.
    scene : Scene, optional
        Default: the default scene.

    Returns
    -------
    numpy.ndarray
        Mask of shape (height, width), bool, True on the square.
    """
    scene = scene or Scene()
    left, top, right, bottom = square_box(index, scene)
    mask = np.zeros((scene.height, scene.width), dtype=bool)
    # A negative slice bound counts from the far edge, so clip the box to the picture.
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def true_flow(index: int, scene: Scene | None = None) -> np.ndarray:
    """Return the exact optical flow from frame `index` to frame `index` + 1.

    Parameters
    ----------
    index : int
        Number of the earlier frame, from 0.
    scene : Scene, optional
        Default: the default scene.

    Returns
    -------
    numpy.ndarray
        Flow of shape (height, width, 2), float32, (x, y) in pixels per frame, on the pixel grid
        of the earlier frame. Background pixels that the square covers in the later frame have
        the background's velocity, although the later frame does not show them.
    """
    scene = scene or Scene()
    flow = np.empty((scene.height, scene.width, 2), dtype=np.float32)
    flow[:] = scene.background_velocity
    flow[square_mask(index, scene)] = scene.square_velocity
    return flow


def frames(scene: Scene | None = None) -> Iterator[np.ndarray]:
    """Yield the frames of a scene.

    Parameters
    ----------
    scene : Scene, optional
        Default: the default scene.

    Yields
    ------
    numpy.ndarray
        Frame of shape (height, width, 3), uint8, RGB; each is a new array.
    """
    scene = scene or Scene()
    background = smooth_texture(scene.height, scene.width, 4.0, BACKGROUND_COLOURS, scene.seed)
    size = scene.square_size
    square = smooth_texture(size, size, 2.5, SQUARE_COLOURS, scene.seed + 1)
    for index in range(scene.frame_count):
        shift_x, shift_y = (index * step for step in scene.background_velocity)
        frame = np.roll(background, (shift_y, shift_x), axis=(0, 1))
        mask = square_mask(index, scene)
        left, top, _, _ = square_box(index, scene)
        rows, columns = np.nonzero(mask)
        frame[rows, columns] = square[rows - top, columns - left]
        yield frame


def write_clip(path: Path, scene: Scene | None = None) -> None:
    """Encode a scene as H.264 (yuv420p, no sound) in MP4.

    Parameters
    ----------
    path : pathlib.Path
        File to write; an existing file is replaced.
    scene : Scene, optional
        Default: the default scene.
    """
    # The import is here because the pure functions above need NumPy only.
    import imageio_ffmpeg

    scene = scene or Scene()
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (scene.width, scene.height),
        fps=scene.rate,
        codec="libx264",
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        quality=None,
        # 180 rows are not a multiple of 16: the default block size would rescale the picture.
        macro_block_size=2,
        # With one thread and without encoder tags, the same encoder writes the same bytes.
        output_params=[
            *("-preset", "slower", "-crf", "8", "-threads", "1"),
            *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"),
        ],
    )
    writer.send(None)
    try:
        for frame in frames(scene):
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def main() -> None:
    """Write the clip."""
    parser = argparse.ArgumentParser(
        description="Make the synthetic clip with exactly known motion."
    )
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="MP4 file to write")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    write_clip(output)
    print(f"{output.name}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
