// The vectors of AVX-512 (F, BW, DQ, VL): 16 floats or 8 doubles, with masked tails.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "element.h"
#include "isa/isas.h"
#include "isa/target.h"

ROIALIGN_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
namespace roialign {
namespace avx512 {

struct Stream {
  // Writes one cache line past the caches; to must be its beginning. After the last line fence() must be called.
  template <class T>
  static void stream(T* to, const T* from) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
  }
  static void fence() { _mm_sfence(); }
};

// The classes of vfpclass that are not finite: quiet NaN, +infinity, -infinity, signalling NaN.
constexpr int kInfiniteOrNaN = 0x99;

struct F32 : Stream {
  using Scalar = float;
  using Reg = __m512;
  static constexpr int kLanes = 16;
  static constexpr bool kMasks = true;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg lowest() { return _mm512_set1_ps(-std::numeric_limits<float>::infinity()); }
  static Reg broadcast(float value) { return _mm512_set1_ps(value); }
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static bool all_finite(Reg a) { return _mm512_fpclass_ps_mask(a, kInfiniteOrNaN) == 0; }
  static Reg keep(Reg a, const float* mask) { return _mm512_and_ps(a, _mm512_loadu_ps(mask)); }

  static __mmask16 first(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
  static Reg load(const float* from) { return _mm512_loadu_ps(from); }
  static Reg load(const Half* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Reg load(const BFloat16* from) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))); }
  static Reg load_first(const float* from, int count) { return _mm512_maskz_loadu_ps(first(count), from); }
  static Reg load_first(const Half* from, int count) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(count), from));
  }
  static Reg load_first(const BFloat16* from, int count) { return widen(_mm256_maskz_loadu_epi16(first(count), from)); }

  static void store(float* to, Reg a) { _mm512_storeu_ps(to, a); }
  static void store(Half* to, Reg a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow_half(a)); }
  static void store(BFloat16* to, Reg a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow_bfloat16(a)); }
  static void store_first(float* to, Reg a, int count) { _mm512_mask_storeu_ps(to, first(count), a); }
  static void store_first(Half* to, Reg a, int count) { _mm256_mask_storeu_epi16(to, first(count), narrow_half(a)); }
  static void store_first(BFloat16* to, Reg a, int count) {
    _mm256_mask_storeu_epi16(to, first(count), narrow_bfloat16(a));
  }

  static __m512i load_index(const int32_t* index) { return _mm512_loadu_si512(index); }
  static Reg gather(const float* row, const int32_t* index) {
    const __m512i at = load_index(index);
    return _mm512_mask_i32gather_ps(zero(), static_cast<__mmask16>(~_mm512_movepi32_mask(at)), at, row, 4);
  }
  template <class T>
  static Reg gather(const T* row, const int32_t* index) {
    alignas(64) float lanes[kLanes];
    for (int l = 0; l < kLanes; ++l) lanes[l] = index[l] < 0 ? 0.0f : to_compute(row[index[l]]);
    return _mm512_load_ps(lanes);
  }

  // Transposes in four passes, which swap the off-diagonal halves of blocks of 1, 2, 4 and 8 lanes.
  template <class From, class To>
  static void transpose(const From* from, int64_t stride, To* to, int64_t to_stride) {
    Reg a[16], b[16];
    for (int i = 0; i < 16; ++i) a[i] = load(from + i * stride);
    for (int i = 0; i < 16; i += 4) turn_fours(a + i);
    for (int i = 0; i < 4; ++i) {
      for (int h = 0; h < 16; h += 8) {
        b[h + i] = _mm512_shuffle_f32x4(a[h + i], a[h + 4 + i], 0x88);
        b[h + 4 + i] = _mm512_shuffle_f32x4(a[h + i], a[h + 4 + i], 0xdd);
      }
    }
    for (int i = 0; i < 8; ++i) {
      store(to + i * to_stride, _mm512_shuffle_f32x4(b[i], b[8 + i], 0x88));
      store(to + (8 + i) * to_stride, _mm512_shuffle_f32x4(b[i], b[8 + i], 0xdd));
    }
  }

  // Two neighbours are transposed as one word and separated afterwards: 24 shuffles instead of 80.
  static void transpose(const BFloat16* from, int64_t stride, float* to, int64_t to_stride) {
    Reg a[8];  // row i beside row i + 4, for i of 0 to 3 and of 8 to 11
    for (int i = 0; i < 8; ++i) {
      const BFloat16* const row = from + (i < 4 ? i : 4 + i) * stride;
      a[i] = _mm512_castsi512_ps(
          _mm512_inserti64x4(_mm512_castsi256_si512(load_words(row)), load_words(row + 4 * stride), 1));
    }
    turn_fours(a);
    turn_fours(a + 4);
    const auto part = [&](Reg words, int i) {
      const __m512i bits = _mm512_castps_si512(words);
      store(to + 2 * i * to_stride, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
      store(to + (2 * i + 1) * to_stride, _mm512_and_ps(words, _mm512_castsi512_ps(_mm512_set1_epi32(~0xffff))));
    };
    for (int i = 0; i < 4; ++i) {
      part(_mm512_shuffle_f32x4(a[i], a[4 + i], 0x88), i);
      part(_mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd), 4 + i);
    }
  }
  static void transpose(const float* from, int64_t stride, BFloat16* to, int64_t to_stride) {
    Reg a[8];
    for (int i = 0; i < 8; ++i) {
      const Reg even = load(from + 2 * i * stride), odd = load(from + (2 * i + 1) * stride);
      const __m512i low = _mm512_srli_epi32(rounded(even), 16);
      a[i] = _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaa, low, rounded(odd)));
    }
    turn_fours(a);
    turn_fours(a + 4);
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int i = 0; i < 4; ++i) {
      const __m512i low = _mm512_castps_si512(a[i]), high = _mm512_castps_si512(a[4 + i]);
      store_words(to + i * to_stride, to + (4 + i) * to_stride, _mm512_permutex2var_epi64(low, first, high));
      store_words(to + (8 + i) * to_stride, to + (12 + i) * to_stride, _mm512_permutex2var_epi64(low, second, high));
    }
  }

 private:
  // Transposes four vectors within each 128-bit quarter: word j of vector i becomes word i of vector j.
  static void turn_fours(Reg* a) {
    const Reg low01 = _mm512_unpacklo_ps(a[0], a[1]), high01 = _mm512_unpackhi_ps(a[0], a[1]);
    const Reg low23 = _mm512_unpacklo_ps(a[2], a[3]), high23 = _mm512_unpackhi_ps(a[2], a[3]);
    a[0] = _mm512_shuffle_ps(low01, low23, 0x44);
    a[1] = _mm512_shuffle_ps(low01, low23, 0xee);
    a[2] = _mm512_shuffle_ps(high01, high23, 0x44);
    a[3] = _mm512_shuffle_ps(high01, high23, 0xee);
  }
  static __m256i load_words(const BFloat16* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void store_words(BFloat16* first, BFloat16* second, __m512i words) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm512_castsi512_si256(words));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second), _mm512_extracti64x4_epi64(words, 1));
  }

  static Reg widen(__m256i bits) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); }
  static __m256i narrow_half(Reg a) { return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // Rounds to bfloat16, in the upper half of each word. No carry turns a NaN into an infinity: see from_compute().
  static __m512i rounded(Reg a) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  }
  static __m256i narrow_bfloat16(Reg a) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(a), 16)); }
};

