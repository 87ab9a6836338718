"""Options that travel among a job's arguments, where nothing else gets through."""

from __future__ import annotations

import math


class _Seconds:
    __slots__ = ("seconds",)

    seconds: float

    def __init__(self, seconds: float) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(
                f"{type(self).__name__}({seconds!r}): give a number of seconds, such as 0.5"
            )
        value = float(seconds)
        if math.isnan(value) or value < 0:
            raise ValueError(
                f"{type(self).__name__}({seconds!r}): a time is 0 or more seconds; "
                "leave it out for no limit"
            )
        self.seconds = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.seconds!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.seconds == self.seconds

    def __hash__(self) -> int:
        return hash((type(self), self.seconds))


class ProcessTimeout(_Seconds):
    """Time allowed for a job, in seconds, from the moment it starts.

    Give it to :meth:`ProcessPoolExecutor.submit` or ``loop.run_in_executor`` anywhere among the
    positional arguments. It never reaches the function. When the time is over the job's process
    tree is killed and the future raises :class:`ProcessTimeoutError`. Not looked for inside a
    ``functools.partial``.
    """

    __slots__ = ()


class ProcessCancelTimeout(_Seconds):
    """Time allowed for a job after it was cancelled, in seconds; 0 kills at once.

    A job that finishes within it delivers its result. Given like :class:`ProcessTimeout`.
    """

    __slots__ = ()
