"""Noise, SmoothGrad and integrated gradients, against closed forms."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from gradient_help import (
    CURVED,
    LINEAR,
    REVEALING,
    WEIGHTS,
    direct,
    maps_of,
    noise_of,
    pictures,
    stage_of,
)

from vidsal.types import Request, Target

# Noise


@pytest.mark.parametrize("share", [0.05, 0.15, 1.0])
def test_noise_is_as_strong_as_it_is_said(share: float) -> None:
    (rgb,) = pictures(1, (96, 128))
    noise = noise_of(rgb, noise=share)
    # 36,864 numbers: their deviation is known to 0.4 %, their mean to 0.5 % of it.
    assert noise.std() == pytest.approx(255 * share, rel=0.02)
    assert abs(noise.mean()) < 0.02 * 255 * share
    # Gaussian: of two thirds within one deviation, and one in 370 beyond three.
    assert np.mean(np.abs(noise) < 255 * share) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(np.abs(noise) > 3 * 255 * share) == pytest.approx(0.0027, abs=0.0015)
    # Colours and neighbours have their own.
    flat = noise.reshape(-1, 3)
    assert np.abs(np.corrcoef(flat.T) - np.eye(3)).max() < 0.03
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("samples", [4, 16, 100])
def test_samples_of_a_frame_are_independent(samples: int) -> None:
    (rgb,) = pictures(1, (48, 64))
    noise = noise_of(rgb, samples=samples)
    assert noise.std() == pytest.approx(255 * 0.15 / np.sqrt(samples), rel=0.05)


def test_noise_belongs_to_seed_frame_and_sample() -> None:
    (rgb,) = pictures(1, (48, 64))
    keys = [(seed, frame) for seed in (0, 1, 2**31 - 1) for frame in (0, 1, 2, 1_000_000)]
    drawn = [noise_of(rgb, seed=seed, frame=frame).ravel() for seed, frame in keys]
    assert np.array_equal(drawn[5], noise_of(rgb, seed=1, frame=1).ravel())
    # All differ, also a seed's next frame and the next seed's frame.
    alike = np.abs(np.corrcoef(np.stack(drawn)) - np.eye(len(keys)))
    assert alike.max() < 0.06
    # A frame's first sample is the same however many follow it.
    two = noise_of(rgb, frame=1, samples=2)
    second = 2 * two.ravel() - drawn[1]
    assert second.std() == pytest.approx(255 * 0.15, rel=0.05)
    assert abs(np.corrcoef(second, drawn[1])[0, 1]) < 0.06


def test_same_seed_same_maps() -> None:
    rgb = pictures(3)
    one, again, other = (
        maps_of(stage_of(CURVED, method="smoothgrad", seed=seed), rgb, samples=4)
        for seed in (7, 7, 8)
    )
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.05 * one.max()


def test_noise_does_not_depend_on_the_picture() -> None:
    first, second = pictures(2, (16, 16))
    assert noise_of(first) == pytest.approx(noise_of(second), abs=1e-3)


@pytest.mark.parametrize("rows", [1, 3, 4, 16, 64])
@pytest.mark.parametrize("method", ["smoothgrad", "integrated"])
def test_maps_do_not_depend_on_neighbours_or_calls(
    rows: int, method: Literal["smoothgrad", "integrated"]
) -> None:
    rgb = pictures(3)
    wanted = [Request(5, 1), Request(6, 3), Request(40, 16)]
    stage = stage_of(CURVED, Target(top=2), method=method, rows=rows)
    whole = stage.maps(rgb, wanted)
    calm = stage_of(CURVED, Target(top=2), method=method, rows=16)
    for order in ([0], [1], [2], [2, 0, 1]):
        part = calm.maps(rgb[order], [wanted[n] for n in order])
        assert part == pytest.approx(whole[order], rel=1e-4, abs=1e-6 * float(whole.max()))
    # The number of samples matters.
    more = stage.maps(rgb, [Request(one.frame, one.samples + 1) for one in wanted])
    assert (np.abs(more - whole).max(axis=(1, 2)) > 1e-3 * whole.max()).all()


# SmoothGrad


@pytest.mark.parametrize("samples", [1, 5, 16])
def test_smoothgrad_of_a_linear_network_is_its_gradient(samples: int) -> None:
    maps = maps_of(stage_of(LINEAR, 2, method="smoothgrad"), pictures(2), samples)
    for one in maps:
        assert one == pytest.approx(np.abs(WEIGHTS[..., 2]).max(axis=-1), rel=1e-5)


def test_smoothgrad_of_a_quadratic_network_tends_to_its_gradient() -> None:
    (rgb,) = pictures(1)
    stage = stage_of(REVEALING, 1, method="smoothgrad", reduce="sum")
    missed = []
    for samples in (16, 256, 4096):
        (one,) = stage.maps(rgb[None], [Request(0, samples)])
        missed.append(float(np.abs(one - rgb[..., 1]).max()))
        # Five deviations of a mean of so many; 48 pixels stay within it.
        assert missed[-1] < 5 * 255 * 0.15 / np.sqrt(samples)
    assert missed[2] < missed[0] / 4


def test_smoothgrad_averages_absolute_gradients() -> None:
    # At black the gradient of the squares is the noise itself, whose mean magnitude is known.
    rgb = np.zeros((1, 64, 64, 3), np.uint8)
    rgb[0, 0, 0] = 5  # Not flat.
    maps = maps_of(stage_of(REVEALING, 0, method="smoothgrad"), rgb, 16)
    assert maps.min() >= 0
    assert maps.mean() == pytest.approx(255 * 0.15 * np.sqrt(2 / np.pi), rel=0.02)


@pytest.mark.parametrize(("samples", "share"), [(2, 1 / 2), (3, 1 / 3), (1, 0)])
def test_maps_of_mirrored_copies_are_mirrored_back(samples: int, share: float) -> None:
    # The derivative is the same for both, so a mirrored copy gives the mirrored weights.
    weights = np.abs(WEIGHTS[..., 2]).max(axis=-1)
    stage = stage_of(LINEAR, 2, method="smoothgrad", mirror=True)
    expected = (1 - share) * weights + share * weights[:, ::-1]
    for one in maps_of(stage, pictures(2), samples):
        assert one == pytest.approx(expected, rel=1e-5)


def test_a_mirrored_picture_has_the_mirrored_map() -> None:
    rgb = pictures(2)
    stage = stage_of(CURVED, Target(top=2), method="smoothgrad", mirror=True)
    maps = stage.maps(rgb, [Request(3, 5), Request(4, 5, turn=1)])
    # Copies that were mirrored are not, and the other way round.
    others = stage.maps(rgb[:, :, ::-1].copy(), [Request(3, 5, turn=1), Request(4, 5)])
    assert others[:, :, ::-1] == pytest.approx(maps, rel=1e-4, abs=1e-6 * float(maps.max()))
    plain = stage_of(CURVED, Target(top=2), method="smoothgrad").maps(rgb, [Request(3, 5)] * 2)
    assert np.abs(plain - maps).max() > 0.05 * maps.max()


def test_without_noise_smoothgrad_is_the_gradient() -> None:
    rgb = pictures(2)
    plain = maps_of(stage_of(CURVED), rgb)
    assert maps_of(stage_of(CURVED, method="smoothgrad", noise=0.0), rgb, 3) == pytest.approx(
        plain, rel=1e-5, abs=1e-7 * float(plain.max())
    )


# Integrated gradients


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_integrated_gradients_of_a_linear_network(samples: int) -> None:
    rgb, target = pictures(2), 4
    maps = maps_of(stage_of(LINEAR, target, method="integrated", reduce="sum"), rgb, samples)
    expected = (WEIGHTS[..., target] * rgb.astype(np.float64)).sum(axis=-1)
    assert expected.min() < 0
    assert maps == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))
    logits, _ = direct(LINEAR, rgb)
    dark, _ = direct(LINEAR, np.zeros_like(rgb))
    assert maps.sum(axis=(1, 2)) == pytest.approx((logits - dark)[:, target], rel=1e-4)
    # Without a sign it is the magnitude of the same, not of each step's.
    unsigned = maps_of(stage_of(LINEAR, target, method="integrated"), rgb, samples)
    assert unsigned == pytest.approx(np.abs(maps), rel=1e-4, abs=1e-7)


def test_the_way_from_black_is_cut_in_the_middle_of_its_parts() -> None:
    # The midpoint rule is exact for squares: x * mean of the way is x^2 / 2 with any steps.
    rgb = pictures(2)
    for samples in (1, 2, 7):
        maps = maps_of(stage_of(REVEALING, 2, method="integrated", reduce="sum"), rgb, samples)
        assert maps == pytest.approx(rgb[..., 2].astype(np.float64) ** 2 / 2, rel=1e-5)
