/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_system.c - sensitive instructions that every system call of a kernel goes through, as code.
 *
 *   1. The processor's words   EFLAGS and the like are in struct cpu
 *   2. IF and DF               CLI STI, and CLD, which is nothing
 *   3. EFLAGS                  PUSHF POPF
 *   4. Selectors, CRn          reading them
 *
 * Anything out of the ordinary (another privilege, a flag that matters to the engine, an interrupt that waits) is
 * a fallback, decided when it runs where it must be.  Flags are the guest's throughout but in POPF: PEXT and
 * PDEP clear a bit without touching any.
 */
#include "direct/translate.h"

static bool ring0(const struct translation *t)
{
	return (t->mode & DMODE_RING) == 0 || (t->mode & DMODE_RING) == RING_GLOBAL;
}

/* ---- 1. The processor's words --------------------------------------------------------------- */

#define OFFSET(field) ((uint32_t)offsetof(struct cpu, field))

/* mov (%r15), %r8 */
static void load_cpu(struct translation *t) { EMIT(&t->e, 0x4D, 0x8B, 0x07); }
/* mov offset(%r8), %r9d or %r10d; and back */
static void load_word(struct translation *t, unsigned reg, uint32_t offset)
{
	EMIT(&t->e, 0x45, 0x8B);
	emit8(&t->e, 0x80 | (reg & 7) << 3);
	emit32(&t->e, offset);
}
static void store_word(struct translation *t, unsigned reg, uint32_t offset)
{
	EMIT(&t->e, 0x45, 0x89);
	emit8(&t->e, 0x80 | (reg & 7) << 3);
	emit32(&t->e, offset);
}

enum { PEXT = 0x32, PDEP = 0x33 };
/* pext/pdep mask(%r15), %r9d, %r9d */
static void squeeze(struct translation *t, unsigned which, uint32_t mask)
{
	EMIT(&t->e, 0xC4, 0x42);
	emit8(&t->e, which);
	EMIT(&t->e, 0xF5, 0x8F);
	emit32(&t->e, mask);
}

/* The fallback, in the middle of a sequence; 10 bytes. */
static void emit_other_way(struct translation *t, unsigned n)
{
	emit_r9d(&t->e, n);
	emit_stub(&t->e, HOT_STUB_FALLBACK);
}

static void resume_here(struct translation *t, unsigned n)
{
	t->d->fallbacks[n].resume = place(t);
	t->x87_checked = t->sse_checked = false;
}

/* ---- 2. IF and DF --------------------------------------------------------------------------- */

/* EFLAGS without the bit that the mask lacks, plus `add`. */
static void change_flags(struct translation *t, uint32_t mask, uint32_t add)
{
	load_word(t, 9, OFFSET(flags));
	squeeze(t, PEXT, mask);
	squeeze(t, PDEP, mask);
	if (add) { /* lea add(%r9), %r9d */
		EMIT(&t->e, 0x45, 0x8D, 0x89);
		emit32(&t->e, add);
	}
	store_word(t, 9, OFFSET(flags));
}

static bool emit_cli(struct translation *t)
{
	if (!ring0(t))
		return false;
	load_cpu(t);
	change_flags(t, HOT_MASK_NO_IF, 0);
	return true;
}

/* The mode of a block says what DF is. */
static bool emit_cld(const struct translation *t) { return !(t->mode & DMODE_DF); }

/* No interrupt waits: then the shadow of STI matters only to one that comes just after it (signal.c). */
static bool emit_sti(struct translation *t, const struct piece *p)
{
	unsigned n;

	/* The instruction that it shadows has to be in this block. */
	if (!ring0(t) || t->d->config.exact || t->insns + 1 >= BLOCK_INSNS_MAX ||
	    p->eip % UM_PAGE_SIZE + 32 > UM_PAGE_SIZE)
		return false;
	n = add_fallback(t, p);
	load_cpu(t);
	/* mov %rcx, %r11; movzbl irq_line(%r8), %ecx; jecxz 1f; mov %r11, %rcx; (fallback) 1: mov %r11, %rcx */
	EMIT(&t->e, 0x49, 0x89, 0xCB, 0x41, 0x0F, 0xB6, 0x88);
	emit32(&t->e, OFFSET(irq_line));
	EMIT(&t->e, 0x67, 0xE3, 3 + 10, 0x4C, 0x89, 0xD9);
	emit_other_way(t, n);
	EMIT(&t->e, 0x4C, 0x89, 0xD9);
	change_flags(t, HOT_MASK_NO_IF, FL_IF);
	resume_here(t, n);
	t->shadow = true;
	return true;
}

