/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_dump.c - dumps: what is written is read again; what is damaged or made up does no harm.
 *
 *   1. A guest         one page of 4 MiB, two pages used
 *   2. Round trip      memory, registers, shadow, further notes
 *   3. Writing         all of it or nothing
 *   4. Foreign files   QEMU's, raw memory, cores without control registers
 *   5. Damage          cut off, changed, made up
 */
#include <elf.h>
#include <errno.h>
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scope/dump_inside.h"
#include "tests/lib/image.h"
#include "tests/lib/pt_space.h"
#include "tests/lib/tap.h"

/* ---- 1. A guest ----------------------------------------------------------------------------- */

static const uint8_t code[] = {
	0xB8, 0x83, 0, 0, 0, 0xA3, 0, 0, 0x20, 0,             /* mov $0x83, %eax; mov %eax, 0x200000: 4 MiB, P, R/W */
	0xB8, 0x10, 0, 0, 0, 0x0F, 0x22, 0xE0,                /* mov $0x10, %eax; mov %eax, %cr4: PSE */
	0xB8, 0, 0, 0x20, 0, 0x0F, 0x22, 0xD8,                /* mov $0x200000, %eax; mov %eax, %cr3 */
	0x0F, 0x20, 0xC0, 0x0D, 0, 0, 1, 0x80, 0x0F, 0x22, 0xC0, /* or $0x80010000, %cr0 */
	0xC7, 0x05, 0, 0, 0x30, 0, 0xEF, 0xBE, 0xAD, 0xDE,    /* movl $0xdeadbeef, 0x300000 */
	0xA1, 0, 0x10, 0x30, 0,                               /* mov 0x301000, %eax */
	0xBB, 0x78, 0x56, 0x34, 0x12, 0x31, 0xC0, 0xE6, 0xF4, /* mov $0x12345678, %ebx; xor %eax, %eax; out %al, $0xf4 */
};
enum { RAM = 16 << 20 };

struct dumped {
	struct loading files;
	struct vm *vm;
	char folder[256], path[300];
};

static void start_on(struct dumped *d, enum vm_engine engine)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, 0x100020 };
	struct vm_config config = { .ram_bytes = RAM, .um_options = UM_OPT_ALL, .cpu_options = CPU_OPT_ALL,
		                    .debug_exit_port = 0xF4, .console = { .in = -1, .out = -1 }, .engine = engine,
		                    .direct_options = DIRECT_OPT_ALL };
	struct guest_error error;
	memset(&m, 0, sizeof m);
	loading_start(&d->files, 1u << 20); /* for its temporary files only */
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, code, sizeof code);
	config.guest.kernel = loading_file(&d->files, 0, m.bytes, m.size);
	d->vm = vm_new(&config, &error);
	if (!d->vm)
		fail_msg("%s", error.text);
	assert_int_equal(vm_run(d->vm), VM_DEBUG_EXIT);
	const char *temporary = getenv("TMPDIR");
	snprintf(d->folder, sizeof d->folder, "%.200s/dump.XXXXXX", temporary ? temporary : "/tmp");
	assert_non_null(mkdtemp(d->folder));
	snprintf(d->path, sizeof d->path, "%s/core", d->folder);
}

static void start(struct dumped *d)
{
	start_on(d, VM_ENGINE_PORTABLE);
}

