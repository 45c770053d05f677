/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_pci_wrong.c - virtio over PCI and drivers that get it wrong; ways round the BAR.
 *
 *   1. Violations    each by name
 *   2. The window    registers without a mapped BAR
 *   3. Lines         the same function on a bus with level-triggered lines
 *   4. Anything      random ports, offsets, widths, values
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/pci_guest.h"

/* ---- 1. Violations --------------------------------------------------------------------------- */

static void features_that_were_not_offered_are_refused(void **state)
{
	static const uint64_t bad[] = {0, 0x20, VERSION_1 | 1, VERSION_1 | 1ull << 33, UINT64_MAX};
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x20, 10);

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		agree(1, bad[i]);
		assert_int_equal(reg_read(1, R_STATUS, 1), 3);
		assert_int_equal(d->accepted, 0);
	}
	accept(1, VERSION_1); /* it may try again */
	reg_write(1, R_STATUS, 1, 11);
	assert_int_equal(reg_read(1, R_STATUS, 1), 11);
}

static void features_are_final_when_they_are_fine(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x21, 10);

	(void)state;
	agree(1, VERSION_1 | 1);
	accept(1, VERSION_1 | 0x20);
	reg_write(1, R_STATUS, 1, 15);
	assert_int_equal(d->accepted, VERSION_1 | 1);
}

static void features_beyond_64_are_nothing(void **state)
{
	(void)state;
	add(VIRTIO_NET, 2, 0x21, 10);
	place_bar(1);
	accept(1, VERSION_1 | 1);
	for (unsigned select = 2; select; select *= 2) {
		reg_write(1, R_OFFERED_SELECT, 4, select);
		reg_write(1, R_ACCEPTED_SELECT, 4, select);
		reg_write(1, R_ACCEPTED, 4, 0xFFFFFFFF);
		assert_int_equal(reg_read(1, R_OFFERED, 4), 0);
		assert_int_equal(reg_read(1, R_ACCEPTED, 4), 0);
		assert_int_equal(reg_read(1, R_OFFERED_SELECT, 4), select);
	}
	reg_write(1, R_STATUS, 1, 8);
	assert_int_equal(reg_read(1, R_STATUS, 1), 8);
}

static void driver_ok_without_features_needs_a_reset(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	place_bar(1);
	reg_write(1, R_STATUS, 1, 7);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x43);
	assert_false(d->started);
	begin(1, d, VERSION_1);
	use_queue(1, d, 0);
}

static void a_ring_that_is_not_aligned_is_not_enabled(void **state)
{
	static const unsigned bad[3][2] = {{R_DESC, 0x1008}, {R_AVAIL, 0x2001}, {R_USED, 0x3002}};

	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	for (unsigned i = 0; i < 3; i++) {
		agree(1, VERSION_1);
		reg_write(1, bad[i][0], 8, bad[i][1]);
		reg_write(1, R_ENABLE, 2, 1);
		assert_int_equal(reg_read(1, R_ENABLE, 2), 0);
		assert_int_equal(reg_read(1, R_STATUS, 1), 0x4B);
	}
}

static void a_broken_ring_needs_a_reset(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	begin(1, d, VERSION_1);
	driver_store16(&t.v, d->queue[1].avail + 2, 65);
	reg_write(1, R_NOTIFY, 2, 1);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x4F);
	assert_int_equal(t.raised[1], 1);
	assert_int_equal(reg_read(1, R_ISR, 1), 2);
	reg_write(1, R_NOTIFY, 2, 1); /* said once */
	virtio_pci_poll(t.p);
	assert_int_equal(t.raised[1], 1);
	forget_rings();
	begin(1, d, VERSION_1);
	use_queue(1, d, 1);
}

