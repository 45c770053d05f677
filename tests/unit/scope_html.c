/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_html.c - the page's data: valid, bounded, and unable to end the element that it stands in.
 *
 *   1. Spaces      made by hand: full, random, recursive, empty
 *   2. The data
 *   3. The page    (scope_html page KIND FILE writes one, for tests/guests/html.sh)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "scope/html.h"
#include "scope/pt.h"
#include "tests/lib/tap.h"

/* ---- 1. Spaces ------------------------------------------------------------------------------ */

enum kind { FULL, RANDOM, RECURSIVE, EMPTY, KINDS };
static const char *const kind_names[KINDS] = { "full", "random", "recursive", "empty" };

/* A directory at 0 and 1,024 tables behind it; where everything is slow a few of them are led to. */
#define TABLES 1024u
static uint32_t directories(void) { return getenv("TEST_QUICK") ? 16 : TABLES; }

struct made {
	uint32_t word[(1 + TABLES) * 1024u];
	struct space space;
};

static size_t read_made(void *user, uint64_t gpa, void *buf, size_t bytes)
{
	const struct made *m = user;
	if (gpa >= sizeof m->word)
		return 0;
	size_t there = sizeof m->word - (size_t)gpa;
	if (bytes > there)
		bytes = there;
	memcpy(buf, (const char *)m->word + gpa, bytes);
	return bytes;
}

static struct made *make(enum kind kind)
{
	struct made *m = calloc(1, sizeof *m);
	uint32_t seed = 1;
	assert_non_null(m);
	m->space = (struct space){ .user = m, .read = read_made, .ram_bytes = sizeof m->word, .cr0 = 0x80010001, .cr4 = 0x90,
		                   .eip = 0xC0100123, .esp = 0xC0200000 };
	for (uint32_t k = 0; k < directories() && kind != EMPTY; k++)
		m->word[k] = kind == RECURSIVE ? 3 : (k + 1) << 12 | 7;
	for (uint32_t k = 1024; k < 1024 * (1 + directories()) && (kind == FULL || kind == RANDOM); k++) {
		seed = seed * 1664525u + 1013904223u;
		/* full: every page with other rights than its neighbours; random: anything, mostly beyond memory */
		m->word[k] = kind == RANDOM ? seed : (seed >> 12) % 1024 << 12 | 1 | (k & 1) << 1 | (k & 2) << 1 | (seed & 0x60);
	}
	return m;
}

/* ---- 2. The data ---------------------------------------------------------------------------- */

static json_t *map_of(const struct made *m, size_t *size)
{
	struct text out = { 0 };
	char why[256] = "";
	if (!html_map(&m->space, &out, why, sizeof why))
		fail_msg("%s", why);
	json_t *map = json_loadb(text_string(&out), out.size, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_object(map));
	*size = out.size;
	text_free(&out);
	return map;
}

static void each_page_is_in_it_once(void **state)
{
	(void)state;
	for (enum kind kind = FULL; kind < KINDS; kind++) {
		struct made *m = make(kind);
		size_t size, at;
		json_t *map = map_of(m, &size), *number;
		json_int_t pages = 0, present = 0, last = 0;
		json_array_foreach(json_object_get(map, "pages"), at, number) {
			if (at % 2 == 0)
				pages += last = json_integer_value(number);
			else if (json_integer_value(number) & 1)
				present += last;
		}
		assert_int_equal(pages, 1 << 20);
		if (kind == FULL || kind == RECURSIVE)
			assert_int_equal(present, kind == FULL ? directories() << 10 : directories() * directories());
		if (kind == EMPTY)
			assert_int_equal(present, 0);
		assert_true(size < 16u << 20);
		json_decref(map);
		free(m);
	}
}

