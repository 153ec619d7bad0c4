// Reads the coordinates of a RoI, of any element type, in the type that coordinates are computed in.
#ifndef ONNX_ROIALIGN_PLAN_CORNERS_H_
#define ONNX_ROIALIGN_PLAN_CORNERS_H_

#include <array>
#include <cstdint>

#include "element.h"
#include "problem.h"

namespace roialign {

// x1, y1, x2, y2. C is float, or double for float64 features.
template <class C>
using Corners = std::array<C, 4>;
constexpr const char* kCornerNames[] = {"x1", "y1", "x2", "y2"};

template <class C, class T>
inline Corners<C> read_corners(const void* rois, int64_t roi) {
  const T* const from = static_cast<const T*>(rois) + roi * 4;
  return {static_cast<C>(to_compute(from[0])), static_cast<C>(to_compute(from[1])), static_cast<C>(to_compute(from[2])),
          static_cast<C>(to_compute(from[3]))};
}

// Reads from rois whose type is known at run time only.
template <class C>
__attribute__((noinline)) Corners<C> read_corners(ElementType type, const void* rois, int64_t roi) {
  switch (type) {
    case ElementType::kFloat16:
      return read_corners<C, Half>(rois, roi);
    case ElementType::kBFloat16:
      return read_corners<C, BFloat16>(rois, roi);
    case ElementType::kFloat64:
      return read_corners<C, double>(rois, roi);
    case ElementType::kFloat32:
      break;
  }
  return read_corners<C, float>(rois, roi);
}

// Reads from rois whose type is not that of X.
template <class C>
Corners<C> read_other_corners(const Arrays& arrays, int64_t roi) {
  return read_corners<C>(arrays.rois_type, arrays.rois, roi);
}

// Reads from rois of any type; T is the type of X.
template <class C, class T>
inline Corners<C> corners_of(const Arrays& arrays, int64_t roi) {
  return arrays.rois_type == arrays.type ? read_corners<C, T>(arrays.rois, roi) : read_other_corners<C>(arrays, roi);
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_CORNERS_H_
