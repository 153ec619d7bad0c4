// Finds the samples of one bin along one axis: their positions, those inside the map, and their taps.
#ifndef ONNX_ROIALIGN_PLAN_BIN_SAMPLES_H_
#define ONNX_ROIALIGN_PLAN_BIN_SAMPLES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "arithmetic.h"
#include "plan/plan.h"

namespace roialign {

// A bin with up to this many samples is walked from the first to the last. In a larger one the samples inside the map
// are found by bisection.
constexpr int32_t kWalk = 32;
// In a bin with more samples than this, positions far from zero coincide. Samples at one position are taken at once, so
// that the cost depends on the map and not on the size of the RoI.
constexpr int32_t kCoinciding = 65536;

// The lower of the two pixels that a sample inside the map lies between, and the weight of the upper one.
template <class C>
struct Between {
  Between(C at, int32_t last) {
    const C inside = at > 0 ? at : C{0};  // 0 for NaN too, as no cast below may leave the range of its type
    low = inside >= static_cast<C>(last) ? last : static_cast<int32_t>(inside);
    high_weight = low == last ? C{0} : inside - static_cast<C>(low);
  }

  int32_t low;
  C high_weight;
};

// The samples of one bin. position(i) is monotone in i, so the samples inside the map are a range of indices.
template <class C>
struct BinSamples {
  C base;  // start + p * bin
  C bin;
  C count;         // samples in the bin
  C low_cut;       // -1
  C high_cut;      // the map's length
  bool exclusive;  // a sample exactly at a cut lies outside

  template <class Index>
  C position(Index i) const {
    return base + ((static_cast<C>(i) + static_cast<C>(0.5)) * bin) / count;
  }
  bool below(C at) const { return exclusive ? at <= low_cut : at < low_cut; }
  bool above(C at) const { return exclusive ? at >= high_cut : at > high_cut; }

  // Returns the upper bound of the indices, count. Above 2^53, where a double cannot represent every index, the last
  // ones of a double may round up to count, which is then an index too.
  double end() const {
    const double above = static_cast<double>(count);
    if (sizeof(C) < sizeof(double) || above - 1 != above) return above;
    return std::nextafter(above, std::numeric_limits<double>::infinity());
  }

