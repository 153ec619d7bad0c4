// RoI + Semantics -> plan: the only C++ geometry, shared by every instruction set.
#ifndef ONNX_ROIALIGN_GEOMETRY_H_
#define ONNX_ROIALIGN_GEOMETRY_H_

#include <cmath>
#include <cstdint>

#include "memory.h"
#include "plan/corners.h"
#include "plan/plan.h"
#include "plan/tiling.h"
#include "problem.h"

namespace roialign {

// One axis of one RoI in pixels of the feature map, in DESIGN's order of operations: C is float (each operation rounded
// to it) or double.
template <class C>
struct Axis {
  C start;
  C size;
};

// What takes a RoI's coordinates to the feature map.
template <class C>
struct Scaling {
  explicit Scaling(const Attributes& attributes)
      : spatial_scale(static_cast<C>(attributes.spatial_scale)),
        offset(static_cast<C>(attributes.semantics.offset)),
        start_shift(static_cast<C>(attributes.semantics.start_shift)),
        end_shift(static_cast<C>(attributes.semantics.end_shift)),
        min_size(static_cast<C>(attributes.semantics.min_size)) {}

  // Without the bound on the size.
  Axis<C> unbounded(C roi_start, C roi_end) const {
    const C start = (roi_start + start_shift) * spatial_scale - offset;
    const C end = (roi_end + end_shift) * spatial_scale - offset;
    return {start, end - start};
  }

  Axis<C> operator()(C roi_start, C roi_end) const {
    const Axis<C> axis = unbounded(roi_start, roi_end);
    return {axis.start, axis.size < min_size ? min_size : axis.size};
  }

  C spatial_scale;
  C offset;
  C start_shift;
  C end_shift;
  C min_size;
};

// How many samples a bin of that size has along its axis: g of DESIGN.md; <= 0: none.
template <class C>
C samples_of(const Attributes& attributes, C bin) {
  if (attributes.sampling_ratio > 0) return static_cast<C>(attributes.sampling_ratio);
  return attributes.semantics.adaptive_floor ? std::floor(bin) : std::ceil(bin);
}

// What one axis of one RoI takes of the map, in arrays that are kept from one RoI to the next. The taps of a bin are in
// ascending order of position, and bins follow each other upwards or, in a mirrored RoI, downwards.
template <class C>
struct AxisTaps {
  int64_t length;  // of the map
  C count;         // samples_of() a bin
  bool descending;
  Tap<C>* taps;
  int32_t tap_count;
  int64_t room;  // of taps
  Bin* bins;
  int64_t bin_count;
  int32_t fullest;      // the most taps of a bin
  int64_t filled_bins;  // that have any
};

// What a plan needs to know of a vector.
struct Shape {
  int lanes;      // of Way::kColumns
  double gather;  // one gathered vector, in loads of a vector
  // Nanoseconds per plane, fitted on a Zen 4 to 27 shapes that lie in the caches: what pooling in columns costs by
  // itself and per swept vector, what pooling from a tile costs per pixel, and what a point costs by itself. They
  // choose between ways that are all right.
  double columns;
  double swept_vector;
  int tile_lanes;  // of Way::kTile where the channels fill them and the tile has room; else lanes
  double tile_pixel;
  double point;
};

// Makes plans; keeps its scratch from one RoI to the next.
template <class C>
class Planner {
 public:
  // Scratch lies in memory; shape and tile are kept. tile: each plan that is kept is to be fit for Way::kTile; null:
  // none is pooled from a tile.
  Planner(const Attributes& attributes, int64_t channels, int64_t height, int64_t width, const Shape& shape,
          const TileSizes* tile, Memory& memory);

  // corners: already checked to be finite when scaled. may_keep: the plan may be for later. Where
  // it is, the answer is true, and what it points to lies in memory; else the RoI is to be pooled before the next is
  // planned, as what the plan points to may be scratch.
  bool plan(const Corners<C>& corners, bool may_keep, Memory& memory, RoiPlan<C>& plan);

 private:
  void sample_axis(C roi_start, C roi_end, AxisTaps<C>& axis) const;
  template <class Taps, bool kLarge>
  void sample_bins(C start, C bin, AxisTaps<C>& axis) const;
  C without_samples() const;
  double cost_of_points() const;
  bool worth_keeping(double cost_of_points) const;
  double cost_of_columns(const Window& window) const;
  void choose_window(Memory& memory, RoiPlan<C>& plan) const;
  void list_taps(const AxisTaps<C>& axis, bool level, Memory& memory, AxisPlan<C>& plan) const;

  const Attributes& attributes_;
  const Scaling<C> scale_;
  const Shape& shape_;
  const double channels_;
  const double per_plane_;      // what is done once for all channels costs a plane this part of it
  const double least_columns_;  // what pooling in columns costs, whatever is swept
  const TileSizes* const tile_;
  Memory& scratch_;
  AxisTaps<C> y_;
  AxisTaps<C> x_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_GEOMETRY_H_
