/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/segments.c - selectors of every value, and far transfers to every kind of descriptor.
 *
 *   1. Loads
 *   2. Far transfers
 */
#include "guests/hostile/hostile.h"

/* ---- 1. Loads ------------------------------------------------------------------------------- */

struct load {
	const char *what;
	uint8_t opcode; /* ModRM of MOV Sreg, %eax */
};

static void load_all(const struct context *from, const struct load *load, uint32_t step)
{
	struct context c = *from;
	uint8_t code[] = { 0x8E, load->opcode, 0x66, 0x8C, (uint8_t)(load->opcode + 2) }; /* mov back, to %dx */

	put_code(CODE, code, sizeof(code));
	for (uint32_t selector = 0; selector < 0x10000; selector += selector < GDT_END + 64 ? 1 : step) {
		c.eax = selector;
		attempt(&c);
	}
	told(load->what);
}

void segments(void)
{
	static const struct load user[] = {
		{ "ring 3: every selector into DS", 0xD8 }, { "... ES", 0xC0 }, { "... FS", 0xE0 }, { "... GS", 0xE8 },
		{ "... SS", 0xD0 }, { "... CS", 0xC8 },
	};
	static const struct load kernel[] = {
		{ "ring 0: selectors into DS", 0xD8 }, { "... ES", 0xC0 }, { "... FS", 0xE0 }, { "... GS", 0xE8 },
	};
	struct context ring1 = user_context;

	for (unsigned n = 0; n < COUNT(user); n++)
		load_all(&user_context, &user[n], n == 5 ? 4099 : 1);
	for (unsigned n = 0; n < COUNT(kernel); n++)
		load_all(&kernel_context, &kernel[n], 61);
	ring1.cs = CODE1;
	ring1.ss = ring1.ds = ring1.es = DATA1;
	load_all(&ring1, &(struct load){ "ring 1: selectors into SS", 0xD0 }, 61);
}

/* ---- 2. Far transfers ----------------------------------------------------------------------- */

static const uint16_t beyond[] = { 0, 1, 2, 3, 4, 7, 12, 15, 23, 27, 0x23, 0x2B, 0x33, 0x7B, GDT_END, GDT_END + 3,
	                           0x7FF8, 0xFFF8, 0xFFFC, 0xFFFF };

/* Any descriptor with any RPL, then those that there are not. */
static uint32_t selector_of(unsigned n)
{
	if (n < GDT_END / 8 * 4)
		return (n / 4) << 3 | (n & 3);
	n -= GDT_END / 8 * 4;
	return n < COUNT(beyond) ? beyond[n] : 0x10000;
}

static bool is_tss(uint32_t selector) { return (selector & ~7u) == TSS; }

static const struct context *contexts(unsigned n)
{
	static struct context ring1, ring2;

	ring1 = ring2 = user_context;
	ring1.cs = CODE1;
	ring1.ss = ring1.ds = ring1.es = DATA1;
	ring2.cs = CODE2;
	ring2.ss = ring2.ds = ring2.es = DATA2;
	return n == 0 ? &kernel_context : n == 1 ? &ring1 : n == 2 ? &ring2 : &user_context;
}

enum way { JUMP, CALL, RET, IRET, RET_SP, JUMP16, WAYS };

/* Where it goes if it may: an INT 0x80 in ring 3's page. */
#define TARGET (CODE + 0x80)

static void transfer(const struct context *from, enum way way, uint32_t selector, uint32_t target)
{
	uint32_t frame[5] = { target, selector, 0x202, STACK_TOP - 128, from->ss };
	struct context c = *from;
	uint8_t code[] = { 0xEA, 0, 0, 0, 0, (uint8_t)selector, (uint8_t)(selector >> 8), 0x90 };

	memcpy(code + 1, &target, 4);
	switch (way) {
	case JUMP16:
		memcpy(code, (const uint8_t[]){ 0x66, 0xEA, (uint8_t)target, (uint8_t)(target >> 8), code[5], code[6] }, 6);
		break;
	case CALL:
		code[0] = 0x9A;
		break;
	case RET:
		code[0] = 0xCB;
		break;
	case RET_SP:
		memcpy(code, (const uint8_t[]){ 0xCA, 8, 0 }, 3);
		break;
	case IRET:
		code[0] = 0xCF;
		break;
	default:
		break;
	}
	put_code(CODE, code, sizeof(code));
	c.esp -= 64;
	if (way == RET || way == IRET || way == RET_SP) {
		if (way != IRET) {
			frame[2] = STACK_TOP - 128;
			frame[3] = from->ss;
		}
		memcpy((void *)c.esp, frame, sizeof(frame));
	}
	attempt(&c);
}

void far_transfers(void)
{
	static const char *const names[WAYS] = { "far jumps", "far calls", "far returns", "IRET", "far returns that pop more",
		                                 "far jumps with 16 bits" };

	put_code(TARGET, "\x90", 1);
	put_code(CODE + 0x800, "\x90", 1);
	for (unsigned way = 0; way < WAYS; way++) {
		for (unsigned ring = 0; ring < 4; ring++)
			for (unsigned n = 0; selector_of(n) < 0x10000; n++)
				if (!is_tss(selector_of(n)))
					transfer(contexts(ring), (enum way)way, selector_of(n), TARGET);
		told(names[way]);
	}
	for (unsigned ring = 0; ring < 4; ring += 3)
		for (unsigned way = 0; way < IRET; way++) {
			transfer(contexts(ring), (enum way)way, CODE3_16 & ~(3u - ring), 0x80);
			transfer(contexts(ring), (enum way)way, CODE3_16 & ~(3u - ring), 0x12345);
			transfer(contexts(ring), (enum way)way, ring ? USER_CODE : KERNEL_CODE, MISSING);
			transfer(contexts(ring), (enum way)way, ring ? USER_CODE : KERNEL_CODE, 0xFFFFFFFF);
		}
	told("far transfers to 16-bit code, and to nowhere");
}
