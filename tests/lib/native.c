/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native.c - the host's side of the differential test: set up, run, catch exceptions.
 *
 *   1. Tables        the LDT and the page map that both sides share
 *   2. Exceptions    the signal handler's C half
 *   3. Set-up        low memory, LDT, signals
 *   4. Running       one batch
 *
 * One native exists at a time: the handler has only the fixed addresses of native_layout.h to find it by.
 * Linux on x86-64 only; native_open() says so elsewhere.
 */
#include "tests/lib/native.h"

/* ---- 1. Tables ------------------------------------------------------------------------------ */

const struct native_descriptor native_ldt[NATIVE_LDT_COUNT] = {
	[NATIVE_LDT_DATA] = { .base = NATIVE_DATA, .limit = 0xFFFF, .big = true },
	[NATIVE_LDT_STACK16] = { .base = NATIVE_DATA, .limit = 0xFFFF },
	[NATIVE_LDT_CODE16] = { .base = NATIVE_ARENA, .limit = 0xFFFF, .code = true },
	[NATIVE_LDT_SHORT] = { .base = NATIVE_DATA, .limit = 0x43F7, .big = true },
	[NATIVE_LDT_DOWN] = { .base = NATIVE_DATA, .limit = 0x1FFF, .big = true, .down = true },
	[NATIVE_LDT_DOWN16] = { .base = NATIVE_DATA, .limit = 0x1FFF, .down = true },
	[NATIVE_LDT_READONLY] = { .base = NATIVE_DATA, .limit = 0xFFFF, .big = true, .readonly = true },
	[NATIVE_LDT_EXECONLY] = { .base = NATIVE_ARENA, .limit = 0xFFFF, .big = true, .code = true,
	                          .readonly = true },
	[NATIVE_LDT_ABSENT] = { .base = NATIVE_DATA, .limit = 0xFFFF, .big = true, .absent = true },
};

const char native_data_pages[NATIVE_DATA_BYTES / 4096 + 1] = "wwwwwwwwww-wrw-w";

#if defined(__x86_64__) && defined(__linux__)

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* native_entry.S */
extern const uint8_t native_loop[], native_loop_end[], native_loop_next[];
void native_enter(void);
void native_leave(void);
void native_signal(int number, siginfo_t *info, void *context);
void native_fault(int number, siginfo_t *info, ucontext_t *context, unsigned fs);

struct native {
	void *signal_stack;
	stack_t old_stack;
	struct sigaction old_action[5];
};
static const int signals[5] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };

static void *low(uint32_t address)
{
	return (void *)(uintptr_t)address;
}

static void put32(unsigned field, uint32_t value)
{
	memcpy(low(NATIVE_CONTROL + field), &value, 4);
}

static void put64(unsigned field, uint64_t value)
{
	memcpy(low(NATIVE_CONTROL + field), &value, 8);
}

static uint32_t get32(unsigned field)
{
	uint32_t value;

	memcpy(&value, low(NATIVE_CONTROL + field), 4);
	return value;
}

/* ---- 2. Exceptions -------------------------------------------------------------------------- */

static uint32_t reg(const ucontext_t *uc, int name)
{
	return (uint32_t)uc->uc_mcontext.gregs[name];
}

/* gregs[REG_CSGSFS]: cs, gs, fs, ss from the lowest word up. */
static uint16_t selector(const ucontext_t *uc, unsigned word)
{
	return (uint16_t)((uint64_t)uc->uc_mcontext.gregs[REG_CSGSFS] >> (16 * word));
}

