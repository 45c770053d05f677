/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_gdb.c - the remote serial protocol: what each packet is answered with, what a running guest's stops
 * look like, and that nothing a client sends does more than it may.
 *
 *   1. A guest of a few bytes, and a client
 *   2. Packets      of a guest that stands still
 *   3. Running      scripts of packets, on both engines
 *   4. Hostility    what is no packet, too long, or random
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <poll.h>

#include "scope/gdb_internal.h"
#include "tests/lib/image.h"
#include "tests/lib/tap.h"

/* ---- 1. A guest and a client ---------------------------------------------------------------- */

static enum vm_engine engine = VM_ENGINE_PORTABLE;

struct exchange {
	const char *packet;      /* its payload; "^C" the interrupt; NULL: only wait */
	const char *answer;      /* how the next answer begins; NULL: none is waited for */
	void (*then)(struct vm *vm);
};
#define CODE 0x100020u

struct desk {
	struct loading files;
	struct scope *scope;
	struct vm *vm;
	struct gdb_session *session;
	struct text heard;       /* all that the client got */
	size_t seen;             /* ... and has read */
	struct text shown;       /* what O packets said */
	char answer[3 * GDB_PACKET];
	const struct exchange *script;
	bool asked;
	int pipe[2];
};

static void on_say(void *user, const char *bytes, size_t count)
{
	struct desk *d = user;
	text_add_bytes(&d->heard, bytes, count);
	if (d->pipe[1] > 0)
		assert_int_equal(write(d->pipe[1], "", 1), 1);
}

static void desk_start(struct desk *d, const char *code, size_t bytes)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, CODE };
	struct vm_config config = { .ram_bytes = 16u << 20, .um_options = UM_OPT_ALL, .cpu_options = CPU_OPT_ALL,
		                    .engine = engine, .direct_options = DIRECT_OPT_ALL, .debug_exit_port = 0xF4,
		                    .console = { .in = -1, .out = -1 } };
	const struct scope_config none = { 0 };
	struct guest_error error;
	char why[256];
	if (engine == VM_ENGINE_DIRECT && (direct_probe() || getenv("TEST_VALGRIND")))
		skip();
	memset(d, 0, sizeof *d);
	memset(&m, 0, sizeof m);
	loading_start(&d->files, 1u << 20);
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, code, bytes);
	config.guest.kernel = loading_file(&d->files, 0, m.bytes, m.size);
	d->vm = vm_new(&config, &error);
	if (!d->vm)
		fail_msg("%s", error.text);
	d->scope = scope_open(d->vm, &none, why, sizeof why);
	assert_non_null(d->scope);
	d->session = gdb_session_new(d->scope, on_say, d);
	assert_non_null(d->session);
	assert_true(vm_is_paused(d->vm));
}
#define DESK(d, code) desk_start(d, code, sizeof(code) - 1)

static void desk_end(struct desk *d)
{
	gdb_session_free(d->session);
	scope_close(d->scope);
	vm_free(d->vm);
	loading_end(&d->files);
	text_free(&d->heard);
	text_free(&d->shown);
	if (d->pipe[0]) {
		close(d->pipe[0]);
		close(d->pipe[1]);
	}
}

static void hear_all(struct desk *d, const char *bytes, size_t count)
{
	while (count) {
		size_t took = gdb_hear(d->session, bytes, count);
		assert_in_range(took, 1, count);
		bytes += took;
		count -= took;
	}
}

static void send_payload(struct desk *d, const char *payload, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	static char packet[4 * GDB_PACKET];
	size_t at = 0;
	uint8_t sum = 0;
	assert_true(size < 3 * GDB_PACKET);
	packet[at++] = '$';
	for (size_t k = 0; k < size; k++) {
		sum = (uint8_t)(sum + (uint8_t)payload[k]);
		packet[at++] = payload[k];
	}
	packet[at++] = '#';
	packet[at++] = digits[sum >> 4];
	packet[at++] = digits[sum & 15];
	hear_all(d, packet, at);
}

