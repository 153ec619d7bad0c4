// The execution provider in one session: which nodes it claims, and what runs them.
#ifndef ONNX_ROIALIGN_ORT_EP_PROVIDER_H_
#define ONNX_ROIALIGN_ORT_EP_PROVIDER_H_

#include <map>
#include <optional>
#include <string>

#include "ort/ep/abi.h"
#include "ort/ep/fused.h"
#include "ort/ep/graph.h"
#include "ort/runtime.h"
#include "ort/settings.h"

namespace roialign {

struct Provider : ort_abi::OrtEp {
  // registry: of the kernels; it must outlive the provider. options are those of the session.
  Provider(const Runtime& runtime, const ort_abi::OrtKernelRegistry* registry,
           const ort_abi::OrtSessionOptions* options, const ort_abi::OrtLogger* logger);

  // Claims every node that the kernels know and no provider before this one has, and the poolers and the mask
  // pasting in the graph as one node each.
  void claim(const ort_abi::OrtGraph* graph, ort_abi::OrtEpGraphSupportInfo* info);
  // Returns what the session gives it. Throws what is wrong with that: a provider that could not be made would only
  // leave its nodes to others, but a kernel that cannot be made ends the session.
  const ProviderOptions& options() const;
  // Makes what runs the nodes that they have become.
  void compile(const ort_abi::OrtNode** fused, size_t count, ort_abi::OrtNodeComputeInfo** out) const;

 private:
  // Returns what is fused whose last node, or Loop, this is.
  std::optional<Part> find(const Graph& graph, Node node, ort_abi::OrtEpGraphSupportInfo* info) const;
  // Whether the node is one that a kernel runs.
  bool knows(const Graph& graph, Node node, ort_abi::OrtEpGraphSupportInfo* info) const;
  // Whether the kernels know every RoiAlign of a pooler, which may be of a later version of the operator.
  bool knows_all(const Graph& graph, const Pooler& pooler, ort_abi::OrtEpGraphSupportInfo* info) const;
  void claim_part(Part part, ort_abi::OrtEpGraphSupportInfo* info);

  const Runtime runtime_;
  const ort_abi::OrtEpApi& ep_api_;
  const ort_abi::OrtKernelRegistry* const registry_;
  const ort_abi::OrtLogger* const logger_;
  ProviderOptions options_{};
  std::string wrong_options_;
  std::map<std::string, Part> parts_;  // by the name of their output
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_PROVIDER_H_
