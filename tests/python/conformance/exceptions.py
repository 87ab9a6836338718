"""The tests of CPython that hardstop does not pass, and why it should not."""

from __future__ import annotations

# By the test's name, for every start method and version.
EXCEPTIONS: dict[str, str] = {}
