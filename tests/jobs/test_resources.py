"""Who may start next, and on which devices."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runnerd.jobs import Capacity, Resources, Room, first_that_fits

asked = st.builds(
    Resources,
    cpus=st.sampled_from([0, 0.5, 1, 2, 4]),
    memory_bytes=st.integers(0, 8),
    gpus=st.integers(0, 4),
)


def test_the_first_that_fits_is_chosen() -> None:
    room = Room(slots=4, cpus=2)
    assert first_that_fits([Resources(cpus=1), Resources()], room) == 0
    assert first_that_fits([Resources(cpus=4), Resources()], room) == 1
    assert first_that_fits([], room) is None


def test_what_a_waiting_job_needs_is_kept_for_it() -> None:
    """Two of four processors are free, and the first in line waits for all four."""
    room = Room(slots=3, cpus=2, gpus=1)
    line = [Resources(cpus=4), Resources(cpus=1), Resources(gpus=1)]
    assert first_that_fits(line, room) == 2


def test_who_waits_keeps_a_slot_too() -> None:
    line = [Resources(gpus=1), Resources()]
    assert first_that_fits(line, Room(slots=1, gpus=0)) is None
    assert first_that_fits(line, Room(slots=2, gpus=0)) == 1


@given(st.lists(asked, max_size=6), st.lists(asked, max_size=20))
def test_the_first_in_line_is_never_passed_for_ever(
    running: list[Resources], behind: list[Resources]
) -> None:
    """Whatever is submitted behind it, it starts once those that ran before it have ended."""
    capacity = Capacity(slots=4, cpus=4, memory_bytes=8, gpus=(0, 1, 2, 3))
    first = Resources(cpus=4, memory_bytes=8, gpus=4)
    live = list[Resources]()
    for each in running:
        if capacity.left_by(live).fits(each):
            live.append(each)
    older = len(live)
    line = [first, *behind]
    while (place := first_that_fits(line, capacity.left_by(live))) is not None and place > 0:
        live.append(line.pop(place))
    for _ in range(older):
        live.pop(0)  # those that were there before it
        while (place := first_that_fits(line, capacity.left_by(live))) not in (None, 0):
            assert place is not None
            live.append(line.pop(place))
    for passed in live:  # who has passed it took nothing that it needs
        assert passed.cpus == 0 or passed.is_nothing


@given(st.lists(asked, max_size=8))
def test_no_more_is_given_than_there_is(line: list[Resources]) -> None:
    capacity = Capacity(slots=3, cpus=4, memory_bytes=8, gpus=(0, 2, 5))
    live = list[Resources]()
    held = list[int]()
    while (place := first_that_fits(line, capacity.left_by(live))) is not None:
        chosen = line.pop(place)
        devices = capacity.choose_gpus(chosen.gpus, held)
        assert devices is not None and len(devices) == chosen.gpus
        held += devices
        live.append(chosen)
    assert len(live) <= 3
    assert sum(each.cpus for each in live) <= 4
    assert sum(each.memory_bytes for each in live) <= 8
    assert len(set(held)) == len(held) and set(held) <= {0, 2, 5}


def test_parts_of_a_processor_add_up() -> None:
    tenth = Resources(cpus=0.1)
    assert Capacity(slots=99, cpus=1).left_by([tenth] * 9).fits(tenth)
    assert not Capacity(slots=99, cpus=1).left_by([tenth] * 10).fits(tenth)


def test_a_node_without_devices_counts_none() -> None:
    assert Capacity(slots=1, gpus=()).choose_gpus(0, []) is None
    assert Capacity(slots=1).room.gpus == math.inf


def test_words() -> None:
    assert Resources(cpus=1, memory_bytes=2**30, gpus=2).in_words() == "1 CPU, 1 GiB and 2 GPUs"
    assert Capacity(slots=1).in_words() == "no limits"
