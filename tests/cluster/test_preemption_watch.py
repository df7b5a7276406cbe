"""The watch against a small server that plays a cloud's metadata service."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster.preemption_watch import aws, gcp

SCRIPT = Path(__file__).resolve().parents[2] / "cluster" / "preemption_watch.py"


class Metadata(ThreadingHTTPServer):
    """Both clouds' services in one; `notice` is when the machine goes, None while it stays."""

    notice: datetime | None = None

    def answer(self, method: str, path: str, headers: dict[str, str]) -> str | None:
        if (method, path) == ("PUT", "/latest/api/token") and "x-aws-ec2-metadata-token-ttl-seconds" in headers:
            return "a token"
        if path == "/latest/meta-data/spot/instance-action" and headers.get("x-aws-ec2-metadata-token") == "a token":
            return self.notice and json.dumps(
                {"action": "terminate", "time": self.notice.strftime("%Y-%m-%dT%H:%M:%SZ")}
            )
        if path == "/computeMetadata/v1/instance/preempted" and headers.get("metadata-flavor") == "Google":
            return "TRUE" if self.notice else "FALSE"
        return None


class Handler(BaseHTTPRequestHandler):
    server: Metadata

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(self.command, self.path, headers)
        self.send_response(404 if answer is None else 200)
        self.end_headers()
        self.wfile.write((answer or "").encode())

    do_PUT = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    server = Metadata(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server: Metadata) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("ask", [aws, gcp])
def test_a_machine_that_stays_has_no_notice(ask, metadata):
    assert ask(address(metadata)) is None


def test_aws_says_when(metadata):
    metadata.notice = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < aws(address(metadata)) <= 3600
    metadata.notice = datetime.now(UTC) - timedelta(hours=1)
    assert aws(address(metadata)) == 0


def test_gcp_gives_thirty_seconds(metadata):
    metadata.notice = datetime.now(UTC)
    assert gcp(address(metadata)) == 30


def test_a_silent_service_is_an_error_to_go_on_from(metadata):
    silent = address(metadata)
    metadata.shutdown()
    metadata.server_close()
    with pytest.raises(OSError, match="refused"):
        aws(silent)


@pytest.mark.slow
def test_a_notice_drains_the_node(metadata, monkeypatch):
    import ray
    from ray._private.state import state
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        ray.init(log_to_driver=False)

        # A running actor keeps the node: an idle one goes as soon as it is drained.
        @ray.remote(num_cpus=1)
        class Busy:
            def work(self) -> None:
                threading.Event().wait()

        busy = Busy.remote()
        work = busy.work.remote()
        command = [sys.executable, str(SCRIPT), "aws", "--metadata", address(metadata), "--node-id", node.node_id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
            metadata.notice = datetime.now(UTC) + timedelta(minutes=2)
            output, _ = watch.communicate(timeout=200)
        assert watch.returncode == 0
        assert "this machine will be preempted in" in output
        assert set(state.get_draining_nodes()) == {node.node_id}
        del busy, work
    finally:
        ray.shutdown()
        cluster.shutdown()
