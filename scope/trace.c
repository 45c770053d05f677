/* SPDX-License-Identifier: MIT */
/*
 * scope/trace.c - what happens, as records.
 *
 *   1. Records        what every one has
 *   2. Instructions   which one it was: flushes are the last of their block
 *   3. Causes         why the guest's access faults
 *   4. Events         the core's
 *   5. Accesses       which instruction it was, once more; writes to tables, devices
 *   6. Interrupts, absent memory
 *   7. Life
 *
 * The core tells of an entry while an access is under way, before the processor's observer hears of the access.  In the
 * middle of a block nobody knows the instruction then.  So such records stay open: the observer asks for the instruction
 * again, and as it makes its access once more, now alone, they get its address.  Two things are different the second
 * time: a fault of the guest's is reported anew (the first report is taken back), an entry that was built is there.
 */
#include "scope/trace.h"

#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "scope/space.h"
#include "scope/trace_internal.h"

/* ---- 1. Records ----------------------------------------------------------------------------- */

static struct trace_record begin(struct trace *t, enum trace_kind kind)
{
	struct cpu *cpu = vm_cpu(t->vm);
	struct cpu_regs regs;
	struct um_stats stats;
	bool exact;

	cpu_get_regs(cpu, &regs);
	um_get_stats(vm_shadow(t->vm), &stats);
	struct trace_record r = {
		.kind = (uint8_t)kind,
		.ns = vm_now(t->vm),
		.instructions = cpu_instructions(cpu),
		.cr3 = cpu_get_cr3(cpu),
		.cpl = regs.cpl,
		.entries = (uint32_t)stats.entries,
		.tables = (uint32_t)stats.tables,
	};
	r.eip = cpu_running_eip(cpu, &exact);
	r.flags = exact ? TRACE_EXACT : 0;
	return r;
}

static void set_linear(struct trace_record *r, um_gva linear)
{
	r->linear = (uint32_t)linear;
	r->flags |= TRACE_HAS_LINEAR;
}

static void set_gpa(struct trace_record *r, um_gpa gpa)
{
	r->gpa = gpa;
	r->flags |= TRACE_HAS_GPA;
}

static void by_host(struct trace_record *r)
{
	r->flags = (uint8_t)((r->flags & ~(unsigned)TRACE_EXACT) | TRACE_HOST);
	r->eip = 0;
}

/* Into the ring, if it is wanted.  Returns where it is, or NULL. */
static struct trace_record *keep(struct trace *t, const struct trace_record *r)
{
	if (!trace_filter_takes(&t->filter, r))
		return NULL;
	struct trace_record *kept = ring_push(&t->ring);
	uint64_t seq = kept->seq;
	*kept = *r;
	kept->seq = seq;
	return kept;
}

/* ---- 2. Instructions ------------------------------------------------------------------------ */

#define BLOCK_INSTRUCTIONS 256u /* at least as many as a decoded block has (cpu/block.c) */

static bool ends_block(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operand)
{
	if (z->mnemonic == ZYDIS_MNEMONIC_INVLPG || z->mnemonic == ZYDIS_MNEMONIC_LMSW ||
	    z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || z->meta.category == ZYDIS_CATEGORY_INTERRUPT ||
	    z->meta.category == ZYDIS_CATEGORY_RET)
		return true;
	return z->mnemonic == ZYDIS_MNEMONIC_MOV && operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand[0].reg.value) == ZYDIS_REGCLASS_CONTROL;
}

/* What switches or flushes is the last of its block: go there from the first. */
static void find_end(struct trace *t, struct trace_record *r)
{
	struct cpu_state s;
	ZydisDecoder decoder;
	uint32_t eip = r->eip;

	if (r->flags & TRACE_EXACT)
		return;
	cpu_get_state(vm_cpu(t->vm), &s);
	bool wide = s.seg[CPU_CS].attr & 0x4000 && !(s.eflags & 1u << 17); /* CS.D, not V86 */
	ZydisDecoderInit(&decoder, wide ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
	                 wide ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	for (unsigned k = 0; k < BLOCK_INSTRUCTIONS; k++) {
		ZydisDecodedInstruction z;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		uint8_t bytes[15];
		size_t have = cpu_peek(vm_cpu(t->vm), s.seg[CPU_CS].base + eip, bytes, sizeof bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &z, operands)))
			return;
		if (ends_block(&z, operands)) {
			r->eip = eip;
			r->instructions += k;
			r->flags |= TRACE_EXACT;
			return;
		}
		eip += z.length;
	}
}

/* ---- 3. Causes ------------------------------------------------------------------------------ */

