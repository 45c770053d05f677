/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_sys_task.c - hardware task switches (SDM vol. 3, chapter 7).
 *
 *   1. Ways         JMP, CALL, IRET, task gates, interrupts: busy bits, back link, NT, TS
 *   2. Formats      16-bit tasks, and from one format to the other
 *   3. Refusals     faults of the old task: nothing has changed
 *   4. After        faults of the new task: its registers are loaded, its EIP is pushed
 *   5. The rest     CR3, LDT, V86 tasks, the T flag, local breakpoints
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/sys.h"

static int make(void **state) { return (*state = sys_new(CPU_OPT_ALL)) == NULL; }
static int unmake(void **state) { return sys_free(*state), 0; }

enum { NEW = SYS_OWN, GATE = SYS_OWN + 8, LDT2 = SYS_OWN + 16 };
enum { TSS16 = 1, TSS16_BUSY = 3, TASK_GATE_TYPE = 5, TSS32 = 9, TSS32_BUSY = 11, V = 0x77 };
#define TSS SYS_TSS2

static uint32_t word(const struct sys *s, uint32_t at) { return rig_word(s->rig, at); }
static void set_word(struct sys *s, uint32_t at, uint32_t value) { rig_set_word(s->rig, at, value); }
static unsigned type_of(const struct sys *s, uint16_t selector) { return sys_access_byte(s, selector) & 0xF; }

/* A 32-bit task at TSS that runs at SYS_TARGET in `ring`. */
static void new_task(struct sys *s, unsigned ring)
{
	memset(s->rig->ram + TSS, 0, 0x68);
	set_word(s, TSS + 0x20, SYS_TARGET);
	set_word(s, TSS + 0x24, 2 | FL_CF | FL_IF);
	for (unsigned n = 0; n < 8; n++)
		set_word(s, TSS + 0x28 + 4 * n, 0x11110000u * (n + 1));
	set_word(s, TSS + 0x38, 0x50000);
	for (unsigned n = 0; n < 6; n++)
		set_word(s, TSS + 0x48 + 4 * n, n == CPU_CS ? sys_code(ring) : sys_data(ring));
	set_word(s, TSS + 0x60, 0);
	set_word(s, TSS + 0x64, 0x680000);
	sys_descriptor(s, NEW, TSS, 0x67, 0xE0 | TSS32);
	sys_gate(s, GATE, 0xE0 | TASK_GATE_TYPE, NEW, 0, 0);
}

static void setup(struct sys *s, unsigned ring)
{
	sys_ring(s, ring);
	sys_descriptor(s, RIG_TR, RIG_TSS, 0x67, 0x80 | TSS32_BUSY);
	new_task(s, 0);
	for (unsigned n = 0; n < 8; n++)
		if (n != CPU_ESP)
			s->cpu->gpr[n] = 0xA0000000 + n;
}

static void far_direct(struct sys *s, bool call, uint16_t selector)
{
	SYS_RUN(s, call ? 0x9A : 0xEA, 0xEF, 0xBE, 0xAD, 0xDE, (uint8_t)selector, (uint8_t)(selector >> 8));
}

/* The new task runs, with the registers of its TSS. */
static void entered(struct sys *s)
{
	assert_true(s->stopped);
	assert_int_equal(s->cpu->eip, SYS_TARGET + 3);
	assert_int_equal(s->cpu->tr.selector, NEW);
	assert_int_equal(s->cpu->tr.base, TSS);
	assert_int_equal(s->cpu->tr.attr & 0xF, TSS32_BUSY);
	for (unsigned n = 0; n < 8; n++)
		if (n != CPU_ESP)
			assert_int_equal(s->cpu->gpr[n], 0x11110000u * (n + 1));
	assert_int_equal(type_of(s, NEW), TSS32_BUSY);
	assert_true(s->cpu->cr0 & CR0_TS);
	assert_true(s->cpu->flags & FL_IF);
}

