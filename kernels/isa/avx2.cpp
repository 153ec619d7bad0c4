// The vectors of AVX2 with FMA and F16C: 8 floats or 4 doubles.
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

ROIALIGN_TARGET_BEGIN("avx2,fma,f16c")
namespace roialign {
namespace avx2 {

// A load that starts 8 - count words in has all ones in its first count lanes.
alignas(32) const int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

struct Stream {
  // Writes one cache line past the caches; to must be its beginning. After the last line fence() must be called.
  template <class T>
  static void stream(T* to, const T* from) {
    const auto* words = reinterpret_cast<const __m256i*>(from);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), _mm256_loadu_si256(words));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + 1, _mm256_loadu_si256(words + 1));
  }
  static void fence() { _mm_sfence(); }
};

struct F32 : Stream {
  using Scalar = float;
  using Reg = __m256;
  static constexpr int kLanes = 8;
  static constexpr bool kMasks = false;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg lowest() { return _mm256_set1_ps(-std::numeric_limits<float>::infinity()); }
  static Reg broadcast(float value) { return _mm256_set1_ps(value); }
  static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static bool all_finite(Reg a) {
    return _mm256_movemask_ps(_mm256_cmp_ps(_mm256_sub_ps(a, a), zero(), _CMP_NEQ_UQ)) == 0;
  }
  static Reg keep(Reg a, const float* mask) { return _mm256_and_ps(a, _mm256_loadu_ps(mask)); }

  static __m256i first(int count) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + 8 - count)); }
  static Reg load(const float* from) { return _mm256_loadu_ps(from); }
  static Reg load(const Half* from) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))); }
  static Reg load(const BFloat16* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static Reg load_first(const float* from, int count) { return _mm256_maskload_ps(from, first(count)); }
  static __m128 load_half(const float* from) { return _mm_loadu_ps(from); }
  static __m128 load_half(const Half* from) {
    return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  static __m128 load_half(const BFloat16* from) {
    const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(bits), 16));
  }
  template <class T>
  static Reg load_first(const T* from, int count) {
    T lanes[kLanes] = {};
    for (int l = 0; l < count; ++l) lanes[l] = from[l];
    return load(lanes);
  }

  static void store(float* to, Reg a) { _mm256_storeu_ps(to, a); }
  static void store(Half* to, Reg a) {
    const __m128i half = _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), half);
  }
  static void store(BFloat16* to, Reg a) {
    const __m256i words = _mm256_srli_epi32(rounded(a), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
  }
  static void store_first(float* to, Reg a, int count) { _mm256_maskstore_ps(to, first(count), a); }
  template <class T>
  static void store_first(T* to, Reg a, int count) {
    T lanes[kLanes];
    store(lanes, a);
    for (int l = 0; l < count; ++l) to[l] = lanes[l];
  }

  static __m256i load_index(const int32_t* index) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  }
  static Reg gather(const float* row, const int32_t* index) {
    const __m256i at = load_index(index);
    const __m256i wanted = _mm256_cmpgt_epi32(at, _mm256_set1_epi32(-1));
    return _mm256_mask_i32gather_ps(zero(), row, at, _mm256_castsi256_ps(wanted), 4);
  }
  template <class T>
  static Reg gather(const T* row, const int32_t* index) {
    alignas(32) float lanes[kLanes];
    for (int l = 0; l < kLanes; ++l) lanes[l] = index[l] < 0 ? 0.0f : to_compute(row[index[l]]);
    return _mm256_load_ps(lanes);
  }

  // Halves are joined as they are loaded, since an insertion from memory needs none of the CPU's few shuffle units.
  template <class From, class To>
  static void transpose(const From* from, int64_t stride, To* to, int64_t to_stride) {
    Reg a[8];
    for (int i = 0; i < 4; ++i) {
      for (int h = 0; h < 2; ++h) {
        const Reg low = _mm256_castps128_ps256(load_half(from + i * stride + 4 * h));
        a[4 * h + i] = _mm256_insertf128_ps(low, load_half(from + (i + 4) * stride + 4 * h), 1);
      }
    }
    for (int h = 0; h < 8; h += 4) {
      turn_fours(a + h);
      for (int i = h; i < h + 4; ++i) store(to + i * to_stride, a[i]);
    }
  }

  // Two neighbours are transposed as one word and separated afterwards, which takes a third of the shuffles.
  static void transpose(const BFloat16* from, int64_t stride, float* to, int64_t to_stride) {
    Reg a[4];
    for (int i = 0; i < 4; ++i) {
      const Reg low = _mm256_castps128_ps256(load_words(from + i * stride));
      a[i] = _mm256_insertf128_ps(low, load_words(from + (i + 4) * stride), 1);
    }
    turn_fours(a);
    for (int i = 0; i < 4; ++i) {
      const __m256i bits = _mm256_castps_si256(a[i]);
      store(to + 2 * i * to_stride, _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)));
      store(to + (2 * i + 1) * to_stride, _mm256_and_ps(a[i], _mm256_castsi256_ps(_mm256_set1_epi32(~0xffff))));
    }
  }
  static void transpose(const float* from, int64_t stride, BFloat16* to, int64_t to_stride) {
    Reg a[4];
    for (int i = 0; i < 4; ++i) {
      const Reg even = load(from + 2 * i * stride), odd = load(from + (2 * i + 1) * stride);
      a[i] = _mm256_castsi256_ps(_mm256_blend_epi16(_mm256_srli_epi32(rounded(even), 16), rounded(odd), 0xaa));
    }
    turn_fours(a);
    for (int i = 0; i < 4; ++i) {
      _mm_storeu_ps(reinterpret_cast<float*>(to + i * to_stride), _mm256_castps256_ps128(a[i]));
      _mm_storeu_ps(reinterpret_cast<float*>(to + (4 + i) * to_stride), _mm256_extractf128_ps(a[i], 1));
    }
  }

 private:
  // Transposes four vectors within each 128-bit half: word j of vector i becomes word i of vector j.
  static void turn_fours(Reg* a) {
    const Reg low01 = _mm256_unpacklo_ps(a[0], a[1]), high01 = _mm256_unpackhi_ps(a[0], a[1]);
    const Reg low23 = _mm256_unpacklo_ps(a[2], a[3]), high23 = _mm256_unpackhi_ps(a[2], a[3]);
    a[0] = _mm256_shuffle_ps(low01, low23, 0x44);
    a[1] = _mm256_shuffle_ps(low01, low23, 0xee);
    a[2] = _mm256_shuffle_ps(high01, high23, 0x44);
    a[3] = _mm256_shuffle_ps(high01, high23, 0xee);
  }
  static __m128 load_words(const BFloat16* from) { return _mm_loadu_ps(reinterpret_cast<const float*>(from)); }
  // Rounds to bfloat16, in the upper half of each word. No carry turns a NaN into an infinity: see from_compute().
  static __m256i rounded(Reg a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  }
};

