"""Parsers of ffmpeg's output, on lines that ffmpeg 9.0 and earlier releases printed."""

import math
from fractions import Fraction

import pytest

from vidsal.media import banner

FILM = """\
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'Duration: 1.mp4':
  Metadata:
    title           : Duration: 00:10:00.00, start: 1.500000
    comment         : rotation of 180.00 degrees
  Duration: 01:02:03.50, start: -0.021333, bitrate: 96 kb/s
  Stream #0:0[0x1](und): Video: png, rgb24(pc), 300x200, 90k tbr, 90k tbn (attached pic)
    Metadata:
      comment         : Cover (front)
    Side data:
      Display Matrix: rotation of 180.00 degrees
  Stream #0:1[0x2](und): Video: hevc (Main) (hev1 / 0x31766568), yuv420p(tv, bt2020nc/bt2020/\
smpte2084, progressive), 64x48 [SAR 1:1 DAR 4:3], 12 kb/s, 29.97 fps, 29.97 tbr, 16k tbn (default)
    Metadata:
      handler_name    : VideoHandler
    Side data:
      Display Matrix: rotation of -90.00 degrees
  Stream #0:2[0x3](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp (default)
    Side data:
      Display Matrix: rotation of 180.00 degrees
Stream mapping:
  Stream #0:1 -> #0:0 (copy)
"""
VIDEO = "  Stream #0:0[0x1]: Video: "


def test_the_banner_of_an_input_is_parsed() -> None:
    text = banner.input_banner(FILM)
    assert text.endswith("rotation of 180.00 degrees\n") and "(copy)" not in text
    assert banner.format_name(text) == "mov"
    assert banner.container_times(text) == (-0.021333, 3723.5)
    assert banner.count_streams(text) == 3
    assert banner.has_audio(text)


def test_a_cover_is_not_the_video_stream_and_other_streams_do_not_rotate_it() -> None:
    line, details = banner.video_stream(banner.input_banner(FILM))
    assert line.startswith("Stream #0:1[0x2](und): Video: hevc (Main)")
    assert line.endswith("16k tbn (default)")
    assert banner.rotation_deg(details) == 270
    assert banner.claimed_fps(line) == Fraction(2997, 100)
    assert banner.is_hdr(line) and not banner.is_interlaced(line)
    assert banner.missing_hdr_tags(line) == ()


def test_an_empty_banner_has_nothing() -> None:
    assert banner.format_name("") == ""
    assert banner.container_times("  Duration: N/A, bitrate: N/A") == (0.0, None)
    assert (banner.count_streams(""), banner.has_audio("")) == (0, False)
    assert banner.video_stream("  Stream #0:0: Audio: aac") == ("", "")
    assert (banner.claimed_fps(""), banner.rotation_deg("")) == (None, 0)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("      Display Matrix: rotation of 90.00 degrees", 90),
        ("      displaymatrix: rotation of -180.00 degrees", 180),
        ("      Display Matrix: rotation of 359.90 degrees", 0),
        ("      comment         : rotation of 90.00 degrees", 0),
    ],
)
def test_rotation(text: str, degrees: int) -> None:
    assert banner.rotation_deg(text) == degrees


@pytest.mark.parametrize(
    ("line", "fps"),
    [
        ("h264, 640x360, 1123 kb/s, 24 fps, 24 tbr", Fraction(24)),
        ("gif, bgra, 64x48, 33.33 fps, 33.33 tbr", Fraction(3333, 100)),
        ("h264, yuv420p, 64x48, 90k fps, 90k tbr", Fraction(90_000)),
        ("h264, yuv420p, 64x48, 25 tbr, 90k tbn", None),
    ],
)
def test_claimed_fps(line: str, fps: Fraction | None) -> None:
    assert banner.claimed_fps(line) == fps


@pytest.mark.parametrize(
    ("line", "is_interlaced"),
    [
        ("mpeg2video (Main), yuv420p(tv, top first), 64x48", True),
        ("mpeg2video (Main), yuv420p(tv, bottom coded first (swapped)), 64x48", True),
        ("h264 (High), yuv420p(tv, bt709, progressive), 640x360", False),
    ],
)
def test_field_order(line: str, is_interlaced: bool) -> None:
    assert banner.is_interlaced(line) == is_interlaced