static enum trace_cause cause_of(const struct space_walk *w, const struct trace_record *r)
{
	if (w->reserved || r->error & UM_RSVD)
		return TRACE_CAUSE_RESERVED;
	if (w->outside)
		return TRACE_CAUSE_OUTSIDE;
	if (!(w->pde & 1))
		return TRACE_CAUSE_PDE;
	if (!w->present)
		return TRACE_CAUSE_PTE;
	if (r->error & UM_USER && !w->user)
		return TRACE_CAUSE_SUPERVISOR;
	if (r->error & UM_WRITE && !w->writable)
		return TRACE_CAUSE_READ_ONLY;
	return TRACE_CAUSE_WINDOW;
}

static void explain_fault(struct trace *t, struct trace_record *r)
{
	struct space space;
	struct space_walk walk;

	space_of_vm(&space, t->vm, NULL);
	space_walk(&space, r->linear, &walk);
	r->cause = (uint8_t)cause_of(&walk, r);
	r->value = walk.pte_gpa ? walk.pte : walk.pde;
}

/* ---- 4. Events ------------------------------------------------------------------------------ */

static const uint8_t kind_of[] = {
	[UM_EV_FILL] = TRACE_FILL, [UM_EV_PREFETCH] = TRACE_PREFETCH, [UM_EV_REFLECT] = TRACE_FAULT,
	[UM_EV_TRACKED] = TRACE_WRITE, [UM_EV_UNSYNC] = TRACE_UNSYNC, [UM_EV_SYNC] = TRACE_SYNC,
	[UM_EV_SET_PTE] = TRACE_SET_PTE, [UM_EV_SET_PDE] = TRACE_SET_PDE, [UM_EV_SWITCH] = TRACE_SWITCH,
	[UM_EV_FLUSH_USER] = TRACE_FLUSH_USER, [UM_EV_FLUSH_ALL] = TRACE_FLUSH_ALL,
	[UM_EV_FLUSH_PAGE] = TRACE_FLUSH_PAGE, [UM_EV_EVICT] = TRACE_EVICT, [UM_EV_FORGET] = TRACE_FORGET,
	[UM_EV_STOP] = TRACE_STOP, [UM_EV_MODE] = TRACE_MODE,
};

/* A frame's table word as it is now. */
static uint32_t read_word(struct trace *t, um_gpa gpa)
{
	uint32_t word = 0;
	vm_read_physical(t->vm, gpa & ~(um_gpa)3, &word, sizeof word);
	return word;
}

/* (What is announced by an instruction that faults then is written by nobody.) */
static bool is_writing(const struct trace *t, const struct trace_writer *w, um_gpa gpa)
{
	return w->is && !((w->gpa ^ gpa) & ~(um_gpa)3) && w->instructions == cpu_instructions(vm_cpu(t->vm));
}

/* The write that was announced, or somebody else's. */
static void fill_write(struct trace *t, struct trace_record *r, const struct um_event *e)
{
	set_gpa(r, e->gpa & ~(um_gpa)3);
	r->value = read_word(t, e->gpa);
	r->error = (uint32_t)e->value; /* bytes */
	struct trace_writer *w = t->writer;
	while (w < t->writer + 2 && !is_writing(t, w, e->gpa))
		w++;
	if (w == t->writer + 2) {
		by_host(r);
		return;
	}
	w->is = false;
	set_linear(r, w->linear);
	r->access = (uint8_t)w->access;
	r->eip = w->eip;
	r->old = w->old;
	r->instructions = w->instructions;
	r->flags |= TRACE_EXACT;
}

static void fill_record(struct trace *t, struct trace_record *r, const struct um_event *e)
{
	switch (e->kind) {
	case UM_EV_FILL:
	case UM_EV_PREFETCH:
		set_linear(r, e->gva);
		set_gpa(r, e->gpa);
		r->rights = e->value & (UM_WRITE | UM_USER); /* in their hardware places */
		r->flags |= e->value & 1u << 8 ? TRACE_GLOBAL : 0;
		break;
	case UM_EV_REFLECT:
		set_linear(r, e->gva);
		r->error = (uint32_t)e->value;
		r->access = e->value & (UM_WRITE | UM_USER | UM_FETCH);
		r->flags |= TRACE_HAS_ERROR;
		explain_fault(t, r);
		break;
	case UM_EV_TRACKED:
		fill_write(t, r, e);
		break;
	case UM_EV_FORGET:
		by_host(r); /* fall through */
	case UM_EV_UNSYNC:
	case UM_EV_SYNC:
	case UM_EV_EVICT:
		set_gpa(r, e->gpa);
		r->value = (uint32_t)e->value;
		break;
	case UM_EV_SET_PTE:
		set_linear(r, e->gva);
		set_gpa(r, e->gpa);
		r->value = (uint32_t)e->value;
		break;
	case UM_EV_SET_PDE:
		set_gpa(r, e->gpa);
		r->value = (uint32_t)e->gva;
		break;
	case UM_EV_SWITCH:
	case UM_EV_MODE:
		r->value = (uint32_t)e->value;
		r->cr3 = (uint32_t)e->gpa;
		find_end(t, r);
		break;
	case UM_EV_FLUSH_PAGE:
		set_linear(r, e->gva);
		find_end(t, r);
		break;
	case UM_EV_FLUSH_USER:
	case UM_EV_FLUSH_ALL:
		find_end(t, r);
		break;
	case UM_EV_STOP:
		set_linear(r, e->gva);
		r->value = (uint32_t)e->value;
		break;
	}
}

