// RoiAlign as an ONNX Runtime custom op: attributes, checks, shape inference and the work split.
#include "ort_ops.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "cpu_features.h"
#include "dispatch.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr int64_t kFirstOpsetWithCoordinateMode = 16;

std::string quoted(const std::string& text) { return "'" + text + "'"; }

bool succeeded(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return true;
  api.ReleaseStatus(status);
  return false;
}

std::string node_suffix(const OrtApi& api, const OrtKernelInfo* info) {
  size_t size = 0;
  check(api.KernelInfo_GetNodeName(info, nullptr, &size));
  std::string name(size, '\0');
  check(api.KernelInfo_GetNodeName(info, name.data(), &size));
  name.resize(size == 0 ? 0 : size - 1);
  return " (node " + quoted(name) + ")";
}

// Reads a node's attributes. ONNX Runtime answers absent and wrongly typed attributes with the same error code; a
// wrong type is told apart by asking for every other type, because the error's English text is no interface.
class AttributeReader {
 public:
  AttributeReader(const OrtApi& api, const OrtKernelInfo* info)
      : api_(api), info_(info), node_(node_suffix(api, info)) {}

  const std::string& node() const { return node_; }

  int64_t integer(const char* name, int64_t absent) const {
    int64_t value = 0;
    if (succeeded(api_, api_.KernelInfoGetAttribute_int64(info_, name, &value))) return value;
    refuse_other_type(name, "an integer");
    return absent;
  }

  float real(const char* name, float absent) const {
    float value = 0;
    if (succeeded(api_, api_.KernelInfoGetAttribute_float(info_, name, &value))) return value;
    refuse_other_type(name, "a float");
    return absent;
  }

  std::optional<std::string> text(const char* name) const {
    size_t size = 0;
    if (!succeeded(api_, api_.KernelInfoGetAttribute_string(info_, name, nullptr, &size))) {
      refuse_other_type(name, "a string");
      return std::nullopt;
    }
    std::string value(size, '\0');
    check(api_.KernelInfoGetAttribute_string(info_, name, value.data(), &size));
    value.resize(size == 0 ? 0 : size - 1);
    return value;
  }

  [[noreturn]] void refuse(const std::string& problem, const char* way_out = "") const {
    throw std::invalid_argument(problem + node_ + way_out);
  }

 private:
  void refuse_other_type(const char* name, const char* expected) const {
    int64_t integer = 0;
    float real = 0;
    size_t size = 0;
    const char* got = nullptr;
    if (succeeded(api_, api_.KernelInfoGetAttribute_int64(info_, name, &integer))) {
      got = "an integer";
    } else if (succeeded(api_, api_.KernelInfoGetAttribute_float(info_, name, &real))) {
      got = "a float";
    } else if (succeeded(api_, api_.KernelInfoGetAttribute_string(info_, name, nullptr, &size))) {
      got = "a string";
    } else if (succeeded(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, nullptr, &size))) {
      got = size > 0 ? "a list of integers" : "another type";  // a present attribute of any other type reads as empty
    }
    if (got != nullptr) refuse(std::string(name) + " must be " + expected + ", got " + got);
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
  std::string node_;  // " (node 'NAME')"
};

bool read_half_pixel(const AttributeReader& reader, int64_t opset) {
  const std::optional<std::string> mode = reader.text("coordinate_transformation_mode");
  if (mode == "half_pixel") return true;
  if (mode == "output_half_pixel") return false;
  if (mode) {
    reader.refuse("coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got " + quoted(*mode));
  }
  if (opset == 0) {
    reader.refuse(
        "coordinate_transformation_mode must be set where the model's opset is unknown, got a node without it",
        "; set the session config entry 'onnx_roialign.opset' to the model's opset before registering the "
        "library, or use onnx_roialign.session()");
  }
  return opset >= kFirstOpsetWithCoordinateMode;
}

Attributes read_attributes(const AttributeReader& reader, int64_t opset) {
  const std::string mode = reader.text("mode").value_or("avg");
  if (mode != "avg" && mode != "max") reader.refuse("mode must be 'avg' or 'max', got " + quoted(mode));
  const bool half_pixel = read_half_pixel(reader, opset);
  Attributes attributes{};
  attributes.output_height = reader.integer("output_height", 1);
  attributes.output_width = reader.integer("output_width", 1);
  attributes.sampling_ratio = reader.integer("sampling_ratio", 0);
  attributes.spatial_scale = reader.real("spatial_scale", 1.0F);
  attributes.mode_max = mode == "max";
  attributes.semantics.offset = half_pixel ? 0.5 : 0.0;
  attributes.semantics.min_size = half_pixel ? -std::numeric_limits<double>::infinity() : 1.0;
  const std::string problem = check_attributes(attributes);
  if (!problem.empty()) reader.refuse(problem);
  return attributes;
}

