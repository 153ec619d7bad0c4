// Pools quantized feature maps, to the same bits as torchvision's kernel for quantized tensors.
#ifndef ONNX_ROIALIGN_POOL_QLINEAR_H_
#define ONNX_ROIALIGN_POOL_QLINEAR_H_

#include <cstdint>
#include <string>

#include "problem.h"

namespace roialign {

// The arrays of a call in which X and Y hold T (uint8_t, int8_t or int32_t) and rois are float32; type and rois_type
// are kFloat32, the type of coordinates. A quantized q means scale * (q - zero_point).
template <class T>
struct QuantizedArrays : Arrays {
  float scale;
  T zero_point;
};

// Each returns an empty text, or "<input> <rule>, got <value>". The first refuses attributes that check_attributes()
// allows and quantized maps do not.
std::string check_qlinear_attributes(const Attributes& attributes);
std::string check_scale(float scale);

// Computes arrays.Y; the checks of problem.h (with float32 rois) and both of the above must have passed.
//
// A bin is zero_point + round(mean / scale), clamped to T in float64, which represents all of int32. Ties are rounded
// to even, before the zero point is added. The mean is scale * (sum of w * q - zero_point * sum of w) / samples in
// float32, summed sample by sample in the order of the grid. Where two quantized values are equally near, the order of
// these operations decides. Throws std::bad_alloc only.
template <class T>
void qlinear_roi_align(const Attributes& attributes, const QuantizedArrays<T>& arrays, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_QLINEAR_H_
