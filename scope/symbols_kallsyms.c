/* SPDX-License-Identifier: MIT */
/*
 * scope/symbols_kallsyms.c - a running Linux's names, found in its memory.
 *
 *   1. Tokens       the one part that can be recognised: found first
 *   2. Names        the markers before the tokens, the names before the markers, their number before the names
 *   3. Addresses    before the number, or (since 6.4) behind the tokens
 *   4. Together     symbols_find_kallsyms
 *
 * The kernel's build puts these tables into its read-only data, each 4-byte aligned, none of them announced anywhere:
 *
 *   offsets, relative_base       a 32-bit distance for each symbol, in order of address, from one base; or
 *   addresses                    ... the addresses themselves (CONFIG_KALLSYMS_BASE_RELATIVE off)
 *   num_syms                     how many
 *   names                        for each a length (ULEB128) and as many token numbers
 *   markers                      where each 256th name is in `names`
 *   seqs_of_names                the names' alphabetical order, 3 bytes each (6.2, 6.3)
 *   token_table, token_index     256 strings, each with a 0 behind it; where each begins: 16 bits
 *   offsets, relative_base       since 6.4 here instead (seqs_of_names behind them)
 *
 * A name's first character is its type, as nm prints it.  A byte that occurs in names is its own token, and every kernel
 * has names with all ten digits: so "0\0" to "9\0" stand in a row, as tokens 48 to 57.  What surrounds them must then fit
 * in every number, or it was a coincidence; so that the guest's memory, which anybody may have written, can make this
 * search fail, or take its bounded time, and nothing else.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "scope/symbols_internal.h"

#define TOKENS 256u
#define TOKEN_BYTES 65536u       /* the table, at most: its index has 16 bits */
#define NAMES_EACH_MARKER 256u
#define LEAST (NAMES_EACH_MARKER + 1) /* symbols: a kernel has thousands */
#define STEP (1u << 20)          /* read at a time */
#define BEFORE (24u << 20)       /* how far before the tokens the other tables may begin */
#define BEHIND ((SYMBOLS_MAX + 2) * 4u + TOKEN_BYTES) /* ... and end behind their start */
#define CANDIDATES 16u           /* places that look like the tokens, and are examined */
#define WORK 100000000u          /* words and names looked at in one search: less than a second, whatever is in memory */

/* Where the kernel's image is mapped, by how its address space is split: looked at in this order. */
static const uint32_t places[] = { 0xC0000000u, 0x80000000u, 0x40000000u, 0xB0000000u, 0x78000000u };
#define PLACE_BYTES (128u << 20)

typedef size_t read_fn(void *user, uint32_t linear, void *buf, size_t bytes);

/* A piece of guest memory with the tables in it.  Positions are offsets into it. */
struct window {
	uint8_t *bytes;
	size_t size, tokens;
};

struct tables {
	const struct window *w;
	size_t token[TOKENS];    /* where each string is */
	size_t behind;           /* the index's end */
	size_t markers, names;
	uint32_t count;
	uint64_t *work;          /* what is left of WORK */
};

static bool spend(const struct tables *t, uint64_t work)
{
	*t->work -= work < *t->work ? work : *t->work;
	return *t->work > 0;
}

/* The caller knows that it is inside. */
static uint32_t word(const struct window *w, size_t at)
{
	uint32_t value;
	memcpy(&value, w->bytes + at, sizeof value);
	return value;
}

static size_t align4(size_t at)
{
	return (at + 3) & ~(size_t)3;
}

/* ---- 1. Tokens ------------------------------------------------------------------------------ */

static const char digits[] = "0\0" "1\0" "2\0" "3\0" "4\0" "5\0" "6\0" "7\0" "8\0" "9";
#define FIRST_DIGIT 48u

