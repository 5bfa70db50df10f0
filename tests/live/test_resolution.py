"""The choice of the size that keeps up with a camera."""

import pytest

from vidsal.live.resolution import Size, SizeController, sizes


def test_sizes_are_steps_down_from_what_was_asked_for() -> None:
    assert sizes(320, 256) == [Size(320, 256), Size(256, 192), Size(192, 160), Size(144, 128)]
    assert sizes(32, 32) == [Size(32, 32)]


def _sized(
    controller: SizeController, seconds: float, begin_s: float = 0.0, **how: float
) -> list[Size]:
    known = {"fps_in": 30.0, "fps_out": 30.0, "latency_ms": 50.0, "busy": 0.9} | how
    return [controller.update(begin_s + n / 4, **known) for n in range(int(seconds * 4))]


def test_a_size_that_holds_the_rate_stays() -> None:
    controller = SizeController(sizes(320, 256))
    assert set(_sized(controller, 60, fps_out=28.0)) == {Size(320, 256)}


def test_a_rate_that_is_not_held_makes_it_smaller_step_by_step() -> None:
    controller = SizeController(sizes(320, 256))
    found = _sized(controller, 60, fps_out=20.0)
    assert list(dict.fromkeys(found)) == sizes(320, 256)
    assert found.index(Size(256, 192)) == 16  # After four seconds behind.
    assert _sized(SizeController(sizes(320, 256)), 9, fps_out=5.0).index(Size(256, 192)) == 8


def test_room_to_spare_makes_it_larger() -> None:
    controller = SizeController(sizes(320, 256))
    _sized(controller, 5, fps_out=20.0)
    assert controller.now == Size(256, 192)
    found = _sized(controller, 80, 5, busy=0.2)
    assert found.index(Size(320, 256)) == 10 * 4
    assert Size(320, 256) not in _sized(SizeController(sizes(320, 256)[1:]), 80, busy=0.2)


def _climbs(holds_s: float, times: int) -> list[float]:
    """Seconds of room to spare after which the full size is tried, each time held for a while."""
    controller, now_s, waits = SizeController(sizes(320, 256)), 0.0, []
    for _ in range(times):
        now_s += len(_sized(controller, holds_s, now_s)) / 4
        while controller.now == Size(320, 256):
            now_s += len(_sized(controller, 0.25, now_s, fps_out=20.0)) / 4
        begin_s = now_s
        while controller.now != Size(320, 256):
            now_s += len(_sized(controller, 0.25, now_s, busy=0.2)) / 4
        waits.append(now_s - begin_s)
    return waits


def test_a_size_that_was_taken_too_soon_is_tried_later_each_time_but_not_for_ever() -> None:
    assert _climbs(2, 6) == pytest.approx([10, 40, 160, 600, 600, 600], abs=0.5)


def test_a_size_that_was_held_for_a_minute_is_tried_again_as_soon() -> None:
    assert _climbs(70, 4) == pytest.approx([10] * 4, abs=0.5)


@pytest.mark.parametrize(("busy", "is_larger"), [(0.4, True), (0.5, False)])
def test_less_than_half_of_the_time_has_to_be_spare(busy: float, is_larger: bool) -> None:
    # The next larger size takes up to 1.8 times as long.
    controller = SizeController(sizes(320, 256))
    _sized(controller, 5, fps_out=20.0)
    assert (Size(320, 256) in _sized(controller, 80, 5, busy=busy)) == is_larger


def test_after_a_pause_it_is_waited_anew() -> None:
    controller = SizeController(sizes(320, 256))
    _sized(controller, 1)
    controller.resume()
    # Two seconds from here on, not from the beginning.
    assert set(_sized(controller, 1.9, 60, fps_out=5.0)) == {Size(320, 256)}
    assert _sized(controller, 1, 62, fps_out=5.0)[0] == Size(256, 192)


def test_a_latency_target_is_held_instead_of_the_rate() -> None:
    assert _sized(SizeController(sizes(320, 256), 100), 20, fps_out=5)[-1] == Size(320, 256)
    assert _sized(SizeController(sizes(320, 256), 100), 20, latency_ms=150)[-1] == Size(144, 128)
