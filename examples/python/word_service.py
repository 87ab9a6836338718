"""A service that counts the words of files, from a queue that survives it.

    hardstop worker word_service:service       # until Ctrl-C; again and again, if you like
    python word_service.py *.txt               # meanwhile or before: more work
    hardstop jobs words.db                     # what became of it

kill -9 it while it counts: when it is started again the file is counted again, and nothing is lost.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hardstop

queue = hardstop.Queue("words.db")
service = hardstop.Service(queue, workers=2, journal="words.journal", grace=25)


@service.job(timeout=60)
def count_words(name: str) -> None:
    """May run twice for one file: writing the same count again does no harm."""
    count = len(Path(name).read_text().split())
    half = Path(f"{name}.half")
    half.write_text(f"{count}\n")
    half.replace(f"{name}.count")  # the whole file or none


if __name__ == "__main__":
    for path in map(os.path.abspath, sys.argv[1:]):
        # Asked for twice while it waits, it is counted once.
        print(queue.options(unique=path).enqueue(count_words, path), path)
