/* SPDX-License-Identifier: MIT */
/* tests/lib/small_vm.c - a machine with a guest of a few bytes. */
#include "tests/lib/small_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void small_vm_make(struct small_vm *s, const void *code, size_t bytes, bool paused)
{
	struct made *m = calloc(1, sizeof *m);
	struct guest_error error;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, SMALL_CODE };
	memset(s, 0, sizeof *s);
	loading_start(&s->files, 1u << 20); /* for its temporary files only */
	made_copy(m, 0, header, sizeof header);
	made_copy(m, sizeof header, code, bytes);
	const struct vm_config config = {
		.ram_bytes = 16u << 20,
		.um_options = UM_OPT_ALL,
		.cpu_options = CPU_OPT_ALL,
		.paused = paused,
		.console = { .in = -1, .out = -1 },
		.guest = { .kernel = loading_file(&s->files, 0, m->bytes, m->size) },
	};
	s->vm = vm_new(&config, &error);
	free(m);
	if (s->vm)
		return;
	fprintf(stderr, "%s\n", error.text);
	abort();
}

static void *run(void *small)
{
	struct small_vm *s = small;
	s->end = vm_run(s->vm);
	return NULL;
}

void small_vm_start(struct small_vm *s)
{
	if (pthread_create(&s->thread, NULL, run, s) != 0)
		abort();
}

enum vm_end small_vm_stop(struct small_vm *s)
{
	vm_kick(s->vm);
	pthread_join(s->thread, NULL);
	return s->end;
}

void small_vm_free(struct small_vm *s)
{
	vm_free(s->vm);
	loading_end(&s->files);
}

/* (Read while it runs: one aligned word, which is whole on any host that there is.) */
uint32_t small_vm_counter(struct small_vm *s)
{
	uint32_t value = 0;
	vm_read_physical(s->vm, SMALL_COUNTER, &value, sizeof value);
	return value;
}
