/* SPDX-License-Identifier: MIT */
/*
 * cli/run.c - umbra run: from options to a machine, to an exit status.
 *
 *   1. Modules      -module and QEMU's -initrd list, as the loader wants them
 *   2. Console      -serial, -monitor, as file descriptors
 *   3. The end      what is said, and the exit status
 *   4. The verb     run_verb
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "scope/screen.h"

struct run {
	struct run_options o;
	struct vm_config config;
	struct escape escape;
	struct guest_module module[MODULES_MAX];
	char *text[MODULES_MAX * 2]; /* what the modules' strings point at */
	unsigned texts;
	int serial_file;
	struct vm_listener listener;
	FILE *log, *record;
};

static bool complain(struct guest_error *error, const char *what, const char *why)
{
	snprintf(error->text, sizeof error->text, "%.120s: %s", what, why);
	return false;
}

/* ---- 1. Modules ----------------------------------------------------------------------------- */

/* "FILE ARGS": the file is the first word; the module's command line is all of it. */
static bool add_module(struct run *r, char *spec, struct guest_error *error)
{
	spec += strspn(spec, " ");
	char *path = strdup(spec);
	if (!path || r->config.guest.module_count == MODULES_MAX) {
		free(path);
		return complain(error, "modules", path ? "too many" : "no memory");
	}
	path[strcspn(path, " ")] = 0;
	r->text[r->texts++] = path;
	r->module[r->config.guest.module_count++] = (struct guest_module){ path, spec };
	return true;
}

/* "mod1 arg,mod2": a comma separates, two commas are one in the text. */
static bool split_initrd(struct run *r, const char *list, struct guest_error *error)
{
	char *copy = strdup(list), *to = copy;
	if (!copy)
		return complain(error, "-initrd", "no memory");
	r->text[r->texts++] = copy;
	char *start = copy;
	for (const char *at = list;; at++) {
		if (at[0] == ',' && at[1] == ',') {
			*to++ = *at++;
			continue;
		}
		bool end = *at == 0;
		*to++ = *at == ',' ? 0 : *at;
		if (*at && *at != ',')
			continue;
		if (!add_module(r, start, error))
			return false;
		start = to;
		if (end)
			return true;
	}
}

static bool prepare_guest(struct run *r, struct guest_error *error)
{
	const struct run_options *o = &r->o;
	struct guest_request *g = &r->config.guest;
	enum image_kind kind = guest_identify(o->kernel, error);
	if (kind == IMAGE_UNKNOWN)
		return false;
	bool lguest = o->machine == MACHINE_LGUEST ||
	              (o->machine == MACHINE_AUTO && lguest_only_image(o->kernel));
	r->config.board = lguest ? VM_LGUEST : VM_PC;
	if (!lguest && (o->drives || o->nets || o->hypercalls))
		return complain(error, o->kernel, "this image runs on -machine pc, which has no disks, network "
		                                  "or hypercalls (-machine lguest has); files for it: -initrd, -module");
	if (lguest && o->module_count)
		return complain(error, o->kernel, "an lguest guest takes -initrd, not -module");
	bool linux_like = kind == IMAGE_BZIMAGE || kind == IMAGE_ELF_LINUX;
	g->kernel = o->kernel;
	g->command_line = o->append ? o->append : lguest ? "console=hvc0" : linux_like ? "console=ttyS0" : NULL;
	g->modules = r->module;
	g->unpack = !o->keep_packed;
	for (unsigned k = 0; k < o->module_count; k++) {
		char *copy = strdup(o->module[k]);
		if (!copy)
			return complain(error, "-module", "no memory");
		r->text[r->texts++] = copy;
		if (!add_module(r, copy, error))
			return false;
	}
	if (o->initrd && kind == IMAGE_MULTIBOOT)
		return split_initrd(r, o->initrd, error);
	g->initrd = o->initrd;
	return true;
}

/* ---- 2. Console ----------------------------------------------------------------------------- */

