"""A parameter search on a Dask cluster, with a deadline for each point.

Some points never converge. Plain Dask cannot stop them: each takes its slot for good. Here each
point has two seconds, and what has not finished by then is gone, on whichever machine it ran.

    python dask_search.py [tcp://scheduler:8786]
"""

from __future__ import annotations

import sys

from distributed import Client, LocalCluster

from hardstop import ProcessTimeoutError
from hardstop.integrations.dask import ClusterExecutor


def newton(c: float) -> int:
    """Steps in which Newton's method finds a root of x³ - 2x + c from 0; if c is 2, never."""
    x, steps = 0.0, 0
    while abs(x**3 - 2 * x + c) > 1e-9:
        x -= (x**3 - 2 * x + c) / (3 * x**2 - 2)
        steps += 1
    return steps


def search(executor: ClusterExecutor, points: list[float]) -> dict[float, str]:
    limited = executor.options(timeout=2.0, retries=1, name="newton")
    jobs = {point: limited.submit(newton, point) for point in points}
    found = {}
    for point, job in jobs.items():
        try:
            found[point] = f"{job.result()} steps"
        except ProcessTimeoutError:
            found[point] = "given up after 2 s"
    return found


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else LocalCluster(n_workers=2, threads_per_worker=1)
    with Client(where) as client, ClusterExecutor(client) as executor:
        for point, how in search(executor, [1.5, 1.9, 2.0, 2.1, 3.0]).items():
            print(f"c = {point}: {how}")


if __name__ == "__main__":
    main()
