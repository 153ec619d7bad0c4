// Reads what the values of a graph are, as formulas of what the graph is given.
#include "ort/ep/meaning.h"

#include <algorithm>
#include <utility>

#include "ort/ep/node_attributes.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

using Found = std::optional<Meaning>;

Numbers whole(std::vector<Term> elements) { return {std::move(elements), 1, false, false}; }

}  // namespace

Meanings::Meanings(const Graph& body, Meanings& around, const std::vector<Value>& captured)
    : graph_(body), terms_(around.terms_), around_(&around) {
  for (const Value value : captured) captured_.emplace(around.graph_.name(value), value);
  const std::vector<Value> inputs = body.inputs();
  if (!inputs.empty()) known_[body.name(inputs[0])] = Numbers{{terms_.turn()}, 0, false, false};
}

Found Meanings::of(Value value) {
  const std::string name = graph_.name(value);
  if (name.empty()) return std::nullopt;
  const auto known = known_.find(name);
  if (known != known_.end()) return known->second;
  known_[name] = std::nullopt;  // also what a graph with a circle finds
  const auto outer = captured_.find(name);
  if (outer != captured_.end()) return known_[name] = around_->of(outer->second);
  Found found = constant(value);
  const Node node = graph_.producer(value);
  if (!found && node != nullptr) found = computed(value, node);
  const std::optional<std::vector<int64_t>> sizes = graph_.sizes(value);
  if (!found && around_ == nullptr && sizes && (sizes->empty() || *sizes == std::vector<int64_t>{1}) &&
      graph_.element_type(value) == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
    found = Numbers{{terms_.given(name)}, sizes->size(), false, false};
  }
  known_[name] = found;
  return found;
}

std::optional<Numbers> Meanings::numbers(Value value) {
  const Found found = of(value);
  return found && std::holds_alternative<Numbers>(*found) ? std::optional(std::get<Numbers>(*found)) : std::nullopt;
}

std::optional<Image> Meanings::image(Value value) {
  const Found found = of(value);
  return found && std::holds_alternative<Image>(*found) ? std::optional(std::get<Image>(*found)) : std::nullopt;
}

std::optional<Term> Meanings::number(Value value) {
  const std::optional<Numbers> found = numbers(value);
  return found && found->elements.size() == 1 && !found->in_rows ? std::optional(found->elements[0]) : std::nullopt;
}

std::optional<int64_t> Meanings::integer(Value value) {
  const std::optional<Term> found = number(value);
  return found ? terms_.integer_of(*found) : std::nullopt;
}

Term Meanings::size(Value value, size_t axis) {
  const std::optional<std::vector<int64_t>> sizes = graph_.sizes(value);
  if (sizes && axis < sizes->size() && (*sizes)[axis] >= 0) return terms_.integer((*sizes)[axis]);
  return terms_.size(graph_.name(value), axis);
}

Found Meanings::constant(Value value) const {
  const size_t rank = graph_.rank(value).value_or(2);
  if (rank > 1) return std::nullopt;
  Numbers found{{}, rank, false, false};
  if (const auto integers = graph_.integers(value)) {
    for (const int64_t element : *integers) found.elements.push_back(terms_.integer(element));
  } else if (const auto truths = graph_.truths(value)) {
    for (const uint8_t element : *truths) found.elements.push_back(terms_.integer(element == 0 ? 0 : 1));
  } else if (const auto floats = graph_.floats(value)) {
    found.is_real = true;
    for (const float element : *floats) found.elements.push_back(terms_.real(element));
  } else {
    return std::nullopt;
  }
  return found;
}

