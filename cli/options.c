/* SPDX-License-Identifier: MIT */
/*
 * cli/options.c - the options of `umbra run`, with the names people know from QEMU.
 *
 *   1. Refusing, numbers       refuse_option, parse_number, parse_size
 *   2. Lists of names          -d, -opt
 *   3. One function an option
 *   4. The table               and --help, made from it
 *   5. Parsing                 parse_run_options
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ENGINE_DEFAULT VM_ENGINE_AUTO

/* ---- 1. Refusing, numbers ------------------------------------------------------------------- */

bool refuse_option(struct parse *p, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(p->error->text, sizeof p->error->text, format, list);
	va_end(list);
	for (char *at = p->error->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = '?';
	return false;
}

/* Digits (0x allowed), at most `max`; *end is what follows. */
static bool parse_number(const char *text, uint64_t max, uint64_t *value, char **end)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, end, 0);
	return errno == 0 && *value <= max;
}

static bool parse_count(struct parse *p, const char *name, const char *text, uint64_t least, uint64_t most,
                        uint32_t *value)
{
	uint64_t number;
	char *end;
	if (!parse_number(text, most, &number, &end) || *end || number < least)
		return refuse_option(p, "%s %.60s: a number from %llu to %llu is expected", name, text,
		                     (unsigned long long)least, (unsigned long long)most);
	*value = (uint32_t)number;
	return true;
}

static bool set_memory(struct parse *p, const char *text)
{
	uint64_t number;
	char *end;
	unsigned shift = 20;
	if (strncmp(text, "size=", 5) == 0)
		text += 5;
	if (!parse_number(text, UINT64_MAX >> 31, &number, &end))
		return refuse_option(p, "-m %.60s: a size is expected, such as 256, 256M or 1G", text);
	switch (*end) {
	case 'K': case 'k': shift = 10; end++; break;
	case 'M': case 'm': shift = 20; end++; break;
	case 'G': case 'g': shift = 30; end++; break;
	default: break;
	}
	if (*end)
		return refuse_option(p, "-m %.60s: a size is expected, such as 256, 256M or 1G", text);
	p->o->ram_bytes = number << shift;
	if (p->o->ram_bytes == 0)
		return refuse_option(p, "-m %.60s: a guest needs memory", text);
	if (p->o->ram_bytes > VM_RAM_MAX)
		return refuse_option(p, "-m %.60s: at most %llu MiB; the rest of 4 GiB is for devices", text, VM_RAM_MAX >> 20);
	if (p->o->ram_bytes & 0xFFFFF)
		return refuse_option(p, "-m %.60s: whole MiB only", text);
	return true;
}

/* ---- 2. Lists of names ---------------------------------------------------------------------- */

struct name {
	const char *name;
	uint32_t um, cpu, vm, direct; /* bits; for -d: the log's in um */
	const char *help;
};

static const struct name log_names[] = {
	{ "int", VM_LOG_INT, 0, 0, 0, "exceptions and interrupts as they are delivered" },
	{ "in_asm", VM_LOG_IN_ASM, 0, 0, 0, "guest code as it is decoded" },
	{ "shadow", VM_LOG_SHADOW, 0, 0, 0, "fills, flushes, switches... of the shadow tables" },
	{ "unimp", VM_LOG_UNIMP, 0, 0, 0, "accesses to memory that is not there" },
};

