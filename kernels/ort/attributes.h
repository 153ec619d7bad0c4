// The attributes of a node: ONNX's own RoiAlign, and the ops of the domain onnx_roialign.
#ifndef ONNX_ROIALIGN_ORT_ATTRIBUTES_H_
#define ONNX_ROIALIGN_ORT_ATTRIBUTES_H_

#include <optional>
#include <string>
#include <vector>

#include "ort/abi.h"
#include "problem.h"

namespace roialign {

// Reads a node's attributes. ONNX Runtime answers absent and wrongly typed attributes with the same error code; a
// wrong type is told apart by asking for every other type, because the error's English text is no interface.
class AttributeReader {
 public:
  AttributeReader(const ort_abi::OrtApi& api, const ort_abi::OrtKernelInfo* info);

  const std::string& node() const { return node_; }

  int64_t integer(const char* name, int64_t absent) const;
  std::optional<float> real(const char* name) const;
  // Empty where the attribute is absent.
  std::vector<float> reals(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  // Whether the text is second rather than first; absent: first.
  bool choice(const char* name, const char* first, const char* second) const;

  [[noreturn]] void refuse(const std::string& problem, const char* way_out = "") const;

 private:
  void refuse_other_type(const char* name, const char* expected) const;

  const ort_abi::OrtApi& api_;
  const ort_abi::OrtKernelInfo* info_;
  std::string node_;  // " (node 'NAME')"
};

// Both throw std::invalid_argument with a text that names the attribute and the node.
Attributes read_onnx_attributes(const AttributeReader& reader, int64_t opset);  // opset 0: unknown
Attributes read_private_attributes(const AttributeReader& reader);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_ATTRIBUTES_H_