/* The next packet that was heard, unescaped, in d->answer; its sum is right.  false: none is complete. */
static bool next_answer(struct desk *d)
{
	const char *data = text_string(&d->heard), *start, *end;
	uint8_t sum = 0, sent = 0;
	size_t size = 0;
	while (data[d->seen] == '+' || data[d->seen] == '-')
		d->seen++;
	if (data[d->seen] != '$')
		return false;
	start = data + d->seen + 1;
	end = strchr(start, '#');
	assert_non_null(end);
	for (const char *at = start; at < end; at++) {
		sum = (uint8_t)(sum + (uint8_t)*at);
		if (*at == '}') {
			at++;
			sum = (uint8_t)(sum + (uint8_t)*at);
			d->answer[size++] = (char)(*at ^ 0x20);
		} else {
			assert_true(*at != '*' && *at != '$');
			d->answer[size++] = *at;
		}
		assert_true(size <= GDB_PACKET);
	}
	d->answer[size] = 0;
	assert_true(gdb_parse_hex(end + 1, &sent, 1));
	assert_int_equal(sum, sent);
	d->seen = (size_t)(end + 3 - data);
	if (d->answer[0] == 'O' && d->answer[1] != 'K') {
		char byte;
		for (const char *at = d->answer + 1; *at; at += 2) {
			assert_true(gdb_parse_hex(at, &byte, 1));
			text_add_bytes(&d->shown, &byte, 1);
		}
		return next_answer(d);
	}
	return true;
}

static const char *ask(struct desk *d, const char *payload)
{
	send_payload(d, payload, strlen(payload));
	assert_true(next_answer(d));
	return d->answer;
}
#define ASK(d, payload, expected) assert_string_equal(ask(d, payload), expected)

/* ---- 2. Packets ----------------------------------------------------------------------------- */

static void answers(void **state)
{
	static struct desk d;
	(void)state;
	DESK(&d, "\x90\xF4");
	assert_non_null(strstr(ask(&d, "qSupported:multiprocess+;swbreak+;hwbreak+"), "PacketSize=4000;"));
	assert_non_null(strstr(d.answer, "qXfer:features:read+"));
	ASK(&d, "?", "T05thread:1;");
	ASK(&d, "qC", "QC1");
	ASK(&d, "qfThreadInfo", "m1");
	ASK(&d, "qsThreadInfo", "l");
	ASK(&d, "qThreadExtraInfo,1", "435055233020" "5b72756e6e696e672c2072696e6720305d");
	ASK(&d, "qAttached", "1");
	ASK(&d, "qSymbol::", "OK");
	ASK(&d, "T1", "OK");
	ASK(&d, "T2", "E16");
	ASK(&d, "Hg0", "OK");
	ASK(&d, "Hc-1", "OK");
	ASK(&d, "Hg77", "E16");
	ASK(&d, "vCont?", "vCont;c;C;s;S");
	ASK(&d, "vMustReplyEmpty", "");
	ASK(&d, "qNobodyKnows:this", "");
	ASK(&d, "", "");
	ASK(&d, "!", "");
	ASK(&d, "vCont;x", "E16");
	ASK(&d, "vCont;c:5", "E16");
	desk_end(&d);
}

