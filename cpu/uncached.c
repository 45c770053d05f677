/* SPDX-License-Identifier: MIT */
/*
 * cpu/uncached.c - code that no block is made of: its bytes are read anew for each instruction.
 *
 *   1. Memos       what decoding some bytes gave
 *   2. Decoding    one instruction, from bytes or from a memo of the same bytes
 *   3. Running     find_uncached(), op_uncached_next()
 *
 * Runs everything where CPU_OPT_BLOCKS is off, and code that is not in RAM always.  Nothing here can go
 * stale: what decoding gives depends on the bytes and the mode alone, and a memo is used only after all of
 * its instruction's bytes, as they are in memory now, were compared with its own.  Its place in the table,
 * by linear address, is no more than a guess.
 */
#include "cpu/block.h"
#include "cpu/decode.h"
#include "cpu/memory.h"
#include "cpu/uncached.h"

#include <stdlib.h>

/* ---- 1. Memos ------------------------------------------------------------------------------- */

#define MEMOS 8192u
#define WINDOW 16u   /* bytes compared: an instruction has 15 at most, the last is the mode's */
#define NO_MODE 0xFFu

struct window {
	uint64_t word[WINDOW / 8];
};

struct memo {
	struct window bytes, mask; /* mask: ones for what counts, the instruction's own length and the mode */
	struct insn insn[2];       /* and op_uncached_next, or a struct link of NULLs after an INSN_END */
};
_Static_assert(INSN_BYTES_MAX < WINDOW && sizeof(struct link) <= sizeof(struct insn), "see above");

bool memos_new(struct cpu *c)
{
	c->memos = calloc(MEMOS, sizeof(*c->memos));
	return c->memos;
}

void memos_free(struct cpu *c) { free(c->memos); }

void memos_forget(struct cpu *c) { memset(c->memos, 0, MEMOS * sizeof(*c->memos)); }

static struct memo *memo_at(struct cpu *c, uint32_t linear)
{
	return &c->memos[(linear ^ linear >> 13) % MEMOS];
}

/* The 15 bytes at p (16 are readable) and the mode. */
static struct window look(const uint8_t *p, unsigned mode)
{
	struct window w;

	memcpy(&w, p, WINDOW);
	w.word[1] = (w.word[1] & UINT64_MAX >> 8) | (uint64_t)mode << 56;
	return w;
}

static bool matches(const struct memo *m, const struct window *w)
{
	return !(((w->word[0] ^ m->bytes.word[0]) & m->mask.word[0]) |
	         ((w->word[1] ^ m->bytes.word[1]) & m->mask.word[1])) && m->insn[0].fn;
}

/* ---- 2. Decoding ---------------------------------------------------------------------------- */

/* Into *m; false: `have` bytes at p do not hold a whole instruction. */
static bool decode_memo(struct cpu *c, struct memo *m, const uint8_t *p, unsigned have, unsigned mode)
{
	uint8_t mask[WINDOW] = { [WINDOW - 1] = 0xFF };
	struct insn *i = m->insn;

	memset(m, 0, sizeof(*m));
	if (decode(c->decoder, p, have, mode, c->options, i) == DECODE_MORE) {
		i->fn = NULL;
		return false;
	}
	i->count = 1;
	if (!(i->flags & INSN_END)) {
		i[1].fn = c->debugger.splits ? op_block_return : op_uncached_next;
		i[1].off = i->len;
		i[1].flags = INSN_END;
		i[1].count = 1;
	}
	/* Undefined ones have no length: how many bytes count is not known, so they match nothing. */
	if (i->fn == op_undefined || i->fn == op_too_long)
		mode = NO_MODE;
	memset(mask, 0xFF, i->len);
	memcpy(&m->mask, mask, WINDOW);
	m->bytes = look(p, mode);
	return true;
}

/* Gather bytes from at most two pages, the second only if the instruction reaches it. */
static const struct insn *gather(struct cpu *c, uint32_t linear, unsigned mode)
{
	struct memo *m = memo_at(c, linear);
	uint8_t bytes[WINDOW] = { 0 };
	unsigned have = 0;

	do {
		unsigned piece = UM_PAGE_SIZE - (linear + have) % UM_PAGE_SIZE;
		const uint8_t *host;
		struct window w;
		um_gpa gpa = 0;

		if (piece > INSN_BYTES_MAX - have)
			piece = INSN_BYTES_MAX - have;
		if (!fetch_page(c, linear + have, &host, &gpa))
			return NULL;
		if (host)
			memcpy(bytes + have, host, piece);
		else
			for (unsigned n = 0; n < piece; n++)
				bytes[have + n] = fetch_io_byte(c, gpa + n);
		have += piece;
		w = look(bytes, mode);
		if (matches(m, &w) && m->insn->len <= have)
			break;
	} while (!decode_memo(c, m, bytes, have, mode) && have < INSN_BYTES_MAX);
	return m->insn;
}

/* ---- 3. Running ----------------------------------------------------------------------------- */

/* The common case: RAM, 16 bytes in one page, a memo; else NULL. */
FORCE_INLINE const struct insn *recall(struct cpu *c, uint32_t linear, unsigned mode)
{
	const struct tlb_entry *t = tlb_at(c->tlb, linear);
	const struct memo *m = memo_at(c, linear);
	struct window w;

	if (unlikely(t->read != tlb_page(linear, WINDOW)))
		return NULL;
	w = look(tlb_host(t, linear), mode);
	return likely(matches(m, &w)) ? m->insn : NULL;
}

const struct insn *find_uncached(struct cpu *c, uint32_t linear, unsigned mode)
{
	const struct memo *m = memo_at(c, linear);
	const uint8_t *host;
	um_gpa gpa;

	mode |= MODE_STEP; /* handlers that do not chain */
	if (!fetch_page(c, linear, &host, &gpa))
		return NULL;
	if (likely(host && linear % UM_PAGE_SIZE <= UM_PAGE_SIZE - WINDOW)) {
		struct window w = look(host, mode);
		if (likely(matches(m, &w)))
			return m->insn;
	}
	return gather(c, linear, mode);
}

enum run op_uncached_next(struct cpu *c, const struct insn *i)
{
	uint32_t eip = insn_eip(c, i);

	c->eip = eip;
	if (likely(--c->budget > 0 && !c->pending && c->seg[CPU_CS].limit == 0xFFFFFFFFu)) {
		unsigned mode = (c->mode & MODE_DECODING) | MODE_STEP;
		const struct insn *next = recall(c, c->seg[CPU_CS].base + eip, mode);

		if (likely(next)) {
			c->block_eip = eip;
			return next->fn(c, next);
		}
	}
	return RUN_BLOCK;
}
