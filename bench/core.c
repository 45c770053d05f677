/* SPDX-License-Identifier: MIT */
/*
 * bench/core.c - what one operation of the shadow core costs, and whether it grows with the guest.
 *
 *   1. The guest: R processes with a page table each, and a kernel half that they share
 *   2. The embedder: memory in an array, hardware that has nothing to invalidate
 *   3. The operations
 *   4. Measuring: batches, their median
 *   5. The command line
 *
 *   core [--quick] [--op NAME] [--roots N] [--count N]
 *
 * Prints `operation TAB roots TAB ns per operation (median)`.  --count runs an operation about N times without a
 * clock, inside measured(): callgrind --toggle-collect=measured then counts its instructions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umbra/shadow.h>

/* ---- 1. The guest --------------------------------------------------------------------------- */

enum {
	ENTRIES = 1024,
	KERNEL_TABLES = 4,
	DATA_FRAMES = 1024,
	WARM_PAGES = 8,      /* user pages of a process that has run for a while */
	MAX_ROOTS = 1024,
	MAX_BATCHES = 4000,
};
#define USER 0x08000000u     /* the 4 MiB where a process lives */
#define KERNEL 0xC0000000u
#define PAGE(n) ((uint32_t)(n) << UM_PAGE_SHIFT)
#define USER_PTE 0x67u       /* present, writable, user, accessed, dirty */
#define KERNEL_PTE 0x163u    /* present, writable, accessed, dirty, global */

struct bench {
	struct um *um;
	void *arena;
	uint32_t *ram;
	uint64_t frames;
	unsigned roots;      /* processes that run, at least one more exists */
	unsigned next;       /* round robin over them */
	void *spare[64];     /* tables given back, to be handed out again */
	unsigned spares;
};

/* Frames: 0 unused, directories, user tables, kernel tables, data. */
static uint32_t dir_frame(unsigned root) { return 1 + root; }
static uint32_t table_frame(const struct bench *b, unsigned root) { return 2 + b->roots + root; }
static uint32_t kernel_frame(const struct bench *b, unsigned n) { return 3 + 2 * b->roots + n; }
static uint32_t data_frame(const struct bench *b, unsigned n)
{
	return kernel_frame(b, KERNEL_TABLES) + n % DATA_FRAMES;
}
static um_gpa entry_gpa(uint32_t frame, unsigned index) { return PAGE(frame) + 4u * index; }

static void write_entry(struct bench *b, um_gpa gpa, uint32_t value) { b->ram[gpa / 4] = value; }

static void build_guest(struct bench *b)
{
	for (unsigned n = 0; n < KERNEL_TABLES * ENTRIES; n++)
		write_entry(b, entry_gpa(kernel_frame(b, n / ENTRIES), n % ENTRIES),
		            PAGE(data_frame(b, n)) | KERNEL_PTE);
	for (unsigned root = 0; root <= b->roots; root++) {
		write_entry(b, entry_gpa(dir_frame(root), USER >> 22), PAGE(table_frame(b, root)) | USER_PTE);
		for (unsigned n = 0; n < KERNEL_TABLES; n++)
			write_entry(b, entry_gpa(dir_frame(root), (KERNEL >> 22) + n),
			            PAGE(kernel_frame(b, n)) | USER_PTE);
		for (unsigned n = 0; n < ENTRIES; n++)
			write_entry(b, entry_gpa(table_frame(b, root), n), PAGE(data_frame(b, n)) | USER_PTE);
	}
}

/* ---- 2. The embedder ------------------------------------------------------------------------ */

static void fail(const char *what)
{
	fprintf(stderr, "bench/core: %s\n", what);
	exit(1);
}

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	const struct bench *b = user;

	if (bytes != 4 || gpa >= b->frames * UM_PAGE_SIZE)
		return false;
	*value = b->ram[gpa / 4];
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct bench *b = user;

	(void)bytes;
	if (b->ram[gpa / 4] != old)
		return false;
	b->ram[gpa / 4] = (uint32_t)value;
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	(void)user;
	(void)write;
	*hfn = gfn;
	return UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	(void)user;
	(void)gfn;
	(void)hfn;
	(void)dirty;
}

