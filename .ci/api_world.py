"""Waits for a `dev`, makes a key of each kind, and stores the agent, user and message that the examples of the
OpenAPI document name. Prints the URL, and the admin, app, read and worker keys, one in a line."""

import json
import pathlib
import sys
import time
import urllib.request

MAX_WAIT_SECONDS = 60


def wait_for(path):
    """Returns the content of `dev.json`, which a `dev` writes when it is ready."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        if path.exists():
            return json.loads(path.read_text())
        time.sleep(0.2)
    sys.exit(f"{path} does not exist after {MAX_WAIT_SECONDS} s")


def call(method, path, body):
    request = urllib.request.Request(
        dev["url"] + path,
        data=json.dumps(body).encode(),
        method=method,
        headers={"authorization": f"Bearer {dev['adminKey']}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


dev = wait_for(pathlib.Path(sys.argv[1]))
call("PUT", "/v1/agents/support", {"version": "1"})
call("PUT", "/v1/users/ann/binding", {"agentKey": "support"})
call("POST", "/v1/users/ann/agents/support/messages", {"content": "Where is my parcel?"})
app = call("POST", "/v1/keys", {"name": "app", "scopes": ["app"]})["key"]
read = call("POST", "/v1/keys", {"name": "read", "scopes": ["read"]})["key"]
worker = call("POST", "/v1/workers", {"workerId": "example"})["token"]
for value in (dev["url"], dev["adminKey"], app, read, worker):
    print(value)
