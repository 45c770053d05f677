/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/lguest.h - the host of a paravirtual guest: Linux built with CONFIG_LGUEST_GUEST, 2.6.24 to
 * 4.13.
 *
 * The guest's kernel runs in ring 1, its programs in ring 3; ring 0 is ours.  It asks by hypercall (INT 0x1F,
 * or VMCALL) for what a kernel does with privileged instructions, it *tells* of every change of its page
 * tables, and it shares a page of memory with us, struct lguest_data.  What traps in it comes here first and
 * is reflected to the handler that it registered.
 *
 *   1. Families    the interface changed with the releases; which one this guest speaks
 *   2. The world   what this host needs of its embedder
 *   3. Life        lguest_new, lguest_start, lguest_free
 *   4. Running     what the embedder's loop asks between two slices of guest code
 *   5. The end     how it ended, and what the guest said
 *   6. Looking     hypercalls counted
 *
 * Privileged state stands in the Switcher window at the top of the address space, in two pages as the
 * original had them: the guest's registers when it trapped (writable) and GDT, IDT and TSS (read-only).
 * Nothing here allocates after lguest_new(); one thread; a guest can end its own run, no more.
 */
#ifndef GUEST_LGUEST_LGUEST_H
#define GUEST_LGUEST_LGUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "guest/guest.h"

struct lguest;

/* ---- 1. Families ---------------------------------------------------------------------------- */

enum lguest_family {
	LGUEST_AUTO, /* recognised at its first hypercall */
	LGUEST_B,    /* 2.6.24 - 2.6.29 */
	LGUEST_C,    /* 2.6.30: VMCALL */
	LGUEST_D,    /* 2.6.31 - 2.6.33: VMCALL, four arguments */
	LGUEST_E,    /* 2.6.34 - 3.0 */
	LGUEST_F,    /* 3.1 - 3.19 */
	LGUEST_G1,   /* 4.0: devices on PCI */
	LGUEST_G2,   /* 4.1 - 4.13 */
	LGUEST_FAMILIES
};
/* "B" .. "G2" ("G" means G2), "auto", any case; false: no family's name. */
bool lguest_parse_family(const char *name, enum lguest_family *family);
const char *lguest_family_name(enum lguest_family family);

/* ---- 2. The world --------------------------------------------------------------------------- */

/* Addresses of the window: the top 4 MiB, as reserve_mem tells the guest. */
#define LGUEST_WINDOW 0xFFC00000u
#define LGUEST_WINDOW_BYTES 0x00400000u
#define LGUEST_HOST_CS 0x50u   /* the selector that IDT gates to us have: cpu_config.host_code */
#define LGUEST_DEVICE_PAGES 256u /* above RAM, at most */

/* Who hears of a NOTIFY: devices first, then it is text. */
struct lguest_world {
	void *user;
	struct um *um;
	struct cpu *cpu;          /* its bus.trap is lguest_trap(), its config.window LGUEST_WINDOW */
	uint8_t *ram;             /* guest-physical 0 */
	uint64_t ram_bytes;       /* mem: what e820 tells; whole MiB */
	uint64_t limit;           /* until `recognised` says another: bytes of guest-physical memory, device
	                           * pages above mem included */
	uint32_t tsc_khz;         /* of RDTSC; 0: the guest is not to use it */
	uint64_t (*now)(void *user);                                  /* ns, monotonic, the guest's clock */
	void (*wall)(void *user, uint32_t *seconds, uint32_t *nanoseconds); /* since 1970 */
	void (*wrote)(void *user, um_gpa gpa, uint64_t bytes);        /* we changed guest memory */
	/* The family is known, and the devices may be put where it looks for them: called once a start, from
	 * lguest_start() for a family that was given, else at LGUEST_INIT.  Returns the new limit in bytes.
	 * G: pages at and above it are the devices' registers (bus.mmio_*), and no entry is beyond it. */
	uint64_t (*recognised)(void *user, enum lguest_family family);
	/* NOTIFY of a physical address below the limit: true if it is a device's.  NULL: there is none. */
	bool (*notify)(void *user, um_gpa gpa);
	void (*say)(void *user, const char *text, size_t bytes);      /* early console: not terminated */
	/* Family G: its emulated ports; NULL: reads are all ones, writes go nowhere. */
	uint32_t (*port_in)(void *user, uint16_t port, unsigned bytes);
	void (*port_out)(void *user, uint16_t port, unsigned bytes, uint32_t value);
};

