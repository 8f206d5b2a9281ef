#!/bin/sh
# What `meson install` puts in place works from there: install_test.sh BUILD_DIR SOURCE_DIR
# Programs, library, header, pkg-config file and manuals are installed below a fresh directory; a program outside
# of the tree is built against them with pkg-config alone; the installed market runs, and the program buys in it.
set -eu

build=$1
source=$2
root=$(mktemp -d "${TMPDIR:-/tmp}/assay-install-XXXXXX")
market=

cleanup() {
	status=$?
	if [ -n "$market" ]; then
		kill "$market" 2>/dev/null || :
		wait "$market" 2>/dev/null || :
	fi
	if [ "$status" -eq 0 ] || [ "$status" -eq 77 ]; then
		rm -rf "$root"
	else
		echo "what was installed stays in $root" >&2
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

fail() {
	echo "failed: $1" >&2
	exit 1
}

for tool in meson pkg-config cc; do
	if ! command -v "$tool" >/dev/null; then
		echo "skipped: $tool is not installed"
		exit 77
	fi
done

meson install -C "$build" --no-rebuild --quiet --destdir "$root/dest"

prefix=$(meson introspect "$build" --buildoptions |
	/usr/bin/python3 -c 'import json, sys; print({o["name"]: o["value"] for o in json.load(sys.stdin)}["prefix"])')
installed=$root/dest$prefix
pc=$(find "$installed" -name assay.pc)
[ -n "$pc" ] || fail "no assay.pc was installed"
lib=$(dirname "$(dirname "$pc")")

for program in assay assay-broker assay-escrow assay-verifier assay-node; do
	[ -x "$installed/bin/$program" ] || fail "$program was not installed"
done
[ -f "$installed/include/assay/assay.h" ] || fail "assay.h was not installed"
[ -L "$lib/libassay.so" ] || fail "libassay.so was not installed"
for page in man1/assay.1 man1/assay-broker.1 man1/assay-escrow.1 man1/assay-verifier.1 man1/assay-node.1 \
	man3/libassay.3 man5/assay-bundle.5; do
	ls "$installed/share/man/$page"* >/dev/null 2>&1 || fail "the manual $page was not installed"
done
objdump -p "$lib/libassay.so" | grep -q 'SONAME *libassay.so.0$' || fail "the soname is not libassay.so.0"
strangers=$(nm -D --defined-only "$lib/libassay.so" | awk '$2 != "A" && $3 !~ /^assay_/ { print $3 }')
[ -z "$strangers" ] || fail "the library shows more than assay_*: $strangers"

# Nothing of the source tree but the example's own text.
cp "$source/examples/buy_measurement.c" "$root/"
export PKG_CONFIG_SYSROOT_DIR="$root/dest"
export PKG_CONFIG_LIBDIR="$lib/pkgconfig"
export LD_LIBRARY_PATH="$lib"
# shellcheck disable=SC2046 # the flags are words
cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o "$root/buy" "$root/buy_measurement.c" \
	$(pkg-config --cflags --libs assay) || fail "the example does not build with pkg-config"
[ "$(pkg-config --modversion assay)" = "$("$installed/bin/assay" --version | grep -o '[0-9][0-9.]*')" ] ||
	fail "pkg-config and assay --version name different versions"
if command -v c++ >/dev/null; then
	echo '#include <assay/assay.h>
	int main() { return assay_version()[0] == 0; }' >"$root/version.cc"
	# shellcheck disable=SC2046 # the flags are words
	c++ -Wall -Wextra -Werror -o "$root/version" "$root/version.cc" $(pkg-config --cflags --libs assay) ||
		fail "the header is no C++"
	"$root/version" || fail "the library does not say its version"
else
	echo "skipped: the header in C++: there is no c++"
fi

if [ ! -x "$build/examples/scpi-instrument/scpi-instrument" ]; then
	echo "skipped: buying from an installed market: scpi-instrument is not built"
	exit 0
fi
mkfifo "$root/ready"
# The demonstration's instrument is no part of an installation.
ASSAY_BIN_DIR="$installed/bin:$build/examples/scpi-instrument" \
	"$installed/bin/assay" up --demo --json --dir "$root/market" >"$root/ready" 2>"$root/log" &
market=$!
read -r ready <"$root/ready" || {
	cat "$root/log" >&2
	fail "the installed market does not start"
}
case $ready in
*'"ready":true'* | *'"ready": true'*) ;;
*) fail "the installed market says: $ready" ;;
esac
"$root/buy" "$root/market" "$root/voltage.assay" || fail "the example does not buy"
"$installed/bin/assay" verify "$root/voltage.assay" >/dev/null || fail "what it bought does not verify"
/usr/bin/python3 - "$root/voltage.assay" <<'END'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[len(b) // 2] ^= 1
open(sys.argv[1], "wb").write(b)
END
status=0
"$installed/bin/assay" verify "$root/voltage.assay" >/dev/null 2>&1 || status=$?
[ "$status" -eq 5 ] || fail "a bundle with another bit ends with status $status instead of 5"
echo "installed below $root/dest$prefix, bought, verified, and one changed bit refused"
