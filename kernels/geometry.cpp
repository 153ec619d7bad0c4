// RoI + Semantics -> plan. Compiled without contraction: a fused multiply-add would move samples across the cuts.
#include "geometry.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "bin_samples.h"

namespace roialign {
namespace {

// Grids up to this many samples a bin are walked; larger ones are entered by bisection, where the map begins.
constexpr double kWalk = 32;
// Of an axis: 7 bins of 2 samples have no more.
constexpr size_t kUsualTaps = 28;

// The taps of one bin, appended in ascending order of position to arrays that have room for them.
class TapList {
 public:
  TapList(int32_t* positions, double* weights) : positions_(positions), weights_(weights) {}

  // The mean: what falls on one pixel becomes one tap.
  void add_mean(int32_t low, int32_t high, double low_weight, double high_weight) {
    merge(low, low_weight);
    merge(high, high_weight);
  }

  // The max: a sample is a pair of taps. Both rules are monotone in the weight, so among the samples between the same
  // two pixels the first and the last decide, however many there are.
  void add_max(int32_t low, int32_t high, double low_weight, double high_weight) {
    const bool third = count_ >= 4 && positions_[count_ - 2] == low && positions_[count_ - 4] == low;
    if (third) count_ -= 2;
    push(low, low_weight);
    push(high, high_weight);
  }

  size_t count() const { return count_; }

 private:
  void merge(int32_t position, double weight) {
    for (size_t back = 1; back <= 2 && count_ >= back; ++back) {
      if (positions_[count_ - back] != position) continue;
      weights_[count_ - back] += weight;
      return;
    }
    push(position, weight);
  }

  void push(int32_t position, double weight) {
    positions_[count_] = position;
    weights_[count_++] = weight;
  }

