/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/vmm_lguest.c - the machine around a paravirtual guest: how runs end, with guests of a few bytes.
 *
 *   1. Little guests   family F, 1:1, their code made here
 *   2. Watching        interrupts that are off only virtually
 *   3. Ends
 *   4. Restarts
 *   5. Slow readers, many connections
 *   6. Company     a PC and two of these in one process
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/virtio/virtio.h"
#include "tests/lib/image.h"
#include "tests/lib/tap.h"
#include "vmm/internal.h"

/* ---- 1. Little guests ----------------------------------------------------------------------- */

enum { CODE = 0x100000, DATA = 0x101000, TEXT = 0x102000, STACK = 0x110000, HEADERS = 0x100, IMAGE = 0x3000 };
/* Of struct lguest_data, family F. */
enum { D_ENABLED = 0, D_BLOCKED = 4, D_STATUS = 24, D_RING = 88, D_KERNEL_ADDRESS = 1384, D_SYSCALL = 1388 };
enum { C_INIT = 1, C_SHUTDOWN, C_CLOCK = 9, C_NOTIFY = 17 };

struct little {
	struct loading files;
	struct made image;
	struct vm_config config;
	struct vm *vm;
	size_t code; /* where the next instruction goes in the image */
};

static void put(struct little *l, const void *bytes, size_t count)
{
	made_copy(&l->image, l->code, bytes, count);
	l->code += count;
}

static void put_word(struct little *l, uint8_t opcode, uint32_t word)
{
	put(l, &opcode, 1);
	put(l, &word, 4);
}

static void call(struct little *l, uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
	put_word(l, 0xBB, a); /* mov $a, %ebx */
	put_word(l, 0xB9, b);
	put_word(l, 0xBA, c);
	put_word(l, 0xB8, number);
	put(l, "\xCD\x1F", 2); /* int $0x1F */
}

/* movl $value, address */
static void store(struct little *l, uint32_t address, uint32_t value)
{
	put(l, "\xC7\x05", 2);
	put(l, &address, 4);
	put(l, &value, 4);
}

static void loop_counting(struct little *l)
{
	put(l, "\xFF\x05\x00\x28\x10\x00\xEB\xF8", 8); /* incl 0x102800; jmp back */
}

/* A 32-bit ELF of one segment. */
static void put_headers(struct made *m)
{
	made_copy(m, 0, "\177ELF\1\1\1", 8);
	made_half(m, 16, 2); /* ET_EXEC */
	made_half(m, 18, 3); /* EM_386 */
	made_word(m, 20, 1);
	made_word(m, 24, CODE);
	made_word(m, 28, 52);
	made_half(m, 40, 52);
	made_half(m, 42, 32);
	made_half(m, 44, 1);
	made_word(m, 52, 1); /* PT_LOAD */
	made_word(m, 56, HEADERS);
	made_word(m, 60, CODE);
	made_word(m, 64, CODE);
	made_word(m, 68, IMAGE);
	made_word(m, 72, IMAGE);
	made_word(m, 76, 7);
}

static void little_start(struct little *l)
{
	const size_t data = HEADERS + DATA - CODE;

	memset(l, 0, sizeof *l);
	loading_start(&l->files, 1u << 20); /* for its temporary files only */
	put_headers(&l->image);
	made_word(&l->image, HEADERS + IMAGE - 4, 0);
	for (unsigned n = 0; n < 64; n++)
		made_copy(&l->image, data + D_STATUS + n, "\xFF", 1);
	made_word(&l->image, data + D_KERNEL_ADDRESS, 0xC0000000u);
	made_word(&l->image, data + D_SYSCALL, 0x80);
	made_copy(&l->image, HEADERS + TEXT - CODE, "Power down", 11);
	l->code = HEADERS;
	put_word(l, 0xBC, STACK); /* mov $STACK, %esp */
	l->config.board = VM_LGUEST;
	l->config.family = LGUEST_F;
	l->config.ram_bytes = 16u << 20;
	l->config.um_options = UM_OPT_ALL;
	l->config.cpu_options = CPU_OPT_ALL;
	l->config.no_reboot = true;
	l->config.watchdog_seconds = 1;
	l->config.console.in = l->config.console.out = -1;
}

