/* SPDX-License-Identifier: MIT */
/* tests/lib/checkbench.c - see checkbench.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/checkpatterns.h"

static void hear_event(void *user, const struct um_event *event)
{
	struct bench *b = user;
	if (b->check)
		check_event(b->check, event);
}

static bool hear_access(void *user, struct cpu *cpu, const struct cpu_access *access)
{
	struct bench *b = user;
	(void)cpu;
	return check_access(b->check, access);
}

static size_t read_ram(void *user, uint64_t gpa, void *buf, size_t bytes)
{
	struct bench *b = user;
	if (gpa >= RIG_RAM)
		return 0;
	if (bytes > RIG_RAM - gpa)
		bytes = (size_t)(RIG_RAM - gpa);
	memcpy(buf, b->rig->ram + gpa, bytes);
	return bytes;
}

static void stop(void *user, const char *why)
{
	struct bench *b = user;
	b->stopped = why;
	cpu_kick(b->rig->cpu);
}

void bench_start(struct bench *b, unsigned what, uint32_t cr4, bool paravirtual)
{
	const struct check_config config = { .what = what };
	const struct cpu_observer observer = { .user = b, .translated = hear_access };
	struct cpu_state s;
	memset(b, 0, sizeof *b);
	b->rig = rig_new_with(CPU_OPT_ALL, UM_OPT_ALL & ~(uint32_t)CHECK_WITHOUT);
	rig_paging(b->rig);
	cpu_get_state(b->rig->cpu, &s);
	s.cr4 |= cr4;
	cpu_set_state(b->rig->cpu, &s);
	const struct check_target target = {
		.cpu = b->rig->cpu, .um = b->rig->um, .user = b, .read = read_ram, .ram_bytes = RIG_RAM,
		.paravirtual = paravirtual, .stop = stop,
	};
	b->check = check_attach(&target, &config);
	assert_non_null(b->check);
	b->rig->event = hear_event;
	b->rig->event_user = b;
	cpu_observe(b->rig->cpu, &observer);
}

void bench_end(struct bench *b)
{
	assert_int_equal(um_audit(b->rig->um).invariant, 0);
	check_free(b->check);
	b->check = NULL;
	rig_free(b->rig);
}

/* ---- Instructions --------------------------------------------------------------------------- */

uint32_t emit(struct bench *b, const void *bytes, size_t count)
{
	uint32_t here = RIG_CODE + b->at;
	assert_true(b->at + count < BENCH_CODE);
	memcpy(b->code + b->at, bytes, count);
	b->at += (uint32_t)count;
	return here;
}

static uint32_t emit_words(struct bench *b, const char *op, size_t bytes, uint32_t word, const uint32_t *second)
{
	uint32_t here = emit(b, op, bytes);
	emit(b, &word, 4);
	if (second)
		emit(b, second, 4);
	return here;
}

uint32_t emit_store(struct bench *b, uint32_t linear, uint32_t value) { return emit_words(b, "\xC7\x05", 2, linear, &value); }
uint32_t emit_load(struct bench *b, uint32_t linear) { return emit_words(b, "\xA1", 1, linear, NULL); }
uint32_t emit_save(struct bench *b, uint32_t linear) { return emit_words(b, "\xA3", 1, linear, NULL); }
uint32_t emit_invlpg(struct bench *b, uint32_t linear) { return emit_words(b, "\x0F\x01\x3D", 3, linear, NULL); }
void emit_reload_cr3(struct bench *b) { EMIT(b, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8); }

uint32_t emit_cr3(struct bench *b, uint32_t cr3)
{
	emit_words(b, "\xB8", 1, cr3, NULL);
	return EMIT(b, 0x0F, 0x22, 0xD8);
}

