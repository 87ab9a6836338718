"""``python -m hardstop worker app:service``: runs the service that a module defines."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from typing import Any

from ._queue import Queue
from ._service import Service

EXIT_USAGE = 125  # as the program `hardstop` has it
_ABOUT = """\
Imports a module, with the current folder on the path, and runs the hardstop.Service that it
defines, until SIGTERM or SIGINT. What a hook or the source does not return from is left behind
when the grace is over.

The exit status: 0, every job that was taken is accounted for; 75, a deadline cut some short; 70,
something failed, and the log names what is not accounted for."""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "worker",
        help="run a service",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", metavar="MODULE:SERVICE", help="such as app:service")
    parser.add_argument("--queue", metavar="PATH", help="take jobs from this queue's file")
    parser.add_argument("--workers", type=_count, metavar="N", help="jobs at a time")
    parser.add_argument(
        "--grace", type=float, metavar="S", help="seconds from the first signal to the end"
    )
    parser.add_argument("--journal", metavar="PATH", help="the journal's file")
    parser.add_argument("--name", help="shown in the log, in metrics and in the journal")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="log everything, not only what happens to jobs"
    )


def _count(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError("at least 1")
    return number


def run(given: argparse.Namespace) -> int:
    try:
        service = find_service(given.service)
    except UsageError as error:
        print(f"hardstop worker: {error}", file=sys.stderr)
        return EXIT_USAGE
    log_to_standard_error(logging.DEBUG if given.verbose else logging.INFO)
    changes = {
        "workers": given.workers,
        "grace": given.grace,
        "journal": given.journal,
        "name": given.name,
    }
    service._settings.update({name: value for name, value in changes.items() if value is not None})
    service._settings["exit_if_stuck"] = True
    if given.queue is None and service._source is None:
        print(f"hardstop worker: {given.service} has no source: give --queue", file=sys.stderr)
        return EXIT_USAGE
    return service.run(_same_key(given.queue, service))


def _same_key(path: str | None, service: Service) -> Queue | None:
    """Another file, with the key of the queue that the service was given."""
    if path is None:
        return None
    former = service._source
    key = former._key if isinstance(former, Queue) else service._key
    return Queue(path, key=key)


class UsageError(Exception):
    """What was asked for is not there."""


def find_service(told: str) -> Service:
    """The service that ``module:attribute`` names. What the import raises is the user's to see."""
    module_name, colon, path = told.partition(":")
    if not colon or not module_name or not path:
        raise UsageError(f"{told!r} names no service: give MODULE:SERVICE, such as app:service")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {module_name!r} here or on sys.path") from None
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise UsageError(f"the module {module_name!r} has no {path!r}")
        found = getattr(found, name)
    if not isinstance(found, Service):
        kind = type(found).__qualname__
        raise UsageError(f"{told} is no hardstop.Service but of type {kind}")
    return found


class _Formatter(logging.Formatter):
    """Times in UTC, and what a record says in names and values behind its text."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        fields = getattr(record, "hardstop", {})
        named = (f"{name}={value}" for name, value in fields.items() if name != "event")
        return " ".join([text, *named])


def log_to_standard_error(level: int) -> None:
    """Unless the application has its own way."""
    root = logging.getLogger()
    own = logging.getLogger("hardstop.service")
    if root.handlers or own.handlers or logging.getLogger("hardstop").handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(level)
