"""The tables."""

from __future__ import annotations

import math
from typing import Any

from contestants import title
from plan import COUNT, RATE, SIZE, Row, better, groups, rows
from results import Results


def _digits(value: float) -> str:
    """Three that count."""
    size = abs(value)
    return f"{value:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}"


_SCALES = {
    RATE: ((1e6, " M/s"), (1e3, " k/s"), (1, "/s")),
    SIZE: ((1e6, " MB"), (1e3, " kB"), (1, " B")),
    "time": ((1, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns")),
}


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    if unit == COUNT:
        return f"{value:g}"
    for size, name in _SCALES[unit]:
        if abs(value) >= size:
            return _digits(value / size) + name
    return "0"


def _spread(values: list[float], middle: float | None, unit: str) -> str:
    if middle is None:
        return "not measured"
    if len(values) < 2:
        return shown(middle, unit)
    return f"{shown(middle, unit)} ({shown(values[0], unit)} to {shown(values[-1], unit)})"


def _best(row: Row, results: Results) -> tuple[str, float] | None:
    cell = row.peer_cell or row.cell
    found = {name: results.middle(cell, name, row.figure) for name in row.against}
    there = [(name, value) for name, value in found.items() if value is not None]
    if not there:
        return None
    return (max if row.unit == RATE else min)(there, key=lambda pair: pair[1])


def table(results: Results) -> list[dict[str, Any]]:
    """The rows as they stand, for people and programs."""
    found = []
    for row in rows():
        ours = results.middle(row.cell, row.ours, row.figure)
        best = _best(row, results)
        ratio = better(row.unit, ours, best[1]) if ours is not None and best else None
        verdict = ""
        if ours is None:
            verdict = "not measured"
        elif row.target:
            extra = _of_a_worker(row, results)
            kept = row.met(ours - extra, _with_extra(ours, ratio, extra))
            verdict = "met" if kept else "missed"
        found.append(
            {
                "figure": row.what or "…",
                "target": row.target,
                "hardstop": _spread(results.figure(row.cell, row.ours, row.figure), ours, row.unit),
                "best_peer": title(best[0]) if best else "",
                "best_peer_figure": shown(best[1], row.unit) if best else "-",
                "ratio": _ratio(ratio),
                "verdict": verdict,
            }
        )
    return found


def _of_a_worker(row: Row, results: Results) -> float:
    """A whole pool may have one worker more: the spare."""
    if row.figure != "pool":
        return 0.0
    return results.middle(row.cell, row.ours, "worker") or 0.0


def _with_extra(ours: float, ratio: float | None, extra: float) -> float:
    if ratio is None:
        return math.inf
    return ratio if extra == 0 or ours <= extra else ours * ratio / (ours - extra)


def _ratio(ratio: float | None) -> str:
    if ratio is None or math.isinf(ratio) or ratio == 0:
        return "-"
    return f"{_digits(ratio)}x"


def _main_table(lines: list[dict[str, Any]]) -> str:
    text = "| figure, 2 workers | target | hardstop "
    text += "| best of the others | its figure | better by | |\n"
    text += "|---|---|---|---|---|---|---|\n"
    for line in lines:
        verdict = "**missed**" if line["verdict"] == "missed" else line["verdict"]
        cells = [
            line["figure"],
            line["target"] or "-",
            line["hardstop"],
            line["best_peer"] or "-",
            line["best_peer_figure"],
            line["ratio"],
            verdict,
        ]
        text += "| " + " | ".join(cells) + " |\n"
    return text


_UNITS = {
    "rate": RATE,
    "enqueue_rate": RATE,
    "worker": SIZE,
    "pool": SIZE,
    "processes": COUNT,
    "switches": COUNT,
    "ticks": COUNT,
}


def _everybody(results: Results) -> str:
    text = ""
    for group in groups():
        names = results.names(group.cell)
        if not results.contestants(group.cell):
            continue
        text += f"\n| {group.cell} | " + " | ".join(names) + " |\n"
        text += "|---" * (len(names) + 1) + "|\n"
        for who in results.contestants(group.cell):
            figures = [results.middle(group.cell, who, name) for name in names]
            told = [
                shown(value, _UNITS.get(name, "time"))
                for name, value in zip(names, figures, strict=True)
            ]
            trouble = results.trouble(group.cell, who)
            if trouble and all(value is None for value in figures):
                told = [trouble.replace("|", "/")] + [""] * (len(names) - 1)
            text += f"| {title(who)} | " + " | ".join(told) + " |\n"
    return text


def to_markdown(results: Results) -> str:
    where = results.machine
    text = _main_table(table(results))
    text += "\nMedian (least to greatest) of the rounds; the others: their median. "
    text += f"{where['processor']}, {where['cpus']} CPUs used, {where['kernel']}, "
    text += f"CPython {where['python']}, {where['versions']}. "
    text += f"Load average at the start: {where['load']}.\n"
    text += "\n<details><summary>Everybody's figures</summary>\n"
    return text + _everybody(results) + "\n</details>\n"
