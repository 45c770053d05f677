/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_devices.c - what the devices do, of those that are there.
 *
 *   1. Console    text by NOTIFY while the driver runs; a line that the user types
 *   2. Block      patterns, the end of the disk, what is refused
 *   3. Entropy, network
 *   4. Registers  family G: the moves that a host must know
 */
#include "guests/pv/device.h"
#include "guests/pv/probes.h"

/* ---- 1. Console ----------------------------------------------------------------------------- */

static void test_console(void)
{
	struct device *d = find_device(DEVICE_CONSOLE);

	if (!d) {
		skip_test("no device");
		return;
	}
	CHECK(console_ready());
	CHECK_EQUAL(d->queue[1].num & (d->queue[1].num - 1u), 0);
	CHECK(d->queue[1].irq > 0 && d->queue[1].irq < IRQS);
}

/* At every alignment, across a page, at once and by the ring. */
static void test_notify_text(void)
{
	static char area[2 * PAGE] __attribute__((aligned(4096)));
	const char *texts[] = { "# by NOTIFY", ": one page", ", the next", "\n" };
	uint32_t at = PAGE - 19;

	if (family->devices == DEVICES_PCI) {
		skip_test("no NOTIFY in this family");
		return;
	}
	flush_print();
	for (unsigned i = 0; i < 4; i++) {
		memcpy(area + at, texts[i], strlen(texts[i]) + 1);
		(i == 1 ? call : queue_call)(CALL_NOTIFY, physical(area + at), 0, 0);
		at += (uint32_t)strlen(texts[i]) + 1;
	}
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(registers_changed, 0);
}

static void test_input(void)
{
	static char text[128];
	const char *value;
	uint32_t length;

	if (!find_word("input", &value)) {
		skip_test("nobody types");
		return;
	}
	if (!console_ready()) {
		skip_test("no device");
		return;
	}
	print("# type a line\n");
	length = console_read(text, sizeof text - 1);
	while (length && (text[length - 1] == '\n' || text[length - 1] == '\r'))
		length--;
	text[length] = 0;
	CHECK(length != 0);
	print("# echo: %s\n", text);
}

/* ---- 2. Block ------------------------------------------------------------------------------- */

enum { LAST = 8, PATTERN_BYTES = LAST * SECTOR };
static char before[PATTERN_BYTES], pattern[PATTERN_BYTES], back[PATTERN_BYTES];

static bool have_disk(void)
{
	if (block_start())
		return true;
	skip_test("no device");
	return false;
}

static void check_request(uint32_t type, uint64_t sector, void *data, uint32_t bytes, uint8_t wanted)
{
	uint32_t used = 0;

	CHECK_EQUAL(block_request(type, sector, data, bytes, &used), wanted);
	if (wanted == BLOCK_OK)
		CHECK_EQUAL(used, (type == BLOCK_WRITE ? 0 : bytes) + 1);
	CHECK(used >= 1 || wanted != BLOCK_OK);
}

static void make_pattern(uint32_t seed)
{
	for (uint32_t i = 0; i < PATTERN_BYTES / 4; i++)
		((uint32_t *)pattern)[i] = seed = seed * 1664525 + 1013904223;
}

static void test_block(void)
{
	uint64_t at;

	if (!have_disk())
		return;
	if (!CHECK(block_sectors() > LAST))
		return;
	at = block_sectors() - LAST;
	check_request(BLOCK_READ, at, before, PATTERN_BYTES, BLOCK_OK);
	for (uint32_t round = 1; round <= 3; round++) {
		make_pattern(round);
		check_request(BLOCK_WRITE, at, pattern, PATTERN_BYTES, BLOCK_OK);
		memset(back, 0x5A, sizeof back);
		check_request(BLOCK_READ, at, back, PATTERN_BYTES, BLOCK_OK);
		CHECK(memcmp(pattern, back, sizeof back) == 0);
		/* sectors apart, the last of all among them */
		check_request(BLOCK_READ, at + LAST - 1, back, SECTOR, BLOCK_OK);
		CHECK(memcmp(pattern + (LAST - 1) * SECTOR, back, SECTOR) == 0);
		check_request(BLOCK_WRITE, at + 1, pattern, SECTOR, BLOCK_OK);
		CHECK(block_read_many(at, LAST, back) == LAST);
		CHECK(memcmp(back + SECTOR, pattern, SECTOR) == 0);
		CHECK(memcmp(back + 2 * SECTOR, pattern + 2 * SECTOR, (LAST - 2) * SECTOR) == 0);
	}
	check_request(BLOCK_WRITE, at, before, PATTERN_BYTES, BLOCK_OK);
	check_request(BLOCK_READ, at, back, PATTERN_BYTES, BLOCK_OK);
	CHECK(memcmp(before, back, sizeof back) == 0);
}

