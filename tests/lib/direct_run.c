/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_run.c - one program on both machines of a rig: see direct_rig.h.
 *
 *   1. Starting
 *   2. Comparing
 *   3. Telling
 *   4. In steps
 *   5. In whole runs
 *   6. In runs that are interrupted
 */
#include <signal.h> /* before cpu/internal.h, which has a raise() of its own */

#include "tests/lib/direct_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cpu/flags.h"

/* ---- 1. Starting ---------------------------------------------------------------------------- */

/* Cold memory that a program reached after all: from `at` on, page aligned; DR_RAM: none.  (A file has pages
 * where it was touched only.) */
static size_t next_touched(const struct direct_side *side, size_t at, size_t *end)
{
	off_t first = at < DR_RAM ? lseek(side->fd, (off_t)at, SEEK_DATA) : -1, after;

	if (first < 0)
		return DR_RAM;
	after = lseek(side->fd, first, SEEK_HOLE);
	*end = after < 0 ? DR_RAM : (size_t)after;
	return (size_t)first;
}

static void start_side(struct direct_side *side, const struct program *program)
{
	size_t end = 0;

	memcpy(side->ram, program->image, DR_HOT);
	for (size_t at = next_touched(side, DR_HOT, &end); at < DR_RAM; at = next_touched(side, end, &end))
		memset(side->ram + at, 0, end - at);
	side->heard_hash = side->heard_count = side->reads = 0;
	side->irq_vector = -1;
	side->ended = false;
	cpu_code_written(side->cpu, side->ram, DR_RAM);
	um_guest_wrote(side->um, 0, DR_RAM);
	um_flush_all(side->um);
	cpu_set_irq(side->cpu, false);
	cpu_reset(side->cpu); /* what no state has: pending and blocked NMIs */
	cpu_set_state(side->cpu, &program->state);
}

/* Now and then the file is emptied, lest cold pages gather that are compared each time. */
#define RUNS_TO_EMPTY 64u

static void start(struct direct_rig *rig, const struct program *program)
{
	if (++rig->runs % RUNS_TO_EMPTY == 0) {
		madvise(rig->direct.ram + DR_HOT, DR_RAM - DR_HOT, MADV_REMOVE);
		madvise(rig->portable.ram + DR_HOT, DR_RAM - DR_HOT, MADV_REMOVE);
	}
	start_side(&rig->direct, program);
	start_side(&rig->portable, program);
}

/* ---- 2. Comparing --------------------------------------------------------------------------- */

