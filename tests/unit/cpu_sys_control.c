/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_sys_control.c - control, debug and model-specific registers, flags, ports.
 *
 *   1. Control registers   reserved bits, forbidden pairs, LMSW, CLTS, privilege
 *   2. Tables              LGDT and its kind, LLDT, LTR
 *   3. Flags               PUSHF, POPF, CLI, STI by CPL, IOPL and V86
 *   4. Identity            CPUID, MSRs, RDTSC, RDPMC
 *   5. SYSENTER, SYSEXIT
 *   6. Debug registers     GD, DR4 and DR5, breakpoints, single steps
 *   7. Ports               IOPL, the bitmap, INS and OUTS
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

enum { V = 0x77 };
static uint32_t esp(const struct sys *s) { return s->cpu->gpr[CPU_ESP]; }
static uint32_t word(const struct sys *s, uint32_t at) { return rig_word(s->rig, at); }
static void set_word(struct sys *s, uint32_t at, uint32_t value) { rig_set_word(s->rig, at, value); }
static uint32_t eflags(struct sys *s)
{
	struct cpu_state st;

	cpu_get_state(s->cpu, &st);
	return st.eflags;
}

/* ---- 1. Control registers ------------------------------------------------------------------- */

static void mov_to_cr(struct sys *s, unsigned n, uint32_t value)
{
	s->cpu->gpr[CPU_EAX] = value;
	SYS_RUN(s, 0x0F, 0x22, (uint8_t)(0xC0 | n << 3));
}

static void cr0_rules(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	mov_to_cr(s, 0, CR0_PG); /* PG without PE */
	sys_fault(s, EXC_GP, 0);
	sys_ring(s, 0);
	mov_to_cr(s, 0, CR0_PE | CR0_NW); /* NW without CD */
	sys_fault(s, EXC_GP, 0);
	sys_ring(s, 0);
	mov_to_cr(s, 0, 0x7FFFFFFF); /* reserved bits are dropped */
	sys_ok(s, 0);
	assert_int_equal(s->cpu->cr0, 0x6005003F);
	sys_ring(s, 0);
	mov_to_cr(s, 0, CR0_PE); /* ET cannot be cleared */
	sys_ok(s, 0);
	assert_int_equal(s->cpu->cr0, CR0_PE | CR0_ET);
}

static void cr4_rules(void **state)
{
	struct sys *s = *state;

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t defined = CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | 1u << 8 | CR4_OSFXSR | CR4_OSXMMEXCPT;
		sys_ring(s, 0);
		mov_to_cr(s, 4, 1u << bit);
		if (defined >> bit & 1) {
			sys_ok(s, 0);
			assert_int_equal(s->cpu->cr4, 1u << bit);
		} else {
			sys_fault(s, EXC_GP, 0);
		}
	}
	sys_ring(s, 0);
}

static void cr_numbers(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 8; n++)
		for (unsigned to = 0; to < 2; to++) {
			bool known = n == 0 || n == 2 || n == 3 || n == 4;
			sys_ring(s, 0);
			s->cpu->cr2 = 0xCCCC0002;
			s->cpu->cr3 = 0xCCCC0003 & ~0xFFEu;
			s->cpu->gpr[CPU_EAX] = n == 0 ? CR0_PE : 0;
			SYS_RUN(s, 0x0F, (uint8_t)(to ? 0x22 : 0x20), (uint8_t)(0xC0 | n << 3));
			if (!known)
				sys_fault(s, EXC_UD, 0);
			else
				sys_ok(s, 0);
			if (n == 2 && !to)
				assert_int_equal(s->cpu->gpr[CPU_EAX], 0xCCCC0002);
			if (known) {
				sys_ring(s, 3);
				SYS_RUN(s, 0x0F, (uint8_t)(to ? 0x22 : 0x20), (uint8_t)(0xC0 | n << 3));
				sys_fault(s, EXC_GP, 0);
			}
		}
	/* ModRM.mod does not matter. */
	sys_ring(s, 0);
	s->cpu->cr2 = 0x1234;
	SYS_RUN(s, 0x0F, 0x20, 0x13); /* mov ebx, cr2 with mod 0 */
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_EBX], 0x1234);
}

