/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_traps.c - segments, gates, frames, and the instructions that are carried out in the guest's
 * place.
 *
 *   1. Descriptors
 *   2. Gates
 *   3. Frames
 *   4. The stack
 *   5. The FPU
 *   6. Emulation
 *   7. A host without memory
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

#define assert_reason(rig, text) assert_non_null(strstr(lguest_reason((rig)->lg), (text)))
#define USER 0x10000000u

static struct lgrig *booted(enum lguest_family family)
{
	struct lgrig *rig = lgrig_new(family);

	lgrig_boot(rig);
	return rig;
}

static void end(struct lgrig *rig, const char *text)
{
	assert_int_equal(lguest_ended(rig->lg), LGUEST_KILLED);
	assert_reason(rig, text);
	lgrig_free(rig);
}

static const uint8_t *state_page(struct lgrig *rig)
{
	struct um_map map;

	assert_int_equal(um_window_lookup(rig->um, LGUEST_WINDOW + 0x2000, &map), UM_OK);
	return (const uint8_t *)(uintptr_t)(map.hfn << 12);
}

static uint64_t entry(struct lgrig *rig, unsigned offset)
{
	uint64_t value;

	memcpy(&value, state_page(rig) + offset, 8);
	return value;
}

static uint64_t descriptor(struct lgrig *rig, unsigned n) { return entry(rig, 2184 + 8 * n); }
static uint64_t gate(struct lgrig *rig, unsigned n) { return entry(rig, 136 + 8 * n); }

static enum lgrig_result load_entry(struct lgrig *rig, uint32_t n, uint32_t low, uint32_t high)
{
	return lgrig_call(rig, LGCALL_LOAD_GDT_ENTRY, n, low, high, 0);
}

static uint32_t eip_of(struct lgrig *rig)
{
	struct cpu_regs regs;

	cpu_get_regs(rig->cpu, &regs);
	return regs.eip;
}

static uint32_t gpr(struct lgrig *rig, unsigned n)
{
	struct cpu_regs regs;

	cpu_get_regs(rig->cpu, &regs);
	return regs.gpr[n];
}

/* ---- 1. Descriptors ------------------------------------------------------------------------- */

static void test_descriptors_are_normalised(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	/* Ring 0 becomes 1, accessed is set. */
	assert_int_equal(load_entry(rig, 18, 0x1234FFFF, 0x00CF9200), LGRIG_DONE);
	assert_int_equal(descriptor(rig, 18), 0x00CFB3001234FFFFull);
	/* Ring 3 stays. */
	assert_int_equal(load_entry(rig, 18, 0x0000FFFF, 0x00CFF200), LGRIG_DONE);
	assert_int_equal(descriptor(rig, 18), 0x00CFF3000000FFFFull);
	/* No way to another ring is installed. */
	assert_int_equal(load_entry(rig, 19, 0x00080000, 0x0000EC00), LGRIG_DONE);
	assert_int_equal(descriptor(rig, 19), 0);
	assert_int_equal(load_entry(rig, 20, 0x00000067, 0x00008900), LGRIG_DONE);
	assert_int_equal(descriptor(rig, 20), 0);
	lgrig_free(rig);
}

static void test_entries_of_the_host_are_ignored(void **state)
{
	static const unsigned ours[] = { 10, 11, 16, 31 };
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		uint64_t before = descriptor(rig, ours[n]);

		assert_int_equal(load_entry(rig, ours[n], 0x0000FFFF, 0x00CFFA00), LGRIG_DONE);
		assert_int_equal(descriptor(rig, ours[n]), before);
	}
	load_entry(rig, 32, 0, 0);
	end(rig, "too many gdt entries");
	rig = booted(LGUEST_C);
	lgrig_call(rig, LGCALL_LOAD_GDT, LGRIG_SCRATCH, 33, 0, 0);
	end(rig, "too many gdt entries");
	rig = booted(LGUEST_C);
	lgrig_call(rig, LGCALL_LOAD_GDT, LGRIG_LIMIT - 128, 32, 0, 0);
	end(rig, "bad read address");
}

