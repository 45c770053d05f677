/* SPDX-License-Identifier: MIT */
/*
 * direct/signal.c - what the host's processor will not do: faults in translated code, and interruption.
 *
 *   1. State      a signal's registers become the guest's
 *   2. Faults     a page to fill in, or the portable engine's turn
 *   3. Leaving    at the next instruction's start: by single steps
 *   4. Handlers   for the process, once; they find the engine by its thread
 *
 * A signal finds the guest's exact state at the start of each guest instruction (D1); a fault inside a longer
 * sequence finds it too, because nothing has changed yet (D2).
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "direct/internal.h"
#include "direct/translate.h"

/* Signal handlers get no pointer of ours: the engine that this thread runs. */
static _Thread_local struct direct *running;

/* ---- 1. State ------------------------------------------------------------------------------- */

static const uint8_t *rip_of(const ucontext_t *u) { return (const uint8_t *)u->uc_mcontext.gregs[REG_RIP]; }

static bool in_blocks(const struct direct *d, const uint8_t *rip)
{
	return rip >= d->code + d->stubs && rip < d->code + d->used;
}

/* The last instruction that begins at or before `rip`; its number in *index. */
static const struct point *point_at(const struct direct *d, const struct block *b, const uint8_t *rip, unsigned *index)
{
	uint32_t at = (uint32_t)(rip - d->code) - b->code;
	const struct point *p = &d->points[b->points];
	unsigned n = 0;

	if (at < p->host)
		return NULL; /* in the checked entry */
	while (n + 1u < b->insns && p[n + 1].host <= at)
		n++;
	*index = n;
	return p + n;
}

static void save_state(struct direct *d, const ucontext_t *u, uint32_t eip)
{
	static const int where[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_R12, REG_RBP, REG_RSI, REG_RDI };
	struct cpu *c = d->cpu;

	for (unsigned n = 0; n < 8; n++)
		c->gpr[n] = (uint32_t)u->uc_mcontext.gregs[where[n]];
	set_status(c, (uint32_t)u->uc_mcontext.gregs[REG_EFL]);
	c->eip = eip;
	d->hot.p_rsp = (uint64_t)u->uc_mcontext.gregs[REG_RSP];
}

static void go_on_at(ucontext_t *u, const uint8_t *stub)
{
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)stub;
}

/* ---- 2. Faults ------------------------------------------------------------------------------ */

enum { TRAP_PAGE_FAULT = 14, ERROR_WRITE = 2 };
#define HEAT_FILL 1u
#define HEAT_FAULT 16u

/* A call too many for the return stack: it is emptied, the call done again. */
static bool return_stack_is_full(struct direct *d, ucontext_t *u, uintptr_t address)
{
	uintptr_t low = (uintptr_t)d->return_stack;

	if (address < low || address >= low + UM_PAGE_SIZE)
		return false;
	invalidate_returns(d);
	u->uc_mcontext.gregs[REG_RSP] = (greg_t)d->hot.p_rsp;
	return true;
}

static bool fill(struct direct *d, const ucontext_t *u, int signal, uintptr_t address)
{
	uintptr_t linear = address - (uintptr_t)d->world->base;
	unsigned access = d->cpu->cpl == 3 ? UM_USER : 0;

	if (signal != SIGSEGV || u->uc_mcontext.gregs[REG_TRAPNO] != TRAP_PAGE_FAULT || linear >= WORLD_BYTES)
		return false;
	if (u->uc_mcontext.gregs[REG_ERR] & ERROR_WRITE)
		access |= UM_WRITE;
	return fill_page_in(d, (uint32_t)linear, access);
}

/* false: not the engine's. */
static bool handle_fault(struct direct *d, int signal, uintptr_t address, ucontext_t *u)
{
	const uint8_t *rip = rip_of(u);
	struct block *b = d && in_blocks(d, rip) ? block_at(d, rip) : NULL;
	const struct point *p;
	unsigned index = 0;
	uint32_t offset;
	bool filled, for_good;

	if (!b)
		return false;
	if (return_stack_is_full(d, u, address))
		return true;
	p = point_at(d, b, rip, &index);
	if (!p)
		return false;
	d->stats.faults++;
	save_state(d, u, b->eip + guest_offset(p));
	offset = (b->eip + guest_offset(p)) % UM_PAGE_SIZE;
	filled = fill(d, u, signal, address);
	/* A kernel's way to its programs' memory, to page tables, to devices will be no other next time. */
	for_good = !filled && d->cpu->cpl != 3;
	/* In the usual case the instruction is just done again.  (A block from before it turned soft goes, too.) */
	if (!heat_up(d, b->frame, offset, filled ? HEAT_FILL : HEAT_FAULT, for_good) &&
	    !is_soft(d, b->frame, offset)) {
		if (filled && !b->dead && !d->cpu->pending) {
			u->uc_mcontext.gregs[REG_RSP] = (greg_t)d->hot.p_rsp; /* translations may have gone */
			return true;
		}
	} else if (!b->dead) {
		kill_translation(d, b);
	}
	d->counted += index - d->step_index;
	d->step_index = index;
	/* Even if the page is there now: its D bit is set, so this instruction is done before anything else. */
	go_on_at(u, direct_stub_fault);
	return true;
}

