"""What the kernel and systemd of a host say of the app."""

from collections.abc import Callable

from testinfra.host import Host

Root = Callable[[str], str]
Processes = Callable[[], dict[int, int]]
SANDBOXED = "python3 /opt/tornado_app/sandboxed.py shop"
OWN_DIRECTORIES = ("/srv/shop/shared", "/var/log/shop", "/run/shop", "/run/tornado_app/sockets/shop")


def limit(root: Root, pid: int) -> int:
    return int(root(f"awk '/^Max open files/ {{print $4}}' /proc/{pid}/limits"))


def status(root: Root, pid: int, field: str) -> str:
    return root(f"awk '$1 == \"{field}:\" {{print $2}}' /proc/{pid}/status")


def test_one_process_for_each_cpu(processes: Processes, root: Root, cpus: int) -> None:
    assert sorted(processes()) == list(range(8000, 8000 + cpus))
    assert int(root("pgrep --count --uid shop --full app.py")) == cpus


def test_one_server_for_each_cpu_in_both_upstreams(root: Root, cpus: int) -> None:
    for slot, port in (("blue", 8000), ("green", 9000)):
        servers = root(f"nginx -T 2>/dev/null | awk '/^upstream shop_{slot} /,/^}}/' | awk '$1 == \"server\" {{print $2}}'")
        assert servers.split() == [f"127.0.0.1:{port + index}" for index in range(cpus)]


def test_supervisorctl_names_the_ports(root: Root, cpus: int) -> None:
    lines = root(f"{SANDBOXED} supervisorctl status").splitlines()
    web = [[f"shop-blue:{8000 + index}", "RUNNING"] for index in range(cpus)]
    assert [line.split()[:2] for line in lines] == [*web, ["shop-blue:worker.1", "RUNNING"], ["watchdog:watchdog.1", "RUNNING"]]


def test_live_processes_have_the_limit(root: Root, processes: Processes, nofile: int) -> None:
    supervisord = int(root("systemctl show --property=MainPID --value shop.service"))
    workers = [int(pid) for pid in root("pgrep --full 'nginx: worker process$'").split()]
    assert workers
    for pid in [supervisord, *processes().values(), *workers]:
        assert limit(root, pid) == nofile


def test_login_sessions_have_the_limit(root: Root, nofile: int) -> None:
    assert int(root("su --shell /bin/sh --command 'ulimit -n' shop")) == nofile


def test_the_listen_backlog_was_raised_and_nothing_lowered(host: Host, root: Root) -> None:
    # The test hosts begin with 1024.
    assert host.sysctl("net.core.somaxconn") == 4096
    assert root("sysctl -n net.ipv4.ip_local_port_range").split() == ["10240", "65535"]
    assert host.sysctl("fs.file-max") > 65536
    assert "fs.file-max" not in host.file("/etc/sysctl.d/10-tornado_app.conf").content_string


def test_nothing_of_the_app_runs_as_root(root: Root, host: Host, processes: Processes) -> None:
    supervisord = int(root("systemctl show --property=MainPID --value shop.service"))
    uid = str(host.user("shop").uid)
    assert uid != "0"
    for pid in [supervisord, *processes().values()]:
        assert status(root, pid, "Uid") == uid
        assert int(status(root, pid, "CapEff"), 16) == int(status(root, pid, "CapBnd"), 16) == 0
        assert status(root, pid, "NoNewPrivs") == "1"
        assert status(root, pid, "Seccomp") == "2"


def test_systemd_has_little_to_say_against_the_sandbox(root: Root) -> None:
    # From 0 (safe) to 10.
    exposure = root("systemd-analyze security --no-pager shop.service").splitlines()[-1]
    assert float(exposure.split()[-3]) <= 2.0


def test_a_command_that_hangs_is_ended_when_its_time_is_over(host: Host) -> None:
    with host.sudo():
        done = host.run(f"timeout 60 {SANDBOXED.replace(' shop', ' --seconds=1 shop')} sleep 600")
    assert done.rc not in (0, 124)
    assert "shop: it was ended after 1 s, the most that it may take" in done.stderr


