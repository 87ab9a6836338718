"""Signals while a service runs: their numbers go into a pipe, and nothing is interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from . import _engine

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# The handlers that ours stand for; a worker that is forked meanwhile puts these back.
replaced: dict[int, Any] = {}


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """What matters has happened: the interpreter has written the number into the pipe."""


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def numbers_in_a_pipe() -> Iterator[int]:
    """Yields where the numbers can be read. Main thread only.

    Then everything is as before: handlers, their flags, the wakeup descriptor.
    """
    kept = _engine.KeptHandlers([int(number) for number in WATCHED])
    readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    former_wakeup = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    try:
        for number in WATCHED:
            replaced[number] = signal.getsignal(number)
            signal.signal(number, _do_nothing)
            signal.siginterrupt(number, False)
        yield readable
    finally:
        # From here on the kernel drops them. signal.signal() first runs handlers of those that have
        # come before, which are ours and do nothing; none can come between that and the change.
        kept.mute()
        signal.set_wakeup_fd(former_wakeup)
        _put_back()
        kept.put_back()
        os.close(readable)
        os.close(writable)


def _put_back() -> None:
    for number, handler in replaced.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    replaced.clear()


# A fork of the program's own, such as multiprocessing makes (the engine's look after themselves):
# the child's signals are its own, not those of the service it was copied from. Until it has its
# handlers none may come, or the copied one would write it into the service's pipe.


class _Forking(threading.local):
    """Of the thread that forks."""

    blocked: frozenset[int] = frozenset()


_forking = _Forking()


def _before_fork() -> None:
    if replaced:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        _forking.blocked = frozenset(WATCHED) - before


def _after_fork() -> None:
    if _forking.blocked:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _forking.blocked)
        _forking.blocked = frozenset()


def _after_fork_in_child() -> None:
    forget_in_child()
    _after_fork()


def forget_in_child() -> None:
    """Handlers as they were before the service."""
    if replaced:
        signal.set_wakeup_fd(-1)
        _put_back()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
