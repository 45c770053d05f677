/* SPDX-License-Identifier: MIT */
/*
 * scope/symbols_file.c - names from files, and into one.
 *
 *   1. ELF           .symtab of a 32-bit image (System V ABI, 4: symbol table)
 *   2. System.map    lines "c1000000 T _text", as nm prints them; the type may be missing (xv6's kernel.sym)
 *   3. Loading       symbols_load: told apart by content
 *   4. Writing       symbols_write_elf
 */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scope/symbols_internal.h"

#define FILE_MAX (1024ull << 20) /* an image with all its debugging information */
#define LINE_MAX_BYTES 1024u     /* of a System.map */

/* ---- 1. ELF --------------------------------------------------------------------------------- */

/* What is a place in the program: no sections, no files, no constants. */
static bool is_place(const Elf32_Sym *sym)
{
	unsigned type = ELF32_ST_TYPE(sym->st_info);
	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS && sym->st_shndx != SHN_COMMON &&
	       (type == STT_NOTYPE || type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC);
}

static struct symbol symbol_of(const Elf32_Sym *sym)
{
	unsigned type = ELF32_ST_TYPE(sym->st_info), bind = ELF32_ST_BIND(sym->st_info);
	enum symbol_rank rank = bind == STB_GLOBAL ? SYMBOL_GLOBAL : bind == STB_WEAK ? SYMBOL_WEAK : SYMBOL_LOCAL;
	return (struct symbol){
		.address = sym->st_value,
		.size = sym->st_size,
		.rank = (uint8_t)(type == STT_NOTYPE && bind == STB_LOCAL ? SYMBOL_LABEL : rank),
		.code = type == STT_FUNC || type == STT_GNU_IFUNC,
	};
}

/* The name at `offset`, its length in *length.  Only one that ends inside its section is one; what is longer than a name may
 * be is not gone through to its end, which millions of symbols could have in common.  NULL: none. */
static const char *name_at(const Elf_Data *strings, size_t offset, size_t *length)
{
	if (!strings || !strings->d_buf || offset >= strings->d_size)
		return NULL;
	const char *name = (const char *)strings->d_buf + offset;
	size_t left = strings->d_size - offset, most = SYMBOL_NAME_MAX + 1;
	*length = strnlen(name, left < most ? left : most);
	return *length < left && *length < most ? name : NULL;
}

static bool add_table(struct symbols *s, Elf *elf, Elf_Scn *section, const Elf32_Shdr *header, struct symbols_error *error)
{
	Elf_Data *data = elf_getdata(section, NULL);
	if (!data || data->d_type != ELF_T_SYM)
		return symbols_fail(error, "its symbol table cannot be read: %s", elf_errmsg(-1));
	Elf_Scn *strings_section = elf_getscn(elf, header->sh_link);
	const Elf_Data *strings = strings_section ? elf_getdata(strings_section, NULL) : NULL;
	const Elf32_Sym *sym = data->d_buf;
	for (size_t k = 0; k < data->d_size / sizeof *sym; k++) {
		size_t length;
		const char *name = is_place(&sym[k]) ? name_at(strings, sym[k].st_name, &length) : NULL;
		struct symbol symbol = symbol_of(&sym[k]);
		if (name && !symbols_add(s, &symbol, name, length))
			return symbols_fail(error, "it has more symbols than fit");
	}
	return true;
}

static bool add_elf(struct symbols *s, Elf *elf, struct symbols_error *error)
{
	const Elf32_Ehdr *image = elf_kind(elf) == ELF_K_ELF ? elf32_getehdr(elf) : NULL;
	if (!image || image->e_machine != EM_386)
		return symbols_fail(error, "this ELF file is not one for 32-bit x86");
	/* (There is one at most: a file that had the same one a million times would keep us busy.) */
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
		const Elf32_Shdr *header = elf32_getshdr(section);
		if (header && header->sh_type == SHT_SYMTAB)
			return add_table(s, elf, section, header, error);
	}
	return symbols_fail(error, "it has no symbol table (stripped?)");
}