/* The old task was saved as it was before the instruction, EIP at `eip`. */
static void saved(struct sys *s, uint32_t eip, uint32_t eflags)
{
	assert_int_equal(word(s, RIG_TSS + 0x20), eip);
	assert_int_equal(word(s, RIG_TSS + 0x24), eflags);
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(word(s, RIG_TSS + 0x28 + 4 * n), s->before.gpr[n]);
	for (unsigned n = 0; n < 6; n++)
		assert_int_equal(sys_get16(s, RIG_TSS + 0x48 + 4 * n), s->before.seg[n].selector);
}

/* ---- 1. Ways -------------------------------------------------------------------------------- */

static void jump_and_call(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 4; n++) {
		bool call = n & 1, gate = n & 2;
		setup(s, gate ? 3 : 0);
		far_direct(s, call, gate ? GATE | 3 : NEW);
		assert_int_equal(s->events, 0);
		entered(s);
		saved(s, RIG_CODE + 7, s->before.eflags);
		assert_int_equal(type_of(s, RIG_TR), call ? TSS32_BUSY : TSS32);
		assert_int_equal((s->cpu->flags & FL_NT) != 0, call);
		assert_int_equal(sys_get16(s, TSS), call ? RIG_TR : 0);
	}
}

/* CALL there, IRET back: the first task goes on behind its CALL, nothing is busy but itself. */
static void nested_and_back(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	sys_put_code(s, SYS_TARGET, "\xCF\x0F\x01\xC1", 4); /* iret; vmcall */
	far_direct(s, true, NEW);
	assert_true(s->stopped);
	assert_int_equal(s->cpu->eip, RIG_CODE + 7 + 3);
	assert_int_equal(s->cpu->tr.selector, RIG_TR);
	assert_int_equal(type_of(s, NEW), TSS32);
	assert_int_equal(type_of(s, RIG_TR), TSS32_BUSY);
	assert_false(s->cpu->flags & FL_NT);
	assert_int_equal(word(s, TSS + 0x20), SYS_TARGET + 1);
	assert_false(word(s, TSS + 0x24) & FL_NT); /* cleared in the image */
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(s->cpu->gpr[n], s->before.gpr[n]);
	/* ... and once more: it goes on where it left. */
	sys_put_code(s, RIG_CODE + 10, "\xEA\0\0\0\0\x00\x01", 7);
	assert_int_equal(cpu_run(s->cpu, 1000), CPU_EXIT_KICKED);
	assert_int_equal(s->cpu->eip, SYS_TARGET + 4);
}

static void by_interrupt(void **state)
{
	struct sys *s = *state;

	/* INT n, ring 3, through a task gate of DPL 3 */
	setup(s, 3);
	sys_idt(s, V, 0xE0 | TASK_GATE_TYPE, NEW, 0);
	SYS_RUN(s, 0xCD, V);
	assert_int_equal(s->events, 1);
	entered(s);
	saved(s, RIG_CODE + 2, s->before.eflags);
	assert_true(s->cpu->flags & FL_NT);
	assert_int_equal(sys_get16(s, TSS), RIG_TR);
	assert_int_equal(s->cpu->gpr[CPU_ESP], 0x50000);
	/* ... of DPL 0 */
	setup(s, 3);
	sys_idt(s, V, 0x80 | TASK_GATE_TYPE, NEW, 0);
	SYS_RUN(s, 0xCD, V);
	assert_int_equal(s->event[1].vector, EXC_GP);
	assert_int_equal(s->event[1].error, V * 8 + 2);
	/* A fault with an error code: RF in the saved image, the code on the new stack */
	setup(s, 0);
	sys_idt(s, EXC_GP, 0x80 | TASK_GATE_TYPE, NEW, 0);
	s->cpu->gpr[CPU_EAX] = 0xFFF0;
	SYS_RUN(s, 0x8E, 0xD8);
	assert_int_equal(s->events, 1);
	entered(s);
	saved(s, RIG_CODE, s->before.eflags | FL_RF);
	assert_int_equal(s->cpu->gpr[CPU_ESP], 0x50000 - 4);
	assert_int_equal(word(s, 0x50000 - 4), 0xFFF0);
	/* A double fault has a task of its own, as it is used: no stack is needed. */
	setup(s, 0);
	sys_idt(s, EXC_DF, 0x80 | TASK_GATE_TYPE, NEW, 0);
	s->cpu->gpr[CPU_ESP] = 0x1000;
	s->cpu->seg[CPU_SS].limit = 0xF; /* no stack */
	mode_changed(s->cpu);
	s->cpu->gpr[CPU_EAX] = 0xFFF0;
	SYS_RUN(s, 0x8E, 0xD8);
	assert_int_equal(s->event[1].vector, EXC_DF);
	entered(s);
	assert_int_equal(word(s, 0x50000 - 4), 0);
}

