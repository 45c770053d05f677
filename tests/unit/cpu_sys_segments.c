/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_sys_segments.c - segment registers are loaded, and refused, as the manual says.
 *
 *   1. Loads          every type x DPL x P x RPL x CPL for DS and for SS, against rules written anew
 *   2. Tables         limits of GDT and LDT, accessed bit, pages that are not there
 *   3. Instructions   MOV, PUSH, POP, LDS and its kind; the shadow of MOV SS
 *   4. Use            limits, expand-down, read-only, execute-only
 *   5. Questions      LAR, LSL, VERR, VERW, ARPL: every type
 *   6. Real mode
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

enum { LIMIT = 0x1234, BASE = 0x00345678 };

/* mov ds/ss, ax with this selector */
static void load_into(struct sys *s, unsigned seg, uint16_t selector)
{
	s->cpu->gpr[CPU_EAX] = selector;
	SYS_RUN(s, 0x8E, (uint8_t)(0xC0 | seg << 3));
}

/* ---- 1. Loads ------------------------------------------------------------------------------- */

/* SDM vol. 2, MOV, "Protected Mode Exceptions": the vector, or -1. */
static int expected(unsigned seg, unsigned type, unsigned dpl, bool present, unsigned rpl, unsigned cpl)
{
	bool code_or_data = type >= 16, code = type >= 24, writable_data = code_or_data && !code && type & 2;
	bool readable = code_or_data && (!code || type & 2), conforming = code && type & 4;

	if (seg == CPU_SS) {
		if (rpl != cpl || !writable_data || dpl != cpl)
			return EXC_GP;
		return present ? -1 : EXC_SS;
	}
	if (!readable)
		return EXC_GP;
	if (!conforming && (rpl > dpl || cpl > dpl))
		return EXC_GP;
	return present ? -1 : EXC_NP;
}

static void load_one(struct sys *s, unsigned seg, unsigned type, unsigned dpl, bool present, unsigned rpl, unsigned cpl)
{
	uint16_t selector = (uint16_t)(SYS_OWN | rpl);
	int vector = expected(seg, type, dpl, present, rpl, cpl);

	sys_ring(s, cpl);
	sys_descriptor(s, SYS_OWN, BASE, LIMIT, (present ? 0x80u : 0u) | dpl << 5 | type);
	load_into(s, seg, selector);
	if (vector >= 0) {
		sys_fault(s, (unsigned)vector, SYS_OWN);
		assert_int_equal(sys_access_byte(s, SYS_OWN), (present ? 0x80u : 0u) | dpl << 5 | type);
		return;
	}
	sys_ok(s, 0);
	assert_int_equal(s->cpu->seg[seg].selector, selector);
	assert_int_equal(s->cpu->seg[seg].base, BASE);
	assert_int_equal(s->cpu->seg[seg].limit, LIMIT);
	assert_int_equal(s->cpu->seg[seg].attr, 0x80u | dpl << 5 | type | 1);
	assert_int_equal(sys_access_byte(s, SYS_OWN), 0x80u | dpl << 5 | type | 1);
}

static void loads(struct sys *s, unsigned seg)
{
	for (unsigned type = 0; type < 32; type++)
		for (unsigned rights = 0; rights < 128; rights++)
			load_one(s, seg, type, rights & 3, rights >> 2 & 1, rights >> 3 & 3, rights >> 5);
}
static void every_descriptor_into_ds(void **state) { loads(*state, CPU_DS); }
static void every_descriptor_into_ss(void **state) { loads(*state, CPU_SS); }

static void null_selectors(void **state)
{
	static const uint8_t data[] = { CPU_DS, CPU_ES, CPU_FS, CPU_GS };
	struct sys *s = *state;

	for (unsigned rpl = 0; rpl < 4; rpl++)
		for (unsigned n = 0; n < 4; n++) {
			sys_ring(s, 3);
			load_into(s, data[n], (uint16_t)rpl);
			sys_ok(s, 0);
			assert_int_equal(s->cpu->seg[data[n]].selector, rpl);
			assert_int_equal(s->cpu->seg[data[n]].attr, 0);
		}
	sys_ring(s, 0);
	load_into(s, CPU_SS, 0);
	sys_fault(s, EXC_GP, 0);
	/* A null DS may be loaded, not used: mov eax, [0] */
	sys_ring(s, 0);
	s->cpu->gpr[CPU_EAX] = 0;
	SYS_RUN(s, 0x8E, 0xD8, 0xA1, 0, 0, 0, 0);
	assert_int_equal(s->event[0].vector, EXC_GP);
	assert_int_equal(s->event[0].error, 0);
	assert_int_equal(s->first.eip, RIG_CODE + 2);
}

