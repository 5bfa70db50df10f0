"""Text in pictures: letters of many languages, complete, legible on any background."""

import numpy as np
import pytest

from vidsal.render.text import drawable, line_px, shortened, width_px, write

SIZES = [10, 12, 18, 40, 83]


def _written(text: str, size_px: int, *, ground: int = 128) -> np.ndarray:
    picture = np.full((3 * size_px, 2000, 3), ground, np.uint8)
    write(picture, text, size_px, left=20, top=size_px)
    return picture


@pytest.mark.parametrize("letter", [*"éàçñüßøœÅŁžğŐЖкωΔ犬…°%"])
def test_letters_of_many_languages_are_drawn(letter: str) -> None:
    drawn = _written(letter, 28)
    assert (drawn == 255).any()
    # It is not replaced by a question mark, a box or a plain letter.
    for other in "?□eacnuosALzgOKw":
        assert not np.array_equal(drawn, _written(other, 28))


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("by\udcff", "by?"), ("\ud83d", "?"), ("a\nb\tc\r", "a b c "), ("\0\x1b[1m\x7f", "??[1m?"),
        ("a\u2028b\x85", "a b "),
    ],
)  # fmt: skip
def test_what_is_no_text_is_replaced(text: str, drawn: str) -> None:
    """OpenCV ends the process at a half of a surrogate pair."""
    assert drawable(text) == drawn
    assert width_px(text, 18) == width_px(drawn, 18)
    assert np.array_equal(_written(text, 18), _written(drawn, 18))


@pytest.mark.parametrize("size_px", SIZES)
def test_digits_have_one_width(size_px: int) -> None:
    widths = {width_px(f"{digit}:{digit}{digit}", size_px) for digit in range(10)}
    assert len(widths) == 1


@pytest.mark.parametrize("size_px", SIZES)
@pytest.mark.parametrize("text", ["Égyptian cat, 12:34", "ÅÄÖ|gjpqyÇ", "W", "f"])
def test_text_lies_completely_in_its_box(text: str, size_px: int) -> None:
    picture = _written(text, size_px)
    rows = np.flatnonzero((picture != 128).any(axis=(1, 2)))
    columns = np.flatnonzero((picture != 128).any(axis=(0, 2)))
    assert size_px <= rows[0] and rows[-1] < size_px + line_px(size_px)
    assert 20 <= columns[0] <= columns[-1] < 20 + width_px(text, size_px)
    # With more room it looks the same.
    wide = _written(f"  {text}  ", size_px)
    assert (wide == 255).sum() == (picture == 255).sum()


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_text_is_white_with_a_black_outline(ground: int) -> None:
    picture = _written("tabby", 28, ground=ground)
    inside = picture[28 : 28 + line_px(28), 20 : 20 + width_px("tabby", 28)]
    assert inside.max() == 255
    if ground:
        assert inside.min() <= ground // 4 + 1


def test_long_text_is_shortened_and_keeps_its_tail() -> None:
    full = "a very long name of a class"
    room = width_px(full, 18) - 30
    short = shortened(full, 18, room, tail=" 52%")
    assert short.endswith("… 52%")
    assert full.startswith(short.removesuffix("… 52%"))
    assert room - 40 < width_px(short, 18) <= room
    assert shortened(full, 18, room + 200, tail=" 52%") == f"{full} 52%"


@pytest.mark.parametrize(("left", "top"), [(95, 5), (5, 25), (200, 5), (5, 200), (0, 0)])
def test_text_outside_the_picture_is_left_out(left: int, top: int) -> None:
    picture = np.full((30, 100, 3), 128, np.uint8)
    around = np.full((90, 300, 3), 128, np.uint8)
    write(picture, "Ag", 18, left=left, top=top, room=100)
    write(around, "Ag", 18, left=left, top=top, room=100)
    np.testing.assert_array_equal(picture, around[:30, :100])
