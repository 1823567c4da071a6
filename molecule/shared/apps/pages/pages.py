"""A Flask app that answers what the load generator asks of the example app, but for websockets."""

import hashlib
import os
import time

from flask import Flask, request

app = Flask(__name__)


@app.get("/api/info")
def info() -> dict[str, str]:
    """Say which release this is."""
    return {"release": os.environ["TORNADO_APP_RELEASE"], "visitor": request.remote_addr or ""}


@app.get("/api/wait")
def wait() -> dict[str, str]:
    """Take some time, in this request's thread."""
    time.sleep(min(float(request.args["seconds"]), 10))
    return info()


@app.post("/upload")
def upload() -> dict[str, str | int]:
    """Take a body, and say what it was."""
    body = request.get_data()
    return {**info(), "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
