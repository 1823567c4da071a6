"""install_files: all files of a call, each as a whole, or none when one is refused."""

from __future__ import annotations

import grp
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.unit.loading import plugin
from tests.unit.conftest import run_module

installer = plugin("modules", "install_files")
GROUP = grp.getgrgid(os.getegid()).gr_name  # who is not root can give a file to no other


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a file, a link to it and another directory."""
    (tmp_path / "file").write_text("old\n")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    return tmp_path


def file(path: str, content: str = "new\n", **options: str) -> dict[str, str]:
    return {"path": path, "content": content, "group": GROUP, **options}


def link(path: str, target: str = "gone") -> dict[str, str]:
    return {"path": path, "state": "link", "target": target}


def absent(path: str) -> dict[str, str]:
    return {"path": path, "state": "absent"}


def install(root: Path, *files: Mapping[str, str], **options: Any) -> dict[str, Any]:
    """Run the module, with paths below a directory, and so in the result; the run holds the lock unless another one is named."""
    lock = str(root.with_name(f"{root.name}.lock"))
    run_module("run_lock", path=lock, run="r-test")
    below = [{**file, "path": str(root / file["path"])} for file in files]
    result = run_module("install_files", **{"files": below, "run": "r-test", "lock": lock, **options})
    return {**result, "paths": [os.path.relpath(path, root) for path in result.get("paths", [])]}


def text(path: Path) -> str:
    return f"-> {os.readlink(path)}\n" if path.is_symlink() else path.read_text()


def texts(root: Path) -> dict[str, str]:
    """What all files and links say, temporary ones too."""
    return {os.path.relpath(path, root): text(path) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


def inodes(root: Path) -> dict[Path, tuple[int, int, int]]:
    """All that is there, to compare."""
    return {path: (path.lstat().st_ino, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in root.rglob("*")}


ALL = [file("new", "ä\n"), file("file", mode="0640"), link("folder/new"), link("link", "folder"), absent("none"), absent("nowhere/none")]


def test_writes_and_links_and_twice_is_once(root: Path) -> None:
    assert install(root, *ALL)["paths"] == ["new", "file", "folder/new", "link"]
    assert texts(root) == {"new": "ä\n", "file": "new\n", "folder/new": "-> gone\n", "link": "-> folder\n"}
    assert [(root / path).stat().st_mode & 0o7777 for path in ("new", "file")] == [0o644, 0o640]
    before = inodes(root)
    again = install(root, *ALL)
    assert (again["changed"], again["paths"], again["diff"]) == (False, [], [])
    assert inodes(root) == before


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (file("file", "old\n"), {"file": "old\n", "link": "-> file\n"}),  # its mode was another
        (file("file", "", mode="0600"), {"file": "", "link": "-> file\n"}),  # its mode was the same
        (file("link"), {"file": "old\n", "link": "new\n"}),
        (file("link", "old\n"), {"file": "old\n", "link": "old\n"}),
        (link("file"), {"file": "-> gone\n", "link": "-> file\n"}),
        (absent("file"), {"link": "-> file\n"}),
        (absent("link"), {"file": "old\n"}),
    ],
)
def test_replaces_and_removes_what_is_at_the_path_itself(root: Path, wanted: Mapping[str, str], left: Mapping[str, str]) -> None:
    assert install(root, wanted)["paths"] == [wanted["path"]]
    assert texts(root) == left
    assert "content" not in wanted or (root / wanted["path"]).lstat().st_mode & 0o7777 == int(wanted.get("mode", "0644"), 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("owner", [(1, -1), (-1, 1)])
def test_corrects_whose_a_file_is(root: Path, owner: tuple[int, int]) -> None:
    install(root, file("file"))
    os.chown(root / "file", *owner)
    assert install(root, file("file"))["changed"]
    assert ((root / "file").stat().st_uid, (root / "file").stat().st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (file("bad", validate="grep -q ok %s"), "{root}/bad is refused, nothing is changed: grep ended with 1"),
        (file("bad", validate="sh -c 'echo $0: no; exit 1' %s"), "{root}/bad is refused, nothing is changed: {root}/bad: no"),
        (file("bad", validate="/no/such %s"), "{root}/bad is refused, nothing is changed: [Errno 2]"),
        (file("bad", validate="true"), "{root}/bad has a validate without %s; nothing is changed"),
        (file("bad", group="nobodies"), "{root}/bad cannot be made: there is no group nobodies; nothing is changed"),
        (file("bad", mode="416"), "{root}/bad has the mode 416"),
        (file("no/bad"), "{root}/no/bad cannot be made: {root}/no is not a directory; nothing is changed"),
        (link("pipe/bad"), "{root}/pipe/bad cannot be made: {root}/pipe is not a directory; nothing is changed"),
        (file("folder"), "{root}/folder is a directory; nothing is changed"),
        (absent("folder"), "{root}/folder is a directory; nothing is changed"),
        (absent("pipe"), "{root}/pipe is neither a file nor a link; nothing is changed"),
        (absent("file"), "{root}/file is given more than once, or below another one; nothing is changed"),
        (file("link/bad"), "{root}/link/bad is given more than once, or below another one; nothing is changed"),
        ({"path": "bad"}, "state is file but any of the following are missing: content, secret"),
        ({"path": "bad", "state": "link"}, "state is link but all of the following are missing: target"),
    ],
)
def test_when_one_is_refused_nothing_is_changed(root: Path, refused: Mapping[str, str], message: str) -> None:
    os.mkfifo(root / "pipe")
    before = inodes(root)
    result = install(root, file("new"), link("other"), file("file"), absent("link"), refused)
    assert result["failed"]
    assert message.format(root=root) in result["msg"]
    assert inodes(root) == before


def test_validate_sees_the_file_as_it_will_be_and_no_other_yet(root: Path) -> None:
    judging = f"""sh -c '[ "$(stat -c %a "$1")" = 640 ] && grep -q new "$1" && grep -q old {root}/file' sh %s"""
    assert install(root, file("file"), file("b c", mode="0640", validate=judging))["paths"] == ["file", "b c"]
    assert (root / "file").read_text() == "new\n"


def test_all_go_whole_and_in_order_and_to_the_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[str, str, int]] = []
    synced: list[Path] = []

    def replace(temporary: Path, target: Path) -> None:
        assert (temporary.parent, temporary.name[0]) == (target.parent, ".")
        moved.append((target.name, text(temporary), temporary.lstat().st_mode & 0o777))
        os.replace(temporary, target)

    monkeypatch.setattr(installer.Path, "replace", replace)
    monkeypatch.setattr(installer, "sync", synced.append)
    install(root, file("z", mode="0600"), link("folder/y"), absent("link"), file("file"))
    assert moved == [("z", "new\n", 0o600), ("y", "-> gone\n", 0o777), ("file", "new\n", 0o644)]
    assert synced == [root, root / "folder"]


def test_a_failure_half_way_leaves_nothing_temporary(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(temporary: Path, target: Path) -> None:
        if target.name == "b":
            raise OSError("the disk is broken")
        os.replace(temporary, target)

    monkeypatch.setattr(installer.Path, "replace", replace)
    with pytest.raises(OSError, match="the disk is broken"):
        install(root, file("a"), link("b"), file("c"))
    assert set(texts(root)) == {"a", "file", "link"}


def test_check_mode_tells_and_changes_nothing(root: Path) -> None:
    """Also where an earlier task would have made the directory or the group; only what is in the way is an error as ever."""
    before = inodes(root)
    files = [*ALL, file("no/new"), link("no/link"), file("bad", group="nobodies", validate="false %s")]
    result = install(root, *files, check=True)
    assert (result["changed"], result["paths"]) == (True, ["new", "file", "folder/new", "link", "no/new", "no/link", "bad"])
    assert inodes(root) == before
    assert not install(root, link("link", "file"), absent("none"), check=True)["changed"]
    assert "is a directory" in install(root, file("folder"), check=True)["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_diff(root: Path, check: bool) -> None:
    (root / "old").touch()
    (root / "binary").write_bytes(b"\xff\n")
    result = install(root, file("file"), link("link"), absent("old"), file("binary"), link("folder/new"), absent("none"), check=check)
    changes = [("file", "old\n", "new\n"), ("link", "-> file\n", "-> gone\n"), ("old", "(there)\n", "")]
    changes += [("binary", "\ufffd\n", "new\n"), ("folder/new", "", "-> gone\n")]
    assert result["diff"] == [
        {"before_header": f"{root}/{path}", "after_header": f"{root}/{path}", "before": before, "after": after}
        for path, before, after in changes
    ]


def test_without_the_lock_nothing_is_changed(root: Path) -> None:
    before = inodes(root)
    result = install(root, file("new"), run="r-bob")
    assert result["msg"].startswith("nothing is changed: this host's lock is now that of")
    assert inodes(root) == before
    assert not install(root, link("link", "file"), run="r-bob").get("failed")  # is there already


def test_what_a_killed_one_left_is_removed(root: Path) -> None:
    (root / "folder/.0123.install_files").symlink_to("file")
    install(root, file("folder/new"))
    assert [path.name for path in (root / "folder").iterdir()] == ["new"]


def test_contents_stay_out_of_the_hosts_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _module, text, **_options: said.append(text))
    install(root, file("new", "secret\n"))
    assert any("r-test" in text for text in said)  # other modules are logged
    assert not any("secret" in text for text in said)


def test_a_secret_shows_nowhere(root: Path) -> None:
    for given in ("hunter2", "hunter3"):
        result = install(root, {"path": "secret", "secret": given, "mode": "0640", "group": GROUP})
        assert (result["paths"], (root / "secret").read_text()) == (["secret"], given)
        assert "hunter" not in json.dumps(result)
        assert [part["after"] for part in result["diff"]] == ["(a secret)\n"]
    assert not install(root, {"path": "secret", "secret": "hunter3", "mode": "0640", "group": GROUP})["changed"]
    gone = install(root, absent("secret"))
    assert "hunter" not in json.dumps(gone)


def test_a_file_has_a_content_or_a_secret(root: Path) -> None:
    assert "mutually exclusive" in install(root, {**file("both"), "secret": "hunter2"})["msg"]


def test_what_is_there_need_not_be_utf_8(root: Path) -> None:
    (root / "file").write_bytes(b"f\xfcr\n")
    (root / "link").unlink()
    (root / "link").symlink_to(os.fsdecode(b"f\xfcr"))
    result = install(root, file("file"), link("link"))
    assert [diff["before"] for diff in result["diff"]] == ["f\ufffdr\n", "-> f\ufffdr\n"]
    assert texts(root) == {"file": "new\n", "link": "-> gone\n"}


def test_what_a_validate_says_need_not_be_utf_8(root: Path) -> None:
    result = install(root, file("file", validate=r"sh -c 'printf f\\374r; exit 1' %s"))
    assert result["msg"].endswith("is refused, nothing is changed: f\ufffdr")
