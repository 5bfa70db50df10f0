"""Several sources at once."""

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import MakeClip

from vidsal import jobs, result_names
from vidsal.errors import UsageError
from vidsal.jobs import run_all, write_summary
from vidsal.pipeline import Outcome, process
from vidsal.settings import Settings
from vidsal.sources.resolve import parse_source


def _settings(**options: Any) -> Settings:
    return Settings(model="none", working_width=64, annotate=False, **options)


def _photo(path: Path) -> Path:
    iio.imwrite(path, np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    return path


def test_a_bad_file_does_not_stop_the_others(here: Path, make_clip: MakeClip) -> None:
    first, last = make_clip("a.mp4", frames=4), make_clip("b.mkv", frames=5)
    bad = first.with_name("bad.mp4")
    bad.write_text("no video")
    reported: list[Outcome] = []
    outcomes = run_all([first, bad, "gone*.mp4", last], _settings(), tell=reported.append)
    # Sources that match no file are reported first.
    assert [Path(one.source).name for one in reported] == ["gone*.mp4", "a.mp4", "bad.mp4", "b.mkv"]
    assert outcomes == reported
    assert [one.error is None for one in reported] == [False, True, False, True]
    assert reported[2].error == f"{bad} is not a video or picture that can be read"
    assert [one.frames for one in reported] == [0, 4, 0, 5]
    assert sorted(path.name for path in here.iterdir()) == ["a_saliency.mp4", "b_saliency.mp4"]
    done = reported[3]
    assert (done.height_px, done.width_px, done.fps) == (48, 64, Fraction(25))
    assert (done.decoder, done.model, done.damaged, done.is_cut_off) == ("OpenCV", "none", 0, False)
    assert done.seconds > 0


def test_outputs_of_many_go_into_folders(here: Path, make_clip: MakeClip) -> None:
    clip = make_clip("a.mp4", frames=3)
    same = clip.with_name("a.mkv")
    shutil.copy(make_clip("tmp.mkv", frames=3), same)
    photo = _photo(clip.with_name("p.jpg"))
    settings = _settings(output=Path("out"), table=Path("tables"), maps=Path("maps"))
    outcomes = run_all([clip, same, photo], settings)
    assert [one.error for one in outcomes] == [None] * 3
    # a.mp4 and a.mkv do not end at one name.
    names = ["a.mkv_saliency.mp4", "a.mp4_saliency.mp4", "p_saliency.png"]
    assert sorted(path.name for path in (here / "out").iterdir()) == names
    assert sorted(path.name for path in (here / "tables").iterdir()) == [
        "a.mkv.csv", "a.mp4.csv", "p.csv",
    ]  # fmt: skip
    assert sorted(path.name for path in (here / "maps").iterdir()) == ["a.mkv", "a.mp4", "p"]
    assert len(list((here / "maps" / "a.mp4" / "fused").iterdir())) == 3


def test_the_folder_of_many_must_be_one(here: Path, make_clip: MakeClip) -> None:
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=2)]
    (here / "out.mp4").write_text("precious")
    with pytest.raises(
        UsageError,
        match=r"^output='out\.mp4' cannot be a folder for the results: out\.mp4 is a file$",
    ):
        run_all(clips, _settings(output=Path("out.mp4")))
    assert (here / "out.mp4").read_text() == "precious"


def test_one_source_is_named_as_always(here: Path, make_clip: MakeClip) -> None:
    clip = make_clip("a.mp4", frames=2)
    (outcome,) = run_all([clip], _settings(output=Path("mine.mp4")))
    assert outcome.output == Path("mine.mp4")


def test_wrong_use_of_one_source_is_wrong_use(here: Path, tmp_path: Path) -> None:
    photo = _photo(tmp_path / "p.png")
    with pytest.raises(UsageError, match=r"start=1\.0 cannot be used: "):
        run_all([photo], _settings(start=1))
    # Among many it is the failure of that one.
    outcomes = run_all([photo, photo], _settings(start=1))
    assert [one.error for one in outcomes] == [
        f"start=1.0 cannot be used: {photo} is a photo, which has no time"
    ] * 2


