"""Killable inside somebody else's executor: the standard one, threads, joblib, a task queue.

The host's worker makes a pool of its own at the first call, forked from it as it is then, so that
what the host's initializer has set up is there. Later calls reuse it. It ends with the host's
worker, however that ends.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import multiprocessing
import os
import select
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from . import _engine
from ._executor import ProcessPoolExecutor
from ._future import Future
from ._pickling import job_name
from ._submitting import JobOptions
from ._token import CancelToken

P = ParamSpec("P")
T = TypeVar("T")

_Limits = tuple[float | None, float | None, int | None]  # time, grace, memory

_EIGHT_HOURS = 8 * 3600.0

# One worker for each call that runs at the same time; few hosts run more of them in one process.
_MOST_CALLS = 64
_IDLE_TIME = 60.0  # seconds after which workers beyond the first leave

_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None

# By limits: the engine's pool and a job's options, so that a call costs hardly more than submit().
_ready: dict[_Limits, tuple[_engine.Pool, JobOptions | None]] = {}
_MOST_READY = 256


def _forget() -> None:
    global _pool, _lock
    _pool = None
    _ready.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _local_pool() -> ProcessPoolExecutor:
    """This process's pool. A forked child makes its own."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ProcessPoolExecutor(
                _MOST_CALLS,
                multiprocessing.get_context("fork"),
                min_workers=1,
                idle_timeout=_IDLE_TIME,
                spares=0,
                name="killable",
            )
        return _pool


def _prepare(limits: _Limits) -> tuple[_engine.Pool, JobOptions | None]:
    timeout, grace, max_memory = limits
    view = _local_pool().options(timeout=timeout, grace=grace, max_memory=max_memory)
    if len(_ready) >= _MOST_READY:
        _ready.clear()
    ready = _ready[limits] = view._running_pool(), view._job_options
    return ready


def _refuse_connection(_pipe: object) -> Any:
    raise TypeError(
        "a multiprocessing Connection reaches another process only through multiprocessing, which "
        "sends its descriptor along; this executor (Dask, Celery, Ray, …) pickles in its own way: "
        "to cancel a killable_wrapper there, give it a hardstop.CancelToken"
    )


# Plain pickle takes its number for the whole of it; who reads that has, and closes, some other
# descriptor of its own. Multiprocessing's picklers do not look here.
if Connection not in copyreg.dispatch_table:
    copyreg.pickle(Connection, _refuse_connection)


def killable_wrapper(
    fn: Callable[..., T],
    /,
    *args: Any,
    killable_wrapper_timeout: float | None = _EIGHT_HOURS,
    killable_wrapper_cancel_pipe: Connection | CancelToken | None = None,
    **kwargs: Any,
) -> T:
    """Runs ``fn(*args, **kwargs)`` so that it can be stopped; blocks until it has ended.

    Submit this to any executor, with ``fn`` as its first argument. When
    ``killable_wrapper_timeout`` seconds are over the job's process tree is killed and
    ProcessTimeoutError raised; the host's worker goes on. Whatever arrives on
    ``killable_wrapper_cancel_pipe`` cancels the job: ``{"cancel_timeout": seconds}`` with that
    grace, anything else with none; then ProcessCancelledError is raised, unless the job finished in
    its grace. Where the host cannot pickle a Connection (Dask, Celery, Ray: TypeError) a
    CancelToken can. Safe to call from any number of threads of the host.
    """
    limits = (killable_wrapper_timeout, None, None)
    pool, options = _ready.get(limits) or _prepare(limits)
    pipe = killable_wrapper_cancel_pipe
    if pipe is None:
        job: Future[T] = pool.submit(fn, args, kwargs, options)
    elif isinstance(pipe, CancelToken):
        pipe.check_reach()
        job = pool.submit(fn, args, kwargs, options)
        pipe.follow(job)
    elif isinstance(pipe, Connection):
        job = pool.submit(fn, args, kwargs, options)
        return _wait(job, pipe)
    else:
        raise TypeError(
            f"killable_wrapper_cancel_pipe={pipe!r}, of {job_name(fn)}: give a CancelToken or "
            "a multiprocessing Connection"
        )
    try:
        return job.result()
    except BaseException:
        _abandon(job)
        raise


def _abandon(job: Future[Any]) -> None:
    """The job has ended, or something was raised here by the host: a time limit of its own, a
    signal. Then nobody waits for the job any more."""
    if not job.done():
        job.kill()
        with contextlib.suppress(BaseException):
            job.exception()


def _wait(job: Future[T], pipe: Connection) -> T:
    try:
        _watch(job, pipe)
        return job.result()
    except BaseException:
        _abandon(job)
        raise


def _watch(job: Future[Any], pipe: Connection) -> None:
    """Until the job has ended or nothing more can come: passes on what the pipe says."""
    ended = _Bell()
    job.add_done_callback(ended.ring)
    poll = select.poll()
    poll.register(ended.number, select.POLLIN)
    poll.register(pipe.fileno(), select.POLLIN)
    while not job.done():
        ready = {number for number, _events in poll.poll()}
        if pipe.fileno() in ready and not _pass_on(job, pipe):
            return


class _Bell:
    """A descriptor that becomes readable. Lives as long as the callback that rings it."""

    def __init__(self) -> None:
        self.number = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ring(self, _job: object) -> None:
        os.eventfd_write(self.number, 1)

    def __del__(self) -> None:
        os.close(self.number)


def _pass_on(job: Future[Any], pipe: Connection) -> bool:
    """False: the other end is closed, and nobody will cancel any more."""
    try:
        told = pipe.recv()
    except (EOFError, OSError):
        return False
    grace = told.get("cancel_timeout", 0.0) if isinstance(told, dict) else 0.0
    job.cancel(grace=float(grace))
    return True


def killable(
    *,
    timeout: float | None = None,
    grace: float | None = None,
    max_memory: int | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: calls of the function run in a process of their own that can be stopped.

    ``timeout`` and ``grace`` in seconds, ``max_memory`` in bytes. The decorated function stays
    picklable by its name, and blocks as the plain one does. ``fn.__wrapped__`` is the plain one.
    """

    def decorate(fn: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(fn)
        def stoppable(*args: P.args, **kwargs: P.kwargs) -> T:
            pool, options = _ready.get(limits) or _prepare(limits)
            job: Future[T] = pool.submit(plain, args, kwargs, options)
            try:
                return job.result()
            except BaseException:
                _abandon(job)
                raise

        limits = (timeout, grace, max_memory)
        plain = _Plain(stoppable, fn)
        return stoppable

    return decorate


class _Plain:
    """The function under a decorator, which pickle finds by the decorated one's name."""

    def __init__(self, decorated: Callable[..., Any], plain: Callable[..., Any]) -> None:
        self._decorated = decorated
        self._plain = plain
        self.__qualname__ = plain.__qualname__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._plain(*args, **kwargs)

    def __reduce__(self) -> Any:
        return _plain_of, (self._decorated,)


def _plain_of(decorated: Any) -> _Plain:
    return _Plain(decorated, decorated.__wrapped__)
