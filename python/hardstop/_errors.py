"""What a future of this package can raise, besides the job's own exception."""

from __future__ import annotations

import concurrent.futures
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._outcome import Outcome
    from ._sources import TakenJob

if sys.version_info >= (3, 11):
    _TimeoutErrors: tuple[type[Exception], ...] = (TimeoutError,)
else:  # there concurrent.futures and asyncio have classes of their own
    import asyncio

    _TimeoutErrors = (
        concurrent.futures.TimeoutError,
        asyncio.TimeoutError,
        TimeoutError,
    )


class HardstopError(Exception):
    """Base of what this package raises on its own account and no standard class describes."""


class JobStoppedError(Exception):
    """A job has no result because it was stopped or its process ended. ``outcome`` tells all."""

    outcome: Outcome | None = None

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.args, self.__dict__)


class ProcessCancelledError(JobStoppedError, concurrent.futures.CancelledError):
    """The job was cancelled, by its caller or by the pool's shutdown. Running it later is sound."""


class ProcessTimeoutError(JobStoppedError, *_TimeoutErrors):  # type: ignore[misc]
    """The job ran longer than its ``ProcessTimeout``. It would happen again."""


class WorkerDiedError(JobStoppedError, BrokenProcessPool):
    """The job's process ended without a result: a crash, an exit, a kill. The pool lives on."""


class ProcessMemoryError(JobStoppedError, MemoryError):
    """The job used more memory than it may and its process tree was killed."""


class QueueFullError(HardstopError):
    """``max_pending`` jobs wait already, and the pool was told to refuse more."""


class UnreadableError(HardstopError, BrokenProcessPool):
    """A call or a result could not be unpickled where it arrived. Its job failed, nothing else."""


class RemoteError(HardstopError):
    """A job raised an exception that cannot travel. Says which; its traceback is the cause."""


class QueueError(HardstopError):
    """A queue's or a journal's file cannot be read or written. Nothing was changed."""


class MessageRefusedError(HardstopError):
    """A message that no job can be made of, now or ever: it is kept aside with the reason.

    Raised by a service for names it does not know, arguments that cannot be read or do not fit, and
    signatures that are wrong. A job may raise it, too, about what it was sent.
    """


MessageRefusedError.__module__ = "hardstop"  # by this name the engine knows it


class JobsLeftError(HardstopError):
    """``run()`` with ``dispose="raise"``: ``jobs`` were taken and not started."""

    def __init__(self, jobs: list[TakenJob]) -> None:
        super().__init__(
            f"{len(jobs)} jobs were taken and not started: put them where they will be run"
        )
        self.jobs = jobs


def _rebuild(kind: type[JobStoppedError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    made = kind(*args)
    made.__dict__.update(state)
    return made