/* ---- 3. EFLAGS ------------------------------------------------------------------------------ */

static bool emit_pushf(struct translation *t)
{
	/* mov %eax, %r11d; lahf; seto %al; rorx $8, %eax, %r9d: the flags at 0-7, OF at 24 */
	EMIT(&t->e, 0x41, 0x89, 0xC3, 0x9F, 0x0F, 0x90, 0xC0, 0xC4, 0x63, 0x7B, 0xF0, 0xC8, 0x08);
	squeeze(t, PEXT, HOT_MASK_LAHF);
	squeeze(t, PDEP, HOT_MASK_STATUS);
	load_cpu(t);
	load_word(t, 10, OFFSET(flags));
	/* lea (%r9, %r10), %r9d; mov %r11d, %eax; mov %r9d, %gs:-4(%r12d); lea -4(%r12), %r12d */
	EMIT(&t->e, 0x47, 0x8D, 0x0C, 0x11, 0x44, 0x89, 0xD8, 0x65, 0x67, 0x45, 0x89, 0x4C, 0x24, 0xFC, 0x45, 0x8D,
	     0x64, 0x24, 0xFC);
	return true;
}

/* Nothing of EFLAGS changes but what needs no attention: the six, ID, and IF where no interrupt waits. */
static bool emit_popf(struct translation *t, const struct piece *p)
{
	bool kernel = ring0(t);
	uint32_t keep = (kernel ? (uint32_t)FL_IF : 0u) | FL_ID;
	uint32_t refuse = FL_TF | FL_NT | FL_AC | FL_DF | (kernel ? (uint32_t)FL_IOPL : 0u);
	unsigned n;

	if (!kernel && (t->mode & DMODE_RING) != 3)
		return false;
	n = add_fallback(t, p);
	/* mov %gs:(%r12d), %r9d */
	EMIT(&t->e, 0x65, 0x67, 0x45, 0x8B, 0x0C, 0x24);
	load_cpu(t);
	load_word(t, 10, OFFSET(flags));
	/* mov %r9d, %r11d; xor %r10d, %r11d; test $refuse, %r11d; je 1f; (fallback) 1: */
	EMIT(&t->e, 0x45, 0x89, 0xCB, 0x45, 0x31, 0xD3, 0x41, 0xF7, 0xC3);
	emit32(&t->e, refuse);
	EMIT(&t->e, 0x74, 10);
	emit_other_way(t, n);
	if (kernel) {
		/* test $IF, %r9d; je 1f; cmpb $0, irq_line(%r8); je 1f; (fallback) 1: */
		EMIT(&t->e, 0x41, 0xF7, 0xC1, 0x00, 0x02, 0x00, 0x00, 0x74, 8 + 2 + 10, 0x41, 0x80, 0xB8);
		emit32(&t->e, OFFSET(irq_line));
		EMIT(&t->e, 0x00, 0x74, 10);
		emit_other_way(t, n);
	} else {
		/* test $IOPL, %r10d; je 1f; (fallback) 1: */
		EMIT(&t->e, 0x41, 0xF7, 0xC2, 0x00, 0x30, 0x00, 0x00, 0x74, 10);
		emit_other_way(t, n);
	}
	/* mov %r9d, %r11d; and $keep, %r11d; and $~keep, %r10d; or %r11d, %r10d */
	EMIT(&t->e, 0x45, 0x89, 0xCB, 0x41, 0x81, 0xE3);
	emit32(&t->e, keep);
	EMIT(&t->e, 0x41, 0x81, 0xE2);
	emit32(&t->e, ~keep);
	EMIT(&t->e, 0x45, 0x09, 0xDA);
	store_word(t, 10, OFFSET(flags));
	/* mov %eax, %r11d; mov %r9d, %eax; shr $11, %eax; and $1, %eax; shl $8, %r9d; or %r9d, %eax;
	 * add $0x7F, %al; sahf; mov %r11d, %eax; lea 4(%r12), %r12d */
	EMIT(&t->e, 0x41, 0x89, 0xC3, 0x44, 0x89, 0xC8, 0xC1, 0xE8, 0x0B, 0x83, 0xE0, 0x01, 0x41, 0xC1, 0xE1, 0x08,
	     0x44, 0x09, 0xC8, 0x04, 0x7F, 0x9E, 0x44, 0x89, 0xD8, 0x45, 0x8D, 0x64, 0x24, 0x04);
	resume_here(t, n);
	return true;
}

