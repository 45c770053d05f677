/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_qmp.c - QMP without a socket: requests out of bytes, answers, errors; the monitor's lines; and what
 * hostile clients send.
 *
 *   1. A session
 *   2. The protocol
 *   3. Commands
 *   4. The monitor's lines
 *   5. Hostile clients
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "scope/dump.h"
#include "scope/monitor.h"
#include "scope/qmp.h"
#include "tests/lib/small_vm.h"
#include "tests/lib/tap.h"

/* ---- 1. A session --------------------------------------------------------------------------- */

struct session {
	struct small_vm small;
	struct scope *scope;
	struct qmp *qmp;
	struct text said; /* lines; the bench reads them from the front */
	size_t head;
};

static void on_said(void *user, const char *bytes, size_t count)
{
	struct session *s = user;
	text_add_bytes(&s->said, bytes, count);
}

/* The next answer, or NULL; each is one line of JSON, whatever was asked. */
static json_t *next_answer(struct session *s)
{
	const char *from = text_string(&s->said) + s->head, *end = strchr(from, '\n');
	json_error_t error;
	if (!end)
		return NULL;
	json_t *answer = json_loadb(from, (size_t)(end - from), 0, &error);
	if (!answer)
		fail_msg("said '%.200s': %s", from, error.text);
	s->head += (size_t)(end - from) + 1;
	return answer;
}

static void hear(struct session *s, const char *bytes, size_t count)
{
	for (size_t done = 0; done < count;) {
		size_t took = qmp_hear(s->qmp, bytes + done, count - done);
		assert_true(took > 0 && took <= count - done);
		done += took;
	}
}

static json_t *ask(struct session *s, const char *request)
{
	hear(s, request, strlen(request));
	json_t *answer = next_answer(s);
	if (!answer)
		fail_msg("no answer to %s", request);
	assert_null(next_answer(s));
	return answer;
}

/* The answer's form: "return" and this id, or an error of this class. */
static void expect_return(struct session *s, const char *request, const char *id)
{
	json_t *answer = ask(s, request);
	if (!json_object_get(answer, "return"))
		fail_msg("%s: %s", request, json_dumps(answer, 0));
	if (id) {
		json_t *want = json_loads(id, JSON_DECODE_ANY, NULL);
		assert_true(json_equal(json_object_get(answer, "id"), want));
		json_decref(want);
	} else {
		assert_null(json_object_get(answer, "id"));
	}
	json_decref(answer);
}

static void expect_error(struct session *s, const char *request, const char *class)
{
	json_t *answer = ask(s, request), *error = json_object_get(answer, "error");
	const char *is = json_string_value(json_object_get(error, "class"));
	if (!is || strcmp(is, class) != 0 || !json_is_string(json_object_get(error, "desc")))
		fail_msg("%s: %s", request, json_dumps(answer, 0));
	json_decref(answer);
}

static void session_start(struct session *s, bool negotiated)
{
	char why[256];
	memset(s, 0, sizeof *s);
	small_vm_make(&s->small, SMALL_COUNTS, sizeof SMALL_COUNTS - 1, true);
	const struct scope_config config = { 0 };
	s->scope = scope_open(s->small.vm, &config, why, sizeof why);
	assert_non_null(s->scope);
	s->qmp = qmp_new(s->scope, on_said, s);
	json_t *greeting = next_answer(s), *qmp = json_object_get(greeting, "QMP");
	assert_true(json_is_integer(json_object_get(json_object_get(json_object_get(qmp, "version"), "qemu"), "major")));
	assert_true(json_is_array(json_object_get(qmp, "capabilities")));
	json_decref(greeting);
	if (negotiated)
		expect_return(s, "{\"execute\":\"qmp_capabilities\"}", NULL);
}

static void session_end(struct session *s)
{
	qmp_free(s->qmp);
	scope_close(s->scope);
	small_vm_free(&s->small);
	text_free(&s->said);
}

/* ---- 2. The protocol ------------------------------------------------------------------------ */

