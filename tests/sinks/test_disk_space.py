"""Disk space: how much is needed, and the error before any work if there is too little."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sink_help import make_info, names_in, run_vidsal

from vidsal.errors import VidsalError
from vidsal.settings import Settings
from vidsal.sinks import claim_outputs, disk_space
from vidsal.types import SoundPart

pytestmark = pytest.mark.usefixtures("own_folder")

HD: dict[str, Any] = {"height_px": 1080, "width_px": 1920, "fps": Fraction(25), "duration_s": 60.0}


@pytest.mark.parametrize(
    ("options", "path", "mega"),
    [
        # 0.3 bits a pixel: 15.6 Mbit/s.
        ({}, "o.mp4", 116.6),
        ({"quality": 65}, "o.mp4", 58.3),
        ({"layout": "quad"}, "o.mp4", 466.6),
        ({"codec": "hevc"}, "o.mp4", 101.1),
        # Apple's 220 Mbit/s at 29.97 a second.
        ({"codec": "prores"}, "o.mov", 220 / 8 * 60 * 25 / 29.97),
        ({"codec": "ffv1", "quality": 0}, "o.mkv", 4665.6),
        # The GIF itself and the file without loss that it is made of.
        ({}, "o.gif", 4665.6 * 1.5),
    ],
)
def test_how_much_room_a_video_takes(options: dict[str, Any], path: str, mega: float) -> None:
    needed = disk_space.video_bytes(Path(path), replace(make_info(), **HD), Settings(**options))
    assert needed / 1e6 == pytest.approx(mega, rel=1e-3)


def test_sound_is_written_twice_with_its_picture() -> None:
    info = replace(make_info(), **HD, sound=SoundPart("a.mp4", "aac"))
    silent = disk_space.video_bytes(Path("o.mp4"), info, Settings(audio=False))
    assert disk_space.video_bytes(Path("o.mp4"), info, Settings()) == 2 * silent + 60 * 24_000


def test_how_much_room_maps_take() -> None:
    info = replace(make_info(), **HD)
    assert disk_space.maps_bytes(info, Settings()) == 1500 * 320 * 180 * 2 * 3
    assert disk_space.maps_bytes(info, Settings(model="none")) == 1500 * 320 * 180 * 2 * 2


def test_how_much_room_a_store_takes() -> None:
    info = replace(make_info(), **HD)
    assert disk_space.store_bytes(info, Settings()) == pytest.approx(1500 * 320 * 180 * 3.35)
    none = Settings(model="none", working_width=480)
    assert disk_space.store_bytes(info, none) == pytest.approx(1500 * 480 * 270 * 1.85)
    # Small pictures keep their size.
    small = replace(info, height_px=48, width_px=64, frame_count_hint=100)
    assert disk_space.store_bytes(small, Settings()) == pytest.approx(100 * 64 * 48 * 3.35)
    assert disk_space.store_bytes(replace(info, duration_s=None), Settings()) == 0


def test_a_real_store_takes_about_the_room_that_is_asked_for(
    sample_media: Path, tmp_path: Path
) -> None:
    pytest.importorskip("zarr")
    path = tmp_path / "s.vidsal.zip"
    run_vidsal(sample_media / "chinchilla.mp4", tmp_path / "o.mp4", end=2.0, keep=path)
    info = replace(make_info(), height_px=360, width_px=640, fps=Fraction(24), duration_s=2.0)
    needed = disk_space.store_bytes(info, Settings(model="none"))
    assert 0.5 * needed < path.stat().st_size < 1.2 * needed


@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mp4"), ("av1", ".mp4"), ("prores", ".mov")]
)
def test_a_real_video_takes_about_the_room_that_is_asked_for(
    codec: Any, suffix: str, sample_media: Path, tmp_path: Path
) -> None:
    clip = sample_media / "chinchilla.mp4"
    options: dict[str, Any] = {"codec": codec, "audio": False}
    out = run_vidsal(clip, tmp_path / f"o{suffix}", end=1.0, **options)
    info = replace(make_info(), height_px=360, width_px=640, fps=Fraction(24), duration_s=1.0)
    needed = disk_space.video_bytes(out, info, Settings(**options))
    assert 0.5 * needed < out.stat().st_size < 1.5 * needed


def test_too_little_room_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(megabytes: float) -> None:
        usage = (10**12, 10**12, int(megabytes * 1e6))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(*usage))

    info, settings = replace(make_info(), **HD), Settings(output=tmp_path / "o.mp4")
    free(117)
    assert claim_outputs(info, settings) == tmp_path / "o.mp4"
    free(116)
    with pytest.raises(VidsalError) as caught:
        claim_outputs(info, settings)
    assert str(caught.value) == (
        f"about 116.6 MB are needed in {tmp_path}, 116.0 MB are free: "
        "make room, or write to another disk"
    )
    # Maps on the same disk: 518.4 MB more.
    with_maps = replace(settings, maps=tmp_path / "maps")
    free(636)
    claim_outputs(info, with_maps)
    free(634)
    with pytest.raises(VidsalError, match=r"about 635\.0 MB are needed"):
        claim_outputs(info, with_maps)
    # A store of 289.4 MB; a run that is resumed holds its parts beside the output, too.
    pytest.importorskip("zarr")
    with_store = replace(settings, keep=tmp_path / "s.vidsal")
    free(407)
    claim_outputs(info, with_store)
    free(405)
    with pytest.raises(VidsalError, match=r"about 406\.1 MB are needed"):
        claim_outputs(info, with_store)
    with pytest.raises(VidsalError, match=r"about 812\.2 MB are needed"):
        claim_outputs(info, replace(with_store, resume=True))
    # Nobody knows how long a camera will record, or a file without a length is.
    free(0)
    claim_outputs(replace(info, is_live=True), settings)
    claim_outputs(replace(info, duration_s=None), settings)
    assert names_in(tmp_path) == []
