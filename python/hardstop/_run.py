"""Awaiting a job to its confirmed end, from asyncio or trio."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._future import Future

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


async def await_end(future: Future[T]) -> T:
    """The job's result. Cancelled, it stops the job and still waits for its end.

    The wait is shielded: a second cancellation does not end it but kills the job at once.
    """
    loop = _running_loop()
    if loop is None:
        return await _with_trio(future)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        # Nobody else has it: cancelling it cancels nothing but this turn.
        ended = loop.create_future()
        future.add_done_callback(partial(_bridge_of(loop).tell, ended))
        try:
            await ended
        except sys.modules["asyncio"].CancelledError as error:
            if cancelled is None:
                cancelled = error
                future.cancel()
            else:
                future.kill()
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            cancelled = None
    return future.result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """asyncio's, without importing it where nobody uses it."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


class _Bridge:
    """Brings the ends of jobs into one loop: woken once for as many as have ended meanwhile.

    A loop that looked for ends itself, in each of its turns, was slower: it keeps the CPU from the
    workers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._told: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def tell(self, ended: asyncio.Future[None], _job: Any) -> None:
        """In any thread."""
        self._told.append(ended)
        # Put first, looked at then; _take_all() does it the other way round, so none is left.
        if self._rung:
            return
        self._rung = True
        loop = self._loop()
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._take_all)
        except RuntimeError:  # closed: nobody waits any more
            self._told.clear()

    def _take_all(self) -> None:
        self._rung = False
        told = self._told
        while told:
            ended = told.popleft()
            if not ended.done():
                ended.set_result(None)


_bridges: weakref.WeakKeyDictionary[Any, _Bridge] = weakref.WeakKeyDictionary()


def _bridge_of(loop: asyncio.AbstractEventLoop) -> _Bridge:
    bridge = _bridges.get(loop)
    if bridge is None:
        bridge = _bridges[loop] = _Bridge(loop)
    return bridge


async def _with_trio(future: Future[T]) -> T:
    trio = sys.modules.get("trio")
    if trio is None:
        raise RuntimeError("pool.run() is awaited in asyncio, anyio or trio: no loop runs here")
    token = trio.lowlevel.current_trio_token()
    ended = trio.Event()
    future.add_done_callback(lambda _future: token.run_sync_soon(ended.set))
    try:
        await ended.wait()
    except trio.Cancelled:
        future.cancel()
        with trio.CancelScope(shield=True):
            await ended.wait()
        raise
    return future.result()