static bool differs(char *what, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool differs(char *what, size_t bytes, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vsnprintf(what, bytes, format, words);
	va_end(words);
	return false;
}

static bool same_segment(const struct cpu_segment *a, const struct cpu_segment *b)
{
	return a->selector == b->selector && a->attr == b->attr && a->base == b->base && a->limit == b->limit;
}

/* What instructions change often, in the order in which one wants to hear of it. */
static bool same_registers(struct cpu *d, struct cpu *p, char *what, size_t bytes)
{
	static const char names[8][4] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
	static const char segs[6][3] = { "es", "cs", "ss", "ds", "fs", "gs" };
	/* RF goes when the next instruction begins: where a run ends in between, either may be seen. */
	uint32_t flags_d = get_eflags(d) & ~(uint32_t)FL_RF, flags_p = get_eflags(p) & ~(uint32_t)FL_RF;

	if (d->eip != p->eip)
		return differs(what, bytes, "eip %x, must be %x", d->eip, p->eip);
	for (unsigned n = 0; n < 8; n++)
		if (d->gpr[n] != p->gpr[n])
			return differs(what, bytes, "%s %x, must be %x", names[n], d->gpr[n], p->gpr[n]);
	if (flags_d != flags_p)
		return differs(what, bytes, "eflags %x, must be %x (differ in %x)", flags_d, flags_p, flags_d ^ flags_p);
	if (d->cpl != p->cpl)
		return differs(what, bytes, "cpl %u, must be %u", d->cpl, p->cpl);
	for (unsigned n = 0; n < 6; n++)
		if (!same_segment(&d->seg[n], &p->seg[n]))
			return differs(what, bytes, "segment register %s", segs[n]);
	if (d->cr0 != p->cr0 || d->cr2 != p->cr2 || d->cr3 != p->cr3 || d->cr4 != p->cr4)
		return differs(what, bytes, "cr0 %x, must be %x; cr2 %x, %x; cr3 %x, %x; cr4 %x, %x", d->cr0, p->cr0,
		               d->cr2, p->cr2, d->cr3, p->cr3, d->cr4, p->cr4);
	if (d->halted != p->halted)
		return differs(what, bytes, "halted %d, must be %d", d->halted, p->halted);
	if (d->inhibit != p->inhibit || d->inhibit_debug != p->inhibit_debug)
		return differs(what, bytes, "interrupt shadow %d %d, must be %d %d", d->inhibit, d->inhibit_debug, p->inhibit,
		               p->inhibit_debug);
	return true;
}

/* Where the last floating-point instruction was is not always noted. */
static void forget_pointers(struct cpu_state *s) { memset(s->fxsave + 6, 0, 16); }

static bool same_rest(struct direct_rig *rig, char *what, size_t bytes)
{
	struct cpu_state sd, sp;

	cpu_get_state(rig->direct.cpu, &sd);
	cpu_get_state(rig->portable.cpu, &sp);
	if (rig->config.inexact) {
		forget_pointers(&sd);
		forget_pointers(&sp);
	}
	if (!same_segment(&sd.ldtr, &sp.ldtr) || !same_segment(&sd.tr, &sp.tr))
		return differs(what, bytes, "ldtr or tr");
	if (sd.gdtr.base != sp.gdtr.base || sd.gdtr.limit != sp.gdtr.limit || sd.idtr.base != sp.idtr.base ||
	    sd.idtr.limit != sp.idtr.limit)
		return differs(what, bytes, "gdtr or idtr");
	if (memcmp(sd.dr, sp.dr, sizeof(sd.dr)))
		return differs(what, bytes, "debug registers: dr6 %x, must be %x; dr7 %x, %x", sd.dr[6], sp.dr[6],
		               sd.dr[7], sp.dr[7]);
	for (unsigned n = 0; n < sizeof(sd.fxsave); n++)
		if (sd.fxsave[n] != sp.fxsave[n])
			return differs(what, bytes, "fxsave byte %u: %02x, must be %02x", n, sd.fxsave[n], sp.fxsave[n]);
	sd.eflags &= ~(uint32_t)FL_RF;
	sp.eflags &= ~(uint32_t)FL_RF;
	if (memcmp(&sd, &sp, sizeof(sd)))
		return differs(what, bytes, "another part of struct cpu_state (sysenter)");
	return true;
}

static bool same_bytes(const struct direct_rig *rig, size_t first, size_t end, char *what, size_t bytes)
{
	if (!memcmp(rig->direct.ram + first, rig->portable.ram + first, end - first))
		return true;
	while (rig->direct.ram[first] == rig->portable.ram[first])
		first++;
	return differs(what, bytes, "memory at %zx: %02x, must be %02x", first, rig->direct.ram[first],
	               rig->portable.ram[first]);
}

enum { ACCESSED = 0x20, DIRTY = 0x40 };

/* Hot memory, but for these bits in the tables.  An interruption may come when a page was just found for an
 * instruction that then does not happen; the host's string instructions have an order of their own. */
static bool same_hot_memory(const struct direct_rig *rig, uint32_t but, char *what, size_t bytes)
{
	uint32_t d, p;

	if (!same_bytes(rig, 0, DR_DIRECTORY, what, bytes) || !same_bytes(rig, DR_TABLES_END, DR_HOT, what, bytes))
		return false;
	for (uint32_t at = DR_DIRECTORY; at < DR_TABLES_END; at += 4) {
		memcpy(&d, rig->direct.ram + at, 4);
		memcpy(&p, rig->portable.ram + at, 4);
		if ((d ^ p) & ~but)
			return same_bytes(rig, at, at + 4, what, bytes);
	}
	return true;
}

static bool same_memory(const struct direct_rig *rig, char *what, size_t bytes)
{
	size_t end = 0;

	if (!same_hot_memory(rig, rig->config.inexact ? ACCESSED : 0, what, bytes))
		return false;
	for (unsigned side = 0; side < 2; side++) {
		const struct direct_side *s = side ? &rig->portable : &rig->direct;
		for (size_t at = next_touched(s, DR_HOT, &end); at < DR_RAM; at = next_touched(s, end, &end))
			if (!same_bytes(rig, at, end, what, bytes))
				return false;
	}
	return true;
}

bool direct_rig_same(struct direct_rig *rig, bool all, char *what, size_t bytes)
{
	struct direct_side *d = &rig->direct, *p = &rig->portable;

	if (!same_registers(d->cpu, p->cpu, what, bytes))
		return false;
	if (d->heard_count != p->heard_count || d->heard_hash != p->heard_hash)
		return differs(what, bytes, "bus or exceptions: %llu heard, must be %llu (or they were others)",
		               (unsigned long long)d->heard_count, (unsigned long long)p->heard_count);
	return !all || (same_rest(rig, what, bytes) && same_memory(rig, what, bytes));
}

/* ---- 3. Telling ----------------------------------------------------------------------------- */

static void disassemble(const uint8_t *code, size_t have, uint32_t linear, bool code16)
{
	char text[128];
	ZydisDecoder decoder;
	ZydisFormatter formatter;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, code16 ? ZYDIS_STACK_WIDTH_16 : ZYDIS_STACK_WIDTH_32);
	if (code16)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	if (!have)
		printf("#   %08x: no memory\n", linear);
	for (size_t at = 0; at < have;) {
		bool known = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, have - at, &z, op));
		unsigned length = known ? z.length : 1;

		if (!known || !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &z, op, z.operand_count_visible, text,
		                                                             sizeof(text), linear + at, NULL)))
			snprintf(text, sizeof(text), "(bad)");
		printf("#   %08zx: ", (size_t)linear + at);
		for (unsigned n = 0; n < 11; n++)
			printf(n < length ? "%02x " : "   ", n < length ? code[at + n] : 0);
		printf(" %s\n", text);
		at += length;
		if (known && z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
			break;
	}
}