static void test_tls_takes_effect_at_once(void **state)
{
	struct lgrig *rig = booted(LGUEST_B);
	uint32_t page = lgrig_page(rig);
	static const uint8_t load_gs[] = { 0x8E, 0xEB };                      /* mov %ebx,%gs */
	static const uint8_t read_gs[] = { 0x65, 0xA1, 0x10, 0, 0, 0 };       /* mov %gs:0x10,%eax */

	(void)state;
	lgrig_map(rig, rig->space, USER, page | 0x67);
	lgrig_put(rig, page + 0x110, 0x11111111);
	lgrig_put(rig, page + 0x210, 0x22222222);
	for (unsigned n = 1; n <= 2; n++) {
		const uint32_t tls[6] = { 0x0000FFFF | (USER + n * 0x100) << 16,
			                  0x00DFF200 | (USER & 0xFF000000u) | (USER >> 16 & 0xFF) };

		lgrig_store(rig, LGRIG_SCRATCH, tls, sizeof tls);
		assert_int_equal(lgrig_call(rig, LGCALL_LOAD_TLS, LGRIG_SCRATCH, 0, 0, 0), LGRIG_DONE);
		if (n == 1) {
			cpu_set_gpr(rig->cpu, CPU_EBX, 0x33);
			assert_int_equal(lgrig_execute(rig, 3, load_gs, sizeof load_gs), LGRIG_DONE);
		}
		/* Loaded or not, GS is the table's. */
		assert_int_equal(lgrig_execute(rig, 3, read_gs, sizeof read_gs), LGRIG_DONE);
		assert_int_equal(gpr(rig, CPU_EAX), n * 0x11111111);
	}
	lgrig_free(rig);
}

static void test_a_loaded_segment_that_goes_ends_the_guest(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	load_entry(rig, 13, 0, 0);
	end(rig, "unhandled trap 256");
	rig = booted(LGUEST_F);
	load_entry(rig, 12, 0x0000FFFF, 0x00CF9300); /* data in CS */
	end(rig, "unhandled trap 256");
}

/* ---- 2. Gates ------------------------------------------------------------------------------- */

static void test_idt_entries_that_are_ignored_or_refused(void **state)
{
	static const unsigned ignored[] = { 2, 8, 15, 31 };
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		uint64_t before = gate(rig, ignored[n]);

		assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, ignored[n], 0x61 << 16, 0x85FF, 0), LGRIG_DONE);
		assert_int_equal(gate(rig, ignored[n]), before);
	}
	lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 256, 0, 0x8E00, 0);
	end(rig, "Setting idt entry 256");
	rig = booted(LGUEST_F);
	lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 5, 0, 0x8500, 0);
	end(rig, "bad IDT type 5");
	rig = booted(LGUEST_F);
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 6, 0, 0x0500, 0), LGRIG_DONE); /* absent */
	LGRIG_EXECUTE(rig, 3, 0x0F, 0x0B);
	end(rig, "unhandled trap 6");
}

/* Which the processor enters by itself: trap gates of vectors that nobody else needs. */
static void test_which_gates_are_direct(void **state)
{
	struct lgrig_config config = { .family = LGUEST_B, .forced = true, .trap_gates = true, .um_options = UM_OPT_ALL,
		                       .cpu_options = CPU_OPT_ALL, .max_roots = 8, .max_tables = 256, .prefetch = 8,
		                       .tsc_khz = 1 };

	(void)state;
	for (unsigned pass = 0; pass < 2; pass++) {
		config.family = pass ? LGUEST_C : LGUEST_B;
		struct lgrig *rig = lgrig_new_with(&config);
		lgrig_boot(rig);
		for (unsigned v = 0; v < 256; v++) {
			bool trap_gate = v == 0x80 || v == 0 || (v >= 4 && v <= 6) || (v >= 9 && v <= 12) ||
			                 (v >= 16 && v <= 19);
			bool direct = trap_gate && !(v == 6 && pass);
			unsigned selector = gate(rig, v) >> 16 & 0xFFFF, dpl = gate(rig, v) >> 45 & 3;

			assert_int_equal(selector, direct ? 0x61 : LGUEST_HOST_CS);
			assert_int_equal(dpl, v == 31 ? 1 : v == 3 || v == 4 || v == 0x80 ? 3 : 0);
		}
		lgrig_free(rig);
	}
}

