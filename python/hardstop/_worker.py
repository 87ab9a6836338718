"""A worker's life, and a guardian's: what runs in processes that the engine has made."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import multiprocessing
import multiprocessing.process
import multiprocessing.util
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import _engine, _service_signals


@dataclass
class Told:
    """What a worker is told once, at its birth."""

    method: str
    client_pid: int
    client_name: str
    variables: tuple[tuple[str, str | None], ...] = ()
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    finalizer: Callable[[], object] | None = None
    max_worker_memory: int = 0
    # Executed interpreters only.
    preparation: dict[str, Any] = field(default_factory=dict)
    preload: list[str] = field(default_factory=list)
    tracker: int | None = None
    pickled_initializer: bytes = b""


# With fork, workers inherit what they are told, and only its number travels.
inherited: dict[int, Told] = {}
_numbers = itertools.count(1)

_present: Told | None = None


def leave_to_forks(told: Told) -> bytes:
    """What a forked worker of ours is told."""
    number = next(_numbers)
    inherited[number] = told
    return pickle.dumps(number)


def forget_told(runtime: bytes) -> None:
    """No worker will be born any more that is told this."""
    inherited.pop(pickle.loads(runtime), None)


def _read(runtime: bytes) -> Told:
    told = pickle.loads(runtime)
    return inherited[told] if isinstance(told, int) else told


def before_fork() -> None:
    """In the client: what is buffered is its own to write; one resource tracker serves all."""
    from multiprocessing import resource_tracker

    multiprocessing.util._flush_std_streams()  # type: ignore[attr-defined]
    resource_tracker.ensure_running()


def guardian_main(runtime: bytes) -> None:
    """In an executed guardian: what its workers should find loaded."""
    told = _read(runtime)
    if told.method != "forkserver":
        return
    _use_tracker(told)
    from multiprocessing import spawn

    sys.path[:] = told.preparation.get("sys_path", sys.path)
    for name in told.preload:
        if name == "__main__":
            main_path = told.preparation.get("init_main_from_path")
            if main_path is None:
                continue
            process = multiprocessing.process.current_process()
            process._inheriting = True  # type: ignore[attr-defined]
            try:
                spawn.import_main_path(main_path)
            finally:
                del process._inheriting  # type: ignore[attr-defined]
        else:
            with contextlib.suppress(ImportError):
                __import__(name)
    multiprocessing.util._flush_std_streams()  # type: ignore[attr-defined]


def _use_tracker(told: Told) -> None:
    if told.tracker is not None:
        from multiprocessing import resource_tracker

        resource_tracker._resource_tracker._fd = told.tracker  # type: ignore[attr-defined]


def _set_variables(told: Told) -> None:
    """The engine sets them, too, but os.environ is a copy from when os was imported."""
    for name, value in told.variables:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _restore_signals() -> None:
    """Python's handlers as the client had them: the guardian has put all to default.

    What a service or an event loop of the client's does with signals is not among them: the
    interpreter would write the worker's signals into their pipe.
    """
    signal.set_wakeup_fd(-1)
    _service_signals.forget_in_child()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if handler is None or handler == signal.SIG_DFL:
            continue
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, handler)


def worker_main(number: int, guardian: int, runtime: bytes) -> int:
    """The worker: enters through multiprocessing's own bootstrap. Returns its exit code."""
    global _present
    from . import _lifetime

    _lifetime.forget_client()
    told = _present = _read(runtime)
    _set_variables(told)
    _restore_signals()
    context = multiprocessing.get_context(told.method)
    if told.preparation:
        from multiprocessing import spawn

        _use_tracker(told)
        process = multiprocessing.process.current_process()
        process._inheriting = True  # type: ignore[attr-defined]
        try:
            spawn.prepare(told.preparation)
        finally:
            del process._inheriting  # type: ignore[attr-defined]
    worker: Any = context.Process(target=_serve)  # type: ignore[attr-defined]
    worker._identity = (number,)
    worker.name = f"{type(worker).__name__}-{number}"
    worker._parent_pid = told.client_pid
    worker._parent_name = told.client_name
    worker._config["daemon"] = False
    # Readable when the client has ended, as the pipe is that multiprocessing has for this.
    sentinel = os.pidfd_open(told.client_pid) if hasattr(os, "pidfd_open") else None
    with _exit_functions(told.method):
        return worker._bootstrap(parent_sentinel=sentinel)  # type: ignore[no-any-return]


@contextlib.contextmanager
def _exit_functions(method: str) -> Iterator[None]:
    """What is registered with atexit runs at a worker's end where multiprocessing has it so.

    That is in spawned processes; from 3.13 on in forked ones, too, where ``util.Finalize`` relies
    on it. What the client had registered is the client's.
    """
    forked = method != "spawn"
    if forked and sys.version_info < (3, 13):
        yield
        return
    if forked:
        atexit._clear()
        atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        atexit._run_exitfuncs()


def rehearse() -> None:
    """A job that does nothing."""


REHEARSAL = pickle.dumps(rehearse, 5)


def _serve() -> None:
    """Runs jobs until the worker is asked to leave, then the finalizer."""
    told = _present
    assert told is not None
    _engine.limit_kept_memory(told.max_worker_memory)
    _engine.serve_jobs()
    if told.finalizer is not None:
        told.finalizer()


def answer_signal(number: int, file: int) -> None:
    """Has faulthandler write all stacks to the file when the signal comes, GIL or not."""
    import faulthandler

    faulthandler.register(number, file=file, all_threads=True, chain=True)


def worker_initialize() -> tuple[str, str] | None:
    """Runs the initializer; its failure in words."""
    told = _present
    assert told is not None
    try:
        initializer, initargs = told.initializer, told.initargs
        if told.pickled_initializer:
            loaded = pickle.loads(told.pickled_initializer)
            initializer, initargs, told.finalizer = loaded
        if initializer is not None:
            initializer(*initargs)
    except BaseException as error:
        from concurrent.futures import _base

        _base.LOGGER.critical("Exception in initializer:", exc_info=True)
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        # This process ends now: what it has logged, maybe into a queue, is still to be written.
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]
        return type(error).__qualname__, text
    return None