static void print_heard(const char *name, const struct direct_side *side)
{
	static const char *const kinds[] = { "in", "out", "mmio read", "mmio write", "event", "irq" };
	uint64_t first = side->heard_count > HEARD_KEPT ? side->heard_count - HEARD_KEPT : 0;

	if (side->heard_count > first + 10)
		first = side->heard_count - 10;
	printf("# %s heard %llu:", name, (unsigned long long)side->heard_count);
	for (uint64_t n = first; n < side->heard_count; n++) {
		const struct heard *h = &side->heard[n % HEARD_KEPT];
		printf(" %s%s %llx/%u=%llx;", kinds[h->kind], h->software ? " soft" : "", (unsigned long long)h->at, h->bytes,
		       (unsigned long long)h->value);
	}
	printf("\n");
}

static void print_state(const char *name, struct direct_side *side)
{
	char text[4096];
	char *rest = text, *line;

	text[cpu_describe_state(side->cpu, text, sizeof(text) - 1)] = 0;
	printf("# %s, %llu instructions:\n", name, (unsigned long long)cpu_instructions(side->cpu));
	while ((line = strsep(&rest, "\n")) && *line)
		printf("#   %s\n", line);
}

void direct_rig_print(struct direct_rig *rig)
{
	struct um_violation broken = um_audit(rig->direct.um);

	print_state("direct", &rig->direct);
	print_state("portable", &rig->portable);
	print_heard("direct", &rig->direct);
	print_heard("portable", &rig->portable);
	if (broken.invariant)
		printf("# the direct side's shadow breaks I%d: %s, gva %llx\n", broken.invariant, broken.text,
		       (unsigned long long)broken.gva);
}

/* ---- 4. In steps ---------------------------------------------------------------------------- */

#define STEPS_MAX 3000u        /* of one program; */
#define QUIET_STEPS_MAX 50000u /* ... when nothing from outside keeps it going */
#define STEPS_IN_PIECE 48u     /* then an NMI leads to the next; */
#define STEPS_IN_HEAT 400u     /* ... of a program that is there for its loops */
#define DOUBT_MAX 400000u      /* instructions */
#define APART_MAX 256u         /* turns until both counts must have met */

