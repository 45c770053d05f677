/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/emulate.c - privileged instructions that a kernel executes although it knows better.
 *
 *   1. Ports       IN, OUT: there are no devices behind them (family G: an emulated PCI bus)
 *   2. The rest    CLI, STI, HLT; before there is a handler also what an early CPU driver tries
 *   3. Decoding
 *
 * Linux's delay loops write to port 0x80, so this is not only for the odd case.  What is not known here is
 * reflected: kernels have fix-ups for it.
 */
#include "guest/lguest/internal.h"

/* ---- 1. Ports ------------------------------------------------------------------------------- */

enum { KEYBOARD_COMMAND = 0x64, PULSE_RESET = 0xFE };

static uint32_t port_mask(unsigned bytes) { return bytes == 4 ? 0xFFFFFFFFu : (1u << 8 * bytes) - 1; }

static void read_port(struct lguest *lg, const struct cpu_regs *regs, uint16_t port, unsigned bytes)
{
	const struct lguest_world *w = &lg->world;
	uint32_t mask = port_mask(bytes), value = 0xFFFFFFFFu;

	if (lg->f->pci && w->port_in)
		value = w->port_in(w->user, port, bytes);
	cpu_set_gpr(w->cpu, CPU_EAX, (regs->gpr[CPU_EAX] & ~mask) | (value & mask));
}

/* Kernels of family B have no call for a restart: they ask the keyboard controller, over and over. */
static void write_port(struct lguest *lg, const struct cpu_regs *regs, uint16_t port, unsigned bytes)
{
	const struct lguest_world *w = &lg->world;
	uint32_t value = regs->gpr[CPU_EAX] & port_mask(bytes);

	if (lg->f->port_reset && port == KEYBOARD_COMMAND && bytes == 1 && value == PULSE_RESET)
		lguest_finish(lg, LGUEST_RESTART, "restart");
	else if (lg->f->pci && w->port_out)
		w->port_out(w->user, port, bytes, value);
}

/* E4-E7, EC-EF: bit 3 the port in DX, bit 1 out, bit 0 wide. */
static unsigned emulate_port(struct lguest *lg, const struct cpu_regs *regs, const uint8_t *code,
                             bool short_operand)
{
	bool in_dx = code[0] & 8, out = code[0] & 2, wide = code[0] & 1;
	unsigned bytes = !wide ? 1 : short_operand ? 2 : 4;
	uint16_t port = in_dx ? (uint16_t)regs->gpr[CPU_EDX] : code[1];

	if (out)
		write_port(lg, regs, port, bytes);
	else
		read_port(lg, regs, port, bytes);
	return in_dx ? 1 : 2;
}

/* ---- 2. The rest ---------------------------------------------------------------------------- */

/* What follows "sti" may be interrupted; the injection comes with the end of this trap. */
static void emulate_sti(struct lguest *lg)
{
	if (lg->initialised)
		lguest_set(lg, DATA_IRQ_ENABLED, VIRTUAL_IF);
}

/* MOV from a control register: what such a kernel may see. */
static uint32_t control_register(struct lguest *lg, unsigned number)
{
	enum { CR0_PE = 1, CR0_MP = 2, CR0_TS = 8, CR0_ET = 16, CR0_NE = 32, CR0_WP = 1 << 16,
	       CR0_AM = 1 << 18 };

	switch (number) {
	case 0:
		return CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | (lg->ts ? CR0_TS : 0u) |
		       (lg->flat ? 0u : 1u << 31);
	case 2:
		return lg->initialised ? lguest_get(lg, DATA_CR2) : 0;
	case 3:
		return lg->root;
	default:
		return 0;
	}
}

/* 0F xx.  Linux 3.12 looks at the microcode's revision before it knows what it runs on, and has no handler
 * yet that could tell it of a fault. */
static unsigned emulate_early(struct lguest *lg, const struct cpu_regs *regs, const uint8_t *code)
{
	enum { WRMSR = 0x30, RDMSR = 0x32, MOV_FROM_CR = 0x20, MOV_TO_CR = 0x22 };
	struct cpu *cpu = lg->world.cpu;
	unsigned reg = code[2] >> 3 & 7;
	bool has_register = reg == 0 || (reg >= 2 && reg <= 4);

	(void)regs;
	switch (code[1]) {
	case RDMSR:
		cpu_set_gpr(cpu, CPU_EAX, 0);
		cpu_set_gpr(cpu, CPU_EDX, 0);
		return 2;
	case WRMSR:
		return 2;
	case MOV_FROM_CR:
		if (!has_register)
			return 0;
		cpu_set_gpr(cpu, code[2] & 7, control_register(lg, reg));
		return 3;
	case MOV_TO_CR:
		return has_register ? 3 : 0;
	default:
		return 0;
	}
}

/* ---- 3. Decoding ---------------------------------------------------------------------------- */

/* The bytes of the instruction behind a 0x66, 0: not known here. */
static unsigned emulate_one(struct lguest *lg, const struct cpu_regs *regs, const uint8_t *code,
                            bool short_operand)
{
	enum { CLI = 0xFA, STI = 0xFB, HLT = 0xF4, TWO_BYTES = 0x0F };

	if ((code[0] & 0xF4) == 0xE4)
		return emulate_port(lg, regs, code, short_operand);
	switch (code[0]) {
	case CLI: /* the guest knows by other means that interrupts are off */
		return 1;
	case STI:
		emulate_sti(lg);
		return 1;
	case HLT:
		cpu_set_halted(lg->world.cpu, true);
		return 1;
	case TWO_BYTES:
		return lg->gate[TRAP_GP][1] ? 0 : emulate_early(lg, regs, code);
	default:
		return 0;
	}
}

enum emulated lguest_emulate(struct lguest *lg, struct cpu_regs *regs)
{
	enum { OPERAND_SIZE = 0x66, LONGEST = 15 };
	uint8_t code[LONGEST + 1] = { 0 }; /* bytes that cannot be had are zero: ADD, unknown here */
	bool prefix;
	unsigned length;

	lguest_fetch(lg, regs, code, 4);
	prefix = code[0] == OPERAND_SIZE;
	length = emulate_one(lg, regs, code + prefix, prefix);
	if (!length)
		return NOT_EMULATED;
	lg->stats.emulated++;
	cpu_set_eip(lg->world.cpu, regs->eip + prefix + length);
	return EMULATED;
}

bool lguest_is_vmcall(struct lguest *lg, const struct cpu_regs *regs)
{
	uint8_t code[3];

	return lguest_fetch(lg, regs, code, sizeof code) == sizeof code && code[0] == 0x0F && code[1] == 0x01 &&
	       (code[2] == 0xC1 || code[2] == 0xD9);
}
