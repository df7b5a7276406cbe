"""How a Ray that cannot start, or be reached, is told; none is started here."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
import ray

from search import ROOT, interrupts
from search.interrupts import Interrupted
from search.ray_cluster import temporary_folder
from search.ray_cluster.session import start_ray


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """That of this process stays as it is."""
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(interrupts._notes, "_came", [])


@pytest.fixture(autouse=True)
def ray_files(monkeypatch, tmp_path):
    """The folder of Ray's files, without a variable."""
    folder = tmp_path / "ray-files"
    monkeypatch.setattr(temporary_folder, "default_folder", lambda: folder)
    monkeypatch.setattr(temporary_folder, "LONGEST_SOCKET", 1000)
    return folder


@pytest.fixture
def init(monkeypatch, tmp_path):
    """What Ray was asked for; it raises `error` if there is one."""

    class Init:
        error: BaseException | None = None
        options: dict

        def __call__(self, **options):
            self.options, self.folder = options, Path.cwd()
            if self.error is not None:
                raise self.error

    init = Init()
    session = SimpleNamespace(get_session_dir_path=lambda: str(tmp_path))
    monkeypatch.setattr(ray._private.worker, "_global_node", session)
    monkeypatch.setattr(ray, "init", init)
    return init


def test_ray_is_started_on_this_machine_from_the_projects_folder(init, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start_ray(dashboard=False) is False
    assert init.folder == ROOT
    assert Path.cwd() == tmp_path
    assert (init.options["address"], init.options["dashboard_host"]) == ("local", "127.0.0.1")


@pytest.mark.parametrize(
    "error", [RuntimeError("no GCS\nmore"), Exception("no GCS"), OSError("no GCS"), ValueError("no GCS")]
)
def test_a_ray_that_cannot_start_is_one_line(error, init):
    init.error = error
    with pytest.raises(
        ValueError, match=r"^Ray cannot start on this machine \(no GCS\); its logs are in .*/ray-files/ray$"
    ):
        start_ray(dashboard=False)


def test_one_that_takes_too_long_on_a_busy_machine_is_started_once_more(init, monkeypatch):
    init.error = Exception("The current node timed out during startup. This could happen because ...")
    shut_down = []

    def shutdown() -> None:
        shut_down.append(1)
        init.error = None

    monkeypatch.setattr("ray.shutdown", shutdown)
    assert start_ray(dashboard=False) is False
    assert shut_down == [1]


def test_it_is_started_twice_at_most(init, monkeypatch):
    init.error = Exception("The current node timed out during startup.")
    shut_down = []
    monkeypatch.setattr("ray.shutdown", lambda: shut_down.append(1))
    with pytest.raises(ValueError, match=r"^Ray cannot start on this machine"):
        start_ray(dashboard=False)
    assert shut_down == [1]


def test_one_that_does_not_start_because_it_was_asked_to_end_is_an_interruption(init):
    init.error = SystemExit(15)
    with pytest.raises(Interrupted) as caught:
        start_ray(dashboard=False)
    assert caught.value.exit_code == 143
    init.error = Exception("timed out")
    interrupts._notes._came.append(1)
    with pytest.raises(Interrupted) as caught:
        start_ray(dashboard=False)
    assert caught.value.exit_code == 129


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_temporary_folder_that_is_too_long_for_sockets_is_named(name, init, monkeypatch):
    suffix = len("/ray/session_2026-11-26_04-53-00_123456_1234567/sockets/plasma_store")
    long = "/" + "x" * (107 - suffix)
    monkeypatch.setattr(temporary_folder, "LONGEST_SOCKET", 107)
    monkeypatch.setitem(os.environ, name, long)
    with pytest.raises(
        ValueError, match=rf"^{name}={long}: the path is 1 bytes too long for Ray's sockets: set RAY_TMPDIR"
    ):
        start_ray(dashboard=False)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_one_that_cannot_be_written_is_named_and_rays_own_variable_counts_first(init, monkeypatch):
    monkeypatch.setitem(os.environ, "RAY_TMPDIR", "/proc/nowhere")
    monkeypatch.setitem(os.environ, "TMPDIR", "/tmp")
    with pytest.raises(
        ValueError, match=r"^RAY_TMPDIR=/proc/nowhere: Ray cannot write its files there \(.*\): set RAY"
    ):
        start_ray(dashboard=False)


def test_a_folder_in_order_passes(init, monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t") / "new"
    monkeypatch.setitem(os.environ, "RAY_TMPDIR", str(folder))
    assert start_ray(dashboard=True) is False
    assert list((folder / "ray").iterdir()) == []
    assert init.options["runtime_env"]["env_vars"]["RAY_API_SERVER_ADDRESS"].startswith("http://127.0.0.1:")
    assert init.options["runtime_env"]["env_vars"]["NO_ALBUMENTATIONS_UPDATE"] == "1"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:8265", "must be auto, the host:port of a head"),
        ("127.0.0.1", "must be auto, the host:port of a head"),
        ("127.0.0.1:1", "nothing responds there"),
        ("127.0.0.1:99999", "nothing responds there"),
    ],
)
def test_an_address_where_no_ray_can_be_is_told_before_ray_tries(address, message, init):
    with pytest.raises(ValueError, match=f"^--address {address}: {message}"):
        start_ray(dashboard=False, address=address)
    assert not hasattr(init, "options")


