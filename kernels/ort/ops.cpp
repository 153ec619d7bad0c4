// Makes two custom ops of ONNX Runtime: ONNX's own RoiAlign, and the private one that carries its Semantics.
#include "ort/ops.h"

#include <algorithm>
#include <limits>

#include "isa/dispatch.h"
#include "ort/attributes.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr size_t kRois = 1;
constexpr size_t kBatchIndices = 2;

struct Kernel {
  Runtime runtime;
  ElementType type;
  ElementType rois_type;
  Attributes attributes;
  std::string node;
  const Isa* isa;
  int threads;
};

// Returns an opset at which RoiAlign has the node's meaning, or 0 where it is unknown.
int64_t opset_of(const Op& op, const OrtKernelInfo* info) {
  if (op.opset != nullptr) return op.opset->load();
  if (op.asks_session) {
    const AllEntries all = all_entries(*op.runtime.newer, info);
    return read_opset(entries_of(all));
  }
  int since_version = 0;
  require_ok(op.runtime.newer->KernelInfo_GetOperatorSinceVersion(info, &since_version));
  return since_version;
}

OrtStatus* ROIALIGN_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                           void** out) {
  return guarded(*api, [&] {
    const auto* self = static_cast<const Op*>(op);
    const AttributeReader reader(*api, info);
    const Attributes attributes =
        self->is_private ? read_private_attributes(reader) : read_onnx_attributes(reader, opset_of(*self, info));
    const auto type = static_cast<ElementType>(self->type), rois_type = static_cast<ElementType>(self->rois_type);
    require_none(check_types(attributes, type, rois_type), reader.node());
    const Settings settings = settings_of(*self, info);
    *out = new Kernel{self->runtime, type, rois_type, attributes, reader.node(), &isa_of(settings), settings.threads};
  });
}

void ROIALIGN_ORT_CALL destroy_kernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

OrtStatus* ROIALIGN_ORT_CALL compute(void* self, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  const OrtApi& api = *kernel.runtime.api;
  return guarded(api, [&] {
    const Tensor X = read_input(kernel.runtime, context, 0);
    const Tensor rois = read_input(kernel.runtime, context, kRois);
    const Tensor batch_indices = read_input(kernel.runtime, context, kBatchIndices);
    require_none(check_shapes(X, rois, batch_indices), kernel.node);
    Arrays arrays = arrays_of(kernel.type, kernel.rois_type, X, rois, batch_indices);
    require_none(check_sizes(kernel.attributes, arrays), kernel.node);
    require_none(check_values(kernel.attributes, arrays), kernel.node);
    arrays.Y = make_output(api, context, pooled_shape(kernel.attributes, arrays));
    if (arrays.num_rois == 0 || arrays.C == 0) return;
    SessionPool pool{api, context};
    roi_align(kernel.attributes, arrays, *kernel.isa, {SessionPool::parallel_for, &pool, kernel.threads});
  });
}

}  // namespace

Settings settings_of(const Op& op, const OrtKernelInfo* info) {
  if (op.settings) return *op.settings;
  const AllEntries all = all_entries(*op.runtime.newer, info);
  return read_settings(entries_of(all));
}

const Isa& isa_of(const Settings& settings) {
  return settings.isa == nullptr ? choose_isa(nullptr, "") : *settings.isa;
}

Op make_op(const Runtime& runtime, const char* name, ONNXTensorElementDataType type, size_t rois) {
  Op op{};
  op.version = kApiVersion;
  op.runtime = runtime;
  op.name = name;
  op.is_private = true;
  op.type = type;
  op.rois = rois;
  op.GetName = [](const OrtCustomOp* self) { return static_cast<const Op*>(self)->name; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetOutputType = [](const OrtCustomOp* self, size_t) { return static_cast<const Op*>(self)->type; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  op.GetEndVersion = [](const OrtCustomOp*) { return std::numeric_limits<int>::max(); };
  op.InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) -> OrtStatus* {
    const Op& self_op = *static_cast<const Op*>(self);
    infer_pooled_shape(*self_op.runtime.api, context, 0, self_op.rois);
    return nullptr;
  };
  return op;
}

Op make_any_roi_align(const Runtime& runtime, const char* name, ElementType type, ElementType rois_type) {
  Op op = make_op(runtime, name, static_cast<ONNXTensorElementDataType>(type), kRois);
  op.rois_type = static_cast<ONNXTensorElementDataType>(rois_type);
  op.GetInputType = [](const OrtCustomOp* self, size_t index) {
    if (index == kBatchIndices) return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    return index == kRois ? static_cast<const Op*>(self)->rois_type : static_cast<const Op*>(self)->type;
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 3; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = destroy_kernel;
  return op;
}

Op make_roi_align(const Runtime& runtime, const std::atomic<int64_t>* opset, ElementType type) {
  Op op = make_any_roi_align(runtime, "RoiAlign", type, type);
  op.is_private = false;
  op.opset = opset;
  return op;
}

}  // namespace roialign