static unsigned files_in(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void end(struct dumped *d)
{
	unlink(d->path);
	assert_int_equal(rmdir(d->folder), 0);
	vm_free(d->vm);
	loading_end(&d->files);
}

static void write_dump(struct dumped *d, const struct dump_note *more, size_t count)
{
	char why[256];
	if (!dump_write(d->vm, d->path, more, count, why, sizeof why))
		fail_msg("%s", why);
}

static struct dump *open_dump(const char *path)
{
	char why[256];
	struct dump *d = dump_open(path, why, sizeof why);
	if (!d)
		fail_msg("%s", why);
	return d;
}

/* The bytes of a small file. */
static void put_file(const char *path, const void *bytes, size_t size)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void refused_file(const char *path, const char *word)
{
	char why[256] = "";
	assert_null(dump_open(path, why, sizeof why));
	has_text(why, word);
	assert_null(strchr(why, '\n'));
}

/* ---- 2. Round trip -------------------------------------------------------------------------- */

static void what_is_written_is_read_again(void **state)
{
	static const char *const views[] = { "", "--merge", "--json" };
	static const uint8_t first[5] = { 1, 2, 3, 4, 5 };
	const struct dump_note more[] = {
		{ DUMP_NOTE_NAME, DUMP_NOTE_MORE, first, sizeof first }, { "SOMEBODY", 7, "", 0 },
		{ DUMP_NOTE_NAME, DUMP_NOTE_MORE + 1, "four", 4 },
	};
	struct dumped g;
	struct space live, dead;
	struct cpu_state a, b;
	struct text x = { 0 }, y = { 0 };
	uint8_t one[DUMP_STATE_BYTES] = { 0 }, two[DUMP_STATE_BYTES] = { 0 }, page[4096], other[4096];
	(void)state;
	start(&g);
	write_dump(&g, more, 3);
	struct dump *d = open_dump(g.path);
	assert_int_equal(dump_kind(d), DUMP_UMBRA);
	assert_int_equal(dump_ram_bytes(d), RAM);
	for (uint64_t gpa = 0; gpa < RAM; gpa += sizeof page) {
		assert_int_equal(dump_read(d, gpa, page, sizeof page), sizeof page);
		vm_read_physical(g.vm, gpa, other, sizeof other);
		assert_memory_equal(page, other, sizeof page);
	}
	assert_int_equal(dump_read(d, RAM - 10, page, sizeof page), 10);
	assert_int_equal(dump_read(d, RAM, page, 1), 0);
	cpu_get_state(vm_cpu(g.vm), &a);
	assert_true(dump_state(d, &b));
	assert_int_equal(dump_pack_state(&a, one), dump_pack_state(&b, two));
	assert_memory_equal(one, two, sizeof one);
	assert_int_equal(b.gpr[CPU_EBX], 0x12345678);
	assert_int_equal(b.cr3, 0x200000);
	space_of_vm(&live, g.vm, NULL);
	dump_space(d, &dead);
	assert_int_equal(dead.eip, live.eip);
	assert_int_equal(dead.cpl, 0);
	for (size_t k = 0; k < 3; k++)
		assert_string_equal(view(&live, &x, views[k]), view(&dead, &y, views[k]));
	has_text(view(&dead, &y, ""), "002fc000-00304fff      36K 4M rwxs- ram   002fc000 AD rw, split\n");
	/* D of a large page is the whole page's. */
	has_text(view(&dead, &y, "--at 301000 --ring 0 --access r"), "  0        read    ok              permits it\n");
	refused(&dead, "--roots", "no shadow");
	for (size_t k = 0; k < 3; k++) {
		size_t size;
		void *bytes = dump_note(d, more[k].name, more[k].type, &size);
		assert_non_null(bytes);
		assert_int_equal(size, more[k].size);
		assert_memory_equal(bytes, more[k].bytes, size);
		free(bytes);
	}
	size_t none;
	assert_null(dump_note(d, DUMP_NOTE_NAME, DUMP_NOTE_MORE + 2, &none));
	dump_close(d);
	text_free(&x);
	text_free(&y);
	end(&g);
}

/* Another directory, another mode: the shadow that is in the dump says nothing of it. */
static void the_shadow_is_one_directory_s(void **state)
{
	struct dumped g;
	struct space s;
	struct text out = { 0 };
	(void)state;
	start(&g);
	write_dump(&g, NULL, 0);
	struct dump *d = open_dump(g.path);
	dump_space(d, &s);
	assert_true(s.leaves > 0);
	has_text(view(&s, &out, ""), " shadow\n");
	has_no_text(view(&s, &out, "--cr3 300000"), " shadow\n");
	has_no_text(view(&s, &out, "--cr0 80000011"), " shadow\n");
	dump_close(d);
	text_free(&out);
	end(&g);
}

/* ---- 3. Writing ----------------------------------------------------------------------------- */

static void zeros_take_no_room_and_the_file_is_private(void **state)
{
	struct dumped g;
	struct stat s;
	(void)state;
	start(&g);
	write_dump(&g, NULL, 0);
	assert_int_equal(stat(g.path, &s), 0);
	assert_true(s.st_size > RAM);
	assert_true(s.st_blocks * 512 < RAM / 4);
	assert_int_equal(s.st_mode & 07777, 0600);
	assert_int_equal(files_in(g.folder), 1);
	end(&g);
}

static uint64_t data_of(struct vm *vm)
{
	uint64_t first, end = 0, sum = 0;
	while (vm_next_data(vm, end, &first, &end))
		sum += end - first;
	return sum;
}

/* The direct engine's memory is a file's: what is only looked at must not come into being. */
static void untouched_memory_stays_so(void **state)
{
	struct dumped g;
	uint8_t page[4096], other[4096];
	(void)state;
	if (direct_probe() || getenv("TEST_VALGRIND"))
		skip(); /* no such host, or a processor of valgrind's */
	start_on(&g, VM_ENGINE_DIRECT);
	uint64_t before = data_of(g.vm);
	assert_true(before > 0 && before < RAM / 2);
	write_dump(&g, NULL, 0);
	assert_true(data_of(g.vm) == before);
	struct dump *d = open_dump(g.path);
	for (uint64_t gpa = 0; gpa < RAM; gpa += sizeof page) {
		assert_int_equal(dump_read(d, gpa, page, sizeof page), sizeof page);
		vm_read_physical(g.vm, gpa, other, sizeof other);
		assert_memory_equal(page, other, sizeof page);
	}
	uint64_t first, last;
	assert_false(vm_next_data(g.vm, RAM, &first, &last));
	assert_false(vm_next_data(g.vm, UINT64_MAX, &first, &last));
	assert_true(vm_next_data(g.vm, RAM - 1, &first, &last) && first == RAM - 4096 && last == RAM);
	dump_close(d);
	end(&g);
}

static void a_file_is_written_whole_or_not_at_all(void **state)
{
	struct dumped g;
	struct rlimit was, small;
	char why[512], path[300];
	(void)state;
	start(&g);
	put_file(g.path, "what was there", 14);
	/* A disk that is full, as far as this process can tell. */
	getrlimit(RLIMIT_FSIZE, &was);
	small = was;
	small.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(dump_write(g.vm, g.path, NULL, 0, why, sizeof why));
	setrlimit(RLIMIT_FSIZE, &was);
	has_text(why, strerror(EFBIG));
	assert_int_equal(files_in(g.folder), 1);
	struct stat s;
	assert_true(stat(g.path, &s) == 0 && s.st_size == 14);
	/* What is no file stays what it is. */
	assert_false(dump_write(g.vm, g.folder, NULL, 0, why, sizeof why));
	has_text(why, "is not a regular file");
	assert_false(dump_write(g.vm, "/dev/null", NULL, 0, why, sizeof why));
	has_text(why, "is not a regular file");
	assert_false(dump_write(g.vm, "", NULL, 0, why, sizeof why));
	snprintf(path, sizeof path, "%s/none/core", g.folder);
	assert_false(dump_write(g.vm, path, NULL, 0, why, sizeof why));
	has_text(why, "No such file");
	write_dump(&g, NULL, 0); /* over the other */
	dump_close(open_dump(g.path));
	end(&g);
}

/* ---- 4. Foreign files ----------------------------------------------------------------------- */

/* An ELF64 core as QEMU makes it: its note, and two pieces of memory with a hole between them. */
struct qemu_file {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	uint32_t head[3];
	char name[8];
	uint8_t note[440];
	uint8_t memory[3 * 4096];
};

static void make_qemu(struct qemu_file *q)
{
	memset(q, 0, sizeof *q);
	memcpy(q->e.e_ident, ELFMAG, SELFMAG);
	q->e.e_ident[EI_CLASS] = ELFCLASS64;
	q->e.e_ident[EI_DATA] = ELFDATA2LSB;
	q->e.e_type = ET_CORE;
	q->e.e_machine = EM_386;
	q->e.e_phoff = offsetof(struct qemu_file, p);
	q->e.e_phentsize = sizeof(Elf64_Phdr);
	q->e.e_phnum = 3;
	q->p[0] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = offsetof(struct qemu_file, head),
		                .p_filesz = offsetof(struct qemu_file, memory) - offsetof(struct qemu_file, head) };
	q->p[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct qemu_file, memory), .p_filesz = 2 * 4096,
		                .p_memsz = 4 * 4096, .p_paddr = 0 };
	q->p[2] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct qemu_file, memory) + 2 * 4096,
		                .p_filesz = 4096, .p_memsz = 4096, .p_paddr = 0x8000 };
	q->head[0] = 5;
	q->head[1] = sizeof q->note;
	memcpy(q->name, "QEMU", 5);
	dump_put32(q->note, 1);
	dump_put32(q->note + 4, sizeof q->note);
	dump_put32(q->note + 136, 0x1234);          /* rip */
	dump_put32(q->note + 152, 0x1B);            /* CS */
	dump_put32(q->note + 392, 0x80010001);      /* CR0 */
	dump_put32(q->note + 392 + 24, 0x1000);     /* CR3 */
	dump_put32(q->note + 392 + 32, 0x10);       /* CR4 */
	dump_put32(q->memory + 4096, 0x8003);       /* the directory: a table at 0x8000 */
	dump_put32(q->memory + 2 * 4096, 0x2001);   /* the table: a page that the file has no bytes of, ... */
	dump_put32(q->memory + 2 * 4096 + 4, 0x5003); /* ... and one in the hole */
}

