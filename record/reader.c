/* SPDX-License-Identifier: MIT */
/*
 * record/reader.c - from a file to items.  The file is anybody's: nothing in it is believed.
 *
 *   1. Bytes      a buffer, and what is wrong
 *   2. Numbers
 *   3. The header
 *   4. Items
 *
 * Memory is the reader itself, and every step takes bytes: a file cannot make it wait or grow.
 */
#include <errno.h>
#include <string.h>

#include "record/codec.h"

/* ---- 1. Bytes ------------------------------------------------------------------------------- */

static bool fail(struct record_reader *r, enum record_problem problem, const char *text)
{
	if (r->problem == RECORD_FINE) {
		r->problem = problem;
		r->text = text;
	}
	return false;
}

static bool refill(struct record_reader *r)
{
	r->consumed += r->at;
	r->at = 0;
	errno = 0;
	r->have = fread(r->buf, 1, sizeof r->buf, r->from);
	if (r->have)
		return true;
	if (!ferror(r->from))
		return false;
	r->error = errno ? errno : EIO;
	return fail(r, RECORD_ERROR, "cannot be read");
}

static bool at_end(struct record_reader *r)
{
	return r->at == r->have && !refill(r);
}

static bool get_byte(struct record_reader *r, uint8_t *byte)
{
	if (at_end(r))
		return fail(r, RECORD_CUT, "the recording is cut off");
	*byte = r->buf[r->at++];
	return true;
}

/* ---- 2. Numbers ----------------------------------------------------------------------------- */

static bool get_number(struct record_reader *r, uint64_t *number)
{
	unsigned shift = 0;
	uint8_t byte;

	*number = 0;
	do {
		if (!get_byte(r, &byte))
			return false;
		if (shift == 63 && byte > 1)
			return fail(r, RECORD_BAD, "a number has more than 64 bits");
		*number |= (uint64_t)(byte & 127) << shift;
		shift += 7;
	} while (byte & 128);
	return true;
}

static bool get_word(struct record_reader *r, uint32_t *word)
{
	uint64_t number;

	if (!get_number(r, &number))
		return false;
	*word = (uint32_t)number;
	return number <= UINT32_MAX || fail(r, RECORD_BAD, "a setting is out of range");
}

/* ---- 3. The header -------------------------------------------------------------------------- */

static bool get_bytes(struct record_reader *r, char *to, size_t count)
{
	uint8_t byte;

	for (size_t i = 0; i < count; i++) {
		if (!get_byte(r, &byte))
			return false;
		to[i] = (char)byte;
	}
	return true;
}

static bool get_format(struct record_reader *r, const struct um_format **format)
{
	static const struct um_format *const known[] = { &um_format_i386 };
	char name[NAME_BYTES + 1] = "";
	uint64_t length;

	if (!get_number(r, &length))
		return false;
	if (length > NAME_BYTES)
		return fail(r, RECORD_BAD, "the format's name is too long");
	if (!get_bytes(r, name, length))
		return false;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(known[i]->name, name) == 0) {
			*format = known[i];
			return true;
		}
	return fail(r, RECORD_BAD, "page tables of a format that this umbra does not know");
}

static bool get_config(struct record_reader *r, struct um_config *c)
{
	uint32_t learn;

	if (!get_format(r, &c->format) || !get_word(r, &learn) || !get_word(r, &c->options) ||
	    !get_number(r, &c->max_gfn) || !get_word(r, &c->max_tables) ||
	    !get_word(r, &c->max_roots) || !get_word(r, &c->prefetch) ||
	    !get_number(r, &c->user_end))
		return false;
	if (learn > INT32_MAX)
		return fail(r, RECORD_BAD, "a setting is out of range");
	c->learn = (enum um_learn)learn;
	return true;
}

bool record_open(struct record_reader *r, FILE *from)
{
	char magic[MAGIC_BYTES];
	uint64_t version;

	memset(r, 0, offsetof(struct record_reader, buf));
	r->from = from;
	if (at_end(r))
		return fail(r, RECORD_BAD, "is empty");
	if (!get_bytes(r, magic, sizeof magic) || memcmp(magic, RECORD_MAGIC, MAGIC_BYTES) != 0) {
		if (r->problem == RECORD_CUT)
			r->problem = RECORD_FINE;
		return fail(r, RECORD_BAD, "is not a recording");
	}
	if (!get_number(r, &version))
		return false;
	if (version != RECORD_VERSION)
		return fail(r, RECORD_BAD, "a recording of another version of umbra");
	return get_config(r, &r->config);
}

/* ---- 4. Items ------------------------------------------------------------------------------- */

static bool get_stats(struct record_reader *r, uint64_t count)
{
	if (count > RECORD_STATS)
		return fail(r, RECORD_BAD, "too many statistics");
	for (r->stats_count = 0; r->stats_count < count; r->stats_count++)
		if (!get_number(r, &r->stats[r->stats_count]))
			return false;
	r->ended = true;
	return at_end(r) || fail(r, RECORD_BAD, "something follows the end");
}

bool record_next(struct record_reader *r, struct record_item *item)
{
	const struct kind_form *form;
	uint8_t kind;

	if (r->problem != RECORD_FINE || r->ended)
		return false;
	r->offset = r->consumed + r->at;
	if (!get_byte(r, &kind))
		return false;
	form = record_form(kind);
	if (!form)
		return fail(r, RECORD_BAD, "an operation of an unknown kind");
	memset(item, 0, sizeof *item);
	item->kind = kind;
	for (unsigned i = 0; i < RECORD_FIELDS && form->sort[i] != NONE; i++) {
		unsigned sort = form->sort[i];

		if (!get_number(r, &item->field[i]))
			return false;
		if (sort >= FIRST_DIFFERENCE)
			item->field[i] = r->last[sort] += unfold_sign(item->field[i]);
	}
	return kind != RECORD_END || get_stats(r, item->field[1]);
}