/* ---- 2. Formats ----------------------------------------------------------------------------- */

static void new_task16(struct sys *s)
{
	memset(s->rig->ram + TSS, 0, 0x68);
	sys_put16(s, TSS + 0x0E, 0x100);
	sys_put16(s, TSS + 0x10, 2 | FL_CF | FL_IF);
	for (unsigned n = 0; n < 8; n++)
		sys_put16(s, TSS + 0x12 + 2 * n, 0x1111 * (n + 1));
	for (unsigned n = 0; n < 4; n++)
		sys_put16(s, TSS + 0x22 + 2 * n, n == CPU_CS ? LDT2 + 8 : sys_data(0));
	sys_descriptor(s, LDT2 + 8, SYS_TARGET - 0x100, 0xFFFF, 0x9B);
	sys_descriptor(s, NEW, TSS, 0x2B, 0x80 | TSS16);
}

static void from_32_to_16(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	new_task16(s);
	far_direct(s, true, NEW);
	assert_int_equal(s->events, 0);
	assert_true(s->stopped);
	assert_int_equal(s->cpu->eip, 0x103);
	assert_int_equal(s->cpu->mode & MODE_CODE32, 0);
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(s->cpu->gpr[n], 0xFFFF0000u | 0x1111 * (n + 1));
	assert_int_equal(s->cpu->seg[CPU_FS].attr, 0);
	assert_int_equal(s->cpu->seg[CPU_GS].attr, 0);
	assert_int_equal(sys_get16(s, TSS), RIG_TR);
	assert_int_equal(type_of(s, NEW), TSS16_BUSY);
	saved(s, RIG_CODE + 7, s->before.eflags);
}

static void from_16_to_32(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	s->cpu->tr = (struct cpu_segment){ RIG_TR, 0x80 | TSS16_BUSY, RIG_TSS, 0x2B };
	sys_descriptor(s, RIG_TR, RIG_TSS, 0x2B, 0x80 | TSS16_BUSY);
	set_word(s, RIG_TSS + 0x2A, 0x5A5A5A5A);
	far_direct(s, false, NEW);
	assert_int_equal(s->events, 0);
	entered(s);
	assert_int_equal(type_of(s, RIG_TR), TSS16);
	assert_int_equal(sys_get16(s, RIG_TSS + 0x0E), (RIG_CODE + 7) & 0xFFFF);
	assert_int_equal(sys_get16(s, RIG_TSS + 0x10), s->before.eflags & 0xFFFF);
	for (unsigned n = 0; n < 8; n++)
		assert_int_equal(sys_get16(s, RIG_TSS + 0x12 + 2 * n), s->before.gpr[n] & 0xFFFF);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(sys_get16(s, RIG_TSS + 0x22 + 2 * n), s->before.seg[n].selector);
	assert_int_equal(word(s, RIG_TSS + 0x2A), 0x5A5A5A5A); /* the LDT selector is not saved */
}

/* ---- 3. Refusals ---------------------------------------------------------------------------- */

