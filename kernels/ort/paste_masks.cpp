// Makes onnx_roialign::PasteMasks, a custom op of ONNX Runtime, and runs it.
#include "ort/paste_masks.h"

#include <array>
#include <string>

#include "ort/attributes.h"
#include "ort/ops.h"
#include "ort/status.h"
#include "ort/tensors.h"
#include "pool/paste.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr size_t kBoxes = 1;
constexpr size_t kHeight = 2;
constexpr size_t kWidth = 3;

struct Kernel {
  Runtime runtime;
  PasteSettings settings;
};

OrtStatus* ROIALIGN_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                           void** out) {
  return guarded(*api, [&] {
    const auto* self = static_cast<const Op*>(op);
    *out = new Kernel{self->runtime,
                      {static_cast<ElementType>(self->type), static_cast<ElementType>(self->rois_type),
                       AttributeReader(*api, info).node(), settings_of(*self, info).threads}};
  });
}

void ROIALIGN_ORT_CALL destroy_kernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

std::string check_mask_shapes(const Tensor& masks, const Tensor& boxes) {
  const Dimensions& shape = masks.shape;
  if (shape.size() != 4 || shape[1] != 1 || shape[2] != shape[3]) {
    return "masks must have shape (N, 1, M, M), got shape " + shape_text(shape);
  }
  if (boxes.shape.size() != 2 || boxes.shape[1] != 4) {
    return "boxes must have shape (N, 4), got shape " + shape_text(boxes.shape);
  }
  if (shape[0] == boxes.shape[0]) return {};
  return "masks and boxes must have the same count, got " + std::to_string(shape[0]) + " and " +
         std::to_string(boxes.shape[0]);
}

OrtStatus* ROIALIGN_ORT_CALL compute(void* self, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  const OrtApi& api = *kernel.runtime.api;
  return guarded(api, [&] {
    const Tensor masks = read_input(kernel.runtime, context, 0), boxes = read_input(kernel.runtime, context, kBoxes);
    const Tensor height = read_input(kernel.runtime, context, kHeight);
    const Tensor width = read_input(kernel.runtime, context, kWidth);
    require_none(check_mask_shapes(masks, boxes), kernel.settings.node);
    require_none(check_scalar("height", height), kernel.settings.node);
    require_none(check_scalar("width", width), kernel.settings.node);
    run_paste_masks(kernel.runtime, context, kernel.settings, masks, boxes, *static_cast<const int64_t*>(height.data),
                    *static_cast<const int64_t*>(width.data));
  });
}

ONNXTensorElementDataType ROIALIGN_ORT_CALL input_type(const OrtCustomOp* op, size_t index) {
  if (index >= kHeight) return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  return index == kBoxes ? static_cast<const Op*>(op)->rois_type : static_cast<const Op*>(op)->type;
}

}  // namespace

void run_paste_masks(const Runtime& runtime, OrtKernelContext* context, const PasteSettings& settings,
                     const Tensor& masks, const Tensor& boxes, int64_t height, int64_t width) {
  require_none(check_mask_shapes(masks, boxes), settings.node);
  MaskArrays arrays{};
  arrays.type = settings.type;
  arrays.boxes_type = settings.boxes_type;
  arrays.masks = masks.data;
  arrays.boxes = boxes.data;
  arrays.num_masks = masks.shape[0];
  arrays.side = masks.shape[3];
  arrays.height = height;
  arrays.width = width;
  require_none(check_mask_sizes(arrays), settings.node);
  require_none(check_boxes(arrays), settings.node);
  arrays.images = make_output(*runtime.api, context, {arrays.num_masks, 1, arrays.height, arrays.width});
  SessionPool pool{*runtime.api, context};
  paste_masks(arrays, {SessionPool::parallel_for, &pool, settings.threads});
}

Op make_paste_masks(const Runtime& runtime, ElementType type, ElementType boxes_type) {
  Op op = make_op(runtime, "PasteMasks", static_cast<ONNXTensorElementDataType>(type), kBoxes);
  op.rois_type = static_cast<ONNXTensorElementDataType>(boxes_type);
  op.GetInputType = input_type;
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 4; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = destroy_kernel;
  op.InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) -> OrtStatus* {
    infer_pasted_shape(*static_cast<const Op*>(self)->runtime.api, context);
    return nullptr;
  };
  return op;
}

}  // namespace roialign
