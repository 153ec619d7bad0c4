// Reads the graph that ONNX Runtime shows to an execution provider.
#ifndef ONNX_ROIALIGN_ORT_EP_GRAPH_H_
#define ONNX_ROIALIGN_ORT_EP_GRAPH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ort/abi.h"

namespace roialign {

using Node = const ort_abi::OrtNode*;
// A name of the graph: an input, an initializer or a node's output. Null where a node leaves an input out.
using Value = const ort_abi::OrtValueInfo*;

// What it reads may be damaged. Every function takes null in place of a node or a value: it has no type, no name,
// nothing before or after it. What ONNX Runtime cannot tell is an OrtFailure, an attribute of a wrong type
// std::invalid_argument.
class Graph {
 public:
  // api is the table of kNewerApiVersion.
  Graph(const ort_abi::OrtApi& api, const ort_abi::OrtGraph* graph) : api_(api), graph_(graph) {}

  const ort_abi::OrtApi& api() const { return api_; }

  // In an order in which they can run.
  std::vector<Node> nodes() const;
  // Whether the node is this operator of ONNX's own.
  bool is(Node node, const char* type) const;
  // The name of one of ONNX's own operators; empty for any other.
  std::string type(Node node) const;
  std::string name(Node node) const;
  bool is_unowned(Node node) const;
  std::vector<Value> inputs(Node node) const;
  std::vector<Value> outputs(Node node) const;
  // Null where the node has fewer, or leaves it out.
  Value input(Node node, size_t i) const;
  Value output(Node node, size_t i) const;
  bool has_bodies(Node node) const;
  // Null where the node does not have it.
  const ort_abi::OrtOpAttr* attribute(Node node, const char* name) const;
  int64_t integer(Node node, const char* name, int64_t absent) const;
  // Empty where the node does not have it, or it is long.
  std::vector<int64_t> integers(Node node, const char* name) const;

  std::string name(Value value) const;
  // Null for an input or an initializer of the graph, or of a graph around it.
  Node producer(Value value) const;
  // Null in place of a node that reads it in a body.
  std::vector<Node> consumers(Value value) const;
  bool is_output(Value value) const;
  // The type of its elements and its rank; nothing where they are not known.
  std::optional<ort_abi::ONNXTensorElementDataType> element_type(Value value) const;
  std::optional<size_t> rank(Value value) const;
  // Its sizes, -1 for each that is not known; nothing where the rank is not known.
  std::optional<std::vector<int64_t>> sizes(Value value) const;
  bool is_constant(Value value) const;
  // The elements of a constant of int64; nothing where it is none, or has many.
  std::optional<std::vector<int64_t>> integers(Value value) const;
  // Whether it is such a constant of exactly these elements.
  bool is(Value value, const std::vector<int64_t>& elements) const;

 private:
  const ort_abi::OrtTensorTypeAndShapeInfo* tensor_info(Value value) const;

  const ort_abi::OrtApi& api_;
  const ort_abi::OrtGraph* graph_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_GRAPH_H_
