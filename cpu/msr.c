/* SPDX-License-Identifier: MIT */
/*
 * cpu/msr.c - what the processor says of itself, model-specific registers, and SYSENTER.
 *
 *   1. CPUID          an i686 that does not speculate
 *   2. MSRs           those that a kernel for such a processor touches
 *   3. Time           RDTSC, RDPMC
 *   4. SYSENTER       and SYSEXIT: no descriptor is read (SDM vol. 2)
 */
#include "cpu/fpu.h"
#include "cpu/system.h"

/* ---- 1. CPUID ------------------------------------------------------------------------------- */

/* Family 6, model 0x1C: the in-order Atom, on which no operating system needs mitigations against
 * speculation - and there is none here.  Stepping 10 has none of the early errata. */
#define CPU_SIGNATURE 0x000106CAu

enum {
	EDX_DE = 1u << 2, EDX_PSE = 1u << 3, EDX_TSC = 1u << 4, EDX_MSR = 1u << 5,
	EDX_CX8 = 1u << 8, EDX_SEP = 1u << 11, EDX_PGE = 1u << 13, EDX_CMOV = 1u << 15,
};
#define FEATURES                                                                                       \
	(EDX_DE | EDX_PSE | EDX_TSC | EDX_MSR | EDX_CX8 | EDX_SEP | EDX_PGE | EDX_CMOV) /* and fpu_features() */

/* With IA32_TSC_ADJUST beside the invariant TSC, Linux takes the counter as it is.  Otherwise it checks it
 * against the 8254 each half second, in a way that spoils a one-shot timer that is a little late. */
enum { EBX_TSC_ADJUST = 1u << 1 };
enum { LEAF_EXTENDED = 7, LEAF_TSC = 0x15, LEAF_FREQUENCY = 0x16, CLFLUSH_LINES_OF_8 = 8 };

struct cpuid { uint32_t a, b, c, d; };

/* Leaf 15H: TSC frequency = crystal (ECX, Hz) * EBX / EAX. */
static struct cpuid tsc_leaf(uint64_t hz)
{
	uint32_t times = 1;

	while (hz / times > UINT32_MAX)
		times++;
	return (struct cpuid){ .a = 1, .b = times, .c = (uint32_t)(hz / times) };
}

static struct cpuid frequency_leaf(uint64_t hz)
{
	uint32_t mhz = (uint32_t)(hz / 1000000) & 0xFFFF;

	return (struct cpuid){ .a = mhz, .b = mhz, .c = 100 };
}

static uint32_t text4(const char *p)
{
	uint32_t value;

	memcpy(&value, p, 4);
	return value;
}

static struct cpuid brand_leaf(unsigned n)
{
	static const char brand[48] = "umbra portable i686 processor";
	const char *p = brand + 16 * n;

	return (struct cpuid){ text4(p), text4(p + 4), text4(p + 8), text4(p + 12) };
}

/* Leaves that are not there answer as the highest basic one (SDM vol. 2, CPUID). */
static struct cpuid cpuid(const struct cpu *c, uint32_t leaf)
{
	uint32_t max = c->tsc_hz ? LEAF_FREQUENCY : 2;

	if (leaf >= 0x80000000u ? leaf > 0x80000008u : leaf > max)
		leaf = max;
	switch (leaf) {
	case 0:
		return (struct cpuid){ max, text4("Genu"), text4("ntel"), text4("ineI") };
	case 1:
		return (struct cpuid){ CPU_SIGNATURE, CLFLUSH_LINES_OF_8 << 8 | 1u << 16, 0, FEATURES | fpu_features() };
	case 2: /* L1 code and data 32 KiB each, L2 512 KiB, TLBs of 128 entries */
		return (struct cpuid){ 0x30B3B001, 0, 0, 0x0000862C };
	case LEAF_EXTENDED:
		return (struct cpuid){ .b = c->gpr[CPU_ECX] ? 0 : EBX_TSC_ADJUST };
	case LEAF_TSC:
		return tsc_leaf(c->tsc_hz);
	case LEAF_FREQUENCY:
		return frequency_leaf(c->tsc_hz);
	case 0x80000000:
		return (struct cpuid){ .a = 0x80000008 };
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		return brand_leaf(leaf - 0x80000002);
	case 0x80000006: /* L2: 512 KiB, 8 ways, lines of 64 */
		return (struct cpuid){ .c = 512u << 16 | 6u << 12 | 64 };
	case 0x80000007: /* the TSC runs at one rate, always */
		return (struct cpuid){ .d = 1u << 8 };
	case 0x80000008: /* physical and linear address bits */
		return (struct cpuid){ .a = 32 | 32 << 8 };
	default:
		return (struct cpuid){ 0 };
	}
}

enum run op_cpuid(struct cpu *c, const struct insn *i)
{
	struct cpuid r = cpuid(c, c->gpr[CPU_EAX]);

	c->gpr[CPU_EAX] = r.a;
	c->gpr[CPU_EBX] = r.b;
	c->gpr[CPU_ECX] = r.c;
	c->gpr[CPU_EDX] = r.d;
	NEXT(c, i);
}

/* ---- 2. MSRs -------------------------------------------------------------------------------- */

enum {
	MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_TSC_ADJUST = 0x3B, MSR_UCODE_REV = 0x8B, MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MISC_ENABLE = 0x1A0, MSR_DEBUGCTL = 0x1D9,
};
/* Fast strings on; no branch trace store, no event sampling (SDM vol. 4, IA32_MISC_ENABLE). */
enum { MISC_ENABLE = 1u << 0 | 1u << 11 | 1u << 12 };

