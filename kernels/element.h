// The 16-bit element types and the conversions of single values; vectors are converted in the files of isa/.
#ifndef ONNX_ROIALIGN_ELEMENT_H_
#define ONNX_ROIALIGN_ELEMENT_H_

#include <cstdint>
#include <cstring>

#include "arithmetic.h"

namespace roialign {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

inline float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_from_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float to_compute(float value) { return value; }
inline double to_compute(double value) { return value; }
inline float to_compute(BFloat16 value) { return float_from_bits(uint32_t{value.bits} << 16); }
inline float to_compute(Half value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // The multiplication by 2^112 moves the exponent's bias from 15 to 127, for subnormal halves too.
  return float_from_bits(bits_from_float(float_from_bits(magnitude << 13) * 0x1p112f) | sign);
}

// Returns the larger of two values, and b where either is NaN.
template <class S>
inline S larger(S a, S b) {
  return a > b ? a : b;
}

template <class S>
inline bool is_finite(S a) {
  return a - a == 0;
}

inline void from_compute(float value, float& out) { out = value; }
inline void from_compute(double value, double& out) { out = value; }
// Rounds to nearest, ties to even. No carry turns a NaN into an infinity: a NaN in what is pooled comes from a bfloat16
// or from arithmetic, and the lower 16 bits of both are 0.
inline void from_compute(float value, BFloat16& out) {
  const uint32_t bits = bits_from_float(value);
  out.bits = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
inline void from_compute(float value, Half& out) {
  const uint32_t bits = bits_from_float(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520, the first that rounds to infinity
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14 the half is subnormal: the addition rounds it and leaves it in the low bits.
    half = bits_from_float(float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  out.bits = static_cast<uint16_t>(sign | half);
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ELEMENT_H_