/* By number and all together; the description has as many bits as there are. */
static void registers(void **state)
{
	static struct desk d;
	struct cpu_state s;
	static char all[4 * GDB_PACKET], xml[4 * GDB_PACKET];
	size_t bits = 0, offset = 0;
	(void)state;
	DESK(&d, "\x90\xF4");
	cpu_get_state(vm_cpu(d.vm), &s);
	for (bool more = true; more;) { /* in small pieces */
		char question[64];
		snprintf(question, sizeof question, "qXfer:features:read:target.xml:%zx,100", offset);
		more = *ask(&d, question) == 'm';
		strcpy(xml + offset, d.answer + 1);
		offset += strlen(d.answer + 1);
	}
	assert_non_null(strstr(xml, "</target>"));
	for (const char *at = xml; (at = strstr(at, "bitsize=\"")); at++)
		bits += (size_t)atoi(at + 9);
	strcpy(all, ask(&d, "g"));
	assert_int_equal(strlen(all), bits / 4);
	ASK(&d, "p8", "20001000"); /* EIP */
	assert_memory_equal(all + 8 * 8, "20001000", 8);
	ASK(&d, "pa", "10000000"); /* CS */
	ASK(&d, "p29", "11000000"); /* CR0 */
	ASK(&d, "P3=78563412", "OK");
	ASK(&d, "p3", "78563412");
	cpu_get_state(vm_cpu(d.vm), &s);
	assert_int_equal(s.gpr[CPU_EBX], 0x12345678);
	ASK(&d, "P29=ffffffff", "E16"); /* what the guest could not have set so */
	ASK(&d, "Pa=08000000", "E16");
	ASK(&d, "Pa=10000000", "OK"); /* it is that */
	ASK(&d, "P9=ffffffff", "OK");
	ASK(&d, "p9", "d77f3c00"); /* not RF, not VM */
	ASK(&d, "P9=02000000", "OK");
	ASK(&d, "P28=ffffffff", "OK"); /* MXCSR */
	ASK(&d, "p28", "bfff0000");
	ASK(&d, "P20=000102030405060708090a0b0c0d0e0f", "OK"); /* XMM0 */
	ASK(&d, "p20", "000102030405060708090a0b0c0d0e0f");
	ASK(&d, "P10=00000000000000c0ff3f", "OK"); /* ST0: 1.5 */
	ASK(&d, "P1a=fcff0000", "OK"); /* the tag word: register 0 is valid */
	ASK(&d, "p1a", "fcff0000");
	ASK(&d, "p10", "00000000000000c0ff3f");
	ASK(&d, "p99", "E16");
	ASK(&d, "p", "E16");
	ASK(&d, "P3=123", "E16");
	ASK(&d, "P3=1234567812", "E16");
	ASK(&d, "P99=00", "E16");
	strcpy(all, ask(&d, "g"));
	static char question[4 * GDB_PACKET + 2];
	snprintf(question, sizeof question, "G%s", all);
	memcpy(question + 1, "efbeadde", 8);
	ASK(&d, question, "OK");
	ASK(&d, "p0", "efbeadde");
	question[strlen(question) - 1] = 0;
	ASK(&d, question, "E16"); /* half a byte */
	ASK(&d, "G00x00000", "E16");
	ASK(&d, "p0", "efbeadde");
	desk_end(&d);
}

static void memory(void **state)
{
	static struct desk d;
	uint8_t bytes[4];
	(void)state;
	DESK(&d, "\x90\xF4");
	ASK(&d, "m100020,2", "90f4");
	ASK(&d, "M200000,4:01020304", "OK");
	ASK(&d, "m200000,4", "01020304");
	vm_read_physical(d.vm, 0x200000, bytes, 4);
	assert_memory_equal(bytes, "\1\2\3\4", 4);
	send_payload(&d, "X200000,4:a}\x03" "b}\x0A", 16); /* '#' and '*' escaped */
	assert_true(next_answer(&d));
	assert_string_equal(d.answer, "OK");
	ASK(&d, "m200000,4", "6123622a");
	ASK(&d, "X200000,0:", "OK");
	ASK(&d, "mffff0000,4", "E0e"); /* nothing there */
	ASK(&d, "mfffffe,8", "0000"); /* up to the end of memory */
	ASK(&d, "Mfffffe,8:0000000000000000", "E0e");
	ASK(&d, "m100020,0", "");
	assert_int_equal(strlen(ask(&d, "m0,ffffffff")), (GDB_PACKET / 2 - 8) * 2);
	ASK(&d, "m1000200000,1", "E16");
	ASK(&d, "m,1", "E16");
	ASK(&d, "m100020", "E16");
	ASK(&d, "m100020,1,", "E16");
	ASK(&d, "M100020,2:9", "E16");
	ASK(&d, "M100020,ffffffff:90", "E16");
	ASK(&d, "M100020,1:xy", "E16");
	ASK(&d, "X100020,9:a", "E16");
	ASK(&d, "qqemu.PhyMemMode", "0");
	ASK(&d, "Qqemu.PhyMemMode:1", "OK");
	ASK(&d, "qqemu.PhyMemMode", "1");
	ASK(&d, "m200000,1", "61");
	ASK(&d, "M200000,1:62", "OK");
	ASK(&d, "Qqemu.PhyMemMode:2", "E16");
	ASK(&d, "Qqemu.PhyMemMode:0", "OK");
	ASK(&d, "m200000,1", "62");
	desk_end(&d);
}