static void nothing_works_before_negotiation(void **state)
{
	struct session s;
	(void)state;
	session_start(&s, false);
	expect_error(&s, "{\"execute\":\"query-status\"}", "CommandNotFound");
	expect_error(&s, "{\"execute\":\"quit\"}", "CommandNotFound");
	assert_false(s.scope->leave);
	expect_error(&s, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}", "GenericError");
	expect_error(&s, "{\"execute\":\"query-status\"}", "CommandNotFound");
	expect_return(&s, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}", NULL);
	expect_error(&s, "{\"execute\":\"qmp_capabilities\"}", "CommandNotFound");
	expect_return(&s, "{\"execute\":\"query-status\"}", NULL);
	session_end(&s);
}

static void an_answer_has_its_requests_id(void **state)
{
	static const char *const ids[] = { "1", "\"x\"", "null", "[1,{\"a\":2}]", "{\"deep\":{\"er\":[]}}", "-2.5", "true" };
	struct session s;
	char request[200];
	(void)state;
	session_start(&s, true);
	for (size_t k = 0; k < sizeof ids / sizeof ids[0]; k++) {
		snprintf(request, sizeof request, "{\"execute\":\"query-name\",\"id\":%s}", ids[k]);
		expect_return(&s, request, ids[k]);
		snprintf(request, sizeof request, "{\"id\":%s,\"execute\":\"no-such\"}", ids[k]);
		json_t *answer = ask(&s, request), *want = json_loads(ids[k], JSON_DECODE_ANY, NULL);
		assert_true(json_equal(json_object_get(answer, "id"), want));
		json_decref(want);
		json_decref(answer);
	}
	session_end(&s);
}

static void requests_may_be_spread_or_joined(void **state)
{
	static const char spread[] = "\n\t {\"execute\":\n\"query-na\\u006de\" ,\"id\" :\r\n\"}{\\\"\"}\n";
	static const char joined[] = "{\"execute\":\"query-name\",\"id\":1}{\"execute\":\"query-name\",\"id\":2} "
				     "{\"execute\":\"query-name\",\"id\":3}";
	struct session s;
	(void)state;
	session_start(&s, true);
	for (const char *at = spread; *at; at++)
		hear(&s, at, 1);
	json_t *answer = next_answer(&s);
	assert_string_equal(json_string_value(json_object_get(answer, "id")), "}{\"");
	json_decref(answer);
	/* One at a time is taken, so that others have their turn. */
	assert_int_equal(qmp_hear(s.qmp, joined, strlen(joined)), strlen("{\"execute\":\"query-name\",\"id\":1}"));
	hear(&s, joined + 31, strlen(joined) - 31);
	for (int k = 1; k <= 3; k++) {
		answer = next_answer(&s);
		assert_int_equal(json_integer_value(json_object_get(answer, "id")), k);
		json_decref(answer);
	}
	assert_null(next_answer(&s));
	session_end(&s);
}

static void what_is_no_request_is_an_error_once(void **state)
{
	static const char *const bad[] = {
		"hello\n", "[]\n", "{}\n", "{]\n", "{\"execute\":1}\n", "{\"execute\":\"stop\",\"arguments\":[]}\n",
		"{\"execute\":\"stop\",\"extra\":1}\n", "{\"execute\" \"stop\"}\n",
		"{\"execute\":\"stop\",\"execute\":\"stop\"}\n", "{\"exec-oob\":\"stop\"}\n", "{\"execute\":\"\xff\xfe\"}\n",
		"{\"execute\":\"a\\u0000b\"}\n", "\x01\x02\x03 {\"execute\":\"stop\"}\n", "]]]]\n", "123 456 789\n",
		"{\"execute\":\"query-status\",\"arguments\":{\"x\":1}}\n", "{\"execute\":\"memsave\"}\n",
		"{\"execute\":\"memsave\",\"arguments\":{\"val\":-1,\"size\":1,\"filename\":\"x\"}}\n",
		"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":5}}\n",
		"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command\":\"x\"}}\n",
	};
	struct session s;
	(void)state;
	session_start(&s, true);
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		expect_error(&s, bad[k], "GenericError");
		expect_return(&s, "{\"execute\":\"query-status\"}\n", NULL);
	}
	/* Here a new line begins in the middle: what comes on it is none either. */
	expect_error(&s, "{\"execute\":\"st\n", "GenericError");
	expect_error(&s, "op\"}\n", "GenericError");
	expect_error(&s, "{\"execute\":\"no-such\"}", "CommandNotFound");
	expect_error(&s, "{\"execute\":\"x-umbra-x\"}", "CommandNotFound"); /* has no JSON form */
	expect_error(&s, "{\"execute\":\"x-umbra-\"}", "CommandNotFound");
	session_end(&s);
}