static void *get_table(void *user)
{
	struct bench *b = user;

	return b->spares ? b->spare[--b->spares] : aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
}

static void put_table(void *user, void *table)
{
	struct bench *b = user;

	if (b->spares < sizeof b->spare / sizeof b->spare[0])
		b->spare[b->spares++] = table;
	else
		free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	(void)user;
	(void)first;
	(void)last;
}

static void invalidate_all(void *user) { (void)user; }

static const struct um_ops ops = {
	.read_entry = read_entry,
	.update_entry = update_entry,
	.get_page = get_page,
	.put_page = put_page,
	.get_table = get_table,
	.put_table = put_table,
	.invalidate = invalidate,
	.invalidate_all = invalidate_all,
};

/* ---- 3. The operations ---------------------------------------------------------------------- */

struct op {
	const char *name;
	enum um_learn learn;
	uint32_t without;    /* enum um_opt that the row is measured without */
	unsigned batch;      /* operations between two prepare() calls */
	void (*prepare)(struct bench *b);
	void (*run)(struct bench *b, unsigned n); /* n = 0 .. batch-1 */
};

static void switch_to(struct bench *b, unsigned root) { um_switch_root(b->um, PAGE(dir_frame(root))); }

static void demand(struct bench *b, uint32_t gva, unsigned access)
{
	struct um_map map;

	if (um_demand_page(b->um, gva, access, &map) != UM_OK)
		fail("um_demand_page() did not map a page");
}

static void touch(struct bench *b, uint32_t gva, unsigned access)
{
	struct um_map map;

	if (um_lookup(b->um, gva, access, &map) != UM_OK)
		demand(b, gva, access);
}

static void warm_up(struct bench *b, unsigned root)
{
	switch_to(b, root);
	for (unsigned n = 0; n < WARM_PAGES; n++) {
		touch(b, USER + PAGE(n), UM_WRITE | UM_USER);
		touch(b, KERNEL + PAGE(n * 97), UM_WRITE);
	}
}

static void warm_all(struct bench *b)
{
	for (unsigned root = 0; root < b->roots; root++)
		warm_up(b, root);
}

static void prepare_cold(struct bench *b)
{
	um_flush_all(b->um);
	b->next = (b->next + 1) % b->roots;
	switch_to(b, b->next);
	touch(b, KERNEL, UM_WRITE);
}

static void prepare_whole(struct bench *b) /* every page of the current process is there */
{
	warm_all(b);
	for (unsigned n = 0; n < ENTRIES; n++)
		touch(b, USER + PAGE(n), UM_WRITE | UM_USER);
}

/* Frames that one page of one process maps, and nobody else. */
enum { PRIVATE = 500 };
static void prepare_private(struct bench *b)
{
	warm_all(b);
	switch_to(b, 0);
	for (unsigned n = 0; n < WARM_PAGES; n++)
		touch(b, USER + PAGE(PRIVATE + n), UM_WRITE | UM_USER);
}

static void run_fill(struct bench *b, unsigned n) { demand(b, USER + PAGE(n), UM_WRITE | UM_USER); }
static void run_touch(struct bench *b, unsigned n) { touch(b, USER + PAGE(n), UM_WRITE | UM_USER); }

static void run_lookup(struct bench *b, unsigned n)
{
	struct um_map map;

	if (um_lookup(b->um, USER + PAGE(n), UM_WRITE | UM_USER, &map) != UM_OK)
		fail("um_lookup() found nothing");
}

/* The entry changes its frame each time, so that no call is a repetition. */
static uint32_t new_entry(struct bench *b, unsigned n, uint32_t flags)
{
	return PAGE(data_frame(b, n + ++b->next)) | flags;
}

static void tell(struct bench *b, unsigned root, uint32_t gva, uint32_t entry)
{
	if (um_set_pte(b->um, PAGE(dir_frame(root)), gva, entry) != UM_OK)
		fail("um_set_pte() failed");
}

static void run_tell_user(struct bench *b, unsigned n)
{
	tell(b, n % b->roots, USER + PAGE(n % WARM_PAGES), new_entry(b, n, USER_PTE));
}