Found Meanings::computed(Value value, Node node) {
  const std::string type = graph_.type(node);
  if (type == "Identity") return of(graph_.input(node, 0));
  if (type == "Add") return arithmetic(node, &Terms::add);
  if (type == "Sub") return arithmetic(node, &Terms::subtract);
  if (type == "Mul") return arithmetic(node, &Terms::multiply);
  if (type == "Div") return arithmetic(node, &Terms::divide);
  if (type == "ReduceMax") return extreme(node, &Terms::largest);
  if (type == "ReduceMin") return extreme(node, &Terms::smallest);
  if (type == "Cast") return cast(node);
  if (type == "Gather") return gather(node);
  if (type == "Split") return split(node, value);
  if (type == "Slice") return slice(node);
  if (type == "Concat") return concat(node);
  if (type == "Squeeze") return squeeze(node);
  if (type == "Unsqueeze") return unsqueeze(node);
  if (type == "Reshape") return reshape(node);
  if (type == "Expand") return expand(node);
  if (type == "Shape") return shape(node);
  if (type == "Equal") return equal(node);
  if (type == "Where") return where(node);
  if (type == "Pad") return pad(node);
  if (type == "Resize") return resize(node);
  const std::optional<Numbers> sizes = graph_.makes_zeros(node) ? numbers(graph_.input(node, 0)) : std::nullopt;
  const bool is_image = sizes && sizes->rank == 1 && !sizes->in_rows && !sizes->is_real &&
                        graph_.element_type(value) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  return is_image ? Found(terms_.zeros(sizes->elements)) : std::nullopt;
}

Found Meanings::arithmetic(Node node, Term (Terms::*both)(Term, Term)) {
  const std::optional<Numbers> a = numbers(graph_.input(node, 0)), b = numbers(graph_.input(node, 1));
  if (!a || !b || a->is_real != b->is_real || (both == &Terms::divide && !a->is_real)) return std::nullopt;
  if (a->in_rows && b->in_rows && a->rank != b->rank) return std::nullopt;
  const size_t count = std::max(a->elements.size(), b->elements.size());
  Numbers result{{}, std::max(a->rank, b->rank), a->is_real, a->in_rows || b->in_rows};
  for (const auto* side : {&*a, &*b}) {
    if (side->elements.size() != count && side->elements.size() != 1) return std::nullopt;
    // Rows without an axis beside them are one axis, along which a list would be counted.
    if (side->in_rows && side->rank != result.rank) return std::nullopt;
  }
  for (size_t i = 0; i < count; ++i) {
    result.elements.push_back(
        (terms_.*both)(a->elements[a->elements.size() == 1 ? 0 : i], b->elements[b->elements.size() == 1 ? 0 : i]));
  }
  return result;
}

Found Meanings::extreme(Node node, Term (Terms::*both)(Term, Term)) {
  const std::optional<Numbers> list = numbers(graph_.input(node, 0));
  if (!list || list->rank != 1 || list->is_real || list->in_rows || list->elements.size() != 2) return std::nullopt;
  if (graph_.inputs(node).size() != 1 || graph_.integer(node, "keepdims", 1) != 0) return std::nullopt;
  return Numbers{{(terms_.*both)(list->elements[0], list->elements[1])}, 0, false, false};
}

Found Meanings::cast(Node node) {
  const int64_t to = graph_.integer(node, "to", 0);
  const Found given = of(graph_.input(node, 0));
  if (!given || (to != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && to != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64)) {
    return std::nullopt;
  }
  const bool to_real = to == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  if (std::holds_alternative<Image>(*given)) return to_real ? given : std::nullopt;
  Numbers numbers = std::get<Numbers>(*given);
  if (numbers.is_real == to_real) return numbers;
  numbers.is_real = to_real;
  for (Term& element : numbers.elements) element = to_real ? terms_.to_real(element) : terms_.to_integer(element);
  return numbers;
}

Found Meanings::column_of(Value table, int64_t index, size_t rank) {
  const std::optional<std::vector<int64_t>> sizes = graph_.sizes(table);
  const bool is_table = around_ == nullptr && index >= 0 && index < 4 &&
                        graph_.element_type(table) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT &&
                        (!sizes || (sizes->size() == 2 && ((*sizes)[1] < 0 || (*sizes)[1] == 4)));
  if (!is_table) return std::nullopt;
  tables_.insert(table);
  return Numbers{{column(table, static_cast<size_t>(index))}, rank, true, true};
}

