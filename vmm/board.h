/* SPDX-License-Identifier: MIT */
/*
 * vmm/board.h - what is around the processor: a PC, or the host of a paravirtual guest.
 *
 * The loop (run.c) knows of a board only this table.  A board is one file, one table, one line in vm.c.
 * Its state hangs from struct vm.
 */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include "vmm/vmm.h"

enum board_wish {
	BOARD_RUN,
	BOARD_POWER_OFF,
	BOARD_RESET,
	BOARD_DEBUG_EXIT, /* code in vm_exit_code() */
	BOARD_CRASHED,    /* the guest reports its own end: board_ops.reason() */
	BOARD_KILLED,     /* it broke an interface: board_ops.reason() */
};

struct board_ops {
	const char *name;
	/* Memory above RAM that devices share with the guest, bytes. */
	uint64_t device_bytes;
	uint64_t max_gfn;                    /* 0: what RAM has */
	/* Devices: guest memory is there, the shadow and the processor are not yet. */
	bool (*make)(struct vm *vm, struct guest_error *error);
	/* ... now they are (may be NULL) */
	bool (*join)(struct vm *vm, struct guest_error *error);
	void (*connect)(struct vm *vm, struct cpu_config *cpu);
	/* Load the guest's image and put everything in its first state (again, after a reset). */
	bool (*load)(struct vm *vm, struct guest_error *error);
	void (*reset)(struct vm *vm);
	void (*free)(struct vm *vm);         /* of a half-made one too */
	/* What is behind a guest frame that is not RAM. */
	enum um_grant (*grant)(struct vm *vm, um_gfn gfn);

	/* ns: when poll() has work next; UINT64_MAX: never.  One-shot timers may be met `slack` ns late. */
	uint64_t (*deadline)(struct vm *vm, uint64_t slack);
	void (*poll)(struct vm *vm);         /* before each slice */
	bool (*is_waiting)(struct vm *vm);   /* short slices, please (may be NULL) */
	bool (*is_full)(struct vm *vm);      /* no guest code until the console took more (may be NULL) */
	void (*flush)(struct vm *vm);        /* output that is being gathered */
	size_t (*hear)(struct vm *vm, const uint8_t *bytes, size_t count); /* console input: how much it took */
	enum board_wish (*wish)(struct vm *vm);
	const char *(*reason)(struct vm *vm);
	/* Interrupts are off, so that nothing from outside reaches the guest. */
	bool (*interrupts_off)(struct vm *vm);
};

extern const struct board_ops board_pc, board_lguest;

#endif
