"""A release command that notes for which release it ran."""

import os
from pathlib import Path

with (Path.home() / "migrated").open("a") as notes:
    print(os.environ["TORNADO_APP_RELEASE"], file=notes)
