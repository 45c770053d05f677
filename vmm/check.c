/* SPDX-License-Identifier: MIT */
/*
 * vmm/check.c - two whole machines in lock-step, one by the direct engine, one by the portable engine.
 *
 *   1. Comparing      registers at each stop, all of memory now and then
 *   2. Telling        the first difference
 *   3. Stepping       both to the same instruction
 *   4. Looking round  time, devices, console
 *   5. vm_check()
 *
 * Time is what makes two runs of a guest differ: so here it is made of instructions, a nanosecond each, and what a
 * guest that halts sleeps until its next timer.  It stands still between two stops, at which both machines have done
 * the same number of instructions; there devices are polled, input is given, and everything compared.
 *
 * The direct engine does one translated block, the portable one as many instructions; as it does whole blocks too, it
 * may come out ahead, and then the direct one does another.  Both end blocks at branches, so they soon meet.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h> /* before cpu/internal.h, which has a raise() of its own */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <Zydis/Zydis.h>

#include "cpu/internal.h"
#include "cpu/flags.h"
#include "direct/direct.h"
#include "vmm/internal.h"

#define TRAIL 24u           /* steps that are told of */
#define FULL_EVERY 64u      /* stops between two comparisons of floating point and rarely changed registers */
#define SLICE 50000u        /* instructions between two looks around, at most */
#define APART_MAX 100000u   /* steps until both must have met */
#define INPUT_STOPS 20000u  /* looks around between two looks at the console */
#define PAGES_TOLD 8u

struct check {
	struct vm *d, *p;           /* by the direct engine, by the portable engine */
	struct vm_check_config config;
	struct vm_check_result *result;
	uint64_t first_d, first_p;  /* counts of instructions at the start */
	uint64_t count;             /* of both, at the last stop */
	uint64_t blocks, stops, looks;
	uint64_t idle;              /* ns that were slept */
	uint64_t next_memory;       /* count at which to compare memory */
	uint64_t memory_same;       /* ... at which it last was the same */
	struct { uint64_t count; uint32_t eip, linear; } trail[TRAIL]; /* where the direct engine's steps began */
	uint64_t trail_stop;        /* the block that began at the last stop */
	enum cpu_exit d_exit, p_exit;
	enum vm_end end;
};

/* (Between two runs: what cpu_instructions() says, without a call.) */
static uint64_t done_by_direct(const struct check *k) { return k->d->cpu->instructions - k->first_d; }
static uint64_t done_by_portable(const struct check *k) { return k->p->cpu->instructions - k->first_p; }

/* ---- 1. Comparing --------------------------------------------------------------------------- */