static uint32_t entry_of(const json_t *packed, unsigned index)
{
	if (json_is_string(packed)) {
		char digits[9] = { 0 };
		memcpy(digits, json_string_value(packed) + (size_t)index * 8, 8);
		return (uint32_t)strtoul(digits, NULL, 16);
	}
	unsigned first = 0;
	for (size_t k = 0; k + 2 < json_array_size(packed); k += 3) {
		unsigned n = (unsigned)json_integer_value(json_array_get(packed, k));
		if (index < first + n)
			return (uint32_t)json_integer_value(json_array_get(packed, k + 1)) +
			       (index - first) * (uint32_t)json_integer_value(json_array_get(packed, k + 2));
		first += n;
	}
	fail_msg("no entry %u", index);
	return 0;
}

static void entries_are_the_guests(void **state)
{
	(void)state;
	for (enum kind kind = FULL; kind < KINDS; kind++) {
		struct made *m = make(kind);
		size_t size;
		json_t *map = map_of(m, &size), *tables = json_object_get(map, "tables"), *table;
		const char *frame;
		for (unsigned k = 0; k < 1024; k++)
			assert_int_equal(entry_of(json_object_get(map, "directory"), k), m->word[k]);
		json_object_foreach(tables, frame, table) {
			const uint32_t *word = m->word + strtoul(frame, NULL, 10) * 1024;
			for (unsigned k = 0; k < 1024; k += kind == FULL ? 37 : 1)
				assert_int_equal(entry_of(table, k), word[k]);
		}
		assert_int_equal(json_object_size(tables), kind == EMPTY ? 0 : kind == RECURSIVE ? 1 : directories());
		json_decref(map);
		free(m);
	}
}

/* A million pages, all different, are written in a moment. */
static void the_worst_is_bounded(void **state)
{
	struct made *m = make(RANDOM);
	size_t size;
	(void)state;
	clock_t before = clock();
	json_decref(map_of(m, &size));
	if (!getenv("TEST_QUICK"))
		assert_true(clock() - before < 3 * CLOCKS_PER_SEC);
	free(m);
}

/* ---- 3. The page ---------------------------------------------------------------------------- */

static const char hostile[] = "</script><script>alert(1)</script><!--&amp;\"\\";

static void add_event(struct trace_log *log, uint64_t seq, enum trace_kind kind, uint32_t linear)
{
	struct trace_record r = { .seq = seq, .ns = seq * 1000, .instructions = seq * 10, .kind = (uint8_t)kind, .linear = linear,
		                  .cr3 = seq < 40 ? 0 : 0x5000, .eip = 0xC0100000 + (uint32_t)(seq % 7) * 16, .entries = (uint32_t)seq,
		                  .tables = 3, .flags = TRACE_EXACT | TRACE_HAS_LINEAR, .rights = UM_WRITE, .access = UM_WRITE,
		                  .cause = kind == TRACE_FILL ? TRACE_CAUSE_FIRST_WRITE : TRACE_CAUSE_NONE };
	assert_true(trace_log_add(log, &r));
}

static struct trace_log make_log(void)
{
	static const enum trace_kind kinds[] = { TRACE_FILL, TRACE_PREFETCH, TRACE_FAULT, TRACE_WRITE, TRACE_FLUSH_PAGE, TRACE_SWITCH,
		                                 TRACE_FILL };
	struct trace_log log = { .lost = 3 };
	for (unsigned k = 1; k <= 200; k++)
		add_event(&log, k, kinds[k % 7], 0x40000000 + k * 4096);
	for (unsigned k = 0; k < 7; k++)
		assert_true(trace_log_name(&log, 0xC0100000 + k * 16, k ? "do_something+0x12" : hostile));
	return log;
}

static void make_page(enum kind kind, struct text *page)
{
	struct made *m = make(kind);
	struct trace_log log = make_log();
	struct text map = { 0 }, trace = { 0 }, checks = { 0 };
	char why[256];
	assert_true(html_map(&m->space, &map, why, sizeof why));
	html_trace(&log, &trace);
	text_add(&checks, "{\"checks\":[\"tlb\"],\"reports\":[{\"check\":\"tlb\",\"title\":\"a page is used\",\"count\":2,"
	         "\"at\":{\"eip\":1048752,\"symbol\":\"stale_load\",\"exact\":true,\"ring\":0,\"cr3\":0,\"instruction\":90},\"access\":\"read\","
	         "\"linear\":8388608,\"writer\":{\"eip\":1048738,\"exact\":true,\"callers\":[],\"instruction\":80,\"old\":1,\"new\":3},\"outcome\":");
	text_add_json(&checks, hostile);
	text_add(&checks, "}]}");
	const struct html_parts parts = {
		text_string(&map), text_string(&trace), text_string(&checks), "a <guest>", 86400,
	};
	html_page(&parts, page);
	text_free(&map);
	text_free(&trace);
	text_free(&checks);
	trace_log_free(&log);
	free(m);
}

