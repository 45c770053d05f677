/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgmoves.c - what a guest in the machine of lgbox.h does: it starts, calls, traps, runs.
 *
 *   1. Memory
 *   2. Rings, running
 *   3. Calls
 *   4. The start
 */
#include "tests/lib/lgbox.h"

#include <string.h>

/* ---- 1. Memory ------------------------------------------------------------------------------ */

void lgbox_store(struct lgbox *b, uint32_t gpa, const void *bytes, uint32_t count)
{
	if (gpa >= LGBOX_MAPPED || !count)
		return;
	if (count > LGBOX_MAPPED - gpa)
		count = LGBOX_MAPPED - gpa;
	memcpy(b->ram + gpa, bytes, count);
	b->memory.wrote(b, gpa, count);
}

void lgbox_put(struct lgbox *b, uint32_t gpa, uint32_t word) { lgbox_store(b, gpa, &word, 4); }

uint32_t lgbox_get(const struct lgbox *b, uint32_t gpa)
{
	uint32_t word;

	memcpy(&word, b->ram + gpa, 4);
	return word;
}

/* ---- 2. Rings, running ---------------------------------------------------------------------- */

/* Where the kernel sees memory: 1:1 until it is booted. */
static uint32_t base(const struct lgbox *b) { return b->booted ? LGBOX_SPLIT : 0; }

static struct cpu_segment segment(unsigned selector, unsigned type)
{
	return (struct cpu_segment){ (uint16_t)selector, (uint16_t)(0xC090u | (selector & 3) << 5 | type), 0,
		                     0xFFFFFFFFu };
}

void lgbox_set_ring(struct lgbox *b, unsigned ring)
{
	struct cpu *c = b->cpu;
	uint16_t code = ring == 3 ? 0x73 : 0x61;

	if (c->seg[CPU_CS].selector != code || c->cpl != ring || c->seg[CPU_SS].selector != (ring == 3 ? 0x7B : 0x69)) {
		c->seg[CPU_CS] = segment(code, 0xB);
		c->seg[CPU_SS] = c->seg[CPU_DS] = c->seg[CPU_ES] = segment(ring == 3 ? 0x7B : 0x69, 3);
		c->cpl = (uint8_t)ring;
		mode_changed(c);
	}
	c->eip = ring == 3 ? LGBOX_USER_VA : base(b) + LGBOX_TEXT;
	c->gpr[CPU_ESP] = ring == 3 ? LGBOX_USER_VA + 0x1F00 : base(b) + LGBOX_STACK_END - 64;
	c->undelivered.vector = -1;
	cpu_set_halted(c, false);
}

static void stopped(struct lgbox *b, enum cpu_exit exit)
{
	if (exit == CPU_EXIT_STOP || exit == CPU_EXIT_SHUTDOWN)
		lguest_stopped(b->lg, exit);
	else if (exit == CPU_EXIT_NOMEM && !b->failing)
		lgbox_fail(b, "no memory, though all that was asked for was given");
}

/* The host takes memory away and gives it back. */
void lgbox_run(struct lgbox *b, unsigned ring, const void *code, unsigned bytes, unsigned instructions)
{
	enum cpu_exit exit;

	b->runs++;
	b->data_updated = true; /* by the guest itself, perhaps */
	lgbox_store(b, ring == 3 ? LGBOX_USER : LGBOX_TEXT, code, bytes);
	exit = cpu_run(b->cpu, instructions);
	stopped(b, exit);
	if (exit != CPU_EXIT_NOMEM)
		return;
	b->set.fail_every = 0;
	stopped(b, cpu_run(b->cpu, instructions));
}

void lgbox_trap(struct lgbox *b, const struct cpu_event *event)
{
	enum cpu_trap result = lguest_trap(b->lg, b->cpu, event);

	if (lguest_ended(b->lg) != LGUEST_RUNS && result != CPU_TRAP_LEAVE)
		lgbox_fail(b, "the guest is no more, but the processor was told to go on");
	if (result == CPU_TRAP_AGAIN && !b->failing)
		lgbox_fail(b, "a trap was put off, though all memory that was asked for was given");
}

/* ---- 3. Calls ------------------------------------------------------------------------------- */

void lgbox_call(struct lgbox *b, uint32_t number, const uint32_t arg[4], bool vmcall)
{
	static const uint8_t old[4] = { CPU_EDX, CPU_EBX, CPU_ECX, CPU_ESI };
	static const uint8_t later[4] = { CPU_EBX, CPU_ECX, CPU_EDX, CPU_ESI };
	static const uint8_t code[3] = { 0x0F, 0x01, 0xC1 };
	const uint8_t *order = b->set.family == LGUEST_B ? old : later;
	struct cpu_event event = { .vector = 31, .software = true, .eflags = 0x202 };

	lgbox_set_ring(b, 1);
	cpu_set_gpr(b->cpu, CPU_EAX, number);
	for (unsigned n = 0; n < 4; n++)
		cpu_set_gpr(b->cpu, order[n], arg[n]);
	if (vmcall) {
		lgbox_store(b, LGBOX_TEXT, code, sizeof code);
		event.vector = 6;
		event.software = false;
	}
	lgbox_trap(b, &event);
}

