#!/usr/bin/env bash
# Installs what the tests need beside Python packages: from Debian Chromium with its driver, Node,
# libwebsockets' test server, proxies, systemd's tools and Prometheus; from npm `ws`, AsyncAPI's
# schemas, axe-core and TypeScript. Where that is not possible, says so and lets the tests decide: they
# skip, or fail when CI=true (tests/conftest.py).
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

missing=()
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
echo '#include <zlib.h>' | cc -E - >/dev/null 2>&1 || missing+=(gcc libc6-dev zlib1g-dev)
command -v libwebsockets-test-server >/dev/null || missing+=(libwebsockets-test-server)
command -v tinyproxy >/dev/null || missing+=(tinyproxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v promtool >/dev/null || missing+=(prometheus)
compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null || missing+=(libfaketime)
command -v microsocks >/dev/null || missing+=(microsocks)
command -v openssl >/dev/null || missing+=(openssl)

install_missing() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null || return 1
    echo "Installing ${missing[*]} with apt-get ..."
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

if [ ${#missing[@]} -gt 0 ] && ! install_missing; then
    echo "Could not install ${missing[*]}: the tests that need them cannot run." >&2
fi
if command -v npm >/dev/null &&
    ! ls -d .node/node_modules/{ws,@asyncapi/specs,axe-core,typescript} >/dev/null 2>&1; then
    # Nothing newer than what all tests have passed with.
    npm install --silent --no-fund --no-audit --prefix .node \
        'ws@>=8 <=8.23.0' '@asyncapi/specs@>=6 <=6.11.1' 'axe-core@>=4 <=4.14.1' \
        'typescript@>=7 <=7.0.2' >/dev/null ||
        echo "Could not install packages from npm: the tests that need them cannot run." >&2
fi
exit 0