static bool read_msr(struct cpu *c, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_TSC:
		fpu_leave(c);
		*value = c->bus.tsc(c->bus.user);
		return true;
	case MSR_SYSENTER_CS:
		*value = c->sysenter_cs;
		return true;
	case MSR_SYSENTER_ESP:
		*value = c->sysenter_esp;
		return true;
	case MSR_SYSENTER_EIP:
		*value = c->sysenter_eip;
		return true;
	case MSR_MISC_ENABLE:
		*value = MISC_ENABLE;
		return true;
	case MSR_PLATFORM_ID:
	case MSR_TSC_ADJUST:
	case MSR_UCODE_REV:
	case MSR_DEBUGCTL:
		*value = 0;
		return true;
	default:
		return fault(c, EXC_GP, 0);
	}
}

/* The time stamp counter follows the machine's clock and cannot be set: such writes are swallowed, like those to
 * the read-only informative ones that a kernel is known to write. */
static bool write_msr(struct cpu *c, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_SYSENTER_CS:
		c->sysenter_cs = (uint32_t)value;
		return true;
	case MSR_SYSENTER_ESP:
		c->sysenter_esp = (uint32_t)value;
		return true;
	case MSR_SYSENTER_EIP:
		c->sysenter_eip = (uint32_t)value;
		return true;
	case MSR_TSC:
	case MSR_TSC_ADJUST:
	case MSR_UCODE_REV:
	case MSR_MISC_ENABLE:
		return true;
	case MSR_DEBUGCTL: /* last-branch records and branch traps do not exist */
		return value == 0 || fault(c, EXC_GP, 0);
	default:
		return fault(c, EXC_GP, 0);
	}
}

enum run op_rdmsr(struct cpu *c, const struct insn *i)
{
	uint64_t value = 0;

	if (c->cpl != 0)
		return raise_error(c, i, EXC_GP, 0);
	if (!read_msr(c, c->gpr[CPU_ECX], &value))
		return faulted(c, i);
	c->gpr[CPU_EAX] = (uint32_t)value;
	c->gpr[CPU_EDX] = (uint32_t)(value >> 32);
	NEXT(c, i);
}

enum run op_wrmsr(struct cpu *c, const struct insn *i)
{
	if (c->cpl != 0)
		return raise_error(c, i, EXC_GP, 0);
	if (!write_msr(c, c->gpr[CPU_ECX], c->gpr[CPU_EAX] | (uint64_t)c->gpr[CPU_EDX] << 32))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 3. Time -------------------------------------------------------------------------------- */

enum run op_rdtsc(struct cpu *c, const struct insn *i)
{
	uint64_t now;

	if (c->cr4 & CR4_TSD && c->cpl != 0)
		return raise_error(c, i, EXC_GP, 0);
	fpu_leave(c);
	now = c->bus.tsc(c->bus.user);
	c->gpr[CPU_EAX] = (uint32_t)now;
	c->gpr[CPU_EDX] = (uint32_t)(now >> 32);
	NEXT(c, i);
}

/* No counter exists, so every number in ECX is too large. */
enum run op_rdpmc(struct cpu *c, const struct insn *i) { return raise_error(c, i, EXC_GP, 0); }

/* ---- 4. SYSENTER ---------------------------------------------------------------------------- */

/* The flat segments that both instructions set up, from nothing but the selector. */
static struct cpu_segment flat_segment(uint32_t selector, bool code, unsigned dpl)
{
	return (struct cpu_segment){
		.selector = (uint16_t)selector,
		.attr = (uint16_t)(ATTR_P | ATTR_S | ATTR_WRITE | ATTR_ACCESSED | (code ? ATTR_CODE : 0u) |
		                   dpl << 5 | ATTR_DB | ATTR_G),
		.limit = 0xFFFFFFFF,
	};
}

enum run op_sysenter(struct cpu *c, const struct insn *i)
{
	uint32_t cs = c->sysenter_cs & 0xFFFC;

	if (!(c->cr0 & CR0_PE) || !cs)
		return raise_error(c, i, EXC_GP, 0);
	c->budget -= i->count;
	c->seg[CPU_CS] = flat_segment(cs, true, 0);
	c->seg[CPU_SS] = flat_segment(cs + 8, false, 0);
	c->gpr[CPU_ESP] = c->sysenter_esp;
	c->eip = c->sysenter_eip;
	set_cpl(c, 0);
	set_eflags(c, 0, FL_VM | FL_IF | FL_RF);
	ring_changed(c);
	return RUN_BLOCK;
}

enum run op_sysexit(struct cpu *c, const struct insn *i)
{
	uint32_t cs = c->sysenter_cs & 0xFFFC;

	if (!(c->cr0 & CR0_PE) || !cs || c->cpl != 0)
		return raise_error(c, i, EXC_GP, 0);
	c->budget -= i->count;
	c->seg[CPU_CS] = flat_segment(cs + 16 + 3, true, 3);
	c->seg[CPU_SS] = flat_segment(cs + 24 + 3, false, 3);
	c->gpr[CPU_ESP] = c->gpr[CPU_ECX];
	c->eip = c->gpr[CPU_EDX];
	set_cpl(c, 3);
	ring_changed(c);
	return RUN_BLOCK;
}
