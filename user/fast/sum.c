/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sum.c - one's complement sums, and copies with a sum, 32 or 64 bytes at a time.
 *
 * A vector is taken as 32-bit words, each widened to 64 bits and added to a lane of its own:
 * no carry can leave a lane before 2^32 vectors. 2^32 is 1 in one's complement of 16 bits, so
 * all lanes together are the sum. What is left behind the last whole vector goes the plain way.
 */
#include "sum.h"

static uint64_t plain_copy(void *dst, const void *src, size_t len)
{
	return wire_copy_sum(dst, src, len);
}

static uint64_t plain_sum(const void *src, size_t len)
{
	return wire_sum(src, len);
}

static const struct sum_ops plain = { "plain", plain_copy, plain_sum };

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2	__attribute__((target("avx2")))
#define AVX512	__attribute__((target("avx512f,avx512bw")))

static uint64_t add_lanes(const uint64_t *lane, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum = wire_add(sum, lane[i]);
	return sum;
}

AVX2 static inline __m256i avx2_words(__m256i acc, __m256i v)
{
	const __m256i zero = _mm256_setzero_si256();

	return _mm256_add_epi64(acc, _mm256_add_epi64(_mm256_unpacklo_epi32(v, zero),
						      _mm256_unpackhi_epi32(v, zero)));
}

AVX2 static uint64_t avx2_copy(void *dst, const void *src, size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a;
	const uint8_t *s = src;
	uint64_t lane[4];
	uint8_t *d = dst;

	for (; len >= 64; len -= 64, s += 64, d += 64) {
		__m256i v = _mm256_loadu_si256((const void *)s);
		__m256i w = _mm256_loadu_si256((const void *)(s + 32));

		_mm256_storeu_si256((void *)d, v);
		_mm256_storeu_si256((void *)(d + 32), w);
		a = avx2_words(a, v);
		b = avx2_words(b, w);
	}
	_mm256_storeu_si256((void *)lane, _mm256_add_epi64(a, b));
	return wire_add(add_lanes(lane, 4), wire_copy_sum(d, s, len));
}

AVX2 static uint64_t avx2_sum(const void *src, size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a;
	const uint8_t *s = src;
	uint64_t lane[4];

	for (; len >= 64; len -= 64, s += 64) {
		a = avx2_words(a, _mm256_loadu_si256((const void *)s));
		b = avx2_words(b, _mm256_loadu_si256((const void *)(s + 32)));
	}
	_mm256_storeu_si256((void *)lane, _mm256_add_epi64(a, b));
	return wire_add(add_lanes(lane, 4), wire_sum(s, len));
}

static const struct sum_ops avx2 = { "avx2", avx2_copy, avx2_sum };

AVX512 static inline __m512i avx512_words(__m512i acc, __m512i v)
{
	const __m512i zero = _mm512_setzero_si512();

	return _mm512_add_epi64(acc, _mm512_add_epi64(_mm512_unpacklo_epi32(v, zero),
						      _mm512_unpackhi_epi32(v, zero)));
}

AVX512 static uint64_t avx512_copy(void *dst, const void *src, size_t len)
{
	__m512i a = _mm512_setzero_si512(), b = a;
	const uint8_t *s = src;
	uint64_t lane[8];
	uint8_t *d = dst;

	for (; len >= 128; len -= 128, s += 128, d += 128) {
		__m512i v = _mm512_loadu_si512(s), w = _mm512_loadu_si512(s + 64);

		_mm512_storeu_si512(d, v);
		_mm512_storeu_si512(d + 64, w);
		a = avx512_words(a, v);
		b = avx512_words(b, w);
	}
	_mm512_storeu_si512(lane, _mm512_add_epi64(a, b));
	return wire_add(add_lanes(lane, 8), wire_copy_sum(d, s, len));
}

AVX512 static uint64_t avx512_sum(const void *src, size_t len)
{
	__m512i a = _mm512_setzero_si512(), b = a;
	const uint8_t *s = src;
	uint64_t lane[8];

	for (; len >= 128; len -= 128, s += 128) {
		a = avx512_words(a, _mm512_loadu_si512(s));
		b = avx512_words(b, _mm512_loadu_si512(s + 64));
	}
	_mm512_storeu_si512(lane, _mm512_add_epi64(a, b));
	return wire_add(add_lanes(lane, 8), wire_sum(s, len));
}

static const struct sum_ops avx512 = { "avx512", avx512_copy, avx512_sum };

const struct sum_ops *sum_variant(uint32_t index)
{
	const struct sum_ops *have[3];
	uint32_t n = 0;

	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
		have[n++] = &avx512;
	if (__builtin_cpu_supports("avx2"))
		have[n++] = &avx2;
	have[n++] = &plain;
	return index < n ? have[index] : NULL;
}
#else
const struct sum_ops *sum_variant(uint32_t index)
{
	return index ? NULL : &plain;
}
#endif

const struct sum_ops *sum_ops = &plain;

void sum_init(void)
{
	sum_ops = sum_variant(0);
}
