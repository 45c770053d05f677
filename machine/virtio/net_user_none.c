/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net_user_none.c - in place of net_user.c where libslirp is not on the machine that
 * builds (the Makefile chooses): the user is told, once, in one line.
 */
#include <stdio.h>

#include "machine/virtio/virtio.h"

struct net_backend *net_open_user(const char *options, char *error, size_t room)
{
	(void)options;
	snprintf(error, room,
		 "no user-mode network: umbra was built without libslirp (Debian's libslirp-dev)");
	return NULL;
}
