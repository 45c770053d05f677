/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgbox.h - a machine for fuzzing the lguest host: everything behind a guest's hypercalls, nothing slow.
 *
 * A real core, a real processor, the host, and every virtio device on each of its transports, around 1 MiB of RAM
 * with the device pages above it.  Nothing can be reached below that memory nor for 4 GiB above: a 32-bit address
 * that escapes its check crashes.  The same machine serves one input after the other; lgbox_begin() puts back what
 * the last one changed, which it knows because whoever writes must say so: a page that changed in silence is a
 * finding.
 *
 *   1. The map      where things are in the guest
 *   2. The machine
 *   3. Life         lgbox_new, lgbox_begin, lgbox_end
 *   4. Moves        what a guest and the outside can do
 *   5. Inputs       a program of moves from bytes
 */
#ifndef TESTS_LGBOX_H
#define TESTS_LGBOX_H

#include "cpu/internal.h"
#include "guest/lguest/lguest.h"
#include "machine/virtio/virtio.h"

/* ---- 1. The map ----------------------------------------------------------------------------- */

#define LGBOX_MEM (1u << 20)
#define LGBOX_MAPPED (LGBOX_MEM + LGUEST_DEVICE_PAGES * UM_PAGE_SIZE)
#define LGBOX_PAGES (LGBOX_MAPPED / UM_PAGE_SIZE)
#define LGBOX_MMIO LGBOX_MAPPED          /* family G: BARs */
#define LGBOX_MMIO_END (LGBOX_MMIO + 0x10000u)
#define LGBOX_SPLIT 0xC0000000u

enum {
	LGBOX_DATA = 0x4000, LGBOX_TEXT = 0x6000, LGBOX_USER = 0x7000, LGBOX_HANDLERS = 0x8000, LGBOX_SCRATCH = 0xA000,
	LGBOX_TEXTS = 0xB000,
	LGBOX_STACK = 0xC000, LGBOX_STACK_END = 0xE000,
	LGBOX_BOOT_DIR = 0x10000, /* identity, and the kernel's alias */
	LGBOX_DIRS = 0x11000,     /* the alias, and each its own page table at LGBOX_USER_VA */
	LGBOX_DIR_COUNT = 8,
	LGBOX_KERNEL_TABLE = 0x19000,
	LGBOX_USER_TABLES = 0x1A000,
	LGBOX_USER_VA = 0x08048000,
};

/* ---- 2. The machine ------------------------------------------------------------------------- */

enum { LGBOX_TABLES = 72, LGBOX_DEVICES = 4, LGBOX_DISK = 128 << 10 };

#define LGBOX_DATA_BYTES 1396u /* of the largest struct lguest_data */

struct lgbox_disk {
	struct disk_backend backend;
	uint8_t bytes[LGBOX_DISK];
};

/* Family B's page, the later page, PCI: each has devices of its own. */
enum lgbox_transport { LGBOX_FORMAT1, LGBOX_FORMAT2, LGBOX_PCI, LGBOX_TRANSPORTS };

struct lgbox_devices {
	struct virtio_device *device[LGBOX_DEVICES]; /* console, block, net, entropy */
	struct lgbox_disk disk;
	struct net_backend net;
};

struct lgbox_setting {
	enum lguest_family family;    /* that the guest speaks */
	bool forced;                  /* the host is told */
	bool old_page;                /* B: device page of format 1 */
	unsigned progress;            /* 0: before LGUEST_INIT, 1: after it, 2: after boot */
	uint32_t um_options, max_tables, max_roots, prefetch, tsc_khz;
	uint32_t data, split, syscall_vector; /* where lguest_data is, and what it says */
	bool odd;                     /* ... not as any guest has it */
	uint32_t fail_every;          /* get_table() fails each n-th time, 0: never */
};

