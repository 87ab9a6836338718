"""What the tests share: waiting for events, looking into /proc, running scripts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Seconds after which something is taken for hanging. Nothing here measures speed.
PATIENCE = float(os.environ.get("HARDSTOP_PATIENCE", "60"))
METHODS = ("fork", "forkserver", "spawn")
HERE = Path(__file__).resolve().parent


def until(holds: Callable[[], Any], what: str = "", patience: float = PATIENCE) -> Any:
    """Waits until ``holds()`` is true and returns what it gave."""
    end = time.monotonic() + patience
    pause = 0.0005
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain: {what or holds}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
    return found


def running(future: Any) -> None:
    """Waits until the job is seen running."""
    until(future.running, f"{future} to run")


def said(path: os.PathLike[str]) -> str:
    """Waits for a file that a job writes as a whole line; returns the line."""

    def read() -> str:
        with contextlib.suppress(FileNotFoundError):
            text = Path(path).read_text()
            if text.endswith("\n"):
                return text
        return ""

    return until(read, f"{path} to be written").strip()


def status_of(pid: int) -> dict[str, str]:
    """/proc/<pid>/status, or nothing if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    state = status_of(pid).get("State", "Z")
    return state[0] not in "ZX"


def gone(*pids: int) -> None:
    """Waits until none of them is alive."""
    until(lambda: not any(alive(pid) for pid in pids), f"{pids} to be gone")


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline")
            .read_bytes()
            .replace(b"\0", b" ")
            .decode("utf-8", "replace")
        )
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(root: int) -> set[int]:
    """Living processes below ``root``."""
    parents = {}
    for pid in processes():
        told = status_of(pid)
        if told and told["State"][0] not in "ZX":
            parents[pid] = int(told["PPid"])
    found: set[int] = set()
    while (
        more := {pid for pid, above in parents.items() if above == root or above in found} - found
    ):
        found |= more
    return found


def _pidfds_of(pid: int) -> set[int]:
    """The processes to which ``pid`` holds a pidfd."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fdinfo"):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/fdinfo/{name}").read_text().splitlines():
                    if line.startswith("Pid:"):
                        found.add(int(line.split()[1]))
    return found


def pool_processes(client: int) -> set[int]:
    """Living processes of the client's pools: they hang from wardens, which watch the client."""
    found: set[int] = set()
    for pid in processes():
        if status_of(pid).get("Name") == "hardstop-warden" and client in _pidfds_of(pid):
            found |= {pid} | descendants(pid)
    return {pid for pid in found if alive(pid)}


def guardians(client: int) -> list[int]:
    """Of the client's pools."""
    names = {pid: status_of(pid).get("Name") for pid in pool_processes(client)}
    return sorted(pid for pid, name in names.items() if name == "hardstop-guard")


def marked(mark: str) -> set[int]:
    """Living processes that have ``mark`` in the environment they were executed with."""
    wanted = mark.encode()
    found = set()
    for pid in processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if wanted in environment and alive(pid):
            found.add(pid)
    return found


def our_descriptors() -> dict[int, str]:
    """Descriptors of this process that a pool may have opened."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith(("/memfd:hardstop", "anon_inode:", "socket:")):
                found[int(name)] = target
    return found


def our_mappings() -> int:
    """Shared memory of pools that is mapped here."""
    with open("/proc/self/maps") as maps:
        return sum("memfd:hardstop" in line for line in maps)


class Script:
    """A Python program of its own, whose processes are all known by a mark."""

    def __init__(self, process: subprocess.Popen[str], mark: str) -> None:
        self.process = process
        self.mark = mark

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        assert self.process.stdout is not None
        # Byte by byte: what a readline() had read ahead, communicate() would not see.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode().strip()

    def end(self, patience: float = PATIENCE) -> tuple[int, str, str]:
        """Exit code, standard output, standard error; nothing of it may be left."""
        out, err = self.process.communicate(timeout=patience)
        self.all_gone()
        return self.process.returncode, out, err

    def others(self) -> set[int]:
        return marked(self.mark) - {self.pid}

    def all_gone(self) -> None:
        until(lambda: not marked(self.mark), f"the script's processes to end: {self.mark}")

    def kill(self) -> None:
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()


def environment(mark: str) -> dict[str, str]:
    paths = [str(HERE.parent.parent / "python"), str(HERE)]
    import hardstop

    paths[0] = str(Path(hardstop.__file__).resolve().parent.parent)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HARDSTOP_TEST_MARK": mark,
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }


@contextlib.contextmanager
def script(
    text: str | None, folder: Path, *arguments: str, program: list[str] | None = None, **popen: Any
) -> Iterator[Script]:
    """Runs ``text`` from a file in ``folder``, or ``program``, with pipes as standard streams."""
    mark = uuid.uuid4().hex
    if program is None:
        assert text is not None
        path = folder / f"script_{mark[:8]}.py"
        path.write_text(textwrap.dedent(text))
        program = [sys.executable, str(path)]
    started = Script(
        subprocess.Popen(
            [*program, *arguments],
            stdin=popen.pop("stdin", subprocess.PIPE),
            stdout=popen.pop("stdout", subprocess.PIPE),
            stderr=popen.pop("stderr", subprocess.PIPE),
            text=True,
            env=environment(mark),
            **popen,
        ),
        mark,
    )
    try:
        yield started
    finally:
        started.kill()


def run_script(text: str, folder: Path, *arguments: str, patience: float = PATIENCE) -> str:
    """Runs it to its end, which must be a good one; returns what it printed."""
    with script(text, folder, *arguments) as started:
        code, out, err = started.end(patience)
    assert code == 0, f"exit code {code}\n{out}\n{err}"
    return out