/* `at` is where token "0" is.  From there to the table's end; behind that, the index says where the table began. */
static bool find_tokens(struct tables *t, size_t at)
{
	const struct window *w = t->w;
	size_t end = at;
	for (unsigned k = FIRST_DIGIT; k < TOKENS; k++) {
		const uint8_t *zero = end < w->size ? memchr(w->bytes + end, 0, w->size - end) : NULL;
		if (!zero || (size_t)(zero - w->bytes) - at > TOKEN_BYTES)
			return false;
		end = (size_t)(zero - w->bytes) + 1;
	}
	size_t index = align4(end);
	t->behind = index + TOKENS * 2;
	if (t->behind > w->size)
		return false;
	uint16_t place[TOKENS];
	memcpy(place, w->bytes + index, sizeof place);
	if (place[0] != 0 || place[FIRST_DIGIT] > at)
		return false;
	size_t start = at - place[FIRST_DIGIT];
	for (unsigned k = 0; k < TOKENS; k++) {
		t->token[k] = start + place[k];
		size_t next = k + 1 < TOKENS ? start + place[k + 1] : end;
		if (next <= t->token[k] || next > end || memchr(w->bytes + t->token[k], 0, next - t->token[k]) !=
		                                                 w->bytes + next - 1)
			return false;
	}
	return true;
}

/* ---- 2. Names ------------------------------------------------------------------------------- */

#define NAME_LEAST 2u                          /* bytes of one in the table: length and a token */
#define NAME_MOST (2u + SYMBOL_NAME_MAX + 1)

/* The length of the name at *at, which is moved to its first token.  false: it leaves the table. */
static bool name_length(const struct window *w, size_t end, size_t *at, size_t *length)
{
	if (*at >= end)
		return false;
	*length = w->bytes[(*at)++];
	if (*length & 0x80) {
		if (*at >= end)
			return false;
		*length = (*length & 0x7F) | (size_t)w->bytes[(*at)++] << 7;
	}
	return *length > 0 && *length <= end - *at;
}

/* Are there `count` names from `at` on, each 256th where its marker says, and nothing but padding behind them? */
static bool check_names(const struct tables *t, size_t names, uint32_t count)
{
	size_t at = names, length;
	for (uint32_t k = 0; k < count && spend(t, 1); k++) {
		if (k % NAMES_EACH_MARKER == 0 && at - names != word(t->w, t->markers + k / NAMES_EACH_MARKER * 4))
			return false;
		if (!name_length(t->w, t->markers, &at, &length))
			return false;
		at += length;
	}
	return align4(at) == t->markers;
}

/* How many words from `at` on could be markers: 0, then each more than the one before by 256 names. */
static uint32_t count_markers(const struct window *w, size_t at, size_t end)
{
	uint32_t count = 1;
	if (word(w, at) != 0)
		return 0;
	while (at + (count + 1) * 4 <= end && count <= SYMBOLS_MAX / NAMES_EACH_MARKER) {
		uint32_t step = word(w, at + count * 4) - word(w, at + (count - 1) * 4);
		if (step < NAMES_EACH_MARKER * NAME_LEAST || step > NAMES_EACH_MARKER * NAME_MOST)
			break;
		count++;
	}
	return count;
}

/* With `markers` of them at t->markers: their last one says where the last of 256 names begins, if only their number, just
 * before the first of them, is found. */
static bool find_names(struct tables *t, uint32_t markers)
{
	const struct window *w = t->w;
	size_t before = word(w, t->markers + (markers - 1) * 4) + NAME_LEAST;
	for (size_t more = 0; more <= NAMES_EACH_MARKER * NAME_MOST && spend(t, 1); more += 4) {
		size_t size = align4(before) + more;
		if (size + 4 > t->markers)
			return false;
		size_t names = t->markers - size;
		uint32_t count = word(w, names - 4);
		if (count > (markers - 1) * NAMES_EACH_MARKER && count <= markers * NAMES_EACH_MARKER && count >= LEAST &&
		    check_names(t, names, count)) {
			t->names = names;
			t->count = count;
			return true;
		}
	}
	return false;
}

/* The markers end at the tokens, or at what is between.  (A run of words that go on after the last marker by chance would
 * be one too long: so shorter ones are tried as well, where that can be.) */
static bool find_markers(struct tables *t)
{
	size_t end = t->token[0] & ~(size_t)3;
	for (size_t at = end; at >= 4; ) {
		at -= 4;
		uint32_t markers = count_markers(t->w, at, end);
		t->markers = at;
		if (!spend(t, markers + 1))
			return false;
		for (uint32_t less = 0; markers >= 2 + less && less < 3; less++)
			if (find_names(t, markers - less))
				return true;
		if (t->token[0] - at > SYMBOLS_MAX * 4)
			return false;
	}
	return false;
}

