/* SPDX-License-Identifier: MIT */
/*
 * record/record.h - the operations of a run on the shadow core: written, read, replayed.
 *
 *   1. Items       what a recording is made of
 *   2. Recording   between an embedder and the core                     recorder.c
 *   3. Reading     any recording, trusted or not                        reader.c
 *   4. Replaying   against the core alone, with no guest memory         replay.c
 *
 * The core sees the guest only through the answers of its callbacks.  So the calls it gets and the
 * answers it is given, in order, are all that a run was for it: given again they lead to the same
 * results and the same end.  The format is docs/RECORDING.md; codec.c has it as a table.
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <stdio.h>

#include <umbra/shadow.h>

/* ---- 1. Items ------------------------------------------------------------------------------- */

/* A call has the number it has in enum um_call_kind; the rest begins above. */
enum record_kind {
	RECORD_RESULT = 32, /* result, told, error: of the call that began last */
	RECORD_MAP,         /* result, told, gpa, hfn, bits: likewise, where a map was filled */
	RECORD_READ,        /* gpa, value: the guest's entry */
	RECORD_ABSENT,      /* gpa: no memory there */
	RECORD_UPDATE,      /* gpa, changed bits, done */
	RECORD_PAGE,        /* gfn, grant | write << 2, hfn */
	RECORD_TABLE,       /* whether there was memory */
	RECORD_AUDIT,       /* then its reads, then its result: the invariant broken, or 0 */
	RECORD_END,         /* digest, count, and so many statistics */
	RECORD_KINDS,
};

enum { RECORD_FIELDS = 5 };

struct record_item {
	unsigned kind;
	uint64_t field[RECORD_FIELDS]; /* those of its kind, the rest 0 */
};

/* RECORD_MAP, field 4. */
enum record_bits {
	RECORD_RIGHTS = UM_WRITE | UM_USER,
	RECORD_TRACKED = 1u << 0,
	RECORD_GLOBAL = 1u << 3,
};

/* UM_CALL_LOOKUP is one item with its result: flags, page number, check. */
enum record_lookup {
	LOOKUP_WRITE = 1u << 0, /* asked */
	LOOKUP_USER = 1u << 1,
	LOOKUP_FETCH = 1u << 2,
	LOOKUP_EMPTY = 1u << 3, /* found nothing; else: */
	LOOKUP_MAY_WRITE = 1u << 4,
	LOOKUP_MAY_USER = 1u << 5,
	LOOKUP_GLOBAL = 1u << 6,
	LOOKUP_TRACKED = 1u << 7,
};
struct record_item record_lookup_item(um_gva gva, unsigned access, enum um_result result,
                                      const struct um_map *map);

const char *record_kind_name(unsigned kind); /* NULL: there is no such kind */
/* The item as a line of text, for people. */
void record_describe(const struct record_item *item, char *text, size_t bytes);

/* ---- 2. Recording --------------------------------------------------------------------------- */

struct recorder;

/* Stand between config's embedder and the core: replaces config->ops and config->user, so call it
 * just before um_init().  `to` is written in large pieces and never waited for beyond that; the
 * caller closes it.  NULL: no memory.  The recorder must live until after um_destroy(). */
struct recorder *recorder_new(FILE *to, struct um_config *config);
/* Write the end: an audit, the digest, the statistics.  From here on nothing is recorded. */
void recorder_finish(struct recorder *recorder, const struct um *um);
/* 0, or the errno that ended the recording early, after so many operations.  The guest ran on. */
int recorder_error(const struct recorder *recorder, uint64_t *operations);
void recorder_free(struct recorder *recorder);

/* ---- 3. Reading ----------------------------------------------------------------------------- */

#define RECORD_STATS 64u /* more statistics than any version has */

enum record_problem {
	RECORD_FINE,
	RECORD_CUT,   /* ends before its end */
	RECORD_BAD,   /* not a recording, or damaged */
	RECORD_ERROR, /* the host could not read: reader->error */
};

struct record_reader {
	FILE *from;
	enum record_problem problem;
	const char *text;        /* what is wrong */
	int error;
	uint64_t offset;         /* bytes, of the item read last */
	struct um_config config; /* ops, user: none */
	bool ended;              /* the end has been read: */
	uint64_t stats[RECORD_STATS];
	unsigned stats_count;
	/* The rest is the reader's own. */
	uint64_t last[16]; /* what differences are to */
	uint64_t consumed;
	size_t at, have;
	uint8_t buf[65536];
};

/* Begin: reads the header.  false: reader->problem. */
bool record_open(struct record_reader *reader, FILE *from);
/* The next item.  false: there is none, or reader->problem.  Bounded, whatever the file holds. */
bool record_next(struct record_reader *reader, struct record_item *item);

/* ---- 4. Replaying --------------------------------------------------------------------------- */

enum replay_end {
	REPLAY_SAME,    /* every result and the end state */
	REPLAY_DIFFERS,
	REPLAY_CUT,     /* the same as far as it goes, but the end is missing */
	REPLAY_BAD,     /* damaged */
	REPLAY_HOST,    /* memory, or reading */
};

struct replay {
	enum replay_end end;
	char text[400];      /* anything but REPLAY_SAME: what and where, one line */
	uint64_t operations; /* calls made */
	uint64_t bytes;      /* of the recording */
	uint64_t count[RECORD_KINDS]; /* items of each kind */
	struct um_config config;
	struct um_stats stats; /* at the end */
};

/* Make every call of the recording, from its first byte, on a core of its own. */
void replay_run(FILE *from, struct replay *replay);

#endif
