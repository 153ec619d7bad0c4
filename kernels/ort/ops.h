// The custom ops of ONNX Runtime: ONNX's own RoiAlign, and the private ones that carry their Semantics.
#ifndef ONNX_ROIALIGN_ORT_OPS_H_
#define ONNX_ROIALIGN_ORT_OPS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ort/abi.h"
#include "ort/runtime.h"
#include "ort/settings.h"
#include "problem.h"

namespace roialign {

// One op for one element type. ONNX Runtime keeps a pointer to it for as long as a session that uses it lives.
struct Op : ort_abi::OrtCustomOp {
  Runtime runtime;
  const char* name;
  bool is_private;  // not ONNX's RoiAlign
  // For ONNX's RoiAlign as a custom op the model's opset, 0 where it is unknown. ONNX Runtime merges all opsets of a
  // custom op into one schema, so a kernel cannot ask for the opset. Each kernel copies the number when it is created.
  // Null where a kernel can ask: the provider's the node, and a custom op's the session, for the config entry.
  const std::atomic<int64_t>* opset;
  bool asks_session;
  std::optional<Settings> settings;         // none where a kernel asks for those of its session: the provider's
  ort_abi::ONNXTensorElementDataType type;  // of X
  size_t rois;                              // index of the input that holds the RoIs
  ort_abi::ONNXTensorElementDataType rois_type;
};

constexpr ort_abi::ONNXTensorElementDataType kQuantizedTypes[] = {ort_abi::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
                                                                  ort_abi::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
                                                                  ort_abi::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};

// The names of the private op in models: today's, and the earlier one (onnx_roialign/ops/roi_align.py, OP_TYPES).
constexpr const char* kPrivateNames[] = {"AnyRoiAlign", "RoiAlign"};

// Makes ONNX's RoiAlign, with the opset that Op describes.
Op make_roi_align(const Runtime& runtime, const std::atomic<int64_t>* opset, ElementType type);
// Makes the private op, under one of kPrivateNames.
Op make_any_roi_align(const Runtime& runtime, const char* name, ElementType type, ElementType rois_type);
// Makes onnx_roialign::QLinearRoiAlign.
Op make_qlinear_roi_align(const Runtime& runtime, ort_abi::ONNXTensorElementDataType type);
// Makes onnx_roialign::MultiScaleRoiAlign.
Op make_multiscale_roi_align(const Runtime& runtime, ElementType type, ElementType rois_type);
// Makes onnx_roialign::PasteMasks.
Op make_paste_masks(const Runtime& runtime, ElementType type, ElementType boxes_type);

// Returns the settings of a kernel that is being made.
Settings settings_of(const Op& op, const ort_abi::OrtKernelInfo* info);
// Returns the instruction set of these settings.
const Isa& isa_of(const Settings& settings);

// Makes what all ops share: one output of X's type, whose shape follows from X and rois; every input is required.
Op make_op(const Runtime& runtime, const char* name, ort_abi::ONNXTensorElementDataType type, size_t rois);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_OPS_H_