static void qemu_s_dumps(void **state)
{
	struct dumped g;
	struct qemu_file q;
	struct space s;
	struct text out = { 0 };
	uint8_t bytes[8192];
	(void)state;
	start(&g);
	make_qemu(&q);
	put_file(g.path, &q, sizeof q);
	struct dump *d = open_dump(g.path);
	assert_int_equal(dump_kind(d), DUMP_QEMU);
	dump_space(d, &s);
	assert_int_equal(s.cpl, 3);
	assert_int_equal(s.eip, 0x1234);
	has_text(view(&s, &out, ""), "CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000010 (PSE)\n");
	has_text(text_string(&out), "00000000-00000fff       4K 4K r-xs- ram   00002000 --\n"
	                            "00001000-00001fff       4K 4K rwxs- none  00005000 --\n");
	assert_int_equal(dump_read(d, 0x2000, bytes, sizeof bytes), sizeof bytes);
	assert_int_equal(bytes[0] | bytes[8191], 0);
	assert_int_equal(dump_read(d, 0x3000, bytes, sizeof bytes), 4096);
	dump_close(d);
	/* The same memory twice: what overlaps is there once, the rest goes on behind it. */
	q.p[2].p_paddr = 0x1000;
	q.p[2].p_memsz = 6 * 4096;
	q.p[1].p_memsz = 2 * 4096;
	put_file(g.path, &q, sizeof q);
	d = open_dump(g.path);
	assert_int_equal(dump_ram_bytes(d), 7 * 4096);
	assert_int_equal(dump_read(d, 0x1000, bytes, sizeof bytes), sizeof bytes);
	assert_int_equal(dump_get32(bytes), 0x8003);
	assert_int_equal(dump_get32(bytes + 4096), 0);
	dump_close(d);
	/* A copy of the BIOS below 4 GiB is no RAM, and says nothing of how much there is; what is there can be read. */
	make_qemu(&q);
	q.p[2].p_paddr = 0xFFFFF000;
	put_file(g.path, &q, sizeof q);
	d = open_dump(g.path);
	assert_int_equal(dump_ram_bytes(d), 4 * 4096);
	assert_int_equal(dump_read(d, 0xFFFFF000, bytes, 4096), 4096);
	dump_space(d, &s);
	assert_int_equal(s.ram_bytes, 4 * 4096);
	assert_false(s.is_ram(s.user, 0xFFFFF000));
	assert_true(s.is_ram(s.user, 0x3000));
	dump_close(d);
	/* ... and a hole below 1 MiB is not its end. */
	q.p[2].p_paddr = 0x100000;
	put_file(g.path, &q, sizeof q);
	d = open_dump(g.path);
	assert_int_equal(dump_ram_bytes(d), 0x101000);
	dump_close(d);
	make_qemu(&q);
	dump_put32(q.note, 2);
	put_file(g.path, &q, sizeof q);
	refused_file(g.path, "damaged, or of another version");
	/* Without QEMU's note it is somebody else's: no registers. */
	q.head[2] = 9;
	put_file(g.path, &q, sizeof q);
	d = open_dump(g.path);
	assert_int_equal(dump_kind(d), DUMP_FOREIGN);
	dump_space(d, &s);
	has_text(view(&s, &out, "--cr3 1000 --cr0 80010001"), "00002000 --\n");
	dump_close(d);
	text_free(&out);
	end(&g);
}

