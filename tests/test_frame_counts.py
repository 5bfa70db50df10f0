"""Every decoded frame is written, or left out for a reason that is counted."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeClip, run_ffmpeg

from vidsal.errors import VidsalError
from vidsal.jobs import write_summary
from vidsal.pipeline import process
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.file_decoder import FileDecoder
from vidsal.sources.video import VideoSource
from vidsal.types import Findings, Frame


@pytest.mark.parametrize(
    ("options", "frames", "left_out"),
    [
        ({}, 25, {}),
        ({"every": 2}, 13, {"not an N-th frame": 12}),
        ({"fps": "10"}, 10, {"another frame is shown in its step": 15}),
        ({"start": 0.2, "end": 0.8}, 15, {"before the start": 5, "after the end": 1}),
    ],
)
def test_frames_that_are_left_out_are_in_the_summary(
    options: dict[str, object], frames: int, left_out: dict[str, int], make_clip: MakeClip,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    settings = Settings(model="none", output=tmp_path / "o.mp4", **options)  # type: ignore[arg-type]
    outcome = process(make_clip(frames=25), settings)
    assert (outcome.frames, outcome.decoded) == (frames, frames + sum(left_out.values()))
    assert outcome.left_out == left_out
    write_summary([outcome], tmp_path / "summary.json")
    (written,) = json.loads((tmp_path / "summary.json").read_text())
    assert (written["frames"], written["decoded"]) == (frames, outcome.decoded)
    assert written["left_out"] == left_out
    line = f"{outcome.decoded} frames decoded, {frames} analysed, {sum(left_out.values())} left out"
    assert line in caplog.text


def test_a_photo_and_pictures_are_counted_as_well(make_clip: MakeClip, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    run_ffmpeg("-i", str(make_clip(frames=6)), str(folder / "%02d.png"))
    (folder / "03.png").write_bytes(b"no picture")
    settings = Settings(model="none", sequence=True, every=2, output=tmp_path / "o.mp4")
    outcome = process(folder, settings)
    assert (outcome.frames, outcome.decoded) == (2, 6)
    assert outcome.left_out == {"not an N-th frame": 3, "cannot be converted": 1}
    photo = process(folder / "01.png", Settings(model="none", output=tmp_path / "o.png"))
    assert (photo.frames, photo.decoded, photo.left_out) == (1, 1, {})


def test_resumed_runs_count_all_frames(make_clip: MakeClip, tmp_path: Path) -> None:
    settings = Settings(model="none", resume=True, every=3, output=tmp_path / "o.mp4")
    outcome = process(make_clip(frames=30), settings)
    assert (outcome.frames, outcome.decoded) == (10, 30)


def test_frames_too_close_to_others_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The rate is that of most frames. The last ten come five times as fast.
    path = tmp_path / "a.mkv"
    times = "if(lt(N,40),N*40,1600+(N-40)*7)/1000/TB"
    run_ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d=2,settb=1/1000,setpts='{times}'",
        "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-c:v", "libx264", "-bf", "0",
        str(path),
    )  # fmt: skip
    with open_source(path, Settings()) as source:
        frames = list(source.frames())
        found = source.findings()
    lost = found.left_out["another frame is shown in its step"]
    assert found.decoded == 50 and len(frames) + lost == 50
    assert f"{lost} of 50 frames are left out" in caplog.text


def test_a_stopped_source_counts_the_frame_that_it_had_decoded(make_clip: MakeClip) -> None:
    with open_source(make_clip(frames=10), Settings()) as source:
        frames: Iterator[Frame] = source.frames()
        next(frames)
        source.stop()
        assert list(frames) == []
        found = source.findings()
    assert (found.decoded, found.left_out) == (2, {"after a stop": 1})


def test_a_frame_lost_without_a_reason_is_an_error(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = make_clip(frames=10), tmp_path / "o.mp4"
    findings = VideoSource.findings

    def more(source: VideoSource) -> Findings:
        found = findings(source)
        return replace(found, decoded=(found.decoded or 0) + 1)

    monkeypatch.setattr(VideoSource, "findings", more)
    with pytest.raises(VidsalError, match=r"clip\.mp4: 1 of 11 decoded frames are lost without"):
        process(path, Settings(model="none", output=out))
    monkeypatch.undo()
    grab = FileDecoder.grab

    def skip(decoder: FileDecoder) -> float | None:
        if decoder.index == 4:
            grab(decoder)
        return grab(decoder)

    monkeypatch.setattr(FileDecoder, "grab", skip)
    with (
        open_source(path, Settings()) as source,
        pytest.raises(VidsalError, match="10 frames were decoded, 9 used and 0 left out"),
    ):
        list(source.frames())
