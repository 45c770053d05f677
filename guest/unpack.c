/* SPDX-License-Identifier: MIT */
/*
 * guest/unpack.c - the compressed payload of a bzImage, unpacked by the host.
 *
 *   1. One function for each compression
 *   2. The table, unpack_payload
 *
 * The kernel's build appends the unpacked length, 32 bits little endian, to every compression but gzip,
 * whose own trailer ends with the same word: the last word of the payload is the length in every case.
 */
#include <stdlib.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "guest/internal.h"

/* ---- 1. One function for each compression --------------------------------------------------- */

/* Each unpacks in[] to exactly out_bytes bytes; false: damaged. */
typedef bool unpack_fn(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes);

static bool unpack_gzip(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	z_stream stream = { .next_in = (uint8_t *)(uintptr_t)in, .avail_in = (uInt)in_bytes,
		            .next_out = out, .avail_out = (uInt)out_bytes };
	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
		return false;
	int result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	return result == Z_STREAM_END && stream.total_out == out_bytes;
}

/* Dictionaries of distribution kernels are 32 MiB; a header that asks for more than this is damaged. */
#define LZMA_MEMORY (192u << 20)

static bool run_lzma(lzma_stream *stream, const uint8_t *in, size_t in_bytes, uint8_t *out,
                     size_t out_bytes)
{
	stream->next_in = in;
	stream->avail_in = in_bytes;
	stream->next_out = out;
	stream->avail_out = out_bytes;
	lzma_ret result = lzma_code(stream, LZMA_FINISH);
	/* Only the end of the stream says that its checksum was right; what follows it is the length. */
	bool fine = result == LZMA_STREAM_END && stream->avail_out == 0;
	lzma_end(stream);
	return fine;
}

static bool unpack_xz(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	return lzma_stream_decoder(&stream, LZMA_MEMORY, 0) == LZMA_OK &&
	       run_lzma(&stream, in, in_bytes, out, out_bytes);
}

static bool unpack_lzma(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	return lzma_alone_decoder(&stream, LZMA_MEMORY) == LZMA_OK &&
	       run_lzma(&stream, in, in_bytes, out, out_bytes);
}

static bool unpack_zstd(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	size_t frame = ZSTD_findFrameCompressedSize(in, in_bytes);
	if (ZSTD_isError(frame) || frame > in_bytes)
		return false;
	size_t got = ZSTD_decompress(out, out_bytes, in, frame);
	return !ZSTD_isError(got) && got == out_bytes;
}

/* The "legacy" frame: a magic number, then blocks of at most 8 MiB unpacked, each after its length. */
#define LZ4_BLOCK (8u << 20)

static bool unpack_lz4(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	size_t at = 4, done = 0;
	while (done < out_bytes) {
		if (!inside(at, 4, in_bytes))
			return false;
		uint32_t packed = get32(in + at);
		at += 4;
		if (!inside(at, packed, in_bytes) || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK))
			return false;
		size_t room = out_bytes - done < LZ4_BLOCK ? out_bytes - done : LZ4_BLOCK;
		int got = LZ4_decompress_safe((const char *)in + at, (char *)out + done, (int)packed,
		                              (int)room);
		if (got <= 0)
			return false;
		done += (size_t)got;
		at += packed;
	}
	return true;
}

/* ---- 2. The table --------------------------------------------------------------------------- */

/* bzip2 and lzo are left to the guest's own decompressor (unpack == NULL). */
static const struct {
	const char *name;
	uint8_t magic[6];
	uint8_t magic_bytes;
	unpack_fn *unpack;
} formats[] = {
	{ "gzip", { 0x1F, 0x8B }, 2, unpack_gzip },
	{ "xz", { 0xFD, '7', 'z', 'X', 'Z', 0 }, 6, unpack_xz },
	{ "zstd", { 0x28, 0xB5, 0x2F, 0xFD }, 4, unpack_zstd },
	{ "lz4", { 0x02, 0x21, 0x4C, 0x18 }, 4, unpack_lz4 },
	{ "lzma", { 0x5D, 0, 0 }, 3, unpack_lzma },
	{ "bzip2", { 'B', 'Z', 'h' }, 3, NULL },
	{ "lzo", { 0x89, 'L', 'Z', 'O' }, 4, NULL },
};

enum unpacked unpack_payload(const uint8_t *in, size_t in_bytes, uint64_t limit, uint8_t **out,
                             size_t *out_bytes, const char **format)
{
	*out = NULL;
	*format = "unknown";
	for (size_t k = 0; k < sizeof formats / sizeof formats[0]; k++) {
		if (in_bytes < 16 || memcmp(in, formats[k].magic, formats[k].magic_bytes) != 0)
			continue;
		*format = formats[k].name;
		if (!formats[k].unpack)
			return UNPACK_UNKNOWN;
		*out_bytes = get32(in + in_bytes - 4);
		/* The length is the file's word: bounded before memory is taken for it. */
		if (*out_bytes == 0 || *out_bytes > limit)
			return UNPACK_CORRUPT;
		*out = malloc(*out_bytes);
		if (!*out)
			return UNPACK_NO_MEMORY;
		if (formats[k].unpack(in, in_bytes, *out, *out_bytes))
			return UNPACKED;
		free(*out);
		*out = NULL;
		return UNPACK_CORRUPT;
	}
	return UNPACK_UNKNOWN;
}