static bool differs(struct check *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool differs(struct check *k, const char *format, ...)
{
	va_list words;
	va_start(words, format);
	vsnprintf(k->result->what, sizeof k->result->what, format, words);
	va_end(words);
	return false;
}

/* In the order in which one wants to hear of it; called when something is known to differ. */
static bool name_register(struct check *k, const struct cpu *d, const struct cpu *p)
{
	static const char names[8][4] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
	static const char segs[6][3] = { "es", "cs", "ss", "ds", "fs", "gs" };
	if (d->eip != p->eip)
		return differs(k, "eip is %08x, must be %08x", d->eip, p->eip);
	for (unsigned n = 0; n < 8; n++)
		if (d->gpr[n] != p->gpr[n])
			return differs(k, "%s is %08x, must be %08x", names[n], d->gpr[n], p->gpr[n]);
	if ((get_eflags(d) ^ get_eflags(p)) & ~(uint32_t)FL_RF)
		return differs(k, "eflags is %08x, must be %08x", get_eflags(d), get_eflags(p));
	for (unsigned n = 0; n < 6; n++)
		if (memcmp(&d->seg[n], &p->seg[n], sizeof d->seg[n]))
			return differs(k, "segment register %s", segs[n]);
	return differs(k, "cr0 %08x, must be %08x; cr2 %08x, %08x; cr3 %08x, %08x; cr4 %08x, %08x; cpl %u, %u; halted %d, %d",
	               d->cr0, p->cr0, d->cr2, p->cr2, d->cr3, p->cr3, d->cr4, p->cr4, d->cpl, p->cpl, d->halted, p->halted);
}

/* What a block may change.  RF goes as the next instruction begins: either may be seen at a stop. */
static bool same_registers(struct check *k)
{
	const struct cpu *d = k->d->cpu, *p = k->p->cpu;
	bool same = d->eip == p->eip && !memcmp(d->gpr, p->gpr, sizeof d->gpr) &&
	            !((get_eflags(d) ^ get_eflags(p)) & ~(uint32_t)FL_RF) && !memcmp(d->seg, p->seg, sizeof d->seg) &&
	            d->cr0 == p->cr0 && d->cr2 == p->cr2 && d->cr3 == p->cr3 && d->cr4 == p->cr4 && d->cpl == p->cpl &&
	            d->halted == p->halted && d->inhibit == p->inhibit;
	return same || name_register(k, d, p);
}

static bool same_state(struct check *k)
{
	struct cpu_state d, p;
	cpu_get_state(k->d->cpu, &d);
	cpu_get_state(k->p->cpu, &p);
	for (unsigned n = 0; n < sizeof d.fxsave; n++)
		if (d.fxsave[n] != p.fxsave[n])
			return differs(k, "floating-point state, byte %u of FXSAVE's image, is %02x, must be %02x", n, d.fxsave[n],
			               p.fxsave[n]);
	d.eflags &= ~(uint32_t)FL_RF;
	p.eflags &= ~(uint32_t)FL_RF;
	if (memcmp(&d, &p, sizeof d))
		return differs(k, "a descriptor table, task, debug or SYSENTER register");
	return true;
}

/* Pages that differ, named; false if there are any. */
static bool same_pages(struct check *k, uint64_t from, uint64_t end)
{
	struct vm_check_result *r = k->result;
	for (uint64_t at = from; at < end; at += UM_PAGE_SIZE) {
		const uint8_t *d = k->d->ram + at, *p = k->p->ram + at;
		unsigned n = 0;
		if (!memcmp(d, p, UM_PAGE_SIZE))
			continue;
		while (d[n] == p[n])
			n++;
		if (r->pages++ == 0)
			differs(k, "memory at %" PRIx64 " is %02x, must be %02x", at + n, d[n], p[n]);
		if (r->pages <= PAGES_TOLD && k->config.report)
			fprintf(k->config.report, "check: page %05" PRIx64 " differs from byte %03x on: %02x %02x %02x %02x, must be "
			        "%02x %02x %02x %02x\n", at >> UM_PAGE_SHIFT, n, d[n], n + 1 < UM_PAGE_SIZE ? d[n + 1] : 0,
			        n + 2 < UM_PAGE_SIZE ? d[n + 2] : 0, n + 3 < UM_PAGE_SIZE ? d[n + 3] : 0, p[n],
			        n + 1 < UM_PAGE_SIZE ? p[n + 1] : 0, n + 2 < UM_PAGE_SIZE ? p[n + 2] : 0,
			        n + 3 < UM_PAGE_SIZE ? p[n + 3] : 0);
	}
	return r->pages == 0;
}

#define CHUNK (1u << 20)

static bool is_zero(const uint8_t *bytes, uint64_t count)
{
	return !count || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, count - 1));
}

