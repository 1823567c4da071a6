"""From settings to a process: whatever a value is, it comes through the plan, the record, supervisord's own parser and launch.py."""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from tests.unit.loading import ROLE
from ansible_collections.tornado_app.deploy.plugins.plugin_utils import files
from tests.unit.builders import release
from tests.unit.conftest import make_plan, relocated, render

TELL = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"
HARD = {"V_1": """%(ENV_HOME)s 100% "two" 'one' $HOME ${HOME} \\ ; # é\nnext=line, {port}""", "V_2": " ", "V_3": ""}

values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
variables = st.dictionaries(st.from_regex(r"\AV_[A-Za-z0-9_]{0,20}\Z"), values, max_size=5)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host")
    for path in ("etc/shop/slots", "var/log/shop", "srv/shop/slots/blue"):
        (folder / path).mkdir(parents=True)
    return folder


def processes(config: str, root: Path) -> list[tuple[list[str], dict[str, str]]]:
    """The command and the environment of each process, as supervisord reads a slot's configuration."""
    (root / "etc/shop/slots/blue.conf").write_text(config)
    (root / "supervisord.conf").write_text(f"[supervisord]\nchildlogdir = {root}\n[include]\nfiles = {root}/etc/shop/slots/blue.conf\n")
    options = ServerOptions()
    options.realize(["--nodaemon", "--configuration", str(root / "supervisord.conf")])
    (group,) = options.process_group_configs
    return [(shlex.split(process.command), dict(process.environment)) for process in group.process_configs]


@settings(max_examples=25)
@given(environment=variables, secret=values, argument=values)
@example(environment=HARD, secret=HARD["V_1"], argument=HARD["V_1"])
def test_values_arrive_unchanged(root: Path, environment: Mapping[str, str], secret: str, argument: str) -> None:
    words = [TELL, argument]
    command = " ".join(["{python} -c", *(shlex.quote(word.replace("{", "{{").replace("}", "}}")) for word in words), "{port}"])
    given = {"source": "files/app", "command": command, "environment": {**environment, "PORTS": "8000"}, "processes": 2}
    app = relocated(make_plan({"shop": given})["shop"], root)
    slot = app["slots"]["blue"]
    record = files.record(app, slot, release("r1"))
    Path(slot["record"]).write_text(files.text({**record, "python": sys.executable}))
    Path(slot["secrets"]).write_text(files.text({"SECRET": secret}))
    launcher = {"__tornado_app_launcher": str(ROLE / "files/launch.py")}
    config = render("slot.conf.j2", {"app": app, "slot": slot, **launcher})
    for port, (argv, given_by_supervisord) in zip(slot["ports"], processes(config, root), strict=True):
        log = Path(app["logs"], f"{port}.log")
        log.unlink(missing_ok=True)
        subprocess.run(argv, env=given_by_supervisord, check=True)
        found, rest = json.loads(log.read_text())
        assert {name: value for name, value in found.items() if name.startswith("V_")} == relocated(environment, root)
        assert found["SECRET"] == secret
        assert rest == [relocated(argument, root), str(port)]
