"""Celery tasks that really stop, in prefork workers that live on.

The task's body runs in the hardstop pool of Celery's prefork child, made at the child's first such
task. ``revoke(terminate=True)`` and time limits stop the body with all that it has started; the
child, which Celery would kill, goes on with the next task.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import pickle
import select
import time
from collections.abc import Callable, Iterator
from typing import Any

from celery import current_app
from celery.exceptions import Ignore, SoftTimeLimitExceeded
from celery.platforms import signals
from celery.signals import task_revoked
from celery.worker.request import Request

from .._errors import JobStoppedError, ProcessCancelledError, ProcessMemoryError
from .._future import Future
from .._killable import _Bell, _local_pool
from .._token import CancelToken

__all__ = ["KillableRequest", "killable_task"]

_TOKEN = "hardstop_token"  # in what Celery's main process tells its child about a task
_LONGEST_POLL = 1e6  # seconds
_NEVER = 10 * 365 * 86400.0  # seconds; Celery takes 0 for its own default


def killable_task(
    app: Any,
    *,
    timeout: float | None = None,
    grace: float | None = None,
    max_memory: int | None = None,
    leftovers: str = "keep",
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator as ``app.task(**options)``, for tasks that can be stopped.

    ``timeout`` and ``grace`` in seconds, ``max_memory`` in bytes, ``leftovers`` as in
    :meth:`hardstop.ProcessPoolExecutor.options`. Celery's own limits hold as well: the hard one
    (``time_limit``) ends the task with ProcessTimeoutError; the soft one asks the job
    (``current_job().cancel_requested``), kills it at the hard one or after its grace, and ends it
    with SoftTimeLimitExceeded unless it has finished. A revoked task ends REVOKED, with what was
    stopped as its reason; one whose process died with WorkerDiedError, one that used too much
    memory with JobStoppedError. A message is acknowledged late (``acks_late``) when all of that is
    over. Called directly, the function runs in a killable process as well.

    TypeError with ``bind=True``: the body runs in another process than its task; use
    ``autoretry_for`` to retry.
    """
    if options.get("bind"):
        raise TypeError(
            "killable_task(bind=True): the body runs in another process than its task and cannot "
            "have it; leave bind out, and retry with autoretry_for="
        )
    limits = (options.pop("time_limit", None), options.pop("soft_time_limit", None))
    local = {
        "timeout": timeout,
        "grace": grace,
        "max_memory": max_memory,
        "leftovers": leftovers,
    }
    _local_pool_options(local)

    def decorate(fn: Callable[..., Any]) -> Any:
        @functools.wraps(fn)
        def stoppable(*args: Any, **kwargs: Any) -> Any:
            return _run(made.name, local, limits, args, kwargs)

        made = app.task(
            Request=f"{__name__}:{KillableRequest.__name__}",
            time_limit=_NEVER,
            soft_time_limit=_NEVER,
            **options,
        )(stoppable)
        return made

    return decorate


def _local_pool_options(options: dict[str, Any]) -> None:
    """ValueError at once, where the task is written, and not when it runs."""
    from .._submitting import _checked_options

    unset = {"priority": 0, "retries": 0, "name": None}
    _checked_options({**unset, **options})


# --- in Celery's main process


class KillableRequest(Request):  # type: ignore[misc]
    """One task that Celery's worker has received.

    Its token goes with it to the child. Nothing else reaches a running job, and nothing but that
    job is reached.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time_limits = (_NEVER, _NEVER)  # kept in the child
        self._token: CancelToken | None = None
        self._signal = 0

    @property
    def request_dict(self) -> dict[str, Any]:
        """What the child is told."""
        if self._token is None:
            self._token = CancelToken()
            self._request_dict[_TOKEN] = pickle.dumps(self._token)
        told: dict[str, Any] = self._request_dict
        return told

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Stops the job, not the child; whatever the signal is, it is not sent."""
        if not self.time_start:
            self._terminate_on_ack = pool, signal
            return
        assert self._token is not None
        self._signal = signals.signum(signal or "TERM")
        self._token.cancel()

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """The child has told how it ended."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if self._signal and isinstance(error, Ignore):
            told = {"terminated": True, "signum": self._signal, "expired": False}
            self.send_event("task-revoked", **told)
            task_revoked.send(sender=self.task, request=self._context, **told)
        return super().on_failure(exc_info, *args, **kwargs)


# --- in the child


class _Body:
    """A task's function, found where it runs by the task's name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.__qualname__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run = current_app.tasks[self._name].run
        return _plain(run)(*args, **kwargs)