/* Bring both to the same count, the direct engine by `step`s.  false: they do not meet, or one did not move. */
static bool advance(struct direct_rig *rig, enum cpu_exit *d_exit, enum cpu_exit *p_exit, char *what, size_t bytes)
{
	struct direct_side *d = &rig->direct, *p = &rig->portable;
	uint64_t first = cpu_instructions(d->cpu), left = APART_MAX;
	uint64_t apart = cpu_instructions(p->cpu) - first; /* since the machines were made */

	*p_exit = CPU_EXIT_BUDGET;
	do {
		uint64_t before = cpu_instructions(d->cpu);
		*d_exit = direct_step(d->direct);
		if (cpu_instructions(d->cpu) == before && *d_exit == CPU_EXIT_BUDGET)
			return differs(what, bytes, "direct_step() did nothing and said it was done");
		while (cpu_instructions(p->cpu) - apart < cpu_instructions(d->cpu)) {
			*p_exit = cpu_run(p->cpu, 1);
			if (*p_exit != CPU_EXIT_BUDGET)
				break;
		}
		/* The portable engine can go no further; the direct one could. */
		if (cpu_instructions(p->cpu) - apart < cpu_instructions(d->cpu))
			return differs(what, bytes, "the portable engine ended (exit %d) after %llu instructions, the direct "
			               "one did %llu", (int)*p_exit, (unsigned long long)(cpu_instructions(p->cpu) - apart - first),
			               (unsigned long long)(cpu_instructions(d->cpu) - first));
		if (cpu_instructions(p->cpu) - apart == cpu_instructions(d->cpu))
			return true;
	} while (--left && *d_exit == CPU_EXIT_BUDGET);
	return differs(what, bytes, "the counts do not meet: %llu instructions, must be %llu",
	               (unsigned long long)(cpu_instructions(d->cpu) - first),
	               (unsigned long long)(cpu_instructions(p->cpu) - apart - first));
}

/* Is it the count that is wrong?  For the report only: the portable engine goes on. */
static void try_other_counts(struct direct_rig *rig)
{
	char what[128];

	for (int more = 1; more <= 40; more++) {
		if (cpu_run(rig->portable.cpu, 1) != CPU_EXIT_BUDGET)
			return;
		if (direct_rig_same(rig, false, what, sizeof(what))) {
			printf("# (the states are the same when the portable engine does %d more: is the count wrong?)\n", more);
			return;
		}
	}
}

static uint32_t linear_eip(const struct cpu *c) { return c->seg[CPU_CS].base + c->eip; }
static bool is_16bit(const struct cpu *c) { return !(c->seg[CPU_CS].attr & 1u << 14); }

static uint32_t hot_word(const struct direct_side *side, uint32_t at)
{
	uint32_t value;

	memcpy(&value, side->ram + at, 4);
	return value;
}

/* The tables' entries that lead to the running code, without Accessed and Dirty.  A program that takes away or
 * exchanges the page that it runs in has no right to an answer before it flushes: a block that has begun may go on
 * to its end. */
struct way {
	uint32_t cr3, linear;
	bool paging, changed;
	uint32_t entry[4];
};

static void see_way(const struct direct_side *side, struct way *way)
{
	for (unsigned page = 0; page < 2; page++) {
		uint32_t linear = way->linear + page * UM_PAGE_SIZE, at = (way->cr3 & ~0xFFFu) + (linear >> 22) * 4;
		uint32_t pde = at < DR_RAM ? hot_word(side, at) : 0;

		at = (pde & ~0xFFFu) + (linear >> 12 & 1023) * 4;
		way->entry[2 * page] = pde & ~0x60u;
		way->entry[2 * page + 1] = at < DR_RAM ? hot_word(side, at) & ~0x60u : 0;
	}
}

static struct way way_to_code(const struct direct_side *side)
{
	const struct cpu *c = side->cpu;
	struct way way = { .cr3 = c->cr3, .linear = linear_eip(c), .paging = c->cr0 & CR0_PG };

