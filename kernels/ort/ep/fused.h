// A group of nodes that became one node of a session: what ONNX Runtime calls for it.
#ifndef ONNX_ROIALIGN_ORT_EP_FUSED_H_
#define ONNX_ROIALIGN_ORT_EP_FUSED_H_

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "ort/ep/abi.h"
#include "ort/ep/paste.h"
#include "ort/ep/pooler.h"
#include "ort/runtime.h"
#include "ort/settings.h"

namespace roialign {

using Part = std::variant<Pooler, Pasting>;

struct FusedNode : ort_abi::OrtNodeComputeInfo {
  // inputs: names of the node's inputs, in their order.
  FusedNode(const Runtime& runtime, const Settings& settings, const Part& part, const std::vector<std::string>& inputs);

  const Runtime runtime;
  const std::function<void(ort_abi::OrtKernelContext*)> run;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_FUSED_H_
