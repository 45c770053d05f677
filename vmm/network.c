/* SPDX-License-Identifier: MIT */
/*
 * vmm/network.c - the networks' file descriptors, in the loop that all devices share.
 */
#include <poll.h>

#include "machine/virtio/virtio.h"
#include "vmm/internal.h"

unsigned network_fill(struct vm *vm, struct pollfd *fds, unsigned room, int *timeout_ms)
{
	unsigned count = 0;
	/* Each has its share: a guest with many connections on one network starves none of the others. */
	for (unsigned n = 0; n < vm->nets; n++)
		count += vm->net[n]->ops->fill(vm->net[n], fds + count, (room - count) / (vm->nets - n),
		                               timeout_ms);
	return count;
}

/* A network looks for its own among them. */
void network_process(struct vm *vm, const struct pollfd *fds, unsigned count)
{
	for (unsigned n = 0; n < vm->nets; n++)
		vm->net[n]->ops->process(vm->net[n], fds, count);
}

void network_pump(struct vm *vm)
{
	struct pollfd fds[NETWORK_FDS];
	int timeout = 0;
	if (!vm->nets)
		return;
	unsigned count = network_fill(vm, fds, NETWORK_FDS, &timeout);
	if (poll(fds, count, 0) >= 0)
		network_process(vm, fds, count);
}
