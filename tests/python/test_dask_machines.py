"""A cluster of several machines, as far as one can have them: a network namespace for each."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'hardstop[dask]'")

from support import HERE, PATIENCE, environment, marked, until


def _cannot() -> str:
    if os.geteuid() != 0:
        return "network namespaces are root's to make"
    if shutil.which("ip") is None:
        return "there is no ip: apt-get install iproute2"
    probe = subprocess.run(["ip", "netns", "add", f"hs-probe-{os.getpid()}"], capture_output=True)
    if probe.returncode != 0:
        return f"no network namespaces here: {probe.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "delete", f"hs-probe-{os.getpid()}"], check=True)
    return ""


pytestmark = [
    pytest.mark.skipif(bool(_cannot()), reason=_cannot() or "it can"),
]


def ip(*command: str) -> None:
    done = subprocess.run(["ip", *command], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(command)}: {done.stderr}"


class Machines:
    """Namespaces beside each other, on a bridge in one of their own: this machine's is untouched."""

    def __init__(self, number: int) -> None:
        self._prefix = f"hs{os.getpid() % 100000}"
        self.names = [f"{self._prefix}-{each}" for each in range(number)]
        self.addresses = [f"10.77.0.{each + 1}" for each in range(number)]

    def __enter__(self) -> Machines:
        switch = f"{self._prefix}-switch"
        for name in (switch, *self.names):
            ip("netns", "add", name)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for each, name in enumerate(self.names):
            ip("-n", name, "link", "set", "lo", "up")
            port = f"port{each}"
            ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)  # fmt: skip
            ip("-n", switch, "link", "set", port, "master", "bridge", "up")
            ip("-n", name, "address", "add", f"{self.addresses[each]}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (f"{self._prefix}-switch", *self.names):
            subprocess.run(["ip", "netns", "delete", name], check=True)


def inside(machine: str) -> list[str]:
    return ["ip", "netns", "exec", machine, sys.executable]


@contextlib.contextmanager
def running(
    mark: str, machine: str, program: str, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*inside(machine), "-m", f"distributed.cli.{program}", *arguments],
        env=environment(mark),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def test_stopped_on_whichever_machine(tmp_path: Path) -> None:  # G2, G3
    mark = f"machines-{os.getpid()}"
    with Machines(3) as machines, contextlib.ExitStack() as stack:
        first, *others = zip(machines.names, machines.addresses, strict=True)
        scheduler = f"tcp://{first[1]}:8786"
        stack.callback(until, lambda: not marked(mark), "all machines to be off")
        stack.enter_context(
            running(mark, first[0], "dask_scheduler", "--host", first[1], "--no-dashboard")
        )
        for name, address in others:
            options = ["--host", address, "--name", name, "--nthreads", "1"]
            options += ["--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path)]
            stack.enter_context(running(mark, name, "dask_worker", scheduler, *options))
        client = subprocess.run(
            [*inside(first[0]), str(HERE / "machines_client.py"), scheduler, str(tmp_path)],
            env=environment(mark),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        assert client.returncode == 0, client.stderr
        assert client.stdout.split()[-1] == "good"
