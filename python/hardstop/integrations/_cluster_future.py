"""The future of a job that runs somewhere on a cluster."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import JobStoppedError, ProcessCancelledError
from .._future import Future, check_mode, publish
from .._job import Progress
from .._outcome import Outcome
from .._pickling import load_result
from . import _dask_messages as messages
from ._dask_messages import End

if TYPE_CHECKING:
    from .dask import ClusterExecutor

T = TypeVar("T")


class ClusterFuture(Future[T]):
    """A :class:`hardstop.Future` of a job on a cluster. Any thread may use it.

    ``cancel()`` and its siblings never block and return True while the end is not known here. A
    job that has not started is cancelled when the cluster has said so, milliseconds later.
    """

    def __init__(self, executor: ClusterExecutor, key: str, name: str) -> None:
        self._executor = executor
        self._name = name
        self._begun_on: str | None = None
        self._how: Outcome | None = None
        self._ended_by_shutdown = False
        self.key = key
        """The key of Dask's task, for its dashboard and logs."""

    def cancel(self, grace: float | None = None, *, mode: str = "grace") -> bool:
        """Stops the job, on whichever machine; see :meth:`hardstop.Future.cancel`."""
        check_mode(mode, grace)
        if mode != "grace":
            return self.kill() if mode == "kill" else self.ask()
        return self._ask_cluster(messages.CANCEL, grace)

    def kill(self) -> bool:
        """Like ``cancel()``, without any grace."""
        return self._ask_cluster(messages.KILL, 0.0)

    def ask(self) -> bool:
        """Asks the job to stop (``current_job().cancel_requested``) and never kills it."""
        return self._ask_cluster(messages.ASK, None)

    def take_back(self) -> bool:
        """Cancels the job if it has not started; leaves it alone if it runs."""
        return self._ask_cluster(messages.TAKE_BACK, None)

    def _ask_cluster(self, mode: str, grace: float | None) -> bool:
        if self.done():
            return self.cancelled()
        self._executor._stop(self, mode, grace)
        return True

    def running(self) -> bool:
        """Whether a worker has told that the job has begun, and nobody that it has ended."""
        return self._begun_on is not None and not self.done()

    @property
    def state(self) -> str:
        """``"queued"``, ``"running"`` or ``"done"``, as far as it is known here."""
        if self.done():
            return "done"
        return "running" if self.running() else "queued"

    @property
    def worker(self) -> str | None:
        """The address of the Dask worker that runs the job, or ran it last; None before."""
        return self._begun_on

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it has not. ``pid`` is of the worker's machine."""
        return self._how

    @property
    def pid(self) -> int | None:
        """The process that ran the job, on the machine of ``worker``; None until it has ended."""
        return None if self._how is None else self._how.pid or None

    @property
    def progress(self) -> Progress | None:
        raise RuntimeError(f"job '{self._name}': progress is not told across a cluster")

    def add_progress_callback(self, fn: Callable[[Future[T]], object]) -> None:
        raise RuntimeError(f"job '{self._name}': progress is not told across a cluster")

    # --- its end, told once, in the thread of the client's event loop

    def _end(self, end: End) -> None:
        if end.kind == "value":
            self._publish("FINISHED", end.value, None, end.outcome)
            return
        if end.value is None:
            self._never_started()
            return
        pickled, buffers = end.value
        try:
            error = load_result(pickled, buffers)
        except Exception as unreadable:
            error = unreadable
        self._fail(error, end.outcome)

    def _fail(self, error: BaseException, how: Outcome | None) -> None:
        if self._ended_by_shutdown and how is not None and how.kind == "cancelled":
            how = dataclasses.replace(how, by_shutdown=True)
        if isinstance(error, JobStoppedError):
            error.outcome = how
        taken_along = how is not None and how.by_shutdown and how.started
        cancelled = isinstance(error, ProcessCancelledError) and not taken_along
        self._publish("CANCELLED_AND_NOTIFIED" if cancelled else "FINISHED", None, error, how)

    def _never_started(self) -> None:
        """Nor will it start again, if it had and its worker was lost."""
        how = messages.never_started(self._name, self._ended_by_shutdown)
        if self._begun_on is not None:
            text = (
                f"job '{self._name}' was cancelled; its Dask worker {self._begun_on} was lost "
                "before it could tell the end"
            )
            how = dataclasses.replace(how, text=text, attempt=1, cancel="killed")
        self._fail(ProcessCancelledError(how.text), how)

    def _publish(
        self, state: str, result: Any, error: BaseException | None, how: Outcome | None
    ) -> None:
        if self.done():
            return
        self._how = how
        publish(self, state, result, error)
        self._executor._call_back(self)

    def _run_callbacks(self) -> None:
        concurrent.futures.Future._invoke_callbacks(self)  # type: ignore[attr-defined]