static void little_make(struct little *l)
{
	struct guest_error error;

	l->config.guest.kernel = loading_file(&l->files, 0, l->image.bytes, l->image.size);
	l->vm = vm_new(&l->config, &error);
	if (!l->vm)
		fail_msg("%s", error.text);
}

static void little_end(struct little *l)
{
	vm_free(l->vm);
	loading_end(&l->files);
}

static void expect_end(struct little *l, enum vm_end end, const char *word)
{
	alarm(60); /* a run that does not end is a failure */
	little_make(l);
	assert_int_equal(vm_run(l->vm), end);
	alarm(0);
	if (!strstr(vm_last_words(l->vm), word))
		fail_msg("'%s' lacks '%s'", vm_last_words(l->vm), word);
	little_end(l);
}

/* ---- 2. Watching ---------------------------------------------------------------------------- */

static void the_watchdog_knows_the_virtual_flag(void **state)
{
	struct little l;
	(void)state;
	little_start(&l);
	call(&l, C_INIT, DATA, 0, 0);
	loop_counting(&l);
	expect_end(&l, VM_STUCK, "watchdog");
}

/* What waits makes the slices short; the watchdog looks all the same. */
static void an_interrupt_that_waits_does_not_calm_the_watchdog(void **state)
{
	struct little l;
	(void)state;
	little_start(&l);
	call(&l, C_INIT, DATA, 0, 0);
	store(&l, DATA + D_BLOCKED, 0);
	call(&l, C_CLOCK, 100000, 0, 0);
	loop_counting(&l);
	expect_end(&l, VM_STUCK, "watchdog");
}

/* Nothing can be delivered there, so it counts as interrupts off. */
static void a_guest_that_never_comes_to_its_first_call_is_watched(void **state)
{
	struct little l;
	(void)state;
	little_start(&l);
	loop_counting(&l);
	expect_end(&l, VM_STUCK, "watchdog");
}

static void halted_before_the_first_call_is_stuck(void **state)
{
	struct little l;
	int in[2];
	(void)state;
	assert_int_equal(pipe(in), 0); /* input may come, but nobody would hear of it */
	little_start(&l);
	l.config.console.in = in[0];
	put(&l, "\xF4", 1);
	expect_end(&l, VM_STUCK, "halted with interrupts off");
	close(in[0]), close(in[1]);
}

/* ---- 3. Ends -------------------------------------------------------------------------------- */

static void the_last_words_on_a_full_disk_are_missed(void **state)
{
	struct little l;
	(void)state;
	FILE *full = fopen("/dev/full", "w");
	if (!full)
		skip();
	little_start(&l);
	l.config.console.out = fileno(full);
	call(&l, C_INIT, DATA, 0, 0);
	call(&l, C_NOTIFY, TEXT, 0, 0);
	call(&l, C_SHUTDOWN, TEXT, 1, 0);
	expect_end(&l, VM_HANGUP, "No space left");
	fclose(full);
}

/* ---- 4. Restarts ---------------------------------------------------------------------------- */

enum { MEM = 16 << 20, MOVE = 0xB8, TO_EDX = 0xBA, COMPARE = 0x3D };

/* jne to what comes after the restart below */
static void unless_equal(struct little *l, size_t *hole)
{
	put(l, "\x0F\x85\0\0\0\0", 6);
	*hole = l->code;
}

/* Restart; a guest that found something else than at first powers off. */
static void restart_or_not(struct little *l, const size_t *holes, unsigned count)
{
	call(l, C_SHUTDOWN, TEXT, 2, 0);
	for (unsigned n = 0; n < count; n++)
		made_word(&l->image, holes[n] - 4, (uint32_t)(l->code - holes[n]));
	call(l, C_SHUTDOWN, TEXT, 1, 0);
}

static void *kick_later(void *vm)
{
	const struct timespec pause = { 0, 500000000 };

	nanosleep(&pause, NULL);
	vm_kick(vm);
	return NULL;
}

static void expect_lives(struct little *l)
{
	pthread_t thread;

	l->config.no_reboot = false;
	l->config.watchdog_seconds = 0;
	little_make(l);
	pthread_create(&thread, NULL, kick_later, l->vm);
	alarm(60);
	assert_int_equal(vm_run(l->vm), VM_KICKED);
	alarm(0);
	pthread_join(thread, NULL);
	little_end(l);
}

