"""What the modules that take slots document of them."""

from __future__ import annotations


class ModuleDocFragment:
    """The option ``slots``."""

    DOCUMENTATION = r"""
options:
  slots:
    description:
      - The slots, each as M(tornado_app.deploy.plan), M(tornado_app.deploy.state) and M(tornado_app.deploy.changes) give it.
    type: list
    elements: dict
    required: true
    suboptions:
      app: {description: Name of the app., type: str, required: true}
      name: {description: Which of the two slots it is., type: str, choices: [blue, green], required: true}
      group: {description: Name of its processes' group in supervisord., type: str, required: true}
      unit: {description: The app's systemd unit., type: str, required: true}
      user: {description: The app's user., type: str, required: true}
      socket: {description: Unix socket of the app's supervisord., type: path, required: true}
      flag: {description: "The app's flag file. While it exists, the green slot is live.", type: path, required: true}
      ports: {description: "Names in the group of its web processes, which are numbers.", type: list, elements: int, required: true}
      addresses:
        description: Where its web processes listen, C(host:port) or C(unix:path), in the order of the ports; or the one that they share.
        type: list
        elements: str
        required: true
      workers: {description: Type of process to the number of its other processes., type: dict, required: true}
      listen:
        description: How its web processes listen.
        type: str
        choices: [ports, sockets, shared, fork]
        required: true
      processes: {description: "Web processes; those that one forks where O(slots[].listen) is V(fork).", type: int, required: true}
      host: {description: Value of the C(Host) header., type: str, required: true}
      prefix: {description: What nginx has before the app's own paths., type: str, required: true}
      health_url: {description: "Path by which nginx is asked whether the app is healthy, with the prefix.", type: str, required: true}
      certificate: {description: nginx's file of its certificate; empty without TLS., type: str, required: true}
      health:
        description: When a process counts as healthy.
        type: dict
        required: true
        suboptions:
          path: {description: Path by which a process answers with a status of 200 to 399., type: str, required: true}
          timeout: {description: Seconds that all processes of the slot have., type: int, required: true}
      drain:
        description: How the slot ends.
        type: dict
        required: true
        suboptions:
          timeout: {description: Seconds that open connections have., type: int, required: true}
          signal: {description: "What tells processes to say goodbye, such as V(TERM); empty for a wait.", type: str, required: true}
      stop_timeout: {description: Seconds between the signal that ends a process and SIGKILL., type: int, required: true}
      access_log: {description: nginx's log of the app., type: path, required: true}
      logs: {description: Directory of its processes' logs; empty when they are in the journal., type: str, required: true}
      cwd: {description: The link to its release., type: path, required: true}
      releases: {description: Directory of the app's releases., type: path, required: true}
      config: {description: Its configuration of supervisord., type: path, required: true}
      record: {description: What its processes run., type: path, required: true}
      secrets: {description: File with the variables that nobody else may see., type: path, required: true}
      logrotate: {description: File that says how large its logs grow., type: path, required: true}
      history: {description: What was live before it., type: path, required: true}
      upstream: {description: Its upstream in nginx., type: str, required: true}
      upstream_config: {description: "File with its upstream, relative to nginx's tree.", type: str, required: true}
      balance:
        description: By what nginx chooses one of its processes.
        type: str
        choices: [least_conn, ip_hash, cookie]
        required: true
      balancing: {description: The same as the upstream says it., type: str, required: true}
"""