static void raw_memory(void **state)
{
	struct dumped g;
	uint32_t words[2048] = { 0 };
	struct space s;
	struct text out = { 0 };
	(void)state;
	start(&g);
	words[0] = 0x101003;
	words[1024] = 0x100003;
	put_file(g.path, words, sizeof words);
	struct dump *d = open_dump(g.path);
	assert_int_equal(dump_kind(d), DUMP_RAW);
	dump_set_base(d, 0x100000);
	dump_space(d, &s);
	assert_int_equal(s.ram_bytes, 0x102000);
	has_text(view(&s, &out, "--cr3 100000 --cr0 80010001"), "00000000-00000fff       4K 4K rwxs- table 00100000 --\n");
	dump_close(d);
	put_file(g.path, "", 0);
	refused_file(g.path, "is empty");
	refused_file(g.folder, "is not a regular file");
	refused_file("/dev/zero", "is not a regular file");
	refused_file("/nowhere", "No such file");
	text_free(&out);
	end(&g);
}

/* ---- 5. Damage ------------------------------------------------------------------------------ */

/* Whatever is in the file: it is refused with a line, or it is an address space. */
static bool survives(const char *path)
{
	char why[256] = "";
	struct text out = { 0 };
	struct space s;
	struct dump *d = dump_open(path, why, sizeof why);
	if (!d) {
		assert_true(why[0] && !strchr(why, '\n'));
		return false;
	}
	dump_space(d, &s);
	if (pt_line(&s, "--cr3 200000 --cr0 80010001", &out, why, sizeof why))
		fits_80(text_string(&out));
	pt_line(&s, "", &out, why, sizeof why);
	text_free(&out);
	dump_close(d);
	return true;
}