def _plain(run: Callable[..., Any]) -> Callable[..., Any]:
    """What was decorated, below whatever Celery has put around it."""
    while hasattr(run, "__wrapped__"):
        run = run.__wrapped__
    return run


def _run(
    name: str,
    options: dict[str, Any],
    limits: tuple[float | None, float | None],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    task = current_app.tasks[name]
    request = task.request
    token = _token_of(request)
    hard, soft = _limits(task, request, limits)
    timeout = min((each for each in (hard, options["timeout"]) if each), default=None)
    view = _local_pool().options(
        **{**options, "timeout": timeout, "name": name, "cancel_on": token}
    )
    try:
        with _process(os.getpid() if token is None else token.maker) as main:
            job = view._submit(_Body(name), args, kwargs)
            return _wait(job, soft, hard, options["grace"], main)
    except _MainIsGone:
        raise
    except ProcessCancelledError as error:
        if token is None or not token.cancelled:
            raise
        _tell_revoked(task, request, str(error))
        raise Ignore() from error
    except ProcessMemoryError as error:
        # Celery takes any MemoryError for its own, and ends the whole worker.
        raise _with_outcome(JobStoppedError(str(error)), error) from None
    except SystemExit as error:
        # It would end the child.
        raise JobStoppedError(f"job '{name}' called sys.exit({error.code!r})") from None


def _with_outcome(made: JobStoppedError, error: JobStoppedError) -> JobStoppedError:
    made.outcome = error.outcome
    return made


def _token_of(request: Any) -> CancelToken | None:
    told = getattr(request, _TOKEN, None)
    if told is None:
        return None  # called directly, or with task_always_eager
    token: CancelToken = pickle.loads(told)
    return token


def _limits(
    task: Any, request: Any, own: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    """Hard and soft: those of the message before the task's before the app's."""
    if request.called_directly:
        return None, None
    of_message = request.timelimit or (None, None)
    of_app = (task.app.conf.task_time_limit, task.app.conf.task_soft_time_limit)
    hard, soft = (
        next((each for each in limits if each and each < _NEVER), None)
        for limits in zip(of_message, own, of_app, strict=True)
    )
    return hard, soft


class _MainIsGone(SystemExit):
    """Celery's main process has ended, and with it whoever could stop this task."""


def _wait(
    job: Future[Any],
    soft: float | None,
    hard: float | None,
    grace: float | None,
    main: int,
) -> Any:
    try:
        if _has_ended(job, soft, main):
            return job.result()
        assert soft is not None
        job.cancel(grace if hard is None or hard <= soft else hard - soft)
        _has_ended(job, None, main)
        try:
            return job.result()
        except ProcessCancelledError as error:
            raise SoftTimeLimitExceeded(soft) from error
    except BaseException:
        # Something raised here by Celery: then nobody waits for the job any more.
        if not job.done():
            job.kill()
            concurrent.futures.wait([job])
        raise


def _has_ended(job: Future[Any], seconds: float | None, main: int) -> bool:
    """Waits for the end of the job, so many seconds. Ends this process if Celery's main one is
    gone: its tasks are given to other workers, and must not run twice at a time."""
    ended = _Bell()
    job.add_done_callback(ended.ring)
    poll = select.poll()
    poll.register(ended.number, select.POLLIN)
    poll.register(main, select.POLLIN)
    until = None if seconds is None else time.monotonic() + seconds
    while not job.done():
        left = _LONGEST_POLL if until is None else until - time.monotonic()
        if left <= 0:
            return False
        ready = {number for number, _events in poll.poll(min(left, _LONGEST_POLL) * 1000)}
        if main in ready:
            raise _MainIsGone(1)
    return True


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends."""
    try:
        number = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _MainIsGone(1) from None
    try:
        yield number
    finally:
        os.close(number)


def _tell_revoked(task: Any, request: Any, reason: str) -> None:
    """When all of it is gone: so says the result backend, and why."""
    stored = not request.ignore_result or task.store_errors_even_if_ignored
    task.backend.mark_as_revoked(request.id, reason, request=request, store_result=stored)
