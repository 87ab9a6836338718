"""A future whose running job can be stopped."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import _base
from typing import TYPE_CHECKING, Any, TypeVar

from . import _engine
from ._errors import (
    ProcessCancelledError,
    ProcessMemoryError,
    ProcessTimeoutError,
    WorkerDiedError,
)
from ._job import Progress
from ._outcome import Outcome, outcome_of

T = TypeVar("T")

_ASK, _ASK_THEN_KILL, _KILL, _TAKE_BACK = range(4)
_MODES = {"ask": _ASK, "grace": _ASK_THEN_KILL, "kill": _KILL}


def check_mode(mode: str, grace: float | None) -> None:
    """Whether ``cancel()`` was asked for something that makes sense."""
    if mode not in _MODES:
        raise ValueError(f"mode={mode!r}: give 'ask', 'grace' or 'kill'")
    if grace is not None and mode != "grace":
        raise ValueError(f"grace={grace!r} is for mode='grace': {mode!r} waits for nobody")


class Future(_engine.FutureCore, concurrent.futures.Future[T]):
    """The future of one job: a :class:`concurrent.futures.Future` that can stop what runs.

    Differences from the standard library, the first one first: ``cancel()`` on a running job
    returns True and stops it. There True means that it never ran; here half of it may have.
    ``outcome`` tells.
    """

    # A condition and lists are made when somebody asks for them, in C++.
    __init__ = object.__init__

    def cancel(self, grace: float | None = None, *, mode: str = "grace") -> bool:
        """Stops the job. Never blocks; True if it had not ended.

        A job that has not started never will: the future is cancelled at once. One that runs
        stays RUNNING until its process tree is confirmed gone; then the future is cancelled, or,
        if the job finished first, has its result.

        ``mode``, who decides how: ``"grace"`` asks the job and kills it when its grace is over,
        ``"kill"`` kills it now, ``"ask"`` sets the flag that ``current_job().cancel_requested``
        shows and does nothing else. ``grace``, in seconds, replaces what ProcessCancelTimeout
        said. Called again it can make it harder or sooner, never softer or later.
        """
        check_mode(mode, grace)
        answer = self._cancel(_MODES[mode], grace)
        if answer is None:
            return super().cancel()
        return bool(answer != 2) or self._is_cancelled_at_last()

    def kill(self) -> bool:
        """Like ``cancel()``, without any grace."""
        answer = self._cancel(_KILL, None)
        if answer is None:
            return super().cancel()
        return bool(answer != 2) or self._is_cancelled_at_last()

    def ask(self) -> bool:
        """Asks the job to stop (``current_job().cancel_requested``) and never kills it."""
        answer = self._cancel(_ASK, None)
        return answer is not None and answer != 2

    def take_back(self) -> bool:
        """Cancels the job if it has not started; leaves it alone if it runs."""
        answer = self._cancel(_TAKE_BACK, None)
        if answer is None:
            return super().cancel()
        return bool(answer == 0) or self.cancelled()

    def _is_cancelled_at_last(self) -> bool:
        """Of a job for which a further cancel came too late: what its first one had as an answer,
        until the end is published."""
        return self.cancelled() if self.done() else self._cancel_requested

    def running(self) -> bool:
        """Whether the job is being executed now."""
        if self.done():
            return False
        state = self._job_state()
        return super().running() if state is None else bool(state != 0)

    def done(self) -> bool:
        """Whether the job has ended, one way or the other."""
        return self._state in ("FINISHED", "CANCELLED_AND_NOTIFIED", "CANCELLED")

    def cancelled(self) -> bool:
        """Whether the job was cancelled through this future, and is gone."""
        return self._state in ("CANCELLED_AND_NOTIFIED", "CANCELLED")

    if TYPE_CHECKING:  # it is C++, and comes here for what is not a plain value

        def result(self, timeout: float | None = None) -> T: ...

    def _result_or_error(self, timeout: float | None = None) -> T:
        if self._state != "FINISHED":
            self._await(timeout)
        try:
            if self._exception is not None:
                raise self._exception
            return self._result  # type: ignore[no-any-return]
        finally:
            # Breaks a cycle with the traceback.
            self = None  # type: ignore[assignment]  # noqa: PLW0642

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The job's exception, or None. See ``result()``."""
        if self._state != "FINISHED":
            self._await(timeout)
        return self._exception

    def _await(self, timeout: float | None) -> None:
        ended = self._wait(timeout)
        if ended is None:  # not a pool's, or it is about to be published
            with self._condition:
                ended = self._condition.wait_for(self.done, timeout)
        if not ended:
            raise concurrent.futures.TimeoutError()
        if self.cancelled():
            raise self._exception or ProcessCancelledError()

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[T]], object]) -> None:
        """Calls ``fn(future)`` when the job has ended; see the standard library."""
        if self._add_done_callback(fn) is NotImplemented:
            super().add_done_callback(fn)

    @property
    def pid(self) -> int | None:
        """The process that runs the job, or ran its last attempt; None while none has begun."""
        return self._job_pid() or None

    @property
    def progress(self) -> Progress | None:
        """What the job last told by ``current_job().progress()``; None if it has not."""
        told = self._progress()
        return Progress(*told) if isinstance(told, tuple) and len(told) == 3 else None

    def add_progress_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Calls ``fn(future)`` when the job has told of progress, in the thread of done callbacks.

        Progress that comes faster than callbacks run is told once: the last counts.
        """
        if self._add_progress_callback(fn) is NotImplemented:
            raise RuntimeError("this future belongs to no pool: nobody tells of its progress")

    @property
    def state(self) -> str:
        """``"queued"``, ``"running"`` or ``"done"``."""
        if self.done():
            return "done"
        state = self._job_state()
        if state is None:
            return "running" if super().running() else "queued"
        return "running" if state else "queued"  # ended, but not yet published: not yet done

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it has not."""
        told = self._job_outcome()
        return None if told is None else outcome_of(told)

    def __repr__(self) -> str:
        if not self.done():
            return f"<{type(self).__name__} at {id(self):#x} state={self.state}>"
        return super().__repr__()

    def __class_getitem__(cls, item: object) -> Any:
        return cls


