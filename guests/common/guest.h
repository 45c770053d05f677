/* SPDX-License-Identifier: MIT */
/*
 * guests/common/guest.h - what every guest of ours has: ports, registers, a console, traps, an end.
 *
 *   1. Ports and registers
 *   2. Multiboot            the little of it that we read
 *   3. Console              COM1 and the debug port
 *   4. Traps                descriptor tables, one handler for every vector
 *   5. The end              power_off(), debug_exit()
 */
#ifndef GUEST_COMMON_H
#define GUEST_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/common/text.h"

/* ---- 1. Ports and registers ----------------------------------------------------------------- */

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#define REGISTER(name)                                                                             \
	static inline uint32_t read_##name(void)                                                   \
	{                                                                                          \
		uint32_t value;                                                                    \
		__asm__ volatile("movl %%" #name ", %0" : "=r"(value));                            \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(uint32_t value)                                            \
	{                                                                                          \
		__asm__ volatile("movl %0, %%" #name : : "r"(value) : "memory");                   \
	}
REGISTER(cr0)
REGISTER(cr2)
REGISTER(cr3)
REGISTER(cr4)
#undef REGISTER

enum { CR0_WP = 1u << 16, CR0_PG = 1u << 31, CR4_PSE = 1u << 4, CR4_PGE = 1u << 7 };
/* Page-table entry bits (SDM vol. 3, tables 4-4 to 4-6). */
enum pte {
	PTE_P = 1u << 0,
	PTE_W = 1u << 1,
	PTE_U = 1u << 2,
	PTE_A = 1u << 5,
	PTE_D = 1u << 6,
	PTE_PS = 1u << 7,
	PTE_G = 1u << 8,
};
#define PTE_FRAME 0xFFFFF000u
/* Error code of a page fault (SDM vol. 3, 4.7). */
enum fault { FAULT_P = 1u << 0, FAULT_W = 1u << 1, FAULT_U = 1u << 2, FAULT_RSVD = 1u << 3 };
#define PAGE 4096u

static inline void flush_page(uint32_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void flush_all(void)
{
	write_cr3(read_cr3());
}

/* CPUID.1:EDX */
static inline uint32_t cpu_features(void)
{
	uint32_t a = 1, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	return d;
}

enum { FEATURE_PSE = 1u << 3, FEATURE_PGE = 1u << 13 };

/* ---- 2. Multiboot --------------------------------------------------------------------------- */

#define MULTIBOOT_MAGIC 0x2BADB002u

struct multiboot {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB below 640 KiB, and above 1 MiB (flags bit 0) */
	uint32_t boot_device;
	uint32_t command_line; /* flags bit 2 */
};

/* Is `word` one of the command line's words? */
bool has_word(const struct multiboot *info, const char *word);
/* Bytes of memory from 0 up, as far as it is contiguous from 1 MiB. */
uint32_t memory_top(const struct multiboot *info);

/* ---- 3. Console ----------------------------------------------------------------------------- */

void console_start(void);

/* ---- 4. Traps ------------------------------------------------------------------------------- */

enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, USER_CODE = 0x1B, USER_DATA = 0x23, TSS = 0x28 };
enum { TRAP_PAGE_FAULT = 14, TRAP_IRQ0 = 32, TRAP_USER = 0x80, TRAP_VECTORS = 0x81 };

/* What entry.S leaves on the stack.  esp and ss are there only if the trap came from ring 3. */
struct trap_frame {
	uint32_t es, ds;
	uint32_t edi, esi, ebp, unused, ebx, edx, ecx, eax;
	uint32_t vector, error;
	uint32_t eip, cs, eflags, esp, ss;
};

void traps_start(void);
void set_kernel_stack(uint32_t top); /* for the next trap from ring 3 */
/* Each guest has one.  Interrupts are off; returning goes back to what was interrupted. */
void handle_trap(struct trap_frame *f);

/* ---- 5. The end ----------------------------------------------------------------------------- */

_Noreturn void power_off(void);
/* isa-debug-exit, where there is one; otherwise power_off(). */
_Noreturn void debug_exit(uint8_t status);


#endif
