/* SPDX-License-Identifier: MIT */
/*
 * guest/elf.c - 32-bit x86 ELF files (System V ABI, chapters 4 and 5).
 *
 *   1. Recognising    is_elf, is_elf64
 *   2. Placing        place_elf: PT_LOAD segments at their physical addresses
 */
#include "guest/internal.h"

enum { ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1 };
enum { ET_EXEC = 2, ET_DYN = 3, EM_386 = 3, EM_486 = 6, EM_X86_64 = 62, PT_LOAD = 1 };
enum { EHDR_BYTES = 52, PHDR_BYTES = 32 };

/* ---- 1. Recognising ------------------------------------------------------------------------- */

bool is_elf(const uint8_t *bytes, size_t size)
{
	return size >= EHDR_BYTES && memcmp(bytes, "\177ELF", 4) == 0;
}

bool is_elf64(const uint8_t *bytes, size_t size)
{
	return is_elf(bytes, size) && (bytes[4] == ELFCLASS64 || get16(bytes + 18) == EM_X86_64);
}

/* ---- 2. Placing ----------------------------------------------------------------------------- */

static bool check_header(struct plan *plan, const char *path, const uint8_t *bytes, size_t size)
{
	if (!is_elf(bytes, size))
		return refuse(plan->error, path, "not an ELF file");
	if (is_elf64(bytes, size))
		return refuse(plan->error, path,
		              "is a 64-bit kernel; umbra runs 32-bit x86 guests only");
	if (bytes[4] != ELFCLASS32 || bytes[5] != ELFDATA2LSB)
		return refuse(plan->error, path, "not a 32-bit little-endian ELF file");
	unsigned machine = get16(bytes + 18), type = get16(bytes + 16);
	if (machine != EM_386 && machine != EM_486)
		return refuse(plan->error, path, "an ELF file for another processor (machine %u)", machine);
	if (type != ET_EXEC && type != ET_DYN)
		return refuse(plan->error, path, "an ELF file, but not an executable (type %u)", type);
	unsigned count = get16(bytes + 44);
	if (count == 0 || count > ELF_SEGMENTS)
		return refuse(plan->error, path, "has %u ELF segments; 1 to %u are possible", count,
		              ELF_SEGMENTS);
	if (get16(bytes + 42) != PHDR_BYTES ||
	    !inside(get32(bytes + 28), (uint64_t)count * PHDR_BYTES, size))
		return refuse(plan->error, path, "its ELF program headers are damaged or cut off");
	return true;
}

bool place_elf(struct plan *plan, const char *path, const uint8_t *bytes, size_t size, uint32_t *entry)
{
	if (!check_header(plan, path, bytes, size))
		return false;
	const uint8_t *header = bytes + get32(bytes + 28);
	uint32_t start = get32(bytes + 24);
	bool physical = false, loaded = false;
	*entry = start;
	for (unsigned k = get16(bytes + 44); k; k--, header += PHDR_BYTES) {
		if (get32(header) != PT_LOAD)
			continue;
		uint32_t offset = get32(header + 4), vaddr = get32(header + 8), paddr = get32(header + 12);
		uint32_t filled = get32(header + 16), total = get32(header + 20);
		if (!inside(offset, filled, size) || filled > total)
			return refuse(plan->error, path, "an ELF segment reaches past the end of the file");
		if (!place_bytes(plan, path, "the kernel", paddr, bytes + offset, filled, total))
			return false;
		loaded = loaded || total;
		if (start >= paddr && start - paddr < total)
			physical = true;
		/* Some kernels give their entry point as linked; it is wanted as loaded. */
		else if (!physical && start >= vaddr && start - vaddr < total)
			*entry = start - vaddr + paddr;
	}
	if (physical)
		*entry = start;
	if (!loaded)
		return refuse(plan->error, path, "an ELF file with nothing to load");
	return true;
}
