"""Runs that differ are refused, with the value that differs."""

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeClip
from resume_help import Voting, broken_drawing, pictures_of, resumable, use_voting_stage

import vidsal
from vidsal.errors import VidsalError
from vidsal.sinks import fingerprint
from vidsal.static import models
from vidsal.static.models import ModelChoice


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voting:
    """Run in an own folder, in short segments, with a fake network."""
    return use_voting_stage(tmp_path, monkeypatch)


def test_names_that_are_no_text_are_no_hindrance(make_clip: MakeClip) -> None:
    clip = make_clip(frames=8)
    odd = clip.rename(clip.with_name(os.fsdecode(b"caf\xe9.mp4")))
    vidsal.run(odd, resumable())
    assert len(pictures_of(Path("o.mp4"))) == 8


def test_a_changed_input_is_refused(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(frames=16)
    # A box that readers skip.
    with clip.open("ab") as file:
        file.write(b"\0\0\0\x10free12345678")
    stat = clip.stat()
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())
    kept = clip.read_bytes()
    clip.write_bytes(kept[:-1] + b"9")
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(VidsalError) as caught:
        vidsal.run(clip, resumable())
    assert "the input's checksum was" in str(caught.value) and "time" not in str(caught.value)
    clip.write_bytes(kept)
    with pytest.raises(VidsalError, match=r"the input's modification time was .* the folder"):
        vidsal.run(clip, resumable())
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    vidsal.run(clip, resumable())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "quad"}, "layout= was overlay and is quad"),
        ({"batch": 8}, "batch= was 4 and is 8"),
        ({"table": None}, "table= was .*/o.csv and is not given"),
        ({"seed": 1}, "seed= was 0 and is 1"),
    ],
)
def test_changed_settings_are_refused_before_the_network_is_loaded(
    options: dict[str, Any], message: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=16)
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())
    with monkeypatch.context() as patch:
        patch.setattr(models, "open_static", lambda *_: pytest.fail("was loaded"))
        with pytest.raises(VidsalError, match=f"{message}.*run as before, or remove the folder"):
            vidsal.run(clip, resumable(**options))
    vidsal.run(clip, resumable())


def test_a_changed_network_or_version_is_refused(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = make_clip(frames=16)
    with broken_drawing(monkeypatch, 9), pytest.raises(RuntimeError):
        vidsal.run(clip, resumable())
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "__version__", "0.0.1")
        with pytest.raises(VidsalError, match=r"vidsal was 0\.1\.0 \(\w+\) and is 0\.0\.1 \("):
            vidsal.run(clip, resumable())
    with monkeypatch.context() as patch:
        # One of its modules differs, as between two versions.
        patch.setattr(fingerprint, "__file__", str(tmp_path / "sinks" / "__init__.py"))
        (tmp_path / "__init__.py").write_text("# other words")
        with pytest.raises(VidsalError, match=r"vidsal was 0\.1\.0 \(\w+\) and is 0\.1\.0 \("):
            vidsal.run(clip, resumable())
    weights = tmp_path / "w.h5"
    weights.write_bytes(b"123")
    with monkeypatch.context() as patch:
        patch.setattr(models, "choose", lambda *_, **__: ModelChoice("resnet50", weights))
        wanted = r"the network was EfficientNet-Lite0 and is ResNet50; .*w\.h5 \([0-9a-f]{16}\)"
        with pytest.raises(VidsalError, match=wanted):
            vidsal.run(clip, resumable())