Found Meanings::gather(Node node) {
  const Value data = graph_.input(node, 0);
  const std::optional<Numbers> index = numbers(graph_.input(node, 1));
  if (!index || index->is_real || index->in_rows || index->elements.size() != 1) return std::nullopt;
  const Term at = index->elements[0];
  const std::optional<int64_t> place = terms_.integer_of(at);
  if (graph_.integer(node, "axis", 0) == 1) return place ? column_of(data, *place, index->rank) : std::nullopt;
  if (graph_.integer(node, "axis", 0) != 0) return std::nullopt;
  const Node sizes = graph_.producer(data);
  if (around_ == nullptr && graph_.is(sizes, "Shape") && graph_.integer(sizes, "start", 0) == 0 &&
      graph_.attribute(sizes, "end") == nullptr && place && *place >= 0 && *place < 8 &&
      !graph_.is(graph_.producer(graph_.input(sizes, 0)), "Pad")) {
    return Numbers{{size(graph_.input(sizes, 0), static_cast<size_t>(*place))}, index->rank, false, false};
  }
  const Found given = of(data);
  if (!given) return std::nullopt;
  const bool is_turn = at == terms_.turn();
  if (std::holds_alternative<Image>(*given)) {
    const Image& image = std::get<Image>(*given);
    if (index->rank != 0 || image.sizes.size() < 2 || (!is_turn && place != 0)) return std::nullopt;
    return terms_.at(image, at);
  }
  Numbers list = std::get<Numbers>(*given);
  if (list.in_rows) {
    list.in_rows = false;
    return is_turn && index->rank == 0 ? Found(list) : std::nullopt;
  }
  if (list.rank != 1 || !place || *place < 0 || *place >= static_cast<int64_t>(list.elements.size())) {
    return std::nullopt;
  }
  return Numbers{{list.elements[static_cast<size_t>(*place)]}, index->rank, list.is_real, false};
}

Found Meanings::split(Node node, Value output) {
  const int64_t axis = graph_.integer(node, "axis", 0);
  const std::vector<Value> outputs = graph_.outputs(node);
  if ((axis != 1 && axis != -1) || outputs.size() != 4) return std::nullopt;
  const std::vector<int64_t> ones(4, 1);
  const bool is_even = graph_.inputs(node).size() > 1
                           ? graph_.is(graph_.input(node, 1), ones)
                           : graph_.attribute(node, "split") == nullptr || graph_.integers(node, "split") == ones;
  const auto place = std::find(outputs.begin(), outputs.end(), output);
  return is_even && place != outputs.end() ? column_of(graph_.input(node, 0), place - outputs.begin(), 1)
                                           : std::nullopt;
}

Found Meanings::slice(Node node) {
  const std::vector<Value> inputs = graph_.inputs(node);
  if (inputs.size() < 4 || inputs.size() > 5 || (inputs.size() == 5 && integer(inputs[4]) != 1)) return std::nullopt;
  const std::optional<Term> begin = number(inputs[1]), end = number(inputs[2]);
  const std::optional<int64_t> axis = integer(inputs[3]);
  if (!begin || !end || !axis || *axis < 0) return std::nullopt;
  const std::optional<int64_t> from = terms_.integer_of(*begin), to = terms_.integer_of(*end);
  if (around_ == nullptr && *axis == 1 && from && to && *to == *from + 1) return column_of(inputs[0], *from, 1);
  const Found given = of(inputs[0]);
  if (!given) return std::nullopt;
  const auto place = static_cast<size_t>(*axis);
  if (std::holds_alternative<Image>(*given)) {
    const Image& image = std::get<Image>(*given);
    return place < image.sizes.size() ? Found(terms_.slice(image, place, *begin, *end)) : std::nullopt;
  }
  const Numbers& list = std::get<Numbers>(*given);
  const auto count = static_cast<int64_t>(list.elements.size());
  if (list.in_rows || list.rank != 1 || place != 0 || !from || !to || *from < 0 || *to < *from || *to > count) {
    return std::nullopt;
  }
  return Numbers{{list.elements.begin() + *from, list.elements.begin() + *to}, 1, list.is_real, false};
}