struct F64 : Stream {
  using Scalar = double;
  using Reg = __m512d;
  static constexpr int kLanes = 8;
  static constexpr bool kMasks = true;

  static Reg zero() { return _mm512_setzero_pd(); }
  static Reg lowest() { return _mm512_set1_pd(-std::numeric_limits<double>::infinity()); }
  static Reg broadcast(double value) { return _mm512_set1_pd(value); }
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_pd(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_pd(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm512_add_pd(a, b); }
  static Reg max(Reg a, Reg b) { return _mm512_max_pd(a, b); }
  static bool all_finite(Reg a) { return _mm512_fpclass_pd_mask(a, kInfiniteOrNaN) == 0; }
  static Reg keep(Reg a, const double* mask) { return _mm512_and_pd(a, _mm512_loadu_pd(mask)); }

  static __mmask8 first(int count) { return static_cast<__mmask8>((1u << count) - 1u); }
  static Reg load(const double* from) { return _mm512_loadu_pd(from); }
  static Reg load_first(const double* from, int count) { return _mm512_maskz_loadu_pd(first(count), from); }
  static void store(double* to, Reg a) { _mm512_storeu_pd(to, a); }
  static void store_first(double* to, Reg a, int count) { _mm512_mask_storeu_pd(to, first(count), a); }

  static __m256i load_index32(const int32_t* index) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  }
  static Reg gather(const double* row, const int32_t* index) {
    const __m256i at = load_index32(index);
    return _mm512_mask_i32gather_pd(zero(), static_cast<__mmask8>(~_mm256_movepi32_mask(at)), at, row, 8);
  }

  static void transpose(const double* from, int64_t stride, double* to, int64_t to_stride) {
    Reg a[8], b[8];
    for (int i = 0; i < 8; ++i) a[i] = load(from + i * stride);
    for (int i = 0; i < 8; i += 2) {
      b[i] = _mm512_unpacklo_pd(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_pd(a[i], a[i + 1]);
    }
    for (int h = 0; h < 8; h += 4) {
      for (int i = 0; i < 2; ++i) {
        a[h + i] = _mm512_shuffle_f64x2(b[h + i], b[h + 2 + i], 0x88);
        a[h + 2 + i] = _mm512_shuffle_f64x2(b[h + i], b[h + 2 + i], 0xdd);
      }
    }
    for (int i = 0; i < 4; ++i) {
      store(to + i * to_stride, _mm512_shuffle_f64x2(a[i], a[4 + i], 0x88));
      store(to + (4 + i) * to_stride, _mm512_shuffle_f64x2(a[i], a[4 + i], 0xdd));
    }
  }
};

#include "pool/pool.inl"

constexpr VectorCosts costs32() {
  VectorCosts costs;
  costs.lanes = F32::kLanes;
  costs.tile_lanes = F32::kLanes;
  costs.gathered_vector = 10;
  costs.columns_plane = 60;
  costs.swept_vector = 1.2;
  costs.tile_pixel = 0.05;
  costs.point = 0.3;
  return costs;
}
constexpr VectorCosts costs64() {
  VectorCosts costs;
  costs.lanes = F64::kLanes;
  costs.tile_lanes = F64::kLanes;
  costs.gathered_vector = 6;
  costs.columns_plane = 60;
  costs.swept_vector = 1.2;
  costs.tile_pixel = 0.1;
  costs.point = 0.3;
  return costs;
}

}  // namespace avx512

constexpr Isa kAvx512 = {"avx512",
                         cpu_has_avx512,
                         avx512::costs32(),
                         avx512::costs64(),
                         avx512::pool<avx512::F32, avx512::F32, float>,
                         avx512::pool<avx512::F32, avx512::F32, Half>,
                         avx512::pool<avx512::F32, avx512::F32, BFloat16>,
                         avx512::pool<avx512::F64, avx512::F64, double>};

}  // namespace roialign
ROIALIGN_TARGET_END

#endif  // __x86_64__
