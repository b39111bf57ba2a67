#!/usr/bin/env bash
# Usage: install.sh EXTRA... Makes .venv where it is missing and installs this checkout into it,
# editable, with the given extras, nothing newer than constraints.txt says. The stamps
# .venv/.installed-EXTRA tell make that it is done.
set -euo pipefail
cd "$(dirname "$0")/.."
extras=$(IFS=,; echo "$*")

# The first of the usual names that is new enough; PYTHON=... overrides.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "rfc6455 needs Python 3.11 or later, and none of these is: ${PYTHON:-python3, python3.11 ... python3.14}." >&2
    echo "Install one, or name yours: make PYTHON=/path/to/python ..." >&2
    return 1
}

# Debian splits ensurepip from Python (package python3-venv). Without it, pip itself can still
# fill an environment that was made without pip; without either nothing can.
make_venv() {
    local python=$1 log
    log=$(mktemp)
    if "$python" -m venv --clear .venv >"$log" 2>&1; then
        :
    elif "$python" -m venv --clear --without-pip .venv >>"$log" 2>&1 &&
        "$python" -m pip --python .venv/bin/python install --quiet pip >>"$log" 2>&1; then
        :
    else
        cat "$log" >&2
        rm -rf "$log" .venv
        echo >&2
        echo "$python cannot make a virtual environment: it has neither venv with ensurepip nor pip." >&2
        echo "On Debian and Ubuntu:  apt-get install python3-venv" >&2
        return 1
    fi
    rm -f "$log"
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ..."
    make_venv "$python"
fi
echo "Installing rfc6455[$extras] into .venv ..."
PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint scripts/constraints.txt --editable ".[$extras]"
touch "${@/#/.venv/.installed-}"
