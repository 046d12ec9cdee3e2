"""Follows messages through functions that run as processes behind a Lambda Runtime API, and prints each fact that it has
checked. Arguments: a folder for the data, the folder with the built binaries, and optionally the program of Cargo Lambda."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

# More than a minute: the period of the schedules.
MAX_WAIT_SECONDS = 90
FUNCTIONS = {"webhook", "worker", "user-api", "admin-api", "stream", "console", "reconcile", "effects", "push-dispatch"}
# One more worker than the processes of a function that a test would start by chance.
STREAMS = 3

folder = pathlib.Path(sys.argv[1]).absolute()
binaries = pathlib.Path(sys.argv[2]).absolute()
cargo_lambda = sys.argv[3] if len(sys.argv) > 3 else None
started = time.monotonic()


def checked(fact):
    print(f"ok ({time.monotonic() - started:5.1f} s)  {fact}", flush=True)


def eventually(what, poll):
    """Returns the first true value of `poll`."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline:
        value = poll()
        if value:
            return value
        time.sleep(0.1)
    sys.exit(f"this did not happen within {MAX_WAIT_SECONDS} s: {what}")


class Dev:
    """A running `dev`."""

    def __init__(self, *options, port=0):
        self.log = open(folder / "dev.log", "ab")
        command = [binaries / "agent-factory", "--data-dir", folder / "data", "dev", "--port", str(port), *options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        path = folder / "data" / "dev.json"
        self.file = eventually("dev is ready", lambda: self.announced(path))

    def announced(self, path):
        if self.process.poll() is not None:
            sys.exit(f"dev ended: {(folder / 'dev.log').read_text()}")
        file = json.loads(path.read_text()) if path.exists() else {}
        return file if file.get("pid") == self.process.pid else None

    def open(self, method, path, body=None, timeout=30):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.file['adminKey']}", "content-type": "application/json"}
        url = self.file["telegramUrl" if path.startswith("/_local/") else "url"]
        request = urllib.request.Request(url + path, data=data, method=method, headers=headers)
        return urllib.request.urlopen(request, timeout=timeout)

    def call(self, method, path, body=None):
        with self.open(method, path, body) as response:
            return json.load(response)

    def refused(self, method, path, body=None):
        """Returns the status and the body of a call that must fail."""
        try:
            self.call(method, path, body)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        sys.exit(f"{method} {path} was not refused")

    def functions(self):
        """The processes of functions: pairs of pid and name."""
        return [(pid, name) for pid, parent, name in processes() if parent == self.process.pid and name in FUNCTIONS]

    def sent(self):
        outbox = self.call("GET", f"/_local/telegram/outbox?chatId={self.file['demo']['chatId']}")
        return [message["text"] for message in outbox["messages"]]

    def done(self, message_id):
        message = self.call("GET", f"/v1/messages/{message_id}")
        return message if message["status"] == "done" else None


