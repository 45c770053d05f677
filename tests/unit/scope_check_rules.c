/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_rules.c - the other checks: each rule met, and what is next to it and allowed.
 *
 *   1. rsvd      2. alias      3. freed      4. stack      5. user      6. wx
 *   7. A vm      beyond, fatal, which engine, what it costs a vm to be watched: nothing of its result
 *   8. Words     -check's list; reports as text and JSON
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "tests/lib/checkbench.h"
#include "tests/lib/image.h"

#define PAGE 0x200000u
#define FRAME 0x300000u
#define TABLE2 0x180000u
#define LARGE 0x00C00000u
#define PS 0x80u

static struct bench b;

static void start(unsigned what, uint32_t cr4) { bench_start(&b, what, cr4, false); }
static void silent(unsigned ring)
{
	bench_run(&b, ring);
	if (bench_count(&b))
		(void)bench_only(&b);
	assert_int_equal(bench_count(&b), 0);
	bench_end(&b);
}
static void found(unsigned ring, enum finding_kind kind, uint32_t eip)
{
	bench_run(&b, ring);
	assert_int_equal(bench_only(&b)->kind, kind);
	assert_int_equal(bench_only(&b)->eip, eip);
	assert_true(bench_only(&b)->exact);
	bench_end(&b);
}

/* ---- 1. rsvd -------------------------------------------------------------------------------- */

static void reserved_bits_when_they_are_written(void **state)
{
	(void)state;
	start(CHECK_RSVD, CR4_PSE);
	found(0, FOUND_RESERVED, emit_store(&b, BENCH_PDE(LARGE), 0x2000 | PS | ENTRY));
}

/* Set before paging was on, or by a device: found by the fault. */
static void reserved_bits_when_they_are_used(void **state)
{
	uint32_t user;
	(void)state;
	start(CHECK_RSVD, CR4_PSE);
	memcpy(b.rig->ram + BENCH_PDE(LARGE), &(uint32_t){ 0x2000 | PS | ENTRY }, 4);
	user = emit_load(&b, LARGE);
	found(0, FOUND_RESERVED, user);
}

static void bits_that_are_not_reserved(void **state)
{
	(void)state;
	start(CHECK_RSVD, CR4_PSE);
	emit_store(&b, BENCH_PDE(LARGE), 0x400000 | 0x1000 | 0xF00 | PS | ENTRY); /* PAT, G, the software's */
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 0xF80 | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE) + 4, 0x2000 | PS | 6);                    /* not present */
	emit_load(&b, PAGE);
	silent(0);
}

static void ps_without_pse(void **state)
{
	uint32_t user;
	(void)state;
	start(CHECK_RSVD, 0);
	emit_store(&b, BENCH_PDE(LARGE), (RIG_TABLES + 0x1000) | PS | ENTRY);
	user = emit_load(&b, LARGE + PAGE);
	found(0, FOUND_PS, user);
}

static void cr3_inside_a_page(void **state)
{
	uint32_t loads;
	(void)state;
	start(CHECK_RSVD, 0);
	loads = emit_cr3(&b, RIG_TABLES | 0x40);
	found(0, FOUND_CR3, loads);
	start(CHECK_RSVD, 0);
	emit_cr3(&b, RIG_TABLES | 0x18); /* PWT, PCD */
	silent(0);
}

/* ---- 2. alias ------------------------------------------------------------------------------- */

static void only_the_kernel_reaches_tables(void)
{
	/* rig_paging() gives the user everything. */
	emit_store(&b, BENCH_PTE(RIG_TABLES), RIG_TABLES | 3);
	emit_store(&b, BENCH_PTE(RIG_TABLES + 0x1000), (RIG_TABLES + 0x1000) | 3);
	emit_reload_cr3(&b);
}

static void a_user_writable_alias_of_a_table(void **state)
{
	(void)state;
	start(CHECK_ALIAS, 0);
	only_the_kernel_reaches_tables();
	emit_store(&b, BENCH_PTE(PAGE), (RIG_TABLES + 0x1000) | 3);      /* the supervisor's */
	emit_store(&b, BENCH_PTE(PAGE), (RIG_TABLES + 0x1000) | 5);      /* read-only */
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);                  /* no table */
	found(0, FOUND_ALIAS, emit_store(&b, BENCH_PTE(PAGE), (RIG_TABLES + 0x1000) | ENTRY));
}

