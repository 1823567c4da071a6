"""nginx's tree of files, as nginx would have it: a copy to be judged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path


def copy_with(root: Path, wanted: Mapping[str, str | None], candidate: Path) -> None:
    """Make the tree as it would be: the present one with the wanted files."""
    if root.is_dir():
        shutil.copytree(root, candidate, symlinks=True)
        for link in [path for path in candidate.rglob("*") if path.is_symlink()]:
            original = (root / link.relative_to(candidate)).resolve()
            link.unlink()
            if original.is_dir():  # what is put there must not reach the original
                shutil.copytree(original, link, ignore_dangling_symlinks=True)
            else:  # a relative link would lead out of the copy
                link.symlink_to(original)
    for relative, content in wanted.items():
        path = candidate / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content, encoding="utf-8")
