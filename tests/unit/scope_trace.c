/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_trace.c - traces: what is kept of a guest of a few instructions, what is written, what is read back.
 *
 *   1. A guest        tests/lib/trace_steps.S
 *   2. Collecting     instructions, the ring, filters, coming and going
 *   3. Files          each form is valid; what cannot be written ends the file and not the guest
 *   4. Logs           what was written is read back; what is damaged is refused
 *   5. Words
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "scope/scope.h"
#include "scope/trace_internal.h"
#include "tests/lib/image.h"
#include "tests/lib/schema.h"
#include "tests/lib/tap.h"
#include "vmm/vmm.h"

/* ---- 1. A guest ----------------------------------------------------------------------------- */

extern const char trace_steps[], trace_steps_end[], step_mode[], step_fill[], step_write[], step_flush[], step_read[],
	step_switch[], step_fault[], step_more[];
#define STEPS 0x100020u
#define AT(step) (STEPS + (uint32_t)((step) - trace_steps))
#define FLUSHES 3000u
#define RECORD (offsetof(struct trace_record, flags) + 1) /* what is behind is nothing's */

struct rig {
	struct loading files;
	struct vm *vm;
	struct trace *trace;
	struct trace_options o;
};

static void start_with(struct rig *r, const char *options, uint32_t um_options, uint32_t cpu_options, enum vm_engine engine)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, STEPS };
	struct guest_error error;
	struct symbols_error why;
	memset(r, 0, sizeof *r);
	memset(&m, 0, sizeof m);
	loading_start(&r->files, 1u << 20);
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, trace_steps, (size_t)(trace_steps_end - trace_steps));
	struct vm_config config = {
		.ram_bytes = 16u << 20, .um_options = um_options, .cpu_options = cpu_options, .engine = engine,
		.direct_options = DIRECT_OPT_ALL, .console = { .in = -1, .out = -1 }, .no_reboot = true,
		.guest.kernel = loading_file(&r->files, 0, m.bytes, m.size),
	};
	r->vm = vm_new(&config, &error);
	if (!r->vm)
		fail_msg("%s", error.text);
	trace_options_default(&r->o);
	if (!trace_options_parse(&r->o, options, false, &why))
		fail_msg("%s", why.text);
	r->trace = trace_new(r->vm, NULL, r->o.bytes);
	assert_non_null(r->trace);
	assert_true(trace_start(r->trace, &r->o.filter, &why));
}

static void start(struct rig *r, const char *options, uint32_t um_options, enum vm_engine engine)
{
	start_with(r, options, um_options, CPU_OPT_ALL, engine);
}

static void run(struct rig *r)
{
	assert_int_equal(vm_run(r->vm), VM_SHUTDOWN);
}

static void end(struct rig *r)
{
	trace_free(r->trace);
	vm_free(r->vm);
	loading_end(&r->files);
}

/* All that is kept, as a log. */
static void take(void *user, const struct trace_record *record)
{
	assert_true(trace_log_add(user, record));
}

static struct trace_log log_of(const struct rig *r)
{
	struct trace_log log = { 0 };
	trace_visit(r->trace, UINT64_MAX, take, &log);
	return log;
}

/* The first record of a kind that is about this address, from `*from` on; fails if there is none. */
static const struct trace_record *find(const struct trace_log *log, size_t *from, enum trace_kind kind, uint32_t linear)
{
	for (; *from < log->count; ++*from) {
		const struct trace_record *r = &log->record[*from];
		if (r->kind == kind && (!(r->flags & TRACE_HAS_LINEAR) || r->linear == linear))
			return r;
	}
	fail_msg("no %s of %08x", trace_kinds[kind].name, linear);
	return NULL;
}

/* ---- 2. Collecting -------------------------------------------------------------------------- */

