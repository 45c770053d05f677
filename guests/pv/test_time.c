/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_time.c - the clock event, interrupts that wait, and where none may come.
 *
 *   1. Clock event    one shot, replaced, cancelled
 *   2. Waiting        masked, off, asked for, halted
 *   3. Where          rings, the protected range
 *   4. Time           what the clocks say
 */
#include "guests/pv/probes.h"

enum { MILLISECOND = 1000000, PHASES = 100 };

static uint64_t tsc_after(uint32_t milliseconds)
{
	uint32_t khz = *data_word(family->tsc_khz);

	return read_tsc() + (uint64_t)(khz ? khz : 1000000) * milliseconds;
}

/* Not much before: the two clocks need not be one. */
static bool is_past(uint64_t tsc)
{
	return read_tsc() + *data_word(family->tsc_khz) / 5 >= tsc;
}

/* With the virtual flag as it is. */
static void wait_until(uint64_t tsc)
{
	while (read_tsc() < tsc)
		__asm__ volatile("pause");
}

static uint32_t timer_count(void)
{
	return irq_count[IRQ_TIMER];
}

/* Nothing armed, nothing waiting. */
static void quiet(void)
{
	timer_set(0);
	irq_on();
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	irq_off();
}

/* ---- 1. Clock event ------------------------------------------------------------------------- */

static void test_one_shot(void)
{
	uint32_t before, frame_vector = VECTOR_IRQ0 + IRQ_TIMER;
	uint64_t early;

	quiet();
	before = timer_count();
	early = tsc_after(2);
	timer_set(2 * MILLISECOND);
	CHECK(wait_irq(IRQ_TIMER, before + 1));
	CHECK(is_past(early));
	CHECK_EQUAL(irq_frame.vector, frame_vector);
	irq_on();
	wait_until(tsc_after(8));
	irq_off();
	CHECK_EQUAL(timer_count(), before + 1);
}

static void test_replaced(void)
{
	uint32_t before;

	quiet();
	before = timer_count();
	timer_set(4000u * MILLISECOND);
	timer_set(MILLISECOND);
	CHECK(wait_irq(IRQ_TIMER, before + 1));
	timer_set(20 * MILLISECOND); /* a busy host takes its time between the two */
	timer_set(40 * MILLISECOND);
	irq_on();
	wait_until(tsc_after(25));
	CHECK_EQUAL(timer_count(), before + 1);
	irq_off();
	CHECK(wait_irq(IRQ_TIMER, before + 2));
	quiet();
}

static void test_cancelled(void)
{
	uint32_t before;

	quiet();
	before = timer_count();
	timer_set(20 * MILLISECOND);
	timer_set(0);
	irq_on();
	wait_until(tsc_after(25));
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	irq_off();
	CHECK_EQUAL(timer_count(), before);
}

/* ---- 2. Waiting ----------------------------------------------------------------------------- */

static void test_masked(void)
{
	uint32_t before;

	quiet();
	before = timer_count();
	irq_mask(IRQ_TIMER);
	timer_set(MILLISECOND);
	irq_on();
	wait_until(tsc_after(4));
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(timer_count(), before);
	if (family->irq_pending)
		CHECK_EQUAL(*data_word(family->irq_pending), 0); /* nothing unmasked waits */
	irq_unmask(IRQ_TIMER);
	CHECK(wait_irq(IRQ_TIMER, before + 1));
	CHECK_EQUAL(timer_count(), before + 1);
}

/* The host says so at an exit, once it knows. */
static void wait_pending(void)
{
	uint64_t end = tsc_after(500);

	do
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
	while (!*data_word(family->irq_pending) && read_tsc() < end);
	CHECK_EQUAL(*data_word(family->irq_pending), IRQ_ON);
}

