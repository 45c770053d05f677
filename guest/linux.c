/* SPDX-License-Identifier: MIT */
/*
 * guest/linux.c - the Linux/x86 boot protocol, 32-bit entry (Documentation/x86/boot.rst in Linux).
 *
 * The boot loader fills a page of parameters, points ESI at it and jumps to the kernel in flat protected
 * mode.  Two ways to get there from a bzImage: unpack the kernel here and enter it directly (fast, and it
 * lands where it was linked, so nothing is relocated), or place the compressed part at 1 MiB and let the
 * guest unpack itself.
 *
 *   1. The header        struct setup, read_setup, check_setup
 *   2. The parameters    fill_params: memory map, command line
 *   3. The initrd        place_initrd
 *   4. The kernel        place_unpacked, place_packed
 *   5. The two loaders   load_bzimage, load_elf_linux
 */
#include <stdlib.h>

#include "guest/internal.h"

/* ---- 1. The header -------------------------------------------------------------------------- */

/* Offsets into the file's first sectors and into struct boot_params alike. */
enum {
	P_EXT_MEM_K = 0x002, P_ALT_MEM_K = 0x1E0, P_E820_ENTRIES = 0x1E8, P_SETUP_SECTS = 0x1F1,
	P_SYSSIZE = 0x1F4, P_VID_MODE = 0x1FA, P_BOOT_FLAG = 0x1FE, P_JUMP = 0x201, P_MAGIC = 0x202,
	P_VERSION = 0x206, P_LOADER = 0x210, P_LOADFLAGS = 0x211, P_CODE32 = 0x214, P_RAMDISK = 0x218,
	P_RAMDISK_SIZE = 0x21C, P_CMDLINE = 0x228, P_INITRD_MAX = 0x22C, P_XLOADFLAGS = 0x236,
	P_CMDLINE_SIZE = 0x238, P_SUBARCH = 0x23C, P_PAYLOAD = 0x248, P_PAYLOAD_SIZE = 0x24C,
	P_PREF_ADDRESS = 0x258, P_INIT_SIZE = 0x260, P_E820 = 0x2D0,
	PARAMS_BYTES = 4096,
};
enum { LOADED_HIGH = 1 << 0, XLF_KERNEL_64 = 1 << 0 };
#define LOADER_UNDEFINED 0xFFu /* no number is assigned to umbra */

#define PARAMS_GPA 0x10000u
#define CMDLINE_GPA 0x20000u
#define CMDLINE_MAX 65536u    /* what the protocol's word may ask for, bounded */

struct setup {
	uint16_t version;
	uint32_t sector_bytes;    /* real-mode part, boot sector included */
	uint32_t header_end;      /* end of the header in the file */
	uint32_t initrd_max;      /* highest address of the initrd's last byte */
	uint32_t cmdline_max;     /* bytes, without the terminating zero */
	uint32_t payload, payload_size; /* in the protected-mode part; size 0: not said */
	uint64_t pref_address;
	uint32_t init_size;       /* 0: not said */
	bool is_64;
};

static void read_setup(const uint8_t *bytes, struct setup *s)
{
	memset(s, 0, sizeof *s);
	unsigned sectors = bytes[P_SETUP_SECTS] ? bytes[P_SETUP_SECTS] : 4;
	s->version = get16(bytes + P_VERSION);
	s->sector_bytes = (sectors + 1) * 512;
	s->header_end = P_MAGIC + bytes[P_JUMP];
	s->initrd_max = s->version >= 0x203 ? get32(bytes + P_INITRD_MAX) : 0x37FFFFFF;
	s->cmdline_max = s->version >= 0x206 ? get32(bytes + P_CMDLINE_SIZE) : 255;
	if (s->cmdline_max >= CMDLINE_MAX)
		s->cmdline_max = CMDLINE_MAX - 1;
	if (s->version >= 0x208) {
		s->payload = get32(bytes + P_PAYLOAD);
		s->payload_size = get32(bytes + P_PAYLOAD_SIZE);
	}
	if (s->version >= 0x20A) {
		s->pref_address = get64(bytes + P_PREF_ADDRESS);
		s->init_size = get32(bytes + P_INIT_SIZE);
	}
	s->is_64 = s->version >= 0x20C && (get16(bytes + P_XLOADFLAGS) & XLF_KERNEL_64);
}