static void breakpoints(void **state)
{
	static struct desk d;
	char question[64];
	(void)state;
	DESK(&d, "\x90\xF4");
	/* A software and a hardware one in one place: one of the guest's, until both have gone. */
	ASK(&d, "Z0,100020,1", "OK");
	ASK(&d, "Z0,100020,1", "OK");
	ASK(&d, "Z1,100020,1", "OK");
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 1);
	ASK(&d, "m100020,1", "90");
	ASK(&d, "z0,100020,1", "OK");
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 1);
	ASK(&d, "z1,100020,1", "OK");
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 0);
	ASK(&d, "z1,100020,1", "OK");
	ASK(&d, "Z2,200000,4", "OK");
	ASK(&d, "Z3,200000,4", "OK");
	ASK(&d, "Z4,200000,4", "OK");
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 3);
	ASK(&d, "Z2,200000,0", "E16");
	ASK(&d, "Z5,200000,4", "");
	ASK(&d, "Z2,200000", "E16");
	ASK(&d, "Z", "E16");
	for (unsigned n = 3; n < CPU_BREAKPOINTS_MAX; n++) {
		snprintf(question, sizeof question, "Z0,%x,1", 0x300000 + n);
		ASK(&d, question, "OK");
	}
	ASK(&d, "Z0,400000,1", "E1c");
	gdb_session_free(d.session);
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 0);
	assert_false(vm_is_paused(d.vm));
	/* A second one, and no third beside it. */
	d.session = gdb_session_new(d.scope, on_say, &d);
	assert_non_null(d.session);
	assert_null(gdb_session_new(d.scope, on_say, &d));
	ASK(&d, "Z0,400000,1", "OK");
	desk_end(&d);
}

/* "monitor COMMAND", in hexadecimal digits. */
static const char *ask_monitor(struct desk *d, const char *line)
{
	struct text t = { 0 };
	text_add(&t, "qRcmd,");
	gdb_add_hex(&t, line, strlen(line));
	text_clear(&d->shown);
	send_payload(d, t.data, t.size);
	text_free(&t);
	assert_true(next_answer(d));
	return text_string(&d->shown);
}

static void monitor(void **state)
{
	static struct desk d;
	char why[256];
	(void)state;
	DESK(&d, "\x90\xF4");
	assert_non_null(strstr(ask_monitor(&d, "info registers"), "eip=00100020"));
	assert_string_equal(d.answer, "OK");
	assert_non_null(strstr(ask_monitor(&d, "xp/1xw 0x100020"), "f490"));
	assert_non_null(strstr(ask_monitor(&d, "nonsense"), "nonsense"));
	assert_string_equal(d.answer, "OK");
	assert_true(strlen(ask_monitor(&d, "x/4096xb 0")) > GDB_PACKET); /* more than one packet */
	ASK(&d, "qRcmd,6", "E16");
	ASK(&d, "qRcmd,xx", "E16");
	assert_non_null(strstr(ask_monitor(&d, "info gdb"), "no debugger is waited for"));
	assert_false(gdb_listen(d.scope, "nowhere", why, sizeof why));
	assert_null(d.scope->gdb);
	desk_end(&d);
}

/* ---- 3. Running ----------------------------------------------------------------------------- */

static void go_on(void *user, int fd, short revents)
{
	struct desk *d = user;
	char bytes[64];
	(void)revents;
	assert_true(read(fd, bytes, sizeof bytes) > 0);
	for (;;) {
		const struct exchange *e = d->script;
		if (!e->packet && !e->answer)
			return;
		if (e->packet && !d->asked) {
			if (strcmp(e->packet, "^C") == 0)
				hear_all(d, "\x03", 1);
			else
				send_payload(d, e->packet, strlen(e->packet));
		}
		d->asked = true;
		if (e->answer) {
			if (!next_answer(d))
				return;
			if (strncmp(d->answer, e->answer, strlen(e->answer)) != 0)
				fail_msg("to %s: '%s' and not '%s'", e->packet, d->answer, e->answer);
		}
		if (e->then)
			e->then(d->vm);
		d->asked = false;
		d->script++;
	}
}

