"""Logs for programs: one JSON object a line, on standard output."""

import json
import logging
import sys
from datetime import UTC, datetime

from tornado import web
from tornado.log import access_log


class JSONFormatter(logging.Formatter):
    """One JSON object a line, tracebacks included; a record whose message is a dict is taken as it is."""

    def format(self, record: logging.LogRecord) -> str:
        """Format `record`, with its time in UTC."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        if isinstance(record.msg, dict):
            return json.dumps({"time": time, **record.msg})
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_request(handler: web.RequestHandler) -> None:
    """Log one answered request; `ms` is from its headers to its answer."""
    request = handler.request
    line = {"method": request.method, "uri": request.uri, "status": handler.get_status()}
    line |= {"ms": round(request.request_time() * 1000, 1), "remote_ip": request.remote_ip}
    if request_id := request.headers.get("X-Request-Id"):
        line["request_id"] = request_id
    access_log.info(line)


def log_to_stdout() -> None:
    """Write what is logged to standard output."""
    to_stdout = logging.StreamHandler(sys.stdout)
    to_stdout.setFormatter(JSONFormatter())
    logging.basicConfig(handlers=[to_stdout])