  int32_t* const positions_;
  double* const weights_;
  size_t count_ = 0;
};

}  // namespace

template <class C>
void Planner<C>::sample_axis(const Axis<C>& axis, int64_t bins, int64_t length, AxisTaps& taps) const {
  const C bin = axis.size / static_cast<C>(bins);
  const C count = attributes_.sampling_ratio > 0         ? static_cast<C>(attributes_.sampling_ratio)
                  : attributes_.semantics.adaptive_floor ? std::floor(bin)
                                                         : std::ceil(bin);
  taps.count = static_cast<double>(count);
  taps.first.assign(1, 0);
  taps.dropped.assign(static_cast<size_t>(bins), 0);
  // Two taps a sample, but no more than the two extreme samples between each two pixels have.
  const size_t most =
      taps.count > 0 ? 2 * static_cast<size_t>(std::min(taps.count, 2.0 * static_cast<double>(length + 1))) : 0;
  size_t filled = 0;
  const int32_t last = static_cast<int32_t>(length - 1);
  const double share = 1.0 / taps.count;
  for (int64_t p = 0; p < bins; ++p) {
    const BinSamples<C> samples{axis.start + static_cast<C>(p) * bin,  bin, count, C{-1}, static_cast<C>(length),
                                attributes_.semantics.border_exclusive};
    double from = 0, to = taps.count > 0 ? taps.count : 0;
    if (to > kWalk) {
      // Mirrored RoIs (bin < 0) run downwards.
      from = bin >= 0 ? samples.first_index(0, [&](C at) { return !samples.below(at); })
                      : samples.first_index(0, [&](C at) { return !samples.above(at); });
      to = bin >= 0 ? samples.first_index(from, [&](C at) { return samples.above(at); })
                    : samples.first_index(from, [&](C at) { return samples.below(at); });
      if (from > 0 || to < taps.count) taps.dropped[static_cast<size_t>(p)] = 1;
    }
    if (filled + most > taps.position.size()) {
      taps.position.resize(std::max({kUsualTaps, 2 * filled, filled + most}));
      taps.weight.resize(taps.position.size());
    }
    TapList list(taps.position.data() + filled, taps.weight.data() + filled);
    const double step = bin >= 0 ? 1 : -1;
    const double begin = bin >= 0 ? from : to - 1;
    for (double i = begin; i >= from && i < to;) {
      const C at = samples.position(i);
      double repeats = 1;
      if (taps.count > 65536) {
        // Far from zero many samples round to one position: take them at once, so the cost follows the map, not the
        // RoI.
        const double end = step > 0 ? samples.first_index(i, [&](C other) { return other > at; }) : i + 1;
        repeats = std::max(1.0, std::min(end, to) - i);
      }
      i += step * repeats;
      if (samples.below(at) || samples.above(at)) {
        taps.dropped[static_cast<size_t>(p)] = 1;
        continue;
      }
      const C inside = at <= 0 ? C{0} : at;
      int32_t low = inside >= static_cast<C>(last) ? last : static_cast<int32_t>(inside);
      const C high_weight = low == last ? C{0} : inside - static_cast<C>(low);
      const C low_weight = C{1} - high_weight;
      const int32_t high = std::min(low + 1, last);
      if (attributes_.mode_max) {
        list.add_max(low, high, low_weight, high_weight);
      } else {
        list.add_mean(low, high, low_weight * share * repeats, high_weight * share * repeats);
      }
    }
    filled += list.count();
    taps.first.push_back(static_cast<int32_t>(filled));
  }
  taps.position.resize(filled);
  taps.weight.resize(filled);
}

// Gives every bin that has taps as many as the fullest has, so that the pooling loops run alike for all of them: counts
// that change from bin to bin cost a mispredicted branch each. The mean splits a weight among the copies of its tap: a
// copy of weight 0 would make NaN of an infinite pixel. The max repeats a sample that the bin has already.
template <class C>
void Planner<C>::level(AxisTaps& taps) {
  const size_t bins = taps.dropped.size();
  int32_t fullest = 0;
  size_t filled = 0;
  for (size_t p = 0; p < bins; ++p) {
    fullest = std::max(fullest, taps.first[p + 1] - taps.first[p]);
    filled += taps.first[p + 1] > taps.first[p];
  }
  const size_t count = static_cast<size_t>(fullest);
  if (filled * count == taps.position.size()) return;
  leveled_.position.clear();
  leveled_.weight.clear();
  for (size_t p = 0; p < bins; ++p) {
    const size_t begin = static_cast<size_t>(taps.first[p]), end = static_cast<size_t>(taps.first[p + 1]);
    taps.first[p] = static_cast<int32_t>(leveled_.position.size());
    if (begin == end) continue;
    const size_t copies = count - (end - begin) + 1;
    for (size_t k = 0; k < count; ++k) {
      const bool copy = begin + k >= end - 1;
      const size_t pair = end - begin - 2 + (k & 1);
      const size_t from = begin + (k < end - begin ? k : attributes_.mode_max ? pair : end - begin - 1);
      leveled_.position.push_back(taps.position[from]);
      leveled_.weight.push_back(taps.weight[from] / static_cast<double>(copy && !attributes_.mode_max ? copies : 1));
    }
  }
  taps.first[bins] = static_cast<int32_t>(leveled_.position.size());
  taps.position.swap(leveled_.position);
  taps.weight.swap(leveled_.weight);
}

template <class C>
void Planner<C>::plan_rows(RoiPlan<C>& plan) const {
  auto* row_taps = take<RowTap<C>>(memory_, y_.position.size());
  for (size_t t = 0; t < y_.position.size(); ++t) {
    row_taps[t] = {y_.position[t], static_cast<C>(y_.weight[t])};
  }
  const size_t bins = y_.dropped.size();
  auto* rows = take<BinRow>(memory_, bins);
  for (size_t p = 0; p < bins; ++p) {
    rows[p] = {y_.first[p], y_.first[p + 1] - y_.first[p], y_.dropped[p] != 0};
  }
  plan.full_rows = std::all_of(rows, rows + bins, [](const BinRow& row) { return row.tap_count > 0; });
  plan.row_taps = row_taps;
  plan.row_tap_count = static_cast<int32_t>(y_.position.size());
  plan.rows = rows;
  plan.first_row = 0;
  plan.last_row = -1;
  if (y_.position.empty()) return;
  const auto [first, last] = std::minmax_element(y_.position.begin(), y_.position.end());
  plan.first_row = *first;
  plan.last_row = *last;
}

template <class C>
void Planner<C>::plan_points(RoiPlan<C>& plan, size_t count) const {
  auto* points = take<Point<C>>(memory_, count);
  auto* bins = take<BinPoints>(memory_, y_.dropped.size() * x_.dropped.size());
  int32_t filled = 0;
  size_t bin = 0;
  for (size_t p = 0; p < y_.dropped.size(); ++p) {
    for (size_t q = 0; q < x_.dropped.size(); ++q, ++bin) {
      const int32_t begin = filled;
      for (int32_t j = y_.first[p]; j < y_.first[p + 1]; ++j) {
        for (int32_t i = x_.first[q]; i < x_.first[q + 1]; ++i) {
          const size_t y = static_cast<size_t>(j), x = static_cast<size_t>(i);
          points[filled++] = {static_cast<int32_t>(y_.position[y] * width_ + x_.position[x]),
                              static_cast<C>(y_.weight[y] * x_.weight[x])};
        }
      }
      bins[bin] = {begin, filled - begin, y_.dropped[p] != 0 || x_.dropped[q] != 0};
    }
  }
  plan.points = points;
  plan.bins = bins;
}

// Infinite where a RoI must not be pooled point by point.
template <class C>
double Planner<C>::cost_of_points(size_t count) const {
  constexpr size_t kMostPoints = 2048;  // 16 KB of a plan
  const bool samples = attributes_.mode_max && attributes_.semantics.max_samples;
  const bool far = height_ * width_ > std::numeric_limits<int32_t>::max();
  if (samples || far || count > kMostPoints) return std::numeric_limits<double>::infinity();
  // Listing them costs 1.5 each, once for all channels.
  return 2.5 + (0.3 + 1.5 / static_cast<double>(channels_)) * static_cast<double>(count);
}

template <class C>
double Planner<C>::cost_of_columns(const Window& window) const {
  const int32_t vectors = (window.columns + shape_.lanes - 1) / shape_.lanes;
  const double loads = window.list == nullptr ? vectors : vectors * shape_.gather;
  const double bins = static_cast<double>(attributes_.output_height * attributes_.output_width);
  // Levelled rows and columns take about 200, once for all channels.
  return shape_.columns + shape_.swept_vector * loads * static_cast<double>(y_.position.size()) +
         4.5 / shape_.lanes * bins + 200.0 / static_cast<double>(channels_);
}

template <class C>
int32_t Planner<C>::taps_of(int32_t bin) const {
  return x_.first[static_cast<size_t>(bin) + 1] - x_.first[static_cast<size_t>(bin)];
}

template <class C>
void Planner<C>::choose_window(RoiPlan<C>& plan) {
  plan.window = {0, 0, nullptr};
  plan.touched_count = 0;
  if (x_.position.empty()) return;
  const auto [low, high] = std::minmax_element(x_.position.begin(), x_.position.end());
  plan.window.first = *low;
  plan.window.columns = *high - *low + 1;
  marks_.assign(static_cast<size_t>(plan.window.columns), 0);
  for (const int32_t position : x_.position) marks_[static_cast<size_t>(position - *low)] = 1;
  const size_t lanes = static_cast<size_t>(shape_.lanes);
  const size_t count = static_cast<size_t>(std::count(marks_.begin(), marks_.end(), 1));
  const size_t padded = (count + lanes - 1) / lanes * lanes;
  auto* touched = take<int32_t>(memory_, padded);
  for (size_t c = 0, filled = 0; c < marks_.size(); ++c) {
    if (marks_[c] != 0) touched[filled++] = static_cast<int32_t>(c);
  }
  std::fill(touched + count, touched + padded, -1);
  plan.touched = touched;
  plan.touched_count = static_cast<int32_t>(count);
  const double gathered = static_cast<double>(x_.position.size() / lanes + 1) * shape_.gather;
  if (static_cast<double>(plan.window.columns) / shape_.lanes < gathered + 1) return;
  plan.window.columns = plan.touched_count;
  plan.window.list = touched;
}

template <class C>
int32_t Planner<C>::column_of(const Window& window, int32_t position) const {
  const int32_t relative = position - static_cast<int32_t>(window.first);
  if (window.list == nullptr) return relative;
  return static_cast<int32_t>(std::lower_bound(window.list, window.list + window.columns, relative) - window.list);
}

template <class C>
void Planner<C>::plan_columns(RoiPlan<C>& plan) {
  const int32_t bins = static_cast<int32_t>(attributes_.output_width);
  auto* taps = take<ColumnTap<C>>(memory_, x_.position.size());
  for (size_t t = 0; t < x_.position.size(); ++t) {
    taps[t] = {column_of(plan.window, x_.position[t]), static_cast<C>(x_.weight[t])};
  }
  auto* columns = take<BinColumn>(memory_, static_cast<size_t>(bins));
  for (int32_t b = 0; b < bins; ++b) {
    columns[b] = {x_.first[static_cast<size_t>(b)], taps_of(b), x_.dropped[static_cast<size_t>(b)] != 0};
  }
  plan.full_columns = std::all_of(columns, columns + bins, [](const BinColumn& bin) { return bin.tap_count > 0; });
  plan.column_taps = taps;
  plan.columns = columns;
}

template <class C>
void Planner<C>::plan(const C coordinates[4], RoiPlan<C>& plan) {
  const C scale = static_cast<C>(attributes_.spatial_scale);
  sample_axis(scale_axis(coordinates[1], coordinates[3], scale, attributes_.semantics), attributes_.output_height,
              height_, y_);
  sample_axis(scale_axis(coordinates[0], coordinates[2], scale, attributes_.semantics), attributes_.output_width,
              width_, x_);
  if (y_.count <= 0 || x_.count <= 0) {
    plan.way = Way::kConstant;
    // The divisor is the product as it stands: two negative counts make a positive one, and 0 / it is 0.
    const bool no_divisor = y_.count == 0 || x_.count == 0;
    plan.fill = attributes_.semantics.empty_nan && no_divisor ? std::numeric_limits<C>::quiet_NaN() : C{0};
    return;
  }
  const size_t points = y_.position.size() * x_.position.size();
  plan.way = Way::kPoints;
  plan.cost = cost_of_points(points);
  // So few that rows and columns need not be looked at.
  const bool few = plan.cost < shape_.columns + 200.0 / static_cast<double>(channels_);
  if (!few || for_tile_) choose_window(plan);
  if (!few) {
    const double cost = cost_of_columns(plan.window);
    if (cost < plan.cost) plan.way = Way::kColumns;
    plan.cost = std::min(cost, plan.cost);
  }
  if (plan.way == Way::kPoints) plan_points(plan, points);
  if (plan.way == Way::kColumns || for_tile_) {
    level(y_);
    level(x_);
    plan_rows(plan);
    plan_columns(plan);
  }
}

template class Planner<float>;
template class Planner<double>;

}  // namespace roialign