def test_the_network_is_opened_once_for_all(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidsal.static import models

    opened: list[Settings] = []

    def open_static(choice: object, settings: Settings) -> None:
        opened.append(settings)

    monkeypatch.setattr(models, "open_static", open_static)
    photos = [_photo(tmp_path / f"{n}.png") for n in range(3)]
    settings = _settings()
    run_all(photos, settings)
    assert opened == [settings]


def test_a_summary_says_it_all(here: Path, tmp_path: Path, make_clip: MakeClip) -> None:
    clip = make_clip("a.mp4", frames=40, options=["-g", "5", "-movflags", "+faststart"])
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    outcomes = run_all([clip, tmp_path / "gone.mp4"], _settings())
    write_summary(outcomes, here / "s.json")
    first, second = json.loads((here / "s.json").read_text())
    assert first["source"] == str(clip) and first["output"] == "a_saliency.mp4"
    assert first["is_cut_off"] is True and first["error"] is None
    assert (first["fps"], first["frames"]) == ("25", outcomes[0].frames)
    assert second["error"] == f"{tmp_path / 'gone.mp4'}: there is no such file"
    assert second["output"] is None
    assert set(first) == {field.name for field in dataclasses.fields(Outcome)}


def test_files_of_one_name_in_two_folders_stay_apart(here: Path, make_clip: MakeClip) -> None:
    clips = []
    for name in ("x", "y"):
        (here / name).mkdir()
        clips.append(make_clip("s.mp4", frames=2).rename(here / name / "s.mp4"))
    outcomes = run_all([*clips, clips[0]], _settings(output=Path("out"), overwrite=True))
    names = [one.output.name for one in outcomes if one.output]
    assert names == ["x_s.mp4_saliency.mp4", "y_s.mp4_saliency.mp4", "2_x_s.mp4_saliency.mp4"]
    assert sorted(names) == sorted(path.name for path in (here / "out").iterdir())


def test_a_folder_with_one_file_is_a_folder_all_the_same(here: Path, make_clip: MakeClip) -> None:
    source = here / "in"
    source.mkdir()
    clip = make_clip("a.mp4", frames=2).rename(source / "a.mp4")
    for word in (source, str(source / "*.mp4")):
        settings = _settings(output=Path("out"), table=Path("t"), maps=Path("m"), overwrite=True)
        (outcome,) = run_all([word], settings)
        assert outcome.output == Path("out/a_saliency.mp4")
        assert (here / "t" / "a.csv").exists() and (here / "m" / "a" / "fused").is_dir()
    # A name of a file is one, where there is one source.
    run_all([str(source / "*.mp4")], _settings(output=Path("b.mp4"), table=Path("b.csv")))
    assert (here / "b.mp4").is_file() and (here / "b.csv").is_file()
    # A folder for the output does not apply to the table.
    run_all([clip], _settings(output=Path("out"), table=Path("c.csv"), overwrite=True))
    assert (here / "c.csv").is_file()


def test_no_two_results_are_called_alike(here: Path) -> None:
    names = ["a.mp4", "a.mkv", "a.mp4.mkv", "x/s.mp4", "2_b.mp4", "x/s.mp4", "b.mp4", "b.mkv"]
    found = result_names._stems([parse_source(here / name) for name in names])
    assert found[:3] == ["a.mp4", "a.mkv", "a.mp4.mkv"]
    assert len(set(found)) == len(names)


def test_names_of_results_do_not_depend_on_order_and_other_names(here: Path) -> None:
    names = [
        "c.mp4", "c.mp4", "./c.mp4", "a.mp4", "a.mkv", "a.mp4.mkv", "x/s.mp4", "y/s.mp4",
        "z/x/s.mp4", "https://me:pw@h:8/1/u.mp4?key=1", "https://me:pw@h:8/2/u.mp4?key=1",
    ]  # fmt: skip
    expected = [
        "c", "2_c.mp4", "3_c.mp4", "a.mp4", "a.mkv", "a.mp4.mkv", f"{here.name}_x_s.mp4",
        "y_s.mp4", "z_x_s.mp4", "1_u.mp4", "2_u.mp4",
    ]  # fmt: skip

    def stems(names: list[str]) -> list[str]:
        return result_names._stems([parse_source(one) for one in names])

    assert stems(names) == expected
    assert stems(["0th.mp4", *names, "b.mp4"]) == ["0th", *expected, "b"]
    # Rows of one source keep their order.
    assert stems([*names[3:], *names[:3]]) == [*expected[3:], *expected[:3]]
    assert stems(list(reversed(names[3:]))) == list(reversed(expected[3:]))
    # Addresses that differ only in a key.
    assert stems(["https://h/u.mp4?k=1", "https://h/u.mp4?k=2"]) == ["h_u.mp4", "2_h_u.mp4"]


def test_a_file_for_many_is_wrong_use(here: Path, make_clip: MakeClip) -> None:
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=2)]
    for option, name in (("output", "o.mp4"), ("output", "o.PNG"), ("table", "t.csv")):
        with pytest.raises(
            UsageError, match=f"{option}='{name}': there are 2 sources: give the name of a folder"
        ):
            run_all(clips, _settings(**{option: Path(name)}))
    assert list(here.iterdir()) == []
    # A folder of such a name is one.
    (here / "o.mp4").mkdir()
    run_all(clips, _settings(output=Path("o.mp4")))
    assert len(list((here / "o.mp4").iterdir())) == 2


