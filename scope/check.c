/* SPDX-License-Identifier: MIT */
/*
 * scope/check.c - checks: what there is, who hears what.
 *
 *   1. The words of -check
 *   2. Life
 *   3. What is heard
 *   4. Of a vm
 */
#include "scope/check_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/vmm.h"

/* ---- 1. The words of -check ----------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned bits;
	const char *help;
} words[] = {
	{ "all", CHECK_ALL, "every one" },
	{ "tlb", CHECK_TLB, "a translation is used that was changed and not flushed" },
	{ "rsvd", CHECK_RSVD, "reserved bits, PS without CR4.PSE, CR3 inside a page" },
	{ "beyond", CHECK_BEYOND, "a mapping is used that leads to no memory and no device" },
	{ "alias", CHECK_ALIAS, "user code can write page tables" },
	{ "wx", CHECK_WX, "a kernel that protects its code runs some in a writable page" },
	{ "freed", CHECK_FREED, "a table that is linked is filled with what cannot be entries" },
	{ "user", CHECK_USER, "user code tries a page of the kernel's" },
	{ "stack", CHECK_STACK, "the page of the running stack is unmapped or made read-only" },
	{ "half", CHECK_HALF, "a kernel entry that another directory has and this one lacks" },
	{ "slot", CHECK_SLOT, "tables looked for in a slot that is not the recursive one" },
	{ "wp", CHECK_WP, "ring 0 writes to a read-only page while CR0.WP is clear" },
	{ "fatal", CHECK_FATAL, "the run ends with the first report, status 20" },
	{ "json", CHECK_JSON, "reports are JSON, one object a line" },
};
#define WORDS (sizeof words / sizeof words[0])

const char *check_word(unsigned k, const char **help)
{
	if (k >= WORDS)
		return NULL;
	*help = words[k].help;
	return words[k].name;
}

bool check_parse(const char *list, unsigned *what, const char **bad)
{
	*what = 0;
	for (const char *at = list;; at++) {
		size_t length = strcspn(at, ","), n = 0;
		while (n < WORDS && (strlen(words[n].name) != length || strncmp(words[n].name, at, length) != 0))
			n++;
		if (n == WORDS) {
			*bad = at;
			return false;
		}
		*what |= words[n].bits;
		at += length;
		if (!*at)
			return true;
	}
}

/* ---- 2. Life -------------------------------------------------------------------------------- */

static size_t read_target(void *check, uint64_t gpa, void *buf, size_t bytes)
{
	const struct check *k = check;
	return k->target.read(k->target.user, gpa, buf, bytes);
}

uint32_t table_word(const struct check *k, uint64_t gpa)
{
	uint32_t word = 0;
	return k->target.read(k->target.user, gpa, &word, sizeof word) == sizeof word ? word : 0;
}

static bool open_parts(struct check *k)
{
	void *suspect = mmap(NULL, sizeof *k->suspect * PAGES, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	k->suspect = suspect == MAP_FAILED ? NULL : suspect;
	return k->suspect && model_open(&k->model) && writers_open(&k->writers);
}

struct check *check_attach(const struct check_target *target, const struct check_config *config)
{
	struct check *k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	k->what = config->what & CHECK_ALL ? config->what : config->what | CHECK_ALL;
	k->symbols = config->symbols;
	k->to = config->to;
	k->target = *target;
	k->space.user = k;
	k->space.read = read_target;
	k->space.ram_bytes = target->ram_bytes;
	if (!open_parts(k)) {
		check_free(k);
		return NULL;
	}
	const struct um_event now = { .kind = UM_EV_MODE, .gpa = cpu_get_cr3(target->cpu) & PTE_FRAME,
		                      .value = um_mode(target->um) };
	tlb_event(k, &now);
	return k;
}

/* ---- 3. What is heard ----------------------------------------------------------------------- */

void check_event(struct check *k, const struct um_event *event)
{
	tlb_event(k, event);
	if (event->kind == UM_EV_TRACKED)
		writers_hear(k, event);
	else if (event->kind == UM_EV_SWITCH || event->kind == UM_EV_MODE)
		judge_root(k), tables_root(k);
}

#define TABLES (CHECK_HALF | CHECK_SLOT | CHECK_WP)
#define OTHERS (CHECK_ALL & ~(unsigned)(CHECK_TLB | CHECK_FREED | CHECK_STACK | TABLES))

bool check_access(struct check *k, const struct cpu_access *access)
{
	bool near_end = (access->linear & 0xFFFu) > 0x1000u - 4u * WRITE_WORDS;
	if (checks(k, OTHERS) && !judge_access(k, access))
		return false;
	if (checks(k, TABLES) && !tables_access(k, access))
		return false;
	if (checks(k, CHECK_TLB) && !k->target.paravirtual && !tlb_access(k, access))
		return false;
	if (access->result == UM_TRACKED || (access->access & UM_WRITE && access->result == UM_OK && near_end))
		return writers_expect(k, access);
	return true;
}

void check_absent(struct check *k, bool write, um_gpa gpa, unsigned bytes)
{
	judge_absent(k, write, gpa, bytes);
}

/* ---- 4. Of a vm ----------------------------------------------------------------------------- */

static void hear_event(void *check, const struct um_event *event)
{
	check_event(check, event);
}

static bool hear_access(void *check, const struct cpu_access *access)
{
	return check_access(check, access);
}

static void hear_absent(void *check, bool write, um_gpa gpa, unsigned bytes)
{
	check_absent(check, write, gpa, bytes);
}

/* Nobody wrote what is there now. */
static void hear_replaced(void *check)
{
	struct check *k = check;
	writers_forget(&k->writers);
}

static size_t read_vm(void *vm, uint64_t gpa, void *buf, size_t bytes)
{
	return vm_read_physical(vm, gpa, buf, bytes);
}

static void stop_vm(void *vm, const char *why)
{
	vm_abort(vm, why);
}

struct check *check_new(struct vm *vm, const struct check_config *config)
{
	const struct check_target target = {
		.cpu = vm_cpu(vm), .um = vm_shadow(vm), .user = vm, .read = read_vm, .ram_bytes = vm_ram_bytes(vm),
		.paravirtual = vm_lguest(vm) != NULL, .stop = stop_vm,
	};
	struct check *k = check_attach(&target, config);
	if (!k)
		return NULL;
	k->observer = (struct vm_observer){ .user = k, .event = hear_event, .access = hear_access, .absent = hear_absent,
	                                    .replaced = hear_replaced };
	if (!vm_observe(vm, &k->observer)) {
		check_free(k);
		return NULL;
	}
	k->vm = vm;
	return k;
}

bool check_end(struct check *k)
{
	tables_end(k);
	return checks(k, CHECK_FATAL) && k->reports.count;
}

void check_free(struct check *k)
{
	if (!k)
		return;
	if (k->vm)
		vm_unobserve(k->vm, &k->observer);
	writers_close(&k->writers);
	model_close(&k->model);
	if (k->suspect)
		munmap(k->suspect, sizeof *k->suspect * PAGES);
	free(k);
}
