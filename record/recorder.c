/* SPDX-License-Identifier: MIT */
/*
 * record/recorder.c - write down what the core is asked, and what it is answered.
 *
 *   1. Writing      numbers, items, the header
 *   2. Answers      callbacks with one: asked of the embedder, written, handed on
 *   3. Notices      callbacks without: only their digest is kept, call by call
 *   4. Calls        heard from the core as they begin and end
 *   5. Life
 *
 * Memory is one buffer, whatever the run does.  When the file cannot be written the recording ends
 * there, and the guest runs on as if it had never been.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/codec.h"
#include "record/notice.h"

enum { BUFFER = 65536 };

struct recorder {
	FILE *to;
	struct um_ops ops;          /* ours, as the core knows them */
	const struct um_ops *real;  /* the embedder's */
	void *user;
	unsigned depth;             /* calls begun: look-ups from inside a callback are not recorded */
	bool audit;
	bool on;                    /* not finished, and nothing failed */
	int error;
	uint64_t operations;
	struct um_call call;        /* the one under way */
	uint64_t told;
	uint64_t mode;              /* the core's, enum um_mode */
	uint64_t last[SORTS];
	size_t used;
	uint8_t buf[BUFFER];
};

/* ---- 1. Writing ----------------------------------------------------------------------------- */

static void flush(struct recorder *r)
{
	errno = 0;
	if (r->used && r->on && fwrite(r->buf, 1, r->used, r->to) != r->used) {
		r->error = errno ? errno : EIO;
		r->on = false;
	}
	r->used = 0;
}

static void put_number(struct recorder *r, uint64_t number)
{
	for (; number > 127; number >>= 7)
		r->buf[r->used++] = (uint8_t)(number | 128);
	r->buf[r->used++] = (uint8_t)number;
}

static void put_item(struct recorder *r, const struct record_item *item)
{
	const struct kind_form *form = record_form(item->kind);

	if (r->used > BUFFER - ITEM_BYTES)
		flush(r);
	if (!r->on)
		return;
	r->buf[r->used++] = (uint8_t)item->kind;
	for (unsigned i = 0; i < RECORD_FIELDS && form->sort[i] != NONE; i++) {
		unsigned sort = form->sort[i];
		uint64_t number = item->field[i];

		if (sort >= FIRST_DIFFERENCE) {
			number = fold_sign(item->field[i] - r->last[sort]);
			r->last[sort] = item->field[i];
		}
		put_number(r, number);
	}
}

static void put(struct recorder *r, unsigned kind, uint64_t a, uint64_t b, uint64_t c)
{
	struct record_item item = { kind, { a, b, c } };

	put_item(r, &item);
}

static void put_header(struct recorder *r, const struct um_config *c)
{
	size_t length = strlen(c->format->name);

	memcpy(r->buf, RECORD_MAGIC, MAGIC_BYTES);
	r->used = MAGIC_BYTES;
	put_number(r, RECORD_VERSION);
	put_number(r, length);
	memcpy(r->buf + r->used, c->format->name, length);
	r->used += length;
	put_number(r, (uint64_t)c->learn);
	put_number(r, c->options);
	put_number(r, c->max_gfn);
	put_number(r, c->max_tables);
	put_number(r, c->max_roots);
	put_number(r, c->prefetch);
	put_number(r, c->user_end);
}

/* ---- 2. Answers ----------------------------------------------------------------------------- */

/* Questions between calls are those of tools that only look: no part of the run. */
static bool is_asked(const struct recorder *r)
{
	return r->on && (r->depth || r->audit);
}

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct recorder *r = user;
	bool there = r->real->read_entry(r->user, gpa, bytes, value);

	if (is_asked(r))
		put(r, there ? RECORD_READ : RECORD_ABSENT, gpa, there ? *value : 0, 0);
	return there;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct recorder *r = user;
	bool done = r->real->update_entry(r->user, gpa, bytes, old, value);

	if (is_asked(r))
		put(r, RECORD_UPDATE, gpa, old ^ value, done);
	return done;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct recorder *r = user;
	enum um_grant grant = r->real->get_page(r->user, gfn, write, hfn);
	bool page = grant == UM_GRANT_RAM || grant == UM_GRANT_ROM;

	/* Where there is no page the last number is as good as any, and short. */
	if (is_asked(r))
		put(r, RECORD_PAGE, gfn, (uint64_t)grant | (uint64_t)write << 2,
		    page ? *hfn : r->last[SORT_HFN]);
	return grant;
}

static void *get_table(void *user)
{
	struct recorder *r = user;
	void *table = r->real->get_table(r->user);

	if (is_asked(r))
		put(r, RECORD_TABLE, table != NULL, 0, 0);
	return table;
}

/* ---- 3. Notices ----------------------------------------------------------------------------- */

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct recorder *r = user;

	r->told = add_notice(r->told, NOTICE_PUT_PAGE + dirty, gfn, hfn);
	r->real->put_page(r->user, gfn, hfn, dirty);
}