static enum vm_end play(struct desk *d, const struct exchange *script)
{
	struct vm_descriptor descriptor = { .events = POLLIN, .ready = go_on, .user = d };
	d->script = script;
	assert_int_equal(pipe(d->pipe), 0);
	descriptor.fd = d->pipe[0];
	assert_true(vm_add_descriptor(d->vm, &descriptor));
	assert_int_equal(write(d->pipe[1], "", 1), 1);
	enum vm_end end = vm_run(d->vm);
	if (d->session)
		gdb_ended(d->session, end);
	vm_remove_descriptor(d->vm, d->pipe[0]);
	assert_null(d->script->packet); /* all of it was played, but what comes at the end */
	return end;
}

static void on_portable(struct vm *vm) { assert_int_equal(vm_get_engine(vm), VM_ENGINE_PORTABLE); }
static void on_its_own(struct vm *vm) { assert_int_equal(vm_get_engine(vm), engine); }
static void is_running(struct vm *vm) { assert_false(vm_is_paused(vm)); }

#define EXIT_7 "\xB0\x07\xE6\xF4" /* mov $7, %al; out %al, $0xF4: 15 comes out */

static void session(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "qSupported:swbreak+;hwbreak+", "PacketSize", on_its_own },
		{ "Z0,100025,1", "OK", on_portable },
		{ "c", "T05thread:1;swbreak:;04:", NULL },
		{ "p8", "25001000", NULL },
		{ "s", "T05thread:1;04:", on_portable },
		{ "p8", "26001000", NULL },
		{ "vCont;c:1", "T05thread:1;swbreak:;", NULL }, /* a loop */
		{ "z0,100025,1", "OK", on_its_own },
		{ "vCont;s:1;c", "T05thread:1;04:", on_its_own },
		{ "Z1,100025,1", "OK", on_portable },
		{ "C05", "T05thread:1;hwbreak:;", NULL },
		{ "z1,100025,1", "OK", on_its_own },
		{ "Z2,200000,4", "OK", on_portable },
		{ "c", "T05thread:1;watch:200000;", NULL },
		{ "m200000,4", "03000000", NULL }, /* before the loop's second half is through */
		{ "z2,200000,4", "OK", NULL },
		{ "Z4,200002,1", "OK", NULL },
		{ "c", "T05thread:1;awatch:200002;", NULL },
		{ "z4,200002,1", "OK", on_its_own },
		{ "P1=09000000", "OK", NULL }, /* ECX: soon done */
		{ "c", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	/* mov $1000000, %ecx; again: incl 0x200000; dec %ecx... */
	DESK(&d, "\xB9\x40\x42\x0F\x00\x90\xFF\x05\x00\x00\x20\x00\x49\x75\xF6" EXIT_7);
	assert_int_equal(play(&d, script), VM_DEBUG_EXIT);
	assert_true(next_answer(&d));
	assert_string_equal(d.answer, "W0f");
	desk_end(&d);
}

static void interrupted(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "c", NULL, is_running },
		{ "^C", "T02thread:1;", on_its_own },
		{ "?", "T02", NULL },
		{ "^C", NULL, NULL }, /* it stands still: nothing */
		{ "s", "T05", NULL },
		{ "c", NULL, is_running },
		{ "m100020,2", "ebfe", NULL }, /* it runs, and may be looked at */
		{ "^C", "T02", NULL },
		{ "k", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\xEB\xFE");
	assert_int_equal(play(&d, script), VM_KICKED);
	desk_end(&d);
}

static void detached(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "Z0,100024,1", "OK", on_portable },
		{ "c", "T05", NULL },
		{ "D", "OK", on_its_own },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\x90\x90\x90\x90\x90" EXIT_7);
	assert_int_equal(play(&d, script), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(d.vm), 7 << 1 | 1);
	assert_int_equal(gdb_hear(d.session, "$g#67", 5), 5); /* is not heard any more */
	assert_false(next_answer(&d));
	desk_end(&d);
}

