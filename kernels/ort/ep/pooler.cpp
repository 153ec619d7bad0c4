// Finds the pooler of a feature pyramid in a graph, as exporters write it.
#include "ort/ep/pooler.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "ort/attributes.h"
#include "ort/ep/node_attributes.h"
#include "ort/status.h"
#include "pool/pyramid.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

constexpr size_t kMostNodes = 4096;  // of a group: far more than 16 levels have

// The rows of one level: those of the RoIs whose level number is number.
struct Rows {
  Node non_zero;
  Value level_numbers;
  int64_t number;
  Node equal;
};

// One level, as it is in the graph.
struct Level {
  Rows rows;
  Node roi_align;
  Value map;
  Value boxes;
  std::set<Value> pooled;  // what the RoiAlign returns, and what a Cast to the same type makes of it
};

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph) {}

  std::optional<Pooler> find(Node last) {
    std::vector<Level> levels;
    Node at = last;
    Value base = nullptr;
    const std::string how = graph_.type(last);
    while (is_scatter(at)) {
      const std::vector<Value> inputs = graph_.inputs(at);
      if (inputs.size() != 3 || graph_.type(at) != how || !adds_nothing(at)) return std::nullopt;
      std::optional<Level> level = find_level(at, inputs[1], inputs[2]);
      if (!level) return std::nullopt;
      levels.insert(levels.begin(), *std::move(level));
      base = inputs[0];
      at = graph_.producer(base);
    }
    if (levels.empty() || levels.size() > static_cast<size_t>(kMaxLevels)) return std::nullopt;
    return describe(last, levels, base);
  }

 private:
  bool is_scatter(Node node) const {
    if (graph_.is(node, "ScatterND")) return true;
    return graph_.is(node, "ScatterElements") && graph_.integer(node, "axis", 0) == 0;
  }

  // Whether a scatter overwrites.
  bool adds_nothing(Node scatter) const {
    std::string reduction = "none";
    return graph_.attribute(scatter, "reduction") == nullptr ||
           (NodeAttributes(graph_, scatter).read("reduction", reduction) && reduction == "none");
  }

  // Follows value back through a node of this type; null where it is of another.
  std::vector<Value> through(Value value, const char* type) const {
    const Node node = graph_.producer(value);
    return graph_.is(node, type) ? graph_.inputs(node) : std::vector<Value>{};
  }

  // Returns the indices that a scatter's indices are made of: one of each row.
  Value indices_of(Node scatter, Value indices) const {
    if (graph_.is(scatter, "ScatterND")) return indices_of_nd(indices);
    // What it is expanded to are the sizes of what is scattered: ONNX Runtime refuses any other.
    const std::vector<Value> expanded = through(indices, "Expand");
    if (expanded.size() != 2) return nullptr;
    const std::vector<Value> shaped = through(expanded[0], "Reshape");
    return shaped.size() == 2 && graph_.is(shaped[1], {-1, 1, 1, 1}) ? shaped[0] : nullptr;
  }

  // Returns the rows whose numbers an index of rank 1 lists.
  std::optional<Rows> rows_of(Value index) const {
    if (graph_.rank(index) != size_t{1}) return std::nullopt;
    Node node = graph_.producer(index);
    bool has_one_axis = false;  // what NonZero searches
    // NonZero makes (1, n) of one axis. None of these changes the order of n numbers beside axes of one.
    while (keeps_order(node)) {
      has_one_axis = has_one_axis || insists_on_one_axis(node);
      node = graph_.producer(graph_.input(node, 0));
    }
    if (!graph_.is(node, "NonZero")) return std::nullopt;
    const Node equal = graph_.producer(graph_.input(node, 0));
    std::vector<Value> sides = graph_.inputs(equal);
    if (!graph_.is(equal, "Equal") || sides.size() != 2) return std::nullopt;
    if (!graph_.integers(sides[1])) std::swap(sides[0], sides[1]);
    const std::optional<std::vector<int64_t>> number = graph_.integers(sides[1]);
    if (!number || number->size() != 1 || graph_.rank(sides[1]).value_or(2) > 1) return std::nullopt;
    if (graph_.rank(sides[0]).value_or(has_one_axis ? 1 : 0) != 1) return std::nullopt;
    return Rows{node, sides[0], number->front(), equal};
  }

  // Whether it removes the axis on which NonZero lists the axes of what it searches, and so fails where it lists
  // several. Exports below opset 16 do not tell the rank of the level numbers.
  bool insists_on_one_axis(Node squeeze) const {
    if (!graph_.is(squeeze, "Squeeze")) return false;
    const std::optional<std::vector<int64_t>> axes = graph_.axes(squeeze);
    Node from = graph_.producer(graph_.input(squeeze, 0));
    while (graph_.is(from, "Split")) from = graph_.producer(graph_.input(from, 0));
    const bool swapped = swaps_two_axes(from);
    if (swapped) from = graph_.producer(graph_.input(from, 0));
    const int64_t axis = swapped ? 1 : 0;
    return graph_.is(from, "NonZero") && axes && axes->size() == 1 &&
           (axes->front() == axis || axes->front() == axis - 2);
  }

  // Whether it transposes a matrix.
  bool swaps_two_axes(Node transpose) const {
    if (!graph_.is(transpose, "Transpose")) return false;
    const std::vector<int64_t> perm = graph_.integers(transpose, "perm");
    return graph_.attribute(transpose, "perm") == nullptr || perm == std::vector<int64_t>{1, 0};
  }

  bool has_constant_axes(Node squeeze) const {
    const Value axes = graph_.input(squeeze, 1);
    return axes == nullptr || graph_.is_constant(axes);
  }

  bool keeps_order(Node node) const {
    const std::string type = graph_.type(node);
    if (type == "Squeeze") return has_constant_axes(node);
    if (type == "Transpose") return true;
    if (type == "Split") return graph_.outputs(node).size() == 1;
    if (type != "Slice") return false;
    // The one column of a transposed NonZero.
    const std::vector<Value> inputs = graph_.inputs(node);
    const Node transpose = graph_.producer(graph_.input(node, 0));
    return is_columns(inputs, 0, 1) && swaps_two_axes(transpose) &&
           graph_.is(graph_.producer(graph_.input(transpose, 0)), "NonZero");
  }

  // Whether these are the inputs of a Slice of the columns from first to last - 1.
  bool is_columns(const std::vector<Value>& inputs, int64_t first, int64_t last) const {
    if (inputs.size() < 4 || inputs.size() > 5) return false;
    if (!(graph_.is(inputs[3], {1}) || graph_.is(inputs[3], {-1}))) return false;
    if (inputs.size() == 5 && inputs[4] != nullptr && !graph_.is(inputs[4], {1})) return false;
    return graph_.is(inputs[1], {first}) && graph_.is(inputs[2], {last});
  }

  // Returns the tensor whose columns from first to last - 1 value is; null where it is none.
  Value columns_of(Value value, int64_t first, int64_t last) const {
    const Node node = graph_.producer(value);
    const std::vector<Value> inputs = graph_.inputs(node);
    if (graph_.is(node, "Slice")) return is_columns(inputs, first, last) ? inputs[0] : nullptr;
    if (!graph_.is(node, "Gather") || inputs.size() != 2 || graph_.integer(node, "axis", 0) != 1) return nullptr;
    std::vector<int64_t> columns;
    for (int64_t column = first; column < last; ++column) columns.push_back(column);
    return graph_.is(inputs[1], columns) ? inputs[0] : nullptr;
  }

  // Returns the tensor whose rows value is, rows as listed by an index; null where it is none.
  Value rows_taken(Value value, Node non_zero) const {
    const Node node = graph_.producer(value);
    Value index = nullptr;
    if (graph_.is(node, "Gather") && graph_.integer(node, "axis", 0) == 0) index = graph_.input(node, 1);
    if (graph_.is(node, "GatherND") && graph_.integer(node, "batch_dims", 0) == 0) {
      index = indices_of_nd(graph_.input(node, 1));
    }
    const std::optional<Rows> rows = rows_of(index);
    return rows && rows->non_zero == non_zero ? graph_.input(node, 0) : nullptr;
  }

  // Returns the indices of rank 1 that an Unsqueeze makes one of each row of.
  Value indices_of_nd(Value indices) const {
    const std::vector<Value> opened = through(indices, "Unsqueeze");
    if (opened.size() != 2) return nullptr;
    return graph_.is(opened[1], {-1}) || graph_.is(opened[1], {1}) ? opened[0] : nullptr;
  }

  // Follows value back to the RoiAlign that made it, through a Cast to the same type.
  Node pooled_by(Value value, std::set<Value>& pooled) const {
    pooled.insert(value);
    Node node = graph_.producer(value);
    if (graph_.is(node, "Cast")) {
      const Value before = graph_.input(node, 0);
      if (graph_.element_type(before) != graph_.element_type(value)) return nullptr;
      pooled.insert(before);
      node = graph_.producer(before);
    }
    return graph_.is(node, "RoiAlign") ? node : nullptr;
  }

  std::optional<Level> find_level(Node scatter, Value indices, Value updates) const {
    Level level{};
    const std::optional<Rows> rows = rows_of(indices_of(scatter, indices));
    level.roi_align = pooled_by(updates, level.pooled);
    if (!rows || level.roi_align == nullptr) return std::nullopt;
    level.rows = *rows;
    const std::vector<Value> inputs = graph_.inputs(level.roi_align);
    if (inputs.size() != 3) return std::nullopt;
    level.map = inputs[0];
    const Value taken = columns_of(inputs[1], 1, 5);
    const std::vector<Value> cast = through(inputs[2], "Cast");
    if (taken == nullptr || cast.size() != 1) return std::nullopt;
    if (graph_.element_type(inputs[2]) != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) return std::nullopt;
    const std::vector<Value> squeezed = through(cast[0], "Squeeze");
    if (!squeezed.empty() && !has_constant_axes(graph_.producer(cast[0]))) return std::nullopt;
    if (columns_of(squeezed.empty() ? cast[0] : squeezed[0], 0, 1) != taken) return std::nullopt;
    level.boxes = rows_taken(taken, level.rows.non_zero);
    // RoiAlign insists on rank 2, where it is not known.
    if (level.boxes == nullptr || graph_.rank(level.boxes).value_or(2) != 2) return std::nullopt;
    return level;
  }

  // Whether value is one size of what the levels' RoiAligns return.
  bool is_size(Value value, int64_t axis, const std::vector<Level>& levels) const {
    const std::vector<Value> opened = through(value, "Unsqueeze");
    const Node gather = graph_.producer(opened.empty() ? value : opened[0]);
    if (!graph_.is(gather, "Gather") || graph_.integer(gather, "axis", 0) != 0) return false;
    const Node shape = graph_.producer(graph_.input(gather, 0));
    if (!graph_.is(graph_.input(gather, 1), {axis}) || !graph_.is(shape, "Shape") ||
        graph_.integer(shape, "start", 0) != 0 || graph_.attribute(shape, "end") != nullptr) {
      return false;
    }
    const Value of = graph_.input(shape, 0);
    return std::any_of(levels.begin(), levels.end(), [of](const Level& level) { return level.pooled.count(of) == 1; });
  }

  // Returns the number of rows of a tensor of zeros that has the sizes of what is pooled; null where base is none.
  Value rows_of_zeros(Value base, const std::vector<Level>& levels) const {
    const Node zeros = graph_.producer(base);
    if (!graph_.makes_zeros(zeros)) return nullptr;
    const std::vector<Value> sizes = through(graph_.input(zeros, 0), "Concat");
    if (sizes.size() != 4) return nullptr;
    for (int64_t axis = 1; axis < 4; ++axis) {
      if (!is_size(sizes[static_cast<size_t>(axis)], axis, levels)) return nullptr;
    }
    return graph_.element_type(sizes[0]) == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? sizes[0] : nullptr;
  }

  // Whether each row of base is as large as a pooled one, as far as the last scatter does not insist on that itself:
  // ScatterElements writes into the corner of a larger row.
  bool has_sizes(Value base, Node last, const std::vector<Level>& levels) const {
    const std::optional<std::vector<int64_t>> sizes = graph_.sizes(base);
    if (!sizes || sizes->size() != 4 || graph_.element_type(base) != graph_.element_type(levels[0].map)) return false;
    if (graph_.is(last, "ScatterND")) return true;
    return std::all_of(levels.begin(), levels.end(), [&](const Level& level) {
      const std::optional<std::vector<int64_t>> pooled = graph_.sizes(graph_.output(level.roi_align, 0));
      return pooled && pooled->size() == 4 && (*pooled)[1] > 0 &&
             std::equal(pooled->begin() + 1, pooled->end(), sizes->begin() + 1);
    });
  }

  // Returns the nodes to fuse: all that depend on which rows a level has, up to the last. Returns nothing where others
  // read what they make.
  std::optional<std::set<Node>> group_of(Node last, const std::vector<Level>& levels) const {
    std::vector<Node> open{last};
    for (const Level& level : levels) open.push_back(level.rows.equal);
    std::set<Node> group(open.begin(), open.end());
    while (!open.empty()) {
      const Node node = open.back();
      open.pop_back();
      if (!graph_.is_unowned(node) || !graph_.bodies(node).empty() || group.size() > kMostNodes) return std::nullopt;
      if (node == last) continue;
      for (const Value output : graph_.outputs(node)) {
        if (output == nullptr) continue;
        if (graph_.is_output(output)) return std::nullopt;
        for (const Reader& reader : graph_.readers(output)) {
          if (reader.in_body) return std::nullopt;
          if (group.insert(reader.node).second) open.push_back(reader.node);
        }
      }
    }
    return group;
  }

  std::optional<Pooler> describe(Node last, const std::vector<Level>& levels, Value base) const {
    const Level& first = levels.front();
    const std::optional<ONNXTensorElementDataType> type = graph_.element_type(first.map);
    if (!type || !Graph::is_float(*type)) return std::nullopt;
    const Value output = graph_.output(last, 0);
    if (!graph_.is_output(output) && graph_.readers(output).empty()) return std::nullopt;
    const std::optional<std::set<Node>> group = group_of(last, levels);
    if (!group) return std::nullopt;
    const Value zero_rows = rows_of_zeros(base, levels);
    if (zero_rows == nullptr && !has_sizes(base, last, levels)) return std::nullopt;
    const Value start = zero_rows == nullptr ? base : zero_rows;
    Pooler pooler{{group->begin(), group->end()},
                  graph_.name(output),
                  static_cast<ElementType>(*type),
                  {},
                  graph_.name(first.boxes),
                  graph_.name(first.rows.level_numbers),
                  graph_.name(start),
                  zero_rows != nullptr,
                  graph_.is_constant(start)};
    std::set<int64_t> numbers;
    for (const Level& level : levels) {
      const bool same = level.boxes == first.boxes && level.rows.level_numbers == first.rows.level_numbers &&
                        graph_.element_type(level.map) == type && graph_.element_type(level.boxes) == type;
      if (!same || !numbers.insert(level.rows.number).second || !graph_.comes_into(*group, level.map))
        return std::nullopt;
      int since_version = 0;
      require_ok(graph_.api().Node_GetSinceVersion(level.roi_align, &since_version));
      const AttributeReader reader(std::make_unique<NodeAttributes>(graph_, level.roi_align));
      const Attributes attributes = read_onnx_attributes(reader, since_version);
      if (!check_types(attributes, pooler.type, pooler.type).empty()) return std::nullopt;
      pooler.levels.push_back({graph_.name(level.map), level.rows.number, attributes, reader.node()});
      const Attributes& one = pooler.levels.front().attributes;
      if (attributes.output_height != one.output_height || attributes.output_width != one.output_width)
        return std::nullopt;
    }
    for (const Value value : {first.boxes, first.rows.level_numbers, start}) {
      if (!graph_.comes_into(*group, value)) return std::nullopt;
    }
    return pooler;
  }

  const Graph& graph_;
};

}  // namespace

std::optional<Pooler> find_pooler(const Graph& graph, Node last) {
  return found_or_nothing(graph.api(), [&] { return Finder(graph).find(last); });
}

}  // namespace roialign
