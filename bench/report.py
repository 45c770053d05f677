#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/report.py - measure.py's results as a table, a chart and a verdict.

  1. Reading     runs by peer, medians with their spread
  2. Rows        boot, memory, one for each benchmark
  3. Table       Markdown, and what is to be known with it
  4. Verdict     where the direct engine is slower than TCG, and which bars it misses
  5. Files       Markdown, SVG (chart.py), README.md between two markers

    report.py [--markdown FILE] [--svg FILE] [--readme FILE --readme-svg FILE] RESULTS.jsonl

Times are by the host's clock.
"""
import argparse
import json
import os
import sys
import textwrap
from collections import Counter
from fnmatch import fnmatch
from statistics import median

sys.dont_write_bytecode = True
import chart  # noqa: E402

PEERS = {"native": "native, 32-bit", "direct": "direct", "portable": "portable",
         "qemu": "QEMU, TCG", "bochs": "Bochs"}
ENGINES = ("direct", "portable")
RATIOS = (("direct", "native"), ("direct", "qemu"))
TIME = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))
MEMORY = (("MiB", 1.0),)
BEGIN = "<!-- guests: make bench BENCH=guests README=1 -->"
END = "<!-- guests: end -->"

# What the direct engine is to keep: rows, at most so many times the peer's figure; None: at most so many ns.
BARS = (("boot*", "qemu", 0.5), ("sieve", "native", 1.25), ("matmul*", "native", 1.25), ("crc32", "native", 1.25),
        ("chase*", "native", 1.25), ("memcpy*", "native", 1.25), ("call*", "native", 2.0), ("getppid", None, 1000.0))


# ---- 1. Reading ----------------------------------------------------------------------------------

class Sample:
    """The median of some runs, and how far they lie apart."""

    def __init__(self, values):
        self.count = len(values)
        self.middle, self.low, self.high = median(values), min(values), max(values)

    def spread(self):
        """How far the run furthest from the median is from it, as a part of the median."""
        return max(self.high - self.middle, self.middle - self.low) / self.middle


class Results:
    """All runs of a file, in the order in which they came."""

    def __init__(self, path):
        self.runs, self.about, self.garbled = {}, {}, 0
        with open(path, encoding="utf-8") as f:
            for line in f:
                try:
                    result = json.loads(line)
                    if "about" in result:
                        self.about.update(result["about"])
                    else:
                        self.runs.setdefault(result["label"], []).append(result)
                except (ValueError, TypeError, KeyError):
                    self.garbled += 1
        self.peers = [p for p in PEERS if p in self.runs] + [p for p in self.runs if p not in PEERS]
        self.skipped = {k.split()[1]: v for k, v in self.about.items() if k.startswith("skipped ")}

    def sample(self, peer, get):
        values = [v for v in map(get, self.runs.get(peer, ())) if v]
        return Sample(values) if values else None

    def whole(self, peer):
        """The runs that are not for the boot of a packed kernel alone."""
        return [r for r in self.runs[peer] if r.get("kind") != "packed"]

    def ran(self, peer):
        """Did a run get as far as its first line?"""
        return any("boot_wall_s" in r or r.get("bench") for r in self.runs[peer])


def name_of(peer):
    return PEERS.get(peer, peer)


# ---- 2. Rows -------------------------------------------------------------------------------------

class Row:
    def __init__(self, group, name, title, units, samples):
        self.group, self.name, self.title, self.units = group, name, title, units
        self.samples = {p: s for p, s in samples.items() if s}

    def show(self, value):
        for unit, size in self.units:
            shown = float(f"{value / size:.3g}")
            if shown >= 1 or size == self.units[-1][1]:
                return f"{shown:g} {unit}"

    def ratio(self, peer, other):
        if peer in self.samples and other in self.samples:
            return self.samples[peer].middle / self.samples[other].middle
        return None


def boot_time(kind):
    def get(result):
        matches = (result.get("kind") == "packed") == (kind == "packed")
        return result.get("boot_wall_s", 0) * 1e9 if matches else None
    return get


def bench_time(name):
    """ns per operation.  What runs natively has the host's clock itself."""
    def get(result):
        own = result.get("bench", {}).get(name, [0, 0])[1] if result["label"] == "native" else None
        return own or result.get("bench_host", {}).get(name)
    return get