static void rings_outside_memory_break_their_queue_only(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	agree(1, VERSION_1);
	reg_write(1, R_QUEUE, 2, 0);
	reg_write(1, R_DESC, 8, 0xFFFFFFFFFFFFFFF0);
	reg_write(1, R_AVAIL, 8, 0xFFFFFFFFFFFFFFFE);
	reg_write(1, R_USED, 8, 0xFFFFFFFFFFFFFFFC);
	reg_write(1, R_ENABLE, 2, 1);
	enable(1, 1, 64);
	reg_write(1, R_STATUS, 1, 15);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x4F);
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(reg_read(1, R_ISR, 1), 2);
	use_queue(1, d, 1);
}

static void a_driver_that_failed_is_served_no_more(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	uint64_t answer;

	(void)state;
	begin(1, d, VERSION_1);
	reg_write(1, R_STATUS, 1, 0x80);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x8F);
	answer = post(d, 0, "ping");
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(t.v.ram[answer], 0);
	agree(1, VERSION_1);
	reg_write(1, R_STATUS, 1, 0x80);
	reg_write(1, R_STATUS, 1, 15); /* only a reset helps */
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x8B);
	assert_false(d->started);
	forget_rings();
	begin(1, d, VERSION_1);
	use_queue(1, d, 0);
}

static void status_bits_are_never_taken_back(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	begin(1, d, VERSION_1);
	reg_write(1, R_STATUS, 1, 1);
	assert_int_equal(reg_read(1, R_STATUS, 1), 15);
	reg_write(1, R_STATUS, 1, 0x70); /* not the driver's to set */
	assert_int_equal(reg_read(1, R_STATUS, 1), 15);
	assert_int_equal(echo_of(d)->starts, 1);
	use_queue(1, d, 0);
}

/* Every register, written in every width but its own. */
static void writes_of_another_width_do_nothing(void **state)
{
	static const uint8_t width[60] = {
	    [R_OFFERED_SELECT] = 4, [R_ACCEPTED_SELECT] = 4, [R_ACCEPTED] = 4, [R_STATUS] = 1, [R_QUEUE] = 2,
	    [R_SIZE] = 2, [R_ENABLE] = 2, [R_DESC] = 12, [R_DESC + 4] = 4, [R_AVAIL] = 12, [R_AVAIL + 4] = 4,
	    [R_USED] = 12, [R_USED + 4] = 4, [R_NOTIFY] = 2};
	struct virtio_device *d = add(VIRTIO_CONSOLE, 2, 0, 12);
	uint64_t before[8], after[8];

	(void)state;
	place_bar(1);
	for (unsigned i = 0; i < 8; i++)
		before[i] = reg_read(1, 8 * i, 8);
	for (unsigned offset = 0; offset < 64; offset++)
		for (unsigned bytes = 0; bytes < 10; bytes++)
			if (offset >= 60 || (bytes & 15) == 0 || !(width[offset] & bytes) || bytes & (bytes - 1))
				reg_write(1, offset, bytes, 0x0101010101010101);
	for (unsigned i = 0; i < 8; i++)
		after[i] = reg_read(1, 8 * i, 8);
	assert_memory_equal(before, after, sizeof after);
	assert_int_equal(echo_of(d)->notifies[1], 0);
}

/* ---- 2. The window --------------------------------------------------------------------------- */

static unsigned find_window(unsigned slot)
{
	unsigned at = cfg_read(slot, 0x34, 1);

	while (at && cfg_read(slot, at + 3, 1) != 5)
		at = cfg_read(slot, at + 1, 1);
	assert_true(at);
	return at;
}

static void aim(unsigned slot, unsigned bar, uint32_t offset, uint32_t bytes)
{
	unsigned at = find_window(slot);

	cfg_write(slot, at + 4, 1, bar);
	cfg_write(slot, at + 8, 4, offset);
	cfg_write(slot, at + 12, 4, bytes);
}

static size_t keep(void *user, const uint8_t *bytes, size_t count)
{
	char *text = user;
	size_t used = strlen(text);

	assert_true(used + count < 64);
	memcpy(text + used, bytes, count);
	return count;
}

