"""Datasets with ground truth: each layout, which frames are scored, and errors of one line."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import MakeClip
from numpy.typing import NDArray

from vidsal.errors import VidsalError
from vidsal.evaluation.datasets import Clip, Truth, open_datasets, sampled

HEADER = "x,y,first_frame,last_frame\n"


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _png(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def _mask(size: tuple[int, int], inside: tuple[slice, slice]) -> NDArray[np.uint8]:
    picture = np.zeros(size, np.uint8)
    picture[inside] = 255
    return picture


def _clips(folder: Path) -> list[Clip]:
    """The clips of the only dataset in a folder."""
    (dataset,) = open_datasets(folder)
    return dataset.clips


def _points(truth: Truth) -> list[tuple[float, float]]:
    assert truth.points is not None
    return [(row, column) for row, column in truth.points.tolist()]


def _error(folder: Path) -> str:
    """The message of a folder that is opened, and whose ground truth is read."""
    with pytest.raises(VidsalError) as caught:
        for clip in _clips(folder):
            for number in clip.numbers:
                clip.truth(number)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Videos with tables of fixations.


def _video(
    data: Path, make_clip: MakeClip, table: str, *, name: str = "a", rate: str = "10"
) -> Path:
    """A folder with one video of 20 frames, 48 x 64, and its table."""
    (data / "videos").mkdir(exist_ok=True)
    make_clip(f"{data.name}/videos/{name}.mp4", rate=rate)
    _text(data / "fixations" / f"{name}.csv", table)
    return data


def test_a_fixation_of_a_video_lasts_from_its_first_to_its_last_frame(
    data: Path, make_clip: MakeClip
) -> None:
    table = HEADER + "16,12,0,8\n48,36,7,11\n"
    (clip,) = _clips(_video(data, make_clip, table))
    assert (clip.name, clip.stems, clip.is_photo) == ("a", None, False)
    # Shares (row, column) of 48 x 64.
    first, second = (0.25, 0.25), (0.75, 0.75)
    assert _points(clip.truth(6)) == [first]
    assert _points(clip.truth(7)) == [first, second]
    assert _points(clip.truth(8)) == [first, second]
    assert _points(clip.truth(9)) == [second]
    assert _points(clip.truth(12)) == []
    assert clip.truth(7).density is None
    assert clip.truth(7).mask is None


@pytest.mark.parametrize(("rate", "first"), [("10", 5), ("25", 13), ("30000/1001", 15)])
def test_the_first_half_second_of_a_video_is_not_scored(
    rate: str, first: int, data: Path, make_clip: MakeClip
) -> None:
    (clip,) = _clips(_video(data, make_clip, HEADER + "16,12,0,17\n", rate=rate))
    assert clip.numbers == list(range(first, 18))


def test_the_frames_of_a_video_can_be_read_again(data: Path, make_clip: MakeClip) -> None:
    (clip,) = _clips(_video(data, make_clip, HEADER + "16,12,0,17\n"))
    once, again = list(clip.frames()), list(clip.frames())
    assert [frame.index for frame in once] == list(range(20))
    assert once[7].rgb.shape == (48, 64, 3)
    assert once[7].time_s == pytest.approx(0.7)
    np.testing.assert_array_equal(once[7].rgb, again[7].rgb)
    assert np.ptp(once[7].rgb) > 100


def test_fixations_outside_the_picture_are_dropped(data: Path, make_clip: MakeClip) -> None:
    inside = ["0,0", "63.9,47.9", "1.5,30"]
    outside = ["-0.1,5", "64,5", "5,-3", "5,48", "nan,5", "5,inf"]
    rows = "".join(f"{one},0,12\n" for one in outside[:3] + inside + outside[3:])
    (clip,) = _clips(_video(data, make_clip, HEADER + rows))
    expected = [(0, 0), (47.9 / 48, 63.9 / 64), (30 / 48, 1.5 / 64)]
    np.testing.assert_allclose(_points(clip.truth(10)), expected)


def test_a_table_may_have_more_columns_in_any_order_and_a_byte_order_mark(
    data: Path, make_clip: MakeClip
) -> None:
    table = "\ufefflast_frame,observer,y,x,first_frame\n9,anna,12,32,2\n"
    (clip,) = _clips(_video(data, make_clip, table))
    assert _points(clip.truth(9)) == [(0.25, 0.5)]
    assert _points(clip.truth(10)) == []


def test_a_fixation_without_a_time_is_dropped(data: Path, make_clip: MakeClip) -> None:
    table = HEADER + "16,12,0,8\n16,12,nan,nan\n16,12,3,inf\n"
    (clip,) = _clips(_video(data, make_clip, table))
    assert clip.numbers == [5, 6, 7, 8]
    assert len(_points(clip.truth(7))) == 1


def test_videos_without_a_table_and_hidden_files_are_skipped(
    data: Path, make_clip: MakeClip
) -> None:
    _video(data, make_clip, HEADER + "16,12,0,9\n", name="b")
    _video(data, make_clip, HEADER + "16,12,0,9\n", name="a")
    make_clip("data/videos/c.mp4")
    _text(data / "videos" / ".DS_Store", "not a video")
    assert [clip.name for clip in _clips(data)] == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "x,y,first_frame\n1,2,3\n",
            "a.csv has no column last_frame: expected x, y, first_frame, last_frame",
        ),
        ("1,2,3,4\n5,6,7,8\n", "a.csv has no column x: expected x, y, first_frame, last_frame"),
        (HEADER + "1,2,3\n", "a.csv cannot be read as a table of fixations: "),
        (HEADER + "1,2,3,soon\n", "a.csv cannot be read as a table of fixations: "),
        (HEADER + "1,,3,4\n", "a.csv cannot be read as a table of fixations: "),
        (HEADER + '"' + "1,2\n" * 40_000, "a.csv cannot be read as a table of fixations: "),
    ],
    ids=["no column", "no header", "short row", "word", "gap", "open quote"],
)
def test_a_broken_table_is_one_line(
    table: str, message: str, data: Path, make_clip: MakeClip
) -> None:
    path = data / "fixations" / message
    assert _error(_video(data, make_clip, table)).startswith(str(path))


def test_a_binary_table_is_one_line(data: Path, make_clip: MakeClip) -> None:
    _video(data, make_clip, "")
    (data / "fixations" / "a.csv").write_bytes(b"x,y\xff\xfe\x00\n")
    assert "a.csv cannot be read as a table of fixations: " in _error(data)


def test_a_file_that_is_not_a_video_is_one_line(data: Path) -> None:
    _text(data / "videos" / "a.mp4", "These are words.\n" * 50)
    _text(data / "fixations" / "a.csv", HEADER + "16,12,0,8\n")
    assert _error(data).endswith("a.mp4 is not a video or picture that can be read")


# Photos.


def test_a_photo_has_fixations_or_a_mask_or_both(data: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for name in ("both", "gaze", "object", "neither"):
        _png(data / "images" / f"{name}.png", picture)
    _text(data / "images" / "notes.txt", "no photo")
    _text(data / "masks" / "notes.png", "no mask")
    for name in ("both", "gaze"):
        _text(data / "fixations" / f"{name}.csv", "x,y\n10,15\n40,15\n39,29\n")
    # The mask has another size than the picture; white starts at half.
    mask = _mask((15, 20), np.s_[3:6, 5:9])
    mask[10, 10:12] = 127, 128
    for name in ("both", "object"):
        _png(data / "masks" / f"{name}.png", mask)

    clips = {clip.name: clip for clip in _clips(data)}
    assert list(clips) == ["both", "gaze", "object"]
    for name, clip in clips.items():
        assert (clip.numbers, clip.stems, clip.is_photo) == ([0], [name], True)
        (frame,) = clip.frames()
        np.testing.assert_array_equal(frame.rgb, picture[..., ::-1])
    both = clips["both"].truth(0)
    assert _points(both) == [(0.5, 0.25), (29 / 30, 39 / 40)]
    assert both.mask is not None
    expected = mask == 255
    expected[10, 11] = True
    np.testing.assert_array_equal(both.mask, expected)
    assert clips["gaze"].truth(0).mask is None
    assert _points(clips["gaze"].truth(0)) == _points(both)
    assert clips["object"].truth(0).points is None


def test_an_unreadable_mask_is_one_line(data: Path) -> None:
    _png(data / "images" / "a.png", np.zeros((30, 40, 3), np.uint8))
    _text(data / "masks" / "a.png", "no picture")
    assert _error(data) == f"{data / 'masks' / 'a.png'} cannot be read as a picture"


def test_the_table_of_a_photo_needs_two_columns(data: Path) -> None:
    _png(data / "images" / "a.png", np.zeros((30, 40, 3), np.uint8))
    _text(data / "fixations" / "a.csv", "x,row\n1,2\n")
    assert _error(data) == f"{data / 'fixations' / 'a.csv'} has no column y: expected x, y"


# Sequences.


def test_a_sequence_of_one_picture_is_not_a_photo(data: Path) -> None:
    _png(data / "bear" / "frames" / "00010.png", np.full((12, 16, 3), 40, np.uint8))
    _png(data / "bear" / "masks" / "00010.png", _mask((12, 16), np.s_[1:3, 4:8]))
    (clip,) = _clips(data)
    assert (clip.numbers, clip.is_photo) == ([0], False)


def test_a_sequence_of_pictures_has_masks_of_the_same_names(data: Path) -> None:
    for n in range(5):
        picture = np.full((12, 16, 3), 40 * n, np.uint8)
        _png(data / "bear" / "frames" / f"{n + 10:05d}.png", picture)
    for n in (1, 3):
        _png(data / "bear" / "masks" / f"{n + 10:05d}.png", _mask((12, 16), np.s_[n : n + 2, 4:8]))
    _png(data / "bear" / "masks" / "00099.png", _mask((12, 16), np.s_[0:2, 4:8]))
    _text(data / "bear" / "frames" / ".DS_Store", "no picture")
    (data / "empty" / "masks").mkdir(parents=True)
    (clip,) = _clips(data)
    assert clip.name == "bear"
    assert clip.stems == [f"{n + 10:05d}" for n in range(5)]
    assert clip.numbers == [1, 3]
    assert not clip.is_photo
    frames = list(clip.frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [int(frame.rgb.max()) for frame in frames] == [0, 40, 80, 120, 160]
    assert [frame.time_s for frame in frames] == pytest.approx([n / 24 for n in range(5)])
    mask = clip.truth(3).mask
    assert mask is not None
    np.testing.assert_array_equal(mask, _mask((12, 16), np.s_[3:5, 4:8]) > 0)
    assert clip.truth(3).points is None


def test_an_unreadable_mask_of_a_sequence_is_one_line(data: Path) -> None:
    for n in range(2):
        _png(data / "bear" / "frames" / f"{n}.png", np.zeros((12, 16, 3), np.uint8))
        _text(data / "bear" / "masks" / f"{n}.png", "no picture")
    assert _error(data) == f"{data / 'bear' / 'masks' / '0.png'} cannot be read as a picture"


# DHF1K.


def _dhf1k(data: Path, make_clip: MakeClip, *, frames: int = 10) -> Path:
    """The folders of DHF1K with one video: frame n, counted from 1, has fixations in row n."""
    (data / "video").mkdir()
    make_clip("data/video/007.avi", rate="10", codec="mpeg4", frames=frames)
    about = data / "annotation" / "0007"
    for n in range(1, frames + 1):
        _png(about / "fixation" / f"{n:04d}.png", _mask((48, 64), np.s_[n : n + 1, 16:18]))
        if n != 7:
            _png(about / "maps" / f"{n:04d}.png", np.full((48, 64), n, np.uint8))
    return data


def test_dhf1k_counts_frames_from_one(data: Path, make_clip: MakeClip) -> None:
    (clip,) = _clips(_dhf1k(data, make_clip))
    assert (clip.name, clip.stems) == ("007", None)
    # Ten frames a second: half a second is five frames.
    assert clip.numbers == [5, 6, 7, 8, 9]
    truth = clip.truth(5)
    assert _points(truth) == [(6.5 / 48, 16.5 / 64), (6.5 / 48, 17.5 / 64)]
    assert truth.density is not None
    assert truth.density.dtype == np.float32 and clip.first == 1
    np.testing.assert_array_equal(truth.density, np.full((48, 64), 6))
    assert truth.mask is None
    assert clip.truth(6).density is None
    assert [frame.index for frame in clip.frames()] == list(range(10))


def test_dhf1k_videos_without_annotation_are_skipped(data: Path, make_clip: MakeClip) -> None:
    _dhf1k(data, make_clip)
    make_clip("data/video/008.avi", rate="10", codec="mpeg4")
    make_clip("data/video/007b.avi", rate="10", codec="mpeg4")
    (data / "annotation" / "0009").mkdir()
    _text(data / "annotation" / "readme.txt", "words")
    assert [clip.name for clip in _clips(data)] == ["007"]


def test_files_with_other_names_are_not_annotation(data: Path, make_clip: MakeClip) -> None:
    _dhf1k(data, make_clip)
    for name in ("._0006.png", "mean.png"):
        _text(data / "annotation" / "0007" / "fixation" / name, "no picture")
    (clip,) = _clips(data)
    assert clip.numbers == [5, 6, 7, 8, 9]


def test_an_unreadable_fixation_map_is_one_line(data: Path, make_clip: MakeClip) -> None:
    _dhf1k(data, make_clip)
    _text(data / "annotation" / "0007" / "fixation" / "0006.png", "no picture")
    assert _error(data).endswith("0006.png cannot be read as a picture")


# Folders.


def test_a_folder_may_hold_several_datasets_of_any_layout(data: Path, make_clip: MakeClip) -> None:
    _png(data / "photos" / "images" / "a.png", np.zeros((30, 40, 3), np.uint8))
    _png(data / "photos" / "masks" / "a.png", _mask((30, 40), np.s_[:5, :5]))
    for n in range(2):
        _png(data / "objects" / "bear" / "frames" / f"{n}.png", np.zeros((12, 16, 3), np.uint8))
        _png(data / "objects" / "bear" / "masks" / f"{n}.png", _mask((12, 16), np.s_[:5, :5]))
    (data / "gaze" / "videos").mkdir(parents=True)
    make_clip("data/gaze/videos/b.mp4", rate="10")
    _text(data / "gaze" / "fixations" / "b.csv", HEADER + "16,12,0,9\n")
    (data / "other" / "deep").mkdir(parents=True)

    found = open_datasets(data)
    assert [one.name for one in found] == ["gaze", "objects", "photos"]
    assert [[clip.name for clip in one.clips] for one in found] == [["b"], ["bear"], ["a"]]
    # Each can be opened alone, also by a path that does not end with its name.
    for one in found:
        inner = next(path for path in (data / one.name).iterdir())
        (alone,) = open_datasets(inner / "..")
        assert alone.name == one.name
        assert [clip.name for clip in alone.clips] == [clip.name for clip in one.clips]


@pytest.mark.parametrize("inside", [(), ("images", "masks"), ("videos", "fixations"), ("a/masks",)])
def test_a_folder_without_truth_names_the_layouts(inside: tuple[str, ...], data: Path) -> None:
    for name in inside:
        (data / name).mkdir(parents=True)
    message = _error(data)
    assert message.startswith(f"{data} has no clips or photos with ground truth: ")
    for layout in ("videos/", "images/", "fixations/", "masks/", "CLIP/frames", "annotation/"):
        assert layout in message


def test_a_path_that_is_not_a_folder_is_one_line(data: Path) -> None:
    _text(data / "file", "words")
    for name in ("file", "missing"):
        assert _error(data / name) == f"{data / name} is not a folder"


# Which frames are scored.


def _clip(numbers: Iterable[int], fixations: Callable[[int], int], *, name: str = "a") -> Clip:
    def truth(number: int) -> Truth:
        return Truth(points=np.full((fixations(number), 2), 0.5))

    return Clip(name, None, list(numbers), lambda: iter(()), truth)


def test_one_frame_of_each_part_of_a_clip_is_scored() -> None:
    clip = _clip(range(100), lambda _: 8)
    for seed in range(5):
        chosen = list(sampled(clip, 8, seed))
        parts = np.array_split(np.arange(1, 100), 8)
        assert len(chosen) == 8
        for number, part in zip(chosen, parts, strict=True):
            assert number in part


def test_the_seed_and_the_name_say_which_frames() -> None:
    clip = _clip(range(200), lambda _: 8)
    first = list(sampled(clip, 10, 0))
    assert first == list(sampled(clip, 10, 0))
    others = [list(sampled(clip, 10, seed)) for seed in (1, 2)]
    others.append(list(sampled(_clip(range(200), lambda _: 8, name="b"), 10, 0)))
    for one, two in itertools.combinations([first, *others], 2):
        assert len(set(one) & set(two)) <= 5


def test_only_frames_with_ground_truth_are_scored() -> None:
    clip = _clip([0, 5, 9], lambda _: 8)
    assert list(sampled(clip, 12, 0)) == [5, 9]
    assert len(sampled(clip, 1, 0)) == 1
    assert sampled(_clip([0], lambda _: 8), 12, 0) == {}


def test_frames_with_few_fixations_are_not_scored() -> None:
    # Every fifth frame has enough fixations; a part of twenty frames has four such frames.
    clip = _clip(range(101), lambda number: 7 + (number % 5 == 0))
    chosen = sampled(clip, 5, 0)
    assert len(chosen) == 5
    assert all(number % 5 == 0 for number in chosen)
    assert all(truth.points is not None and len(truth.points) == 8 for truth in chosen.values())
    assert sampled(_clip(range(101), lambda _: 7), 5, 0) == {}


def test_clips_that_cannot_be_scored_are_named(
    data: Path, make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    _video(data, make_clip, HEADER + "16,12,0,17\n")
    for name in "bcde":
        make_clip(f"data/videos/{name}.mp4")
    assert [clip.name for clip in _clips(data)] == ["a"]
    names = "b.mp4, c.mp4, d.mp4 and others"
    assert caplog.messages == [f"data: 4 skipped, no usable ground truth: {names}"]


def test_frames_of_a_sequence_have_the_size_of_the_first_and_are_pictures(data: Path) -> None:
    for number, size in enumerate([(24, 32), (30, 40), (24, 32)]):
        _png(data / "walk" / "frames" / f"{number:05d}.png", np.zeros((*size, 3), np.uint8))
        _png(data / "walk" / "masks" / f"{number:05d}.png", _mask(size, np.s_[4:8, 4:8]))
    _text(data / "walk" / "frames" / "Thumbs.db", "no picture")
    (clip,) = _clips(data)
    assert [frame.rgb.shape for frame in clip.frames()] == [(24, 32, 3)] * 3
    assert clip.numbers == [0, 1, 2]
