/* SPDX-License-Identifier: MIT */
/*
 * vmm/board_lguest.c - a paravirtual guest's surroundings: its host (guest/lguest/) and virtio devices on the
 * page, or the PCI bus, where its family looks for them.
 *
 *   1. Memory       guest memory as devices see it
 *   2. Devices      console first, then disks, networks, entropy
 *   3. The host     what guest/lguest/ asks for
 *   4. Processor    ports and absent memory
 *   5. The board
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "machine/virtio/virtio.h"
#include "vmm/internal.h"

#define DEVICES_MAX (2u + VM_DRIVES_MAX + VM_NETS_MAX)

struct lguest_board {
	struct lguest *lg;
	struct lguest_boot boot;
	enum lguest_family family; /* as asked, later as recognised */
	struct virtio_memory memory;
	struct virtio_device *console, *device[DEVICES_MAX];
	unsigned devices;
	bool owned;                /* by the transport: it frees them */
	struct device_page *page;
	struct virtio_pci *pci;
	uint16_t columns, rows;    /* of the terminal, as the guest was told */
	uint64_t next_look;        /* when to ask the terminal again, ns */
	bool said_much;            /* by NOTIFY, while the terminal is slow */
};

/* ---- 1. Memory ------------------------------------------------------------------------------ */

static uint8_t *memory_at(void *user, uint64_t gpa, uint64_t bytes)
{
	struct vm *vm = user;
	return gpa <= vm->ram_bytes && bytes <= vm->ram_bytes - gpa ? vm->ram + gpa : NULL;
}

static void memory_wrote(void *user, uint64_t gpa, uint64_t bytes)
{
	struct vm *vm = user;
	if (!memory_at(vm, gpa, bytes) || !vm->cpu)
		return;
	cpu_code_written(vm->cpu, vm->ram + gpa, bytes);
	um_guest_wrote(vm->um, gpa, bytes);
}

/* ---- 2. Devices ----------------------------------------------------------------------------- */

static size_t console_out(void *user, const uint8_t *bytes, size_t count)
{
	struct vm *vm = user;
	return console_put(&vm->console, bytes, count);
}

static size_t entropy(void *user, uint8_t *bytes, size_t count)
{
	struct vm *vm = user;
	if (vm->config.counted_time) {
		for (size_t k = 0; k < count; k++)
			bytes[k] = (uint8_t)((vm->chance = vm->chance * 6364136223846793005u + 1442695040888963407u) >> 56);
		return count;
	}
	ssize_t got = getrandom(bytes, count, GRND_NONBLOCK);
	return got > 0 ? (size_t)got : 0;
}

static void raise_irq(void *user, unsigned irq)
{
	struct vm *vm = user;
	if (vm->lguest->lg)
		lguest_raise(vm->lguest->lg, irq);
}

static void kill_guest(void *user, const char *why)
{
	struct vm *vm = user;
	if (vm->lguest->lg)
		lguest_kill(vm->lguest->lg, "%s", why);
}

static bool refuse_memory(struct guest_error *error)
{
	snprintf(error->text, sizeof error->text, "the host has no memory for the devices");
	return false;
}

#define LOOK_NS 250000000u /* between two looks at the terminal's size */

static void follow_terminal(struct vm *vm)
{
	struct lguest_board *b = vm->lguest;
	uint16_t columns, rows;
	if (vm->now < b->next_look)
		return;
	b->next_look = vm->now + LOOK_NS;
	if (vm->config.counted_time || !console_size(&vm->console, &columns, &rows) || (columns == b->columns && rows == b->rows))
		return;
	b->columns = columns;
	b->rows = rows;
	virtio_console_resize(b->console, columns, rows);
}

static bool keep(struct lguest_board *b, struct virtio_device *d, struct guest_error *error)
{
	if (!d)
		return refuse_memory(error);
	b->device[b->devices++] = d;
	return true;
}