/* A frame that was a table, and is no more, though its shadow may linger. */
static void a_frame_that_was_a_table(void **state)
{
	(void)state;
	start(CHECK_ALIAS, 0);
	only_the_kernel_reaches_tables();
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_store(&b, BENCH_PDE(LARGE), 0);
	emit_reload_cr3(&b);
	emit_store(&b, BENCH_PTE(PAGE), TABLE2 | ENTRY);
	silent(0);
}

static void a_recursive_slot_for_the_user(void **state)
{
	(void)state;
	start(CHECK_ALIAS, 0);
	emit_store(&b, BENCH_PDE(0xFFC00000u), RIG_TABLES | 3);
	emit_load(&b, 0xFFFFF000u);
	found(0, FOUND_RECURSIVE, emit_store(&b, BENCH_PDE(0xFF800000u), RIG_TABLES | ENTRY));
}

static void user_code_writes_a_table(void **state)
{
	uint32_t user;
	(void)state;
	start(CHECK_ALIAS, 0);
	user = emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	found(3, FOUND_TABLE_WRITE, user);
}

/* ---- 3. freed ------------------------------------------------------------------------------- */

static void a_linked_table_filled_with_text(void **state)
{
	uint32_t second;
	(void)state;
	start(CHECK_FREED, 0);
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_store(&b, TABLE2 + 0x20, 0x65746661); /* "afte": present, frame 0x65746 */
	second = emit_store(&b, TABLE2 + 0x24, 0x66206161);
	found(0, FOUND_FREED, second);
}

static void entries_of_devices_and_one_mistake(void **state)
{
	(void)state;
	start(CHECK_FREED, 0);
	for (unsigned n = 0; n < 4; n++) /* a device's registers, uncached */
		emit_store(&b, BENCH_PTE(PAGE) + 4 * n, (0xFEC00000u + 0x1000 * n) | 0x13);
	for (unsigned n = 0; n < 4; n++) /* a frame buffer, cached, at any address; and two devices at their own */
		emit_store(&b, BENCH_PTE(PAGE) + 0xC0 + 4 * n, (0xFD000000u + 0x1000 * n) | ENTRY);
	emit_store(&b, BENCH_PTE(PAGE) + 0x100, (0xFEC00000u + PAGE + 0x40000) | ENTRY);
	emit_store(&b, BENCH_PTE(PAGE) + 0x140, (0xFE800000u + PAGE + 0x50000) | ENTRY);
	emit_store(&b, BENCH_PTE(PAGE) + 0x40, 0x70000000u | ENTRY);
	for (unsigned n = 0; n < 4; n++) /* swap entries: not present */
		emit_store(&b, BENCH_PTE(PAGE) + 0x80 + 4 * n, 0x90000000u | n << 1);
	silent(0);
}

/* ---- 4. stack ------------------------------------------------------------------------------- */

static void the_running_stack(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		start(CHECK_STACK, 0);
		uint32_t eip = n == 2 ? emit_store(&b, BENCH_PDE(RIG_STACK), 0)
		                      : emit_store(&b, BENCH_PTE(RIG_STACK), n ? RIG_STACK | 5 : 0);
		struct cpu_state s;
		EMIT(&b, 0xF4);
		rig_load(b.rig, b.code, b.at);
		cpu_get_state(b.rig->cpu, &s);
		rig_run(b.rig, 1000); /* the directory's entry takes the code with it: a triple fault */
		assert_int_equal(bench_only(&b)->kind, n == 1 ? FOUND_STACK_READ_ONLY : FOUND_STACK_GONE);
		assert_int_equal(bench_only(&b)->eip, eip);
		assert_int_equal(bench_only(&b)->value, s.gpr[CPU_ESP]);
		bench_end(&b);
	}
}

static void other_stacks_and_other_changes(void **state)
{
	(void)state;
	start(CHECK_STACK, 0);
	emit_store(&b, BENCH_PTE(RIG_STACK - 0x2000), 0);
	emit_store(&b, BENCH_PTE(RIG_STACK), RIG_STACK | 3);    /* the user loses it, the kernel does not */
	emit_store(&b, BENCH_PTE(RIG_STACK), FRAME | 3);        /* another frame: the detector's business */
	emit_cr0(&b, 0, CR0_WP);
	emit_store(&b, BENCH_PTE(RIG_STACK), RIG_STACK | 1);    /* read-only says nothing without WP */
	silent(0);
}