static void refusals(void **state)
{
	struct sys *s = *state;

#define REFUSED(prepare, selector, vector, error)                                                      \
	do {                                                                                           \
		for (unsigned call = 0; call < 2; call++) {                                            \
			setup(s, 0);                                                                   \
			prepare;                                                                       \
			far_direct(s, call, selector);                                                 \
			sys_fault(s, vector, error);                                                   \
			assert_int_equal(type_of(s, RIG_TR), TSS32_BUSY);                              \
		}                                                                                      \
	} while (0)
	REFUSED(sys_descriptor(s, NEW, TSS, 0x67, 0x80 | TSS32_BUSY), NEW, EXC_GP, NEW);
	REFUSED(sys_descriptor(s, NEW, TSS, 0x2B, 0x80 | TSS16_BUSY), NEW, EXC_GP, NEW);
	REFUSED(sys_descriptor(s, NEW, TSS, 0x67, TSS32), NEW, EXC_NP, NEW);
	REFUSED(sys_descriptor(s, NEW, TSS, 0x66, 0x80 | TSS32), NEW, EXC_TS, NEW);
	REFUSED(sys_descriptor(s, NEW, TSS, 0x2A, 0x80 | TSS16), NEW, EXC_TS, NEW);
	REFUSED(sys_descriptor(s, NEW, TSS, 0x67, 0x80 | TSS32), NEW | 1, EXC_GP, NEW);
	REFUSED(sys_gate(s, GATE, 0x60 | TASK_GATE_TYPE, NEW, 0, 0), GATE, EXC_NP, GATE);
	REFUSED(sys_gate(s, GATE, 0xE0 | TASK_GATE_TYPE, NEW | SYS_TI, 0, 0), GATE, EXC_GP, NEW | SYS_TI);
	REFUSED(sys_gate(s, GATE, 0xE0 | TASK_GATE_TYPE, 0xFFF8, 0, 0), GATE, EXC_GP, 0xFFF8);
	REFUSED(sys_gate(s, GATE, 0xE0 | TASK_GATE_TYPE, sys_code(0), 0, 0), GATE, EXC_GP, sys_code(0));
	REFUSED(sys_descriptor(s, NEW, TSS, 0x67, 0xE0 | TSS32_BUSY), GATE, EXC_GP, NEW);
#undef REFUSED
	setup(s, 3); /* privilege of the TSS and of the gate */
	sys_descriptor(s, NEW, TSS, 0x67, 0xC0 | TSS32);
	far_direct(s, false, NEW | 3);
	sys_fault(s, EXC_GP, NEW);
	setup(s, 3);
	sys_gate(s, GATE, 0xC0 | TASK_GATE_TYPE, NEW, 0, 0);
	far_direct(s, true, GATE | 3);
	sys_fault(s, EXC_GP, GATE);
	setup(s, 3); /* through a gate the TSS's own DPL does not count */
	sys_descriptor(s, NEW, TSS, 0x67, 0x80 | TSS32);
	far_direct(s, true, GATE | 3);
	assert_int_equal(s->events, 0);
	entered(s);
}

static void iret_refusals(void **state)
{
	struct sys *s = *state;
	static const struct { uint16_t link; unsigned attr, limit, vector, error; } bad[] = {
		{ NEW, 0x80 | TSS32, 0x67, EXC_TS, NEW },              /* not busy */
		{ NEW | SYS_TI, 0x80 | TSS32_BUSY, 0x67, EXC_TS, NEW | SYS_TI },
		{ 0, 0x80 | TSS32_BUSY, 0x67, EXC_TS, 0 },
		{ 0xFFF8, 0x80 | TSS32_BUSY, 0x67, EXC_TS, 0xFFF8 },
		{ NEW, TSS32_BUSY, 0x67, EXC_NP, NEW },
		{ NEW, 0x80 | TSS32_BUSY, 0x66, EXC_TS, NEW },
	};

	for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++) {
		setup(s, 0);
		sys_descriptor(s, NEW, TSS, bad[n].limit, bad[n].attr);
		sys_put16(s, RIG_TSS, bad[n].link);
		sys_set_flags(s, FL_NT);
		SYS_RUN(s, 0xCF);
		sys_fault(s, bad[n].vector, bad[n].error);
	}
	setup(s, 0);
	sys_descriptor(s, NEW, TSS, 0x67, 0x80 | TSS32_BUSY);
	sys_put16(s, RIG_TSS, NEW | 3); /* RPL does not count */
	sys_set_flags(s, FL_NT);
	SYS_RUN(s, 0xCF);
	assert_int_equal(s->events, 0);
	entered(s);
	saved(s, RIG_CODE + 1, s->before.eflags & ~(uint32_t)FL_NT);
	assert_int_equal(type_of(s, RIG_TR), TSS32);
}