static void privileged_instructions(void **state)
{
	static const struct { uint8_t n, code[7]; } all[] = {
		{ 3, { 0x0F, 0x01, 0xF0 } },                   /* lmsw ax */
		{ 2, { 0x0F, 0x06 } },                         /* clts */
		{ 7, { 0x0F, 0x01, 0x15, 0, 0, 2, 0 } },       /* lgdt */
		{ 7, { 0x0F, 0x01, 0x1D, 0, 0, 2, 0 } },       /* lidt */
		{ 3, { 0x0F, 0x00, 0xD0 } },                   /* lldt ax */
		{ 3, { 0x0F, 0x00, 0xD8 } },                   /* ltr ax */
		{ 7, { 0x0F, 0x01, 0x3D, 0, 0, 2, 0 } },       /* invlpg */
		{ 2, { 0x0F, 0x08 } }, { 2, { 0x0F, 0x09 } },  /* invd, wbinvd */
		{ 2, { 0x0F, 0x32 } }, { 2, { 0x0F, 0x30 } },  /* rdmsr, wrmsr */
		{ 3, { 0x0F, 0x23, 0xC0 } }, { 3, { 0x0F, 0x21, 0xC0 } }, /* mov dr */
		{ 1, { 0xF4 } },                               /* hlt */
		{ 2, { 0x0F, 0x35 } },                         /* sysexit */
		{ 2, { 0x0F, 0x33 } },                         /* rdpmc */
	};
	struct sys *s = *state;

	for (unsigned n = 0; n < sizeof all / sizeof *all; n++)
		for (unsigned ring = 1; ring < 4; ring++) {
			sys_ring(s, ring);
			s->cpu->sysenter_cs = sys_code(0);
			s->cpu->gpr[CPU_ECX] = 0x10;
			sys_run(s, all[n].code, all[n].n);
			sys_fault(s, EXC_GP, 0);
			s->cpu->sysenter_cs = 0;
		}
	/* In virtual-8086 mode as well, but LLDT and LTR are undefined there. */
	for (unsigned n = 0; n < sizeof all / sizeof *all; n++) {
		if (all[n].n == 7)
			continue;
		sys_v86(s, 3);
		sys_run(s, all[n].code, all[n].n);
		sys_fault(s, all[n].code[1] == 0 && all[n].n == 3 ? EXC_UD : EXC_GP, 0);
	}
	/* Register forms of what needs memory */
	static const uint8_t regs[] = { 0xC0, 0xC8, 0xD0, 0xD8, 0xF8 }; /* sgdt (vmx: other), sidt, lgdt, lidt, invlpg eax */
	for (unsigned n = 2; n < sizeof regs - 1; n++) {
		sys_ring(s, 0);
		SYS_RUN(s, 0x0F, 0x01, regs[n]);
		sys_fault(s, EXC_UD, 0);
	}
}

static void machine_status_word(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->gpr[CPU_EAX] = 0xFFF0 | CR0_TS; /* lmsw: only the low four bits, PE stays */
	SYS_RUN(s, 0x0F, 0x01, 0xF0);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->cr0, CR0_PE | CR0_TS | CR0_ET | CR0_NE);
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0x0F, 0x06);
	assert_int_equal(s->cpu->cr0 & CR0_TS, 0);
	sys_ring(s, 3); /* smsw in ring 3: eax, then ax, then memory */
	s->cpu->gpr[CPU_EAX] = s->cpu->gpr[CPU_EBX] = 0xFFFFFFFF;
	s->cpu->cr0 |= CR0_WP;
	set_word(s, RIG_DATA, 0xEEEEEEEE);
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0x0F, 0x01, 0xE0, 0x66, 0x0F, 0x01, 0xE3, 0x0F, 0x01, 0x25, 0, 0, 2, 0);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_EAX], s->cpu->cr0);
	assert_int_equal(s->cpu->gpr[CPU_EBX], 0xFFFF0000 | (s->cpu->cr0 & 0xFFFF));
	assert_int_equal(word(s, RIG_DATA), 0xEEEE0000 | (s->cpu->cr0 & 0xFFFF));
}

/* MOV to CR0 on the way to protected mode and back, as every boot loader does it. */
static void mode_switches(void **state)
{
	struct sys *s = *state;

	sys_real(s);
	s->cpu->gdtr.base = RIG_GDT;
	s->cpu->gdtr.limit = 0x7FF;
	/* mov eax, cr0; or al, 1; mov cr0, eax; jmp dword CODE0:SYS_TARGET */
	SYS_RUN(s, 0x0F, 0x20, 0xC0, 0x0C, 0x01, 0x0F, 0x22, 0xC0, 0x66, 0xEA, SYS_TARGET & 0xFF, SYS_TARGET >> 8 & 0xFF,
	        SYS_TARGET >> 16, 0, RIG_CODE0, 0);
	assert_int_equal(s->events, 0);
	assert_true(s->stopped);
	assert_int_equal(s->cpu->eip, SYS_TARGET + 3);
	assert_int_equal(s->cpu->seg[CPU_CS].selector, RIG_CODE0);
	assert_true(s->cpu->mode & MODE_CODE32);
	assert_int_equal(s->cpu->cpl, 0);
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

static void descriptor_tables(void **state)
{
	struct sys *s = *state;

	for (unsigned narrow = 0; narrow < 2; narrow++)
		for (unsigned idt = 0; idt < 2; idt++) {
			sys_ring(s, 0);
			set_word(s, RIG_DATA, 0x77771234);
			set_word(s, RIG_DATA + 4, 0xAAAA8888);
			uint8_t load[8] = { 0x66, 0x0F, 0x01, (uint8_t)(idt ? 0x1D : 0x15), 0, 0, 2, 0 };
			sys_run(s, load + !narrow, 8u - !narrow);
			sys_ok(s, 0);
			assert_int_equal(idt ? s->cpu->idtr.limit : s->cpu->gdtr.limit, 0x1234);
			assert_int_equal(idt ? s->cpu->idtr.base : s->cpu->gdtr.base,
			                 narrow ? 0x887777 : 0x88887777);
		}
	sys_ring(s, 3); /* stores are for everybody */
	s->cpu->gdtr.base = 0xFEDCBA98;
	s->cpu->gdtr.limit = 0x7654;
	set_word(s, RIG_DATA + 4, 0x11111111);
	SYS_RUN(s, 0x0F, 0x01, 0x05, 0, 0, 2, 0);
	sys_ok(s, 0);
	assert_int_equal(word(s, RIG_DATA), 0xBA987654);
	assert_int_equal(word(s, RIG_DATA + 4), 0x1111FEDC);
	s->cpu->idtr.base = 0x01020304;
	s->cpu->idtr.limit = 0x0506;
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0x66, 0x0F, 0x01, 0x0D, 0, 0, 2, 0); /* 16-bit operands: all of the base */
	sys_ok(s, 0);
	assert_int_equal(word(s, RIG_DATA), 0x03040506);
	assert_int_equal(word(s, RIG_DATA + 4), 0x11110102);
}

