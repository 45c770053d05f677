/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb_register.c - the registers as a debugger numbers them.
 *
 *   1. The table       names, sizes, types, in the order of their numbers
 *   2. x87             the tag word, which FXSAVE keeps abridged
 *   3. One register    read and written in a struct cpu_state
 *   4. Packets         g, G, p, P, and what is sent along with a stop
 *   5. The target      its description, made from the table
 *
 * The first 41 are gdb's own for i386 (features org.gnu.gdb.i386.core and .sse), the others are ours: what a kernel's
 * writer wants to see.  A selector can be changed in real mode only, where it has no hidden part of its own; CR0, CR4
 * and what describes tables and tasks cannot be changed at all: the guest could not have changed them so.
 */
#include <string.h>

#include "scope/gdb_internal.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

enum kind {
	GENERAL, EIP, EFLAGS, SELECTOR,
	ST, X87, XMM, MXCSR,
	SEGMENT_BASE, CONTROL, TABLE_BASE, TABLE_LIMIT, LDTR, TR, DEBUG,
};
enum { GDT, IDT };
enum x87 { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };
enum part { PART_SELECTOR, PART_BASE, PART_LIMIT };

struct gdb_register {
	const char *name, *type, *group; /* as the target description has them */
	uint8_t bits, kind, index;
};

#define ROW(name, type, group, bits, kind, index) { name, type, group, bits, kind, index }
#define DATA(name, index) ROW(name, "int32", NULL, 32, GENERAL, index)
#define POINTER(name, index) ROW(name, "data_ptr", NULL, 32, GENERAL, index)
#define SEGMENT(name, index) ROW(name, "int32", NULL, 32, SELECTOR, index)
#define FLOAT(n) ROW("st" #n, "i387_ext", NULL, 80, ST, n)
#define FLOATS(name, index) ROW(name, "int", "float", 32, X87, index)
#define VECTOR(n) ROW("xmm" #n, "vec128", NULL, 128, XMM, n)
#define SYSTEM(name, type, kind, index) ROW(name, type, "system", 32, kind, index)

static const struct gdb_register registers[] = {
	DATA("eax", CPU_EAX), DATA("ecx", CPU_ECX), DATA("edx", CPU_EDX), DATA("ebx", CPU_EBX),
	POINTER("esp", CPU_ESP), POINTER("ebp", CPU_EBP), DATA("esi", CPU_ESI), DATA("edi", CPU_EDI),
	ROW("eip", "code_ptr", NULL, 32, EIP, 0), ROW("eflags", "i386_eflags", NULL, 32, EFLAGS, 0),
	SEGMENT("cs", CPU_CS), SEGMENT("ss", CPU_SS), SEGMENT("ds", CPU_DS), SEGMENT("es", CPU_ES),
	SEGMENT("fs", CPU_FS), SEGMENT("gs", CPU_GS),
	FLOAT(0), FLOAT(1), FLOAT(2), FLOAT(3), FLOAT(4), FLOAT(5), FLOAT(6), FLOAT(7),
	FLOATS("fctrl", FCTRL), FLOATS("fstat", FSTAT), FLOATS("ftag", FTAG), FLOATS("fiseg", FISEG),
	FLOATS("fioff", FIOFF), FLOATS("foseg", FOSEG), FLOATS("fooff", FOOFF), FLOATS("fop", FOP),
	VECTOR(0), VECTOR(1), VECTOR(2), VECTOR(3), VECTOR(4), VECTOR(5), VECTOR(6), VECTOR(7),
	ROW("mxcsr", "i386_mxcsr", "vector", 32, MXCSR, 0),
	SYSTEM("cr0", "umbra_cr0", CONTROL, 0), SYSTEM("cr2", "data_ptr", CONTROL, 2),
	SYSTEM("cr3", "data_ptr", CONTROL, 3), SYSTEM("cr4", "umbra_cr4", CONTROL, 4),
	SYSTEM("cs_base", "data_ptr", SEGMENT_BASE, CPU_CS), SYSTEM("ss_base", "data_ptr", SEGMENT_BASE, CPU_SS),
	SYSTEM("ds_base", "data_ptr", SEGMENT_BASE, CPU_DS), SYSTEM("es_base", "data_ptr", SEGMENT_BASE, CPU_ES),
	SYSTEM("fs_base", "data_ptr", SEGMENT_BASE, CPU_FS), SYSTEM("gs_base", "data_ptr", SEGMENT_BASE, CPU_GS),
	SYSTEM("gdtr_base", "data_ptr", TABLE_BASE, GDT), SYSTEM("gdtr_limit", "uint32", TABLE_LIMIT, GDT),
	SYSTEM("idtr_base", "data_ptr", TABLE_BASE, IDT), SYSTEM("idtr_limit", "uint32", TABLE_LIMIT, IDT),
	SYSTEM("ldtr", "uint32", LDTR, PART_SELECTOR), SYSTEM("ldtr_base", "data_ptr", LDTR, PART_BASE),
	SYSTEM("ldtr_limit", "uint32", LDTR, PART_LIMIT), SYSTEM("tr", "uint32", TR, PART_SELECTOR),
	SYSTEM("tr_base", "data_ptr", TR, PART_BASE), SYSTEM("tr_limit", "uint32", TR, PART_LIMIT),
	SYSTEM("dr0", "data_ptr", DEBUG, 0), SYSTEM("dr1", "data_ptr", DEBUG, 1), SYSTEM("dr2", "data_ptr", DEBUG, 2),
	SYSTEM("dr3", "data_ptr", DEBUG, 3), SYSTEM("dr6", "uint32", DEBUG, 6), SYSTEM("dr7", "uint32", DEBUG, 7),
};
#define REGISTERS (sizeof registers / sizeof registers[0])
enum { FIRST_SSE = 32, FIRST_SYSTEM = 41, LARGEST = 16 /* bytes */ };

