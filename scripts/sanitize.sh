#!/usr/bin/env bash
# Usage: sanitize.sh [pytest arguments]. Builds the native twin with AddressSanitizer and
# UndefinedBehaviorSanitizer, every warning an error, in a copy of the checkout, and runs the tests
# that drive it. Without a compiler that can do that it fails where CI=true, and else says so.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
compiler=${CC:-gcc}
warnings="-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wcast-function-type -Werror"
sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

give_up() {
    echo "sanitize: NOTHING WAS CHECKED: $1" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
}

command -v "$compiler" >/dev/null || give_up "there is no compiler called $compiler"
# The name alone comes back for what the compiler does not have.
runtime=$("$compiler" -print-file-name=libasan.so)
[ -e "$runtime" ] || give_up "$compiler has no libasan (Debian: it comes with gcc)"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# Whatever runs beside this may write compiled modules meanwhile.
tar -c --exclude=__pycache__ --exclude="*.so" --exclude=.work \
    rfc6455 tests fuzz bench pyproject.toml | tar -x -C "$copy"
cd "$copy"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
for name in codec deflate head inbox channel; do
    # shellcheck disable=SC2086
    "$compiler" -shared -fPIC -std=c11 -g -O1 $warnings $sanitizers -isystem "$include" \
        "rfc6455/_native/$name.c" -o "rfc6455/_native/$name.so"
done

# Python's own allocator would hide what happens within its arenas. Leaks are not looked for: Python
# keeps much until the end, and what is kept for good is for the tests to find.
export PYTHONPATH=$copy PYTHONMALLOC=malloc LD_PRELOAD=$runtime
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
unset RFC6455_PURE
"$python" -c '
from rfc6455._native import channel, codec, deflate, head, inbox
assert b"__asan_init" in open(codec.__file__, "rb").read(), "built without AddressSanitizer"
import rfc6455
assert rfc6455.implementation == "native" and rfc6455.__file__.startswith("'"$copy"'")
'
[ $# -gt 0 ] || set -- tests/unit/test_{codec,parser,connection,streaming,permessage_deflate}.py tests/unit/{extensions,handshake} tests/fuzz/test_corpus.py \
    tests/transports/test_{channel,inbox,reads,reentrancy,sending,sockets,receiving,listener,closing}.py
# Everything takes many times as long.
"$python" -m pytest -q -p no:cacheprovider --timeout 300 "$@"