static void mov_to_cs_is_undefined(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	load_into(s, CPU_CS, sys_code(0));
	sys_fault(s, EXC_UD, 0);
	for (unsigned seg = 6; seg < 8; seg++) {
		sys_ring(s, 0);
		load_into(s, seg, sys_data(0));
		sys_fault(s, EXC_UD, 0);
		sys_ring(s, 0);
		SYS_RUN(s, 0x8C, (uint8_t)(0xC0 | seg << 3));
		sys_fault(s, EXC_UD, 0);
	}
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

static void table_limits(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->gdtr.limit = SYS_OWN + 6; /* one byte short */
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0x93);
	load_into(s, CPU_DS, SYS_OWN);
	sys_fault(s, EXC_GP, SYS_OWN);
	sys_ring(s, 0);
	s->cpu->gdtr.limit = SYS_OWN + 7;
	load_into(s, CPU_DS, SYS_OWN);
	sys_ok(s, 0);
	sys_ring(s, 0);
	sys_descriptor(s, 0xF8 | SYS_TI, BASE, LIMIT, 0x93);
	load_into(s, CPU_DS, 0xF8 | SYS_TI | 3); /* RPL 3 of a DPL 0 segment */
	sys_fault(s, EXC_GP, 0xF8 | SYS_TI);
	sys_ring(s, 0);
	load_into(s, CPU_DS, 0xF8 | SYS_TI);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->seg[CPU_DS].base, BASE);
	sys_ring(s, 0);
	load_into(s, CPU_DS, 0x100 | SYS_TI);
	sys_fault(s, EXC_GP, 0x100 | SYS_TI);
	/* No LDT: every LDT selector is beyond its limit. */
	sys_ring(s, 0);
	s->cpu->ldtr = (struct cpu_segment){ 0 };
	load_into(s, CPU_DS, SYS_TI);
	sys_fault(s, EXC_GP, SYS_TI);
}

static void granularity(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, 0xFEDCBA98, 0x54321, SYS_G | 0x93);
	load_into(s, CPU_FS, SYS_OWN);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->seg[CPU_FS].base, 0xFEDCBA98);
	assert_int_equal(s->cpu->seg[CPU_FS].limit, 0x54321FFF);
	assert_int_equal(s->cpu->seg[CPU_FS].attr, SYS_G | 0x93);
}

/* Descriptors are read and marked with supervisor rights, from user code too; with CR0.WP a read-only table
 * cannot be marked. */
static void descriptor_pages(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 3);
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0xF2);
	rig_paging(s->rig);
	*rig_pte(s->rig, RIG_GDT) &= ~4u; /* supervisor only */
	um_flush_all(s->rig->um);
	load_into(s, CPU_DS, SYS_OWN | 3);
	sys_ok(s, 0);
	assert_int_equal(sys_access_byte(s, SYS_OWN), 0xF3);

	sys_ring(s, 3);
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0xF2);
	rig_paging(s->rig);
	*rig_pte(s->rig, RIG_GDT) &= ~2u;
	um_flush_all(s->rig->um);
	load_into(s, CPU_DS, SYS_OWN | 3);
	sys_fault(s, EXC_PF, UM_PRESENT | UM_WRITE);
	assert_int_equal(s->cpu->cr2, RIG_GDT + SYS_OWN + 5);

	/* A marked one is only read. */
	sys_ring(s, 3);
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0xF3);
	rig_paging(s->rig);
	*rig_pte(s->rig, RIG_GDT) &= ~2u;
	um_flush_all(s->rig->um);
	load_into(s, CPU_DS, SYS_OWN | 3);
	sys_ok(s, 0);

	sys_ring(s, 3);
	rig_paging(s->rig);
	*rig_pte(s->rig, SYS_LDT) &= ~1u;
	um_flush_all(s->rig->um);
	load_into(s, CPU_DS, SYS_TI | 3);
	sys_fault(s, EXC_PF, 0);
	assert_int_equal(s->cpu->cr2, SYS_LDT);
	rig_flat(s->rig, 0); /* paging off again */
}