/* Page faults, protection faults and the FPU come to the host first, and then through the guest's gate as it is. */
static void test_trap_gates_that_are_not_direct(void **state)
{
	static const unsigned vectors[] = { 7, 13, 14 };
	struct lgrig *rig = booted(LGUEST_F);
	uint32_t at = lgrig_va(LGRIG_HANDLERS);

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		unsigned v = vectors[n];
		assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, v, (at + 16 * v) & 0xFFFF,
		                            ((at + 16 * v) & 0xFFFF0000u) | 0x8F00, 0), LGRIG_DONE);
		assert_int_equal(gate(rig, v) >> 16 & 0xFFFF, LGUEST_HOST_CS);
	}
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(lgrig_touch(rig, USER, UM_USER), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 14);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0x200);
	lgrig_free(rig);
}

/* Selector and the odd bits are not the guest's to choose. */
static void test_a_gates_stored_form(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 0x80, 0x00085678, 0x1234FFFF, 0), LGRIG_DONE);
	assert_int_equal(gate(rig, 0x80), 0x1234EF0000615678ull);
	lgrig_free(rig);
}

static void test_system_call_goes_by_itself(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	struct lguest_stats before, after;

	(void)state;
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
	lguest_get_stats(rig->lg, &before);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x80), LGRIG_REFLECTED);
	lguest_get_stats(rig->lg, &after);
	assert_int_equal(after.reflected, before.reflected);
	assert_int_equal(rig->frame.vector, 0x80);
	assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT + 2);
	assert_int_equal(rig->frame.cs, 0x73);
	assert_int_equal(rig->frame.ss, 0x7B);
	assert_int_equal(rig->frame.eflags & 0x200, 0x200);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0x200); /* a trap gate */
	lgrig_free(rig);
}

static void test_int_n_obeys_the_guests_gates(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCC), LGRIG_REFLECTED);       /* INT3: the guest's gate says 3 */
	assert_int_equal(rig->frame.vector, 3);
	assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT + 1);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x05), LGRIG_REFLECTED); /* 0 */
	assert_int_equal(rig->frame.vector, 13);
	assert_int_equal(rig->frame.error, 5 * 8 + 2);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xCD, 0x21), LGRIG_REFLECTED); /* an interrupt's */
	assert_int_equal(rig->frame.vector, 13);
	assert_int_equal(rig->frame.error, 0x21 * 8 + 2);
	lgrig_free(rig);
}

/* ---- 3. Frames ------------------------------------------------------------------------------ */

static void test_frame_has_the_virtual_flag(void **state)
{
	(void)state;
	for (unsigned on = 0; on < 2; on++) {
		struct lgrig *rig = booted(LGUEST_F);
		struct cpu_regs regs;

		/* The word is a whole EFLAGS after an IRET: only bit 9 counts. */
		lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, on ? 0x246 : 0x046);
		assert_int_equal(lgrig_touch(rig, USER, UM_USER), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.eflags & 0x200, on ? 0x200 : 0);
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0); /* an interrupt gate */
		cpu_get_regs(rig->cpu, &regs);
		assert_int_equal(regs.eflags & 0x200, 0x200); /* the real one */
		assert_int_equal(regs.cpl, 1);
		assert_int_equal(regs.gpr[CPU_ESP], lgrig_va(LGRIG_STACK_END) - 8 - 6 * 4);
		lgrig_free(rig);
	}
}