/* Off, until it is known to wait; then it is asked for, once, and no more. */
static void test_pending(void)
{
	uint32_t before, sent, needless = interrupts_needless;

	if (!family->irq_pending) {
		skip_test("the family has no irq_pending");
		return;
	}
	quiet();
	for (unsigned round = 0; round < 20; round++) {
		before = timer_count();
		sent = interrupts_sent;
		timer_set(100000);
		wait_pending();
		CHECK_EQUAL(timer_count(), before);
		irq_restore(0x046); /* still off: bit 9 counts */
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
		CHECK_EQUAL(timer_count(), before);
		CHECK_EQUAL(interrupts_sent, sent);
		irq_restore(IRQ_ON);
		CHECK_EQUAL(timer_count(), before + 1);
		CHECK_EQUAL(*data_word(family->irq_pending), 0);
		for (unsigned i = 0; i < 50; i++) /* "flag restores" of a busy kernel */
			irq_restore(irq_save());
		CHECK(interrupts_sent <= sent + 1);
		irq_off();
	}
	CHECK_EQUAL(interrupts_needless, needless);
}

/* Only bit 9 of the word counts, and what is off stays off. */
static void test_off(void)
{
	static const uint32_t words[] = { 0, 0x046, 0xFFFFFDFF };
	uint32_t before;

	quiet();
	before = timer_count();
	timer_set(100000);
	for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
		*data_word(DATA_IRQ_ENABLED) = words[i];
		wait_until(tsc_after(3));
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
		CHECK_EQUAL(timer_count(), before);
	}
	CHECK(wait_irq(IRQ_TIMER, before + 1));
}

/* No word to the host: it is to find out soon. */
static void test_noticed(void)
{
	uint32_t before;

	quiet();
	before = timer_count();
	timer_set(100000);
	wait_until(tsc_after(1));
	*data_word(DATA_IRQ_ENABLED) = 0x246;
	for (uint64_t end = tsc_after(500); timer_count() == before && read_tsc() < end;)
		__asm__ volatile("pause");
	irq_off();
	CHECK_EQUAL(timer_count(), before + 1);
}

static void test_halt(void)
{
	uint32_t before;
	uint64_t early;

	quiet();
	for (unsigned round = 0; round < 5; round++) {
		before = timer_count();
		early = tsc_after(1);
		timer_set(MILLISECOND);
		halt();
		CHECK_EQUAL(timer_count(), before + 1);
		CHECK(is_past(early));
		CHECK(*data_word(DATA_IRQ_ENABLED) & IRQ_ON);
		irq_off();
	}
	timer_set(100000); /* it waits already */
	wait_until(tsc_after(1));
	before = timer_count();
	halt();
	CHECK_EQUAL(timer_count(), before + 1);
	irq_off();
}

/* ---- 3. Where ------------------------------------------------------------------------------- */

static void test_frames(void)
{
	static struct process p;
	uint32_t before;

	quiet();
	process_create(&p);
	p.heap_end = USER_HEAP + 4 * PAGE;
	for (unsigned round = 0; round < 8; round++) {
		const char *code = round % 2 ? u_spin_memory : u_spin;

		before = timer_count();
		stop_on_interrupt = true;
		timer_set(MILLISECOND / 2);
		CHECK_EQUAL(run_user(&p, code, 1, 0, USER_HEAP), VECTOR_IRQ0 + IRQ_TIMER);
		CHECK_EQUAL(timer_count(), before + 1);
		CHECK_EQUAL(irq_frame.cs & 0xFFFF, USER_CODE);
		CHECK_EQUAL(irq_frame.ss & 0xFFFF, USER_DATA);
		CHECK_EQUAL(irq_frame.error, 0);
		CHECK_EQUAL(irq_frame.eflags & 0x3200, IRQ_ON);
		CHECK_EQUAL(irq_frame.esp, USER_STACK + PAGE);
		CHECK(irq_frame.eip >= user_address(code) && irq_frame.eip < user_address(code) + 24);
		irq_off();
	}
	process_destroy(&p);
}