/* The element with the data ends where the template ends it, and holds what went in. */
static void no_string_ends_its_element(void **state)
{
	struct text page = { 0 };
	static const char start[] = "<script type=\"application/json\" id=\"data\">";
	(void)state;
	make_page(EMPTY, &page);
	assert_false(page.cut);
	const char *data = strstr(text_string(&page), start) + sizeof start - 1, *end = strstr(data, "</script");
	assert_null(memchr(data, '<', (size_t)(end - data)));
	assert_null(memchr(data, '&', (size_t)(end - data)));
	json_t *o = json_loadb(data, (size_t)(end - data), JSON_REJECT_DUPLICATES, NULL);
	json_t *names = json_object_get(json_object_get(o, "trace"), "names");
	bool found = false;
	for (size_t k = 1; k < json_array_size(names); k += 2)
		found |= strcmp(json_string_value(json_array_get(names, k)), hostile) == 0;
	assert_true(found);
	assert_int_equal(json_array_size(json_object_get(json_object_get(o, "trace"), "events")), 200);
	json_decref(o);
	text_free(&page);
}

static void the_page_is_whole_and_asks_for_nothing(void **state)
{
	struct text page = { 0 };
	(void)state;
	make_page(FULL, &page);
	const char *all = text_string(&page);
	assert_true(strncmp(all, "<!DOCTYPE html>", 15) == 0);
	assert_non_null(strstr(all, "default-src 'none'"));
	assert_non_null(strstr(all, "</html>"));
	assert_null(strstr(all, "<!--style-->"));
	assert_null(strstr(all, "<!--data-->"));
	assert_null(strstr(all, "<!--script-->"));
	assert_null(strstr(all, "http://"));
	assert_null(strstr(all, "https://"));
	assert_null(strstr(all, "@import"));
	assert_null(strstr(all, "url("));
	text_free(&page);
}

static void a_file_that_cannot_be_written_is_said(void **state)
{
	char why[256] = "";
	const struct html_parts parts = { .map = "null" };
	(void)state;
	assert_false(html_write(&parts, "/nonexistent/page.html", why, sizeof why));
	assert_non_null(strstr(why, "/nonexistent/page.html: "));
	if (access("/dev/full", W_OK) == 0) {
		assert_false(html_write(&parts, "/dev/full", why, sizeof why));
		assert_non_null(strstr(why, "No space"));
	}
	char path[] = "/tmp/umbra-pipe-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20); /* a pipe without a reader would stop the vm for ever */
	assert_false(html_write(&parts, path, why, sizeof why));
	alarm(0);
	assert_non_null(strstr(why, "nobody reads"));
	unlink(path);
}

static int write_page(const char *name, const char *path)
{
	struct text page = { 0 };
	FILE *file = fopen(path, "we");
	enum kind kind = FULL;
	while (kind < KINDS && strcmp(kind_names[kind], name) != 0)
		kind++;
	if (!file || kind == KINDS)
		return 2;
	make_page(kind, &page);
	bool done = fwrite(text_string(&page), 1, page.size, file) == page.size;
	text_free(&page);
	return fclose(file) == 0 && done ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_is_in_it_once),
		cmocka_unit_test(entries_are_the_guests),
		cmocka_unit_test(the_worst_is_bounded),
		cmocka_unit_test(no_string_ends_its_element),
		cmocka_unit_test(the_page_is_whole_and_asks_for_nothing),
		cmocka_unit_test(a_file_that_cannot_be_written_is_said),
	};
	if (argc == 4 && strcmp(argv[1], "page") == 0)
		return write_page(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