/* ---- 3. Instructions ------------------------------------------------------------------------ */

static void moves_from_segments(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->gpr[CPU_EBX] = 0xFFFFFFFF;
	SYS_RUN(s, 0x8C, 0xDB); /* mov ebx, ds */
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_EBX], sys_data(0));
	sys_ring(s, 0);
	s->cpu->gpr[CPU_EBX] = 0xFFFFFFFF;
	SYS_RUN(s, 0x66, 0x8C, 0xDB); /* mov bx, ds */
	assert_int_equal(s->cpu->gpr[CPU_EBX], 0xFFFF0000 | sys_data(0));
	sys_ring(s, 0);
	rig_set_word(s->rig, RIG_DATA, 0xAAAAAAAA);
	SYS_RUN(s, 0x8C, 0x1D, 0x00, 0x00, 0x02, 0x00); /* mov [RIG_DATA], ds */
	assert_int_equal(rig_word(s->rig, RIG_DATA), 0xAAAA0000 | sys_data(0));
}

static void push_and_pop(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	rig_set_word(s->rig, RIG_STACK - 4, 0x55555555);
	SYS_RUN(s, 0x0E); /* push cs: four bytes of stack, two written */
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ESP], RIG_STACK - 4);
	assert_int_equal(rig_word(s->rig, RIG_STACK - 4), 0x55550000 | sys_code(0));
	sys_ring(s, 0);
	SYS_RUN(s, 0x66, 0x0F, 0xA8); /* push gs, 16-bit */
	assert_int_equal(s->cpu->gpr[CPU_ESP], RIG_STACK - 2);
	assert_int_equal(sys_get16(s, RIG_STACK - 2), sys_data(0));
	for (unsigned n = 0; n < 4; n++) { /* pop es, pop ds, pop fs, pop gs */
		static const uint8_t code[4][2] = { { 0x07, 0x90 }, { 0x1F, 0x90 }, { 0x0F, 0xA1 }, { 0x0F, 0xA9 } };
		static const uint8_t seg[4] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
		sys_ring(s, 0);
		sys_descriptor(s, SYS_OWN, BASE, LIMIT, 0x93);
		rig_set_word(s->rig, RIG_STACK, 0x12340000 | SYS_OWN);
		sys_run(s, code[n], 2);
		sys_ok(s, 0);
		assert_int_equal(s->cpu->seg[seg[n]].base, BASE);
		assert_int_equal(s->cpu->gpr[CPU_ESP], RIG_STACK + 4);
		/* A refused one leaves ESP. */
		sys_ring(s, 0);
		sys_descriptor(s, SYS_OWN, BASE, LIMIT, 0x13);
		sys_run(s, code[n], 2);
		sys_fault(s, EXC_NP, SYS_OWN);
	}
}

/* POP SS moves ESP by the old stack's width. */
static void pop_ss_of_another_width(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0x93); /* B = 0 */
	s->cpu->gpr[CPU_ESP] = 0x4FFFE;
	rig_set_word(s->rig, 0x4FFFE, SYS_OWN);
	SYS_RUN(s, 0x17);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ESP], 0x50002);
	assert_int_equal(s->cpu->mode & MODE_STACK32, 0);
}