def test_a_cluster_that_does_not_let_us_in_is_explained_by_what_it_wants(init, monkeypatch):
    init.error = ConnectionError("none found")
    with pytest.raises(
        ValueError, match=r"--address auto: no Ray cluster is running on this machine \(none found\); every node and"
    ):
        start_ray(dashboard=False, address="auto")
    monkeypatch.setitem(os.environ, "RAY_ADDRESS", "auto")
    init.error = None
    assert start_ray(dashboard=False) is True
    assert init.options["address"] == "auto"


def test_an_address_of_the_environment_is_named_as_such(init, monkeypatch):
    monkeypatch.setitem(os.environ, "RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ValueError, match=r"^RAY_ADDRESS=127.0.0.1:1: nothing responds there .*, or unset RAY_ADDRESS"):
        start_ray(dashboard=False)
    with pytest.raises(ValueError, match=r"^--address 127.0.0.1:1: nothing responds there .* cluster is running$"):
        start_ray(dashboard=False, address="127.0.0.1:1")
    for local in ("", "local"):
        monkeypatch.setitem(os.environ, "RAY_ADDRESS", local)
        assert start_ray(dashboard=False) is False


def test_a_head_that_is_gone_is_named_with_the_file_that_names_it(init, tmp_path, monkeypatch):
    monkeypatch.setattr("search.ray_cluster.address._runs_a_head", lambda: False)
    monkeypatch.setitem(os.environ, "RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    file = tmp_path / "ray" / "ray_current_cluster"
    file.write_text("127.0.0.1:1\n")
    with pytest.raises(ValueError) as caught:
        start_ray(dashboard=False, address="auto")
    assert str(caught.value).startswith(f"--address auto: {file} names a head at 127.0.0.1:1, but nothing responds ")
    assert str(caught.value).endswith("; start the cluster (ray start --head), or delete the file")
    assert not hasattr(init, "options")
    monkeypatch.setattr("search.ray_cluster.address._runs_a_head", lambda: True)
    assert start_ray(dashboard=False, address="auto") is True  # Ray finds the one that runs
    file.write_bytes(b"\xff")
    assert start_ray(dashboard=False, address="auto") is True


def test_a_head_that_listens_is_joined(init, tmp_path, monkeypatch):
    monkeypatch.setattr("search.ray_cluster.address._runs_a_head", lambda: False)
    monkeypatch.setitem(os.environ, "RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{port}")
    assert start_ray(dashboard=False, address="auto") is True
    assert start_ray(dashboard=False, address=f"127.0.0.1:{port}") is True
    server.stop(None)


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad Request\r\n", b""])
def test_a_port_that_another_program_has_now_is_told(answer, init, monkeypatch):
    def respond():
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=respond, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ValueError, match=rf"^--address {address}: another program than Ray responds there; check"):
            start_ray(dashboard=False, address=address)
    assert not hasattr(init, "options")


def test_without_a_variable_rays_files_are_this_users(init, ray_files):
    assert start_ray(dashboard=False) is False
    assert stat.S_IMODE(ray_files.stat().st_mode) == 0o700
    assert os.environ["RAY_TMPDIR"] == str(ray_files)


@pytest.mark.parametrize("what", ["link", "file", "other"])
def test_a_folder_that_is_not_this_users_is_refused(what, init, ray_files, tmp_path, monkeypatch):
    if what == "link":
        ray_files.symlink_to(tmp_path)
    elif what == "file":
        ray_files.write_text("")
    else:
        ray_files.mkdir()
        owner = ray_files.stat().st_uid
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(ValueError, match=r"ray-files: .*: set RAY_TMPDIR to another folder$"):
        start_ray(dashboard=False)
    assert not hasattr(init, "options")
