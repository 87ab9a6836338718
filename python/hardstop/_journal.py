"""What a service has taken and what became of it, in a file that survives the service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from . import _engine
from ._messages import EncodedMessage
from ._queue import Queue, maybe_moment, moment
from ._sources import Receipt

JournalState = Literal["taken", "started", "ended", "settled", "left"]


@dataclass(frozen=True)
class JournalEntry:
    """One attempt at one job."""

    run: int
    """Of the service, from 1 in each journal."""
    number: int
    """Among the jobs that the run took, from 1."""
    receipt: Receipt
    message: EncodedMessage
    """Without arguments, once settled."""
    source: str
    leased: bool
    """Whether the source gives it to somebody else in time."""
    state: JournalState
    finished: bool
    """Ended or settled: by success."""
    text: str
    """How it ended, for people."""
    taken_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class JournalRun:
    """One life of a service."""

    run: int
    service: str
    source: str
    pid: int
    began_at: datetime
    ended_at: datetime | None
    status: int | None
    """None: it still runs, or did not end by itself."""


@dataclass(frozen=True)
class JournalRecovery:
    """What recovering has done: how many jobs."""

    acked: int
    """Had finished: the source knows now."""
    failed: int
    """Had begun: given back as a failed attempt."""
    returned: int
    """Had not begun: given back, nothing counted."""
    stale: int
    """The source had given them to somebody else already."""
    requeued: int


class Journal:
    """A journal that no service is using: for looking at it, and recovering what a crash left.

    The file is opened for each call, which waits at most ``patience`` seconds for a service that
    uses it. QueueError when it cannot be read or written; a service in the way is named.
    """

    def __init__(self, path: str | os.PathLike[str], *, patience: float = 2.0) -> None:
        self._path = os.fspath(path)
        self._patience = float(patience)

    @property
    def path(self) -> str:
        return self._path

    def unfinished(self) -> list[JournalEntry]:
        """All that are not settled, in the order they were taken."""
        return [_entry(each) for each in _engine.journal_unfinished(self._path, self._patience)]

    def history(self, at_most: int = 100) -> list[JournalEntry]:
        """The last so many attempts, settled or not, in the order they were taken."""
        told = _engine.journal_history(self._path, self._patience, at_most)
        return [_entry(each) for each in told]

    def runs(self) -> list[JournalRun]:
        return [_run(each) for each in _engine.journal_runs(self._path, self._patience)]

    def recover(self, queue: Queue) -> JournalRecovery:
        """Tells the queue what it should know of its jobs: what had ended is settled as it ended,
        what had begun counts as a failed attempt, the rest is given back."""
        told = _engine.journal_recover(self._path, self._patience, queue._core)
        return JournalRecovery(*told)

    def requeue(
        self,
        queue: Queue,
        *,
        max_attempts: int = 3,
        priority: int = 0,
        delay: float = 0.0,
        back_off: float = 1.0,
    ) -> JournalRecovery:
        """Puts jobs of sources that take nothing back into a queue, as new ones. What had begun has
        one attempt less than ``max_attempts``, and stays here if none is left."""
        options = {
            "max_attempts": max_attempts,
            "priority": priority,
            "delay": delay,
            "back_off": back_off,
        }
        told = _engine.journal_requeue(self._path, self._patience, queue._core, options)
        return JournalRecovery(*told)

    def __repr__(self) -> str:
        return f"<hardstop.Journal {self._path!r}>"


def _entry(told: Any) -> JournalEntry:
    (run, number, receipt, message, source, leased, state, finished, text, taken, start, end) = told
    return JournalEntry(
        run=run,
        number=number,
        receipt=Receipt(*receipt),
        message=EncodedMessage(*message),
        source=source,
        leased=leased,
        state=state,
        finished=finished,
        text=text,
        taken_at=moment(taken),
        started_at=maybe_moment(start),
        ended_at=maybe_moment(end),
    )


def _run(told: Any) -> JournalRun:
    run, service, source, pid, began, ended, status = told
    return JournalRun(run, service, source, pid, moment(began), maybe_moment(ended), status)