static void cut_off_anywhere(void **state)
{
	struct dumped g;
	struct stat s;
	uint64_t rng = 99;
	(void)state;
	start(&g);
	write_dump(&g, NULL, 0);
	assert_int_equal(stat(g.path, &s), 0);
	for (off_t size = s.st_size - 1; size > 0;) {
		assert_int_equal(truncate(g.path, size), 0);
		if (size >= EI_NIDENT)
			refused_file(g.path, ": ");
		else
			survives(g.path); /* raw memory, for all one can tell */
		rng = rng * 6364136223846793005u + 1;
		size -= size > 8192 ? (off_t)(rng >> 33) % (size / 8) + 1 : (off_t)(rng >> 40) % 8 + 1;
	}
	end(&g);
}

static void no_change_of_headers_and_notes_does_harm(void **state)
{
	struct dumped g;
	static uint8_t image[8192], changed[8192];
	uint64_t rng = 7;
	unsigned refusals = 0;
	(void)state;
	start(&g);
	write_dump(&g, NULL, 0);
	FILE *f = fopen(g.path, "r+e");
	assert_non_null(f);
	assert_int_equal(fread(image, 1, sizeof image, f), sizeof image);
	unsigned long rounds = test_rounds(1000);
	for (unsigned long k = 0; k < rounds; k++) {
		memcpy(changed, image, sizeof image);
		for (unsigned n = 1 + k % 4; n; n--) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			size_t at = (size_t)(rng >> 33) % (k & 1 ? 160 : 2048);
			changed[at] = (uint8_t)(k & 2 ? rng >> 20 : changed[at] ^ 1u << (rng >> 20 & 7));
		}
		rewind(f);
		assert_int_equal(fwrite(changed, 1, sizeof changed, f), sizeof changed);
		assert_int_equal(fflush(f), 0);
		refusals += !survives(g.path);
	}
	assert_true(refusals > 0);
	fclose(f);
	end(&g);
}

