#!/usr/bin/env bash
# Sets up a node of a cluster with the same Python, packages and project as all others. If everything is already
# installed, it takes a second. Usage: setup.sh EXTRA, where EXTRA is the project's extra for the cloud (aws, gcp).
set -euo pipefail
UV_VERSION=0.13.8
PYTHON_VERSION=3.11.18
EXTRA=${1:?usage: setup.sh EXTRA}
VENV=$HOME/.venv
TOKEN=$HOME/.ray/auth_token
cd "$(dirname "$0")/.."
PATH=$HOME/.local/bin:$PATH

if [[ ! -s $TOKEN ]]; then
    echo "error: $TOKEN is missing: run 'ray get-auth-token --generate' where you run 'ray up', then 'ray up' again" >&2
    exit 1
fi
chmod 600 "$TOKEN"

if [[ $(uv --version 2>/dev/null) != "uv $UV_VERSION"* ]]; then
    curl -LsSf "https://astral.sh/uv/$UV_VERSION/install.sh" | UV_NO_MODIFY_PATH=1 sh
fi
if [[ $("$VENV/bin/python" --version 2>/dev/null) != "Python $PYTHON_VERSION" ]]; then
    uv venv --quiet --clear --python "$PYTHON_VERSION" "$VENV"
fi
# The torch backend matches the node's GPU driver, or is the CPU if there is none; the version of torch is the same.
uv pip install --quiet --python "$VENV/bin/python" --torch-backend auto \
    --constraint constraints.txt --editable ".[$EXTRA,dashboard]"

# For 'ray exec', 'ray attach' and login shells. With RAY_AUTH_MODE, nothing starts without the token.
LINE="export PATH=$VENV/bin:\$PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0"
grep -qxF "$LINE" "$HOME/.bashrc" || echo "$LINE" >> "$HOME/.bashrc"
