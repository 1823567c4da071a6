"""Draw bench/results/switch.json as switch.svg beside it: for each way the answers of both releases and the failed requests over time.

Needs bench/requirements.txt. The same figures give the same bytes.
"""

import io
import json
import math
import re
from typing import Any

import matplotlib  # type: ignore[import-not-found, unused-ignore]
from matplotlib.artist import Artist  # type: ignore[import-not-found, unused-ignore]
from matplotlib.axes import Axes  # type: ignore[import-not-found, unused-ignore]
from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]
from matplotlib.lines import Line2D  # type: ignore[import-not-found, unused-ignore]
from matplotlib.patches import Patch  # type: ignore[import-not-found, unused-ignore]

from tools.process import ROOT

RESULTS = ROOT / "bench/results/switch.json"

OLD, NEW, FAILED, INK, PAPER = "#a9b4c0", "#2f81c5", "#d1242f", "#24292f", "white"
TOGETHER = 10
"""Points of the series that are drawn as one, their mean: more would make the file larger, and show little else at this width."""
STYLE: Any = {
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # of the same widths
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",  # text stays text: to be read, searched, and small
    "svg.hashsalt": "switch",  # gives parts the same names each time
}


def coarse(series: list[int]) -> list[float]:
    """The means of `TOGETHER` points each."""
    return [sum(series[at : at + TOGETHER]) / TOGETHER for at in range(0, len(series) - TOGETHER + 1, TOGETHER)]


def draw(axes: Axes, way: dict[str, Any]) -> None:
    """Draw one way: the answers of both releases and the failed requests on top of each other; above these, when what went over."""
    old, new, failed = (coarse(way[name]) for name in ("old_answers", "new_answers", "failed_requests"))
    step = way["points_seconds"] * TOGETHER
    edges = [way["points_start"] + step * at for at in range(len(old) + 1)]
    answers = [sum(pair) for pair in zip(old, new, strict=True)]
    axes.stairs(answers, edges, fill=True, color=NEW, linewidth=0)
    axes.stairs(old, edges, fill=True, color=OLD, linewidth=0)  # hides the lower part of all answers
    failures = [at for at, count in enumerate(failed) if count]
    middles = [edges[at] + step / 2 for at in failures]
    axes.bar(middles, [failed[at] for at in failures], step, [answers[at] for at in failures], color=FAILED)
    mark(axes, middles, 0.97, FAILED)  # a few failures among many answers are too thin to be seen
    mark(axes, [moment for host in way["moments"] for moment in host], 1.06, INK)
    title = f"{way['name']}: {way['failed']:,} of {way['requests']:,} requests failed, "
    title += f"both releases answered for {way['window_seconds']:.1f} s"
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", pad=14)


def mark(axes: Axes, moments: list[float], height: float, color: str) -> None:
    """Draw a short stroke at each moment, at a height in parts of the panel's; all in one path, which takes the fewest bytes."""
    x = [at for moment in moments for at in (moment, moment, math.nan)]
    y = [height - 0.025, height + 0.025, math.nan] * len(moments)
    axes.plot(x, y, transform=axes.get_xaxis_transform(), color=color, linewidth=1, clip_on=False)


def legend() -> list[Artist]:
    """What the colours mean."""
    colors = {"old release": OLD, "new release": NEW, "failed requests": FAILED}
    went_over = Line2D([], [], color=INK, marker="|", linestyle="", label="a host went over (one by one: a process)")
    return [*(Patch(color=color, label=label) for label, color in colors.items()), went_over]


def compact(svg: str) -> str:
    """The same picture with a path on one line, and with tenths of a point, which nobody can see the difference of."""
    one_line = re.sub(r'(?<= d=")[^"]*', lambda path: " ".join(path[0].split()), svg)
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), one_line)


def main() -> None:
    results = json.loads(RESULTS.read_text())
    ways = results["ways"]
    matplotlib.rcParams.update(STYLE)
    figure = Figure(figsize=(9, 2.2 * len(ways)), layout="constrained", facecolor=PAPER)
    panels = figure.subplots(len(ways), sharex=True, sharey=True)
    for axes, way in zip(panels, ways, strict=True):
        draw(axes, way)
    panels[-1].set_xlabel("seconds since the change began")
    figure.supylabel("requests in 100 ms", fontsize=10)
    figure.legend(handles=legend(), loc="outside lower center", ncols=4, frameon=False)
    picture = io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    RESULTS.with_suffix(".svg").write_text(compact(picture.getvalue()))


if __name__ == "__main__":
    main()