/* It starts the console, once in each life: twice in one would kill it. */
static void a_restart_finds_the_device_page_as_at_first(void **state)
{
	struct little l;
	size_t hole[2];
	(void)state;
	little_start(&l);
	call(&l, C_INIT, DATA, 0, 0);
	put(&l, "\x80\x3D\0\0\0\1\3", 7); /* cmpb $3, MEM: a console */
	unless_equal(&l, &hole[0]);
	put(&l, "\x80\x3D\4\0\0\1\0", 7); /* cmpb $0, MEM + 4: its status */
	unless_equal(&l, &hole[1]);
	put(&l, "\xC6\x05\4\0\0\1\3", 7); /* movb $3, MEM + 4 */
	call(&l, C_NOTIFY, MEM, 0, 0);
	restart_or_not(&l, hole, 2);
	expect_lives(&l);
}

static void a_restart_finds_the_pci_bus_as_at_first(void **state)
{
	struct little l;
	size_t hole;
	(void)state;
	little_start(&l);
	l.config.family = LGUEST_G2;
	made_word(&l.image, HEADERS + DATA - CODE + D_KERNEL_ADDRESS - 4, 0xC0000000u);
	made_word(&l.image, HEADERS + DATA - CODE + D_SYSCALL - 4, 0x80);
	call(&l, C_INIT, DATA, 0, 0);
	put_word(&l, TO_EDX, 0xCF8);
	put_word(&l, MOVE, 0x80000810); /* BAR 0 of slot 1 */
	put(&l, "\xEF", 1);             /* out %eax, %dx */
	put_word(&l, TO_EDX, 0xCFC);
	put(&l, "\xED", 1);             /* in %dx, %eax */
	put_word(&l, COMPARE, MEM);
	unless_equal(&l, &hole);
	put_word(&l, MOVE, 2 * MEM);
	put(&l, "\xEF", 1);
	restart_or_not(&l, &hole, 1);
	expect_lives(&l);
}

/* ---- 5. Slow readers, many connections ------------------------------------------------------ */

struct reader {
	int fd;
	size_t got;
};

/* Looks away at first, for longer than it takes to fill every buffer. */
static void *read_late(void *arg)
{
	struct reader *r = arg;
	const struct timespec pause = { 0, 300000000 };
	char bytes[4096];
	ssize_t n;

	nanosleep(&pause, NULL);
	while ((n = read(r->fd, bytes, sizeof bytes)) > 0)
		r->got += (size_t)n;
	return NULL;
}

static void early_text_waits_for_a_slow_reader(void **state)
{
	enum { LINES = 4000, LINE = 64 };
	static char line[LINE + 1];
	struct little l;
	struct reader reader;
	pthread_t thread;
	int out[2];
	(void)state;
	assert_int_equal(pipe(out), 0);
	memset(line, 'x', LINE);
	little_start(&l);
	made_copy(&l.image, HEADERS + TEXT + 0x100 - CODE, line, sizeof line);
	l.config.console.out = out[1];
	l.config.watchdog_seconds = 0;
	call(&l, C_INIT, DATA, 0, 0);
	put_word(&l, 0xBD, LINES); /* mov $LINES, %ebp */
	call(&l, C_NOTIFY, TEXT + 0x100, 0, 0);
	put(&l, "\x4D\x75\xE5", 3); /* dec %ebp; jnz to the mov $.., %ebx */
	call(&l, C_SHUTDOWN, TEXT, 1, 0);
	little_make(&l);
	reader = (struct reader){ .fd = out[0] };
	alarm(60);
	pthread_create(&thread, NULL, read_late, &reader);
	assert_int_equal(vm_run(l.vm), VM_POWER_OFF);
	little_end(&l);
	close(out[1]);
	pthread_join(thread, NULL);
	alarm(0);
	close(out[0]);
	assert_int_equal(reader.got, LINES * LINE);
}

/* A network that watches as much as it may. */
static unsigned fill_all(struct net_backend *net, struct pollfd *fds, unsigned room, int *timeout_ms)
{
	(void)timeout_ms;
	memset(fds, 0, room * sizeof *fds);
	*(unsigned *)net->user = room;
	return room;
}

