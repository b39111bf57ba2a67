"""The memory that unfinished messages share, and who gives way."""

from __future__ import annotations

import sys
import threading

from rfc6455.budget import MemoryBudget
from rfc6455.connection import Connection, Role
from rfc6455.events import Fault
from rfc6455.frames import Opcode
from rfc6455.state import State
from tests.helpers import both_roles, peer_frame


class Holder:
    gave_way = 0

    def give_way(self) -> None:
        self.gave_way += 1


def test_the_largest_gives_way() -> None:
    budget = MemoryBudget(10)
    first, second, third = Holder(), Holder(), Holder()
    budget.charge(first, 4)
    budget.charge(second, 5)
    budget.charge(third, 1)
    assert budget.used == 10
    budget.charge(third, 2)
    assert (first.gave_way, second.gave_way, third.gave_way) == (0, 1, 0)
    assert budget.used == 6


def test_as_many_give_way_as_it_takes() -> None:
    budget = MemoryBudget(10)
    holders = [Holder() for _ in range(5)]
    for holder in holders:
        budget.charge(holder, 2)
    large = Holder()
    budget.charge(large, 11)
    assert large.gave_way == 1
    assert budget.used == 10
    budget.limit = 5
    budget.charge(holders[0], 3)
    assert sum(holder.gave_way for holder in holders) == 3
    assert budget.used == 4


def test_who_was_told_to_go_is_not_counted_until_it_has_gone() -> None:
    budget = MemoryBudget(10)
    first, second = Holder(), Holder()
    budget.charge(first, 6)
    budget.charge(second, 5)
    assert first.gave_way == 1
    for size in (7, 8, 100):
        budget.charge(first, size)
    assert (first.gave_way, second.gave_way, budget.used) == (1, 0, 5)
    budget.charge(first, 0)
    budget.charge(first, 5)
    assert budget.used == 10


def test_who_lets_go_is_forgotten() -> None:
    budget = MemoryBudget(10)
    holder = Holder()
    for _ in range(100):
        budget.charge(holder, 10)
        budget.charge(holder, 0)
    budget.charge(holder, 0)
    assert budget.used == 0
    assert holder.gave_way == 0


def test_no_limit() -> None:
    budget = MemoryBudget(None)
    holder = Holder()
    budget.charge(holder, 1 << 40)
    assert holder.gave_way == 0


@both_roles
def test_a_connection_that_gives_way_fails_with_1013_and_keeps_nothing(role: Role) -> None:
    connection = Connection(role)
    connection.receive_data(peer_frame(role, Opcode.BINARY, bytes(100), fin=False))
    assert connection.incomplete_size == 100
    (fault,) = connection.give_way()
    assert isinstance(fault, Fault)
    assert fault.error.code == 1013
    assert connection.incomplete_size == 0
    assert connection.receive_data(peer_frame(role, Opcode.CONTINUATION, b"")) == []
    connection.answer_close()
    assert connection.close_sent is not None
    assert connection.close_sent.code == 1013
    assert connection.give_way() == []
    assert connection.state is State.CLOSE_EXCHANGED


@both_roles
def test_frames_to_send(role: Role) -> None:
    connection = Connection(role)
    assert connection.frames_to_send == 0
    connection.send("a")
    connection.receive_data(peer_frame(role, Opcode.PING, b"p"))
    assert connection.frames_to_send == 2
    connection.data_to_send()
    assert connection.frames_to_send == 0


def test_threads_that_charge_at_once_lose_no_byte() -> None:
    budget = MemoryBudget(None)
    start = threading.Barrier(8)

    def charge() -> None:
        holder = Holder()
        start.wait()
        for size in range(2000):
            budget.charge(holder, size % 7)
        budget.charge(holder, 5)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=charge) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert budget.used == 40


def test_who_gives_way_may_be_charged_meanwhile() -> None:
    """As in another thread: the budget must not be held while somebody is told to go."""

    class Elsewhere(Holder):
        def give_way(self) -> None:
            super().give_way()
            thread = threading.Thread(target=budget.charge, args=(self, 0))
            thread.start()
            thread.join(20)
            assert not thread.is_alive()

    budget = MemoryBudget(10)
    holder = Elsewhere()
    budget.charge(holder, 11)
    assert holder.gave_way == 1
    assert budget.used == 0
