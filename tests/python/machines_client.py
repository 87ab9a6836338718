"""The client of test_dask_machines.py, which runs in the network of its cluster."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from distributed import Client

import hardstop
from hardstop import ProcessCancelledError, ProcessTimeoutError
from hardstop.integrations.dask import ClusterExecutor
from jobs import daemonize, double
from support import PATIENCE, alive, gone, said, until


def number_of_attempt(path: str) -> int:
    attempt = hardstop.current_job().attempt
    if attempt == 1:
        daemonize(path)
    return attempt


def stops_on(pool: ClusterExecutor, machine: str, folder: Path) -> None:
    """Cancel and time limit, and the slot is free again."""
    there = pool.options(workers=[machine])
    paths = [folder / f"{machine}-{number}" for number in range(2)]
    job = there.submit(daemonize, str(paths[0]))
    daemon = int(said(paths[0]))
    job.cancel()
    try:
        job.result(PATIENCE)
        raise AssertionError("it was not cancelled")
    except ProcessCancelledError:
        assert not alive(daemon)
    try:
        there.options(timeout=0.5).submit(daemonize, str(paths[1])).result(PATIENCE)
        raise AssertionError("it has no end")
    except ProcessTimeoutError:
        assert not alive(int(said(paths[1])))
    assert there.submit(double, 4).result(PATIENCE) == 8


def lose(client: Client, pool: ClusterExecutor, folder: Path) -> None:
    """A machine goes down: the job runs again on another, and knows it."""
    workers = client.run(os.getpid)
    job = pool.submit(number_of_attempt, str(folder / "lost"))
    daemon = int(said(folder / "lost"))
    until(job.running)
    assert job.worker is not None
    os.kill(workers[job.worker], signal.SIGKILL)
    gone(daemon)
    assert job.result(PATIENCE) == 2


def main() -> None:
    folder = Path(sys.argv[2])
    with Client(sys.argv[1]) as client:
        client.wait_for_workers(2, PATIENCE)
        with ClusterExecutor(client) as pool:
            machines = [each["name"] for each in client.scheduler_info()["workers"].values()]
            for machine in machines:
                stops_on(pool, machine, folder)
            lose(client, pool, folder)
    print("good")


if __name__ == "__main__":
    main()
