"""static_files: the store has what the releases on disk have, each by its content, and a call that is cut short is done again."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tornado.web import StaticFileHandler

from tests.unit.loading import ROOT
from tests.unit.conftest import run_module, utils

store = utils("static_store")
LARGE = "a { color: blue }\n" * 100
UNPACKED = ROOT / ".tools/brotli/usr/bin/brotli"
BROTLI = str(UNPACKED) if UNPACKED.exists() else shutil.which("brotli") or ""


@pytest.fixture(autouse=True)
def no_brotli(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Debian 11, unless a test says otherwise."""
    monkeypatch.setattr(store, "BROTLI", "/nowhere/brotli")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An app without a release; the umask of whoever calls is a strict one."""
    (tmp_path / "shop/releases").mkdir(parents=True)
    before = os.umask(0o077)
    yield tmp_path / "shop"
    assert os.umask(before) == 0o077


def release(home: Path, name: str, files: dict[str, str], moment: int = 1_000_000_000) -> Path:
    """A release of the app, with the modes that release_modes gives, and times that follow from content."""
    root = home / "releases" / name
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
        os.utime(file, (moment, moment))
    return root


def bring(home: Path, *, static: str = "static", check: bool = False, holder: str = "r-ana") -> dict[str, Any]:
    """Run the module under a lock."""
    lock = home.with_name("lock")
    run_module("run_lock", path=str(lock), run=holder)
    app = {"assets": f"{home}/assets", "releases": f"{home}/releases", "static": static}
    return run_module("static_files", check=check, apps={"shop": app}, run="r-ana", lock=str(lock))


def names(home: Path) -> set[str]:
    """What the store has: the first digits of the digest, and the path."""
    found = (path.relative_to(home / "assets") for path in (home / "assets").rglob("*") if path.is_file())
    return {f"{path.parts[0][:8]}/{'/'.join(path.parts[1:])}" for path in found if not path.parts[0].startswith(".")}


def named(text: str, path: str, *suffixes: str) -> set[str]:
    """The names of a file with this content."""
    digests = (hashlib.sha512(text.encode()), hashlib.md5(text.encode()))
    return {f"{digest.hexdigest()[:8]}/{path}{suffix}" for digest in digests for suffix in ("", *suffixes)}


def inodes(home: Path) -> dict[Path, tuple[int, int]]:
    """All files, with what would change."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}


def stored(home: Path, text: str, path: str) -> Path:
    return home / "assets" / hashlib.sha512(text.encode()).hexdigest() / path


def test_each_file_is_named_by_the_digest_that_tornado_puts_into_its_url(home: Path) -> None:
    root = release(home, "r1", {"static/app.css": "a {}", "static/deep/x.js": "x", "app.py": "SECRET"})
    result = bring(home)
    assert (result["changed"], result["added"], result["removed"]) == (True, [str(root)], 0)
    assert names(home) == named("a {}", "app.css") | named("x", "deep/x.js")
    version = StaticFileHandler.get_content_version(str(root / "static/app.css"))
    assert (home / "assets" / version / "app.css").samefile(root / "static/app.css")


def test_a_second_call_changes_nothing(home: Path) -> None:
    release(home, "r1", {"static/app.css": LARGE})
    assert bring(home)["changed"]
    before = inodes(home)
    result = bring(home)
    assert (result["changed"], result["added"], result["removed"]) == (False, [], 0)
    assert inodes(home) == before


def test_a_check_changes_nothing_and_needs_no_lock(home: Path) -> None:
    root = release(home, "r1", {"static/app.css": LARGE})
    result = bring(home, check=True, holder="r-eva")
    assert (result["changed"], result["added"]) == (True, [str(root)])
    assert not (home / "assets").exists()


def test_nothing_is_done_under_the_lock_of_another_run(home: Path) -> None:
    release(home, "r1", {"static/app.css": LARGE})
    result = bring(home, holder="r-eva")
    assert result["failed"]
    assert "nothing more is changed" in result["msg"]
    assert not (home / "assets").exists()


