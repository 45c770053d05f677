/* SPDX-License-Identifier: MIT */
/*
 * vmm/descriptors.c - file descriptors that others want watched: the monitor's, the debugger's.
 */
#include <poll.h>

#include "vmm/internal.h"

unsigned descriptors_fill(struct vm *vm, struct pollfd *fds)
{
	for (unsigned k = 0; k < vm->descriptors; k++)
		fds[k] = (struct pollfd){ .fd = vm->descriptor[k].fd, .events = vm->descriptor[k].events };
	return vm->descriptors;
}

static const struct vm_descriptor *find(const struct vm *vm, int fd)
{
	for (unsigned k = 0; k < vm->descriptors; k++)
		if (vm->descriptor[k].fd == fd)
			return &vm->descriptor[k];
	return NULL;
}

/* Each may add and remove any, its own too: they are found by number again.  (One that was closed and whose number is
 * another's by now is called for nothing, which poll()'s users must be able to bear.) */
void descriptors_process(struct vm *vm, const struct pollfd *fds, unsigned count)
{
	for (unsigned k = 0; k < count; k++) {
		const struct vm_descriptor *found = fds[k].revents ? find(vm, fds[k].fd) : NULL;
		if (found)
			found->ready(found->user, fds[k].fd, fds[k].revents);
	}
}

void descriptors_pump(struct vm *vm)
{
	struct pollfd fds[VM_DESCRIPTORS_MAX];
	unsigned count = descriptors_fill(vm, fds);
	if (count && poll(fds, count, 0) > 0)
		descriptors_process(vm, fds, count);
}

bool vm_add_descriptor(struct vm *vm, const struct vm_descriptor *descriptor)
{
	if (vm->descriptors == VM_DESCRIPTORS_MAX)
		return false;
	vm->descriptor[vm->descriptors++] = *descriptor;
	return true;
}

void vm_set_descriptor(struct vm *vm, int fd, short events)
{
	for (unsigned k = 0; k < vm->descriptors; k++)
		if (vm->descriptor[k].fd == fd)
			vm->descriptor[k].events = events;
}

void vm_remove_descriptor(struct vm *vm, int fd)
{
	unsigned kept = 0;
	for (unsigned k = 0; k < vm->descriptors; k++)
		if (vm->descriptor[k].fd != fd)
			vm->descriptor[kept++] = vm->descriptor[k];
	vm->descriptors = kept;
}
