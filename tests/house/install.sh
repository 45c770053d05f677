#!/bin/sh
# SPDX-License-Identifier: MIT
# make install: an embedder's program builds against what was installed, by pkg-config alone.
. tests/lib/tap.sh
command -v pkg-config >/dev/null || skip_all "no pkg-config here"

root=$tmp/root
make=${MAKE:-make}
install_it() { $make -s --no-print-directory BUILD="$build" PREFIX=/opt/umbra DESTDIR="$root" install; }
uninstall_it() { $make -s --no-print-directory BUILD="$build" PREFIX=/opt/umbra DESTDIR="$root" uninstall; }
is_there() { for file; do [ -f "$root/opt/umbra/$file" ] || { echo "no $file"; return 1; }; done; }
flags() {
	PKG_CONFIG_PATH=$root/opt/umbra/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" umbra
}
cat >"$tmp/embedder.c" <<'END'
#include <stdio.h>
#include <umbra/shadow.h>

int main(void)
{
	struct um_config config = { .format = &um_format_i386 };

	/* No callbacks, no budget: the library must refuse, not crash. */
	printf("%s %zu\n", um_format_i386.name, um_size(&config));
	return um_size(&config) != 0;
}
END
builds() {
	# shellcheck disable=SC2046  # words
	${CC:-cc} -std=c11 -Wall -Wextra -pedantic -Werror -o "$tmp/embedder" "$tmp/embedder.c" \
		$(flags --cflags --libs) ${SAN:+-fsanitize=address,undefined}
}
stands_alone() { echo '#include <umbra/shadow.h>' | ${CC:-cc} -x c -std=c11 -pedantic -Wall -Werror $(flags --cflags) -fsyntax-only -; }
all_gone() { [ -z "$(find "$root" ! -type d)" ] || { find "$root" ! -type d; false; }; }

plan 7
check "it installs below DESTDIR" install_it
check "library, header, program, man page, pkg-config file are there" is_there lib/libumbra.a include/umbra/shadow.h \
	bin/umbra share/man/man1/umbra.1 lib/pkgconfig/umbra.pc
check "pkg-config names a version" flags --modversion
check "the header stands alone" stands_alone
check "an embedder builds with pkg-config's flags" builds
check "the embedder runs" "$tmp/embedder"
uninstall_it >/dev/null 2>&1
check "uninstall leaves no file" all_gone
