// Finds the pooler of a feature pyramid in a graph, as exporters write it: a RoiAlign for each level, whose rows are
// scattered to the rows of the level's RoIs.
#ifndef ONNX_ROIALIGN_ORT_EP_POOLER_H_
#define ONNX_ROIALIGN_ORT_EP_POOLER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ort/ep/graph.h"
#include "problem.h"

namespace roialign {

// One level: the RoIs whose number in `levels` is this number are pooled from this map.
struct PoolerLevel {
  std::string map;  // a name in the graph
  int64_t number;
  Attributes attributes;
  std::string node;  // the RoiAlign, as messages name it: " (node 'NAME')"
};

// What a group of nodes computes: row k of its output is RoI k pooled from the map of its level, or row k of `start`
// where it has none. All names are those of values that come into the group.
struct Pooler {
  std::vector<Node> nodes;
  std::string output;
  ElementType type;
  std::vector<PoolerLevel> levels;
  std::string boxes;          // (K, 5 or more): image, x1, y1, x2, y2
  std::string level_numbers;  // (K,), int64
  std::string start;          // the tensor that rows are written into, or, where it is all 0, the number of its rows
  bool start_is_zero;
  bool start_is_constant;
};

// Returns the pooler whose last node this is. It is strict: every value that the result depends on is followed to what
// comes into the group, and no node outside the group reads a value in it.
std::optional<Pooler> find_pooler(const Graph& graph, Node last);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_POOLER_H_
