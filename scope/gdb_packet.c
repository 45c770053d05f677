/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb_packet.c - bytes to packets and back: $payload#sum, acknowledged with + or -.
 *
 *   1. Sending
 *   2. Hearing    one packet at a time
 *   3. Numbers    hexadecimal, in packets
 */
#include <string.h>

#include "scope/gdb_internal.h"

/* ---- 1. Sending ----------------------------------------------------------------------------- */

static const char digits[] = "0123456789abcdef";

/* What would be taken for the end of the packet, or for a run of equal bytes. */
static bool is_special(char byte)
{
	return byte == '#' || byte == '$' || byte == '}' || byte == '*';
}

void gdb_send(struct gdb_session *s)
{
	struct text *t = &s->sent;
	uint8_t sum = 0;
	text_clear(t);
	text_add_bytes(t, "$", 1);
	for (size_t k = 0; k < s->reply.size; k++) {
		char byte = s->reply.data[k];
		if (is_special(byte)) {
			const char escaped[2] = { '}', (char)(byte ^ 0x20) };
			text_add_bytes(t, escaped, 2);
			sum = (uint8_t)(sum + escaped[0] + escaped[1]);
		} else {
			text_add_bytes(t, &byte, 1);
			sum = (uint8_t)(sum + (uint8_t)byte);
		}
	}
	text_add_bytes(t, (const char[]){ '#', digits[sum >> 4], digits[sum & 15] }, 3);
	text_clear(&s->reply);
	s->say(s->user, t->data, t->size);
}

/* ---- 2. Hearing ----------------------------------------------------------------------------- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                                                                                                 : -1;
}

static void begin(struct gdb_session *s)
{
	s->state = GDB_PAYLOAD;
	s->size = 0;
	s->sum = 0;
	s->too_long = false;
}

static void keep(struct gdb_session *s, char byte)
{
	if (s->size < GDB_PACKET)
		s->packet[s->size++] = byte;
	else
		s->too_long = true;
}

static void end(struct gdb_session *s)
{
	bool right = s->sum == s->sum_sent;
	s->state = GDB_IDLE;
	s->packet[s->size] = 0;
	if (!s->no_ack)
		s->say(s->user, right ? "+" : "-", 1);
	if (!s->no_ack && !right)
		return;
	if (s->too_long) {
		gdb_fail(s, GDB_ENOSPC);
		gdb_send(s);
		return;
	}
	gdb_command(s);
}

/* Between packets.  true: something was done that counts as a command. */
static bool hear_idle(struct gdb_session *s, char byte)
{
	switch (byte) {
	case '$':
		begin(s);
		return false;
	case 3: /* Ctrl-C */
		gdb_interrupt(s);
		return true;
	case '-':
		if (!s->no_ack && s->sent.size)
			s->say(s->user, s->sent.data, s->sent.size);
		return true;
	default: /* '+', and noise */
		return false;
	}
}

/* true: a packet is complete, or something else that counts. */
static bool hear_byte(struct gdb_session *s, char byte)
{
	switch (s->state) {
	case GDB_IDLE:
		return hear_idle(s, byte);
	case GDB_PAYLOAD:
		if (byte == '#') {
			s->state = GDB_SUM_HIGH;
		} else if (byte == '$') { /* the one before was cut off */
			begin(s);
		} else {
			s->sum = (uint8_t)(s->sum + (uint8_t)byte);
			if (byte == '}')
				s->state = GDB_ESCAPED;
			else
				keep(s, byte);
		}
		return false;
	case GDB_ESCAPED:
		s->sum = (uint8_t)(s->sum + (uint8_t)byte);
		keep(s, (char)(byte ^ 0x20));
		s->state = GDB_PAYLOAD;
		return false;
	case GDB_SUM_HIGH: /* (No digit: no sum that is right.) */
	case GDB_SUM_LOW:
		if (digit(byte) < 0) {
			s->state = GDB_IDLE;
			break;
		}
		s->sum_sent = (uint8_t)((s->sum_sent << 4) + digit(byte));
		if (s->state == GDB_SUM_HIGH) {
			s->state = GDB_SUM_LOW;
			return false;
		}
		end(s);
		return true;
	}
	if (!s->no_ack)
		s->say(s->user, "-", 1);
	return true;
}

size_t gdb_hear(struct gdb_session *s, const char *bytes, size_t count)
{
	size_t took = 0;
	if (s->ending)
		return count;
	while (took < count)
		if (hear_byte(s, bytes[took++]))
			break;
	return took;
}

/* ---- 3. Numbers ----------------------------------------------------------------------------- */

void gdb_add_hex(struct text *t, const void *bytes, size_t count)
{
	for (const uint8_t *b = bytes; count; b++, count--)
		text_add_bytes(t, (const char[]){ digits[*b >> 4], digits[*b & 15] }, 2);
}

bool gdb_parse_hex(const char *text, void *bytes, size_t count)
{
	for (uint8_t *to = bytes; count; count--, text += 2) {
		int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
		if (low < 0)
			return false;
		*to++ = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool gdb_parse_number(const char **at, uint32_t *value)
{
	uint64_t number = 0;
	const char *from = *at;
	for (; digit(**at) >= 0; ++*at) {
		number = number << 4 | (unsigned)digit(**at);
		if (number > UINT32_MAX)
			return false;
	}
	*value = (uint32_t)number;
	return *at != from;
}

bool gdb_parse_until(const char **at, char stop, uint32_t *value)
{
	if (!gdb_parse_number(at, value) || **at != stop)
		return false;
	if (stop)
		++*at;
	return true;
}