def rows_of(results):
    def add(group, name, title, units, get):
        row = Row(group, name, title, units, {p: results.sample(p, get) for p in results.peers})
        if row.samples or name in failed:
            rows.append(row)
        return row

    rows = []
    failed = {f.split()[0] for p in results.peers for r in results.runs[p] for f in r.get("failures", ()) if f}
    boot = add("start", "boot", "boot to the first process ¹", TIME, boot_time(""))
    packed = Row("start", "boot-packed", "boot, unpacked in the guest ²", TIME,
                 {p: results.sample(p, boot_time("packed")) if p in ENGINES else boot.samples.get(p)
                  for p in results.peers})
    if any(p in packed.samples for p in ENGINES):
        rows.append(packed)
    add("start", "resident", "memory in use then ³", MEMORY,
        lambda r: r.get("boot_resident_mib") if r.get("kind") != "packed" else None)

    known = [line.split(None, 2) for line in results.about.get("rows", "").splitlines()]
    known = [k for k in known if len(k) == 3]
    for group, name, operation in known:
        add(group, name, f"{name}: {operation}", TIME, bench_time(name))
    names = [n for p in results.peers for r in results.runs[p] for n in r.get("bench", ())]
    for name in dict.fromkeys(names):
        if name not in [k[1] for k in known]:
            add("", name, name, TIME, bench_time(name))
    return rows


# ---- 3. Table ------------------------------------------------------------------------------------

def ratio_text(ratio):
    if ratio is None:
        return "–"
    return f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def cell(results, row, peer):
    sample = row.samples.get(peer)
    if sample:
        spread = f" ±{100 * sample.spread():.0f}%" if sample.count > 1 else ""
        return row.show(sample.middle) + spread
    if not results.ran(peer):
        return "did not run" if peer == "native" else "did not boot" if row.name.startswith("boot") else "–"
    if any(f.split()[:1] == [row.name] for r in results.runs[peer] for f in r.get("failures", ())):
        return "failed"
    return "–"


def table(results, rows):
    ratios = [(a, b) for a, b in RATIOS if a in results.peers and b in results.peers]
    heads = [name_of(p) for p in results.peers] + [
        f"{name_of(a)} ÷ {name_of(b).split(', ')[-1 if b == 'qemu' else 0]}" for a, b in ratios]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---|" + "--:|" * len(heads)
    for row in rows:
        cells = [cell(results, row, p) for p in results.peers] + [ratio_text(row.ratio(a, b)) for a, b in ratios]
        yield "| " + " | ".join([row.title] + cells) + " |"


def caption(results):
    about = results.about
    versions = [f"{what} {about[key]}" for key, what in (("umbra", "umbra"), ("qemu", "QEMU"), ("bochs", "Bochs"))
                if about.get(key)]
    counts = {p: len(results.whole(p)) for p in results.peers}
    usual = max(counts.values())
    others = [f"{name_of(p)}: {n}" for p, n in counts.items() if n != usual]
    return (f"Debian's kernel {about.get('kernel', '')} with {about.get('memory', '?')} MiB, on {about.get('machine', '?')}; "
            + ", ".join(versions) + f"; {about.get('date', '')}. "
            + (f"Medians of {usual} runs in turn" if usual > 1 else "One run each")
            + (f" ({', '.join(others)})" if others else "") + "; smaller is better"
            + ("; ± is how far the furthest run was from the median" if usual > 1 else "") + "."
            + (" Measured with QUICK=1, so roughly." if about.get("quick") else ""))


def footnotes(results, rows):
    names = [row.name for row in rows]
    if "boot" in names:
        yield ("¹ Until the first process says so. umbra's loader unpacks the kernel on the host; on TCG and Bochs the guest "
               "does." + (" Bochs reads it from a CD." if "bochs" in results.peers else ""))
    if "boot-packed" in names:
        yield "² All alike: umbra runs with `-packed`."
    if "resident" in names:
        yield "³ The process's pages, each counted once however often it is mapped, and its page tables."
    if "native" in results.peers:
        pin = results.about.get("pin")
        yield ("Native: the same program on this machine's own kernel" + (", kept on one CPU." if pin else "."))


def remarks(results):
    """What went wrong, and how busy the machine was."""
    for peer in results.peers:
        said, runs = Counter(), Counter()
        for run in results.runs[peer]:
            packed = "packed: " if run.get("kind") == "packed" else ""
            runs[packed] += 1
            boots = peer == "native" or "boot_wall_s" in run
            texts = list(run.get("failures", ()))
            if not boots or not (run.get("done") or run.get("kind") in ("packed", "boot")):
                what = "" if not boots else "did not end" if run.get("bench") else "no benchmark ran"
                what = what or "did not boot"
                texts.append(what + f" ({run.get('stopped') or 'status %s' % run.get('rc')})"
                             + (f": {run['last'][:120]}" if run.get("last") else ""))
            said.update((packed, t) for t in set(texts))
        for (packed, text), count in said.items():
            yield f"{name_of(peer)}, {count} of {runs[packed]} runs: {packed}{text}"
    if results.about.get("quick") and any(r.get("kind") == "boot" for r in results.runs.get("bochs", ())):
        yield "Bochs only boots with QUICK=1."
    for peer, why in results.skipped.items():
        yield f"{name_of(peer)} was skipped: {why}."
    if results.garbled:
        yield f"Lines of results that could not be read: {results.garbled}."
    busy = [r["other_cpu"] for p in results.peers for r in results.runs[p] if "other_cpu" in r]
    stolen = [r["steal"] for p in results.peers for r in results.runs[p] if "steal" in r]
    if busy and stolen:
        yield (f"Meanwhile others on the machine took {max(0, median(busy)):.2f} CPUs (the median run; {max(0, *busy):.2f} at "
               f"most), and {median(stolen):.2f} were stolen ({max(stolen):.2f}).")