struct Kernel {
  const OrtApi* api;
  ElementType type;
  Attributes attributes;
  std::string node;
  const Isa* isa;
  int threads;
};

OrtStatus* ROIALIGN_ORT_CALL create_kernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                           void** out) {
  return guarded(*api, [&] {
    const auto* self = static_cast<const RoiAlignOp*>(op);
    const AttributeReader reader(*api, info);
    const Attributes attributes = read_attributes(reader, self->opset->load());
    std::string problem;
    const Isa* isa = choose_isa(nullptr, problem);
    if (isa == nullptr) throw std::invalid_argument(problem);
    *out = new Kernel{api, self->type, attributes, reader.node(), isa, usable_cores()};
  });
}

void ROIALIGN_ORT_CALL destroy_kernel(void* kernel) { delete static_cast<Kernel*>(kernel); }

struct ReleaseInfo {
  const OrtApi* api;
  void operator()(OrtTensorTypeAndShapeInfo* info) const { api->ReleaseTensorTypeAndShapeInfo(info); }
};
using Info = std::unique_ptr<OrtTensorTypeAndShapeInfo, ReleaseInfo>;

std::vector<int64_t> dimensions(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  check(api.GetDimensionsCount(info, &rank));
  std::vector<int64_t> dims(rank);
  check(api.GetDimensions(info, dims.data(), rank));
  return dims;
}

struct Tensor {
  std::vector<int64_t> shape;
  const void* data;
};

Tensor read_input(const OrtApi& api, const OrtKernelContext* context, size_t index) {
  const OrtValue* value = nullptr;
  check(api.KernelContext_GetInput(context, index, &value));
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  check(api.GetTensorTypeAndShape(value, &raw));
  const Info info(raw, ReleaseInfo{&api});
  void* data = nullptr;
  check(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));  // the C API has no reading twin
  return {dimensions(api, info.get()), data};
}

// "(2, 5)", "(3,)", "()": as NumPy prints a shape.
std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string check_shapes(const Tensor& X, const Tensor& rois, const Tensor& batch_indices) {
  if (X.shape.size() != 4) return "X must have rank 4 (N, C, H, W), got shape " + shape_text(X.shape);
  if (rois.shape.size() != 2 || rois.shape[1] != 4) {
    return "rois must have shape (num_rois, 4), got shape " + shape_text(rois.shape);
  }
  if (batch_indices.shape.size() != 1) {
    return "batch_indices must have shape (num_rois,), got shape " + shape_text(batch_indices.shape);
  }
  if (rois.shape[0] != batch_indices.shape[0]) {
    return "rois and batch_indices must have the same count, got " + std::to_string(rois.shape[0]) + " and " +
           std::to_string(batch_indices.shape[0]);
  }
  return "";
}

// The session's own thread pool: hands out the tasks one by one (num_batch 0), and runs them in a plain loop where the
// session has one thread.
struct SessionPool {
  const OrtApi& api;
  const OrtKernelContext* context;

  static void parallel_for(void* self, void (*task)(void* user, size_t i), size_t count, void* user) {
    const auto& pool = *static_cast<const SessionPool*>(self);
    check(pool.api.KernelContext_ParallelFor(pool.context, task, count, 0, user));
  }
};

OrtStatus* ROIALIGN_ORT_CALL compute(void* self, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const Kernel*>(self);
  const OrtApi& api = *kernel.api;
  return guarded(api, [&] {
    const Tensor X = read_input(api, context, 0);
    const Tensor rois = read_input(api, context, 1);
    const Tensor batch_indices = read_input(api, context, 2);
    std::string problem = check_shapes(X, rois, batch_indices);
    Arrays arrays{};
    if (problem.empty()) {
      arrays = {kernel.type, X.data,       rois.data,  static_cast<const int64_t*>(batch_indices.data),
                nullptr,     X.shape[0],   X.shape[1], X.shape[2],
                X.shape[3],  rois.shape[0]};
      problem = check_arrays(kernel.attributes, arrays);
    }
    if (!problem.empty()) throw std::invalid_argument(problem + kernel.node);

    const std::array<int64_t, 4> shape = {arrays.num_rois, arrays.C, kernel.attributes.output_height,
                                          kernel.attributes.output_width};
    OrtValue* Y = nullptr;
    check(api.KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &Y));
    check(api.GetTensorMutableData(Y, &arrays.Y));
    if (arrays.num_rois == 0 || arrays.C == 0) return;
    SessionPool pool{api, context};
    roi_align(kernel.attributes, arrays, *kernel.isa, {SessionPool::parallel_for, &pool, kernel.threads});
  });
}