	if (way.paging)
		see_way(side, &way);
	return way;
}

static bool way_changed(const struct direct_side *side, const struct way *before)
{
	struct way now = *before;

	if (!now.paging)
		return false;
	see_way(side, &now);
	return memcmp(now.entry, before->entry, sizeof(now.entry));
}

/* In no directory of the program's, while there may be global pages of one. */
static bool is_astray(const struct cpu *c)
{
	uint32_t root = c->cr3 & ~0xFFFu;

	return c->cr0 & CR0_PG && c->cr4 & CR4_PGE &&
	       (root < DR_DIRECTORY || root >= DR_DIRECTORY + DR_DIRECTORIES * UM_PAGE_SIZE);
}

/* What a directory shows globally is something else now, or an entry of one directory became global: the same doubt. */
static bool upset_globals(const struct direct_side *side, const struct program *program)
{
	uint32_t was;

	if (!program->global)
		return false;
	for (uint32_t at = DR_DIRECTORY; at < DR_DIRECTORY + DR_DIRECTORIES * UM_PAGE_SIZE; at += 4) {
		memcpy(&was, program->image + at, 4);
		if (at % UM_PAGE_SIZE / 4 != DR_WIN_USER >> 22 && (hot_word(side, at) ^ was) & ~0x60u)
			return true;
	}
	for (uint32_t at = DR_PT_USER; at < DR_PT_KERNEL; at += 4)
		if ((hot_word(side, at) & 0x101) == 0x101)
			return true;
	return false;
}

/* Only an exit that ends everything says something; HLT and budgets are seen in the registers. */
static bool is_final(enum cpu_exit exit)
{
	return exit == CPU_EXIT_SHUTDOWN || exit == CPU_EXIT_STOP || exit == CPU_EXIT_NOMEM;
}

/* An interrupt shows RF on its stack: not where it may be either way. */
static bool shows_rf(const struct direct_rig *rig)
{
	return (rig->direct.cpu->flags | rig->portable.cpu->flags) & FL_RF;
}

static void pulse_nmi(struct direct_rig *rig)
{
	if (shows_rf(rig) && !rig->portable.cpu->halted)
		return;
	cpu_pulse_nmi(rig->direct.cpu);
	cpu_pulse_nmi(rig->portable.cpu);
}

static void raise_irq(struct direct_rig *rig, int vector)
{
	if (shows_rf(rig))
		return;
	rig->direct.irq_vector = rig->portable.irq_vector = vector;
	cpu_set_irq(rig->direct.cpu, true);
	cpu_set_irq(rig->portable.cpu, true);
}

/* A machine that makes no more progress is over. */
static bool is_over(const struct direct_rig *rig, enum cpu_exit exit)
{
	return is_final(exit) || (rig->portable.ended && rig->portable.cpu->halted);
}

/* The last steps, for the report. */
#define TRAIL 10u
struct trail {
	struct { uint32_t linear; bool code16; uint8_t cpl, bytes; uint8_t code[48]; } step[TRAIL];
	unsigned steps;
};

static void note_step(struct trail *trail, const struct direct_side *side)
{
	const struct cpu *c = side->cpu;
	unsigned n = trail->steps++ % TRAIL;

	trail->step[n].linear = linear_eip(c);
	trail->step[n].code16 = is_16bit(c);
	trail->step[n].cpl = c->cpl;
	trail->step[n].bytes = (uint8_t)cpu_peek(side->cpu, linear_eip(c), trail->step[n].code, sizeof(trail->step[n].code));
}

static void print_trail(const struct trail *trail)
{
	for (unsigned n = trail->steps < TRAIL ? 0 : trail->steps - TRAIL; n < trail->steps; n++) {
		unsigned at = n % TRAIL;
		printf("# step %u, cpl %u:\n", n, trail->step[at].cpl);
		disassemble(trail->step[at].code, trail->step[at].bytes, trail->step[at].linear, trail->step[at].code16);
	}
}

static struct direct_result failed(struct direct_rig *rig, struct direct_result result, bool careful,
                                   const struct trail *trail)
{
	result.same = false;
	if (careful) {
		if (trail)
			print_trail(trail);
		printf("# difference: %s\n", result.what);
		direct_rig_print(rig);
		try_other_counts(rig);
	}
	return result;
}