/* mov %cr, %eax; or $set, %eax; and $~clear, %eax; mov %eax, %cr */
static void emit_control(struct bench *b, uint8_t modrm, uint32_t set, uint32_t clear)
{
	EMIT(b, 0x0F, 0x20, modrm);
	emit_words(b, "\x0D", 1, set, NULL);
	emit_words(b, "\x25", 1, ~clear, NULL);
	EMIT(b, 0x0F, 0x22, modrm);
}
void emit_cr0(struct bench *b, uint32_t set, uint32_t clear) { emit_control(b, 0xC0, set, clear); }
void emit_cr4(struct bench *b, uint32_t set, uint32_t clear) { emit_control(b, 0xE0, set, clear); }

/* ---- Running -------------------------------------------------------------------------------- */

/* By hand, since cpu_set_state() empties the engine's TLB: what it goes on answering is what a check must not miss. */
static void set_ring(struct bench *b, unsigned ring)
{
	struct cpu *c = b->rig->cpu;
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++) {
		uint16_t dpl = (uint16_t)(ring << 5);
		bool code = seg == CPU_CS;
		uint16_t selector = ring ? (code ? RIG_CODE3 : RIG_DATA3) : code ? RIG_CODE0 : RIG_DATA0;
		c->seg[seg] = (struct cpu_segment){ selector, (uint16_t)(0xC090u | dpl | (code ? 0xBu : 3u)), 0, 0xFFFFFFFFu };
	}
	c->cpl = (uint8_t)ring;
	c->gpr[CPU_ESP] = RIG_STACK;
	c->halted = false;
	c->events &= ~(uint32_t)EV_HALT;
	mode_changed(c);
}

void bench_task(struct bench *b, uint32_t tss, uint32_t cr3, uint32_t eip)
{
	enum { TSS_BYTES = 0x68, AVAILABLE_TSS = 0x8900 };
	for (unsigned at = 0; at < TSS_BYTES; at += 4)
		rig_set_word(b->rig, tss + at, 0);
	rig_set_word(b->rig, tss + 0x1C, cr3);
	rig_set_word(b->rig, tss + 0x20, eip);
	rig_set_word(b->rig, tss + 0x24, 2); /* EFLAGS */
	rig_set_word(b->rig, tss + 0x38, RIG_STACK);
	for (unsigned seg = 0; seg < 6; seg++)
		rig_set_word(b->rig, tss + 0x48 + 4 * seg, seg == CPU_CS ? RIG_CODE0 : RIG_DATA0);
	rig_set_word(b->rig, RIG_GDT + RIG_FREE, tss << 16 | (TSS_BYTES - 1));
	rig_set_word(b->rig, RIG_GDT + RIG_FREE + 4, AVAILABLE_TSS);
}

void bench_run(struct bench *b, unsigned ring)
{
	if (ring)
		EMIT(b, 0xCD, 0x80); /* its handler halts */
	else
		EMIT(b, 0xF4);
	set_ring(b, ring);
	rig_load(b->rig, b->code, b->at);
	b->at = 0;
	assert_int_equal(rig_run(b->rig, 1000000), b->stopped ? CPU_EXIT_KICKED : CPU_EXIT_HALTED);
}

unsigned bench_count(const struct bench *b) { return check_reports(b->check, NULL); }

const struct finding *bench_only(const struct bench *b)
{
	struct text out = { 0 };
	if (bench_count(b) != 1) {
		check_describe(b->check, false, &out);
		print_message("%s", text_string(&out));
		text_free(&out);
	}
	assert_int_equal(bench_count(b), 1);
	return &b->check->reports.list[0];
}

uint32_t bench_use_and_change(struct bench *b, uint32_t linear, uint32_t entry)
{
	emit_load(b, linear);
	return emit_store(b, BENCH_PTE(linear), entry);
}

void bench_second_space(struct bench *b, uint32_t above)
{
	emit_store(b, SPACE2, (RIG_TABLES + 0x1000) | ENTRY);
	emit_store(b, SPACE2 + 4 * (LARGE >> 22), above);
}

void bench_silent(struct bench *b)
{
	bench_run(b, 0);
	if (bench_count(b))
		(void)bench_only(b);
	assert_int_equal(bench_count(b), 0);
	bench_end(b);
}