/* All registers of an interrupted loop are as they were: it counts what it ought to. */
static void test_transparent(void)
{
	static struct process p;
	uint32_t turns = 0, total = 0;

	quiet();
	process_create(&p);
	p.heap_end = USER_HEAP + 4 * PAGE;
	p.frame.eip = user_address(u_spin_memory);
	p.frame.edx = USER_HEAP;
	for (; turns < 20; turns++) {
		stop_on_interrupt = true;
		timer_set(200000);
		CHECK_EQUAL(run_process(&p), VECTOR_IRQ0 + IRQ_TIMER);
	}
	for (unsigned i = 0; i < 4; i++)
		total += *word_at(USER_HEAP + i * PAGE);
	CHECK(total == p.frame.eax || total == p.frame.eax + 1); /* between the two INCs */
	CHECK_EQUAL(p.frame.edx, USER_HEAP);
	process_destroy(&p);
	quiet();
}

/* `n` instructions more or less. */
static void count_down(uint32_t n)
{
	if (n % 2)
		__asm__ volatile("nop");
	for (n = n / 2 + 1; n; n--)
		__asm__ volatile("");
}

/* One waits each time that a return to ring 3 turns interrupts on; when the host looks is varied. */
static void protect_iret(void)
{
	static struct process p;
	uint32_t before = timer_count();

	process_create(&p);
	p.frame.eip = user_address(u_spin);
	for (unsigned round = 0; round < PHASES; round++) {
		timer_set(100);
		wait_until(read_tsc() + 20000);
		count_down(round);
		stop_on_interrupt = true;
		CHECK_EQUAL(run_process(&p), VECTOR_IRQ0 + IRQ_TIMER);
	}
	CHECK_EQUAL(timer_count(), before + PHASES);
	CHECK_EQUAL(interrupts_misplaced, 0);
	process_destroy(&p);
}

static void test_protected(void)
{
	uint32_t before;

	quiet();
	if (family->iret_only) { /* one instruction: try often, see take_interrupt() */
		protect_iret();
		return;
	}
	before = timer_count();
	timer_set(MILLISECOND);
	irq_on();
	CHECK_EQUAL(noirq_wait(tsc_after(5)), 0);
	CHECK(wait_irq(IRQ_TIMER, before + 1));
}

/* ---- 4. Time -------------------------------------------------------------------------------- */

static uint64_t wall_clock(void)
{
	uint32_t seconds, nanoseconds;

	do {
		seconds = *data_word(DATA_SECONDS);
		nanoseconds = *data_word(DATA_NANOSECONDS);
	} while (seconds != *data_word(DATA_SECONDS));
	return (uint64_t)seconds * 1000000000 + nanoseconds;
}

/* The wall clock moves with each interrupt at least.  It and the TSC keep step, roughly: a host that was late
 * may hurry one of them for a while. */
static void test_clocks(void)
{
	uint32_t khz = *data_word(family->tsc_khz);
	uint64_t wall, tsc, wall_now, tsc_now;

	quiet();
	timer_set(100000);
	wait_irq(IRQ_TIMER, timer_count() + 1);
	wall = wall_clock();
	tsc = read_tsc();
	timer_set(20 * MILLISECOND);
	wait_irq(IRQ_TIMER, timer_count() + 1);
	wall_now = wall_clock();
	tsc_now = read_tsc();
	CHECK(wall_now >= wall + 2 * MILLISECOND);
	CHECK(wall > 1500000000ull * 1000000000);
	if (khz) {
		uint64_t cycles = (tsc_now - tsc) * 1000, wanted = 20ull * MILLISECOND * (khz / 1000);

		CHECK(cycles >= wanted - wanted / 4);
	}
}

const struct test time_tests[] = {
	{ "time", "one-shot", test_one_shot },
	{ "time", "replaced", test_replaced },
	{ "time", "cancelled", test_cancelled },
	{ "time", "masked", test_masked },
	{ "time", "pending", test_pending },
	{ "time", "off", test_off },
	{ "time", "noticed", test_noticed },
	{ "time", "halt", test_halt },
	{ "time", "frames", test_frames },
	{ "time", "transparent", test_transparent },
	{ "time", "protected", test_protected },
	{ "time", "clocks", test_clocks },
	{ 0 },
};
