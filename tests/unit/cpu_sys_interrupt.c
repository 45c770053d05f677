/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_sys_interrupt.c - events reach their handlers, with the right frame, or fault as the manual says.
 *
 *   1. Gates        every type x DPL x P for INT n and for exceptions; frames of 16 and 32 bits
 *   2. Rings        stack switches, conforming handlers, each refusal and its error code
 *   3. V86          segments saved and cleared, IOPL, ring 0 only
 *   4. Flags        IF, TF, NT, RF, VM: what the frame and the handler see
 *   5. Pile-ups     contributory, page fault, double fault, shutdown: every pair of SDM vol. 3, table 6-5
 *   6. Interrupts   EXT, IF, HLT, STI's shadow, NMI
 *   7. Real mode
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

enum { INT16 = 6, TRAP16 = 7, TASK = 5, INT32 = 14, TRAP32 = 15, V = 0x77, INNER = SYS_OWN };
#define ERROR_IDT(v) ((v) * 8u + 2)
#define INT_V 0xCD, V

static uint32_t esp(const struct sys *s) { return s->cpu->gpr[CPU_ESP]; }
static uint32_t word(const struct sys *s, uint32_t at) { return rig_word(s->rig, at); }
static void set_word(struct sys *s, uint32_t at, uint32_t value) { rig_set_word(s->rig, at, value); }
static uint32_t eflags(struct sys *s)
{
	struct cpu_state st;

	cpu_get_state(s->cpu, &st);
	return st.eflags;
}

/* Two events: what the test raised, then this fault - of the instruction itself, INT n included. */
static void second(struct sys *s, unsigned vector, uint32_t error)
{
	assert_true(s->events >= 2);
	assert_int_equal(s->event[1].vector, vector);
	assert_int_equal(s->event[1].error, error);
	assert_int_equal(sys_vector(s), vector);
	assert_int_equal(word(s, esp(s)), error);
	assert_int_equal(word(s, esp(s) + 4), s->before.eip);
}

/* ---- 1. Gates ------------------------------------------------------------------------------- */

static bool is_interrupt_gate(unsigned type) { return type == INT16 || type == TRAP16 || type == INT32 || type == TRAP32; }

static void every_gate(void **state)
{
	struct sys *s = *state;

	for (unsigned type = 0; type < 32; type++)
		for (unsigned rights = 0; rights < 64; rights++) {
			unsigned dpl = rights & 3, cpl = rights >> 3 & 3;
			bool present = rights >> 2 & 1, software = rights >> 5;

			if (type == TASK)
				continue;
			sys_ring(s, cpl);
			sys_idt(s, software ? V : EXC_UD, (present ? 0x80u : 0u) | dpl << 5 | type, sys_code(0), SYS_TARGET & 0xFFFF);
			sys_put_code(s, SYS_TARGET & 0xFFFF, "\x0F\x01\xC1", 3);
			if (software)
				SYS_RUN(s, INT_V);
			else
				SYS_RUN(s, 0x0F, 0x0B); /* ud2 */
			uint32_t error = ERROR_IDT(software ? V : EXC_UD) | (software ? 0 : 1);
			if (!is_interrupt_gate(type)) {
				second(s, EXC_GP, error);
			} else if (software && cpl > dpl) {
				second(s, EXC_GP, error);
			} else if (!present) {
				second(s, EXC_NP, error);
			} else {
				assert_int_equal(s->events, 1);
				assert_int_equal(s->cpu->eip, (SYS_TARGET & 0xFFFF) + 3);
				assert_int_equal(s->cpu->cpl, 0);
				unsigned size = type & 8 ? 4 : 2, items = cpl ? 5 : 3;
				uint32_t top = cpl ? SYS_STACKS + 0x1000 : RIG_STACK;
				assert_int_equal(esp(s), top - items * size);
				uint32_t eip = RIG_CODE + (software ? 2 : 0);
				uint32_t mask = size == 4 ? 0xFFFFFFFF : 0xFFFF;
				assert_int_equal(word(s, esp(s)) & mask, eip & mask);
				assert_int_equal(word(s, esp(s) + size) & mask, sys_code(cpl));
				if (cpl) {
					assert_int_equal(word(s, esp(s) + 3 * size) & mask, RIG_STACK & mask);
					assert_int_equal(word(s, esp(s) + 4 * size) & mask, sys_data(cpl));
				}
			}
		}
	sys_put_code(s, SYS_TARGET & 0xFFFF, "\0\0\0", 3);
}

