"""`python -m tools.demo up`: a balancer, two hosts and Redis here, which serve the example app. `down` removes all that `up` made."""

import json
import shutil
import ssl
import subprocess
import sys
import urllib.request
from typing import Any

from tools.process import ROOT, interruptible, run, undisturbed

BIN = ROOT / ".venv/bin"
ADDRESSES = ROOT / "inventories/demo/addresses.yml"


def up() -> None:
    new = not ADDRESSES.exists()
    code = 1
    try:
        code = play("molecule/shared/create.yml") or play("molecule/shared/prepare.yml")
    finally:
        if code and new:
            with undisturbed():
                play("molecule/shared/destroy.yml")
    if code or play("site.yml"):
        sys.exit("The demo failed. `make demo` tries again, `make demo-down` removes all of it.")
    command = [str(BIN / "ansible-inventory"), "-i", "demo", "--list"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    inventory = json.loads(listed)
    addresses = {name: variables["ansible_host"] for name, variables in inventory["_meta"]["hostvars"].items()}
    for name in inventory["tornado"]["hosts"]:
        info = ask(addresses[name])
        print(
            f"{name}  https://{addresses[name]}/  {info['app']} release {info['release']} "
            f"(slot {info['slot']}, Python {info['python']}, Tornado {info['tornado']})"
        )
    for name in inventory["balancer"]["hosts"]:
        behind = sorted({ask(addresses[name])["host"] for _ in range(20)})
        print(f"{name}   in front of {' and '.join(behind)}, with a certificate of its own, which browsers warn of; Redis is there, too")
    watch = "open it in two windows, and watch its map during `ansible-playbook site.yml -i demo --tags restart` (in .venv/bin)"
    print(f"https://{addresses[name]}/   {watch}")


def ask(address: str) -> dict[str, Any]:
    """What the app says of itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"https://{address}/api/info", timeout=10, context=context) as answer:
        info: dict[str, Any] = json.load(answer)
    return info


def down() -> None:
    if (BIN / "ansible-playbook").exists() and play("molecule/shared/destroy.yml"):
        sys.exit("Something could not be removed: see above.")
    record = ROOT / ".tools/debian-packages"
    kept = record.read_text().split() if record.exists() else []
    if any((ROOT / ".testhosts").glob("*")):
        print("Other test hosts of this clone are up: .venv and .tools stay for them.")
    else:
        for folder in (".venv", ".tools", ".testhosts", ".ansible"):
            shutil.rmtree(ROOT / folder, ignore_errors=True)
    if kept:
        print(f"The Debian packages that were installed for it stay: {' '.join(kept)}")


def play(playbook: str) -> int:
    return run(str(BIN / "ansible-playbook"), playbook, "-i", "demo")


if __name__ == "__main__":
    interruptible()
    try:
        {"up": up, "down": down}[sys.argv[1]]()
    except KeyboardInterrupt:
        sys.exit(130)
