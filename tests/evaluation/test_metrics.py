"""Metrics on maps with scores in closed form, and compared with other programs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vidsal.evaluation.metrics import (
    auc_judd,
    cc,
    density,
    kl,
    max_f,
    mean_absolute_error,
    nss,
    overlap_curves,
    pixel_auc,
    pointing,
    s_measure,
    shuffled_auc,
    similarity,
)
from vidsal.types import Map

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

ONE_HOT = np.zeros((4, 5), np.float32)
ONE_HOT[1, 2] = 1
ON_IT = np.array([[1.5 / 4, 2.5 / 5]])
OFF_IT = np.array([[0.0, 0.0], [3.9 / 4, 4.9 / 5]])

MASKED: list[Callable[[Map, Mask], float]] = [max_f, mean_absolute_error, pointing, s_measure]


def _row(*values: float) -> Map:
    """A map of one row."""
    return np.array([values], np.float32)


def _mask(*values: int) -> Mask:
    return np.array([values], bool)


# Gaze.


def test_nss_in_closed_form() -> None:
    # Mean 1/20, deviation sqrt(1/20 - 1/400).
    deviation = np.sqrt(1 / 20 - 1 / 400)
    assert nss(ONE_HOT, ON_IT) == pytest.approx((1 - 1 / 20) / deviation)
    assert nss(ONE_HOT, OFF_IT) == pytest.approx((-1 / 20) / deviation)
    assert nss(np.full((3, 3), 0.7, np.float32), OFF_IT) == 0


def test_nss_does_not_depend_on_unit_or_offset() -> None:
    saliency = np.random.default_rng(0).random((9, 16), dtype=np.float32)
    points = np.random.default_rng(1).random((20, 2))
    assert nss(3 * saliency + 5, points) == pytest.approx(nss(saliency, points), abs=1e-5)


def test_auc_in_closed_form() -> None:
    # 19 of 20 pixels are below the hot one, which ties with itself.
    assert auc_judd(ONE_HOT, ON_IT) == pytest.approx(19.5 / 20)
    # A cold point ties with 19 pixels and is below one.
    assert auc_judd(ONE_HOT, OFF_IT) == pytest.approx(9.5 / 20)
    assert auc_judd(np.ones((4, 4), np.float32), OFF_IT) == 0.5


def test_shuffled_auc_in_closed_form() -> None:
    # Tenths of the way have the values 0 to 9.
    ramp = _row(*range(10))
    points = np.array([[0, 0.95], [0, 0.35]])
    others = np.array([[0, 0.05], [0, 0.35], [0, 0.75], [0, 0.99]])
    # 9 beats 0, 3, 7 and ties with 9; 3 beats 0 and ties with 3.
    assert shuffled_auc(ramp, points, others) == pytest.approx((3.5 + 1.5) / 8)
    assert shuffled_auc(ramp, others, points) == pytest.approx(1 - (3.5 + 1.5) / 8)
    assert shuffled_auc(ramp, points[:1], others[:3]) == 1
    assert shuffled_auc(ramp, others[:1], points) == 0
    assert shuffled_auc(np.ones((4, 4), np.float32), points, others) == 0.5


def test_a_centre_bias_has_a_shuffled_auc_of_chance() -> None:
    rows, columns = np.mgrid[-1:1:32j, -1:1:32j]
    middle = np.exp(-4 * (rows**2 + columns**2)).astype(np.float32)
    points = np.clip(np.random.default_rng(0).normal(0.5, 0.1, (400, 2)), 0, 0.999)
    assert auc_judd(middle, points) > 0.9
    assert shuffled_auc(middle, points[:200], points[200:]) == pytest.approx(0.5, abs=0.05)
    assert shuffled_auc(middle, points, points) == pytest.approx(0.5, abs=1e-12)


def test_a_point_lies_in_the_pixel_that_covers_it() -> None:
    saliency = np.arange(6, dtype=np.float32).reshape(2, 3)
    inside = np.array([[0.49, 0.3], [0.5, 0.34], [0.0, 0.67], [0.999, 0.999]])
    # Pixels 0, 4, 2 and 5 lie above 0, 4, 2 and 5 of six, and tie with themselves.
    expected = (0.5 + 4.5 + 2.5 + 5.5) / 4 / 6
    assert auc_judd(saliency, inside) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1))
def test_areas_are_counts_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = rng.integers(0, 4, (5, 6)).astype(np.float32)
    points, others = rng.random((4, 2)), rng.random((7, 2))
    mask = rng.random((5, 6)) > 0.6
    mask[0, 0], mask[0, 1] = True, False

    def at(where: Points) -> Map:
        rows, columns = (where[:, 0] * 5).astype(int), (where[:, 1] * 6).astype(int)
        return np.asarray(saliency[rows, columns])

    def pairs(above: Map, below: Map) -> float:
        larger = above.reshape(-1, 1) > below.reshape(1, -1)
        equal = above.reshape(-1, 1) == below.reshape(1, -1)
        return float(larger.mean() + equal.mean() / 2)

    assert auc_judd(saliency, points) == pytest.approx(pairs(at(points), saliency))
    assert shuffled_auc(saliency, points, others) == pytest.approx(pairs(at(points), at(others)))
    assert pixel_auc(saliency, mask) == pytest.approx(pairs(saliency[mask], saliency[~mask]))


@given(st.integers(0, 2**32 - 1))
def test_only_the_order_matters_to_areas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = rng.random((6, 7), dtype=np.float32)
    points = rng.random((5, 2))
    mask = rng.random((6, 7)) > 0.5
    mask[0, 0], mask[0, 1] = True, False
    squashed = np.sqrt(saliency)
    assert auc_judd(squashed, points) == pytest.approx(auc_judd(saliency, points), abs=0.03)
    assert pixel_auc(1 - saliency, mask) == pytest.approx(1 - pixel_auc(saliency, mask))


def test_density_is_a_gaussian_of_a_known_width() -> None:
    one = density(np.array([[0.5, 0.5]]), (60, 100))
    assert one.shape == (60, 100)
    assert one.dtype == np.float32
    assert one.sum() == pytest.approx(1, abs=1e-5)
    assert divmod(int(one.argmax()), 100) == (30, 50)
    # 0.03 of the width is 3 pixels, in both directions.
    for far in (1, 3, 6):
        expected = np.exp(-(far**2) / 2 / 3**2)
        assert one[30, 50 + far] / one[30, 50] == pytest.approx(expected, rel=1e-4)
        assert one[30 - far, 50] / one[30, 50] == pytest.approx(expected, rel=1e-4)


def test_density_is_the_mean_of_its_points() -> None:
    here, there = np.array([[0.3, 0.3]]), np.array([[0.7, 0.8]])
    both = density(np.concatenate([here, there, there]), (50, 100))
    apart = density(here, (50, 100)) / 3 + density(there, (50, 100)) * (2 / 3)
    np.testing.assert_allclose(both, apart, atol=1e-7)
    assert both[35, 80] / both[15, 30] == pytest.approx(2, rel=1e-4)


def test_density_at_the_border_is_cut_and_not_reflected() -> None:
    corner = density(np.array([[0.0, 0.0]]), (60, 100))
    assert corner.sum() == pytest.approx(1, abs=1e-5)
    # A reflection would make a neighbour of the border larger than it is elsewhere.
    assert corner[0, 3] / corner[0, 0] == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_cc_in_closed_form() -> None:
    # Deviations (-1.5, -.5, .5, 1.5) and (-1.5, .5, -.5, 1.5): 4 of 5.
    assert cc(_row(1, 2, 3, 4), _row(1, 3, 2, 4)) == pytest.approx(0.8)
    assert cc(_row(1, 2, 3, 4), _row(4, 3, 2, 1)) == pytest.approx(-1)
    assert cc(_row(1, 0, 0, 1), _row(1, 1, 0, 0)) == pytest.approx(0)
    assert cc(_row(1, 1, 1), _row(1, 2, 3)) == 0
    assert cc(_row(1, 2, 3), _row(1, 1, 1)) == 0


def test_cc_does_not_depend_on_unit_or_offset() -> None:
    rng = np.random.default_rng(0)
    saliency, truth = (rng.random((9, 16), dtype=np.float32) for _ in range(2))
    expected = pytest.approx(cc(saliency, truth), abs=1e-6)
    assert cc(3 * saliency + 5, truth / np.float32(7)) == expected
    assert cc(2 * truth + 1, truth) == pytest.approx(1)


def test_similarity_in_closed_form() -> None:
    assert similarity(_row(1, 1, 0, 0), _row(1, 1, 1, 1)) == pytest.approx(0.5)
    assert similarity(_row(3, 1, 0, 0), _row(0, 1, 1, 2)) == pytest.approx(0.25)
    assert similarity(_row(1, 1, 0, 0), _row(0, 0, 2, 5)) == 0
    assert similarity(_row(2, 6, 0, 8), _row(1, 3, 0, 4)) == pytest.approx(1)
    # A flat map is uniform; a map with negative values starts at its minimum.
    assert similarity(_row(0, 0, 0, 0), _row(1, 1, 0, 0)) == pytest.approx(0.5)
    assert similarity(_row(-2, -1, -2, -1), _row(0, 1, 0, 0)) == pytest.approx(0.5)


def test_kl_in_closed_form() -> None:
    even, half = _row(1, 1, 1, 1), _row(1, 1, 0, 0)
    assert kl(even, half) == pytest.approx(np.log(2))
    assert kl(_row(3, 1), _row(1, 1)) == pytest.approx(np.log(2 / 3) / 2 + np.log(2) / 2)
    assert kl(half * 5, half) == pytest.approx(0, abs=1e-9)
    assert kl(np.zeros((1, 4), np.float32), half) == pytest.approx(np.log(2))
    # A missed fixation costs as much as the constant allows: 1 / epsilon.
    assert kl(_row(0, 0, 1, 1), _row(1, 0, 0, 0)) == pytest.approx(np.log(2.0**52))


@given(st.integers(0, 2**32 - 1))
def test_a_density_is_the_best_map_of_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency, truth = (rng.random((6, 7), dtype=np.float32) for _ in range(2))
    assert kl(saliency, truth) > kl(truth, truth) == pytest.approx(0, abs=1e-9)
    assert similarity(saliency, truth) < similarity(truth, truth) == pytest.approx(1)
    assert similarity(saliency, truth) == pytest.approx(similarity(truth, saliency))
    assert kl(4 * saliency, truth) == pytest.approx(kl(saliency, truth))


# Masks.


def test_pixel_auc_in_closed_form() -> None:
    mask = np.zeros((2, 2), bool)
    mask[0] = True
    assert pixel_auc(np.array([[4, 3], [2, 1]], np.float32), mask) == 1
    assert pixel_auc(np.array([[1, 2], [3, 4]], np.float32), mask) == 0
    # 4 beats 3 and 1; 2 beats 1 alone: three pairs of four.
    assert pixel_auc(np.array([[4, 2], [3, 1]], np.float32), mask) == 0.75
    assert pixel_auc(np.ones((2, 2), np.float32), mask) == 0.5


@pytest.mark.parametrize("fill", [True, False])
def test_pixel_auc_needs_both_sides(fill: bool) -> None:
    with pytest.raises(ValueError, match="inside and outside"):
        pixel_auc(ONE_HOT, np.full(ONE_HOT.shape, fill))


def test_mean_absolute_error_in_closed_form() -> None:
    mask = _mask(1, 0, 0, 1)
    assert mean_absolute_error(_row(1, 0, 0, 1), mask) == 0
    assert mean_absolute_error(_row(0, 1, 1, 0), mask) == 1
    # From its minimum to its maximum: 1, 0.5, 0, 0.5.
    assert mean_absolute_error(_row(0.6, 0.4, 0.2, 0.4), mask) == pytest.approx(0.25)
    assert mean_absolute_error(_row(0.3, 0.3, 0.3, 0.3), _mask(1, 0, 0, 0)) == pytest.approx(0.4)


def test_max_f_in_closed_form() -> None:
    mask = _mask(1, 0, 1, 0)
    assert max_f(_row(1, 0, 0.5, 0), mask) == pytest.approx(1)
    # The highest alone: precision 1, recall 1/2; the three highest: 2/3 and 1, which is 0.72.
    assert max_f(_row(1, 0.8, 0.5, 0), mask) == pytest.approx(1.3 * 0.5 / (0.3 + 0.5))
    # If only the lowest threshold selects the object: precision 1/2, recall 1.
    everything = 1.3 * 0.5 / (0.3 * 0.5 + 1)
    assert max_f(_row(0, 1, 0, 1), mask) == pytest.approx(everything)
    assert max_f(np.zeros((1, 4), np.float32), mask) == pytest.approx(everything)
    # Two pixels a 512th apart are one level of 256.
    one_of_three = 1.3 / 3 / (0.3 / 3 + 1)
    assert max_f(_row(0, 1, 0.5, 0.5 + 1 / 512), _mask(0, 0, 0, 1)) == pytest.approx(one_of_three)


def test_s_measure_in_closed_form() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:, :2] = True
    assert s_measure(mask.astype(np.float32), mask) == pytest.approx(1)
    # Both sides score 2 x 0.5 / (0.25 + 1). The centre of the mask separates its first column, a
    # quarter of the picture that is uniform in both; the other parts score 0.
    flat = np.full((4, 4), 0.5, np.float32)
    assert s_measure(flat, mask) == pytest.approx((0.8 + 0.25) / 2)
    # The inverse scores 0 on both sides, and less where both vary: a negative result becomes 0.
    assert s_measure(1 - mask.astype(np.float32), mask) == 0


def test_s_measure_counts_the_parts_by_their_size() -> None:
    mask = np.zeros((6, 6), bool)
    mask[2:4, 2:4] = True
    shares = mask.astype(np.float32)
    shares[0, 5] = 1
    # The object scores 1; outside of it, 1 - map has 31 ones of 32.
    mean, deviation = 31 / 32, np.sqrt((31 * (1 / 32) ** 2 + (31 / 32) ** 2) / 31)
    whole = 4 / 36 + 32 / 36 * 2 * mean / (mean**2 + 1 + deviation)
    # The centre of the mask, 2.5, rounds to row and column 2: the parts are 3 x 3. All score 1 but
    # the upper right one, where one pixel is mask and one other pixel is salient.
    x, y = 2 / 9, 1 / 9
    squares = (2 - 9 * x**2) + (1 - 9 * y**2)
    part = 4 * x * y * (1 - 9 * x * y) / ((x**2 + y**2) * squares)
    assert s_measure(shares, mask) == pytest.approx((whole + (3 + part) / 4) / 2)


def test_s_measure_without_an_object_is_one_minus_the_mean() -> None:
    saliency = _row(0.2, 0.4, 0.6, 0.2)
    # Scaled to its minimum and maximum: 0, 0.5, 1, 0.
    assert s_measure(saliency, _mask(0, 0, 0, 0)) == pytest.approx(1 - 0.375)
    assert s_measure(saliency, _mask(1, 1, 1, 1)) == pytest.approx(0.375)


def test_pointing_follows_the_peak() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    inside, outside = np.zeros((2, 40, 60), np.float32)
    inside[12, 28], outside[12, 31] = 1, 1
    assert (pointing(inside, mask), pointing(outside, mask)) == (1, 0)
    # A single brighter pixel is not the peak.
    inside[8:18, 12:22], inside[30, 50] = 0.8, 1
    assert pointing(inside, mask) == 1
    inside[28:33, 48:53] = 1
    assert pointing(inside, mask) == 0


@pytest.mark.parametrize("measure", MASKED)
def test_scores_of_masks_do_not_depend_on_unit_or_offset(
    measure: Callable[[Map, Mask], float],
) -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 32), bool)
    mask[6:16, 8:20] = True
    saliency = (mask * 0.3 + rng.random((24, 32)) * 0.5).astype(np.float32)
    expected = measure(saliency, mask)
    assert 0.1 < expected <= 1
    other = saliency / np.float32(4) + np.float32(0.1)
    assert measure(other, mask) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("measure", [max_f, s_measure, pixel_auc])
def test_the_mask_itself_is_the_best_map(measure: Callable[[Map, Mask], float]) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((20, 30)) > 0.7
    best = measure(mask.astype(np.float32), mask)
    worse = [mask * 0.5 + rng.random(mask.shape) * share for share in (0.3, 1.0, 3.0)]
    scores = [best] + [measure(one.astype(np.float32), mask) for one in worse]
    assert best == pytest.approx(1)
    # With noise of a third of the contrast, all pixels of the object are still above the rest.
    assert scores[0] >= scores[1] > scores[2] > scores[3]


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("fill", ["none", "some", "all"])
@pytest.mark.parametrize("measure", MASKED)
@pytest.mark.filterwarnings("error")
def test_flat_maps_and_empty_masks_have_a_score(
    measure: Callable[[Map, Mask], float], fill: str, level: float
) -> None:
    mask = np.full((6, 8), fill == "all")
    if fill == "some":
        mask[1:3, 2:5] = True
    for saliency in (np.full((6, 8), level, np.float32), np.tile(_row(0, level), (6, 4))):
        assert 0 <= measure(saliency, mask) <= 1


def test_empty_and_full_masks() -> None:
    assert max_f(_row(0, 0.5, 1), _mask(0, 0, 0)) == 0
    assert max_f(_row(0, 0.5, 1), _mask(1, 1, 1)) == 1
    assert pointing(_row(0, 0.5, 1), _mask(0, 0, 0)) == 0
    assert pointing(_row(0, 0.5, 1), _mask(1, 1, 1)) == 1


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.filterwarnings("error")
def test_a_flat_map_is_the_uniform_distribution(level: float) -> None:
    # A uniform map has half of its sum in this half of the picture.
    truth, flat = _row(0.2, 0.2, 0, 0), np.full((1, 4), level, np.float32)
    assert (cc(flat, truth), cc(truth, flat), cc(flat, flat)) == (0, 0, 0)
    assert similarity(flat, truth) == pytest.approx(0.5)
    assert kl(flat, truth) == pytest.approx(np.log(2))
    # log(eps + (1/4) / eps) in two places of four, log(1/2) in the other two.
    assert kl(truth, flat) == pytest.approx((np.log(2.0**50) - np.log(2)) / 2)
    assert similarity(flat, flat) == 1
    assert kl(flat, flat) == pytest.approx(0, abs=1e-9)


# Reference scores of other programs, on generated maps.


def _seen(seed: int) -> tuple[NDArray[np.uint8], Mask]:
    """An object, and a noisy map that has found some of it."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(30, 70, 2))
    rows, columns = np.mgrid[:height, :width]
    top, left = rng.uniform(0.2, 0.8, 2) * (height, width)
    distance = np.hypot(rows - top, columns - left)
    mask = distance < rng.uniform(4, 15)
    found = 150 * np.exp(-((distance / rng.uniform(5, 15)) ** 2)) + 80 * rng.random(mask.shape)
    return np.asarray(found, np.uint8), np.asarray(mask, bool)


