"""What programs written for the standard executor find behind its private names."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _engine


class WorkerProcess:
    """One worker: can be looked at, signalled and waited for. Never another with the same pid."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError if it has gone."""
        self.pid = pid
        self.sentinel = os.pidfd_open(pid)

    def __del__(self) -> None:
        sentinel = getattr(self, "sentinel", None)
        if sentinel is not None:
            os.close(sentinel)

    @property
    def ident(self) -> int:
        """The pid."""
        return self.pid

    @property
    def name(self) -> str:
        """As multiprocessing would call it."""
        return f"{type(self).__name__}-{self.pid}"

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._ended(0)

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, or so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._ended(None if end is None else max(end - time.monotonic(), 0)):
            if end is not None and time.monotonic() >= end:
                return

    def terminate(self) -> None:
        """Sends SIGTERM. Its pool starts another one if it is needed."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL, like ``terminate()``."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.sentinel, number)

    def _ended(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self.sentinel, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def __repr__(self) -> str:
        state = "alive" if self.is_alive() else "ended"
        return f"<{type(self).__name__} pid={self.pid} {state}>"


def processes(pids: Iterable[int]) -> dict[int, WorkerProcess]:
    """By pid, without those that have gone meanwhile."""
    found = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found[pid] = WorkerProcess(pid)
    return found


class PoolEnd:
    """Stands where the standard executor has its manager thread and its queue: can be joined."""

    def __init__(self, pool: _engine.Pool) -> None:
        self._pool = pool

    def is_alive(self) -> bool:
        """Whether the pool still has processes, or may have."""
        return not self._pool.wait_closed(0)

    def join(self, timeout: float | None = None) -> None:
        """Waits until the pool has ended, or so many seconds. Somebody is to shut it down."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._pool.wait_closed(0.05):  # signal handlers run in between
            if end is not None and time.monotonic() >= end:
                return

    def join_thread(self) -> None:
        """What queues call it."""
        self.join()