/* Beyond the end, across it, and what nobody knows; afterwards all is as before. */
static void test_block_refused(void)
{
	uint64_t end;

	if (!have_disk())
		return;
	end = block_sectors();
	check_request(BLOCK_READ, end - LAST, before, PATTERN_BYTES, BLOCK_OK);
	make_pattern(99);
	check_request(BLOCK_READ, end, back, SECTOR, BLOCK_ERROR);
	check_request(BLOCK_WRITE, end, pattern, SECTOR, BLOCK_ERROR);
	check_request(BLOCK_READ, end - 1, back, 2 * SECTOR, BLOCK_ERROR);
	check_request(BLOCK_WRITE, end - 1, pattern, 2 * SECTOR, BLOCK_ERROR);
	check_request(BLOCK_READ, ~0ull, back, SECTOR, BLOCK_ERROR);
	check_request(BLOCK_WRITE, ~0ull >> 9, pattern, SECTOR, BLOCK_ERROR);
	check_request(BLOCK_SCSI, 0, back, SECTOR, BLOCK_UNSUPPORTED);
	check_request(0x77, 0, back, SECTOR, BLOCK_UNSUPPORTED);
	check_request(BLOCK_READ, end - LAST, back, PATTERN_BYTES, BLOCK_OK);
	CHECK(memcmp(before, back, sizeof back) == 0);
}

static void test_block_flush(void)
{
	if (!have_disk())
		return;
	if (!(block_features() & FEATURE_FLUSH)) {
		skip_test("not offered");
		return;
	}
	check_request(BLOCK_FLUSH, 0, NULL, 0, BLOCK_OK);
}

/* Each answer interrupts, unless we would rather not. */
static void test_block_interrupts(void)
{
	uint32_t count;

	if (!have_disk())
		return;
	count = block_queue()->interrupts;
	check_request(BLOCK_READ, 0, back, SECTOR, BLOCK_OK);
	CHECK(wait_irq(block_queue()->irq, 1));
	CHECK(block_queue()->interrupts > count);
	block_queue()->avail[0] = QUEUE_SILENT;
	count = block_queue()->interrupts;
	for (unsigned i = 0; i < 10; i++)
		check_request(BLOCK_READ, i, back, SECTOR, BLOCK_OK);
	irq_on();
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	irq_off();
	CHECK_EQUAL(block_queue()->interrupts, count);
	block_queue()->avail[0] = 0;
}

/* Two wait, the lower number comes first; a masked one waits on; HALT ends for any. */
static void test_interrupt_order(void)
{
	unsigned irq;
	uint32_t count;

	if (!have_disk())
		return;
	irq = block_queue()->irq;
	irq_restore(irq_save());
	irq_on();
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	irq_off();
	timer_set(100000);
	for (uint64_t end = read_tsc() + 10000000; read_tsc() < end;)
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
	count = irq_count[IRQ_TIMER];
	irq_order_used = 0;
	check_request(BLOCK_READ, 0, back, SECTOR, BLOCK_OK);
	CHECK(wait_irq(irq, irq_count[irq] + 1));
	CHECK(wait_irq(IRQ_TIMER, count + 1));
	CHECK_EQUAL(irq_order_used, 2);
	CHECK_EQUAL(irq_order[0], IRQ_TIMER);
	CHECK_EQUAL(irq_order[1], irq);
	if (family->irq_pending)
		CHECK_EQUAL(*data_word(family->irq_pending), 0);
	count = irq_count[irq];
	irq_mask(irq);
	check_request(BLOCK_READ, 0, back, SECTOR, BLOCK_OK);
	timer_set(1000000);
	halt();
	irq_off();
	CHECK_EQUAL(irq_count[irq], count);
	irq_unmask(irq);
	halt();
	irq_off();
	CHECK_EQUAL(irq_count[irq], count + 1);
}

/* Reset, and begun again: not in format 1, which has no reset. */
static void test_block_reset(void)
{
	struct device *d = find_device(DEVICE_BLOCK);

	if (!have_disk())
		return;
	if (family->devices == DEVICES_FORMAT_1) {
		skip_test("no reset in this family");
		return;
	}
	check_request(BLOCK_READ, 0, before, SECTOR, BLOCK_OK);
	for (unsigned round = 0; round < 3; round++) {
		device_reset(d);
		device_begin(d, 0);
		check_request(BLOCK_READ, 0, back, SECTOR, BLOCK_OK);
		CHECK(memcmp(before, back, SECTOR) == 0);
	}
}

/* ---- 3. Entropy, network -------------------------------------------------------------------- */

