#!/usr/bin/env python3
"""A local schema registry (Apicurio) that speaks Confluent's API, on loopback, for a plain user.

    registry.py run [--dir D] [--port P]     in the foreground; Ctrl-C ends it
    registry.py start [same options]         in the background; prints its address
    registry.py stop [--dir D]
    registry.py serve                        for tests, see service.py

The API is under /apis/ccompat/v7. Schemas stay in the folder from one run to the next.
"""

import sys
import urllib.error
import urllib.request

import fetch
import service

API = "/apis/ccompat/v7"
ANSWER_S_MAX = 2


def add_arguments(parser):
    parser.add_argument("--port", type=int, help="(default: a free one)")


def make(arguments, folder):
    java = fetch.find_java(fetch.REGISTRY_JAVA_MIN)
    if java is None or not (fetch.LOCAL / "registry/.pin").exists():
        raise service.Failed(
            f"the registry or a Java {fetch.REGISTRY_JAVA_MIN} is not there: run `make fetch-registry`")
    free, management = service.free_ports(2)
    port = arguments.port or free
    # Written before it is acknowledged, so that killing the registry loses nothing.
    database = f"jdbc:h2:file:{folder}/schemas;WRITE_DELAY=0"
    # It answers a few requests and ends: compiling it well would cost more than it gives.
    command = [java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}",
               "-Dquarkus.management.host=127.0.0.1", f"-Dquarkus.management.port={management}",
               f"-Dapicurio.datasource.url={database}",
               "-jar", str(fetch.LOCAL / "registry/quarkus-run.jar")]
    address = f"http://127.0.0.1:{port}{API}"
    node = service.Node("registry", command, folder)
    return service.Service([node], address, lambda: answers(address))


def answers(address):
    # Loopback needs no proxy, whatever the environment says.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}/subjects", timeout=ANSWER_S_MAX) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(service.main("registry", make, add_arguments))