static void too_long_and_too_deep_is_an_error_once(void **state)
{
	struct session s;
	char *much = malloc(QMP_REQUEST * 3);
	(void)state;
	session_start(&s, true);
	memset(much, '[', QMP_REQUEST * 3);
	much[QMP_REQUEST * 3 - 1] = 0;
	much[QMP_REQUEST * 3 - 2] = '\n';
	expect_error(&s, much, "GenericError");
	memset(much, 'x', QMP_REQUEST * 3 - 2);
	memcpy(much, "{\"execute\":\"", 12);
	expect_error(&s, much, "GenericError");
	/* As deep as may be, inside an id. */
	char *at = much + sprintf(much, "{\"execute\":\"query-name\",\"id\":");
	for (unsigned k = 1; k < QMP_DEPTH; k++)
		*at++ = '[';
	for (unsigned k = 1; k < QMP_DEPTH; k++)
		*at++ = ']';
	strcpy(at, "}");
	json_decref(ask(&s, much));
	expect_return(&s, "{\"execute\":\"query-status\",\"id\":9}", "9");
	free(much);
	session_end(&s);
}

/* ---- 3. Commands ---------------------------------------------------------------------------- */

static const char *status_of(struct session *s, char buf[32])
{
	json_t *answer = ask(s, "{\"execute\":\"query-status\"}"), *value = json_object_get(answer, "return");
	snprintf(buf, 32, "%s", json_string_value(json_object_get(value, "status")));
	assert_int_equal(json_is_true(json_object_get(value, "running")), strcmp(buf, "running") == 0);
	json_decref(answer);
	return buf;
}

static void commands_do_what_they_say(void **state)
{
	struct session s;
	char buf[32];
	(void)state;
	session_start(&s, true);
	assert_string_equal(status_of(&s, buf), "prelaunch");
	expect_return(&s, "{\"execute\":\"cont\"}", NULL);
	assert_false(vm_is_paused(s.small.vm));
	assert_string_equal(status_of(&s, buf), "running");
	expect_return(&s, "{\"execute\":\"stop\"}", NULL);
	assert_string_equal(status_of(&s, buf), "paused");
	expect_error(&s, "{\"execute\":\"system_powerdown\"}", "GenericError");
	expect_return(&s, "{\"execute\":\"inject-nmi\"}", NULL);
	expect_return(&s, "{\"execute\":\"quit\"}", NULL);
	assert_true(s.scope->leave);
	assert_int_equal(vm_run(s.small.vm), VM_KICKED);
	session_end(&s);
}

/* Each command that there is is listed, and those that only ask answer. */
static void listed_commands_answer(void **state)
{
	struct session s;
	json_t *list, *one;
	size_t k;
	unsigned asked = 0;
	(void)state;
	session_start(&s, true);
	json_t *answer = ask(&s, "{\"execute\":\"query-commands\"}");
	list = json_object_get(answer, "return");
	assert_true(json_array_size(list) > 20);
	json_array_foreach(list, k, one) {
		const char *name = json_string_value(json_object_get(one, "name"));
		char request[120];
		snprintf(request, sizeof request, "{\"execute\":\"%s\"}", name);
		if (strncmp(name, "query-", 6) == 0) {
			expect_return(&s, request, NULL);
			asked++;
		} else if (strncmp(name, "x-umbra-info-", 13) == 0) {
			json_decref(ask(&s, request)); /* (paging is off here: some refuse) */
			asked++;
		}
	}
	assert_true(asked > 8);
	json_decref(answer);
	expect_return(&s, "{\"execute\":\"x-umbra-info-registers\"}", NULL);
	expect_return(&s, "{\"execute\":\"x-umbra-commands\"}", NULL);
	session_end(&s);
}

