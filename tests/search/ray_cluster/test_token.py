from __future__ import annotations

import os
import stat
from types import SimpleNamespace

import pytest
import ray
import requests
from ray.dashboard.modules import dashboard_sdk

from search.ray_cluster import jobs, session
from search.ray_cluster.token import TOKEN, keep_token_private, pass_by_proxies


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Of the token, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return TOKEN.expanduser()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_made_for_this_user_alone(path):
    keep_token_private()
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    token = path.read_text()
    assert len(bytes.fromhex(token)) == 32
    keep_token_private()
    assert path.read_text() == token
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_one_that_others_can_read_is_taken_from_their_sight(path):
    path.parent.mkdir()
    path.write_text("abc")
    path.chmod(0o644)
    keep_token_private()
    assert (path.read_text(), mode(path)) == ("abc", 0o600)


@pytest.mark.parametrize("broken", ["no home", "a file", "empty", "unreadable"])
def test_without_a_usable_file_this_process_has_a_token_of_its_own(broken, path, tmp_path, monkeypatch):
    """As in a container whose home folder is read-only or another user's."""
    monkeypatch.setattr("os.environ", dict(os.environ))
    if broken == "no home":
        monkeypatch.setattr("search.ray_cluster.token.TOKEN", tmp_path / "none" / ".ray" / "auth_token")
    elif broken == "a file":
        path.parent.write_text("")
    else:
        path.parent.mkdir()
        path.write_bytes(b"" if broken == "empty" else b"\xff")
    keep_token_private()
    assert len(bytes.fromhex(os.environ["RAY_AUTH_TOKEN"])) == 32
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "abc"), ("RAY_AUTH_TOKEN_PATH", "/token")]
)
def test_without_need_none_is_made(name, value, path, monkeypatch):
    monkeypatch.setenv(name, value)
    keep_token_private()
    assert not path.exists()


def test_it_is_there_before_ray_starts(path, tmp_path, monkeypatch):
    seen = []
    node = SimpleNamespace(get_session_dir_path=lambda: str(tmp_path))
    monkeypatch.setattr(ray._private.worker, "_global_node", node)
    monkeypatch.setattr(session.ray, "init", lambda **options: seen.append(mode(path)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("os.environ", os.environ | {"RAY_TMPDIR": str(tmp_path)})
    monkeypatch.setattr("search.ray_cluster.temporary_folder.LONGEST_SOCKET", 1000)
    tmp_path.chmod(0o777)
    session.start_ray(dashboard=False)
    assert seen == [0o600]
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "http://localhost:8265", "http://127.0.0.7:1"])
def test_no_proxy_hears_the_token_on_its_way_to_this_machine(address, path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intern.example")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    proxies = []

    def send(self, request, **options):
        proxies.append(dict(options["proxies"]))
        raise requests.ConnectionError("no connections in this test")

    monkeypatch.setattr(requests.Session, "send", send)
    monkeypatch.setattr(jobs, "JobSubmissionClient", lambda address: dashboard_sdk.requests.request("GET", address))
    with pytest.raises(ValueError, match="no Ray dashboard responds there"):
        jobs.Jobs(address)
    assert not any(key in used for used in proxies for key in ("http", "all"))
    assert proxies


def test_other_hosts_are_asked_as_the_user_wants_it(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "intern.example")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    pass_by_proxies()
    pass_by_proxies()
    used = requests.utils.get_environ_proxies
    assert used("http://cluster.example:8265")["http"] == "http://proxy.example:3128"
    assert used("http://intern.example:8265") == {}
    assert requests.utils.os.environ["no_proxy"].count("localhost") == 1