static void idt_limit(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->idtr.limit = V * 8 + 6;
	SYS_RUN(s, INT_V);
	second(s, EXC_GP, ERROR_IDT(V));
	sys_ring(s, 0);
	s->cpu->idtr.limit = V * 8 + 7;
	SYS_RUN(s, INT_V);
	assert_int_equal(sys_vector(s), V);
}

/* INT3 and INTO check the gate's DPL, INT1 does not; all return behind themselves. */
static void short_forms(void **state)
{
	struct sys *s = *state;

	for (unsigned dpl = 0; dpl < 4; dpl += 3) {
		sys_ring(s, 3);
		sys_idt(s, EXC_BP, 0x80 | dpl << 5 | INT32, sys_code(0), RIG_HANDLERS + 16 * EXC_BP);
		SYS_RUN(s, 0xCC);
		if (dpl)
			assert_int_equal(sys_vector(s), EXC_BP);
		else
			second(s, EXC_GP, ERROR_IDT(EXC_BP));
		assert_int_equal(s->first.eip, RIG_CODE + 1);
		sys_ring(s, 3);
		sys_idt(s, EXC_OF, 0x80 | dpl << 5 | INT32, sys_code(0), RIG_HANDLERS + 16 * EXC_OF);
		sys_set_flags(s, FL_OF);
		SYS_RUN(s, 0xCE);
		if (dpl)
			assert_int_equal(sys_vector(s), EXC_OF);
		else
			second(s, EXC_GP, ERROR_IDT(EXC_OF));
		sys_ring(s, 3);
		sys_idt(s, EXC_DB, 0x80 | dpl << 5 | INT32, sys_code(0), RIG_HANDLERS + 16 * EXC_DB);
		SYS_RUN(s, 0xF1);
		assert_int_equal(sys_vector(s), EXC_DB);
		assert_int_equal(s->first.eip, RIG_CODE + 1);
		assert_int_equal(s->cpu->dr[6], 0xFFFF0FF0);
	}
	sys_ring(s, 3); /* INT1 through a gate that is not there: EXT is set */
	sys_idt(s, EXC_DB, 0, 0, 0);
	SYS_RUN(s, 0xF1);
	assert_int_equal(s->event[1].vector, EXC_GP);
	assert_int_equal(s->event[1].error, ERROR_IDT(EXC_DB) | 1);
}

/* ---- 2. Rings ------------------------------------------------------------------------------- */

static void handler_segments(void **state)
{
	struct sys *s = *state;

	for (unsigned type = 0; type < 32; type++)
		for (unsigned rights = 0; rights < 32; rights++) {
			unsigned dpl = rights & 3, cpl = rights >> 3;
			bool present = rights >> 2 & 1, code = type >= 24, conforming = code && type & 4;
			unsigned target = conforming ? cpl : dpl;

			sys_ring(s, cpl);
			sys_descriptor(s, INNER, SYS_TARGET - 0x100, 0xFFF,
			               SYS_DB | (present ? 0x80u : 0u) | dpl << 5 | type);
			sys_idt(s, V, 0xE0 | INT32, INNER | 3, 0x100);
			SYS_RUN(s, INT_V);
			if (!code || dpl > cpl) {
				second(s, EXC_GP, INNER);
			} else if (!present) {
				second(s, EXC_NP, INNER);
			} else {
				assert_int_equal(s->events, 1);
				assert_int_equal(s->cpu->eip, 0x103);
				assert_int_equal(s->cpu->cpl, target);
				assert_int_equal(s->cpu->seg[CPU_CS].selector, INNER | target);
				assert_int_equal(s->cpu->seg[CPU_SS].selector, sys_data(target));
				if (target < cpl) {
					uint32_t top = SYS_STACKS + 0x1000 * target + 0x1000;
					assert_int_equal(esp(s), top - 20);
					assert_int_equal(word(s, top - 4), sys_data(cpl));
					assert_int_equal(word(s, top - 8), RIG_STACK);
				} else {
					assert_int_equal(esp(s), RIG_STACK - 12);
				}
			}
		}
}

