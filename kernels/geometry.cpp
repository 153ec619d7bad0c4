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

// The taps of one bin, appended in ascending order of position.
class TapList {
 public:
  TapList(AxisTaps& taps, size_t begin) : taps_(taps), begin_(begin) {}

  // The mean: what falls on one pixel becomes one tap.
  void add_mean(int32_t low, int32_t high, double low_weight, double high_weight) {
    merge(low, low_weight);
    merge(high, high_weight);
  }

  // The max: a sample is a pair of taps. Both rules are monotone in the weight, so among the samples between the same
  // two pixels the first and the last decide, however many there are.
  void add_max(int32_t low, int32_t high, double low_weight, double high_weight) {
    const size_t count = taps_.position.size() - begin_;
    const bool third =
        count >= 4 && taps_.position[begin_ + count - 2] == low && taps_.position[begin_ + count - 4] == low;
    if (third) {
      taps_.position.resize(begin_ + count - 2);
      taps_.weight.resize(begin_ + count - 2);
    }
    push(low, low_weight);
    push(high, high_weight);
  }

 private:
  void merge(int32_t position, double weight) {
    for (size_t back = 1; back <= 2 && taps_.position.size() - begin_ >= back; ++back) {
      const size_t at = taps_.position.size() - back;
      if (taps_.position[at] == position) {
        taps_.weight[at] += weight;
        return;
      }
    }
    push(position, weight);
  }

  void push(int32_t position, double weight) {
    taps_.position.push_back(position);
    taps_.weight.push_back(weight);
  }

  AxisTaps& taps_;
  const size_t begin_;
};

}  // namespace

template <class C>
void Planner<C>::sample_axis(const Axis<C>& axis, int64_t bins, int64_t length, AxisTaps& taps) const {
  const C bin = axis.size / static_cast<C>(bins);
  const C adaptive = attributes_.semantics.adaptive_floor ? std::floor(bin) : std::ceil(bin);
  const C count = attributes_.sampling_ratio > 0 ? static_cast<C>(attributes_.sampling_ratio) : adaptive;
  taps.count = static_cast<double>(count);
  taps.position.clear();
  taps.weight.clear();
  taps.first.assign(1, 0);
  taps.dropped.assign(static_cast<size_t>(bins), 0);
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
    TapList list(taps, taps.position.size());
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
    taps.first.push_back(static_cast<int32_t>(taps.position.size()));
  }
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
    row_taps[t] = {y_.position[t] * width_, static_cast<C>(y_.weight[t])};
  }
  const size_t bins = y_.dropped.size();
  auto* rows = take<BinRow>(memory_, bins);
  for (size_t p = 0; p < bins; ++p) {
    rows[p] = {y_.first[p], y_.first[p + 1] - y_.first[p], y_.dropped[p] != 0};
  }
  plan.full_rows = std::all_of(rows, rows + bins, [](const BinRow& row) { return row.tap_count > 0; });
  plan.row_taps = row_taps;
  plan.rows = rows;
}

// Answers whether the RoI has so few points that they are listed.
template <class C>
bool Planner<C>::plan_points(RoiPlan<C>& plan) const {
  const size_t count = y_.position.size() * x_.position.size();
  const bool lanes_reach = height_ * width_ * shape_.lanes <= std::numeric_limits<int32_t>::max();
  const bool samples = attributes_.mode_max && attributes_.semantics.max_samples;
  plan.bins = nullptr;
  if (samples || !lanes_reach || count > static_cast<size_t>(shape_.most_points)) return false;
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
          points[filled++] = {y_.position[y] * width_ + x_.position[x], static_cast<C>(y_.weight[y] * x_.weight[x])};
        }
      }
      bins[bin] = {begin, filled - begin, y_.dropped[p] != 0 || x_.dropped[q] != 0};
    }
  }
  plan.points = points;
  plan.bins = bins;
  return true;
}

template <class C>
int32_t Planner<C>::taps_of(int32_t bin) const {
  return x_.first[static_cast<size_t>(bin) + 1] - x_.first[static_cast<size_t>(bin)];
}

template <class C>
void Planner<C>::choose_window(int32_t first_bin, int32_t last_bin, Window& window) {
  const auto begin = x_.position.begin() + x_.first[static_cast<size_t>(first_bin)];
  const auto end = x_.position.begin() + x_.first[static_cast<size_t>(last_bin)];
  window = {0, 0, nullptr};
  if (begin == end) return;
  const auto [low, high] = std::minmax_element(begin, end);
  window.first = *low;
  window.columns = *high - *low + 1;
  const double gathered = static_cast<double>((end - begin) / shape_.lanes + 1) * shape_.gather_cost;
  if (static_cast<double>(window.columns) / shape_.lanes < gathered + 1) return;
  touched_.assign(begin, end);
  std::sort(touched_.begin(), touched_.end());
  touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
  window.columns = static_cast<int32_t>(touched_.size());
  const size_t lanes = static_cast<size_t>(shape_.lanes);
  const size_t padded = (touched_.size() + lanes - 1) / lanes * lanes;
  auto* list = take<int32_t>(memory_, padded);
  std::fill(list, list + padded, -1);
  for (size_t c = 0; c < touched_.size(); ++c) list[c] = touched_[c] - static_cast<int32_t>(window.first);
  window.list = list;
}

