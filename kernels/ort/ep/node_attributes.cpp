// The attributes of a node in the graph that ONNX Runtime shows to an execution provider.
#include "ort/ep/node_attributes.h"

#include <algorithm>

#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

std::string NodeAttributes::node_name() const {
  const std::string name = graph_.name(node_);
  return name.empty() ? graph_.name(graph_.output(node_, 0)) : name;
}

bool NodeAttributes::read(const char* name, int64_t& out) const { return read_number(name, ORT_OP_ATTR_INT, &out); }
bool NodeAttributes::read(const char* name, float& out) const { return read_number(name, ORT_OP_ATTR_FLOAT, &out); }

bool NodeAttributes::read(const char* name, std::string& out) const {
  char text[32];  // longer than any text that RoiAlign knows
  size_t size = 0;
  const OrtOpAttr* const attribute = typed(name, ORT_OP_ATTR_STRING);
  if (attribute == nullptr) return false;
  if (!succeeded(graph_.api(), graph_.api().ReadOpAttr(attribute, ORT_OP_ATTR_STRING, text, sizeof text, &size))) {
    return false;
  }
  out.assign(text, std::min(size, sizeof text));
  while (!out.empty() && out.back() == '\0') out.pop_back();
  return true;
}

// RoiAlign has no lists: one that is there reads as empty.
bool NodeAttributes::read(const char* name, std::vector<int64_t>&) const {
  return graph_.attribute(node_, name) != nullptr;
}
bool NodeAttributes::read(const char* name, std::vector<float>&) const {
  return graph_.attribute(node_, name) != nullptr;
}

const OrtOpAttr* NodeAttributes::typed(const char* name, OrtOpAttrType type) const {
  const OrtOpAttr* const attribute = graph_.attribute(node_, name);
  OrtOpAttrType given{};
  if (attribute == nullptr) return nullptr;
  require_ok(graph_.api().OpAttr_GetType(attribute, &given));
  return given == type ? attribute : nullptr;
}

template <class T>
bool NodeAttributes::read_number(const char* name, OrtOpAttrType type, T* out) const {
  size_t size = 0;
  const OrtOpAttr* const attribute = typed(name, type);
  return attribute != nullptr &&
         succeeded(graph_.api(), graph_.api().ReadOpAttr(attribute, type, out, sizeof *out, &size));
}

}  // namespace roialign
