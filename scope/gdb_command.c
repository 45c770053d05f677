/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb_command.c - what each packet asks for.
 *
 *   1. Memory       m, M, X
 *   2. Queries      q..., Q..., v...
 *   3. The monitor  qRcmd
 *   4. The table
 *
 * A packet that is not known is answered with an empty one: the client then does without.
 */
#include <string.h>

#include "scope/gdb_internal.h"
#include "scope/monitor.h"

void gdb_ok(struct gdb_session *s)
{
	text_clear(&s->reply);
	text_add(&s->reply, "OK");
}

void gdb_fail(struct gdb_session *s, enum gdb_error error)
{
	text_clear(&s->reply);
	text_add(&s->reply, "E%02x", (unsigned)error);
}

/* ---- 1. Memory ------------------------------------------------------------------------------ */

static size_t read_memory(struct gdb_session *s, uint32_t address, void *bytes, size_t count)
{
	struct vm *vm = s->scope->vm;
	return s->physical ? vm_read_physical(vm, address, bytes, count) : cpu_peek(vm_cpu(vm), address, bytes, count);
}

static size_t write_memory(struct gdb_session *s, uint32_t address, const void *bytes, size_t count)
{
	struct vm *vm = s->scope->vm;
	return s->physical ? vm_write_physical(vm, address, bytes, count) : cpu_poke(vm_cpu(vm), address, bytes, count);
}

/* mADDRESS,LENGTH: as much as is there, and as a packet holds. */
static void command_read(struct gdb_session *s)
{
	const char *at = s->packet + 1;
	uint8_t bytes[GDB_PACKET / 2 - 8];
	uint32_t address, length;
	if (!gdb_parse_until(&at, ',', &address) || !gdb_parse_until(&at, 0, &length)) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	size_t count = length < sizeof bytes ? length : sizeof bytes, got = read_memory(s, address, bytes, count);
	if (!got && length)
		gdb_fail(s, GDB_EFAULT);
	else
		gdb_add_hex(&s->reply, bytes, got);
}

/* MADDRESS,LENGTH:digits and XADDRESS,LENGTH:bytes: all or an error. */
static void command_write(struct gdb_session *s)
{
	const char *at = s->packet + 1;
	uint32_t address, length;
	bool fine = gdb_parse_until(&at, ',', &address) && gdb_parse_until(&at, ':', &length);
	size_t left = fine ? s->size - (size_t)(at - s->packet) : 0;
	if (!fine || (s->packet[0] == 'X' ? left != length : left != (size_t)length * 2)) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	char *data = s->packet + (at - s->packet);
	if (s->packet[0] == 'M' && !gdb_parse_hex(data, data, length)) { /* in place: it shrinks */
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	if (write_memory(s, address, data, length) == length)
		gdb_ok(s);
	else
		gdb_fail(s, GDB_EFAULT);
}

/* ---- 2. Queries ----------------------------------------------------------------------------- */

static bool offers(const char *list, const char *feature)
{
	size_t length = strlen(feature);
	for (const char *at = list; at; at = strchr(at, ';')) {
		at += *at == ';' || *at == ':';
		if (strncmp(at, feature, length) == 0 && (!at[length] || at[length] == ';'))
			return true;
	}
	return false;
}

static void query_supported(struct gdb_session *s, const char *rest)
{
	s->swbreak = offers(rest, "swbreak+");
	s->hwbreak = offers(rest, "hwbreak+");
	text_add(&s->reply, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;swbreak+;hwbreak+;vContSupported+",
	         GDB_PACKET);
}

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void query_features(struct gdb_session *s, const char *rest)
{
	const char *at = rest + strlen("target.xml:");
	struct text xml = { 0 };
	uint32_t offset, length;
	if (strncmp(rest, "target.xml:", strlen("target.xml:")) != 0 || !gdb_parse_until(&at, ',', &offset) ||
	    !gdb_parse_until(&at, 0, &length)) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	gdb_describe_target(&xml);
	size_t from = offset < xml.size ? offset : xml.size, left = xml.size - from;
	size_t most = length < GDB_PACKET / 2 ? length : GDB_PACKET / 2; /* (escapes) */
	text_add(&s->reply, left > most ? "m" : "l");
	text_add_bytes(&s->reply, text_string(&xml) + from, left < most ? left : most);
	text_free(&xml);
}

static void query_thread_name(struct gdb_session *s, const char *rest)
{
	struct cpu_regs regs;
	char name[64];
	(void)rest;
	cpu_get_regs(vm_cpu(s->scope->vm), &regs);
	int size = snprintf(name, sizeof name, "CPU#0 [%s, ring %u]", regs.halted ? "halted" : "running", regs.cpl);
	gdb_add_hex(&s->reply, name, (size_t)size);
}

static void query_first_thread(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "m1");
}

static void query_more_threads(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "l");
}

static void query_current_thread(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "QC1");
}

/* To leave is to detach, not to kill. */
static void query_attached(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "1");
}