template <class C>
int32_t Planner<C>::column_of(const Window& window, int32_t position) const {
  const int32_t relative = position - static_cast<int32_t>(window.first);
  if (window.list == nullptr) return relative;
  return static_cast<int32_t>(std::lower_bound(window.list, window.list + window.columns, relative) - window.list);
}

template <class C>
void Planner<C>::fill_strip(Strip<C>& strip) const {
  const size_t lanes = static_cast<size_t>(shape_.lanes);
  const size_t cells = static_cast<size_t>(strip.taps) * lanes;
  auto* index = take<int32_t>(memory_, cells);
  auto* weight = take<C>(memory_, cells);
  auto* keep = take<C>(memory_, lanes);
  std::fill(index, index + cells, 0);
  std::fill(weight, weight + cells, C{0});
  std::memset(keep, 0, lanes * sizeof(C));
  bool all_kept = true;
  for (int32_t b = 0; b < strip.bins; ++b) {
    const int32_t begin = x_.first[static_cast<size_t>(strip.first_bin + b)], count = taps_of(strip.first_bin + b);
    all_kept = all_kept && count > 0;
    if (count > 0) std::memset(&keep[b], 0xff, sizeof(C));
    for (int32_t k = 0; k < count; ++k) {
      const size_t cell = static_cast<size_t>(k) * lanes + static_cast<size_t>(b);
      index[cell] = column_of(strip.window, x_.position[static_cast<size_t>(begin + k)]);
      weight[cell] = static_cast<C>(x_.weight[static_cast<size_t>(begin + k)]);
    }
  }
  strip.index = index;
  strip.weight = weight;
  strip.keep = all_kept ? nullptr : keep;
  strip.floor = nullptr;
  if (attributes_.mode_max) {
    auto* floor = take<C>(memory_, lanes);
    std::fill(floor, floor + lanes, -std::numeric_limits<C>::infinity());
    for (int32_t b = 0; b < strip.bins; ++b) {
      if (x_.dropped[static_cast<size_t>(strip.first_bin + b)]) floor[b] = C{0};
    }
    strip.floor = floor;
  }
}

// Answers whether every strip's window fits in the registers; else the plan is left without strips.
template <class C>
bool Planner<C>::plan_strips(RoiPlan<C>& plan) {
  plan.strip_count = 0;
  if (shape_.lookup_registers == 0) return false;
  const int32_t bins = static_cast<int32_t>(attributes_.output_width);
  const int32_t count = (bins + shape_.lanes - 1) / shape_.lanes;
  auto* strips = take<Strip<C>>(memory_, static_cast<size_t>(count));
  for (int32_t s = 0; s < count; ++s) {
    Strip<C>& strip = strips[s];
    strip.first_bin = s * shape_.lanes;
    strip.bins = std::min(shape_.lanes, bins - strip.first_bin);
    choose_window(strip.first_bin, strip.first_bin + strip.bins, strip.window);
    if (strip.window.columns > shape_.lookup_registers * shape_.lanes) return false;
    strip.taps = 0;
    for (int32_t b = 0; b < strip.bins; ++b) strip.taps = std::max(strip.taps, taps_of(strip.first_bin + b));
    fill_strip(strip);
  }
  plan.strips = strips;
  plan.strip_count = count;
  return true;
}

template <class C>
void Planner<C>::plan_columns(RoiPlan<C>& plan) {
  const int32_t bins = static_cast<int32_t>(attributes_.output_width);
  choose_window(0, bins, plan.window);
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
  plan.constant = y_.count <= 0 || x_.count <= 0;
  if (plan.constant) {
    // The divisor is the product as it stands: two negative counts make a positive one, and 0 / it is 0.
    const bool no_divisor = y_.count == 0 || x_.count == 0;
    plan.fill = attributes_.semantics.empty_nan && no_divisor ? std::numeric_limits<C>::quiet_NaN() : C{0};
    return;
  }
  if (plan_points(plan)) return;
  level(y_);
  level(x_);
  plan_rows(plan);
  if (!plan_strips(plan)) plan_columns(plan);
}

template class Planner<float>;
template class Planner<double>;

}  // namespace roialign