def _share(picture: NDArray[np.uint8]) -> Map:
    return np.asarray(picture / 255, np.float32)


def _gazed(seed: int) -> tuple[Map, Map, Points, Points]:
    """A map with ties, a density, and fixations on this picture and on others."""
    rng = np.random.default_rng(seed)
    saliency = np.floor(12 * rng.random((24, 40)) ** 2).astype(np.float32)
    truth = np.maximum(rng.random((24, 40)) - 0.4, 0).astype(np.float32)
    return saliency, truth, rng.random((25, 2)), rng.random((60, 2)) ** 2


# MAE, the largest F-measure and the S-measure, computed by PySODMetrics 1.6.2.
PYSODMETRICS = {
    0: (0.2608132898491643, 0.5771028037383178, 0.4474584213839018),
    1: (0.28815022421524666, 0.8030181086519116, 0.5702091968331335),
    2: (0.2543793152537547, 0.6861111111111111, 0.48754930692585513),
    3: (0.25593196112064037, 0.8027036901717208, 0.5856521485034718),
}
# NSS, AUC, shuffled AUC, CC, SIM and KL, computed by pysaliency 0.2.22.
PYSALIENCY = {
    0: (0.2049610945, 0.5592708333, 0.5016666667, -0.0397572653, 0.4054720700, 8.7366561890),
    1: (0.0355188153, 0.5122083333, 0.4960000000, 0.0354382214, 0.4361695349, 8.7464885712),
    2: (-0.3538348064, 0.3977291667, 0.4356666667, 0.0244675211, 0.4309539199, 9.1243114471),
}


