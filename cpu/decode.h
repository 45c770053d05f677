/* SPDX-License-Identifier: MIT */
/*
 * cpu/decode.h - from bytes to struct insn, with Zydis' help.
 */
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include <Zydis/Zydis.h>

#include "cpu/internal.h"

#define INSN_BYTES_MAX 15u

/* An instruction as select_*() sees it. */
struct decoded {
	ZydisDecodedInstruction z;
	uint8_t bytes[INSN_BYTES_MAX];
	uint8_t mode;       /* MODE_* */
	uint32_t options;   /* enum cpu_opt */
	bool two_byte;      /* opcode map 0F (or 0F 38, 0F 3A) */
};

struct decoder {
	ZydisDecoder code16, code32;
};
void decoder_init(struct decoder *decoder);

enum decode_result {
	DECODE_OK,       /* *insn is complete; an undefined opcode has the handler that says so */
	DECODE_MORE,     /* the bytes do not hold a whole instruction */
};
/* Decode what begins at bytes[0].  `avail`: readable bytes (more than 15 do no harm). */
enum decode_result decode(const struct decoder *decoder, const uint8_t *bytes, unsigned avail, unsigned mode,
                          uint32_t options, struct insn *insn);

insn_fn op_too_long; /* #GP(0): more than 15 bytes */

#endif