static void lldt_and_ltr(void **state)
{
	static const struct { uint16_t selector; unsigned attr; int lldt, ltr; } all[] = {
		{ 0, 0, -1, EXC_GP }, { 3, 0, -1, EXC_GP }, { SYS_OWN | SYS_TI, 0x82, EXC_GP, EXC_GP },
		{ 0xFFF8, 0x82, EXC_GP, EXC_GP },
		{ SYS_OWN, 0x82, -1, EXC_GP }, { SYS_OWN, 0x02, EXC_NP, EXC_GP },
		{ SYS_OWN, 0x89, EXC_GP, -1 }, { SYS_OWN, 0x09, EXC_GP, EXC_NP }, { SYS_OWN, 0x8B, EXC_GP, EXC_GP },
		{ SYS_OWN, 0x81, EXC_GP, -1 }, { SYS_OWN, 0x83, EXC_GP, EXC_GP }, { SYS_OWN, 0x92, EXC_GP, EXC_GP },
		{ SYS_OWN, 0x8C, EXC_GP, EXC_GP }, { SYS_OWN | 3, 0xE9, EXC_GP, -1 },
	};
	struct sys *s = *state;

	for (unsigned n = 0; n < sizeof all / sizeof *all; n++)
		for (unsigned ltr = 0; ltr < 2; ltr++) {
			int vector = ltr ? all[n].ltr : all[n].lldt;
			sys_ring(s, 0);
			sys_descriptor(s, SYS_OWN, 0x123450, 0x200, all[n].attr);
			s->cpu->gpr[CPU_EAX] = all[n].selector;
			SYS_RUN(s, 0x0F, 0x00, (uint8_t)(ltr ? 0xD8 : 0xD0));
			if (vector >= 0) {
				sys_fault(s, (unsigned)vector, all[n].selector & 0xFFFC);
				continue;
			}
			sys_ok(s, 0);
			struct cpu_segment *r = ltr ? &s->cpu->tr : &s->cpu->ldtr;
			assert_int_equal(r->selector, all[n].selector);
			if (all[n].selector & 0xFFFC) {
				assert_int_equal(r->base, 0x123450);
				assert_int_equal(r->limit, 0x200);
			} else {
				assert_int_equal(r->attr, 0);
			}
			if (ltr)
				assert_int_equal(sys_access_byte(s, SYS_OWN), all[n].attr | 2);
			/* sldt, str ecx; 32 bits */
			s->cpu->eip = RIG_CODE;
			s->cpu->gpr[CPU_ECX] = 0xFFFFFFFF;
			SYS_RUN(s, 0x0F, 0x00, (uint8_t)(ltr ? 0xC9 : 0xC1));
			sys_ok(s, 0);
			assert_int_equal(s->cpu->gpr[CPU_ECX], all[n].selector);
		}
	sys_real(s);
	for (unsigned n = 0; n < 4; n++) { /* sldt str lldt ltr */
		sys_real(s);
		SYS_RUN(s, 0x0F, 0x00, (uint8_t)(0xC0 | n << 3));
		assert_int_equal(s->event[0].vector, EXC_UD);
	}
}

/* ---- 3. Flags ------------------------------------------------------------------------------- */