static struct direct_result run_steps(struct direct_rig *rig, const struct program *program, bool quiet, bool careful)
{
	struct direct_side *d = &rig->direct, *p = &rig->portable;
	struct direct_result result = { .same = true };
	struct native_rng rng;
	uint64_t before = cpu_instructions(d->cpu);
	unsigned in_piece = 0, piece_steps = program->config.kind == PROGRAM_HEAT ? STEPS_IN_HEAT : STEPS_IN_PIECE;
	uint32_t piece = 0;
	struct trail trail = { .steps = 0 };

	rng_seed(&rng, program->config.seed ^ 0x5EED);
	result.skipped = quiet; /* until its end was seen */
	for (unsigned step = 0; step < (quiet ? QUIET_STEPS_MAX : STEPS_MAX); step++) {
		struct way way = way_to_code(p);
		enum cpu_exit d_exit, p_exit;
		bool ok;

		if (hot_word(p, DR_PIECE) != piece)
			in_piece = 0;
		piece = hot_word(p, DR_PIECE);
		if (p->cpu->halted || (!quiet && ++in_piece % piece_steps == 0))
			pulse_nmi(rig);
		else if (!quiet && rng_one_in(&rng, 24))
			raise_irq(rig, rng_one_in(&rng, 16) ? -1 : DR_IRQ_VECTOR + (int)rng_below(&rng, 16));
		if (careful)
			note_step(&trail, p);
		ok = advance(rig, &d_exit, &p_exit, result.what, sizeof(result.what));
		result.blocks++;
		if (ok && (is_final(d_exit) || is_final(p_exit)) && d_exit != p_exit)
			ok = differs(result.what, sizeof(result.what), "exit %d, must be %d", (int)d_exit, (int)p_exit);
		ok = ok && direct_rig_same(rig, careful, result.what, sizeof(result.what));
		if (ok && !careful && step % 16 == 0)
			ok = same_rest(rig, result.what, sizeof(result.what));
		result.strayed |= is_astray(d->cpu) || is_astray(p->cpu);
		way.changed = way_changed(p, &way) || way_changed(d, &way);
		result.unmapped |= way.changed;
		if (!ok)
			result.strayed |= upset_globals(p, program) || upset_globals(d, program);
		if (!ok && (result.strayed || way.changed)) {
			result.skipped = true;
			return result;
		}
		if (!ok)
			return failed(rig, result, careful, &trail);
		if (is_over(rig, d_exit)) {
			result.skipped = false;
			break;
		}
	}
	result.instructions = cpu_instructions(d->cpu) - before;
	result.strayed |= upset_globals(p, program);
	if (direct_rig_same(rig, true, result.what, sizeof(result.what)))
		return result;
	if (!result.strayed)
		return failed(rig, result, careful, &trail);
	result.skipped = true;
	return result;
}

/* Does it leave something undefined, and let the next instruction see that?  `next`: the bytes there. */
static bool shows_undefined(const uint8_t *bytes, size_t have, bool code16, const uint8_t *next)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	ZydisDecoderInit(&decoder, code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32,
	                 code16 ? ZYDIS_STACK_WIDTH_16 : ZYDIS_STACK_WIDTH_32);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &z, op)))
		return false;
	switch ((int)z.mnemonic) {
	case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_XOR: case ZYDIS_MNEMONIC_TEST:
		return false; /* AF alone, which all processors clear */
	case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FXSAVE:
		return true;  /* where the last instruction was */
	case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD:
		if (z.operand_width == 16)
			return true;
		break;
	default: break;
	}
	return z.cpu_flags && z.cpu_flags->undefined && (next[0] != 0x83 || next[1] != 0xFC);
}

