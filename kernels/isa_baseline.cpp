// The baseline: 128-bit vectors in the compilers' own vector language, so SSE2 on x86-64 and whatever else has them.
#include <cstring>
#include <limits>

#include "element.h"
#include "isas.h"

namespace roialign {
namespace baseline {

bool always() { return true; }

typedef float FloatVector __attribute__((vector_size(16)));
typedef double DoubleVector __attribute__((vector_size(16)));
typedef uint32_t WordVector __attribute__((vector_size(16)));
typedef uint16_t ShortVector __attribute__((vector_size(8)));

// What float and double have in common: S the scalar, R its vector.
template <class S, class R>
struct Common {
  using Scalar = S;
  using Reg = R;
  static constexpr int kLanes = sizeof(R) / sizeof(S);
  static constexpr bool kMasks = false;
  static constexpr int kLookupRegisters = 0;

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
  static R pick(const S* row, const int32_t* index) {
    if constexpr (kLanes == 4) {
      return R{row[index[0]], row[index[1]], row[index[2]], row[index[3]]};
    } else {
      return R{row[index[0]], row[index[1]]};
    }
  }
  template <class T>
  static R gather(const T* row, const int32_t* index) {
    R a{};
    for (int l = 0; l < kLanes; ++l) a[l] = index[l] < 0 ? S{0} : to_compute(row[index[l]]);
    return a;
  }
};

struct F32 : Common<float, FloatVector> {
  using Base = Common<float, FloatVector>;
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
    const WordVector magnitude = (bits & 0x7fffu) << 13;
    // The multiplication by 2^112 moves the exponent's bias from 15 to 127, for subnormal halves too.
    const WordVector finite = as_words(as_float(magnitude) * 0x1p112f);
    const WordVector special = (bits & 0x7c00u) == 0x7c00u;
    return as_float((special & (magnitude | 0x7f800000u)) | (~special & finite) | (bits & 0x8000u) << 16);
  }
  template <class T>
  static Reg load_first(const T* from, int count) {
    Reg a{};
    for (int l = 0; l < count; ++l) a[l] = to_compute(from[l]);
    return a;
  }
  template <class T>
  static void store(T* to, Reg a) {
    store_first(to, a, kLanes);
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

using F64 = Common<double, DoubleVector>;

#include "pool.inl"

}  // namespace baseline

const Isa kBaseline = {"baseline",
                       baseline::always,
                       {baseline::F32::kLanes, 4.0},
                       {baseline::F64::kLanes, 2.0},
                       baseline::pool<baseline::F32, float>,
                       baseline::pool<baseline::F32, Half>,
                       baseline::pool<baseline::F32, BFloat16>,
                       baseline::pool<baseline::F64, double>};

}  // namespace roialign
