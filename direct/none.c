/* SPDX-License-Identifier: MIT */
/*
 * direct/none.c - in place of the direct engine where the host cannot have it.
 */
#include <string.h>

#include "direct/direct.h"

static const char lacking[] = "the direct engine needs an x86-64 Linux host";

const char *direct_probe(void)
{
	return lacking;
}

struct direct *direct_new(const struct direct_config *config, const char **why)
{
	(void)config;
	*why = lacking;
	return NULL;
}

void direct_free(struct direct *d)
{
	(void)d;
}

const char *direct_confine(struct direct *d)
{
	(void)d;
	return lacking;
}

/* Nobody has an engine to call the rest with. */

enum cpu_exit direct_run(struct direct *d)
{
	(void)d;
	return CPU_EXIT_STOP;
}

enum cpu_exit direct_step(struct direct *d)
{
	(void)d;
	return CPU_EXIT_STOP;
}

void direct_interrupt(struct direct *d, void *context)
{
	(void)d, (void)context;
}

void direct_invalidate_root(struct direct *d, uint32_t root, um_gva first, um_gva last)
{
	(void)d, (void)root, (void)first, (void)last;
}

void direct_get_stats(const struct direct *d, struct direct_stats *out)
{
	(void)d;
	memset(out, 0, sizeof *out);
}

bool direct_verify(struct direct *d, char *why, size_t bytes)
{
	(void)d, (void)why, (void)bytes;
	return true;
}
