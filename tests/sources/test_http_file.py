"""Files on a web server: read as any file, with their sound, and nothing of them left behind."""

import shutil
import tempfile
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeClip
from web_help import serving

from vidsal.errors import VidsalError
from vidsal.jobs import run_all
from vidsal.media.probe import inspect
from vidsal.pipeline import process
from vidsal.runtime import download
from vidsal.settings import Settings
from vidsal.sources import http_file, open_source
from vidsal.sources.live import LiveSource

TIMES = {"Last-Modified": formatdate(1_700_000_000, usegmt=True)}


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for downloads; loopback is reached without a proxy, and soon or never."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT_S", (2.0, 0.5))
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_video_is_read_as_a_file(make_clip: MakeClip, temp: Path) -> None:
    clip = make_clip("my clip.mp4", frames=12, sound="aac")
    with open_source(clip, Settings()) as local:
        expected = [(frame.time_s, frame.rgb) for frame in local.frames()]
    with serving("whole", clip.read_bytes(), "a/my%20clip.mp4?key=1") as server:
        address = server.url.replace("//", "//me:secret@")
        with open_source(address, Settings()) as source:
            assert source.info.name == server.url.partition("?")[0]
            assert source.info.sound is not None
            assert not source.info.is_live
            came = [(frame.time_s, frame.rgb) for frame in source.frames()]
            assert source.findings().damaged == 0
    assert server.asked == ["/a/my%20clip.mp4?key=1"]
    assert len(came) == 12
    for (one_s, one), (other_s, other) in zip(came, expected, strict=True):
        assert one_s == other_s
        np.testing.assert_array_equal(one, other)
    assert not list(temp.iterdir())


def test_run_names_its_results_after_the_file(
    make_clip: MakeClip, sample_media: Path, tmp_path: Path, temp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clip = make_clip(frames=12, sound="aac").read_bytes()
    monkeypatch.chdir(tmp_path)
    with (
        serving("whole", clip, "street.mp4") as video,
        serving("whole", (sample_media / "cat.jpg").read_bytes(), "cat.jpg") as photo,
    ):
        alone = process(video.url, Settings(model="none"))
        both = run_all([video.url, photo.url], Settings(model="none", output=tmp_path / "out"))
    assert alone.output == Path("street_saliency.mp4")
    assert [one.output for one in both] == [
        tmp_path / "out" / "street_saliency.mp4", tmp_path / "out" / "cat_saliency.png",
    ]  # fmt: skip
    found = inspect(tmp_path / "street_saliency.mp4")
    assert found.sound is not None
    assert found.picture is not None
    assert found.picture.frames == 12
    assert not list(temp.iterdir())


def test_a_resumed_run_recognises_the_file(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=12)
    output = tmp_path / "out.mp4"
    settings = Settings(model="none", output=output, resume=True)
    from vidsal.sinks import segments

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with serving("whole", clip.read_bytes(), "clip.mp4", TIMES) as server:
        with monkeypatch.context() as patch:
            patch.setattr(segments, "join_videos", interrupted)
            with pytest.raises(KeyboardInterrupt):
                process(server.url, settings)
        assert (tmp_path / "out.mp4.parts").is_dir()
        assert process(server.url, settings).frames == 12
    assert output.is_file()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("404", "the server says 404 Not Found"),
        ("half", "the connection ended before the file did"),
        ("stall", "timed out"),
        ("silence", "timed out"),
    ],
)
def test_an_incomplete_download_is_one_line(
    answer: str, why: str, make_clip: MakeClip, temp: Path
) -> None:
    with serving(answer, make_clip().read_bytes(), "clip.mp4?key=1") as server:
        public_url = server.url.partition("?")[0]
        with pytest.raises(VidsalError, match=why) as caught:
            open_source(server.url.replace("//", "//me:secret@"), Settings())
    assert str(caught.value).startswith(f"{public_url} cannot be downloaded: ")
    assert "secret" not in str(caught.value)
    assert not list(temp.iterdir())


def test_a_failed_download_is_named_by_its_url(tmp_path: Path) -> None:
    with serving("404", b"", "clip.mp4?key=1") as server:
        there = server.url.replace("//", "//me:secret@")
        outcomes = run_all([there, there], Settings(model="none", output=tmp_path / "out"))
    assert [one.source for one in outcomes] == 2 * [server.url.partition("?")[0]]
    assert all("404" in str(one.error) for one in outcomes)


@pytest.mark.parametrize("date", ["0", "-1", "", "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_invalid_date_does_no_harm(date: str, make_clip: MakeClip) -> None:
    with (
        serving("whole", make_clip().read_bytes(), "clip.mp4", {"Last-Modified": date}) as server,
        open_source(server.url, Settings()) as source,
    ):
        assert len(list(source.frames())) == 20


def test_a_file_that_is_not_a_video_is_named_by_its_url(temp: Path) -> None:
    with serving("whole", b"<html>Sign in</html>", "clip.mp4") as server:
        expected = f"{server.url} is not a video or picture that can be read"
        with pytest.raises(VidsalError) as caught:
            open_source(server.url, Settings())
    assert str(caught.value) == expected
    assert not list(temp.iterdir())


def test_a_url_without_a_length_is_a_stream(make_clip: MakeClip, temp: Path) -> None:
    clip = make_clip("live.ts", frames=30, options=["-f", "mpegts"])
    with (
        serving("endless", clip.read_bytes(), "live.ts") as server,
        open_source(server.url, Settings()) as source,
    ):
        assert isinstance(source, LiveSource)
        assert not list(temp.iterdir())


def test_a_file_too_large_for_the_disk_is_not_downloaded(
    make_clip: MakeClip, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_clip().read_bytes()

    class Full:
        free = len(content) - 1

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Full)
    with (
        serving("whole", content, "clip.mp4") as server,
        pytest.raises(VidsalError, match=f"{temp} has 0 MB free: set TMPDIR"),
    ):
        open_source(server.url, Settings())
    assert not list(temp.iterdir())


def test_interrupted_download_leaves_nothing(
    make_clip: MakeClip, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        assert list(temp.rglob("clip.mp4"))
        raise KeyboardInterrupt

    monkeypatch.setattr(http_file, "_set_file_time", interrupted)
    with (
        serving("whole", make_clip().read_bytes(), "clip.mp4") as server,
        pytest.raises(KeyboardInterrupt),
    ):
        open_source(server.url, Settings())
    assert not list(temp.iterdir())
