"""A Celery task that calls a native tool, which may hang or leave processes behind.

    celery -A celery_tool worker                         # a worker
    python celery_tool.py 'xz -9 --keep big.tar'         # a client: runs it, 30 s at most
    python celery_tool.py 'sleep 1000' --revoke 2        # … and revokes it after 2 s

A revoked task, and one whose time is over, is stopped with all that the tool has started; Celery's
prefork process goes on with the next task. BROKER tells where Redis is.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

import celery

from hardstop.integrations.celery import killable_task

BROKER = os.environ.get("BROKER", "redis://localhost")

app = celery.Celery("celery_tool", broker=BROKER, backend=BROKER)
app.conf.broker_connection_retry_on_startup = True


@killable_task(app, timeout=30.0, acks_late=True)
def call_tool(command: list[str]) -> str:
    """What the tool prints. CalledProcessError if it fails."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    command, *revoke = sys.argv[1:]
    task = call_tool.delay(shlex.split(command))
    if revoke:
        time.sleep(float(revoke[1]))
        task.revoke(terminate=True)
    try:
        print(task.get(), end="")
    except celery.exceptions.TaskRevokedError as why:
        print(f"revoked: {why}")


if __name__ == "__main__":
    main()