static bool check_setup(struct plan *plan, const struct image *image, struct setup *s)
{
	if (image->size < 1024 || get16(image->bytes + P_BOOT_FLAG) != 0xAA55)
		return refuse(plan->error, image->path, "a damaged or truncated Linux kernel");
	read_setup(image->bytes, s);
	if (s->version < 0x202 || !(image->bytes[P_LOADFLAGS] & LOADED_HIGH))
		return refuse(plan->error, image->path,
		              "boot protocol %u.%02u, or a zImage: too old a Linux kernel",
		              s->version >> 8, s->version & 0xFFu);
	if (s->is_64)
		return refuse(plan->error, image->path,
		              "is a 64-bit kernel; umbra runs 32-bit x86 guests only");
	if (s->header_end > s->sector_bytes || s->sector_bytes >= image->size ||
	    s->header_end > P_E820)
		return refuse(plan->error, image->path, "a damaged or truncated Linux kernel");
	uint64_t high = image->size - s->sector_bytes;
	/* The last paragraph may be short: builds differ in how they round. */
	if (s->version >= 0x204 && high + 16 < (uint64_t)get32(image->bytes + P_SYSSIZE) * 16)
		return refuse(plan->error, image->path, "a truncated Linux kernel: %llu of %llu bytes",
		              (unsigned long long)image->size,
		              s->sector_bytes + (unsigned long long)get32(image->bytes + P_SYSSIZE) * 16);
	if (!inside(s->payload, s->payload_size, high))
		return refuse(plan->error, image->path,
		              "a damaged or truncated Linux kernel: its payload is cut off");
	/* Where the kernel will be when it has unpacked itself, with room to work. */
	uint64_t need = s->pref_address + s->init_size;
	if (s->init_size && (need < s->init_size || need > plan->request->ram_bytes))
		return refuse(plan->error, image->path, "needs %llu MiB of memory, the guest has %llu",
		              (unsigned long long)((need + 0xFFFFF) >> 20),
		              (unsigned long long)(plan->request->ram_bytes >> 20));
	return true;
}

/* ---- 2. The parameters ---------------------------------------------------------------------- */

static void put_memory(uint8_t *params, uint64_t ram_bytes)
{
	struct memory_range range[MEMORY_RANGES];
	unsigned count = list_memory(ram_bytes, range);
	for (unsigned k = 0; k < count; k++) {
		uint8_t *entry = params + P_E820 + k * 20;
		put64(entry, range[k].base);
		put64(entry + 8, range[k].bytes);
		put32(entry + 16, range[k].type);
	}
	params[P_E820_ENTRIES] = (uint8_t)count;
	/* The older ways of asking: KiB above 1 MiB, the first one in 16 bits. */
	uint64_t above = ram_bytes > HIGH_RAM_START ? (ram_bytes - HIGH_RAM_START) >> 10 : 0;
	put16(params + P_EXT_MEM_K, (uint16_t)(above > 0xFC00 ? 0xFC00 : above));
	put32(params + P_ALT_MEM_K, (uint32_t)above);
}

/* The page of parameters is zero but for what is said here: no video (a zero screen size), no EFI, no APM,
 * no disks.  The caller has copied the setup header. */
static bool fill_params(struct plan *plan, const struct image *image, uint8_t *params,
                        uint32_t cmdline_max)
{
	const char *line = plan->request->command_line ? plan->request->command_line : "";
	size_t length = strlen(line);
	if (length > cmdline_max)
		return refuse(plan->error, image->path,
		              "the command line has %zu bytes, this kernel takes %u", length, cmdline_max);
	put_memory(params, plan->request->ram_bytes);
	params[P_LOADER] = LOADER_UNDEFINED;
	put16(params + P_VID_MODE, 0xFFFF); /* "normal" */
	put32(params + P_CMDLINE, CMDLINE_GPA);
	put32(params + P_SUBARCH, 0);       /* a PC */
	return place_bytes(plan, image->path, "the command line", CMDLINE_GPA, line, length + 1,
	                   length + 1) &&
	       place_bytes(plan, image->path, "the boot parameters", PARAMS_GPA, params, PARAMS_BYTES,
	                   PARAMS_BYTES);
}

/* ---- 3. The initrd -------------------------------------------------------------------------- */

/* Above this a kernel with the usual 3:1 split may have to copy the initrd down before it can use it. */
#define INITRD_GOOD_END (768u << 20)