static void test_frame_from_the_kernel_is_on_its_own_stack(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	struct cpu_regs regs;

	(void)state;
	assert_int_equal(lgrig_touch(rig, USER, UM_WRITE), LGRIG_REFLECTED);
	assert_false(rig->frame.from_user);
	assert_int_equal(rig->frame.error, UM_WRITE);
	assert_int_equal(rig->frame.cs, 0x61);
	assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT));
	cpu_get_regs(rig->cpu, &regs);
	assert_int_equal(regs.gpr[CPU_ESP], lgrig_va(LGRIG_STACK_END) - 64 - 4 * 4);
	lgrig_free(rig);
}

static void test_cr2_is_of_page_faults_only(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	lgrig_put(rig, LGRIG_DATA + LGDATA_CR2, 0x4711);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x0F, 0x0B), LGRIG_REFLECTED);
	assert_int_equal(lgrig_data(rig, LGDATA_CR2), 0x4711);
	lgrig_free(rig);
}

/* The error code is the guest's tables', not the shadow's. */
static void test_error_code_says_present(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	uint32_t page = lgrig_page(rig);

	(void)state;
	lgrig_map(rig, rig->space, USER, page | 0x25);
	assert_int_equal(lgrig_touch(rig, USER, UM_USER | UM_WRITE), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.error, UM_PRESENT | UM_USER | UM_WRITE);
	assert_int_equal(lgrig_touch(rig, USER, UM_WRITE), LGRIG_REFLECTED); /* WP counts in ring 1 */
	assert_int_equal(rig->frame.error, UM_PRESENT | UM_WRITE);
	assert_int_equal(lgrig_touch(rig, lgrig_va(LGRIG_SCRATCH), UM_USER), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.error, UM_PRESENT | UM_USER);
	lgrig_free(rig);
}

static void test_window_is_not_the_guests(void **state)
{
	static const uint32_t at[] = { LGUEST_WINDOW, LGUEST_WINDOW + 0x1000, LGUEST_WINDOW + 0x2000, 0xFFFFFFFF };
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	lgrig_put(rig, rig->space + 4 * 1023, lgrig_page(rig) | 0x67);
	for (unsigned n = 0; n < 4; n++) {
		for (unsigned access = 0; access < 8; access++) {
			if (access & UM_PRESENT)
				continue;
			assert_int_equal(lgrig_touch(rig, at[n], access), LGRIG_REFLECTED);
			assert_int_equal(rig->frame.vector, 14);
			assert_int_equal(rig->frame.error, access);
			assert_int_equal(lgrig_data(rig, LGDATA_CR2), at[n]);
		}
	}
	lgrig_free(rig);
}

/* ---- 4. The stack --------------------------------------------------------------------------- */

static void test_set_stack_is_checked(void **state)
{
	static const struct { uint32_t ss, esp, pages; const char *why; } bad[] = {
		{ 0x68, 0xC000E000, 2, "bad stack segment" },
		{ 0x6B, 0xC000E000, 2, "bad stack segment" },
		{ 0x69, 0xC000E000, 3, "bad stack pages" },
		{ 0x69, 0xC000E000, 0xFFFFFFFF, "bad stack pages" },
		{ 0x69, USER, 1, "bad stack page" },
		{ 0x69, 0, 1, "bad stack page" },
		{ 0x69, 0xFFFFF000, 1, "bad stack page" },
		{ 0x69, LGRIG_USER_TEXT + 0x1000, 1, "bad stack page" }, /* read-only */
	};
	struct um_map map;

	(void)state;
	for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++) {
		struct lgrig *rig = booted(LGUEST_E);

		lgrig_call(rig, LGCALL_SET_STACK, bad[n].ss, bad[n].esp, bad[n].pages, 0);
		end(rig, bad[n].why);
	}
	struct lgrig *rig = booted(LGUEST_E);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, USER, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(LGRIG_STACK_END), 2, 0), LGRIG_DONE);
	for (unsigned n = 1; n <= 2; n++)
		assert_int_equal(um_lookup(rig->um, lgrig_va(LGRIG_STACK_END) - 4096 * n, UM_WRITE, &map), UM_OK);
	/* After a flush of everything, too. */
	assert_int_equal(lgrig_call(rig, LGCALL_FLUSH_TLB, 1, 0, 0, 0), LGRIG_DONE);
	for (unsigned n = 1; n <= 2; n++)
		assert_int_equal(um_lookup(rig->um, lgrig_va(LGRIG_STACK_END) - 4096 * n, UM_WRITE, &map), UM_OK);
	lgrig_free(rig);
}

