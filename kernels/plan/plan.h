// Defines a plan, which the geometry makes for the pooling loops: the rows and columns of the map that a RoI takes, and
// their weights.
#ifndef ONNX_ROIALIGN_PLAN_PLAN_H_
#define ONNX_ROIALIGN_PLAN_PLAN_H_

#include <cstdint>

namespace roialign {

// A touched row or column of a bin and its weight. Rows are counted on the map, columns within the RoI's window. S is
// the arithmetic's type, float or double.
template <class S>
struct Tap {
  int32_t position;
  S weight;
};

// The taps of one bin along one axis. The mean and the max over corners take them as one group; the max over samples
// takes them two by two, one sample each.
struct Bin {
  int32_t first_tap;
  int32_t tap_count;  // 0 where no sample lies inside the map
  bool dropped;       // some sample lies outside the map: the max counts it as 0
};

// The taps of one axis of a RoI, bin by bin.
template <class S>
struct AxisPlan {
  const Tap<S>* taps;
  int32_t tap_count;
  const Bin* bins;
  bool full;  // no bin is empty
};

// The columns that a row is swept over: neighbours, or a list where the touched columns lie far apart.
struct Window {
  int64_t first;
  int32_t columns;
  const int32_t* list;  // null for neighbours; else columns relative to first, padded with -1 to whole vectors
};

// A RoI with more points is not pooled point by point: a list of so many takes 16 to 32 KB, a first-level cache.
constexpr int32_t kMostPoints = 2048;

// How a RoI is pooled. Each of the last three has its own file in kernels/pool/.
enum class Way : uint8_t {
  kConstant,  // no bin has any sample: every bin is RoiPlan::fill
  kPoints,    // few pixels are touched, and they are taken one by one (points.inl)
  kColumns,   // a vector holds neighbouring columns (columns.inl)
  kTile,      // a vector holds channels (tile.inl)
};

template <class S>
struct RoiPlan {
  int64_t image;
  int64_t roi;
  Way way;
  double cost;  // about how many nanoseconds that way takes per plane
  S fill;       // set for kConstant only
  // Set for all ways but kConstant. For kColumns and kTile, all bins of an axis that have taps have the same number.
  AxisPlan<S> rows;
  AxisPlan<S> columns;
  Window window;  // has no list for kPoints
  // Set for kColumns and kTile: the touched rows, first to last, and the touched columns, ascending and relative to
  // window.first.
  int32_t first_row;
  int32_t last_row;
  const int32_t* touched;
  int32_t touched_count;
};

// A TileUnit is this many neighbouring pixels of a row, of which some RoI touches at least one.
constexpr int32_t kUnit = 16;
struct TileUnit {
  int32_t row;
  int32_t column;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_PLAN_H_
