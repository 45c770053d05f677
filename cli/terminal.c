/* SPDX-License-Identifier: MIT */
/*
 * cli/terminal.c - the terminal in raw mode, and as it was on every way out.
 *
 *   1. Modes      take_terminal, restore_terminal: whose it is, raw or as it was
 *   2. Signals    those that ask us to leave, that stop us, that kill us; open_terminal, close_terminal
 *
 * Signal handlers have no argument of ours, so what they need is this file's one static object: the program
 * (not the library) has one terminal.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

static struct {
	struct vm *volatile vm;
	int fd;
	bool is_terminal;              /* what follows is known */
	volatile sig_atomic_t raw;     /* the modes before are to be restored */
	volatile sig_atomic_t pending; /* the signal that asked us to leave */
	bool raw_signals;
	volatile sig_atomic_t known;   /* the two modes */
	struct termios before, during;
} terminal;

/* ---- 1. Modes ------------------------------------------------------------------------------- */

/* A terminal is for the process group in its foreground; whoever else reads or changes it is stopped (SIGTTIN, SIGTTOU).
 * One that does not control us has no such groups. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(terminal.fd);
	return group < 0 || group == getpgrp();
}

/* tcsetattr(), tcgetpgrp() and getpgrp() are async-signal-safe. */
void restore_terminal(void)
{
	if (terminal.raw && in_foreground())
		tcsetattr(terminal.fd, TCSANOW, &terminal.before);
	terminal.raw = 0;
}

static void make_raw(void)
{
	if (terminal.known && tcsetattr(terminal.fd, TCSANOW, &terminal.during) == 0)
		terminal.raw = 1;
}

/* When we are in the foreground for the first time: those that a shell edits its lines in are not those to go back to. */
static void learn_modes(void)
{
	if (tcgetattr(terminal.fd, &terminal.before) != 0)
		return;
	terminal.during = terminal.before;
	cfmakeraw(&terminal.during);
	/* Our own messages want their line ends; a guest's CR LF survives that. */
	terminal.during.c_oflag |= terminal.before.c_oflag & (tcflag_t)(OPOST | ONLCR);
	if (!terminal.raw_signals)
		terminal.during.c_lflag |= ISIG;
	terminal.known = 1;
}

bool take_terminal(void *user)
{
	(void)user;
	if (!terminal.is_terminal)
		return true;
	if (!in_foreground()) {
		terminal.raw = 0;
		return false;
	}
	if (!terminal.known)
		learn_modes();
	if (!terminal.raw)
		make_raw();
	return true;
}

/* ---- 2. Signals ----------------------------------------------------------------------------- */

static void leave(int signal_number)
{
	/* Asked twice: whatever hangs, hangs. */
	if (terminal.pending) {
		restore_terminal();
		signal(signal_number, SIG_DFL);
		raise(signal_number);
		return;
	}
	terminal.pending = signal_number;
	if (terminal.vm)
		vm_kick(terminal.vm);
}

static void crash(int signal_number)
{
	restore_terminal();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void stop(int signal_number)
{
	int saved = errno;
	(void)signal_number;
	restore_terminal();
	raise(SIGSTOP);
	errno = saved;
}

/* We may have been stopped by SIGSTOP, and the modes be those of whoever had the terminal since. */
static void go_on(int signal_number)
{
	int saved = errno;
	(void)signal_number;
	terminal.raw = 0;
	if (terminal.is_terminal && terminal.vm && in_foreground())
		make_raw();
	errno = saved;
}

static void handle(int signal_number, void (*handler)(int), bool even_if_handled)
{
	struct sigaction old, action;
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	/* The direct engine's guest has no stack for us; and what vm_kick() sends is to find the guest, not us. */
	action.sa_flags = SA_RESTART | SA_ONSTACK;
	sigfillset(&action.sa_mask);
	/* What our parent told us to ignore (nohup) stays ignored. */
	if (sigaction(signal_number, NULL, &old) == 0 && old.sa_handler != SIG_IGN &&
	    (even_if_handled || old.sa_handler == SIG_DFL))
		sigaction(signal_number, &action, NULL);
}

void catch_crashes(void)
{
	static const int crashing[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	for (size_t k = 0; k < sizeof crashing / sizeof crashing[0]; k++)
		handle(crashing[k], crash, false);
}

void open_terminal(struct vm *vm, int in, bool raw_signals)
{
	static const int leaving[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	terminal.vm = vm;
	/* A closed pipe or a full disk comes back as an error of write(). */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	for (size_t k = 0; k < sizeof leaving / sizeof leaving[0]; k++)
		handle(leaving[k], leave, true);
	handle(SIGTSTP, stop, true);
	handle(SIGCONT, go_on, true);
	atexit(restore_terminal);
	terminal.fd = in;
	terminal.raw_signals = raw_signals;
	terminal.is_terminal = in >= 0 && isatty(in);
	take_terminal(NULL);
}

void close_terminal(void)
{
	terminal.vm = NULL;
	restore_terminal();
}

int pending_signal(void)
{
	return terminal.pending;
}
