// Makes onnx_roialign::MultiScaleRoiAlign, a custom op of ONNX Runtime.
#include <string>
#include <vector>

#include "ort/attributes.h"
#include "ort/ops.h"
#include "ort/status.h"
#include "ort/tensors.h"
#include "pool/pyramid.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr size_t kBatchIndices = 1;
constexpr size_t kLevels = 2;
constexpr size_t kFeatures = 3;  // and all that follow

struct Kernel {
  Runtime runtime;
  ElementType type;
  ElementType rois_type;
  Pyramid pyramid;
  std::vector<double> areas;
  std::string node;
  const Isa* isa;
  int threads;
};

Pyramid read_pyramid(const AttributeReader& reader) {
  const std::vector<float> scales = reader.reals("spatial_scales");
  Pyramid pyramid{read_private_attributes(reader), {scales.begin(), scales.end()}, {}};
  LevelRule& rule = pyramid.rule;
  rule.min_level = reader.integer("min_level", 2);
  rule.max_level = reader.integer("max_level", 5);
  rule.canonical_scale = reader.real("canonical_scale").value_or(224.0F);
  rule.canonical_level = reader.integer("canonical_level", 4);
  rule.log_epsilon = reader.real("log_epsilon").value_or(0.0F);
  rule.floor_epsilon = reader.real("floor_epsilon").value_or(1e-6F);
  rule.level_areas = reader.reals("level_areas");
  const std::string problem = check_pyramid(pyramid);
  if (!problem.empty()) reader.refuse(problem);
  return pyramid;
}

OrtStatus* ROIALIGN_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                           void** out) {
  return guarded(*api, [&] {
    const auto* self = static_cast<const Op*>(op);
    const AttributeReader reader(*api, info);
    const auto type = static_cast<ElementType>(self->type), rois_type = static_cast<ElementType>(self->rois_type);
    Pyramid pyramid = read_pyramid(reader);
    require_none(check_level_types(pyramid, type, rois_type), reader.node());
    std::vector<double> areas = smallest_areas(pyramid.rule, rois_type);
    const Settings settings = settings_of(*self, info);
    *out = new Kernel{self->runtime,    type,          rois_type,         std::move(pyramid),
                      std::move(areas), reader.node(), &isa_of(settings), settings.threads};
  });
}

void ROIALIGN_ORT_CALL destroy_kernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

std::vector<Tensor> read_features(const Kernel& kernel, const OrtKernelContext* context, const Tensor& rois,
                                  const Tensor& batch_indices) {
  const size_t levels = kernel.pyramid.spatial_scales.size();
  size_t inputs = 0;
  require_ok(kernel.runtime.api->KernelContext_GetInputCount(context, &inputs));
  if (inputs != kFeatures + levels) {
    require_none("features must be one map for each of " + std::to_string(levels) + " spatial_scales, got " +
                     std::to_string(inputs - kFeatures),
                 kernel.node);
  }
  std::vector<Tensor> features;
  for (size_t level = 0; level < levels; ++level) {
    features.push_back(read_input(kernel.runtime, context, kFeatures + level));
    const Dimensions& shape = features.back().shape;
    require_none(of_level(level, check_shapes(features.back(), rois, batch_indices)), kernel.node);
    if (shape[0] != features[0].shape[0] || shape[1] != features[0].shape[1]) {
      require_none("features[" + std::to_string(level) + "] must have the N and C of features[0], got shape " +
                       shape_text(shape),
                   kernel.node);
    }
  }
  return features;
}

// Returns null where the node has no such input.
const int64_t* read_levels(const Kernel& kernel, const OrtKernelContext* context, int64_t num_rois) {
  if (!has_input(kernel.runtime, context, kLevels)) return nullptr;
  const Tensor levels = read_input(kernel.runtime, context, kLevels);
  if (levels.shape.size() != 1 || levels.shape[0] != num_rois) {
    require_none("levels must have shape (num_rois,), got shape " + shape_text(levels.shape), kernel.node);
  }
  return static_cast<const int64_t*>(levels.data);
}

OrtStatus* ROIALIGN_ORT_CALL compute(void* self, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  const OrtApi& api = *kernel.runtime.api;
  return guarded(api, [&] {
    const Tensor rois = read_input(kernel.runtime, context, 0);
    const Tensor batch_indices = read_input(kernel.runtime, context, kBatchIndices);
    const std::vector<Tensor> features = read_features(kernel, context, rois, batch_indices);
    const int64_t* const levels = read_levels(kernel, context, rois.shape[0]);
    const Pyramid& pyramid = kernel.pyramid;
    Arrays arrays = arrays_of(kernel.type, kernel.rois_type, features[0], rois, batch_indices);
    std::vector<Map> maps;
    for (const Tensor& map : features) maps.push_back({map.data, map.shape[2], map.shape[3]});
    require_none(check_level_sizes(pyramid, arrays, maps), kernel.node);
    require_none(check_level_values(pyramid, arrays), kernel.node);
    arrays.Y = make_output(api, context, pooled_shape(pyramid.attributes, arrays));
    if (arrays.num_rois == 0 || arrays.C == 0) return;
    SessionPool pool{api, context};
    pool_pyramid(pyramid, arrays, maps, levels, kernel.areas, *kernel.isa,
                 {SessionPool::parallel_for, &pool, kernel.threads});
  });
}

ONNXTensorElementDataType ROIALIGN_ORT_CALL input_type(const OrtCustomOp* op, size_t index) {
  if (index >= kFeatures) return static_cast<const Op*>(op)->type;
  return index == 0 ? static_cast<const Op*>(op)->rois_type : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
}

OrtCustomOpInputOutputCharacteristic ROIALIGN_ORT_CALL input_kind(const OrtCustomOp* op, size_t index) {
  if (index == kFeatures) return INPUT_OUTPUT_VARIADIC;
  // Before 1.24 (1.20 to 1.23 tried) ONNX Runtime reads a null pointer where a custom op's input is omitted. It refuses
  // the node if the input is required.
  const bool may_be_omitted = static_cast<const Op*>(op)->runtime.newer != nullptr;
  return index == kLevels && may_be_omitted ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

}  // namespace

Op make_multiscale_roi_align(const Runtime& runtime, ElementType type, ElementType rois_type) {
  Op op = make_op(runtime, "MultiScaleRoiAlign", static_cast<ONNXTensorElementDataType>(type), 0);
  op.rois_type = static_cast<ONNXTensorElementDataType>(rois_type);
  op.GetInputType = input_type;
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kFeatures + 1; };
  op.GetInputCharacteristic = input_kind;
  op.GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = destroy_kernel;
  op.InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) -> OrtStatus* {
    infer_pooled_shape(*static_cast<const Op*>(self)->runtime.api, context, kFeatures, 0);
    return nullptr;
  };
  return op;
}

}  // namespace roialign
