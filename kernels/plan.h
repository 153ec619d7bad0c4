// What the geometry hands to the pooling loops: for one RoI, which rows, which columns, and with what weights.
#ifndef ONNX_ROIALIGN_PLAN_H_
#define ONNX_ROIALIGN_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <memory_resource>

namespace roialign {

// One touched row of a bin; S is the arithmetic's type, float or double.
template <class S>
struct RowTap {
  int32_t row;
  S weight;
};

// One row of bins. Mean and corner max take its taps as one group; the sample max takes them two by two, a sample each.
struct BinRow {
  int32_t first_tap;
  int32_t tap_count;  // 0: no sample inside the map; else the same for all rows of the RoI
  bool dropped;       // some sample lies past the cut: max takes it as 0
};

// One touched column of a bin, counted in its window's columns.
template <class S>
struct ColumnTap {
  int32_t column;
  S weight;
};

struct BinColumn {
  int32_t first_tap;
  int32_t tap_count;
  bool dropped;
};

// The columns that a row is swept over: neighbours, or a list of them where the touched ones lie far apart.
struct Window {
  int64_t first;
  int32_t columns;
  const int32_t* list;  // null: first, first + 1, ...; else relative to first, padded with -1 to whole vectors
};

// One touched pixel of a bin, for RoIs with few: the products of the row taps and the column taps.
template <class S>
struct Point {
  int32_t offset;  // in the plane, in elements
  S weight;
};

struct BinPoints {
  int32_t first_point;
  int32_t point_count;
  bool dropped;
};

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
  // kPoints.
  const Point<S>* points;
  const BinPoints* bins;
  // kColumns and kTile.
  const RowTap<S>* row_taps;
  int32_t row_tap_count;
  const BinRow* rows;
  bool full_rows;  // none is empty
  Window window;
  const ColumnTap<S>* column_taps;
  const BinColumn* columns;
  bool full_columns;  // none is empty
  // Its rows, first to last, and its columns, relative to window.first and ascending.
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

// A plan is a dozen small arrays, and a malloc each would cost more than the geometry: they lie one after the other,
// each at a cache line's start, and go together.
using Memory = std::pmr::monotonic_buffer_resource;

template <class T>
T* take(Memory& memory, size_t count) {
  return static_cast<T*>(memory.allocate(count * sizeof(T), 64));
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_H_
