"""Results at addresses: fsspec's local files, and its memory in this process."""

import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import MakeClip

import vidsal
from vidsal.batches import addresses
from vidsal.batches.addresses import fetch, is_address, matches
from vidsal.batches.places import LocalFolder, RemoteFolder, folder_at
from vidsal.errors import UsageError, VidsalError
from vidsal.settings import Settings


@pytest.fixture
def memory() -> str:
    """An empty folder in fsspec's memory."""
    return f"memory://{uuid.uuid4().hex}"


def _settings(**options: Any) -> Settings:
    return Settings(model="none", working_width=64, annotate=False, **options)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://bucket/a.mp4", True), ("gs://b/*.mp4", True), ("file:///a.mp4", True),
        ("memory://x", True), ("https://example.org/a.mp4", False), ("rtsp://x/y", False),
        ("a.mp4", False), ("C:/a.mp4", False),
    ],
)  # fmt: skip
def test_addresses_are_told_from_paths_and_streams(name: str, expected: bool) -> None:
    assert is_address(name) is expected


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_leave_no_fetched_sources(
    workers: int, make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [f"file://{make_clip(name, frames=4)}" for name in ("a.mp4", "b.mp4")]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    summary = vidsal.batch(
        addresses, tmp_path / "out", _settings(), workers=workers, progress=False
    )
    assert summary.totals["done"] == 2
    assert list(temporary.glob("vidsal-*")) == []


@pytest.mark.parametrize("kind", ["path", "file", "memory"])
def test_files_appear_whole_under_their_names(
    kind: str, tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = {"path": str(tmp_path / "o"), "file": f"file://{tmp_path}/o", "memory": memory}[kind]
    folder = folder_at(root)
    assert isinstance(folder, RemoteFolder if kind == "memory" else LocalFolder)
    assert not folder.exists("x/a") and folder.names("x") == []
    folder.write("x/a", b"one")
    folder.write("x/a", b"other")
    staged = folder.staging("s") / "result"
    staged.write_bytes(b"video")
    folder.deliver(staged, "x/b")
    assert (folder.read("x/a"), folder.read("x/b")) == (b"other", b"video")
    assert folder.names("x") == ["a", "b"]
    folder.remove("x/a")
    folder.remove("never")
    assert folder.names("x") == ["b"]
    folder.remove("x")
    assert not folder.exists("x/b")


def test_an_upload_that_fails_leaves_nothing(
    tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = type(fsspec.filesystem("memory"))

    def torn(self: Any, local: str, path: str) -> None:
        self.pipe_file(path, Path(local).read_bytes()[:2])
        raise OSError("the line went down")

    monkeypatch.setattr(system, "put_file", torn)
    folder = folder_at(memory)
    with pytest.raises(VidsalError, match="cannot be written: the line went down"):
        folder.write("a.mp4", b"video")
    assert folder.names("") == [] and not folder.exists("a.mp4")


def test_object_stores_get_one_put(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    system = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(system, "protocol", ("s3", "s3a"))
    monkeypatch.setattr(system, "put_file", lambda _, __, path: calls.append(path))
    folder_at(memory).write("a.mp4", b"video")
    (call,) = calls
    assert call.endswith("/a.mp4") and ".part" not in call


def test_globs_and_missing_files(memory: str, tmp_path: Path) -> None:
    folder = folder_at(memory)
    for name in ("b.mp4", "a.mp4", "c.txt", ".b.mp4.part.mp4", ".vidsal/p/c.mp4", "d.mp4/e.txt"):
        folder.write(name, b"x")
    assert [one.rpartition("/")[2] for one in matches(f"{memory}/*.mp4")] == ["a.mp4", "b.mp4"]
    assert len(matches(f"{memory}/**/*.mp4")) == 2
    with pytest.raises(VidsalError, match="no file that matches"):
        matches(f"{memory}/*.mkv")
    with pytest.raises(VidsalError, match="there is no such file"):
        fetch(f"{memory}/gone.mp4", tmp_path)
    with pytest.raises(VidsalError, match="cannot be opened"):
        addresses.open_store("nosuch://bucket/a.mp4")
    assert addresses.redacted("s3://key:secret@bucket/a.mp4") == "s3://bucket/a.mp4"
    # A password may contain the mark that ends it; a path may contain it, too.
    assert addresses.redacted("http://me:p@ss@h/a@b.mp4?key=1") == "http://h/a@b.mp4"


def test_without_fsspec_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(VidsalError, match=r'pip install "vidsal\[remote\]"'):
        addresses.open_store("s3://bucket/a.mp4")


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_batch_reads_and_writes_addresses(
    scheme: str, make_clip: MakeClip, tmp_path: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    clip = make_clip("a.mp4", frames=5, sound="aac")
    root = memory if scheme == "memory" else f"file://{tmp_path}/store"
    store = folder_at(root)
    store.write("in/a.mp4", clip.read_bytes())
    store.write("in/bad.mp4", b"no video")
    sources = f"{root}/in/*.mp4"
    summary = vidsal.batch(sources, f"{root}/out", _settings(), tables=True, progress=False)
    assert [one.status for one in summary.results] == ["done", "failed"]
    bad = summary.results[1]
    # The error names the address, and not the temporary copy.
    assert bad.error == f"{bad.source} is not a video or picture that can be read"
    assert bad.source.endswith("in/bad.mp4")
    vidsal.run(clip, _settings(output=tmp_path / "one.mp4", table=tmp_path / "one.csv"))
    assert store.read("out/a_saliency.mp4") == (tmp_path / "one.mp4").read_bytes()
    assert store.read("out/a_saliency.csv") == (tmp_path / "one.csv").read_bytes()
    assert store.names("out") == ["a_saliency.csv", "a_saliency.mp4"]
    assert len(store.names("out/.vidsal/receipts")) == 2
    # Neither fetched files nor unfinished results are left.
    assert list((tmp_path / "temporary").iterdir()) == []
    again = vidsal.batch(sources, f"{root}/out", _settings(), tables=True, progress=False)
    assert again.totals["skipped"] == 2


def test_stores_need_a_local_folder(memory: str) -> None:
    with pytest.raises(UsageError, match="needs a local folder"):
        vidsal.batch("a.mp4", memory, _settings(), stores=True)


@pytest.mark.parametrize("kind", ["file to file", "path to file", "file to path", "memory"])
def test_no_source_at_an_address_is_replaced(
    kind: str, make_clip: MakeClip, tmp_path: Path, memory: str
) -> None:
    content = make_clip("clip.mp4", frames=4).read_bytes()
    local, address = str(tmp_path / "t"), f"file://{tmp_path}/t"
    source, out = {
        "file to file": (address, address), "path to file": (local, address),
        "file to path": (address, local), "memory": (memory, memory),
    }[kind]  # fmt: skip
    folder_at(source).write("clip.mp4", content)
    folder_at(source).write("other.mp4", content)
    (tmp_path / "m.csv").write_text(
        f"source,output\n{source}/clip.mp4,clip.mp4\n{source}/clip.mp4,other.mp4\n"
        f"{source}/other.mp4,x.mp4\n"
    )
    summary = vidsal.batch(str(tmp_path / "m.csv"), out, _settings(overwrite=True), progress=False)
    assert [one.status for one in summary.results] == ["failed", "failed", "done"]
    assert "is the source itself" in str(summary.results[0].error)
    assert "is one of the sources" in str(summary.results[1].error)
    assert folder_at(source).read("clip.mp4") == content
    assert folder_at(source).read("other.mp4") == content


def test_what_addresses_cannot_be_is_said_in_one_line(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_at(memory).write("in/a.mp4", b"x")
    (result,) = vidsal.batch(f"{memory}/in", tmp_path / "o", _settings(), progress=False).results
    assert result.error == f"{memory}/in is a folder: give a glob of its files, {memory}/in/*.mp4"
    for manifest in (f"{memory}/m.csv", "http://me:pw@h/m.csv", "https://h/m.parquet?key=pw"):
        with pytest.raises(UsageError, match="a manifest must be a local file") as caught:
            vidsal.batch(manifest, tmp_path / "o", _settings())
        assert "pw" not in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    (tmp_path / "m.csv").write_text("source\na.mp4\ns3://bucket/a.mp4\n")
    (tmp_path / "list.txt").write_text("s3://bucket/a.mp4\n")
    for name in ("m.csv", "list.txt"):
        with pytest.raises(VidsalError, match=r"s3://bucket/a.mp4: addresses need fsspec: pip"):
            vidsal.batch(tmp_path / name, tmp_path / "p", _settings(), progress=False)
    assert not (tmp_path / "p").exists()


def test_results_cannot_be_written_to_the_web() -> None:
    for address in ("http://me:secret@host/x?key=secret", "RTSP://host/x"):
        with pytest.raises(
            UsageError, match="results cannot be written to a web address"
        ) as caught:
            folder_at(address)
        assert "secret" not in str(caught.value)


def test_an_address_of_a_file_is_no_folder_for_results(memory: str) -> None:
    with pytest.raises(UsageError, match=r"o\.mp4' is the name of a file"):
        folder_at(f"{memory}/o.mp4")
    RemoteFolder(f"{memory}/o.mp4").write("a.mp4", b"x")
    assert isinstance(folder_at(f"{memory}/o.mp4"), RemoteFolder)
