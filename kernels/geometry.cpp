// RoI + Semantics -> plan. Compiled without contraction: a fused multiply-add would move samples across the cuts.
#include "geometry.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace roialign {
namespace {

// Grids up to this many samples a bin are walked; larger ones are entered by bisection, where the map begins.
constexpr double kWalk = 32;

// The samples of one bin: position(i) is monotone in i, so those inside the map are an index range.
template <class C>
struct BinSamples {
  C base;  // start + p * bin
  C bin;
  C count;     // g
  C low_cut;   // -1
  C high_cut;  // N
  bool exclusive;

  C position(double i) const { return base + ((static_cast<C>(i) + static_cast<C>(0.5)) * bin) / count; }
  bool below(C at) const { return exclusive ? at <= low_cut : at < low_cut; }
  bool above(C at) const { return exclusive ? at >= high_cut : at > high_cut; }

  // The first index in [from, count) that holds, where holds is false and then true; count where none does.
  template <class Holds>
  double first_index(double from, Holds holds) const {
    double low = from, high = static_cast<double>(count);
    while (low < high) {
      const double middle = std::floor(low + (high - low) / 2);
      // Past 2^53 a double has no room for every index, and the middle of two neighbours is one of them.
      if (middle + 1 == middle && (middle == low || middle == high)) return holds(position(low)) ? low : high;
      if (holds(position(middle))) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
};

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

template <class C>
void Planner<C>::plan_rows(Arena& arena, RoiPlan<C>& plan) const {
  auto* row_taps = arena.take<RowTap<C>>(y_.position.size());
  for (size_t t = 0; t < y_.position.size(); ++t) {
    row_taps[t] = {y_.position[t] * width_, static_cast<C>(y_.weight[t])};
  }
  const size_t bins = y_.dropped.size();
  auto* rows = arena.take<BinRow>(bins);
  for (size_t p = 0; p < bins; ++p) {
    rows[p] = {y_.first[p], y_.first[p + 1] - y_.first[p], y_.dropped[p] != 0};
  }
  plan.row_taps = row_taps;
  plan.rows = rows;
}

template <class C>
void Planner<C>::fill_strip(Arena& arena, Strip<C>& strip) const {
  const size_t lanes = static_cast<size_t>(shape_.lanes);
  const size_t cells = static_cast<size_t>(strip.taps) * lanes;
  auto* index = arena.take<int32_t>(cells);
  auto* weight = arena.take<C>(cells);
  const int32_t nothing = strip.gather ? -1 : strip.columns;
  std::fill(index, index + cells, nothing);
  std::fill(weight, weight + cells, C{0});
  bool all_kept = true;
  C keep[64];
  for (int32_t b = 0; b < strip.bins; ++b) {
    const size_t p = static_cast<size_t>(strip.first_bin + b);
    const int32_t begin = x_.first[p], count = x_.first[p + 1] - begin;
    for (int32_t k = 0; k < strip.taps; ++k) {
      // Max pads with a sample that the bin has already (its taps come in pairs); the mean with a place that holds
      // zero.
      const int32_t k_padded = k < count ? k : attributes_.mode_max && count > 0 ? count - 2 + (k & 1) : -1;
      if (k_padded < 0) break;
      const size_t cell = static_cast<size_t>(k) * lanes + static_cast<size_t>(b);
      index[cell] = static_cast<int32_t>(x_.position[static_cast<size_t>(begin + k_padded)] - strip.window);
      weight[cell] = static_cast<C>(x_.weight[static_cast<size_t>(begin + k_padded)]);
    }
    std::memset(&keep[b], count > 0 ? 0xff : 0, sizeof(C));
    all_kept = all_kept && count > 0;
  }
  strip.index = index;
  strip.weight = weight;
  strip.keep = nullptr;
  strip.floor = nullptr;
  if (!all_kept) {
    auto* kept = arena.take<C>(lanes);
    std::memset(kept, 0, lanes * sizeof(C));
    std::memcpy(kept, keep, static_cast<size_t>(strip.bins) * sizeof(C));
    strip.keep = kept;
  }
  if (attributes_.mode_max) {
    auto* floor = arena.take<C>(lanes);
    std::fill(floor, floor + lanes, -std::numeric_limits<C>::infinity());
    for (int32_t b = 0; b < strip.bins; ++b) {
      if (x_.dropped[static_cast<size_t>(strip.first_bin + b)]) floor[b] = C{0};
    }
    strip.floor = floor;
  }
}

template <class C>
void Planner<C>::plan_strips(Arena& arena, RoiPlan<C>& plan) const {
  const int32_t bins = static_cast<int32_t>(attributes_.output_width);
  plan.strip_count = (bins + shape_.lanes - 1) / shape_.lanes;
  auto* strips = arena.take<Strip<C>>(static_cast<size_t>(plan.strip_count));
  for (int32_t s = 0; s < plan.strip_count; ++s) {
    Strip<C>& strip = strips[s];
    strip.first_bin = s * shape_.lanes;
    strip.bins = std::min(shape_.lanes, bins - strip.first_bin);
    strip.taps = 0;
    int32_t low = std::numeric_limits<int32_t>::max(), high = -1;
    for (int32_t p = strip.first_bin; p < strip.first_bin + strip.bins; ++p) {
      const int32_t begin = x_.first[static_cast<size_t>(p)], end = x_.first[static_cast<size_t>(p) + 1];
      strip.taps = std::max(strip.taps, end - begin);
      if (begin == end) continue;
      low = std::min(low, x_.position[static_cast<size_t>(begin)]);
      high = std::max(high, x_.position[static_cast<size_t>(end) - 1]);
    }
    strip.window = high < 0 ? 0 : low;
    strip.columns = high < 0 ? 0 : high - low + 1;
    const double sweep = static_cast<double>(strip.columns) / shape_.lanes;
    strip.gather = sweep > 2 + strip.taps * shape_.gather_cost;
    fill_strip(arena, strip);
  }
  plan.strips = strips;
}

template <class C>
void Planner<C>::plan(const C coordinates[4], Arena& arena, RoiPlan<C>& plan) {
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
  plan_rows(arena, plan);
  plan_strips(arena, plan);
}

template class Planner<float>;
template class Planner<double>;

}  // namespace roialign