static bool load_elf(struct symbols *s, int fd, struct symbols_error *error)
{
	Elf *elf = elf_version(EV_CURRENT) == EV_NONE ? NULL : elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return symbols_fail(error, "%s", elf_errmsg(-1));
	bool fine = add_elf(s, elf, error);
	elf_end(elf);
	return fine;
}

/* ---- 2. System.map -------------------------------------------------------------------------- */

static enum symbol_rank rank_of(char type)
{
	if (type == 'W' || type == 'w' || type == 'V' || type == 'v')
		return SYMBOL_WEAK;
	return isupper((unsigned char)type) ? SYMBOL_GLOBAL : SYMBOL_LOCAL;
}

/* One line.  false: it is none of a System.map. */
static bool add_line(struct symbols *s, char *line, bool *full)
{
	char *at;
	struct symbol symbol = { .rank = SYMBOL_GLOBAL, .code = true };
	if (!isxdigit((unsigned char)*line))
		return false;
	errno = 0;
	unsigned long long address = strtoull(line, &at, 16);
	if (*at != ' ' || errno || address > UINT32_MAX)
		return false;
	symbol.address = (uint32_t)address;
	at++;
	if (at[0] && at[1] == ' ') {
		if (!isalpha((unsigned char)at[0]) && at[0] != '?')
			return false;
		symbol.rank = (uint8_t)rank_of(at[0]);
		symbol.code = strchr("TtWwi", at[0]) != NULL;
		/* Constants, and what is elsewhere. */
		if (strchr("AaUNn", at[0]))
			return true;
		at += 2;
	}
	size_t length = strcspn(at, " \t\r\n");
	if (at[length] == ' ')
		return false;
	for (size_t k = 0; k < length; k++)
		if (!isgraph((unsigned char)at[k]))
			return false;
	*full = !symbols_add(s, &symbol, at, length);
	return length > 0;
}

static bool load_map(struct symbols *s, int fd, struct symbols_error *error)
{
	char line[LINE_MAX_BYTES];
	unsigned long number = 0;
	bool fine = true, full = false;
	int own = dup(fd);
	FILE *file = own >= 0 ? fdopen(own, "r") : NULL;
	if (!file) {
		if (own >= 0)
			close(own);
		return symbols_fail(error, "%s", strerror(errno));
	}
	while (fine && !full && fgets(line, sizeof line, file)) {
		number++;
		fine = strchr(line, '\n') || feof(file);
		fine = fine && (line[0] == '\n' || add_line(s, line, &full));
	}
	bool failed = ferror(file);
	fclose(file);
	if (failed)
		return symbols_fail(error, "%s", strerror(EIO));
	if (full)
		return symbols_fail(error, "it has more symbols than fit");
	if (!fine && number == 1)
		return symbols_fail(error, "neither a 32-bit ELF image nor a System.map");
	if (!fine)
		return symbols_fail(error, "line %lu is none of a System.map (\"c1000000 T _text\")", number);
	return number > 0 || symbols_fail(error, "it is empty");
}

/* ---- 3. Loading ----------------------------------------------------------------------------- */

static bool load(struct symbols *s, int fd, struct symbols_error *error)
{
	struct stat status;
	char magic[SELFMAG];
	size_t count = s->count, names = s->names_size;
	if (fstat(fd, &status) != 0)
		return symbols_fail(error, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode) || (unsigned long long)status.st_size > FILE_MAX)
		return symbols_fail(error, S_ISREG(status.st_mode) ? "it is too large" : "it is no regular file");
	bool elf = pread(fd, magic, sizeof magic, 0) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0;
	if ((elf ? load_elf : load_map)(s, fd, error)) {
		symbols_sort(s);
		return true;
	}
	symbols_cut(s, count, names);
	return false;
}

