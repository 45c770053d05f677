/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_endurance.c - behaviour tests B17-B19 as a paravirtual guest meets them: memory that is refused,
 * ten thousand short lives, and every cached translation judged by the reference walker after each announced change.
 *
 *   1. B17   table memory refused, at every request of a guest's life
 *   2. B18   lives
 *   3. B19   a random guest that keeps its part of the interface, and the reference
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lgbox.h"
#include "tests/lib/lguest_rig.h"
#include "tests/lib/refwalk.h"
#include "tests/lib/tap.h"

#define VA 0x10000000u

static uint32_t next(uint64_t *state) /* splitmix64 */
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (uint32_t)(z ^ z >> 31);
}

/* ---- 1. B17 --------------------------------------------------------------------------------- */

enum { SPACES = 5 };

static void must(struct lgrig *rig, enum lgrig_result result)
{
	if (result != LGRIG_DONE)
		fail_msg("family %s: %d, %s", lguest_family_name(rig->family), (int)result, lguest_reason(rig->lg));
}

/* The next request fails once, before each thing that the guest does: it never hears of it. */
static void b17_a_refused_table_is_made_room_for(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);
		uint32_t space[SPACES], page[SPACES];

		lgrig_boot(rig);
		for (unsigned n = 0; n < SPACES; n++) {
			space[n] = lgrig_space(rig);
			page[n] = lgrig_page(rig);
			lgrig_map(rig, space[n], VA, page[n] | 7);
			must(rig, lgrig_call(rig, LGCALL_NEW_PGTABLE, space[n], 0, 0, 0));
			must(rig, lgrig_touch(rig, VA, UM_USER)); /* something to evict */
		}
		for (unsigned n = 0; n < 8 * SPACES; n++) {
			unsigned k = n % SPACES;
			struct um_map map;

			rig->table_failures = 1;
			must(rig, lgrig_call(rig, LGCALL_NEW_PGTABLE, space[k], 0, 0, 0));
			rig->table_failures = 1;
			must(rig, lgrig_touch(rig, VA, UM_USER | UM_WRITE));
			assert_int_equal(um_lookup(rig->um, VA, UM_WRITE, &map), UM_OK);
			assert_int_equal(map.gpa, page[k]);
			rig->table_failures = 1;
			must(rig, lgrig_call(rig, LGCALL_FLUSH_TLB, n & 1, 0, 0, 0));
			rig->table_failures = 1;
			must(rig, lgrig_call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(LGRIG_STACK_END) - 8, 2, 0));
		}
		rig->table_failures = 0;
		lgrig_free(rig);
	}
}

/* All are refused until the next look: the host is told, the guest goes on where it was. */
static void b17_a_guest_outlives_a_shortage(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);
		unsigned refused = 0;

		lgrig_boot(rig);
		lgrig_map(rig, rig->space, VA, lgrig_page(rig) | 7);
		for (unsigned n = 0; n < 8; n++) {
			enum lgrig_result result;

			must(rig, lgrig_call(rig, LGCALL_FLUSH_TLB, 1, 0, 0, 0));
			(void)um_shrink(rig->um, 1000);
			rig->table_failures = -1;
			result = lgrig_touch(rig, VA, UM_USER);
			refused += result == LGRIG_NOMEM;
			if (result != LGRIG_NOMEM)
				must(rig, result);
			rig->table_failures = 0;
			must(rig, lgrig_touch(rig, VA, UM_USER | UM_WRITE));
		}
		assert_int_not_equal(refused, 0);
		lgrig_free(rig);
	}
}

/* A start without memory fails, and can be tried again. */
static void b17_a_start_without_memory_fails_cleanly(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);
		const struct lguest_boot boot = { .entry = LGRIG_TEXT, .pgdir = family < LGUEST_F ? LGRIG_BOOT_DIR : 0 };

		(void)um_shrink(rig->um, 1000);
		rig->table_failures = -1;
		assert_false(lguest_start(rig->lg, (enum lguest_family)family, &boot));
		rig->table_failures = 0;
		assert_true(lguest_start(rig->lg, (enum lguest_family)family, &boot));
		lgrig_fill_data(rig);
		lgrig_boot(rig);
		lgrig_free(rig);
	}
}

/* ---- 2. B18 --------------------------------------------------------------------------------- */

/* Each time the machine checks that all pages and tables are back (lgbox_end). */
static void b18_ten_thousand_lives_leave_nothing_behind(void **state)
{
	struct lgbox *b = lgbox_new(CPU_OPT_ALL);
	uint64_t seed = 18;

	(void)state;
	for (unsigned long n = test_rounds(10000); n; n--) {
		uint8_t input[128];

		for (unsigned k = 0; k < sizeof input; k += 4) {
			uint32_t word = next(&seed);
			memcpy(input + k, &word, 4);
		}
		lgbox_play(b, input, sizeof input);
	}
	lgbox_free(b);
}

/* ---- 3. B19 --------------------------------------------------------------------------------- */