def processes():
    """All processes whose program is in the folder: pid, pid of the parent, name."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listed.splitlines():
        pid, parent, program = line.split(maxsplit=2)
        path = pathlib.Path(program.split()[0])
        if path.parent == binaries:
            found.append((int(pid), int(parent), path.name))
    return found


def follow_a_telegram_message(dev):
    demo = dev.file["demo"]
    said = {"botIdentity": demo["botIdentity"], "chatId": demo["chatId"], "text": "hello"}
    answer = dev.call("POST", "/_local/telegram/messages", said)
    assert answer["status"] == 200, answer
    checked("webhook: the function has accepted an update of Telegram")
    message = eventually("the message is done", lambda: dev.done(answer["body"]["messageId"]))
    assert message["attempts"] == 1 and message["reply"] == "echo: hello", message
    checked("stream and reconcile: a record of the table has started a worker, a machine of the Fly emulator")
    checked("worker: a worker has claimed and completed the message in its first attempt")
    eventually("the reply is delivered", lambda: "echo: hello" in dev.sent())
    eventually("the delivery is recorded", lambda: dev.done(answer["body"]["messageId"])["delivery"]["state"] == "sent")
    checked("delivered: the reply is in the chat once, and its delivery is recorded as sent")
    assert dev.sent().count("echo: hello") == 1, dev.sent()


def follow_a_message_of_an_app(dev, agent, text="from an app"):
    answer = dev.call("POST", f"{agent}/messages", {"content": text})
    eventually("the message of the app is done", lambda: dev.done(answer["messageId"]))
    eventually("its reply is delivered", lambda: f"echo: {text}" in dev.sent())
    checked("user-api: a message of an app is done and its reply is delivered")


def read_streams(dev, agent):
    """Opens several streams at a time and reads one event of each. None of them blocks the others or other calls."""
    streams = [dev.open("GET", f"{agent}/stream") for _ in range(STREAMS)]
    firsts = []
    readers = [threading.Thread(target=lambda s=stream: firsts.append(s.readline())) for stream in streams]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(MAX_WAIT_SECONDS)
    assert len(firsts) == STREAMS, firsts
    assert len([name for _, name in dev.functions() if name == "stream"]) == STREAMS
    follow_a_message_of_an_app(dev, agent)
    for stream in streams:
        stream.close()
    left = lambda: not [name for _, name in dev.functions() if name == "stream"]
    eventually("the processes of the closed streams have ended", left)
    checked(f"stream: {STREAMS} open streams have a process each, which ends with its stream")


def crash_a_function(dev, agent):
    before = {pid for pid, name in dev.functions() if name == "user-api"}
    assert before, dev.functions()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually("the processes have ended", lambda: not before & {pid for pid, _ in dev.functions()})
    dev.call("GET", f"{agent}/conversation")
    after = {pid for pid, name in dev.functions() if name == "user-api"}
    assert after and not after & before, (before, after)
    checked("crash: the call after the crash of a function has a new process")


def create_push_job(dev, agent):
    """Creates a job for the next minute, and returns the moment when it is due."""
    due = (int(time.time()) // 60 + 1) * 60
    time_of_day = time.strftime("%H:%M", time.gmtime(due))
    schedule = {"kind": "daily", "time": time_of_day}
    job = {"title": "Now", "text": "pushed", "timezone": "Etc/UTC", "schedule": schedule}
    dev.call("POST", f"{agent}/push-jobs", job)
    checked(f"user-api: a push job is due at {time_of_day} UTC")
    return due


def pushed_is_answered(dev, due):
    while time.time() < due:
        assert "echo: pushed" not in dev.sent()
        time.sleep(0.2)
    eventually("the pushed message is answered", lambda: "echo: pushed" in dev.sent())
    checked("schedule and push-dispatch: the push job has run when it was due, and its reply is delivered")


def clock_is_fixed(dev):
    status, problem = dev.refused("POST", "/_local/clock", {"advanceMs": 60000})
    assert status == 409 and "--functions lambda" in problem["detail"], problem
    checked("clock: a move of the clock is refused, because the functions go by the clock of this machine")


def start_watch(dev):
    """Starts `cargo lambda watch` by the command of docs/development.md, in a process group of its own."""
    files = ["--global", folder / "data" / "CargoLambda.toml", "--env-file", folder / "data" / "functions.env"]
    command = [cargo_lambda, "lambda", "watch", "-A", "127.0.0.1", *files]
    watch = subprocess.Popen(command, stdout=dev.log, stderr=dev.log, start_new_session=True)
    eventually("cargo lambda watch listens", lambda: watch.poll() is not None or is_open(9000))
    assert watch.poll() is None, "cargo lambda watch has ended"
    checked("cargo lambda watch: one command serves all functions")
    return watch


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def missing_binaries_are_named():
    command = [binaries / "agent-factory", "--data-dir", folder / "other", "dev", "--functions", "lambda"]
    refused = subprocess.run([*command, "--functions-dir", folder], capture_output=True, text=True, timeout=MAX_WAIT_SECONDS)
    assert refused.returncode != 0 and "-p af-webhook -p af-worker`" in refused.stderr, refused
    checked("start: missing binaries are named with the command that builds them")


shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
dev = watch = None
try:
    missing_binaries_are_named()
    dev = Dev("--functions", "lambda")
    agent = f"/v1/users/{dev.file['demo']['consumerUserId']}/agents/{dev.file['demo']['agentKey']}"
    due = create_push_job(dev, agent)
    follow_a_telegram_message(dev)
    read_streams(dev, agent)
    crash_a_function(dev, agent)
    clock_is_fixed(dev)
    assert dev.open("GET", "/console/sign-in").status == 200
    checked("console: the function answers with a page")
    called = {name for _, name in dev.functions()}
    assert FUNCTIONS - called == {"stream"}, called
    checked("all functions have run as processes of their own")

    pushed_is_answered(dev, due)
    port = dev.file["url"].rsplit(":", 1)[1]
    dev.process.kill()
    dev.process.wait()
    survivors = lambda: [name for _, _, name in processes() if name in FUNCTIONS]
    eventually("the functions of a killed dev have ended", lambda: not survivors())
    checked("end: no function survives a dev that was killed")
    dev = Dev("--functions", "lambda", port=port)
    follow_a_message_of_an_app(dev, agent, "after the restart")
    checked("restart: the next dev has continued with the same table and the same worker")
    dev.process.terminate()
    assert dev.process.wait(MAX_WAIT_SECONDS) == 0
    assert not processes(), processes()
    checked("end: neither a function nor a worker survives a dev that was asked to stop")

    if cargo_lambda:
        shutil.rmtree(folder / "data")
        dev = Dev("--no-functions")
        watch = start_watch(dev)
        due = create_push_job(dev, agent)
        follow_a_telegram_message(dev)
        follow_a_message_of_an_app(dev, agent)
        with dev.open("GET", f"{agent}/stream") as stream:
            assert stream.readline()
        checked("stream: an event arrives")
        pushed_is_answered(dev, due)
        # As Ctrl-C does, which reaches the functions, too.
        os.killpg(watch.pid, signal.SIGINT)
        watch.wait(MAX_WAIT_SECONDS)
        dev.process.terminate()
        assert dev.process.wait(MAX_WAIT_SECONDS) == 0
        eventually("all processes have ended", lambda: not processes())
        checked("end: neither a function nor a worker survives")
except BaseException:
    log = folder / "dev.log"
    print(log.read_text() if log.exists() else "", file=sys.stderr)
    raise
finally:
    if watch and watch.poll() is None:
        os.killpg(watch.pid, signal.SIGKILL)
    if dev and dev.process.poll() is None:
        dev.process.terminate()
        dev.process.wait(MAX_WAIT_SECONDS)
