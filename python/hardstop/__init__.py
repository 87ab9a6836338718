"""Process pools whose jobs really stop.

A drop-in for :class:`concurrent.futures.ProcessPoolExecutor`: running jobs can be cancelled, each
with its whole process tree; jobs have time limits; it works under asyncio, anyio and trio.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform != "linux":
    raise ImportError("hardstop stands on Linux system calls (pidfd, memfd, subreaper): use Linux")

from . import _engine, _executor, _future, _pickling, _worker
from ._cancelling import JobCancelled, shield
from ._doctor import Containment, doctor
from ._errors import (
    HardstopError,
    JobsLeftError,
    JobStoppedError,
    MessageRefusedError,
    ProcessCancelledError,
    ProcessMemoryError,
    ProcessTimeoutError,
    QueueError,
    QueueFullError,
    RemoteError,
    UnreadableError,
    WorkerDiedError,
)
from ._executor import ProcessPoolExecutor
from ._future import Future
from ._job import CurrentJob, Progress, current_job
from ._killable import killable, killable_wrapper
from ._options import ProcessCancelTimeout, ProcessTimeout
from ._outcome import Outcome
from ._progress import progress
from ._semaphore import (
    Hold,
    Lock,
    Permit,
    PermitOwner,
    Semaphore,
    SemaphoreStats,
    acquire_all,
)
from ._token import CancelToken

if TYPE_CHECKING:
    from ._journal import Journal, JournalEntry, JournalRecovery, JournalRun
    from ._messages import EncodedMessage, Message, message
    from ._queue import MemoryQueue, Queue, QueuedJob, QueueView
    from ._service import Service, ServiceStats
    from ._sources import NackedJob, Receipt, Source, TakenJob

# Imported when somebody asks for them: a seventh of the whole, which a pool's worker does without.
_LATER = {
    "_journal": ("Journal", "JournalEntry", "JournalRecovery", "JournalRun"),
    "_messages": ("EncodedMessage", "Message", "message"),
    "_queue": ("MemoryQueue", "Queue", "QueueView", "QueuedJob"),
    "_service": ("Service", "ServiceStats"),
    "_sources": ("NackedJob", "Receipt", "Source", "TakenJob"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            value = getattr(importlib.import_module(f".{module}", __name__), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_engine.use(
    {
        "make_condition": _future.make_condition,
        "load_result": _pickling.load_result,
        "explain": _future.explain,
        "publish": _future.publish,
        "report_callback": _future.report_callback,
        "engine_errors": _executor.engine_error,
        "dump_result": _pickling.dump_result,
        "dump_exception": _pickling.dump_exception,
        "load_call": _pickling.load_call,
        "load_function": _pickling.load_function,
        "runs_in_event_loop": _executor.runs_in_event_loop,
        "worker_main": _worker.worker_main,
        "worker_initialize": _worker.worker_initialize,
        "rehearsal": _worker.REHEARSAL,
        "guardian_main": _worker.guardian_main,
        "answer_signal": _worker.answer_signal,
        "before_fork": _worker.before_fork,
        "message_refused": MessageRefusedError,
        "timeout": ProcessTimeout,
        "cancel_timeout": ProcessCancelTimeout,
        "future": Future,
        "dump_call": _pickling.dump_call,
        "dump_arguments": _pickling.dump_arguments,
        "unreadable_call": _pickling.unreadable_call,
        "name_function": _pickling.name_function,
        "job_name": _pickling.job_name,
    }
)

__version__ = _engine.__version__

__all__ = [
    "CancelToken",
    "Containment",
    "CurrentJob",
    "EncodedMessage",
    "Future",
    "HardstopError",
    "Hold",
    "JobCancelled",
    "JobStoppedError",
    "JobsLeftError",
    "Journal",
    "JournalEntry",
    "JournalRecovery",
    "JournalRun",
    "Lock",
    "MemoryQueue",
    "Message",
    "MessageRefusedError",
    "NackedJob",
    "Outcome",
    "Permit",
    "PermitOwner",
    "ProcessCancelTimeout",
    "ProcessCancelledError",
    "ProcessMemoryError",
    "ProcessPoolExecutor",
    "ProcessTimeout",
    "ProcessTimeoutError",
    "Progress",
    "Queue",
    "QueueError",
    "QueueFullError",
    "QueueView",
    "QueuedJob",
    "Receipt",
    "RemoteError",
    "Semaphore",
    "SemaphoreStats",
    "Service",
    "ServiceStats",
    "Source",
    "TakenJob",
    "UnreadableError",
    "WorkerDiedError",
    "acquire_all",
    "current_job",
    "doctor",
    "killable",
    "killable_wrapper",
    "message",
    "progress",
    "shield",
]