static void far_pointers(void **state)
{
	/* les, lds, lss, lfs, lgs ecx, [RIG_DATA] */
	static const struct { uint8_t seg, code[3], bytes; } form[] = {
		{ CPU_ES, { 0xC4, 0x0D }, 2 }, { CPU_DS, { 0xC5, 0x0D }, 2 }, { CPU_SS, { 0x0F, 0xB2, 0x0D }, 3 },
		{ CPU_FS, { 0x0F, 0xB4, 0x0D }, 3 }, { CPU_GS, { 0x0F, 0xB5, 0x0D }, 3 },
	};
	struct sys *s = *state;

	for (unsigned n = 0; n < 5; n++) {
		uint8_t code[8];
		memcpy(code, form[n].code, form[n].bytes);
		memcpy(code + form[n].bytes, (const uint8_t[]){ 0, 0, 2, 0 }, 4);
		for (unsigned bad = 0; bad < 2; bad++) {
			sys_ring(s, 0);
			sys_descriptor(s, SYS_OWN, 0, 0xFFFFF, SYS_G | SYS_DB | (bad ? 0x90 : 0x92));
			rig_set_word(s->rig, RIG_DATA, 0x89ABCDEF);
			rig_set_word(s->rig, RIG_DATA + 4, SYS_OWN);
			if (bad)
				sys_descriptor(s, SYS_OWN, 0, 0xFFFFF, 0x82);
			s->cpu->gpr[CPU_ECX] = 7;
			sys_run(s, code, form[n].bytes + 4u);
			if (bad) {
				sys_fault(s, EXC_GP, SYS_OWN);
				continue;
			}
			sys_ok(s, 0);
			assert_int_equal(s->cpu->gpr[CPU_ECX], 0x89ABCDEF);
			assert_int_equal(s->cpu->seg[form[n].seg].selector, SYS_OWN);
		}
	}
	sys_ring(s, 0); /* 16-bit: the upper half of the register stays */
	rig_set_word(s->rig, RIG_DATA, (uint32_t)sys_data(0) << 16 | 0x1111);
	s->cpu->gpr[CPU_ECX] = 0xABCD0000;
	SYS_RUN(s, 0x66, 0xC4, 0x0D, 0, 0, 2, 0);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ECX], 0xABCD1111);
}

/* After MOV SS neither an interrupt nor a trap comes before the next instruction; after it both may. */
static void the_shadow_of_mov_ss(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->gpr[CPU_EAX] = sys_data(0);
	s->rig->irq_vector = 0x33;
	struct cpu_state st;
	cpu_get_state(s->cpu, &st);
	st.eflags |= FL_IF;
	st.interrupt_shadow = true; /* so that the interrupt does not come before the MOV */
	cpu_set_state(s->cpu, &st);
	cpu_set_irq(s->cpu, true);
	SYS_RUN(s, 0x8E, 0xD0, 0xBC, 0x00, 0x00, 0x05, 0x00, 0x90, 0x90); /* mov ss, ax; mov esp, 50000h; nop; nop */
	assert_int_equal(s->event[0].vector, 0x33);
	assert_int_equal(s->first.eip, RIG_CODE + 7);
	assert_int_equal(s->first.gpr[CPU_ESP], 0x50000);

	sys_ring(s, 0);
	s->cpu->gpr[CPU_EAX] = sys_data(0);
	cpu_get_state(s->cpu, &st);
	st.eflags |= FL_TF;
	cpu_set_state(s->cpu, &st);
	SYS_RUN(s, 0x8E, 0xD0, 0xBC, 0x00, 0x00, 0x05, 0x00, 0x90, 0x90);
	assert_int_equal(s->event[0].vector, EXC_DB);
	assert_int_equal(s->first.eip, RIG_CODE + 7);
}

/* ---- 4. Use --------------------------------------------------------------------------------- */

static void use(struct sys *s, unsigned attr, uint32_t limit, bool write, uint32_t offset, bool allowed)
{
	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, 0x20000, limit, attr);
	s->cpu->gpr[CPU_EAX] = SYS_OWN;
	s->cpu->gpr[CPU_EBX] = offset;
	/* mov fs, ax; mov fs:[ebx], ecx or mov ecx, fs:[ebx] */
	SYS_RUN(s, 0x8E, 0xE0, 0x64, write ? 0x89 : 0x8B, 0x0B);
	if (allowed)
		sys_ok(s, 0);
	else {
		assert_true(s->events);
		assert_int_equal(s->event[0].vector, EXC_GP);
		assert_int_equal(s->event[0].error, 0);
	}
}

