"""A client that is going to be killed: keeps both of its workers busy."""

from __future__ import annotations

import sys
import time

from contestants import WORKERS, make

import jobs


def main() -> None:
    pool = make(sys.argv[1])
    workers = {pool.result(each) for each in [pool.start(jobs.who) for _ in range(WORKERS * 4)]}
    time.sleep(0.3)
    handles = [pool.start(jobs.nap, 30.0) for _ in range(WORKERS)]
    time.sleep(0.2)
    print(*workers, flush=True)
    for handle in handles:
        pool.result(handle)


if __name__ == "__main__":
    main()