/* Those that are open were this instruction's. */
static void complete(struct trace *t, uint32_t eip, uint64_t instructions)
{
	uint64_t from = t->open > t->ring.first ? t->open : t->ring.first;

	for (uint64_t seq = from; t->open && seq < t->ring.next; seq++) {
		struct trace_record *r = ring_at(&t->ring, seq);
		bool its = r->kind == TRACE_FILL || r->kind == TRACE_PREFETCH || r->kind == TRACE_EVICT ||
		           r->kind == TRACE_UNSYNC || r->kind == TRACE_SYNC;
		if (!its || r->flags & TRACE_EXACT)
			continue;
		r->eip = eip;
		r->instructions = instructions;
		r->flags |= TRACE_EXACT;
	}
	t->open = 0;
}

/* Happens in the middle of an access, which the observer hears of next. */
static bool belongs_to_access(enum um_event_kind kind)
{
	return kind == UM_EV_FILL || kind == UM_EV_PREFETCH || kind == UM_EV_REFLECT || kind == UM_EV_EVICT ||
	       kind == UM_EV_UNSYNC || kind == UM_EV_SYNC;
}

/* Those that are open belong to one access.  Another one comes first, an interrupt's: they stay as they are. */
static void open_record(struct trace *t, const struct trace_record *r)
{
	bool names_it = r->kind == TRACE_FILL || r->kind == TRACE_FAULT;

	if (!t->open || (names_it && t->open_named && t->open_linear != r->linear)) {
		t->open = r->seq;
		t->open_named = false;
	}
	if (names_it) {
		t->open_linear = r->linear;
		t->open_named = true;
	}
}

static void take_event(void *user, const struct um_event *e)
{
	struct trace *t = user;

	if ((size_t)e->kind >= sizeof kind_of)
		return;
	struct trace_record r = begin(t, (enum trace_kind)kind_of[e->kind]), *kept;
	fill_record(t, &r, e);
	kept = keep(t, &r);
	if (kept && belongs_to_access(e->kind) && !(r.flags & TRACE_EXACT))
		open_record(t, kept);
	else if (!belongs_to_access(e->kind) && r.flags & TRACE_EXACT && !(r.flags & TRACE_HOST))
		complete(t, r.eip, r.instructions); /* a flush, and what it brought in step */
	else if (!belongs_to_access(e->kind))
		t->open = 0;
	out_drain(t, false);
}

/* ---- 5. Accesses ---------------------------------------------------------------------------- */

/* A fault that was told of without its instruction: it is told of again. */
static void take_back_fault(struct trace *t)
{
	while (t->open && t->ring.next > t->open && ring_at(&t->ring, t->ring.next - 1)->kind == TRACE_FAULT)
		ring_pop(&t->ring);
	if (t->open && t->ring.next <= t->open)
		t->open = 0;
}

/* What was asked and how, to the FILL at the end of the ring. */
static void note_access(struct trace *t, const struct cpu_access *a)
{
	for (uint64_t seq = t->ring.next; seq-- > t->ring.first && t->ring.next - seq <= 1 + 2 * 64u;) {
		struct trace_record *r = ring_at(&t->ring, seq);
		if (r->kind != TRACE_FILL && r->kind != TRACE_PREFETCH)
			return;
		if (r->kind != TRACE_FILL)
			continue;
		if (r->linear == a->linear && !r->cause) {
			r->access = (uint8_t)a->access;
			r->cause = a->access & UM_WRITE ? TRACE_CAUSE_FIRST_WRITE : TRACE_CAUSE_MISSING;
		}
		return;
	}
}

static bool wants(const struct trace *t, enum trace_kind kind)
{
	return t->filter.kinds & 1u << kind;
}

