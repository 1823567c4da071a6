"""The documentation is up to date, and what it names is there."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docs = load(ROOT / "tools/docs.py")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("roles/*/README.md"), *(ROOT / "docs").glob("*.md")])
SPECS = docs.load("meta/argument_specs.yml")["argument_specs"]
# The collection's namespace, which is the role's name too.
NO_INPUTS = {"tornado_app"}


def named(pattern: str) -> list[tuple[str, str]]:
    """Page and word for all that matches on the pages."""
    return sorted({(str(page.relative_to(ROOT)), word) for page in PAGES for word in re.findall(pattern, page.read_text(encoding="utf-8"))})


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings can be reached by."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {docs.anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_reference_is_what_the_generator_makes() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.render(), "run `make docs`"


def test_check_fails_with_a_hint_when_the_page_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "PAGE", tmp_path / "docs/variables.md")
    monkeypatch.setattr("sys.argv", ["docs.py", "--check"])
    assert docs.main() == 1
    assert "make docs" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["docs.py"])
    assert docs.main() == 0
    monkeypatch.setattr("sys.argv", ["docs.py", "--check"])
    assert docs.main() == 0


@pytest.mark.parametrize(
    ("ansible", "markdown"),
    [
        ("Below C(/srv), in F(app.py), V(1)", "Below `/srv`, in `app.py`, `1`"),
        ("As O(app:source) and O(health.path)", "As [`source`](#source) and [`health.path`](#healthpath)"),
        ("P(tornado_app_plan#filter)", "`tornado_app_plan`"),
        ('C({port}) or C([1, "25%"])', '`{port}` or `[1, "25%"]`'),
        ("TCP(not markup)", "TCP(not markup)"),
    ],
)
def test_markup_becomes_markdown(ansible: str, markdown: str) -> None:
    assert docs.markdown(ansible) == markdown


def test_lines_break_between_words_only() -> None:
    text = "word " * 30 + "`code that must not break`"
    assert docs.wrapped(text).splitlines() == [("word " * 24).strip(), "word " * 6 + "`code that must not break`"]


@pytest.mark.parametrize(("page", "link"), named(r"\]\(([^)\s]+)\)"))
def test_link_leads_somewhere(page: str, link: str) -> None:
    if link.startswith("https://"):
        return
    source = ROOT / page
    path, _, fragment = link.partition("#")
    target = (source.parent / path).resolve() if path else source
    assert target.exists()
    if fragment:
        assert fragment in anchors(target)


@pytest.mark.parametrize(("page", "target"), named(r"(?<=`|\n)make ([a-z-]+)"))
def test_make_target_exists(page: str, target: str) -> None:  # noqa: ARG001  the page shows in the test's name
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("page", "tags"), named(r"--tags ([a-z,]+)"))
def test_tag_exists(page: str, tags: str) -> None:  # noqa: ARG001  as above
    known = {tag for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text(encoding="utf-8")) for tag in play.get("tags", [])}
    assert set(tags.split(",")) <= known - {"never"}


@pytest.mark.parametrize(("page", "name"), named(r"(?<![\w/])(tornado_apps?(?:_[a-z_]*[a-z])?)(?![\w/])"))
def test_input_exists(page: str, name: str) -> None:  # noqa: ARG001  as above
    assert name in SPECS["main"]["options"] or name in NO_INPUTS


@pytest.mark.parametrize(
    ("page", "path"), named(r"`((?:roles|tasks|templates|playbooks|inventories|molecule|tools|files|plugins)/[\w./-]+)`")
)
def test_file_exists(page: str, path: str) -> None:  # noqa: ARG001  as above
    assert (ROOT / path).exists() or (ROOT / "roles/tornado_app" / path).exists()


@pytest.mark.parametrize(("page", "block"), named(r"```nginx\n([^`]*)```"))
def test_snippet_is_from_a_template(page: str, block: str) -> None:  # noqa: ARG001  as above
    assert any(block in path.read_text(encoding="utf-8") for path in (docs.ROLE / "templates").rglob("*.j2"))