/* The universe: user pages under two directory entries, and kernel pages under one, in a few spaces. */
enum { USER_PAGES = 24, KERNEL_PAGES = 8, FRAMES = 12, STEPS = 1500 };
#define KERNEL_VA 0xC8000000u

struct world {
	struct lgrig *rig;
	uint64_t seed;
	uint32_t space[SPACES], frame[FRAMES], kernel_table;
	unsigned current;
};

static uint32_t user_va(unsigned n) { return VA + (n % 2) * 0x400000 + n / 2 * UM_PAGE_SIZE; }
static uint32_t kernel_va(unsigned n) { return KERNEL_VA + n * UM_PAGE_SIZE; }

static uint32_t some_va(struct world *w)
{
	uint32_t n = next(&w->seed) % (USER_PAGES + KERNEL_PAGES);

	return n < USER_PAGES ? user_va(n) : kernel_va(n - USER_PAGES);
}

static bool read_word(void *user, uint64_t gpa, uint32_t *value)
{
	struct lgrig *rig = user;

	if (gpa + 4 > LGRIG_LIMIT)
		return false;
	*value = lgrig_get(rig, (uint32_t)gpa);
	return true;
}

/* Whatever is cached is permitted, leads to the right page, and does not lose Accessed or Dirty. */
static void judge(struct world *w)
{
	static const unsigned accesses[] = { 0, UM_WRITE, UM_USER, UM_USER | UM_WRITE };

	for (unsigned n = 0; n < USER_PAGES + KERNEL_PAGES; n++) {
		uint32_t va = n < USER_PAGES ? user_va(n) : kernel_va(n - USER_PAGES);

		for (unsigned k = 0; k < 4; k++) {
			struct ref_walk ref;
			struct um_map map;

			if (um_lookup(w->rig->um, va, accesses[k], &map) != UM_OK)
				continue;
			ref = ref_walk(read_word, w->rig, REF_PG | REF_WP, w->space[w->current], va, accesses[k]);
			if (!ref.ok || ref.gpa != map.gpa)
				fail_msg("family %s: %#x is cached at %#llx for access %u, the guest's tables say %s %#llx",
				         lguest_family_name(w->rig->family), va, (unsigned long long)map.gpa, accesses[k],
				         ref.ok ? "ok" : "no", (unsigned long long)ref.gpa);
			assert_int_equal(ref.entry[0], ref.after[0]);
			assert_int_equal(ref.entry[1], ref.after[1]);
		}
	}
}

static void call(struct world *w, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3)
{
	must(w->rig, lgrig_call(w->rig, number, a1, a2, a3, 0));
}

/* An access has the result that the reference says, as the guest would see it, and reaches the very byte: the
 * processor's own translations are judged, too. */
static void access_page(struct world *w)
{
	static const unsigned accesses[] = { 0, UM_WRITE, UM_USER, UM_USER | UM_WRITE };
	uint32_t va = some_va(w);
	unsigned access = accesses[next(&w->seed) % 4];
	struct ref_walk ref = ref_walk(read_word, w->rig, REF_PG | REF_WP, w->space[w->current], va, access);
	uint8_t mark = (uint8_t)next(&w->seed);
	enum lgrig_result result;
	struct cpu_regs regs;

	if (ref.ok)
		lgrig_store(w->rig, (uint32_t)ref.gpa, &mark, 1);
	cpu_set_gpr(w->rig->cpu, CPU_ECX, mark ^ 0xFFu);
	result = lgrig_touch(w->rig, va, access);
	assert_int_equal(result, ref.ok ? LGRIG_DONE : LGRIG_REFLECTED);
	if (!ref.ok) {
		assert_int_equal(w->rig->frame.error, ref.error);
		return;
	}
	cpu_get_regs(w->rig->cpu, &regs);
	assert_int_equal(regs.gpr[CPU_ECX] & 0xFF, access & UM_WRITE ? mark ^ 0xFF : mark);
	assert_int_equal(w->rig->ram[ref.gpa], access & UM_WRITE ? mark ^ 0xFF : mark);
}

static uint32_t some_pte(struct world *w)
{
	uint32_t frame = w->frame[next(&w->seed) % FRAMES], flags = next(&w->seed) & 0x67;

	return next(&w->seed) % 4 ? frame | flags | 1 : frame | (flags & ~1u) | (next(&w->seed) & 0x80);
}

static uint32_t table_of(const struct world *w, unsigned k, uint32_t va)
{
	return lgrig_get(w->rig, w->space[k] + 4 * (va >> 22)) & ~0xFFFu;
}

/* Spaces may share a table (change_pde): it is told for each; for a kernel address once is enough. */
static void change_pte(struct world *w)
{
	uint32_t va = some_va(w), pte = some_pte(w);
	unsigned k = next(&w->seed) % SPACES;

	if (va >= LGRIG_SPLIT) {
		pte &= ~4u;
		if (!table_of(w, k, va)) /* it would be in one directory only */
			return;
	}
	lgrig_map(w->rig, w->space[k], va, pte);
	for (unsigned n = 0; n < SPACES; n++)
		if (n == k || (va < LGRIG_SPLIT && table_of(w, n, va) == table_of(w, k, va)))
			call(w, LGCALL_SET_PTE, w->space[n], va, pte);
	if (next(&w->seed) % 4 == 0)
		call(w, LGCALL_SET_PTE, w->space[k], va, 0);
}