/* A file has pages where it was touched only: looking at the others would make them. */
static bool same_memory(struct check *k)
{
	uint64_t bytes = k->d->mapped_bytes, at = 0;
	while (at < bytes) {
		off_t data = k->d->ram_fd < 0 ? (off_t)at : lseek(k->d->ram_fd, (off_t)at, SEEK_DATA);
		off_t hole = data < 0 || k->d->ram_fd < 0 ? (off_t)bytes : lseek(k->d->ram_fd, data, SEEK_HOLE);
		uint64_t first = data < 0 ? bytes : (uint64_t)data, end = hole < 0 ? bytes : (uint64_t)hole;
		if (!is_zero(k->p->ram + at, first - at))
			same_pages(k, at, first);
		for (at = first; at < end; at += CHUNK) {
			uint64_t some = end - at < CHUNK ? end - at : CHUNK;
			if (memcmp(k->d->ram + at, k->p->ram + at, some))
				same_pages(k, at, at + some);
		}
		at = end;
	}
	if (!k->result->pages)
		k->memory_same = k->count;
	return !k->result->pages;
}

/* ---- 2. Telling ----------------------------------------------------------------------------- */

static void disassemble(FILE *to, struct cpu *cpu, uint32_t linear, bool code16)
{
	uint8_t code[64];
	size_t have = cpu_peek(cpu, linear, code, sizeof code);
	ZydisDecoder decoder;
	ZydisFormatter formatter;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	char text[128];
	ZydisDecoderInit(&decoder, code16 ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_LEGACY_32,
	                 code16 ? ZYDIS_STACK_WIDTH_16 : ZYDIS_STACK_WIDTH_32);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	for (size_t at = 0; at < have; at += z.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, have - at, &z, op)) ||
		    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &z, op, z.operand_count_visible, text, sizeof text,
		                                                  linear + at, NULL)))
			break;
		fprintf(to, "check:     %08zx  %s\n", (size_t)linear + at, text);
		if (z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
			break;
	}
}

static void tell_state(FILE *to, const char *whose, struct vm *vm)
{
	char text[4096], *rest = text, *line;
	size_t used = cpu_describe_state(vm->cpu, text, sizeof text - 1);
	text[used < sizeof text ? used : sizeof text - 1] = 0;
	fprintf(to, "check: %s engine:\n", whose);
	while ((line = strsep(&rest, "\n")) && *line)
		fprintf(to, "check:   %s\n", line);
}

/* What ran since the last place where all was the same, and where it led. */
static enum vm_end tell(struct check *k)
{
	FILE *to = k->config.report;
	struct vm_check_result *r = k->result;
	uint64_t first = k->trail_stop;
	r->instructions = k->count;
	r->blocks = k->blocks;
	if (!to)
		return VM_DIFFERS;
	if (k->blocks - first > TRAIL)
		first = k->blocks - TRAIL;
	fprintf(to, "check: a difference after %" PRIu64 " instructions, %" PRIu64 " blocks: %s\n", done_by_direct(k), k->blocks,
	        r->what);
	if (r->pages)
		fprintf(to, "check: %u pages differ; memory was last the same after %" PRIu64 " instructions\n", r->pages,
		        k->memory_same);
	else
		fprintf(to, "check: the registers were last the same after %" PRIu64 " instructions\n", k->count);
	for (uint64_t n = first; n < k->blocks; n++) {
		fprintf(to, "check:   block at %08x, after %" PRIu64 "\n", k->trail[n % TRAIL].eip, k->trail[n % TRAIL].count);
		disassemble(to, k->p->cpu, k->trail[n % TRAIL].linear, !(k->p->cpu->seg[CPU_CS].attr & 1u << 14));
	}
	tell_state(to, "the direct", k->d);
	tell_state(to, "the portable", k->p);
	return VM_DIFFERS;
}

/* ---- 3. Stepping ---------------------------------------------------------------------------- */

static void step_direct(struct check *k)
{
	const struct cpu *c = k->d->cpu;
	k->trail[k->blocks % TRAIL].count = done_by_direct(k);
	k->trail[k->blocks % TRAIL].eip = c->eip;
	k->trail[k->blocks % TRAIL].linear = c->seg[CPU_CS].base + c->eip;
	k->blocks++;
	k->d_exit = direct_step(k->d->direct);
}