Found Meanings::concat(Node node) {
  const int64_t axis = graph_.integer(node, "axis", 0);
  std::vector<Image> images;
  Numbers list{{}, 1, false, false};
  for (const Value input : graph_.inputs(node)) {
    const Found given = of(input);
    if (!given) return std::nullopt;
    if (std::holds_alternative<Image>(*given)) {
      images.push_back(std::get<Image>(*given));
      continue;
    }
    const Numbers& more = std::get<Numbers>(*given);
    if (list.elements.empty()) list.is_real = more.is_real, list.in_rows = more.in_rows;
    if (more.rank != 1 || more.is_real != list.is_real || more.in_rows != list.in_rows) return std::nullopt;
    list.elements.insert(list.elements.end(), more.elements.begin(), more.elements.end());
  }
  if (images.empty()) return axis == (list.in_rows ? 1 : 0) ? Found(list) : std::nullopt;
  const bool fits = list.elements.empty() && std::all_of(images.begin(), images.end(), [&](const Image& image) {
                      return image.sizes.size() == images[0].sizes.size();
                    });
  const bool has_axis = axis >= 0 && static_cast<size_t>(axis) < images[0].sizes.size();
  return fits && has_axis ? Found(terms_.join(images, static_cast<size_t>(axis))) : std::nullopt;
}

Found Meanings::squeeze(Node node) {
  const Found given = of(graph_.input(node, 0));
  const std::optional<std::vector<int64_t>> axes = graph_.axes(node);
  if (!given || !axes || axes->size() != 1 || !std::holds_alternative<Numbers>(*given)) return std::nullopt;
  Numbers list = std::get<Numbers>(*given);
  const int64_t last = list.in_rows ? 1 : 0;
  if (list.rank != 1 || list.elements.size() != 1 || (axes->front() != last && axes->front() != -1)) {
    return std::nullopt;
  }
  list.rank = 0;
  return list;
}

Found Meanings::unsqueeze(Node node) {
  const Found given = of(graph_.input(node, 0));
  const std::optional<std::vector<int64_t>> axes = graph_.axes(node);
  if (!given || !axes || axes->size() != 1) return std::nullopt;
  if (std::holds_alternative<Image>(*given)) {
    Image image = std::get<Image>(*given);
    image.sizes.insert(image.sizes.begin(), terms_.integer(1));
    return axes->front() == 0 ? Found(image) : std::nullopt;
  }
  Numbers list = std::get<Numbers>(*given);
  const int64_t last = list.in_rows ? 1 : 0;
  if (list.rank != 0 || (axes->front() != last && axes->front() != -1)) return std::nullopt;
  list.rank = 1;
  return list;
}

Found Meanings::reshape(Node node) {
  const std::optional<Numbers> list = numbers(graph_.input(node, 0));
  const bool is_same = list && list->rank == 1 && !list->in_rows && graph_.is(graph_.input(node, 1), {-1});
  return is_same ? Found(*list) : std::nullopt;
}

Found Meanings::expand(Node node) {
  std::optional<Image> given = image(graph_.input(node, 0));
  const std::optional<Numbers> sizes = numbers(graph_.input(node, 1));
  if (!given || !sizes || sizes->in_rows || sizes->elements.size() < given->sizes.size()) return std::nullopt;
  const auto added = static_cast<std::ptrdiff_t>(sizes->elements.size() - given->sizes.size());
  const auto begin = sizes->elements.begin();
  const bool only_adds =
      std::all_of(begin, begin + added, [this](Term size) { return terms_.integer_of(size) == 1; }) &&
      std::equal(given->sizes.begin(), given->sizes.end(), begin + added);
  given->sizes = sizes->elements;
  return only_adds ? Found(*given) : std::nullopt;
}

Found Meanings::shape(Node node) {
  if (graph_.integer(node, "start", 0) != 0 || graph_.attribute(node, "end") != nullptr) return std::nullopt;
  const Value value = graph_.input(node, 0);
  if (around_ != nullptr || graph_.is(graph_.producer(value), "Pad")) {
    const std::optional<Image> found = image(value);
    return found ? Found(whole(found->sizes)) : std::nullopt;
  }
  std::vector<Term> sizes;
  for (size_t axis = 0; axis < graph_.rank(value).value_or(0); ++axis) sizes.push_back(size(value, axis));
  return sizes.empty() ? std::nullopt : Found(whole(std::move(sizes)));
}

