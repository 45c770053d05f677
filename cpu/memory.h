/* SPDX-License-Identifier: MIT */
/*
 * cpu/memory.h - guest memory as instructions see it: segment, translation, bytes.
 *
 *   1. The fast path     tlb_at(), tlb_page(), host loads and stores
 *   2. Effective address ea(), flat_ea()
 *   3. Segmented access  seg_linear(), seg_read*(), seg_write*()
 *   4. Linear access     lin_read*(), lin_write*()
 *   5. Others            the TLB's upkeep, code fetch
 *
 * Functions that return bool have recorded an exception (or, where the shadow gave up, c->exit) when they
 * return false: the handler returns faulted(c, i) and nothing of the instruction has happened.
 */
#ifndef CPU_MEMORY_H
#define CPU_MEMORY_H

#include <string.h>

#include "cpu/flags.h"

/* ---- 1. The fast path ----------------------------------------------------------------------- */

#define PAGE_MASK 0xFFFFF000u

FORCE_INLINE struct tlb_entry *tlb_at(struct tlb_entry *tlb, uint32_t linear)
{
	return &tlb[(linear >> UM_PAGE_SHIFT) % TLB_ENTRIES];
}
/* The tag that permits an access of `bytes` at `linear`: none when the last byte is in another page. */
FORCE_INLINE uint32_t tlb_page(uint32_t linear, unsigned bytes) { return (linear + (bytes - 1)) & PAGE_MASK; }
FORCE_INLINE uint8_t *tlb_host(const struct tlb_entry *t, uint32_t linear)
{
	return (uint8_t *)(t->addend + linear); /* the sum is an address inside guest RAM */
}

FORCE_INLINE uint32_t host_load(const uint8_t *p, unsigned bits)
{
	uint16_t h;
	uint32_t w;
	if (bits == 8)
		return *p;
	if (bits == 16)
		return memcpy(&h, p, 2), h;
	return memcpy(&w, p, 4), w;
}
FORCE_INLINE void host_store(uint8_t *p, uint32_t value, unsigned bits)
{
	uint16_t h = (uint16_t)value;
	if (bits == 8)
		*p = (uint8_t)value;
	else if (bits == 16)
		memcpy(p, &h, 2);
	else
		memcpy(p, &value, 4);
}

/* ---- 2. Effective address ------------------------------------------------------------------- */

/* Offset of the memory operand; 16-bit addresses wrap (SDM vol. 1, 3.7.5). */
static inline uint32_t ea(const struct cpu *c, const struct insn *i)
{
	uint32_t a = c->gpr[i->base] + (c->gpr[i->index] << i->scale) + i->disp;
	return i->addrsize == 2 ? (uint16_t)a : a;
}

/* ---- 3. Segmented access -------------------------------------------------------------------- */

/* Descriptor bits in cpu_segment.attr that an access depends on. */
enum { SEG_RW = 1u << 1 /* data: writable, code: readable */, SEG_DOWN = 1u << 2, SEG_CODE = 1u << 3,
       SEG_P = 1u << 7, SEG_DB = 1u << 14 };

/* Check [offset, offset + bytes) against the segment (SDM vol. 3, 5.3) and give the linear address. */
bool seg_linear_slow(struct cpu *c, unsigned seg, uint32_t offset, uint32_t bytes,
		     bool write); /* in c->linear */
static inline bool seg_linear(struct cpu *c, unsigned seg, uint32_t offset, uint32_t bytes, bool write,
                              uint32_t *linear)
{
	if (likely(c->flat_segs >> seg & 1)) {
		*linear = offset;
		return true;
	}
	if (!seg_linear_slow(c, seg, offset, bytes, write))
		return false;
	*linear = c->linear;
	return true;
}

/* Any range of at most MEM_MAX bytes at a linear address; `user`: with the rights of CPL 3.  Writes check
 * every page before the first byte changes. */
#define MEM_MAX 512u
bool mem_read(struct cpu *c, uint32_t linear, void *buf, unsigned bytes, bool user);
bool mem_write(struct cpu *c, uint32_t linear, const void *buf, unsigned bytes, bool user);
bool mem_probe_write(struct cpu *c, uint32_t linear, unsigned bytes, bool user);