static void memory_is_saved_or_nothing_is_written(void **state)
{
	struct session s;
	char path[64], request[300];
	struct stat status;
	uint8_t bytes[16], want[16];
	(void)state;
	session_start(&s, true);
	snprintf(path, sizeof path, "/tmp/umbra-memsave-%d", (int)getpid());
	for (int physical = 0; physical < 2; physical++) {
		snprintf(request, sizeof request,
		         "{\"execute\":\"%smemsave\",\"arguments\":{\"val\":1048608,\"size\":16,\"filename\":\"%s\"}}",
		         physical ? "p" : "", path);
		expect_return(&s, request, NULL);
		FILE *file = fopen(path, "rb");
		assert_int_equal(fread(bytes, 1, sizeof bytes, file), sizeof bytes);
		fclose(file);
		vm_read_physical(s.small.vm, SMALL_CODE, want, sizeof want);
		assert_memory_equal(bytes, want, sizeof want);
		/* Beyond memory: what was there stays. */
		snprintf(request, sizeof request,
		         "{\"execute\":\"%smemsave\",\"arguments\":{\"val\":1048608,\"size\":4000000000,\"filename\":\"%s\"}}",
		         physical ? "p" : "", path);
		expect_error(&s, request, "GenericError");
		assert_true(stat(path, &status) == 0 && status.st_size == 16);
		assert_int_equal(status.st_mode & 0077, 0); /* what the guest knows is its owner's */
		unlink(path);
	}
	expect_error(&s, "{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"/nonexistent/x\"}}",
	             "GenericError");
	expect_error(&s, "{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"/dev/null\",\"val u:size\":1}}",
	             "GenericError"); /* two arguments are not one */
	/* A pipe without a reader would stop the vm. */
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(request, sizeof request, "{\"execute\":\"pmemsave\",\"arguments\":{\"val\":0,\"size\":1,\"filename\":\"%s\"}}", path);
	expect_error(&s, request, "GenericError");
	unlink(path);
	session_end(&s);
}

static void a_dump_is_written_or_nothing(void **state)
{
	struct session s;
	char path[64], request[300], why[256];
	(void)state;
	session_start(&s, true);
	snprintf(path, sizeof path, "/tmp/umbra-dump-%d", (int)getpid());
	snprintf(request, sizeof request,
	         "{\"execute\":\"dump-guest-memory\",\"arguments\":{\"paging\":false,\"protocol\":\"file:%s\"}}", path);
	expect_return(&s, request, NULL);
	struct dump *d = dump_open(path, why, sizeof why);
	assert_non_null(d);
	assert_int_equal(dump_kind(d), DUMP_UMBRA);
	assert_int_equal(dump_ram_bytes(d), vm_ram_bytes(s.small.vm));
	dump_close(d);
	unlink(path);
	static const char *const bad[] = {
		"\"paging\":true,\"protocol\":\"file:/tmp/x\"", "\"paging\":false,\"protocol\":\"fd:7\"",
		"\"paging\":0,\"protocol\":\"file:/tmp/x\"", "\"paging\":false",
		"\"paging\":false,\"protocol\":\"file:/dev/null\"", "\"paging\":false,\"protocol\":\"file:/nonexistent/x\"",
	};
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		snprintf(request, sizeof request, "{\"execute\":\"dump-guest-memory\",\"arguments\":{%s}}", bad[k]);
		expect_error(&s, request, "GenericError");
	}
	session_end(&s);
}

/* ---- 4. The monitor's lines ----------------------------------------------------------------- */

static void expect_line(struct session *s, const char *line, bool fine, const char *word)
{
	struct text out = { .limit = MONITOR_ANSWER };
	bool went = monitor_run(s->scope, line, &out);
	if (went != fine || !strstr(text_string(&out), word))
		fail_msg("'%s' %s: %s", line, went ? "went well" : "failed", text_string(&out));
	text_free(&out);
}

