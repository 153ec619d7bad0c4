// RoiAlign of quantized feature maps, bit for bit as torchvision's kernel for quantized tensors pools them.
#ifndef ONNX_ROIALIGN_QLINEAR_H_
#define ONNX_ROIALIGN_QLINEAR_H_

#include <cstdint>
#include <string>

#include "problem.h"

namespace roialign {

// A quantized q means scale * (q - zero_point); T is uint8_t, int8_t or int32_t.
template <class T>
struct QuantizedArrays {
  const T* X;
  float scale;
  T zero_point;
  const float* rois;
  const int64_t* batch_indices;
  T* Y;
  int64_t N, C, H, W, num_rois;
};

// What check_attributes allows and a quantized answer cannot say: empty, or the attribute and the rule.
std::string check_qlinear_attributes(const Attributes& attributes);

std::string check_scale(float scale);

// Computes arrays.Y; check_attributes, check_arrays (with float32 rois) and both of the above must have passed.
//
// A bin answers zero_point + round(mean / scale), clamped to T (in float64, which has all of int32): ties to even,
// before the zero point is added. The mean is scale * (sum of w * q - zero_point * sum of w) / samples in float32,
// summed sample by sample in the order of the grid: where two quantized values are equally near, the order of these
// operations decides. Throws std::bad_alloc only.
template <class T>
void qlinear_roi_align(const Attributes& attributes, const QuantizedArrays<T>& arrays, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_QLINEAR_H_