bool symbols_load(struct symbols *s, const char *path, struct symbols_error *error)
{
	struct symbols_error why;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool fine = fd >= 0 ? load(s, fd, &why) : symbols_fail(&why, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return fine || symbols_fail(error, "%.100s: %.140s", path, why.text);
}

/* ---- 4. Writing ----------------------------------------------------------------------------- */

/* One section without content spans all symbols: gdb takes one that is in none for a constant. */
enum { SECTION_NONE, SECTION_SPAN, SECTION_SYMBOLS, SECTION_STRINGS, SECTION_NAMES, SECTIONS };
static const char section_names[] = "\0.text\0.symtab\0.strtab\0.shstrtab";

static Elf32_Ehdr elf_header(void)
{
	Elf32_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_shentsize = sizeof(Elf32_Shdr),
		.e_shoff = sizeof(Elf32_Ehdr),
		.e_shnum = SECTIONS,
		.e_shstrndx = SECTION_NAMES,
	};
	return h;
}

static void fill_sections(const struct symbols *s, Elf32_Shdr section[SECTIONS])
{
	uint32_t first = s->symbol[0].address, last = s->symbol[s->count - 1].address;
	uint32_t at = sizeof(Elf32_Ehdr) + SECTIONS * sizeof(Elf32_Shdr);
	memset(section, 0, SECTIONS * sizeof *section);
	section[SECTION_SPAN] = (Elf32_Shdr){ .sh_name = 1, .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		                              .sh_addr = first, .sh_offset = at, .sh_addralign = 1,
		                              .sh_size = last - first < UINT32_MAX - 16 ? last - first + 16 : last - first };
	section[SECTION_SYMBOLS] = (Elf32_Shdr){ .sh_name = 7, .sh_type = SHT_SYMTAB, .sh_offset = at,
		                                 .sh_size = (Elf32_Word)((s->count + 1) * sizeof(Elf32_Sym)),
		                                 .sh_link = SECTION_STRINGS, .sh_info = 1, .sh_addralign = 4,
		                                 .sh_entsize = sizeof(Elf32_Sym) };
	at += section[SECTION_SYMBOLS].sh_size;
	section[SECTION_STRINGS] = (Elf32_Shdr){ .sh_name = 15, .sh_type = SHT_STRTAB, .sh_offset = at, .sh_addralign = 1,
		                                 .sh_size = (Elf32_Word)s->names_size + 1 };
	at += section[SECTION_STRINGS].sh_size;
	section[SECTION_NAMES] = (Elf32_Shdr){ .sh_name = 23, .sh_type = SHT_STRTAB, .sh_offset = at, .sh_addralign = 1,
		                               .sh_size = sizeof section_names };
}

/* (Local ones would have to come first; to a debugger it is all the same, so all are global.) */
static void write_symbols(const struct symbols *s, FILE *to)
{
	const Elf32_Sym none = { 0 };
	fwrite(&none, sizeof none, 1, to);
	for (size_t k = 0; k < s->count; k++) {
		const struct symbol *symbol = &s->symbol[k];
		Elf32_Sym sym = { .st_name = symbol->name + 1, .st_value = symbol->address, .st_size = symbol->size,
			          .st_info = ELF32_ST_INFO(STB_GLOBAL, symbol->code ? STT_FUNC : STT_OBJECT),
			          .st_shndx = SECTION_SPAN };
		fwrite(&sym, sizeof sym, 1, to);
	}
	fputc(0, to);
	fwrite(s->names, 1, s->names_size, to);
}

bool symbols_write_elf(const struct symbols *s, const char *path, struct symbols_error *error)
{
	Elf32_Shdr section[SECTIONS];
	Elf32_Ehdr header = elf_header();
	if (!symbols_count(s))
		return symbols_fail(error, "there are no symbols to write");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!to) {
		int why = errno;
		if (fd >= 0)
			close(fd);
		return symbols_fail(error, "%.100s: %s", path, strerror(why));
	}
	fill_sections(s, section);
	fwrite(&header, sizeof header, 1, to);
	fwrite(section, sizeof section, 1, to);
	write_symbols(s, to);
	fwrite(section_names, sizeof section_names, 1, to);
	bool failed = ferror(to);
	int why = errno;
	if (fclose(to) != 0) {
		why = errno;
		failed = true;
	}
	return !failed || symbols_fail(error, "%.100s: %s", path, strerror(why));
}
