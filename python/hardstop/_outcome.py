"""How a job ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "value",
    "exception",
    "cancelled",
    "timed out",
    "worker died",
    "memory limit",
    "not started",
]

_CANCEL = ("not requested", "never started", "killed", "finished first")


@dataclass(frozen=True)
class Outcome:
    """How one job ended, and what is known about it. Times are seconds, memory is bytes."""

    kind: Kind
    """Which of seven ways it ended."""
    job: str
    """The job's name: ``name=``, or the function's qualified name."""
    text: str
    """One sentence for people."""
    pid: int
    """The process of its last attempt; 0 if none began."""
    attempt: int
    """The number of the last attempt, from 1; 0 if none began."""
    ran_for: float
    """How long the last attempt ran."""
    cancel: str
    """What became of a request to cancel it."""
    processes_stopped: int
    """Processes killed with it, its worker included."""
    unconfirmed_pid: int | None = None
    """A process of its tree that the kernel would not kill."""
    unconfirmed_reason: str = ""
    signal: int | None = None
    """Of a worker that died: the signal that ended it."""
    exit_code: int | None = None
    """Of a worker that died: its exit code."""
    peak_memory: int = 0
    """Of a worker that died, as far as it is known."""
    likely_cause: str = ""
    """Of a worker that died, in words."""
    memory_used: int = 0
    """Of a job that exceeded its memory limit."""
    by_shutdown: bool = False
    """Whether the pool's shutdown stopped it."""
    stack: str = ""
    """Where a job was that was killed for its time or memory: its Python stacks."""
    output: str = ""
    """Captured standard output of its last attempt."""
    error_output: str = ""
    """Captured standard error of its last attempt."""

    @property
    def started(self) -> bool:
        """Whether any of it may have run."""
        return self.attempt > 0


def outcome_of(told: dict[str, Any]) -> Outcome:
    """The engine's account, as an Outcome."""
    names = Outcome.__dataclass_fields__
    known = {name: value for name, value in told.items() if name in names}
    known["cancel"] = _CANCEL[told["cancel"]]
    return Outcome(**known)