static void query_symbol(struct gdb_session *s, const char *rest)
{
	(void)rest;
	gdb_ok(s);
}

static void query_physical(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "%d", s->physical);
}

static void set_physical(struct gdb_session *s, const char *rest)
{
	if ((*rest != '0' && *rest != '1') || rest[1]) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	s->physical = *rest == '1';
	gdb_ok(s);
}

/* (This answer is still acknowledged.) */
static void set_no_ack(struct gdb_session *s, const char *rest)
{
	(void)rest;
	gdb_ok(s);
	s->no_ack = true;
}

static void query_vcont(struct gdb_session *s, const char *rest)
{
	(void)rest;
	text_add(&s->reply, "vCont;c;C;s;S");
}

/* ---- 3. The monitor ------------------------------------------------------------------------- */

/* As text in packets of their own, then OK: an answer may be larger than a packet. */
static void query_monitor(struct gdb_session *s, const char *rest)
{
	size_t digits = strlen(rest), most = GDB_PACKET / 2 - 1;
	char line[MONITOR_LINE];
	struct text answer = { .limit = GDB_ANSWER };
	if (digits % 2 || digits / 2 >= sizeof line || !gdb_parse_hex(rest, line, digits / 2)) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	line[digits / 2] = 0;
	monitor_run(s->scope, line, &answer);
	for (size_t at = 0; at < answer.size; at += most) {
		text_add(&s->reply, "O");
		gdb_add_hex(&s->reply, answer.data + at, answer.size - at < most ? answer.size - at : most);
		gdb_send(s);
	}
	text_free(&answer);
	gdb_ok(s);
}

/* ---- 4. The table --------------------------------------------------------------------------- */

/* By how they begin; what follows is the second argument. */
static const struct query {
	const char *name;
	void (*answer)(struct gdb_session *s, const char *rest);
} queries[] = {
	{ "qSupported", query_supported },
	{ "qXfer:features:read:", query_features },
	{ "qRcmd,", query_monitor },
	{ "qfThreadInfo", query_first_thread },
	{ "qsThreadInfo", query_more_threads },
	{ "qThreadExtraInfo,", query_thread_name },
	{ "qAttached", query_attached },
	{ "qSymbol:", query_symbol },
	{ "qqemu.PhyMemMode", query_physical },
	{ "Qqemu.PhyMemMode:", set_physical },
	{ "QStartNoAckMode", set_no_ack },
	{ "vCont?", query_vcont },
	{ "qC", query_current_thread },
};

static void command_query(struct gdb_session *s)
{
	for (size_t k = 0; k < sizeof queries / sizeof queries[0]; k++) {
		size_t length = strlen(queries[k].name);
		if (strncmp(s->packet, queries[k].name, length) == 0 && (length > 2 || !s->packet[length])) {
			queries[k].answer(s, s->packet + length);
			return;
		}
	}
}

static void command_stop_reason(struct gdb_session *s)
{
	text_add(&s->reply, "%s", s->stop);
}

/* T1, Hg1, Hc-1: there is one thread; 0 and -1 mean any and all. */
static void command_thread(struct gdb_session *s)
{
	const char *at = s->packet + (s->packet[0] == 'H' && s->packet[1] ? 2 : 1);
	uint32_t thread;
	if (strcmp(at, "-1") == 0 || (gdb_parse_until(&at, 0, &thread) && thread <= 1))
		gdb_ok(s);
	else
		gdb_fail(s, GDB_EINVAL);
}

static void command_detach(struct gdb_session *s)
{
	gdb_ok(s);
	gdb_send(s);
	gdb_detach(s);
}

static void command_kill(struct gdb_session *s)
{
	gdb_detach(s);
	vm_kick(s->scope->vm);
}

/* Those that answer by themselves, at once or later. */
static bool goes_on(struct gdb_session *s)
{
	switch (s->packet[0]) {
	case 'c': case 's': case 'C': case 'S':
		gdb_resume(s);
		return true;
	case 'D':
		command_detach(s);
		return true;
	case 'k':
		command_kill(s);
		return true;
	case 'v':
		if (strncmp(s->packet, "vCont;", 6) == 0)
			gdb_vcont(s);
		return strncmp(s->packet, "vCont;", 6) == 0;
	default:
		return false;
	}
}

void gdb_command(struct gdb_session *s)
{
	text_clear(&s->reply);
	if (goes_on(s))
		return;
	switch (s->packet[0]) {
	case '?': command_stop_reason(s); break;
	case 'g': gdb_read_registers(s); break;
	case 'G': gdb_write_registers(s); break;
	case 'p': gdb_read_register(s); break;
	case 'P': gdb_write_register(s); break;
	case 'm': command_read(s); break;
	case 'M': case 'X': command_write(s); break;
	case 'Z': case 'z': gdb_point_command(s); break;
	case 'H': case 'T': command_thread(s); break;
	case 'q': case 'Q': case 'v': command_query(s); break;
	default: break;
	}
	gdb_send(s);
}
