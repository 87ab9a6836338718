"""What a job can learn about itself."""

from __future__ import annotations

from . import _engine


class CurrentJob:
    """The job that runs in this process."""

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody has asked it to stop: it has its grace to end by itself."""
        return bool(_engine.cancel_requested())


def current_job() -> CurrentJob:
    """The job that runs here. RuntimeError outside of one."""
    if not _engine.in_job():
        raise RuntimeError("current_job() was called outside of a job")
    return CurrentJob()
