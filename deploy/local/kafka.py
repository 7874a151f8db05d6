#!/usr/bin/env python3
"""A local Apache Kafka in KRaft mode, of one node or several, on loopback, for a plain user.

    kafka.py run [--nodes N] [--dir D] [--port P]     in the foreground; Ctrl-C ends it
    kafka.py start [same options]                     in the background; prints the bootstrap addresses
    kafka.py stop [--dir D]
    kafka.py serve [--nodes N]                         for tests, see service.py

Data stays in the folder from one run to the next. Topics are not made on their own: a mistyped name must show.
"""

import base64
import socket
import struct
import subprocess
import sys
import uuid

import fetch
import service

ANSWER_S_MAX = 2


def add_arguments(parser):
    parser.add_argument("--nodes", type=int, default=1, help="each a broker and a controller (default: 1)")
    parser.add_argument("--port", type=int, help="of the first node, the others follow (default: a free one)")
    parser.add_argument("--quick", action="store_true",
                        help="compile less: up with 2.4 s of processor time instead of 4.0, slower under load")
    parser.add_argument("--heap", default="512m", help="of each node's Java (default: 512m)")


def make(arguments, folder):
    java = fetch.find_java(fetch.KAFKA_JAVA_MIN)
    if java is None or not (fetch.LOCAL / "kafka/.pin").exists():
        raise service.Failed(f"Kafka or a Java {fetch.KAFKA_JAVA_MIN} is not there: run `make fetch-kafka`")
    count = arguments.nodes
    refuse_other_size(folder, count)
    ports = [arguments.port + i for i in range(count)] if arguments.port else service.free_ports(count)
    controllers = service.free_ports(count)
    base = [java, f"-Xmx{arguments.heap}", "-XX:+UseSerialGC", "-cp", f"{fetch.LOCAL}/kafka/*",
            f"-Dlog4j2.configurationFile={fetch.HERE}/kafka/log4j2.properties"]
    quick = ["-XX:TieredStopAtLevel=1"] if arguments.quick else []
    nodes = []
    for i in range(count):
        settings = folder / f"node-{i + 1}.properties"
        settings.write_text(properties(i + 1, ports[i], controllers, folder))
        nodes.append(service.Node(f"node-{i + 1}", [base[0], *quick, *base[1:], "kafka.Kafka", str(settings)], folder))
    format_storage(base, folder, count)
    address = ",".join(f"127.0.0.1:{port}" for port in ports)
    return service.Service(nodes, address, lambda: all_answer(nodes, ports))


def properties(node, port, controllers, folder):
    count = len(controllers)
    replicas = min(count, 3)
    voters = ",".join(f"{i + 1}@127.0.0.1:{controller}" for i, controller in enumerate(controllers))
    return f"""\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controllers[node - 1]}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/node-{node}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={max(1, replicas - 1)}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={max(1, replicas - 1)}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={max(1, replicas - 1)}
# Few partitions of the internal topics: made on first use, one by one, they are most of a first transaction's time.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# A group's first member need not wait for others.
group.initial.rebalance.delay.ms=0
# With KIP-848 the broker says when a silent member is dead; its defaults allow no less than 45 s.
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=2000
# Recorded events are old by their own clock; age must not delete them.
log.retention.ms=-1
# The cleaner's default of 128 MiB is a quarter of this heap.
log.cleaner.dedupe.buffer.size=16777216
# How soon the transactions of a killed producer are noticed after their own timeout.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=4
"""


def refuse_other_size(folder, count):
    """A cluster's quorum is written into its data: another number of nodes would wait for ever."""
    known = len([node for node in folder.glob("node-*") if node.is_dir()])
    if known not in (0, count):
        raise service.Failed(f"{folder} holds a cluster of {known} nodes, {count} asked for; use another folder")


def format_storage(base, folder, count):
    """Gives each node that has none its storage, all with one cluster id."""
    identity = folder / "cluster-id"
    if not identity.exists():
        identity.write_text(cluster_id())
    tool = [base[0], "-XX:TieredStopAtLevel=1", *base[1:], "kafka.tools.StorageTool", "format", "-t", identity.read_text(), "-c"]
    fresh = [i + 1 for i in range(count) if not (folder / f"node-{i + 1}/meta.properties").exists()]
    running = [subprocess.Popen([*tool, str(folder / f"node-{node}.properties")], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for node in fresh]
    for process in running:
        said, _ = process.communicate()
        if process.returncode:
            raise service.Failed(f"formatting the storage ended with {process.returncode}:\n{said}")


def cluster_id():
    """A random id as Kafka writes it: 16 bytes in base64 for URLs, not starting like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def all_answer(nodes, ports):
    """Whether each running node knows of all running brokers."""
    running = [port for node, port in zip(nodes, ports) if node.runs()]
    return bool(running) and all(brokers_known(port) >= len(running) for port in running)


def brokers_known(port):
    """How many brokers the one at this port names in a Metadata answer (version 1); 0 if it does not answer."""
    metadata, version, correlation, no_client, no_topics = 3, 1, 7, -1, 0
    request = struct.pack(">hhihi", metadata, version, correlation, no_client, no_topics)
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_S_MAX) as stream:
            stream.sendall(struct.pack(">i", len(request)) + request)
            stream.settimeout(ANSWER_S_MAX)
            head = stream.recv(12, socket.MSG_WAITALL)
            return struct.unpack(">iii", head)[2] if len(head) == 12 else 0
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(service.main("kafka", make, add_arguments))
