// A run of PasteMasks, as the private op and as what the execution provider fuses.
#ifndef ONNX_ROIALIGN_ORT_PASTE_MASKS_H_
#define ONNX_ROIALIGN_ORT_PASTE_MASKS_H_

#include <cstdint>
#include <string>

#include "ort/abi.h"
#include "ort/runtime.h"
#include "ort/tensors.h"
#include "problem.h"

namespace roialign {

struct PasteSettings {
  ElementType type;
  ElementType boxes_type;
  std::string node;  // as messages name it
  int threads;
};

// Makes output 0 of the masks and the boxes. Throws what is wrong with them.
void run_paste_masks(const Runtime& runtime, ort_abi::OrtKernelContext* context, const PasteSettings& settings,
                     const Tensor& masks, const Tensor& boxes, int64_t height, int64_t width);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_PASTE_MASKS_H_
