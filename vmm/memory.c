/* SPDX-License-Identifier: MIT */
/*
 * vmm/memory.c - guest memory, and the callbacks by which the shadow core reaches it.
 *
 *   1. RAM             map_ram, unmap_ram, empty_ram
 *   2. Table memory    a slab with a hard bound; pages come from the host at first touch
 *   3. The A20 gate    masked_gpa, set_a20
 *   4. The bus         read_bus, write_bus, vm_read_physical, vm_write_physical, vm_next_data
 *   5. The core's callbacks
 *
 * A host frame number is a host address >> 12, so a shadow entry leads straight to the byte.  With the A20
 * gate closed (address bit 20 forced to 0) two guest frames would be one page; rather than alias them, every
 * access to the upper one takes the slow way over the bus, where the address is masked and the core hears
 * of the write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/internal.h"

/* ---- 1. RAM --------------------------------------------------------------------------------- */

static void close_ram(struct vm *vm)
{
	if (vm->ram_fd >= 0)
		close(vm->ram_fd);
	vm->ram_fd = -1;
}

static bool say(struct guest_error *error, const char *text, unsigned long long a, unsigned long long b)
{
	snprintf(error->text, sizeof error->text, text, a, b);
	return false;
}

/* Memory that can be mapped a second time, where the guest's addresses lead to it. */
static void *map_shared(struct vm *vm, uint64_t bytes)
{
	void *ram = MAP_FAILED;
	vm->ram_fd = memfd_create("umbra-ram", MFD_CLOEXEC);
	if (vm->ram_fd >= 0 && ftruncate(vm->ram_fd, (off_t)bytes) == 0)
		ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vm->ram_fd, 0);
	if (ram == MAP_FAILED) {
		snprintf(vm->engine_why, sizeof vm->engine_why, "the direct engine: no shared memory: %s",
		         strerror(errno));
		close_ram(vm);
	}
	return ram;
}

bool map_ram(struct vm *vm, struct guest_error *error)
{
	uint64_t bytes = vm->config.ram_bytes, all = bytes + vm->board->device_bytes;
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	if (bytes < RAM_MIN || bytes > VM_RAM_MAX || bytes % RAM_MIN)
		return say(error, "memory size %llu MiB is out of range: 1 to %llu MiB, whole ones",
		           (unsigned long long)bytes >> 20, VM_RAM_MAX >> 20);
	if (pages > 0 && page > 0 && bytes > (uint64_t)pages * (uint64_t)page)
		return say(error, "memory size %llu MiB is more than this host has (%llu MiB)",
		           (unsigned long long)bytes >> 20,
		           ((unsigned long long)pages * (unsigned long long)page) >> 20);
	void *ram = MAP_FAILED;
	if (wants_direct(vm))
		ram = map_shared(vm, all);
	if (ram == MAP_FAILED)
		ram = mmap(NULL, all, PROT_READ | PROT_WRITE,
		           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED)
		return say(error, "the host has no %llu MiB of memory for the guest",
		           (unsigned long long)bytes >> 20, 0);
	vm->ram = ram;
	vm->ram_bytes = bytes;
	vm->mapped_bytes = all;
	vm->a20 = true;
	return true;
}

void unmap_ram(struct vm *vm)
{
	if (vm->ram)
		munmap(vm->ram, vm->mapped_bytes);
	vm->ram = NULL;
	close_ram(vm);
}

/* As it was at first: zero, and the host's again. */
void empty_ram(struct vm *vm)
{
	bool shared = vm->ram_fd >= 0;
	if (madvise(vm->ram, vm->mapped_bytes, shared ? MADV_REMOVE : MADV_DONTNEED) != 0)
		memset(vm->ram, 0, vm->mapped_bytes);
}

/* ---- 2. Table memory ------------------------------------------------------------------------ */