static bool add_disk(struct vm *vm, const struct vm_drive *drive, struct guest_error *error)
{
	struct disk_backend *disk = disk_open_file(drive->path, drive->read_only, drive->snapshot, error->text,
	                                           sizeof error->text);
	return disk && keep(vm->lguest, virtio_block_new(&vm->lguest->memory, disk), error);
}

/* A locally administered address, the same in each run. */
static bool add_net(struct vm *vm, unsigned index, struct guest_error *error)
{
	const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + index) };
	struct net_backend *net = net_open_user(vm->config.net[index], error->text, sizeof error->text);
	if (!net || !keep(vm->lguest, virtio_net_new(&vm->lguest->memory, net, mac), error))
		return false;
	vm->net[vm->nets++] = net;
	return true;
}

static bool make(struct vm *vm, struct guest_error *error)
{
	const struct vm_config *c = &vm->config;
	struct lguest_board *b = calloc(1, sizeof *b);
	if (!b)
		return refuse_memory(error);
	vm->lguest = b;
	b->family = c->family;
	b->memory = (struct virtio_memory){ .user = vm, .at = memory_at, .wrote = memory_wrote };
	b->console = virtio_console_new(&b->memory, vm, console_out);
	if (!keep(b, b->console, error))
		return false;
	for (unsigned k = 0; k < c->drives; k++)
		if (!add_disk(vm, &c->drive[k], error))
			return false;
	for (unsigned k = 0; k < c->nets; k++)
		if (!add_net(vm, k, error))
			return false;
	return keep(b, virtio_entropy_new(&b->memory, entropy, vm), error);
}

/* ---- 3. The host ---------------------------------------------------------------------------- */

static bool on_pci(enum lguest_family family)
{
	return family == LGUEST_G1 || family == LGUEST_G2;
}

/* 2.6.24 has a page of its own form; what came after, in the same family, the later one. */
static bool wants_format1(const struct lguest_board *b, enum lguest_family family)
{
	return family == LGUEST_B && (b->boot.version == 0 || b->boot.version < LGUEST_VERSION(2, 6, 25));
}

static bool make_transport(struct vm *vm, enum lguest_family family)
{
	struct lguest_board *b = vm->lguest;
	const struct device_page_config page = {
		.memory = &b->memory,
		.base = vm->config.ram_bytes,
		.pages = LGUEST_DEVICE_PAGES,
		.format1 = wants_format1(b, family),
		.user = vm,
		.raise = raise_irq,
		.kill = kill_guest,
	};
	const struct virtio_pci_config pci = {
		.memory = &b->memory,
		.mmio_first = vm->config.ram_bytes,
		.mmio_end = 1ull << 32,
		.user = vm,
		.raise = raise_irq,
	};
	if (on_pci(family))
		b->pci = virtio_pci_new(&pci);
	else
		b->page = device_page_new(&page);
	if (!b->pci && !b->page)
		return false;
	b->owned = true;
	for (unsigned k = 0; k < b->devices; k++) {
		struct virtio_device *d = b->device[k];
		d->layout = b->pci ? VIRTIO_1_0 : page.format1 ? VIRTIO_2_6_24 : VIRTIO_LEGACY;
		/* 2.6.24 knows no entropy device. */
		bool wanted = !page.format1 || b->pci || d->ops->type != VIRTIO_ENTROPY;
		if (!wanted || !(b->pci ? virtio_pci_add(b->pci, d) : device_page_add(b->page, d)))
			virtio_free(d);
	}
	b->devices = 0;
	return true;
}

static uint64_t recognised(void *user, enum lguest_family family)
{
	struct vm *vm = user;
	struct lguest_board *b = vm->lguest;
	b->family = family;
	/* Device pages are memory from now on: queues are in them. */
	vm->ram_bytes = vm->mapped_bytes;
	if (!b->owned && !make_transport(vm, family))
		lguest_kill(b->lg, "the host has no memory for the devices");
	if (b->page)
		device_page_reset(b->page);
	if (b->pci)
		virtio_pci_reset(b->pci);
	vm->ram_bytes = b->page ? device_page_end(b->page) : vm->config.ram_bytes;
	return vm->ram_bytes;
}