/* One instruction of the portable engine's; true: it is doubtful. */
static bool doubtful_step(struct direct_rig *rig, bool defined, enum cpu_exit *exit)
{
	struct cpu *c = rig->portable.cpu;
	uint8_t before[16], after[16] = { 0 };
	bool code16 = is_16bit(c);
	uint32_t linear = linear_eip(c);
	size_t have = cpu_peek(c, linear, before, sizeof(before));

	*exit = cpu_run(c, 1);
	/* It came from a device, whose bytes are others each time: how often they are fetched is seen. */
	if (!have && rig->portable.heard[(rig->portable.heard_count - 1) % HEARD_KEPT].kind != HEARD_EVENT)
		return true;
	/* It is not over, and not what it was. */
	if (linear_eip(c) == linear && cpu_peek(c, linear, after, have) == have && memcmp(before, after, have))
		return true;
	cpu_peek(c, linear_eip(c), after, 2);
	return defined && shows_undefined(before, have, code16, after);
}

bool direct_rig_doubts(struct direct_rig *rig, const struct program *program)
{
	enum cpu_exit exit = CPU_EXIT_BUDGET;

	start(rig, program);
	for (unsigned n = 0; n < DOUBT_MAX; n++) {
		if (doubtful_step(rig, program->config.defined, &exit))
			return true;
		if (exit == CPU_EXIT_HALTED && !is_over(rig, exit))
			pulse_nmi(rig);
		else if (exit != CPU_EXIT_BUDGET)
			break;
	}
	return false;
}

/* ---- 5. In whole runs ----------------------------------------------------------------------- */

#define RUN_BUDGET 200000u     /* instructions until the portable engine must have come to an end */
#define RUN_SECONDS 20u        /* seconds that the direct engine gets for the same */
#define HALTS_MAX 64u

/* The direct engine's run is left when the time is up, or (section 6) now and then. */
static struct direct *volatile alarmed;
static struct cpu *volatile alarmed_cpu;

static void on_alarm(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info;
	if (!alarmed)
		return;
	cpu_kick(alarmed_cpu);
	direct_interrupt(alarmed, context);
}

static void set_alarm(struct direct_rig *rig, unsigned microseconds)
{
	struct sigaction action = { .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	struct itimerval when = { .it_value = { .tv_sec = microseconds / 1000000, .tv_usec = microseconds % 1000000 } };

	alarmed_cpu = rig->direct.cpu;
	alarmed = rig->direct.direct;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &when, NULL);
}

static void no_alarm(void)
{
	struct itimerval never = { .it_value = { 0 } };

	setitimer(ITIMER_REAL, &never, NULL);
	alarmed = NULL;
}

static enum cpu_exit run_direct(struct direct_rig *rig)
{
	enum cpu_exit exit;

	rig->direct.cpu->kicked = 0;
	set_alarm(rig, RUN_SECONDS * 1000000);
	do
		exit = direct_run(rig->direct.direct);
	while (exit == CPU_EXIT_BUDGET || exit == CPU_EXIT_HOST);
	no_alarm();
	return exit;
}

static bool out_of_budget(enum cpu_exit exit) { return exit == CPU_EXIT_BUDGET; }

/* To each halt or shutdown first the portable engine, which is known to get there, then the direct one. */
static struct direct_result run_whole(struct direct_rig *rig, const struct program *program, bool careful)
{
	struct direct_side *p = &rig->portable;
	struct direct_result result = { .same = true };
	uint64_t before = cpu_instructions(p->cpu);

	(void)program;
	for (unsigned halts = 0; halts < HALTS_MAX; halts++) {
		enum cpu_exit p_exit = cpu_run(p->cpu, RUN_BUDGET), d_exit;
		if (out_of_budget(p_exit)) {
			result.skipped = true;
			break;
		}
		d_exit = run_direct(rig);
		result.blocks++;
		if (d_exit != p_exit)
			differs(result.what, sizeof(result.what), "exit %d, must be %d%s", (int)d_exit, (int)p_exit,
			        d_exit == CPU_EXIT_KICKED ? " (it went on for too long)" : "");
		if (d_exit != p_exit || !direct_rig_same(rig, true, result.what, sizeof(result.what)))
			return failed(rig, result, careful, NULL);
		if (is_over(rig, p_exit))
			break;
		pulse_nmi(rig);
	}
	result.instructions = cpu_instructions(p->cpu) - before;
	return result;
}