static void made_up_headers(void **state)
{
	struct dumped g;
	struct qemu_file q;
	(void)state;
	start(&g);
#define MADE_UP(change, word)                       \
	do {                                        \
		make_qemu(&q);                      \
		change;                             \
		put_file(g.path, &q, sizeof q);     \
		refused_file(g.path, word);         \
	} while (0)
	MADE_UP(q.e.e_ident[EI_CLASS] = 3, "another kind");
	MADE_UP(q.e.e_ident[EI_DATA] = ELFDATA2MSB, "another kind");
	MADE_UP(q.e.e_type = ET_EXEC, "no core");
	MADE_UP(q.e.e_machine = EM_ARM, "another kind");
	MADE_UP(q.e.e_phentsize = 8, "does not occur");
	MADE_UP(q.e.e_phnum = 0xFFFF, "does not occur");
	MADE_UP(q.e.e_phnum = 0xFFFE, "beyond the end");
	MADE_UP(q.e.e_phoff = UINT64_MAX - 8, "beyond the end");
	MADE_UP(q.p[0].p_offset = UINT64_MAX - 8, "notes are beyond");
	MADE_UP(q.p[0].p_filesz = UINT64_MAX, "notes are beyond");
	MADE_UP(q.p[1].p_offset = UINT64_MAX - 8191, "cut off");
	MADE_UP(q.p[1].p_filesz = UINT64_MAX, "cut off");
	MADE_UP(q.p[2].p_paddr = UINT64_MAX - 100, "larger than the address space");
	MADE_UP(q.p[2].p_memsz = UINT64_MAX, "larger than the address space");
	MADE_UP(q.head[0] = UINT32_MAX, "larger than its segment");
	MADE_UP(q.head[1] = UINT32_MAX, "larger than its segment");
	MADE_UP(q.head[1] = 431, "damaged");
#undef MADE_UP
	end(&g);
}

static void made_up_shadows(void **state)
{
	uint8_t note[12 + 3 * 8] = { 0 };
	size_t leaves;
	uint32_t mode;
	struct space_leaf *leaf;
	(void)state;
	dump_put32(note, 1);
	dump_put32(note + 4, UM_MODE_PAGING);
	dump_put32(note + 8, 3);
	for (uint32_t k = 0; k < 3; k++)
		dump_put32(note + 12 + 8 * k, k << 12 | UM_WRITE);
	leaf = dump_unpack_shadow(note, sizeof note, &leaves, &mode);
	assert_non_null(leaf);
	assert_int_equal(leaves, 3);
	assert_int_equal(leaf[2].linear, 0x2000);
	assert_int_equal(leaf[2].rights, UM_WRITE);
	free(leaf);
	assert_null(dump_unpack_shadow(note, sizeof note - 1, &leaves, &mode));
	assert_null(dump_unpack_shadow(note, sizeof note - 8, &leaves, &mode));
	assert_null(dump_unpack_shadow(note, 11, &leaves, &mode));
	dump_put32(note + 12 + 8, 0); /* not in order */
	assert_null(dump_unpack_shadow(note, sizeof note, &leaves, &mode));
	dump_put32(note + 8, UINT32_MAX);
	assert_null(dump_unpack_shadow(note, sizeof note, &leaves, &mode));
	dump_put32(note, 2);
	assert_null(dump_unpack_shadow(note, sizeof note, &leaves, &mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(the_shadow_is_one_directory_s),
		cmocka_unit_test(zeros_take_no_room_and_the_file_is_private),
		cmocka_unit_test(untouched_memory_stays_so),
		cmocka_unit_test(a_file_is_written_whole_or_not_at_all),
		cmocka_unit_test(qemu_s_dumps),
		cmocka_unit_test(raw_memory),
		cmocka_unit_test(cut_off_anywhere),
		cmocka_unit_test(no_change_of_headers_and_notes_does_harm),
		cmocka_unit_test(made_up_headers),
		cmocka_unit_test(made_up_shadows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
