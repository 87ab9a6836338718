"""Queues of jobs: in a file, for any number of processes on one machine; and in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from . import _engine
from ._messages import Encoded, EncodedMessage, Encoding, Message, check_encoding, encode, name_of
from ._sources import Item, NackedJob, Receipt, message_of

QueuedState = Literal["queued", "leased", "done", "cancelled", "dead", "refused"]
Job = str | Callable[..., object]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def maybe_moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


@dataclass(frozen=True)
class QueuedJob:
    """One job, as the queue's file has it."""

    id: str
    message: EncodedMessage
    state: QueuedState
    priority: int
    unique: str
    """Its key; empty for none."""
    attempts: int
    """Begun so far."""
    max_attempts: int
    enqueued_at: datetime
    due_at: datetime
    """It is not given out before."""
    lease_until: datetime | None
    cancel_requested: bool
    reason: str
    """Why it is dead, refused or cancelled, or was tried again."""

    @property
    def name(self) -> str:
        return self.message.name


def _queued_job(told: Any) -> QueuedJob:
    (id, message, state, priority, unique, attempts, most, enqueued, due, until, asked, why) = told
    return QueuedJob(
        id=id,
        message=EncodedMessage(*message),
        state=state,
        priority=priority,
        unique=unique,
        attempts=attempts,
        max_attempts=most,
        enqueued_at=moment(enqueued),
        due_at=moment(due),
        lease_until=maybe_moment(until),
        cancel_requested=asked,
        reason=why,
    )


class _Enqueuing:
    """What a queue and its views have in common."""

    _queue: Queue
    _options: dict[str, Any]

    def enqueue(self, job: Job, /, *args: Any, **kwargs: Any) -> str:
        """Puts a call into the queue: ``job``, a registered function or its name, with these
        arguments. Returns the job's id, once it is in the file.

        TypeError if the arguments cannot be written; QueueError if the file cannot.
        """
        return self._enqueue([Message(name_of(job), args, kwargs)])[0]

    def enqueue_all(self, jobs: Iterable[Item]) -> list[str]:
        """Messages, or tuples of a job and its arguments: all or none, in one transaction."""
        return self._enqueue([message_of(each) for each in jobs])

    def _enqueue(self, messages: list[Message]) -> list[str]:
        queue = self._queue
        encoded = [encode(each, queue._encoding, queue._key) for each in messages]
        return queue._core.enqueue(encoded, self._options)


