// Reads what ONNX Runtime gives an op for a run, and infers the output's shape before it.
#include "ort/tensors.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

struct ReleaseInfo {
  const OrtApi* api;
  void operator()(OrtTensorTypeAndShapeInfo* info) const { api->ReleaseTensorTypeAndShapeInfo(info); }
};
using Info = std::unique_ptr<OrtTensorTypeAndShapeInfo, ReleaseInfo>;

std::vector<int64_t> dimensions(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  size_t rank = 0;
  require_ok(api.GetDimensionsCount(info, &rank));
  std::vector<int64_t> dims(rank);
  require_ok(api.GetDimensions(info, dims.data(), rank));
  return dims;
}

__attribute__((cold, noinline)) Dimensions copied_shape(const OrtApi& api, const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  require_ok(api.GetTensorTypeAndShape(value, &raw));
  const Info info(raw, ReleaseInfo{&api});
  const std::vector<int64_t> dims = dimensions(api, info.get());
  auto copy = std::make_unique<int64_t[]>(dims.size());
  std::copy(dims.begin(), dims.end(), copy.get());
  return {std::move(copy), dims.size()};
}

}  // namespace

Tensor read_input(const Runtime& runtime, const OrtKernelContext* context, size_t index) {
  const OrtApi& api = *runtime.api;
  const OrtValue* value = nullptr;
  require_ok(api.KernelContext_GetInput(context, index, &value));
  void* data = nullptr;
  require_ok(api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));  // the C API has no const version
  if (runtime.newer != nullptr) {
    ONNXTensorElementDataType type;
    const int64_t* sizes = nullptr;
    size_t rank = 0;
    require_ok(runtime.newer->GetTensorElementTypeAndShapeDataReference(value, &type, &sizes, &rank));
    return {Dimensions(sizes, rank), data};
  }
  return {copied_shape(api, value), data};
}

bool has_input(const Runtime& runtime, const OrtKernelContext* context, size_t index) {
  const OrtValue* value = nullptr;
  require_ok(runtime.api->KernelContext_GetInput(context, index, &value));
  return value != nullptr;
}

std::string shape_text(const Dimensions& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

namespace {

__attribute__((cold)) std::string counts_text(int64_t rois, int64_t batch_indices) {
  return "rois and batch_indices must have the same count, got " + std::to_string(rois) + " and " +
         std::to_string(batch_indices);
}

}  // namespace

std::string check_shapes(const Tensor& X, const Tensor& rois, const Tensor& batch_indices) {
  if (X.shape.size() != 4) return "X must have rank 4 (N, C, H, W), got shape " + shape_text(X.shape);
  if (rois.shape.size() != 2 || rois.shape[1] != 4) {
    return "rois must have shape (num_rois, 4), got shape " + shape_text(rois.shape);
  }
  if (batch_indices.shape.size() != 1) {
    return "batch_indices must have shape (num_rois,), got shape " + shape_text(batch_indices.shape);
  }
  if (rois.shape[0] != batch_indices.shape[0]) return counts_text(rois.shape[0], batch_indices.shape[0]);
  return {};
}

std::string check_scalar(const char* name, const Tensor& tensor) {
  if (tensor.shape.size() == 0 || (tensor.shape.size() == 1 && tensor.shape[0] == 1)) return {};
  return std::string(name) + " must be a scalar, got shape " + shape_text(tensor.shape);
}

void* make_output(const OrtApi& api, OrtKernelContext* context, const std::array<int64_t, 4>& shape) {
  OrtValue* Y = nullptr;
  require_ok(api.KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &Y));
  void* data = nullptr;
  require_ok(api.GetTensorMutableData(Y, &data));
  return data;
}

// ---- shape inference ----

namespace {

struct Dimension {
  int64_t size;
  std::string name;  // empty where the size is known
};

// ONNX Runtime takes a size of -1 for a known size (1.20 then folds Shape to -1, and 1.31 aborts the process), so an
// unknown dimension gets a name that nothing else has.
Dimension unknown_dimension() {
  static std::atomic<uint64_t> count{0};
  return {-1, "onnx_roialign_dim_" + std::to_string(count++)};
}

OrtTensorTypeAndShapeInfo* input_info(const OrtApi& api, const OrtShapeInferContext* context, size_t index) {
  OrtTensorTypeAndShapeInfo* info = nullptr;  // owned by the context
  require_ok(api.ShapeInferContext_GetInputTypeShape(context, index, &info));
  return info;
}

// Returns one dimension of an input. It is unknown where the input's rank is unknown or not the one expected, which the
// run will refuse.
Dimension input_dimension(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info, size_t rank, size_t axis) {
  const std::vector<int64_t> sizes = dimensions(api, info);
  if (sizes.size() != rank) return unknown_dimension();
  std::vector<const char*> names(rank);
  require_ok(api.GetSymbolicDimensions(info, names.data(), rank));
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

// Sets output 0's type, that of an input, and its shape.
void set_output_shape(const OrtApi& api, OrtShapeInferContext* context, size_t typed_input,
                      const std::array<Dimension, 4>& dims) {
  std::array<int64_t, 4> sizes{};
  std::array<const char*, 4> names{};
  for (size_t i = 0; i < dims.size(); ++i) {
    sizes[i] = dims[i].size;
    names[i] = dims[i].name.c_str();
  }
  ONNXTensorElementDataType type{};
  require_ok(api.GetTensorElementType(input_info(api, context, typed_input), &type));
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  require_ok(api.CreateTensorTypeAndShapeInfo(&raw));
  const Info Y(raw, ReleaseInfo{&api});
  require_ok(api.SetTensorElementType(raw, type));
  require_ok(api.SetDimensions(raw, sizes.data(), sizes.size()));
  require_ok(api.SetSymbolicDimensions(raw, names.data(), names.size()));
  require_ok(api.ShapeInferContext_SetOutputTypeShape(context, 0, raw));
}

// ONNX Runtime calls only the first op of a name, whatever the node's type, so the type is taken from an input. A
// failure here leaves the output's shape unknown: ONNX Runtime would drop a status without releasing it, and a bad
// attribute is refused later with the node's name, when the kernel is created.
template <class Dims>
void infer_shape(const OrtApi& api, OrtShapeInferContext* context, size_t typed_input, const Dims& dims) noexcept {
  OrtStatus* failure = guarded(api, [&] { set_output_shape(api, context, typed_input, dims()); });
  if (failure != nullptr) api.ReleaseStatus(failure);
}

}  // namespace

void infer_pooled_shape(const OrtApi& api, OrtShapeInferContext* context, size_t x_input, size_t rois_input) noexcept {
  infer_shape(api, context, x_input, [&] {
    const OrtTensorTypeAndShapeInfo* X = input_info(api, context, x_input);
    const OrtTensorTypeAndShapeInfo* rois = input_info(api, context, rois_input);
    return std::array<Dimension, 4>{input_dimension(api, rois, 2, 0), input_dimension(api, X, 4, 1),
                                    output_size(api, context, "output_height"),
                                    output_size(api, context, "output_width")};
  });
}

void infer_pasted_shape(const OrtApi& api, OrtShapeInferContext* context) noexcept {
  infer_shape(api, context, 0, [&] {
    return std::array<Dimension, 4>{input_dimension(api, input_info(api, context, 0), 4, 0), Dimension{1, ""},
                                    unknown_dimension(), unknown_dimension()};
  });
}

}  // namespace roialign