static uint64_t guest_now(void *user)
{
	return vm_now(user);
}

static void wall(void *user, uint32_t *seconds, uint32_t *nanoseconds)
{
	uint64_t now = read_wall_clock(user);
	*seconds = (uint32_t)(now / 1000000000u);
	*nanoseconds = (uint32_t)(now % 1000000000u);
}

static bool notify(void *user, um_gpa gpa)
{
	struct vm *vm = user;
	return vm->lguest->page && device_page_notify(vm->lguest->page, gpa);
}

/* Text cannot be held back as a queue's buffers can: the guest itself is, once half of our buffer is full.  (What
 * it says beyond the other half in the same call is lost.) */
static void say(void *user, const char *text, size_t bytes)
{
	struct vm *vm = user;
	console_put(&vm->console, (const uint8_t *)text, bytes);
	if (vm->console.out_count <= CONSOLE_OUT / 2)
		return;
	vm->lguest->said_much = true;
	cpu_kick(vm->cpu);
}

/* ---- 4. Processor --------------------------------------------------------------------------- */

/* Ring 0 is empty: a port access comes here by the host's emulation only. */
static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct vm *vm = user;
	return vm->lguest->pci ? virtio_pci_port_in(vm->lguest->pci, port, bytes) : UINT32_MAX;
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct vm *vm = user;
	if (vm->lguest->pci)
		virtio_pci_port_out(vm->lguest->pci, port, bytes, value);
}

/* A page beyond the limit, while the core learns by tracking; the told core refuses such entries itself. */
static void beyond_limit(struct vm *vm, um_gpa gpa)
{
	lguest_kill(vm->lguest->lg, "bad page table entry: physical address %#llx is beyond the limit %#llx",
	            (unsigned long long)gpa, (unsigned long long)vm->ram_bytes);
	cpu_kick(vm->cpu);
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct vm *vm = user;
	uint64_t value = UINT64_MAX;
	if (!vm->lguest->pci)
		beyond_limit(vm, gpa);
	else if (!virtio_pci_read(vm->lguest->pci, gpa, bytes, &value))
		tell_absent(vm, false, gpa, bytes, 0);
	return value;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	struct vm *vm = user;
	if (!vm->lguest->pci)
		beyond_limit(vm, gpa);
	else if (!virtio_pci_write(vm->lguest->pci, gpa, bytes, value))
		tell_absent(vm, true, gpa, bytes, value);
	deadline_moved(vm);
}

static int ack_irq(void *user)
{
	(void)user;
	return -1; /* the line is never raised: interrupts are injected */
}

static enum cpu_trap trap(void *user, struct cpu *cpu, const struct cpu_event *event)
{
	struct vm *vm = user;
	vm->outside++;
	enum cpu_trap what = lguest_trap(vm->lguest->lg, cpu, event);
	deadline_moved(vm);
	return what;
}

static void connect_bus(struct vm *vm, struct cpu_config *config)
{
	config->bus = (struct cpu_bus){
		.user = vm,
		.port_in = port_in,
		.port_out = port_out,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.ack_irq = ack_irq,
		.tsc = read_tsc,
		.trap = trap,
	};
	config->window = LGUEST_WINDOW;
	config->host_code = LGUEST_HOST_CS;
}

/* ---- 5. The board --------------------------------------------------------------------------- */

static bool join(struct vm *vm, struct guest_error *error)
{
	const struct lguest_world world = {
		.user = vm,
		.um = vm->um,
		.cpu = vm->cpu,
		.ram = vm->ram,
		.ram_bytes = vm->config.ram_bytes,
		.limit = vm->config.ram_bytes,
		.tsc_khz = TSC_HZ / 1000,
		.now = guest_now,
		.wall = wall,
		.wrote = memory_wrote,
		.recognised = recognised,
		.notify = notify,
		.say = say,
		.port_in = port_in,
		.port_out = port_out,
	};
	vm->lguest->lg = lguest_new(&world);
	if (!vm->lguest->lg)
		return refuse_memory(error);
	lguest_time_calls(vm->lguest->lg, vm->config.time_calls);
	return true;
}

