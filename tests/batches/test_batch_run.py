"""A batch in this process: rows, receipts, second runs, interruptions."""

import csv
import errno
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from conftest import MakeClip
from pipeline_help import decoded_video

import vidsal
from vidsal.batches import plan, run, work
from vidsal.batches.receipts import Result
from vidsal.batches.summary import write_summary
from vidsal.errors import UsageError, VidsalError
from vidsal.pipeline import Outcome, process
from vidsal.settings import Settings
from vidsal.static import models
from vidsal.static.models import ModelChoice

pytestmark = pytest.mark.usefixtures("own_folder")
OUT = Path("out")
PRIVATE = OUT / ".vidsal"


def _settings(**options: Any) -> Settings:
    return Settings(**{"model": "none", "working_width": 64, "annotate": False, **options})


def _batch(sources: Any, **options: Any) -> vidsal.BatchSummary:
    given = {name: options.pop(name) for name in ("tables", "workers", "retry_failed", "tell",
             "stores", "split") if name in options}  # fmt: skip
    return vidsal.batch(sources, OUT, _settings(**options), progress=False, **given)


def _receipts() -> list[dict[str, Any]]:
    return [json.loads(one.read_text()) for one in (PRIVATE / "receipts").iterdir()]


def _visible() -> set[str]:
    return {str(one.relative_to(OUT)) for one in OUT.rglob("*") if ".vidsal" not in one.parts}


@pytest.fixture
def sources(make_clip: MakeClip) -> list[Path]:
    """Two clips and a broken file, in the folder of the test."""
    clips = [make_clip("a.mp4", frames=6, sound="aac"), make_clip("b.mkv", frames=4)]
    broken = clips[0].with_name("broken.mp4")
    broken.write_text("no video")
    return [clips[0], broken, clips[1]]


def test_a_batch_writes_what_single_runs_write(sources: list[Path]) -> None:
    told: list[Result] = []
    summary = _batch(sources, tables=True, tell=told.append)
    assert [one.status for one in summary.results] == ["done", "failed", "done"]
    assert [(one.frames, round(one.video_s, 6)) for one in summary.results] == [
        (6, 0.24), (0, 0), (4, 0.16),
    ]  # fmt: skip
    assert tuple(told) == summary.results
    assert summary.results[1].error == f"{sources[1]} is not a video or picture that can be read"
    assert _visible() == {
        "a_saliency.mp4", "a_saliency.csv", "b_saliency.mp4", "b_saliency.csv",
    }  # fmt: skip
    for source, result in zip(sources, summary.results, strict=True):
        if result.output is None:
            continue
        vidsal.run(source, _settings(output=Path("one.mp4"), table=Path("one.csv"), overwrite=True))
        assert Path(result.output).read_bytes() == Path("one.mp4").read_bytes()
        table = Path(result.output).with_suffix(".csv")
        assert table.read_text() == Path("one.csv").read_text()


def test_each_source_leaves_a_receipt_and_nothing_else(sources: list[Path]) -> None:
    summary = _batch(sources)
    receipts = {one["source"]: one for one in _receipts()}
    assert set(receipts) == set(map(str, sources))
    for result in summary.results:
        receipt = receipts[result.source]
        assert receipt.pop("identity")["working_width"] == "64"
        files = receipt.pop("files")
        assert len(receipt.pop("place")) == 32
        sizes = {name: (OUT / name).stat().st_size for name in files}
        assert {name: state["size"] for name, state in files.items()} == sizes
        assert len(files) == (result.status == "done")
        assert receipt == result.as_json()
    assert list((PRIVATE / "begun").iterdir()) == []
    assert not (PRIVATE / "staging").exists()


def test_the_summary_has_totals_and_a_row_for_each_source(sources: list[Path]) -> None:
    summary = _batch(sources)
    written = json.loads(Path(summary.path).read_text())
    assert written["totals"] == summary.totals
    assert written["results"] == [one.as_json() for one in summary.results]
    assert (
        pyarrow.parquet.read_table(PRIVATE / "summary.parquet").to_pylist() == (written["results"])
    )
    totals = summary.totals
    assert [totals[name] for name in ("sources", "done", "failed", "skipped", "frames")] == [
        3, 2, 1, 0, 10,
    ]  # fmt: skip
    assert summary.line().startswith("3 sources: 2 done, 1 failed; 0:00 of video in ")