# ---- 4. Verdict ----------------------------------------------------------------------------------

def missing(results):
    """Why nothing can be said of the direct engine; None: it was to run."""
    if "direct" in results.peers:
        return None
    return f"direct: {results.skipped.get('direct', 'not among PEERS')}"


def slower(results, rows):
    judged = [r for r in rows if r.name != "resident" and "qemu" in r.samples]
    why = missing(results) or (None if judged else "no figures of TCG")
    if why:
        yield f"slower than tcg: not measured ({why})"
        return
    names = []
    for row in judged:
        ratio, own, tcg = row.ratio("direct", "qemu"), row.samples.get("direct"), row.samples["qemu"]
        if own is None:
            names.append(f"{row.name} (no figure)")
        elif ratio > 1:
            names.append(f"{row.name} {ratio:.2f}" + (" (the runs overlap)" if own.low <= tcg.high and own.count > 1 else ""))
    yield "direct ÷ TCG above 1: " + (", ".join(names) or "none")
    yield f"slower than tcg: {len(names)} of {len(judged)} rows"


def bars(results, rows):
    why, judged, missed = missing(results), 0, []
    for row in rows if not why else ():
        for pattern, peer, limit in BARS:
            if not fnmatch(row.name, pattern) or (peer and peer not in row.samples):
                continue
            judged += 1
            own = row.samples.get("direct")
            if own is None:
                missed.append(f"{row.name} (no figure)")
            elif peer and row.ratio("direct", peer) > limit:
                missed.append(f"{row.name} {row.ratio('direct', peer):.2f} × {name_of(peer).split(',')[0]} (at most {limit:g})")
            elif not peer and own.middle > limit:
                missed.append(f"{row.name} {row.show(own.middle)} (at most {row.show(limit)})")
    if judged:
        yield f"bars missed: {len(missed)} of {judged}" + (": " + ", ".join(missed) if missed else "")
    else:
        yield f"bars missed: not measured ({why or 'no rows that have one'})"


# ---- 5. Files ------------------------------------------------------------------------------------

def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


def section(results, rows, picture):
    """What README.md and the Markdown file have in common."""
    yield textwrap.fill(caption(results), 132, break_on_hyphens=False)
    if picture:
        yield f"\n![Each row's time beside TCG's, on a logarithmic scale]({picture})"
    yield ""
    yield from table(results, rows)
    yield ""
    yield "\\\n".join(footnotes(results, rows))


def put_into_readme(path, lines):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"report.py: {path} lacks the markers {BEGIN} and {END}")
    write(path, f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument("--markdown")
    ap.add_argument("--svg")
    ap.add_argument("--readme")
    ap.add_argument("--readme-svg")
    ap.add_argument("results")
    args = ap.parse_args()
    results = Results(args.results)
    if not results.peers:
        sys.exit("report.py: no results")
    rows = rows_of(results)
    notes = list(remarks(results))
    verdict = list(slower(results, rows)) + list(bars(results, rows))
    drawing = chart.draw(rows, [(p, name_of(p)) for p in results.peers])
    picture = os.path.basename(args.svg) if args.svg and drawing else None

    said = ["- " + n for n in notes] + [""] if notes else []
    if args.svg and drawing:
        write(args.svg, drawing)
    if args.markdown:
        write(args.markdown, "\n".join(["# Guests", ""] + list(section(results, rows, picture)) + [""] + said
                                       + ["    " + v for v in verdict]) + "\n")
    if args.readme:
        if args.readme_svg and drawing:
            write(args.readme_svg, drawing)
        link = os.path.relpath(args.readme_svg, os.path.dirname(args.readme)) if args.readme_svg and drawing else None
        put_into_readme(args.readme, section(results, rows, link))
    print("\n".join(list(section(results, rows, None)) + [""] + said + verdict))


if __name__ == "__main__":
    main()
