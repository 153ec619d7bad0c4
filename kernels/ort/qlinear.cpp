// Makes onnx_roialign::QLinearRoiAlign, a custom op of ONNX Runtime.
#include "pool/qlinear.h"

#include <stdexcept>
#include <string>

#include "ort/attributes.h"
#include "ort/ops.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr size_t kScale = 1;
constexpr size_t kZeroPoint = 2;
constexpr size_t kRois = 3;
constexpr size_t kBatchIndices = 4;

struct Kernel {
  Runtime runtime;
  ONNXTensorElementDataType type;
  Attributes attributes;
  std::string node;
  int threads;
};

OrtStatus* ROIALIGN_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                           void** out) {
  return guarded(*api, [&] {
    const AttributeReader reader(*api, info);
    const Attributes attributes = read_private_attributes(reader);
    const std::string problem = check_qlinear_attributes(attributes);
    if (!problem.empty()) reader.refuse(problem);
    require_none(check_types(attributes, ElementType::kFloat32, ElementType::kFloat32), reader.node());
    const auto* self = static_cast<const Op*>(op);
    *out = new Kernel{self->runtime, self->type, attributes, reader.node(), settings_of(*self, info).threads};
  });
}

void ROIALIGN_ORT_CALL destroy_kernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

template <class T>
void run(const Kernel& kernel, OrtKernelContext* context) {
  const OrtApi& api = *kernel.runtime.api;
  const Tensor X = read_input(kernel.runtime, context, 0);
  const Tensor scale = read_input(kernel.runtime, context, kScale);
  const Tensor zero_point = read_input(kernel.runtime, context, kZeroPoint);
  const Tensor rois = read_input(kernel.runtime, context, kRois);
  const Tensor batch_indices = read_input(kernel.runtime, context, kBatchIndices);
  require_none(check_shapes(X, rois, batch_indices), kernel.node);
  require_none(check_scalar("x_scale", scale), kernel.node);
  require_none(check_scalar("x_zero_point", zero_point), kernel.node);
  QuantizedArrays<T> arrays{arrays_of(ElementType::kFloat32, ElementType::kFloat32, X, rois, batch_indices),
                            *static_cast<const float*>(scale.data), *static_cast<const T*>(zero_point.data)};
  require_none(check_scale(arrays.scale), kernel.node);
  require_none(check_sizes(kernel.attributes, arrays), kernel.node);
  require_none(check_values(kernel.attributes, arrays), kernel.node);
  arrays.Y = make_output(api, context, pooled_shape(kernel.attributes, arrays));
  if (arrays.num_rois == 0 || arrays.C == 0) return;
  SessionPool pool{api, context};
  qlinear_roi_align(kernel.attributes, arrays, {SessionPool::parallel_for, &pool, kernel.threads});
}

OrtStatus* ROIALIGN_ORT_CALL compute(void* self, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  return guarded(*kernel.runtime.api, [&] {
    if (kernel.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8) {
      run<int8_t>(kernel, context);
    } else if (kernel.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {
      run<int32_t>(kernel, context);
    } else {
      run<uint8_t>(kernel, context);
    }
  });
}

ONNXTensorElementDataType ROIALIGN_ORT_CALL input_type(const OrtCustomOp* op, size_t index) {
  if (index == kScale || index == kRois) return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  return index == kBatchIndices ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 : static_cast<const Op*>(op)->type;
}

}  // namespace

Op make_qlinear_roi_align(const Runtime& runtime, ONNXTensorElementDataType type) {
  Op op = make_op(runtime, "QLinearRoiAlign", type, kRois);
  op.GetInputType = input_type;
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 5; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = destroy_kernel;
  return op;
}

}  // namespace roialign