/* As high as may be, above `floor`.  Leaves the file in *initrd for the commit. */
static bool place_initrd(struct plan *plan, struct image *initrd, uint8_t *params, uint64_t floor,
                         uint32_t initrd_max)
{
	const struct guest_request *request = plan->request;
	if (!request->initrd)
		return true;
	uint64_t top = request->ram_bytes;
	if (top > (uint64_t)initrd_max + 1)
		top = (uint64_t)initrd_max + 1;
	floor = round_up(floor > plan->end ? floor : plan->end, 4096);
	if (!read_image(initrd, request->initrd, top > floor ? top - floor : 0, plan->error))
		return false;
	if (top > INITRD_GOOD_END && INITRD_GOOD_END >= floor + initrd->size)
		top = INITRD_GOOD_END;
	uint64_t gpa = (top - initrd->size) & ~(uint64_t)4095;
	if (gpa < floor)
		return refuse(plan->error, request->initrd, "does not fit into %llu MiB of memory",
		              (unsigned long long)(request->ram_bytes >> 20));
	put32(params + P_RAMDISK, (uint32_t)gpa);
	put32(params + P_RAMDISK_SIZE, (uint32_t)initrd->size);
	return place_bytes(plan, request->initrd, "the initrd", gpa, initrd->bytes, initrd->size,
	                   initrd->size);
}

/* ---- 4. The kernel -------------------------------------------------------------------------- */

/* The guest unpacks itself. */
static bool place_packed(struct plan *plan, const struct image *image, const struct setup *s,
                         uint32_t *entry)
{
	uint64_t bytes = image->size - s->sector_bytes;
	*entry = HIGH_RAM_START;
	return place_bytes(plan, image->path, "the kernel", HIGH_RAM_START, image->bytes + s->sector_bytes,
	                   bytes, bytes);
}

/* Unpack here; *elf is for free().  *done is false when that is not possible and the guest must. */
static bool place_unpacked(struct plan *plan, const struct image *image, const struct setup *s,
                           uint8_t **elf, uint32_t *entry, bool *done)
{
	const char *format;
	size_t size = 0;
	*done = false;
	if (!s->payload_size)
		return true;
	switch (unpack_payload(image->bytes + s->sector_bytes + s->payload, s->payload_size, KERNEL_MAX, elf,
	                       &size, &format)) {
	case UNPACK_UNKNOWN:
		return true;
	case UNPACK_CORRUPT:
		return refuse(plan->error, image->path, "a damaged Linux kernel: its %s payload is bad",
		              format);
	case UNPACK_NO_MEMORY:
		return refuse(plan->error, image->path, "no memory on the host to unpack it");
	case UNPACKED:
		break;
	}
	*done = true;
	return place_elf(plan, image->path, *elf, size, entry);
}

/* ---- 5. The two loaders --------------------------------------------------------------------- */

static bool finish_linux(struct plan *plan, const struct image *image, uint8_t *params,
                         const struct setup *s, uint32_t entry, struct cpu_state *start)
{
	struct image initrd = { 0 };
	bool fine = fill_params(plan, image, params, s->cmdline_max) &&
	            start_flat(plan, image->path, start, entry) &&
	            place_initrd(plan, &initrd, params, s->pref_address + s->init_size, s->initrd_max);
	if (fine) {
		start->gpr[CPU_ESI] = PARAMS_GPA; /* EBP, EDI and EBX are zero already */
		commit_plan(plan);
	}
	free_image(&initrd);
	return fine;
}

bool load_bzimage(struct plan *plan, const struct image *image, struct cpu_state *start)
{
	struct setup s;
	uint8_t params[PARAMS_BYTES] = { 0 }, *elf = NULL;
	uint32_t entry = 0;
	bool unpacked = false;
	if (!check_setup(plan, image, &s))
		return false;
	memcpy(params + P_SETUP_SECTS, image->bytes + P_SETUP_SECTS, s.header_end - P_SETUP_SECTS);
	put32(params + P_CODE32, HIGH_RAM_START);
	bool fine = (!plan->request->unpack || place_unpacked(plan, image, &s, &elf, &entry, &unpacked)) &&
	            (unpacked || place_packed(plan, image, &s, &entry)) &&
	            finish_linux(plan, image, params, &s, entry, start);
	free(elf);
	return fine;
}

/* An ELF file has no setup header: one is made up that says what the kernel's own would. */
bool load_elf_linux(struct plan *plan, const struct image *image, struct cpu_state *start)
{
	uint8_t params[PARAMS_BYTES] = { 0 };
	uint32_t entry;
	const struct setup s = { .initrd_max = 0x7FFFFFFF, .cmdline_max = 2047 };
	if (!place_elf(plan, image->path, image->bytes, image->size, &entry))
		return false;
	put16(params + P_BOOT_FLAG, 0xAA55);
	memcpy(params + P_MAGIC, "HdrS", 4);
	put16(params + P_VERSION, 0x20C);
	params[P_LOADFLAGS] = LOADED_HIGH;
	put32(params + P_INITRD_MAX, s.initrd_max);
	put32(params + P_CMDLINE_SIZE, s.cmdline_max);
	return finish_linux(plan, image, params, &s, entry, start);
}
