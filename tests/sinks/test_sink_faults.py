"""Errors while a file is written: one line, and no file is left."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import MakeClip
from sink_help import (
    kill_ffmpeg,
    make_info,
    make_picture,
    names_in,
    our_ffmpeg,
    run_vidsal,
    write_video,
    write_with_sound,
)

import vidsal
from vidsal.errors import VidsalError
from vidsal.media import codecs, ffmpeg, probe
from vidsal.runtime.atomic_write import temporary_sibling
from vidsal.settings import Settings
from vidsal.sinks import mux
from vidsal.sinks.video import video_sink
from vidsal.types import SoundPart

pytestmark = pytest.mark.usefixtures("own_folder")


def test_an_existing_file_is_kept(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(frames=3), tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(VidsalError, match=r"o\.mp4 exists: give another name, or overwrite=True"):
        run_vidsal(clip, out)
    assert out.read_bytes() == b"precious"
    run_vidsal(clip, out, overwrite=True)
    with av.open(str(out)) as file:
        assert file.streams.video[0].frames == 3


def test_a_failed_run_keeps_the_file_it_was_to_replace(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(RuntimeError), video_sink(out, make_info(), Settings()) as sink:
        sink.write(make_picture(0), 0.0)
        raise RuntimeError
    assert out.read_bytes() == b"precious"
    assert names_in(tmp_path) == ["o.mp4"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, GeneratorExit, SystemExit])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_leaves_nothing(kind: type[BaseException], after: int, tmp_path: Path) -> None:
    error = kind("from the block")
    with (
        pytest.raises(kind) as caught,
        video_sink(tmp_path / "o.mp4", make_info(), Settings()) as sink,
    ):
        for index in range(after):
            sink.write(make_picture(index), index / 25)
        raise error
    assert caught.value is error
    assert names_in(tmp_path) == []


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(
            VidsalError, match=r"source\.mp4: there are no frames, so nothing was written"
        ),
        video_sink(tmp_path / "o.mp4", make_info(), Settings()),
    ):
        pass
    assert names_in(tmp_path) == []


def test_a_killed_ffmpeg_is_one_line(tmp_path: Path) -> None:
    begin_s = time.monotonic()
    with (
        pytest.raises(VidsalError, match=r"ffmpeg failed: it was killed by signal 9") as caught,
        video_sink(tmp_path / "o.mp4", make_info(), Settings()) as sink,
    ):
        sink.write(make_picture(0), 0.0)
        sink.write(make_picture(1), 1 / 25)
        our_ffmpeg().kill()
        for index in range(2, 10_000):
            sink.write(make_picture(index), index / 25)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begin_s < 5
    assert names_in(tmp_path) == []


def test_an_ffmpeg_killed_at_the_end_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(VidsalError, match=r"ffmpeg failed: it was killed by signal 9"),
        video_sink(tmp_path / "o.mp4", make_info(), Settings()) as sink,
    ):
        sink.write(make_picture(0), 0.0)
        sink.write(make_picture(1), 1 / 25)
        kill_ffmpeg()
    assert names_in(tmp_path) == []


def _part(final: Path, suffix: str = "") -> Path:
    """Return the temporary name of a file, or of a folder above it."""
    with temporary_sibling(final, suffix or final.suffix) as part:
        return part


needs_full_disk = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no device that is always full"
)


@needs_full_disk
@pytest.mark.parametrize("frames", [1, 400])
def test_a_full_disk_is_one_line_and_leaves_nothing(frames: int, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    _part(out, ".silent.mp4").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    with (
        pytest.raises(VidsalError, match="no space left on the disk") as caught,
        video_sink(out, make_info(), Settings()) as sink,
    ):
        for index in range(frames):
            sink.write(noise, index / 25)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == []
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@needs_full_disk
@pytest.mark.parametrize(
    ("name", "suffix"), [("o.mp4", ""), ("o.gif", ""), ("o.gif", ".palette.png")]
)
def test_a_disk_that_fills_at_the_end_leaves_the_picture_at_most(
    name: str, suffix: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, folder = make_clip(frames=25, sound="aac"), tmp_path / "out"
    folder.mkdir()
    _part(folder / name, suffix).symlink_to("/dev/full")
    with pytest.raises(VidsalError, match="no space left on the disk") as caught:
        write_with_sound(SoundPart(str(clip), "aac"), folder / name)
    assert "\n" not in str(caught.value)
    assert names_in(folder) == (["o.silent.mp4"] if name == "o.mp4" else [])


@needs_full_disk
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_disk_that_fills_under_the_table_leaves_nothing(
    name: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, out = make_clip(frames=5), tmp_path / "out"
    out.mkdir()
    _part(out / name).symlink_to("/dev/full")
    with pytest.raises(VidsalError, match=rf"cannot write .*{name}: .*No space left on device"):
        run_vidsal(clip, out / "o.mp4", table=out / name)
    assert names_in(out) == []


def test_an_error_of_the_source_is_not_told_as_one_of_the_table(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    def progress(items: Iterable[Any], _: int | None) -> Iterable[Any]:
        raise OSError(5, "Input/output error", "somewhere else")

    settings = Settings(model="none", output=tmp_path / "o.mp4", table=tmp_path / "t.csv")
    with pytest.raises(OSError, match="somewhere else"):
        vidsal.run(make_clip(frames=5), settings, progress=progress)


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX")
def test_a_limit_on_file_sizes_is_one_line_and_leaves_nothing(
    sample_media: Path, tmp_path: Path
) -> None:
    code = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.argv[0] = 'vidsal'\n"
        "runpy.run_module('vidsal', run_name='__main__')"
    )
    clip = str(sample_media / "moving_square.mp4")
    args = ["run", clip, "-o", str(tmp_path / "o.mp4"), "--model", "none"]
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    last = done.stderr.replace("\r", "\n").splitlines()[-1]
    assert last.startswith("vidsal: ffmpeg failed: ")
    assert "Traceback" not in done.stderr
    assert names_in(tmp_path) == []


def test_a_file_that_came_out_wrong_is_told_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An ffmpeg that writes another size and drops the last frames, and ends well.
    real = codecs.encoder_args

    def wrong(*given: Any, **options: Any) -> list[str]:
        args = real(*given, **options)
        at = args.index("-vf") + 1
        args[at] += ",scale=32:24"
        return [*args[:-1], "-frames:v", "5", args[-1]]

    monkeypatch.setattr(codecs, "encoder_args", wrong)
    with pytest.raises(VidsalError) as caught:
        write_video(tmp_path / "o.mp4", [make_picture(n) for n in range(7)], make_info())
    said = str(caught.value)
    assert (
        "verification failed: expected 7 frames of 64x48 (h264, 24000/1001 a second, 0.292 s), "
        "found 5 frames of 32x24 (h264, 24000/1001 a second, 0.209 s)"
    ) in said
    assert str(tmp_path / "o.mp4") in said
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": 9}, "expected 9 frames of 64x48 (h264, 25 a second, 0.360 s), found 10 frames"),
        ({"size": (48, 66)}, "expected 10 frames of 66x48 (h264, 25 a second, 0.400 s), found"),
        ({"fps": Fraction(24)}, "(h264, 24 a second, 0.417 s), found 10 frames"),
        ({"fps": Fraction(25000, 1001)}, "(h264, 25000/1001 a second, 0.400 s), found"),
    ],
)  # fmt: skip
def test_each_difference_from_what_was_meant_is_told(
    change: dict[str, Any], said: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    part = make_clip(frames=10)
    expected = replace(mux.ExpectedPicture(10, (48, 64), Fraction(25)), **change)
    with pytest.raises(VidsalError) as caught:
        mux.finish(part, tmp_path / "o.mp4", make_info(), Settings(), expected)
    assert said in str(caught.value)
    assert names_in(tmp_path) in (["clip.mp4"], [])


def test_another_codec_than_meant_is_told(make_clip: MakeClip, tmp_path: Path) -> None:
    part, expected = make_clip(frames=10), mux.ExpectedPicture(10, (48, 64), Fraction(25))
    with pytest.raises(VidsalError, match=r"expected .*\(vp9, .*, found .*\(h264, "):
        mux.finish(part, tmp_path / "o.mp4", make_info(), Settings(codec="vp9"), expected)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-t", "1"], r"expected audio from 0\.00 to 2\.00 s of the picture, found 0\.00 to 1\.0"),
        (["-map", "-1:a"], "expected some audio of the source, found no audio"),
    ],
)
def test_sound_that_came_out_wrong_is_told(
    args: list[str], said: str,
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clip, out = make_clip(frames=50, sound="aac"), tmp_path / "out"
    out.mkdir()
    real = ffmpeg.convert
    monkeypatch.setattr(ffmpeg, "convert", lambda given: real([*given[:-1], *args, given[-1]]))
    with pytest.raises(VidsalError, match=said) as caught:
        write_with_sound(SoundPart(str(clip), "aac"), out / "o.mp4")
    assert str(caught.value).endswith(f"the picture without audio is in {out / 'o.silent.mp4'}")
    assert names_in(out) == ["o.silent.mp4"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_gif_that_fails_leaves_nothing(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ffmpeg.convert, []

    def failing(args: list[str]) -> None:
        calls.append(args)
        real(["-no_such_option", *args] if len(calls) == call else args)

    monkeypatch.setattr(ffmpeg, "convert", failing)
    with pytest.raises(VidsalError, match="ffmpeg failed: ") as caught:
        write_video(tmp_path / "o.gif", [make_picture(0)] * 3, make_info())
    assert "\n" not in str(caught.value)
    assert len(calls) == call
    assert names_in(tmp_path) == []


@pytest.fixture
def out_without_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; to no file sound can be added."""
    real = ffmpeg.convert

    def failing(args: list[str], **options: Any) -> None:
        real(["-no_such_option", *args] if "1:a:0" in args else args, **options)

    monkeypatch.setattr(ffmpeg, "convert", failing)
    out = tmp_path / "out"
    out.mkdir()
    return out


