"""What this machine lets a pool guarantee."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from . import _engine


@dataclass(frozen=True)
class Answer:
    """One guarantee: how far it goes here, what that means, and how to get more."""

    level: str
    explanation: str
    cure: str


@dataclass(frozen=True)
class Containment:
    """What pools can promise here. ``print()`` it."""

    kill: Answer
    """Whether every process of a job can be killed."""
    memory: Answer
    """Whether the memory of a whole process tree can be limited."""
    oom_attribution: Answer
    """Whether a kill by the kernel for lack of memory is told from others."""

    def __str__(self) -> str:
        lines = []
        for title, answer in (
            ("kill", self.kill),
            ("memory", self.memory),
            ("out of memory", self.oom_attribution),
        ):
            lines.append(f"{title:15}{answer.level}")
            lines.append(textwrap.indent(textwrap.fill(answer.explanation, 84), " " * 15))
            if answer.cure:
                more = textwrap.fill(f"To get more: {answer.cure}", 84)
                lines.append(textwrap.indent(more, " " * 15))
        return "\n".join(lines)


def doctor(cgroup: str | None = None) -> Containment:
    """Looks at this machine; starts nothing. ``cgroup``: a delegated cgroup v2 directory.

    The command ``hardstop doctor`` tells more, about the kernel too.
    """
    return Containment(*(Answer(*row) for row in _engine.containment(cgroup or "")))
