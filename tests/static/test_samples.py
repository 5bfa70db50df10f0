"""The samples of gradient maps: noise from a field, steps from black, rows of a call."""

import numpy as np
import pytest

from vidsal.settings import Method
from vidsal.static.samples import NoiseField, Samples, calls
from vidsal.types import Map, Request, Rgb

SHAPE = (6, 8, 3)


def field(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> NoiseField:
    values = np.random.default_rng(3).standard_normal(NoiseField.length(shape), np.float32)
    return NoiseField(values, seed)


def pictures(count: int) -> Rgb:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), np.uint8)


def whole(parts: list[Samples], name: str) -> Map:
    return np.concatenate([getattr(one, name) for one in parts])


def test_excerpts_of_one_field_are_uncorrelated() -> None:
    shape = (64, 96, 3)
    noise = field(shape=shape)
    drawn = np.stack([noise.excerpt(shape, n, m).ravel() for n in range(30) for m in range(4)])
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    correlation = np.corrcoef(drawn) - np.eye(len(drawn))
    # 7140 pairs of 18432 values: independent ones differ from 0 by 0.0074 each.
    assert np.abs(correlation).max() < 5 / np.sqrt(64 * 96 * 3)
    assert correlation[np.triu_indices(len(drawn), 1)].std() == pytest.approx(
        1 / np.sqrt(64 * 96 * 3), rel=0.05
    )


def test_an_excerpt_depends_on_seed_frame_and_number_alone() -> None:
    keys = [(s, f, n) for s in (0, 1) for f in (0, 1, 10**6) for n in (0, 1)]
    drawn = [field(s).excerpt(SHAPE, f, n) for s, f, n in keys]
    again = [field(s).excerpt(SHAPE, f, n) for s, f, n in keys]
    assert all(np.array_equal(*pair) for pair in zip(drawn, again, strict=True))
    assert len({one.tobytes() for one in drawn}) == len(keys)


def test_a_field_holds_two_pictures_of_any_size() -> None:
    large = (1024, 4096, 3)
    assert NoiseField.length(SHAPE) == 2**22
    assert NoiseField.length(large) == 2 * 1024 * 4096 * 3


def test_places_where_excerpts_begin_are_spread_over_the_field() -> None:
    length = NoiseField.length(SHAPE)
    counting = NoiseField(np.arange(length, dtype=np.float32), 0)
    starts = [counting.excerpt(SHAPE, n, 0)[0, 0, 0] for n in range(2000)]
    shares, _ = np.histogram(np.array(starts) / length, bins=10, range=(0, 1))
    assert (np.abs(shares / 2000 - 0.1) < 0.03).all()
    assert max(starts) < length - np.prod(SHAPE) + 1


@pytest.mark.parametrize("rows", [1, 3, 4, 16])
def test_each_sample_is_the_picture_plus_its_noise_in_any_call(rows: int) -> None:
    rgb, noise = pictures(3), field()
    requests = [Request(5, 2), Request(7, 1), Request(9, 3, class_id=4)]
    parts = list(calls(rgb, requests, method="smoothgrad", noise=noise, rows=rows, class_id=2))
    assert all(len(one.points) <= rows for one in parts)
    found, counted = whole(parts, "points"), whole(parts, "factors") > 0
    expected = [
        rgb[n] + noise.excerpt(SHAPE, requests[n].frame, m)
        for n in range(3) for m in range(requests[n].samples)
    ]  # fmt: skip
    assert counted.sum() == 6
    assert np.allclose(found[counted], np.stack(expected), atol=1e-4)
    assert whole(parts, "class_ids")[counted].tolist() == [2, 2, 2, 4, 4, 4]
    owners = np.concatenate([one.pictures[one.slots] for one in parts])
    assert owners[counted].tolist() == [0, 0, 1, 2, 2, 2]


def test_copies_of_odd_turns_are_mirrored() -> None:
    rgb, noise = pictures(2), field()
    requests = [Request(5, 3), Request(9, 2, turn=7)]
    parts = list(calls(rgb, requests, method="smoothgrad", noise=noise, mirror=True, rows=4))
    counted = whole(parts, "factors") > 0
    assert whole(parts, "is_mirrored")[counted].tolist() == [False, True, False, True, False]
    expected = [
        (rgb[n, :, ::-1] if is_mirrored else rgb[n]) + noise.excerpt(SHAPE, frame, number)
        for n, frame, number, is_mirrored in (
            (0, 5, 0, False), (0, 5, 1, True), (0, 5, 2, False), (1, 9, 0, True), (1, 9, 1, False)
        )
    ]  # fmt: skip
    assert np.allclose(whole(parts, "points")[counted], np.stack(expected), atol=1e-4)


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_methods_of_one_picture_mirror_nothing(method: Method) -> None:
    (part,) = calls(pictures(1), [Request(0, 4, turn=1)], method=method, mirror=True, rows=4)
    assert not part.is_mirrored.any()


def test_calls_are_padded_to_few_sizes_and_padding_does_not_count() -> None:
    for count, rows, sizes, counted in (
        (23, 16, [16, 4, 4], [16, 4, 3]), (22, 16, [16, 4, 1, 1], [16, 4, 1, 1]),
        (1, 16, [1], [1]), (2, 2, [2], [2]), (3, 2, [2, 1], [2, 1]), (5, 3, [3, 1, 1], [3, 1, 1]),
    ):  # fmt: skip
        requests = [Request(n, 1) for n in range(count)]
        parts = list(calls(pictures(count), requests, method="gradient", rows=rows))
        assert [len(one.points) for one in parts] == sizes
        assert [one.factors.sum() for one in parts] == counted


def test_a_picture_of_one_colour_has_no_weight() -> None:
    rgb = pictures(3)
    rgb[1] = 100
    rgb[1, 0, 0, 0] = 104
    requests = [Request(n, 1) for n in range(3)]
    (part,) = calls(rgb, requests, method="gradient", rows=3)
    assert part.factors.tolist() == [1, 0, 1]
    rgb[1, 0, 0, 0] = 105
    (part,) = calls(rgb, requests, method="gradient", rows=3)
    assert part.factors.tolist() == [1, 1, 1]


def test_steps_from_black_integrate_a_square() -> None:
    # Along the line the gradient of x² is 2 s x; the integral times x is x².
    rgb = pictures(1)
    for samples, tolerance in ((4, 0.03), (64, 2e-4)):
        (part,) = calls(rgb, [Request(0, samples)], method="integrated", rows=samples)
        maps = 2 * part.points * part.points * part.factors[:, None, None, None]
        assert maps.mean(axis=0) == pytest.approx(
            rgb[0].astype(np.float64) ** 2, rel=tolerance, abs=1e-3
        )