/* ---- 3. Addresses --------------------------------------------------------------------------- */

#define KERNEL_LEAST 0x40000000u /* no split gives a kernel less */

enum form { ABSOLUTE, RELATIVE, RELATIVE_SIGNED /* CONFIG_KALLSYMS_ABSOLUTE_PERCPU: below 0 from the base, else absolute */ };

struct addresses {
	size_t at;
	enum form form;
	uint32_t base;
};

static uint32_t address_of(const struct window *w, const struct addresses *a, uint32_t index)
{
	uint32_t value = word(w, a->at + (size_t)index * 4);
	if (a->form == RELATIVE)
		return a->base + value;
	if (a->form == RELATIVE_SIGNED && value >> 31)
		return a->base - 1 - value;
	return value;
}

/* Symbols are in order of address, most are the kernel's, and some one is at the base. */
static bool check_addresses(const struct tables *t, const struct addresses *a)
{
	uint32_t high = 0, at_base = 0;
	size_t end = a->at + (size_t)t->count * 4;
	if (a->at % 4 || end > t->w->size || (a->form != ABSOLUTE && a->base < KERNEL_LEAST))
		return false;
	for (uint32_t k = 0; k < t->count; k++) {
		uint32_t address = address_of(t->w, a, k);
		if (k && address < address_of(t->w, a, k - 1))
			return false;
		high += address >= KERNEL_LEAST;
		at_base += address == a->base;
	}
	return high > t->count / 2 && (a->form == ABSOLUTE || at_base);
}

/* Their words stand in front of `behind` (with the base between, if there is one), or from `from` on. */
static bool find_addresses(const struct tables *t, struct addresses *a)
{
	static const enum form forms[] = { RELATIVE, RELATIVE_SIGNED, ABSOLUTE };
	size_t words = (size_t)t->count * 4, behind = t->names - 4, from = align4(t->behind);
	for (unsigned k = 0; k < sizeof forms / sizeof forms[0]; k++) {
		bool relative = forms[k] != ABSOLUTE;
		size_t all = words + (relative ? 4 : 0);
		for (unsigned place = 0; place < 2; place++) {
			if (place == 0 ? behind < all : from + all > t->w->size)
				continue;
			a->at = place == 0 ? behind - all : from;
			a->form = forms[k];
			a->base = relative ? word(t->w, a->at + words) : 0;
			if (check_addresses(t, a))
				return true;
		}
	}
	return false;
}

/* ---- 4. Together ---------------------------------------------------------------------------- */

/* The name at *at, type and all.  false: no kernel would have such. */
static bool expand(const struct tables *t, size_t *at, char name[SYMBOL_NAME_MAX + 2], size_t *size)
{
	size_t length;
	*size = 0;
	if (!name_length(t->w, t->markers, at, &length))
		return false;
	for (size_t k = 0; k < length; k++)
		for (const uint8_t *c = t->w->bytes + t->token[t->w->bytes[*at + k]]; *c; c++) {
			if (*size == SYMBOL_NAME_MAX + 1 || !isgraph(*c))
				return false;
			name[(*size)++] = (char)*c;
		}
	*at += length;
	return *size >= 2 && isalpha((unsigned char)name[0]);
}

static bool add_all(struct symbols *s, const struct tables *t, const struct addresses *a, struct symbols_error *error)
{
	char name[SYMBOL_NAME_MAX + 2];
	size_t at = t->names, size;
	for (uint32_t k = 0; k < t->count; k++) {
		if (!expand(t, &at, name, &size))
			return symbols_fail(error, "kallsyms: symbol %u of %u has no name that a kernel would have", k,
			                    t->count);
		char type = name[0];
		struct symbol symbol = {
			.address = address_of(t->w, a, k),
			.rank = (uint8_t)(strchr("WwVv", type) ? SYMBOL_WEAK
			                  : isupper((unsigned char)type) ? SYMBOL_GLOBAL : SYMBOL_LOCAL),
			.code = strchr("TtWw", type) != NULL,
		};
		if (type != 'A' && type != 'a' && !symbols_add(s, &symbol, name + 1, size - 1))
			return symbols_fail(error, "kallsyms: no memory");
	}
	return true;
}