static void run_tell_kernel(struct bench *b, unsigned n)
{
	tell(b, n % b->roots, KERNEL + PAGE(n % WARM_PAGES * 97), new_entry(b, n, KERNEL_PTE));
}

static void tracked_write(struct bench *b, um_gpa gpa, uint32_t entry)
{
	write_entry(b, gpa, entry);
	um_guest_wrote(b->um, gpa, 4);
}

static void run_write_user(struct bench *b, unsigned n)
{
	tracked_write(b, entry_gpa(table_frame(b, n % b->roots), n % WARM_PAGES), new_entry(b, n, USER_PTE));
}

static void run_write_kernel(struct bench *b, unsigned n)
{
	tracked_write(b, entry_gpa(kernel_frame(b, 0), n % WARM_PAGES * 97), new_entry(b, n, KERNEL_PTE));
}

static void run_switch_hit(struct bench *b, unsigned n)
{
	(void)n;
	b->next = (b->next + 1) % b->roots;
	switch_to(b, b->next);
}

/* One process more than roots are kept: the one switched to has always just gone. */
static void run_switch_miss(struct bench *b, unsigned n)
{
	(void)n;
	b->next = (b->next + 1) % (b->roots + 1);
	switch_to(b, b->next);
	demand(b, USER, UM_WRITE | UM_USER);
}

static void run_flush_page(struct bench *b, unsigned n)
{
	um_flush_page(b->um, USER + PAGE(n));
	touch(b, USER + PAGE(n), UM_WRITE | UM_USER);
}

static void run_flush_user(struct bench *b, unsigned n)
{
	(void)n;
	um_flush_user(b->um);
}

static void run_flush_all(struct bench *b, unsigned n)
{
	(void)n;
	um_flush_all(b->um);
}

static void run_flush_all_touch(struct bench *b, unsigned n)
{
	run_flush_all(b, n);
	demand(b, USER, UM_WRITE | UM_USER);
}

static void run_forget_private(struct bench *b, unsigned n)
{
	um_forget_frame(b->um, data_frame(b, PRIVATE + n));
}

static void run_forget_shared(struct bench *b, unsigned n) { um_forget_frame(b->um, data_frame(b, n)); }

static const struct op op_table[] = {
	{ "fill", UM_LEARN_TRACKED, UM_OPT_PREFETCH, ENTRIES, prepare_cold, run_fill },
	{ "touch-prefetch", UM_LEARN_TRACKED, 0, ENTRIES, prepare_cold, run_touch },
	{ "lookup", UM_LEARN_TRACKED, 0, ENTRIES, prepare_whole, run_lookup },
	{ "set-pte-user", UM_LEARN_TOLD, 0, 1024, warm_all, run_tell_user },
	{ "set-pte-kernel", UM_LEARN_TOLD, 0, 1024, warm_all, run_tell_kernel },
	{ "write-user", UM_LEARN_TRACKED, UM_OPT_UNSYNC, 1024, warm_all, run_write_user },
	{ "write-kernel", UM_LEARN_TRACKED, UM_OPT_UNSYNC, 1024, warm_all, run_write_kernel },
	{ "switch-hit", UM_LEARN_TRACKED, 0, 1024, warm_all, run_switch_hit },
	{ "switch-miss", UM_LEARN_TRACKED, 0, 1024, warm_all, run_switch_miss },
	{ "flush-page", UM_LEARN_TRACKED, 0, ENTRIES, prepare_whole, run_flush_page },
	{ "flush-user", UM_LEARN_TRACKED, 0, 1, prepare_whole, run_flush_user },
	{ "clear-all", UM_LEARN_TRACKED, 0, 1, warm_all, run_flush_all },
	{ "clear-all-touch", UM_LEARN_TRACKED, 0, 1, warm_all, run_flush_all_touch },
	{ "forget-private", UM_LEARN_TRACKED, 0, WARM_PAGES, prepare_private, run_forget_private },
	{ "forget-shared", UM_LEARN_TRACKED, 0, WARM_PAGES, warm_all, run_forget_shared },
};
#define OPS (sizeof op_table / sizeof op_table[0])

/* ---- 4. Measuring --------------------------------------------------------------------------- */