Found Meanings::equal(Node node) {
  const std::optional<Numbers> a = numbers(graph_.input(node, 0)), b = numbers(graph_.input(node, 1));
  if (!a || !b || a->is_real || b->is_real || a->in_rows || b->in_rows) return std::nullopt;
  if (a->rank != 1 || b->rank != 1 || a->elements.size() != b->elements.size()) return std::nullopt;
  std::vector<Term> truths;
  for (size_t i = 0; i < a->elements.size(); ++i) {
    const std::optional<bool> same = terms_.are_equal(a->elements[i], b->elements[i]);
    if (!same) return std::nullopt;
    truths.push_back(terms_.integer(*same ? 1 : 0));
  }
  return whole(std::move(truths));
}

Found Meanings::where(Node node) {
  const std::optional<Numbers> condition = numbers(graph_.input(node, 0)), yes = numbers(graph_.input(node, 1)),
                               no = numbers(graph_.input(node, 2));
  if (!condition || !yes || !no) return std::nullopt;
  const size_t count = condition->elements.size();
  for (const auto* list : {&*condition, &*yes, &*no}) {
    if (list->rank != 1 || list->in_rows || list->is_real || list->elements.size() != count) return std::nullopt;
  }
  std::vector<Term> chosen;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<int64_t> is = terms_.integer_of(condition->elements[i]);
    if (!is) return std::nullopt;
    chosen.push_back((*is != 0 ? yes : no)->elements[i]);
  }
  return whole(std::move(chosen));
}

bool Meanings::is_text(Node node, const char* attribute, const char* expected) const {
  std::string text;
  return NodeAttributes(graph_, node).read(attribute, text) && text == expected;
}

// A border of one pixel of zeros around (N, C, M, M).
Found Meanings::pad(Node node) {
  const std::vector<Value> inputs = graph_.inputs(node);
  const Value masks = graph_.input(node, 0);
  if (inputs.size() < 2 || inputs.size() > 3 || !graph_.is(inputs[1], {0, 0, 1, 1, 0, 0, 1, 1})) return std::nullopt;
  if (inputs.size() == 3 && !graph_.name(inputs[2]).empty() && graph_.floats(inputs[2]) != std::vector<float>{0}) {
    return std::nullopt;
  }
  if (graph_.attribute(node, "mode") != nullptr && !is_text(node, "mode", "constant")) return std::nullopt;
  if (graph_.element_type(masks) != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return std::nullopt;
  std::vector<Term> sizes;
  for (size_t axis = 0; axis < 4; ++axis) sizes.push_back(size(masks, axis));
  return terms_.with_border(graph_.name(masks), sizes);
}

// Of (1, 1, M, M) to (1, 1, height, width).
Found Meanings::resize(Node node) {
  const std::vector<Value> inputs = graph_.inputs(node);
  if (inputs.size() != 4) return std::nullopt;
  const std::optional<Image> given = image(inputs[0]);
  const std::optional<Numbers> sizes = numbers(inputs[3]);
  const bool has_scales = inputs[2] != nullptr && !graph_.name(inputs[2]).empty() &&
                          (!graph_.is_constant(inputs[2]) || graph_.sizes(inputs[2]) != std::vector<int64_t>{0});
  const auto is_absent_or = [&](const char* attribute, const char* expected) {
    return graph_.attribute(node, attribute) == nullptr || is_text(node, attribute, expected);
  };
  const bool is_bilinear = is_text(node, "mode", "linear") &&
                           is_absent_or("coordinate_transformation_mode", "half_pixel") &&
                           is_absent_or("keep_aspect_ratio_policy", "stretch") &&
                           graph_.integer(node, "antialias", 0) == 0 && graph_.attribute(node, "axes") == nullptr;
  if (!given || !sizes || has_scales || !is_bilinear || given->sizes.size() != 4) return std::nullopt;
  if (sizes->in_rows || sizes->is_real || sizes->elements.size() != 4) return std::nullopt;
  const auto is_one = [this](Term size) { return terms_.integer_of(size) == 1; };
  if (!std::all_of(given->sizes.begin(), given->sizes.begin() + 2, is_one)) return std::nullopt;
  if (!std::all_of(sizes->elements.begin(), sizes->elements.begin() + 2, is_one)) return std::nullopt;
  const Image plane{given->pixels, {given->sizes[2], given->sizes[3]}};
  Image resized = terms_.resize(plane, sizes->elements[2], sizes->elements[3]);
  resized.sizes = sizes->elements;
  return resized;
}

}  // namespace roialign
