/* SPDX-License-Identifier: MIT */
/*
 * scope/check_report.c - findings: each place once, a bounded number.
 *
 * A place is what was found, the instruction that met it and the one that wrote the entry.  A place that is met again is
 * counted; when there is no room for more places, those are counted together.
 */
#include "scope/check_internal.h"

#include "vmm/vmm.h"

bool locate(struct check *k, struct finding *f)
{
	struct written here = { 0 };
	writers_see(k, &here);
	f->eip = here.eip;
	f->exact = here.exact;
	f->ring = here.ring;
	f->cr3 = here.cr3;
	f->at = here.at;
	return f->exact;
}

static bool is_same_place(const struct finding *a, const struct finding *b)
{
	return a->kind == b->kind && a->eip == b->eip && a->is_written == b->is_written &&
	       (!a->is_written || (a->write.eip == b->write.eip && a->write.device == b->write.device));
}

static uint32_t hash_of(const struct finding *f)
{
	uint32_t hash = f->eip * 2654435761u ^ (f->is_written ? f->write.eip * 40503u : 0u) ^ (uint32_t)f->kind << 24;
	return hash ^ hash >> 15;
}

/* `f` NULL: there is no room for more of this kind. */
static void say(struct check *k, enum finding_kind kind, const struct finding *f)
{
	struct text out = { 0 };
	if (!k->to)
		return;
	if (k->vm)
		vm_console_flush(k->vm); /* what the guest said before comes before */
	if (!f)
		finding_full(k, kind, &out);
	else if (checks(k, CHECK_JSON))
		finding_json(k, f, &out);
	else
		finding_text(k, f, &out);
	text_add(&out, "\n");
	fputs(text_string(&out), k->to);
	fflush(k->to);
	text_free(&out);
}

static void count_only(struct check *k, enum finding_kind kind)
{
	k->reports.more++;
	if (!k->reports.full[kind])
		say(k, kind, NULL);
	k->reports.full[kind] = true;
}

void report(struct check *k, const struct finding *finding)
{
	struct reports *r = &k->reports;
	if (!checks(k, finding_check(finding->kind)))
		return;
	r->met++;
	/* There are more buckets than places, so an empty one is found. */
	uint32_t at = hash_of(finding) % REPORT_BUCKETS;
	for (; r->bucket[at]; at = (at + 1) % REPORT_BUCKETS)
		if (is_same_place(&r->list[r->bucket[at] - 1], finding)) {
			r->list[r->bucket[at] - 1].count++;
			return;
		}
	if (r->of_kind[finding->kind] == REPORTS_EACH) {
		count_only(k, finding->kind);
		return;
	}
	r->of_kind[finding->kind]++;
	r->list[r->count] = *finding;
	r->list[r->count].count = 1;
	r->bucket[at] = (uint16_t)++r->count;
	say(k, finding->kind, &r->list[r->count - 1]);
	if (checks(k, CHECK_FATAL) && k->target.stop)
		k->target.stop(k->target.user, CHECK_FATAL_WHY);
}