static void limits_and_types(void **state)
{
	struct sys *s = *state;

	use(s, 0x93, 0xFFF, false, 0xFFC, true);
	use(s, 0x93, 0xFFF, false, 0xFFD, false);
	use(s, 0x93, 0xFFF, true, 0xFFC, true);
	use(s, 0x93, 0xFFF, true, 0x1000, false);
	use(s, 0x93, 0xFFF, true, 0xFFFFFFFE, false);
	use(s, 0x91, 0xFFF, false, 0, true);           /* read-only */
	use(s, 0x91, 0xFFF, true, 0, false);
	use(s, 0x9B, 0xFFF, false, 0, true);           /* code, readable */
	use(s, 0x9B, 0xFFF, true, 0, false);
	use(s, 0x97, 0xFFF, false, 0xFFF, false);      /* expand-down, 64 KiB */
	use(s, 0x97, 0xFFF, false, 0x1000, true);
	use(s, 0x97, 0xFFF, false, 0xFFFC, true);
	use(s, 0x97, 0xFFF, false, 0xFFFD, false);
	use(s, SYS_DB | 0x97, 0xFFF, true, 0x10000, true); /* ... 4 GiB */
	use(s, SYS_DB | 0x97, 0xFFF, true, 0xFFC, false);
	use(s, SYS_DB | 0x95, 0xFFF, true, 0x2000, false); /* read-only, expand-down */
	use(s, SYS_G | 0x93, 0, true, 0xFFC, true);
	use(s, SYS_G | 0x93, 0, true, 0xFFD, false);
}

/* ---- 5. Questions --------------------------------------------------------------------------- */

/* Tables of LAR and LSL in SDM vol. 2, as strings of system types. */
static bool in_set(const char *types, unsigned type)
{
	static const char digits[] = "0123456789ABCDEF";

	return type >= 16 || strchr(types, digits[type]) != NULL;
}

static void question(struct sys *s, unsigned type, unsigned dpl, bool present, unsigned rpl, unsigned cpl)
{
	static const struct { uint8_t code[3]; const char *system; } ask[4] = {
		{ { 0x0F, 0x02, 0xC8 }, "123459BC" }, { { 0x0F, 0x03, 0xC8 }, "1239B" }, /* lar, lsl ecx, eax */
		{ { 0x0F, 0x00, 0xE0 }, "" }, { { 0x0F, 0x00, 0xE8 }, "" },              /* verr, verw ax */
	};
	bool conforming = type >= 24 && type & 4, visible = conforming || (cpl <= dpl && rpl <= dpl);
	bool reads = type >= 16 && (type < 24 || type & 2), writes = type >= 16 && type < 24 && type & 2;

	for (unsigned n = 0; n < 4; n++) {
		unsigned attr = SYS_G | (present ? 0x80u : 0u) | dpl << 5 | type;
		bool yes = visible && in_set(ask[n].system, type);
		if (n == 2)
			yes = visible && reads;
		if (n == 3)
			yes = visible && writes;
		sys_ring(s, cpl);
		sys_descriptor(s, SYS_OWN, BASE, 0x12345, attr);
		s->cpu->gpr[CPU_EAX] = SYS_OWN | rpl;
		s->cpu->gpr[CPU_ECX] = 0x77777777;
		sys_run(s, ask[n].code, 3);
		sys_ok(s, 0);
		assert_int_equal(get_zf(s->cpu), yes);
		assert_int_equal(s->cpu->gpr[CPU_ECX],
		                 !yes || n > 1 ? 0x77777777
		                 : n == 0      ? (attr & 0xF0FFu) << 8 | 0x10000 /* and limit 19:16 */
		                               : 0x12345FFFu);
		assert_int_equal(sys_access_byte(s, SYS_OWN), attr & 0xFF); /* no accessed bit from asking */
	}
}

static void every_descriptor_asked_about(void **state)
{
	for (unsigned type = 0; type < 32; type++)
		for (unsigned rights = 0; rights < 128; rights++)
			question(*state, type, rights & 3, rights >> 2 & 1, rights >> 3 & 3, rights >> 5);
}

