"""Other processes, as the kernel tells of them."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


def descendants(of: int) -> list[int]:
    """Every process below it that lives, zombies excepted."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children[int(parent)].append(int(entry.name))
    found, unseen = [], [of]
    while unseen:
        next_ones = children[unseen.pop()]
        found += next_ones
        unseen += next_ones
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _lineage(pid: int) -> list[int]:
    """It and what is above it, below the first process of all."""
    found = []
    while pid > 1:
        found.append(pid)
        pid = _parent(pid)
    return found


def family(client: int, workers: Iterable[int]) -> list[int]:
    """Every process of the client's pool, also if it is not below the client."""
    tops = {client}
    above_client = set(_lineage(client))
    for worker in workers:
        own = [pid for pid in _lineage(worker) if pid not in above_client]
        tops.update(own[-1:])
    found = set(tops)
    for top in tops:
        found.update(descendants(top))
    return sorted(found - {client})


class Ends:
    """The ends of some processes, by pidfd: to the microsecond, and never of a pid used again."""

    def __init__(self, pids: list[int]) -> None:
        self._poll = select.poll()
        self._open = set()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                number = os.pidfd_open(pid)
                self._open.add(number)
                self._poll.register(number, select.POLLIN)

    def wait(self, seconds: float) -> int | None:
        """When the last one had ended, in ns of the monotonic clock; None if one outlives that."""
        until = time.monotonic() + seconds
        while self._open:
            left = until - time.monotonic()
            if left <= 0:
                return None
            for number, _event in self._poll.poll(left * 1000):
                self._poll.unregister(number)
                self._open.discard(number)
                os.close(number)
        return time.monotonic_ns()

    def close(self) -> None:
        for number in self._open:
            os.close(number)
        self._open.clear()


def unique_memory(pid: int) -> int:
    """Bytes that would be free if it ended (USS)."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1]) * 1024
    return total


@dataclass
class Activity:
    """What some threads have done so far."""

    switches: int = 0
    ticks: int = 0  # of CPU time, of 10 ms

    def __sub__(self, other: Activity) -> Activity:
        return Activity(self.switches - other.switches, self.ticks - other.ticks)


def activity(pids: list[int], without_thread: int) -> Activity:
    """Context switches and CPU time of every thread of these but one."""
    sum_up = Activity()
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if int(thread.name) == without_thread:
                continue
            for line in (thread / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    sum_up.switches += int(line.split()[1])
            fields = (thread / "stat").read_text().rpartition(")")[2].split()
            sum_up.ticks += int(fields[11]) + int(fields[12])
    return sum_up