def test_the_secrets_of_a_stream_are_not_told(here: Path) -> None:
    streams = ["tcp://me:pa55@127.0.0.1:1/key", "tcp://me:pa55@127.0.0.1:2/key"]
    outcomes = run_all([*streams, here / "gone.mp4"], _settings(output=Path("out")))
    assert [one.source for one in outcomes[:2]] == ["stream 127.0.0.1-1", "stream 127.0.0.1-2"]
    assert all(one.error for one in outcomes)
    assert "pa55" not in str(outcomes) and "key" not in str(outcomes)
    assert result_names._stems([parse_source(one) for one in streams]) == [
        "stream127.0.0.1-1",
        "stream127.0.0.1-2",
    ]


def test_an_error_of_whoever_is_told_is_not_one_of_the_source(
    here: Path, make_clip: MakeClip
) -> None:
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=2)]
    reported: list[Outcome] = []

    def tell(outcome: Outcome) -> None:
        reported.append(outcome)
        raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        run_all(clips, _settings(), tell=tell)
    assert [one.error for one in reported] == [None]


def test_no_result_replaces_a_source(here: Path, make_clip: MakeClip) -> None:
    first = make_clip("a.mp4", frames=2).rename(here / "a.mp4")
    second = make_clip("b.mp4", frames=2).rename(here / "a_saliency.mp4")
    precious = second.read_bytes()
    outcomes = run_all([first, second], _settings(overwrite=True))
    assert outcomes[0].error == ("output='a_saliency.mp4' is one of the sources: give another name")
    assert outcomes[1].error is None
    assert second.read_bytes() == precious


def test_an_error_that_nobody_worded_stops_nothing(
    here: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=3)]

    def failing(source: Any, *args: Any, **others: Any) -> Outcome:
        if source.path == clips[0]:
            raise MemoryError("no\nroom")
        return process(source, *args, **others)

    monkeypatch.setattr(jobs, "process", failing)
    names = here / "long.txt"
    names.write_text("n" * 300 + "\n")
    outcomes = run_all([*clips, names], _settings())
    assert [one.frames for one in outcomes][:2] == [0, 3]
    assert outcomes[0].error == "no room (MemoryError)"
    assert outcomes[2].error is not None and "(OSError)" in outcomes[2].error


