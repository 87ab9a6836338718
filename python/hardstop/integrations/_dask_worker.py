"""In a Dask worker: runs each job in the process's hardstop pool, and stops it when told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distributed import Reschedule, WorkerPlugin, get_worker

from .. import _job
from .._errors import JobStoppedError, WorkerDiedError
from .._future import Future
from .._killable import _local_pool
from .._outcome import Outcome
from .._pickling import dump_exception
from . import _dask_messages as messages
from ._dask_messages import End


def run_job(
    options: dict[str, Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> End:
    """What Dask runs, in one of a worker's threads. Blocks until the job has ended."""
    worker = get_worker()
    jobs = worker.plugins.get(messages.PLUGIN)
    if jobs is None:
        raise RuntimeError(
            f"Dask worker {worker.address} has no hardstop plugin: "
            "it is added by ClusterExecutor(client), and somebody has removed it"
        )
    ended: End = jobs.run(worker.get_current_task(), options, fn, args, kwargs)
    return ended


class Jobs(WorkerPlugin):  # type: ignore[misc]
    """The jobs of one Dask worker.

    ``run`` is called in its threads, the rest in its event loop. The lock is held for
    microseconds, but while the first job of all makes the pool.
    """

    name = messages.PLUGIN
    idempotent = True

    def setup(self, worker: Any) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._running: dict[str, Future[Any]] = {}
        self._wanted: dict[str, str] = {}  # of jobs that have not begun
        self._dropped: set[str] = set()  # those that Dask itself has let go of
        worker.stream_handlers[messages.STOP] = self.stop

    def teardown(self, worker: Any) -> None:
        """The worker leaves: what it runs, Dask runs elsewhere."""
        with self._lock:
            for key, job in self._running.items():
                self._dropped.add(key)
                job.kill()

    # --- in the event loop

    def stop(self, key: str, mode: str, grace: float | None) -> None:
        with self._lock:
            job = self._running.get(key)
            if job is not None:
                _stop(job, mode, grace)
                return
            task = self._worker.state.tasks.get(key)
            unknown = task is None or task.state in ("memory", "error", "released", "forgotten")
            if not unknown:
                self._wanted[key] = mode
        if unknown:
            self._tell(key, messages.UNKNOWN)
        elif mode != messages.ASK:
            self._tell(key, messages.NOT_STARTED)

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        if start in ("executing", "long-running") and finish in ("released", "cancelled"):
            # Nobody wants it any more: its client is gone, or somebody has cancelled Dask's own
            # future, or told Dask to start all over. Dask itself would let it run on.
            with self._lock:
                job = self._running.get(key)
                if job is None:
                    self._wanted[key] = messages.KILL
                else:
                    self._dropped.add(key)
                    job.kill()
        elif finish in ("memory", "error", "released", "forgotten") and key in self._wanted:
            with self._lock:
                self._wanted.pop(key, None)

    # --- in a thread of the worker

    def run(
        self,
        key: str,
        options: dict[str, Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> End:
        attempt = self._attempt(key)
        with self._lock:
            wanted = self._wanted.pop(key, None)
            if attempt == messages.MUST_NOT_START or wanted not in (None, messages.ASK):
                return End("cancelled", None, messages.never_started(options["name"]))
            job = _begin(options, attempt, fn, args, kwargs)
            if isinstance(job, Exception):
                return End("exception", dump_exception(job), None)
            self._running[key] = job
            if wanted == messages.ASK:
                job.ask()
        self._tell(key, messages.BEGUN)
        try:
            end = _wait(job, attempt)
        finally:
            with self._lock:
                del self._running[key]
                dropped = key in self._dropped
                self._dropped.discard(key)
        if dropped and end.kind == "cancelled":
            raise Reschedule(f"{key}: Dask let go of it while it ran")
        if end.kind in ("worker died", "not started") and options["retries"]:
            raise _died(job)  # for Dask to try it again
        if end.kind != "value":
            self._tell(key, messages.ENDED, end.packed())
        return end

    def _attempt(self, key: str) -> int:
        task = self._worker.state.tasks.get(key)
        annotations = (task.annotations if task is not None else None) or {}
        return int(annotations.get(messages.ANNOTATION, 1))

    def _tell(self, key: str, what: str, end: bytes | None = None) -> None:
        worker = self._worker
        told = {"op": messages.TOLD, "key": key, "what": what, "end": end}
        worker.loop.add_callback(worker.batched_send, told)


def _begin(
    options: dict[str, Any],
    attempt: int,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Future[Any] | Exception:
    """The job, or what is wrong with the call."""
    local = {name: value for name, value in options.items() if name != "retries"}
    try:
        view = _local_pool().options(**local)
        if attempt > 1:
            return view._submit(_Again(fn, attempt), args, kwargs)
        return view._submit(fn, args, kwargs)
    except Exception as error:
        return error


def _stop(job: Future[Any], mode: str, grace: float | None) -> None:
    if mode == messages.CANCEL:
        job.cancel(grace)
    elif mode == messages.KILL:
        job.kill()
    elif mode == messages.ASK:
        job.ask()


def _wait(job: Future[Any], attempt: int) -> End:
    error: BaseException | None
    try:
        error = job.exception()
    except JobStoppedError as cancelled:
        error = cancelled
    outcome = job.outcome
    assert outcome is not None
    outcome = _numbered(outcome, attempt)
    if error is None:
        return End("value", job.result(), outcome)
    if isinstance(error, JobStoppedError):
        error.outcome = outcome
    return End(outcome.kind, dump_exception(error.with_traceback(None)), outcome)


def _numbered(outcome: Outcome, attempt: int) -> Outcome:
    import dataclasses

    return dataclasses.replace(outcome, attempt=attempt) if outcome.started else outcome


def _died(job: Future[Any]) -> BaseException:
    error = job.exception()
    assert isinstance(error, WorkerDiedError)
    return error


class _Again:
    """A further attempt, that knows its number: the pool it runs in has not seen the others."""

    def __init__(self, fn: Callable[..., Any], attempt: int) -> None:
        self._fn = fn
        self._attempt = attempt

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _job.earlier_attempts = self._attempt - 1
        try:
            return self._fn(*args, **kwargs)
        finally:
            _job.earlier_attempts = 0
