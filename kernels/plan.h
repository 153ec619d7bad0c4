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
  int64_t offset;  // row * W, in elements
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

// For pooling in registers: up to a vector's lanes of neighbouring bins, a bin a lane. Tap k of lane l is column
// index[k * lanes + l] of the window, with weight weight[k * lanes + l].
template <class S>
struct Strip {
  Window window;
  int32_t first_bin;
  int32_t bins;
  int32_t taps;  // per bin
  const int32_t* index;
  const S* weight;
  const S* keep;   // lanes of all ones, of zeros where a bin has no sample inside; null: all ones
  const S* floor;  // max only: lanes of 0 where a sample was dropped, else -infinity
};

// One touched pixel of a bin, for RoIs with few: the products of the row taps and the column taps.
template <class S>
struct Point {
  int64_t offset;  // in the plane, in elements
  S weight;
};

struct BinPoints {
  int32_t first_point;
  int32_t point_count;
  bool dropped;
};

template <class S>
struct RoiPlan {
  int64_t image;
  int64_t roi;
  bool constant;  // no bin has any sample: the answer is fill everywhere
  S fill;
  // Few points: these alone, a BinPoints a bin. bins is null where there are more: rows, and then strips or columns.
  const Point<S>* points;
  const BinPoints* bins;
  const RowTap<S>* row_taps;
  const BinRow* rows;
  bool full_rows;  // none is empty
  // Either strips, or where there are none (strip_count 0) one window for all bins.
  const Strip<S>* strips;
  int32_t strip_count;
  Window window;
  const ColumnTap<S>* column_taps;
  const BinColumn* columns;
  bool full_columns;  // none is empty
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
