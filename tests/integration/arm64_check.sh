#!/bin/sh
# Compiles the rooms that decide (no device, socket or disk in them) for arm64 and, with char signed and unsigned
# both, reports every warning: arm64_check.sh [SOURCE_DIR]. Nodes are often small boards. Their headers of
# libraries are those of this machine, which are the same for every architecture that Debian has.
set -eu

source=$(cd "${1:-$(dirname "$0")/../..}" && pwd)
cc=${CROSS_CC:-aarch64-linux-gnu-gcc}
if ! command -v "$cc" >/dev/null; then
	echo "skipped: $cc is not installed: apt-get install gcc-aarch64-linux-gnu"
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-arm64-XXXXXX")
trap 'rm -rf "$work"' EXIT

# Headers of libraries alone, so that the cross compiler keeps its own of the C library.
mkdir "$work/include"
for header in sodium sodium.h openssl cbor cbor.h sqlite3.h jansson.h jansson_config.h zmq.h zmq_utils.h; do
	[ ! -e "/usr/include/$header" ] || cp -r "/usr/include/$header" "$work/include/"
done
multiarch=$(gcc -print-multiarch)
for header in openssl jansson_config.h; do
	[ ! -e "/usr/include/$multiarch/$header" ] || cp -r "/usr/include/$multiarch/$header" "$work/include/"
done

rooms="proto/base proto/cbor proto/cose proto/seal proto/tlog proto/statement proto/core
	broker/core broker/log escrow/core sensor-node/core"
files=$(cd "$source" && for room in $rooms; do ls "$room"/*.c; done; cd "$source" &&
	ls buyer-sdk/src/buyer*.c buyer-sdk/src/bundle*.c escrow/verify/gates.c escrow/verify/checks.c escrow/verify/verifier*.c)
count=0
bad=0
for char in signed unsigned; do
	for file in $files; do
		count=$((count + 1))
		if ! "$cc" -std=gnu17 -O2 -D_GNU_SOURCE -I"$source" -I"$source/buyer-sdk/include" -isystem "$work/include" \
			-Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 \
			-Wundef -Wvla -Wcast-align=strict -Werror "-f$char-char" -c -o "$work/out.o" "$source/$file" 2>"$work/log"; then
			bad=$((bad + 1))
			echo "$file ($char char):" >&2
			head -n 20 "$work/log" >&2
		fi
	done
done
if [ "$bad" -ne 0 ]; then
	echo "failed: $bad of $count compilations for arm64" >&2
	exit 1
fi
echo "$count compilations for arm64 with no warning, char signed and unsigned: $($cc -dumpmachine), gcc $($cc -dumpversion)"
