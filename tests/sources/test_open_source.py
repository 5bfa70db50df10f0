"""Names open the right kind of source; others are refused with a reason."""

import os
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip, run_ffmpeg
from live_fakes import live_settings
from PIL import Image

from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings
from vidsal.sources import open_source
from vidsal.sources.resolve import SourceName


def test_number_means_a_camera_unless_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = []

    def camera(name: SourceName, settings: Settings) -> Any:
        asked.append(name.address)

    monkeypatch.setattr("vidsal.sources.LiveSource", camera)
    open_source("7", Settings())
    open_source(3, Settings())
    assert asked == ["7", "3"]
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "7")
    with open_source("7", Settings()) as source:
        assert source.info.height_px == 10
    assert asked == ["7", "3"]


def test_no_camera_has_a_negative_number() -> None:
    with pytest.raises(UsageError, match="the number of a camera is 0 or more, got -1"):
        open_source(-1, Settings())


def _wrong(kind: str, folder: Path, make_clip: MakeClip) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is no video.\n" * 100)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif kind == "audio":
        run_ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", str(path))
    elif kind == "truncated":
        # The index is at the end and is lost.
        whole = make_clip(f"{kind}.mp4", frames=40, options=["-movflags", "0"]).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "photo":
        rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        iio.imwrite(folder / "a.png", rgb)
        path.write_bytes((folder / "a.png").read_bytes()[:5000])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no such file"),
        ("folder", "is a folder: sequence=True makes one video of its pictures"),
        ("empty", "is an empty file"),
        ("text", "is not a video or picture that can be read"),
        ("noise", "is not a video or picture that can be read"),
        ("audio", "holds sound but no moving picture"),
        ("truncated", "is truncated before its index, so nothing of it can be read"),
        ("photo", "is a corrupt picture"),
    ],
)
def test_wrong_file_is_one_line(
    kind: str, says: str, tmp_path: Path, make_clip: MakeClip, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _wrong(kind, tmp_path, make_clip)
    with pytest.raises(VidsalError) as caught:
        open_source(path, Settings())
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_and_pipes_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "notes.nfo").write_text("words\n" * 100)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, says in (("notes.nfo", "is not a video"), ("pipe.mp4", "is not a regular file")):
        with pytest.raises(VidsalError, match=says):
            open_source(tmp_path / name, Settings())


def test_options_that_a_kind_of_source_cannot_use_are_refused(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (20, 10)).save(photo)
    for options, message in (
        ({"every": 2}, f"every=2 cannot be used: {photo} is a photo, which has no time"),
        ({"duration": 1.0}, f"duration=1.0 cannot be used: {photo} is a photo, which has no time"),
    ):
        with pytest.raises(UsageError) as caught:
            open_source(photo, Settings(**options))
        assert str(caught.value) == message
    with pytest.raises(UsageError) as caught:
        open_source("rtsp://a", live_settings(start=3.0))
    assert str(caught.value) == (
        "start=3.0 cannot be used: stream a is live and starts now; duration= ends it"
    )


def test_devices_and_addresses_without_a_file_are_live(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[SourceName] = []
    monkeypatch.setattr("vidsal.sources.LiveSource", lambda name, settings: opened.append(name))
    addresses = ["UDP://127.0.0.1:5000", "http://a/b.m3u8", "tcp://a:1", "/dev/video3"]
    for address in addresses:
        open_source(address, live_settings())
    assert [name.address for name in opened] == addresses
    assert [name.kind for name in opened] == ["stream", "stream", "stream", "camera"]