/* What is read around the digits: enough to see whether they are the tokens', which mostly they are not; all tables of a
 * distribution's kernel; of any. */
static const struct reach {
	uint32_t before, behind;
} reaches[] = { { TOKEN_BYTES, 2 * TOKEN_BYTES }, { 3u << 20, 1u << 20 }, { BEFORE, BEHIND } };
enum { REACHES = sizeof reaches / sizeof reaches[0] };

/* What is around `linear`, as far as it is mapped. */
static bool read_window(struct window *w, read_fn *read, void *user, uint32_t linear, const struct reach *reach)
{
	uint32_t first = linear, last = linear;
	uint8_t byte;
	while (linear - first < reach->before && first >= 4096 && read(user, (first - 4096) & ~0xFFFu, &byte, 1) == 1)
		first = (first - 4096) & ~0xFFFu;
	while (last - linear < reach->behind && last <= UINT32_MAX - 4096 && read(user, last, &byte, 1) == 1)
		last = (last + 4096) & ~0xFFFu;
	w->bytes = malloc((size_t)(last - first) + 1);
	w->size = w->bytes ? read(user, first, w->bytes, last - first) : 0;
	w->tokens = linear - first;
	return w->size == last - first;
}

/* false: there are no tokens in this window. */
static bool examine_window(struct symbols *s, const struct window *w, uint32_t linear, uint64_t *work, bool *fine,
                           struct symbols_error *error)
{
	struct addresses a;
	struct tables *t = calloc(1, sizeof *t);
	bool found = t != NULL;
	if (t) {
		t->w = w;
		t->work = work;
		found = find_tokens(t, w->tokens);
	}
	if (found && !find_markers(t))
		symbols_fail(error, "kallsyms: there are tokens at 0x%08x, but no names that go with them", linear);
	else if (found && !find_addresses(t, &a))
		symbols_fail(error, "kallsyms: there are %u names, but no addresses that go with them", t->count);
	else if (found)
		*fine = add_all(s, t, &a, error);
	free(t);
	return found;
}

/* The digits are at `linear`.  true: all of it has been added. */
static bool examine(struct symbols *s, read_fn *read, void *user, uint32_t linear, uint64_t *work,
                    struct symbols_error *error)
{
	size_t count = s->count, names = s->names_size;
	bool fine = false, more = true;
	for (unsigned k = 0; k < REACHES && more && !fine; k++) {
		struct window w = { 0 };
		more = read_window(&w, read, user, linear, &reaches[k]) && examine_window(s, &w, linear, work, &fine, error);
		free(w.bytes);
		if (!fine)
			symbols_cut(s, count, names);
	}
	return fine;
}

/* Where the digits are, in order; *at moves on.  false: there are no more below `end`. */
static bool next_digits(read_fn *read, void *user, uint8_t *buffer, uint32_t *at, uint32_t end, uint32_t *found)
{
	while (*at < end) {
		size_t got = read(user, *at, buffer, STEP);
		const uint8_t *hit = got ? memmem(buffer, got, digits, sizeof digits) : NULL;
		if (hit) {
			*found = *at + (uint32_t)(hit - buffer);
			*at = *found + 1;
			return true;
		}
		/* The next piece begins a little before this one's end; what is not mapped is passed over. */
		*at = got == STEP ? *at + STEP - (uint32_t)sizeof digits : ((*at + (uint32_t)got) & ~0xFFFu) + 4096;
	}
	return false;
}

bool symbols_find_kallsyms(struct symbols *s, read_fn *read, void *user, struct symbols_error *error)
{
	unsigned candidates = 0;
	uint64_t work = WORK;
	bool fine = false;
	uint8_t *buffer = malloc(STEP);
	if (!buffer)
		return symbols_fail(error, "kallsyms: no memory");
	symbols_fail(error, "no Linux kernel's table of symbols (kallsyms) is mapped");
	for (unsigned k = 0; k < sizeof places / sizeof places[0] && !fine; k++) {
		uint32_t at = places[k], hit;
		while (!fine && candidates < CANDIDATES &&
		       next_digits(read, user, buffer, &at, places[k] + PLACE_BYTES, &hit)) {
			candidates++;
			fine = examine(s, read, user, hit, &work, error);
		}
	}
	free(buffer);
	if (fine)
		symbols_sort(s);
	return fine;
}
