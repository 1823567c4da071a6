"""Draw bench/results/sockets.json as sockets.svg beside it: for each way the websockets that each release serves over time.

Needs bench/requirements.txt. The same figures give the same bytes.
"""

import io
import json
from typing import Any

import matplotlib  # type: ignore[import-not-found, unused-ignore]
from matplotlib.axes import Axes  # type: ignore[import-not-found, unused-ignore]
from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]
from matplotlib.patches import Patch  # type: ignore[import-not-found, unused-ignore]

from bench.switch_plot import NEW, OLD, PAPER, STYLE, compact
from tools.process import ROOT

RESULTS = ROOT / "bench/results/sockets.json"


def draw(axes: Axes, name: str, way: dict[str, Any]) -> None:
    """Draw one way: what both releases serve, on top of each other."""
    series = way["series"]
    edges = [*series["seconds"], series["seconds"][-1]]
    together = [sum(pair) for pair in zip(series["old"], series["new"], strict=True)]
    axes.stairs(together, edges, fill=True, color=NEW, linewidth=0)
    axes.stairs(series["old"], edges, fill=True, color=OLD, linewidth=0)  # hides the lower part of all
    refused = sum(way["refused"].values())
    moved = f"{way['back']:,} of {way['count']:,} moved in {way['move_seconds']:.1f} s"
    title = f"{name}: {moved}, {refused:,} refused, {sum(way['posts']['failed'].values())} messages failed"
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", pad=14)


def main() -> None:
    ways = json.loads(RESULTS.read_text())["ways"]
    matplotlib.rcParams.update({**STYLE, "svg.hashsalt": "sockets"})
    figure = Figure(figsize=(9, 2.2 * len(ways)), layout="constrained", facecolor=PAPER)
    panels = figure.subplots(len(ways), sharex=True, sharey=True)
    for axes, (name, way) in zip(panels, ways.items(), strict=True):
        draw(axes, name, way)
    panels[-1].set_xlabel("seconds since the change began")
    figure.supylabel("websockets", fontsize=10)
    patches = [Patch(color=OLD, label="old release"), Patch(color=NEW, label="new release")]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, frameon=False)
    picture = io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    RESULTS.with_suffix(".svg").write_text(compact(picture.getvalue()))


if __name__ == "__main__":
    main()
