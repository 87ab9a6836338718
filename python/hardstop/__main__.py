"""``python -m hardstop``: a demonstration, and what this machine can promise."""

from __future__ import annotations

import argparse

import hardstop


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hardstop",
        description="Process pools whose jobs really stop.",
        epilog="The command `hardstop` runs and stops commands; see `hardstop --help`.",
    )
    parser.add_argument("--version", action="version", version=f"hardstop {hardstop.__version__}")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("demo", help="stop work that cannot be stopped from inside")
    doctor = commands.add_parser("doctor", help="what containment this machine gives")
    doctor.add_argument("--cgroup", help="a delegated cgroup v2 directory to look at")
    chosen = parser.parse_args()
    if chosen.command == "demo":
        from hardstop import _demo

        return _demo.main()
    if chosen.command == "doctor":
        print(hardstop.doctor(chosen.cgroup))
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
