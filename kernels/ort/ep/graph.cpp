// Reads the graph that ONNX Runtime shows to an execution provider.
#include "ort/ep/graph.h"

#include <stdexcept>

#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

constexpr size_t kMostIntegers = 64;  // more than any constant that a pattern asks for

// A text of ONNX Runtime's, which is null where there is none.
std::string text_of(const char* text) { return text == nullptr ? "" : text; }

template <class Count, class Get>
std::vector<Value> values_of(Node node, Count count_of, Get get) {
  size_t count = 0;
  if (node == nullptr) return {};
  require_ok(count_of(node, &count));
  std::vector<Value> values(count);
  require_ok(get(node, values.data(), count));
  return values;
}

}  // namespace

std::vector<Node> Graph::nodes() const {
  size_t count = 0;
  require_ok(api_.Graph_GetNumNodes(graph_, &count));
  std::vector<Node> all(count);
  require_ok(api_.Graph_GetNodes(graph_, all.data(), count));
  return all;
}

bool Graph::is(Node node, const char* type) const { return node != nullptr && this->type(node) == type; }

std::string Graph::type(Node node) const {
  const char *domain = nullptr, *type = nullptr;
  if (node == nullptr) return "";
  require_ok(api_.Node_GetDomain(node, &domain));
  require_ok(api_.Node_GetOperatorType(node, &type));
  const std::string of = text_of(domain);
  return of.empty() || of == "ai.onnx" ? text_of(type) : "";
}

std::string Graph::name(Node node) const {
  const char* name = nullptr;
  if (node != nullptr) require_ok(api_.Node_GetName(node, &name));
  return text_of(name);
}

bool Graph::is_unowned(Node node) const {
  const char* owner = nullptr;
  if (node != nullptr) require_ok(api_.Node_GetEpName(node, &owner));
  return text_of(owner).empty();
}

std::vector<Value> Graph::inputs(Node node) const {
  return values_of(node, api_.Node_GetNumInputs, api_.Node_GetInputs);
}

std::vector<Value> Graph::outputs(Node node) const {
  return values_of(node, api_.Node_GetNumOutputs, api_.Node_GetOutputs);
}

Value Graph::input(Node node, size_t i) const {
  const std::vector<Value> all = inputs(node);
  return i < all.size() ? all[i] : nullptr;
}

Value Graph::output(Node node, size_t i) const {
  const std::vector<Value> all = outputs(node);
  return i < all.size() ? all[i] : nullptr;
}

bool Graph::has_bodies(Node node) const {
  size_t count = 0;
  if (node != nullptr) require_ok(api_.Node_GetNumSubgraphs(node, &count));
  return count > 0;
}

const OrtOpAttr* Graph::attribute(Node node, const char* name) const {
  const OrtOpAttr* attribute = nullptr;
  if (node == nullptr) return nullptr;
  return succeeded(api_, api_.Node_GetAttributeByName(node, name, &attribute)) ? attribute : nullptr;
}

int64_t Graph::integer(Node node, const char* name, int64_t absent) const {
  const OrtOpAttr* const found = attribute(node, name);
  int64_t value = absent;
  size_t size = 0;
  if (found == nullptr) return absent;
  OrtOpAttrType type{};
  require_ok(api_.OpAttr_GetType(found, &type));
  if (type != ORT_OP_ATTR_INT) throw std::invalid_argument(std::string(name) + " must be an integer");
  require_ok(api_.ReadOpAttr(found, ORT_OP_ATTR_INT, &value, sizeof value, &size));
  return value;
}

std::vector<int64_t> Graph::integers(Node node, const char* name) const {
  const OrtOpAttr* const found = attribute(node, name);
  std::vector<int64_t> values(8);
  size_t bytes = 0;
  if (found == nullptr) return {};
  const size_t room = values.size() * sizeof(int64_t);
  if (!succeeded(api_, api_.ReadOpAttr(found, ORT_OP_ATTR_INTS, values.data(), room, &bytes)) || bytes > room)
    return {};
  values.resize(bytes / sizeof(int64_t));
  return values;
}