static void refusals(void **state)
{
	struct sys *s = *state;

#define REFUSED(prepare, vector, error)                                                                \
	do {                                                                                           \
		for (unsigned exception = 0; exception < 2; exception++) {                             \
			unsigned v = exception ? EXC_UD : V;                                           \
			sys_ring(s, 3);                                                                \
			sys_descriptor(s, INNER, SYS_TARGET - 0x100, 0xFFF, SYS_DB | 0xBA); /* ring 1 */ \
			sys_idt(s, v, 0xE0 | INT32, INNER, 0x100);                                     \
			prepare;                                                                       \
			if (exception)                                                                 \
				SYS_RUN(s, 0x0F, 0x0B);                                                \
			else                                                                           \
				SYS_RUN(s, INT_V);                                                     \
			second(s, vector, (error) | exception);                                        \
		}                                                                                      \
	} while (0)
	REFUSED(sys_idt(s, v, 0xE0 | INT32, 3, 0x100), EXC_GP, 0);
	REFUSED(sys_idt(s, v, 0xE0 | INT32, 0x7F8 | SYS_TI, 0x100), EXC_GP, 0x7F8 | SYS_TI);
	REFUSED(sys_put16(s, RIG_TSS + 16, 0), EXC_TS, 0);
	REFUSED(sys_put16(s, RIG_TSS + 16, 0x7F8 | SYS_TI | 1), EXC_TS, 0x7F8 | SYS_TI);
	REFUSED(sys_put16(s, RIG_TSS + 16, sys_data(1) & 0xFFFC), EXC_TS, sys_data(1) & 0xFFFC);
	REFUSED(sys_put16(s, RIG_TSS + 16, sys_data(2)), EXC_TS, sys_data(2) & 0xFFFC);
	REFUSED(sys_put16(s, RIG_TSS + 16, sys_code(1)), EXC_TS, sys_code(1) & 0xFFFC);
	REFUSED((sys_descriptor(s, SYS_OWN + 16, 0, 0xFFFF, 0x32), sys_put16(s, RIG_TSS + 16, (SYS_OWN + 16) | 1)), EXC_SS,
	        SYS_OWN + 16);
	REFUSED((sys_descriptor(s, SYS_OWN + 16, 0, 0x1000, SYS_DB | 0xB2), sys_put16(s, RIG_TSS + 16, (SYS_OWN + 16) | 1)),
	        EXC_SS, SYS_OWN + 16);
	REFUSED(sys_idt(s, v, 0xE0 | INT32, INNER, 0x1000), EXC_GP, 0);
#undef REFUSED
	/* The TSS ends before SS1:ESP1 (ring 0's stack is still within). */
	sys_ring(s, 3);
	sys_descriptor(s, INNER, SYS_TARGET - 0x100, 0xFFF, SYS_DB | 0xBA);
	sys_idt(s, V, 0xE0 | INT32, INNER, 0x100);
	s->cpu->tr.limit = 16;
	SYS_RUN(s, INT_V);
	second(s, EXC_TS, RIG_TR);
	/* No room on the same ring's stack: #SS(0), whose own delivery to ring 0 fails as well. */
	sys_ring(s, 0);
	s->cpu->seg[CPU_SS].limit = 0x1000;
	mode_changed(s->cpu);
	SYS_RUN(s, INT_V);
	assert_int_equal(s->event[1].vector, EXC_SS);
	assert_int_equal(s->event[1].error, 0);
	assert_int_equal(s->event[2].vector, EXC_DF); /* contributory twice */
	assert_int_equal(s->exit, CPU_EXIT_SHUTDOWN);
}