static void popf_by_privilege(void **state)
{
	const uint32_t all = FL_STATUS | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID;
	struct sys *s = *state;

	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, iopl = n >> 2 & 3;
		bool wide = n >> 4 & 1, set = n >> 5;
		uint32_t may = FL_STATUS | FL_DF | FL_NT, image = set ? 0xFFFFFFFF & ~(uint32_t)FL_TF : 0, old;

		if (wide)
			may |= FL_AC | FL_ID;
		if (cpl <= iopl)
			may |= FL_IF;
		if (cpl == 0)
			may |= FL_IOPL;
		sys_ring(s, cpl);
		sys_set_flags(s, iopl << 12 | (set ? 0 : all & ~(uint32_t)FL_IOPL));
		old = eflags(s);
		set_word(s, RIG_STACK, image);
		if (wide)
			SYS_RUN(s, 0x9D);
		else
			SYS_RUN(s, 0x66, 0x9D);
		sys_ok(s, 0);
		assert_int_equal(eflags(s), (old & ~may) | (image & may));
		assert_int_equal(esp(s), RIG_STACK + (wide ? 4 : 2));
	}
	for (unsigned iopl = 0; iopl < 4; iopl++) {
		sys_v86(s, iopl);
		sys_put16(s, 0x3FFF0, 0xFFFF & ~FL_TF);
		SYS_RUN(s, 0x9D);
		if (iopl < 3) {
			sys_fault(s, EXC_GP, 0);
		} else {
			sys_ok(s, 0);
			assert_int_equal(eflags(s), FL_VM | FL_STATUS | FL_IF | FL_DF | FL_IOPL | FL_NT | 2);
		}
		sys_v86(s, iopl);
		SYS_RUN(s, 0x9C);
		if (iopl < 3) {
			sys_fault(s, EXC_GP, 0);
		} else {
			sys_ok(s, 0);
			assert_int_equal(sys_get16(s, 0x3FFEE), s->before.eflags & 0xFFFF);
		}
	}
	sys_v86(s, 3); /* pushfd in V86: neither VM nor RF is seen */
	SYS_RUN(s, 0x66, 0x9C);
	sys_ok(s, 0);
	assert_int_equal(word(s, 0x3FFEC), s->before.eflags & ~(uint32_t)FL_VM);
}

static void cli_and_sti(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 32; n++) {
		unsigned cpl = n & 3, iopl = n >> 2 & 3;
		bool sti = n >> 4;
		sys_ring(s, cpl);
		sys_set_flags(s, iopl << 12 | (sti ? 0 : FL_IF));
		SYS_RUN(s, sti ? 0xFB : 0xFA);
		if (cpl > iopl) {
			sys_fault(s, EXC_GP, 0);
		} else {
			sys_ok(s, 0);
			assert_int_equal((eflags(s) & FL_IF) != 0, sti);
		}
	}
	for (unsigned iopl = 2; iopl < 4; iopl++) {
		sys_v86(s, iopl);
		SYS_RUN(s, 0xFA);
		if (iopl == 3)
			sys_ok(s, 0);
		else
			sys_fault(s, EXC_GP, 0);
	}
}

/* ---- 4. Identity ---------------------------------------------------------------------------- */

static void cpuid(struct sys *s, uint32_t leaf, uint32_t out[4])
{
	sys_ring(s, 3);
	s->cpu->gpr[CPU_EAX] = leaf;
	SYS_RUN(s, 0x0F, 0xA2);
	sys_ok(s, 0);
	out[0] = s->cpu->gpr[CPU_EAX];
	out[1] = s->cpu->gpr[CPU_EBX];
	out[2] = s->cpu->gpr[CPU_ECX];
	out[3] = s->cpu->gpr[CPU_EDX];
}

static void identity(void **state)
{
	struct sys *s = *state;
	uint32_t r[4], max;
	char text[49] = "";

	cpuid(s, 0, r);
	max = r[0];
	memcpy(text, &r[1], 4);
	memcpy(text + 4, &r[3], 4);
	memcpy(text + 8, &r[2], 4);
	assert_string_equal(text, "GenuineIntel");
	cpuid(s, 1, r);
	assert_int_equal(r[0] >> 8 & 15, 6);
	/* FPU DE PSE TSC MSR CX8 SEP PGE CMOV; no PAE, APIC, MTRR, PAT, MCE, VME */
	assert_int_equal(r[3] & 0xA93D, 0xA93D);
	assert_int_equal(r[3] & (1u << 1 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 12 | 1u << 14 | 1u << 16 | 1u << 17), 0);
	cpuid(s, 0x80000000, r);
	assert_int_equal(r[0], 0x80000008);
	for (unsigned n = 0; n < 3; n++)
		cpuid(s, 0x80000002 + n, (uint32_t *)(void *)memset(r, 0, sizeof r)), memcpy(text + 16 * n, r, 16);
	assert_memory_equal(text, "umbra", 5);
	/* The TSC's frequency: crystal * EBX / EAX = the rig's 1 GHz */
	assert_true(max >= 0x16);
	cpuid(s, 0x15, r);
	assert_int_equal((uint64_t)r[2] * r[1] / r[0], 1000000000);
	cpuid(s, 0x16, r);
	assert_int_equal(r[0], 1000);
	/* Beyond the last basic leaf: the last one */
	uint32_t last[4];
	cpuid(s, max, last);
	cpuid(s, 0x1000, r);
	assert_memory_equal(r, last, sizeof r);
}

