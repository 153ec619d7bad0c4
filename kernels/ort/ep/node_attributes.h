// The attributes of a node in the graph that ONNX Runtime shows to an execution provider.
#ifndef ONNX_ROIALIGN_ORT_EP_NODE_ATTRIBUTES_H_
#define ONNX_ROIALIGN_ORT_EP_NODE_ATTRIBUTES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ort/attributes.h"
#include "ort/ep/graph.h"

namespace roialign {

class NodeAttributes : public AttributeSource {
 public:
  // graph must outlive it.
  NodeAttributes(const Graph& graph, Node node) : graph_(graph), node_(node) {}

  std::string node_name() const override;
  bool read(const char* name, int64_t& out) const override;
  bool read(const char* name, float& out) const override;
  bool read(const char* name, std::string& out) const override;
  bool read(const char* name, std::vector<int64_t>& out) const override;
  bool read(const char* name, std::vector<float>& out) const override;

 private:
  // Null where the node has no attribute of the name and the type.
  const ort_abi::OrtOpAttr* typed(const char* name, ort_abi::OrtOpAttrType type) const;
  template <class T>
  bool read_number(const char* name, ort_abi::OrtOpAttrType type, T* out) const;

  const Graph& graph_;
  Node node_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_NODE_ATTRIBUTES_H_
