"""Supervision that kafka.py and registry.py share: nodes as child processes that never outlive their supervisor.

    run     in the foreground until Ctrl-C or SIGTERM
    start   the same in the background; returns when it answers
    stop    ends what `start` began and waits for it
    serve   driven over stdin, for tests: a line `stop 1`, `kill 1`, `start 1`, `pause 1` or `resume 1` (a node's
            number), answered on stdout by one JSON object: {"address": …} or {"error": …}. The first answer comes
            unasked when the service is ready. When stdin closes, which it does however the caller ends, the
            nodes are killed. Data and logs lie in a temporary folder that is removed then.
"""

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READY_S_MAX = 120
STOP_S_MAX = 30
# The most that passes from one look to the next counts as.
GAP_S_MAX = 5
LOG_TAIL_BYTES = 4000


class Failed(Exception):
    """What kept a service from starting or stopping, with the end of its log where there is one."""


class Patience:
    """Seconds that something may still take, by the time in which this process could look: of minutes in which the whole
    machine stood still, seconds count."""

    def __init__(self, seconds):
        self.left, self.looked = seconds, time.monotonic()

    def is_over(self):
        now = time.monotonic()
        self.left -= min(now - self.looked, GAP_S_MAX)
        self.looked = now
        return self.left <= 0


class Node:
    """One process of a service: its command, its log file and the process while there is one."""

    def __init__(self, name, command, folder):
        self.name, self.command = name, command
        self.log = folder / f"{name}.log"
        self.process = None
        self.wanted = False

    def start(self):
        if self.runs():
            raise Failed(f"{self.name} runs already")
        self.wanted = True
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)

    def stop(self):
        """Asks the process to end in order; kills it when it takes too long."""
        self.wanted = False
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.wanted = False
        self.signal(signal.SIGKILL)
        self.process.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        if not self.runs():
            raise Failed(f"{self.name} does not run")
        self.process.send_signal(number)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def raise_if_ended(self):
        """An end that nobody asked for is an error."""
        if self.wanted and not self.runs():
            raise Failed(f"{self.name} ended with {self.process.returncode}; its log ends:\n{self.log_tail()}")

    def log_tail(self):
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")


class Service:
    """Nodes that together answer at one address. `answers()` says whether all that should run do."""

    def __init__(self, nodes, address, answers):
        self.nodes, self.address, self.answers = nodes, address, answers
        self.folder = nodes[0].log.parent

    def start(self):
        for node in self.nodes:
            node.start()
        self.wait_ready()

    def wait_ready(self):
        parent, patience = os.getppid(), Patience(READY_S_MAX)
        while not self.answers():
            for node in self.nodes:
                node.raise_if_ended()
            if os.getppid() != parent:
                raise Failed("the process that asked for the service is gone")
            if patience.is_over():
                raise Failed(f"no answer at {self.address} within {READY_S_MAX} s; "
                             f"the log of {self.nodes[0].name} ends:\n{self.nodes[0].log_tail()}")
            time.sleep(0.05)

    def stop(self):
        """Asks all nodes before it waits for any: those of a quorum need one another to end in order."""
        running = [node for node in self.nodes if node.runs()]
        for node in running:
            node.resume()
            node.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S_MAX
        for node in running:
            try:
                node.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                node.kill()

    def kill(self):
        for node in self.nodes:
            if node.runs():
                node.kill()


def main(name, make, add_arguments):
    """Command line of a service. `make(arguments, folder)` gives the Service, not yet started."""
    parser = argparse.ArgumentParser(prog=f"{name}.py", description=sys.modules["__main__"].__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "start", "stop", "serve"])
    parser.add_argument("--dir", type=Path, help=f"data and logs (default: .local/run/{name})")
    add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.command == "serve":
        if arguments.dir:
            parser.error("serve has a folder of its own; --dir does not go with it")
        folder = Path(tempfile.mkdtemp(prefix=f"groundswell-{name}-"))
        return serve(lambda: make(arguments, folder), folder)
    default = Path(__file__).resolve().parent.parent.parent / ".local/run" / name
    folder = (arguments.dir or default).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.command == "run":
            return run(make(arguments, folder), folder)
        return start(name, folder) if arguments.command == "start" else stop(name, folder)
    except Failed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def run(service, folder):
    refuse_second(folder)
    (folder / "pid").write_text(str(os.getpid()))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, raise_interrupt)
    try:
        service.start()
        (folder / "address").write_text(service.address)
        print(f"ready at {service.address}; logs and data in {folder}; Ctrl-C ends it", flush=True)
        return watch(service)
    except KeyboardInterrupt:
        return 0
    finally:
        service.stop()
        for file in ("pid", "address"):
            (folder / file).unlink(missing_ok=True)


def watch(service):
    while True:
        for node in service.nodes:
            node.raise_if_ended()
        time.sleep(0.5)


def start(name, folder):
    refuse_second(folder)
    command = [sys.executable, sys.argv[0], "run", *sys.argv[2:]]
    with (folder / "supervisor.log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    address = folder / "address"
    while not address.exists():
        if child.poll() is not None:
            said = (folder / "supervisor.log").read_text().strip()
            raise Failed(said[len(f"{name}: "):] if said.startswith(f"{name}: ") else said)
        time.sleep(0.05)
    print(address.read_text())
    return 0


def stop(name, folder):
    pid = running_pid(folder)
    if pid is None:
        print(f"{name}: nothing runs in {folder}", file=sys.stderr)
        return 0
    os.kill(pid, signal.SIGTERM)
    patience = Patience(2 * STOP_S_MAX)
    while running_pid(folder):
        if patience.is_over():
            raise Failed(f"process {pid} has not ended within {2 * STOP_S_MAX} s")
        time.sleep(0.05)
    return 0


def serve(make, folder):
    service = None
    try:
        service = make()
        service.start()
        answer({"address": service.address})
        for line in sys.stdin:
            answer(obey(service, line.split()))
    except Failed as error:
        answer({"error": str(error)})
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        if service:
            service.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def obey(service, words):
    try:
        verb, number = words
        if verb not in ("start", "stop", "kill", "pause", "resume") or number not in numbers(service):
            raise Failed(f"expected start, stop, kill, pause or resume and one of {numbers(service)}")
        node = service.nodes[int(number) - 1]
        getattr(node, verb)()
        if verb == "start":
            service.wait_ready()
        return {"address": service.address}
    except (Failed, ValueError) as error:
        return {"error": f"{' '.join(words)}: {error}"}


def numbers(service):
    return [str(i + 1) for i in range(len(service.nodes))]


def answer(what):
    print(json.dumps(what), flush=True)


def refuse_second(folder):
    if running_pid(folder):
        raise Failed(f"process {running_pid(folder)} runs in {folder} already; stop it first")


def running_pid(folder):
    try:
        pid = int((folder / "pid").read_text())
        os.kill(pid, 0)
        return pid
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def die_with_parent():
    """On Linux the kernel ends a node whose supervisor was killed; elsewhere only an orderly end is covered."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def raise_interrupt(*_):
    raise KeyboardInterrupt


def free_ports(count):
    """Loopback ports that nobody listens on, from below the range that outgoing connections are given."""
    found = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
