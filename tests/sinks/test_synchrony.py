"""Picture and sound stay together, whenever either begins: shown by flashes and beeps."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import run_ffmpeg

import vidsal
from vidsal.settings import Settings

# Flashes and beeps of 0.2 s, at these times.
AT_S = (1.0, 2.2)
_FLASH = "+".join(f"between(T,{at},{at + 0.19})" for at in AT_S)
_BEEP = "+".join(f"between(t,{at},{at + 0.2})" for at in AT_S)


@pytest.fixture(scope="module")
def flashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synchrony") / "flashes.mp4"
    picture = f"color=black:s=64x48:r=25:d=3,geq=lum='16+219*({_FLASH})':cb=128:cr=128"
    run_ffmpeg(
        "-f", "lavfi", "-i", picture,
        "-f", "lavfi", "-i", f"aevalsrc='0.5*sin(6283*t)*({_BEEP})':s=48000:d=3",
        "-c:v", "libx264", "-qp", "6", "-g", "20", "-bf", "2", "-x264-params", "scenecut=0",
        "-c:a", "aac", str(path),
    )  # fmt: skip
    return path


def _times(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times of the flashes and the beeps of a file in seconds, as other programs decode them."""
    levels = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            assert frame.time is not None
            # Players show no frame of an MP4 file before 0.
            if frame.time > -1e-6 or path.suffix not in (".mp4", ".mov"):
                levels.append((frame.time, frame.to_ndarray(format="gray").mean()))
    flashes = [b[0] for a, b in pairwise(levels) if a[1] < 128 <= b[1]]
    at_s, loud = [], []
    with av.open(str(path)) as file:
        for sound in file.decode(audio=0):
            assert sound.time is not None
            samples = np.abs(np.atleast_2d(sound.to_ndarray())[0].astype(float))
            at_s.append(sound.time + np.arange(len(samples)) / sound.sample_rate)
            loud.append(samples)
    time_s = np.concatenate(at_s)
    level = np.convolve(np.concatenate(loud), np.ones(48) / 48, "same")
    is_loud = level > level.max() / 3
    begins = time_s[1:][is_loud[1:] & ~is_loud[:-1]]
    beeps = [one for n, one in enumerate(begins) if n == 0 or one - begins[n - 1] > 0.5]
    return np.array(flashes), np.array(beeps)


CASES = {
    "as made": ([], []),
    "picture late": (["-itsoffset", "0.4"], []),
    "sound late": ([], ["-itsoffset", "0.4"]),
    "picture early": (["-itsoffset", "-0.3"], []),
    "sound early": ([], ["-itsoffset", "-0.3"]),
    "cut before": (["-ss", "0.63"], ["-ss", "0.63"]),
}
KEPT = {"negative": ["-avoid_negative_ts", "disabled"], "shifted": []}


@pytest.mark.parametrize("kept", list(KEPT))
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_a_flash_and_its_beep_stay_together(
    suffix: str, case: str, kept: str, flashes: Path, tmp_path: Path
) -> None:
    if (suffix, kept) == ("mkv", "negative"):
        pytest.skip("Matroska has no times before 0")
    path, out = tmp_path / f"a.{suffix}", tmp_path / "o.mp4"
    picture, sound = CASES[case]
    run_ffmpeg(
        *picture, "-i", str(flashes), *sound, "-i", str(flashes), "-map", "0:v", "-map", "1:a",
        "-c", "copy", *KEPT[kept], str(path),
    )  # fmt: skip
    before = _times(path)
    vidsal.run(path, Settings(model="none", annotate=False, alpha=0, output=out))
    after = _times(out)
    assert len(after[0]) == len(after[1]) == len(AT_S)
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=0.021)
    assert np.diff(after[0]) == pytest.approx(np.diff(AT_S), abs=0.021)


@pytest.mark.parametrize("start_s", [0.0, 1.9])
def test_sound_that_leaps_with_the_picture_goes_on_where_it_goes_on(
    start_s: float, flashes: Path, tmp_path: Path
) -> None:
    # As a recording whose 33-bit clock wrapped around: at the key frame between the flashes.
    path, out = tmp_path / "a.mkv", tmp_path / "o.mp4"
    leap = "setts=pts=PTS+gte(N\\,{0})*95443/TB:dts=DTS+gte(N\\,{0})*95443/TB"
    run_ffmpeg(
        "-i", str(flashes), "-c", "copy", "-bsf:v", leap.format(40), "-bsf:a", leap.format(75),
        str(path),
    )  # fmt: skip
    vidsal.run(path, Settings(model="none", annotate=False, alpha=0, output=out, start=start_s))
    flashes_s, beeps_s = _times(out)
    expected_s = [at - start_s for at in AT_S if at > start_s]
    assert flashes_s == pytest.approx(expected_s, abs=0.021)
    # AAC begins with a packet that is not heard.
    assert beeps_s == pytest.approx(expected_s, abs=0.05)