/* ---- 2. x87 --------------------------------------------------------------------------------- */

/* The FXSAVE image (SDM vol. 1, table 10-2), in bytes. */
enum { FX_FCW = 0, FX_FSW = 2, FX_TAGS = 4, FX_FOP = 6, FX_FIP = 8, FX_FCS = 12, FX_FDP = 16, FX_FDS = 20, FX_MXCSR = 24,
       FX_ST = 32, FX_XMM = 160 };
#define MXCSR_DEFINED 0xFFBFu /* without denormals-are-zeros; a reserved bit would be refused by the host, too */

enum tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

/* What the full tag word says of a register's 80 bits (SDM vol. 1, 8.1.7). */
static enum tag tag_of(const uint8_t *st)
{
	uint64_t fraction;
	uint16_t sign_exponent;
	memcpy(&fraction, st, sizeof fraction);
	memcpy(&sign_exponent, st + 8, sizeof sign_exponent);
	unsigned exponent = sign_exponent & 0x7FFFu;
	if (exponent == 0)
		return fraction ? TAG_SPECIAL : TAG_ZERO;
	return exponent == 0x7FFF || !(fraction >> 63) ? TAG_SPECIAL : TAG_VALID;
}

/* The image has a bit for each physical register, and their contents from the top of the stack on. */
static uint32_t full_tags(const uint8_t *fx)
{
	unsigned top = fx[FX_FSW + 1] >> 3 & 7;
	uint32_t tags = 0;
	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *st = fx + FX_ST + 16 * ((n + 8 - top) % 8);
		enum tag tag = fx[FX_TAGS] >> n & 1 ? tag_of(st) : TAG_EMPTY;
		tags |= (uint32_t)tag << 2 * n;
	}
	return tags;
}

static uint8_t abridged_tags(uint32_t tags)
{
	uint8_t bits = 0;
	for (unsigned n = 0; n < 8; n++)
		if ((tags >> 2 * n & 3) != TAG_EMPTY)
			bits |= (uint8_t)(1u << n);
	return bits;
}