def test_sound_that_cannot_be_added_is_an_error(
    make_clip: MakeClip, out_without_sound: Path
) -> None:
    clip, out = make_clip(frames=5, sound="aac"), out_without_sound
    for kept in ("o.silent.mp4", "o.silent_002.mp4"):
        with pytest.raises(
            VidsalError,
            match=rf"audio=False leaves it out.*ffmpeg failed: .* without audio is in .*{kept}",
        ) as caught:
            run_vidsal(clip, out / "o.mp4")
        assert "\n" not in str(caught.value)
        # It may be the work of hours.
        picture = probe.inspect(out / kept).picture
        assert picture is not None and picture.frames == 5
    assert names_in(out) == ["o.silent.mp4", "o.silent_002.mp4"]


def test_sound_that_cannot_be_added_at_last_can_be_left_out(
    make_clip: MakeClip, out_without_sound: Path
) -> None:
    clip, out = make_clip(frames=60, sound="aac"), out_without_sound
    with pytest.raises(VidsalError, match="audio=False leaves it out"):
        run_vidsal(clip, out / "o.mp4", resume=True)
    assert not (out / "o.mp4").exists()
    # The advice can be followed, and nothing is worked on anew.
    settings = Settings(model="none", output=out / "o.mp4", resume=True, audio=False)
    vidsal.run(clip, settings, progress=lambda *_: pytest.fail("it is all done"))
    seen = probe.inspect(out / "o.mp4")
    assert seen.picture is not None and (seen.picture.frames, seen.sound) == (60, None)
    assert names_in(out) == ["o.mp4"]


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_name_may_be_as_long_as_the_system_takes(
    is_resumed: bool, make_clip: MakeClip, tmp_path: Path
) -> None:
    # The folder of segments beside the output would have a longer name.
    name = "n" * 247 + ".mp4"
    clip = make_clip(frames=5)
    assert run_vidsal(clip, tmp_path / name, resume=is_resumed).name == name
    assert names_in(tmp_path) == sorted([clip.name, name])


def test_without_ffmpeg_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none_here)
    with pytest.raises(VidsalError, match="ffmpeg was not found: pip install"):
        write_video(tmp_path / "o.mp4", [make_picture(0)], make_info())
    assert names_in(tmp_path) == []


# ffmpeg itself.


def test_ffmpeg_is_out_of_reach_of_the_terminals_interrupt(tmp_path: Path) -> None:
    with video_sink(tmp_path / "o.mp4", make_info(), Settings()) as sink:
        sink.write(make_picture(0), 0.0)
        sink.write(make_picture(1), 1 / 25)
        # A terminal's Ctrl-C goes to all of its group: ffmpeg must live to finish the file.
        assert os.getpgid(our_ffmpeg().pid) != os.getpgrp()
    with av.open(str(tmp_path / "o.mp4")) as file:
        assert file.streams.video[0].frames == 2