def test_a_folder_that_is_there_takes_even_one_result(here: Path, make_clip: MakeClip) -> None:
    (here / "out").mkdir()
    (outcome,) = run_all([make_clip("a.mp4", frames=2)], _settings(output=Path("out")))
    assert outcome.output == Path("out/a_saliency.mp4")


def test_arrays_are_not_for_run_all(here: Path) -> None:
    frames: list[Any] = [np.zeros((48, 64, 3), np.uint8)]
    with pytest.raises(
        UsageError,
        match=r"got ndarray; vidsal\.run and vidsal\.analyse also take arrays, vidsal\.run_all "
        r"takes names only$",
    ):
        run_all(frames, _settings())


def test_one_name_may_come_alone(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(frames=3)
    sources: list[str | Path] = [clip, str(clip)]
    for n, source in enumerate(sources):
        (outcome,) = run_all(source, Settings(model="none", output=tmp_path / f"{n}.mp4"))
        assert outcome.output == tmp_path / f"{n}.mp4" and outcome.frames == 3


def test_folders_of_a_folder_are_searched_on_request(here: Path, make_clip: MakeClip) -> None:
    for name in ("in/a.mp4", "in/sub/b.mp4", "in/.hidden/c.mp4"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        make_clip(Path(name).name, frames=2).rename(here / name)
    (flat,) = run_all("in", _settings(output=Path("flat")))
    assert flat.output == Path("flat/a_saliency.mp4")
    outcomes = run_all("in", _settings(output=Path("all"), recursive=True))
    assert [one.output for one in outcomes] == [
        Path("all/a_saliency.mp4"), Path("all/sub/b_saliency.mp4"),
    ]  # fmt: skip


def test_names_of_a_recursive_run_do_not_depend_on_other_folders(here: Path) -> None:
    def add_photo(name: str) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        _photo(here / name)

    add_photo("in/a/x.png")
    settings = _settings(
        output=Path("out"), table=Path("t"), maps=Path("m"), recursive=True, skip_existing=True
    )
    (first,) = run_all("in", settings)
    assert (first.output, first.is_skipped) == (Path("out/a/x_saliency.png"), False)
    assert (here / "t/a/x.csv").is_file() and (here / "m/a/x/fused").is_dir()
    # A file of the same name in another folder.
    add_photo("in/b/x.png")
    add_photo("in/x.png")
    outcomes = run_all("in", settings)
    assert [(one.output, one.is_skipped) for one in outcomes] == [
        (Path("out/a/x_saliency.png"), True),
        (Path("out/b/x_saliency.png"), False),
        (Path("out/x_saliency.png"), False),
    ]


def test_one_file_of_a_recursive_run_keeps_its_folder_in_the_current_one(here: Path) -> None:
    (here / "in/a").mkdir(parents=True)
    _photo(here / "in/a/x.png")
    (outcome,) = run_all("in", _settings(recursive=True))
    assert outcome.output == Path("a/x_saliency.png")
    assert (here / outcome.output).is_file()
    (named,) = run_all("in", _settings(recursive=True, output=Path("mine.png")))
    assert named.output == Path("mine.png")


def test_sources_whose_output_exists_are_skipped_without_a_network(
    here: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=2)]
    settings = _settings(skip_existing=True)
    assert [one.is_skipped for one in run_all(clips[0], settings)] == [False]
    first, second = run_all(clips, settings)
    assert (first.is_skipped, first.output, first.error) == (True, Path("a_saliency.mp4"), None)
    assert (second.is_skipped, second.output, second.frames) == (False, Path("b_saliency.mp4"), 2)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a network is asked for")

    monkeypatch.setattr(jobs, "process", fail)
    assert [one.is_skipped for one in run_all(clips, settings)] == [True, True]
    (named,) = run_all(clips[0], _settings(skip_existing=True, output=Path("a_saliency.mp4")))
    assert named.is_skipped
    assert json.loads(json.dumps(named.as_json()))["is_skipped"] is True


def test_outputs_beside_their_sources_are_no_sources(here: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=2).rename(here / "a.mp4")
    settings = _settings(skip_existing=True)
    assert [one.is_skipped for one in run_all(".", settings)] == [False]
    assert [one.is_skipped for one in run_all(".", settings)] == [True, True]
    assert sorted(path.name for path in here.iterdir()) == ["a.mp4", "a_saliency.mp4"]


def test_an_output_without_a_suffix_is_a_folder_that_is_made(
    here: Path, make_clip: MakeClip
) -> None:
    settings = _settings(output=Path("new/out"))
    (outcome,) = run_all(make_clip("a.mp4", frames=2), settings)
    assert outcome.output == Path("new/out/a_saliency.mp4")
    assert (here / outcome.output).is_file()
    (here / "file").write_text("precious")
    for name in ("file", "file/sub"):
        expected = f"^output='{name}' cannot be a folder for the results: file is a file$"
        with pytest.raises(UsageError, match=expected):
            run_all(here / "a.mp4", _settings(output=Path(name)))
    # A source that cannot be read makes no folder.
    (failed,) = run_all(here / "gone*.mp4", _settings(output=Path("other")))
    assert failed.error is not None
    assert sorted(path.name for path in here.iterdir()) == ["file", "new"]


def test_each_source_has_its_own_label(
    here: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[str] = []

    def choose(wanted: Any, *, label: str = "") -> None:
        labels.append(label)

    monkeypatch.setattr(jobs, "choose_progress", choose)
    clips = [make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=2)]
    run_all(clips, _settings())
    run_all(clips[0], _settings(overwrite=True))
    assert labels == ["", "1 of 2 a.mp4", "2 of 2 b.mp4", "", "a.mp4"]


def test_a_callable_gets_the_results_of_each_source(here: Path, make_clip: MakeClip) -> None:
    counts: list[tuple[int, int | None]] = []

    def progress(items: Any, total: int | None) -> Any:
        items = list(items)
        counts.append((len(items), total))
        return items

    run_all([make_clip("a.mp4", frames=2), make_clip("b.mp4", frames=3)], _settings(),
            progress=progress)  # fmt: skip
    assert counts == [(2, 2), (3, 3)]


def test_workers_write_what_one_process_writes(here: Path, make_clip: MakeClip) -> None:
    clips = [make_clip(f"{name}.mp4", frames=n) for n, name in enumerate("abc", start=3)]
    bad = clips[0].with_name("bad.mp4")
    bad.write_text("no video")
    names: list[str | int | Path] = [*clips, bad, "gone*.mp4"]
    told: list[Outcome] = []
    alone = run_all(names, _settings(output=Path("one"), table=Path("one")))
    helped = run_all(
        names, _settings(output=Path("two"), table=Path("two")), workers=2, tell=told.append
    )
    plain = [dataclasses.replace(one, seconds=0.0, output=None) for one in alone]
    assert [dataclasses.replace(one, seconds=0.0, output=None) for one in helped] == plain
    assert sorted(told, key=str) == sorted(helped, key=str)
    for name in "abc":
        one, two = (here / folder / f"{name}_saliency.mp4" for folder in ("one", "two"))
        assert np.array_equal(iio.imread(one), iio.imread(two))
        assert (here / f"one/{name}.csv").read_text() == (here / f"two/{name}.csv").read_text()
    assert {path.name for path in (here / "two").iterdir()} == {
        path.name for path in (here / "one").iterdir()
    }


def test_existing_outputs_are_skipped_before_workers_start(here: Path, make_clip: MakeClip) -> None:
    clips = [make_clip(f"{name}.mp4", frames=3) for name in "ab"]
    settings = _settings(output=Path("out"), skip_existing=True)
    run_all(clips, settings)
    again = run_all(clips, settings, workers=2)
    assert [one.is_skipped for one in again] == [True, True]


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted_from_one(workers: int) -> None:
    with pytest.raises(UsageError, match=f"workers= must be 1 or more, got {workers}"):
        run_all(["a.mp4"], _settings(), workers=workers)