/* An inner stack with room for exactly so much: one byte less is #SS with its selector. */
static void stack_room(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 16; n++) {
		bool wide = n & 1, v86 = n & 2, code = n & 4, enough = n & 8;
		unsigned size = wide ? 4 : 2, items = 5u + (v86 ? 4u : 0u) + code;

		if (v86)
			sys_v86(s, 3);
		else
			sys_ring(s, 3);
		/* Expand-down: what is at or below the limit is out of bounds. */
		sys_descriptor(s, SYS_OWN, 0, SYS_STACKS + 0x1000 - items * size - enough, SYS_DB | 0x96);
		sys_put16(s, RIG_TSS + 8, SYS_OWN);
		sys_idt(s, code ? EXC_GP : EXC_UD, 0x80u | (wide ? 14 : 6), sys_code(0), RIG_HANDLERS);
		if (code)
			SYS_RUN(s, 0xF4); /* hlt in ring 3: #GP(0) */
		else
			SYS_RUN(s, 0x0F, 0x0B);
		if (enough) {
			assert_int_equal(s->events, 1);
			assert_true(s->stopped);
			assert_int_equal(esp(s), SYS_STACKS + 0x1000 - items * size);
			continue;
		}
		assert_true(s->events >= 2);
		assert_int_equal(s->event[1].vector, code ? EXC_DF : EXC_SS);
		if (!code)
			assert_int_equal(s->event[1].error, SYS_OWN | 1);
	}
}

/* The error code's size is the gate's. */
static void error_codes(void **state)
{
	struct sys *s = *state;

	for (unsigned wide = 0; wide < 2; wide++) {
		unsigned size = wide ? 4 : 2;
		sys_ring(s, 3);
		sys_idt(s, EXC_GP, 0x80u | (wide ? INT32 : INT16), sys_code(0), RIG_HANDLERS + 16 * EXC_GP);
		s->cpu->gpr[CPU_EAX] = sys_code(0);
		SYS_RUN(s, 0x8E, 0xD0); /* mov ss, ax */
		assert_int_equal(sys_vector(s), EXC_GP);
		assert_int_equal(esp(s), SYS_STACKS + 0x1000 - 6 * size);
		assert_int_equal(word(s, esp(s)) & (wide ? 0xFFFFFFFF : 0xFFFF), sys_code(0));
		assert_int_equal(word(s, esp(s) + size) & 0xFFFF, RIG_CODE & 0xFFFF);
	}
}

/* ---- 3. V86 --------------------------------------------------------------------------------- */

static void v86_frame(void **state)
{
	struct sys *s = *state;
	static const uint16_t order[] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };

	for (unsigned wide = 0; wide < 2; wide++) {
		unsigned size = wide ? 4 : 2;
		uint32_t mask = wide ? 0xFFFFFFFF : 0xFFFF, top = SYS_STACKS + 0x1000;
		sys_v86(s, 3);
		sys_idt(s, V, 0xE0u | (wide ? INT32 : INT16), sys_code(0), RIG_HANDLERS + 16 * V);
		SYS_RUN(s, INT_V);
		assert_int_equal(sys_vector(s), V);
		assert_int_equal(s->cpu->cpl, 0);
		assert_false(s->cpu->flags & FL_VM);
		assert_int_equal(esp(s), top - 9 * size);
		assert_int_equal(word(s, esp(s)) & mask, 2);
		assert_int_equal(word(s, esp(s) + size) & mask, RIG_CODE >> 4);
		assert_int_equal(word(s, esp(s) + 2 * size) & mask, s->before.eflags & mask);
		assert_int_equal(word(s, esp(s) + 3 * size) & mask, 0xFFF0);
		for (unsigned n = 0; n < 5; n++)
			assert_int_equal(word(s, esp(s) + (4 + n) * size) & mask, s->before.seg[order[n]].selector);
		for (unsigned n = 1; n < 5; n++) {
			assert_int_equal(s->cpu->seg[order[n]].selector, 0);
			assert_int_equal(s->cpu->seg[order[n]].attr, 0);
		}
		assert_int_equal(s->cpu->seg[CPU_SS].selector, sys_data(0));
	}
}