/* Where one is in the image, and how many bytes it has there. */
static const struct { uint8_t at, bytes; } x87_place[] = {
	[FCTRL] = { FX_FCW, 2 }, [FSTAT] = { FX_FSW, 2 }, [FTAG] = { FX_TAGS, 1 }, [FISEG] = { FX_FCS, 2 },
	[FIOFF] = { FX_FIP, 4 }, [FOSEG] = { FX_FDS, 2 }, [FOOFF] = { FX_FDP, 4 }, [FOP] = { FX_FOP, 2 },
};

/* ---- 3. One register ------------------------------------------------------------------------ */

static const uint32_t *control_of(const struct cpu_state *s, unsigned n)
{
	return n == 0 ? &s->cr0 : n == 2 ? &s->cr2 : n == 3 ? &s->cr3 : &s->cr4;
}

static uint32_t part_of(const struct cpu_segment *s, unsigned part)
{
	return part == PART_SELECTOR ? s->selector : part == PART_BASE ? s->base : s->limit;
}

static uint32_t read_x87(const struct cpu_state *s, unsigned index)
{
	uint32_t value = 0;
	if (index == FTAG)
		return full_tags(s->fxsave);
	memcpy(&value, s->fxsave + x87_place[index].at, x87_place[index].bytes);
	return value;
}

/* Its value, little-endian, in `bytes`, which has LARGEST. */
static void read_one(const struct cpu_state *s, const struct gdb_register *r, uint8_t *bytes)
{
	uint32_t value = 0;
	switch ((enum kind)r->kind) {
	case GENERAL: value = s->gpr[r->index]; break;
	case EIP: value = s->eip; break;
	case EFLAGS: value = s->eflags; break;
	case SELECTOR: value = s->seg[r->index].selector; break;
	case ST: memcpy(bytes, s->fxsave + FX_ST + 16 * r->index, 10); return;
	case X87: value = read_x87(s, r->index); break;
	case XMM: memcpy(bytes, s->fxsave + FX_XMM + 16 * r->index, 16); return;
	case MXCSR: memcpy(&value, s->fxsave + FX_MXCSR, 4); break;
	case SEGMENT_BASE: value = s->seg[r->index].base; break;
	case CONTROL: value = *control_of(s, r->index); break;
	case TABLE_BASE: value = r->index == GDT ? s->gdtr.base : s->idtr.base; break;
	case TABLE_LIMIT: value = r->index == GDT ? s->gdtr.limit : s->idtr.limit; break;
	case LDTR: value = part_of(&s->ldtr, r->index); break;
	case TR: value = part_of(&s->tr, r->index); break;
	case DEBUG: value = s->dr[r->index]; break;
	}
	memcpy(bytes, &value, 4);
}

static bool write_selector(struct cpu_state *s, unsigned seg, uint32_t value)
{
	bool real = !(s->cr0 & 1) || s->eflags & 1u << 17; /* or virtual-8086 */
	if (!real || value > 0xFFFF)
		return false;
	s->seg[seg].selector = (uint16_t)value;
	s->seg[seg].base = value << 4;
	return true;
}

static void write_x87(struct cpu_state *s, unsigned index, uint32_t value)
{
	if (index == FTAG)
		value = abridged_tags(value);
	memcpy(s->fxsave + x87_place[index].at, &value, x87_place[index].bytes);
}

/* false: it cannot be written, or not with that. */
static bool write_one(struct cpu_state *s, const struct gdb_register *r, const uint8_t *bytes)
{
	const uint32_t flags = 0x003C7FD5; /* those that exist, but for VM, which is a mode, and RF */
	uint8_t old[LARGEST];
	uint32_t value;
	memcpy(&value, bytes, 4);
	read_one(s, r, old);
	if (memcmp(old, bytes, r->bits / 8) == 0)
		return true;
	switch ((enum kind)r->kind) {
	case GENERAL: s->gpr[r->index] = value; return true;
	case EIP: s->eip = value; return true;
	case EFLAGS: s->eflags = (s->eflags & ~flags) | (value & flags); return true;
	case SELECTOR: return write_selector(s, r->index, value);
	case ST: memcpy(s->fxsave + FX_ST + 16 * r->index, bytes, 10); return true;
	case X87: write_x87(s, r->index, value); return true;
	case XMM: memcpy(s->fxsave + FX_XMM + 16 * r->index, bytes, 16); return true;
	case MXCSR:
		value &= MXCSR_DEFINED;
		memcpy(s->fxsave + FX_MXCSR, &value, 4);
		return true;
	case CONTROL:
		if (r->index != 2)
			return false;
		s->cr2 = value;
		return true;
	default:
		return false;
	}
}