@pytest.mark.parametrize(
    ("colors", "is_hdr", "missing"),
    [
        ("tv, bt2020nc/bt2020/smpte2084", True, ()),
        ("tv, bt2020nc/bt2020/arib-std-b67, progressive", True, ()),
        ("tv, unknown/bt2020/smpte2084", True, ("colorspace",)),
        ("bt2020nc/reserved/smpte2084, progressive", True, ("color_primaries",)),
        ("unknown/unknown/arib-std-b67", True, ("colorspace", "color_primaries")),
        ("tv, unknown/bt2020/bt709", False, ()),
        ("tv, bt709", False, ()),
    ],
)
def test_hdr(colors: str, is_hdr: bool, missing: tuple[str, ...]) -> None:
    line = f"{VIDEO}hevc (Main 10), yuv420p10le({colors}), 64x48"
    assert banner.is_hdr(line) == is_hdr
    assert banner.missing_hdr_tags(line) == missing


@pytest.mark.parametrize(
    ("pixels", "lacks_matrix"),
    [
        ("yuv420p", True),
        ("yuv420p(progressive)", True),
        ("yuv420p(tv, top first)", True),
        ("yuv420p(tv, unknown/bt709/bt709, progressive)", True),
        ("yuv420p(tv, bt709, progressive)", False),
        ("yuv420p(tv, bt709/unknown/unknown)", False),
        ("yuv420p10le(tv, smpte170m)", False),
        ("nv12(tv)", True),
        ("rgb24(pc, gbr/bt709/iec61966-2-1)", False),
        ("bgra", False),
        ("0rgb", False),
        ("gray", False),
        ("pal8", False),
    ],
)
def test_color_matrix(pixels: str, lacks_matrix: bool) -> None:
    line = f"{VIDEO}h264 (High) (avc1 / 0x31637661), {pixels}, 1920x1080 [SAR 1:1 DAR 16:9]"
    assert banner.lacks_color_matrix(line) == lacks_matrix


def test_changed_size() -> None:
    line = "[vf#0:0] Reconfiguring filter graph because {} changed"
    size = line.format("video parameters") + " to yuv444p(tv, bt709/x/y), {}x{}, unspecified alpha"
    assert banner.changed_size(line.format("display matrix")) is None
    assert banner.changed_size(size.format(640, 360)) == (360, 640)
    assert banner.changed_size("\n".join([size.format(9, 7), size.format(1280, 720)])) == (
        720,
        1280,
    )


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        ("yuv420p", {}),
        ("yuv420p(tv, unknown/bt2020/bt709, progressive)",
         {"range": "tv", "color_primaries": "bt2020", "color_trc": "bt709"}),
        ("yuvj420p(pc, bt470bg/unknown/unknown)", {"range": "pc", "colorspace": "bt470bg"}),
        ("yuv420p10le(bt709, top first)",
         {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}),
    ],
)  # fmt: skip
def test_color_tags(pixels: str, tags: dict[str, str]) -> None:
    line = f"{VIDEO}h264 (High) (avc1 / 0x31637661), {pixels}, 1920x1080 [SAR 1:1 DAR 16:9]"
    assert banner.color_tags(line) == tags
    assert banner.has_wide_gamut(line) == (tags.get("color_primaries") == "bt2020")


def test_codec_size_and_rate_of_a_stream_line() -> None:
    line = f"{VIDEO}hevc (Main) (hvc1 / 0x31637668), yuv420p(tv), 640x360, 24.5 fps, 25 tbr"
    assert banner.codec(line) == "hevc"
    assert banner.coded_size(line) == (360, 640)
    assert (banner.claimed_fps(line), banner.base_fps(line)) == (Fraction(49, 2), Fraction(25))
    assert not banner.is_progressive(line)
    unknown = f"{VIDEO}h264 ([27][0][0][0] / 0x001B), none, 25 fps, 25 tbr, 90k tbn"
    assert banner.coded_size(unknown) is None
    assert (banner.codec(""), banner.base_fps("")) == ("", None)