/* Whatever the optimisations, each event is the instruction's that caused it, in order. */
static void instructions_are_exact(void **state)
{
	const struct {
		uint32_t um, cpu;
	} options[] = {
		{ UM_OPT_ALL, CPU_OPT_ALL }, { 0, CPU_OPT_ALL }, { UM_OPT_ALL & ~(uint32_t)UM_OPT_UNSYNC, CPU_OPT_ALL },
		{ UM_OPT_ALL, 0 }, { UM_OPT_ALL, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_TLB },
		{ UM_OPT_ALL, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_BLOCKS }, { UM_OPT_ALL, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_CHAIN },
	};
	(void)state;
	for (unsigned k = 0; k < sizeof options / sizeof options[0]; k++) {
		struct rig r;
		size_t at = 0;
		const struct trace_record *e;
		start_with(&r, "", options[k].um, options[k].cpu, VM_ENGINE_PORTABLE);
		run(&r);
		struct trace_log log = log_of(&r);
		e = find(&log, &at, TRACE_MODE, 0);
		assert_int_equal(e->eip, AT(step_mode));
		assert_true(e->value & UM_MODE_PAGING);
		e = find(&log, &at, TRACE_FILL, 0x300000);
		assert_int_equal(e->eip, AT(step_fill));
		assert_int_equal(e->access, UM_WRITE);
		assert_int_equal(e->cause, TRACE_CAUSE_FIRST_WRITE);
		assert_int_equal(e->rights, UM_WRITE);
		assert_int_equal(e->gpa, 0x300000);
		assert_int_equal(e->cpl, 0);
		assert_int_equal(e->cr3, 0x200000);
		e = find(&log, &at, TRACE_WRITE, 0x201C00);
		assert_int_equal(e->eip, AT(step_write));
		assert_int_equal(e->gpa, 0x201C00);
		assert_int_equal(e->old, 0x300063);
		assert_int_equal(e->value, 0x302003);
		assert_int_equal(e->error, 4);
		e = find(&log, &at, TRACE_FLUSH_PAGE, 0x300000);
		assert_int_equal(e->eip, AT(step_flush));
		e = find(&log, &at, TRACE_FILL, 0x300000);
		assert_int_equal(e->eip, AT(step_read));
		assert_int_equal(e->gpa, 0x302000);
		assert_int_equal(e->cause, TRACE_CAUSE_MISSING);
		e = find(&log, &at, TRACE_SWITCH, 0);
		assert_int_equal(e->eip, AT(step_switch));
		assert_int_equal(e->value, 1);
		e = find(&log, &at, TRACE_FAULT, 0x800000);
		assert_int_equal(e->eip, AT(step_fault));
		assert_int_equal(e->cause, TRACE_CAUSE_PDE);
		assert_int_equal(e->error, UM_WRITE);
		for (size_t n = 0; n < log.count; n++) {
			if (!(log.record[n].flags & TRACE_EXACT))
				fail_msg("%s of %08x is not exact", trace_kinds[log.record[n].kind].name, log.record[n].linear);
			assert_true(n == 0 || log.record[n].seq == log.record[n - 1].seq + 1);
			assert_true(n == 0 || log.record[n].ns >= log.record[n - 1].ns);
		}
		trace_log_free(&log);
		end(&r);
	}
}

/* One store over the end of the directory and the start of the table behind it. */
static void a_store_over_two_tables_is_two_writes(void **state)
{
	static const uint8_t code[] = { 0xC7, 0x05, 0xFE, 0x0F, 0x20, 0, 0, 0, 0x23, 0, 0x0F, 0x0B }; /* movl, ud2 */
	struct rig r;
	size_t at = 0;
	(void)state;
	start(&r, "events=table-write", UM_OPT_ALL & ~(uint32_t)UM_OPT_UNSYNC, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_write_physical(r.vm, AT(step_fault), code, sizeof code), sizeof code);
	run(&r);
	struct trace_log log = log_of(&r);
	for (unsigned n = 0; n < 2; n++) {
		const struct trace_record *e = find(&log, &at, TRACE_WRITE, n ? 0x201000 : 0x200FFE);
		assert_int_equal(e->flags & (TRACE_EXACT | TRACE_HOST), TRACE_EXACT);
		assert_int_equal(e->eip, AT(step_fault));
		at++;
	}
	trace_log_free(&log);
	end(&r);
}

