// Makes a plan of a RoI and its Semantics: the only C++ geometry, shared by every instruction set.
#ifndef ONNX_ROIALIGN_PLAN_GEOMETRY_H_
#define ONNX_ROIALIGN_PLAN_GEOMETRY_H_

#include <cmath>
#include <cstdint>

#include "memory.h"
#include "plan/corners.h"
#include "plan/costs.h"
#include "plan/plan.h"
#include "plan/tiling.h"
#include "problem.h"

namespace roialign {

// One axis of one RoI in pixels of the feature map. C is the type of coordinates, float or double; every operation is
// rounded to it, in the order of onnx_roialign/definition/geometry.py.
template <class C>
struct Axis {
  C start;
  C size;
};

// Scales a RoI's coordinates to the feature map.
template <class C>
struct Scaling {
  explicit Scaling(const Attributes& attributes)
      : spatial_scale(static_cast<C>(attributes.spatial_scale)),
        offset(static_cast<C>(attributes.semantics.offset)),
        start_shift(static_cast<C>(attributes.semantics.start_shift)),
        end_shift(static_cast<C>(attributes.semantics.end_shift)),
        min_size(static_cast<C>(attributes.semantics.min_size)) {}

  // Scales without the lower bound on the size.
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

// Returns how many samples a bin of that size has along its axis; 0 or less means none.
template <class C>
C samples_of(const Attributes& attributes, C bin) {
  if (attributes.sampling_ratio > 0) return static_cast<C>(attributes.sampling_ratio);
  return attributes.semantics.adaptive_floor ? std::floor(bin) : std::ceil(bin);
}

// The taps of one axis of one RoI, in arrays that are reused from one RoI to the next. The taps of a bin are in
// ascending order of position; bins follow each other upwards or, in a mirrored RoI, downwards.
template <class C>
struct AxisTaps {
  int64_t length;   // the map's size along this axis
  C count;          // samples per bin
  bool descending;  // the RoI is mirrored
  Tap<C>* taps;
  int32_t tap_count;
  int64_t room;  // how many taps the array can hold
  Bin* bins;
  int64_t bin_count;
  int32_t fullest;      // how many taps the bin with most taps has
  int64_t filled_bins;  // how many bins have taps
};

// Makes plans, and reuses its scratch from one RoI to the next.
template <class C>
class Planner {
 public:
  // Takes its scratch from memory; attributes, costs and *tile must outlive it. With a tile, each plan that is kept can
  // be pooled by Way::kTile; where tile is null, none can.
  Planner(const Attributes& attributes, int64_t channels, int64_t height, int64_t width, const VectorCosts& costs,
          const TileSizes* tile, Memory& memory);

  // Plans a RoI whose corners are known to be finite when scaled. Returns true where the plan may be kept for later,
  // which happens only if may_keep is true: the arrays it points to then lie in memory. Otherwise the RoI must be
  // pooled before the next one is planned, as the plan may point to scratch.
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
  const VectorCosts& costs_;
  const double channels_;
  const double per_plane_;      // a plane's share of what is done once for all channels
  const double least_columns_;  // what a plane costs in columns, whatever is swept
  const TileSizes* const tile_;
  Memory& scratch_;
  AxisTaps<C> y_;
  AxisTaps<C> x_;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_GEOMETRY_H_
