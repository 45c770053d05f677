# SPDX-License-Identifier: MIT
"""bench/chart.py - report.py's rows as an SVG: for each row a dot a peer, on a logarithmic scale.

Figures are relative to TCG's (without it, the first peer's), so that rows of nanoseconds and rows of seconds share a
scale.  One file that needs nothing else: it has a ground of its own, and colours for light and for dark screens.
"""
from html import escape
from math import ceil, floor, log10

WIDTH, LABELS, VALUES = 860, 132, 76
ROW, GROUP, TOP, BOTTOM = 19, 9, 74, 44
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

# Shape, and the colour on a light and on a dark ground.  Drawn in this order: the last lies on top.
MARKS = {"native": ("bar", "#24292f", "#f0f6fc"), "bochs": ("triangle", "#a3489b", "#e08fd8"),
         "qemu": ("diamond", "#00805f", "#2fc79a"), "portable": ("square", "#0a66c2", "#62b0ff"),
         "direct": ("circle", "#d1480a", "#ff8f4d")}
OTHER = ("square", "#777777", "#999999")
GROUND = {"ground": ("#ffffff", "#0d1117"), "text": ("#1f2328", "#e6edf3"), "faint": ("#59636e", "#9198a1"),
          "line": ("#d8dee4", "#2b323b"), "one": ("#8c959f", "#6e7681")}


def style():
    light, dark = [], []
    for name, colours in list(GROUND.items()) + [(p, m[1:]) for p, m in MARKS.items()] + [("other", OTHER[1:])]:
        for rules, colour in zip((light, dark), colours):
            rules.append(f".{name}{{fill:{colour}}}path.{name}{{fill:none;stroke:{colour}}}")
    for rules, ground in zip((light, dark), GROUND["ground"]):
        rules.append(f".dot{{stroke:{ground}}}")
    return "".join(light) + "@media (prefers-color-scheme:dark){" + "".join(dark) + "}"


def mark(peer, x, y):
    shape = MARKS.get(peer, OTHER)[0]
    kind = f'class="{peer if peer in MARKS else "other"} dot"'
    if shape == "circle":
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    if shape == "bar":
        return f'<rect {kind} x="{x - 2.5:.1f}" y="{y - 8:.1f}" width="5" height="16"/>'
    if shape == "square":
        return f'<rect {kind} x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>'
    size = 6 if shape == "diamond" else 5.5
    points = ([(0, -size), (size, 0), (0, size), (-size, 0)] if shape == "diamond" else
              [(0, -size), (size, size - 1), (-size, size - 1)])
    return f'<polygon {kind} points="' + " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in points) + '"/>'


def text(x, y, words, kind="text", size=12, anchor="start"):
    return (f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">'
            f"{escape(words)}</text>")


def steps(low, high):
    """1, 2, 5 of each decade within the limits, and whether it is the decade itself."""
    for decade in range(floor(log10(low)), ceil(log10(high)) + 1):
        for digit in (1, 2, 5):
            if low <= digit * 10.0 ** decade <= high:
                yield digit * 10.0 ** decade, digit == 1


def rounded(value, up):
    """The next of 1, 2, 5 by decades, outwards."""
    decade = 10.0 ** floor(log10(value))
    choices = [d * decade for d in (1, 2, 5, 10)]
    return min(c for c in choices if c >= value) if up else max(c for c in choices if c <= value)


def draw(rows, peers):
    """The SVG's text; None when there is nothing to compare."""
    names = dict(peers)
    base = next((p for p in ("qemu", "native", *names) if any(p in r.samples for r in rows)), None)
    rows = [r for r in rows if base in r.samples]
    ratios = [v / r.samples[base].middle for r in rows for s in r.samples.values() for v in (s.low, s.high)]
    if not rows:
        return None
    low, high = rounded(min(ratios) / 1.1, False), rounded(max(ratios) * 1.1, True)
    left, right = LABELS + 12, WIDTH - VALUES - 10
    groups = sum(a.group != b.group for a, b in zip(rows, rows[1:]))
    bottom = TOP + len(rows) * ROW + groups * GROUP + 6
    height = bottom + BOTTOM
    shown = next((p for p in ("direct", "portable", base) if p in names), base)

    def at(ratio):
        return left + (right - left) * log10(ratio / low) / log10(high / low)

    what = names[base].split(", ")[-1] if base == "qemu" else names[base]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           f'role="img" font-family="{FONT}">',
           f"<title>Guests: time beside {escape(what)}'s</title>",
           f"<style>{style()}</style>",
           f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>']

    # Legend and heads.
    x = left
    for peer, name in peers:
        out += [mark(peer, x + 6, 24), text(x + 18, 28, name, size=13)]
        x += 44 + 7.2 * len(name)
    out += [text(left, 48, f"time ÷ {what}'s, logarithmic: the further left, the faster", "faint"),
            text(WIDTH - 12, 48, names[shown], "faint", anchor="end")]

    # The scale.
    for value, whole in steps(low, high):
        kind = "one" if value == 1 else "line"
        out.append(f'<path class="{kind}" d="M{at(value):.1f} {TOP - 6}V{bottom}" '
                   f'stroke-width="{1.6 if value == 1 else 1 if whole else 0.4}"/>')
        if whole or high / low < 50:
            out += [text(at(value), y, what if value == 1 else f"{value:g}×", "faint", 11, "middle")
                    for y in (TOP - 10, bottom + 15)]
    out.append(text(left, bottom + 33, "boot: umbra unpacks the kernel on the host, boot-packed in the guest, as the others "
                                       "do.  resident: memory" if any(r.name == "boot-packed" for r in rows) else
                    "resident: memory", "faint", 11))

    # The rows: a bar from 1 to what is shown, then the marks with their spreads.
    y, group = TOP + ROW / 2, rows[0].group
    for row in rows:
        if row.group != group:
            y, group = y + GROUP, row.group
            out.append(f'<path class="line" d="M12 {y - ROW / 2 - GROUP / 2:.1f}H{WIDTH - 12}" stroke-width="0.6"/>')
        out.append(text(LABELS, y + 4, row.name, anchor="end"))
        if shown in row.samples:
            end = at(row.samples[shown].middle / row.samples[base].middle)
            out.append(f'<path class="{shown}" d="M{at(1):.1f} {y:.1f}H{end:.1f}" stroke-width="4" opacity="0.35"/>')
            out.append(text(WIDTH - 12, y + 4, row.show(row.samples[shown].middle), anchor="end"))
        for peer in [p for p in names if p not in MARKS] + [p for p in MARKS if p in names]:
            sample = row.samples.get(peer)
            if not sample:
                continue
            middle, *ends = (at(v / row.samples[base].middle) for v in (sample.middle, sample.low, sample.high))
            if ends[1] - ends[0] > 1:
                kind = peer if peer in MARKS else "other"
                out.append(f'<path class="{kind}" d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}" stroke-width="1.5"/>')
            out.append(mark(peer, middle, y))
        y += ROW
    return "\n".join(out + ["</svg>"]) + "\n"
