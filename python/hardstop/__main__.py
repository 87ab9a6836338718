"""``python -m hardstop``: a demonstration, what this machine can promise, and services."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

import hardstop
from hardstop import _worker_command


class _Parser(argparse.ArgumentParser):
    """One that exits as the program `hardstop` does when it is used wrongly."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_worker_command.EXIT_USAGE, f"{self.prog}: {message}\n")


def main() -> int:
    parser = _Parser(
        prog="python -m hardstop",
        description="Process pools whose jobs really stop.",
        epilog="The command `hardstop` runs and stops commands; see `hardstop --help`.",
    )
    parser.add_argument("--version", action="version", version=f"hardstop {hardstop.__version__}")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("demo", help="stop work that cannot be stopped from inside")
    doctor = commands.add_parser("doctor", help="what containment this machine gives")
    doctor.add_argument("--cgroup", help="a delegated cgroup v2 directory to look at")
    _worker_command.add_to(commands)
    chosen = parser.parse_args()
    if chosen.command == "demo":
        from hardstop import _demo

        return _demo.main()
    if chosen.command == "worker":
        return _worker_command.run(chosen)
    if chosen.command == "doctor":
        print(hardstop.doctor(chosen.cgroup))
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
