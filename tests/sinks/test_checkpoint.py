"""The folder of finished segments: which ones count, and which run they belong to."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from vidsal.errors import VidsalError
from vidsal.sinks import checkpoint as module
from vidsal.sinks.checkpoint import Checkpoint, checkpoint_folder, open_checkpoint

IDENTITY = {"the input": "/clips/cat.mp4", "layout": "overlay", "NumPy": "2.1"}


def _segment(checkpoint: Checkpoint, text: str, frames: int, state: bytes = b"standing") -> None:
    begun = checkpoint.new_folder()
    (begun / "table.csv").write_text(text)
    (begun / "maps").mkdir()
    (begun / "maps" / "000000.png").write_bytes(b"map of " + text.encode())
    checkpoint.finish(begun, frames, {"shown": frames, "is_last": False}, state)


def _texts(checkpoint: Checkpoint) -> list[str]:
    return [(one.folder / "table.csv").read_text() for one in checkpoint.segments]


def _left(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "cat.mp4"


@pytest.fixture
def three(output: Path) -> Path:
    """The folder after a run that finished three segments."""
    with open_checkpoint(output, IDENTITY) as checkpoint:
        for n in range(3):
            _segment(checkpoint, f"rows {n}", 10 * (n + 1), state=b"after %d" % n)
    return checkpoint_folder(output)


def test_segments_come_back_as_they_were(output: Path, three: Path) -> None:
    assert three.name == "cat.mp4.parts"
    assert _left(three) == ["000000", "000001", "000002", "lock", "manifest.json"]
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint) == ["rows 0", "rows 1", "rows 2"]
        assert [one.frames for one in checkpoint.segments] == [10, 20, 30]
        assert checkpoint.segments[-1].metadata == {"shown": 30, "is_last": False}
        # States hold pictures: old ones are removed.
        assert [one.state for one in checkpoint.segments] == [None, b"after 1", b"after 2"]
        assert checkpoint.damaged == 0 and checkpoint.result is None
        _segment(checkpoint, "rows 3", 40)
        # A long run keeps no states in memory.
        assert checkpoint.segments[-1].state is None
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint)[-1] == "rows 3"


def test_without_a_segment_nothing_is_left(output: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_checkpoint(output, IDENTITY) as checkpoint:
        (checkpoint.new_folder() / "video.mp4").write_bytes(b"half")
        raise KeyboardInterrupt
    assert _left(output.parent) == []


def test_what_was_begun_does_not_count(output: Path, three: Path) -> None:
    # As kill -9 leaves it.
    (three / ".begun-abc").mkdir()
    (three / ".begun-abc" / "video.mp4").write_bytes(b"half")
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert len(checkpoint.segments) == 3 and checkpoint.damaged == 0
        assert not (three / ".begun-abc").exists()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut off": lambda folder: os.truncate(folder / "table.csv", 3),
    "empty": lambda folder: os.truncate(folder / "segment.json", 0),
    "another byte": lambda folder: (folder / "table.csv").write_text("rows !"),
    "gone": lambda folder: (folder / "maps" / "000000.png").unlink(),
    "one too many": lambda folder: (folder / "maps" / "000001.png").touch(),
    "no record": lambda folder: (folder / "segment.json").unlink(),
    "record of something": lambda folder: (folder / "segment.json").write_text('["frames"]'),
    "state cut off": lambda folder: os.truncate(folder / "state", 3),
    "no state": lambda folder: (folder / "state").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_segment_is_done_again(output: Path, three: Path, damage: str) -> None:
    DAMAGES[damage](three / "000002")
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint) == ["rows 0", "rows 1"]
        assert checkpoint.segments[-1].state == b"after 1"
        assert checkpoint.damaged == 1 and not (three / "000002").exists()
        _segment(checkpoint, "again", 30)
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint) == ["rows 0", "rows 1", "again"]


def test_after_a_damaged_one_the_others_are_of_no_use(output: Path, three: Path) -> None:
    DAMAGES["another byte"](three / "000001")
    with open_checkpoint(output, IDENTITY) as checkpoint:
        # The state after the first is gone, too.
        assert checkpoint.segments == () and checkpoint.damaged == 3
    assert not three.exists()


def test_a_hole_ends_what_counts(output: Path, three: Path) -> None:
    (three / "000001").rename(three / "000007")
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert checkpoint.segments == ()


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({**IDENTITY, "layout": "quad"}, "layout= was overlay and is quad"),
        ({**IDENTITY, "NumPy": "2.2"}, "NumPy was 2.1 and is 2.2"),
        ({**IDENTITY, "new": "1"}, "new was absent and is 1"),
        ({"the input": "/clips/cat.mp4", "layout": "map"}, "was overlay and is map; NumPy was"),
    ],
)
def test_another_run_is_refused_by_what_is_not_the_same(
    output: Path, three: Path, now: dict[str, str], message: str
) -> None:
    with pytest.raises(VidsalError) as caught, open_checkpoint(output, now):
        pass
    assert message in str(caught.value) and str(three) in str(caught.value)
    assert str(caught.value).endswith("run as before, or remove the folder")
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert len(checkpoint.segments) == 3


def test_the_checkpoint_folder_a_long_name_has_a_name_that_systems_take(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path / f"{'a' * 246}.mp4")
    assert folder.name == f"{'a' * 40}.mp4.parts"
    folder.mkdir()


def test_a_checkpoint_folder_something_else_is_left_alone(output: Path) -> None:
    checkpoint_folder(output).mkdir()
    (checkpoint_folder(output) / "holiday.jpg").touch()
    with (
        pytest.raises(VidsalError, match=r"holiday\.jpg is in it"),
        open_checkpoint(output, IDENTITY),
    ):
        pass
    assert (checkpoint_folder(output) / "holiday.jpg").exists()


@pytest.mark.parametrize("text", ["", "{", "3", "\x00" * 40])
def test_a_damaged_manifest_is_refused(output: Path, three: Path, text: str) -> None:
    (three / "manifest.json").write_text(text)
    with (
        pytest.raises(VidsalError, match="cannot be read: remove"),
        open_checkpoint(output, IDENTITY),
    ):
        pass


HOLD = """
import sys
from pathlib import Path
from typing import IO
from vidsal.sinks.checkpoint import open_checkpoint
with open_checkpoint(Path(sys.argv[1]), {}):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_do_not_share_a_folder(output: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(VidsalError, match="another run works in"), open_checkpoint(output, {}):
            pass
    finally:
        # However it ends, it holds nothing any more.
        other.kill()
        other.communicate()
    with open_checkpoint(output, {}) as checkpoint:
        assert checkpoint.segments == ()


@pytest.mark.skipif(os.name == "nt", reason="there what is open is not removed")
@pytest.mark.parametrize("what", ["the lock", "the folder"])
def test_a_lock_that_was_removed_before_it_was_locked_is_none(
    what: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, folder = module._lock, checkpoint_folder(output)
    tries = []

    def lock(file: IO[str]) -> None:
        tries.append(file)
        if len(tries) == 1:
            # The run before ends here.
            (folder / "lock").unlink()
            if what == "the folder":
                folder.rmdir()
        real(file)

    monkeypatch.setattr(module, "_lock", lock)
    with open_checkpoint(output, IDENTITY):
        assert len(tries) == 2 and tries[0].closed
        monkeypatch.undo()
        with (
            pytest.raises(VidsalError, match="another run works in"),
            open_checkpoint(output, IDENTITY),
        ):
            pass
        assert (folder / "lock").exists()
    assert not folder.exists()


def test_a_disk_without_locks_will_do(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock(_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module, "_lock", lock)
    with open_checkpoint(output, IDENTITY) as checkpoint:
        _segment(checkpoint, "rows", 10)
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint) == ["rows"]


def test_an_interrupt_right_after_a_segment_was_finished_keeps_it(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._flush_and_rename

    def settle(begun: Path, final: Path) -> None:
        real(begun, final)
        raise KeyboardInterrupt

    with (
        monkeypatch.context() as patch,
        pytest.raises(KeyboardInterrupt),
        open_checkpoint(output, IDENTITY) as checkpoint,
    ):
        patch.setattr(module, "_flush_and_rename", settle)
        _segment(checkpoint, "rows", 10)
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert _texts(checkpoint) == ["rows"]


def test_a_result_is_kept_until_it_is_dropped(output: Path, three: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_checkpoint(output, IDENTITY) as checkpoint:
        begun = checkpoint.new_folder()
        (begun / "cat.mp4").write_bytes(b"whole")
        checkpoint.finish_result(begun)
        # Killed while the files are moved to their places.
        raise KeyboardInterrupt
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert checkpoint.result is not None and checkpoint.segments == ()
        assert (checkpoint.result / "cat.mp4").read_bytes() == b"whole"
        assert (three / "000002" / "table.csv").exists()
        checkpoint.remove_all()
    assert _left(output.parent) == []


def test_a_result_is_of_its_run_to_the_end(output: Path, three: Path) -> None:
    with open_checkpoint(output, IDENTITY) as checkpoint:
        checkpoint.finish_result(checkpoint.new_folder())
    (three / "manifest.json").unlink()
    with pytest.raises(VidsalError, match=r"NumPy was 2\.1"), open_checkpoint(output, {}):
        pass
    with open_checkpoint(output, IDENTITY) as checkpoint:
        assert checkpoint.result is not None


def test_the_manifest_can_be_read(three: Path) -> None:
    assert json.loads((three / "manifest.json").read_text()) == IDENTITY
