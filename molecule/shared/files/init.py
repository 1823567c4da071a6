"""First process of a test host: makes what a login over SSH needs, then becomes systemd.

Runs at every boot, before any service, inside the container: `python3 -c <this text> USER PUBLIC_KEY`.
"""

import os
import pwd
import subprocess
import sys
from pathlib import Path

user, public_key = sys.argv[1:]
host_key = Path("/etc/ssh/ssh_host_ed25519_key")
if not host_key.exists():
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
try:
    account = pwd.getpwnam(user)
except KeyError:
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", user], check=True)
    account = pwd.getpwnam(user)
sudoers = Path("/etc/sudoers.d") / user
sudoers.write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
sudoers.chmod(0o440)
ssh = Path(account.pw_dir) / ".ssh"
ssh.mkdir(mode=0o700, exist_ok=True)
keys = ssh / "authorized_keys"
keys.write_text(public_key + "\n")
for path in (ssh, keys):
    os.chown(path, account.pw_uid, account.pw_gid)
os.execv("/lib/systemd/systemd", ["/lib/systemd/systemd"])