  // Returns the first index in [from, end()) whose position holds() accepts, or end() where there is none. holds() must
  // not change more than once, from false to true.
  template <class Holds>
  double first_index(double from, Holds holds) const {
    double low = from, high = end();
    while (low < high) {
      const double middle = std::floor(low + (high - low) / 2);
      // Above 2^53 a double cannot represent every index, and the middle of two neighbours is one of them.
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

// Returns the samples of bin p of an axis whose first bin begins at start, on a map of that length.
template <class C>
BinSamples<C> samples_of_bin(C start, int64_t p, C bin, C count, C length, bool exclusive) {
  return {start + static_cast<C>(p) * bin, bin, count, C{-1}, length, exclusive};
}

// Writes the taps of one bin of the mean, in ascending order of position, to an array that has room for them. All
// samples' weights on one pixel become one tap. The last two pixels are held back, since the next sample may lie
// between them too.
template <class C>
class MeanTaps {
 public:
  static constexpr int kSamples = 0;  // for bins with any number of samples

  MeanTaps(Tap<C>* taps, int32_t last, double share) : begin_(taps), end_(taps), last_(last), share_(share) {}

  void add(int32_t low, C low_weight, C high_weight, double times) {
    if (low != low_) {
      if (low_ >= 0) push(low_, low_total_);
      if (low == low_ + 1) {
        low_total_ = high_total_;
      } else {
        if (low_ >= 0) push(low_ + 1, high_total_);
        low_total_ = 0;
      }
      high_total_ = 0;
      low_ = low;
    }
    low_total_ += low_weight * share_ * times;
    high_total_ += high_weight * share_ * times;
  }

  int32_t finish() {
    if (low_ >= 0) push(low_, low_total_);
    if (low_ >= 0 && low_ < last_) push(low_ + 1, high_total_);
    return static_cast<int32_t>(end_ - begin_);
  }

 private:
  void push(int32_t position, double weight) { *end_++ = {position, static_cast<C>(weight)}; }

  Tap<C>* const begin_;
  Tap<C>* end_;
  const int32_t last_;
  const double share_;  // the weight of one sample in the bin
  int32_t low_ = -2;    // negative before the first sample
  double low_total_ = 0;
  double high_total_ = 0;
};

// Writes taps as they come; OneSample and MaxTaps add them.
template <class C>
class PlainTaps {
 public:
  PlainTaps(Tap<C>* taps, int32_t last, double) : begin_(taps), end_(taps), last_(last) {}

  int32_t finish() { return static_cast<int32_t>(end_ - begin_); }

 protected:
  Tap<C>* const begin_;
  Tap<C>* end_;
  const int32_t last_;
};

// Writes the taps of a mean over one sample, which needs no sums: a RoI of one value takes 0.7 times the instructions
// for its axes.
template <class C>
class OneSample : public PlainTaps<C> {
 public:
  static constexpr int kSamples = 1;  // only for bins with one sample

  using PlainTaps<C>::PlainTaps;

  void add(int32_t low, C low_weight, C high_weight, double) {
    *end_++ = {low, low_weight};
    if (low < last_) *end_++ = {low + 1, high_weight};
  }

 private:
  using PlainTaps<C>::end_;
  using PlainTaps<C>::last_;
};

// Writes the taps of a max, two for each sample. Both rules of the max are monotone in the weights, so of the samples
// between the same two pixels only the first and the last are kept, however many there are.
template <class C>
class MaxTaps : public PlainTaps<C> {
 public:
  static constexpr int kSamples = 0;  // for bins with any number of samples

  using PlainTaps<C>::PlainTaps;

  void add(int32_t low, C low_weight, C high_weight, double) {
    if (end_ - begin_ >= 4 && end_[-2].position == low && end_[-4].position == low) end_ -= 2;
    *end_++ = {low, low_weight};
    *end_++ = {std::min(low + 1, last_), high_weight};
  }

 private:
  using PlainTaps<C>::begin_;
  using PlainTaps<C>::end_;
  using PlainTaps<C>::last_;
};

// Adds the taps of a sample that counts `times` times. Returns false where it lies outside the map.
template <class C, class Taps>
bool add_sample(const BinSamples<C>& samples, C at, int32_t last, double times, Taps& taps) {
  if (samples.below(at) || samples.above(at)) return false;
  const Between<C> pixels(at, last);
  taps.add(pixels.low, C{1} - pixels.high_weight, pixels.high_weight, times);
  return true;
}

// Adds all samples of a bin in ascending order of position. Returns false where one lies outside the map.
template <class C, class Taps>
bool walk(const BinSamples<C>& samples, int32_t last, Taps& taps) {
  bool inside = true;
  const bool upwards = samples.bin >= 0;
  const C step = upwards ? C{1} : C{-1};
  C index = upwards ? C{0} : samples.count - 1;
  for (int32_t left = static_cast<int32_t>(samples.count); left > 0; --left, index += step) {
    inside &= add_sample(samples, samples.position(index), last, 1.0, taps);
  }
  return inside;
}

// Does the same for a bin with many samples: finds those inside the map by bisection and adds only them.
template <class C, class Taps>
bool walk_inside(const BinSamples<C>& samples, int32_t last, Taps& taps) {
  const bool upwards = samples.bin >= 0;
  const auto before = [&](C at) { return upwards ? samples.below(at) : samples.above(at); };
  const auto beyond = [&](C at) { return upwards ? samples.above(at) : samples.below(at); };
  const double count = static_cast<double>(samples.count);
  const double from = samples.first_index(0, [&](C at) { return !before(at); });
  const double to = samples.first_index(from, beyond);
  bool inside = from == 0 && to == samples.end();
  for (double i = upwards ? from : to - 1; i >= from && i < to;) {
    const C at = samples.position(i);
    double times = 1;
    if (count > kCoinciding) {
      const double end = upwards ? samples.first_index(i, [&](C other) { return other > at; }) : i + 1;
      times = std::max(1.0, std::min(end, to) - i);
    }
    i += upwards ? times : -times;
    inside &= add_sample(samples, at, last, times, taps);
  }
  return inside;
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_BIN_SAMPLES_H_
