#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole tree builds without a warning with the other compiler too.
. tests/lib/tap.sh

case $(${CC:-cc} --version) in
*clang*) other=gcc ;;
*) other=clang ;;
esac
command -v $other >/dev/null || skip_all "no $other here"

plan 2
# Warnings are errors in every build.
check "all objects build with $other" ${MAKE:-make} -s --no-print-directory CC=$other BUILD="$build/$other" objects
check "the program links with $other" ${MAKE:-make} -s --no-print-directory CC=$other BUILD="$build/$other" all
