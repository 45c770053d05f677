/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/vmm_saved.c - a machine's saved state: another machine goes on from it as the first one does; bytes that
 * were damaged are refused or harmless.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/fields.h"
#include "tests/lib/image.h"
#include "tests/lib/tap.h"
#include "vmm/vmm.h"

/* ---- A guest that waits in the middle ------------------------------------------------------- */

/* Sets the UART's scratch register, the interrupt mask and a counter; says "ab"; waits for a word of memory; says "cd";
 * exits with what the scratch register, the mask and a register hold together. */
static const char code[] =
	"\x66\xBA\xFF\x03\xB0\x2A\xEE"         /* out 0x2A to 0x3FF */
	"\xB0\xF1\xE6\x21"                     /* the master's mask: 0xF1 */
	"\xBB\x07\x00\x00\x00"                 /* ebx = 7 */
	"\xB0\x61\xE6\xE9\xB0\x62\xE6\xE9"     /* "ab" */
	"\x83\x3D\x00\x20\x00\x00\x00\x74\xF7" /* cmpl $0, 0x2000; je */
	"\xB0\x63\xE6\xE9\xB0\x64\xE6\xE9"     /* "cd" */
	"\x66\xBA\xFF\x03\xEC\x88\xC1"         /* cl = scratch */
	"\xE4\x21\x30\xC1\x30\xD9\x88\xC8"     /* al = scratch ^ mask ^ bl */
	"\xE6\xF4\xEB\xFE";                    /* exit */
#define EXIT_CODE (((0x2Au ^ 0xF1u ^ 7u) & 0xFFu) << 1 | 1u)

struct waiting {
	struct loading files;
	struct vm_config config;
	struct vm *vm;
	int out[2];          /* the console */
	int tick[2];         /* always readable: kicks the run once "ab" was said, or at once */
	char said[64];
	size_t length;
	bool at_once;
};

static void on_tick(void *user, int fd, short revents)
{
	struct waiting *w = user;
	(void)fd, (void)revents;
	vm_console_flush(w->vm);
	ssize_t got = read(w->out[0], w->said + w->length, sizeof w->said - 1 - w->length);
	if (got > 0)
		w->length += (size_t)got;
	if (w->at_once || w->length >= 2)
		vm_kick(w->vm);
}

static void start(struct waiting *w, enum vm_engine engine)
{
	struct guest_error error;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, 0x100020 };
	static struct made image;

	if (engine == VM_ENGINE_DIRECT && (direct_probe() || getenv("TEST_VALGRIND")))
		skip();
	memset(w, 0, sizeof *w);
	memset(&image, 0, sizeof image);
	loading_start(&w->files, 1u << 20);
	made_copy(&image, 0, header, sizeof header);
	made_copy(&image, 32, code, sizeof code - 1);
	assert_int_equal(pipe2(w->out, O_NONBLOCK), 0);
	assert_int_equal(pipe(w->tick), 0);
	assert_int_equal(write(w->tick[1], "", 1), 1);
	w->config = (struct vm_config){
		.ram_bytes = 4u << 20, .um_options = UM_OPT_ALL, .cpu_options = CPU_OPT_ALL,
		.direct_options = DIRECT_OPT_ALL, .engine = engine, .debug_exit_port = 0xF4,
		.console = { .in = -1, .out = w->out[1] },
	};
	w->config.guest.kernel = loading_file(&w->files, 0, image.bytes, image.size);
	w->vm = vm_new(&w->config, &error);
	if (!w->vm)
		fail_msg("%s", error.text);
	const struct vm_descriptor d = { .fd = w->tick[0], .events = 1 /* POLLIN */, .ready = on_tick, .user = w };
	assert_true(vm_add_descriptor(w->vm, &d));
}

static void end(struct waiting *w)
{
	vm_free(w->vm);
	for (unsigned k = 0; k < 2; k++) {
		close(w->out[k]);
		close(w->tick[k]);
	}
	loading_end(&w->files);
}