/* A frame that crosses into another physical page. */
static void test_frames_are_built_word_by_word(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	uint32_t low = lgrig_page(rig), gap = lgrig_page(rig), high = lgrig_page(rig);

	(void)state;
	(void)gap;
	lgrig_map(rig, rig->space, USER, low | 0x63);
	lgrig_map(rig, rig->space, USER + 0x1000, high | 0x63);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, USER + 0x1008, 2, 0), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, USER + 0x5000, UM_USER), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.ss, 0x7B);
	assert_int_equal(lgrig_get(rig, high + 4), 0x7B);
	assert_int_equal(lgrig_get(rig, low + 0xFF4), LGRIG_USER_TEXT);
	lgrig_free(rig);
}

static void test_no_stack_for_a_frame(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, USER, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, USER, UM_USER), LGRIG_ENDED);
	end(rig, "Bad address");
	/* The processor's own way meets it as well. */
	rig = booted(LGUEST_F);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, USER, 0, 0), LGRIG_DONE);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x80), LGRIG_ENDED);
	end(rig, "Bad address");
	/* A stack segment that is none. */
	rig = booted(LGUEST_F);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x01, lgrig_va(LGRIG_STACK_END), 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, USER, UM_USER), LGRIG_ENDED);
	end(rig, "unhandled trap 256");
}

static void test_unhandled_traps_say_where(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_B);

	(void)state;
	LGRIG_EXECUTE(rig, 1, 0x0F, 0x0B); /* before there is any handler */
	end(rig, "unhandled trap 6 at 0x6000");
	rig = lgrig_new(LGUEST_B);
	lgrig_touch(rig, 0x40000000, UM_WRITE);
	end(rig, "(0x40000000)");
}

/* ---- 5. The FPU ----------------------------------------------------------------------------- */

static void test_ts_makes_the_fpu_trap(void **state)
{
	static const uint8_t fld1[] = { 0xD9, 0xE8 }, nop[] = { 0x90 };
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_execute(rig, 3, fld1, 2), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_TS, 1, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_execute(rig, 3, nop, 1), LGRIG_DONE);
	assert_int_equal(lgrig_execute(rig, 3, fld1, 2), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 7);
	assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT);
	assert_int_equal(lgrig_execute(rig, 1, fld1, 2), LGRIG_REFLECTED);
	assert_int_equal(lgrig_call(rig, LGCALL_TS, 0, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_execute(rig, 3, fld1, 2), LGRIG_DONE);
	/* INT 7 of a program, where the guest lets it: nothing while the FPU is its own. */
	uint32_t at = lgrig_va(LGRIG_HANDLERS) + 16 * 7;
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 7, at & 0xFFFF, (at & 0xFFFF0000u) | 0xEE00, 0),
	                 LGRIG_DONE);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x07), LGRIG_DONE);
	lgrig_free(rig);
}

/* ---- 6. Emulation --------------------------------------------------------------------------- */

