"""A Procfile: what starts each type of process, or which line does not say it."""

import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import utils

procfile = utils("procfile")


def test_each_line_is_a_type_and_its_command() -> None:
    text = """
web: python app.py --port=$PORT --name="two words"  # the site
   # nothing
worker:python work.py
  clock-2 :  NAME='x y' ./clock.sh 2>&1 >> clock.log
release: sh -c 'a && b; c'
"""
    expected = {
        "web": 'python app.py --port=$PORT --name="two words"  # the site',
        "worker": "python work.py",
        "clock-2": "NAME='x y' ./clock.sh 2>&1 >> clock.log",
        "release": "sh -c 'a && b; c'",
    }
    for given_text in (text, text.replace("\n", "\r\n")):
        found = procfile.processes(given_text)
        assert {kind: process["command"] for kind, process in found.items()} == expected
        assert list(found) == list(expected)
        assert not any(process["problem"] for process in found.values())
    assert procfile.processes("") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web python app.py", "line 1 'web python app.py' does not have the form `type: command`"),
        ("\nwe b: x", "line 2 'we b: x' does not have the form `type: command`"),
        ("web: a\nweb: b", "line 2 'web: b': there is a line for web already"),
    ],
)
def test_what_is_no_procfile_is_named_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(procfile.ProcfileError) as raised:
        procfile.processes(text)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "it has no command"),
        ("# later", "it has no command"),
        ("'x", "a quotation mark is not closed"),
        ('x "$Y', "a quotation mark is not closed"),
        ("cd src && x", "&& makes"),
        ("a; b", "; makes"),
        ("a | b", "| makes"),
        ("a --colour=#fff | tee x", "| makes"),
        ("a &", "& makes"),
        ("a &> log", "&> makes"),
        ("(a)", "( makes"),
        ("a $(b)", "( makes"),
    ],
)
def test_a_line_that_is_not_one_command_is_a_problem_of_its_own(command: str, problem: str) -> None:
    found = procfile.processes(f"web: {command}\nworker: x")
    assert found["web"]["problem"].startswith(problem)
    assert found["worker"]["problem"] == ""


@pytest.mark.parametrize("command", ["work --sep '|' \";\"", "find . -exec x {} \\;", "a 2>&1 >b", "a >& b", "a#b", "a \\# b", "a '#' b"])
def test_what_is_quoted_and_where_output_goes_makes_it_no_second_command(command: str) -> None:
    assert procfile.process(command)["problem"] == ""


def test_exec_is_the_shells_own_matter() -> None:
    assert procfile.process("exec  gunicorn app")["command"] == "gunicorn app"
    assert procfile.process("execute x")["command"] == "execute x"


def test_variables_that_have_to_be_there_and_those_that_are_named() -> None:
    command = r"""run $PORT ${PORT} "$NAME '$IN'" ${OTHER} ${NONE:-5} ${LESS-5} '$quoted' \$escaped $1 $$ $? # $COMMENT"""
    found = procfile.process(command)
    assert found["variables"] == ["PORT", "NAME", "IN", "OTHER"]
    assert found["mentions"] == ["PORT", "NAME", "IN", "OTHER", "NONE", "LESS"]


@given(st.text(st.sampled_from("ab \t'\"\\#$&|;"), min_size=1, max_size=8))
def test_what_is_no_problem_is_none_for_the_shell(command: str) -> None:
    """The shell itself is asked; with -n it reads and runs nothing."""
    if not procfile.process(command)["problem"]:
        subprocess.run(["sh", "-nc", f"exec env {command}"], check=True)


words = st.sampled_from(["web", "x-1", ":", " ", "\n", "\r", "$A", "${B", "}", "'", '"', "\\", "#", "&", "\x1c"])


@given(st.text() | st.lists(words).map("".join))
def test_any_text_is_a_procfile_or_refused(text: str) -> None:
    with suppress(procfile.ProcfileError):
        assert all(line["command"] or line["problem"] for line in procfile.processes(text).values())


@pytest.mark.parametrize("part", ["x", " ", "'", '"', "\\", "$A", "${A", "&", "#", "exec ", "web:"])
def test_a_long_line_is_read_in_one_go(part: str) -> None:
    """It would take hours, if each character cost as much as all before it."""
    assert list(procfile.processes("web: " + part * 200_000)) == ["web"]
