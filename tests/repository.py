"""A git repository that apps are deployed from."""

import subprocess
from pathlib import Path


class Repository:
    """A work tree with what is in a directory, and the bare repository beside it that its commits go to."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.bare = work.with_name(f"{work.name}.git")
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.bare], check=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.bare))
        self.publish("first")

    def git(self, *arguments: str) -> str:
        """Run git in the work tree; what it printed."""
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
        return subprocess.run(["git", "-C", self.work, *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def publish(self, message: str) -> str:
        """Commit all there is, and push it; the commit."""
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")
