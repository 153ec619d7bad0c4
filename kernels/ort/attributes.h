// Reads the attributes of a node of ONNX's own RoiAlign or of an op of the domain onnx_roialign.
#ifndef ONNX_ROIALIGN_ORT_ATTRIBUTES_H_
#define ONNX_ROIALIGN_ORT_ATTRIBUTES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ort/abi.h"
#include "problem.h"

namespace roialign {

// The attributes of a node where it is met: in a kernel that is being made, or in a graph. Each returns whether there
// is an attribute of that name and type. An attribute of a type that has no function here reads as an empty list.
class AttributeSource {
 public:
  virtual ~AttributeSource() = default;
  // The name that messages give the node: that of its first output if it has none.
  virtual std::string node_name() const = 0;
  virtual bool read(const char* name, int64_t& out) const = 0;
  virtual bool read(const char* name, float& out) const = 0;
  virtual bool read(const char* name, std::string& out) const = 0;
  virtual bool read(const char* name, std::vector<int64_t>& out) const = 0;
  virtual bool read(const char* name, std::vector<float>& out) const = 0;
};

// Reads a node's attributes one by one. ONNX Runtime returns the same error code for an absent attribute and for one of
// the wrong type. To tell them apart, the attribute is read as every other type, since the error's text is no
// interface.
class AttributeReader {
 public:
  explicit AttributeReader(std::unique_ptr<const AttributeSource> source);
  AttributeReader(const ort_abi::OrtApi& api, const ort_abi::OrtKernelInfo* info);

  const std::string& node() const { return node_; }

  int64_t integer(const char* name, int64_t absent) const;
  std::optional<float> real(const char* name) const;
  // Empty where the attribute is absent.
  std::vector<float> reals(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  // Returns whether the text is second rather than first; an absent attribute is first.
  bool choice(const char* name, const char* first, const char* second) const;

  // Throws std::invalid_argument with the problem, the node's name and the way out.
  [[noreturn]] void refuse(const std::string& problem, const char* way_out = "") const;

 private:
  void refuse_other_type(const char* name, const char* expected, const char* unknown = "another type") const;

  std::unique_ptr<const AttributeSource> source_;
  std::string node_;  // " (node 'NAME')"
};

// Both throw std::invalid_argument with a text that names the attribute and the node. An opset of 0 is unknown.
Attributes read_onnx_attributes(const AttributeReader& reader, int64_t opset);
Attributes read_private_attributes(const AttributeReader& reader);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_ATTRIBUTES_H_