static bool load(struct vm *vm, struct guest_error *error)
{
	struct lguest_board *b = vm->lguest;
	struct guest_request request = vm->config.guest;
	request.ram = vm->ram;
	request.ram_bytes = vm->config.ram_bytes;
	if (!lguest_load(&request, b->family, &b->boot, error))
		return false;
	ram_replaced(vm);
	if (lguest_start(b->lg, b->family, &b->boot))
		return true;
	return refuse_memory(error);
}

static void reset(struct vm *vm)
{
	cpu_reset(vm->cpu);
}

static void free_board(struct vm *vm)
{
	struct lguest_board *b = vm->lguest;
	if (!b)
		return;
	if (b->lg)
		lguest_free(b->lg);
	for (unsigned k = 0; !b->owned && k < b->devices; k++)
		virtio_free(b->device[k]);
	if (b->page)
		device_page_free(b->page);
	if (b->pci)
		virtio_pci_free(b->pci);
	free(b);
}

static enum um_grant grant(struct vm *vm, um_gfn gfn)
{
	(void)gfn;
	return vm->lguest->pci ? UM_GRANT_MMIO : UM_GRANT_REFUSED;
}

/* Devices whose bounded work was not the last go on at once. */
static uint64_t deadline(struct vm *vm, uint64_t slack)
{
	const struct lguest_board *b = vm->lguest;
	if ((b->page && device_page_busy(b->page)) || (b->pci && virtio_pci_busy(b->pci)))
		return 0;
	uint64_t at = lguest_deadline(b->lg); /* one shot, always */
	return at < UINT64_MAX - slack ? at + slack : at;
}

static void poll_board(struct vm *vm)
{
	struct lguest_board *b = vm->lguest;
	if (b->owned)
		follow_terminal(vm);
	if (b->page)
		device_page_poll(b->page);
	if (b->pci)
		virtio_pci_poll(b->pci);
	lguest_poll(b->lg);
}

static bool is_waiting(struct vm *vm)
{
	return lguest_is_waiting(vm->lguest->lg);
}

static bool is_full(struct vm *vm)
{
	struct lguest_board *b = vm->lguest;
	b->said_much = b->said_much && vm->console.out_count > CONSOLE_OUT / 2;
	return b->said_much;
}

static void flush(struct vm *vm)
{
	virtio_console_flush(vm->lguest->console);
}

static size_t hear(struct vm *vm, const uint8_t *bytes, size_t count)
{
	return vm->lguest->owned ? virtio_console_input(vm->lguest->console, bytes, count) : 0;
}

static enum board_wish wish(struct vm *vm)
{
	switch (lguest_ended(vm->lguest->lg)) {
	case LGUEST_RUNS:
		break;
	case LGUEST_POWER_OFF:
		return BOARD_POWER_OFF;
	case LGUEST_RESTART:
		return BOARD_RESET;
	case LGUEST_CRASHED:
		return BOARD_CRASHED;
	case LGUEST_KILLED:
		return BOARD_KILLED;
	}
	return BOARD_RUN;
}

static const char *reason(struct vm *vm)
{
	return lguest_reason(vm->lguest->lg);
}

static bool interrupts_off(struct vm *vm)
{
	return lguest_interrupts_off(vm->lguest->lg);
}

struct lguest *board_lguest_host(const struct vm *vm)
{
	return vm->lguest ? vm->lguest->lg : NULL;
}

const struct board_ops board_lguest = {
	.name = "lguest",
	.device_bytes = LGUEST_DEVICE_PAGES * UM_PAGE_SIZE,
	.max_gfn = 1u << 20,
	.make = make,
	.join = join,
	.connect = connect_bus,
	.load = load,
	.reset = reset,
	.free = free_board,
	.grant = grant,
	.deadline = deadline,
	.poll = poll_board,
	.is_waiting = is_waiting,
	.is_full = is_full,
	.flush = flush,
	.hear = hear,
	.wish = wish,
	.reason = reason,
	.interrupts_off = interrupts_off,
};