/* ---- 3. Leaving ----------------------------------------------------------------------------- */

enum { EFLAGS_TF = 1u << 8 };

/* A repeated string instruction can be left after each of its elements: its registers say how far it came. */
static bool at_repeat(const uint8_t *rip)
{
	rip += rip[0] == 0x66;
	return (rip[0] == 0xF2 || rip[0] == 0xF3) && rip[1] >= 0xA4 && rip[1] <= 0xAF && (rip[1] & 0xFE) != 0xA8;
}

/* Either the guest is at an instruction's start, and leaves; or it goes one host instruction further. */
static void leave_soon(struct direct *d, ucontext_t *u)
{
	const uint8_t *rip = rip_of(u);
	struct block *b = in_blocks(d, rip) ? block_at(d, rip) : NULL;
	unsigned index = 0;
	const struct point *p = b ? point_at(d, b, rip, &index) : NULL;

	u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)EFLAGS_TF;
	d->stepping_out = false;
	if (p && !(p->guest & POINT_SHADOW) && (d->code + b->code + p->host == rip || at_repeat(rip))) {
		save_state(d, u, b->eip + guest_offset(p));
		d->counted += index - d->step_index;
		d->step_index = index;
		go_on_at(u, direct_stub_kicked);
		return;
	}
	/* The stubs look at what is pending before they come back; on their way in they have looked. */
	if (b || (rip >= direct_stubs_begin && rip < direct_stubs_end) || in_blocks(d, rip)) {
		u->uc_mcontext.gregs[REG_EFL] |= EFLAGS_TF;
		d->stepping_out = true;
	}
}

void direct_interrupt(struct direct *d, void *context)
{
	if (d && d == running)
		leave_soon(d, context);
}

/* ---- 4. Handlers ---------------------------------------------------------------------------- */

static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };
static struct sigaction previous[SIGNALS]; /* whose these signals were before */
static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

/* Not ours: as if we were not there. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	for (unsigned n = 0; n < SIGNALS; n++) {
		const struct sigaction *p = &previous[n];
		if (signals[n] != signal)
			continue;
		if (p->sa_flags & SA_SIGINFO && p->sa_sigaction)
			p->sa_sigaction(signal, info, context);
		else if (p->sa_handler == SIG_DFL || p->sa_handler == SIG_IGN)
			sigaction(signal, p, NULL); /* the instruction is done again, and meets that */
		else
			p->sa_handler(signal);
		return;
	}
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct direct *d = running;

	if (signal == SIGTRAP && d && d->stepping_out) {
		leave_soon(d, context);
		return;
	}
	if (!d || !handle_fault(d, signal, (uintptr_t)info->si_addr, context))
		pass_on(signal, info, context);
}

/* Again for each engine: somebody else may have taken them since. */
static bool install(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK }, now;
	bool ok = true;

	/* Nothing else comes meanwhile: what a handler does is the engine's own work. */
	sigfillset(&action.sa_mask);
	pthread_mutex_lock(&installing);
	for (unsigned n = 0; ok && n < SIGNALS; n++) {
		ok = sigaction(signals[n], NULL, &now) == 0;
		if (!ok || (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal))
			continue;
		previous[n] = now;
		ok = sigaction(signals[n], &action, NULL) == 0;
	}
	pthread_mutex_unlock(&installing);
	return ok;
}

/* The guest's stack pointer is no address of the host's: a thread that runs an engine needs a stack for signals, and
 * keeps it while it lives.  One that has its own uses that. */
#define SIGNAL_STACK_BYTES 262144u
#define SIGNAL_STACK_ENOUGH 24576u

static pthread_key_t stack_key;
static pthread_once_t stack_key_once = PTHREAD_ONCE_INIT;
static bool stack_key_made;
static _Thread_local bool stack_ready;

static void drop_stack(void *stack)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	sigaltstack(&none, NULL);
	munmap(stack, SIGNAL_STACK_BYTES);
}
static void make_stack_key(void) { stack_key_made = pthread_key_create(&stack_key, drop_stack) == 0; }

static bool make_stack(void)
{
	stack_t stack = { .ss_size = SIGNAL_STACK_BYTES }, old;
	void *memory;

	pthread_once(&stack_key_once, make_stack_key);
	if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE) && old.ss_size >= SIGNAL_STACK_ENOUGH)
		return true;
	memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	stack.ss_sp = memory;
	if (!stack_key_made || pthread_setspecific(stack_key, memory) != 0 || sigaltstack(&stack, NULL) != 0) {
		munmap(memory, SIGNAL_STACK_BYTES);
		return false;
	}
	return true;
}

bool signals_new(const char **why)
{
	*why = "the host lets nobody handle its signals";
	return install();
}

bool signals_enter(struct direct *d)
{
	if (!stack_ready && !(stack_ready = make_stack()))
		return false;
	d->outer = running;
	running = d;
	return true;
}

void signals_leave(struct direct *d) { running = d->outer; }
