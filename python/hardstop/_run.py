"""Awaiting a job to its confirmed end, from asyncio or trio."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeVar

from ._future import Future

T = TypeVar("T")


async def await_end(future: Future[T]) -> T:
    """The job's result. Cancelled, it stops the job and still waits for its end.

    The wait is shielded: a second cancellation does not end it but kills the job at once.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return await _with_trio(future)
    return await _with_asyncio(future)


async def _with_asyncio(future: Future[T]) -> T:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ended.done():
            ended.set_result(None)

    def tell(_future: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(tell)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as error:
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