static void test_ports_are_empty(void **state)
{
	static const struct { uint8_t code[3]; unsigned bytes; uint32_t eax; } in[] = {
		{ { 0xE4, 0x60 }, 2, 0x123456FF }, { { 0xEC }, 1, 0x123456FF },
		{ { 0x66, 0xE5, 0x60 }, 3, 0x1234FFFF }, { { 0x66, 0xED }, 2, 0x1234FFFF },
		{ { 0xE5, 0x60 }, 2, 0xFFFFFFFF }, { { 0xED }, 1, 0xFFFFFFFF },
	};
	static const struct { uint8_t code[3]; unsigned bytes; } out[] = {
		{ { 0xE6, 0x80 }, 2 }, { { 0xE7, 0x80 }, 2 }, { { 0xEE }, 1 }, { { 0xEF }, 1 }, { { 0x66, 0xEF }, 2 },
		{ { 0x66, 0xE7, 0x80 }, 3 }, { { 0xFA }, 1 }, { { 0x66, 0xEE }, 2 },
	};

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = booted((enum lguest_family)family);

		for (unsigned n = 0; n < sizeof in / sizeof *in; n++) {
			cpu_set_gpr(rig->cpu, CPU_EAX, 0x12345678);
			assert_int_equal(lgrig_execute(rig, 1, in[n].code, in[n].bytes), LGRIG_DONE);
			assert_int_equal(gpr(rig, CPU_EAX), in[n].eax);
			assert_int_equal(eip_of(rig), lgrig_va(LGRIG_TEXT) + in[n].bytes);
			assert_int_equal(lgrig_execute(rig, 3, in[n].code, in[n].bytes), LGRIG_REFLECTED);
			assert_int_equal(rig->frame.vector, 13);
		}
		for (unsigned n = 0; n < sizeof out / sizeof *out; n++) {
			cpu_set_gpr(rig->cpu, CPU_EAX, 0x12345678);
			assert_int_equal(lgrig_execute(rig, 1, out[n].code, out[n].bytes), LGRIG_DONE);
			assert_int_equal(gpr(rig, CPU_EAX), 0x12345678);
			assert_int_equal(eip_of(rig), lgrig_va(LGRIG_TEXT) + out[n].bytes);
		}
		lgrig_free(rig);
	}
}

static void test_what_is_not_emulated_is_reflected(void **state)
{
	static const struct { uint8_t code[3]; unsigned bytes; } codes[] = {
		{ { 0x6C }, 1 }, { { 0x6F }, 1 }, { { 0x0F, 0x32 }, 2 }, { { 0x0F, 0x30 }, 2 }, { { 0x0F, 0x06 }, 2 },
		{ { 0x0F, 0x20, 0xC0 }, 3 }, { { 0x0F, 0x22, 0xD8 }, 3 }, { { 0x0F, 0x09 }, 2 }, { { 0x0F, 0x01, 0x38 }, 3 },
		{ { 0x0F, 0x21, 0xF0 }, 3 }, { { 0x0F, 0x01, 0x10 }, 3 }, { { 0x0F, 0x00, 0xD0 }, 3 },
	};
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	for (unsigned n = 0; n < sizeof codes / sizeof *codes; n++) {
		assert_int_equal(lgrig_execute(rig, 1, codes[n].code, codes[n].bytes), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 13);
		assert_int_equal(rig->frame.error, 0);
		assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT));
	}
	lgrig_free(rig);
}

/* Before a kernel has a handler its early CPU drivers look around. */
/* INT 13 names no instruction to carry out, least of all the next one. */
static void test_int_13_is_reflected(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	uint32_t at = lgrig_va(LGRIG_HANDLERS) + 16 * 13;

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 13, at & 0xFFFF, (at & 0xFFFF0000u) | 0xEE00, 0),
	                 LGRIG_DONE);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xCD, 0x0D, 0xE4, 0x61), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 13);
	/* An INT n pushes no error code: EIP is where the rig looks for one. */
	assert_int_equal(rig->frame.error, lgrig_va(LGRIG_TEXT) + 2);
	assert_int_equal(rig->frame.eip, 0x61);
	lgrig_free(rig);
}