static void lines_are_understood_or_refused(void **state)
{
	static const struct {
		const char *line;
		bool fine;
		const char *word;
	} lines[] = {
		{ "", true, "" }, { "   ", true, "" }, { "help", true, "info registers" }, { "help info", true, "info tlb" },
		{ "help x", true, "x/COUNT" }, { "help c", true, "go on" }, { "help nonsense", false, "no command" },
		{ "?", true, "quit" }, { "nonsense", false, "unknown" }, { "info", false, "registers," },
		{ "info nonsense", false, "there is no info 'nonsense'; there are: registers, mem," }, { "i regi", true, "cr3=" },
		{ "inf ver", true, "umbra" }, { "info s", false, "there are: shadow, stats, screen," }, { "st", false, "'st' may be stop, step\n" },
		{ "info reg x", true, "cr3=" }, { "savevm", false, "savevm FILE" }, { "trace help", false, "events=LIST" }, { "info gdb", true, "no debugger" },
		{ "system_", false, "may be system_reset, system_powerdown\n" }, { "check tlb", false, "no arguments" }, { "info registers", true, "cr3=" }, { "info irq", true, "master" },
		{ "info stats", true, "fills" }, { "info shadow", true, "shadow entries in" }, { "info mem", false, "paging is off" },
		{ "info tlb", false, "paging is off" }, { "info tlb 5 4", false, "two addresses" },
		{ "info status", true, "prelaunch" }, { "info version", true, "umbra" },
		{ "x/2i 0x100020", true, "inc 0x00200000" }, { "x /2xw 0x100020", true, "0x000005ff" },
		{ "x/2xb 0x100020", true, "0xff 0x05" }, { "xp/1dh 0x100020", true, " 1535" }, { "x/3z 0", false, "COUNT" },
		{ "x", false, "COUNT" }, { "x/1xw 0xfffffffe", true, "no memory there" }, { "xp/1xw 0x1000000", true, "no memory" },
		{ "x/1c 0x100020+$eip-$eip", true, "'" }, { "print 1+2-0x10", true, "0xfffffff3" }, { "p/d 0-5", true, "-5" },
		{ "print /u 0xffffffff", true, "4294967295" }, { "print $eip", true, "0x100020" }, { "print $nonsense", false, "no register" },
		{ "print 12z", false, "no 32-bit number" }, { "print 0x100000000", false, "no 32-bit number" },
		{ "print some_name", false, "no symbol" }, { "print 1 2", false, "between two values" }, { "print 1+", false, "is expected" },
		{ "print (1+2)*3 - 8/(2*2)", true, "0x7\n" }, { "p/d -3*(4-2)", true, "-6\n" }, { "print 1/(2-2)", false, "by zero" },
		{ "print (1+2", false, ") is missing" }, { "print 1)", false, "between two" }, { "print 2*", false, "is expected" },
		{ "x/2xg 0x100020", true, "00100020: 0xf8eb0020000005ff 0x" }, { "x/1db 0x100020", true, " -1\n" },
		{ "x/1ug 0x100020", true, "17936430078372087295" }, { "xp/s 0x100020", true, "00100020: \"\\377\\005\"\n" },
		{ "x/2s 0x100020", true, "\n00100023: \"\"\n" }, { "x/s 0xffffffff", true, "no memory there" },
		{ "xp 0 0", false, "between two" }, { "xp", false, "xp/COUNT" },
		{ "print", false, "VALUE" }, { "gva2gpa 0x1234", true, "0x1234" }, { "gva2gpa", false, "ADDRESS" },
		{ "memsave 0 1", false, "FILE" }, { "symbols", true, "0 symbols" }, { "symbols kallsyms", false, "kallsyms" },
		{ "symbols load /nonexistent", false, "/nonexistent" }, { "symbols write /tmp/x", false, "no symbols" },
		{ "symbols nonsense", false, "symbols" }, { "info symbol 0", false, "no symbol" }, { "info symbol", false, "ADDRESS" },
		{ "sendkey a", false, "keyboard" }, { "step 0", false, "1 to" }, { "log nonsense", false, "log LIST" },
		{ "log", true, "none" }, { "system_powerdown", false, "power button" }, { "engine nonsense", false, "engine" },
		{ "step", true, "jmp" }, { "step 3", true, "inc" }, { "cont", true, "" }, { "step", false, "stop it first" },
		{ "stop", true, "" }, { "info status", true, "paused" },
	};
	struct session s;
	(void)state;
	session_start(&s, true);
	for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++)
		expect_line(&s, lines[k].line, lines[k].fine, lines[k].word);
	uint32_t counted = small_vm_counter(&s.small);
	assert_int_equal(counted, 2); /* steps 1 and 3 of the four were the increment */
	char *much = malloc(MONITOR_LINE + 10);
	memset(much, 'a', MONITOR_LINE + 9);
	much[MONITOR_LINE + 9] = 0;
	expect_line(&s, much, false, "too long");
	memset(much, '(', MONITOR_LINE - 1);
	memcpy(much, "print ", 6);
	much[MONITOR_LINE - 1] = 0;
	expect_line(&s, much, false, "too many parentheses");
	free(much);
	session_end(&s);
}

/* ---- 5. Hostile clients --------------------------------------------------------------------- */