static void open_bench(struct bench *b, const struct op *op, unsigned roots)
{
	memset(b, 0, sizeof *b);
	b->roots = roots;
	b->frames = kernel_frame(b, KERNEL_TABLES) + DATA_FRAMES;

	struct um_config config = {
		.ops = &ops,
		.user = b,
		.format = &um_format_i386,
		.learn = op->learn,
		.options = UM_OPT_ALL & ~op->without,
		.max_gfn = b->frames,
		.max_tables = 8 * (roots + 1) + 64,
		.max_roots = roots,
		.prefetch = 8,
		.user_end = KERNEL,
	};
	size_t bytes = um_size(&config);

	b->ram = calloc(b->frames, UM_PAGE_SIZE);
	b->arena = bytes ? aligned_alloc(16, (bytes + 15) & ~(size_t)15) : NULL;
	if (!b->ram || !b->arena)
		fail("no memory");
	memset(b->arena, 0, bytes);
	if (um_init(b->arena, &config, &b->um) != UM_OK)
		fail("um_init() refused the configuration");
	build_guest(b);
	um_set_mode(b->um, UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE | UM_MODE_PGE, PAGE(dir_frame(0)));
}

static void close_bench(struct bench *b)
{
	struct um_violation broken = um_audit(b->um);

	if (broken.invariant)
		fail(broken.text);
	um_destroy(b->um);
	while (b->spares)
		free(b->spare[--b->spares]);
	free(b->arena);
	free(b->ram);
}

/* Everything that is timed or counted happens in here. */
__attribute__((noinline)) void measured(struct bench *b, const struct op *op);
void measured(struct bench *b, const struct op *op)
{
	for (unsigned n = 0; n < op->batch; n++)
		op->run(b, n);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_ns(struct bench *b, const struct op *op, double budget)
{
	static const unsigned least = 11; /* batches, however long they take */
	double *ns = malloc(MAX_BATCHES * sizeof *ns);
	double end = seconds() + budget;
	unsigned count = 0;

	if (!ns)
		fail("no memory");
	while (count < MAX_BATCHES && (count < least || seconds() < end)) {
		op->prepare(b);
		double start = seconds();
		measured(b, op);
		ns[count++] = (seconds() - start) * 1e9 / op->batch;
	}
	qsort(ns, count, sizeof *ns, compare);
	double median = ns[count / 2];
	free(ns);
	return median;
}

/* ---- 5. The command line -------------------------------------------------------------------- */

static void run_one(const struct op *op, unsigned roots, unsigned count, double budget)
{
	struct bench b;

	open_bench(&b, op, roots);
	if (count) {
		unsigned batches = (count + op->batch - 1) / op->batch;

		for (unsigned n = 0; n < batches; n++) {
			op->prepare(&b);
			measured(&b, op);
		}
		printf("%s\t%u\t%u\n", op->name, roots, batches * op->batch);
	} else {
		printf("%s\t%u\t%.1f\n", op->name, roots, median_ns(&b, op, budget));
	}
	fflush(stdout);
	close_bench(&b);
}

int main(int argc, char **argv)
{
	static const unsigned sizes[] = { 1, 4, 64, MAX_ROOTS };
	const char *only = NULL;
	unsigned only_roots = 0, count = 0, ran = 0;
	double budget = 0.3;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--quick"))
			budget = 0.02;
		else if (!strcmp(argv[i], "--op"))
			only = value, i++;
		else if (!strcmp(argv[i], "--roots") && atoi(value) > 0 && atoi(value) <= MAX_ROOTS)
			only_roots = (unsigned)atoi(value), i++;
		else if (!strcmp(argv[i], "--count") && atoi(value) > 0)
			count = (unsigned)atoi(value), i++;
		else {
			fprintf(stderr, "usage: core [--quick] [--op NAME] [--roots N] [--count N]\n");
			return 2;
		}
	}
	for (size_t n = 0; n < OPS; n++) {
		for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
			if ((only && strcmp(only, op_table[n].name)) || (only_roots && only_roots != sizes[s]))
				continue;
			run_one(&op_table[n], sizes[s], count, budget);
			ran++;
		}
	}
	if (!ran)
		fail("no such operation or number of roots");
	return 0;
}
