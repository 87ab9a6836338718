"""A drop-in for concurrent.futures.ProcessPoolExecutor whose jobs really stop."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.context
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from . import _engine, _lifetime, _pickling
from ._errors import HardstopError, MessageRefusedError, QueueError, QueueFullError
from ._semaphore import Semaphore
from ._snapshot import Snapshot
from ._start import Start
from ._submitting import Submitting, View
from ._token import CancelToken
from ._workers import PoolEnd, WorkerProcess, processes


def engine_error(kind: str, text: str) -> BaseException:
    """The Python exception for one of the engine's."""
    kinds: dict[str, type[Exception]] = {
        "pool_broken": BrokenProcessPool,
        "queue_full": QueueFullError,
        "bad_options": ValueError,
        "queue_failure": QueueError,
        "message_refused": MessageRefusedError,
    }
    if kind == "pool_closed":
        return RuntimeError(f"cannot schedule new futures after shutdown: {text}")
    return kinds.get(kind, HardstopError)(text)


def runs_in_event_loop() -> bool:
    """Whether this thread runs asyncio's loop, which must never be blocked."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _number_of_spares(spares: int | str | None, initializer: object) -> int:
    if spares == "initialized":
        return 1
    if spares is None:
        return 0 if initializer else 1
    if not isinstance(spares, int) or spares < 0:
        raise ValueError(f"spares={spares!r}: give a number, 0 or more, or 'initialized'")
    return spares


class ProcessPoolExecutor(_engine.Submitter, Submitting):
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
        self._snapshot: Snapshot | None = None
        self._last_stats: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._shut_down = False
        self._client: int | None = None

    # --- jobs

    def _running_pool(self) -> _engine.Pool:
        return self._pool or self._start()

    def _start(self) -> _engine.Pool:
        """The engine's pool, if it may still take jobs; made at the first submit."""
        with self._lock:
            if self._shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _lifetime.is_exiting():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._pool is None:
                _lifetime.sweep_closed()
                self._pool = self._native = self._make_pool()
                self._client = os.getpid()
                _lifetime.live.add(self._native)
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
        self._snapshot = start.snapshot
        settings = {**self._settings, "start": start.method, "descriptors": start.descriptors}
        return _engine.Pool(settings, start.snapshot, start.program, start.runtime)

    def _dump_function(self, function: Callable[..., object]) -> bytes:
        """What a worker's load_function() makes the function of again. Once the pool runs."""
        assert self._snapshot is not None
        return _pickling.dump_function(self._snapshot, function)

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
        needs: Mapping[Semaphore, int] | None = None,
        raise_on_cancel: bool = False,
        kill_on_abandon: bool = False,
    ) -> View:
        """A view of this executor whose jobs have these options; itself an Executor.

        ``timeout``: seconds allowed for a job, from its start. ``grace``: seconds between a cancel
        and the kill. ``priority``: higher first. ``retries``: further attempts if the worker died
        by itself. ``max_memory``: bytes. ``leftovers``: ``"keep"`` or ``"kill"`` processes that a
        job leaves behind. ``name``: for messages. ``cancel_on``: a token that cancels them all.
        ``needs``: permits without which a job is not dispatched, and which it holds to its end,
        ``{db: 1}``. ``raise_on_cancel``: a job that is asked to stop gets JobCancelled raised in
        its main thread, at the start of its grace. ``kill_on_abandon``: of ``map()``.
        """
        given = {
            "timeout": timeout,
            "grace": grace,
            "priority": priority,
            "retries": retries,
            "max_memory": max_memory,
            "leftovers": leftovers,
            "name": name,
            "cancel_on": cancel_on,
            "needs": needs,
            "raise_on_cancel": raise_on_cancel,
        }
        return View(self, given, kill_on_abandon)

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
            _lifetime.wait_closed(native)
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