struct F64 : Stream {
  using Scalar = double;
  using Reg = __m256d;
  static constexpr int kLanes = 4;
  static constexpr bool kMasks = false;

  static Reg zero() { return _mm256_setzero_pd(); }
  static Reg lowest() { return _mm256_set1_pd(-std::numeric_limits<double>::infinity()); }
  static Reg broadcast(double value) { return _mm256_set1_pd(value); }
  static Reg multiply(Reg a, Reg b) { return _mm256_mul_pd(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_pd(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm256_add_pd(a, b); }
  static Reg max(Reg a, Reg b) { return _mm256_max_pd(a, b); }
  static bool all_finite(Reg a) {
    return _mm256_movemask_pd(_mm256_cmp_pd(_mm256_sub_pd(a, a), zero(), _CMP_NEQ_UQ)) == 0;
  }
  static Reg keep(Reg a, const double* mask) { return _mm256_and_pd(a, _mm256_loadu_pd(mask)); }

  static __m256i first(int count) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirst + 8 - 2 * count));
  }
  static Reg load(const double* from) { return _mm256_loadu_pd(from); }
  static Reg load_first(const double* from, int count) { return _mm256_maskload_pd(from, first(count)); }
  static void store(double* to, Reg a) { _mm256_storeu_pd(to, a); }
  static void store_first(double* to, Reg a, int count) { _mm256_maskstore_pd(to, first(count), a); }

  static __m128i load_index(const int32_t* index) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(index)); }
  static Reg gather(const double* row, const int32_t* index) {
    const __m128i at = load_index(index);
    const __m256i wanted = _mm256_cvtepi32_epi64(_mm_cmpgt_epi32(at, _mm_set1_epi32(-1)));
    return _mm256_mask_i32gather_pd(zero(), row, at, _mm256_castsi256_pd(wanted), 8);
  }

  static void transpose(const double* from, int64_t stride, double* to, int64_t to_stride) {
    for (int h = 0; h < 4; h += 2) {
      Reg half[2];
      for (int i = 0; i < 2; ++i) {
        const Reg low = _mm256_castpd128_pd256(_mm_loadu_pd(from + i * stride + h));
        half[i] = _mm256_insertf128_pd(low, _mm_loadu_pd(from + (i + 2) * stride + h), 1);
      }
      _mm256_storeu_pd(to + h * to_stride, _mm256_unpacklo_pd(half[0], half[1]));
      _mm256_storeu_pd(to + (h + 1) * to_stride, _mm256_unpackhi_pd(half[0], half[1]));
    }
  }
};

#include "pool/pair.inl"
#include "pool/pool.inl"

constexpr VectorCosts costs32() {
  VectorCosts costs;
  costs.lanes = F32::kLanes;
  costs.tile_lanes = Pair<F32>::kLanes;
  costs.gathered_vector = 6;
  costs.columns_plane = 30;
  costs.swept_vector = 0.75;
  costs.tile_pixel = 0.064;
  costs.point = 0.3;
  return costs;
}
constexpr VectorCosts costs64() {
  VectorCosts costs;
  costs.lanes = F64::kLanes;
  costs.tile_lanes = Pair<F64>::kLanes;
  costs.gathered_vector = 4;
  costs.columns_plane = 30;
  costs.swept_vector = 0.75;
  costs.tile_pixel = 0.13;
  costs.point = 0.3;
  return costs;
}

}  // namespace avx2

constexpr Isa kAvx2 = {"avx2",
                       cpu_has_avx2,
                       avx2::costs32(),
                       avx2::costs64(),
                       avx2::pool<avx2::F32, avx2::Pair<avx2::F32>, float>,
                       avx2::pool<avx2::F32, avx2::Pair<avx2::F32>, Half>,
                       avx2::pool<avx2::F32, avx2::Pair<avx2::F32>, BFloat16>,
                       avx2::pool<avx2::F64, avx2::Pair<avx2::F64>, double>};

}  // namespace roialign
ROIALIGN_TARGET_END

#endif  // __x86_64__