/* ---- 5. user -------------------------------------------------------------------------------- */

static void user_code_tries_the_kernel(void **state)
{
	uint32_t user;
	(void)state;
	start(CHECK_USER, 0);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 3);
	emit_reload_cr3(&b);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), 0);
	user = emit_load(&b, PAGE);
	found(3, FOUND_USER, user);
}

static void user_code_tries_what_is_not_there(void **state)
{
	(void)state;
	start(CHECK_USER, 0);
	emit_store(&b, BENCH_PTE(PAGE), 0);
	emit_store(&b, BENCH_PTE(PAGE + 0x1000), (PAGE + 0x1000) | 5);
	emit_reload_cr3(&b);
	bench_run(&b, 0);
	emit_load(&b, PAGE);
	bench_run(&b, 3);
	emit_save(&b, PAGE + 0x1000);
	silent(3);
}

/* ---- 6. wx ---------------------------------------------------------------------------------- */

/* Calls PAGE, which returns at once; a flush between, so that it is heard again. */
static void call_twice(void)
{
	for (unsigned n = 0; n < 2; n++) {
		uint32_t from = RIG_CODE + b.at + 5, by = PAGE - from;
		EMIT(&b, 0xE8, (uint8_t)by, (uint8_t)(by >> 8), (uint8_t)(by >> 16), (uint8_t)(by >> 24));
		emit_reload_cr3(&b);
	}
}

static void writable_code_in_a_kernel_that_protects_its_own(void **state)
{
	(void)state;
	start(CHECK_WX, 0);
	rig_set_word(b.rig, PAGE, 0xC3C3C3C3);
	emit_store(&b, BENCH_PTE(RIG_CODE), RIG_CODE | 1);
	emit_reload_cr3(&b);
	call_twice();
	bench_run(&b, 0);
	assert_int_equal(bench_only(&b)->kind, FOUND_WX);
	assert_int_equal(bench_only(&b)->eip, PAGE);
	bench_end(&b);
}

static void writable_code_where_all_is_writable(void **state)
{
	(void)state;
	start(CHECK_WX, 0);
	rig_set_word(b.rig, PAGE, 0xC3C3C3C3);
	call_twice();
	call_twice();
	silent(0);
}

/* A kernel that is about to protect the page. */
static void code_that_is_protected_in_time(void **state)
{
	(void)state;
	start(CHECK_WX, 0);
	rig_set_word(b.rig, PAGE, 0xC3C3C3C3);
	emit_store(&b, BENCH_PTE(RIG_CODE), RIG_CODE | 1);
	emit_reload_cr3(&b);
	uint32_t from = RIG_CODE + b.at + 5, by = PAGE - from;
	EMIT(&b, 0xE8, (uint8_t)by, (uint8_t)(by >> 8), (uint8_t)(by >> 16), (uint8_t)(by >> 24));
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 1);
	emit_reload_cr3(&b);
	call_twice();
	silent(0);
}

/* ---- 7. A vm -------------------------------------------------------------------------------- */

/* 32-bit code at 1 MiB, entered as a multiboot kernel: tables at 2 MiB, the first 4 MiB 1:1, then `b`'s code, then a
 * write to the exit port. */
struct machine_under_check {
	struct loading files;
	struct vm_config config;
	struct vm *vm;
	struct check *check;
	FILE *to;
	char *text;
	size_t bytes;
};
#define VM_TABLES 0x200000u
#define VM_PTE(linear) (VM_TABLES + 0x1000 + 4 * ((linear) >> 12))

static void emit_paging(void)
{
	EMIT(&b, 0xBF, 0x00, 0x10, 0x20, 0x00, 0xB8, 3, 0, 0, 0, 0xB9, 0x00, 0x04, 0x00, 0x00); /* edi, eax, ecx */
	EMIT(&b, 0xAB, 0x05, 0x00, 0x10, 0x00, 0x00, 0xE2, 0xF8);                     /* stosl; add $4096, %eax; loop */
	emit_store(&b, VM_TABLES, (VM_TABLES + 0x1000) | 3);
	emit_cr3(&b, VM_TABLES);
	emit_cr0(&b, CR0_PG | CR0_WP, 0);
}

