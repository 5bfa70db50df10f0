"""A store of a run that was killed and resumed is that of an undisturbed run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeClip
from resume_help import Voting, broken_drawing, names_here, run_interrupted, use_voting_stage

import vidsal
from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.store.joining import blocks_of
from vidsal.store.opening import open_store

zarr = pytest.importorskip("zarr")

FRAMES = 75
# Kills a run of the command line at a place that is named, at the n-th time that it comes by.
KILLED = """
import itertools, os, shutil, signal, sys, zipfile
from fractions import Fraction
from pathlib import Path
import zarr
from vidsal import analyser, cli, pipeline
from vidsal.store import joining

pipeline._SEGMENT_S = Fraction(20, 25)
place, number, *words = sys.argv[1:]
calls = itertools.count(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def killing(real, is_meant=lambda *_: True, half=None):
    def call(*arguments, **options):
        is_last = is_meant(*arguments) and next(calls) == int(number)
        if is_last and half:
            half(*arguments)
        result = None if is_last and half else real(*arguments, **options)
        if is_last:
            die()
        return result
    return call

def half_a_block(array, values, **_):
    array.resize((array.shape[0] + len(values), *array.shape[1:]))

def blocks(arrays, length, real=joining.blocks_of):
    for block in real(arrays, length):
        if next(calls) == int(number):
            die()
        yield block

def is_kind(kind):
    return lambda path, *_: str(path).endswith(kind)

if place == "draw":
    analyser.draw_for_video = killing(analyser.draw_for_video)
elif place == "append":
    zarr.Array.append = killing(zarr.Array.append, half=half_a_block)
elif place == "join":
    joining.blocks_of = blocks
elif place == "before rename":
    Path.rename = killing(Path.rename, is_kind(".part"), half=lambda *_: None)
elif place == "after rename":
    Path.rename = killing(Path.rename, is_kind(".part"))
elif place == "pack":
    zipfile.ZipFile.write = killing(zipfile.ZipFile.write)
elif place == "before replace":
    Path.replace = killing(Path.replace, is_kind(".zip"), half=lambda *_: None)
elif place == "after replace":
    Path.replace = killing(Path.replace, is_kind(".zip"))
elif place == "mark":
    Path.touch = killing(Path.touch, is_kind("kept"))
elif place == "remove":
    shutil.rmtree = killing(shutil.rmtree, is_kind("000001"))
cli.main(words)
"""


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voting:
    """Run in an own folder, in segments of four frames, with a fake network."""
    return use_voting_stage(tmp_path, monkeypatch)


def settings_of(stem: str, **options: Any) -> Settings:
    given: dict[str, Any] = {
        "batch": 4, "working_width": 64, "short_side": 32, "static_every": 1,
        "output": Path(f"{stem}.mp4"), "keep": Path(f"{stem}.vidsal"),
    }  # fmt: skip
    return Settings(**given | options)


def assert_equal_stores(one: str, other: str) -> None:
    """Check that all arrays, their chunks and the attributes are equal."""
    with open_store(one) as first, open_store(other) as second:
        groups = [store._group for store in (first, second)]
        names = [sorted(group.array_keys()) for group in groups]
        assert names[0] == names[1] and len(names[0]) > 15
        for name in names[0]:
            arrays = [group[name] for group in groups]
            assert np.array_equal(arrays[0][:], arrays[1][:], equal_nan=arrays[0].dtype.kind == "f")
            assert arrays[0].metadata.to_dict() == arrays[1].metadata.to_dict()
        assert dict(groups[0].attrs) == dict(groups[1].attrs)


def bytes_of(store: str) -> dict[str, bytes]:
    files = (path for path in Path(store).rglob("*") if path.is_file())
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("s.vidsal", [
            ("append", 30), ("draw", 30), ("append", 1), ("join", 12),
            ("before rename", 1), ("after rename", 1), ("mark", 1), ("remove", 1),
        ]),
        ("s.vidsal.zip", [
            ("append", 50), ("pack", 9), ("before replace", 1), ("after replace", 1),
        ]),
    ],
)  # fmt: skip
def test_a_killed_run_goes_on(
    name: str, places: list[tuple[str, int]], make_clip: MakeClip
) -> None:
    clip = make_clip(frames=FRAMES)
    options = ["--model", "none", "--working-width", "64"]

    def run_killed(place: str, number: int, *words: str) -> int:
        command = [sys.executable, "-c", KILLED, place, str(number), "run", str(clip), *options]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120)
        return done.returncode

    # An earlier store is to be replaced.
    outputs = ["--keep", name, "-o", "o.mp4", "--overwrite"]
    assert run_killed("nowhere", 0, *outputs, "--duration", "0.2") == 0
    for place, number in places:
        assert (place, run_killed(place, number, *outputs, "--resume")) == (place, -signal.SIGKILL)
    assert run_killed("nowhere", 0, *outputs, "--resume") == 0
    assert run_killed("nowhere", 0, "--keep", "whole.vidsal", "-o", "whole.mp4") == 0
    assert names_here() == {name, "o.mp4", "whole.vidsal", "whole.mp4"}
    assert_equal_stores("whole.vidsal", name)
    assert len(open_store(name)) == FRAMES


@pytest.mark.parametrize("after", [[], [20], [9, 0, 0, 20]])
def test_a_joined_store_is_one_of_one_run(
    after: list[int], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=42)
    vidsal.run(clip, settings_of("whole"))
    run_interrupted(clip, settings_of("o", resume=True), after, monkeypatch)
    assert names_here() == {"whole.mp4", "whole.vidsal", "o.mp4", "o.vidsal"}
    assert_equal_stores("whole.vidsal", "o.vidsal")
    assert bytes_of("whole.vidsal") == bytes_of("o.vidsal")
    vidsal.render_store("o.vidsal", output=Path("p.mp4"))


def test_a_run_goes_on_only_with_its_store(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=12)
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError, match="broken"):
        vidsal.run(clip, settings_of("o", resume=True))
    assert names_here() == {"o.mp4.parts"}
    for keep in (None, Path("other.vidsal")):
        with pytest.raises(VidsalError, match=r"different run: keep=.* was .*o\.vidsal and is "):
            vidsal.run(clip, settings_of("o", resume=True, keep=keep))
    with pytest.raises(VidsalError, match=r"different run: working_width= was 64 and is 96"):
        vidsal.run(clip, settings_of("o", resume=True, working_width=96))


def test_an_earlier_store_stays_until_the_new_one_is_complete(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=12)
    vidsal.run(clip, settings_of("o", duration=0.2))
    settings = settings_of("o", resume=True, overwrite=True)
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError, match="broken"):
        vidsal.run(clip, settings)
    assert len(open_store("o.vidsal")) == 5
    vidsal.run(clip, settings)
    assert len(open_store("o.vidsal")) == 12
    assert names_here() == {"o.mp4", "o.vidsal"}


def test_a_photo_needs_no_segments(sample_media: Path) -> None:
    vidsal.run(sample_media / "cat.jpg", settings_of("o", resume=True, output=Path("o.png")))
    assert len(open_store("o.vidsal")) == 1


LIMITED = """
import resource, sys
from fractions import Fraction
from vidsal import cli, pipeline

pipeline._SEGMENT_S = Fraction(4, 25)
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
cli.main(sys.argv[2:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX")
def test_a_full_disk_is_one_line(make_clip: MakeClip) -> None:
    """Chunks of 32 frames do not fit; those of the segments do."""
    name = "s.vidsal"
    clip = make_clip(frames=36, size=(108, 192), options=["-vf", "noise=alls=80:allf=t"])
    words = ["run", str(clip), "--model", "none", "--quality", "0", "--width", "64"]
    outputs = ["--keep", name, "-o", "o.mp4"]

    def run_limited(limit: int, *more: str) -> list[str]:
        command = [sys.executable, "-c", LIMITED, str(limit), *words, *outputs, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == (1 if limit == 200_000 else 0)
        return done.stderr.splitlines()

    message = f"vidsal: cannot write {name}: File too large"
    assert run_limited(200_000)[-1:] == [message]
    assert names_here() == set()
    assert run_limited(200_000, "--resume")[-1:] == [message]
    assert names_here() == {"o.mp4.parts"}
    # With room again, nothing is computed anew.
    assert run_limited(10**9, "--resume") == [
        "vidsal: continuing after the 36 frames that are done"
    ]
    assert names_here() == {"o.mp4", name}
    assert len(open_store(name)) == 36


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_while_a_file_is_packed_leaves_no_store(make_clip: MakeClip) -> None:
    clip = make_clip(frames=5)
    Path(f".s.vidsal.zip.{os.getpid()}.zip").symlink_to("/dev/full")
    with pytest.raises(VidsalError, match=r"cannot write s\.vidsal\.zip: No space left on device"):
        vidsal.run(clip, settings_of("o", keep=Path("s.vidsal.zip")))
    # The video was complete by then.
    assert names_here() == {"o.mp4"}


@pytest.mark.parametrize("frames", [5, 40])
def test_a_store_that_cannot_be_completed_leaves_no_video(
    frames: int, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last block is appended before the video gets its name."""
    append = zarr.Array.append

    def full(array: Any, values: Any, axis: int = 0) -> Any:
        if len(values) < 32:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(array, values, axis=axis)

    monkeypatch.setattr(zarr.Array, "append", full)
    with pytest.raises(VidsalError, match=r"cannot write s\.vidsal: No space left on device"):
        vidsal.run(make_clip(frames=frames), settings_of("o", keep=Path("s.vidsal")))
    assert names_here() == set()


@pytest.mark.parametrize("lengths", [[0], [3], [4, 4], [1, 2, 3, 4, 5], [9, 0, 9], [0, 1]])
@pytest.mark.parametrize("length", [1, 4, 100])
def test_blocks_are_full_but_for_the_last(lengths: list[int], length: int) -> None:
    rows = np.arange(sum(lengths) * 2).reshape(-1, 2)
    arrays = np.split(rows, np.cumsum(lengths)[:-1])
    blocks = list(blocks_of(arrays, length))
    assert all(len(one) == length for one in blocks[:-1])
    assert len(blocks) == -(-len(rows) // length)
    if blocks:
        assert np.array_equal(np.concatenate(blocks), rows)