/* A kernel's first words: the BAR is nowhere yet, no driver, no features. */
static void first_words_go_through_the_window(void **state)
{
	char text[64] = "";
	struct virtio_device *d = virtio_console_new(&t.v.memory, text, keep);
	unsigned at;

	(void)state;
	assert_true(d && virtio_pci_add(t.p, d));
	at = find_window(1);
	aim(1, 0, R_OFFERED_SELECT, 4);
	cfg_write(1, at + 16, 4, 0);
	aim(1, 0, R_OFFERED, 4);
	assert_true(cfg_read(1, at + 16, 4) & 1u << 2); /* it has the emergency write */
	for (const char *c = "Linux"; *c; c++) {
		aim(1, 0, R_DEVICE + 8, 1);
		cfg_write(1, at + 16, 1, (uint8_t)*c);
	}
	virtio_pci_poll(t.p);
	assert_string_equal(text, "Linux");
	/* as a whole word it works too */
	aim(1, 0, R_DEVICE + 8, 4);
	cfg_write(1, at + 16, 4, '!');
	virtio_pci_poll(t.p);
	assert_string_equal(text, "Linux!");
}

static void a_whole_life_through_the_window(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	static const struct {
		unsigned offset, bytes;
		uint32_t value;
	} script[] = {{R_STATUS, 1, 1},  {R_STATUS, 1, 3},    {R_ACCEPTED_SELECT, 4, 1}, {R_ACCEPTED, 4, 1},
		      {R_STATUS, 1, 11}, {R_QUEUE, 2, 1},     {R_SIZE, 2, 64},           {R_DESC, 4, 0x10000},
		      {R_DESC + 4, 4, 0}, {R_AVAIL, 4, 0x11000}, {R_USED, 4, 0x12000},   {R_ENABLE, 2, 1},
		      {R_STATUS, 1, 15}};
	unsigned at = find_window(1);
	uint64_t answer;

	(void)state;
	t.v.free = 0x20000;
	for (unsigned i = 0; i < sizeof script / sizeof *script; i++) {
		aim(1, 0, script[i].offset, script[i].bytes);
		cfg_write(1, at + 16, script[i].bytes, script[i].value);
		assert_int_equal(cfg_read(1, at + 16, script[i].bytes), script[i].value);
	}
	answer = post(d, 1, "ping");
	aim(1, 0, R_NOTIFY, 2);
	cfg_write(1, at + 16, 2, 1);
	assert_memory_equal(t.v.ram + answer, "ping", 4);
	aim(1, 0, R_ISR, 1);
	assert_int_equal(cfg_read(1, at + 16, 1), 1);
	assert_int_equal(cfg_read(1, at + 16, 1), 0);
}

static void a_window_that_makes_no_sense_shows_nothing(void **state)
{
	static const uint32_t bad[][3] = {{1, 0, 4}, {0, R_STATUS, 0}, {0, R_STATUS, 3}, {0, R_STATUS, 5},
					  {0, R_STATUS, 8}, {0, R_STATUS + 1, 2}, {0, R_STATUS + 2, 4},
					  {0, 4096, 4}, {0, 0xFFFFFFFC, 4}, {255, R_STATUS, 1},
					  {0, R_STATUS, 0x01000001}};
	unsigned at;

	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	place_bar(1);
	reg_write(1, R_STATUS, 1, 1);
	at = find_window(1);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		aim(1, bad[i][0], bad[i][1], bad[i][2]);
		cfg_write(1, at + 16, 4, 0x03030303);
		assert_int_equal(cfg_read(1, at + 16, 4), 0x03030303); /* what was written, no register */
		assert_int_equal(reg_read(1, R_STATUS, 1), 1);
	}
}

/* ---- 3. Lines -------------------------------------------------------------------------------- */

struct line {
	unsigned events;
	bool high;
};

static void on_line(void *user, struct virtio_function *f, bool high)
{
	struct line *line = user;

	(void)f;
	line->events++;
	line->high = high;
}