/* Every page that a switch touches, missing or read-only: a page fault of the old task. */
static void page_faults(void **state)
{
	static const struct { uint32_t page, clear, error; bool call; } bad[] = {
		{ 0x200000, 3, 0, false },                             /* the new TSS */
		{ 0x200000, 2, UM_PRESENT | UM_WRITE, true },          /* ... whose link is written */
		{ 0x201000, 3, UM_WRITE, false },                      /* the old TSS */
		{ 0x201000, 2, UM_PRESENT | UM_WRITE, false },
		{ RIG_GDT, 2, UM_PRESENT | UM_WRITE, false },          /* busy bits */
	};
	struct sys *s = *state;

	for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++) {
		setup(s, 0);
		sys_descriptor(s, NEW, 0x200000, 0x67, 0xE0 | TSS32);
		memcpy(s->rig->ram + 0x200000, s->rig->ram + TSS, 0x68);
		s->cpu->tr.base = 0x201000;
		rig_paging(s->rig);
		set_word(s, 0x20001C, RIG_TABLES);
		*rig_pte(s->rig, bad[n].page) &= ~bad[n].clear | 4;
		if (bad[n].clear == 3)
			*rig_pte(s->rig, bad[n].page) = 0;
		um_flush_all(s->rig->um);
		far_direct(s, bad[n].call, NEW);
		sys_fault(s, EXC_PF, bad[n].error);
		assert_int_equal(s->cpu->tr.base, 0x201000);
		assert_int_equal(type_of(s, NEW), TSS32);
	}
}

/* ---- 4. After ------------------------------------------------------------------------------- */