/* The guest's fault is reported once, although the core meets it twice. */
static void a_fault_is_told_once(void **state)
{
	struct rig r;
	unsigned faults = 0;
	(void)state;
	start(&r, "events=fault", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	run(&r);
	struct trace_log log = log_of(&r);
	for (size_t n = 0; n < log.count; n++)
		faults += log.record[n].linear == 0x800000;
	assert_int_equal(faults, 1);
	trace_log_free(&log);
	end(&r);
}

static void the_ring_keeps_the_last_and_counts_the_rest(void **state)
{
	struct rig r;
	struct trace_status s;
	(void)state;
	start(&r, "size=64K", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	run(&r);
	trace_get_status(r.trace, &s);
	assert_int_equal(s.kept, TRACE_RING_MIN / sizeof(struct trace_record));
	assert_true(s.seen > FLUSHES);
	assert_int_equal(s.seen, s.kept + s.overwritten);
	struct trace_log log = log_of(&r);
	assert_int_equal(log.count, s.kept);
	assert_int_equal(log.record[log.count - 1].seq, s.seen);
	assert_int_equal(log.record[0].seq, s.overwritten + 1);
	trace_log_free(&log);
	trace_clear(r.trace);
	trace_get_status(r.trace, &s);
	assert_int_equal(s.seen + s.kept + s.overwritten, 0);
	assert_true(trace_resize(r.trace, 1u << 20));
	trace_get_status(r.trace, &s);
	assert_true(s.bytes > (1u << 20) - 256);
	end(&r);
}

/* What is filtered out takes no place from what is kept. */
static void filters_take_what_they_say(void **state)
{
	const struct {
		const char *words;
		enum trace_kind only;
		size_t least, most;
	} cases[] = {
		{ "events=flush-page", TRACE_FLUSH_PAGE, FLUSHES + 1, FLUSHES + 1 },
		{ "events=table-write,size=64K", TRACE_WRITE, 1, 1 },
		{ "events=mode", TRACE_MODE, 1, 1 },
		{ "events=flush-page,from=0x300000,to=0x300fff", TRACE_FLUSH_PAGE, FLUSHES + 1, FLUSHES + 1 },
		{ "events=flush-page,from=0x301000", TRACE_FLUSH_PAGE, 0, 0 },
		{ "events=flush-page,cr3=0x200000", TRACE_FLUSH_PAGE, FLUSHES + 1, FLUSHES + 1 },
		{ "events=flush-page,cr3=0x300000", TRACE_FLUSH_PAGE, 0, 0 },
		{ "events=fault,from=0x800000,to=0x800000", TRACE_FAULT, 1, 1 },
	};
	(void)state;
	for (unsigned k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct rig r;
		start(&r, cases[k].words, UM_OPT_ALL, VM_ENGINE_PORTABLE);
		run(&r);
		struct trace_log log = log_of(&r);
		if (log.count < cases[k].least || log.count > cases[k].most)
			fail_msg("%s: %zu", cases[k].words, log.count);
		for (size_t n = 0; n < log.count; n++)
			assert_int_equal(log.record[n].kind, cases[k].only);
		trace_log_free(&log);
		end(&r);
	}
}

static void interrupts_and_absent_memory_are_told_if_asked_for(void **state)
{
	struct rig r;
	size_t at = 0;
	(void)state;
	start(&r, "events=all", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	run(&r);
	struct trace_log log = log_of(&r);
	const struct trace_record *e = find(&log, &at, TRACE_INTERRUPT, 0x800000);
	assert_int_equal(e->value, 14);
	assert_int_equal(e->error, UM_WRITE);
	assert_int_equal(e->eip, AT(step_fault));
	trace_log_free(&log);
	end(&r);
}

/* The guest goes to the portable engine to be traced, and back. */
static void a_traced_guest_comes_back_to_its_engine(void **state)
{
	struct rig r;
	struct symbols_error why;
	(void)state;
	if (direct_probe() || getenv("TEST_VALGRIND"))
		skip();
	start(&r, "", UM_OPT_ALL, VM_ENGINE_DIRECT);
	assert_int_equal(vm_get_engine(r.vm), VM_ENGINE_PORTABLE);
	trace_stop(r.trace);
	assert_false(trace_running(r.trace));
	assert_int_equal(vm_get_engine(r.vm), VM_ENGINE_DIRECT);
	assert_true(trace_start(r.trace, &r.o.filter, &why));
	assert_true(trace_start(r.trace, &r.o.filter, &why)); /* again: with another filter */
	run(&r);
	trace_free(r.trace);
	r.trace = NULL;
	assert_int_equal(vm_get_engine(r.vm), VM_ENGINE_DIRECT);
	end(&r);
}

/* ---- 3. Files ------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *bytes = malloc(16u << 20);
	assert_non_null(file);
	assert_non_null(bytes);
	*size = fread(bytes, 1, (16u << 20) - 1, file);
	bytes[*size] = 0;
	fclose(file);
	return bytes;
}

static const char *traced_file(struct rig *r, const char *options, enum trace_format format)
{
	struct symbols_error why;
	const char *path;
	start(r, options, UM_OPT_ALL, VM_ENGINE_PORTABLE);
	path = loading_file(&r->files, 1, "", 0);
	if (!trace_open_file(r->trace, path, format, &why))
		fail_msg("%s", why.text);
	run(r);
	trace_stop(r->trace);
	assert_int_equal(trace_close_file(r->trace), 0);
	return path;
}

/* Each line by itself keeps to docs/trace.schema.json (of many alike, some); the same records come back. */
static void json_lines_hold_every_record(void **state)
{
	struct rig r;
	size_t size, lines = 0;
	struct trace_log log = { 0 };
	struct symbols_error why;
	char wrong[512];
	(void)state;
	char *text = read_file(traced_file(&r, "events=all", TRACE_JSONL), &size);
	for (char *line = text, *next; *line; line = next, lines++) {
		next = strchr(line, '\n');
		assert_non_null(next);
		size_t length = (size_t)(next++ - line);
		bool looked_at = lines < 100 || lines % 97 == 0 || !memmem(line, length, "flush-page", 10);
		if (looked_at && !schema_holds("docs/trace.schema.json", line, length, wrong, sizeof wrong))
			fail_msg("line %zu: %s: %.*s", lines + 1, wrong, (int)length, line);
	}
	assert_false(schema_holds("docs/trace.schema.json", "{\"seq\":1}", 9, wrong, sizeof wrong));
	if (!trace_log_read(&log, text, size, &why))
		fail_msg("%s", why.text);
	struct trace_log kept = log_of(&r);
	assert_true(log.ended);
	assert_int_equal(log.count, kept.count);
	assert_int_equal(lines, log.count + 2);
	for (size_t n = 0; n < log.count; n++)
		if (memcmp(&log.record[n], &kept.record[n], RECORD) != 0)
			fail_msg("record %zu (%s) came back different", n, trace_kinds[kept.record[n].kind].name);
	trace_log_free(&log);
	trace_log_free(&kept);
	free(text);
	end(&r);
}

/* Every kind, with whatever a record can have: valid, and read back the same. */
static void every_kind_can_be_written_and_read(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
		for (unsigned host = 0; host < 2; host++) {
			struct trace_record r = { .seq = 7, .ns = 1, .instructions = 2, .kind = (uint8_t)kind, .cr3 = 0x1000, .cpl = 3,
				                  .eip = host ? 0 : 0xC0000000, .linear = 0xFFFFFFFF, .gpa = 0xFFFFFFFFF, .value = trace_kinds[kind].value != NULL,
				                  .entries = 1, .tables = 2, .error = 0,
				                  .flags = (uint8_t)(TRACE_HAS_LINEAR | TRACE_HAS_GPA | (host ? TRACE_HOST : TRACE_EXACT)) };
			struct text out = { 0 };
			struct trace_log log = { 0 };
			struct symbols_error why;
			char wrong[512];
			const struct trace_names none = trace_symbols(NULL);
			trace_json_start(&out, &(struct trace_filter){ .kinds = 1, .to = UINT32_MAX });
			size_t head = out.size;
			trace_json_record(&out, &r, &none);
			if (!schema_holds("docs/trace.schema.json", out.data + head, out.size - head, wrong, sizeof wrong))
				fail_msg("%s: %s", wrong, out.data + head);
			if (!trace_log_read(&log, text_string(&out), out.size, &why))
				fail_msg("%s: %s", why.text, out.data + head);
			assert_int_equal(log.count, 1);
			assert_memory_equal(&log.record[0], &r, RECORD);
			trace_log_free(&log);
			text_free(&out);
		}
}

static void chrome_events_are_one_valid_object(void **state)
{
	struct rig r;
	size_t size, at, instants = 0, slices = 0, counters = 0;
	json_t *event;
	(void)state;
	char *text = read_file(traced_file(&r, "events=all", TRACE_CHROME), &size);
	struct trace_log kept = log_of(&r);
	json_t *o = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *events = json_object_get(o, "traceEvents");
	assert_true(json_is_array(events));
	json_array_foreach(events, at, event) {
		const char *phase = json_string_value(json_object_get(event, "ph"));
		assert_non_null(phase);
		assert_true(json_is_integer(json_object_get(event, "pid")));
		assert_true(json_is_string(json_object_get(event, "name")));
		if (*phase == 'M')
			continue;
		assert_true(json_number_value(json_object_get(event, "ts")) >= 0);
		instants += *phase == 'i';
		slices += *phase == 'X' && json_number_value(json_object_get(event, "dur")) >= 0;
		counters += *phase == 'C';
	}
	assert_int_equal(instants, kept.count);
	assert_true(slices >= 2);
	assert_true(counters >= 2);
	json_decref(o);
	free(text);
	trace_log_free(&kept);
	end(&r);
}

static void a_full_disk_ends_the_file_and_not_the_guest(void **state)
{
	struct rig r;
	struct symbols_error why;
	struct trace_status s;
	(void)state;
	if (access("/dev/full", W_OK) != 0)
		skip();
	start(&r, "", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	assert_true(trace_open_file(r.trace, "/dev/full", TRACE_JSONL, &why));
	run(&r);
	trace_stop(r.trace);
	trace_close_file(r.trace);
	trace_get_status(r.trace, &s);
	assert_int_equal(s.error, ENOSPC);
	assert_false(s.writing);
	assert_true(s.kept > FLUSHES); /* the ring goes on */
	assert_false(trace_write_file(r.trace, "/dev/full", TRACE_CHROME, &why));
	assert_non_null(strstr(why.text, "No space"));
	end(&r);
}

static const char *make_pipe(struct rig *r)
{
	const char *path = loading_file(&r->files, 1, "", 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	return path;
}

static void a_reader_that_does_not_read_loses_events_that_are_counted(void **state)
{
	struct rig r;
	struct symbols_error why;
	struct trace_status s;
	(void)state;
	start(&r, "size=64K", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	const char *path = make_pipe(&r);
	assert_false(trace_open_file(r.trace, path, TRACE_JSONL, &why));
	assert_non_null(strstr(why.text, "nobody reads"));
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_true(trace_open_file(r.trace, path, TRACE_JSONL, &why));
	run(&r);
	trace_get_status(r.trace, &s);
	assert_true(s.writing);
	trace_stop(r.trace);
	/* Now it reads, all of it: records and what is told of losses add up. */
	struct trace_log log = { 0 };
	struct text text = { 0 };
	char piece[4096];
	for (bool closed = false; !closed;) {
		ssize_t n;
		while ((n = read(reader, piece, sizeof piece)) > 0)
			text_add_bytes(&text, piece, (size_t)n);
		trace_get_status(r.trace, &s);
		closed = !s.writing;
		if (!closed)
			trace_close_file(r.trace);
	}
	trace_get_status(r.trace, &s);
	if (!s.error) { /* else the pipe was full at the end as well: then the file has no last line */
		for (ssize_t n; (n = read(reader, piece, sizeof piece)) > 0;)
			text_add_bytes(&text, piece, (size_t)n);
	}
	assert_true(s.lost > 0 || s.error == EAGAIN);
	if (!trace_log_read(&log, text_string(&text), (size_t)(strrchr(text_string(&text), '\n') + 1 - text_string(&text)), &why))
		fail_msg("%s", why.text);
	assert_true(log.count > 0);
	trace_log_free(&log);
	text_free(&text);
	close(reader);
	end(&r);
}

/* A page each tenth of a second: to wait for all of that would keep the guest from running. */
static void read_slowly(const char *path)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	char page[4096];
	int fd = open(path, O_RDONLY);
	while (fd >= 0 && read(fd, page, sizeof page) > 0)
		nanosleep(&tenth, NULL);
	_exit(0);
}

static void a_slow_reader_is_not_waited_for_long(void **state)
{
	struct rig r;
	struct symbols_error why;
	struct timespec before, after;
	(void)state;
	start(&r, "", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	const char *path = make_pipe(&r);
	pid_t reader = fork();
	if (reader == 0)
		read_slowly(path);
	assert_true(reader > 0);
	while (!trace_open_file(r.trace, path, TRACE_JSONL, &why))
		assert_true(usleep(1000) == 0 && strstr(why.text, "nobody reads"));
	run(&r);
	trace_stop(r.trace);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(trace_close_file(r.trace), EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 9);
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	end(&r);
}

static void a_closed_pipe_ends_the_file_and_not_the_guest(void **state)
{
	struct rig r;
	struct symbols_error why;
	struct trace_status s;
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	start(&r, "", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	const char *path = make_pipe(&r);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(trace_open_file(r.trace, path, TRACE_JSONL, &why));
	close(reader);
	run(&r);
	trace_stop(r.trace);
	trace_get_status(r.trace, &s);
	assert_int_equal(s.error, EPIPE);
	end(&r);
}

/* ---- 4. Logs -------------------------------------------------------------------------------- */

#define HEAD "{\"trace\":\"umbra\",\"version\":1,\"filter\":\"\"}\n"
#define EVENT "{\"seq\":1,\"ns\":2,\"insns\":3,\"kind\":\"fill\",\"cr3\":\"0x00001000\",\"cpl\":0,\"eip\":\"0xc0000000\"," \
	"\"exact\":true,\"sym\":\"a</script>b\",\"gva\":\"0x00400000\",\"gpa\":\"0x00001000\",\"entries\":1,\"tables\":2}\n"

static void what_is_damaged_is_refused_with_its_line(void **state)
{
	const struct {
		const char *text, *word;
	} cases[] = {
		{ EVENT, "line 1: 'trace'" },
		{ "umbra", "line 1 is no JSON object" },
		{ HEAD "{\"kind\":\"fill\"}\n", "line 2: " },
		{ HEAD "[1]\n", "line 2 is no JSON object" },
		{ HEAD EVENT "{\"seq\":-1,\"kind\":\"fill\"}\n", "line 3: " },
		{ HEAD "{\"kind\":\"party\"}\n", "'kind'" },
		{ "{\"trace\":\"umbra\",\"version\":2}\n", "'version'" },
	};
	(void)state;
	for (unsigned k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct trace_log log = { 0 };
		struct symbols_error why;
		assert_false(trace_log_read(&log, cases[k].text, strlen(cases[k].text), &why));
		if (!strstr(why.text, cases[k].word))
			fail_msg("'%s' lacks '%s'", why.text, cases[k].word);
		trace_log_free(&log);
	}
}

/* Any byte of a good file changed: read or refused, nothing else. */
static void no_damage_does_harm(void **state)
{
	static const char good[] = HEAD EVENT "{\"end\":true,\"records\":1,\"lost\":0}\n";
	unsigned long rounds = test_rounds(4000);
	unsigned seed = 1;
	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		char text[sizeof good];
		struct trace_log log = { 0 };
		struct symbols_error why;
		memcpy(text, good, sizeof good);
		for (unsigned k = 0; k < 1 + round % 3; k++) {
			seed = seed * 1103515245u + 12345u;
			text[(seed >> 8) % (sizeof good - 1)] = (char)(seed >> 24);
		}
		if (trace_log_read(&log, text, sizeof good - 1, &why)) {
			struct text out = { 0 };
			trace_log_summary(&log, 3, &out);
			text_free(&out);
		} else {
			assert_true(strlen(why.text) > 0);
		}
		trace_log_free(&log);
	}
}

static void a_log_knows_names_and_counts(void **state)
{
	struct trace_log log = { 0 };
	struct symbols_error why;
	struct trace_filter filter;
	struct text out = { 0 };
	char buf[TRACE_NAME_MAX];
	(void)state;
	assert_true(trace_log_read(&log, HEAD EVENT EVENT, sizeof(HEAD EVENT EVENT) - 1, &why));
	const struct trace_names names = trace_log_names(&log);
	assert_string_equal(names.name(names.user, 0xC0000000, buf, sizeof buf), "a</script>b");
	assert_string_equal(names.name(names.user, 0xC0000001, buf, sizeof buf), "");
	trace_log_summary(&log, 5, &out);
	assert_non_null(strstr(text_string(&out), "2  fill"));
	assert_non_null(strstr(text_string(&out), "2  c0000000"));
	trace_filter_default(&filter);
	trace_log_filter(&log, &filter, 1);
	assert_int_equal(log.count, 1);
	filter.kinds = 1u << TRACE_FAULT;
	trace_log_filter(&log, &filter, 0);
	assert_int_equal(log.count, 0);
	text_free(&out);
	trace_log_free(&log);
}

/* A trace's file is anybody's, and its names are shown on a terminal. */
static void a_name_has_nothing_that_a_terminal_obeys(void **state)
{
	static const char text[] = HEAD "{\"seq\":1,\"ns\":2,\"insns\":3,\"kind\":\"fill\",\"cr3\":\"0x1000\",\"cpl\":0,"
		"\"eip\":\"0xc0000000\",\"sym\":\"a\\u001b[2J\\u009b\",\"entries\":1,\"tables\":2}\n";
	struct trace_log log = { 0 };
	struct symbols_error why;
	char buf[TRACE_NAME_MAX];
	(void)state;
	assert_true(trace_log_read(&log, text, sizeof text - 1, &why));
	const struct trace_names names = trace_log_names(&log);
	assert_string_equal(names.name(names.user, 0xC0000000, buf, sizeof buf), "a?[2J??");
	trace_log_free(&log);
}

/* The guest waits for an answer: a ring of a GiB is not shown at once. */
static void what_is_shown_at_once_is_bounded(void **state)
{
	enum { MANY = 100000 };
	struct rig r;
	struct text out = { 0 };
	char all[] = "show 4000000000";
	(void)state;
	start(&r, "size=64M", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	struct scope scope = { .vm = r.vm, .trace = r.trace };
	for (unsigned k = 0; k < MANY; k++)
		ring_push(&r.trace->ring);
	trace_command(&scope, "", all, &out);
	assert_false(scope.failed);
	size_t lines = 0;
	for (const char *at = text_string(&out); (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_true(lines > 1000 && lines <= MANY / 4);
	text_clear(&out);
	char again[] = "show 4000000000";
	trace_command_json(&scope, "", again, &out);
	json_t *answer = json_loadb(out.data, out.size, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(answer, "events")), lines - 1);
	json_decref(answer);
	text_free(&out);
	end(&r);
}

/* ---- 5. Words ------------------------------------------------------------------------------- */

static void options_mean_what_they_say(void **state)
{
	struct trace_options o;
	struct symbols_error why;
	struct text words = { 0 };
	static const char *const bad[] = {
		"f,events=", "f,events=fill+", "f,events=none", "f,size=1", "f,size=2000M", "f,size=64Q", "f,from=2,to=1", "f,to=-1",
		"f,cr3=0x100000000", "f,format=xml", "f,what=1", "f,events", "", ",events=fill",
	};
	(void)state;
	trace_options_default(&o);
	assert_true(trace_options_parse(&o, "a.json,format=chrome,events=fill+switch,cr3=0x1000,from=4096,to=0xFFFF,size=2M", true, &why));
	assert_string_equal(o.path, "a.json");
	assert_int_equal(o.format, TRACE_CHROME);
	assert_int_equal(o.bytes, 2u << 20);
	trace_filter_print(&o.filter, &words);
	assert_string_equal(text_string(&words), "events=fill+switch,cr3=0x00001000,from=0x00001000,to=0x0000ffff");
	text_free(&words);
	for (unsigned k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		trace_options_default(&o);
		if (trace_options_parse(&o, bad[k], true, &why))
			fail_msg("'%s' was taken", bad[k]);
		assert_true(strlen(why.text) > 0 && !strchr(why.text, '\n'));
	}
}

/* The monitor's, as programs have it. */
static void the_commands_json_is_valid(void **state)
{
	struct rig r;
	char show[] = "show 3", bad[] = "party", nothing[] = "";
	struct text out = { 0 };
	(void)state;
	start(&r, "", UM_OPT_ALL, VM_ENGINE_PORTABLE);
	run(&r);
	struct scope scope = { .vm = r.vm, .trace = r.trace }, empty = { .vm = r.vm };
	trace_command_json(&scope, nothing, show, &out);
	json_t *o = json_loadb(text_string(&out), out.size, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_array_size(json_object_get(o, "events")), 3);
	assert_true(json_is_true(json_object_get(o, "running")));
	assert_true(json_is_null(json_object_get(o, "file")));
	json_decref(o);
	text_clear(&out);
	trace_command_json(&empty, nothing, nothing, &out);
	o = json_loadb(text_string(&out), out.size, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_false(json_object_get(o, "running")));
	json_decref(o);
	assert_false(scope.failed);
	text_clear(&out);
	trace_command_json(&scope, nothing, bad, &out);
	assert_true(scope.failed);
	text_free(&out);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_are_exact),
		cmocka_unit_test(a_store_over_two_tables_is_two_writes),
		cmocka_unit_test(a_fault_is_told_once),
		cmocka_unit_test(the_ring_keeps_the_last_and_counts_the_rest),
		cmocka_unit_test(filters_take_what_they_say),
		cmocka_unit_test(interrupts_and_absent_memory_are_told_if_asked_for),
		cmocka_unit_test(a_traced_guest_comes_back_to_its_engine),
		cmocka_unit_test(json_lines_hold_every_record),
		cmocka_unit_test(every_kind_can_be_written_and_read),
		cmocka_unit_test(chrome_events_are_one_valid_object),
		cmocka_unit_test(a_full_disk_ends_the_file_and_not_the_guest),
		cmocka_unit_test(a_reader_that_does_not_read_loses_events_that_are_counted),
		cmocka_unit_test(a_slow_reader_is_not_waited_for_long),
		cmocka_unit_test(a_closed_pipe_ends_the_file_and_not_the_guest),
		cmocka_unit_test(what_is_damaged_is_refused_with_its_line),
		cmocka_unit_test(no_damage_does_harm),
		cmocka_unit_test(a_log_knows_names_and_counts),
		cmocka_unit_test(a_name_has_nothing_that_a_terminal_obeys),
		cmocka_unit_test(what_is_shown_at_once_is_bounded),
		cmocka_unit_test(options_mean_what_they_say),
		cmocka_unit_test(the_commands_json_is_valid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