static void v86_refusals(void **state)
{
	struct sys *s = *state;

	for (unsigned iopl = 0; iopl < 3; iopl++) { /* INT n needs IOPL 3; INT3 does not */
		sys_v86(s, iopl);
		SYS_RUN(s, INT_V);
		sys_fault(s, EXC_GP, 0);
		sys_v86(s, iopl);
		SYS_RUN(s, 0xCC);
		assert_int_equal(sys_vector(s), EXC_BP);
	}
	for (unsigned dpl = 1; dpl < 4; dpl++) { /* handlers of other rings, and conforming ones */
		sys_v86(s, 3);
		sys_idt(s, V, 0xE0 | INT32, sys_code(dpl), SYS_TARGET);
		SYS_RUN(s, INT_V);
		second(s, EXC_GP, sys_code(dpl) & 0xFFFC);
	}
	sys_v86(s, 3);
	sys_descriptor(s, INNER, 0, 0xFFFFF, SYS_G | SYS_DB | 0x9E);
	sys_idt(s, V, 0xE0 | INT32, INNER, SYS_TARGET);
	SYS_RUN(s, INT_V);
	second(s, EXC_GP, INNER);
	/* A gate's DPL below 3 */
	sys_v86(s, 3);
	sys_idt(s, V, 0x80 | INT32, sys_code(0), SYS_TARGET);
	SYS_RUN(s, INT_V);
	second(s, EXC_GP, ERROR_IDT(V));
}

/* There and back again. */
static void v86_round_trip(void **state)
{
	struct sys *s = *state;

	sys_v86(s, 3);
	sys_idt(s, V, 0xE0 | INT32, sys_code(0), SYS_TARGET);
	sys_put_code(s, SYS_TARGET, "\xCF", 1); /* iretd */
	SYS_RUN(s, INT_V);
	assert_true(s->stopped);
	assert_int_equal(s->events, 1);
	assert_int_equal(s->cpu->eip, 5); /* behind the VMCALL behind INT */
	struct cpu_state now;
	cpu_get_state(s->cpu, &now);
	now.eip = s->before.eip;
	assert_memory_equal(&now, &s->before, sizeof now);
}

/* ---- 4. Flags ------------------------------------------------------------------------------- */

static void handler_flags(void **state)
{
	struct sys *s = *state;

	for (unsigned trap = 0; trap < 2; trap++) {
		sys_ring(s, 0);
		sys_idt(s, V, 0xE0u | (trap ? TRAP32 : INT32), sys_code(0), RIG_HANDLERS + 16 * V);
		sys_set_flags(s, FL_IF | FL_NT | FL_IOPL | FL_AC | FL_ID | FL_CF | FL_DF);
		SYS_RUN(s, INT_V);
		uint32_t now = eflags(s);
		assert_int_equal(now, (s->before.eflags & ~(uint32_t)FL_NT) & (trap ? ~0u : ~(uint32_t)FL_IF));
		assert_int_equal(word(s, esp(s) + 8), s->before.eflags);
	}
	/* Faults push RF, INT n does not; TF is pushed and cleared. */
	sys_ring(s, 0);
	SYS_RUN(s, 0x0F, 0x0B);
	assert_int_equal(word(s, esp(s) + 8), s->before.eflags | FL_RF);
	sys_ring(s, 0);
	sys_set_flags(s, FL_TF);
	SYS_RUN(s, INT_V);
	assert_int_equal(s->event[0].vector, V);
	assert_false(eflags(s) & FL_TF);
	assert_true(word(s, esp(s) + 8) & FL_TF);
}

/* ---- 5. Pile-ups ---------------------------------------------------------------------------- */

enum class { BENIGN, CONTRIBUTORY, PAGE };

/* Make vector v's handler fail with: a gate of a wrong type (#GP), one not present (#NP), a page fault. */
enum failure { FAIL_GP, FAIL_NP, FAIL_PF };
static void break_handler(struct sys *s, unsigned v, enum failure how)
{
	switch (how) {
	case FAIL_GP:
		sys_idt(s, v, 0xE0 | 0, sys_code(0), SYS_TARGET);
		break;
	case FAIL_NP:
		sys_idt(s, v, 0x60 | INT32, sys_code(0), SYS_TARGET);
		break;
	default: /* the handler's descriptor lies in a page that is not there: SYS_TI | 8 of an LDT out there */
		sys_idt(s, v, 0xE0 | INT32, SYS_TI | 8, SYS_TARGET);
		break;
	}
}