bool make_slab(struct table_slab *slab, uint32_t count)
{
	void *base = mmap(NULL, (size_t)count * UM_TABLE_BYTES, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return false;
	slab->base = base;
	slab->count = count;
	slab->free_list = calloc(count, sizeof *slab->free_list);
	return slab->free_list != NULL;
}

void free_slab(struct table_slab *slab)
{
	if (slab->base)
		munmap(slab->base, (size_t)slab->count * UM_TABLE_BYTES);
	free(slab->free_list);
	memset(slab, 0, sizeof *slab);
}

static void *get_table(void *user)
{
	struct table_slab *slab = &((struct vm *)user)->tables;
	uint32_t index;
	if (slab->free_count)
		index = slab->free_list[--slab->free_count];
	else if (slab->fresh < slab->count)
		index = slab->fresh++;
	else
		return NULL;
	return slab->base + (size_t)index * UM_TABLE_BYTES;
}

static void put_table(void *user, void *table)
{
	struct table_slab *slab = &((struct vm *)user)->tables;
	slab->free_list[slab->free_count++] =
		(uint32_t)((size_t)((uint8_t *)table - slab->base) / UM_TABLE_BYTES);
}

/* ---- 3. The A20 gate ------------------------------------------------------------------------ */

#define A20_BIT (1ull << 20)

static um_gpa masked_gpa(const struct vm *vm, um_gpa gpa)
{
	return vm->a20 ? gpa : gpa & ~A20_BIT;
}

void set_a20(struct vm *vm, bool enabled)
{
	if (vm->a20 == enabled)
		return;
	vm->a20 = enabled;
	/* Frames with the bit set are borrowed anew, now as memory or as bus.  At the gate's closing and
	 * opening only: boot code does that once. */
	for (um_gfn gfn = A20_BIT >> 12; gfn < vm->ram_bytes >> 12; gfn++)
		if (gfn & (A20_BIT >> 12))
			um_forget_frame(vm->um, gfn);
	um_flush_all(vm->um);
	cpu_invalidate_all(vm->cpu);
}

/* ---- 4. The bus ----------------------------------------------------------------------------- */

/* Bytes of RAM at `gpa`, at most `bytes`, not across a page (A20 masks page by page). */
static size_t ram_at(struct vm *vm, um_gpa gpa, size_t bytes, uint8_t **at)
{
	size_t room = UM_PAGE_SIZE - (gpa & (UM_PAGE_SIZE - 1));
	gpa = masked_gpa(vm, gpa);
	if (gpa >= vm->ram_bytes)
		return 0;
	*at = vm->ram + gpa;
	return bytes < room ? bytes : room;
}

size_t vm_read_physical(struct vm *vm, uint64_t gpa, void *buf, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		uint8_t *at;
		size_t some = ram_at(vm, gpa + done, bytes - done, &at);
		if (!some)
			break;
		memcpy((uint8_t *)buf + done, at, some);
		done += some;
	}
	return done;
}

size_t vm_write_physical(struct vm *vm, uint64_t gpa, const void *buf, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		uint8_t *at;
		size_t some = ram_at(vm, gpa + done, bytes - done, &at);
		if (!some)
			break;
		memcpy(at, (const uint8_t *)buf + done, some);
		cpu_code_written(vm->cpu, at, some);
		um_guest_wrote(vm->um, (um_gpa)(at - vm->ram), some);
		done += some;
	}
	return done;
}

/* Untouched pages of a memfd come into being when they are read; private ones are all the host's page of zeros. */
bool vm_next_data(const struct vm *vm, uint64_t gpa, uint64_t *first, uint64_t *end)
{
	off_t data = (off_t)gpa, hole = (off_t)vm->ram_bytes;
	if (gpa >= vm->ram_bytes)
		return false;
	if (vm->ram_fd >= 0) {
		data = lseek(vm->ram_fd, (off_t)gpa, SEEK_DATA);
		hole = data >= 0 ? lseek(vm->ram_fd, data, SEEK_HOLE) : -1;
		if (data < 0 && errno == ENXIO)
			return false;
		if (data < 0 || hole < 0) /* this host cannot tell */
			data = (off_t)gpa, hole = (off_t)vm->ram_bytes;
	}
	*first = (uint64_t)data & ~(uint64_t)(UM_PAGE_SIZE - 1);
	*end = (uint64_t)hole < vm->ram_bytes ? (uint64_t)hole : vm->ram_bytes;
	return *first < *end;
}

uint64_t read_bus(struct vm *vm, um_gpa gpa, unsigned bytes)
{
	uint64_t value = UINT64_MAX;
	if (vm_read_physical(vm, gpa, &value, bytes) == 0)
		tell_absent(vm, false, gpa, bytes, 0);
	return value;
}