def test_without_pyarrow_the_table_is_csv(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    summary = _batch(sources)
    with (PRIVATE / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(one["source"], one["status"]) for one in rows] == [
        (one.source, one.status) for one in summary.results
    ]


def test_a_second_run_does_nothing_and_says_so(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _batch(sources)
    monkeypatch.setattr(work, "process", None)
    second = _batch(sources, batch=3)
    assert [one.status for one in second.results] == ["skipped"] * 3
    assert [one.output for one in second.results] == [one.output for one in first.results]
    assert second.results[1].error == first.results[1].error
    assert second.line() == (
        "nothing to do: 2 done before, 1 failed before (retry_failed=True tries again)"
    )


def test_a_source_is_done_again_when_something_that_matters_changed(
    sources: list[Path], make_clip: MakeClip
) -> None:
    clip = sources[0]
    _batch(clip)
    # A copy under another name has another output; a file that was only touched is the same.
    clip.touch()
    assert _batch(clip).totals["skipped"] == 1
    Path("out/a_saliency.mp4").unlink()
    assert _batch(clip).totals["done"] == 1
    for changed in ({"colormap": "magma"}, {"end": 0.1}):
        with_other = _batch(clip, **changed)
        assert with_other.results[0].error == (
            "out/a_saliency.mp4 is the result of other options, or of another source: give another "
            "folder, or overwrite=True to replace it"
        )
        # A refusal leaves no receipt: with another folder, or --overwrite, it is asked again.
        assert _batch(clip, overwrite=True, **changed).totals["done"] == 1
    assert _batch(clip, overwrite=True).totals["done"] == 1
    # Only the content has changed: the result is replaced, and so is its receipt.
    make_clip("a.mp4", frames=9)
    assert _batch(clip).results[0].frames == 9
    assert len(_receipts()) == 1
    # But a file that another program has changed stays.
    make_clip("a.mp4", frames=7)
    Path("out/a_saliency.mp4").write_text("precious")
    assert "is the result of" in str(_batch(clip).results[0].error)
    assert Path("out/a_saliency.mp4").read_text() == "precious"


@pytest.mark.parametrize("options", [{"samples": 3}, {"short_side": 96}, {"fusion": "static"}])
def test_options_without_effect_are_no_reason_to_do_a_source_again(
    options: dict[str, Any], make_clip: MakeClip
) -> None:
    clip = make_clip("a.mp4", frames=4)
    _batch(clip)
    assert _batch(clip, **options).totals["skipped"] == 1


def test_names_that_differ_in_case_have_receipts_of_their_own(make_clip: MakeClip) -> None:
    clips = [make_clip("Case.mp4", frames=4), make_clip("case.mp4", frames=5)]
    if clips[0].samefile(clips[1]):
        pytest.skip("this disk does not distinguish names by case")
    assert _batch(clips).totals["done"] == 2
    Path("out/Case_saliency.mp4").unlink()
    assert [one.status for one in _batch(clips).results] == ["done", "skipped"]
    assert _batch(clips).totals["skipped"] == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_receipt_that_cannot_be_written_stops_the_batch_in_one_line(
    workers: int, sources: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    PRIVATE.mkdir(parents=True)
    (PRIVATE / "receipts").write_text("no folder")
    with pytest.raises(VidsalError, match="receipts"):
        _batch(sources, workers=workers)
    assert [one for one in caplog.messages if "lost" in one] == []


@pytest.mark.parametrize("full", ["staging", "disk"])
def test_a_folder_that_cannot_be_written_is_no_fault_of_the_sources(
    full: str, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: Any, **__: Any) -> None:
        try:
            raise OSError(errno.ENOSPC, "no more")
        except OSError as error:
            raise VidsalError("a_saliency.mp4 cannot be written") from error

    with monkeypatch.context() as patch:
        if full == "disk":
            patch.setattr(work, "process", no_space)
        else:
            PRIVATE.mkdir(parents=True)
            (PRIVATE / "staging").write_text("no folder")
        assert _batch(sources[0]).totals["failed"] == 1
        assert not list(PRIVATE.glob("receipts/*"))
        (PRIVATE / "staging").unlink(missing_ok=True)
    # Without --retry-failed.
    assert _batch(sources[0]).totals["done"] == 1


def test_a_local_folder_at_an_address_is_locked(sources: list[Path]) -> None:
    def other_batch(_: Result) -> None:
        with pytest.raises(VidsalError, match="another"):
            vidsal.batch(sources[2], f"file://{OUT.absolute()}", _settings(), progress=False)

    assert _batch(sources[0], tell=other_batch).totals["done"] == 1


def test_ctrl_c_while_the_summary_is_written_does_not_lose_it(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_summary

    def interrupted(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(run, "write_summary", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _batch(sources)
    totals = json.loads((PRIVATE / "summary.json").read_text())["totals"]
    assert totals["sources"] == 3


def test_retry_failed_does_the_others(sources: list[Path]) -> None:
    broken = sources[1]
    text = broken.read_text()
    _batch(sources)
    assert _batch(sources, retry_failed=True).totals["failed"] == 1
    shutil.copy(sources[0], broken)
    assert [one.status for one in _batch(sources).results] == ["skipped", "done", "skipped"]
    broken.write_text(text)
    assert _batch(broken, retry_failed=False).results[0].status == "skipped"


def test_outputs_of_others_are_not_replaced(sources: list[Path]) -> None:
    OUT.mkdir()
    Path("out/a_saliency.mp4").write_text("precious")
    summary = _batch(sources[0])
    assert summary.results[0].error == (
        "out/a_saliency.mp4 exists and is not of this batch: give another folder, or "
        "overwrite=True to replace it"
    )
    assert Path("out/a_saliency.mp4").read_text() == "precious"
    assert not (PRIVATE / "receipts").exists()


def test_outputs_of_a_killed_attempt_are_replaced(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "write_receipt", killed)
        with pytest.raises(KeyboardInterrupt, match="0 of 1 sources are done or failed"):
            _batch(sources[0])
    # The output stands without a receipt.
    assert _visible() == {"a_saliency.mp4"}
    assert _batch(sources[0]).totals["done"] == 1


def test_ctrl_c_drops_the_running_source_whole(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    def interrupted(source: Any, settings: Settings, **options: Any) -> Outcome:
        begun.append(source)
        if len(begun) == 2:
            settings.output.write_bytes(b"half")  # type: ignore[union-attr]
            raise KeyboardInterrupt
        return process(source, settings, **options)

    monkeypatch.setattr(work, "process", interrupted)
    with pytest.raises(KeyboardInterrupt, match="1 of 2 sources are done or failed"):
        _batch([sources[0], sources[2]])
    assert _visible() == {"a_saliency.mp4"}
    assert not (PRIVATE / "staging").exists()
    assert json.loads((PRIVATE / "summary.json").read_text())["totals"]["is_interrupted"]
    monkeypatch.setattr(work, "process", process)
    again = _batch([sources[0], sources[2]])
    assert [one.status for one in again.results] == ["skipped", "done"]


def test_rows_of_a_manifest_have_own_outputs_and_options(make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=6)
    Path("clips.csv").write_text(
        "source,output,layout,end\n"
        "a.mp4,small/x.mov,quad,0.12\n"
        "a.mp4,,,\n"
        "gone.mp4,,,\n"
        "a.mp4,y.mp4,round,\n"
        "a.mp4,small/x.mov,,\n"
    )
    results = _batch("clips.csv").results
    assert [one.status for one in results] == ["done", "done", "failed", "failed", "failed"]
    frames, _, size, _ = decoded_video(OUT / "small" / "x.mov")
    assert (frames, size) == (3, (96, 128))
    assert _visible() >= {"small/x.mov"} and len(_visible()) == 3
    assert results[1].frames == 6
    errors = [str(one.error) for one in results[2:]]
    assert errors[0] == "gone.mp4: there is no such file"
    assert errors[1].startswith("clips.csv, line 5: layout= must be one of")
    assert errors[2] == "clips.csv, line 6: the output small/x.mov is that of a.mp4, too"


def test_outputs_may_lie_beside_the_sources(make_clip: MakeClip) -> None:
    """A second run finds its own outputs in the folder of the sources."""
    for name in ("a.mp4", "b.mp4"):
        make_clip(name, frames=4)
    given: dict[str, Any] = {"progress": False}
    first = vidsal.batch(".", ".", _settings(), **given)
    second = vidsal.batch(".", ".", _settings(), **given)
    assert (first.totals["done"], second.totals["skipped"], second.totals["done"]) == (2, 2, 0)
    assert second.line() == "nothing to do: 2 done before"
    assert sorted(one.name for one in Path().glob("*.mp4")) == [
        "a.mp4", "a_saliency.mp4", "b.mp4", "b_saliency.mp4",
    ]  # fmt: skip


def test_no_source_is_replaced(make_clip: MakeClip) -> None:
    clips = [make_clip(name, frames=4) for name in ("a.mp4", "b.mp4")]
    before = [one.read_bytes() for one in clips]
    Path("list.csv").write_text(
        "source,output\na.mp4,a.mp4\na.mp4,b.mp4\nb.mp4,c.mp4\nb.mp4,x.mp4\nb.mp4,x.mov\n"
    )
    summary = vidsal.batch("list.csv", ".", _settings(overwrite=True), tables=True, progress=False)
    assert [one.read_bytes() for one in clips] == before
    assert [one.status for one in summary.results] == [
        "failed", "failed", "done", "done", "failed",
    ]  # fmt: skip
    assert summary.results[0].error == (
        "list.csv, line 2: the output a.mp4 is the source itself: give another name"
    )
    assert summary.results[1].error == (
        "list.csv, line 3: the output b.mp4 is one of the sources: give another name"
    )
    assert str(summary.results[4].error).endswith("the output x.csv is that of b.mp4, too")


def test_stores_are_kept_beside_the_outputs(sources: list[Path]) -> None:
    _batch(sources[0], stores=True)
    assert len(vidsal.open_store(OUT / "a_saliency.vidsal")) == 6


def test_wrong_configurations_stop_at_once(sources: list[Path]) -> None:
    for options, message in (
        ({"precision": "auto", "model": "lite0"}, "depends on a measurement"),
        ({"static_every": "auto"}, "depends on how fast a machine"),
        ({"resume": True}, "is not for a batch"),
        ({"workers": 0}, "workers= must be 1 or more"),
        ({"model": "lite0", "target": "no such class"}, "no such class"),
    ):
        with pytest.raises(UsageError, match=message):
            _batch(sources, **options)
    with pytest.raises(UsageError, match="camera 0 is live"):
        _batch(["0"])
    with pytest.raises(VidsalError, match="there is no such file"):
        _batch(sources, model="gone.keras")
    assert not OUT.exists()


def test_a_network_that_cannot_be_opened_stops_the_batch(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class Stage:
        """A network without the layers that settings name."""

        input_size = None

        def chosen_layers(self, *size: int) -> None:
            raise UsageError(f"there is no layer {opened[-1]} at {size}")

    def open_static(_: ModelChoice, settings: Settings) -> Stage:
        opened.append(settings.layer)
        if settings.layer == "unopened":
            raise VidsalError("the file cannot be loaded")
        return Stage()

    for module in (models, plan):
        monkeypatch.setattr(module, "choose", lambda *_, **__: ModelChoice("lite0"))
    monkeypatch.setattr(models, "open_static", open_static)
    for split in ({}, {"split": 10}):
        opened.clear()
        with pytest.raises(UsageError, match="there is no layer nosuch"):
            _batch(sources, model="lite0", layer="nosuch", **split)
        with pytest.raises(VidsalError, match="the file cannot be loaded"):
            _batch(sources, model="lite0", layer="unopened", **split)
        assert opened == ["nosuch", "unopened"]
        assert _visible() == set() and not (PRIVATE / "receipts").exists()
        assert not (PRIVATE / "begun").exists()
    # A row's own network is the row's own fault.
    Path("rows.csv").write_text(f"source,layer\n{sources[0]},nosuch\n{sources[2]},\n")
    monkeypatch.setattr(work, "process", lambda *_, **__: Outcome("b", frames=4))
    monkeypatch.setattr(work.Worker, "deliver", lambda *_: None)
    summary = _batch("rows.csv", model="lite0")
    assert [one.status for one in summary.results] == ["failed", "done"]
    assert summary.results[0].error == "there is no layer nosuch at (256, 256)"
    assert len(_receipts()) == 2


def test_a_folder_has_one_batch_at_a_time(sources: list[Path]) -> None:
    inner: list[str] = []

    def again(_: Result) -> None:
        with pytest.raises(VidsalError) as caught:
            _batch(sources[0])
        inner.append(str(caught.value))

    _batch(sources[0], tell=again)
    assert inner == [f"another run works in {PRIVATE}: wait for it, or end it"]


def test_processes_give_the_same_results(sources: list[Path]) -> None:
    _batch(sources, tables=True)
    OUT.rename("alone")
    summary = _batch(sources, tables=True, workers=2)
    assert [one.status for one in summary.results] == ["done", "failed", "done"]
    for name in ("a_saliency.mp4", "a_saliency.csv", "b_saliency.mp4", "b_saliency.csv"):
        assert (OUT / name).read_bytes() == (Path("alone") / name).read_bytes()
    keys = [{one["key"] for one in _receipts()}]
    OUT.rename("processes")
    Path("alone").rename("out")
    assert [{one["key"] for one in _receipts()}] == keys


def test_a_receipt_is_that_of_the_file_which_is_there(make_clip: MakeClip) -> None:
    """A file of other options, a missing table, a torn file: each is done again."""
    clip = make_clip("a.mp4", frames=4)
    given: dict[str, Any] = {"tables": True, "annotate": True}
    output, table = OUT / "a_saliency.mp4", OUT / "a_saliency.csv"
    assert _batch(clip, layout="overlay", **given).totals["done"] == 1
    overlay = output.read_bytes()
    assert _batch(clip, layout="map", overwrite=True, **given).totals["done"] == 1
    assert output.read_bytes() != overlay and len(_receipts()) == 1
    # Without --overwrite the map stays.
    assert "is the result of other options" in str(
        _batch(clip, layout="overlay", **given).results[0].error
    )
    assert _batch(clip, layout="overlay", overwrite=True, **given).totals["done"] == 1
    assert output.read_bytes() == overlay
    table.unlink()
    assert _batch(clip, layout="overlay", **given).totals["done"] == 1
    assert table.exists()
    for torn in (overlay[:-100], bytes(len(overlay))):
        output.write_bytes(torn)
        assert _batch(clip, layout="overlay", **given).totals["done"] == 1
        assert output.read_bytes() == overlay
    assert _batch(clip, layout="overlay", **given).totals["skipped"] == 1


def test_a_failure_forgets_no_earlier_result(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip("a.mp4", frames=4)
    _batch(clip)
    output = OUT / "a_saliency.mp4"
    whole = output.read_bytes()
    output.write_bytes(whole[:-9])
    with monkeypatch.context() as patch:
        patch.setattr(work, "process", None)
        assert _batch(clip).totals["failed"] == 1
    # What stands there is still of this batch: no source, and replaced without being told to.
    only_own = _batch(output)
    assert (only_own.results, only_own.line()) == (
        (), "nothing to do: there is no source (results of earlier runs are not sources)",
    )  # fmt: skip
    assert _batch(clip, retry_failed=True).totals["done"] == 1
    assert output.read_bytes() == whole


def test_an_output_has_one_source_and_lies_in_the_folder(make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=4)
    outputs = ("o.mp4", "./o.mp4", "O.MP4", "x/../o.mp4", "../o.mp4", "..", ".vidsal/o.mp4")
    Path("m.csv").write_text("source,output\n" + "".join(f"a.mp4,{one}\n" for one in outputs))
    results = _batch("m.csv").results
    assert [one.status for one in results] == ["done", *["failed"] * 6]
    assert [str(one.error).partition(": ")[2] for one in results[1:]] == [
        "the output o.mp4 is that of a.mp4, too",
        "the output O.MP4 is that of a.mp4, too",
        "the output o.mp4 is that of a.mp4, too",
        "the output ../o.mp4 must lie in the folder of results",
        "the output .. must lie in the folder of results",
        "the output .vidsal/o.mp4 must not lie in .vidsal, which holds the receipts",
    ]
    assert _visible() == {"o.mp4"} and not Path("o.mp4").exists()


@pytest.mark.parametrize("has_address", [False, True])
def test_outputs_of_other_options_are_no_sources(make_clip: MakeClip, has_address: bool) -> None:
    make_clip("a.mp4", frames=4)
    folder = f"file://{Path.cwd()}" if has_address else "."
    sources = f"{folder}/*.mp4" if has_address else folder
    for options in ({}, {}, {"layout": "map", "overwrite": True}):
        summary = vidsal.batch(sources, folder, _settings(**options), progress=False)
        assert len(summary.results) == 1 and summary.totals["failed"] == 0
    assert summary.totals["done"] == 1
    assert sorted(one.name for one in Path().glob("*.mp4")) == ["a.mp4", "a_saliency.mp4"]


def test_numbers_and_nuls_of_a_manifest_are_names_of_files(make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=4).rename("5")
    Path("m.jsonl").write_text('{"source": 5}\n{"source": "a\\u0000"}\n{"source": 6}\n')
    results = _batch("m.jsonl").results
    assert [one.status for one in results] == ["done", "failed", "failed"]
    assert results[1].error == "m.jsonl, line 2: the source holds a NUL"
    assert str(results[2].error).endswith("6: there is no such file")
    Path("list.txt").write_text("5\0\n")
    (result,) = _batch("list.txt").results
    assert result.status == "failed"


def test_other_rows_of_a_manifest_do_not_change_names(make_clip: MakeClip) -> None:
    for name in ("b.mp4", "c.mp4"):
        make_clip(name, frames=10)
    rows = ["c.mp4,,0,0.2", "c.mp4,,0.2,0.4"]
    Path("m.csv").write_text("\n".join(["source,output,start,end", *rows]))
    assert [Path(str(one.output)).name for one in _batch("m.csv").results] == [
        "c_saliency.mp4", "2_c.mp4_saliency.mp4",
    ]  # fmt: skip
    # One more source, and a row with an output of its own.
    rows = ["b.mp4,,,", "c.mp4,mine/c.mp4,0,0.1", *rows]
    Path("m.csv").write_text("\n".join(["source,output,start,end", *rows]))
    results = _batch("m.csv").results
    assert [one.status for one in results] == ["done", "done", "skipped", "skipped"]


def test_a_wrong_suffix_of_an_output_is_the_fault_of_its_row(
    make_clip: MakeClip, sample_media: Path
) -> None:
    make_clip("a.mp4", frames=4)
    shutil.copy(sample_media / "cat.jpg", "cat.jpg")
    Path("m.csv").write_text("source,output\na.mp4,ok.txt\ncat.jpg,cat.mp4\na.mp4,ok.webm\n")
    results = _batch("m.csv").results
    assert [one.status for one in results] == ["failed", "failed", "done"]
    video, photo = (str(one.error) for one in results[:2])
    assert video.startswith("m.csv, line 2: output='ok.txt': a video is written as .mp4")
    assert photo.startswith("m.csv, line 3: output='cat.mp4': a photo is written as .png")


def test_web_addresses_leave_no_secrets_and_are_named_once() -> None:
    source = "http://me:passwd@127.0.0.1:1/nope.mp4?token=t0k3n"
    (result,) = _batch(source).results
    assert str(result.error).startswith("http://127.0.0.1:1/nope.mp4 cannot be downloaded")
    files = [one for one in OUT.rglob("*") if one.is_file()]
    assert any("receipts" in one.parts for one in files)
    for one in files:
        assert b"passwd" not in one.read_bytes() and b"t0k3n" not in one.read_bytes()


@pytest.mark.parametrize("name", ["o.mp4", "o.JPG"])
def test_the_name_of_a_file_is_no_folder_for_results(make_clip: MakeClip, name: str) -> None:
    clip = make_clip("a.mp4", frames=4)
    with pytest.raises(UsageError, match=f"output='{name}' is the name of a file: give a folder"):
        vidsal.batch(clip, name, _settings(), progress=False)
    assert not Path(name).exists()
    Path(name).mkdir()
    assert vidsal.batch(clip, name, _settings(), progress=False).totals["done"] == 1
