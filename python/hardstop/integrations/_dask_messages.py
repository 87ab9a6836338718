"""What client, scheduler and workers of a Dask cluster tell each other about jobs.

    client ── stop ──► scheduler ── stop ──► the worker that has the task
    client ◄── told ── scheduler ◄── told ── worker

Everything goes over the streams that Dask has between them, which keep the order: a worker hears
of a stop after it has heard of the task. Every message names the task's key, which no two jobs
share, so that it cannot meet another one.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from .._outcome import Outcome

PLUGIN = "hardstop"
ANNOTATION = "hardstop"  # of a task: the number of its attempt, or MUST_NOT_START

STOP = "hardstop-stop"
TOLD = "hardstop-told"

MUST_NOT_START = 0

# What is asked of a job.
ASK, CANCEL, KILL, TAKE_BACK = "ask", "cancel", "kill", "take back"

# What is told of it.
BEGUN, ENDED, NOT_STARTED, UNKNOWN = "begun", "ended", "not started", "unknown"


class End(NamedTuple):
    """How a job ended. ``value``: its result or, if it has none, the pickled exception; None if it
    was refused before it started."""

    kind: str  # of the outcome
    value: Any
    outcome: Outcome | None

    def packed(self) -> bytes:
        return pickle.dumps(tuple(self), 5)

    @classmethod
    def unpacked(cls, message: bytes) -> End:
        return cls(*pickle.loads(message))


def never_started(name: str, by_shutdown: bool = False) -> Outcome:
    return Outcome(
        kind="cancelled",
        job=name,
        text=f"job '{name}' was cancelled before it started",
        pid=0,
        attempt=0,
        ran_for=0.0,
        cancel="never started",
        processes_stopped=0,
        by_shutdown=by_shutdown,
    )