void lgbox_queue(struct lgbox *b, uint32_t number, const uint32_t arg[4])
{
	enum lguest_family f = b->set.family;
	uint32_t words = f <= LGUEST_C ? 4 : 5, slot = b->ring_slot % 64;
	uint32_t first = f <= LGUEST_C ? 84 : 88, status = f <= LGUEST_C ? 20 : 24;
	const uint32_t b_order[5] = { number, arg[1], arg[2], arg[0] };
	const uint32_t later[5] = { number, arg[0], arg[1], arg[2], arg[3] };
	const uint8_t pending = 0;

	lgbox_store(b, b->data + first + slot * words * 4, f == LGUEST_B ? b_order : later, words * 4);
	lgbox_store(b, b->data + status + slot, &pending, 1);
	b->ring_slot++;
}

/* ---- 4. The start --------------------------------------------------------------------------- */

static void fill_data(struct lgbox *b)
{
	static const uint16_t tail[LGUEST_FAMILIES] = { 0, 1128, 1128, 1388, 1388, 1384, 1384, 1380 };
	uint8_t data[LGBOX_DATA_BYTES] = { 0 };
	const uint32_t split = b->set.split, vector = b->set.syscall_vector, masked = 1;
	uint32_t text = LGBOX_SPLIT + LGBOX_TEXT + 0x800;

	memset(data + (b->set.family <= LGUEST_C ? 20 : 24), 0xFF, 64);
	memcpy(data + 4, &masked, 4);
	memcpy(data + tail[b->set.family], &split, 4);
	memcpy(data + tail[b->set.family] + 4, &vector, 4);
	memcpy(data + tail[b->set.family] - 4, &text, 4); /* noirq_end or noirq_iret */
	lgbox_store(b, b->data, data, sizeof data);
}

static void call(struct lgbox *b, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3)
{
	const uint32_t arg[4] = { a1, a2, a3, 0 };

	bool vmcall = b->set.family == LGUEST_C || b->set.family == LGUEST_D;

	lgbox_call(b, number, arg, vmcall && !b->set.forced && number == 1);
}

static void boot(struct lgbox *b)
{
	static const uint32_t high[4] = { 0x00CF9B00, 0x00CF9300, 0x00CFFB00, 0x00CFF300 };
	static const uint8_t vectors[] = { 0,  1,  3,  4,  5,  6,  7,    9,    10,   11,
		                           12, 13, 14, 16, 17, 32, 0x21, 0x22, 0x23, 0x80 };

	if (b->set.family >= LGUEST_F)
		call(b, 4, LGBOX_BOOT_DIR, 0, 0);
	b->booted = true;
	call(b, 4, LGBOX_DIRS, 0, 0);
	for (uint32_t n = 0; n < 4; n++) {
		lgbox_put(b, LGBOX_SCRATCH + 8 * (12 + n), 0xFFFF);
		lgbox_put(b, LGBOX_SCRATCH + 8 * (12 + n) + 4, high[n]);
		if (b->set.family > LGUEST_C)
			call(b, 18, 12 + n, 0xFFFF, high[n]);
	}
	if (b->set.family <= LGUEST_C)
		call(b, 3, LGBOX_SCRATCH, 32, 0);
	for (unsigned n = 0; n < sizeof vectors; n++) {
		uint32_t at = LGBOX_SPLIT + LGBOX_HANDLERS + vectors[n] * 16u;
		uint32_t type = (b->set.family == LGUEST_B && vectors[n] < 32) || vectors[n] == 0x80 ? 0x8F00 : 0x8E00;

		call(b, 6, vectors[n], 0x00600000u | (at & 0xFFFF), (at & 0xFFFF0000u) | type | (vectors[n] == 0x80 ? 0x6000u : 0));
	}
	call(b, 7, 0x69, LGBOX_SPLIT + LGBOX_STACK_END - 8, 2);
	call(b, 4, LGBOX_DIRS + UM_PAGE_SIZE, 0, 0);
}

void lgbox_restart(struct lgbox *b)
{
	bool tables = b->set.family <= LGUEST_E;
	struct lguest_boot start = { .entry = LGBOX_TEXT, .pgdir = tables ? LGBOX_BOOT_DIR : 0,
		                     .version = b->set.family == LGUEST_G1 ? LGUEST_VERSION(4, 0, 0) : 0 };
	uint32_t fail_every = b->set.fail_every;

	lgbox_renew(b);
	b->lives++;
	b->booted = false;
	b->data = b->set.data;
	b->ring_slot = 0;
	b->set.fail_every = 0;
	fill_data(b);
	if (!lguest_start(b->lg, b->set.forced ? b->set.family : LGUEST_AUTO, &start))
		lgbox_fail(b, "the guest does not start");
	if (b->set.progress >= 1)
		call(b, 1, b->data, 0, 0);
	if (b->set.progress >= 2 && lguest_ended(b->lg) == LGUEST_RUNS)
		boot(b);
	if (b->set.progress >= 1 && !b->set.odd && lguest_ended(b->lg) != LGUEST_RUNS)
		lgbox_fail(b, "the guest does not boot: %s", lguest_reason(b->lg));
	b->set.fail_every = fail_every;
}
