// The vectors of NEON, which every aarch64 has: 4 floats or 2 doubles.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "element.h"
#include "isa/isas.h"

namespace roialign {
namespace neon {

bool always() { return true; }

// Writes through the caches: no store past them is used here.
struct Stream {
  template <class T>
  static void stream(T* to, const T* from) {
    std::memcpy(to, from, 64);
  }
  static void fence() {}
};

struct F32 : Stream {
  using Scalar = float;
  using Reg = float32x4_t;
  static constexpr int kLanes = 4;
  static constexpr bool kMasks = false;

  static Reg zero() { return vdupq_n_f32(0); }
  static Reg lowest() { return vdupq_n_f32(-std::numeric_limits<float>::infinity()); }
  static Reg broadcast(float value) { return vdupq_n_f32(value); }
  static Reg multiply(Reg a, Reg b) { return vmulq_f32(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static Reg max(Reg a, Reg b) { return vmaxq_f32(a, b); }
  static bool all_finite(Reg a) { return vminvq_u32(vceqzq_f32(vsubq_f32(a, a))) != 0; }
  static Reg keep(Reg a, const float* mask) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(vld1q_f32(mask))));
  }

  static Reg load(const float* from) { return vld1q_f32(from); }
  static Reg load(const Half* from) { return vcvt_f32_f16(vreinterpret_f16_u16(load_bits(from))); }
  static Reg load(const BFloat16* from) { return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(load_bits(from)), 16)); }
  template <class T>
  static Reg load_first(const T* from, int count) {
    T lanes[kLanes] = {};
    for (int l = 0; l < count; ++l) lanes[l] = from[l];
    return load(lanes);
  }

  static void store(float* to, Reg a) { vst1q_f32(to, a); }
  static void store(Half* to, Reg a) { store_bits(to, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
  static void store(BFloat16* to, Reg a) {  // no carry turns a NaN into an infinity: see from_compute()
    const uint32x4_t bits = vreinterpretq_u32_f32(a);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    store_bits(to, vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16));
  }
  template <class T>
  static void store_first(T* to, Reg a, int count) {
    T lanes[kLanes];
    store(lanes, a);
    for (int l = 0; l < count; ++l) to[l] = lanes[l];
  }

  template <class T>
  static Reg gather(const T* row, const int32_t* index) {
    T lanes[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) {
      if (index[l] >= 0) lanes[l] = row[index[l]];
    }
    return load(lanes);
  }

  template <class From, class To>
  static void transpose(const From* from, int64_t stride, To* to, int64_t to_stride) {
    const Reg row0 = load(from), row1 = load(from + stride), row2 = load(from + 2 * stride),
              row3 = load(from + 3 * stride);
    const float64x2_t even01 = vreinterpretq_f64_f32(vtrn1q_f32(row0, row1));
    const float64x2_t odd01 = vreinterpretq_f64_f32(vtrn2q_f32(row0, row1));
    const float64x2_t even23 = vreinterpretq_f64_f32(vtrn1q_f32(row2, row3));
    const float64x2_t odd23 = vreinterpretq_f64_f32(vtrn2q_f32(row2, row3));
    store(to, vreinterpretq_f32_f64(vtrn1q_f64(even01, even23)));
    store(to + to_stride, vreinterpretq_f32_f64(vtrn1q_f64(odd01, odd23)));
    store(to + 2 * to_stride, vreinterpretq_f32_f64(vtrn2q_f64(even01, even23)));
    store(to + 3 * to_stride, vreinterpretq_f32_f64(vtrn2q_f64(odd01, odd23)));
  }

 private:
  template <class T>
  static uint16x4_t load_bits(const T* from) {
    return vld1_u16(reinterpret_cast<const uint16_t*>(from));
  }
  template <class T>
  static void store_bits(T* to, uint16x4_t bits) {
    vst1_u16(reinterpret_cast<uint16_t*>(to), bits);
  }
};

struct F64 : Stream {
  using Scalar = double;
  using Reg = float64x2_t;
  static constexpr int kLanes = 2;
  static constexpr bool kMasks = false;

  static Reg zero() { return vdupq_n_f64(0); }
  static Reg lowest() { return vdupq_n_f64(-std::numeric_limits<double>::infinity()); }
  static Reg broadcast(double value) { return vdupq_n_f64(value); }
  static Reg multiply(Reg a, Reg b) { return vmulq_f64(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return vfmaq_f64(c, a, b); }
  static Reg add(Reg a, Reg b) { return vaddq_f64(a, b); }
  static Reg max(Reg a, Reg b) { return vmaxq_f64(a, b); }
  static bool all_finite(Reg a) {
    const uint64x2_t finite = vceqzq_f64(vsubq_f64(a, a));
    return (vgetq_lane_u64(finite, 0) & vgetq_lane_u64(finite, 1)) != 0;
  }
  static Reg keep(Reg a, const double* mask) {
    return vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(vld1q_f64(mask))));
  }

  static Reg load(const double* from) { return vld1q_f64(from); }
  static Reg load_first(const double* from, int count) {  // count is 1 or 2
    return count == 2 ? vld1q_f64(from) : vld1q_lane_f64(from, zero(), 0);
  }
  static void store(double* to, Reg a) { vst1q_f64(to, a); }
  static void store_first(double* to, Reg a, int count) {
    vst1q_lane_f64(to, a, 0);
    if (count == 2) vst1q_lane_f64(to + 1, a, 1);
  }

  static Reg gather(const double* row, const int32_t* index) {
    Reg a = zero();
    if (index[0] >= 0) a = vld1q_lane_f64(row + index[0], a, 0);
    if (index[1] >= 0) a = vld1q_lane_f64(row + index[1], a, 1);
    return a;
  }

  static void transpose(const double* from, int64_t stride, double* to, int64_t to_stride) {
    const Reg row0 = load(from), row1 = load(from + stride);
    store(to, vtrn1q_f64(row0, row1));
    store(to + to_stride, vtrn2q_f64(row0, row1));
  }
};

#include "pool/pool.inl"

// Unmeasured, as no aarch64 machine was at hand: near the costs of the baseline, whose vectors are as wide.
constexpr VectorCosts costs32() {
  VectorCosts costs;
  costs.lanes = F32::kLanes;
  costs.tile_lanes = F32::kLanes;
  costs.gathered_vector = 4;
  costs.columns_plane = 45;
  costs.swept_vector = 0.66;
  costs.tile_pixel = 0.115;
  costs.point = 0.3;
  return costs;
}
// Unmeasured, as above.
constexpr VectorCosts costs64() {
  VectorCosts costs;
  costs.lanes = F64::kLanes;
  costs.tile_lanes = F64::kLanes;
  costs.gathered_vector = 2;
  costs.columns_plane = 45;
  costs.swept_vector = 0.66;
  costs.tile_pixel = 0.23;
  costs.point = 0.4;
  return costs;
}

}  // namespace neon

constexpr Isa kNeon = {"neon",
                       neon::always,
                       neon::costs32(),
                       neon::costs64(),
                       neon::pool<neon::F32, neon::F32, float>,
                       neon::pool<neon::F32, neon::F32, Half>,
                       neon::pool<neon::F32, neon::F32, BFloat16>,
                       neon::pool<neon::F64, neon::F64, double>};

}  // namespace roialign

#endif  // __aarch64__
