"""The maps are read back as written, and replace only maps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sink_help import make_saliency, names_in

from vidsal.errors import VidsalError
from vidsal.sinks.maps import claim_folder, maps_sink, sixteen_bit
from vidsal.types import Map

pytestmark = pytest.mark.usefixtures("own_folder")


def test_sixteen_bit_is_exact_at_known_values() -> None:
    values = np.array([[0, 1, 0.5, 1 / 65535, 0.25]], np.float32)
    assert sixteen_bit(values).tolist() == [[0, 65535, 32768, 1, 16384]]
    every = np.arange(65536, dtype=np.float64) / 65535
    assert (sixteen_bit(every.astype(np.float32)[None])[0] == np.arange(65536)).all()


def _maps(rng: np.random.Generator) -> dict[str, Map]:
    return {kind: rng.random((12, 16)).astype(np.float32) for kind in ("static", "motion", "fused")}


def test_maps_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    given = {index: _maps(rng) for index in (0, 7, 1_234_567)}
    with maps_sink(tmp_path / "maps") as sink:
        for index, maps in given.items():
            sink.write(make_saliency(index, **maps))  # type: ignore[arg-type]
    for index, maps in given.items():
        for kind, values in maps.items():
            with Image.open(tmp_path / "maps" / kind / f"{index:06d}.png") as image:
                assert image.mode.startswith("I;16")
                seen = np.asarray(image)
            assert seen.shape == (12, 16)
            assert np.abs(seen / 65535 - values).max() <= 0.5 / 65535 + 1e-7
    names = ["000000.png", "000007.png", "1234567.png"]
    assert names_in(tmp_path / "maps" / "fused") == names
    assert names_in(tmp_path)[0] == "maps"


def test_without_a_network_there_is_no_folder_of_static_maps(tmp_path: Path) -> None:
    with maps_sink(tmp_path / "maps") as sink:
        sink.write(make_saliency())
    assert names_in(tmp_path / "maps") == [
        "fused", "fused/000000.png", "motion", "motion/000000.png",
    ]  # fmt: skip


def test_maps_are_kept_without_overwrite_and_replaced_whole_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    rng = np.random.default_rng(6)
    with maps_sink(folder) as sink:
        for index in range(3):
            sink.write(make_saliency(index, **_maps(rng)))  # type: ignore[arg-type]
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(
        VidsalError, match="is not empty: give another folder, or overwrite=True to"
    ):
        claim_folder(folder, overwrite=False)
    claim_folder(folder, overwrite=True)
    with maps_sink(folder) as sink:
        sink.write(make_saliency(9))
    # Nothing of the old maps is left among the new ones, and nothing else was touched.
    assert [name for name in names_in(folder) if "." in name] == [
        "fused/000009.png", "motion/000009.png", "notes.txt",
    ]  # fmt: skip


@pytest.mark.parametrize("foreign", ["site.css", "cat.png", "000001.jpg", "folder"])
def test_maps_never_replace_what_is_not_a_map(tmp_path: Path, foreign: str) -> None:
    theirs = tmp_path / "static" / foreign
    if foreign == "folder":
        theirs.mkdir(parents=True)
    else:
        theirs.parent.mkdir()
        theirs.write_text("mine")
    with pytest.raises(VidsalError, match=f"other files than maps .{foreign}"):
        claim_folder(tmp_path, overwrite=True)
    # The file survives even if it appears after the check.
    with maps_sink(tmp_path) as sink:
        sink.write(make_saliency(1))
    assert theirs.exists()
    assert (tmp_path / "fused" / "000001.png").is_file()


def test_maps_folder_may_exist_empty_or_not_at_all(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new", overwrite=False)
    (tmp_path / "there").mkdir()
    claim_folder(tmp_path / "there", overwrite=False)
    assert names_in(tmp_path) == ["there"]
    with maps_sink(tmp_path / "there") as sink:
        sink.write(make_saliency())
    assert "there/fused/000000.png" in names_in(tmp_path)


def test_maps_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VidsalError, match="file is a file: give the name of a folder"):
        claim_folder(tmp_path / "file", overwrite=True)
    with pytest.raises(VidsalError, match="file is not a folder: give another name"):
        claim_folder(tmp_path / "file" / "maps", overwrite=True)


def test_maps_of_a_failed_run_are_not_there_and_old_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    for attempt in range(2):
        with pytest.raises(RuntimeError), maps_sink(folder) as sink:
            sink.write(make_saliency())
            raise RuntimeError
        if attempt == 0:
            assert names_in(tmp_path) == []
            (folder / "fused").mkdir(parents=True)
            (folder / "fused" / "000042.png").write_bytes(b"old")
    assert names_in(tmp_path) == ["maps", "maps/fused", "maps/fused/000042.png"]