static void msrs(void **state)
{
	struct sys *s = *state;
	static const uint32_t sysenter[] = { 0x174, 0x175, 0x176 };

	for (unsigned n = 0; n < 3; n++) {
		sys_ring(s, 0);
		s->cpu->gpr[CPU_ECX] = sysenter[n];
		s->cpu->gpr[CPU_EAX] = 0x12345678 + n;
		SYS_RUN(s, 0x0F, 0x30, 0x31, 0xC0, 0x0F, 0x32); /* wrmsr; xor eax, eax; rdmsr */
		sys_ok(s, 0);
		assert_int_equal(s->cpu->gpr[CPU_EAX], 0x12345678 + n);
		assert_int_equal(s->cpu->gpr[CPU_EDX], 0);
	}
	static const uint32_t unknown[] = { 0x1B, 0x277, 0xFE, 0x2FF, 0xC0000080, 0x12345678, 0xC1 };
	for (unsigned n = 0; n < sizeof unknown / 4; n++)
		for (unsigned write = 0; write < 2; write++) {
			sys_ring(s, 0);
			s->cpu->gpr[CPU_ECX] = unknown[n];
			SYS_RUN(s, 0x0F, write ? 0x30 : 0x32);
			sys_fault(s, EXC_GP, 0);
		}
	s->cpu->sysenter_cs = s->cpu->sysenter_esp = s->cpu->sysenter_eip = 0;
}

static void time_stamp(void **state)
{
	struct sys *s = *state;

	s->rig->tsc = 0x123456789ABCDEF0;
	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned tsd = 0; tsd < 2; tsd++) {
			sys_ring(s, ring);
			s->cpu->cr4 |= tsd ? CR4_TSD : 0;
			SYS_RUN(s, 0x0F, 0x31);
			if (tsd && ring) {
				sys_fault(s, EXC_GP, 0);
				continue;
			}
			sys_ok(s, 0);
			assert_int_equal(s->cpu->gpr[CPU_EAX], 0x9ABCDEF0);
			assert_int_equal(s->cpu->gpr[CPU_EDX], 0x12345678);
		}
}

/* ---- 5. SYSENTER, SYSEXIT ------------------------------------------------------------------- */

static void fast_calls(void **state)
{
	struct sys *s = *state;

	for (unsigned cs = 0; cs < 4; cs++) { /* null, whatever its RPL */
		sys_ring(s, 0);
		s->cpu->sysenter_cs = cs;
		SYS_RUN(s, 0x0F, 0x34);
		sys_fault(s, EXC_GP, 0);
		sys_ring(s, 0);
		SYS_RUN(s, 0x0F, 0x35);
		sys_fault(s, EXC_GP, 0);
	}
	sys_real(s);
	s->cpu->sysenter_cs = 8;
	SYS_RUN(s, 0x0F, 0x34);
	assert_int_equal(s->event[0].vector, EXC_GP);

	for (unsigned v86 = 0; v86 < 2; v86++) {
		if (v86)
			sys_v86(s, 0);
		else
			sys_ring(s, 3);
		sys_set_flags(s, FL_IF | FL_DF | FL_CF);
		s->cpu->sysenter_cs = 0x1233; /* no such descriptor: nothing is read */
		s->cpu->sysenter_esp = 0x77770;
		s->cpu->sysenter_eip = SYS_TARGET;
		SYS_RUN(s, 0x0F, 0x34);
		assert_int_equal(s->events, 0);
		assert_int_equal(s->cpu->eip, SYS_TARGET + 3);
		assert_int_equal(esp(s), 0x77770);
		assert_int_equal(s->cpu->cpl, 0);
		assert_int_equal(eflags(s) & (FL_IF | FL_VM | FL_DF | FL_CF), FL_DF | FL_CF);
		assert_int_equal(s->cpu->seg[CPU_CS].selector, 0x1230);
		assert_int_equal(s->cpu->seg[CPU_CS].attr, 0xC09B);
		assert_int_equal(s->cpu->seg[CPU_SS].selector, 0x1238);
		assert_int_equal(s->cpu->seg[CPU_SS].attr, 0xC093);
		assert_int_equal(s->cpu->seg[CPU_SS].limit, 0xFFFFFFFF);
	}
	sys_ring(s, 0);
	s->cpu->sysenter_cs = 0x1233;
	s->cpu->gpr[CPU_ECX] = 0x66660;
	s->cpu->gpr[CPU_EDX] = SYS_TARGET;
	SYS_RUN(s, 0x0F, 0x35);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), 0x66660);
	assert_int_equal(s->cpu->cpl, 3);
	assert_int_equal(s->cpu->seg[CPU_CS].selector, 0x1243);
	assert_int_equal(s->cpu->seg[CPU_CS].attr, 0xC0FB);
	assert_int_equal(s->cpu->seg[CPU_SS].selector, 0x124B);
	assert_int_equal(s->cpu->seg[CPU_SS].attr, 0xC0F3);
	s->cpu->sysenter_cs = 0;
}