/* A triple fault is shown; continued with its signal the run ends. */
static void shown(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "c", "T06thread:1;", on_its_own },
		{ "p8", "25001000", NULL },
		{ "c", "T06", NULL }, /* tried again: the same */
		{ "C06", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\x90\x90\x90\x90\x90\x0F\x0B");
	assert_int_equal(play(&d, script), VM_SHUTDOWN);
	assert_non_null(strstr(text_string(&d.shown), "triple fault"));
	assert_true(next_answer(&d));
	assert_string_equal(d.answer, "X06");
	desk_end(&d);
}

/* ... and mended, it goes on. */
static void mended(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "c", "T06thread:1;", NULL },
		{ "P8=22001000", "OK", NULL },
		{ "c", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\x0F\x0B" EXIT_7);
	assert_int_equal(play(&d, script), VM_DEBUG_EXIT);
	desk_end(&d);
}

/* ... and reset by somebody else meanwhile, it starts anew although the debugger would let it end. */
static void reset_meanwhile(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "c", "T06thread:1;", vm_reset },
		{ "C06", "T06thread:1;", NULL },
		{ "C06", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\x90\x90\x90\x90\x90\x0F\x0B");
	assert_int_equal(play(&d, script), VM_SHUTDOWN);
	desk_end(&d);
}

/* A guest that nothing can wake; the debugger leaves. */
static void stuck(void **state)
{
	static struct desk d;
	static const struct exchange script[] = {
		{ "c", "T06thread:1;", NULL },
		{ "qThreadExtraInfo,1", "4350552330205b68616c746564", NULL },
		{ "D", "OK", NULL },
		{ NULL, NULL, NULL },
	};
	(void)state;
	DESK(&d, "\xFA\xF4");
	assert_int_equal(play(&d, script), VM_STUCK);
	desk_end(&d);
}

static void vanished(void **state)
{
	static struct desk d;
	(void)state;
	DESK(&d, "\x90\x90\x90\x90\x90" EXIT_7);
	/* Without a run: it stops being there in the middle of everything. */
	ASK(&d, "Z0,100022,1", "OK");
	ASK(&d, "Z2,200000,4", "OK");
	on_portable(d.vm);
	send_payload(&d, "s", 1);
	gdb_session_free(d.session);
	d.session = NULL;
	assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 0);
	on_its_own(d.vm);
	assert_int_equal(vm_run(d.vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(d.vm), 7 << 1 | 1);
	desk_end(&d);
}

/* ---- 4. Hostility --------------------------------------------------------------------------- */

static void acknowledgement(void **state)
{
	static struct desk d;
	(void)state;
	DESK(&d, "\x90\xF4");
	hear_all(&d, "$qC#b4", 6);
	assert_string_equal(text_string(&d.heard), "+$QC1#c5");
	hear_all(&d, "-", 1); /* once more */
	assert_string_equal(text_string(&d.heard), "+$QC1#c5$QC1#c5");
	text_clear(&d.heard);
	hear_all(&d, "$qC#b5", 6);
	hear_all(&d, "$qC#x4", 6);
	hear_all(&d, "$qC#bx", 6);
	assert_string_equal(text_string(&d.heard), "---");
	text_clear(&d.heard);
	hear_all(&d, "noise+++$cut$qC#b4", 18);
	assert_string_equal(text_string(&d.heard), "+$QC1#c5");
	d.seen = d.heard.size;
	ASK(&d, "QStartNoAckMode", "OK");
	text_clear(&d.heard);
	d.seen = 0;
	hear_all(&d, "$qC#00", 6); /* sums are not looked at any more */
	assert_string_equal(text_string(&d.heard), "$QC1#c5");
	desk_end(&d);
}