static void test_early_privileged_instructions_are_harmless(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);

	(void)state;
	cpu_set_gpr(rig->cpu, CPU_EAX, 5);
	cpu_set_gpr(rig->cpu, CPU_EDX, 6);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x32), LGRIG_DONE); /* RDMSR */
	assert_int_equal(gpr(rig, CPU_EAX), 0);
	assert_int_equal(gpr(rig, CPU_EDX), 0);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x30), LGRIG_DONE); /* WRMSR */
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x20, 0xC3), LGRIG_DONE); /* mov %cr0,%ebx */
	assert_int_equal(gpr(rig, CPU_EBX), 0x00050033);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x20, 0xD9), LGRIG_DONE); /* mov %cr3,%ecx */
	assert_int_equal(gpr(rig, CPU_ECX), 0);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x20, 0xE1), LGRIG_DONE); /* mov %cr4,%ecx */
	assert_int_equal(gpr(rig, CPU_ECX), 0);
	LGRIG_EXECUTE(rig, 1, 0x0F, 0x20, 0xC8); /* CR1: no such register */
	end(rig, "unhandled trap 6");
	/* PUSH 0, POPF: the decompressor's.  The interrupt flag stays. */
	rig = lgrig_new(LGUEST_F);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x6A, 0x00, 0x9D), LGRIG_DONE);
	struct cpu_regs regs;
	cpu_get_regs(rig->cpu, &regs);
	assert_int_equal(regs.eflags & 0x200, 0x200);
	lgrig_free(rig);
}

static void test_hlt_and_sti(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 0);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xF4), LGRIG_HALTED);
	lguest_raise(rig->lg, 5);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x25);
	assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT) + 1);
	/* STI lets in what waits. */
	lguest_raise(rig->lg, 6);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED); /* still in the handler of 5 */
	assert_int_equal(rig->frame.vector, 0x25);
	assert_true(lguest_is_waiting(rig->lg));
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xFB), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x26);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xF4), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 13);
	lgrig_free(rig);
}

static void test_the_keyboard_controllers_reset(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = booted((enum lguest_family)family);

		cpu_set_gpr(rig->cpu, CPU_EAX, 0xFE);
		assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xE6, 0x64), family == LGUEST_B ? LGRIG_ENDED : LGRIG_DONE);
		assert_int_equal(lguest_ended(rig->lg), family == LGUEST_B ? LGUEST_RESTART : LGUEST_RUNS);
		lgrig_free(rig);
	}
}

/* Instructions that need no privilege stay as they are in hardware. */
static void test_task_returns_lead_nowhere(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	static const uint8_t nested[] = { 0x68, 0x02, 0x40, 0, 0, 0x9D, 0xCF }; /* push $NT; popf; iret */

	(void)state;
	assert_int_equal(lgrig_execute(rig, 1, nested, sizeof nested), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 10);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x0F, 0x34), LGRIG_REFLECTED); /* SYSENTER */
	assert_int_equal(rig->frame.vector, 13);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x0F, 0xA2), LGRIG_DONE); /* CPUID */
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x0F, 0x31), LGRIG_DONE); /* RDTSC */
	lgrig_free(rig);
}

/* ---- 7. A host without memory --------------------------------------------------------------- */

/* Whichever allocation fails between a program's fault and the kernel's handler: asked again, it goes on, and the
 * frame is the one that it would have been. */
