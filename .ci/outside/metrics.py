"""Reads what replicas and load generator show Prometheus with Prometheus' own parser.

Usage: metrics.py DIRECTORY-OF-BINARIES

Starts a replica with an admin port and a short run with --prom, fetches both pages and parses them strictly. Exits with 1 if a page is none.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

PATIENCE_S = 60


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def families(text, least):
    """All metrics of a page by name; the parser refuses wrong types, units, suffixes, orders and repetitions."""
    found = {family.name: family for family in text_string_to_metric_families(text)}
    if len(found) < least:
        sys.exit(f"metrics.py: only {len(found)} metrics, expected {least} at least")
    for family in found.values():
        if not family.documentation:
            sys.exit(f"metrics.py: {family.name} says nothing of itself")
    return found


def fetch(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        kind = answer.headers["Content-Type"]
        if not kind.startswith("application/openmetrics-text; version=1.0.0"):
            sys.exit(f"metrics.py: the content type is {kind}")
        return answer.read().decode()


def of_replica(binaries, folder):
    subprocess.run([binaries / "replica", "--quiet", "genesis", "-f", "1", "--clients", "1", "--base-port", str(free_port()), "-o", folder / "cluster"], check=True, stdout=subprocess.DEVNULL)
    command = [binaries / "replica", "--quiet", "run", "--exit-with-stdin", "--admin", "127.0.0.1:0", "--dir", folder / "cluster" / "replica-0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as replica:
        ready = json.loads(replica.stdout.readline().removeprefix("ready "))
        text = fetch(int(ready["admin"].rsplit(":", 1)[1]))
        replica.stdin.close()
    found = families(text, 50)
    print(f"replica: {len(found)} metrics, {sum(len(family.samples) for family in found.values())} samples")


def of_load(binaries, folder):
    port = free_port()
    command = [binaries / "bench", "--quiet", "run", "quickstart", "--prom", str(port), "-o", folder / "results"]
    for value in ("load.warmup=0s", "load.duration=2s", "workload.records=100", "check.liveness.max_stall=60s"):
        command += ["--set", value]
    answered = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        until = time.monotonic() + PATIENCE_S
        while run.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            try:
                text = fetch(port)
            except (urllib.error.URLError, ConnectionError):
                continue
            found = families(text, 10)
            answered = max(answered, found["quintet_load_answered_operations"].samples[0].value)
    if run.returncode != 0:
        sys.exit(f"metrics.py: bench ended with {run.returncode}")
    if answered == 0:
        sys.exit("metrics.py: bench showed no answered operation while it ran")
    print(f"load generator: {len(found)} metrics, {answered:.0f} operations answered when last seen")


def main():
    binaries = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        of_replica(binaries, Path(folder))
        of_load(binaries, Path(folder))


main()