def test_nginx_passes_the_directories_and_lists_none(home: Path) -> None:
    release(home, "r1", {"static/deep/app.css": LARGE})
    bring(home)
    folders = [home / "assets", *(path for path in (home / "assets").rglob("*") if path.is_dir())]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in folders} == {"0o751"}


# Compressed files


def test_text_is_compressed_once_and_always_to_the_same_bytes(home: Path) -> None:
    root = release(home, "r1", {"static/app.css": LARGE})
    bring(home)
    made = root / "static/app.css.gz"
    assert gzip.decompress(made.read_bytes()).decode() == LARGE
    own, original = made.stat(), (root / "static/app.css").stat()
    assert (own.st_mode, own.st_uid, own.st_gid, own.st_mtime) == (original.st_mode, original.st_uid, original.st_gid, original.st_mtime)
    assert stored(home, LARGE, "app.css.gz").samefile(made)
    other = release(home, "r2", {"static/other.css": LARGE})
    bring(home)
    assert (other / "static/other.css.gz").read_bytes() == made.read_bytes()


@pytest.mark.skipif(not BROTLI, reason="no brotli: run tools/bootstrap.py --with-nginx")
def test_where_there_is_brotli_it_is_used_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = next(iter(UNPACKED.parents[2].glob("usr/lib/*")), Path("/nowhere"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
    monkeypatch.setattr(store, "BROTLI", BROTLI)
    root = release(home, "r1", {"static/app.css": LARGE, "static/small.css": "a {}"})
    bring(home)
    unpacked = subprocess.run([BROTLI, "--decompress", "--stdout", root / "static/app.css.br"], check=True, capture_output=True).stdout
    assert unpacked.decode() == LARGE
    assert names(home) == named(LARGE, "app.css", ".gz", ".br") | named("a {}", "small.css")


def test_what_is_small_or_no_text_or_does_not_shrink_stays_as_it_is(home: Path) -> None:
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(100))
    release(home, "r1", {"static/small.css": "a {}", "static/photo.jpg": LARGE})
    (home / "releases/r1/static/noise.js").write_bytes(bytes.fromhex(noise))
    bring(home)
    assert not list(home.rglob("*.gz"))


def test_what_the_app_brings_stays(home: Path) -> None:
    root = release(home, "r1", {"static/app.js": LARGE, "static/app.js.gz": "OWN", "static/data.gz": "ALONE"})
    bring(home)
    assert (root / "static/app.js.gz").read_text() == "OWN"
    assert names(home) == named(LARGE, "app.js", ".gz") | named("ALONE", "data.gz")
    assert stored(home, LARGE, "app.js.gz").read_text() == "OWN"


def test_what_another_release_has_compressed_is_not_compressed_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = release(home, "r1", {"static/app.css": LARGE})
    bring(home)
    second = release(home, "r2", {"static/app.css": LARGE, "static/new.css": LARGE})
    real, compressed = store.packed, []

    def packed(path: str, suffix: str, target: str) -> bool:
        if suffix == ".gz":
            compressed.append(Path(path).name)
        return bool(real(path, suffix, target))

    monkeypatch.setattr(store, "packed", packed)
    bring(home)
    assert compressed == ["new.css"]
    assert (second / "static/app.css.gz").samefile(first / "static/app.css.gz")


# Releases that have the same content


def test_the_same_content_is_one_file(home: Path) -> None:
    first = release(home, "r1", {"static/app.css": LARGE, "static/old.css": "old"})
    bring(home)
    second = release(home, "r2", {"static/app.css": LARGE, "static/new.css": "new"})
    (second / "static/app.css").chmod(0o755)
    bring(home)
    for name in ("app.css", "app.css.gz"):
        assert (first / "static" / name).samefile(second / "static" / name)
    assert stat.S_IMODE((first / "static/app.css").stat().st_mode) == 0o755  # a program stays one
    assert names(home) == named(LARGE, "app.css", ".gz") | named("old", "old.css") | named("new", "new.css")


def test_what_no_release_has_any_more_goes(home: Path) -> None:
    first = release(home, "r1", {"static/app.css": LARGE, "static/deep/old.css": "old"})
    second = release(home, "r2", {"static/app.css": LARGE, "static/new.css": "new"})
    bring(home)
    backup = home.with_name("backup")
    shutil.copytree(first, backup, copy_function=os.link)  # holds the files, and is no release
    shutil.rmtree(first)
    result = bring(home)
    assert (result["changed"], result["removed"]) == (True, 2)
    assert names(home) == named(LARGE, "app.css", ".gz") | named("new", "new.css")
    assert store.marks(str(home / "assets")) == {"r2": "static"}
    assert sorted(path.name[:4] for path in (home / "assets").iterdir() if not path.name.startswith(".")) == sorted(
        {name[:4] for name in names(home)}
    )
    shutil.rmtree(second)
    bring(home)
    assert [path.name for path in (home / "assets").iterdir()] == [".done"]


def test_content_of_the_same_md5_is_not_mixed_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes an app can make two such files; a digest that is one letter stands for it here."""
    real = store.digests
    monkeypatch.setattr(store, "digests", lambda path: [real(path)[0], "0" * 32])
    first = release(home, "r1", {"static/a.css": "one"})
    bring(home)
    second = release(home, "r2", {"static/a.css": "two"})
    bring(home)
    assert [(root / "static/a.css").read_text() for root in (first, second)] == ["one", "two"]
    assert stored(home, "one", "a.css").read_text() == "one"
    assert stored(home, "two", "a.css").read_text() == "two"


def test_a_damaged_file_of_the_store_is_replaced(home: Path) -> None:
    release(home, "r1", {"static/a.css": "one"})
    bring(home)
    damaged = stored(home, "one", "a.css")
    damaged.unlink()
    damaged.write_text("on")
    second = release(home, "r2", {"static/a.css": "one"})
    bring(home)
    assert damaged.read_text() == (second / "static/a.css").read_text() == "one"


def test_a_file_where_another_release_has_a_directory(home: Path) -> None:
    for number, paths in enumerate((("a",), ("a/b",), ("a",))):
        release(home, f"r{number}", {f"static/{path}": "same" for path in paths})
        assert not bring(home).get("failed")
    assert names(home) == named("same", "a")


# Another directory of static files


def test_another_directory_of_static_files_is_done_anew(home: Path) -> None:
    root = release(home, "r1", {"static/app.css": "a {}", "web/public/page.html": "b"})
    bring(home)
    result = bring(home, static="web/public")
    assert (result["added"], result["removed"]) == ([str(root)], 2)
    assert names(home) == named("b", "page.html")
    assert store.marks(str(home / "assets")) == {"r1": "web/public"}


def test_without_static_files_the_store_is_empty(home: Path) -> None:
    release(home, "r1", {"static/app.css": "a {}"})
    bring(home)
    assert bring(home, static="")["removed"] == 2
    assert not bring(home, static="")["changed"]
    assert (names(home), store.marks(str(home / "assets"))) == (set(), {})


def test_a_release_without_such_a_directory_is_done(home: Path) -> None:
    release(home, "r1", {"app.py": "x"})
    assert bring(home)["added"]
    assert not bring(home)["changed"]


# Links


def test_links_count_as_what_they_lead_to_in_the_release(home: Path) -> None:
    root = release(home, "r1", {"static/v1/app.css": LARGE, "vendor/lib.css": LARGE + "x", "vendor/deep/y.css": "y"})
    secret = home.with_name("secret")
    secret.mkdir()
    (secret / "passwd").write_text("SECRET")
    links = {
        "app.css": "v1/app.css",
        "lib.css": "../vendor/lib.css",
        "vendor": "../vendor",
        "circle": ".",
        "itself": "itself",
        "gone": "nowhere",
        "passwd": str(secret / "passwd"),
        "secret": str(secret),
        "up": "../../..",
    }
    for name, target in links.items():
        (root / "static" / name).symlink_to(target)
    bring(home)
    paths = {name.partition("/")[2] for name in names(home)}
    once = {"v1/app.css", "v1/app.css.gz", "app.css", "app.css.gz", "lib.css"}
    assert paths == once | {f"circle/{path}" for path in once} | {"vendor/lib.css", "vendor/deep/y.css"}
    assert not (root / "vendor/lib.css.gz").exists()  # it would be closed to nginx
    assert (root / "static/app.css").is_symlink()


def test_the_names_of_a_file_lead_to_it_whatever_other_releases_had(home: Path) -> None:
    """There, two files had the content; here, one of them is a link to the other."""
    first = release(home, "r1", {"static/a.css": LARGE, "static/b.css": LARGE})
    bring(home)
    second = release(home, "r2", {"static/a.css": LARGE})
    (second / "static/b.css").symlink_to("a.css")
    bring(home)
    shutil.rmtree(first)
    bring(home)
    assert names(home) == named(LARGE, "a.css", ".gz") | named(LARGE, "b.css", ".gz")
    assert stored(home, LARGE, "a.css").samefile(stored(home, LARGE, "b.css"))


def test_a_directory_of_static_files_that_leads_out_has_none(home: Path) -> None:
    root = release(home, "r1", {"app.py": "x"})
    (home.with_name("secret")).mkdir()
    (home.with_name("secret") / "x").write_text("SECRET")
    (root / "static").symlink_to(home.with_name("secret"))
    bring(home)
    assert names(home) == set()


def test_names_that_nginx_refuses_have_none(home: Path) -> None:
    release(home, "r1", {"static/.env": "S", "static/.git/config": "S", "static/a.b": "x"})
    name = os.fsencode(home / "releases/r1/static") + b"/\xff.css"
    Path(os.fsdecode(name)).write_text("odd")
    bring(home)
    assert names(home) == named("x", "a.b") | named("odd", os.fsdecode(b"\xff.css"))


# What a killed run leaves


@pytest.mark.parametrize("cut", ["rename", "link", "unlink"])
@pytest.mark.parametrize("after", range(6))
def test_what_was_cut_short_is_done_by_the_next_call(home: Path, monkeypatch: pytest.MonkeyPatch, cut: str, after: int) -> None:
    """At each step files of releases are whole, and so is what the store has."""
    texts = {"app.css": LARGE, "b.css": "b"}
    roots = [release(home, "r1", {f"static/{name}": text for name, text in texts.items()} | {"static/old.css": "old"})]
    bring(home)
    (roots[0] / "static/old.css").unlink()
    roots.append(release(home, "r2", {f"static/{name}": text for name, text in texts.items()} | {"static/new.css": "new"}))
    real, calls = getattr(os, cut), iter(range(1000))

    def cutting(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= after:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(os, cut, cutting)
        bring(home)
    for root in roots:
        for name, text in texts.items():
            assert (root / "static" / name).read_text() == text
            gz = root / "static" / f"{name}.gz"
            assert not gz.exists() or gzip.decompress(gz.read_bytes()).decode() == text
    for path in (home / "assets").glob("[0-9a-f]*/*.css"):
        assert path.parent.name in store.digests(str(path))
    assert not bring(home).get("failed")
    assert not bring(home)["changed"]
    assert names(home) == named(LARGE, "app.css", ".gz") | named("b", "b.css") | named("new", "new.css")
    assert sorted(path.name for path in home.rglob("*") if path.is_file() and path.name in ("link", "mark", "0")) == []
