#!/bin/sh
# SPDX-License-Identifier: MIT
# Where libslirp is missing umbra is built all the same, and says in one line what it lacks.
. tests/lib/tap.sh

without=$build/noslirp
make_without() { ${MAKE:-make} -s --no-print-directory SLIRP= BUILD="$without" "$@"; }
cat >"$tmp/main.c" <<'END'
#include <stdio.h>
#include "machine/virtio/virtio.h"
int main(void)
{
	char error[256] = "";
	struct net_backend *n = net_open_user("user", error, sizeof error);
	printf("%s\n", error);
	return n != NULL;
}
END
link_and_run() {
	${CC:-cc} -I. -o "$tmp/main" "$tmp/main.c" "$without/machine/virtio/net_user_none.o" && "$tmp/main" >"$tmp/said"
}

plan 5
check "it builds" make_without "$without/machine/virtio/net_user_none.o"
check "it refuses" link_and_run
check "it says what is missing" has 'without libslirp.*libslirp-dev' "$tmp/said"
check "in one line" [ "$(wc -l <"$tmp/said")" = 1 ]
make_without -n "$without/umbra" >"$tmp/commands" 2>&1 || :
check "neither the library nor its file is asked for" hasnt 'slirp/libslirp\|-lslirp\|net_user\.o' "$tmp/commands"