std::string Graph::name(Value value) const {
  const char* name = nullptr;
  if (value != nullptr) require_ok(api_.GetValueInfoName(value, &name));
  return text_of(name);
}

Node Graph::producer(Value value) const {
  Node node = nullptr;
  size_t output = 0;
  if (value != nullptr) require_ok(api_.ValueInfo_GetValueProducer(value, &node, &output));
  return node;
}

std::vector<Node> Graph::consumers(Value value) const {
  size_t count = 0;
  if (value == nullptr) return {};
  require_ok(api_.ValueInfo_GetValueNumConsumers(value, &count));
  std::vector<Node> nodes(count);
  std::vector<int64_t> inputs(count);
  require_ok(api_.ValueInfo_GetValueConsumers(value, nodes.data(), inputs.data(), count));
  for (size_t i = 0; i < count; ++i) {
    if (inputs[i] < 0) nodes[i] = nullptr;
  }
  return nodes;
}

bool Graph::is_output(Value value) const {
  bool is = false;
  if (value != nullptr) require_ok(api_.ValueInfo_IsGraphOutput(value, &is));
  return is;
}

const OrtTensorTypeAndShapeInfo* Graph::tensor_info(Value value) const {
  const OrtTypeInfo* type = nullptr;
  const OrtTensorTypeAndShapeInfo* info = nullptr;
  if (value == nullptr) return nullptr;
  if (!succeeded(api_, api_.GetValueInfoTypeInfo(value, &type)) || type == nullptr) return nullptr;
  return succeeded(api_, api_.CastTypeInfoToTensorInfo(type, &info)) ? info : nullptr;
}

std::optional<ONNXTensorElementDataType> Graph::element_type(Value value) const {
  const OrtTensorTypeAndShapeInfo* const info = tensor_info(value);
  ONNXTensorElementDataType type{};
  if (info == nullptr || !succeeded(api_, api_.GetTensorElementType(info, &type))) return std::nullopt;
  return type;
}

std::optional<size_t> Graph::rank(Value value) const {
  const std::optional<std::vector<int64_t>> known = sizes(value);
  return known ? std::optional<size_t>(known->size()) : std::nullopt;
}

std::optional<std::vector<int64_t>> Graph::sizes(Value value) const {
  const OrtTensorTypeAndShapeInfo* const info = tensor_info(value);
  size_t rank = 0;
  if (info == nullptr || !api_.TensorTypeAndShape_HasShape(info)) return std::nullopt;
  require_ok(api_.GetDimensionsCount(info, &rank));
  std::vector<int64_t> sizes(rank);
  require_ok(api_.GetDimensions(info, sizes.data(), rank));
  return sizes;
}

bool Graph::is_constant(Value value) const {
  bool is = false;
  if (value != nullptr) require_ok(api_.ValueInfo_IsConstantInitializer(value, &is));
  return is;
}

std::optional<std::vector<int64_t>> Graph::integers(Value value) const {
  if (element_type(value) != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) return std::nullopt;
  const OrtValue* tensor = nullptr;
  if (!is_constant(value) || !succeeded(api_, api_.ValueInfo_GetInitializerValue(value, &tensor)) ||
      tensor == nullptr) {
    return std::nullopt;
  }
  ONNXTensorElementDataType type{};
  const int64_t* dims = nullptr;
  size_t rank = 0, count = 1;
  require_ok(api_.GetTensorElementTypeAndShapeDataReference(tensor, &type, &dims, &rank));
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) return std::nullopt;
  for (size_t i = 0; i < rank; ++i) {
    if (dims[i] < 0 || dims[i] > static_cast<int64_t>(kMostIntegers)) return std::nullopt;
    count *= static_cast<size_t>(dims[i]);
    if (count > kMostIntegers) return std::nullopt;
  }
  void* data = nullptr;
  require_ok(api_.GetTensorMutableData(const_cast<OrtValue*>(tensor), &data));  // the C API has no const version
  const auto* numbers = static_cast<const int64_t*>(data);
  return std::vector<int64_t>(numbers, numbers + count);
}

bool Graph::is(Value value, const std::vector<int64_t>& elements) const { return integers(value) == elements; }

}  // namespace roialign
