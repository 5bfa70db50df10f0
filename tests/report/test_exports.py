"""Chapters, tables and timelines: values, and programs that read them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from report_help import FPS, SCENE, keep, make_film

import vidsal
from vidsal.cli import main
from vidsal.errors import UsageError, VidsalError
from vidsal.report.exports import _as_edl, as_csv, ffmetadata, rows_of, timeline, webvtt
from vidsal.report.summary import Summary, summary_of
from vidsal.store.opening import open_store
from vidsal.store.reader import Store

pytest.importorskip("zarr")
CUT_S = SCENE / FPS


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4")


@pytest.fixture(scope="module")
def store(film: Path) -> Store:
    return open_store(keep(film, film.parent))


@pytest.fixture(scope="module")
def summary(store: Store) -> Summary:
    return summary_of(store)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_scenes_are_those_of_the_film(summary: Summary, store: Store) -> None:
    assert [one.begin_s for one in summary.scenes] == pytest.approx([0, CUT_S])
    assert [one.end_s for one in summary.scenes] == pytest.approx([CUT_S, 2 * CUT_S])
    assert [(one.first, one.stop) for one in summary.scenes] == [(0, SCENE), (SCENE, 2 * SCENE)]
    speeds = np.array([np.percentile(frame.speed, 99) for frame in store])
    assert summary.scenes[1].speed_p99 == pytest.approx(speeds[SCENE + 1 :].mean())
    assert summary.scenes[0].class_name == 'a "bright" & ünusual class'
    assert summary.scenes[0].probability == pytest.approx(0.6, abs=1e-3)
    best = max(summary.moments, key=lambda one: one.speed_p99)
    assert best.place == np.argmax(speeds) and best.speed_p99 == pytest.approx(speeds.max())
    assert best.scene == 1 + (best.place >= SCENE)


def test_webvtt(summary: Summary) -> None:
    assert webvtt(summary) == (
        "WEBVTT\n\n"
        "1\n00:00:00.000 --> 00:00:01.200\n"
        'Scene 1: a "bright" &amp; ünusual class\n\n'
        "2\n00:00:01.200 --> 00:00:02.400\n"
        'Scene 2: a "bright" &amp; ünusual class\n'
    )
    late = replace(summary.scenes[0], begin_s=3725.5, end_s=3726.0, class_name="<b>\n-->")
    text = webvtt(replace(summary, scenes=(late,)))
    assert text.endswith("01:02:05.500 --> 01:02:06.000\nScene 1: &lt;b&gt; --&gt;\n")


def test_ffmpeg_reads_the_webvtt(summary: Summary) -> None:
    Path("c.vtt").write_text(webvtt(summary), encoding="utf-8")
    srt = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "c.vtt", "-f", "srt", "-"],
        check=True, capture_output=True,
    ).stdout.decode()  # fmt: skip
    times = re.findall(r"(\S+) --> (\S+)", srt)
    assert times == [("00:00:00,000", "00:00:01,200"), ("00:00:01,200", "00:00:02,400")]
    assert srt.count('a "bright" & ünusual class') == 2


def test_ffmpeg_reads_the_chapters(film: Path, summary: Summary) -> None:
    # Characters that mean something in this format.
    scenes = (replace(summary.scenes[0], class_name="a=b;c#d\\e\nf"), summary.scenes[1])
    text = ffmetadata(replace(summary, scenes=scenes, name="[film]; #1.mp4"))
    Path("c.ffmeta").write_text(text, encoding="utf-8")
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run(
        [ffmpeg, "-v", "error", "-i", film, "-i", "c.ffmeta", "-map_metadata", "1",
         "-map_chapters", "1", "-codec", "copy", "out.mp4"],
        check=True,
    )  # fmt: skip
    shown = subprocess.run([ffmpeg, "-i", "out.mp4"], capture_output=True).stderr.decode()
    chapters = re.findall(r"Chapter #0:\d+: start ([\d.]+), end ([\d.]+)", shown)
    assert [tuple(map(float, one)) for one in chapters] == [(0, 1.2), (1.2, 2.4)]
    titles = re.findall(r"title +: (.*)", shown)
    assert titles == [
        "[film]; #1.mp4", "Scene 1: a=b;c#d\\e f", 'Scene 2: a "bright" & ünusual class'
    ]  # fmt: skip


def test_csv_and_json_have_the_same_rows(summary: Summary, store: Store) -> None:
    vidsal.export_store(store.path, ["t.csv", "t.json"])
    rows = list(csv.DictReader(Path("t.csv").read_text(encoding="utf-8").splitlines()))
    about = json.loads(Path("t.json").read_text(encoding="utf-8"))
    assert (about["source"], about["fps"], about["end_s"]) == ("film.mp4", "25", 2.4)
    both = about["scenes"] + about["moments"]
    assert rows == [
        {name: "" if one is None else str(one) for name, one in row.items()} for row in both
    ]
    assert [row["kind"] for row in rows] == ["scene"] * 2 + ["moment"] * len(summary.moments)
    assert rows[1]["begin_s"] == "1.2" and rows[1]["first_frame"] == str(SCENE)
    assert rows[1]["last_frame"] == str(2 * SCENE - 1)
    moment = summary.moments[0]
    assert float(rows[2]["speed_p99"]) == pytest.approx(moment.speed_p99, rel=1e-4)
    assert rows[2]["first_frame"] == str(moment.frame)


def test_times_of_a_late_scene_are_exact(summary: Summary) -> None:
    late = replace(summary.scenes[0], begin_s=12345.678901, end_s=12346.0)
    assert "12345.678901,12346.0" in as_csv(replace(summary, scenes=(late,)))


def test_a_part_keeps_the_times_of_its_source(film: Path, tmp_path: Path) -> None:
    part = open_store(keep(film, tmp_path, start=0.8, model="none"))
    summary = summary_of(part)
    assert [one.begin_s for one in summary.scenes] == pytest.approx([0.8, 1.2])
    # Chapters are those of the video of the run, which begins with the part.
    assert "START=400\nEND=1600\n" in ffmetadata(summary)
    otio = pytest.importorskip("opentimelineio")
    clip = next(iter(timeline(part, summary).find_clips()))
    assert clip.source_range.start_time == otio.opentime.RationalTime(20, 25)


def test_timelines_of_editors(summary: Summary, store: Store) -> None:
    otio = pytest.importorskip("opentimelineio")
    vidsal.export_store(store.path, ["cut.otio", "cut.edl"])
    for name, rate in (("cut.otio", {}), ("cut.edl", {"rate": 25})):
        read = otio.adapters.read_from_file(name, **rate)
        clips = list(read.find_clips())
        spans = [(one.source_range.start_time.value, one.source_range.duration.value)
                 for one in clips]  # fmt: skip
        assert spans == [(0, SCENE), (SCENE, SCENE)], name
        markers = [one.marked_range.start_time.value for clip in clips for one in clip.markers]
        assert markers == [one.frame for one in summary.moments], name
        assert clips[0].name == 'Scene 1: a "bright" & ünusual class'
    address = otio.adapters.read_from_file("cut.otio").tracks[0][0].media_reference.target_url
    assert address == Path(store.about["source"]["name"]).as_uri()


def test_an_export_never_replaces_its_source(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "own.mp4"
    source.write_bytes(film.read_bytes())
    path = keep(source, tmp_path, model="none", duration=0.2)
    Path("t.csv").symlink_to(source)
    with pytest.raises(VidsalError, match=r"t\.csv is the source itself: give another name"):
        vidsal.export_store(path, ["t.json", "t.csv"], overwrite=True)
    assert source.read_bytes() == film.read_bytes() and not Path("t.json").exists()


def test_one_file_is_written_once_and_needs_no_list(store: Store) -> None:
    assert vidsal.export_store(store.path, "a.csv") == [Path("a.csv")]
    assert vidsal.export_store(store.path, Path("b.csv")) == [Path("b.csv")]
    twice: list[str | Path] = ["c.csv", Path("c.csv"), Path("c.csv").absolute()]
    assert len(vidsal.export_store(store.path, twice)) == 1


def test_times_of_moments_are_exact_to_the_microsecond(summary: Summary) -> None:
    moment = replace(summary.moments[0], time_s=8 / 3)
    row = rows_of(replace(summary, moments=(moment,)))[-1]
    assert (row["begin_s"], row["end_s"]) == (2.666667, 2.666667)


def test_a_rate_without_timecode(summary: Summary, store: Store) -> None:
    pytest.importorskip("opentimelineio")
    with pytest.raises(VidsalError, match=r"no timecode at 13\.7 frames a second: write \.otio"):
        _as_edl(store, replace(summary, fps=Fraction(137, 10)))


def test_faults_leave_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="give at least one file"):
        vidsal.export_store(store.path, [])
    with pytest.raises(UsageError, match=r"a\.txt: an export is written as \.vtt, \.ffmeta"):
        vidsal.export_store(store.path, ["b.csv", "a.txt"])
    with pytest.raises(UsageError, match="lies in the store"):
        vidsal.export_store(store.path, ["b.csv", store.path / "b.csv"])
    Path("a.csv").touch()
    with pytest.raises(VidsalError, match=r"a\.csv exists"):
        vidsal.export_store(store.path, ["b.json", "a.csv"])
    monkeypatch.setitem(__import__("sys").modules, "opentimelineio", None)
    with pytest.raises(VidsalError, match=r"pip install 'vidsal\[edit\]'"):
        vidsal.export_store(store.path, ["b.json", "b.edl"])
    assert [path.name for path in Path().iterdir()] == ["a.csv"]


def test_the_command(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(store.path), "c.vtt", "c.csv"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["c.vtt", "c.csv"]
    with pytest.raises(SystemExit) as ended:
        main(["export", "none.vidsal", "d.vtt"])
    assert ended.value.code == 1
    assert "none.vidsal is not a store" in capsys.readouterr().err
