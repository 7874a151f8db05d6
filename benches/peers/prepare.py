#!/usr/bin/env python3
"""Brings what the peers run with into .local/: the Kafka Streams job, compiled, with its jars, and a Python for the loops.

Needs Maven and a JDK 17 or later, and pip. What is there already costs nothing.
"""

import fcntl
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "deploy/local"))

import fetch  # noqa: E402

JAVA_MIN = 17


def streams():
    """`.local/peers-streams/*.jar`, the job's classes, and a link to the Java that they were made for."""
    sources = sorted((HERE / "streams").glob("*.java"))

    def build(folder):
        java = fetch.find_java(JAVA_MIN)
        javac = java and Path(java).resolve().with_name("javac")
        if not javac or not javac.exists():
            raise fetch.Missing(f"there is no JDK {JAVA_MIN} or later: set JAVA_HOME or install one (Debian: openjdk-17-jdk)")
        fetch.maven_copy(HERE / "streams", folder)
        (folder / "java").symlink_to(java)
        fetch.run([str(javac), "-Xlint:all,-processing", "-Werror", "-cp", f"{folder}/*", "-d", str(folder), *map(str, sources)])

    pins = [Path(__file__), HERE / "streams/pom.xml", HERE / "streams/SHA256SUMS", *sources]
    return fetch.install("peers-streams", pins, build)


def python():
    """`.local/peers-python/bin/python`."""

    def build(folder):
        venv.create(folder, with_pip=True, symlinks=True)
        fetch.run([f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
                   "-r", str(HERE / "python/requirements.lock")])

    return fetch.install("peers-python", [HERE / "python/requirements.lock", sys.version], build)


def main():
    fetch.LOCAL.mkdir(exist_ok=True)
    with (fetch.LOCAL / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            print(streams())
            print(python())
        except fetch.Missing as error:
            print(f"prepare: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