static void store_fault(struct native_case *it, const ucontext_t *uc, unsigned fs)
{
	static const int order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX,
	                              REG_RSP, REG_RBP, REG_RSI, REG_RDI };
	struct native_regs *out = &it->out;

	for (unsigned i = 0; i < 8; i++)
		out->gpr[i] = reg(uc, order[i]);
	out->eflags = reg(uc, REG_EFL);
	out->eip = reg(uc, REG_RIP);
	out->vector = reg(uc, REG_TRAPNO);
	out->error = reg(uc, REG_ERR);
	out->cr2 = reg(uc, REG_CR2);
	out->ss = selector(uc, 3);
	out->fs = (uint16_t)fs;
	__asm__("mov %%es, %0" : "=r"(out->es));
	__asm__("mov %%ds, %0" : "=r"(out->ds));
	if (get32(NATIVE_CTL_FX) && uc->uc_mcontext.fpregs)
		memcpy(it->fx_out, uc->uc_mcontext.fpregs, 512);
}

/* The case is over: keep what it did, go on with the next at native_loop_next. */
void native_fault(int number, siginfo_t *info, ucontext_t *uc, unsigned fs)
{
	(void)info;
	if (selector(uc, 0) == NATIVE_CS64) { /* not ours: a bug in 64-bit code */
		signal(number, SIG_DFL);
		return;
	}
	store_fault(low(get32(NATIVE_CTL_CURRENT)), uc, fs);
	put32(NATIVE_CTL_CURRENT, get32(NATIVE_CTL_CURRENT) + NATIVE_CASE_BYTES);
	uc->uc_mcontext.gregs[REG_RIP] = NATIVE_LANDING + (native_loop_next - native_loop);
	uc->uc_mcontext.gregs[REG_RSP] = NATIVE_CTL_STACK;
	uc->uc_mcontext.gregs[REG_EFL] = 0x202;
	uc->uc_mcontext.gregs[REG_CSGSFS] = (greg_t)((uint64_t)NATIVE_DS << 48 | NATIVE_CS);
}

/* ---- 3. Set-up ------------------------------------------------------------------------------ */