def _masked_scores(seed: int) -> list[float]:
    picture, mask = _seen(seed)
    return [one(_share(picture), mask) for one in (mean_absolute_error, max_f, s_measure)]


def _gaze_scores(seed: int) -> list[float]:
    saliency, truth, points, others = _gazed(seed)
    return [
        nss(saliency, points), auc_judd(saliency, points), shuffled_auc(saliency, points, others),
        cc(saliency, truth), similarity(saliency, truth), kl(saliency, truth),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", PYSODMETRICS)
def test_masks_are_scored_as_by_pysodmetrics(seed: int) -> None:
    assert _masked_scores(seed) == pytest.approx(PYSODMETRICS[seed], abs=1e-5)


@pytest.mark.parametrize("seed", PYSALIENCY)
def test_gaze_is_scored_as_by_pysaliency(seed: int) -> None:
    # Its constant in KL is rounded to five digits.
    assert _gaze_scores(seed) == pytest.approx(PYSALIENCY[seed], abs=3e-5)


def by_pysodmetrics(program: Any, seed: int) -> list[float]:
    """The scores that PySODMetrics itself gives."""
    picture, mask = _seen(seed)
    error, f_measure, structure = program.MAE(), program.Fmeasure(), program.Smeasure()
    for one in (error, f_measure, structure):
        one.step(picture, np.asarray(mask * 255, np.uint8))
    return [
        float(error.get_results()["mae"]),
        float(f_measure.changeable_fms[0].max()),
        float(structure.get_results()["sm"]),
    ]


def by_pysaliency(program: Any, seed: int) -> list[float]:
    """The scores that pysaliency itself gives; others' fixations are those on a second picture."""
    saliency, truth, points, others = _gazed(seed)
    blank = np.zeros((*saliency.shape, 3), np.uint8)
    stimuli = program.Stimuli([blank, blank + 1])
    rows, columns = np.concatenate([points, others]).T * np.array([saliency.shape]).T
    which = np.repeat([0, 1], [len(points), len(others)])
    fixations = program.Fixations.create_without_history(columns, rows, which)
    whole = type("Whole", (program.SaliencyMapModel,), {"_saliency_map": lambda *_: saliency})()
    first = fixations[which == 0]
    shuffled = whole.AUCs(stimuli, fixations, nonfixations="shuffled")[which == 0]
    return [
        float(whole.NSSs(stimuli, first).mean()),
        float(whole.AUCs(stimuli, first, nonfixations="uniform").mean()),
        float(shuffled.mean()),
        float(program.metrics.CC(saliency, truth)),
        float(program.metrics.SIM(saliency, truth)),
        float(program.metrics.MIT_KLDiv(saliency, truth)),
    ]


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_pysodmetrics_gives_the_same() -> None:
    program = pytest.importorskip("py_sod_metrics")
    for seed in range(20):
        assert _masked_scores(seed) == pytest.approx(by_pysodmetrics(program, seed), abs=1e-5), seed
    for seed, expected in PYSODMETRICS.items():
        assert by_pysodmetrics(program, seed) == pytest.approx(expected, abs=1e-9)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
def test_pysaliency_gives_the_same() -> None:
    program = pytest.importorskip("pysaliency")
    for seed in range(20):
        assert _gaze_scores(seed) == pytest.approx(by_pysaliency(program, seed), abs=3e-5), seed
    for seed, expected in PYSALIENCY.items():
        assert by_pysaliency(program, seed) == pytest.approx(expected, abs=1e-6)


def test_overlap_curves_of_a_two_level_map_in_closed_form() -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 1:4] = True
    values = np.zeros((4, 6), np.float32)
    # Half of the object is hit at the top, all of it and as many others at half of that.
    values[:2, 1:4] = 0.5
    values[1:3, 1:4] = np.maximum(values[1:3, 1:4], 0.5)
    values[1, 1:4] = 1.0
    curves = overlap_curves(values, mask)
    assert curves.f.shape == curves.j.shape == (256,)
    # The thresholds fall from 255 to 0.
    assert curves.j[0] == pytest.approx(3 / 6) and curves.j[-1] == pytest.approx(6 / 24)
    assert curves.j[128] == pytest.approx(6 / 9)
    assert curves.f[0] == pytest.approx(1.3 * 1 * 0.5 / (0.3 * 1 + 0.5))
    assert curves.f[128] == pytest.approx(1.3 * (2 / 3) / (0.3 * 2 / 3 + 1))
    assert max_f(values, mask) == pytest.approx(max(curves.f))
    assert not overlap_curves(values, np.zeros_like(mask)).f.any()