/* ---- 6. Debug registers --------------------------------------------------------------------- */

static void debug_registers(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 8; n++)
		for (unsigned de = 0; de < 2; de++) {
			uint32_t value = 0xFFFF0000 | ~0x2700u, want = value; /* without GD, L and G stay set */
			sys_ring(s, 0);
			s->cpu->cr4 |= de ? CR4_DE : 0;
			value = n >= 4 && n % 2 == 1 ? 0x0000D800 : value; /* DR7: nothing armed */
			s->cpu->gpr[CPU_EAX] = value;
			SYS_RUN(s, 0x0F, 0x23, (uint8_t)(0xC0 | n << 3), 0x0F, 0x21, (uint8_t)(0xC3 | n << 3));
			if (de && (n == 4 || n == 5)) {
				sys_fault(s, EXC_UD, 0);
				continue;
			}
			sys_ok(s, 0);
			want = n < 4 ? value : n % 2 == 0 ? (value & 0xE00F) | 0xFFFF0FF0 : (value & 0xFFFF23FF) | 0x400;
			assert_int_equal(s->cpu->gpr[CPU_EBX], want);
		}
	/* GD: #DB before the access, BD set, GD cleared for the handler; ring 0 first */
	for (unsigned read = 0; read < 2; read++) {
		sys_ring(s, 0);
		s->cpu->dr[7] |= 1u << 13;
		s->cpu->gpr[CPU_EAX] = 0x1234;
		SYS_RUN(s, 0x0F, read ? 0x21 : 0x23, 0xC0);
		sys_fault(s, EXC_DB, 0);
		assert_int_equal(s->first.dr[0], 0);
		assert_int_equal(s->cpu->dr[6], 0xFFFF0FF0 | 1u << 13);
		assert_int_equal(s->cpu->dr[7] & 1u << 13, 0);
		sys_ring(s, 3);
		s->cpu->dr[7] |= 1u << 13;
		SYS_RUN(s, 0x0F, read ? 0x21 : 0x23, 0xC0);
		sys_fault(s, EXC_GP, 0);
	}
}

/* A data breakpoint of each length against accesses around it. */
static void data_breakpoints(void **state)
{
	struct sys *s = *state;
	static const uint8_t lengths[] = { 1, 2, 0, 4 };

	for (unsigned len = 0; len < 4; len++)
		for (unsigned rw = 1; rw < 4; rw++)
			for (unsigned write = 0; write < 2; write++)
				for (uint32_t at = RIG_DATA + 12; at < RIG_DATA + 28; at++) {
					uint32_t point = RIG_DATA + 16, bytes = lengths[len];
					bool meets = at < point + bytes && point < at + 4;
					bool hit = meets && rw != 2 && (write || rw == 3);

					if (!bytes)
						continue;
					sys_ring(s, 0);
					s->cpu->dr[2] = point + (bytes > 1 ? 1 : 0); /* low bits are ignored */
					s->cpu->dr[7] |= 1u << 5 | rw << 24 | len << 26;
					mode_changed(s->cpu);
					s->cpu->gpr[CPU_EBX] = at;
					SYS_RUN(s, write ? 0x89 : 0x8B, 0x03, 0x90); /* mov [ebx], eax or back; nop */
					if (!hit) {
						sys_ok(s, 0);
						continue;
					}
					assert_int_equal(s->event[0].vector, EXC_DB);
					assert_int_equal(s->first.eip, RIG_CODE + 2); /* after it */
					assert_int_equal(s->first.dr[6], 0xFFFF0FF4);
				}
}

static void code_breakpoints(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->dr[1] = RIG_CODE + 1;
	s->cpu->dr[7] |= 1u << 2;
	mode_changed(s->cpu);
	sys_idt(s, EXC_DB, 0x8E, sys_code(0), SYS_TARGET);
	/* The handler sets RF in the frame: the instruction runs. or dword [esp+8], 10000h; iretd */
	sys_put_code(s, SYS_TARGET, "\x81\x4C\x24\x08\x00\x00\x01\x00\xCF", 9);
	SYS_RUN(s, 0x40, 0x40, 0x40); /* inc eax */
	assert_true(s->stopped);
	assert_int_equal(s->events, 1);
	assert_int_equal(s->first.eip, RIG_CODE + 1);
	assert_int_equal(s->first.gpr[CPU_EAX], 1); /* before it */
	assert_int_equal(s->first.eflags & FL_RF, 0);
	assert_int_equal(s->first.dr[6], 0xFFFF0FF2);
	assert_int_equal(s->cpu->gpr[CPU_EAX], 3);
	assert_int_equal(eflags(s) & FL_RF, 0); /* used up */
}