static bool map_low(uint32_t address, size_t bytes, int rights)
{
	void *at = mmap(low(address), bytes, rights,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	if (at != low(address) && at != MAP_FAILED)
		munmap(at, bytes);
	return at == low(address);
}

/* Read-only pages get contents first: a page never written is a fault of its own to the host. */
static bool map_data(void)
{
	if (!map_low(NATIVE_DATA, NATIVE_DATA_BYTES, PROT_READ | PROT_WRITE))
		return false;
	for (uint32_t page = 0; native_data_pages[page]; page++) {
		uint8_t *at = low(NATIVE_DATA + 4096 * page);
		int rights = native_data_pages[page] == 'r' ? PROT_READ : PROT_NONE;

		for (unsigned i = 0; i < 4096; i++)
			at[i] = (uint8_t)(i * 167 + page) | 4; /* a selector here is of the LDT */
		if (native_data_pages[page] != 'w' && mprotect(at, 4096, rights))
			return false;
	}
	return true;
}

static bool install_ldt(void)
{
	for (unsigned i = 0; i < NATIVE_LDT_COUNT; i++) {
		const struct native_descriptor *d = &native_ldt[i];
		struct user_desc desc;

		memset(&desc, 0, sizeof desc);
		desc.entry_number = i;
		desc.base_addr = d->base;
		desc.limit = d->limit;
		desc.seg_32bit = d->big;
		desc.contents = d->code ? 2 : d->down;
		desc.read_exec_only = d->readonly;
		desc.seg_not_present = d->absent;
		if (syscall(SYS_modify_ldt, 0x11, &desc, sizeof desc))
			return false;
	}
	return true;
}

static bool install_stack(struct native *n)
{
	size_t bytes = 256 * 1024; /* AVX-512 and AMX make signal frames large */
	stack_t stack = { .ss_size = bytes };

	n->signal_stack = stack.ss_sp = malloc(bytes);
	return stack.ss_sp && !sigaltstack(&stack, &n->old_stack);
}

bool native_arm(struct native *n)
{
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_sigaction = native_signal;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	for (unsigned i = 0; i < 5; i++)
		if (sigaction(signals[i], &action, &n->old_action[i]))
			return false;
	return true;
}

void native_disarm(struct native *n)
{
	for (unsigned i = 0; i < 5; i++)
		sigaction(signals[i], &n->old_action[i], NULL);
}

static bool prepare_control(void)
{
	uint64_t fs = 0;
	uint16_t cs = NATIVE_CS;

	if (syscall(SYS_arch_prctl, ARCH_GET_FS, &fs))
		return false;
	memcpy(low(NATIVE_LANDING), native_loop, (size_t)(native_loop_end - native_loop));
	put64(NATIVE_CTL_HOST_FS, fs);
	put64(NATIVE_CTL_LEAVE, (uint64_t)(uintptr_t)native_leave);
	put32(NATIVE_CTL_ENTRY, (uint32_t)(NATIVE_LANDING + (native_loop_next - native_loop)));
	memcpy(low(NATIVE_CONTROL + NATIVE_CTL_ENTRY + 4), &cs, 2);
	return mprotect(low(NATIVE_LANDING), 4096, PROT_READ | PROT_EXEC) == 0;
}

static const char *set_up(struct native *n)
{
	if (!map_low(NATIVE_CODE, NATIVE_CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_low(NATIVE_LANDING, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_low(NATIVE_CONTROL, 4096, PROT_READ | PROT_WRITE) ||
	    !map_low(NATIVE_CASES, NATIVE_CASES_MAX * NATIVE_CASE_BYTES, PROT_READ | PROT_WRITE) ||
	    !map_data())
		return "memory below 4 GiB, writable and executable, is not to be had";
	if (!install_ldt())
		return "modify_ldt is refused";
	if (!install_stack(n) || !prepare_control())
		return "a signal stack is refused";
	return NULL;
}

struct native *native_open(const char **why)
{
	struct native *n = calloc(1, sizeof *n);

	*why = n ? set_up(n) : "no memory";
	if (!*why)
		return n;
	native_close(n);
	return NULL;
}

void native_close(struct native *n)
{
	if (!n)
		return;
	if (n->signal_stack)
		sigaltstack(&n->old_stack, NULL);
	free(n->signal_stack);
	munmap(low(NATIVE_ARENA), NATIVE_LANDING + 4096 - NATIVE_ARENA);
	munmap(low(NATIVE_CONTROL), NATIVE_CASES + 0x10000 - NATIVE_CONTROL);
	free(n);
}

uint8_t *native_code(struct native *n)
{
	(void)n;
	return low(NATIVE_CODE);
}

uint8_t *native_data(struct native *n)
{
	(void)n;
	return low(NATIVE_DATA);
}

/* ---- 4. Running ----------------------------------------------------------------------------- */

void native_run(struct native *n, struct native_batch *batch)
{
	size_t bytes = batch->count * sizeof batch->cases[0];
	uint32_t base = batch->cs == NATIVE_CS ? 0 : NATIVE_ARENA;
	uint32_t offset = batch->eip - base;

	(void)n;
	memcpy(low(NATIVE_CASES), batch->cases, bytes);
	put32(NATIVE_CTL_CURRENT, NATIVE_CASES);
	put32(NATIVE_CTL_END, (uint32_t)(NATIVE_CASES + bytes));
	put32(NATIVE_CTL_FX, batch->fx);
	put32(NATIVE_CTL_TARGET, offset);
	put32(NATIVE_CTL_TAKEN, 0);
	memcpy(low(NATIVE_CONTROL + NATIVE_CTL_TARGET + 4), &batch->cs, 2);
	native_enter();
	memcpy(batch->cases, low(NATIVE_CASES), bytes);
}

#else

struct native *native_open(const char **why)
{
	*why = "the host is not Linux on x86-64";
	return NULL;
}

void native_close(struct native *n) { (void)n; }
bool native_arm(struct native *n) { (void)n; return false; }
void native_disarm(struct native *n) { (void)n; }
uint8_t *native_code(struct native *n) { (void)n; return NULL; }
uint8_t *native_data(struct native *n) { (void)n; return NULL; }
void native_run(struct native *n, struct native_batch *batch) { (void)n; (void)batch; }

#endif