static void test_entropy(void)
{
	static uint8_t bytes[2][64];
	struct device *d = find_device(DEVICE_ENTROPY);
	struct used used = { 0, 0 };
	uint32_t sum = 0;

	if (!d) {
		skip_test("no device");
		return;
	}
	device_begin(d, 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct buffer b = { bytes[i], sizeof bytes[i], true };

		CHECK(queue_request(&d->queue[0], &b, 1, &used));
		CHECK(used.bytes > 0 && used.bytes <= sizeof bytes[i]);
	}
	for (unsigned i = 0; i < 16; i++)
		sum += bytes[0][i];
	CHECK(sum != 0);
	CHECK(memcmp(bytes[0], bytes[1], 16) != 0);
}

struct arp {
	uint8_t to[MAC_BYTES], from[MAC_BYTES], type[2], kind[6], operation[2];
	uint8_t sender[MAC_BYTES], sender_ip[4], target[MAC_BYTES], target_ip[4], padding[18];
};

/* Who has the gateway's address?  It has, and knows whom it tells. */
static void test_net(void)
{
	static const uint8_t kind[] = { 0, 1, 8, 0, 6, 4 }, ours[] = { 10, 0, 2, 15 }, its[] = { 10, 0, 2, 2 };
	static char frame[FRAME_MAX];
	struct arp ask = { .type = { 8, 6 }, .operation = { 0, 1 } };
	const struct arp *answer = (const struct arp *)frame;
	uint32_t bytes = 0;

	if (!net_start(ask.sender)) {
		skip_test("no device");
		return;
	}
	memset(ask.to, 0xFF, sizeof ask.to);
	memcpy(ask.from, ask.sender, sizeof ask.from);
	memcpy(ask.kind, kind, sizeof kind);
	memcpy(ask.sender_ip, ours, sizeof ours);
	memcpy(ask.target_ip, its, sizeof its);
	for (unsigned round = 0; round < 6; round++) {
		CHECK(net_send(&ask, sizeof ask));
		for (unsigned n = 0; n < 4 && (bytes = net_receive(frame)); n++)
			if (answer->type[1] == 6 && answer->operation[1] == 2)
				break;
		if (!CHECK(bytes >= 42))
			return;
		CHECK(memcmp(answer->to, ask.from, MAC_BYTES) == 0);
		CHECK(memcmp(answer->sender_ip, its, sizeof its) == 0);
		CHECK(memcmp(answer->target_ip, ours, sizeof ours) == 0);
		CHECK(memcmp(answer->from, answer->sender, MAC_BYTES) == 0);
	}
}

/* ---- 4. Registers --------------------------------------------------------------------------- */

/* Of each width, from and to several registers, with every kind of displacement: driver_feature_select (8) and
 * queue_select (0x16) keep what is written, device_status (0x14) says that we run. */
static void test_moves(void)
{
	struct device *d = find_device(DEVICE_CONSOLE);
	uint32_t word, half, byte;

	if (family->devices != DEVICES_PCI || !d) {
		skip_test("no device registers in memory");
		return;
	}
	__asm__ volatile("movl $0x12345678, %%esi\n\t"
			 "movl %%esi, 8(%%ebx)\n\t"
			 "leal 0x1000(%%ebx), %%esi\n\t"
			 "movl -0xFF8(%%esi), %%edi\n\t"
			 "movl $0xFFFF0001, %%ecx\n\t"
			 "movw %%cx, 0x16(%%ebx)\n\t"
			 "movl $-1, %%ecx\n\t"
			 "movw -0xFEA(%%esi), %%cx\n\t"
			 "movl $-1, %%edx\n\t"
			 "movb 0x14(%%ebx), %%dh\n\t"
			 "xorl %%esi, %%esi\n\t"
			 "movl %%esi, 8(%%ebx)"
			 : "=&D"(word), "=&c"(half), "=&d"(byte)
			 : "b"(d->common)
			 : "esi", "memory");
	CHECK_EQUAL(word, 0x12345678);
	CHECK_EQUAL(half, 0xFFFF0001);
	CHECK_EQUAL(byte, 0xFFFF00FF | (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK |
					STATUS_FEATURES_OK) << 8);
}

const struct test devices_tests[] = {
	{ "devices", "console", test_console },
	{ "devices", "notify-text", test_notify_text },
	{ "devices", "input", test_input },
	{ "devices", "block", test_block },
	{ "devices", "block-refused", test_block_refused },
	{ "devices", "block-flush", test_block_flush },
	{ "devices", "block-interrupts", test_block_interrupts },
	{ "devices", "interrupt-order", test_interrupt_order },
	{ "devices", "block-reset", test_block_reset },
	{ "devices", "entropy", test_entropy },
	{ "devices", "net", test_net },
	{ "devices", "moves", test_moves },
	{ 0 },
};