static const struct name opt_names[] = {
	{ "all", UM_OPT_ALL, CPU_OPT_ALL, VM_OPT_ALL, DIRECT_OPT_ALL, "every one" },
	{ "none", 0, 0, 0, 0, "none of them" },
	{ "prefetch", UM_OPT_PREFETCH, 0, 0, 0, "fill the neighbours of a shadow entry" },
	{ "unsync", UM_OPT_UNSYNC, 0, 0, 0, "leave busy leaf tables writable until the next flush" },
	{ "share", UM_OPT_SHARE, 0, 0, 0, "share shadow tables between address spaces" },
	{ "install-ahead", UM_OPT_INSTALL_AHEAD, 0, 0, 0, "build an entry when the guest writes its own" },
	{ "lazy-flush", UM_OPT_LAZY_FLUSH, 0, 0, 0, "flush by generation" },
	{ "revalidate", UM_OPT_REVALIDATE, 0, 0, 0, "told: compare tables at a switch, not at the next faults" },
	{ "blocks", 0, CPU_OPT_BLOCKS, 0, 0, "keep decoded code" },
	{ "chain", 0, CPU_OPT_CHAIN, 0, 0, "go from block to block without a look-up" },
	{ "fuse", 0, CPU_OPT_FUSE, 0, 0, "join compare and branch, drop what does nothing" },
	{ "tlb", 0, CPU_OPT_TLB, 0, 0, "keep translations" },
	{ "strings", 0, CPU_OPT_STRINGS, 0, 0, "string instructions by the page" },
	{ "flat", 0, CPU_OPT_FLAT, 0, 0, "skip limit checks in flat segments" },
	{ "warm", 0, CPU_OPT_WARM, 0, 0, "prefetch what waking from a halt takes" },
	{ "slack", 0, 0, VM_OPT_SLACK, 0, "wake a guest that only ticks some milliseconds late" },
	{ "link", 0, 0, 0, DIRECT_OPT_LINK, "direct: go from translation to translation without a look-up" },
	{ "returns", 0, 0, 0, DIRECT_OPT_RETURNS, "direct: predict returns" },
	{ "soft", 0, 0, 0, DIRECT_OPT_SOFT, "direct: look a page up where accesses often fault" },
	{ "runs", 0, 0, 0, DIRECT_OPT_RUNS, "direct: map the run of pages around a page" },
	{ "inline", 0, 0, 0, DIRECT_OPT_INLINE, "direct: sensitive instructions as code" },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* The union of a comma-separated list of names. */
static bool parse_names(struct parse *p, const char *option, const char *list, const struct name *names,
                        size_t count, struct name *sum)
{
	memset(sum, 0, sizeof *sum);
	for (const char *at = list;; at++) {
		size_t length = strcspn(at, ","), k = 0;
		while (k < count && (strlen(names[k].name) != length ||
		                     strncmp(names[k].name, at, length) != 0))
			k++;
		const char *why = k == count && names == log_names ? why_no_item(at, length) : NULL;
		if (why)
			return refuse_option(p, "%s: there is no '%.*s' here: %s", option, (int)length, at, why);
		if (k == count)
			return refuse_option(p, "%s: unknown item '%.*s'; `umbra run --help` lists them",
			                     option, (int)(length < 40 ? length : 40), at);
		sum->um |= names[k].um;
		sum->cpu |= names[k].cpu;
		sum->vm |= names[k].vm;
		sum->direct |= names[k].direct;
		at += length;
		if (!*at)
			return true;
	}
}

static bool set_log(struct parse *p, const char *list)
{
	struct name sum;
	if (!parse_names(p, "-d", list, log_names, COUNT(log_names), &sum))
		return false;
	p->o->log_mask |= sum.um;
	return true;
}

static bool set_opt(struct parse *p, const char *list)
{
	struct name sum;
	if (!parse_names(p, "-opt", list, opt_names, COUNT(opt_names), &sum))
		return false;
	p->o->um_options = sum.um;
	p->o->cpu_options = sum.cpu;
	p->o->vm_options = sum.vm;
	p->o->direct_options = sum.direct;
	return true;
}

static bool clear_opt(struct parse *p, const char *list)
{
	struct name sum;
	if (!parse_names(p, "-no-opt", list, opt_names, COUNT(opt_names), &sum))
		return false;
	p->o->um_options &= ~sum.um;
	p->o->cpu_options &= ~sum.cpu;
	p->o->vm_options &= ~sum.vm;
	p->o->direct_options &= ~sum.direct;
	return true;
}

/* ---- 3. One function an option -------------------------------------------------------------- */

static bool set_kernel(struct parse *p, const char *value)
{
	if (p->o->kernel)
		return refuse_option(p, "two images: '%.60s' and '%.60s'", p->o->kernel, value);
	p->o->kernel = value;
	return true;
}

static bool set_initrd(struct parse *p, const char *value)
{
	p->o->initrd = value;
	return true;
}

static bool set_append(struct parse *p, const char *value)
{
	p->o->append = value;
	return true;
}

static bool add_module(struct parse *p, const char *value)
{
	if (p->o->module_count == MODULES_MAX)
		return refuse_option(p, "-module: at most %u modules", MODULES_MAX);
	p->o->module[p->o->module_count++] = value;
	return true;
}

static bool set_serial(struct parse *p, const char *value)
{
	p->o->serial_path = NULL;
	if (strcmp(value, "mon:stdio") == 0) {
		p->o->serial = SERIAL_MON_STDIO;
	} else if (strcmp(value, "stdio") == 0) {
		p->o->serial = SERIAL_STDIO;
	} else if (strcmp(value, "null") == 0 || strcmp(value, "none") == 0) {
		p->o->serial = SERIAL_NULL;
	} else if (strncmp(value, "file:", 5) == 0 && value[5]) {
		p->o->serial = SERIAL_FILE;
		p->o->serial_path = value + 5;
	} else {
		const char *why = why_no_place(value);
		return refuse_option(p, "-serial %.60s: %s%smon:stdio, stdio, null or file:PATH", value,
		                     why ? why : "", why ? " here: " : "");
	}
	return true;
}

static bool set_device(struct parse *p, const char *value)
{
	static const char name[] = "isa-debug-exit";
	uint64_t port = 0x501;
	char *end = NULL;
	if (strncmp(value, name, sizeof name - 1) != 0 ||
	    (value[sizeof name - 1] != 0 && value[sizeof name - 1] != ','))
		return refuse_option(p, "-device %.60s: only isa-debug-exit[,iobase=PORT][,iosize=N]", value);
	for (const char *at = strchr(value, ','); at; at = strchr(at, ',')) {
		at++;
		uint64_t size;
		if (strncmp(at, "iobase=", 7) == 0) {
			if (!parse_number(at + 7, 0xFFFF, &port, &end) || port == 0)
				return refuse_option(p, "-device %.60s: bad iobase", value);
		} else if (strncmp(at, "iosize=", 7) == 0) {
			if (!parse_number(at + 7, 8, &size, &end))
				return refuse_option(p, "-device %.60s: bad iosize", value);
		} else {
			return refuse_option(p, "-device %.60s: unknown property", value);
		}
		if (*end && *end != ',')
			return refuse_option(p, "-device %.60s: a number is followed by '%.10s'", value, end);
	}
	p->o->debug_exit_port = (uint16_t)port;
	return true;
}

static bool set_cpu(struct parse *p, const char *value)
{
	return strcmp(value, "i686") == 0 || strcmp(value, "max") == 0 ||
	       refuse_option(p, "-cpu %.60s: there is only i686 (or max, the same)", value);
}

static bool set_smp(struct parse *p, const char *value)
{
	return strcmp(value, "1") == 0 || strcmp(value, "cpus=1") == 0 ||
	       refuse_option(p, "-smp %.60s: there is only one processor", value);
}

static bool set_display(struct parse *p, const char *value)
{
	return strcmp(value, "none") == 0 ||
	       refuse_option(p, "-display %.60s: there is no screen: none; the monitor's `info screen` shows VGA text memory", value);
}

static bool set_nographic(struct parse *p, const char *value)
{
	(void)p, (void)value;
	return true;
}

static bool set_no_reboot(struct parse *p, const char *value)
{
	(void)value;
	return p->o->no_reboot = true;
}

static bool set_no_shutdown(struct parse *p, const char *value)
{
	(void)value;
	return p->o->no_shutdown = true;
}

static bool set_paused(struct parse *p, const char *value)
{
	(void)value;
	return p->o->paused = true;
}

static bool set_packed(struct parse *p, const char *value)
{
	(void)value;
	return p->o->keep_packed = true;
}

static bool set_log_path(struct parse *p, const char *value)
{
	p->o->log_path = value;
	return true;
}

static bool set_record(struct parse *p, const char *value)
{
	p->o->record_path = value;
	return true;
}

static bool set_trace(struct parse *p, const char *value)
{
	struct symbols_error error;
	trace_options_default(&p->o->trace);
	p->o->traced = trace_options_parse(&p->o->trace, value, true, &error);
	return p->o->traced || refuse_option(p, "-trace %s", error.text);
}

static bool set_snapshot_file(struct parse *p, const char *value)
{
	p->o->scope.snapshot = value;
	return true;
}

static bool set_stats(struct parse *p, const char *value)
{
	if (!value || strcmp(value, "text") == 0)
		p->o->stats = STATS_TEXT;
	else if (strcmp(value, "json") == 0)
		p->o->stats = STATS_JSON;
	else
		return refuse_option(p, "-stats=%.60s: text or json", value);
	return true;
}

static bool set_tables(struct parse *p, const char *value)
{
	return parse_count(p, "-tables", value, UM_MIN_TABLES, 1u << 20, &p->o->tables);
}

static bool set_roots(struct parse *p, const char *value)
{
	return parse_count(p, "-roots", value, 1, 1u << 16, &p->o->roots);
}

static bool set_prefetch(struct parse *p, const char *value)
{
	if (!parse_count(p, "-prefetch", value, 0, 64, &p->o->prefetch))
		return false;
	if (p->o->prefetch == 0)
		p->o->um_options &= ~(uint32_t)UM_OPT_PREFETCH;
	return true;
}

static bool set_engine(struct parse *p, const char *value)
{
	static const char *const names[] = { [VM_ENGINE_PORTABLE] = "portable", [VM_ENGINE_DIRECT] = "direct",
		                             [VM_ENGINE_AUTO] = "auto" };
	p->o->check = strcmp(value, "check") == 0;
	if (p->o->check)
		return true;
	for (unsigned k = 0; k < COUNT(names); k++)
		if (strcmp(value, names[k]) == 0) {
			p->o->engine = (enum vm_engine)k;
			return true;
		}
	return refuse_option(p, "-engine %.60s: portable, direct, auto or check", value);
}

static bool set_checks(struct parse *p, const char *list)
{
	const char *bad;
	unsigned what;
	if (!check_parse(list, &what, &bad))
		return refuse_option(p, "-check: unknown item '%.*s'; `umbra run --help` lists them",
		                     (int)(strcspn(bad, ",") < 40 ? strcspn(bad, ",") : 40), bad);
	p->o->checks |= what & CHECK_ALL ? what : what | CHECK_ALL;
	return true;
}

/* N or N@FROM */
static bool set_check_every(struct parse *p, const char *value)
{
	char *end;
	if (!parse_number(value, UINT64_MAX / 2, &p->o->check_every, &end) || !p->o->check_every ||
	    (*end == '@' && !parse_number(end + 1, UINT64_MAX / 2, &p->o->check_from, &end)) || *end)
		return refuse_option(p, "-check-every %.60s: instructions are expected, N or N@FROM", value);
	return true;
}

static bool set_worlds(struct parse *p, const char *value)
{
	return parse_count(p, "-direct-worlds", value, 2, 1024, &p->o->worlds);
}

static bool set_mappings(struct parse *p, const char *value)
{
	return parse_count(p, "-direct-mappings", value, 256, 1u << 24, &p->o->mappings);
}

static bool set_no_confine(struct parse *p, const char *value)
{
	(void)value;
	return p->o->no_confine = true;
}

static bool set_watchdog(struct parse *p, const char *value)
{
	uint32_t seconds = 0;
	if (!parse_count(p, "-watchdog", value, 0, 1000000, &seconds))
		return false;
	p->o->watchdog_seconds = seconds;
	return true;
}

static bool set_help(struct parse *p, const char *value)
{
	(void)value;
	return p->o->help = true;
}

/* ---- 4. The table --------------------------------------------------------------------------- */

enum takes { NOTHING, VALUE, MAYBE /* only as -name=VALUE */ };

static const struct option {
	const char *name, *alias;
	enum takes takes;
	bool (*apply)(struct parse *p, const char *value);
	const char *value, *help;
} options[] = {
	{ "kernel", NULL, VALUE, set_kernel, "FILE", "the image: Linux, ELF, multiboot or boot sector" },
	{ "initrd", NULL, VALUE, set_initrd, "FILE", "initial ramdisk; for multiboot: \"FILE ARGS,FILE ARGS\"" },
	{ "append", NULL, VALUE, set_append, "TEXT", "the kernel's command line (Linux: its console)" },
	{ "module", NULL, VALUE, add_module, "\"FILE ARGS\"", "a multiboot module; may be repeated" },
	{ "engine", NULL, VALUE, set_engine, "NAME", "what executes the guest: portable, direct or auto; check: both, compared" },
	{ "check", NULL, VALUE, set_checks, "LIST", "report what the guest does wrong with its page tables, below" },
	{ "check-every", NULL, VALUE, set_check_every, "N[@FROM]", "check: compare memory each N instructions (50000000)" },
	{ "m", NULL, VALUE, set_memory, "SIZE[K|M|G]", "memory, MiB unless said otherwise (256)" },
	{ "serial", NULL, VALUE, set_serial, "WHERE", "the console: mon:stdio, stdio, null, file:PATH" },
	{ "monitor", NULL, VALUE, set_monitor, "WHERE", "a monitor: stdio (alone there), unix:PATH, tcp:[HOST]:PORT" },
	{ "qmp", NULL, VALUE, set_qmp, "WHERE", "a monitor for programs (QMP): unix:PATH, tcp:[HOST]:PORT" },
	{ "symbols", NULL, VALUE, add_symbols, "FILE", "names of the guest's addresses: ELF, System.map; kallsyms" },
	{ "nographic", NULL, NOTHING, set_nographic, NULL, "accepted: there is never a screen" },
	{ "display", NULL, VALUE, set_display, "none", "accepted, as -nographic" },
	{ "no-reboot", NULL, NOTHING, set_no_reboot, NULL, "leave when the guest resets" },
	{ "no-shutdown", NULL, NOTHING, set_no_shutdown, NULL, "keep the machine when the guest ends, to be looked at" },
	{ "S", NULL, NOTHING, set_paused, NULL, "start paused; the monitor's cont goes on, or gdb's" },
	{ "gdb", NULL, VALUE, set_gdb, "ADDRESS", "wait for gdb: tcp:[HOST]:PORT or unix:PATH" },
	{ "s", NULL, NOTHING, set_gdb_default, NULL, "the same as -gdb tcp::1234" },
	{ "device", NULL, VALUE, set_device, "NAME,...", "isa-debug-exit[,iobase=PORT]: the guest may exit" },
	{ "machine", "M", VALUE, set_machine, "NAME,...", "auto, pc or lguest[,family=B..G2]" },
	{ "drive", NULL, VALUE, set_drive, "file=FILE,...", "a disk: [,readonly=on][,snapshot=on]" },
	{ "hda", NULL, VALUE, set_hda, "FILE", "a disk, the same as -drive file=FILE" },
	{ "snapshot", NULL, NOTHING, set_snapshot, NULL, "what is written to disks is forgotten at the end" },
	{ "nic", NULL, VALUE, set_nic, "user,...", "a network: [,hostfwd=tcp::PORT-:PORT]; none" },
	{ "cpu", NULL, VALUE, set_cpu, "i686", "accepted: there is only this one" },
	{ "smp", NULL, VALUE, set_smp, "1", "accepted: there is only one processor" },
	{ "accel", NULL, VALUE, accept_accelerator, "tcg", "accepted: -engine says what executes the guest" },
	{ "boot", NULL, VALUE, accept_option, "...", "accepted: the image is what is booted" },
	{ "name", NULL, VALUE, accept_option, "TEXT", "accepted: it is shown nowhere" },
	{ "net", NULL, VALUE, accept_none, "none", "accepted: there is no network without -nic" },
	{ "parallel", NULL, VALUE, accept_none, "none", "accepted: there is no parallel port" },
	{ "rtc", NULL, VALUE, accept_clock, "base=utc", "accepted: the clock is the host's" },
	{ "vga", NULL, VALUE, accept_vga, "none|std", "accepted: there is never a screen" },
	{ "nodefaults", NULL, NOTHING, accept_option, NULL, "accepted: there is nothing to leave out" },
	{ "no-acpi", NULL, NOTHING, accept_option, NULL, "accepted: there is no ACPI" },
	{ "no-hpet", NULL, NOTHING, accept_option, NULL, "accepted: there is no HPET" },
	{ "loadvm", NULL, VALUE, set_snapshot_file, "FILE", "go on from what the monitor's savevm wrote" },
	{ "d", NULL, VALUE, set_log, "LIST", "log items, below; with commas between" },
	{ "D", NULL, VALUE, set_log_path, "FILE", "where -d writes (standard error)" },
	{ "trace", NULL, VALUE, set_trace, "FILE[,NAME=VALUE...]", "write what the shadow does: format=jsonl|chrome,events=fill+fault..,cr3=,from=,to=,size=" },
	{ "record", NULL, VALUE, set_record, "FILE", "record the shadow's operations, for umbra replay" },
	{ "stats", NULL, MAYBE, set_stats, "json", "at the end, what the shadow did; json: for machines" },
	{ "hypercalls", NULL, NOTHING, set_hypercalls, NULL, "at the end, hypercalls by number and time" },
	{ "tables", "budget", VALUE, set_tables, "N", "most shadow tables, 20 KiB each (1024)" },
	{ "roots", NULL, VALUE, set_roots, "N", "address spaces kept shadowed (64)" },
	{ "prefetch", NULL, VALUE, set_prefetch, "N", "entries filled around a demanded one (8)" },
	{ "direct-worlds", NULL, VALUE, set_worlds, "N", "direct: address spaces kept mapped" },
	{ "direct-mappings", NULL, VALUE, set_mappings, "N", "direct: most mappings of the host's" },
	{ "no-confine", NULL, NOTHING, set_no_confine, NULL, "direct: no filter on its system calls, of which it makes none" },
	{ "opt", NULL, VALUE, set_opt, "LIST", "just these optimisations, below" },
	{ "no-opt", NULL, VALUE, clear_opt, "LIST", "all but these" },
	{ "packed", NULL, NOTHING, set_packed, NULL, "let a Linux kernel unpack itself in the guest" },
	{ "watchdog", NULL, VALUE, set_watchdog, "SECONDS", "leave when interrupts stay off that long" },
	{ "help", "h", NOTHING, set_help, NULL, "say this" },
};

static void print_checks(FILE *to)
{
	const char *help, *word;
	fprintf(to, "\nchecks (-check), on the portable engine:\n");
	for (unsigned k = 0; (word = check_word(k, &help)); k++)
		fprintf(to, "  %-16s %s\n", word, help);
}

static void print_names(FILE *to, const char *title, const struct name *names, size_t count)
{
	fprintf(to, "\n%s\n", title);
	for (size_t k = 0; k < count; k++)
		fprintf(to, "  %-16s %s\n", names[k].name, names[k].help);
}

void print_run_help(FILE *to)
{
	fprintf(to, "usage: umbra run [OPTIONS] [IMAGE]\n\noptions (one dash or two):\n");
	for (size_t k = 0; k < COUNT(options); k++) {
		const struct option *o = &options[k];
		char left[64];
		snprintf(left, sizeof left, "-%s%s%s%s%s%s", o->name, o->alias ? ", -" : "",
		         o->alias ? o->alias : "", o->takes == MAYBE ? "[=" : o->value ? " " : "",
		         o->value ? o->value : "", o->takes == MAYBE ? "]" : "");
		fprintf(to, "  %-24s %s\n", left, o->help);
	}
	print_names(to, "log items (-d):", log_names, COUNT(log_names));
	print_checks(to);
	print_names(to, "optimisations (-opt, -no-opt), all on at first:", opt_names, COUNT(opt_names));
	fprintf(to, "\nOn the terminal: Ctrl-A x leaves, Ctrl-A c opens the monitor, Ctrl-A h helps.\n");
}

/* ---- 5. Parsing ----------------------------------------------------------------------------- */

static const struct option *find_option(const char *name, size_t length)
{
	for (size_t k = 0; k < COUNT(options); k++) {
		const char *names[] = { options[k].name, options[k].alias };
		for (int n = 0; n < 2; n++)
			if (names[n] && strlen(names[n]) == length && strncmp(names[n], name, length) == 0)
				return &options[k];
	}
	return NULL;
}

/* One option at argv[*at]; *at moves to its last word. */
static bool parse_option(struct parse *p, int argc, char **argv, int *at)
{
	const char *word = argv[*at], *name = word + 1;
	if (*name == '-')
		name++;
	size_t length = strcspn(name, "=");
	const char *value = name[length] ? name + length + 1 : NULL;
	const struct option *o = find_option(name, length);
	const char *why = o ? NULL : why_no_option(name, length);
	if (why)
		return refuse_option(p, "-%.*s: %s", (int)length, name, why);
	if (!o)
		return refuse_option(p, "unknown option '%.60s'; `umbra run --help` lists them", word);
	if (o->takes == NOTHING && value)
		return refuse_option(p, "option '-%s' takes no value", o->name);
	if (o->takes == VALUE && !value) {
		if (*at + 1 >= argc)
			return refuse_option(p, "option '-%s' needs a value", o->name);
		value = argv[++*at];
	}
	return o->apply(p, value);
}

/* What cannot be together, or alone. */
static bool check_options(struct parse *p)
{
	const struct run_options *o = p->o;
	if (o->help)
		return true;
	if (!o->kernel)
		return refuse_option(p, "no image given; try `umbra run --help`");
	if (o->initrd && o->module_count)
		return refuse_option(p, "-initrd and -module cannot be used together");
	if (o->monitor_stdio && (o->serial == SERIAL_STDIO || o->serial == SERIAL_MON_STDIO))
		return refuse_option(p, "-monitor stdio needs the console elsewhere: -serial null or file:PATH");
	bool steered = o->serial == SERIAL_MON_STDIO || o->monitor_stdio || has_remote(o);
	if (o->paused && !steered)
		return refuse_option(p, "-S without a monitor: nothing could start the guest");
	if (o->no_shutdown && !steered)
		return refuse_option(p, "-no-shutdown without a monitor: nothing could look at the machine");
	if (o->log_path && !o->log_mask)
		return refuse_option(p, "-D without -d: there is nothing to log");
	if (o->check && (o->nets || o->monitor_stdio || has_remote(o) || o->paused || o->no_shutdown || o->record_path || o->traced))
		return refuse_option(p, "-engine check cannot be used with %s", o->nets ? "-nic" : o->paused ? "-S" :
		                     o->no_shutdown ? "-no-shutdown" :
		                     o->record_path ? "-record" : o->traced ? "-trace" : "a monitor");
	if (o->check && o->scope.snapshot)
		return refuse_option(p, "-engine check cannot be used with -loadvm");
	if (o->check && o->checks)
		return refuse_option(p, "-engine check cannot be used with -check");
	if (o->machine == MACHINE_PC && (o->drives || o->nets))
		return refuse_option(p, "-machine pc has no %s yet; -machine lguest has", o->drives ? "disks" : "network");
	if (o->machine == MACHINE_PC && o->hypercalls)
		return refuse_option(p, "-hypercalls: guests of -machine pc make none");
	return true;
}

bool parse_run_options(int argc, char **argv, struct run_options *o, struct guest_error *error)
{
	struct parse p = { .o = o, .error = error };
	*o = (struct run_options){ .ram_bytes = 256u << 20, .um_options = UM_OPT_ALL,
		                   .cpu_options = CPU_OPT_ALL, .vm_options = VM_OPT_ALL,
		                   .direct_options = DIRECT_OPT_ALL, .engine = ENGINE_DEFAULT };
	error->text[0] = 0;
	for (int k = 1; k < argc; k++) {
		bool fine = argv[k][0] == '-' && argv[k][1] ? parse_option(&p, argc, argv, &k)
		                                            : set_kernel(&p, argv[k]);
		if (!fine)
			return false;
	}
	/* The direct engine decodes nothing that could be shown. */
	if (o->engine == VM_ENGINE_AUTO && (o->log_mask & VM_LOG_IN_ASM))
		o->engine = VM_ENGINE_PORTABLE;
	return check_options(&p);
}
