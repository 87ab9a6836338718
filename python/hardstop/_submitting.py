"""Submitting jobs: what an executor and its views with options have in common."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from . import _engine
from ._cancelling import interruptible
from ._future import Future
from ._run import await_end
from ._semaphore import needs_of
from ._token import CancelToken

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from ._executor import ProcessPoolExecutor
    from ._options import ProcessCancelTimeout, ProcessTimeout

    Ts = TypeVarTuple("Ts")
    JobOption = ProcessTimeout | ProcessCancelTimeout

P = ParamSpec("P")
T = TypeVar("T")

JobOptions = tuple[Any, ...]
_OPTION_NAMES = (
    "timeout",
    "grace",
    "priority",
    "retries",
    "max_memory",
    "kill_leftovers",
    "name",
    "needs",
)


class Submitting(concurrent.futures.Executor):
    """What an executor and its views have in common."""

    _kill_on_abandon = False
    _job_options: JobOptions | None = None
    _token: CancelToken | None = None

    def _running_pool(self) -> _engine.Pool:
        """The engine's pool, started if it is not yet. RuntimeError if it takes no more jobs."""
        raise NotImplementedError

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        job: Future[T] = self._running_pool().submit(fn, args, kwargs, self._job_options)
        if self._token is not None:
            self._token.follow(job)
        return job

    def _submit_all(
        self,
        fn: Callable[..., T],
        calls: Iterator[tuple[Any, ...]],
        futures: list[Future[T]],
    ) -> None:
        """Appends a future for each. If that raises, those before are there."""
        if self._token is None:
            self._running_pool().submit_all(fn, calls, self._job_options, futures)
        else:
            for args in calls:
                futures.append(Submitting._submit(self, fn, args, {}))

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

    def options(self, *args: Any, **changes: Any) -> View:
        """A view of this executor whose jobs have these options; itself an Executor."""
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


def _checked_options(options: dict[str, Any]) -> JobOptions:
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
    options["needs"] = needs_of(options.get("needs"))
    options["kill_leftovers"] = options["leftovers"] == "kill"
    return tuple(options[name] for name in _OPTION_NAMES)


class View(Submitting):
    """An executor's jobs, with options of their own. Shares its workers; has no end of its own."""

    def __init__(
        self, executor: ProcessPoolExecutor, options: dict[str, Any], kill_on_abandon: bool
    ) -> None:
        self._executor = executor
        self._given = options
        self._job_options = _checked_options(dict(options))
        self._token = options["cancel_on"]
        if self._token is not None:
            self._token.check_reach()
        self._raise_on_cancel = bool(options["raise_on_cancel"])
        self._kill_on_abandon = kill_on_abandon

    def _running_pool(self) -> _engine.Pool:
        return self._executor._running_pool()

    def _submit(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[T]:
        return super()._submit(interruptible(fn) if self._raise_on_cancel else fn, args, kwargs)

    def _submit_all(
        self,
        fn: Callable[..., T],
        calls: Iterator[tuple[Any, ...]],
        futures: list[Future[T]],
    ) -> None:
        super()._submit_all(interruptible(fn) if self._raise_on_cancel else fn, calls, futures)

    def options(self, **changes: Any) -> View:
        kill_on_abandon = changes.pop("kill_on_abandon", self._kill_on_abandon)
        unknown = changes.keys() - self._given.keys()
        if unknown:
            raise TypeError(f"options() got unexpected {', '.join(sorted(unknown))}")
        return View(self._executor, {**self._given, **changes}, kill_on_abandon)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does nothing: the executor it is a view of is to be shut down."""


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