static void questions_without_an_answer(void **state)
{
	struct sys *s = *state;
	static const uint16_t selectors[] = { 0, 3, 0x800, 0xFFF8, 0xFFFF };

	for (unsigned n = 0; n < 5; n++) {
		sys_ring(s, 3);
		s->cpu->gpr[CPU_EAX] = selectors[n];
		SYS_RUN(s, 0x0F, 0x02, 0xC8);
		sys_ok(s, 0);
		assert_false(get_zf(s->cpu));
	}
	sys_ring(s, 0); /* 16-bit LAR and LSL: lar cx, ax; lsl dx, ax */
	sys_descriptor(s, SYS_OWN, 0, 0xFFFFF, SYS_G | 0x93);
	s->cpu->gpr[CPU_EAX] = SYS_OWN;
	s->cpu->gpr[CPU_ECX] = s->cpu->gpr[CPU_EDX] = 0xAAAAAAAA;
	SYS_RUN(s, 0x66, 0x0F, 0x02, 0xC8, 0x66, 0x0F, 0x03, 0xD0);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ECX], 0xAAAA9300);
	assert_int_equal(s->cpu->gpr[CPU_EDX], 0xAAAAFFFF);
	sys_real(s);
	SYS_RUN(s, 0x0F, 0x02, 0xC8);
	assert_int_equal(s->event[0].vector, EXC_UD);
}

static void adjust_rpl(void **state)
{
	struct sys *s = *state;

	for (unsigned dst = 0; dst < 4; dst++)
		for (unsigned src = 0; src < 4; src++) {
			sys_ring(s, 3);
			s->cpu->gpr[CPU_EAX] = 0x12340100 | dst;
			s->cpu->gpr[CPU_ECX] = 0x200 | src;
			SYS_RUN(s, 0x63, 0xC8); /* arpl ax, cx */
			sys_ok(s, 0);
			assert_int_equal(s->cpu->gpr[CPU_EAX], 0x12340100 | (dst < src ? src : dst));
			assert_int_equal(get_zf(s->cpu), dst < src);
		}
	/* Memory that cannot be written: the manual lets it matter, processors write what changes only. */
	for (unsigned rpl = 0; rpl < 4; rpl += 3) {
		sys_ring(s, 0);
		s->cpu->seg[CPU_DS].attr = 0xC091;
		mode_changed(s->cpu);
		rig_set_word(s->rig, RIG_DATA, 1);
		s->cpu->gpr[CPU_ECX] = rpl;
		SYS_RUN(s, 0x63, 0x0D, 0, 0, 2, 0); /* arpl [RIG_DATA], cx */
		if (rpl)
			sys_fault(s, EXC_GP, 0);
		else
			sys_ok(s, 0);
	}
}

/* ---- 6. Real mode --------------------------------------------------------------------------- */

static void real_mode_loads(void **state)
{
	struct sys *s = *state;

	sys_real(s);
	s->cpu->seg[CPU_ES].limit = 0xFFFFFFFF; /* "unreal" mode keeps it */
	load_into(s, CPU_ES, 0xFFFF);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->seg[CPU_ES].base, 0xFFFF0);
	assert_int_equal(s->cpu->seg[CPU_ES].limit, 0xFFFFFFFF);
	/* A segment that was null becomes usable. */
	sys_real(s);
	s->cpu->seg[CPU_FS] = (struct cpu_segment){ 0 };
	load_into(s, CPU_FS, 0x1234);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->seg[CPU_FS].limit, 0xFFFF);
	assert_int_equal(s->cpu->seg[CPU_FS].attr, 0x93);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_descriptor_into_ds), cmocka_unit_test(every_descriptor_into_ss),
		cmocka_unit_test(null_selectors), cmocka_unit_test(mov_to_cs_is_undefined),
		cmocka_unit_test(table_limits), cmocka_unit_test(granularity), cmocka_unit_test(descriptor_pages),
		cmocka_unit_test(moves_from_segments), cmocka_unit_test(push_and_pop),
		cmocka_unit_test(pop_ss_of_another_width), cmocka_unit_test(far_pointers),
		cmocka_unit_test(the_shadow_of_mov_ss), cmocka_unit_test(limits_and_types),
		cmocka_unit_test(every_descriptor_asked_about), cmocka_unit_test(questions_without_an_answer),
		cmocka_unit_test(adjust_rpl), cmocka_unit_test(real_mode_loads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make, unmake);
}
