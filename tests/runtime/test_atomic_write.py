"""Files that appear complete or not at all, and the names that they may have."""

import os
import sys
from pathlib import Path

import pytest
from sink_help import names_in

from vidsal.errors import VidsalError
from vidsal.runtime.atomic_write import atomic_write, claim, free_names, write_text

pytestmark = pytest.mark.usefixtures("own_folder")


def test_every_file_goes_where_a_link_leads(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    link = tmp_path / "t.csv"
    link.symlink_to(folder / "real.csv")
    claim(link, overwrite=False)
    assert not folder.exists()
    write_text(link, "a,b")
    assert link.is_symlink() and (folder / "real.csv").read_text() == "a,b"
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["elsewhere", "real.csv", "t.csv"]
    with pytest.raises(VidsalError, match=r"real\.csv exists"):
        claim(link, overwrite=False)


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="to the superuser all is writable"
)
def test_claim_of_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(VidsalError, match=r"cannot write .*: Permission denied"):
        claim(tmp_path / "o.mp4", overwrite=False)


def test_staged_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "a.txt"
    with atomic_write(final) as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert part.suffix == ".txt"
        assert not final.exists()
    assert final.read_text() == "new"
    with pytest.raises(KeyboardInterrupt), atomic_write(final) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert final.read_text() == "new"
    assert names_in(tmp_path) == ["a.txt"]


def test_free_names_share_one_number(tmp_path: Path) -> None:
    (tmp_path / "o.mp4").touch()
    assert free_names(tmp_path / "o.mp4") == [tmp_path / "o_002.mp4"]
    (tmp_path / "o_002.csv").touch()
    both = free_names(tmp_path / "o.mp4", tmp_path / "o.csv")
    assert both == [tmp_path / "o_003.mp4", tmp_path / "o_003.csv"]
