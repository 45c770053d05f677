/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/device_console.c - the virtio console: queue 0 is what the user types, queue 1 what we say.
 */
#include "guests/pv/device.h"

enum { INPUT_BYTES = 4096 };

static struct device *console;
static char *input;
static bool input_posted;

bool console_ready(void)
{
	return console;
}

void console_start(void)
{
	struct device *d = find_device(DEVICE_CONSOLE);

	if (!d)
		return;
	device_begin(d, 0);
	if (d->queues < 2)
		return;
	d->queue[1].avail[0] = QUEUE_SILENT;
	if (family->silent_edits) /* the old driver polls for input */
		d->queue[0].avail[0] = QUEUE_SILENT;
	input = virtual(take_frame());
	flush_print();
	console = d;
}

/* Interrupts are off while it spins: the host has to serve it at the notification, or beside it. */
void console_write(const char *text, uint32_t length)
{
	static char copy[128];
	const struct buffer b = { copy, length, false };
	struct used used;
	uint32_t flags = irq_save();

	memcpy(copy, text, length);
	if (!queue_request(&console->queue[1], &b, 1, &used)) {
		console = NULL;
		print("\npv: the console does not answer\n");
		shut_down("pv: the console does not answer", SHUTDOWN_POWER_OFF);
	}
	irq_restore(flags);
}

static uint32_t take_input(char *to, uint32_t room)
{
	const struct buffer b = { input, INPUT_BYTES, true };
	struct used used;

	if (!input_posted) {
		queue_add(&console->queue[0], &b, 1);
		queue_notify(&console->queue[0]);
		input_posted = true;
	}
	if (!queue_wait(&console->queue[0], &used))
		return 0;
	input_posted = false;
	if (used.bytes > room)
		used.bytes = room;
	memcpy(to, input, used.bytes);
	return used.bytes;
}

uint32_t console_read(char *to, uint32_t room)
{
	uint32_t length = 0, n;

	while (console && length < room && (n = take_input(to + length, room - length))) {
		length += n;
		if (to[length - 1] == '\n' || to[length - 1] == '\r')
			break;
	}
	return length;
}