/* ---- 6. In runs that are interrupted -------------------------------------------------------- */

#define SHORTEST_US 20u
#define LONGEST_US 100u
#define PER_NS 16u             /* instructions, at most */
#define SEARCH_MAX 8000000u    /* instructions that are worth looking for the place */
#define LOOKALIKES_MAX 64u     /* places that only look like it: a loop that changes memory alone */

enum place { PLACE_FOUND, PLACE_UNCLEAR, PLACE_NONE };

/* Where the direct engine was when it was interrupted must be a place where the portable one comes by. */
static enum place find_place(struct direct_rig *rig, uint64_t took_ns, char *what, size_t bytes)
{
	unsigned lookalikes = 0;
	char why[128], close[128] = "";
	uint64_t most = 100000 + took_ns * PER_NS;

	for (uint64_t n = 0; n < most; n++) {
		enum cpu_exit exit;

		if (direct_rig_same(rig, false, what, bytes)) {
			if (same_rest(rig, what, bytes) &&
			    same_hot_memory(rig, ACCESSED | DIRTY, what, bytes))
				return PLACE_FOUND;
			if (++lookalikes == LOOKALIKES_MAX)
				return PLACE_UNCLEAR;
			snprintf(close, sizeof(close), " (once all but this: %.100s)", what);
		}
		if (n == SEARCH_MAX)
			return PLACE_UNCLEAR;
		exit = cpu_run(rig->portable.cpu, 1);
		if (exit != CPU_EXIT_BUDGET &&
		    (!direct_rig_same(rig, false, what, bytes) || !same_rest(rig, what, bytes) ||
		     !same_hot_memory(rig, ACCESSED | DIRTY, what, bytes))) {
			snprintf(why, sizeof(why), "%.100s", what);
			differs(what, bytes, "exit %d without being where the direct engine was: %s%s", (int)exit, why, close);
			return PLACE_NONE;
		}
	}
	differs(what, bytes, "no such state within %llu instructions", (unsigned long long)most);
	return lookalikes ? PLACE_UNCLEAR : PLACE_NONE;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct direct_result run_interrupted(struct direct_rig *rig, const struct program *program, bool careful)
{
	struct direct_side *p = &rig->portable;
	struct direct_result result = { .same = true };
	struct native_rng rng;
	unsigned in_piece = 0;
	uint32_t piece = 0;

	rng_seed(&rng, program->config.seed ^ 0xA1A);
	for (unsigned turn = 0; turn < STEPS_MAX; turn++) {
		enum cpu_exit d_exit;
		uint64_t began, took;

		if (hot_word(p, DR_PIECE) != piece)
			in_piece = 0;
		piece = hot_word(p, DR_PIECE);
		if (++in_piece % 4 == 0 || p->cpu->halted)
			pulse_nmi(rig);
		set_alarm(rig, SHORTEST_US + rng_below(&rng, LONGEST_US - SHORTEST_US));
		began = now_ns();
		d_exit = direct_run(rig->direct.direct);
		took = now_ns() - began;
		no_alarm();
		rig->direct.cpu->kicked = 0;
		result.blocks++;
		switch (find_place(rig, took, result.what, sizeof(result.what))) {
		case PLACE_FOUND: break;
		case PLACE_UNCLEAR: result.skipped = true; return result;
		case PLACE_NONE: return failed(rig, result, careful, NULL);
		}
		if (is_over(rig, d_exit))
			break;
	}
	if (!same_rest(rig, result.what, sizeof(result.what)) ||
	    !same_hot_memory(rig, ACCESSED | DIRTY, result.what, sizeof(result.what)))
		return failed(rig, result, careful, NULL);
	return result;
}

struct direct_result direct_rig_run(struct direct_rig *rig, const struct program *program, enum direct_how how,
                                    bool careful)
{
	struct direct_result result;

	start(rig, program);
	switch (how) {
	case HOW_STEPS: case HOW_QUIET_STEPS: result = run_steps(rig, program, how == HOW_QUIET_STEPS, careful); break;
	case HOW_RUNS: result = run_whole(rig, program, careful); break;
	default: result = run_interrupted(rig, program, careful); break;
	}
	return result;
}