static void each_network_has_its_share_of_the_loop(void **state)
{
	static const struct net_ops ops = { .fill = fill_all };
	unsigned got[3];
	struct net_backend net[3];
	struct vm *vm = calloc(1, sizeof *vm);
	struct pollfd fds[10];
	int timeout = 0;
	(void)state;
	assert_non_null(vm);
	vm->nets = 3;
	for (unsigned n = 0; n < vm->nets; n++) {
		net[n] = (struct net_backend){ .ops = &ops, .user = &got[n] };
		vm->net[n] = &net[n];
	}
	assert_int_equal(network_fill(vm, fds, 10, &timeout), 10);
	for (unsigned n = 0; n < vm->nets; n++)
		assert_in_range(got[n], 3, 4);
	assert_int_equal(network_fill(vm, fds, 3, &timeout), 3);
	for (unsigned n = 0; n < vm->nets; n++)
		assert_int_equal(got[n], 1);
	vm->nets = 1;
	assert_int_equal(network_fill(vm, fds, 10, &timeout), 10);
	free(vm);
}

/* ---- 6. Company ----------------------------------------------------------------------------- */

enum { SAID = 3000 };

/* Says its letter SAID times, then powers off. */
static void start_chatter(struct little *l, char letter, FILE *out)
{
	const char text[2] = { letter, 0 };

	little_start(l);
	made_copy(&l->image, HEADERS + TEXT + 0x100 - CODE, text, sizeof text);
	l->config.watchdog_seconds = 0; /* the machine may be busy */
	l->config.console.out = fileno(out);
	call(l, C_INIT, DATA, 0, 0);
	put_word(l, 0xBD, SAID); /* mov $SAID, %ebp */
	call(l, C_NOTIFY, TEXT + 0x100, 0, 0);
	put(l, "\x4D\x75\xE5", 3);
	call(l, C_SHUTDOWN, TEXT, 1, 0);
	little_make(l);
}

/* A multiboot kernel that counts to 5 million and powers the PC off. */
static void start_pc(struct little *l)
{
	static const char code[] = "\xB9\x40\x4B\x4C\x00\xE2\xFE"
	                           "\x66\xBA\x04\x06\x66\xB8\x00\x20\x66\xEF\xEB\xFE";
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, CODE, CODE, 0, 0, CODE + 32 };

	little_start(l);
	memset(&l->image, 0, sizeof l->image);
	made_copy(&l->image, 0, header, sizeof header);
	made_copy(&l->image, 32, code, sizeof code);
	l->config.watchdog_seconds = 0;
	l->config.board = VM_PC;
	little_make(l);
}

static void *run_one(void *vm) { return (void *)(intptr_t)vm_run(vm); }

static void expect_letters(FILE *out, char letter)
{
	unsigned count = 0;

	rewind(out);
	for (int c; (c = getc(out)) != EOF; count++)
		assert_int_equal(c, letter);
	assert_int_equal(count, SAID);
	fclose(out);
}

static void a_pc_and_two_guests_run_in_one_process(void **state)
{
	static struct little l[3];
	FILE *out[2] = { tmpfile(), tmpfile() };
	pthread_t thread[3];
	(void)state;
	assert_true(out[0] && out[1]);
	start_chatter(&l[0], 'a', out[0]);
	start_chatter(&l[1], 'b', out[1]);
	start_pc(&l[2]);
	alarm(60);
	for (unsigned n = 0; n < 3; n++)
		pthread_create(&thread[n], NULL, run_one, l[n].vm);
	for (unsigned n = 0; n < 3; n++) {
		void *end;
		pthread_join(thread[n], &end);
		assert_int_equal((intptr_t)end, VM_POWER_OFF);
		little_end(&l[n]);
	}
	alarm(0);
	expect_letters(out[0], 'a');
	expect_letters(out[1], 'b');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_watchdog_knows_the_virtual_flag),
		cmocka_unit_test(an_interrupt_that_waits_does_not_calm_the_watchdog),
		cmocka_unit_test(a_guest_that_never_comes_to_its_first_call_is_watched),
		cmocka_unit_test(halted_before_the_first_call_is_stuck),
		cmocka_unit_test(the_last_words_on_a_full_disk_are_missed),
		cmocka_unit_test(a_restart_finds_the_device_page_as_at_first),
		cmocka_unit_test(a_restart_finds_the_pci_bus_as_at_first),
		cmocka_unit_test(early_text_waits_for_a_slow_reader),
		cmocka_unit_test(each_network_has_its_share_of_the_loop),
		cmocka_unit_test(a_pc_and_two_guests_run_in_one_process),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
