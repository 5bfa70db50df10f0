#!/usr/bin/env python3
"""Make the synthetic clip whose motion is known exactly.

A textured square moves over a textured background that is itself panned, as a camera would pan
it. Both velocities are whole numbers of pixels, so every frame is an exact shifted copy of two
fixed textures and the true optical flow is known at each pixel, before the video codec adds its
own small error. The pure functions here (`frames`, `square_box`, `true_flow`) need only NumPy.

Truth of the default scene, in pixels per frame as (x right, y down):

- background: (2, -1), hence a camera panning at (-2, 1);
- square: (-2, 1), of 48 x 48 px, with its top left corner at (225, 42) in frame 0 and at
  (225 - 2 i, 42 + i) in frame i; it stays inside the picture for all 90 frames;
- so the square moves at (-4, 2) relative to the background.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "sample_media" / "moving_square.mp4"

# Anchor colours as (R, G, B), uint8 scale: a cool, moderate background and a warm, contrasting
# square, so that a viewer can tell the two motions apart at a glance.
BACKGROUND_COLOURS = ((40, 70, 60), (150, 180, 165))
SQUARE_COLOURS = ((110, 20, 10), (255, 215, 90))


@dataclass(frozen=True)
class Scene:
    """Geometry and motion of a synthetic clip.

    Attributes
    ----------
    width, height : int
        Picture size in pixels; both even, as yuv420p demands.
    frame_count : int
        Number of frames.
    rate : float
        Frames per second, used only when the clip is encoded.
    background_velocity, square_velocity : tuple of int
        Motion of the content across the picture as (x, y) in pixels per frame, x to the right
        and y down.
    square_size : int
        Side of the square in pixels.
    square_start : tuple of int
        Top left corner of the square in frame 0 as (x, y) in pixels.
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
    """Make a smooth random colour texture that repeats seamlessly in both directions.

    Parameters
    ----------
    height, width : int
        Size of one period in pixels.
    sigma : float
        Standard deviation of the Gaussian blur in pixels; blobs are a few sigma across.
    colours : tuple of two RGB triples
        Colours that the darkest and the lightest value map to, 0 to 255.
    seed : int
        Seed of the noise.

    Returns
    -------
    numpy.ndarray
        Texture of shape (height, width, 3), uint8, RGB.
    """
    noise = np.random.default_rng(seed).standard_normal((height, width))
    # Blurring in the Fourier domain wraps round at the edges, which is what makes the texture
    # periodic: the pan then never runs out of background, however long the clip.
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
    """Tell where the square is in one frame.

    Parameters
    ----------
    index : int
        Frame number, from 0.
    scene : Scene, optional
        The default scene where left out.

    Returns
    -------
    tuple of int
        (left, top, right, bottom) in pixels, right and bottom exclusive.
    """
    scene = scene or Scene()
    left = scene.square_start[0] + index * scene.square_velocity[0]
    top = scene.square_start[1] + index * scene.square_velocity[1]
    return left, top, left + scene.square_size, top + scene.square_size


def square_mask(index: int, scene: Scene | None = None) -> np.ndarray:
    """Mark the pixels that the square covers in one frame.

    Parameters
    ----------
    index : int
        Frame number, from 0.
    scene : Scene, optional
        The default scene where left out.

    Returns
    -------
    numpy.ndarray
        Mask of shape (height, width), bool, True on the square.
    """
    scene = scene or Scene()
    left, top, right, bottom = square_box(index, scene)
    mask = np.zeros((scene.height, scene.width), dtype=bool)
    # A negative slice bound would count from the far edge, so clip at the picture's border.
    mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def true_flow(index: int, scene: Scene | None = None) -> np.ndarray:
    """Give the exact optical flow from frame `index` to frame `index` + 1.

    Parameters
    ----------
    index : int
        Number of the earlier frame, from 0.
    scene : Scene, optional
        The default scene where left out.

    Returns
    -------
    numpy.ndarray
        Flow of shape (height, width, 2), float32, (x, y) in pixels per frame, on the pixel grid
        of the earlier frame. Background that the square is about to cover keeps the
        background's velocity although it has no match in the later frame.
    """
    scene = scene or Scene()
    flow = np.empty((scene.height, scene.width, 2), dtype=np.float32)
    flow[:] = scene.background_velocity
    flow[square_mask(index, scene)] = scene.square_velocity
    return flow


def frames(scene: Scene | None = None) -> Iterator[np.ndarray]:
    """Draw the frames of a scene one after another.

    Parameters
    ----------
    scene : Scene, optional
        The default scene where left out.

    Yields
    ------
    numpy.ndarray
        Frame of shape (height, width, 3), uint8, RGB; a new array each time.
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
        File to write; an existing one is replaced.
    scene : Scene, optional
        The default scene where left out.
    """
    # Imported here so that the pure functions above can be used with NumPy alone.
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
        # 180 rows are no multiple of 16, and the default would rescale the picture to fit.
        macro_block_size=2,
        # One encoder thread and no encoder tags, so that the same encoder makes the same bytes.
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
    """Read the command line and write the clip."""
    parser = argparse.ArgumentParser(description="Make the synthetic clip with known motion.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="MP4 file to write")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    write_clip(output)
    print(f"{output.name}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