def test_the_app_sees_nobody_elses_processes_and_files(root: Root) -> None:
    # Another directory below /srv, and a process of the app's user that is outside of the sandbox, whose root leads there.
    root("install -d /srv/other && systemd-run --quiet --unit=outside --uid=shop sleep 60")
    try:
        assert root("runuser -u shop -- ls /proc/$(systemctl show --property=MainPID --value outside)/root/srv").split() == [
            "other",
            "shop",
        ]
        seen = root(f"{SANDBOXED} sh -c 'cat /proc/[0-9]*/comm; echo; ls -d /srv/* /proc/[0-9]*/root/srv/*'")
    finally:
        root("systemctl stop outside; rmdir /srv/other")
    processes, places = seen.split("\n\n")
    assert set(processes.split()) <= {"sh", "cat", "supervisord", "python3", "python"}
    assert {place.rpartition("/")[2] for place in places.split()} == {"shop"}


def test_the_app_sees_a_read_only_system(root: Root, processes: Processes) -> None:
    for pid in processes().values():
        mounts = dict(line.split()[4:6] for line in root(f"cat /proc/{pid}/mountinfo").splitlines())
        assert mounts["/"].startswith("ro,")
        for directory in OWN_DIRECTORIES:
            assert mounts[directory].startswith("rw,")


def test_the_user_cannot_log_in(host: Host, root: Root) -> None:
    assert host.user("shop").shell == "/usr/sbin/nologin"
    assert root("passwd --status shop").split()[1] == "L"


def test_the_app_can_write_to_its_own_directories_only(root: Root) -> None:
    # World-writable directories with the sticky bit are anyone's; the unit gives the app its own or makes them read-only.
    found = root(
        "runuser -u shop -- find / -xdev '(' -path /proc -o -path /sys -o -path /dev ')' -prune"
        " -o -writable ! -type l ! '(' -type d -perm -1777 ')' -print 2>/dev/null || true"
    ).splitlines()
    assert [path for path in found if not path.startswith(OWN_DIRECTORIES)] == []
    assert root("runuser -u shop -- test -w /srv/shop/shared && echo writable") == "writable"


def test_no_setting_of_the_app_is_world_readable(root: Root) -> None:
    assert root("find /etc/shop -type f | wc -l") != "0"
    assert root("find /etc/shop -perm /o=rwx") == ""
    assert root("find /srv/shop/shared /var/log/shop -maxdepth 0 -perm /o=rwx") == ""
    # nginx passes through to the sockets of processes; whoever else does finds nothing that is open.
    assert root("find /run/shop -maxdepth 0 -perm /o=rw") == ""
    assert root("find /run/shop -mindepth 1 -perm /o=rwx ! -type l") == ""


def test_others_read_static_files_alone(root: Root) -> None:
    test = 'for path; do test -r "$path" && echo "$path"; done; true'
    readable = root(f"find /srv/shop -type f -print0 | runuser -u nobody -- xargs --null sh -c '{test}' sh").splitlines()
    for served in ("/static/", "/srv/shop/assets/"):
        assert any(served in path for path in readable)
    open_paths = [path for path in readable if "/static/" not in path and not path.startswith("/srv/shop/assets/")]
    assert [path for path in open_paths if path != "/srv/shop/live/green"] == []
    assert root("find /srv/shop/assets -path '*/.*' -type f -perm /o=rwx") == ""
    assert root("runuser -u nobody -- find /srv/shop -mindepth 1 2>/dev/null || true") == ""
    assert root("find /var/log/nginx -name 'shop.access.log*' -perm /o=rwx") == ""


def test_the_sites_of_the_distribution_are_out_of_the_way(host: Host) -> None:
    with host.sudo():
        assert not host.file("/etc/nginx/sites-enabled/default").exists
        assert host.run("nginx -t").rc == 0
