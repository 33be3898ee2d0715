#!/bin/sh
# Makes .venv from requirements.lock, every package checked against its hash.
set -eu
cd "$(dirname "$0")/.."

recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        recent_enough "$PYTHON" && echo "$PYTHON" && return
        echo "PYTHON=$PYTHON is not a Python 3.11 or newer that runs." >&2
        exit 1
    fi
    for candidate in python3.11 python3.12 python3.13 python3; do
        recent_enough "$candidate" && echo "$candidate" && return
    done
    echo "No Python 3.11 or newer was found. Install one, or name it: make install PYTHON=/path/to/python3.11" >&2
    exit 1
}

if ! recent_enough .venv/bin/python; then
    python=$(find_python)
    # The interpreter itself, not a version manager's shim, which every later start would pay for.
    interpreter=$("$python" -c 'import sys; print(sys.executable)')
    "$interpreter" -m venv --clear .venv || {
        echo "$interpreter can't make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi

if ! .venv/bin/uv --version >/dev/null 2>&1; then
    awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.txt
fi
# Compiled here once, or each start of the daemon compiles anew where PYTHONDONTWRITEBYTECODE is set.
.venv/bin/uv pip sync --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