static void machine_start(struct machine_under_check *m, unsigned what, enum vm_engine engine)
{
	static struct made made;
	struct guest_error error;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0,
		                     0x100020 };
	memset(m, 0, sizeof *m);
	memset(&made, 0, sizeof made);
	loading_start(&m->files, 1u << 20);
	made_copy(&made, 0, header, sizeof header);
	made_copy(&made, 32, b.code, b.at);
	m->config.ram_bytes = 16u << 20;
	m->config.um_options = UM_OPT_ALL & ~(uint32_t)CHECK_WITHOUT;
	m->config.cpu_options = CPU_OPT_ALL;
	m->config.direct_options = DIRECT_OPT_ALL;
	m->config.debug_exit_port = 0xF4;
	m->config.engine = engine;
	m->config.console.in = m->config.console.out = -1;
	m->config.guest.kernel = loading_file(&m->files, 0, made.bytes, made.size);
	m->vm = vm_new(&m->config, &error);
	if (!m->vm)
		fail_msg("%s", error.text);
	m->to = open_memstream(&m->text, &m->bytes);
	const struct check_config config = { .what = what, .to = m->to };
	m->check = what ? check_new(m->vm, &config) : NULL;
}

static void machine_end(struct machine_under_check *m)
{
	check_free(m->check);
	vm_free(m->vm);
	fclose(m->to);
	free(m->text);
	loading_end(&m->files);
	memset(&b, 0, sizeof b);
}

/* Behind the multiboot header. */
static uint32_t in_vm(uint32_t eip) { return eip - RIG_CODE + 0x100020; }

static void a_mapping_of_nothing(void **state)
{
	struct machine_under_check m;
	uint32_t user;
	(void)state;
	memset(&b, 0, sizeof b);
	emit_paging();
	emit_store(&b, VM_PTE(0x300000), 0x70000003);
	emit_reload_cr3(&b);
	user = in_vm(emit_load(&b, 0x300010));
	EMIT(&b, 0xE6, 0xF4);
	machine_start(&m, CHECK_ALL, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(m.vm), VM_DEBUG_EXIT);
	assert_int_equal(check_reports(m.check, NULL), 1);
	const struct finding *f = &m.check->reports.list[0];
	assert_int_equal(f->kind, FOUND_BEYOND);
	assert_int_equal(f->eip, user);
	assert_int_equal(f->linear, 0x300010);
	assert_int_equal(f->now.gpa, 0x70000010);
	machine_end(&m);
}

static void emit_bug(const char *then, size_t bytes)
{
	memset(&b, 0, sizeof b);
	emit_paging();
	emit_load(&b, 0x300000);
	emit_store(&b, VM_PTE(0x300000), 0x301003);
	emit_load(&b, 0x300000);
	emit(&b, then, bytes);
}
#define EXIT "\xB0\x07\xE6\xF4" /* out of 7 to the exit port */
#define FOREVER "\xEB\xFE"

static void the_first_report_ends_the_run(void **state)
{
	struct machine_under_check m;
	(void)state;
	emit_bug(FOREVER, 2);
	machine_start(&m, CHECK_TLB | CHECK_FATAL, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(m.vm), VM_REPORTED);
	assert_non_null(strstr(vm_last_words(m.vm), "check"));
	assert_int_equal(check_reports(m.check, NULL), 1);
	machine_end(&m);
}

struct kept {
	uint8_t *state, *ram;
	size_t bytes;
};

static bool give_ram(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error)
{
	const struct kept *kept = user;
	(void)error;
	memcpy(ram, kept->ram, bytes);
	return true;
}