static void faults_of_the_new_task(void **state)
{
	struct sys *s = *state;
	static const struct { unsigned at; uint16_t value; unsigned vector, error; } bad[] = {
		{ 0x4C, 0, EXC_TS, 0 },                            /* CS null */
		{ 0x4C, 0xFFF8, EXC_TS, 0xFFF8 },
		{ 0x4C, SYS_OWN + 32, EXC_NP, SYS_OWN + 32 },      /* ... not present */
		{ 0x4C, SYS_OWN + 40, EXC_TS, SYS_OWN + 40 },      /* ... data */
		{ 0x50, 0, EXC_TS, 0 },                            /* SS */
		{ 0x50, 0xFFF8, EXC_TS, 0xFFF8 },
		{ 0x50, SYS_OWN + 48, EXC_SS, SYS_OWN + 48 },
		{ 0x50, (SYS_OWN + 40) | 1, EXC_TS, SYS_OWN + 40 },
		{ 0x54, 0xFFF8, EXC_TS, 0xFFF8 },                  /* DS */
		{ 0x54, SYS_OWN + 48, EXC_NP, SYS_OWN + 48 },
		{ 0x58, SYS_OWN + 56, EXC_TS, SYS_OWN + 56 },      /* FS: code that cannot be read */
		{ 0x60, 0xFFF8, EXC_TS, 0xFFF8 },                  /* LDT */
		{ 0x60, SYS_OWN + 40, EXC_TS, SYS_OWN + 40 },
		{ 0x60, SYS_TI, EXC_TS, SYS_TI },
		{ 0x60, SYS_OWN + 64, EXC_TS, SYS_OWN + 64 },      /* ... not present */
	};

	for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++)
		for (unsigned by_event = 0; by_event < 2; by_event++) {
			setup(s, 0);
			sys_descriptor(s, SYS_OWN + 32, 0, 0xFFFFF, SYS_G | SYS_DB | 0x1B);
			sys_descriptor(s, SYS_OWN + 40, 0, 0xFFFFF, SYS_G | SYS_DB | 0x93);
			sys_descriptor(s, SYS_OWN + 48, 0, 0xFFFFF, SYS_G | SYS_DB | 0x13);
			sys_descriptor(s, SYS_OWN + 56, 0, 0xFFFFF, SYS_G | SYS_DB | 0x99);
			sys_descriptor(s, SYS_OWN + 64, 0x6000, 0xFF, 0x02);
			set_word(s, TSS + bad[n].at, bad[n].value);
			sys_idt(s, EXC_UD, 0x80 | TASK_GATE_TYPE, NEW, 0);
			if (by_event)
				SYS_RUN(s, 0x0F, 0x0B);
			else
				far_direct(s, false, NEW);
			const struct sys_event *e = &s->event[by_event];
			assert_true(s->events > by_event);
			assert_int_equal(e->vector, bad[n].vector);
			assert_int_equal(e->error, bad[n].error | by_event);
			/* It is the new task's fault: the switch is complete. */
			assert_int_equal(s->cpu->tr.selector, NEW);
			assert_int_equal(type_of(s, NEW), TSS32_BUSY);
			assert_int_equal(s->cpu->gpr[CPU_EAX], 0x11110000);
			if (bad[n].at > 0x50 && bad[n].at != 0x60) {
				/* CS and SS are there: the handler runs. */
				assert_true(s->stopped);
				assert_int_equal(word(s, 0x50000 - 16 + 4), SYS_TARGET);
				assert_int_equal(s->cpu->gpr[CPU_ESP], 0x50000 - 16);
			}
			if (bad[n].at == 0x58) {
				assert_int_equal(s->cpu->seg[CPU_DS].selector, sys_data(0));
				assert_int_equal(s->cpu->seg[CPU_FS].attr, 0);
			}
		}
}

static void eip_beyond_its_segment(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	sys_descriptor(s, SYS_OWN + 32, 0, 0xFFFF, SYS_DB | 0x9B);
	set_word(s, TSS + 0x4C, SYS_OWN + 32);
	far_direct(s, false, NEW);
	assert_int_equal(s->event[0].vector, EXC_GP);
	assert_int_equal(s->event[0].error, 0);
	assert_int_equal(word(s, s->cpu->gpr[CPU_ESP] + 4), SYS_TARGET);
	assert_int_equal(sys_vector(s), EXC_GP);
}

/* ---- 5. The rest ---------------------------------------------------------------------------- */

static void cr3_and_ldt(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	rig_paging(s->rig);
	/* A second directory, where the target's page is another one. */
	memcpy(s->rig->ram + 0x110000, s->rig->ram + RIG_TABLES, 4096);
	memcpy(s->rig->ram + 0x111000, s->rig->ram + RIG_TABLES + 4096, 4096);
	set_word(s, 0x110000, 0x111007);
	set_word(s, 0x111000 + 4 * (SYS_TARGET >> 12), 0x60007);
	sys_put_code(s, SYS_TARGET, "\x0F\x0B", 2);
	sys_put_code(s, 0x60000, "\x0F\x01\xC1", 3);
	set_word(s, TSS + 0x1C, 0x110000);
	sys_descriptor(s, LDT2, 0x7000, 0x2F, 0x82);
	set_word(s, TSS + 0x60, LDT2);
	sys_descriptor(s, LDT2 + 8, 0, 0, 0);
	set_word(s, 0x7008, 0x0000FFFF);
	set_word(s, 0x700C, 0x00CF9300);
	set_word(s, TSS + 0x5C, 8 | SYS_TI); /* GS from the new LDT */
	far_direct(s, true, NEW);
	assert_int_equal(s->events, 0);
	entered(s);
	assert_int_equal(s->cpu->cr3, 0x110000);
	assert_int_equal(s->cpu->ldtr.selector, LDT2);
	assert_int_equal(s->cpu->ldtr.limit, 0x2F);
	assert_int_equal(s->cpu->seg[CPU_GS].selector, 8 | SYS_TI);
	assert_int_equal(s->cpu->seg[CPU_GS].limit, 0xFFFFFFFF);
	/* Paging off: CR3 stays. */
	setup(s, 0);
	set_word(s, TSS + 0x1C, 0x110000);
	far_direct(s, true, NEW);
	entered(s);
	assert_int_equal(s->cpu->cr3, s->before.cr3);
}

