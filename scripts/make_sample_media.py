#!/usr/bin/env python3
"""Make the film clip and the photographs in sample_media/ from the packages that contain them.

The film is part of MoviePy's source archive. Download the archive once, and pass it as --film:

    pip download --no-deps --no-binary moviepy moviepy==2.1.2

The photographs come from the installed scikit-image package, or from the folder that --photos
names. sample_media/README.md lists authors and licences.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "sample_media"

CLIP_NAME = "chinchilla.mp4"
# Frames 8220 to 8339 of the film: one shot, since a cut would disturb the optical flow.
CLIP_START_S = 342.5
CLIP_LENGTH_S = 5.0

# The source archive contains a ZIP file, which contains the film.
INNER_ZIP_SUFFIX = "/moviepy_10_minutes.zip"
FILM_SUFFIX = "/resources/bbb.mp4"

# Photographs: file in scikit-image's data folder -> file in sample_media.
PHOTOS = {"chelsea.png": "cat.jpg", "coffee.png": "coffee.jpg"}
JPEG_QUALITY = 95


def cut_command(ffmpeg: str, film: Path, clip: Path) -> list[str]:
    """Return the FFmpeg command that cuts the clip.

    Parameters
    ----------
    ffmpeg : str
        Path of the FFmpeg program.
    film : pathlib.Path
        The film: 1280x720, 24 frames per second, stereo sound.
    clip : pathlib.Path
        File to write.

    Returns
    -------
    list of str
        Command and arguments.
    """
    tags = {
        "title": "Excerpt from Big Buck Bunny (shortened, scaled down, re-encoded)",
        "artist": "Blender Foundation",
        "copyright": "(c) copyright 2008, Blender Foundation / www.bigbuckbunny.org, CC BY 3.0",
    }
    return [
        *(ffmpeg, "-v", "error", "-y"),
        *("-ss", str(CLIP_START_S), "-t", str(CLIP_LENGTH_S), "-i", str(film)),
        *("-map", "0:v:0", "-map", "0:a:0", "-vf", "scale=640:360:flags=lanczos"),
        *("-c:v", "libx264", "-preset", "slower", "-crf", "20", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "96k", "-ac", "2"),
        # Without dates and encoder tags, the same encoder writes the same bytes each time.
        *("-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
        *("-flags:a", "+bitexact", "-map_metadata", "-1"),
        *(part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")),
        *("-movflags", "+faststart", str(clip)),
    ]


@contextmanager
def unpacked_film(source: Path) -> Iterator[Path]:
    """Provide the film as a plain file; unpack it if it is in an archive.

    Parameters
    ----------
    source : pathlib.Path
        The film (.mp4), the ZIP file that contains it, or MoviePy's source archive (.tar.gz).

    Yields
    ------
    pathlib.Path
        The film. An unpacked film is a temporary file.
    """
    if source.suffix == ".mp4":
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        zip_path = source
        if source.name.endswith(".tar.gz"):
            zip_path = Path(folder) / "film.zip"
            with tarfile.open(source) as archive:
                member = next(m for m in archive if m.name.endswith(INNER_ZIP_SUFFIX))
                stream = archive.extractfile(member)
                if stream is None:
                    raise ValueError(
                        f"{member.name} in {source} is not a plain file; download the archive again"
                    )
                with stream, zip_path.open("wb") as target:
                    shutil.copyfileobj(stream, target)
        film = Path(folder) / "film.mp4"
        with zipfile.ZipFile(zip_path) as inner:
            name = next(n for n in inner.namelist() if n.endswith(FILM_SUFFIX))
            with inner.open(name) as packed, film.open("wb") as target:
                shutil.copyfileobj(packed, target)
        yield film


def make_clip(source: Path, output: Path) -> Path:
    """Cut the clip from the film.

    Parameters
    ----------
    source : pathlib.Path
        The film or an archive that contains it; see `unpacked_film`.
    output : pathlib.Path
        Folder to write to.

    Returns
    -------
    pathlib.Path
        The clip.
    """
    import imageio_ffmpeg

    clip = output / CLIP_NAME
    with unpacked_film(source) as film:
        subprocess.run(cut_command(imageio_ffmpeg.get_ffmpeg_exe(), film, clip), check=True)
    return clip


def photo_folder() -> Path:
    """Return the data folder of the installed scikit-image package.

    Returns
    -------
    pathlib.Path
        Folder with the photographs.

    Raises
    ------
    FileNotFoundError
        If scikit-image is not installed.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "scikit-image is not installed; install it, or pass its data folder as --photos"
        )
    return Path(spec.origin).parent / "data"


def make_photos(folder: Path, output: Path) -> list[Path]:
    """Save the photographs as JPEG files in their original size.

    Parameters
    ----------
    folder : pathlib.Path
        scikit-image's data folder.
    output : pathlib.Path
        Folder to write to.

    Returns
    -------
    list of pathlib.Path
        The JPEG files.
    """
    import cv2

    made = []
    for source_name, name in PHOTOS.items():
        picture = cv2.imread(str(folder / source_name), cv2.IMREAD_COLOR)
        if picture is None:
            raise FileNotFoundError(f"{folder / source_name} is missing or is not an image")
        target = output / name
        if not cv2.imwrite(str(target), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise OSError(f"cannot write {target}; check the folder and the free disk space")
        made.append(target)
    return made


def main() -> None:
    """Make the photographs and, with --film, the clip."""
    parser = argparse.ArgumentParser(description="Make the sample clip and the photographs.")
    parser.add_argument(
        "--film",
        type=Path,
        help="moviepy-2.1.2.tar.gz, or bbb.mp4 from it (default: make no clip)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        help="scikit-image's data folder (default: the folder of the installed package)",
    )
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="folder to write to")
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    made = make_photos(arguments.photos or photo_folder(), output)
    if arguments.film is not None:
        made.append(make_clip(arguments.film, output))
    for path in made:
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