def test_levels_are_taken_off_and_only_errors_are_kept() -> None:
    text = (
        "[h264 @ 0x55] [error] no frame!\n[info] Input #0, mpegts, from 'udp://a':\n"
        "[info]   Stream #0:0: Video: h264\n[in#0 @ 0x5] [tcp @ 0x7] [fatal] refused\n"
        "[vf#0 @ 0x1] [warning] late\n"
    )
    assert banner.without_levels(text).splitlines() == [
        "[h264 @ 0x55] no frame!", "Input #0, mpegts, from 'udp://a':",
        "  Stream #0:0: Video: h264", "[in#0 @ 0x5] [tcp @ 0x7] refused", "[vf#0 @ 0x1] late",
    ]  # fmt: skip
    assert banner.only_errors(text).splitlines() == [
        "[h264 @ 0x55] no frame!", "[in#0 @ 0x5] [tcp @ 0x7] refused",
    ]  # fmt: skip


# Errors.


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["[libx265 @ 0x55f] Image size is too small (18x10).",
          "[vost#0:0/libx265 @ 0x55e] [enc:libx265 @ 0x55d] Error while opening encoder",
          "[vf#0:0 @ 0x55c] Error sending frames to consumers: Invalid argument",
          "[out#0/mp4 @ 0x55b] Nothing was written into output file"],
         "Image size is too small (18x10)."),
        (["[vost#0:0/x @ 0x1] [enc:x @ 0x2] Could not open encoder before EOF"],
         "Could not open encoder before EOF"),
        (["Svt[warn]: TPL is disabled", "the encoder is broken"], "the encoder is broken"),
        (["Svt[warn]: TPL is disabled", ""], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_cause_of_an_error_is_found(lines: list[str], cause: str) -> None:
    assert banner.error_cause("\n".join(lines)) == cause


def test_a_full_disk_is_found() -> None:
    assert banner.is_disk_full("[out#0/mp4 @ 0x1] Error writing trailer: No space left on device\n")
    assert not banner.is_disk_full("[out#0/mp4 @ 0x1] Error writing trailer: Broken pipe\n")


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["[tcp @ 0x557f3b155800] Connection to tcp://127.0.0.1:9 failed: Connection refused",
          "[in#0 @ 0x557f3b151d00] Error opening input: Connection refused",
          "Error opening input file http://user:secret@127.0.0.1:9/a.mjpg."], "Connection refused"),
        (["[http @ 0x1] HTTP error 404 Not Found", "Error opening input: Server returned 404"],
         "[http @ 0x1] HTTP error 404 Not Found"),
        (["[in#0 @ 0x55b439131dc0] Error opening input: Input/output error",
          "Error opening input file udp://127.0.0.1:19999?timeout=200000.",
          "Error opening input files: Input/output error"], ""),
        (["Connection to tcp://10.0.0.1:554 failed: Connection timed out"], ""),
        (["http://user:secret@10.0.0.1/a.mjpg is broken"], "http://10.0.0.1/a.mjpg is broken"),
        (["Error opening input: Invalid data found"], "Invalid data found"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_cause_of_a_lost_stream_is_found(lines: list[str], cause: str) -> None:
    assert banner.connection_error("\n".join([*lines, ""])) == cause


def test_corrupt_frames_are_counted_line_by_line() -> None:
    lines = [
        b"[vist#0:0/h264 @ 0x55f] [dec:h264 @ 0x55e] corrupt decoded frame\n",
        b"[h264 @ 0x55d] error while decoding MB 22 10, bytestream -5\n",
        b"[vist#0:0/h264 @ 0x55f] [dec:h264 @ 0x55e] corrupt decoded frame\n",
    ]
    assert banner.count_corrupt_frames(lines) == 2
    assert banner.count_corrupt_frames([]) == 0


@pytest.mark.parametrize(
    ("text", "is_truncated", "lacks_index"),
    [
        ("[in#0 @ 0x558993600040] moov atom not found", False, True),
        ("[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55] stream 0, offset 0x9a4: partial file", True, False),
        ("[matroska,webm @ 0x55] File ended prematurely", True, False),
        ("[h264 @ 0x55] NAL truncated", True, False),
        # Names of files and tags.
        ("Input #0, mov, from 'partial file, moov atom not found.mp4':", False, False),
        ("    title           : truncated", False, False),
        ("", False, False),
    ],
)
def test_truncation_messages(text: str, is_truncated: bool, lacks_index: bool) -> None:
    assert banner.reports_truncation(f"{text}\n") == is_truncated
    assert banner.lacks_index(f"{text}\n") == lacks_index


# Lists.


def test_encoders_and_version() -> None:
    text = """Encoders:
 V..... = Video
 ------
 V....D libx264              libx264 H.264 / AVC / MPEG-4 AVC (codec h264)
 A....D aac                  AAC (Advanced Audio Coding)
 VFS..D ffv1                 FFmpeg video codec #1
"""
    assert banner.encoder_names(text) == {"libx264", "aac", "ffv1"}
    version = "ffmpeg version 7.1-static Copyright (c) 2000-2024\nbuilt with gcc 13\n"
    assert banner.version(version) == "ffmpeg version 7.1-static"


def test_headers_of_a_packet_list() -> None:
    assert banner.packet_header("#tb 0: 1/90000\n") == (0, "tb", "1/90000")
    assert banner.packet_header("#media_type 1: audio\n") == (1, "media_type", "audio")
    assert banner.packet_header("#software: Lavf63.1.102\n") is None


def test_packets_of_a_list() -> None:
    key = banner.packet("0,        -67,          0,       33,      836, 0x002da202\n")
    assert key == banner.Packet(0, -67, 0, 33, True, False, False)
    audio = "1, -3, -3, 3, 31, 0xf5a80e75, S=1, Skip Samples, 10, 0x05000080\n"
    assert banner.packet(audio) == banner.Packet(1, -3, -3, 3, True, False, False)
    flags = [banner.packet(f"0, 1, 2, 3, 4, 0x5, F=0x{flag}") for flag in (0, 2, 5)]
    assert [one and one[4:] for one in flags] == [
        (False, False, False), (False, True, False), (True, False, True),
    ]  # fmt: skip
    unknown = banner.packet("0, NOPTS, 12345678901234567890, 0, 100, 0x1")
    assert unknown is not None
    assert math.isnan(unknown.decode_ticks) and math.isnan(unknown.show_ticks)


@pytest.mark.parametrize("line", ["", "\n", "#tb 0: 1/25", "0, 1, 2", "a, 1, 2, 3, 4, 0x5"])
def test_other_lines_are_no_packets(line: str) -> None:
    assert banner.packet(line) is None


def test_first_time_of_a_list() -> None:
    rows = "#tb 0: 1/25\n#media_type 0: video\n0,          2,          3,        1,  9216, 0x1\n"
    assert banner.first_time_s(rows) == 3 / 25
    assert banner.first_time_s("#tb 0: 1/25\n0, NOPTS, NOPTS, 1, 9216, 0x1\n") is None
    assert banner.first_time_s("") is None


def test_time_of_a_frame() -> None:
    assert banner.frame_time_s("3003 1/90000\n") == pytest.approx(3003 / 90000, abs=1e-15)
    assert banner.frame_time_s("-5 1/25\n") == -0.2
    assert math.isnan(banner.frame_time_s("-9223372036854775808 1/25\n"))
    assert math.isnan(banner.frame_time_s(""))


def test_sizes_and_aspects() -> None:
    assert banner.frame_size("64x48") == (48, 64)
    assert banner.frame_size("") is None
    aspects = {"4/3": Fraction(4, 3), "0/1": 1, "1/0": 1, "": 1, "100/1": 1, "1/11": 1, "10/1": 10}
    assert {text: banner.sample_aspect(text) for text in aspects} == aspects
