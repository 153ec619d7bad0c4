// Reads the graph that ONNX Runtime shows to an execution provider.
#include "ort/ep/graph.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <stdexcept>

#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

constexpr size_t kMostRead = 64;  // more than any constant that a pattern asks for

// A text of ONNX Runtime's, which is null where there is none.
std::string text_of(const char* text) { return text == nullptr ? "" : text; }

// The values of a node or a graph.
template <class Of, class Count, class Get>
std::vector<Value> values_of(const Of* of, Count count_of, Get get) {
  size_t count = 0;
  if (of == nullptr) return {};
  require_ok(count_of(of, &count));
  std::vector<Value> values(count);
  require_ok(get(of, values.data(), count));
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

std::vector<Value> Graph::inputs() const { return values_of(graph_, api_.Graph_GetNumInputs, api_.Graph_GetInputs); }

std::vector<Value> Graph::outputs() const { return values_of(graph_, api_.Graph_GetNumOutputs, api_.Graph_GetOutputs); }

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

std::vector<Value> Graph::captured(Node node) const {
  return values_of(node, api_.Node_GetNumImplicitInputs, api_.Node_GetImplicitInputs);
}

Value Graph::input(Node node, size_t i) const {
  const std::vector<Value> all = inputs(node);
  return i < all.size() ? all[i] : nullptr;
}

Value Graph::output(Node node, size_t i) const {
  const std::vector<Value> all = outputs(node);
  return i < all.size() ? all[i] : nullptr;
}

std::vector<Graph> Graph::bodies(Node node) const {
  size_t count = 0;
  if (node != nullptr) require_ok(api_.Node_GetNumSubgraphs(node, &count));
  if (count == 0) return {};
  std::vector<const OrtGraph*> graphs(count);
  require_ok(api_.Node_GetSubgraphs(node, graphs.data(), count, nullptr));
  std::vector<Graph> all;
  for (const OrtGraph* const graph : graphs) all.emplace_back(api_, graph);
  return all;
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

std::vector<Reader> Graph::readers(Value value) const {
  size_t count = 0;
  if (value == nullptr) return {};
  require_ok(api_.ValueInfo_GetValueNumConsumers(value, &count));
  std::vector<Node> nodes(count);
  std::vector<int64_t> inputs(count);
  require_ok(api_.ValueInfo_GetValueConsumers(value, nodes.data(), inputs.data(), count));
  std::vector<Reader> all;
  for (size_t i = 0; i < count; ++i) all.push_back({nodes[i], inputs[i] < 0});
  return all;
}

bool Graph::comes_into(const std::set<Node>& group, Value value) const {
  if (group.count(producer(value)) == 1) return false;
  const std::vector<Reader> all = readers(value);
  return std::any_of(all.begin(), all.end(),
                     [&group](const Reader& reader) { return !reader.in_body && group.count(reader.node) == 1; });
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

template <class T>
std::optional<std::vector<T>> Graph::elements(Value value, ONNXTensorElementDataType of) const {
  if (element_type(value) != of) return std::nullopt;
  const OrtValue* tensor = nullptr;
  if (!is_constant(value) || !succeeded(api_, api_.ValueInfo_GetInitializerValue(value, &tensor)) ||
      tensor == nullptr) {
    return std::nullopt;
  }
  ONNXTensorElementDataType type{};
  const int64_t* dims = nullptr;
  size_t rank = 0, count = 1;
  require_ok(api_.GetTensorElementTypeAndShapeDataReference(tensor, &type, &dims, &rank));
  if (type != of) return std::nullopt;
  for (size_t i = 0; i < rank; ++i) {
    if (dims[i] < 0 || dims[i] > static_cast<int64_t>(kMostRead)) return std::nullopt;
    count *= static_cast<size_t>(dims[i]);
    if (count > kMostRead) return std::nullopt;
  }
  void* data = nullptr;
  require_ok(api_.GetTensorMutableData(const_cast<OrtValue*>(tensor), &data));  // the C API has no const version
  const auto* elements = static_cast<const T*>(data);
  return std::vector<T>(elements, elements + count);
}

std::optional<std::vector<int64_t>> Graph::integers(Value value) const {
  return elements<int64_t>(value, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
}

std::optional<std::vector<float>> Graph::floats(Value value) const {
  return elements<float>(value, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

std::optional<std::vector<uint8_t>> Graph::truths(Value value) const {
  return elements<uint8_t>(value, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
}

std::optional<std::vector<int64_t>> Graph::axes(Node node) const {
  if (inputs(node).size() > 1) return integers(input(node, 1));
  return attribute(node, "axes") == nullptr ? std::nullopt : std::optional(integers(node, "axes"));
}

bool Graph::makes_zeros(Node node) const {
  if (!is(node, "ConstantOfShape")) return false;
  const OrtOpAttr* const value = attribute(node, "value");
  if (value == nullptr) return true;
  OrtValue* tensor = nullptr;
  if (!succeeded(api_, api_.OpAttr_GetTensorAttributeAsOrtValue(value, &tensor))) return false;
  const auto release = [this](OrtValue* one) { api_.ReleaseValue(one); };
  const std::unique_ptr<OrtValue, decltype(release)> owned(tensor, release);
  ONNXTensorElementDataType type{};
  const int64_t* dims = nullptr;
  size_t rank = 0;
  void* data = nullptr;
  require_ok(api_.GetTensorElementTypeAndShapeDataReference(tensor, &type, &dims, &rank));
  require_ok(api_.GetTensorMutableData(tensor, &data));
  if (!is_float(type) || !std::all_of(dims, dims + rank, [](int64_t size) { return size == 1; })) return false;
  const auto* bytes = static_cast<const unsigned char*>(data);
  const size_t size = size_of(static_cast<ElementType>(type));
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

bool Graph::is_float(ONNXTensorElementDataType type) {
  const auto* const end = std::end(kElementTypes);
  return std::find(std::begin(kElementTypes), end, static_cast<ElementType>(type)) != end;
}

bool Graph::is(Value value, const std::vector<int64_t>& elements) const { return integers(value) == elements; }

}  // namespace roialign
