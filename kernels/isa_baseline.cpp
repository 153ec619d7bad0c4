// The baseline: 128-bit vectors in the compilers' own vector language, so SSE2 on x86-64 and whatever else has them.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "element.h"
#include "isas.h"

namespace roialign {
namespace baseline {

bool always() { return true; }

typedef float FloatVector __attribute__((vector_size(16)));
typedef double DoubleVector __attribute__((vector_size(16)));
typedef uint32_t WordVector __attribute__((vector_size(16)));
typedef int32_t IntVector __attribute__((vector_size(16)));
typedef uint16_t ShortVector __attribute__((vector_size(8)));

// What float and double have in common: S the scalar, R its vector, Self the one that is made of it.
template <class Self, class S, class R>
struct Common {
  using Scalar = S;
  using Reg = R;
  static constexpr int kLanes = sizeof(R) / sizeof(S);
  static constexpr bool kMasks = false;

  static R zero() { return R{}; }
  static R broadcast(S value) { return value - R{}; }
  static R lowest() { return broadcast(-std::numeric_limits<S>::infinity()); }
  static R multiply(R a, R b) { return a * b; }
  static R multiply_add(R a, R b, R c) { return a * b + c; }
  static R max(R a, R b) {
    const R larger = a > b ? a : b;
    return a == a ? larger : a;
  }
  static R keep(R a, const S* mask) {
    uint64_t bits[2], kept[2];
    std::memcpy(bits, &a, sizeof bits);
    std::memcpy(kept, mask, sizeof kept);
    bits[0] &= kept[0];
    bits[1] &= kept[1];
    std::memcpy(&a, bits, sizeof bits);
    return a;
  }

  static R load(const S* from) {
    R a;
    std::memcpy(&a, from, sizeof a);
    return a;
  }
  static R load_first(const S* from, int count) {
    R a{};
    for (int l = 0; l < count; ++l) a[l] = from[l];
    return a;
  }
  static void store(S* to, R a) { std::memcpy(to, &a, sizeof a); }
  static void store_first(S* to, R a, int count) {
    for (int l = 0; l < count; ++l) to[l] = a[l];
  }
  template <class T>
  static void stream(T* to, const T* from) {
#if defined(__SSE2__)
    for (int i = 0; i < 4; ++i) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(to) + i, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + i));
    }
#else
    std::memcpy(to, from, 64);
#endif
  }
  static void fence() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
  }
  // Element by element into vectors: compilers make the few shuffles of it that each machine has.
  template <class From, class To>
  static void transpose(const From* from, int64_t stride, To* to, int64_t to_stride) {
    R rows[kLanes];
    for (int i = 0; i < kLanes; ++i) rows[i] = Self::load(from + i * stride);
    if constexpr (kLanes == 4) {
      const R low01{rows[0][0], rows[1][0], rows[0][1], rows[1][1]},
          high01{rows[0][2], rows[1][2], rows[0][3], rows[1][3]};
      const R low23{rows[2][0], rows[3][0], rows[2][1], rows[3][1]},
          high23{rows[2][2], rows[3][2], rows[2][3], rows[3][3]};
      Self::store(to, R{low01[0], low01[1], low23[0], low23[1]});
      Self::store(to + to_stride, R{low01[2], low01[3], low23[2], low23[3]});
      Self::store(to + 2 * to_stride, R{high01[0], high01[1], high23[0], high23[1]});
      Self::store(to + 3 * to_stride, R{high01[2], high01[3], high23[2], high23[3]});
    } else {
      Self::store(to, R{rows[0][0], rows[1][0]});
      Self::store(to + to_stride, R{rows[0][1], rows[1][1]});
    }
  }
  template <class T>
  static R gather(const T* row, const int32_t* index) {
    R a{};
    for (int l = 0; l < kLanes; ++l) a[l] = index[l] < 0 ? S{0} : to_compute(row[index[l]]);
    return a;
  }
};

struct F32 : Common<F32, float, FloatVector> {
  using Base = Common<F32, float, FloatVector>;
  using Base::load;
  using Base::load_first;
  using Base::store;
  using Base::store_first;

  static Reg load(const BFloat16* from) {
    const WordVector bits = words(from) << 16;
    return as_float(bits);
  }
  static Reg load(const Half* from) {
    const WordVector bits = words(from);
    const WordVector magnitude = bits & 0x7fffu;
    // The multiplication by 2^112 moves the exponent's bias from 15 to 127, for subnormal halves too. Infinity and NaN
    // get the highest exponent besides.
    const WordVector finite = as_words(as_float(magnitude << 13) * 0x1p112f);
    const IntVector special = __builtin_convertvector(magnitude, IntVector) > 0x7bff;
    return as_float(finite | (__builtin_convertvector(special, WordVector) & 0x7f800000u) | (bits ^ magnitude) << 16);
  }
  template <class T>
  static Reg load_first(const T* from, int count) {
    Reg a{};
    for (int l = 0; l < count; ++l) a[l] = to_compute(from[l]);
    return a;
  }
  // from_compute of element.h on all lanes at once, where all are usual: to compute each way for all and take one took
  // 101 ms instead of 94 for c4_14x14_adaptive.
  static void store(Half* to, Reg a) {
    const WordVector bits = as_words(a);
    const WordVector magnitude = bits & 0x7fffffffu;
    const IntVector above_least = __builtin_convertvector(magnitude, IntVector) - 0x38800000;
    if (any((above_least < 0) | (above_least >= 0x477ff000 - 0x38800000))) return store_first(to, a, kLanes);
    store_words(to, ((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13) | (bits >> 16 & 0x8000u));
  }
  static void store(BFloat16* to, Reg a) {
    if (any(a != a)) return store_first(to, a, kLanes);
    const WordVector bits = as_words(a);
    store_words(to, (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  template <class T>
  static void store_first(T* to, Reg a, int count) {
    for (int l = 0; l < count; ++l) from_compute(a[l], to[l]);
  }

 private:
  template <class T>
  static WordVector words(const T* from) {
    ShortVector bits;
    std::memcpy(&bits, from, sizeof bits);
    return __builtin_convertvector(bits, WordVector);
  }
  template <class T>
  static void store_words(T* to, WordVector words) {
#if defined(__SSE2__)  // GCC 12 would take them apart one by one
    __m128i bits;
    std::memcpy(&bits, &words, sizeof bits);
    bits = _mm_srai_epi32(_mm_slli_epi32(bits, 16), 16);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(bits, bits));
#else
    const ShortVector bits = __builtin_convertvector(words, ShortVector);
    std::memcpy(to, &bits, sizeof bits);
#endif
  }
  static bool any(IntVector lanes) {
    uint64_t halves[2];
    std::memcpy(halves, &lanes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
  }
  static Reg as_float(WordVector bits) {
    Reg a;
    std::memcpy(&a, &bits, sizeof a);
    return a;
  }
  static WordVector as_words(Reg a) {
    WordVector bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
  }
};

struct F64 : Common<F64, double, DoubleVector> {};

#include "pool.inl"

}  // namespace baseline

const Isa kBaseline = {"baseline",
                       baseline::always,
                       {baseline::F32::kLanes, 4.0, 45.0, 0.66, 0.115, 0.3},
                       {baseline::F64::kLanes, 2.0, 45.0, 0.66, 0.23, 0.4},
                       baseline::pool<baseline::F32, float>,
                       baseline::pool<baseline::F32, Half>,
                       baseline::pool<baseline::F32, BFloat16>,
                       baseline::pool<baseline::F64, double>};

}  // namespace roialign
