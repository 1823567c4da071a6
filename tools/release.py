"""Build the collection's archive, once version, tag and changelog agree: `python -m tools.release`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from tools.process import ROOT


def version(root: Path) -> str:
    """The version in galaxy.yml."""
    return str(yaml.safe_load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"])


def problems(root: Path) -> Iterator[str]:
    """Why this state of the repository is not a release, one sentence each."""
    wanted = version(root)
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    newest = released[0] if released else "nothing"
    if newest != wanted:
        yield f"galaxy.yml says {wanted}, the newest version in CHANGELOG.md is {newest}: write `## [{wanted}] - <date>`"
    if git(root, "status", "--porcelain"):
        yield "the work tree has changes that are not committed"
    tags = git(root, "tag", "--points-at", "HEAD").split()
    if f"v{wanted}" not in tags:
        yield f"no tag v{wanted} points at this commit, but {', '.join(tags) or 'none'}: run `git tag v{wanted}`"


def git(root: Path, *arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Build, or say all that is in the way."""
    found = list(problems(ROOT))
    if found:
        sys.exit("\n".join(["This is not a release:", *found]))
    subprocess.run([Path(sys.executable).with_name("ansible-galaxy"), "collection", "build", "--force"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