/* Another state is loaded, which has something else where this one has its tables: nobody made a mistake. */
static void another_state_is_nobodys_doing(void **state)
{
	struct machine_under_check m;
	struct guest_error error;
	struct kept kept;
	(void)state;
	memset(&b, 0, sizeof b);
	emit_paging();
	emit_load(&b, 0x300000);
	emit(&b, EXIT, 4);
	machine_start(&m, CHECK_ALL, VM_ENGINE_PORTABLE);
	kept.bytes = vm_saved_bytes(m.vm);
	kept.state = malloc(kept.bytes);
	kept.ram = malloc(vm_ram_bytes(m.vm));
	vm_save(m.vm, kept.state);
	memcpy(kept.ram, vm_ram(m.vm), vm_ram_bytes(m.vm));
	for (uint32_t k = 0; k < 2048; k++) { /* no entries, but like some */
		const uint32_t word = k == 0 ? (VM_TABLES + 0x1000) | 7 : k < 1024 ? 0x00012387 : k % 2 ? 0xF0000007 : VM_TABLES | 7;
		memcpy(kept.ram + VM_TABLES + 4 * k, &word, 4);
	}
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(vm_run(m.vm), VM_DEBUG_EXIT);
		if (check_reports(m.check, NULL))
			fail_msg("%u: %.*s", round, (int)m.bytes, m.text);
		if (!vm_restore(m.vm, kept.state, kept.bytes, give_ram, &kept, &error))
			fail_msg("%s", error.text);
		assert_int_equal(check_reports(m.check, NULL), 0);
	}
	free(kept.state);
	free(kept.ram);
	machine_end(&m);
}

/* A guest on the direct engine is taken over, and given back. */
static void a_checked_guest_runs_on_the_portable_engine(void **state)
{
	struct machine_under_check m;
	(void)state;
	if (direct_probe() || getenv("TEST_VALGRIND"))
		skip();
	emit_bug(EXIT, 4);
	machine_start(&m, CHECK_TLB, VM_ENGINE_AUTO);
	assert_int_equal(vm_get_engine(m.vm), VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(m.vm), VM_DEBUG_EXIT);
	assert_int_equal(check_reports(m.check, NULL), 1);
	check_free(m.check);
	m.check = NULL;
	assert_int_equal(vm_get_engine(m.vm), VM_ENGINE_DIRECT);
	machine_end(&m);
}

static uint64_t result_of(unsigned what, unsigned watchers)
{
	static const struct vm_observer nothing[2];
	struct machine_under_check m;
	uint8_t *ram = malloc(16u << 20);
	uint64_t sum = 0;
	emit_bug(EXIT, 4);
	machine_start(&m, what, VM_ENGINE_PORTABLE);
	for (unsigned n = 0; n < watchers; n++)
		assert_true(vm_observe(m.vm, &nothing[n]));
	assert_int_equal(vm_run(m.vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(m.vm), 15);
	assert_int_equal(vm_read_physical(m.vm, 0, ram, 16u << 20), 16u << 20);
	for (uint32_t at = 0; at < 16u << 20; at++)
		sum = sum * 31 + ram[at];
	free(ram);
	machine_end(&m);
	return sum * 31 + 1;
}

static void being_watched_changes_nothing(void **state)
{
	uint64_t plain = result_of(0, 0);
	(void)state;
	assert_int_equal(plain, result_of(0, 1));
	assert_int_equal(plain, result_of(CHECK_ALL, 0));
	assert_int_equal(plain, result_of(CHECK_ALL | CHECK_JSON, 2));
}

static void observers_are_bounded(void **state)
{
	static const struct vm_observer nothing[VM_OBSERVERS_MAX + 1];
	struct machine_under_check m;
	(void)state;
	emit_bug(EXIT, 4);
	machine_start(&m, 0, VM_ENGINE_PORTABLE);
	for (unsigned n = 0; n < VM_OBSERVERS_MAX; n++)
		assert_true(vm_observe(m.vm, &nothing[n]));
	assert_false(vm_observe(m.vm, &nothing[VM_OBSERVERS_MAX]));
	assert_null(check_new(m.vm, &(const struct check_config){ .what = CHECK_ALL }));
	vm_unobserve(m.vm, &nothing[0]);
	m.check = check_new(m.vm, &(const struct check_config){ .what = CHECK_ALL });
	assert_non_null(m.check);
	machine_end(&m);
}

/* ---- 8. Words ------------------------------------------------------------------------------- */

static void lists_of_words(void **state)
{
	unsigned what;
	const char *bad, *help;
	(void)state;
	assert_true(check_parse("tlb", &what, &bad));
	assert_int_equal(what, CHECK_TLB);
	assert_true(check_parse("tlb,wx,fatal", &what, &bad));
	assert_int_equal(what, CHECK_TLB | CHECK_WX | CHECK_FATAL);
	assert_true(check_parse("all", &what, &bad));
	assert_int_equal(what, CHECK_ALL);
	static const char *const wrong[] = { "", ",", "tlb,", "tlbs", "tl", "tlb,,wx", "TLB", " tlb" };
	for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++)
		assert_false(check_parse(wrong[n], &what, &bad));
	unsigned all = 0;
	for (unsigned n = 0; check_word(n, &help); n++) {
		assert_true(check_parse(check_word(n, &help), &what, &bad));
		all |= what;
	}
	assert_int_equal(all, CHECK_ALL | CHECK_FATAL | CHECK_JSON);
}