/* Rights of a directory entry, another table behind it, or none; a kernel entry in all directories. */
static void change_pde(struct world *w)
{
	static const uint32_t flags[] = { 0x67, 0x65, 0x63, 0x67, 0, 0x67 };
	unsigned k = next(&w->seed) % SPACES, other = next(&w->seed) % SPACES;
	uint32_t slot = (VA >> 22) + next(&w->seed) % 2, table = table_of(w, other, slot << 22);

	if (next(&w->seed) % 4 == 0) {
		uint32_t entry = w->kernel_table | flags[next(&w->seed) % 6];

		for (unsigned n = 0; n < SPACES; n++)
			lgrig_put(w->rig, w->space[n] + 4 * (KERNEL_VA >> 22), entry & 1 ? entry : 0);
		call(w, LGCALL_SET_PGD, w->space[k], KERNEL_VA >> 22, 0);
		return;
	}
	lgrig_put(w->rig, w->space[k] + 4 * slot, table | flags[next(&w->seed) % 6]);
	call(w, LGCALL_SET_PGD, w->space[k], slot, 0);
}

/* Of a space that is not current, without a word: family B's way of freeing pages. */
static void change_silently(struct world *w)
{
	unsigned k = next(&w->seed) % SPACES;
	uint32_t va = user_va(next(&w->seed) % USER_PAGES);

	if (table_of(w, k, va) == table_of(w, w->current, va))
		return; /* it is active in the current space */
	lgrig_map(w->rig, w->space[k], va, some_pte(w));
}

static void step(struct world *w)
{
	switch (next(&w->seed) % 16) {
	case 0:
	case 1:
		w->current = next(&w->seed) % SPACES;
		call(w, LGCALL_NEW_PGTABLE, w->space[w->current], 0, 0);
		break;
	case 2:
		call(w, LGCALL_FLUSH_TLB, next(&w->seed) & 1, 0, 0);
		break;
	case 3:
		change_pde(w);
		break;
	case 4:
		change_silently(w);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		change_pte(w);
		break;
	case 9:
		um_forget_frame(w->rig->um, w->frame[next(&w->seed) % FRAMES] >> UM_PAGE_SHIFT);
		break;
	default:
		access_page(w);
		break;
	}
}

static void make_world(struct world *w)
{
	for (unsigned n = 0; n < FRAMES; n++)
		w->frame[n] = lgrig_page(w->rig);
	for (unsigned k = 0; k < SPACES; k++)
		w->space[k] = lgrig_space(w->rig);
	(void)lgrig_entry(w->rig, w->space[0], KERNEL_VA);
	for (unsigned k = 0; k < SPACES; k++) {
		lgrig_put(w->rig, w->space[k] + 4 * (KERNEL_VA >> 22),
		          lgrig_get(w->rig, w->space[0] + 4 * (KERNEL_VA >> 22)));
		for (unsigned n = 0; n < USER_PAGES; n++)
			lgrig_map(w->rig, w->space[k], user_va(n), some_pte(w));
	}
	w->kernel_table = lgrig_get(w->rig, w->space[0] + 4 * (KERNEL_VA >> 22)) & ~0xFFFu;
	call(w, LGCALL_FLUSH_TLB, 1, 0, 0);
	call(w, LGCALL_NEW_PGTABLE, w->space[0], 0, 0);
}

static void b19_what_is_cached_is_what_the_reference_permits(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3 * (LGUEST_G2 - LGUEST_B + 1u); n++) {
		const struct lgrig_config config = {
			.family = (enum lguest_family)(LGUEST_B + n / 3), .forced = true,
			.um_options = n % 3 == 2 ? 0 : UM_OPT_ALL, .cpu_options = CPU_OPT_ALL, .max_roots = n % 3 ? 3 : 8,
			.max_tables = n % 3 ? 12 : 64, .prefetch = 8, .tsc_khz = 1000000,
		};
		struct world w = { .rig = lgrig_new_with(&config), .seed = 19 + n };

		lgrig_boot(w.rig);
		make_world(&w);
		w.rig->by_ring = n % 3 == 1;
		for (unsigned long k = test_rounds(STEPS); k; k--) {
			step(&w);
			judge(&w);
		}
		lgrig_free(w.rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b17_a_refused_table_is_made_room_for),
		cmocka_unit_test(b17_a_guest_outlives_a_shortage),
		cmocka_unit_test(b17_a_start_without_memory_fails_cleanly),
		cmocka_unit_test(b18_ten_thousand_lives_leave_nothing_behind),
		cmocka_unit_test(b19_what_is_cached_is_what_the_reference_permits),
	};

	return cmocka_run_group_tests_name("lguest_endurance", tests, NULL, NULL);
}
