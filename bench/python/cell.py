"""One cell: python cell.py CELL CONTESTANT. Prints what it measured as one line of JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback


def main() -> None:
    import permits  # noqa: F401 - its cell
    import services  # noqa: F401 - its cells
    from cells import CELLS
    from contestants import Cannot

    try:
        told = {"figures": CELLS[sys.argv[1]](sys.argv[2])}
    except Cannot as refusal:
        told = {"cannot": str(refusal)}
    except BaseException as error:
        traceback.print_exc()
        told = {"failed": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(told), flush=True)
    # Whatever a peer's exit hooks may wait for is not measured.
    os._exit(0)


if __name__ == "__main__":
    main()
