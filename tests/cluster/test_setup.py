"""cluster/setup.sh with a stand-in for uv, which would install gigabytes: what it asks for, and that it asks once."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.machines.files import CLUSTER

SCRIPT = CLUSTER / "setup.sh"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
PYTHON = re.search(r"^PYTHON_VERSION=(.*)$", SCRIPT.read_text(), flags=re.MULTILINE)[1]
UV = re.search(r"^UV_VERSION=(.*)$", SCRIPT.read_text(), flags=re.MULTILINE)[1]

FAKE_UV = f"""#!/usr/bin/env bash
[[ $1 == --version ]] && echo "uv {UV} (a stand-in)" && exit
echo "uv $*" >> "$HOME/asked"
if [[ $1 == venv ]]; then
    mkdir -p "${{@: -1}}/bin"
    printf '#!/bin/sh\\necho Python {PYTHON}\\n' > "${{@: -1}}/bin/python"
    chmod +x "${{@: -1}}/bin/python"
fi
"""
FAKE_CURL = """#!/usr/bin/env bash
echo "curl $*" >> "$HOME/asked"
echo 'mkdir -p "$HOME/.local/bin"; cp "$HOME/uv" "$HOME/.local/bin/uv"'
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def node(tmp_path):
    """A new machine's home, with Ray's token in it; calling it runs the set-up and returns what was asked of others."""
    executable(tmp_path / "uv", FAKE_UV)
    executable(tmp_path / "bin" / "curl", FAKE_CURL)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)

    def run():
        (tmp_path / "asked").write_text("")
        subprocess.run(
            ["bash", SCRIPT, "aws"],
            env={"HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.defpath}"},
            check=True,
            capture_output=True,
            text=True,
        )
        return (tmp_path / "asked").read_text().splitlines()

    return run


def test_a_new_node_gets_the_pinned_python_and_packages(node, tmp_path):
    curl, venv, install = node()
    assert f"/uv/{UV}/" in curl
    assert venv == f"uv venv --quiet --clear --python {PYTHON} {tmp_path}/.venv"
    assert "--constraint constraints.txt --editable .[aws,dashboard]" in install


def test_a_second_time_only_the_packages_are_looked_at(node, tmp_path):
    node()
    profile = (tmp_path / ".bashrc").read_text()
    (install,) = node()
    assert install.startswith("uv pip install")
    assert (tmp_path / ".bashrc").read_text() == profile


def test_whoever_logs_in_has_ray_and_its_token(node, tmp_path):
    node()
    shown = subprocess.run(
        ["bash", "-c", f"source {tmp_path}/.bashrc; echo $PATH $RAY_AUTH_MODE"],
        capture_output=True,
        text=True,
        check=True,
    )
    path, mode = shown.stdout.split()
    assert path.startswith(f"{tmp_path}/.venv/bin:")
    assert mode == "token"


def test_nobody_else_may_read_the_token(node, tmp_path):
    node()
    assert stat.S_IMODE((tmp_path / ".ray" / "auth_token").stat().st_mode) == 0o600


def test_without_a_token_it_says_what_to_do(node, tmp_path):
    (tmp_path / ".ray" / "auth_token").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        node()
    assert "ray get-auth-token --generate" in failed.value.stderr
    assert (tmp_path / "asked").read_text() == ""


def test_the_python_is_one_that_the_project_takes():
    assert tuple(map(int, PYTHON.split("."))) >= (3, 11)
    assert re.fullmatch(r"\d+\.\d+\.\d+", UV)


@pytest.mark.skipif(not SHELLCHECK.exists(), reason="shellcheck is not installed (make test-all)")
@pytest.mark.parametrize("script", sorted(CLUSTER.glob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    subprocess.run([SHELLCHECK, script], check=True)