static void single_steps(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_idt(s, EXC_DB, 0x8E, sys_code(0), SYS_TARGET);
	sys_put_code(s, SYS_TARGET, "\xCF", 1); /* iretd */
	set_word(s, RIG_STACK, FL_TF | 2);
	/* popfd; inc eax; inc eax; (and the VMCALL, which stops) */
	SYS_RUN(s, 0x9D, 0x40, 0x40);
	assert_true(s->stopped);
	assert_int_equal(s->events, 3); /* after each INC and the VMCALL, not after the POPF */
	assert_int_equal(s->first.eip, RIG_CODE + 2);
	assert_int_equal(s->first.dr[6], 0xFFFF0FF0 | 1u << 14);
}

/* ---- 7. Ports ------------------------------------------------------------------------------- */

static void allow(struct sys *s, unsigned port, unsigned bits)
{
	/* The map at 0x68 of the TSS, all ones; clear `bits` ports from `port` on. */
	s->cpu->tr.limit = 0x68 + 0x2000;
	sys_put16(s, RIG_TSS + 0x66, 0x68);
	memset(s->rig->ram + RIG_TSS + 0x68, 0xFF, 64);
	for (unsigned n = port; n < port + bits; n++)
		s->rig->ram[RIG_TSS + 0x68 + n / 8] &= (uint8_t)~(1u << n % 8);
}

static void port_permission(void **state)
{
	struct sys *s = *state;
	static const struct { uint8_t n, code[2], bytes; } forms[] = {
		{ 1, { 0xEC }, 1 }, { 1, { 0xED }, 4 }, { 2, { 0x66, 0xED }, 2 }, /* in al, eax, ax, dx */
		{ 1, { 0xEE }, 1 }, { 1, { 0xEF }, 4 }, { 2, { 0x66, 0xEF }, 2 },
	};

	for (unsigned n = 0; n < 6; n++)
		for (unsigned mode = 0; mode < 5; mode++) /* rings 0-3, V86 */
			for (unsigned iopl = 0; iopl < 4; iopl++)
				for (unsigned allowed = 0; allowed < 5; allowed++) {
					bool by_map = mode == 4 || mode > iopl, ok = !by_map || allowed >= forms[n].bytes;
					if (mode == 4)
						sys_v86(s, iopl);
					else
						sys_ring(s, mode);
					allow(s, 0x46, allowed);
					sys_set_flags(s, iopl << 12);
					s->cpu->gpr[CPU_EDX] = 0x46;
					s->rig->port_value = 0x89ABCDEF;
					if (mode == 4 && forms[n].bytes != 1)
						continue; /* the sizes swap there */
					sys_run(s, forms[n].code, forms[n].n);
					if (!ok)
						sys_fault(s, EXC_GP, 0);
					else
						sys_ok(s, 0);
				}
}

static void port_map_limits(void **state)
{
	struct sys *s = *state;

	/* Two bytes are read, also for a byte port: both must be within the TSS. */
	for (unsigned limit = 0x68 + 7; limit < 0x68 + 11; limit++) {
		sys_ring(s, 3);
		allow(s, 0x40, 8);
		s->cpu->tr.limit = limit;
		s->cpu->gpr[CPU_EDX] = 0x40;
		SYS_RUN(s, 0xEC);
		if (limit >= 0x68 + 9)
			sys_ok(s, 0);
		else
			sys_fault(s, EXC_GP, 0);
	}
	sys_ring(s, 3); /* a 16-bit TSS has none */
	allow(s, 0x40, 8);
	s->cpu->tr.attr = 0x83;
	s->cpu->gpr[CPU_EDX] = 0x40;
	SYS_RUN(s, 0xEC);
	sys_fault(s, EXC_GP, 0);
}

static void in_and_out(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->rig->port_value = 0x89ABCDEF;
	s->cpu->gpr[CPU_EAX] = 0x11111111;
	SYS_RUN(s, 0xE4, 0x60); /* in al, 60h */
	assert_int_equal(s->cpu->gpr[CPU_EAX], 0x111111EF);
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0x66, 0xE5, 0x60);
	assert_int_equal(s->cpu->gpr[CPU_EAX], 0x1111CDEF);
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0xE5, 0x60);
	assert_int_equal(s->cpu->gpr[CPU_EAX], 0x89ABCDEF);
	s->cpu->eip = RIG_CODE;
	SYS_RUN(s, 0xE6, 0xFF); /* out 0FFh, al */
	assert_int_equal(s->rig->port, 0xFF);
	assert_int_equal(s->rig->port_written, 0xEF);
	s->cpu->eip = RIG_CODE;
	s->cpu->gpr[CPU_EDX] = 0xFFFF1234;
	SYS_RUN(s, 0x66, 0xEF);
	assert_int_equal(s->rig->port, 0x1234);
	assert_int_equal(s->rig->port_bytes, 2);
	assert_int_equal(s->rig->port_written, 0xCDEF);
}

