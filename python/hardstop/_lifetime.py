"""How long pools live: until they are shut down, or the interpreter exits."""

from __future__ import annotations

import os
import threading

from . import _engine

# How long a blocking call leaves signal handlers waiting, in seconds.
_SIGNAL_SLICE = 0.05
# How long the exit of an interpreter waits for processes that were killed, in seconds. The engine
# gives up those that the kernel will not kill before that.
_AFTER_A_KILL = 10.0

_exiting = False
# Native pools whose processes may still exist.
live: set[_engine.Pool] = set()


def _at_exit() -> None:
    """Before the interpreter finalises: accepted jobs finish, then our threads end for good."""
    global _exiting
    _exiting = True
    try:
        pools = list(live)
        for pool in pools:
            pool.shut_down(False, None)
        _wait_for_all(pools)
    finally:
        _engine.stop_completer()


def _wait_for_all(pools: list[_engine.Pool]) -> None:
    try:
        for pool in pools:
            wait_closed(pool)
    except BaseException:  # a signal handler's: somebody has lost patience
        for pool in pools:
            pool.shut_down(True, 0.0)
        for pool in pools:
            pool.wait_closed(_AFTER_A_KILL)
        raise


def is_exiting() -> bool:
    """Whether the interpreter takes no more jobs."""
    return _exiting


def forget_client() -> None:
    """In a forked process: pools of the client are not ours to end."""
    global _exiting
    _exiting = False
    live.clear()


os.register_at_fork(after_in_child=forget_client)
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]


def wait_closed(pool: _engine.Pool) -> None:
    while not pool.wait_closed(_SIGNAL_SLICE):  # signal handlers run in between
        pass
    live.discard(pool)


def sweep_closed() -> None:
    """Lets go of pools that were left to end by themselves, and have."""
    for pool in list(live):
        if pool.wait_closed(0):
            live.discard(pool)
