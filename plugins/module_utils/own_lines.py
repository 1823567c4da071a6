"""Lines of nginx that are an operator's own, among those of the role: each setting of them stands between two comments."""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACE = re.compile(r" in (\S+):(\d+)\s*$", re.MULTILINE)
MARK = re.compile(r"^\s*# (End of )?(tornado_apps\.\S+\.nginx_(?:server|location))[:.]$")


def blamed(complaint: str, texts: Mapping[str, str | None]) -> str:
    """What nginx complains about, with the settings that these lines are of; ``texts`` is path -> what the file there says."""
    found = []
    for path, line in PLACE.findall(complaint):
        above = (texts.get(path) or "").splitlines()[: int(line)]
        marks = [mark for mark in map(MARK.match, above) if mark]
        if marks and not marks[-1][1]:
            found.append(marks[-1][2])
    return complaint + "".join(f"; that line is of {setting}" for setting in dict.fromkeys(found))
