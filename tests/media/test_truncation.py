"""Truncated files are detected by their format's own marks."""

import struct
from pathlib import Path

import pytest
from conftest import MakeClip, run_ffmpeg
from sink_help import run_vidsal

from vidsal.errors import VidsalError
from vidsal.media import probe
from vidsal.media.truncation import is_truncated
from vidsal.settings import Settings
from vidsal.sources import open_source

# ffmpeg's arguments for formats that have end marks or lengths.
KINDS = {
    "a.avi": ["-c:v", "mpeg4", "-c:a", "mp3"],
    "silent.avi": ["-c:v", "mjpeg", "-an"],
    "a.ogv": ["-c:v", "libtheora", "-c:a", "libvorbis"],
    "a.wmv": ["-c:v", "wmv2", "-c:a", "wmav2"],
    "a.gif": ["-an"],
    "a.ts": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "a.mpg": ["-c:v", "mpeg2video", "-c:a", "mp2"],
    "mpeg1.mpg": ["-c:v", "mpeg1video", "-c:a", "mp2"],
    "a.vob": ["-c:v", "mpeg2video", "-c:a", "ac3"],
    "a.mkv": ["-c:v", "libx264", "-c:a", "aac"],
    "a.mp4": ["-c:v", "libx264", "-c:a", "aac"],
}


@pytest.mark.parametrize("name", KINDS)
def test_truncated_files_are_detected_and_whole_ones_are_not(name: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / name, tmp_path / f"cut_{name}"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4",
        *KINDS[name], str(whole),
    )  # fmt: skip
    data = whole.read_bytes()
    assert not probe.inspect(whole).is_truncated
    for share in (0.5, 0.9, 0.99):
        cut.write_bytes(data[: int(len(data) * share) // 188 * 188 - 7])
        found = probe.inspect(cut)
        assert found.is_truncated or found.lacks_index, share


def test_an_avi_of_several_chunks_is_checked_by_its_first(tmp_path: Path) -> None:
    # Large AVI files have several RIFF chunks; the first declares only its own length.
    path = tmp_path / "a.avi"
    path.write_bytes(b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(96) + b"RIFF" + bytes(500))
    assert not is_truncated(path, "avi")
    path.write_bytes(path.read_bytes()[:107])
    assert is_truncated(path, "avi")


@pytest.mark.parametrize("name", ["avi", "asf", "ogg", "gif", "mpegts", "matroska"])
@pytest.mark.parametrize("data", [b"", b"Ogg", b"OggS", b"RIFF", b"\xa1\xdc\xab\x8c" * 40])
def test_any_bytes_are_checked_without_an_error(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    assert is_truncated(path, name) in (True, False)
    assert not is_truncated(tmp_path / "none", name)


def test_a_broadcast_does_not_declare_its_length(tmp_path: Path) -> None:
    path = tmp_path / "a.wmv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=2", "-c:v", "wmv2", str(path))
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    assert is_truncated(path, "asf")
    guid = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    flags = data.index(guid) + 88
    path.write_bytes(data[:flags] + bytes([data[flags] | 1]) + data[flags + 1 : -5])
    assert not is_truncated(path, "asf")


def test_a_truncated_index_is_an_error(make_clip: MakeClip, tmp_path: Path) -> None:
    # ffmpeg does not recognise a file that ends within its index.
    data = make_clip("whole.mp4", frames=50).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: data.index(b"moov") + 300])
    with pytest.raises(VidsalError, match=r"cut\.mp4 is truncated"):
        open_source(cut, Settings())


def test_the_format_is_not_taken_from_the_name(make_clip: MakeClip) -> None:
    clip = make_clip("a.avi.mp4", frames=10)
    assert not probe.inspect(clip).is_truncated


@pytest.mark.parametrize("inside", [8, 100, -50])
@pytest.mark.parametrize("sound", ["aac", None])
def test_a_recording_that_ends_in_the_head_of_a_fragment_is_read_up_to_it(
    sound: str | None, inside: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    options = ["-g", "25", "-movflags", "frag_keyframe+empty_moov"]
    data = make_clip("whole.mp4", frames=100, sound=sound, options=options).read_bytes()
    heads = [n for n in range(len(data)) if data[n : n + 4] == b"moof"]
    begin = heads[3] - 4
    length = int.from_bytes(data[begin : begin + 4], "big")
    cut, out = tmp_path / "cut, it's:a.mp4", tmp_path / "o.mp4"
    cut.write_bytes(data[: begin + inside % length])
    with open_source(cut, Settings()) as source:
        assert len(list(source.frames())) == 75
        assert source.findings().is_cut_off
        assert (source.info.sound is None) == (sound is None)
    # The same holds for its audio.
    run_vidsal(cut, out)
    found = probe.inspect(out)
    assert (found.sound is None) == (sound is None)
    if found.sound:
        assert found.sound.end_s == pytest.approx(3, abs=0.15)
