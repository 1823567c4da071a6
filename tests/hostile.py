"""What an app does that means harm (molecule/shared/apps/hostile), and that it comes to nothing."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.fleet import Fleet, wait_until

APP, VICTIM = "hostile", "victim"
MARKER = "c4nary-of-what-is-not-for-" + APP
"""Is in all that the app must not read, and must be in nothing that anybody is shown."""
DEADLINE = 300  # seconds in which an operation has to end, which is far from how long one takes
WORLD = Path(__file__).with_name("world.py").read_text()
# What names the app in what a run says.
NAMED = re.compile(rf"tornado_apps\.{APP}\b|\b{APP}-(blue|green)\b|\b{APP}'s |\b{APP}\.service\b|/(srv|run|etc|log)/{APP}\b|\(item={APP}\)")
# Where a run begins to say what has failed.
FAILURE = re.compile(r"\[ERROR\]|fatal: \[|failed: \[")
# Steers a terminal: what a run prints has of them the ends of lines alone.
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
# Where the app may write, and where nothing of others must turn up.
PLACES = f"/srv/{APP}/shared /var/log/{APP} /run/{APP}"
# Puts the marker where others keep what is theirs: into /etc/shadow, root's home, and all directories of the victim.
PLANT = f"""
useradd --no-create-home --shell /usr/sbin/nologin --password '{MARKER}' canary
echo {MARKER} >/root/canary && chmod 0600 /root/canary
for folder in /srv/{VICTIM}/shared /var/log/{VICTIM} /run/{VICTIM}; do
  echo {MARKER} >$folder/canary && chmod 0640 $folder/canary && chown {VICTIM}: $folder/canary
done
"""


class Attack:
    """The app on its host, beside others that no client may find disturbed."""

    def __init__(self, fleet: Fleet, source: Path) -> None:
        self.everybody = fleet
        self.own = fleet.only(APP)
        self.others = fleet.only(*(app for app in fleet.apps if app != APP))
        self.source = source
        ((self.name, self.host),) = fleet.hosts.items()

    def plant(self) -> None:
        """Put the marker where it must not be read."""
        self.host.check_output(PLANT)

    def ask(self, path: str) -> Any:
        """What the app answers."""
        answer = self.own.get(self.name, path, APP)
        assert answer.status == 200
        return json.load(answer)

    def do(self, trick: str, text: str = "") -> None:
        """Let it begin a trick."""
        self.ask(f"/do?trick={trick}&with={quote(text)}")

    def change(self, text: str) -> None:
        """Make its source another release."""
        with (self.source / "hostile.py").open("a") as code:
            code.write(f"# {text}\n")

    def world(self) -> dict[str, str]:
        """All that is not the app's."""
        others = " ".join(self.others.apps)
        found: dict[str, str] = json.loads(self.host.check_output(f"python3 -c %s {APP} {others}", WORLD))
        return found

    def operate(self, *arguments: str, fleet: Fleet | None = None, ignoring: str = "^$", **settings: Any) -> tuple[int, str]:
        """Run an operation on the app, or on others besides; how it ended, and what it said with its line breaks folded.

        It has to end. What is not the app's stays as it is, but for paths that match `ignoring`; nobody is shown what is not for
        them; and when it fails, it names the app.
        """
        world, running = self.world(), self.others.everything()
        done = (fleet or self.own).run(*arguments, timeout=DEADLINE, **settings)
        said = done.stdout + done.stderr
        assert MARKER not in said
        assert not STEERS.search(said)
        after = self.world()
        differing = {path for path in world.keys() | after.keys() if world.get(path) != after.get(path)}
        assert {path for path in differing if not re.search(ignoring, path)} == set()
        if fleet is None:
            assert self.others.everything() == running
        folded = " ".join(said.split())
        assert done.returncode == 0 or NAMED.search(FAILURE.split(folded, maxsplit=1)[-1])
        self.nothing_leaked()
        return done.returncode, folded

    def owner(self, pid: str) -> str:
        """Whose a process is; empty when it has ended."""
        return str(self.host.check_output(f"stat --format=%U /proc/{pid} 2>/dev/null || true"))

    def nothing_leaked(self) -> None:
        """What is of others is nowhere where the app can read."""
        assert self.host.check_output(f"grep -rlsI --devices=skip {MARKER} {PLACES} || true") == ""

    def tidy(self) -> None:
        """What a person does with an app that went wild: remove what it has put into the place of files, and start its unit again."""
        remove = f"rm -rf /srv/{APP}/shared/tricks; find /var/log/{APP} -mindepth 1 ! -type f -delete"
        self.host.check_output(f"systemctl stop {APP}; {remove}; systemctl start {APP}")
        wait_until(self.is_well)

    def is_well(self) -> bool:
        """Whether nginx gets answers of it."""
        return self.own.get(self.name, "/healthz", APP).status == 200

    def processes(self) -> list[str]:
        """The processes of its user."""
        return str(self.host.check_output(f"pgrep --uid {APP} || true")).split()


def got(report: dict[str, dict[str, str]]) -> dict[str, str]:
    """What an attempt has got that should have got nothing; what has to succeed has, or nothing is proven."""
    assert all(report["controls"].values())
    return {name: found for name, found in report["tried"].items() if found}


def idle_ports(attack: Attack, first: int, count: int) -> list[int]:
    """The ports of the slot that is not live, of an app with this first port."""
    slot = attack.own.state(APP)[attack.name].slot
    return [first + index + (1000 if slot == "blue" else 0) for index in range(count)]
