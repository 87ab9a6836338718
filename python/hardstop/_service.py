"""A long-running worker that shuts down in phases and can say what it left undone."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _engine, _executor, _service_signals
from ._errors import JobsLeftError, MessageRefusedError
from ._messages import (
    Encoded,
    Encoding,
    check_encoding,
    checked_pickle,
    register_name,
    run_message,
)
from ._pickling import job_name
from ._queue import MemoryQueue, Queue
from ._sources import Adapter, Encoder, FromAsync, Item, Source, TakenJob, adapt, taken_job
from ._worker import rehearse

if TYPE_CHECKING:
    import asyncio

F = TypeVar("F", bound=Callable[..., object])

Phase = Literal["setup", "accept", "drain", "dispose", "shutdown", "over"]
Dispose = Literal["automatic", "requeue", "journal", "raise", "run", "callback"]
Hook = Literal["setup", "accept", "drain", "dispose", "shutdown", "dispose_job"]
AnySource = Queue | MemoryQueue | Source | Iterable[Item] | AsyncIterable[Item]

_HOOKS = ("setup", "accept", "drain", "dispose", "shutdown", "dispose_job")
_SUCCESS, _FAILURE = 0, 70

_logger = logging.getLogger("hardstop.service")


@dataclass(frozen=True)
class ServiceStats:
    """What a service has done and is doing. Times are seconds."""

    phase: Phase = "setup"
    ready: bool = False
    """Takes jobs, and can run them."""
    waiting: int = 0
    """Taken, not started."""
    running: int = 0
    unsettled: int = 0
    """Ended, and the source does not know yet."""
    taken: int = 0
    finished: int = 0
    failed: int = 0
    """Raised, timed out, died, took too much memory."""
    killed: int = 0
    """By the end of the drain."""
    cancelled: int = 0
    """Because the source asked."""
    returned: int = 0
    """Handed back without having started."""
    refused: int = 0
    journaled: int = 0
    """Left in the journal."""
    lost_leases: int = 0
    """Given to somebody else meanwhile."""
    source_errors: int = 0
    oldest: float = 0.0
    """For how long the oldest of the running has run."""
    drain_left: float | None = None


@dataclass(frozen=True)
class _Job:
    """A registered function and how it is run."""

    function: Callable[..., object]
    timeout: float | None
    grace: float | None
    max_memory: int | None


class Service:
    """Runs jobs from a source on a pool until told to stop, or until there are no more.

        service = hardstop.Service(hardstop.Queue("jobs.db"), workers=4, journal="resize.journal")

        @service.job(timeout=60)
        def resize(path, width): ...

        raise SystemExit(service.run())

    It goes through the phases *setup*, *accept*, *drain*, *dispose* and *shutdown*, one way.
    SIGTERM and SIGINT start the drain: nothing more is taken, what was started may finish. A second
    one shortens it to ``hurried_drain``, a third ends it; what then still runs is killed and
    accounted for. No signal is ever seen as an exception. SIGUSR1 writes what the service is doing
    to standard error.

    ``workers``: how many jobs run at a time. ``prefetch``: jobs taken beyond those; unless given,
    as many as workers. ``window``: job k + window is not taken while job k is open. ``journal``: a
    file that says, even after a crash, which jobs were taken and what became of them. ``grace``:
    seconds from the first signal to the end; unless given, ``HARDSTOP_GRACE`` of the environment,
    else 30. ``drain``, ``dispose_time``, ``shutdown_time``: parts of it. ``dispose``: what becomes
    of jobs that were taken and not started: ``"requeue"``, ``"journal"``, ``"raise"``, ``"run"``,
    ``"callback"``, or ``"automatic"``, the first of requeue, journal and run that is possible.
    ``handle_signals``: False if only ``stop()`` ends it. ``exit_if_stuck``: leave the process when
    all is over and a hook or the source does not return. ``private_tmpdir``: a directory of its own
    for each attempt's temporary files. ``encoding``, ``key``: of arguments that come from a source
    written in Python, see :class:`Queue`. Everything else goes to :class:`ProcessPoolExecutor`.

    Register jobs and hooks first, in one thread. Any thread may call ``stop()``, ``stats()``,
    ``ready()``, ``metrics()`` and ``describe()``.
    """

    def __init__(
        self,
        source: AnySource | None = None,
        *,
        workers: int | None = None,
        prefetch: int | None = None,
        window: int = 0,
        journal: str | os.PathLike[str] | None = None,
        grace: float | None = None,
        drain: float | None = None,
        dispose_time: float = 2.0,
        shutdown_time: float = 3.0,
        setup_time: float = 60.0,
        hurried_drain: float = 3.0,
        dispose: Dispose = "automatic",
        handle_signals: bool = True,
        exit_if_stuck: bool = False,
        private_tmpdir: bool = False,
        progress_interval: float = 5.0,
        name: str = "service",
        encoding: Encoding = "json",
        key: bytes | None = None,
        **pool: Any,
    ) -> None:
        self._source = source
        self._settings: dict[str, Any] = {
            "workers": workers,
            "prefetch": prefetch,
            "window": window,
            "journal": None if journal is None else os.fspath(journal),
            "grace": grace,
            "drain": drain,
            "dispose_time": dispose_time,
            "shutdown_time": shutdown_time,
            "setup_time": setup_time,
            "hurried_drain": hurried_drain,
            "dispose": dispose,
            "exit_if_stuck": exit_if_stuck,
            "private_tmpdir": private_tmpdir,
            "progress_interval": progress_interval,
            "name": name,
        }
        self._handle_signals = handle_signals
        # A pickle from a source of this program that no file will hold needs nobody else's trust.
        if encoding == "pickle" and key is None and journal is None:
            key = os.urandom(32)
        check_encoding(encoding, key)
        self._encoding = encoding
        self._key = key
        self._pool_options = pool
        self._make_executor()  # constructing one starts nothing, and checks its options
        self._jobs: dict[str, _Job] = {}
        self._hooks: dict[str, list[Callable[..., object]]] = {}
        self._lock = threading.Lock()
        self._core: _engine.ServiceCore | None = None
        self._early_stops = 0

    def _make_executor(self) -> _executor.ProcessPoolExecutor:
        options = {"name": self._settings["name"], **self._pool_options}
        return _executor.ProcessPoolExecutor(self._settings["workers"], **options)

    # --- before it runs

    @overload
    def job(self, function: F, /) -> F: ...

    @overload
    def job(
        self,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        grace: float | None = None,
        max_memory: int | None = None,
    ) -> Callable[[F], F]: ...

    def job(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        timeout: float | None = None,
        grace: float | None = None,
        max_memory: int | None = None,
    ) -> Any:
        """Messages of that name, or else of the function's, run it; it stays what it is.

        ``timeout``: seconds for an attempt. ``grace``: seconds between asking it to stop and
        killing it. ``max_memory``: bytes. What it returns is dropped.
        """
        _check_seconds("timeout", timeout)
        _check_seconds("grace", grace)

        def register(function: F) -> F:
            self._register(function, name, _Job(function, timeout, grace, max_memory))
            return function

        return register if function is None else register(function)

    def _register(self, function: Callable[..., object], name: str | None, job: _Job) -> None:
        import inspect

        if not callable(function):
            raise TypeError(f"{function!r} is no function: put @service.job in front of one")
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{job_name(function)}() is a coroutine function, and a worker has no event loop: "
                "register a function that calls asyncio.run()"
            )
        called = name if name is not None else job_name(function).rpartition(".")[2]
        if not called or not isinstance(called, str):
            raise ValueError("a job's name is empty: give it one")
        if called in self._jobs:
            raise ValueError(f"a job named {called!r} is registered already: name each once")
        if self._core is not None:
            raise RuntimeError("the service runs already: register its jobs before")
        self._jobs[called] = job
        register_name(function, called)

    def on(self, phase: Hook) -> Callable[[F], F]:
        """Calls the function when the phase begins, in the thread of ``run()``.

        One that raises fails the service, which shuts down in good order. For ``setup`` it is
        called before the pool starts, which inherits what it has made. ``dispose_job`` is called
        with each :class:`TakenJob` that was not started, if ``dispose="callback"``. Under
        ``serve()`` it may be a coroutine function, which runs in the loop.
        """
        if phase not in _HOOKS:
            raise ValueError(f"there is no phase {phase!r}: give one of {', '.join(_HOOKS)}")

        def add(function: F) -> F:
            self._hooks.setdefault(phase, []).append(function)
            return function

        return add

    # --- running

    def run(self, source: AnySource | None = None) -> int:
        """Runs jobs until told to stop or until there are no more. Returns what the process should
        exit with: 0, every job that was taken is accounted for; 75, a deadline cut some short; 70,
        something failed, and the log names what is not accounted for.

        Once. Raises ValueError for options that make no sense, QueueError for a journal that cannot
        be used, and JobsLeftError.
        """
        if _executor.runs_in_event_loop():
            raise RuntimeError("run() would block the event loop: use `await service.serve()`")
        if not self._handle_signals:
            return self._run(source, None, -1)
        _check_main_thread("run()")
        with _service_signals.numbers_in_a_pipe() as numbers:
            return self._run(source, None, numbers)

    async def serve(self, source: AnySource | None = None) -> int:
        """The same under asyncio, in a thread of its own: the loop is never blocked.

        Cancelling the awaiting task starts the drain, as a signal does, and CancelledError comes at
        its end; cancelling again shortens it.
        """
        import asyncio

        from ._serving import serve_in_thread

        loop = asyncio.get_running_loop()
        signals = self._handle_signals
        if signals:
            _check_main_thread("serve()")
        return await serve_in_thread(self, lambda: self._run(source, loop, -1), signals)

    def _run(
        self, source: AnySource | None, loop: asyncio.AbstractEventLoop | None, numbers: int
    ) -> int:
        source = self._source if source is None else source
        if source is None:
            raise ValueError("the service has no source: give run() one, or the service itself")
        run = _Run(self, source, loop)
        with self._lock:
            if self._core is not None:
                raise ValueError("this service has run already: make another one")
            core = self._core = run.make_core()
            for _ in range(self._early_stops):
                core.stop()
        return run.to_the_end(core, numbers)

    # --- meanwhile

    def stop(self) -> None:
        """Starts the drain; called again, shortens it, and then ends it. Does not wait."""
        with self._lock:
            if self._core is None:
                self._early_stops += 1
            else:
                self._core.stop()

    def stats(self) -> ServiceStats:
        core = self._core
        return ServiceStats() if core is None else ServiceStats(**core.stats())

    def ready(self) -> bool:
        """Whether it takes jobs: for a readiness probe."""
        return self.stats().ready

    def metrics(self) -> str:
        """All numbers, in the text format of Prometheus, version 0.0.4."""
        core = self._core
        return "" if core is None else core.metrics()

    def describe(self) -> str:
        """What it is doing, for people: each job with its process and time, as SIGUSR1 shows it."""
        core = self._core
        return f"{self._settings['name']}: has not begun\n" if core is None else core.describe()

    def __repr__(self) -> str:
        return f"<hardstop.Service {self._settings['name']!r}, {self.stats().phase}>"


def _check_seconds(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, (int, float)) and value >= 0):
        raise ValueError(f"{name}={value!r}: give 0 or more seconds, or None")


def _check_main_thread(what: str) -> None:
    if not _service_signals.in_main_thread():
        raise ValueError(
            f"{what} was called outside of the main thread, and Python handles signals only there: "
            "give the service handle_signals=False, and stop() it yourself"
        )


class _Run:
    """One life of a service: what its C++ side calls, each in a thread of its own.

    C++ keeps it as long as the service keeps C++, which Python's garbage collector cannot see: so
    at its end it lets go of the service.
    """

    _service: Service

    def __init__(
        self, service: Service, source: AnySource, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._service = service
        self._loop = loop
        self._executor = service._make_executor()
        self._blobs: dict[str, bytes] = {}
        self._encoder = Encoder(service._encoding, service._key)
        self._key = service._key
        self._adapter: Adapter | None = None
        self._native: Any
        if isinstance(source, (Queue, MemoryQueue)):
            self._native = source._core
            self._key = source._key or service._key
        else:
            self._native = self._adapter = adapt(source, self._encoder, loop)

    def make_core(self) -> _engine.ServiceCore:
        service = self._service
        hooks: dict[str, Callable[..., None]] = {}
        for phase in service._hooks:
            if phase == "dispose_job":
                hooks[phase] = self._dispose_job
            else:
                hooks[phase] = functools.partial(self._call_hooks, phase)
        settings = {**service._settings, "workers": self._executor._max_workers}
        runner: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "call_for": self._call_for,
            "close": self._close,
        }
        graces = {name: job.grace for name, job in service._jobs.items()}
        return _engine.ServiceCore(settings, hooks, log_record, runner, graces)

    def to_the_end(self, core: _engine.ServiceCore, numbers: int) -> int:
        adapter = self._adapter
        try:
            ended = core.run(self._native, numbers)
        finally:
            if isinstance(adapter, FromAsync):
                adapter.end(self._service._settings["shutdown_time"])
            self.__dict__.clear()
        if isinstance(ended, list):
            raise JobsLeftError([taken_job(each) for each in ended])
        if adapter is not None and adapter.failed and ended == _SUCCESS:
            return _FAILURE
        return ended

    # --- the pool

    def _open(self) -> _engine.Pool:
        self._executor.submit(rehearse).result()
        assert self._executor._native is not None
        for name, job in self._service._jobs.items():
            try:
                self._blobs[name] = self._executor._dump_function(job.function)
            except Exception as error:
                raise TypeError(
                    f"the function of job {name!r} cannot be sent to workers: define it at the top "
                    f"level of a module ({type(error).__name__}: {error})"
                ) from error
        return self._executor._native

    def _call_for(
        self,
        job: str,
        message: Encoded,
        timeout: float | None,
        grace: float | None,
        tmpdir: str,
    ) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        name, encoding, arguments = message
        refusal = self._encoder.refusal(job)
        if refusal is not None:
            raise MessageRefusedError(refusal)
        known = self._service._jobs.get(name)
        if known is None:
            names = ", ".join(self._service._jobs) or "none"
            raise MessageRefusedError(f"no job is named {name!r} here; registered are: {names}")
        if encoding == "pickle":
            arguments = checked_pickle(name, arguments, self._key)
        options = (
            known.timeout if timeout is None else timeout,
            known.grace if grace is None else grace,
            0,
            0,
            known.max_memory,
            False,
            name,
            None,
        )
        call = (self._blobs[name], name, encoding, arguments, tmpdir)
        return run_message, call, options

    def _close(self) -> None:
        self._executor.shutdown()

    # --- hooks

    def _call_hooks(self, phase: str) -> None:
        for function in self._service._hooks[phase]:
            self._call(phase, function)

    def _call(self, phase: str, function: Callable[..., object], *args: Any) -> None:
        try:
            returned = function(*args)
            if isinstance(returned, Awaitable):
                self._await(phase, returned)
        except BaseException:
            _logger.error(
                "the hook of %s raised",
                phase,
                exc_info=True,
                extra={"hardstop": {"event": "hook_raised", "phase": phase}},
            )
            raise

    def _await(self, phase: str, returned: Awaitable[object]) -> None:
        import asyncio

        if self._loop is None:
            getattr(returned, "close", lambda: None)()
            raise TypeError(
                f"the hook of {phase} is a coroutine function: it needs the loop of serve()"
            )

        async def awaited() -> None:
            await returned

        asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def _dispose_job(self, told: Any) -> None:
        job: TakenJob = taken_job(told)
        for function in self._service._hooks["dispose_job"]:
            self._call("dispose_job", function, job)


_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class _Logging:
    """Keeps forks out of the middle of a record: a handler's stream has a lock of its own, which
    would stay taken in the child.

    A handler that hangs holds them up for no longer than ``_PATIENCE`` seconds.
    """

    _PATIENCE = 1.0

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._kept = False
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._after_fork_in_child,
        )

    def _before_fork(self) -> None:
        self._kept = self.lock.acquire(timeout=self._PATIENCE)

    def _after_fork(self) -> None:
        if self._kept:
            self.lock.release()

    def _after_fork_in_child(self) -> None:
        self.lock = threading.RLock()


_logging = _Logging()


def log_record(level: int, when: float, text: str, event: str, fields: dict[str, str]) -> None:
    """One record of the service's log, in its own thread: with its own time."""
    number = _LEVELS[level]
    if not _logger.isEnabledFor(number):
        return
    record = _logger.makeRecord(
        _logger.name,
        number,
        __file__,
        0,
        text,
        (),
        None,
        extra={"hardstop": {"event": event, **fields}},
    )
    record.created = when
    record.msecs = (when - int(when)) * 1000
    with _logging.lock:
        _logger.handle(record)
