/* SPDX-License-Identifier: MIT */
/* tests/lib/pt_space.c - see pt_space.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/pt_space.h"
#include "tests/lib/schema.h"

static size_t read_ram(void *user, uint64_t gpa, void *buf, size_t bytes)
{
	struct pt_ram *r = user;
	r->reads++;
	if (gpa >= r->bytes)
		return 0;
	if (bytes > r->bytes - gpa)
		bytes = (size_t)(r->bytes - gpa);
	memcpy(buf, (const uint8_t *)r->words + gpa, bytes);
	return bytes;
}

void pt_ram_start(struct pt_ram *r, uint64_t bytes)
{
	*r = (struct pt_ram){ .words = calloc(1, (size_t)bytes), .bytes = bytes };
	assert_non_null(r->words);
	r->space = (struct space){ .user = r, .read = read_ram, .ram_bytes = bytes, .cr0 = SPACE_CR0, .cr4 = SPACE_CR4 };
}

void pt_ram_end(struct pt_ram *r)
{
	free(r->words);
	r->words = NULL;
}

bool pt_ram_ref_read(void *user, uint64_t gpa, uint32_t *value)
{
	const struct pt_ram *r = user;
	if (gpa + 4 > r->bytes)
		return false;
	*value = r->words[gpa / 4];
	return true;
}

uint32_t pt_ref_mode(const struct space *s)
{
	return (s->cr0 >> 31 ? REF_PG : 0u) | (s->cr0 >> 16 & 1 ? REF_WP : 0u) | (s->cr4 >> 4 & 1 ? REF_PSE : 0u) |
	       (s->cr4 >> 7 & 1 ? REF_PGE : 0u);
}

const char *view(const struct space *space, struct text *out, const char *line)
{
	char why[512];
	text_clear(out);
	if (!pt_line(space, line, out, why, sizeof why))
		fail_msg("pt %s: %s", line, why);
	if (strstr(line, "--json")) {
		if (!schema_holds("docs/pt.schema.json", text_string(out), out->size, why, sizeof why))
			fail_msg("pt %s: %s in %.2000s", line, why, text_string(out));
	} else {
		fits_80(text_string(out));
	}
	return text_string(out);
}

void refused(const struct space *space, const char *line, const char *word)
{
	struct text out = { 0 };
	char why[512] = "";
	assert_false(pt_line(space, line, &out, why, sizeof why));
	assert_int_equal(out.size, 0);
	has_text(why, word);
	assert_null(strchr(why, '\n'));
	text_free(&out);
}

void fits_80(const char *text)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		if (length > 80)
			fail_msg("%zu columns: %.*s", length, (int)length, line);
		line += length + (line[length] == '\n');
	}
}

void has_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

void has_no_text(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' is in:\n%s", part, text);
}