/* c->bounce and c->linear: a handler whose local variables' addresses go nowhere can leave by a jump. */
#define DEFINE_SEG_ACCESS(bits, type)                                                                  \
	static inline bool seg_read##bits(struct cpu *c, unsigned seg, uint32_t offset, type *value)   \
	{                                                                                              \
		uint32_t linear;                                                                       \
		if (!seg_linear(c, seg, offset, bits / 8, false, &linear))                             \
			return false;                                                                  \
		const struct tlb_entry *t = tlb_at(c->tlb, linear);                                    \
		if (likely(t->read == tlb_page(linear, bits / 8))) {                                   \
			memcpy(value, tlb_host(t, linear), bits / 8);                                  \
			return true;                                                                   \
		}                                                                                      \
		if (!mem_read(c, linear, &c->bounce, bits / 8, c->cpl == 3))                           \
			return false;                                                                  \
		*value = (type)c->bounce;                                                              \
		return true;                                                                           \
	}                                                                                              \
	static inline bool seg_write##bits(struct cpu *c, unsigned seg, uint32_t offset, type value)   \
	{                                                                                              \
		uint32_t linear;                                                                       \
		if (!seg_linear(c, seg, offset, bits / 8, true, &linear))                              \
			return false;                                                                  \
		const struct tlb_entry *t = tlb_at(c->tlb, linear);                                    \
		if (likely(t->write == tlb_page(linear, bits / 8))) {                                  \
			memcpy(tlb_host(t, linear), &value, bits / 8);                                 \
			return true;                                                                   \
		}                                                                                      \
		c->bounce = value;                                                                     \
		return mem_write(c, linear, &c->bounce, bits / 8, c->cpl == 3);                        \
	}
DEFINE_SEG_ACCESS(8, uint8_t)
DEFINE_SEG_ACCESS(16, uint16_t)
DEFINE_SEG_ACCESS(32, uint32_t)
DEFINE_SEG_ACCESS(64, uint64_t)

/* bytes <= MEM_MAX */
bool seg_read_bytes(struct cpu *c, unsigned seg, uint32_t offset, void *buf, unsigned bytes);
bool seg_write_bytes(struct cpu *c, unsigned seg, uint32_t offset, const void *buf, unsigned bytes);
/* All checks of a write, Accessed and Dirty set, no memory changed. */
bool seg_probe_write(struct cpu *c, unsigned seg, uint32_t offset, unsigned bytes);

/* ---- 4. Linear access ----------------------------------------------------------------------- */

/* access: 0 = supervisor (descriptor tables, TSS), UM_USER. */
#define DEFINE_LIN_ACCESS(bits, type)                                                                  \
	static inline bool lin_read##bits(struct cpu *c, uint32_t linear, unsigned access, type *value) \
	{                                                                                              \
		const struct tlb_entry *t = tlb_at(c->tlbs[!!(access & UM_USER)], linear);             \
		if (likely(t->read == tlb_page(linear, bits / 8))) {                                   \
			memcpy(value, tlb_host(t, linear), bits / 8);                                  \
			return true;                                                                   \
		}                                                                                      \
		return mem_read(c, linear, value, bits / 8, access & UM_USER);                         \
	}                                                                                              \
	static inline bool lin_write##bits(struct cpu *c, uint32_t linear, unsigned access, type value) \
	{                                                                                              \
		const struct tlb_entry *t = tlb_at(c->tlbs[!!(access & UM_USER)], linear);             \
		if (likely(t->write == tlb_page(linear, bits / 8))) {                                  \
			memcpy(tlb_host(t, linear), &value, bits / 8);                                 \
			return true;                                                                   \
		}                                                                                      \
		return mem_write(c, linear, &value, bits / 8, access & UM_USER);                       \
	}
DEFINE_LIN_ACCESS(8, uint8_t)
DEFINE_LIN_ACCESS(16, uint16_t)
DEFINE_LIN_ACCESS(32, uint32_t)
DEFINE_LIN_ACCESS(64, uint64_t)
static inline bool lin_probe_write(struct cpu *c, uint32_t linear, unsigned bytes, unsigned access)
{
	return mem_probe_write(c, linear, bytes, access & UM_USER);
}

/* ---- 5. Others ------------------------------------------------------------------------------ */

/* String instructions: host memory behind a page at the current privilege, or NULL when there is none to
 * be used directly (no exception then: take the slow way, which raises it). */
uint8_t *tlb_direct(struct cpu *c, uint32_t linear, bool write);
/* Where the code at `linear` is: *host, or NULL for memory that is not RAM (then *gpa).  false: exception. */
bool fetch_page(struct cpu *c, uint32_t linear, const uint8_t **host, um_gpa *gpa);
/* One byte of code that is not in RAM. */
uint8_t fetch_io_byte(struct cpu *c, um_gpa gpa);
void tlb_flush(struct cpu *c);
/* Is `linear` in the TLB of the current privilege as a global page? */
bool tlb_is_global(const struct cpu *c, uint32_t linear);
/* The first code of a RAM page was decoded: nobody may write there directly any more. */
void tlb_protect_host_page(struct cpu *c, const uint8_t *host);

#endif