static bool prepare_console(struct run *r, struct guest_error *error)
{
	const struct run_options *o = &r->o;
	bool stdio = o->serial == SERIAL_STDIO || o->serial == SERIAL_MON_STDIO;
	struct vm_console *c = &r->config.console;
	c->in = stdio || o->monitor_stdio ? STDIN_FILENO : -1;
	c->out = stdio ? STDOUT_FILENO : -1;
	c->user = &r->escape;
	c->filter = escape_filter;
	c->ready = take_terminal;
	r->escape.out = STDOUT_FILENO;
	r->escape.enabled = o->serial == SERIAL_MON_STDIO || o->monitor_stdio;
	r->escape.monitor_only = o->monitor_stdio;
	r->escape.elsewhere = !stdio;
	r->escape.no_monitor = o->check;
	if (o->serial != SERIAL_FILE)
		return true;
	r->serial_file = open(o->serial_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
	if (r->serial_file < 0)
		return complain(error, o->serial_path, strerror(errno));
	c->out = r->serial_file;
	return true;
}

static bool prepare_log(struct run *r, struct guest_error *error)
{
	r->config.log_mask = r->o.log_mask;
	if (!r->o.log_mask)
		return true;
	r->config.log = stderr;
	if (!r->o.log_path)
		return true;
	r->log = fopen(r->o.log_path, "we");
	r->config.log = r->log;
	return r->log || complain(error, r->o.log_path, strerror(errno));
}

static bool is_same_file(const char *path, const char *other)
{
	struct stat a, b;
	return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A word forgotten before IMAGE makes it the file to be written: it shall not be emptied. */
static bool is_input(const struct run *r, const char *path)
{
	const char *initrd = r->config.guest.initrd;
	bool input = is_same_file(path, r->o.kernel) || (initrd && is_same_file(path, initrd));
	for (unsigned k = 0; k < r->config.drives && !input; k++)
		input = is_same_file(path, r->config.drive[k].path);
	for (unsigned k = 0; k < r->config.guest.module_count && !input; k++)
		input = is_same_file(path, r->module[k].path);
	return input;
}

static bool prepare_record(struct run *r, struct guest_error *error)
{
	if (!r->o.record_path)
		return true;
	if (is_input(r, r->o.record_path))
		return complain(error, r->o.record_path, "the recording would overwrite what the guest needs");
	r->record = fopen(r->o.record_path, "we");
	if (!r->record)
		return complain(error, r->o.record_path, strerror(errno));
	setvbuf(r->record, NULL, _IONBF, 0); /* the recorder has a buffer */
	r->config.record = r->record;
	return true;
}

static bool prepare_trace(struct run *r, struct guest_error *error)
{
	if (!r->o.traced)
		return true;
	if (is_input(r, r->o.trace.path))
		return complain(error, r->o.trace.path, "the trace would overwrite what the guest needs");
	r->o.scope.trace = &r->o.trace;
	return true;
}

static bool prepare(struct run *r, struct guest_error *error)
{
	const struct run_options *o = &r->o;
	r->o.scope.image = o->kernel;
	r->config.ram_bytes = o->ram_bytes;
	r->config.um_options = o->um_options & ~(o->checks ? (uint32_t)CHECK_WITHOUT : 0u);
	r->config.cpu_options = o->cpu_options;
	r->config.vm_options = o->vm_options;
	r->o.scope.checks = o->checks;
	r->o.scope.reports = stderr;
	r->config.engine = o->check ? VM_ENGINE_DIRECT : o->checks ? VM_ENGINE_PORTABLE : o->engine;
	r->config.counted_time = o->check;
	r->config.direct_options = o->direct_options;
	r->config.direct_worlds = o->worlds;
	r->config.direct_mappings = o->mappings;
	r->config.max_tables = o->tables;
	r->config.max_roots = o->roots;
	r->config.prefetch = o->prefetch;
	r->config.debug_exit_port = o->debug_exit_port;
	r->config.no_reboot = o->no_reboot;
	r->config.keep_ends = o->no_shutdown;
	r->config.watchdog_seconds = o->watchdog_seconds;
	r->config.paused = o->paused;
	r->config.family = o->family;
	r->config.time_calls = o->hypercalls;
	memcpy(r->config.drive, o->drive, sizeof r->config.drive);
	for (unsigned k = 0; k < o->drives; k++)
		r->config.drive[k].snapshot |= o->snapshot || o->check;
	r->config.drives = o->drives;
	memcpy(r->config.net, o->net, sizeof r->config.net);
	r->config.nets = o->nets;
	return prepare_guest(r, error) && prepare_console(r, error) && prepare_log(r, error) &&
	       prepare_record(r, error) && prepare_trace(r, error);
}

static void clean_up(struct run *r)
{
	for (unsigned k = 0; k < r->texts; k++)
		free(r->text[k]);
	if (r->serial_file >= 0)
		close(r->serial_file);
	if (r->log)
		fclose(r->log);
	if (r->record)
		fclose(r->record);
}

/* ---- 3. The end ----------------------------------------------------------------------------- */

static int status_of(struct vm *vm, enum vm_end end)
{
	switch (end) {
	case VM_POWER_OFF:
	case VM_RESET:
	case VM_KICKED:
		return STATUS_OK;
	case VM_DEBUG_EXIT:
		return (int)(vm_exit_code(vm) & 0xFF);
	case VM_SHUTDOWN:
		return STATUS_SHUTDOWN;
	case VM_STUCK:
		return STATUS_STUCK;
	case VM_CRASHED:
		return STATUS_CRASHED;
	case VM_KILLED:
		return STATUS_KILLED;
	case VM_HANGUP:
		return STATUS_HANGUP;
	case VM_DIFFERS:
		return STATUS_DIFFERS;
	case VM_REPORTED:
		return STATUS_REPORTED;
	case VM_NOMEM:
	case VM_STOPPED:
		break;
	}
	return STATUS_HOST;
}

static void end_recording(struct run *r, struct vm *vm)
{
	uint64_t operations = 0;
	int failed = vm_end_recording(vm, &operations);
	if (failed)
		fprintf(stderr, "umbra: %s: %s: the recording ends after %" PRIu64 " operations\n",
		        r->o.record_path, strerror(failed), operations);
}

static void sum_up_checks(const struct check *check)
{
	uint64_t met = 0;
	unsigned places;
	if (!check)
		return;
	places = check_reports(check, &met);
	if (!met)
		fprintf(stderr, "umbra: -check: nothing to report\n");
	else
		fprintf(stderr, "umbra: -check: %u place%s reported, met %" PRIu64 " time%s\n", places, places == 1 ? "" : "s",
		        met, met == 1 ? "" : "s");
}

static void end_trace(struct scope *scope)
{
	struct trace_status s;
	if (!scope->trace)
		return;
	trace_stop(scope->trace);
	trace_close_file(scope->trace);
	trace_get_status(scope->trace, &s);
	if (s.error)
		fprintf(stderr, "umbra: %s: %s: the trace ends after %" PRIu64 " events\n", s.path,
		        s.error == EAGAIN ? "its reader does not read" : strerror(s.error), s.written);
	if (s.lost)
		fprintf(stderr, "umbra: %s: %" PRIu64 " events were lost: its reader is too slow\n", s.path, s.lost);
}

/* A kernel of a tutorial's, that knows no serial port: it seems to do nothing. */
static void hint_at_screen(const struct run *r, struct vm *vm)
{
	struct screen screen;
	if (!vm_has_spoken(vm) && !r->o.scope.snapshot && screen_read(vm, &screen) && screen.rows)
		fprintf(stderr, "umbra: the guest wrote text to VGA memory at 0xB8000: there is no screen; Ctrl-A c, info "
		                "screen shows it: \"%s\"\n", screen.row[screen.first]);
}

/* Whose fault it is, before the reason. */
static const char *blame(struct vm *vm, enum vm_end end)
{
	struct lguest *lg = vm_lguest(vm);
	struct lguest_stats s;
	if (end == VM_HANGUP)
		return "console: ";
	if (!lg || (end != VM_KILLED && end != VM_STUCK))
		return "";
	lguest_get_stats(lg, &s);
	if (!s.called)
		return "the guest made no hypercall (a kernel without CONFIG_LGUEST_GUEST?): ";
	return end == VM_KILLED ? "the guest broke the lguest interface: " : "";
}

/* How a machine can be looked at whose guest has ended (-no-shutdown). */
static void say_how_to_look(const struct run *r)
{
	const struct run_options *o = &r->o;
	fprintf(stderr, "umbra: the machine is kept: ");
	if (o->monitor_stdio)
		fprintf(stderr, "pt shows its page tables, quit leaves\n");
	else if (r->escape.enabled)
		fprintf(stderr, "Ctrl-A c, pt shows its page tables; Ctrl-A x leaves\n");
	else if (o->scope.qmp)
		fprintf(stderr, "umbra pt %.120s shows its page tables\n", o->scope.qmp);
	else
		fprintf(stderr, "it can be looked at by %.120s\n", o->scope.monitor ? o->scope.monitor : o->scope.gdb);
}

static void on_change(void *user, enum vm_change change)
{
	struct run *r = user;
	struct vm *vm = r->escape.vm;
	enum vm_end end;
	if (change != VM_CHANGE_ENDED || !vm_kept_end(vm, &end))
		return;
	end_line(&r->escape);
	fprintf(stderr, "umbra: %s%s", blame(vm, end), vm_last_words(vm));
	say_how_to_look(r);
}

/* A second wall: without it the guest is as safe as the translator is right.  So it is said only to who asks. */
static void confine(const struct run_options *o, struct vm *vm)
{
	const char *why = o->no_confine ? "-no-confine" : direct_confine(vm_direct(vm));
	if (why && o->stats == STATS_TEXT)
		fprintf(stderr, "umbra: translated code could make system calls: %s\n", why);
}

/* Which is slower than was asked for. */
static void say_engine(const struct run_options *o, struct vm *vm)
{
	if (o->engine != VM_ENGINE_PORTABLE && (o->checks || o->traced))
		fprintf(stderr, "umbra: note: an observed guest runs on the portable engine\n");
	else if (o->engine == VM_ENGINE_AUTO && vm_engine_reason(vm))
		fprintf(stderr, "umbra: note: -engine portable: %s\n", vm_engine_reason(vm));
}

/* What ended the run, where that is no good end; once.  Returns the exit status. */
static int say_end(struct run *r, struct vm *vm, enum vm_end end)
{
	struct check *check = r->escape.scope->check;
	enum vm_end kept;
	int status = status_of(vm, end);
	bool told = end == VM_DEBUG_EXIT || end == VM_DIFFERS || vm_kept_end(vm, &kept);
	if (!r->escape.scope->leave)
		end_line(&r->escape);
	/* (Some checks are decided at the end only.) */
	if (check && check_end(check)) {
		fprintf(stderr, "umbra: %s\n", CHECK_FATAL_WHY);
		return STATUS_REPORTED;
	}
	if (status != STATUS_OK && !told)
		fprintf(stderr, "umbra: %s%s", blame(vm, end), vm_last_words(vm));
	if (end == VM_SHUTDOWN && !told && !r->o.no_shutdown)
		fprintf(stderr, "umbra: -no-shutdown keeps the machine after this, to be looked at\n");
	return status;
}

/* `judge`: a second machine, with -engine check. */
static int run_to_end(struct run *r, struct vm *vm, struct vm *judge)
{
	r->escape.vm = vm;
	say_engine(&r->o, vm);
	r->listener = (struct vm_listener){ .user = r, .changed = on_change };
	if (r->o.no_shutdown)
		vm_listen(vm, &r->listener);
	if (vm_direct(vm))
		confine(&r->o, vm);
	open_terminal(vm, r->config.console.in, r->o.serial != SERIAL_STDIO);
	if (r->o.monitor_stdio)
		open_monitor(&r->escape);
	enum vm_end end = judge ? run_check(vm, judge, &r->o) : vm_run(vm);
	close_terminal();
	scope_end(r->escape.scope, end);
	int status = say_end(r, vm, end);
	hint_at_screen(r, vm);
	end_recording(r, vm);
	sum_up_checks(r->escape.scope->check);
	end_trace(r->escape.scope);
	print_stats(vm, r->o.stats, stderr);
	if (r->o.hypercalls)
		print_hypercalls(vm, r->o.stats, stderr);
	return status;
}

/* ---- 4. The verb ---------------------------------------------------------------------------- */

int run_verb(int argc, char **argv)
{
	struct guest_error error;
	struct run *r = calloc(1, sizeof *r);
	int status = STATUS_START;
	if (!r) {
		fprintf(stderr, "umbra: no memory\n");
		return STATUS_START;
	}
	r->serial_file = -1;
	if (!parse_run_options(argc, argv, &r->o, &error)) {
		fprintf(stderr, "umbra: %s\n", error.text);
		free(r);
		return STATUS_USAGE;
	}
	if (r->o.help) {
		print_run_help(stdout);
		free(r);
		return STATUS_OK;
	}
	catch_crashes();
	struct vm *vm = prepare(r, &error) ? vm_new(&r->config, &error) : NULL, *judge = NULL;
	struct scope *scope = vm ? scope_open(vm, &r->o.scope, error.text, sizeof error.text) : NULL;
	if (scope && r->o.check)
		judge = new_judge(&r->config, &error);
	r->escape.scope = scope;
	if (scope && (judge || !r->o.check))
		status = run_to_end(r, vm, judge);
	else
		fprintf(stderr, "umbra: %s\n", error.text);
	int signal_number = pending_signal();
	scope_close(scope);
	vm_free(judge);
	vm_free(vm);
	clean_up(r);
	free(r);
	if (signal_number) {
		/* Our parent learns how we ended. */
		signal(signal_number, SIG_DFL);
		raise(signal_number);
	}
	return status;
}