static void start(struct sys *s)
{
	sys_ring(s, 0);
	rig_paging(s->rig);
	s->cpu->ldtr.base = 0x300000;
	*rig_pte(s->rig, 0x300000) = 0;
	*rig_pte(s->rig, 0x301000) = 0;
	um_flush_all(s->rig->um);
}

/* Run what raises the first exception. */
static void raise_first(struct sys *s, unsigned v)
{
	switch (v) {
	case EXC_DE:
		s->cpu->gpr[CPU_EBX] = 0;
		SYS_RUN(s, 0xF7, 0xF3); /* div ebx */
		break;
	case EXC_UD:
		SYS_RUN(s, 0x0F, 0x0B);
		break;
	case EXC_BR:
		set_word(s, RIG_DATA, 5);
		set_word(s, RIG_DATA + 4, 6);
		s->cpu->gpr[CPU_EAX] = 9;
		SYS_RUN(s, 0x62, 0x05, 0, 0, 2, 0); /* bound eax, [RIG_DATA] */
		break;
	case EXC_NM:
		s->cpu->cr0 |= CR0_TS;
		SYS_RUN(s, 0xD9, 0xE8); /* fld1 */
		break;
	case EXC_NP:
		sys_descriptor(s, INNER, 0, 0xFFFF, 0x12);
		s->cpu->gpr[CPU_EAX] = INNER;
		SYS_RUN(s, 0x8E, 0xD8);
		break;
	case EXC_SS:
		sys_descriptor(s, INNER, 0, 0xFFFF, 0x12);
		s->cpu->gpr[CPU_EAX] = INNER;
		SYS_RUN(s, 0x8E, 0xD0);
		break;
	case EXC_GP:
		s->cpu->gpr[CPU_EAX] = 0xFFF0;
		SYS_RUN(s, 0x8E, 0xD8);
		break;
	case EXC_PF:
		SYS_RUN(s, 0xA1, 0x10, 0x10, 0x30, 0x00); /* mov eax, [301010h] */
		break;
	default:
		fail();
	}
}

static enum class class_of(unsigned v)
{
	return v == EXC_PF ? PAGE : v == EXC_DE || (v >= EXC_TS && v <= EXC_GP) ? CONTRIBUTORY : BENIGN;
}

static void every_pair(void **state)
{
	static const unsigned firsts[] = { EXC_DE, EXC_UD, EXC_BR, EXC_NM, EXC_NP, EXC_SS, EXC_GP, EXC_PF };
	static const unsigned seconds[] = { EXC_GP, EXC_NP, EXC_PF };
	struct sys *s = *state;

	for (unsigned a = 0; a < 8; a++)
		for (enum failure how = FAIL_GP; how <= FAIL_PF; how++) {
			unsigned v = firsts[a], w = seconds[how];
			enum class was = class_of(v), is = class_of(w);
			bool doubled = (was == CONTRIBUTORY && is == CONTRIBUTORY) || (was == PAGE && is != BENIGN);

			if (v == w)
				continue; /* the second could not be delivered: see below */
			start(s);
			break_handler(s, v, how);
			raise_first(s, v);
			assert_int_equal(s->event[0].vector, v);
			assert_int_equal(s->events, 2);
			assert_int_equal(s->event[1].vector, doubled ? EXC_DF : w);
			assert_int_equal(sys_vector(s), doubled ? EXC_DF : w);
			/* The frame is that of the instruction: nothing of the first delivery is left. */
			assert_int_equal(word(s, esp(s) + 4), RIG_CODE);
			assert_int_equal(esp(s), RIG_STACK - 16);
			if (doubled)
				assert_int_equal(word(s, esp(s)), 0);
			else if (w != EXC_PF)
				assert_int_equal(word(s, esp(s)), ERROR_IDT(v) | 1);
			else
				assert_int_equal(s->cpu->cr2, 0x300008);
		}
}