static void announce_write(struct trace *t, const struct cpu_access *a)
{
	/* One that reads first, or tries whether it may write, comes by twice. */
	struct trace_writer *w = &t->writer[(t->next_writer - 1) % 2];
	if (!w->is || w->gpa != a->map->gpa)
		w = &t->writer[t->next_writer++ % 2];
	*w = (struct trace_writer){
		.is = true,
		.linear = a->linear,
		.gpa = a->map->gpa,
		.eip = a->eip,
		.old = read_word(t, a->map->gpa),
		.access = a->access,
		.instructions = cpu_instructions(vm_cpu(t->vm)),
	};
}

static void add_mmio(struct trace *t, const struct cpu_access *a)
{
	struct trace_record r = begin(t, TRACE_MMIO);
	set_linear(&r, a->linear);
	set_gpa(&r, a->map->gpa);
	r.access = (uint8_t)a->access;
	keep(t, &r);
}

/* Returns false to be asked again. */
static bool take_access(void *user, const struct cpu_access *a)
{
	struct trace *t = user;

	switch (a->result) {
	case UM_FAULT:
		if (!a->exact && wants(t, TRACE_FAULT)) {
			take_back_fault(t);
			return false;
		}
		break;
	case UM_TRACKED:
		if (!wants(t, TRACE_WRITE))
			break;
		if (!a->exact)
			return false;
		announce_write(t, a);
		break;
	case UM_MMIO:
		if (!wants(t, TRACE_MMIO))
			break;
		if (!a->exact)
			return false;
		add_mmio(t, a);
		break;
	default:
		note_access(t, a);
		break;
	}
	if (!t->open)
		return true;
	bool its = t->open_named && a->linear == t->open_linear;
	if (its && a->exact) {
		complete(t, a->eip, cpu_instructions(vm_cpu(t->vm)));
		out_drain(t, false);
	}
	return !its || a->exact;
}

/* ---- 6. Interrupts, absent memory ----------------------------------------------------------- */

static void take_interrupt(void *user, unsigned vector, bool software, bool has_error, uint32_t error)
{
	struct trace *t = user;
	struct trace_record r = begin(t, TRACE_INTERRUPT);

	r.value = vector;
	r.error = error;
	r.flags |= (uint8_t)((software ? TRACE_SOFTWARE : 0) | (has_error ? TRACE_HAS_ERROR : 0));
	if (vector == 14 && has_error)
		set_linear(&r, cpu_get_cr2(vm_cpu(t->vm)));
	if (software)
		find_end(t, &r);
	keep(t, &r);
	out_drain(t, false);
}

static void take_absent(void *user, bool write, um_gpa gpa, unsigned bytes)
{
	struct trace *t = user;
	struct trace_record r = begin(t, TRACE_ABSENT);

	set_gpa(&r, gpa);
	r.value = bytes;
	r.access = write ? UM_WRITE : UM_READ;
	keep(t, &r);
	out_drain(t, false);
}

/* ---- 7. Life -------------------------------------------------------------------------------- */

struct trace *trace_new(struct vm *vm, const struct symbols *symbols, size_t bytes)
{
	struct trace *t = calloc(1, sizeof *t);

	if (!t || bytes < TRACE_RING_MIN || bytes > TRACE_RING_MAX || !ring_make(&t->ring, bytes)) {
		free(t);
		return NULL;
	}
	t->vm = vm;
	t->symbols = symbols;
	t->out.fd = -1;
	t->cleared = t->ring.next;
	trace_filter_default(&t->filter);
	return t;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	trace_stop(t);
	trace_close_file(t);
	text_free(&t->out.waiting);
	ring_free(&t->ring);
	free(t);
}

bool trace_start(struct trace *t, const struct trace_filter *filter, struct symbols_error *error)
{
	trace_stop(t);
	t->filter = *filter;
	t->observer = (struct vm_observer){ .user = t, .event = take_event, .access = take_access };
	if (filter->kinds & 1u << TRACE_INTERRUPT)
		t->observer.interrupt = take_interrupt;
	if (filter->kinds & 1u << TRACE_ABSENT)
		t->observer.absent = take_absent;
	if (!vm_observe(t->vm, &t->observer)) {
		snprintf(error->text, sizeof error->text, "%u others observe this guest already", VM_OBSERVERS_MAX);
		return false;
	}
	t->running = true;
	return true;
}

void trace_stop(struct trace *t)
{
	if (!t->running)
		return;
	vm_unobserve(t->vm, &t->observer);
	t->running = t->writer[0].is = t->writer[1].is = false;
	t->open = 0;
	out_drain(t, true);
}

bool trace_running(const struct trace *t)
{
	return t && t->running;
}