static void put_table(void *user, void *table)
{
	struct recorder *r = user;

	r->told = add_notice(r->told, NOTICE_PUT_TABLE, 0, 0);
	r->real->put_table(r->user, table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct recorder *r = user;

	r->told = add_notice(r->told, NOTICE_INVALIDATE, first, last);
	r->real->invalidate(r->user, first, last);
}

static void invalidate_all(void *user)
{
	struct recorder *r = user;

	r->told = add_notice(r->told, NOTICE_INVALIDATE_ALL, 0, 0);
	r->real->invalidate_all(r->user);
}

static void invalidate_nonglobal(void *user)
{
	struct recorder *r = user;

	r->told = add_notice(r->told, NOTICE_INVALIDATE_NONGLOBAL, 0, 0);
	if (r->real->invalidate_nonglobal)
		r->real->invalidate_nonglobal(r->user);
	else
		r->real->invalidate_all(r->user);
}

/* What only tagged hardware hears is not in the recording, so that any core's can replay it: of a switch
 * stands there what a core without tagged hardware says. */
static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	struct recorder *r = user;

	r->real->invalidate_root(r->user, root, first, last);
}

static void root_switched(void *user, uint32_t root)
{
	struct recorder *r = user;
	bool nonglobal = r->mode & UM_MODE_PGE;

	r->told = add_notice(r->told, nonglobal ? NOTICE_INVALIDATE_NONGLOBAL : NOTICE_INVALIDATE_ALL, 0, 0);
	r->real->root_switched(r->user, root);
}

static void event(void *user, const struct um_event *what)
{
	const struct recorder *r = user;

	if (r->real->event)
		r->real->event(r->user, what);
}

/* ---- 4. Calls ------------------------------------------------------------------------------- */

static void enter(void *user, const struct um_call *call)
{
	struct recorder *r = user;
	struct record_item item = { .kind = call->kind };

	if (r->depth++)
		return;
	if (call->kind == UM_CALL_SET_MODE)
		r->mode = call->arg[0];
	if (!r->on)
		return;
	r->operations++;
	r->told = 0;
	r->call = *call;
	if (call->kind == UM_CALL_LOOKUP)
		return;
	memcpy(item.field, call->arg, sizeof call->arg);
	put_item(r, &item);
}

static void leave(void *user, uint64_t result, const struct um_map *map)
{
	struct recorder *r = user;
	struct record_item item;

	if (--r->depth || !r->on)
		return;
	if (r->call.kind == UM_CALL_LOOKUP)
		item = record_lookup_item(r->call.arg[0], (unsigned)r->call.arg[1],
		                          (enum um_result)result, map);
	else
		item = record_result_item(result, r->told, map);
	put_item(r, &item);
}

/* ---- 5. Life -------------------------------------------------------------------------------- */

static const struct um_ops recording = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page,
	.put_page = put_page, .get_table = get_table, .put_table = put_table,
	.invalidate = invalidate, .invalidate_all = invalidate_all,
	.invalidate_nonglobal = invalidate_nonglobal, .enter = enter, .leave = leave,
};

struct recorder *recorder_new(FILE *to, struct um_config *config)
{
	struct recorder *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->to = to;
	r->on = true;
	r->ops = recording;
	r->real = config->ops;
	r->user = config->user;
	r->ops.event = event; /* observers come and go */
	if (r->real->invalidate_root) {
		r->ops.invalidate_root = invalidate_root;
		r->ops.root_switched = root_switched;
	}
	put_header(r, config);
	config->ops = &r->ops;
	config->user = r;
	return r;
}

/* Through all fields, as um_get_stats() gives them: every one is a uint64_t. */
static void put_end(struct recorder *r, const struct um *um)
{
	enum { COUNT = sizeof(struct um_stats) / sizeof(uint64_t) };
	union { struct um_stats stats; uint64_t word[COUNT]; } end;

	um_get_stats(um, &end.stats);
	put(r, RECORD_END, um_digest(um), COUNT, 0);
	if (r->used > BUFFER - COUNT * NUMBER_BYTES)
		flush(r);
	for (unsigned i = 0; r->on && i < COUNT; i++)
		put_number(r, end.word[i]);
}

void recorder_finish(struct recorder *r, const struct um *um)
{
	if (!r->on)
		return;
	put(r, RECORD_AUDIT, 0, 0, 0);
	r->audit = true;
	int invariant = um_audit(um).invariant;
	r->audit = false;
	put(r, RECORD_RESULT, (uint64_t)invariant, 0, 0);
	put_end(r, um);
	flush(r);
	errno = 0;
	if (r->on && fflush(r->to) != 0)
		r->error = errno ? errno : EIO;
	r->on = false;
}

int recorder_error(const struct recorder *r, uint64_t *operations)
{
	if (operations)
		*operations = r->operations;
	return r->error;
}

void recorder_free(struct recorder *r)
{
	free(r);
}