class Queue(_Enqueuing):
    """A durable queue of jobs in one SQLite file, for any number of processes on one machine.

    A job whose id ``enqueue()`` has returned is in the file, power cut included. It is given to one
    service at a time, on a lease; if that says nothing more the job is given out again when the
    lease has run out, until ``max_attempts`` attempts were made. So a job runs at least once, and
    sometimes more than once: make jobs idempotent.

    ``lease``: seconds for which a job is given out. ``keep_done``: seconds for which jobs that are
    done are remembered. ``durability``: ``"power"``, or ``"process"`` for what survives the death
    of every process but perhaps not that of the machine. ``busy_timeout``: seconds to wait for
    another process that writes. ``encoding``: of arguments: ``"json"``, ``"msgpack"``, or
    ``"pickle"``, which needs a ``key`` that enqueuers and services share: a pickle that was not
    signed with it is never looked into.

    Any thread may use it, and in a forked child it opens the file anew. QueueError when the file
    cannot be read or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = 30.0,
        keep_done: float = 24 * 3600.0,
        durability: Literal["power", "process"] = "power",
        busy_timeout: float = 10.0,
        encoding: Encoding = "json",
        key: bytes | None = None,
    ) -> None:
        if durability not in ("power", "process"):
            raise ValueError(f"durability={durability!r}: give 'power' or 'process'")
        check_encoding(encoding, key)
        self._queue = self
        self._options = {}
        self._encoding = encoding
        self._key = key
        self._path = os.fspath(path)
        self._settings = {
            "lease": lease,
            "keep_done": keep_done,
            "durability": durability,
            "busy_timeout": busy_timeout,
        }
        self._core = _engine.QueueCore(self._path, self._settings)

    @property
    def path(self) -> str:
        return self._path

    def options(
        self,
        *,
        priority: int = 0,
        delay: float = 0.0,
        unique: str = "",
        max_attempts: int = 3,
        back_off: float = 1.0,
        max_back_off: float = 3600.0,
        timeout: float | None = None,
        grace: float | None = None,
    ) -> QueueView:
        """A view of this queue whose jobs have these options.

        ``priority``: higher first. ``delay``: seconds before which it is not given out. ``unique``:
        while a job with this key is queued or leased no other one is enqueued, and ``enqueue()``
        returns the id of the one that is there. ``max_attempts``: until it is kept as dead.
        ``back_off``: seconds before the second attempt, twice as long before the third, and so on,
        at most ``max_back_off``. ``timeout``, ``grace``: of one attempt, in seconds; unless given,
        what the service says for jobs of that name.
        """
        return QueueView(
            self,
            {
                "priority": priority,
                "delay": delay,
                "unique": unique,
                "max_attempts": max_attempts,
                "back_off": back_off,
                "max_back_off": max_back_off,
                "timeout": timeout,
                "grace": grace,
            },
        )

    def cancel(self, id: str) -> bool:
        """One that waits is cancelled at once; one that runs is stopped by the service that has it.
        False: there is no such job, or it has ended."""
        return self._core.cancel(id)

    def requeue(self, id: str) -> bool:
        """Puts a job that is dead, refused or cancelled back, with as many attempts as a fresh one
        has. False: there is no such job."""
        return self._core.requeue(id)

    def find(self, id: str) -> QueuedJob | None:
        told = self._core.find(id)
        return None if told is None else _queued_job(told)

    def jobs(
        self, state: QueuedState | None = None, name: str = "", at_most: int = 1000
    ) -> list[QueuedJob]:
        """Those in that state, of that name, oldest first."""
        return [_queued_job(each) for each in self._core.jobs(state, name, at_most)]

    def count(self, state: QueuedState) -> int:
        """How many are in a state; queued includes those whose time has not come."""
        return self._core.count(state)

    def __repr__(self) -> str:
        return f"<hardstop.Queue {self._path!r}>"

    def __reduce__(self) -> Any:
        if self._key is not None:
            raise TypeError(
                "a queue with a key is not pickled: whoever reads the pickle would have the key. "
                "Open it where it is used"
            )
        return _open, (self._path, {**self._settings, "encoding": self._encoding})


def _open(path: str, settings: dict[str, Any]) -> Queue:
    return Queue(path, **settings)


class QueueView(_Enqueuing):
    """A queue, with options for the jobs that are put into it."""

    def __init__(self, queue: Queue, options: dict[str, Any]) -> None:
        self._queue = queue
        self._options = options

    def options(self, **changes: Any) -> QueueView:
        """See :meth:`Queue.options`."""
        return self._queue.options(**{**self._options, **changes})


class MemoryQueue:
    """A queue inside this process, first in, first out: what it holds ends with the process.

    Any thread may use it. ``max_attempts``: until a job is given up.
    """

    def __init__(self, *, max_attempts: int = 1, lease: float = 30.0) -> None:
        self._core = _engine.MemoryQueueCore(max_attempts, lease)
        self._key: bytes | None = None

    def enqueue(self, job: Job, /, *args: Any, **kwargs: Any) -> str:
        """Returns the job's id. QueueError after ``close()``; TypeError if the arguments cannot be
        written as JSON."""
        encoded: Encoded = encode(Message(name_of(job), args, kwargs), "json", None)
        return self._core.enqueue(encoded)

    def cancel(self, id: str) -> bool:
        """One that waits is dropped; one that runs is stopped. False: there is no such job."""
        return self._core.cancel(id)

    def close(self) -> None:
        """No more jobs: the service that takes from it drains when it is empty."""
        self._core.close()

    def __len__(self) -> int:
        """Neither done nor given up."""
        return self._core.size()

    def __bool__(self) -> bool:
        return True

    def abandoned(self) -> list[NackedJob]:
        """Jobs that were given up, cancelled or refused, with the reason: the last thousand."""
        return [
            NackedJob(Receipt(job, attempt), why, text)  # type: ignore[arg-type]
            for job, attempt, why, text in self._core.abandoned()
        ]
