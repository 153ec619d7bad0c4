// A pooler that became one node of a session: what ONNX Runtime calls for it.
#ifndef ONNX_ROIALIGN_ORT_EP_FUSED_H_
#define ONNX_ROIALIGN_ORT_EP_FUSED_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ort/ep/abi.h"
#include "ort/ep/pooler.h"
#include "ort/runtime.h"
#include "ort/settings.h"
#include "problem.h"

namespace roialign {

// A pooler whose inputs are those of a node, by their number.
struct FusedPlan {
  struct Level {
    size_t map;
    int64_t number;
    Attributes attributes;
    std::string node;
  };

  Runtime runtime;
  const Isa* isa;
  int threads;
  ElementType type;
  std::vector<Level> levels;
  size_t boxes;
  size_t level_numbers;
  size_t start;
  bool start_is_zero;
};

struct FusedPooler : ort_abi::OrtNodeComputeInfo {
  // inputs: names of the node's inputs, in their order.
  FusedPooler(const Runtime& runtime, const Settings& settings, const Pooler& pooler,
              const std::vector<std::string>& inputs);

  FusedPlan plan;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_FUSED_H_
