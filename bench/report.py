#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/report.py - measure.py's results as a Markdown table: report.py RESULTS.jsonl

Medians of the runs, by the host's clock.  "x faster" is the peer's time divided by umbra's.
"""
import json
import sys
from statistics import median

UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))


def text(ns):
    for unit, size in UNITS:
        if ns >= size or unit == "ns":
            return f"{ns / size:.3g} {unit}"


def main():
    runs = {}
    with open(sys.argv[1]) as f:
        for line in f:
            result = json.loads(line)
            runs.setdefault(result["label"], []).append(result)
    peers = list(runs)
    if not peers:
        sys.exit("report.py: no results")

    def middle(peer, get):
        values = [v for v in (get(r) for r in runs[peer]) if v is not None]
        return median(values) if values else None

    def row(title, get, show):
        values = {p: middle(p, get) for p in peers}
        if all(v is None for v in values.values()):
            return
        cells = [show(values[p]) if values[p] is not None else "-" for p in peers]
        own = values.get("umbra")
        for peer in peers:
            if peer != "umbra" and "umbra" in runs:
                known = own and values[peer] is not None
                cells.append(f"{values[peer] / own:.2f}" if known else "-")
        print("| " + " | ".join([title] + cells) + " |")

    heads = peers + [f"{p} ÷ umbra" for p in peers if p != "umbra" and "umbra" in runs]
    print("| median of " + ", ".join(f"{len(runs[p])} {p}" for p in peers) + " | " +
          " | ".join(heads) + " |")
    print("|---|" + "--:|" * len(heads))
    row("boot, wall", lambda r: r.get("boot_wall_s"), lambda v: f"{v:.1f} s")
    row("boot, CPU", lambda r: r["boot_user_s"] + r["boot_sys_s"] if "boot_user_s" in r else None,
        lambda v: f"{v:.1f} s")
    row("resident at BOOT-OK", lambda r: r.get("boot_hwm_mib"), lambda v: f"{v:.0f} MiB")
    row("resident, peak", lambda r: r.get("hwm_mib"), lambda v: f"{v:.0f} MiB")
    names = []
    for results in runs.values():
        for result in results:
            names += [n for n in result["bench_host"] if n not in names]
    for name in names:
        row(name, lambda r: r["bench_host"].get(name), text)
    for peer in peers:
        for result in runs[peer]:
            if result["failures"] or result.get("timeout") or "boot_wall_s" not in result:
                print(f"\n{peer}: " + ("; ".join(result["failures"]) or
                      ("timed out" if result.get("timeout") else "did not boot")))


if __name__ == "__main__":
    main()
