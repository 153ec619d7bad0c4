// What the geometry hands to the pooling loops: for one RoI, which rows, which columns, and with what weights.
#ifndef ONNX_ROIALIGN_PLAN_H_
#define ONNX_ROIALIGN_PLAN_H_

#include <cstdint>

namespace roialign {

// One touched row or column of a bin: a row of the map, or a column counted in its window's. S is the arithmetic's
// type, float or double.
template <class S>
struct Tap {
  int32_t position;
  S weight;
};

// The taps of one bin along one axis. Mean and corner max take them as one group; the sample max takes them two by two,
// a sample each.
struct Bin {
  int32_t first_tap;
  int32_t tap_count;  // 0: no sample inside the map
  bool dropped;       // some sample lies past the cut: max takes it as 0
};

// One axis of a RoI, bin by bin.
template <class S>
struct AxisPlan {
  const Tap<S>* taps;
  int32_t tap_count;
  const Bin* bins;
  bool full;  // no bin is empty
};

// The columns that a row is swept over: neighbours, or a list of them where the touched ones lie far apart.
struct Window {
  int64_t first;
  int32_t columns;
  const int32_t* list;  // null: first, first + 1, ...; else relative to first, padded with -1 to whole vectors
};

// A RoI with more is not pooled point by point: a list of them takes 16 to 32 KB of the first-level cache.
constexpr int32_t kMostPoints = 2048;

// How a RoI is pooled; each of the last three has its file, *.inl.
enum class Way : uint8_t {
  kConstant,  // no bin has any sample: the answer is fill everywhere
  kPoints,    // few touched pixels, one by one
  kColumns,   // a vector holds neighbouring columns
  kTile,      // a vector holds channels
};

template <class S>
struct RoiPlan {
  int64_t image;
  int64_t roi;
  Way way;
  double cost;  // of that way, about: nanoseconds per plane
  S fill;
  // All but kConstant. For kColumns and kTile all bins of an axis that have taps have as many.
  AxisPlan<S> rows;
  AxisPlan<S> columns;
  Window window;  // for kPoints with no list
  // kColumns and kTile: its rows, first to last, and its columns, relative to window.first and ascending.
  int32_t first_row;
  int32_t last_row;
  const int32_t* touched;
  int32_t touched_count;
};

// kUnit neighbouring pixels of a row, some of which some RoI touches.
constexpr int32_t kUnit = 16;
struct TileUnit {
  int32_t row;
  int32_t column;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_H_
