// Makes a plan of a RoI: its samples, their taps, and the cheapest way to pool them. Compiled without contraction, as a
// fused multiply-add would move samples across the cuts at -1 and N.
#include "plan/geometry.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "plan/bin_samples.h"
#include "plan/costs.h"

namespace roialign {
namespace {

// An axis begins with room for this many taps: 7 bins of 2 samples, two taps each, need no more.
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

// Moves the taps to an array with room for more. The old arrays stay in the memory until it is released: together they
// are no larger than the new one.
template <class C>
__attribute__((cold, noinline)) void make_room(AxisTaps<C>& axis, int64_t filled, int64_t more, Memory& memory) {
  axis.room = std::max(filled + more, 2 * axis.room);
  Tap<C>* const taps = memory.take<Tap<C>>(static_cast<size_t>(axis.room));
  std::copy(axis.taps, axis.taps + filled, taps);
  axis.taps = taps;
}

// Turns positions that count the columns of the map into positions that count the columns of the window.
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

// Returns the lowest and the highest position that has a tap; the highest is -1 where no bin has any.
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
Planner<C>::Planner(const Attributes& attributes, int64_t channels, int64_t height, int64_t width,
                    const VectorCosts& costs, const TileSizes* tile, Memory& memory)
    : attributes_(attributes),
      scale_(attributes),
      costs_(costs),
      channels_(static_cast<double>(channels)),
      per_plane_(1.0 / static_cast<double>(channels)),
      least_columns_(costs.columns_plane + kListedAxes * per_plane_),
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
  // A sample has two taps. Between two neighbouring pixels the max keeps at most two samples, and the mean has fewer
  // taps still, so a dense grid has no more taps than these positions allow.
  const int64_t positions = 2 * (axis.length + 1);
  const bool dense = kLarge && static_cast<double>(count) > static_cast<double>(positions);
  const int64_t most_taps = 2 * (dense ? positions : static_cast<int64_t>(count));
  int32_t filled = 0, fullest = 0;
  int64_t filled_bins = 0;
  for (int64_t p = 0; p < axis.bin_count; ++p) {
    if (filled + most_taps > axis.room) make_room(axis, filled, most_taps, scratch_);
    const BinSamples<C> samples = samples_of_bin(start, p, bin, count, length, exclusive);
    Taps list(axis.taps + filled, last, share);
    const bool inside = kLarge ? walk_inside(samples, last, list) : walk(samples, last, list);
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

// Copies the taps of an axis to memory that outlives the next RoI. Where level is true, every bin that has taps gets as
// many as the fullest bin, because a count that changes from bin to bin costs the pooling loops a mispredicted branch
// each time. To fill up, the mean repeats its last tap and splits the weight among the copies (a copy of weight 0 would
// turn an infinite pixel into NaN); the max repeats a sample that the bin has already.
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

// Returns the value of every bin of a RoI whose grid has no sample along an axis.
template <class C>
C Planner<C>::without_samples() const {
  const Semantics& semantics = attributes_.semantics;
  if (attributes_.mode_max && !std::isinf(semantics.max_start)) return static_cast<C>(semantics.max_start);
  // The mean divides by the product of both counts. It is undefined only where that product is 0: two negative counts
  // have a positive product, and 0 divided by it is 0.
  const bool no_divisor = y_.count == 0 || x_.count == 0;
  return semantics.empty_nan && no_divisor ? std::numeric_limits<C>::quiet_NaN() : C{0};
}

// Returns infinity where a RoI must not be pooled point by point.
template <class C>
double Planner<C>::cost_of_points() const {
  const bool samples = attributes_.mode_max && attributes_.semantics.max_samples;
  const double points = static_cast<double>(y_.tap_count) * static_cast<double>(x_.tap_count);
  if (samples || points > kMostPoints) return std::numeric_limits<double>::infinity();
  return kPointsPlane + (costs_.point + kListedPoint * per_plane_) * points;
}

// Returns whether a RoI that is cheap to pool point by point should be kept for a tile, or for other threads.
template <class C>
bool Planner<C>::worth_keeping(double cost_of_points) const {
  if (cost_of_points * channels_ > kLongRoi) return true;
  if (tile_ == nullptr) return false;
  const double from_tile = tile_->cost(tile_->lanes, y_.tap_count, x_.tap_count, x_.tap_count);
  return (cost_of_points - from_tile) * channels_ > kKeptPlan;
}

template <class C>
double Planner<C>::cost_of_columns(const Window& window) const {
  const int32_t vectors = (window.columns + costs_.lanes - 1) / costs_.lanes;
  const double loads = window.list == nullptr ? vectors : vectors * costs_.gathered_vector;
  const double bins = static_cast<double>(attributes_.output_height * attributes_.output_width);
  return least_columns_ + costs_.swept_vector * loads * static_cast<double>(y_.tap_count) +
         kColumnsVectorOfBins / costs_.lanes * bins;
}

// Finds the touched columns, and whether they are swept as neighbours or gathered from a list.
template <class C>
void Planner<C>::choose_window(Memory& memory, RoiPlan<C>& plan) const {
  const size_t lanes = static_cast<size_t>(costs_.lanes);
  auto* const touched = memory.take<int32_t>(static_cast<size_t>(x_.tap_count) + lanes);
  int32_t count = 0;
  // From the leftmost bin to the rightmost positions ascend, but for short steps back (by rounding, or to a sample's
  // other pixel), so it is cheap to insert each into the sorted list.
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
  const double gathered = static_cast<double>(static_cast<size_t>(x_.tap_count) / lanes + 1) * costs_.gathered_vector;
  if (static_cast<double>(plan.window.columns) / costs_.lanes < gathered + 1) return;
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
  // Where points cost less than columns cost at least, the touched columns need not be found.
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
