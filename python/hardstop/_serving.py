"""A service in a thread, awaited from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import _service_signals

if TYPE_CHECKING:
    from ._service import Service


async def serve_in_thread(service: Service, run: Callable[[], int], signals: bool) -> int:
    """What ``run()`` returns. Cancelled, it stops the service and still waits for its end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def settle(status: int | None, error: BaseException | None) -> None:
        if error is not None:
            ended.set_exception(error)
        else:
            assert status is not None
            ended.set_result(status)

    def work() -> None:
        status, error = None, None
        try:
            status = run()
        except BaseException as raised:
            error = raised
        loop.call_soon_threadsafe(settle, status, error)

    with _signals_of(loop, service) if signals else contextlib.nullcontext():
        threading.Thread(target=work, name="hardstop-service").start()
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError as error:
                cancelled = error
                service.stop()
            except Exception:
                break
    if cancelled is not None:
        raise cancelled from ended.exception()
    return ended.result()


@contextlib.contextmanager
def _signals_of(loop: asyncio.AbstractEventLoop, service: Service) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGUSR1 are the service's; then the former handlers are back."""
    calls: dict[int, Callable[[], None]] = {
        signal.SIGTERM: service.stop,
        signal.SIGINT: service.stop,
        signal.SIGUSR1: lambda: _tell(service),
    }
    former: dict[int, Any] = {number: signal.getsignal(number) for number in calls}
    for number, call in calls.items():
        loop.add_signal_handler(number, call)
    # The loop's own handler does nothing but let the loop be woken, which is not for a worker.
    _service_signals.replaced.update(former)
    try:
        yield
    finally:
        _service_signals.replaced.clear()
        for number, handler in former.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)


def _tell(service: Service) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, service.describe().encode())