/* ---- 3. Life -------------------------------------------------------------------------------- */

/* Load a kernel (bzImage: its own decompressor runs; or 32-bit ELF) as the original launcher did: boot_params
 * at 0, command line at 0x1000, initrd at the top of RAM.  B: identity page tables below it; D, E and AUTO:
 * with the alias at 3 GiB as well (harmless for the others).  An image of 2.6.23 (family A) is refused.
 * Nothing is written before all of it is checked.  RAM is zero before; `request->ram_bytes` is mem. */
#define LGUEST_VERSION(major, minor, patch) ((uint32_t)(major) << 16 | (minor) << 8 | (patch))
struct lguest_boot {
	uint32_t entry;
	uint32_t pgdir;           /* physical; what CR3 starts with where tables were built; 0: 1:1 */
	uint32_t version;         /* of Linux, as the image says: LGUEST_VERSION(); 0: it does not */
};
bool lguest_load(const struct guest_request *request, enum lguest_family family, struct lguest_boot *boot,
                 struct guest_error *error);
/* Could this image only be an lguest guest?  (Linux whose notes or strings say so and that has no other way
 * in.) Used by -machine auto. */
bool lguest_only_image(const char *path);

struct lguest *lguest_new(const struct lguest_world *world); /* NULL: no memory */
void lguest_free(struct lguest *lg);
/* Put the processor, the window and the core in the state in which a guest begins (after lguest_load(); also
 * for a restart).  The core's learning mode is tracked until the guest is known to tell. false: no memory. */
bool lguest_start(struct lguest *lg, enum lguest_family family, const struct lguest_boot *boot);

/* ---- 4. Running ----------------------------------------------------------------------------- */

/* cpu_bus.trap, with the lguest as `user` (or called from the embedder's own). */
enum cpu_trap lguest_trap(void *lg, struct cpu *cpu, const struct cpu_event *event);
/* Between two slices: timer, time, interrupts that can be delivered now.  Cheap when there is nothing. */
void lguest_poll(struct lguest *lg);
/* A device's interrupt, 1..31 (level: stays pending until delivered). */
void lguest_raise(struct lguest *lg, unsigned irq);
/* The time (ns) at which lguest_poll() has work next; UINT64_MAX: none. */
uint64_t lguest_deadline(const struct lguest *lg);
/* An interrupt waits for the guest to become ready: keep the slices short. */
bool lguest_is_waiting(const struct lguest *lg);
/* Nothing from outside reaches the guest: interrupts are off (virtually) and it is not halted, or it has not
 * made its first call.  For watchdogs. */
bool lguest_interrupts_off(const struct lguest *lg);

/* What the embedder meets in the guest's place: each ends the guest with a reason.
 * cpu_run() returned CPU_EXIT_STOP or CPU_EXIT_SHUTDOWN (its other exits are nothing of ours). */
void lguest_stopped(struct lguest *lg, enum cpu_exit exit);

/* ---- 5. The end ----------------------------------------------------------------------------- */

enum lguest_end {
	LGUEST_RUNS,
	LGUEST_POWER_OFF, /* "Power down" */
	LGUEST_RESTART,
	LGUEST_CRASHED,   /* the guest said so: its text */
	LGUEST_KILLED,    /* it broke the interface: our text */
};
enum lguest_end lguest_ended(const struct lguest *lg);
const char *lguest_reason(const struct lguest *lg); /* one line, printable */
void lguest_kill(struct lguest *lg, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- 6. Looking ----------------------------------------------------------------------------- */

#define LGUEST_CALLS 20u
struct lguest_call_stats {
	uint64_t direct, async, nanoseconds; /* time: of a sample of calls, scaled; 0 while not asked for */
};
struct lguest_stats {
	struct lguest_call_stats call[LGUEST_CALLS]; /* by number */
	uint64_t interrupts, reflected, emulated;
	uint64_t needless_sends; /* SEND_INTERRUPTS with nothing to send */
	bool called;             /* there was a hypercall, whatever came of it */
};
const char *lguest_call_name(enum lguest_family family, unsigned number);
enum lguest_family lguest_family(const struct lguest *lg); /* as recognised */
void lguest_get_stats(const struct lguest *lg, struct lguest_stats *out);
void lguest_time_calls(struct lguest *lg, bool on);

#endif
