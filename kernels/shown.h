// How much of a value a message shows.
#ifndef ONNX_ROIALIGN_SHOWN_H_
#define ONNX_ROIALIGN_SHOWN_H_

#include <cstddef>

namespace roialign {

// Characters; onnx_roialign/errors.py has the same number.
constexpr size_t kMostShown = 64;

}  // namespace roialign

#endif  // ONNX_ROIALIGN_SHOWN_H_
