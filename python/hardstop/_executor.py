"""A drop-in for concurrent.futures.ProcessPoolExecutor whose jobs really stop."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import multiprocessing.context
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from . import _engine
from ._errors import HardstopError, QueueFullError
from ._future import Future
from ._run import await_end
from ._start import Start
from ._token import CancelToken
from ._workers import PoolEnd, WorkerProcess, processes

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from ._options import ProcessCancelTimeout, ProcessTimeout

    Ts = TypeVarTuple("Ts")
    JobOption = ProcessTimeout | ProcessCancelTimeout

P = ParamSpec("P")
T = TypeVar("T")

# How long a blocking call leaves signal handlers waiting, in seconds.
_SIGNAL_SLICE = 0.05
# How long the exit of an interpreter waits for processes that were killed, in seconds. The engine
# gives up those that the kernel will not kill before that.
_AFTER_A_KILL = 10.0

_exiting = False
# Native pools whose processes may still exist.
_live: set[_engine.Pool] = set()


def _at_exit() -> None:
    """Before the interpreter finalises: accepted jobs finish, then our threads end for good."""
    global _exiting
    _exiting = True
    try:
        pools = list(_live)
        for pool in pools:
            pool.shut_down(False, None)
        _wait_for_all(pools)
    finally:
        _engine.stop_completer()


def _wait_for_all(pools: list[_engine.Pool]) -> None:
    try:
        for pool in pools:
            _wait_closed(pool)
    except BaseException:  # a signal handler's: somebody has lost patience
        for pool in pools:
            pool.shut_down(True, 0.0)
        for pool in pools:
            pool.wait_closed(_AFTER_A_KILL)
        raise


def forget_client() -> None:
    """In a forked process: pools of the client are not ours to end."""
    global _exiting
    _exiting = False
    _live.clear()


os.register_at_fork(after_in_child=forget_client)
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]


def _wait_closed(pool: _engine.Pool) -> None:
    while not pool.wait_closed(_SIGNAL_SLICE):  # signal handlers run in between
        pass
    _live.discard(pool)


def _sweep_closed() -> None:
    """Lets go of pools that were left to end by themselves, and have."""
    for pool in list(_live):
        if pool.wait_closed(0):
            _live.discard(pool)


def engine_error(kind: str, text: str) -> BaseException:
    """The Python exception for one of the engine's."""
    kinds: dict[str, type[Exception]] = {
        "pool_closed": RuntimeError,
        "pool_broken": BrokenProcessPool,
        "queue_full": QueueFullError,
        "bad_options": ValueError,
    }
    if kind == "pool_closed":
        return RuntimeError(f"cannot schedule new futures after shutdown: {text}")
    return kinds.get(kind, HardstopError)(text)


