// RoI + Semantics -> plan: the only C++ geometry, shared by every instruction set.
#ifndef ONNX_ROIALIGN_GEOMETRY_H_
#define ONNX_ROIALIGN_GEOMETRY_H_

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "plan.h"
#include "problem.h"

namespace roialign {

// One axis of one RoI in pixels of the feature map, in DESIGN's order of operations: C is float (each operation rounded
// to it) or double.
template <class C>
struct Axis {
  C start;
  C size;
};

template <class C>
Axis<C> scale_axis(C roi_start, C roi_end, C spatial_scale, const Semantics& semantics) {
  const C offset = static_cast<C>(semantics.offset);
  const C start = roi_start * spatial_scale - offset;
  const C end = (roi_end + static_cast<C>(semantics.end_shift)) * spatial_scale - offset;
  const C size = end - start;
  const C min_size = static_cast<C>(semantics.min_size);
  return {start, size < min_size ? min_size : size};
}

// The taps of all bins of one axis, bin by bin, in ascending order of position.
struct AxisTaps {
  explicit AxisTaps(Memory* memory) : position(memory), weight(memory), first(memory), dropped(memory) {}

  double count;  // samples per bin: g of DESIGN.md; <= 0: none
  std::pmr::vector<int32_t> position;
  std::pmr::vector<double> weight;
  std::pmr::vector<int32_t> first;    // per bin, and the end
  std::pmr::vector<uint8_t> dropped;  // per bin
};

// What a plan needs to know of a vector.
struct Shape {
  int lanes;
  double gather;  // one gathered vector, in loads of a vector
  // Nanoseconds per plane, fitted on a Zen 4 to 27 shapes that lie in the caches: what pooling in columns costs by
  // itself and per swept vector, and what pooling from a tile costs per pixel. They choose between ways that are all
  // right.
  double columns;
  double swept_vector;
  double tile_pixel;
};

// Makes plans; keeps its scratch from one RoI to the next.
template <class C>
class Planner {
 public:
  // Plans and scratch lie in memory, which must outlive the plans. for_tile: each is to be fit for Way::kTile.
  Planner(const Attributes& attributes, int64_t channels, int64_t height, int64_t width, const Shape& shape,
          bool for_tile, Memory& memory)
      : attributes_(attributes),
        channels_(channels),
        height_(height),
        width_(width),
        shape_(shape),
        for_tile_(for_tile),
        memory_(memory),
        y_(&memory),
        x_(&memory),
        leveled_(&memory),
        marks_(&memory) {}

  // coordinates: x1, y1, x2, y2, already checked to be finite when scaled.
  void plan(const C coordinates[4], RoiPlan<C>& plan);

 private:
  void sample_axis(const Axis<C>& axis, int64_t bins, int64_t length, AxisTaps& taps) const;
  void level(AxisTaps& taps);
  void plan_rows(RoiPlan<C>& plan) const;
  void plan_points(RoiPlan<C>& plan, size_t count) const;
  double cost_of_points(size_t count) const;
  double cost_of_columns(const Window& window) const;
  void plan_columns(RoiPlan<C>& plan);
  void choose_window(RoiPlan<C>& plan);
  int32_t column_of(const Window& window, int32_t position) const;
  int32_t taps_of(int32_t bin) const;

  const Attributes& attributes_;
  const int64_t channels_;
  const int64_t height_;
  const int64_t width_;
  const Shape shape_;
  const bool for_tile_;
  Memory& memory_;
  AxisTaps y_;
  AxisTaps x_;
  AxisTaps leveled_;
  std::pmr::vector<uint8_t> marks_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_GEOMETRY_H_
