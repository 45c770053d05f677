/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/shell.c - a few commands on the serial line.
 *
 *   1. Commands    one function each, one line in the table
 *   2. Line        reading and editing one
 *   3. shell()
 */
#include "guests/hello/hello.h"

/* ---- 1. Commands ---------------------------------------------------------------------------- */

static uint32_t to_number(const char *s)
{
	uint32_t value = 0;

	while (*s >= '0' && *s <= '9')
		value = value * 10 + (uint32_t)(*s++ - '0');
	return value;
}

static void list_processes(const char *rest)
{
	static const char *const name[] = {"", "ready", "asleep", "waiting", "ended"};

	(void)rest;
	print("  pid parent state    directory  ticks  demanded  copied\n");
	for (unsigned i = 0; i < PROCESSES; i++) {
		const struct process *p = &processes[i];

		if (p->state != STATE_FREE)
			print("  %3u %6u %7s  %08x %7u %9u %7u%s\n", p->pid, p->parent,
			      name[p->state], p->directory ? p->directory : kernel_directory(),
			      p->ticks, p->demand, p->cow, i ? "" : "  (kernel)");
	}
}

static void show_tables(const char *rest)
{
	uint32_t pid = to_number(rest);

	for (unsigned i = 0; i < PROCESSES; i++) {
		const struct process *p = &processes[i];

		if (p->state != STATE_FREE && p->pid == pid) {
			print_tables(p->directory ? p->directory : kernel_directory());
			return;
		}
	}
	print("  no process %u\n", pid);
}

static void show_memory(const char *rest)
{
	(void)rest;
	print("  %u KiB in frames, %u KiB free; the kernel's image %u KiB\n", frames_total() * 4,
	      frames_free() * 4, (uint32_t)(image_end - image_start) / 1024);
}

static void show_uptime(const char *rest)
{
	(void)rest;
	print("  %u.%02u seconds\n", ticks / HZ, ticks % HZ);
}

static void check(const char *rest)
{
	(void)rest;
	print("SELF-CHECK %s %u.%02u\n", self_check() ? "ok" : "failed", ticks / HZ, ticks % HZ);
}

static void reboot(const char *rest)
{
	(void)rest;
	out8(0x64, 0xFE);
}

static void leave(const char *rest)
{
	(void)rest;
	print("bye\n");
	power_off();
}

static void help(const char *rest);

static const struct command {
	const char *name, *help;
	void (*run)(const char *rest);
} commands[] = {
    {"help", "this list", help},
    {"ps", "the processes", list_processes},
    {"pt", "page tables as runs: of the kernel, or `pt PID`", show_tables},
    {"mem", "memory", show_memory},
    {"uptime", "seconds since the start", show_uptime},
    {"selfcheck", "run the checks again", check},
    {"reboot", "start over", reboot},
    {"poweroff", "end", leave},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(const char *rest)
{
	(void)rest;
	for (unsigned i = 0; i < COMMANDS; i++)
		print("  %10s %s\n", commands[i].name, commands[i].help);
}

/* ---- 2. Line -------------------------------------------------------------------------------- */

#define LINE_BYTES 80u

static void read_line(char *line)
{
	uint32_t used = 0;
	int key;

	for (;;) {
		while ((key = next_key()) < 0)
			idle();
		if (key == '\r' || key == '\n')
			break;
		if ((key == 8 || key == 127) && used) {
			used--;
			print("\b \b");
		} else if (key == 21) { /* Ctrl-U */
			for (; used; used--)
				print("\b \b");
		} else if (key >= ' ' && key < 127 && used + 1 < LINE_BYTES) {
			line[used++] = (char)key;
			put((char)key);
		}
	}
	line[used] = 0;
	print("\n");
}

/* ---- 3. shell() ----------------------------------------------------------------------------- */

static void run(const char *line)
{
	size_t length = 0;

	while (*line == ' ')
		line++;
	while (line[length] && line[length] != ' ')
		length++;
	if (!length)
		return;
	for (unsigned i = 0; i < COMMANDS; i++)
		if (strlen(commands[i].name) == length &&
		    memcmp(commands[i].name, line, length) == 0) {
			line += length;
			while (*line == ' ')
				line++;
			commands[i].run(line);
			return;
		}
	print("  no such command; `help` lists them\n");
}

void shell(void)
{
	char line[LINE_BYTES];

	for (;;) {
		print("hello> ");
		read_line(line);
		run(line);
	}
}