static void v86_task(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	set_word(s, TSS + 0x20, 0);
	set_word(s, TSS + 0x24, 2 | FL_VM | FL_IF | 3 << 12);
	for (unsigned n = 0; n < 6; n++)
		set_word(s, TSS + 0x48 + 4 * n, n == CPU_CS ? SYS_TARGET >> 4 : 0x1000 * n);
	far_direct(s, true, NEW);
	assert_int_equal(s->events, 0);
	assert_true(s->stopped);
	assert_int_equal(s->cpu->cpl, 3);
	assert_true(s->cpu->flags & FL_VM);
	assert_int_equal(s->cpu->eip, 3);
	for (unsigned n = 0; n < 6; n++) {
		assert_int_equal(s->cpu->seg[n].base, n == CPU_CS ? SYS_TARGET : 0x10000 * n);
		assert_int_equal(s->cpu->seg[n].attr, 0xF3);
	}
}

/* To ring 3 and its registers. */
static void user_task(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	new_task(s, 3);
	far_direct(s, false, NEW);
	assert_int_equal(s->events, 0);
	entered(s);
	assert_int_equal(s->cpu->cpl, 3);
	assert_int_equal(s->cpu->seg[CPU_SS].selector, sys_data(3));
}

static void trap_flag_and_breakpoints(void **state)
{
	struct sys *s = *state;

	setup(s, 0);
	set_word(s, TSS + 0x64, 0x680001);
	s->cpu->dr[7] |= 0x3FF & ~(uint32_t)0xAA; /* local ones, GE and LE */
	s->cpu->dr[0] = s->cpu->dr[1] = s->cpu->dr[2] = s->cpu->dr[3] = 0x700000;
	mode_changed(s->cpu);
	far_direct(s, false, NEW);
	assert_int_equal(s->events, 1);
	assert_int_equal(s->event[0].vector, EXC_DB);
	assert_int_equal(s->first.eip, SYS_TARGET);
	assert_int_equal(s->first.dr[6], 0xFFFF0FF0 | 1u << 15);
	assert_int_equal(s->first.dr[7] & 0x3FF, 0x200);
	assert_int_equal(s->first.tr.selector, NEW);
	assert_int_equal(sys_vector(s), EXC_DB);
	/* From an interrupt, too */
	setup(s, 0);
	set_word(s, TSS + 0x64, 0x680001);
	sys_idt(s, V, 0xE0 | TASK_GATE_TYPE, NEW, 0);
	SYS_RUN(s, 0xCD, V);
	assert_int_equal(s->events, 2);
	assert_int_equal(s->event[1].vector, EXC_DB);
	assert_int_equal(word(s, 0x50000 - 12), SYS_TARGET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jump_and_call), cmocka_unit_test(nested_and_back), cmocka_unit_test(by_interrupt),
		cmocka_unit_test(from_32_to_16), cmocka_unit_test(from_16_to_32), cmocka_unit_test(refusals),
		cmocka_unit_test(iret_refusals), cmocka_unit_test(page_faults),
		cmocka_unit_test(faults_of_the_new_task), cmocka_unit_test(eip_beyond_its_segment),
		cmocka_unit_test(cr3_and_ldt), cmocka_unit_test(v86_task), cmocka_unit_test(user_task),
		cmocka_unit_test(trap_flag_and_breakpoints),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make, unmake);
}