static void string_ports(void **state)
{
	struct sys *s = *state;

	/* rep insd: ten words upwards */
	sys_ring(s, 0);
	s->rig->port_value = 0x01020304;
	s->cpu->gpr[CPU_EDI] = RIG_DATA;
	s->cpu->gpr[CPU_ECX] = 10;
	SYS_RUN(s, 0xF3, 0x6D);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ECX], 0);
	assert_int_equal(s->cpu->gpr[CPU_EDI], RIG_DATA + 40);
	for (unsigned n = 0; n < 10; n++)
		assert_int_equal(word(s, RIG_DATA + 4 * n), 0x01020304);
	/* rep outsb downwards */
	sys_ring(s, 0);
	sys_set_flags(s, FL_DF);
	s->cpu->gpr[CPU_ESI] = RIG_DATA + 3;
	s->cpu->gpr[CPU_ECX] = 4;
	unsigned before = s->rig->ports_written;
	SYS_RUN(s, 0xF3, 0x6E);
	sys_ok(s, 0);
	assert_int_equal(s->rig->ports_written, before + 4);
	assert_int_equal(s->rig->port_written, 0x04);
	assert_int_equal(s->cpu->gpr[CPU_ESI], RIG_DATA - 1);
	/* A page that is not there, in the middle: what is done is done, the rest can go on. */
	sys_ring(s, 0);
	rig_paging(s->rig);
	*rig_pte(s->rig, RIG_DATA + 0x1000) = 0;
	um_flush_all(s->rig->um);
	s->cpu->gpr[CPU_EDI] = RIG_DATA + 0x1000 - 8;
	s->cpu->gpr[CPU_ECX] = 4;
	SYS_RUN(s, 0xF3, 0x6D);
	assert_int_equal(s->event[0].vector, EXC_PF);
	assert_int_equal(s->first.eip, RIG_CODE);
	assert_int_equal(s->first.gpr[CPU_ECX], 2);
	assert_int_equal(s->first.gpr[CPU_EDI], RIG_DATA + 0x1000);
	/* An output to a forbidden destination does not read the port (nor is it read where memory faults). */
	sys_ring(s, 0);
	s->cpu->seg[CPU_ES].attr = 0xC091;
	mode_changed(s->cpu);
	s->cpu->gpr[CPU_EDI] = RIG_DATA;
	SYS_RUN(s, 0x6C);
	sys_fault(s, EXC_GP, 0);
	/* 16-bit addresses: CX, DI */
	sys_ring(s, 0);
	s->cpu->gpr[CPU_EDI] = 0xAAAA8000;
	s->cpu->gpr[CPU_ECX] = 0xBBBB0002;
	SYS_RUN(s, 0xF3, 0x67, 0x6C);
	sys_ok(s, 0);
	assert_int_equal(s->cpu->gpr[CPU_ECX], 0xBBBB0000);
	assert_int_equal(s->cpu->gpr[CPU_EDI], 0xAAAA8002);
}

static void io_breakpoints(void **state)
{
	struct sys *s = *state;

	for (unsigned de = 0; de < 2; de++) {
		sys_ring(s, 0);
		s->cpu->cr4 |= de ? CR4_DE : 0;
		s->cpu->dr[0] = 0x60;
		s->cpu->dr[7] |= 2 | 2u << 16;
		mode_changed(s->cpu);
		SYS_RUN(s, 0xE6, 0x60, 0x90);
		if (!de) {
			sys_ok(s, 0);
			continue;
		}
		assert_int_equal(s->event[0].vector, EXC_DB);
		assert_int_equal(s->first.eip, RIG_CODE + 2);
		assert_int_equal(s->first.dr[6], 0xFFFF0FF1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cr0_rules), cmocka_unit_test(cr4_rules), cmocka_unit_test(cr_numbers),
		cmocka_unit_test(privileged_instructions), cmocka_unit_test(machine_status_word),
		cmocka_unit_test(mode_switches), cmocka_unit_test(descriptor_tables), cmocka_unit_test(lldt_and_ltr),
		cmocka_unit_test(popf_by_privilege), cmocka_unit_test(cli_and_sti), cmocka_unit_test(identity),
		cmocka_unit_test(msrs), cmocka_unit_test(time_stamp), cmocka_unit_test(fast_calls),
		cmocka_unit_test(debug_registers), cmocka_unit_test(data_breakpoints),
		cmocka_unit_test(code_breakpoints), cmocka_unit_test(single_steps), cmocka_unit_test(port_permission),
		cmocka_unit_test(port_map_limits), cmocka_unit_test(in_and_out), cmocka_unit_test(string_ports),
		cmocka_unit_test(io_breakpoints),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make, unmake);
}
