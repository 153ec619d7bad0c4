// The baseline: 128-bit vectors in the vector extension of GCC and Clang, so SSE2 on x86-64, and any other CPU's own.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "element.h"
#include "isa/isas.h"

namespace roialign {
namespace baseline {

bool always() { return true; }

typedef float FloatVector __attribute__((vector_size(16)));
typedef double DoubleVector __attribute__((vector_size(16)));
typedef uint32_t WordVector __attribute__((vector_size(16)));
typedef int32_t IntVector __attribute__((vector_size(16)));
typedef int16_t ShortVector __attribute__((vector_size(16)));
typedef uint16_t UnsignedShortVector __attribute__((vector_size(16)));  // unsigned, so that sums wrap around
typedef uint16_t HalfVector __attribute__((vector_size(8)));

// GCC 12 compiles a > b ? a : b to a comparison and a selection, with which the max over corners takes 1.08 to 1.17
// times as long.
#if defined(__SSE2__)
inline FloatVector larger_of(FloatVector a, FloatVector b) { return _mm_max_ps(a, b); }
inline DoubleVector larger_of(DoubleVector a, DoubleVector b) { return _mm_max_pd(a, b); }
#else
template <class R>
inline R larger_of(R a, R b) {
  return a > b ? a : b;
}
#endif

// What float and double share. S is the scalar, R its vector, Self the class that derives from this one.
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
  static R add(R a, R b) { return a + b; }
  static R max(R a, R b) { return larger_of(a, b); }
  static bool all_finite(R a) {
    const auto special = a - a != R{};  // all ones in each lane that is infinite or NaN
    uint64_t halves[2];
    std::memcpy(halves, &special, sizeof halves);
    return (halves[0] | halves[1]) == 0;
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
  // Vectors are built element by element; compilers turn that into the few shuffles that each CPU has.
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
  using Base::transpose;

  static Reg load(const BFloat16* from) {
    const WordVector bits = words(from) << 16;
    return as_float(bits);
  }
  static Reg load(const Half* from) {
    const WordVector bits = words(from);
    const WordVector magnitude = bits & 0x7fffu;
    // The multiplication by 2^112 moves the exponent's bias from 15 to 127, for subnormal halves too. Infinity and NaN
    // also get the highest exponent.
    const WordVector finite = as_words(as_float(magnitude << 13) * 0x1p112f);
    const IntVector special = reinterpret_cast<IntVector>(magnitude) > 0x7bff;
    return as_float(finite | (as_words(special) & 0x7f800000u) | (bits ^ magnitude) << 16);
  }
  template <class T>
  static Reg load_first(const T* from, int count) {
    Reg a{};
    for (int l = 0; l < count; ++l) a[l] = to_compute(from[l]);
    return a;
  }
  static void store(Half* to, Reg a) { store_rounded(to, a); }
  static void store(BFloat16* to, Reg a) { store_rounded(to, a); }
  template <class T>
  static void store_first(T* to, Reg a, int count) {
    for (int l = 0; l < count; ++l) from_compute(a[l], to[l]);
  }

  static void transpose(const Half* from, int64_t stride, float* to, int64_t to_stride) {
    turn_pairs(from, stride, to, to_stride);
  }
  static void transpose(const BFloat16* from, int64_t stride, float* to, int64_t to_stride) {
    turn_pairs(from, stride, to, to_stride);
  }
  static void transpose(const float* from, int64_t stride, Half* to, int64_t to_stride) {
    turn_into_pairs(from, stride, to, to_stride);
  }
  static void transpose(const float* from, int64_t stride, BFloat16* to, int64_t to_stride) {
    turn_into_pairs(from, stride, to, to_stride);
  }

 private:
  // Two neighbours of 16 bits are transposed as one word, the first of them in its lower half, and separated
  // afterwards, which takes no more shuffles than float does.
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  template <class T>
  static void turn_pairs(const T* from, int64_t stride, float* to, int64_t to_stride) {
    WordVector rows[kLanes] = {};
    for (int i = 0; i < kLanes; ++i) std::memcpy(&rows[i], from + i * stride, kLanes * sizeof(T));
    const WordVector left{rows[0][0], rows[1][0], rows[2][0], rows[3][0]};
    const WordVector right{rows[0][1], rows[1][1], rows[2][1], rows[3][1]};
    if (any_special(T{}, left, right)) return transpose<T, float>(from, stride, to, to_stride);
    store(to, widened(T{}, left << 16));
    store(to + to_stride, widened(T{}, left));
    store(to + 2 * to_stride, widened(T{}, right << 16));
    store(to + 3 * to_stride, widened(T{}, right));
  }
  template <class T>
  static void turn_into_pairs(const float* from, int64_t stride, T* to, int64_t to_stride) {
    WordVector seen{};
    const WordVector left = joined(T{}, load(from), load(from + stride), seen);
    const WordVector right = joined(T{}, load(from + 2 * stride), load(from + 3 * stride), seen);
    if (any_special(T{}, seen)) return transpose<float, T>(from, stride, to, to_stride);
    store_two(WordVector{left[0], right[0], left[1], right[1]}, to, to + to_stride);
    store_two(WordVector{left[2], right[2], left[3], right[3]}, to + 2 * to_stride, to + 3 * to_stride);
  }
  template <class T>
  static void store_two(WordVector words, T* first, T* second) {
    typedef uint64_t Halves __attribute__((vector_size(16)));
    const Halves halves = reinterpret_cast<Halves>(words);
    const uint64_t low = halves[0], high = halves[1];
    std::memcpy(first, &low, sizeof low);
    std::memcpy(second, &high, sizeof high);
  }

  // Widens the value in the upper half of each word and ignores the lower half.
  static Reg widened(BFloat16, WordVector words) { return as_float(words & 0xffff0000u); }
  // The shift keeps the sign in its place, and the multiplication by 2^112 moves the exponent's bias from 15 to 127.
  static Reg widened(Half, WordVector words) {
    const IntVector shifted = reinterpret_cast<IntVector>(words) >> 3;
    return as_float(as_words(shifted) & 0x8fffe000u) * 0x1p112f;
  }
  // Returns whether some value is an infinity or a NaN, which widened() does not handle.
  static bool any_special(BFloat16, WordVector, WordVector) { return false; }
  static bool any_special(Half, WordVector left, WordVector right) {
    const ShortVector first = as_shorts(left) & 0x7c00, second = as_shorts(right) & 0x7c00;
    return any(reinterpret_cast<IntVector>((first == 0x7c00) | (second == 0x7c00)));
  }

  // Rounds to the nearest value of the type, ties to even, in the upper half of each word. seen notes what
  // any_special() tells later: whether some lane must be rounded by itself.
  static WordVector rounded(BFloat16, Reg a, WordVector&) {
    const WordVector bits = as_words(a);
    return bits + 0x7fffu + (bits >> 16 & 1u);  // no carry turns a NaN into an infinity: see from_compute()
  }
  static WordVector rounded(Half type, Reg a, WordVector& seen) { return joined(type, a, Reg{}, seen) << 16; }
  static bool any_special(BFloat16, WordVector) { return false; }
  // Returns whether a value is 2^16 or more. A smaller one that rounds to 2^16 has become infinity by the rounding.
  static bool any_special(Half, WordVector seen) {
    return any(reinterpret_cast<IntVector>(as_shorts(seen) >= ((143 - kLeast) << 7)));
  }

  // Rounds two vectors and joins them, the values of the second in the upper half of each word.
  static WordVector joined(BFloat16 type, Reg first, Reg second, WordVector& seen) {
    return rounded(type, first, seen) >> 16 | (rounded(type, second, seen) & 0xffff0000u);
  }
  // To each value is added a power of two whose last place is that of the half, so that the addition rounds. The last
  // place of a subnormal half is 2^-24, as that of 2^-14 is. The lowest 16 bits of the sum are the mantissa with its
  // leading 1; the exponent, counted from that of 2^-14, is added to them.
  static WordVector joined(Half, Reg first, Reg second, WordVector& seen) {
    const WordVector upper = as_words(first) >> 16 | (as_words(second) & 0xffff0000u);
    const WordVector above = difference_or_0(upper & 0x7f807f80u, kLeast << 7);
    seen = larger_shorts(seen, above);
    const UnsignedShortVector power = as_unsigned(above) + ((kLeast + 13) << 7);
    const WordVector low = as_words(magnitude(first) + as_float(as_words(power) << 16));
    const WordVector high = as_words(magnitude(second) + as_float(as_words(power) & 0xffff0000u));
    const WordVector sum = (low & 0xffffu) | high << 16;
    return as_words(as_unsigned(sum) + (as_unsigned(above) << 3)) | (upper & 0x80008000u);
  }
  static constexpr int16_t kLeast = 113;  // the exponent of 2^-14, the least normal half
  template <class T>
  static void store_rounded(T* to, Reg a) {
    WordVector seen{};
    const WordVector bits = rounded(T{}, a, seen);
    if (any_special(T{}, seen)) return store_first(to, a, kLanes);
    store_upper(to, bits);
  }
  template <class T>
  static WordVector words(const T* from) {
    HalfVector bits;
    std::memcpy(&bits, from, sizeof bits);
    return __builtin_convertvector(bits, WordVector);
  }
  template <class T>
  static void store_upper(T* to, WordVector words) {
#if defined(__SSE2__)  // GCC 12 would otherwise convert them one by one
    const __m128i bits = _mm_srai_epi32(reinterpret_cast<__m128i>(words), 16);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(bits, bits));
#else
    const HalfVector bits = __builtin_convertvector(words >> 16, HalfVector);
    std::memcpy(to, &bits, sizeof bits);
#endif
  }
  static bool any(IntVector lanes) {
#if defined(__SSE2__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(lanes)) != 0;
#else
    uint64_t halves[2];
    std::memcpy(halves, &lanes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
#endif
  }
  static Reg as_float(WordVector bits) { return reinterpret_cast<Reg>(bits); }
  static Reg magnitude(Reg a) { return as_float(as_words(a) & 0x7fffffffu); }
  // Returns a - b, or 0 where that is negative, of each 16 bits without sign.
  static WordVector difference_or_0(WordVector a, int16_t b) {
    const ShortVector bs = ShortVector{} + b;
#if defined(__SSE2__)
    return as_words(_mm_subs_epu16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(bs)));
#else
    return larger_shorts(a, as_words(bs)) - as_words(bs);
#endif
  }
  static WordVector larger_shorts(WordVector a, WordVector b) {
#if defined(__SSE2__)  // GCC 12 would otherwise compare and select, in five instructions
    return as_words(_mm_max_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
    return as_words(as_shorts(a) > as_shorts(b) ? as_shorts(a) : as_shorts(b));
#endif
  }
  static ShortVector as_shorts(WordVector bits) { return reinterpret_cast<ShortVector>(bits); }
  static UnsignedShortVector as_unsigned(WordVector bits) { return reinterpret_cast<UnsignedShortVector>(bits); }
  template <class Vector>
  static WordVector as_words(Vector bits) {
    return reinterpret_cast<WordVector>(bits);
  }
};

struct TwoDoubles : Common<TwoDoubles, double, DoubleVector> {};

#include "pool/pair.inl"
#include "pool/pool.inl"

using F64 = Pair<TwoDoubles>;

constexpr VectorCosts costs32() {
  VectorCosts costs;
  costs.lanes = F32::kLanes;
  costs.tile_lanes = Pair<F32>::kLanes;
  costs.gathered_vector = 4;
  costs.columns_plane = 45;
  costs.swept_vector = 0.66;
  costs.tile_pixel = 0.1;
  costs.point = 0.3;
  return costs;
}
constexpr VectorCosts costs64() {
  VectorCosts costs;
  costs.lanes = F64::kLanes;
  costs.tile_lanes = F64::kLanes;
  costs.gathered_vector = 2;
  costs.columns_plane = 45;
  costs.swept_vector = 1.2;
  costs.tile_pixel = 0.2;
  costs.point = 0.4;
  return costs;
}

}  // namespace baseline

constexpr Isa kBaseline = {"baseline",
                           baseline::always,
                           baseline::costs32(),
                           baseline::costs64(),
                           baseline::pool<baseline::F32, baseline::Pair<baseline::F32>, float>,
                           baseline::pool<baseline::F32, baseline::Pair<baseline::F32>, Half>,
                           baseline::pool<baseline::F32, baseline::Pair<baseline::F32>, BFloat16>,
                           baseline::pool<baseline::F64, baseline::F64, double>};

}  // namespace roialign
