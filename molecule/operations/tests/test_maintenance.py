"""Maintenance: clients get 503 with a page, but those who are let in, until the apps are live again."""

import json

from tests.fleet import Fleet

ASK = """python3 -c '
import http.client
connection = http.client.HTTPConnection("{address}", timeout=30)
connection.request("GET", "{path}", headers={{"Host": "{host}"}})
answer = connection.getresponse()
print(answer.status, answer.getheader("Retry-After"))
'"""


def test_nobody_but_who_is_let_in_gets_through_until_the_apps_are_live(fleet: Fleet) -> None:
    def others(path: str) -> dict[str, str]:
        """What each host says to the other one."""
        first, second = fleet.hosts
        return {
            name: fleet.hosts[client].check_output(
                ASK.format(address=fleet.addresses[name], path=path, host=fleet.server_name(name, "shop"))
            )
            for name, client in ((first, second), (second, first))
        }

    assert fleet.get("web-1", "/who-asks").status == 404
    line = fleet.hosts["web-1"].check_output("grep /who-asks /var/log/nginx/shop.access.log | tail --lines=1")
    before = fleet.state()
    fleet.play("--tags", "provision", maintenance={"retry_after": 77, "allow": [json.loads(line)["remote_addr"]]})
    with fleet.unnoticed():  # they are let in
        fleet.play("--tags", "maintenance")
        for path in ("/", "/static/app.css", "/healthz"):
            assert set(others(path).values()) == {"503 77"}
        told = " ".join(fleet.play("--tags", "verify,status").split())
        for name in fleet.hosts:
            assert told.count(f"{name}: shop has been in maintenance since ") == 2
        fleet.play("--tags", "live")
        assert set(others("/").values()) == {"200 None"}
    assert fleet.state() == before
    fleet.play()