static void too_long(void **state)
{
	static struct desk d;
	static char many[3 * GDB_PACKET - 1];
	(void)state;
	DESK(&d, "\x90\xF4");
	memset(many, 'm', sizeof many);
	send_payload(&d, many, sizeof many);
	assert_true(next_answer(&d));
	assert_string_equal(d.answer, "E1c");
	send_payload(&d, many, GDB_PACKET);
	assert_true(next_answer(&d));
	assert_string_equal(d.answer, "E16");
	for (unsigned k = 0; k < 100; k++) /* no end ever */
		hear_all(&d, many, sizeof many);
	ASK(&d, "qC", "QC1");
	desk_end(&d);
}

static uint32_t next_random(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u, *seed >> 8; }

static void *kick_soon(void *vm)
{
	const struct timespec soon = { .tv_nsec = 50000000 };
	nanosleep(&soon, NULL);
	vm_kick(vm);
	return NULL;
}

/* Anything at all: random bytes, and packets that were changed a little; then the guest runs with what came of it. */
static void anything(void **state)
{
	static const char *const packets[] = {
		"qSupported:swbreak+", "?", "g", "p8", "P8=00001000", "P9=ffffffff", "m100020,40", "M100020,2:ebfe",
		"X100020,2:ab", "Z0,100020,1", "z0,100020,1", "Z2,200000,4", "c", "s", "vCont;s:1;c", "vCont;c", "Hg1", "T1",
		"qXfer:features:read:target.xml:0,ff0", "qfThreadInfo", "D", "k", "C06", "S05;100020", "QStartNoAckMode",
		"qRcmd,696e666f20726567697374657273", "qqemu.PhyMemMode", "Qqemu.PhyMemMode:1", "G00000000ffffffff",
		"P29=11000080", "P1a=00000000", "P28=ffffffff", "P18=00000000",
	};
	static struct desk d;
	uint32_t seed = 11;
	(void)state;
	for (unsigned round = 0; round < (getenv("TEST_VALGRIND") ? 2 : 12); round++) {
		pthread_t kicker;
		DESK(&d, "\xEB\xFE");
		for (unsigned n = 0; n < 3000; n++) {
			char bytes[64];
			size_t size = next_random(&seed) % sizeof bytes;
			if (d.session->ending) {
				gdb_session_free(d.session);
				d.session = gdb_session_new(d.scope, on_say, &d);
				assert_non_null(d.session);
			}
			if (n % 3 == 0) {
				for (size_t k = 0; k < size; k++)
					bytes[k] = (char)next_random(&seed);
				hear_all(&d, bytes, size);
			} else {
				const char *p = packets[next_random(&seed) % (sizeof packets / sizeof packets[0])];
				size = strlen(p);
				memcpy(bytes, p, size);
				if (next_random(&seed) % 2)
					bytes[next_random(&seed) % size] = (char)next_random(&seed);
				send_payload(&d, bytes, size);
			}
			assert_true(d.heard.size < 4 * GDB_PACKET); /* what one packet can make us say */
			text_clear(&d.heard);
		}
		gdb_session_free(d.session);
		d.session = NULL;
		assert_int_equal(cpu_breakpoints(vm_cpu(d.vm)), 0);
		assert_int_equal(pthread_create(&kicker, NULL, kick_soon, d.vm), 0);
		vm_run(d.vm);
		pthread_join(kicker, NULL);
		desk_end(&d);
	}
}

/* ---- The list ------------------------------------------------------------------------------- */

static int portable(void **state)
{
	(void)state;
	engine = VM_ENGINE_PORTABLE;
	return 0;
}
static int direct(void **state)
{
	(void)state;
	engine = VM_ENGINE_DIRECT;
	return 0;
}
#define ON_BOTH(test) \
	{ #test "_portable", test, portable, NULL, NULL }, { #test "_direct", test, direct, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(registers),
		cmocka_unit_test(memory),
		cmocka_unit_test(breakpoints),
		cmocka_unit_test(monitor),
		ON_BOTH(session),
		ON_BOTH(interrupted),
		ON_BOTH(detached),
		ON_BOTH(shown),
		ON_BOTH(mended),
		ON_BOTH(reset_meanwhile),
		ON_BOTH(stuck),
		ON_BOTH(vanished),
		cmocka_unit_test_setup(acknowledgement, portable),
		cmocka_unit_test(too_long),
		ON_BOTH(anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
