"""How ffmpeg is run, and how its failures are reported."""

from pathlib import Path

import pytest
from conftest import MakeClip

from vidsal.errors import VidsalError
from vidsal.media import ffmpeg


@pytest.mark.parametrize(
    ("stderr", "exit_code", "reason"),
    [
        (b"[libx265 @ 0x55f] Image size is too small (18x10).\n", 1,
         "Image size is too small (18x10)."),
        (b"", 3, "exit code 3"),
        (b"\xff bad byte", 1, "\ufffd bad byte"),
        (b"[out#0 @ 0x1] No space left on device\nConversion failed!\n", 228,
         "no space left on the disk"),
        (b"[out#0 @ 0x1] No space left on device\n", -9, "no space left on the disk"),
        (b"some warning\n", -9, "it was killed by signal 9"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_one_line(stderr: bytes, exit_code: int, reason: str) -> None:
    assert ffmpeg.failure_reason(stderr, exit_code) == reason


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(-9, "was killed by signal 9"), (255, "was terminated"), (0, ""), (1, "")],
)
def test_a_signal_is_known_by_the_exit_code(exit_code: int, text: str) -> None:
    assert ffmpeg.termination(exit_code) == text


def test_urls_of_files_and_streams() -> None:
    assert ffmpeg.file_url("rtsp://10.0.0.1/a") == "rtsp://10.0.0.1/a"
    assert ffmpeg.file_url("-a:b.mp4") == "file:-a:b.mp4"
    assert ffmpeg.file_url(Path("a.mp4")) == "file:a.mp4"


def test_a_truncated_fragment_is_left_out_of_the_url(make_clip: MakeClip, tmp_path: Path) -> None:
    options = ["-g", "25", "-movflags", "frag_keyframe+empty_moov"]
    data = make_clip("whole.mp4", frames=50, options=options).read_bytes()
    end = data.rindex(b"moof") - 4
    path = tmp_path / "a.mp4"
    path.write_bytes(data[: end + 20])
    assert ffmpeg.readable_part_url(path) == f"subfile,,start,0,end,{end},,:{path}"
    assert ffmpeg.file_url(path) == ffmpeg.readable_part_url(path)
    path.write_bytes(data)
    assert ffmpeg.readable_part_url(path) is None


def test_encoders_that_every_build_has_are_listed() -> None:
    assert {"libx264", "ffv1", "gif"} <= ffmpeg.encoders(ffmpeg.executable())


def test_the_first_frame_is_shown_at_its_own_time(make_clip: MakeClip, tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    ffmpeg.convert(
        ["-itsoffset", "0.48", "-i", ffmpeg.file_url(make_clip(frames=5)), "-c", "copy", str(late)]
    )
    assert ffmpeg.first_frame_s(late) == pytest.approx(0.48, abs=1e-3)
    late.write_bytes(b"no video")
    assert ffmpeg.first_frame_s(late) is None


def test_a_failed_conversion_names_the_cause(tmp_path: Path) -> None:
    with pytest.raises(VidsalError, match=r"^ffmpeg failed: .*No such file or directory$"):
        ffmpeg.convert(["-i", str(tmp_path / "none.mp4"), str(tmp_path / "o.mp4")])