// ---- shape inference ----

struct Dimension {
  int64_t size;
  std::string name;  // empty: size is known
};

// ONNX Runtime takes an unknown size for a known one of -1 (1.20 then folds Shape to -1, 1.31 aborts the process), so
// an unknown dimension gets a name that nothing else has.
Dimension unknown_dimension() {
  static std::atomic<uint64_t> count{0};
  return {-1, "onnx_roialign_dim_" + std::to_string(count++)};
}

OrtTensorTypeAndShapeInfo* input_info(const OrtApi& api, const OrtShapeInferContext* context, size_t index) {
  OrtTensorTypeAndShapeInfo* info = nullptr;  // the context's
  check(api.ShapeInferContext_GetInputTypeShape(context, index, &info));
  return info;
}

// One dimension of an input; unknown where the input's rank is unknown or not the one expected: the run will tell.
Dimension input_dimension(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info, size_t rank, size_t axis) {
  const std::vector<int64_t> sizes = dimensions(api, info);
  if (sizes.size() != rank) return unknown_dimension();
  std::vector<const char*> names(rank);
  check(api.GetSymbolicDimensions(info, names.data(), rank));
  if (names[axis] != nullptr && names[axis][0] != '\0') return {-1, names[axis]};
  if (sizes[axis] < 0) return unknown_dimension();
  return {sizes[axis], ""};
}

Dimension output_size(const OrtApi& api, const OrtShapeInferContext* context, const char* name) {
  const OrtOpAttr* attribute = nullptr;
  if (!succeeded(api, api.ShapeInferContext_GetAttribute(context, name, &attribute))) return {1, ""};
  int64_t size = 0;
  size_t written = 0;
  const bool read = succeeded(api, api.ReadOpAttr(attribute, ORT_OP_ATTR_INT, &size, sizeof(size), &written));
  if (!read || size < 1) return unknown_dimension();
  return {size, ""};
}

// ONNX Runtime asks the first op of the name only, whatever the node's type: so the type is the one of X. It drops a
// status without releasing it, and a bad attribute is refused with the node's name later, at the kernel's creation: so
// a failure here leaves the output's shape unknown.
OrtStatus* ROIALIGN_ORT_CALL infer_shape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = *static_cast<const RoiAlignOp*>(op)->api;
  OrtStatus* failure = guarded(api, [&] {
    const OrtTensorTypeAndShapeInfo* X = input_info(api, context, 0);
    const OrtTensorTypeAndShapeInfo* rois = input_info(api, context, 1);
    const std::array<Dimension, 4> dims = {input_dimension(api, rois, 2, 0), input_dimension(api, X, 4, 1),
                                           output_size(api, context, "output_height"),
                                           output_size(api, context, "output_width")};
    std::array<int64_t, 4> sizes{};
    std::array<const char*, 4> names{};
    for (size_t i = 0; i < dims.size(); ++i) {
      sizes[i] = dims[i].size;
      names[i] = dims[i].name.c_str();
    }
    ONNXTensorElementDataType type{};
    check(api.GetTensorElementType(X, &type));
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    check(api.CreateTensorTypeAndShapeInfo(&raw));
    const Info Y(raw, ReleaseInfo{&api});
    check(api.SetTensorElementType(raw, type));
    check(api.SetDimensions(raw, sizes.data(), sizes.size()));
    check(api.SetSymbolicDimensions(raw, names.data(), names.size()));
    check(api.ShapeInferContext_SetOutputTypeShape(context, 0, raw));
  });
  if (failure != nullptr) api.ReleaseStatus(failure);
  return nullptr;
}

// ---- the op ----

constexpr size_t kBatchIndices = 2;

ONNXTensorElementDataType ROIALIGN_ORT_CALL input_type(const OrtCustomOp* op, size_t index) {
  if (index == kBatchIndices) return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  return static_cast<ONNXTensorElementDataType>(static_cast<const RoiAlignOp*>(op)->type);
}

}  // namespace

RoiAlignOp make_op(const OrtApi& api, const std::atomic<int64_t>& opset, ElementType type) {
  RoiAlignOp op{};
  op.version = kApiVersion;
  op.api = &api;
  op.opset = &opset;
  op.type = type;
  op.GetName = [](const OrtCustomOp*) { return "RoiAlign"; };
  op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op.GetInputType = input_type;
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 3; };
  op.GetOutputType = [](const OrtCustomOp* self, size_t) { return input_type(self, 0); };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = destroy_kernel;
  op.InferOutputShapeFn = infer_shape;
  op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
  op.GetEndVersion = [](const OrtCustomOp*) { return std::numeric_limits<int>::max(); };
  return op;
}

}  // namespace roialign
