"""What a job can do about its own cancel: shield a section, or be told by an exception."""

from __future__ import annotations

import functools
import math
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from . import _engine
from ._errors import HardstopError, ProcessCancelledError
from ._pickling import job_name

T = TypeVar("T")


class JobCancelled(BaseException):
    """Raised in a job that was submitted with ``raise_on_cancel=True`` when it is asked to stop.

    A BaseException, so that ``except Exception`` lets it pass. Raised once, between any two
    bytecodes of the job's main thread and not within a ``shield``.
    """


class shield:  # noqa: N801 (used like a function, as contextlib's)
    """In a job: a section that a cancel waits for, for so many seconds at most.

        with hardstop.shield(2, "replacing the index"):
            ...

    A cancel that comes meanwhile asks the job to stop, waits until the section ends or its time is
    over, and then acts; a grace that is longer is not shortened. ``mode="kill"``, the job's own
    timeout, its memory limit and a shutdown's time limit do not wait. Of nested sections, in
    whatever thread, the outermost counts. ``stats()`` tells the time that jobs spend in them.
    """

    def __init__(self, max_seconds: float, reason: str = "") -> None:
        if isinstance(max_seconds, bool) or not isinstance(max_seconds, (int, float)):
            raise TypeError(f"shield({max_seconds!r}): give a number of seconds")
        if math.isnan(max_seconds) or max_seconds <= 0:
            raise ValueError(
                f"shield({max_seconds!r}): name the longest time that a cancel may have to wait"
            )
        self._longest = float(max_seconds)
        self._reason = str(reason)
        self._attempts: list[int] = []

    def __enter__(self) -> None:
        attempt = _engine.shield(self._longest, self._reason)
        if attempt == 0:
            raise HardstopError("shield() was used outside of a job: nobody can cancel this")
        self._attempts.append(attempt)

    def __exit__(self, *exception: object) -> None:
        _engine.unshield(self._attempts.pop())
        # In the main thread: if another one's was the last section, the next signal tells.
        if exception[0] is None and threading.current_thread() is threading.main_thread():
            _raise_if_asked()


# What interrupts a job's system call: late among the real-time signals, which few use.
_INTERRUPT = signal.SIGRTMAX - 6
_armed = 0  # the number of the job that wants to be interrupted


def _raise_if_asked(*_: object) -> None:
    """At most once in a job, in its main thread."""
    global _armed
    if _armed == 0 or _armed != _engine.job_number():
        return
    if not _engine.cancel_requested() or _engine.shielded():
        return
    _armed = 0
    _engine.stop_interrupting()
    raise JobCancelled


def _handle(_signal: int, _frame: FrameType | None) -> None:
    _raise_if_asked()


def interruptible(fn: Callable[..., T]) -> Callable[..., T]:
    """A job that does the same and is interrupted when it is asked to stop."""
    job = functools.partial(_call_interruptibly, fn)
    job.__qualname__ = job_name(fn)  # type: ignore[attr-defined]
    return job


def _call_interruptibly(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """In a worker: a job with ``raise_on_cancel``."""
    global _armed
    try:
        _armed = _engine.job_number()
        # In this order: without a handler it would end the worker.
        signal.signal(_INTERRUPT, _handle)
        _engine.interrupt_when_asked(_INTERRUPT)
        _raise_if_asked()
        return fn(*args, **kwargs)
    except JobCancelled:
        raise ProcessCancelledError("the job was asked to stop and ended by JobCancelled") from None
    finally:
        _armed = 0
