/* SPDX-License-Identifier: MIT */
/*
 * direct/host.h - what the host's processor and kernel offer.
 */
#ifndef DIRECT_HOST_H
#define DIRECT_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* host.c */
const char *host_lacks(void); /* NULL: nothing */
bool host_has_wrgsbase(void);
void host_set_gs_base(uintptr_t base, bool wrgsbase);

#endif