def make_condition() -> threading.Condition:
    return threading.Condition()


_KINDS: dict[str, type[Exception]] = {
    "timed out": ProcessTimeoutError,
    "worker died": WorkerDiedError,
    "memory limit": ProcessMemoryError,
    "cancelled": ProcessCancelledError,
}


def explain(future: Future[Any], told: dict[str, Any]) -> tuple[str, BaseException]:
    """State and exception of a job that has no result of its own."""
    how = outcome_of(told)
    if how.kind == "not started":
        if how.by_shutdown:
            return "CANCELLED_AND_NOTIFIED", _with(ProcessCancelledError(how.text), how)
        return "FINISHED", _with(WorkerDiedError(how.text), how)
    text = f"{how.text}\n{_own_frames(how.stack)}" if how.stack else how.text
    error = _with(_KINDS[how.kind](text), how)
    if how.kind == "cancelled" and (
        future._cancel_requested or not how.by_shutdown or not how.started
    ):
        return "CANCELLED_AND_NOTIFIED", error
    return "FINISHED", error


def _own_frames(stack: str) -> str:
    """faulthandler's stacks, without the frames below the job's."""
    kept = []
    below = False
    for line in stack.splitlines():
        if not line.startswith("  "):
            below = False
        below = below or "hardstop/_worker.py" in line
        if not below:
            kept.append(line)
    return "\n".join(kept)


def _with(error: Any, how: Outcome) -> BaseException:
    error.outcome = how
    return error  # type: ignore[no-any-return]


def publish(
    future: Future[Any], state: str, result: object, exception: BaseException | None
) -> None:
    """Ends a future that somebody waits for, as concurrent.futures does.

    Called again if a signal handler raised before it was through.
    """
    with future._condition:
        again = future._state == state
        future._result = result
        future._exception = exception
        future._state = state
        for waiter in future._waiters:
            if again and future in waiter.finished_futures:
                continue
            if state == "CANCELLED_AND_NOTIFIED":
                waiter.add_cancelled(future)
            elif exception is not None:
                waiter.add_exception(future)
            else:
                waiter.add_result(future)
        future._condition.notify_all()


def report_callback(future: Future[Any], error: BaseException | None) -> None:
    """A done callback raised: logged where concurrent.futures logs it."""
    _base.LOGGER.error("exception calling callback for %r", future, exc_info=error)