static void shutdowns(void **state)
{
	struct sys *s = *state;
	char text[512];

	for (enum failure how = FAIL_GP; how <= FAIL_PF; how++) {
		start(s);
		break_handler(s, EXC_GP, FAIL_GP);
		break_handler(s, EXC_DF, how);
		raise_first(s, EXC_GP);
		assert_int_equal(s->exit, CPU_EXIT_SHUTDOWN);
		assert_int_equal(s->events, 2); /* #GP, #DF */
		assert_int_equal(s->event[1].vector, EXC_DF);
		assert_int_equal(s->cpu->eip, RIG_CODE);
		cpu_describe_shutdown(s->cpu, text, sizeof text);
		assert_non_null(strstr(text, "#DF"));
	}
	/* A contributory fault of a page fault's delivery, and then one of the double fault's. */
	start(s);
	break_handler(s, EXC_PF, FAIL_PF);
	raise_first(s, EXC_PF);
	assert_int_equal(s->event[1].vector, EXC_DF);
	assert_int_equal(sys_vector(s), EXC_DF);
	assert_int_equal(s->cpu->cr2, 0x300008);
}

/* Three in a row that are no double fault: #UD, its handler's #NP... whose handler gives a #PF. */
static void serial_events(void **state)
{
	struct sys *s = *state;

	start(s);
	break_handler(s, EXC_UD, FAIL_NP);
	break_handler(s, EXC_NP, FAIL_PF);
	raise_first(s, EXC_UD);
	assert_int_equal(s->events, 3);
	assert_int_equal(s->event[1].vector, EXC_NP);
	assert_int_equal(s->event[2].vector, EXC_PF);
	assert_int_equal(sys_vector(s), EXC_PF);
}

/* ---- 6. Interrupts -------------------------------------------------------------------------- */

static void external(struct sys *s, unsigned ring)
{
	sys_ring(s, ring);
	s->rig->irq_vector = EXC_GP; /* a vector that as an exception would have an error code */
	sys_set_flags(s, FL_IF);
	cpu_set_irq(s->cpu, true);
}

static void interrupts_are_benign(void **state)
{
	struct sys *s = *state;

	external(s, 3);
	SYS_RUN(s, 0x90);
	assert_int_equal(sys_vector(s), EXC_GP);
	assert_int_equal(esp(s), SYS_STACKS + 0x1000 - 20); /* no error code */
	assert_int_equal(word(s, esp(s)), RIG_CODE);
	assert_false(eflags(s) & FL_IF);
	/* DPL of the gate does not matter; a fault has EXT and is no double fault. */
	external(s, 3);
	s->rig->irq_vector = V;
	sys_idt(s, V, 0x00 | INT32, sys_code(0), SYS_TARGET);
	SYS_RUN(s, 0x90);
	second(s, EXC_NP, ERROR_IDT(V) | 1);
	external(s, 3);
	s->rig->irq_vector = EXC_GP;
	sys_idt(s, EXC_GP, 0x00 | INT32, sys_code(0), SYS_TARGET);
	SYS_RUN(s, 0x90);
	assert_int_equal(s->event[1].vector, EXC_NP);
	/* IF clear: not now. */
	sys_ring(s, 0);
	cpu_set_irq(s->cpu, true);
	SYS_RUN(s, 0x90);
	sys_ok(s, 0);
	cpu_set_irq(s->cpu, false);
}

static void halting(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->rig->irq_vector = V;
	SYS_RUN(s, 0xFB, 0xF4); /* sti; hlt */
	assert_int_equal(s->exit, CPU_EXIT_HALTED);
	assert_int_equal(s->cpu->eip, RIG_CODE + 2);
	assert_int_equal(cpu_run(s->cpu, 1000), CPU_EXIT_HALTED);
	cpu_set_irq(s->cpu, true);
	assert_int_equal(cpu_run(s->cpu, 1000), CPU_EXIT_KICKED);
	assert_int_equal(sys_vector(s), V);
	assert_int_equal(word(s, esp(s)), RIG_CODE + 2);
	/* Pending before STI; HLT: taken after the HLT, which it ends. */
	sys_ring(s, 0);
	cpu_set_irq(s->cpu, true);
	SYS_RUN(s, 0xFB, 0xF4);
	assert_int_equal(sys_vector(s), V);
	assert_int_equal(word(s, esp(s)), RIG_CODE + 2);
	/* In ring 3 */
	sys_ring(s, 3);
	SYS_RUN(s, 0xF4);
	sys_fault(s, EXC_GP, 0);
}

