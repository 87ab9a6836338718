"""What a job can learn and tell about itself."""

from __future__ import annotations

from typing import NamedTuple

from . import _engine

_LONGEST_MESSAGE = 1000  # characters

# Of this job, in pools that are gone: on a cluster an attempt's machine may be lost.
earlier_attempts = 0


class Progress(NamedTuple):
    """How far a job has come, in whatever unit it counts."""

    done: float
    total: float | None
    message: str


class CurrentJob:
    """The job that runs in this process. Any of its threads may use it while it runs."""

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has asked it to stop: it has its grace to end by itself."""
        return _engine.cancel_requested()

    @property
    def deadline(self) -> float | None:
        """When its time limit is over, on the clock of ``time.monotonic()``; None without one."""
        return _engine.deadline()

    @property
    def attempt(self) -> int:
        """1 for its first attempt; more if workers died under it and it has ``retries``."""
        return earlier_attempts + _engine.attempt()

    def progress(self, done: float, total: float | None = None, message: str = "") -> bool:
        """Tells the client how far it has come; see ``Future.progress``.

        Never waits: if the client does not keep up it is dropped, and False is returned. The last
        one counts, so that telling too often does no harm.
        """
        if not isinstance(done, (int, float)) or not isinstance(total, (int, float, type(None))):
            raise TypeError(f"progress({done!r}, {total!r}): give numbers")
        return _engine.send_progress((done, total, str(message)[:_LONGEST_MESSAGE]))


def current_job() -> CurrentJob:
    """The job that runs here. RuntimeError outside of one."""
    if not _engine.in_job():
        raise RuntimeError("current_job() was called outside of a job")
    return CurrentJob()
