#!/bin/sh
# SPDX-License-Identifier: MIT
# The tree's own rules: licence lines, no unfinished marks, no globals, a core that needs nobody.
. tests/lib/tap.sh

sources() {
	find bench cli cpu direct guest guests include machine record scope shadow tests tools vmm -type f 2>/dev/null |
		grep -E '\.([chS]|sh|py)$|^tools/[a-z-]*$' | grep -v -e '^bench/guestbench/' -e '^tools/packages$'
}
licensed() {
	for file in $(sources); do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
	done | grep . && return 1
	return 0
}
mark='TO''DO|FIX''ME|X''XX'
finished() { ! sources | xargs grep -n -E "\\b($mark)\\b"; }
# Sections for variables are empty: all state hangs from an object, tables are const.  (A handler of SIGSEGV gets no
# pointer: direct/signal.c knows the engine that a thread runs, and whose handlers there were before.)
no_variables() {
	size -A "$build/libumbra.a" "$build/libvm.a" | awk '
		/^[^ .]*\.o/ { object = $1 }
		object == "signal.o" { next }
		($1 ~ /^\.(data|bss|tdata|tbss|init_array|ctors)/ && $1 !~ /^\.data\.rel\.ro/ || $1 == "COMMON") && $2 > 0 {
			print object, $1, $2; bad = 1
		}
		object { seen = 1 }
		END { exit bad || !seen }'
}
needs_nobody() { # what the compiler may call by itself (C11 freestanding, GCC manual 2.1), and nothing else
	nm "$build/libumbra.a" | awk '$1 == "U" { used[$2] } NF == 3 && $2 ~ /[A-Z]/ { here[$3] }
		END { for (s in used) if (!(s in here)) print s }' |
		grep -v -x -E 'mem(cpy|move|set|cmp)|__asan_.*|__ubsan_.*' && return 1
	return 0
}
exits() { ! grep -n -E '\b(exit|abort|_exit)\(' shadow/*.c cpu/*.c machine/*.c machine/*/*.c guest/*.c guest/*/*.c record/*.c vmm/*.c direct/*.c scope/*.c; }
links_alone() { # with the four functions above and nothing else
	cat >"$tmp/alone.c" <<'END'
#include <umbra/shadow.h>
void *memcpy(void *to, const void *from, size_t n) { char *d = to; const char *s = from; while (n--) *d++ = *s++; return to; }
void *memmove(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
void *memset(void *to, int c, size_t n) { char *d = to; while (n--) *d++ = (char)c; return to; }
int memcmp(const void *a, const void *b, size_t n) { (void)a; (void)b; (void)n; return 0; }
void _start(void);
void _start(void) { struct um_config c = { 0 }; struct um *um; um_init((void *)0, &c, &um); for (;;) ; }
END
	${CC:-cc} -std=c11 -ffreestanding -fno-stack-protector -nostdlib -static -Iinclude -Wl,--whole-archive \
		-Wl,-z,defs -o "$tmp/alone" "$tmp/alone.c" "$build/libumbra.a"
}

plan 6
check "every source names its licence" licensed
check "no source is marked unfinished" finished
check "the libraries have no variables and no constructors" no_variables
check "the core calls nobody" needs_nobody
check "the core links with -nostdlib" links_alone
check "no library ends the process" exits
