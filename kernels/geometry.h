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
  int lookup_registers;  // so many may hold a strip's window; 0: no strips
  double gather_cost;    // one gathered vector, in loads of a vector
  int most_points;       // a plane with no more of them is pooled point by point, a channel a lane
};

// Makes plans; keeps its scratch from one RoI to the next.
template <class C>
class Planner {
 public:
  // Plans and scratch lie in memory, which must outlive the plans.
  Planner(const Attributes& attributes, int64_t height, int64_t width, const Shape& shape, Memory& memory)
      : attributes_(attributes),
        height_(height),
        width_(width),
        shape_(shape),
        memory_(memory),
        y_(&memory),
        x_(&memory),
        leveled_(&memory),
        touched_(&memory) {}

  // coordinates: x1, y1, x2, y2, already checked to be finite when scaled.
  void plan(const C coordinates[4], RoiPlan<C>& plan);

 private:
  void sample_axis(const Axis<C>& axis, int64_t bins, int64_t length, AxisTaps& taps) const;
  void level(AxisTaps& taps);
  void plan_rows(RoiPlan<C>& plan) const;
  bool plan_points(RoiPlan<C>& plan) const;
  bool plan_strips(RoiPlan<C>& plan);
  void plan_columns(RoiPlan<C>& plan);
  void choose_window(int32_t first_bin, int32_t last_bin, Window& window);
  int32_t column_of(const Window& window, int32_t position) const;
  void fill_strip(Strip<C>& strip) const;
  int32_t taps_of(int32_t bin) const;

  const Attributes& attributes_;
  const int64_t height_;
  const int64_t width_;
  const Shape shape_;
  Memory& memory_;
  AxisTaps y_;
  AxisTaps x_;
  AxisTaps leveled_;
  std::pmr::vector<int32_t> touched_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_GEOMETRY_H_