/* A new state makes the processor forget its translations, so what has a way of its own takes that. */
static bool store_one(struct gdb_session *s, const struct gdb_register *r, const uint8_t *bytes)
{
	struct cpu *cpu = vm_cpu(s->scope->vm);
	struct cpu_state state;
	uint32_t value;
	memcpy(&value, bytes, 4);
	if (r->kind == GENERAL) {
		cpu_set_gpr(cpu, r->index, value);
	} else if (r->kind == EIP) {
		cpu_set_eip(cpu, value);
	} else {
		cpu_get_state(cpu, &state);
		if (!write_one(&state, r, bytes))
			return false;
		cpu_set_state(cpu, &state);
	}
	return true;
}

/* ---- 4. Packets ----------------------------------------------------------------------------- */

static void add_one(struct text *t, const struct cpu_state *state, const struct gdb_register *r)
{
	uint8_t bytes[LARGEST];
	read_one(state, r, bytes);
	gdb_add_hex(t, bytes, r->bits / 8);
}

void gdb_read_registers(struct gdb_session *s)
{
	struct cpu_state state;
	cpu_get_state(vm_cpu(s->scope->vm), &state);
	for (size_t n = 0; n < REGISTERS; n++)
		add_one(&s->reply, &state, &registers[n]);
}

/* As many as are given, whole.  Those that cannot be written stay as they are. */
void gdb_write_registers(struct gdb_session *s)
{
	struct cpu *cpu = vm_cpu(s->scope->vm);
	struct cpu_state state;
	const char *at = s->packet + 1;
	cpu_get_state(cpu, &state);
	for (size_t n = 0; *at && n < REGISTERS; n++) {
		uint8_t bytes[LARGEST] = { 0 };
		if (!gdb_parse_hex(at, bytes, registers[n].bits / 8)) {
			gdb_fail(s, GDB_EINVAL);
			return;
		}
		write_one(&state, &registers[n], bytes);
		at += registers[n].bits / 4;
	}
	if (*at) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	cpu_set_state(cpu, &state);
	gdb_ok(s);
}

/* pNUMBER */
void gdb_read_register(struct gdb_session *s)
{
	const char *at = s->packet + 1;
	struct cpu_state state;
	uint32_t number;
	if (!gdb_parse_until(&at, 0, &number) || number >= REGISTERS) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	cpu_get_state(vm_cpu(s->scope->vm), &state);
	add_one(&s->reply, &state, &registers[number]);
}

/* PNUMBER=VALUE */
void gdb_write_register(struct gdb_session *s)
{
	const char *at = s->packet + 1;
	uint8_t bytes[LARGEST] = { 0 };
	uint32_t number;
	bool fine = gdb_parse_until(&at, '=', &number) && number < REGISTERS &&
	            strlen(at) == registers[number].bits / 4 && gdb_parse_hex(at, bytes, registers[number].bits / 8);
	if (fine && store_one(s, &registers[number], bytes))
		gdb_ok(s);
	else
		gdb_fail(s, GDB_EINVAL);
}

void gdb_add_expedited(struct gdb_session *s, struct text *t)
{
	static const uint8_t numbers[] = { CPU_ESP, CPU_EBP, 8 /* EIP */ };
	struct cpu_state state;
	cpu_get_state(vm_cpu(s->scope->vm), &state);
	for (size_t k = 0; k < sizeof numbers; k++) {
		text_add(t, "%02x:", numbers[k]);
		add_one(t, &state, &registers[numbers[k]]);
		text_add(t, ";");
	}
}

/* ---- 5. The target -------------------------------------------------------------------------- */

