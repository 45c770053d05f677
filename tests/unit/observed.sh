#!/bin/sh
# SPDX-License-Identifier: MIT
# Watching a guest changes nothing: the processor's own tests pass as well when somebody watches every translation and
# asks for each instruction once more, to know exactly which one it is (cpu/observe.c).
. tests/lib/tap.sh

tests='cpu_run cpu_memory cpu_blocks cpu_integer cpu_fpu_state cpu_fpu_gates cpu_sys_control cpu_sys_far cpu_sys_interrupt
	cpu_sys_segments cpu_sys_task'
observed() { TEST_OBSERVED=1 timeout 300 "$build/tests/unit/$1" >"$tmp/out" 2>&1 || { grep -v '^ok' "$tmp/out"; false; }; }

plan $(echo $tests | wc -w)
for test in $tests; do
	if [ -x "$build/tests/unit/$test" ]; then
		check "$test" observed "$test"
	else
		skip "$test" "it was not built"
	fi
done