/* A machine that cannot go on, whatever the time. */
static bool is_final(enum cpu_exit exit)
{
	return exit == CPU_EXIT_SHUTDOWN || exit == CPU_EXIT_STOP || exit == CPU_EXIT_NOMEM;
}

static bool follow(struct check *k)
{
	while (done_by_portable(k) < done_by_direct(k)) {
		k->p_exit = cpu_run(k->p->cpu, done_by_direct(k) - done_by_portable(k));
		if (k->p_exit == CPU_EXIT_HALTED || is_final(k->p_exit))
			break;
	}
	return done_by_portable(k) >= done_by_direct(k) ||
	       differs(k, "the portable engine came to its end (exit %d) after %" PRIu64 " instructions, the direct one to %"
	               PRIu64, (int)k->p_exit, done_by_portable(k), done_by_direct(k));
}

/* To the next stop.  false: a difference. */
static bool step(struct check *k)
{
	unsigned left = APART_MAX;
	k->p_exit = CPU_EXIT_BUDGET;
	k->trail_stop = k->blocks;
	do {
		step_direct(k);
		if (!follow(k))
			return false;
	} while (done_by_portable(k) != done_by_direct(k) && !is_final(k->d_exit) && --left);
	if (done_by_portable(k) != done_by_direct(k))
		return differs(k, "the counts do not meet: %" PRIu64 " instructions, must be %" PRIu64, done_by_direct(k),
		               done_by_portable(k));
	if ((is_final(k->d_exit) || is_final(k->p_exit)) && k->d_exit != k->p_exit)
		return differs(k, "exit %d, must be %d", (int)k->d_exit, (int)k->p_exit);
	if (!same_registers(k) || (k->stops++ % FULL_EVERY == 0 && !same_state(k)))
		return false;
	k->count = done_by_direct(k);
	if (k->count < k->next_memory)
		return true;
	while (k->next_memory <= k->count)
		k->next_memory += k->config.every;
	return same_memory(k);
}

/* ---- 4. Looking round ----------------------------------------------------------------------- */

static void set_time(struct check *k)
{
	k->d->now = k->p->now = k->count + k->idle;
}

/* What one hears, the other does. */
static void pump(struct check *k)
{
	struct console *from = &k->d->console, *to = &k->p->console;
	size_t had = from->in_count;
	console_read(k->d);
	for (size_t n = had; n < from->in_count; n++)
		to->in[(to->in_head + to->in_count++) % CONSOLE_IN] = from->in[(from->in_head + n) % CONSOLE_IN];
	console_feed(k->d);
	console_feed(k->p);
}

/* The portable machine says the same to nobody.  (Neither may find its console full.) */
static void speak(struct check *k)
{
	while (k->d->console.out_count > CONSOLE_OUT / 2 && !k->d->console.gone)
		console_drain(&k->d->console, 1000);
	if (k->d->console.out_count)
		console_flush(&k->d->console);
}

/* What the guest asked of the machine's power.  false: the end. */
static bool obey(struct check *k)
{
	struct guest_error error;
	enum board_wish wish = k->d->board->wish(k->d), other = k->p->board->wish(k->p);
	if (wish != other) {
		differs(k, "the guest asked something of the machine's power that it must not (%d, %d)", (int)wish, (int)other);
		k->end = tell(k);
		return false;
	}
	switch (wish) {
	case BOARD_RUN:
		return true;
	case BOARD_POWER_OFF:
		k->end = VM_POWER_OFF;
		return false;
	case BOARD_DEBUG_EXIT:
		k->end = VM_DEBUG_EXIT;
		return false;
	case BOARD_CRASHED:
		k->end = VM_CRASHED;
		return false;
	case BOARD_KILLED:
		k->end = VM_KILLED;
		return false;
	case BOARD_RESET:
		break;
	}
	k->end = VM_RESET;
	if (k->d->config.no_reboot)
		return false;
	k->end = VM_STOPPED;
	return reset_vm(k->d, &error) && reset_vm(k->p, &error);
}

