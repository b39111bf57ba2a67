#!/usr/bin/env bash
# Installs what the tests need beside Python packages: Debian's Chromium and its driver. Where that is
# not possible, says so and lets the tests decide: they skip, or fail when CI=true (tests/conftest.py).
set -euo pipefail

missing=()
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
fi
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "Installing ${missing[*]} with apt-get ..."
    "${as_root[@]}" apt-get update -qq </dev/null &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null &&
        exit 0
fi
echo "Could not install ${missing[*]}: the browser tests cannot run." >&2
