"""What becomes of a client when its connection does, against a server that plays a cluster's Jobs API."""

from __future__ import annotations

import asyncio
import threading

import pytest
import ray
from aiohttp import WSMsgType, web

from search.ray_cluster import jobs as module
from search.ray_cluster.jobs import Jobs


class Cluster:
    """Its one run, r, says three lines. The first connection breaks behind the second line."""

    def __init__(self) -> None:
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        assert self._ready.wait(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        app = web.Application()
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/jobs/r/logs/tail", self._tail)
        app.router.add_get("/api/jobs/r/logs", self._logs)
        app.router.add_get("/api/jobs/r", self._info)
        self.runner = web.AppRunner(app)
        self.loop.run_until_complete(self.runner.setup())
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.address = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self.loop.run_forever()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        self.connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("one\ntw")
        await socket.send_str("o\n")
        if self.connections == 1:
            request.transport.abort()
        else:
            await socket.send_str("three")
            await socket.close()
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR)
        return socket

    async def _logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": "one\ntwo\nthree"})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"type": "SUBMISSION", "status": "SUCCEEDED", "entrypoint": "", "submission_id": "r", "driver_exit_code": 0}
        )


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.05)
    cluster = Cluster()
    yield cluster
    cluster.stop()


def test_a_lost_connection_is_told_and_made_again_and_no_line_comes_twice(cluster):
    told: list[str] = []
    jobs = Jobs(cluster.address)
    assert list(jobs.follow("r", told.append)) == ["one", "two", "three"]
    assert cluster.connections == 2
    assert len(told) == 1
    assert told[0].startswith("the connection is lost")
    assert (jobs.said("r"), jobs.exit_code("r")) == (["one", "two", "three"], 0)


def test_a_run_that_the_cluster_does_not_know_ends_the_wait(cluster):
    jobs = Jobs(cluster.address)
    with pytest.raises(ValueError, match="no longer has the run q: the cluster may have been restarted"):
        list(jobs.follow("q", print))


def test_a_cluster_that_is_gone_is_a_sentence(cluster):
    jobs = Jobs(cluster.address)
    cluster.stop()
    for ask in (jobs.all, lambda: jobs.said("r"), lambda: jobs.exit_code("r"), lambda: jobs.stop("r")):
        with pytest.raises(ValueError, match="no Ray dashboard responds there"):
            ask()
    cluster.stop = lambda: None
