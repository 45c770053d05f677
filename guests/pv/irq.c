/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/irq.c - interrupts by words in memory, the clock, and waiting.
 *
 *   1. The flag       on, off, saved, restored
 *   2. Interrupts
 *   3. Clock
 */
#include "guests/pv/pv.h"

/* ---- 1. The flag ---------------------------------------------------------------------------- */

uint32_t interrupts_sent, interrupts_needless, interrupts_misplaced;

static uint32_t interrupts_taken(void)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IRQS; i++)
		sum += irq_count[i];
	return sum;
}

/* Families from D on: the host says that something waits, and is asked for it. */
static void ask_for_pending(void)
{
	uint32_t before = interrupts_taken();

	if (!family->irq_pending || !(*data_word(family->irq_pending) & IRQ_ON))
		return;
	call(CALL_SEND_INTERRUPTS, 0, 0, 0);
	interrupts_sent++;
	interrupts_needless += interrupts_taken() == before;
}

uint32_t irq_save(void)
{
	uint32_t word = *data_word(DATA_IRQ_ENABLED);

	*data_word(DATA_IRQ_ENABLED) = 0;
	return word;
}

void irq_restore(uint32_t word)
{
	*data_word(DATA_IRQ_ENABLED) = word;
	if (word & IRQ_ON)
		ask_for_pending();
}

/* Only the last family asks here: the others leave it to the host to notice. */
void irq_on(void)
{
	*data_word(DATA_IRQ_ENABLED) = IRQ_ON;
	if (family->iret_only)
		ask_for_pending();
}

void irq_off(void)
{
	*data_word(DATA_IRQ_ENABLED) = 0;
}

/* ---- 2. Interrupts -------------------------------------------------------------------------- */

volatile uint32_t irq_count[IRQS];
uint8_t irq_order[IRQ_ORDER];
unsigned irq_order_used;
struct trap_frame irq_frame;
bool stop_on_interrupt;
static struct {
	void (*handler)(void *);
	void *object;
} handlers[IRQS];

void irq_mask(unsigned irq)
{
	__asm__ volatile("lock btsl %1, %0" : "+m"(*data_word(DATA_BLOCKED)) : "r"(irq) : "cc");
}

void irq_unmask(unsigned irq)
{
	__asm__ volatile("lock btrl %1, %0" : "+m"(*data_word(DATA_BLOCKED)) : "r"(irq) : "cc");
}

void irq_handle(unsigned irq, void (*handler)(void *), void *object)
{
	handlers[irq].handler = handler;
	handlers[irq].object = object;
	irq_unmask(irq);
}

static bool is_protected(uint32_t eip)
{
	if (family->iret_only)
		return eip == (uint32_t)noirq_iret;
	return eip >= (uint32_t)noirq_start && eip < (uint32_t)noirq_end;
}

/* As level interrupts are taken: masked, handled, unmasked; there is no acknowledgement. */
void take_interrupt(struct trap_frame *f)
{
	unsigned irq = f->vector - VECTOR_IRQ0;

	irq_mask(irq);
	irq_frame = *f;
	interrupts_misplaced += is_protected(f->eip);
	irq_count[irq]++;
	if (irq_order_used < IRQ_ORDER)
		irq_order[irq_order_used++] = (uint8_t)irq;
	if (handlers[irq].handler)
		handlers[irq].handler(handlers[irq].object);
	irq_unmask(irq);
	if ((f->cs & 3) == 3 && stop_on_interrupt) {
		stop_on_interrupt = false;
		process_stopped(f);
		leave_user();
	}
}

/* The timer's mask is the only one set so far. */
void irqs_start(void)
{
	irq_unmask(IRQ_TIMER);
}

/* ---- 3. Clock ------------------------------------------------------------------------------- */

void timer_set(uint32_t nanoseconds)
{
	call(CALL_SET_CLOCKEVENT, nanoseconds, 0, 0);
}

/* The host turns interrupts on as it wakes us. */
void halt(void)
{
	call(CALL_HALT, 0, 0, 0);
}

uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* A host that loses an interrupt must not hang us: at least two seconds, and an end. */
bool wait_irq(unsigned irq, uint32_t count)
{
	uint32_t khz = *data_word(family->tsc_khz), turns = 0;
	uint64_t start = read_tsc(), limit = (uint64_t)(khz ? khz : 1000000) * 2000;

	irq_on();
	while (irq_count[irq] < count && (read_tsc() - start < limit || ++turns < 100000))
		__asm__ volatile("pause");
	irq_off();
	return irq_count[irq] >= count;
}