/* One instruction after STI is safe, also where the STI ends a run of the loop. */
static void the_shadow_of_sti(void **state)
{
	static const uint32_t options[] = { CPU_OPT_ALL, 0 };

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct sys *s = sys_new(options[n]);
		s->rig->irq_vector = V;
		cpu_set_irq(s->cpu, true);
		SYS_RUN(s, 0xFB, 0x40, 0x40, 0x40, 0x40); /* sti; inc eax... */
		assert_int_equal(sys_vector(s), V);
		assert_true(word(s, esp(s)) >= RIG_CODE + 2);
		sys_ring(s, 0);
		cpu_set_irq(s->cpu, true);
		SYS_RUN(s, 0xFB, 0xFA, 0x40); /* sti; cli; inc eax: never */
		sys_ok(s, 0);
		cpu_set_irq(s->cpu, false);
		sys_free(s);
	}
}

static void nmi(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_idt(s, EXC_NMI, 0x80 | INT32, sys_code(0), SYS_TARGET);
	sys_put_code(s, SYS_TARGET, "\x40\x0F\x01\xC1\xCF", 5); /* inc eax; vmcall; iret */
	cpu_pulse_nmi(s->cpu);
	SYS_RUN(s, 0x90);
	assert_int_equal(s->cpu->gpr[CPU_EAX], 1);
	cpu_pulse_nmi(s->cpu); /* kept back until IRET */
	assert_int_equal(cpu_run(s->cpu, 1000), CPU_EXIT_KICKED);
	assert_int_equal(s->events, 2);
	assert_int_equal(s->cpu->gpr[CPU_EAX], 2);
	assert_int_equal(word(s, esp(s)), RIG_CODE);
}

/* ---- 7. Real mode --------------------------------------------------------------------------- */

static void real_mode(void **state)
{
	struct sys *s = *state;

	sys_real(s);
	sys_set_flags(s, FL_IF | FL_AC);
	SYS_RUN(s, INT_V);
	assert_int_equal(sys_vector(s), V);
	assert_int_equal(esp(s), 0xFFF8);
	assert_int_equal(sys_get16(s, 0x3FFF8), 2);
	assert_int_equal(sys_get16(s, 0x3FFFA), RIG_CODE >> 4);
	assert_int_equal(sys_get16(s, 0x3FFFC), s->before.eflags & 0xFFFF);
	assert_false(eflags(s) & (FL_IF | FL_AC));
	sys_real(s); /* the table's limit; exceptions have no error code */
	s->cpu->idtr.limit = V * 4 + 2;
	SYS_RUN(s, INT_V);
	assert_int_equal(s->event[1].vector, EXC_GP);
	assert_int_equal(sys_vector(s), EXC_GP);
	assert_int_equal(esp(s), 0xFFF8);
	sys_real(s); /* no table at all: the fault that ends all */
	s->cpu->idtr.limit = 0;
	SYS_RUN(s, INT_V);
	assert_int_equal(s->exit, CPU_EXIT_SHUTDOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_gate), cmocka_unit_test(idt_limit), cmocka_unit_test(short_forms),
		cmocka_unit_test(handler_segments), cmocka_unit_test(refusals), cmocka_unit_test(stack_room), cmocka_unit_test(error_codes),
		cmocka_unit_test(v86_frame), cmocka_unit_test(v86_refusals), cmocka_unit_test(v86_round_trip),
		cmocka_unit_test(handler_flags), cmocka_unit_test(every_pair), cmocka_unit_test(shutdowns),
		cmocka_unit_test(serial_events), cmocka_unit_test(interrupts_are_benign), cmocka_unit_test(halting),
		cmocka_unit_test(the_shadow_of_sti), cmocka_unit_test(nmi), cmocka_unit_test(real_mode),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make, unmake);
}
