"""What somebody has changed by hand on a host: the next run mends exactly that, says so, and keeps every process."""

import pytest

from tests.fleet import Fleet, changed_tasks

SUPERVISORCTL = "python3 /opt/tornado_app/sandboxed.py shop supervisorctl"
# What differs, as a run says it -> the command that breaks it, and a command that prints how it is.
DRIFT = {
    "directory /srv/shop/releases: mode is 0775 instead of 0751": ("chmod 0775 /srv/shop/releases", "stat -c %a /srv/shop/releases"),
    "directory /srv/shop/shared: owner is 0 instead of shop": ("chown root /srv/shop/shared", "stat -c %U /srv/shop/shared"),
    "directory /etc/shop/slots: group is 0 instead of shop": ("chgrp root /etc/shop/slots", "stat -c %G /etc/shop/slots"),
    "access_log shop: others can read it": (
        "chmod 0644 /var/log/nginx/shop.access.log",
        "stat -c %a /var/log/nginx/shop.access.log",
    ),
    "assets shop: without static of": ("rm -r /srv/shop/assets/[0-9a-f]* /srv/shop/assets/.done", "cd /srv/shop/assets && find . | sort"),
    "user shop: shell is /bin/sh": ("sed -i '/^shop:/s#/usr/sbin/nologin#/bin/sh#' /etc/passwd", "grep ^shop: /etc/passwd"),
    "limits shop: missing": ("rm /etc/security/limits.d/shop.conf", "cat /etc/security/limits.d/shop.conf"),
    "needrestart shop: missing": ("rm /etc/needrestart/conf.d/shop.conf", "cat /etc/needrestart/conf.d/shop.conf"),
    "supervisord shop: content": ("echo ';' >> /etc/shop/supervisord.conf", "cat /etc/shop/supervisord.conf"),
    "unit_file shop: content, mode is 0600 instead of 0644": (
        "echo '#' >> /etc/systemd/system/shop.service; chmod 0600 /etc/systemd/system/shop.service",
        "cat /etc/systemd/system/shop.service; stat -c %a /etc/systemd/system/shop.service",
    ),
    "unit shop: not enabled": ("systemctl disable shop.service", "systemctl is-enabled shop.service"),
    "watchdog shop: STOPPED": (
        f"{SUPERVISORCTL} stop watchdog:watchdog.1",
        f"{SUPERVISORCTL} status watchdog:watchdog.1 | awk '{{print $2}}'",
    ),
    "watchdog_settings shop: missing": ("rm /etc/shop/watchdog.json", "cat /etc/shop/watchdog.json"),
    "own_file wsgi.py: missing": ("rm /opt/tornado_app/wsgi.py", "cat /opt/tornado_app/wsgi.py"),
    "own_file reload.py: not a file": ("ln -sf /dev/null /opt/tornado_app/reload.py", "stat -c %F /opt/tornado_app/reload.py"),
    "ports /etc/ansible/facts.d/tornado_app.fact: content": (
        "echo {} > /etc/ansible/facts.d/tornado_app.fact",
        "cat /etc/ansible/facts.d/tornado_app.fact",
    ),
    "nginx conf.d/shop.conf: content, mode is 0600 instead of 0644": (
        "echo '#' >> /etc/nginx/conf.d/shop.conf; chmod 0600 /etc/nginx/conf.d/shop.conf",
        "cat /etc/nginx/conf.d/shop.conf; stat -c %a /etc/nginx/conf.d/shop.conf",
    ),
    "nginx nginx.conf: owner is": ("chown shop /etc/nginx/nginx.conf", "stat -c %U /etc/nginx/nginx.conf"),
    "nginx sites-enabled/default: exists": ("touch /etc/nginx/sites-enabled/default", "ls /etc/nginx/sites-enabled"),
    "nginx nginx.conf: not loaded": ("rm /var/lib/tornado_app/nginx.loaded", "ls /var/lib/tornado_app"),
    "service logrotate.timer: not enabled": ("systemctl disable logrotate.timer", "systemctl is-enabled logrotate.timer"),
    "package procps: not installed": ("dpkg --purge --force-depends procps", "ls /usr/bin/pgrep"),
}
SYSCTL = "/etc/sysctl.d/10-tornado_app.conf"
# A release, what is noted of it, and a history.
OPENED = "/srv/shop/releases/* /srv/shop/slots/*.history.json"


def test_a_run_mends_exactly_what_differs_and_keeps_every_process(fleet: Fleet, subtests: pytest.Subtests) -> None:
    host, before = fleet.hosts["web-1"], fleet.state()
    was = {what: host.check_output(look) for what, (_, look) in DRIFT.items()}
    ceilings = host.run(f"cat {SYSCTL}").stdout
    for broken, _ in DRIFT.values():
        host.check_output(broken)
    host.run(f"rm {SYSCTL}")
    modes = host.check_output(f"stat -c %a {OPENED}")
    host.check_output(f"chmod o+r {OPENED}")
    with fleet.unnoticed():
        printed = fleet.play("--tags", "provision")
    output = " ".join(printed.split())
    for what, (_, look) in DRIFT.items():
        with subtests.test(what):
            assert what in output
            assert host.check_output(look) == was[what]
    assert host.run(f"cat {SYSCTL}").stdout == ceilings
    assert host.check_output(f"stat -c %a {OPENED}") == modes
    assert fleet.state() == before
    # The other host, of which nothing differed, was left alone; and now nothing differs on either.
    assert changed_tasks(printed)["web-2"] == ()
    assert "Nothing differs on any host" in fleet.play("--tags", "provision")
