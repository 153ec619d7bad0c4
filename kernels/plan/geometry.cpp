// RoI + Semantics -> plan. Compiled without contraction: a fused multiply-add would move samples across the cuts.
#include "plan/geometry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "plan/bin_samples.h"

namespace roialign {
namespace {

// Levelled rows and columns take about so many nanoseconds, once for all channels.
constexpr double kListing = 200;
// So many nanoseconds a RoI takes longer whose plan is kept until those of its block are made: its lists are written to
// memory, and read from there. A tile must save more.
constexpr double kKeeping = 150;
// RoIs that take longer than this many nanoseconds are cheap to keep, and threads can share their channels.
constexpr double kLong = 2000;
// Of an axis: 7 bins of 2 samples have no more.
constexpr int64_t kUsualTaps = 28;

template <class C>
AxisTaps<C> axis_taps(int64_t length, int64_t bins, Memory& memory) {
  AxisTaps<C> axis;
  axis.room = kUsualTaps;
  axis.taps = memory.take<Tap<C>>(kUsualTaps);
  axis.bins = memory.take<Bin>(static_cast<size_t>(bins));
  axis.bin_count = bins;
  axis.length = length;
  return axis;
}

// A larger array; the smaller ones stay behind in the memory, in all no larger than this.
template <class C>
__attribute__((cold, noinline)) void make_room(AxisTaps<C>& axis, int64_t filled, int64_t more, Memory& memory) {
  axis.room = std::max(filled + more, 2 * axis.room);
  Tap<C>* const taps = memory.take<Tap<C>>(static_cast<size_t>(axis.room));
  std::copy(axis.taps, axis.taps + filled, taps);
  axis.taps = taps;
}

// From columns of the map to those of the window.
template <class C>
void place_in(const Window& window, AxisTaps<C>& axis) {
  const int32_t first = static_cast<int32_t>(window.first);
  if (first == 0 && window.list == nullptr) return;
  for (Tap<C>* tap = axis.taps; tap != axis.taps + axis.tap_count; ++tap) {
    tap->position -= first;
    if (window.list == nullptr) continue;
    const int32_t* const end = window.list + window.columns;
    tap->position = static_cast<int32_t>(std::lower_bound(window.list, end, tap->position) - window.list);
  }
}

// The lowest position and the highest; -1 where there is none.
template <class C>
std::pair<int32_t, int32_t> ends_of(const AxisTaps<C>& axis) {
  std::pair<int32_t, int32_t> ends{std::numeric_limits<int32_t>::max(), -1};
  for (int64_t b = 0; b < axis.bin_count; ++b) {
    const Bin& bin = axis.bins[b];
    if (bin.tap_count == 0) continue;
    ends.first = std::min(ends.first, axis.taps[bin.first_tap].position);
    ends.second = std::max(ends.second, axis.taps[bin.first_tap + bin.tap_count - 1].position);
  }
  return ends;
}

}  // namespace

template <class C>
Planner<C>::Planner(const Attributes& attributes, int64_t channels, int64_t height, int64_t width, const Shape& shape,
                    const TileSizes* tile, Memory& memory)
    : attributes_(attributes),
      scale_(attributes),
      shape_(shape),
      channels_(static_cast<double>(channels)),
      per_plane_(1.0 / static_cast<double>(channels)),
      least_columns_(shape.columns + kListing * per_plane_),
      tile_(tile),
      scratch_(memory),
      y_(axis_taps<C>(height, attributes.output_height, memory)),
      x_(axis_taps<C>(width, attributes.output_width, memory)) {}

template <class C>
template <class Taps, bool kLarge>
void Planner<C>::sample_bins(C start, C bin, AxisTaps<C>& axis) const {
  const C count = Taps::kSamples > 0 ? C{Taps::kSamples} : axis.count, length = static_cast<C>(axis.length);
  const bool exclusive = attributes_.semantics.border_exclusive;
  const int32_t last = static_cast<int32_t>(axis.length - 1);
  const double share = 1.0 / static_cast<double>(count);
  // Two taps a sample, but no more than the two extreme samples between each two pixels have.
  const int64_t positions = 2 * (axis.length + 1);
  const bool dense = kLarge && static_cast<double>(count) > static_cast<double>(positions);
  const int64_t most_taps = 2 * (dense ? positions : static_cast<int64_t>(count));
  int32_t filled = 0, fullest = 0;
  int64_t filled_bins = 0;
  for (int64_t p = 0; p < axis.bin_count; ++p) {
    if (filled + most_taps > axis.room) make_room(axis, filled, most_taps, scratch_);
    const BinSamples<C> samples = samples_of_bin(start, p, bin, count, length, exclusive);
    Taps list(axis.taps + filled, last, share);
    const bool inside = kLarge ? leap(samples, last, list) : walk(samples, last, list);
    const int32_t taps = list.finish();
    axis.bins[p] = {filled, taps, !inside};
    filled += taps;
    fullest = std::max(fullest, taps);
    filled_bins += taps > 0;
  }
  axis.tap_count = filled;
  axis.fullest = fullest;
  axis.filled_bins = filled_bins;
}

template <class C>
void Planner<C>::sample_axis(C roi_start, C roi_end, AxisTaps<C>& axis) const {
  const Axis<C> scaled = scale_(roi_start, roi_end);
  const C bin = scaled.size / static_cast<C>(axis.bin_count);
  axis.count = samples_of(attributes_, bin);
  axis.descending = bin < 0;
  axis.tap_count = 0;
  if (axis.count <= 0) return;
  const bool large = axis.count > kWalk;
  if (attributes_.mode_max) {
    large ? sample_bins<MaxTaps<C>, true>(scaled.start, bin, axis)
          : sample_bins<MaxTaps<C>, false>(scaled.start, bin, axis);
  } else if (axis.count == 1) {
    sample_bins<OneSample<C>, false>(scaled.start, bin, axis);
  } else {
    large ? sample_bins<MeanTaps<C>, true>(scaled.start, bin, axis)
          : sample_bins<MeanTaps<C>, false>(scaled.start, bin, axis);
  }
}

// One axis as the pooling loops want it. With level every bin that has taps gets as many as the fullest has, so that
// those loops run alike for all of them: counts that change from bin to bin cost a mispredicted branch each. The mean
// splits a weight among the copies of its tap: a copy of weight 0 would make NaN of an infinite pixel. The max repeats
// a sample that the bin has already.
template <class C>
void Planner<C>::list_taps(const AxisTaps<C>& axis, bool level, Memory& memory, AxisPlan<C>& plan) const {
  const int64_t size = level ? axis.filled_bins * axis.fullest : axis.tap_count;
  auto* const taps = memory.take<Tap<C>>(static_cast<size_t>(size));
  auto* const bins = memory.take<Bin>(static_cast<size_t>(axis.bin_count));
  int32_t filled = 0;
  for (int64_t b = 0; b < axis.bin_count; ++b) {
    const Bin& bin = axis.bins[b];
    const Tap<C>* const from = axis.taps + bin.first_tap;
    bins[b] = {filled, bin.tap_count, bin.dropped};
    for (int32_t t = 0; t < bin.tap_count; ++t) taps[filled++] = from[t];
    const int32_t missing = level && bin.tap_count > 0 ? axis.fullest - bin.tap_count : 0;
    if (missing == 0) continue;
    bins[b].tap_count = axis.fullest;
    const int32_t again = attributes_.mode_max ? 2 : 1;
    if (!attributes_.mode_max) taps[filled - 1].weight /= static_cast<C>(missing + 1);
    for (int32_t t = 0; t < missing; ++t, ++filled) taps[filled] = taps[filled - again];
  }
  plan.taps = taps;
  plan.bins = bins;
  plan.tap_count = filled;
  plan.full = axis.filled_bins == axis.bin_count;
}

// What every bin is of a RoI whose grid has no sample along an axis.
template <class C>
C Planner<C>::without_samples() const {
  const Semantics& semantics = attributes_.semantics;
  if (attributes_.mode_max && !std::isinf(semantics.max_start)) return static_cast<C>(semantics.max_start);
  // The mean divides by the product of the counts as it stands: two negative counts make a positive one, and 0 / it is
  // 0.
  const bool no_divisor = y_.count == 0 || x_.count == 0;
  return semantics.empty_nan && no_divisor ? std::numeric_limits<C>::quiet_NaN() : C{0};
}

// Infinite where a RoI must not be pooled point by point.
template <class C>
double Planner<C>::cost_of_points() const {
  const bool samples = attributes_.mode_max && attributes_.semantics.max_samples;
  const double points = static_cast<double>(y_.tap_count) * static_cast<double>(x_.tap_count);
  if (samples || points > kMostPoints) return std::numeric_limits<double>::infinity();
  return 2.5 + (shape_.point + per_plane_) * points;
}

// Of a RoI that is cheap to pool point by point.
template <class C>
bool Planner<C>::worth_keeping(double cost_of_points) const {
  if (cost_of_points * channels_ > kLong) return true;
  if (tile_ == nullptr) return false;
  const double from_tile = tile_->cost(tile_->lanes, y_.tap_count, x_.tap_count, x_.tap_count);
  return (cost_of_points - from_tile) * channels_ > kKeeping;
}

template <class C>
double Planner<C>::cost_of_columns(const Window& window) const {
  const int32_t vectors = (window.columns + shape_.lanes - 1) / shape_.lanes;
  const double loads = window.list == nullptr ? vectors : vectors * shape_.gather;
  const double bins = static_cast<double>(attributes_.output_height * attributes_.output_width);
  return least_columns_ + shape_.swept_vector * loads * static_cast<double>(y_.tap_count) + 4.5 / shape_.lanes * bins;
}

template <class C>
void Planner<C>::choose_window(Memory& memory, RoiPlan<C>& plan) const {
  const size_t lanes = static_cast<size_t>(shape_.lanes);
  auto* const touched = memory.take<int32_t>(static_cast<size_t>(x_.tap_count) + lanes);
  int32_t count = 0;
  // From the leftmost bin to the rightmost taps hardly go back, by rounding or to the sample's other pixel.
  for (int64_t b = 0; b < x_.bin_count; ++b) {
    const Bin& bin = x_.bins[x_.descending ? x_.bin_count - 1 - b : b];
    for (const Tap<C>* tap = x_.taps + bin.first_tap; tap != x_.taps + bin.first_tap + bin.tap_count; ++tap) {
      int32_t at = count;
      while (at > 0 && touched[at - 1] > tap->position) --at;
      if (at > 0 && touched[at - 1] == tap->position) continue;
      std::copy_backward(touched + at, touched + count, touched + count + 1);
      touched[at] = tap->position;
      ++count;
    }
  }
  plan.touched = touched;
  plan.touched_count = count;
  if (count == 0) return;
  const int32_t first = touched[0];
  for (int32_t c = 0; c < count; ++c) touched[c] -= first;
  plan.window.first = first;
  plan.window.columns = touched[count - 1] + 1;
  std::fill(touched + count, touched + count + lanes, -1);
  const double gathered = static_cast<double>(static_cast<size_t>(x_.tap_count) / lanes + 1) * shape_.gather;
  if (static_cast<double>(plan.window.columns) / shape_.lanes < gathered + 1) return;
  plan.window.columns = count;
  plan.window.list = touched;
}

template <class C>
bool Planner<C>::plan(const Corners<C>& corners, bool may_keep, Memory& memory, RoiPlan<C>& plan) {
  sample_axis(corners[1], corners[3], y_);
  sample_axis(corners[0], corners[2], x_);
  if (y_.count <= 0 || x_.count <= 0) {
    plan.way = Way::kConstant;
    plan.fill = without_samples();
    return false;
  }
  plan.way = Way::kPoints;
  plan.cost = cost_of_points();
  plan.window = {0, 0, nullptr};
  plan.touched_count = 0;
  // So few that rows and columns need not be looked at.
  const bool few = plan.cost < least_columns_;
  const bool keep = may_keep && (!few || worth_keeping(plan.cost)), for_tile = keep && tile_ != nullptr;
  if (!few || for_tile) choose_window(memory, plan);
  if (!few) {
    const double cost = cost_of_columns(plan.window);
    if (cost < plan.cost) plan.way = Way::kColumns;
    plan.cost = std::min(cost, plan.cost);
  }
  if (plan.way == Way::kPoints && plan.window.list != nullptr) {
    plan.window.list = nullptr;
    plan.window.columns = plan.touched[plan.touched_count - 1] + 1;
  }
  place_in(plan.window, x_);
  const bool level = plan.way == Way::kColumns || for_tile;
  if (level || keep) {
    list_taps(y_, level, memory, plan.rows);
    list_taps(x_, level, memory, plan.columns);
  } else {
    plan.rows = {y_.taps, y_.tap_count, y_.bins, false};
    plan.columns = {x_.taps, x_.tap_count, x_.bins, false};
  }
  if (level) std::tie(plan.first_row, plan.last_row) = ends_of(y_);
  return keep;
}

template class Planner<float>;
template class Planner<double>;

}  // namespace roialign