static void a_line_is_high_until_the_isr_is_read(void **state)
{
	struct virtio_device *d = echo_new(&t.v.memory, VIRTIO_NET, 2, 0, NULL, 10);
	struct virtio_function f;
	struct line line = {0};

	(void)state;
	virtio_function_init(&f, d, 11, 1);
	f.user = &line;
	f.line = on_line;
	virtio_function_connect(&f);
	virtio_function_reset(&f);
	assert_int_equal(virtio_function_space_read(&f, 0x3C, 2), 0x010B); /* line 11, INTA# */
	assert_int_equal(line.events, 0);
	d->interrupt(d->transport, d, 0);
	assert_true(line.high && line.events == 1);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0018);
	virtio_function_space_write(&f, 0x04, 2, 0x0400); /* interrupts disabled: the status stays */
	assert_true(!line.high && line.events == 2);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0018);
	virtio_function_space_write(&f, 0x04, 2, 0x0002);
	assert_true(line.high && line.events == 3);
	virtio_function_space_write(&f, 0x04, 2, 0x0006);
	assert_int_equal(line.events, 3);
	assert_int_equal(virtio_function_command(&f), 6);
	assert_int_equal(virtio_function_read(&f, R_ISR, 1), 1);
	assert_true(!line.high && line.events == 4);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0010);
	d->interrupt(d->transport, d, 1);
	virtio_function_write(&f, R_STATUS, 1, 0); /* a reset takes it back */
	assert_true(!line.high && line.events == 6);
	virtio_free(d);
}

/* ---- 4. Anything ----------------------------------------------------------------------------- */

static uint32_t seed = 0x2545F491;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static uint32_t any(void)
{
	static const uint32_t favourite[] = {0, 1, 2, 3, 7, 11, 15, 64, 256, 0x80, 0x1000, (uint32_t)MMIO + 0x1000,
					     0x80000800, 0x80001000, 0x80000874, UINT32_MAX};

	return draw(2) ? favourite[draw(16)] : draw(UINT32_MAX);
}

static void random_access(void)
{
	static const unsigned widths[] = {1, 2, 4, 8};
	unsigned bytes = draw(20) ? widths[draw(3)] : draw(12);
	uint64_t value, gpa = bar_of(1 + draw(4)) + draw(draw(4) ? 130 : 4096);

	switch (draw(8)) {
	case 0:
		virtio_pci_port_out(t.p, 0xCF8, 4, 0x80000000 | (1 + draw(4)) << 11 | draw(256));
		break;
	case 1:
		virtio_pci_port_out(t.p, (uint16_t)(draw(4) ? 0xCF8 + draw(8) : draw(65536)), bytes, any());
		break;
	case 2:
		virtio_pci_port_in(t.p, (uint16_t)(draw(4) ? 0xCF8 + draw(8) : draw(65536)), bytes);
		break;
	case 3:
		virtio_pci_read(t.p, draw(50) ? gpa : (uint64_t)any() << draw(33), bytes, &value);
		break;
	case 4:
		virtio_pci_poll(t.p);
		break;
	default:
		virtio_pci_write(t.p, draw(50) ? gpa : (uint64_t)any() << draw(33), draw(4) ? bytes : 8,
				 (uint64_t)any() << 32 * draw(2));
		break;
	}
}

