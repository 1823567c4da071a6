"""A Procfile: what starts each type of process, or which line does not say it."""

import pytest

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
    assert procfile.commands(text) == expected
    assert list(procfile.commands(text)) == list(expected)
    assert procfile.commands(text.replace("\n", "\r\n")) == expected
    assert procfile.commands("") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web python app.py", "line 1 'web python app.py': it has the form `type: command`"),
        ("\nwe b: x", "line 2 'we b: x': it has the form `type: command`"),
        ("web:", "line 1 'web:': web has no command"),
        ("web: # later", "line 1 'web: # later': web has no command"),
        ("web: a\nweb: b", "line 2 'web: b': there is a line for web already"),
        ("web: 'x", """line 1 "web: 'x": the shell could not read it: No closing quotation"""),
        ("web: cd src && x", "line 1 'web: cd src && x': && makes it more than one command; put them into a script that ends with exec"),
        ("web: a; b", "line 1 'web: a; b': ; makes it more than one command; put them into a script that ends with exec"),
        ("web: a | b", "line 1 'web: a | b': | makes it more than one command; put them into a script that ends with exec"),
        ("web: a &", "line 1 'web: a &': & makes it more than one command; put them into a script that ends with exec"),
        ("web: a &> log", "line 1 'web: a &> log': &> makes it more than one command; put them into a script that ends with exec"),
        ("web: (a)", "line 1 'web: (a)': ( makes it more than one command; put them into a script that ends with exec"),
    ],
)
def test_a_line_that_starts_nothing_is_named(text: str, problem: str) -> None:
    with pytest.raises(procfile.ProcfileError) as raised:
        procfile.commands(text)
    assert str(raised.value) == problem


def test_variables_that_have_to_be_there() -> None:
    command = r"""run $PORT ${PORT} "$NAME" ${OTHER} ${NONE:-5} ${NONE-5} '$quoted' \$escaped $1 $$ $?"""
    assert procfile.variables(command) == ["PORT", "NAME", "OTHER"]