/* Each kind once, in both forms. */
static void every_kind_can_be_told(void **state)
{
	(void)state;
	start(CHECK_ALL, 0);
	for (unsigned kind = 0; kind < FINDINGS; kind++)
		for (unsigned full = 0; full < 2; full++) {
			struct finding f = { .kind = (enum finding_kind)kind, .eip = 0xC0100000, .count = 1 };
			struct text text = { 0 }, json = { 0 };
			json_error_t error;
			if (full) {
				f.uses = f.holds = f.walked = f.is_written = f.exact = f.write.known = true;
				f.now.pte_gpa = 0x1000;
				f.held = 0x12345167;
				f.value = UINT32_MAX;
				f.write.depth = TRACE_MAX;
			}
			finding_text(b.check, &f, &text);
			finding_json(b.check, &f, &json);
			assert_non_null(strstr(text_string(&text), "check: "));
			json_t *object = json_loads(text_string(&json), JSON_REJECT_DUPLICATES, &error);
			if (!object)
				fail_msg("%s: %s", error.text, text_string(&json));
			assert_int_equal(json_integer_value(json_object_get(json_object_get(object, "at"), "eip")), 0xC0100000);
			json_decref(object);
			text_free(&text);
			text_free(&json);
		}
	bench_end(&b);
}

static void reports_are_lines_of_json(void **state)
{
	struct machine_under_check m;
	json_error_t error;
	(void)state;
	emit_bug(EXIT, 4);
	machine_start(&m, CHECK_TLB | CHECK_JSON, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(m.vm), VM_DEBUG_EXIT);
	fflush(m.to);
	json_t *object = json_loads(m.text, 0, &error);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "kind")), "frame");
	assert_int_equal(json_integer_value(json_object_get(object, "linear")), 0x300000);
	json_decref(object);
	struct text all = { 0 };
	check_describe(m.check, true, &all);
	object = json_loads(text_string(&all), 0, &error);
	assert_non_null(object);
	assert_int_equal(json_array_size(json_object_get(object, "reports")), 1);
	json_decref(object);
	text_free(&all);
	machine_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserved_bits_when_they_are_written),
		cmocka_unit_test(reserved_bits_when_they_are_used),
		cmocka_unit_test(bits_that_are_not_reserved),
		cmocka_unit_test(ps_without_pse),
		cmocka_unit_test(cr3_inside_a_page),
		cmocka_unit_test(a_user_writable_alias_of_a_table),
		cmocka_unit_test(a_frame_that_was_a_table),
		cmocka_unit_test(a_recursive_slot_for_the_user),
		cmocka_unit_test(user_code_writes_a_table),
		cmocka_unit_test(a_linked_table_filled_with_text),
		cmocka_unit_test(entries_of_devices_and_one_mistake),
		cmocka_unit_test(the_running_stack),
		cmocka_unit_test(other_stacks_and_other_changes),
		cmocka_unit_test(user_code_tries_the_kernel),
		cmocka_unit_test(user_code_tries_what_is_not_there),
		cmocka_unit_test(writable_code_in_a_kernel_that_protects_its_own),
		cmocka_unit_test(writable_code_where_all_is_writable),
		cmocka_unit_test(code_that_is_protected_in_time),
		cmocka_unit_test(a_mapping_of_nothing),
		cmocka_unit_test(the_first_report_ends_the_run),
		cmocka_unit_test(another_state_is_nobodys_doing),
		cmocka_unit_test(a_checked_guest_runs_on_the_portable_engine),
		cmocka_unit_test(being_watched_changes_nothing),
		cmocka_unit_test(observers_are_bounded),
		cmocka_unit_test(lists_of_words),
		cmocka_unit_test(every_kind_can_be_told),
		cmocka_unit_test(reports_are_lines_of_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