def runs_in_event_loop() -> bool:
    """Whether this thread runs asyncio's loop, which must never be blocked."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


_JobOptions = tuple[Any, ...]
_OPTION_NAMES = (
    "timeout",
    "grace",
    "priority",
    "retries",
    "max_memory",
    "kill_leftovers",
    "name",
)


class _Submitting(concurrent.futures.Executor):
    """What an executor and its views have in common."""

    _kill_on_abandon = False

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        raise NotImplementedError

    def _submit_all(
        self,
        fn: Callable[..., T],
        calls: Iterator[tuple[Any, ...]],
        futures: list[Future[T]],
    ) -> None:
        """Appends a future for each. If that raises, those before are there."""
        raise NotImplementedError

    # Options at the end of the arguments are typed; elsewhere, or by keyword, options() is.
    @overload
    def submit(
        self, fn: Callable[[Unpack[Ts]], T], /, *args: Unpack[tuple[Unpack[Ts], JobOption]]
    ) -> Future[T]: ...

    @overload
    def submit(
        self,
        fn: Callable[[Unpack[Ts]], T],
        /,
        *args: Unpack[tuple[Unpack[Ts], JobOption, JobOption]],
    ) -> Future[T]: ...

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...

    # It accepts everything; mypy does not see that `...` is any tail of arguments.
    def submit(  # type: ignore[misc]
        self, fn: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        """Runs ``fn(*args, **kwargs)`` in a worker; returns its :class:`Future`.

        ``ProcessTimeout`` and ``ProcessCancelTimeout`` among the arguments, or as ``timeout_=``
        and ``after_cancel_timeout_=``, are options of the job and never reach ``fn``.
        """
        return self._submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Results of ``fn`` over the zipped iterables, in order; see the standard library.

        If the iterator is abandoned, times out or meets an exception, jobs that have not started
        are taken back and those that run finish, unless ``options(kill_on_abandon=True)``.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None:
            if not isinstance(buffersize, int):
                raise TypeError("buffersize must be an integer or None")
            if buffersize < 1:
                raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        calls: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        if chunksize == 1:
            return self._map(fn, calls, buffersize, end)
        process = functools.partial(_process_chunk, fn)
        chunks = ((chunk,) for chunk in _chunks(calls, chunksize))
        return _flat(self._map(process, chunks, buffersize, end))

    def _map(
        self,
        fn: Callable[..., Any],
        calls: Iterator[tuple[Any, ...]],
        buffersize: int | None,
        end: float | None,
    ) -> Iterator[Any]:
        """The first jobs are submitted now, each further one when a result is asked for."""
        give_up = _kill if self._kill_on_abandon else _take_back
        first: list[Future[Any]] = []
        try:
            self._submit_all(fn, itertools.islice(calls, buffersize), first)
        except BaseException:
            give_up(first)
            raise
        futures = deque(first)
        del first

        def refill() -> None:
            for args in itertools.islice(calls, 1):
                futures.append(self._submit(fn, args, {}))

        results = _results(
            futures, end, give_up, None if buffersize is None else refill, self._kill_on_abandon
        )
        if self._kill_on_abandon:
            next(results)  # a generator that was never begun is not finalised: its jobs would run
        return results

    async def run(
        self,
        fn: Callable[..., T],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> T:
        """Awaits ``fn(*args, **kwargs)``, from asyncio, anyio or trio.

        Cancelling the awaiting task stops the job, and ``CancelledError`` comes when its process
        tree is confirmed gone. A second cancel ends its grace. ``timeout=`` and ``grace=`` are
        options of the job.
        """
        options = {name: kwargs.pop(name) for name in ("timeout", "grace") if name in kwargs}
        view = self.options(**options) if options else self
        return await await_end(view._submit(fn, args, kwargs))

    async def amap(self, fn: Callable[..., T], *iterables: Iterable[Any]) -> Any:
        """Results in order, ``async for``. Leaving the loop early kills what still runs."""
        futures = deque(self._submit(fn, args, {}) for args in zip(*iterables, strict=False))
        try:
            while futures:
                yield await await_end(futures[0])
                futures.popleft()
        finally:
            for future in futures:
                future.cancel()

    def options(
        self,
        *,
        timeout: float | None = None,
        grace: float | None = None,
        priority: int = 0,
        retries: int = 0,
        max_memory: int | None = None,
        leftovers: str = "keep",
        name: str | None = None,
        cancel_on: CancelToken | None = None,
        kill_on_abandon: bool = False,
    ) -> View:
        """A view of this executor whose jobs have these options; itself an Executor.

        ``timeout``: seconds allowed for a job, from its start. ``grace``: seconds between a cancel
        and the kill. ``priority``: higher first. ``retries``: further attempts if the worker died
        by itself. ``max_memory``: bytes. ``leftovers``: ``"keep"`` or ``"kill"`` processes that a
        job leaves behind. ``name``: for messages. ``cancel_on``: a token that cancels them all.
        ``kill_on_abandon``: of ``map()``.
        """
        raise NotImplementedError


def _results(
    futures: deque[Future[T]],
    end: float | None,
    give_up: Callable[[Iterable[Future[T]]], None],
    refill: Callable[[], None] | None = None,
    begin: bool = False,
) -> Iterator[T]:
    """Results in order, behind a None if it is to begin at once.

    Holds no executor, so that one that nobody else has can end meanwhile.
    """
    try:
        if begin:
            yield None  # type: ignore[misc]
        while futures:
            if refill is not None:
                refill()
            if end is None:
                # Nothing here refers to it meanwhile.
                yield (futures[0].result(), futures.popleft())[0]
            else:
                yield _next_result(futures, end)
    finally:
        give_up(futures)


def _next_result(futures: deque[Future[T]], end: float) -> T:
    """Keeps no reference to it: an item may be large, and dies when the caller drops it."""
    future = futures[0]
    try:
        result = future.result(end - time.monotonic())
    finally:
        del future
    futures.popleft()
    return result


def _take_back(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.take_back()


def _kill(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.cancel()


def _checked_options(options: dict[str, Any]) -> _JobOptions:
    for name in ("timeout", "grace"):
        value = options[name]
        if value is not None and not (isinstance(value, (int, float)) and value >= 0):
            raise ValueError(f"{name}={value!r}: give 0 or more seconds, or None")
    for name in ("retries", "max_memory"):
        value = options[name]
        if value is not None and not (isinstance(value, int) and value >= 0):
            raise ValueError(f"{name}={value!r}: give a number, 0 or more")
    if options["leftovers"] not in ("keep", "kill"):
        raise ValueError(f"leftovers={options['leftovers']!r}: give 'keep' or 'kill'")
    if options["name"] is not None and not isinstance(options["name"], str):
        raise TypeError(f"name={options['name']!r}: give a string")
    options["kill_leftovers"] = options["leftovers"] == "kill"
    return tuple(options[name] for name in _OPTION_NAMES)


class View(_Submitting):
    """An executor's jobs, with options of their own. Shares its workers; has no end of its own."""

    def __init__(
        self, executor: ProcessPoolExecutor, options: dict[str, Any], kill_on_abandon: bool
    ) -> None:
        self._executor = executor
        self._given = options
        self._job_options = _checked_options(dict(options))
        self._token: CancelToken | None = options["cancel_on"]
        self._kill_on_abandon = kill_on_abandon

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        executor = self._executor
        pool = executor._pool or executor._start()
        job: Future[T] = pool.submit(fn, args, kwargs, self._job_options)
        if self._token is not None:
            self._token.follow(job)
        return job

    def _submit_all(
        self,
        fn: Callable[..., T],
        calls: Iterator[tuple[Any, ...]],
        futures: list[Future[T]],
    ) -> None:
        executor = self._executor
        pool = executor._pool or executor._start()
        if self._token is None:
            pool.submit_all(fn, calls, self._job_options, futures)
        else:
            for args in calls:
                futures.append(self._submit(fn, args, {}))

    def options(self, **changes: Any) -> View:
        kill_on_abandon = changes.pop("kill_on_abandon", self._kill_on_abandon)
        unknown = changes.keys() - self._given.keys()
        if unknown:
            raise TypeError(f"options() got unexpected {', '.join(sorted(unknown))}")
        return View(self._executor, {**self._given, **changes}, kill_on_abandon)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does nothing: the executor it is a view of is to be shut down."""


def _number_of_spares(spares: int | str | None, initializer: object) -> int:
    if spares == "initialized":
        return 1
    if spares is None:
        return 0 if initializer else 1
    if not isinstance(spares, int) or spares < 0:
        raise ValueError(f"spares={spares!r}: give a number, 0 or more, or 'initialized'")
    return spares


class ProcessPoolExecutor(_engine.Submitter, _Submitting):
    """An executor whose running jobs can be cancelled, each with its whole process tree.

    Everything :class:`concurrent.futures.ProcessPoolExecutor` takes, and

    ``min_workers``, ``idle_timeout``: workers beyond ``min_workers`` that are idle for so many
    seconds leave. ``spares``: warm workers that take a killed one's place at once; 1, or 0 if there
    is an initializer, which then runs only in workers that run jobs (``"initialized"`` for 1 that
    has run it). ``finalizer``: called in a worker that leaves in good order. ``max_memory``: bytes
    a job may use. ``max_worker_memory``: bytes above which a worker is replaced between jobs.
    ``max_pending``: jobs that may wait; ``submit`` then blocks, or raises :class:`QueueFullError`
    with ``when_full="reject"``. ``cgroup``: a delegated cgroup v2 directory. ``huge_pages``: for
    workers with gigabytes. ``environment``: variables for workers, None to unset one.
    ``start_timeout``: seconds in which a worker must be ready.

    Constructing one starts nothing; processes are born at the first submit. Any thread may use it.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: multiprocessing.context.BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        min_workers: int | None = None,
        idle_timeout: float | None = None,
        spares: int | str | None = None,
        max_memory: int | None = None,
        max_pending: int = 0,
        when_full: str = "block",
        cgroup: str | None = None,
        huge_pages: bool = False,
        environment: dict[str, str | None] | None = None,
        start_timeout: float = 60.0,
        finalizer: Callable[[], object] | None = None,
        max_worker_memory: int | None = None,
        name: str | None = None,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        if when_full not in ("block", "reject"):
            raise ValueError(f"when_full={when_full!r}: give 'block' or 'reject'")
        if mp_context is None:
            if max_tasks_per_child is not None:
                mp_context = multiprocessing.get_context("spawn")
            else:
                mp_context = multiprocessing.get_context()
        if max_tasks_per_child is not None and mp_context.get_start_method() == "fork":
            raise ValueError(
                "max_tasks_per_child is incompatible with"
                " the 'fork' multiprocessing start method;"
                " supply a different mp_context."
            )
        self._max_workers = max_workers or _engine.usable_cpus()
        self._mp_context = mp_context
        self._initializer = initializer
        self._initargs = initargs
        self._finalizer = finalizer
        self._max_worker_memory = max_worker_memory or 0
        self._settings: dict[str, Any] = {
            "workers": self._max_workers,
            "min_workers": min_workers,
            "idle_timeout": idle_timeout,
            "spares": _number_of_spares(spares, initializer),
            "max_jobs_per_worker": max_tasks_per_child or 0,
            "max_memory": max_memory or 0,
            "max_pending": max_pending,
            "reject_when_full": when_full == "reject",
            "cgroup": cgroup,
            "huge_pages": huge_pages,
            "variables": list((environment or {}).items()),
            "start_timeout": start_timeout,
            "name": name,
        }
        self._pool: _engine.Pool | None = None
        self._native: _engine.Pool | None = None
        self._last_stats: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._shut_down = False
        self._client: int | None = None

    # --- jobs

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        pool = self._pool or self._start()
        return pool.submit(fn, args, kwargs, None)  # type: ignore[no-any-return]

    def _submit_all(
        self,
        fn: Callable[..., T],
        calls: Iterator[tuple[Any, ...]],
        futures: list[Future[T]],
    ) -> None:
        pool = self._pool or self._start()
        pool.submit_all(fn, calls, None, futures)

    def _start(self) -> _engine.Pool:
        """The engine's pool, if it may still take jobs; made at the first submit."""
        with self._lock:
            if self._shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _exiting:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._pool is None:
                _sweep_closed()
                self._pool = self._native = self._make_pool()
                self._client = os.getpid()
                _live.add(self._native)
            return self._pool

    def _make_pool(self) -> _engine.Pool:
        start = Start(
            self._mp_context,
            self._initializer,
            self._initargs,
            self._finalizer,
            self._max_worker_memory,
            self._settings["variables"],
        )
        settings = {**self._settings, "start": start.method, "descriptors": start.descriptors}
        return _engine.Pool(settings, start.snapshot, start.program, start.runtime)

    def options(
        self,
        *,
        timeout: float | None = None,
        grace: float | None = None,
        priority: int = 0,
        retries: int = 0,
        max_memory: int | None = None,
        leftovers: str = "keep",
        name: str | None = None,
        cancel_on: CancelToken | None = None,
        kill_on_abandon: bool = False,
    ) -> View:
        given = {
            "timeout": timeout,
            "grace": grace,
            "priority": priority,
            "retries": retries,
            "max_memory": max_memory,
            "leftovers": leftovers,
            "name": name,
            "cancel_on": cancel_on,
        }
        return View(self, given, kill_on_abandon)

    options.__doc__ = _Submitting.options.__doc__

    # --- numbers

    def stats(self) -> dict[str, Any]:
        """Jobs and workers now and so far; empty before the first submit."""
        native = self._native
        return dict(self._last_stats) if native is None else native.stats()

    # --- what programs written for the standard executor look at

    @property
    def _processes(self) -> dict[int, WorkerProcess]:
        """The workers as of now, by pid: those that take jobs.

        Waits until all that are wanted are up. With fork these are as many as there may be, as in
        the standard library, which starts them all at once there.
        """
        native = self._native
        if native is None or self._client != os.getpid():
            return {}
        pids = native.workers(self._mp_context.get_start_method() == "fork")
        if pids is None:
            raise RuntimeError("the pool's workers take longer to start than start_timeout allows")
        return processes(pids)

    @property
    def _broken(self) -> str | bool:
        native = self._native
        if native is None or self._client != os.getpid():
            return False
        return native.broken() or False

    @property
    def _executor_manager_thread(self) -> PoolEnd | None:
        return None if self._native is None else PoolEnd(self._native)

    @property
    def _call_queue(self) -> PoolEnd | None:
        return self._executor_manager_thread

    # --- the end

    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Takes no more jobs and lets those accepted finish; see the standard library.

        After ``timeout`` seconds what still runs is killed, its future raises
        ProcessCancelledError, and what has not started is cancelled.
        """
        with self._lock:
            self._shut_down = True
            self._pool = None
            native = self._native
        if native is None or self._client != os.getpid():
            return
        try:
            if cancel_futures and wait and timeout is None:
                # What was submitted first is begun, as there, even if its worker is just being
                # born.
                native.wait_begun()
        finally:
            native.shut_down(cancel_futures, timeout)
        if wait:
            _wait_closed(native)
            _engine.flush_completer()  # every future has its end, and its callbacks have run
            self._forget(native)

    def _forget(self, native: _engine.Pool) -> None:
        """Its memory goes back now, not when the last reference to the executor does."""
        with self._lock:
            if self._native is native:
                self._last_stats = native.stats()
                self._native = None

    def terminate_workers(self) -> None:
        """Kills what runs and cancels what waits, without waiting for it."""
        self.shutdown(wait=False, cancel_futures=True, timeout=0)

    def kill_workers(self) -> None:
        """The same as ``terminate_workers()``: there is one way to stop here, and it is hard."""
        self.terminate_workers()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool | None:
        if kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self._leave()
        else:
            try:
                self.shutdown(wait=True)
            except (KeyboardInterrupt, SystemExit):
                self._leave()
                raise
        return None

    def _leave(self) -> None:
        """Somebody wants to be gone: cancels all, each job with its grace; asked again, kills."""
        native = self._native
        self.shutdown(wait=False, cancel_futures=True)
        try:
            if native is not None and self._client == os.getpid():
                for future in native.unfinished():
                    future.cancel()
            self.shutdown(wait=True)
        except (KeyboardInterrupt, SystemExit):
            self.shutdown(wait=True, timeout=0)
            raise

    def __del__(self) -> None:
        # Nobody can submit any more: accepted jobs run, then the processes end.
        native = getattr(self, "_native", None)
        if native is not None and self._client == os.getpid() and not self._shut_down:
            with contextlib.suppress(Exception):
                native.shut_down(False, None)

    def __reduce__(self) -> Any:
        raise TypeError("a ProcessPoolExecutor cannot be pickled: make one where it is needed")


def _chunks(calls: Iterator[tuple[Any, ...]], size: int) -> Iterator[tuple[tuple[Any, ...], ...]]:
    while chunk := tuple(itertools.islice(calls, size)):
        yield chunk


def _flat(lists: Iterator[list[T]]) -> Iterator[T]:
    """A generator, as map() gives: it can be closed."""
    with contextlib.closing(lists):  # type: ignore[type-var]
        for each in lists:
            yield from each


def _process_chunk(fn: Callable[..., Any], chunk: tuple[tuple[Any, ...], ...]) -> list[Any]:
    return [fn(*args) for args in chunk]
