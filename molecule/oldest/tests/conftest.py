"""An empty project that has the collection installed from its archive, as somebody else's project would."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
PROJECT = {
    "ansible.cfg": "[defaults]\ncollections_path = collections\ninject_facts_as_vars = false\n",
    "role.yml": """\
- hosts: tornado
  become: true
  roles: [tornado_app.deploy.tornado_app]
""",
    "site.yml": "- import_playbook: tornado_app.deploy.site\n",
}

Play = Callable[..., str]


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run a playbook of the project on the host of this scenario; what it printed."""
    project = tmp_path_factory.mktemp("project")
    for name, content in PROJECT.items():
        (project / name).write_text(content)
    # Of this project nothing but the archive counts.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": os.environ.get("ANSIBLE_HOME", str(project / ".ansible"))}

    def run(*command: str | Path, where: Path = project) -> str:
        done = subprocess.run([str(part) for part in command], cwd=where, env=environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        return done.stdout

    run(BIN / "ansible-galaxy", "collection", "build", "--output-path", project, where=ROOT)
    (archive,) = project.glob("tornado_app-deploy-*.tar.gz")
    run(BIN / "ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", "collections", archive)
    app = f"source={ROOT}/molecule/shared/apps/hello"
    settings = f"{{tornado_apps: {{hello: {{{app.replace('=', ': ')}, command: '{{python}} hello.py {{port}}'}}}}}}"
    inventory = ROOT / "molecule/oldest/inventory"
    return lambda playbook, *arguments: run(BIN / "ansible-playbook", playbook, "-i", inventory, "-e", settings, *arguments)


@pytest.fixture(scope="session")
def converged(play: Play) -> str:
    """The bare host, brought to the served app by the role alone; what the run printed."""
    return play("role.yml")
