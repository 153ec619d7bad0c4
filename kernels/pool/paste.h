// Pastes a detector's masks: resizes each mask to its box and writes it into an image of zeros.
#ifndef ONNX_ROIALIGN_POOL_PASTE_H_
#define ONNX_ROIALIGN_POOL_PASTE_H_

#include <cstdint>
#include <string>

#include "problem.h"

namespace roialign {

// One call of PasteMasks; onnx_roialign/definition/masks.py defines what it computes.
struct MaskArrays {
  ElementType type;        // of masks and images
  ElementType boxes_type;  // of boxes, which are rounded once to the type that coordinates are computed in
  const void* masks;       // (num_masks, 1, side, side)
  const void* boxes;       // (num_masks, 4)
  void* images;            // (num_masks, 1, height, width)
  int64_t num_masks, side, height, width;
};

// Each returns an empty text, or "<input> <rule>, got <value> [at <where>]"; masks.py makes the same checks in the same
// order and words.
std::string check_mask_sizes(const MaskArrays& arrays);
std::string check_boxes(const MaskArrays& arrays);

// Computes arrays.images; the checks must have passed. Throws std::bad_alloc.
void paste_masks(const MaskArrays& arrays, const Workers& workers);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_PASTE_H_