/* ---- 4. Selectors, CRn ---------------------------------------------------------------------- */

static uint32_t selector_offset(unsigned seg)
{
	return OFFSET(seg) + seg * (uint32_t)sizeof(struct cpu_segment) +
	       (uint32_t)offsetof(struct cpu_segment, selector);
}

/* Two bytes are written, as the portable engine does (SDM vol. 2, PUSH). */
static bool emit_push_selector(struct translation *t, unsigned seg)
{
	load_cpu(t);
	/* movzwl selector(%r8), %r9d; mov %r9w, %gs:-4(%r12d); lea -4(%r12), %r12d */
	EMIT(&t->e, 0x45, 0x0F, 0xB7, 0x88);
	emit32(&t->e, selector_offset(seg));
	EMIT(&t->e, 0x66, 0x65, 0x67, 0x45, 0x89, 0x4C, 0x24, 0xFC, 0x45, 0x8D, 0x64, 0x24, 0xFC);
	return true;
}

/* `opcode` with REX, ModRM: a word of struct cpu to a guest's register. */
static void load_register(struct translation *t, unsigned guest, bool word, uint32_t offset)
{
	unsigned reg = host_gpr(guest);

	load_cpu(t);
	emit8(&t->e, 0x41 | (reg & 8) >> 1);
	if (word)
		EMIT(&t->e, 0x0F, 0xB7);
	else
		emit8(&t->e, 0x8B);
	emit8(&t->e, 0x80 | (reg & 7) << 3);
	emit32(&t->e, offset);
}

static bool emit_mov_from_selector(struct translation *t, const struct piece *p)
{
	if (p->insn->flags & INSN_MEM || p->prefix66 || p->reg > CPU_GS)
		return false;
	load_register(t, p->rm, true, selector_offset(p->reg));
	return true;
}

static bool emit_mov_from_control(struct translation *t, const struct piece *p)
{
	static const uint32_t offset[5] = { OFFSET(cr0), 0, OFFSET(cr2), OFFSET(cr3), OFFSET(cr4) };

	if (!ring0(t) || p->reg > 4 || p->reg == 1)
		return false;
	load_register(t, p->rm, false, offset[p->reg]);
	return true;
}

bool emit_system(struct translation *t, const struct piece *p)
{
	if (!(t->d->options & DIRECT_OPT_INLINE) || p->lock)
		return false;
	if (p->two)
		return p->opcode == 0x20 ? emit_mov_from_control(t, p)
		       : p->opcode == 0xA0 || p->opcode == 0xA8
		               ? !p->prefix66 && emit_push_selector(t, p->opcode >> 3 & 7)
		               : false;
	switch (p->opcode) {
	case 0x06: case 0x0E: case 0x16: case 0x1E:
		return !p->prefix66 && emit_push_selector(t, p->opcode >> 3 & 7);
	case 0x8C:
		return emit_mov_from_selector(t, p);
	case 0x9C:
		return !p->prefix66 && emit_pushf(t);
	case 0x9D:
		return !p->prefix66 && emit_popf(t, p);
	case 0xFA:
		return emit_cli(t);
	case 0xFB:
		return emit_sti(t, p);
	case 0xFC:
		return emit_cld(t);
	default:
		return false;
	}
}