/* What a driver would do, so that accesses meet devices in every state; rings of anything. */
static void almost_proper(struct virtio_device *d, unsigned slot)
{
	uint64_t rings = 0x10000 * slot;
	unsigned queue = draw(d->queues), status[] = {0, 1, 3, 11, 15};

	place_bar(slot);
	for (unsigned i = 0; i < 5; i++) {
		reg_write(slot, R_STATUS, 1, status[i]);
		if (i == 2)
			accept(slot, VERSION_1 | (d->offered & any()));
		for (unsigned q = 0; i == 3 && q < d->queues; q++) {
			reg_write(slot, R_QUEUE, 2, q);
			reg_write(slot, R_SIZE, 2, 1u << draw(9));
			reg_write(slot, R_DESC, 8, rings + 0x4000 * q);
			reg_write(slot, R_AVAIL, 8, rings + 0x4000 * q + 0x1000);
			reg_write(slot, R_USED, 8, rings + 0x4000 * q + 0x2000);
			memset(t.v.ram + rings + 0x4000 * q, 0, 0x4000);
			memset(t.v.announced + rings + 0x4000 * q, 0, 0x4000);
			reg_write(slot, R_ENABLE, 2, 1);
		}
	}
	t.v.d = d;
	for (unsigned i = draw(10); i && d->queue[queue].num; i--) {
		uint16_t num = d->queue[queue].num, head = (uint16_t)draw(num), next = (uint16_t)draw(num);

		driver_desc(&t.v, queue, head, draw(DRIVER_RAM), draw(3000), (uint16_t)draw(4), next);
		driver_desc(&t.v, queue, next, draw(DRIVER_RAM), draw(3000), (uint16_t)(draw(40) ? 2 : draw(8)), head);
		driver_offer(&t.v, queue, head);
		reg_write(slot, R_NOTIFY, 2, queue);
	}
}

static size_t swallow(void *user, const uint8_t *bytes, size_t count)
{
	*(volatile uint8_t *)user = count ? bytes[count - 1] : 0;
	return count;
}

static size_t fill(void *user, uint8_t *bytes, size_t count)
{
	memset(bytes, *(uint8_t *)user, count);
	return count;
}

static void a_guest_that_does_anything_hurts_itself_only(void **state)
{
	static uint8_t sink;
	struct virtio_device *d[4] = {virtio_console_new(&t.v.memory, &sink, swallow),
				      virtio_entropy_new(&t.v.memory, fill, &sink)};

	(void)state;
	assert_true(d[0] && d[1] && virtio_pci_add(t.p, d[0]) && virtio_pci_add(t.p, d[1]));
	d[2] = add(VIRTIO_NET, 3, 0x10000021, 10);
	d[3] = add(VIRTIO_BLOCK, 1, 0, 64);
	for (unsigned long i = 0; i < test_rounds(3000000); i++) {
		unsigned slot = 1 + draw(4);

		random_access();
		if (!draw(100))
			almost_proper(d[slot - 1], slot);
		if (!draw(1000))
			virtio_console_resize(d[0], (uint16_t)draw(65536), (uint16_t)draw(65536));
		if (!draw(2000))
			virtio_console_input(d[0], (const uint8_t *)"0123456789", 10);
		if (!draw(20000))
			virtio_pci_reset(t.p);
		if (!draw(4096))
			driver_check(&t.v);
	}
	assert_true(t.raised[1] && t.raised[2] && t.raised[3] && t.raised[4] && echo_of(d[2])->starts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bus, close_bus)
	const struct CMUnitTest tests[] = {
	    TEST(features_that_were_not_offered_are_refused),
	    TEST(features_are_final_when_they_are_fine),
	    TEST(features_beyond_64_are_nothing),
	    TEST(driver_ok_without_features_needs_a_reset),
	    TEST(a_ring_that_is_not_aligned_is_not_enabled),
	    TEST(a_broken_ring_needs_a_reset),
	    TEST(rings_outside_memory_break_their_queue_only),
	    TEST(a_driver_that_failed_is_served_no_more),
	    TEST(status_bits_are_never_taken_back),
	    TEST(writes_of_another_width_do_nothing),
	    TEST(first_words_go_through_the_window),
	    TEST(a_whole_life_through_the_window),
	    TEST(a_window_that_makes_no_sense_shows_nothing),
	    TEST(a_line_is_high_until_the_isr_is_read),
	    TEST(a_guest_that_does_anything_hurts_itself_only),
	};

	return cmocka_run_group_tests_name("virtio_pci_wrong", tests, NULL, NULL);
}