static const char *const seeds[] = {
	"{\"execute\":\"query-status\",\"id\":[1,2,{\"a\":null}]}\n",
	"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"x/4xw 0x100020\"}}\n",
	"{\"execute\":\"x-umbra-info-registers\",\"arguments\":{\"arguments\":\"\"}}\n",
	"{\"execute\":\"x-umbra-monitor\",\"arguments\":{\"command-line\":\"info tlb 0 0xffffffff\"}}\n",
	"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}\n",
};

static void random_bytes_and_spoilt_requests_are_survived(void **state)
{
	struct session s;
	unsigned long rounds = test_rounds(30000);
	(void)state;
	session_start(&s, true);
	srand(11);
	for (unsigned long k = 0; k < rounds; k++) {
		char bytes[256];
		const char *seed = seeds[(size_t)rand() % (sizeof seeds / sizeof seeds[0])];
		size_t size = strlen(seed);
		memcpy(bytes, seed, size);
		if (k % 4 == 0)
			for (size_t b = 0; b < size; b++)
				bytes[b] = (char)rand();
		for (int changes = rand() % 4; changes; changes--)
			bytes[(size_t)rand() % size] = (char)(rand() % 3 ? "{}[]\"\\:,\n 0"[rand() % 11] : rand());
		hear(&s, bytes, k % 7 == 0 ? (size_t)rand() % size : size);
		for (json_t *answer; (answer = next_answer(&s)) != NULL;)
			json_decref(answer);
		text_clear(&s.said);
		s.head = 0;
	}
	/* Whatever it was in the middle of, a line or so of closing brings it back. */
	hear(&s, "\"\n\n", 3);
	for (unsigned k = 0; k < QMP_DEPTH; k++)
		hear(&s, "}\n", 2);
	for (json_t *answer; (answer = next_answer(&s)) != NULL;)
		json_decref(answer);
	expect_return(&s, "{\"execute\":\"query-status\",\"id\":1}\n", "1");
	session_end(&s);
}

static void random_lines_are_survived(void **state)
{
	static const char *const words[] = {
		"info", "x", "xp", "print", "/", "/9", "i", "xw", "$eip", "$esp", "+", "-", "*", "(", ")", "/2s", "g", "0x", "0xffffffff", "4294967296", "tlb", "mem",
		"registers", "symbol", "shadow", "stats", "irq", "help", "symbols", "gva2gpa", "step", "engine", "portable", "pt", "log", "none",
		"pg", "check", " ", "\t", "%s%n", "'", "\"", "\x7f", "\xff", "version", "status", "--at", "nmi", "stop",
	};
	struct session s;
	unsigned long rounds = test_rounds(3000);
	(void)state;
	session_start(&s, true);
	srand(12);
	for (unsigned long k = 0; k < rounds; k++) {
		struct text line = { 0 }, out = { .limit = MONITOR_ANSWER };
		for (int count = rand() % 6; count >= 0; count--)
			text_add(&line, "%s%s", words[(size_t)rand() % (sizeof words / sizeof words[0])], rand() % 2 ? " " : "");
		monitor_run(s.scope, text_string(&line), &out);
		assert_true(out.size <= MONITOR_ANSWER);
		text_clear(&out);
		if (monitor_run_json(s.scope, text_string(&line), &out)) {
			json_t *value = json_loadb(text_string(&out), out.size, JSON_DECODE_ANY, NULL);
			if (!value)
				fail_msg("'%s' gives no JSON: %.200s", text_string(&line), text_string(&out));
			json_decref(value);
		}
		text_free(&line);
		text_free(&out);
	}
	session_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_works_before_negotiation),
		cmocka_unit_test(an_answer_has_its_requests_id),
		cmocka_unit_test(requests_may_be_spread_or_joined),
		cmocka_unit_test(what_is_no_request_is_an_error_once),
		cmocka_unit_test(too_long_and_too_deep_is_an_error_once),
		cmocka_unit_test(commands_do_what_they_say),
		cmocka_unit_test(listed_commands_answer),
		cmocka_unit_test(memory_is_saved_or_nothing_is_written),
		cmocka_unit_test(a_dump_is_written_or_nothing),
		cmocka_unit_test(lines_are_understood_or_refused),
		cmocka_unit_test(random_bytes_and_spoilt_requests_are_survived),
		cmocka_unit_test(random_lines_are_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