struct bit {
	const char *name;
	uint8_t at;
};
static const struct bit eflags_bits[] = {
	{ "CF", 0 }, { "", 1 }, { "PF", 2 }, { "AF", 4 }, { "ZF", 6 }, { "SF", 7 }, { "TF", 8 }, { "IF", 9 }, { "DF", 10 },
	{ "OF", 11 }, { "NT", 14 }, { "RF", 16 }, { "VM", 17 }, { "AC", 18 }, { "VIF", 19 }, { "VIP", 20 }, { "ID", 21 },
	{ NULL, 0 },
};
static const struct bit mxcsr_bits[] = {
	{ "IE", 0 }, { "DE", 1 }, { "ZE", 2 }, { "OE", 3 }, { "UE", 4 }, { "PE", 5 }, { "DAZ", 6 }, { "IM", 7 }, { "DM", 8 },
	{ "ZM", 9 }, { "OM", 10 }, { "UM", 11 }, { "PM", 12 }, { "FZ", 15 }, { NULL, 0 },
};
static const struct bit cr0_bits[] = {
	{ "PE", 0 }, { "MP", 1 }, { "EM", 2 }, { "TS", 3 }, { "ET", 4 }, { "NE", 5 }, { "WP", 16 }, { "AM", 18 }, { "NW", 29 },
	{ "CD", 30 }, { "PG", 31 }, { NULL, 0 },
};
static const struct bit cr4_bits[] = {
	{ "VME", 0 }, { "PVI", 1 }, { "TSD", 2 }, { "DE", 3 }, { "PSE", 4 }, { "PAE", 5 }, { "MCE", 6 }, { "PGE", 7 },
	{ "PCE", 8 }, { "OSFXSR", 9 }, { "OSXMMEXCPT", 10 }, { NULL, 0 },
};

static void describe_flags(struct text *t, const char *id, const struct bit *bits)
{
	text_add(t, "<flags id=\"%s\" size=\"4\">", id);
	for (const struct bit *b = bits; b->name; b++)
		text_add(t, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", b->name, b->at, b->at);
	text_add(t, "</flags>\n");
}

/* The ways to look at 16 bytes. */
static void describe_vectors(struct text *t)
{
	static const struct { const char *id, *type; unsigned count; } vectors[] = {
		{ "v4_float", "ieee_single", 4 }, { "v2_double", "ieee_double", 2 }, { "v16_int8", "int8", 16 },
		{ "v8_int16", "int16", 8 }, { "v4_int32", "int32", 4 }, { "v2_int64", "int64", 2 },
	};
	const size_t count = sizeof vectors / sizeof vectors[0];
	for (size_t k = 0; k < count; k++)
		text_add(t, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>", vectors[k].id, vectors[k].type,
		         vectors[k].count);
	text_add(t, "<union id=\"vec128\">");
	for (size_t k = 0; k < count; k++)
		text_add(t, "<field name=\"%s\" type=\"%s\"/>", vectors[k].id, vectors[k].id);
	text_add(t, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
}

static void describe_registers(struct text *t, size_t from, size_t to)
{
	for (const struct gdb_register *r = registers + from; r < registers + to; r++) {
		text_add(t, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", r->name, r->bits, r->type);
		if (r->group)
			text_add(t, " group=\"%s\"", r->group);
		text_add(t, "/>\n");
	}
	text_add(t, "</feature>\n");
}

void gdb_describe_target(struct text *t)
{
	text_add(t, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
	            "<architecture>i386</architecture>\n<feature name=\"org.gnu.gdb.i386.core\">\n");
	describe_flags(t, "i386_eflags", eflags_bits);
	describe_registers(t, 0, FIRST_SSE);
	text_add(t, "<feature name=\"org.gnu.gdb.i386.sse\">\n");
	describe_vectors(t);
	describe_flags(t, "i386_mxcsr", mxcsr_bits);
	describe_registers(t, FIRST_SSE, FIRST_SYSTEM);
	text_add(t, "<feature name=\"org.umbra.i386.system\">\n");
	describe_flags(t, "umbra_cr0", cr0_bits);
	describe_flags(t, "umbra_cr4", cr4_bits);
	describe_registers(t, FIRST_SYSTEM, REGISTERS);
	text_add(t, "</target>\n");
}