/* Both halted: on to what will wake them.  false: the end. */
static bool rest(struct check *k)
{
	struct vm *vm = k->d;
	uint64_t deadline = vm->board->deadline(vm, 0);
	k->end = VM_STUCK;
	if (vm->board->interrupts_off(vm))
		return false;
	vm->board->flush(vm);
	k->p->board->flush(k->p);
	speak(k);
	if (deadline != UINT64_MAX) {
		if (deadline > vm->now)
			k->idle += deadline - vm->now;
		return true;
	}
	bool ready = console_ready(&vm->console);
	struct pollfd wait[2] = { { .fd = ready ? vm->console.fd.in : -1, .events = POLLIN }, { .fd = vm->wake, .events = POLLIN } };
	if (!console_listens(&vm->console) && !vm->console.in_count)
		return false;
	poll(wait, 2, ready ? 1000 : 200);
	k->looks = 0;
	return true;
}

/* false: the end. */
static bool look_around(struct check *k)
{
	struct vm *d = k->d, *p = k->p;
	set_time(k);
	d->board->poll(d);
	p->board->poll(p);
	if (k->looks++ % INPUT_STOPS == 0) {
		pump(k);
		speak(k);
	}
	if (d->console.out_count > CONSOLE_OUT / 2)
		speak(k);
	k->end = VM_KICKED;
	if (atomic_load_explicit(&d->kicked, memory_order_relaxed) && atomic_exchange(&d->kicked, false))
		return false;
	k->end = VM_HANGUP;
	return !d->console.gone;
}

/* Until the board has work, or was spoken to. */
static bool slice(struct check *k)
{
	struct vm *d = k->d;
	uint64_t deadline = d->board->deadline(d, 0), now = k->count + k->idle, outside = d->outside;
	uint64_t stop = k->count + (deadline > now && deadline - now < SLICE ? deadline - now : SLICE);
	do {
		uint64_t before = k->count;
		if (!step(k)) {
			k->end = tell(k);
			return false;
		}
		if (is_final(k->d_exit)) {
			k->end = k->d_exit == CPU_EXIT_SHUTDOWN ? VM_SHUTDOWN : k->d_exit == CPU_EXIT_STOP ? VM_KILLED : VM_NOMEM;
			return false;
		}
		if (d->cpu->halted && k->count == before)
			return rest(k);
	} while (k->count < stop && d->outside == outside);
	return obey(k);
}

/* ---- 5. vm_check() -------------------------------------------------------------------------- */

static enum vm_end finish(struct check *k)
{
	if (k->end == VM_DIFFERS)
		return k->end;
	if (!same_state(k) || !same_memory(k))
		return tell(k);
	k->result->instructions = k->count;
	k->result->blocks = k->blocks;
	return k->end;
}

enum vm_end vm_check(struct vm *direct, struct vm *portable, const struct vm_check_config *config,
                     struct vm_check_result *result)
{
	struct check k = { .d = direct, .p = portable, .config = *config, .result = result };
	memset(result, 0, sizeof *result);
	k.first_d = cpu_instructions(direct->cpu);
	k.first_p = cpu_instructions(portable->cpu);
	k.next_memory = config->from;
	direct->words[0] = 0;
	while (look_around(&k) && slice(&k))
		;
	direct->board->flush(direct);
	portable->board->flush(portable);
	console_drain(&direct->console, k.end == VM_KICKED ? 200 : 2000);
	k.end = finish(&k);
	if (k.end == VM_SHUTDOWN || k.end == VM_STUCK || k.end == VM_KILLED) {
		size_t used = cpu_describe_state(direct->cpu, direct->words, sizeof direct->words - 1);
		direct->words[used < sizeof direct->words ? used : sizeof direct->words - 1] = 0;
	}
	return k.end;
}
