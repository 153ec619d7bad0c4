// Reads the attributes of a node of ONNX's own RoiAlign or of an op of the domain onnx_roialign.
#include "ort/attributes.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "ort/status.h"
#include "shown.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

constexpr int64_t kFirstOpsetWithCoordinateMode = 16;

// Returns the string that `read` writes: it is called for its size, with the 0 at its end, and then for its characters.
template <typename Read>
std::string text(Read read) {
  size_t size = 0;
  require_ok(read(nullptr, &size));
  std::string characters(size, '\0');
  require_ok(read(characters.data(), &size));
  characters.resize(size == 0 ? 0 : size - 1);
  return characters;
}

// The attributes of a node whose kernel is being made.
class KernelAttributes : public AttributeSource {
 public:
  KernelAttributes(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  std::string node_name() const override {
    std::string name = text([&](char* out, size_t* size) { return api_.KernelInfo_GetNodeName(info_, out, size); });
    if (!name.empty()) return name;
    return text([&](char* out, size_t* size) { return api_.KernelInfo_GetOutputName(info_, 0, out, size); });
  }

  bool read(const char* name, int64_t& out) const override {
    return succeeded(api_, api_.KernelInfoGetAttribute_int64(info_, name, &out));
  }

  bool read(const char* name, float& out) const override {
    return succeeded(api_, api_.KernelInfoGetAttribute_float(info_, name, &out));
  }

  bool read(const char* name, std::string& out) const override {
    size_t size = 0;
    if (!succeeded(api_, api_.KernelInfoGetAttribute_string(info_, name, nullptr, &size))) return false;
    out = text([&](char* to, size_t* room) { return api_.KernelInfoGetAttribute_string(info_, name, to, room); });
    return true;
  }

  bool read(const char* name, std::vector<int64_t>& out) const override {
    return read_list(api_.KernelInfoGetAttributeArray_int64, name, out);
  }

  bool read(const char* name, std::vector<float>& out) const override {
    return read_list(api_.KernelInfoGetAttributeArray_float, name, out);
  }

 private:
  template <class Get, class T>
  bool read_list(Get get, const char* name, std::vector<T>& out) const {
    size_t count = 0;
    if (!succeeded(api_, get(info_, name, nullptr, &count))) return false;
    out.resize(count);
    if (count > 0) require_ok(get(info_, name, out.data(), &count));
    return true;
  }

  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

}  // namespace

AttributeReader::AttributeReader(std::unique_ptr<const AttributeSource> source)
    : source_(std::move(source)), node_(" (node " + repr(source_->node_name()) + ")") {}

AttributeReader::AttributeReader(const OrtApi& api, const OrtKernelInfo* info)
    : AttributeReader(std::make_unique<KernelAttributes>(api, info)) {}

int64_t AttributeReader::integer(const char* name, int64_t absent) const {
  int64_t value = 0;
  if (source_->read(name, value)) return value;
  refuse_other_type(name, "an integer");
  return absent;
}

std::optional<float> AttributeReader::real(const char* name) const {
  float value = 0;
  if (source_->read(name, value)) return value;
  refuse_other_type(name, "a float");
  return std::nullopt;
}

std::vector<float> AttributeReader::reals(const char* name) const {
  std::vector<float> values;
  if (!source_->read(name, values)) {
    refuse_other_type(name, "a list of floats");
    return {};
  }
  // An attribute of another type reads as empty too; a list of texts cannot be told from an empty one.
  if (values.empty()) refuse_other_type(name, "a list of floats", nullptr);
  return values;
}

std::optional<std::string> AttributeReader::text(const char* name) const {
  std::string value;
  if (source_->read(name, value)) return value;
  refuse_other_type(name, "a string");
  return std::nullopt;
}

bool AttributeReader::choice(const char* name, const char* first, const char* second) const {
  const std::string value = text(name).value_or(first);
  if (value != first && value != second) {
    refuse(std::string(name) + " must be " + shown(first) + " or " + shown(second) + ", got " + shown(value));
  }
  return value == second;
}

void AttributeReader::refuse(const std::string& problem, const char* way_out) const {
  throw std::invalid_argument(problem + node_ + way_out);
}

void AttributeReader::refuse_other_type(const char* name, const char* expected, const char* unknown) const {
  int64_t integer = 0;
  float real = 0;
  std::string text;
  std::vector<int64_t> integers;
  std::vector<float> reals;
  const char* got = nullptr;
  if (source_->read(name, integer)) {
    got = "an integer";
  } else if (source_->read(name, real)) {
    got = "a float";
  } else if (source_->read(name, text)) {
    got = "a string";
  } else if (source_->read(name, integers)) {
    // A present attribute of any other type reads as empty.
    const bool has_reals = source_->read(name, reals) && !reals.empty();
    got = !integers.empty() ? "a list of integers" : has_reals ? "a list of floats" : unknown;
  }
  if (got != nullptr) refuse(std::string(name) + " must be " + expected + ", got " + got);
}

namespace {

bool read_half_pixel(const AttributeReader& reader, int64_t opset) {
  const std::optional<std::string> mode = reader.text("coordinate_transformation_mode");
  if (mode == "half_pixel") return true;
  if (mode == "output_half_pixel") return false;
  if (mode) {
    reader.refuse("coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got " + shown(*mode));
  }
  if (opset == 0) {
    reader.refuse(
        "coordinate_transformation_mode must be set where the model's opset is unknown, got a node without it",
        "; set the session config entry 'onnx_roialign.opset' to the model's opset before registering the "
        "library, or use onnx_roialign.session(); where no entry can be set, write the attribute into the model: "
        "onnx-roialign make-explicit MODEL -o OUT");
  }
  return opset >= kFirstOpsetWithCoordinateMode;
}

double finite(const AttributeReader& reader, const char* name, double absent) {
  const double value = reader.real(name).value_or(static_cast<float>(absent));
  if (!std::isfinite(value)) {
    reader.refuse(std::string(name) + " must be a finite number, got " + shown(value));
  }
  return value;
}

constexpr double kNone = -std::numeric_limits<double>::infinity();

// Returns kNone where the node does not have the attribute.
double finite_or_none(const AttributeReader& reader, const char* name) {
  return reader.real(name).has_value() ? finite(reader, name, 0) : kNone;
}

Attributes read_common_attributes(const AttributeReader& reader, const Semantics& semantics) {
  // Each attribute is checked before the next is read, so that of two faults the one is named that Python names.
  Attributes attributes{1, 1, 0, 1.0, false, semantics};
  const auto check_so_far = [&] {
    const std::string problem = check_attributes(attributes);
    if (!problem.empty()) reader.refuse(problem);
  };
  attributes.output_height = reader.integer("output_height", 1);
  check_so_far();
  attributes.output_width = reader.integer("output_width", 1);
  check_so_far();
  attributes.sampling_ratio = reader.integer("sampling_ratio", 0);
  check_so_far();
  attributes.spatial_scale = reader.real("spatial_scale").value_or(1.0F);
  check_so_far();
  attributes.mode_max = reader.choice("mode", "avg", "max");
  return attributes;
}

}  // namespace

Attributes read_onnx_attributes(const AttributeReader& reader, int64_t opset) {
  const bool half_pixel = read_half_pixel(reader, opset);
  Semantics semantics{};
  semantics.offset = half_pixel ? 0.5 : 0.0;
  semantics.min_size = half_pixel ? kNone : 1.0;
  semantics.max_start = kNone;
  return read_common_attributes(reader, semantics);
}

// Absent attributes have the defaults of onnx_roialign/definition/semantics.py.
Attributes read_private_attributes(const AttributeReader& reader) {
  Semantics semantics{};
  semantics.offset = finite(reader, "offset", 0.5);
  semantics.min_size = finite_or_none(reader, "min_size");
  semantics.start_shift = finite(reader, "start_shift", 0);
  semantics.end_shift = finite(reader, "end_shift", 0);
  semantics.max_start = finite_or_none(reader, "max_start");
  semantics.adaptive_floor = reader.choice("adaptive", "ceil", "floor");
  semantics.empty_nan = reader.choice("empty", "zero", "nan");
  semantics.max_samples = reader.choice("max_rule", "corners", "samples");
  semantics.border_exclusive = reader.choice("border", "inclusive", "exclusive");
  return read_common_attributes(reader, semantics);
}

}  // namespace roialign