static void test_a_fault_waits_for_memory(void **state)
{
	static const uint8_t system_call[] = { 0xCD, 0x80 };
	unsigned waited = 0;

	(void)state;
	for (unsigned n = 1; n <= 8; n++) {
		for (unsigned how = 0; how < 2; how++) {
			const struct lgrig_config config = { .family = LGUEST_F, .forced = true, .max_roots = 4,
				                             .cpu_options = CPU_OPT_ALL, .max_tables = 64, .tsc_khz = 1 };
			struct lgrig *rig = lgrig_new_with(&config);
			enum lgrig_result r;

			lgrig_boot(rig);
			um_flush_all(rig->um);
			rig->fail_table = n;
			r = how ? lgrig_execute(rig, 3, system_call, 2) : lgrig_touch(rig, USER, UM_USER | UM_WRITE);
			if (r == LGRIG_NOMEM) {
				assert_int_equal(lgrig_resume(rig), LGRIG_NOMEM);
				rig->table_failures = 0;
				waited++;
				r = lgrig_resume(rig);
			}
			assert_int_equal(r, LGRIG_REFLECTED);
			assert_int_equal(rig->frame.vector, how ? 0x80 : 14);
			assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT + (how ? 2 : 0));
			assert_int_equal(rig->frame.ss, 0x7B);
			if (!how) {
				assert_int_equal(rig->frame.error, UM_USER | UM_WRITE);
				assert_int_equal(lgrig_data(rig, LGDATA_CR2), USER);
			}
			lgrig_free(rig);
		}
	}
	assert_true(waited >= 4); /* later ones are helped by evictions */
}

/* An interrupt whose frame cannot be built now comes later. */
static void test_an_interrupt_waits_for_memory(void **state)
{
	const struct lgrig_config config = { .family = LGUEST_F, .forced = true, .max_roots = 4,
		                             .cpu_options = CPU_OPT_ALL, .max_tables = 64, .tsc_khz = 1 };
	struct lgrig *rig = lgrig_new_with(&config);

	(void)state;
	lgrig_boot(rig);
	lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 0);
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x90), LGRIG_DONE);
	um_flush_all(rig->um);
	rig->table_failures = -1;
	lguest_raise(rig->lg, 3);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_true(lguest_is_waiting(rig->lg));
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0x200);
	rig->table_failures = 0;
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x23);
	assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT + 1);
	lgrig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors_are_normalised),
		cmocka_unit_test(test_entries_of_the_host_are_ignored),
		cmocka_unit_test(test_tls_takes_effect_at_once),
		cmocka_unit_test(test_a_loaded_segment_that_goes_ends_the_guest),
		cmocka_unit_test(test_idt_entries_that_are_ignored_or_refused),
		cmocka_unit_test(test_which_gates_are_direct),
		cmocka_unit_test(test_trap_gates_that_are_not_direct),
		cmocka_unit_test(test_a_gates_stored_form),
		cmocka_unit_test(test_system_call_goes_by_itself),
		cmocka_unit_test(test_int_n_obeys_the_guests_gates),
		cmocka_unit_test(test_frame_has_the_virtual_flag),
		cmocka_unit_test(test_frame_from_the_kernel_is_on_its_own_stack),
		cmocka_unit_test(test_cr2_is_of_page_faults_only),
		cmocka_unit_test(test_error_code_says_present),
		cmocka_unit_test(test_window_is_not_the_guests),
		cmocka_unit_test(test_set_stack_is_checked),
		cmocka_unit_test(test_frames_are_built_word_by_word),
		cmocka_unit_test(test_no_stack_for_a_frame),
		cmocka_unit_test(test_unhandled_traps_say_where),
		cmocka_unit_test(test_ts_makes_the_fpu_trap),
		cmocka_unit_test(test_ports_are_empty),
		cmocka_unit_test(test_what_is_not_emulated_is_reflected),
		cmocka_unit_test(test_int_13_is_reflected),
		cmocka_unit_test(test_early_privileged_instructions_are_harmless),
		cmocka_unit_test(test_hlt_and_sti),
		cmocka_unit_test(test_the_keyboard_controllers_reset),
		cmocka_unit_test(test_task_returns_lead_nowhere),
		cmocka_unit_test(test_a_fault_waits_for_memory),
		cmocka_unit_test(test_an_interrupt_waits_for_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_traps", tests, NULL, NULL);
}