/* What it waits for; the rest of its run. */
static void finish(struct waiting *w)
{
	const uint32_t one = 1;
	vm_remove_descriptor(w->vm, w->tick[0]);
	w->length = 0;
	assert_int_equal(vm_write_physical(w->vm, 0x2000, &one, sizeof one), sizeof one);
	assert_int_equal(vm_run(w->vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(w->vm), EXIT_CODE);
	ssize_t got = read(w->out[0], w->said, sizeof w->said - 1);
	assert_int_equal(got, 2);
	assert_memory_equal(w->said, "cd", 2);
}

struct snapshot {
	uint8_t *state, *ram;
	size_t bytes;
	uint64_t ram_bytes;
};

static struct snapshot take(struct waiting *w)
{
	struct snapshot s = { .bytes = vm_saved_bytes(w->vm), .ram_bytes = vm_ram_bytes(w->vm) };
	s.state = malloc(s.bytes);
	s.ram = malloc(s.ram_bytes);
	assert_non_null(s.state);
	assert_non_null(s.ram);
	vm_save(w->vm, s.state);
	memcpy(s.ram, vm_ram(w->vm), s.ram_bytes);
	return s;
}

static void drop(struct snapshot *s)
{
	free(s->state);
	free(s->ram);
}

static bool give_ram(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error)
{
	const struct snapshot *s = user;
	(void)error;
	memcpy(ram, s->ram, bytes);
	return true;
}

static bool give_none(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error)
{
	(void)user, (void)ram, (void)bytes;
	snprintf(error->text, sizeof error->text, "the disk is gone");
	return false;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void goes_on(enum vm_engine saver, enum vm_engine restorer)
{
	struct waiting first, second;
	struct guest_error error;

	start(&first, saver);
	assert_int_equal(vm_run(first.vm), VM_KICKED);
	struct snapshot s = take(&first);
	uint64_t then = vm_now(first.vm);
	finish(&first);
	end(&first);

	start(&second, restorer);
	assert_true(vm_restore(second.vm, s.state, s.bytes, give_ram, &s, &error));
	/* Its clock is the first one's. */
	assert_true(vm_now(second.vm) + 1000000000u > then && vm_now(second.vm) < then + 10000000000u);
	finish(&second);
	end(&second);
	drop(&s);
}

static void another_machine_goes_on(void **state)
{
	(void)state;
	goes_on(VM_ENGINE_PORTABLE, VM_ENGINE_PORTABLE);
}

static void another_engine_goes_on(void **state)
{
	(void)state;
	goes_on(VM_ENGINE_DIRECT, VM_ENGINE_PORTABLE);
	goes_on(VM_ENGINE_PORTABLE, VM_ENGINE_DIRECT);
}

/* Refused as a whole: the machine that was to be replaced goes on. */
static void what_does_not_fit_changes_nothing(void **state)
{
	struct waiting w;
	struct guest_error error;

	(void)state;
	start(&w, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(w.vm), VM_KICKED);
	struct snapshot s = take(&w);
	assert_false(vm_restore(w.vm, s.state, s.bytes - 1, give_ram, &s, &error));
	assert_non_null(strstr(error.text, "another version"));
	assert_false(vm_restore(w.vm, s.state, 3, give_ram, &s, &error));
	assert_non_null(strstr(error.text, "too short"));
	s.state[0] ^= 1;
	assert_false(vm_restore(w.vm, s.state, s.bytes, give_ram, &s, &error));
	assert_non_null(strstr(error.text, "no saved state"));
	s.state[0] ^= 1;
	s.state[12] ^= 1; /* the size of its memory: the digest is before it */
	assert_false(vm_restore(w.vm, s.state, s.bytes, give_ram, &s, &error));
	assert_non_null(strstr(error.text, "-m "));
	finish(&w);
	end(&w);
	drop(&s);
}

static void memory_that_cannot_be_read_is_a_reset(void **state)
{
	struct waiting w;
	struct guest_error error;

	(void)state;
	start(&w, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(w.vm), VM_KICKED);
	struct snapshot s = take(&w);
	assert_false(vm_restore(w.vm, s.state, s.bytes, give_none, &s, &error));
	assert_string_equal(error.text, "the disk is gone");
	w.length = 0;
	assert_int_equal(vm_run(w.vm), VM_KICKED);
	assert_memory_equal(w.said, "ab", 2); /* from its start */
	end(&w);
	drop(&s);
}

/* Any one byte of it: never a crash, never a hang of ours. */
static void damaged_bytes_are_refused_or_harmless(void **state)
{
	struct waiting w;
	struct guest_error error;
	unsigned refused = 0, taken = 0;
	const unsigned tries = getenv("TEST_QUICK") ? 60 : 600;

	(void)state;
	start(&w, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_run(w.vm), VM_KICKED);
	struct snapshot s = take(&w);
	w.at_once = true;
	for (unsigned k = 0; k < tries; k++) {
		size_t at = 28 + k * 7919u % (s.bytes - 28);
		uint8_t old = s.state[at];
		s.state[at] = k & 1 ? 0xFF : (uint8_t)(old ^ 1u << k % 8);
		if (vm_restore(w.vm, s.state, s.bytes, give_ram, &s, &error)) {
			w.length = 0;
			vm_run(w.vm);
			taken++;
		} else {
			refused++;
		}
		s.state[at] = old;
	}
	assert_true(refused > 0 && taken > 0);
	end(&w);
	drop(&s);
}

/* Each number comes back where it was. */
static void fields_come_back(void **state)
{
	struct pair { uint16_t half; bool flag; };
	struct all { uint8_t byte; int64_t below; struct pair pair[3]; uint32_t word[2]; } in, out;
	static const struct field table[] = {
		FIELD(struct all, byte, 0, 9), FIELD_SIGNED(struct all, below, -5, 5),
		FIELD_EACH(struct all, pair, half, FIELD_ANY), FIELD_EACH(struct all, pair, flag, FIELD_BOOL),
		FIELD_ARRAY(struct all, word, FIELD_ANY),
	};
	const size_t count = sizeof table / sizeof table[0];
	uint8_t bytes[1 + 8 + 6 + 3 + 8];

	(void)state;
	memset(&in, 0, sizeof in);
	memset(&out, 0, sizeof out);
	in.byte = 9, in.below = -5, in.word[1] = 0x12345678;
	in.pair[2].half = 0xBEEF, in.pair[1].flag = true;
	assert_int_equal(fields_bytes(table, count), sizeof bytes);
	fields_save(table, count, &in, bytes);
	assert_null(fields_check(table, count, bytes));
	fields_load(table, count, bytes, &out);
	assert_int_equal(out.byte, 9);
	assert_true(out.below == -5);
	assert_int_equal(out.pair[2].half, 0xBEEF);
	assert_true(out.pair[1].flag && !out.pair[0].flag && !out.pair[2].flag);
	assert_int_equal(out.word[1], 0x12345678);
	bytes[0] = 10;
	assert_string_equal(fields_check(table, count, bytes), "byte");
	bytes[0] = 9, bytes[1] = 0xFA; /* -6 */
	assert_string_equal(fields_check(table, count, bytes), "below");
	bytes[1] = 0xFB, bytes[1 + 8 + 6] = 2;
	assert_string_equal(fields_check(table, count, bytes), "pair.flag");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_back),
		cmocka_unit_test(another_machine_goes_on),
		cmocka_unit_test(another_engine_goes_on),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
		cmocka_unit_test(memory_that_cannot_be_read_is_a_reset),
		cmocka_unit_test(damaged_bytes_are_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
