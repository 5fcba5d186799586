#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""report.py - what the benchmark's parts measured, as tables and pictures.

    report.py PART.json [--svg FILE]     one part: its tables, and a picture
    report.py --summary PART.json...     what matters most, in one table

A part's file has the machine's facts and one object a run. Each run has a mode (linux, taspilot,
both, ...) and is one of two kinds:

    lines   figures along a row key (conns, size, depth): {"mode", KEY, "rps", "p50_us", ...}
    bars    one value each: {"mode", "what", "value", "unit", "better": "up" or "down"}

Figures are medians; behind them stands half the range of the runs, in percent of the median.
"""
import json
import math
import sys

MODES = {
    "linux": ("Linux", "#555555"),
    "past": ("past taspilot", "#999933"),
    "pass": ("XDP passes", "#d4a017"),
    "taspilot": ("taspilot", "#0072b2"),
    "auto": ("--bulk auto", "#009e73"),
    "handback": ("--bulk handback", "#cc79a7"),
    "event": ("--poll event", "#56b4e9"),
    "demoted": ("demoted", "#8c564b"),
    "both": ("both sides", "#d55e00"),
    "wall": ("wall", "#bbbbbb"),
    "qos_core": ("Linux, QoS core", "#e69f00"),
    "qos_all": ("Linux, QoS all", "#f0c808"),
    "frames": ("bare frames", "#000000"),
}
FIGURES = {
    "rps": ("requests/s", "up", 0),
    "avg_us": ("average, us", "down", 1),
    "p50_us": ("p50, us", "down", 1),
    "p99_us": ("p99, us", "down", 1),
    "p99_99_us": ("p99.99, us", "down", 1),
}
# the key that runs along the rows, how it is called
LINES = {
    "rpc": ("conns", "connections"),
    "size": ("size", "bytes"),
    "depth": ("depth", "in flight"),
}
NINES = [("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("p99_9_us", 99.9), ("p99_99_us", 99.99)]


def median(values):
    v = sorted(values)
    n = len(v)
    return (v[(n - 1) // 2] + v[n // 2]) / 2


def spread(values):
    """Half the range, in percent of the median."""
    m = median(values)
    return 50 * (max(values) - min(values)) / m if m else 0


def number(v):
    if v is None:
        return "-"
    if v >= 10000:
        return f"{v:.0f}"
    return f"{v:.1f}" if v >= 10 else f"{v:.2f}"


class Cells:
    """All runs by (row, mode); one figure at a time."""

    def __init__(self, runs, key):
        self.rows, self.modes, self.by = [], [], {}
        for r in runs:
            row, mode = r[key], r["mode"]
            if row not in self.rows:
                self.rows.append(row)
            if mode not in self.modes:
                self.modes.append(mode)
            self.by.setdefault((row, mode), []).append(r)
        self.modes.sort(key=lambda m: list(MODES).index(m))

    def values(self, row, mode, figure):
        return [r[figure] for r in self.by.get((row, mode), []) if r.get(figure) is not None]

    def median(self, row, mode, figure):
        v = self.values(row, mode, figure)
        return median(v) if v else None


def ratio(cells, row, mode, figure, base="linux"):
    a, b = cells.median(row, mode, figure), cells.median(row, base, figure)
    return a / b if a is not None and b else None


def table(cells, figure, label, row_label, row_text):
    width = max([len(row_label)] + [len(row_text(r)) for r in cells.rows])
    head = row_label.rjust(width)
    for m in cells.modes:
        head += MODES[m][0].rjust(18) + ("" if m == "linux" else "  ratio")
    lines = [label, head]
    for row in cells.rows:
        line = row_text(row).rjust(width)
        for m in cells.modes:
            v = cells.values(row, m, figure)
            text = f"{number(median(v))} ±{spread(v):.0f}%" if v else "-"
            line += text.rjust(18)
            if m != "linux":
                q = ratio(cells, row, m, figure)
                line += (f"{q:.2f}" if q else "-").rjust(7)
        lines.append(line.rstrip())
    return "\n".join(lines)


def header(part):
    f = part["machine"]
    how = f"medians of {part['reps']} interleaved runs of {part['secs']} s; ±: half the range of the runs"
    return "\n".join([
        part["title"],
        f"{f['cpu']} x{f['cpus']}{', ' + f['virt'] if f['virt'] else ''}; Linux {f['kernel']}, "
        f"{f['idle']} idle; {f['lab']}; taspilot {f['commit']}; {f['date']}",
        *part["notes"], how])


def text(part):
    out = [header(part)]
    runs = [r for r in part["runs"] if not r.get("broken")]
    if part["part"] in LINES:
        key, label = LINES[part["part"]]
        cells = Cells(runs, key)
        for figure, (name, better, _) in FIGURES.items():
            out.append(table(cells, figure, f"{name} ({'more' if better == 'up' else 'less'} is better)",
                             label, str))
    else:
        cells = Cells(runs, "what")
        unit = {r["what"]: r["unit"] for r in runs}
        better = {r["what"]: "more" if r["better"] == "up" else "less" for r in runs}
        out.append(table(cells, "value", "", "",
                         lambda w: f"{w}, {unit[w]} ({better[w]} is better)"))
    broken = [r for r in part["runs"] if r.get("broken") or any(
        r.get(k) for k in ("lost", "wrong", "starved", "failed"))]
    out.append("BROKEN: " + ", ".join(sorted({f"{r['mode']} {r.get('what', '')}" for r in broken}))
               if broken else "nothing was lost and nothing failed")
    return "\n\n".join(out)


# ---- pictures --------------------------------------------------------------------------

W, H, LEFT, TOP, RIGHT, BOTTOM = 420, 300, 66, 40, 16, 46


class Scale:
    def __init__(self, low, high, length, log, down=False):
        self.log, self.length, self.down = log, length, down
        f = math.log10 if log else float
        self.low, self.high = f(low), f(high)
        if self.low == self.high:
            self.high += 1

    def at(self, v):
        f = math.log10(v) if self.log else v
        p = (f - self.low) / (self.high - self.low) * self.length
        return self.length - p if self.down else p


def short(v):
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if v >= limit:
            return f"{v / limit:g}{letter}"
    return f"{v:g}"


def decades(low, high):
    """Round numbers around [low, high], for a logarithmic axis."""
    e = math.floor(math.log10(low))
    ticks = [m * 10.0 ** k for k in range(e, math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)]
    while len(ticks) > 1 and ticks[1] <= low:
        ticks.pop(0)
    while len(ticks) > 1 and ticks[-2] >= high:
        ticks.pop()
    return ticks


def steps(high):
    step = 10 ** math.floor(math.log10(high or 1))
    for f in (0.2, 0.25, 0.5, 1, 2):
        if high / (step * f) <= 6:
            step *= f
            break
    return [i * step for i in range(math.ceil(high / step) + 1)]


class Picture:
    def __init__(self, title, panels, modes, columns=2, panel_w=W):
        self.columns, self.panel_w = columns, panel_w
        self.w = columns * panel_w
        self.top = 58
        self.h = self.top + math.ceil(panels / columns) * H
        self.out, self.n = [], 0
        self.put(f'<text x="12" y="20" font-size="15" font-weight="bold">{title}</text>')
        x = 12
        for m in modes:
            name, colour = MODES[m]
            self.put(f'<rect x="{x}" y="32" width="14" height="10" fill="{colour}"/>'
                     f'<text x="{x + 19}" y="41">{name}</text>')
            x += 40 + 7 * len(name)

    def put(self, s):
        self.out.append(s)

    def panel(self, title, below=""):
        """Begins the next panel; coordinates are then relative to its plot area."""
        x = self.n % self.columns * self.panel_w + LEFT
        y = self.top + self.n // self.columns * H + TOP
        self.n += 1
        w, h = self.panel_w - LEFT - RIGHT, H - TOP - BOTTOM
        self.put(f'<g transform="translate({x},{y})">'
                 f'<text x="0" y="-10" font-weight="bold">{title}</text>'
                 f'<text x="{w / 2}" y="{h + 38}" text-anchor="middle">{below}</text>'
                 f'<rect width="{w}" height="{h}" fill="none" stroke="#888"/>')
        return w, h

    def end(self):
        self.put("</g>")

    def y_axis(self, ticks, scale, w, text=short):
        for v in ticks:
            y = scale.at(v)
            self.put(f'<line x1="0" x2="{w}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{text(v)}</text>')

    def x_tick(self, x, h, text):
        self.put(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{h}" y2="{h + 4}" stroke="#888"/>'
                 f'<text x="{x:.1f}" y="{h + 18}" text-anchor="middle">{text}</text>')

    def line(self, mode, points):
        colour = MODES[mode][1]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        self.put(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, top, bottom in points:
            self.put(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
                     f'stroke="{colour}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.w}" height="{self.h}" '
                    f'font-family="sans-serif" font-size="11">'
                    f'<rect width="100%" height="100%" fill="white"/>' + "\n".join(self.out) + "</svg>\n")


def along(p, cells, figure, title, label):
    """One figure along the rows, a line each mode, with the range of its runs."""
    w, h = p.panel(title, label)
    seen = [v for r in cells.rows for m in cells.modes for v in cells.values(r, m, figure) if v > 0]
    if seen:
        ticks = decades(min(seen), max(seen))
        y = Scale(ticks[0], ticks[-1], h, True, down=True)
        x = Scale(min(cells.rows), max(cells.rows), w - 24, True)
        p.y_axis(ticks, y, w)
        for r in cells.rows:
            p.x_tick(x.at(r) + 12, h, str(r) if r < 10000 else f"{r // 1024}Ki")
        for m in cells.modes:
            points = []
            for r in cells.rows:
                v = [i for i in cells.values(r, m, figure) if i > 0]
                if v:
                    points.append((x.at(r) + 12, y.at(median(v)), y.at(max(v)), y.at(min(v))))
            p.line(m, points)
    p.end()


def percentiles(p, cells, row, title):
    """How latency is distributed: a nine more each step to the right."""
    w, h = p.panel(title, "percentile; us")
    seen = [v for m in cells.modes for f, _ in NINES for v in cells.values(row, m, f) if v > 0]
    if seen:
        ticks = decades(min(seen), max(seen))
        y = Scale(ticks[0], ticks[-1], h, True, down=True)
        step = (w - 30) / (len(NINES) - 1)
        p.y_axis(ticks, y, w)
        for i, (_, nine) in enumerate(NINES):
            p.x_tick(15 + i * step, h, f"{nine:g}")
        for m in cells.modes:
            points = []
            for i, (f, _) in enumerate(NINES):
                v = [k for k in cells.values(row, m, f) if k > 0]
                if v:
                    points.append((15 + i * step, y.at(median(v)), y.at(max(v)), y.at(min(v))))
            p.line(m, points)
    p.end()


def picture_of_lines(part, path):
    key, label = LINES[part["part"]]
    cells = Cells([r for r in part["runs"] if not r.get("broken")], key)
    cells.rows.sort()
    some = cells.rows if len(cells.rows) <= 4 else [
        cells.rows[i * (len(cells.rows) - 1) // 3] for i in range(4)]
    p = Picture(part["title"], 2 + len(some), cells.modes)
    along(p, cells, "rps", "requests a second", label)
    along(p, cells, "p50_us", "median latency, us", label)
    for row in some:
        percentiles(p, cells, row, f"latency, {label}: {row}")
    p.save(path)


def picture_of_bars(part, path):
    """Each row's bars over Linux's, which is 1; the value itself stands above its bar."""
    runs = [r for r in part["runs"] if not r.get("broken")]
    cells = Cells(runs, "what")
    unit = {r["what"]: r["unit"] for r in runs}
    better = {r["what"]: "more is better" if r["better"] == "up" else "less is better" for r in runs}
    columns = min(3, len(cells.rows))
    p = Picture(part["title"], len(cells.rows), cells.modes, columns, 300)
    for row in cells.rows:
        w, h = p.panel(f"{row}, {unit[row]}", better[row])
        top = max([v for m in cells.modes for v in cells.values(row, m, "value")] or [1])
        ticks = steps(top * 1.08)
        y = Scale(0, ticks[-1] or 1, h, False, down=True)
        p.y_axis(ticks, y, w)
        each = w / len(cells.modes)
        for i, m in enumerate(cells.modes):
            v = cells.values(row, m, "value")
            if not v:
                continue
            a, x = median(v), i * each + each * 0.15
            mid = x + each * 0.35
            p.put(f'<rect x="{x:.1f}" y="{y.at(a):.1f}" width="{each * 0.7:.1f}" '
                  f'height="{h - y.at(a):.1f}" fill="{MODES[m][1]}"/>'
                  f'<line x1="{mid:.1f}" x2="{mid:.1f}" y1="{y.at(max(v)):.1f}" '
                  f'y2="{y.at(min(v)):.1f}" stroke="black"/>'
                  f'<text x="{mid:.1f}" y="{min(y.at(max(v)), y.at(a)) - 4:.1f}" '
                  f'text-anchor="middle">{number(a)}</text>')
        p.end()
    p.save(path)


# ---- what matters most -----------------------------------------------------------------

# part, row, mode, figure, at least (+) or at most (-) so many times Linux's, or another mode's
AIMS = [
    ("rpc", 1, "taspilot", "avg_us", -0.30),
    ("rpc", 1, "taspilot", "p99_99_us", -0.50),
    *[("rpc", n, "taspilot", "p99_99_us", -1.0) for n in (2, 4, 8, 16, 32)],
    ("rpc", 4, "taspilot", "rps", 1.8),
    ("rpc", 8, "taspilot", "rps", 1.25),
    ("rpc", 32, "taspilot", "rps", 1.35),
    ("rpc", 8, "both", "rps", 1.7),
    ("rpc", 32, "both", "rps", 1.9),
    ("depth", 16, "taspilot", "rps", 1.35),
    *[("size", n, "taspilot", "rps", 1.0) for n in (1400, 4096, 16384, 65536)],
    ("setup", "connect+echo+close", "taspilot", "value", 0.9),
    ("redis", "GET, -P 1", "taspilot", "value", 1.4),
    ("redis", "SET, -P 1", "taspilot", "value", 1.4),
    ("redis", "GET, -P 16", "taspilot", "value", 1.3),
    ("redis", "SET, -P 16", "taspilot", "value", 1.3),
    ("memcached", "GET, 50 connections", "taspilot", "value", 1.4),
    ("nginx", "1 KiB, 64 connections", "taspilot", "value", 1.4),
    *[("bulk", f"{n} {way}", "auto", "value", 0.95)
      for n in ("1 stream", "8 streams") for way in ("in", "out")],
    *[("demoted", f"{n} {way}", "demoted", "value", 0.9, "past")
      for n in ("1 stream", "8 streams") for way in ("in", "out")],
    ("cpu", "at 240000/s", "event", "value", -0.6),
]


def summary(parts):
    by = {p["part"]: p for p in parts}
    out = [f"{'':44}{'Linux':>12}{'taspilot':>12}{'ratio':>8}   aim"]
    for name, row, mode, figure, aim, *against in AIMS:
        if name not in by:
            continue
        base = against[0] if against else "linux"
        key = LINES[name][0] if name in LINES else "what"
        cells = Cells([r for r in by[name]["runs"] if not r.get("broken")], key)
        q = ratio(cells, row, mode, figure, base)
        if q is None:
            continue
        what = f"{name}: {row}" + (f" {LINES[name][1]}, {FIGURES[figure][0]}" if name in LINES else "")
        if base != "linux":
            what += f" ({MODES[mode][0]} / {MODES[base][0]})"
        elif mode != "taspilot":
            what += f" ({MODES[mode][0]})"
        met = q >= aim if aim > 0 else q <= -aim
        out.append(f"{what:44}{number(cells.median(row, base, figure)):>12}"
                   f"{number(cells.median(row, mode, figure)):>12}{q:8.2f}   "
                   f"{'>=' if aim > 0 else '<='} {abs(aim):.2f}{'' if met else '   missed'}")
    return "\n".join(out)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main(args):
    if args[:1] == ["--summary"]:
        print(summary([load(a) for a in args[1:]]))
        return 0
    part = load(args[0])
    print(text(part))
    if args[1:2] == ["--svg"]:
        (picture_of_lines if part["part"] in LINES else picture_of_bars)(part, args[2])
    return 1 if any(r.get("broken") for r in part["runs"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
