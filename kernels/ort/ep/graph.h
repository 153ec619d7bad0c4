// Reads the graph that ONNX Runtime shows to an execution provider.
#ifndef ONNX_ROIALIGN_ORT_EP_GRAPH_H_
#define ONNX_ROIALIGN_ORT_EP_GRAPH_H_

#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort/abi.h"
#include "ort/status.h"
#include "problem.h"

namespace roialign {

using Node = const ort_abi::OrtNode*;
// A name of the graph: an input, an initializer or a node's output. Null where a node leaves an input out.
using Value = const ort_abi::OrtValueInfo*;

// A node that reads a value, itself or in one of its bodies.
struct Reader {
  Node node;
  bool in_body;
};

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
  std::vector<Value> inputs() const;
  std::vector<Value> outputs() const;
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
  std::vector<Graph> bodies(Node node) const;
  // The values of this graph and of those around it that a node's bodies read.
  std::vector<Value> captured(Node node) const;
  // Null where the node does not have it.
  const ort_abi::OrtOpAttr* attribute(Node node, const char* name) const;
  int64_t integer(Node node, const char* name, int64_t absent) const;
  // Empty where the node does not have it, or it is long.
  std::vector<int64_t> integers(Node node, const char* name) const;

  std::string name(Value value) const;
  // Null for an input or an initializer of the graph, or of a graph around it.
  Node producer(Value value) const;
  std::vector<Reader> readers(Value value) const;
  // Whether the value comes from outside a group of nodes and one of them reads it itself, so that the node that they
  // are fused to has it as an input.
  bool comes_into(const std::set<Node>& group, Value value) const;
  bool is_output(Value value) const;
  // The type of its elements and its rank; nothing where they are not known.
  std::optional<ort_abi::ONNXTensorElementDataType> element_type(Value value) const;
  std::optional<size_t> rank(Value value) const;
  // Its sizes, -1 for each that is not known; nothing where the rank is not known.
  std::optional<std::vector<int64_t>> sizes(Value value) const;
  bool is_constant(Value value) const;
  // The elements of a constant of int64; nothing where it is none, or has many.
  std::optional<std::vector<int64_t>> integers(Value value) const;
  // The same for float32 and for bool.
  std::optional<std::vector<float>> floats(Value value) const;
  std::optional<std::vector<uint8_t>> truths(Value value) const;
  // Whether it is such a constant of exactly these elements.
  bool is(Value value, const std::vector<int64_t>& elements) const;
  // Axes of a Squeeze or an Unsqueeze; nothing where it has none, or they are not constant.
  std::optional<std::vector<int64_t>> axes(Node node) const;
  // Whether the node makes a tensor of floating-point zeros.
  bool makes_zeros(Node node) const;
  static bool is_float(ort_abi::ONNXTensorElementDataType type);

 private:
  const ort_abi::OrtTensorTypeAndShapeInfo* tensor_info(Value value) const;
  template <class T>
  std::optional<std::vector<T>> elements(Value value, ort_abi::ONNXTensorElementDataType of) const;

  const ort_abi::OrtApi& api_;
  const ort_abi::OrtGraph* graph_;
};

// Returns what find() finds: nothing where the graph cannot be read, or an attribute is one that a kernel refuses when
// it is made, with the node's name.
template <class Find>
auto found_or_nothing(const ort_abi::OrtApi& api, const Find& find) -> decltype(find()) {
  try {
    return find();
  } catch (const OrtFailure& unreadable) {
    api.ReleaseStatus(unreadable.status());
    return std::nullopt;
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_GRAPH_H_