void write_bus(struct vm *vm, um_gpa gpa, unsigned bytes, uint64_t value)
{
	if (vm_write_physical(vm, gpa, &value, bytes) == 0)
		tell_absent(vm, true, gpa, bytes, value);
}

/* Tables of a machine that is gone, filled with what another has there, are nobody's doing. */
void ram_replaced(struct vm *vm)
{
	vm->um_ops.event = NULL;
	um_guest_wrote(vm->um, 0, vm->ram_bytes);
	apply_observers(vm);
	tell_replaced(vm);
	um_flush_all(vm->um);
	cpu_code_written(vm->cpu, vm->ram, vm->ram_bytes);
	cpu_invalidate_all(vm->cpu);
}

/* ---- 5. The core's callbacks ---------------------------------------------------------------- */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct vm *vm = user;
	gpa = masked_gpa(vm, gpa);
	if (gpa >= vm->ram_bytes) /* aligned, and RAM is whole pages: no entry straddles the end */
		return false;
	if (bytes == 4)
		*value = __atomic_load_n((uint32_t *)(void *)(vm->ram + gpa), __ATOMIC_RELAXED);
	else
		*value = __atomic_load_n((uint64_t *)(void *)(vm->ram + gpa), __ATOMIC_RELAXED);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct vm *vm = user;
	gpa = masked_gpa(vm, gpa);
	if (gpa >= vm->ram_bytes)
		return false;
	bool done;
	if (bytes == 4) {
		uint32_t expected = (uint32_t)old;
		done = __atomic_compare_exchange_n((uint32_t *)(void *)(vm->ram + gpa), &expected,
		                                   (uint32_t)value, false, __ATOMIC_SEQ_CST,
		                                   __ATOMIC_RELAXED);
	} else {
		done = __atomic_compare_exchange_n((uint64_t *)(void *)(vm->ram + gpa), &old, value, false,
		                                   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	/* A page may hold tables and code. */
	if (done)
		cpu_code_written(vm->cpu, vm->ram + gpa, bytes);
	return done;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct vm *vm = user;
	(void)write; /* memory of our own: the page behind it is always the real one */
	if (gfn >= vm->ram_bytes >> UM_PAGE_SHIFT)
		return vm->board->grant(vm, gfn);
	if (!vm->a20 && (gfn & (A20_BIT >> 12)))
		return UM_GRANT_MMIO;
	*hfn = ((uintptr_t)vm->ram >> UM_PAGE_SHIFT) + gfn;
	return UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	/* Nothing is counted: RAM lives as long as the vm. */
	(void)user, (void)gfn, (void)hfn, (void)dirty;
}

/* The three for the portable engine's TLB, which knows one root.  The direct engine keeps many: invalidate_root() tells
 * it all, and exactly. */
static void invalidate(void *user, um_gva first, um_gva last)
{
	struct vm *vm = user;
	if (vm->cpu)
		cpu_invalidate(vm->cpu, first, last);
}

static void invalidate_all(void *user)
{
	struct vm *vm = user;
	if (vm->cpu)
		cpu_invalidate_all(vm->cpu);
}

static void invalidate_nonglobal(void *user)
{
	struct vm *vm = user;
	if (vm->cpu)
		cpu_invalidate_nonglobal(vm->cpu);
}

static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	struct vm *vm = user;
	if (vm->direct)
		direct_invalidate_root(vm->direct, root, first, last);
}

/* The portable engine's TLB knows one root. */
static void root_switched(void *user, uint32_t root)
{
	struct vm *vm = user;
	(void)root;
	if (vm->cpu && (um_mode(vm->um) & UM_MODE_PGE))
		cpu_invalidate_nonglobal(vm->cpu);
	else if (vm->cpu)
		cpu_invalidate_all(vm->cpu);
}

void make_um_ops(struct vm *vm, bool tagged)
{
	vm->um_ops = (struct um_ops){
		.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
		.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
		.invalidate_all = invalidate_all, .invalidate_nonglobal = invalidate_nonglobal,
	};
	if (!tagged)
		return;
	vm->um_ops.invalidate_root = invalidate_root;
	vm->um_ops.root_switched = root_switched;
}