struct lgbox {
	uint8_t *ram;                 /* LGBOX_MAPPED bytes */
	uint8_t *pristine;            /* ... as a guest finds them */
	uint8_t dirty[LGBOX_PAGES];
	uint8_t announced[LGBOX_DATA_BYTES]; /* struct lguest_data as those who wrote it said */
	uint32_t data;                /* physical */
	bool data_shared;             /* the guest's own stores go there */
	bool data_updated;            /* the core wrote Accessed or Dirty there */
	struct lgbox_setting set;
	struct lguest *lg;
	struct cpu *cpu;
	struct um *um;
	struct um_config um_config;
	void *um_memory;
	size_t um_bytes;
	uint64_t limit;               /* as told to the host */
	enum lgbox_transport transport;
	struct device_page *page[2];
	struct virtio_pci *pci;
	struct lgbox_devices set_of[LGBOX_TRANSPORTS];
	struct virtio_memory memory;
	uint8_t *slab;                /* shadow tables' memory */
	uint32_t free_table[LGBOX_TABLES], free_tables;
	uint32_t table_calls;
	bool failing;                 /* get_table() failed in this input */
	uint32_t borrowed;
	uint64_t now;
	unsigned ring_slot;           /* the guest's next slot */
	bool booted;                  /* it runs at LGBOX_SPLIT */
	unsigned lives;
	/* since lgbox_new() */
	uint64_t work, work_before;   /* calls of the core's and the devices' that reached us */
	uint64_t moves, calls, runs, inputs, ends[5], most_work;
	uint64_t said;
};

/* ---- 3. Life -------------------------------------------------------------------------------- */

struct lgbox *lgbox_new(uint32_t cpu_options);
void lgbox_free(struct lgbox *b);
/* A guest at its start, or as far as the setting says. */
void lgbox_begin(struct lgbox *b, const struct lgbox_setting *set);
/* What must hold of a guest's life when it is over; `whole`: all of memory is compared, too. */
void lgbox_end(struct lgbox *b, bool whole);
/* The guest from its beginning again, as an embedder does when it asks for it. */
void lgbox_restart(struct lgbox *b);
/* ... its part that restores memory, counts, and makes room for another life. */
void lgbox_renew(struct lgbox *b);
void lgbox_make_devices(struct lgbox *b);
/* virtio_memory's and lguest_world's: somebody wrote there. */
void lgbox_wrote(void *b, uint64_t gpa, uint64_t bytes);
/* Says what is wrong, and aborts. */
void lgbox_fail(const struct lgbox *b, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* What holds between any two moves: cheap; and with a look at everything. */
void lgbox_check(struct lgbox *b);
void lgbox_audit(struct lgbox *b);

/* ---- 4. Moves ------------------------------------------------------------------------------- */

/* Guest memory is written, and whoever must know is told. Clipped to memory. */
void lgbox_store(struct lgbox *b, uint32_t gpa, const void *bytes, uint32_t count);
void lgbox_put(struct lgbox *b, uint32_t gpa, uint32_t word);
uint32_t lgbox_get(const struct lgbox *b, uint32_t gpa);
void lgbox_set_ring(struct lgbox *b, unsigned ring);
/* A direct call from ring 1, arguments in the family's registers; by VMCALL where `vmcall`. */
void lgbox_call(struct lgbox *b, uint32_t number, const uint32_t arg[4], bool vmcall);
/* Into the guest's next slot, whatever its status says. */
void lgbox_queue(struct lgbox *b, uint32_t number, const uint32_t arg[4]);
/* Anything that meets a gate of the host's. */
void lgbox_trap(struct lgbox *b, const struct cpu_event *event);
/* A few instructions from these bytes, in ring 1 or 3. */
void lgbox_run(struct lgbox *b, unsigned ring, const void *code, unsigned bytes, unsigned instructions);
struct virtio_device *lgbox_device(struct lgbox *b, unsigned n);

/* ---- 5. Inputs ------------------------------------------------------------------------------ */

void lgbox_play(struct lgbox *b, const uint8_t *input, size_t bytes);

#endif
