// Pools RoIs that touch an infinite or NaN feature. Compiled without contraction, like the geometry.
#include "pool/special.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "element.h"
#include "plan/bin_samples.h"
#include "plan/corners.h"
#include "plan/geometry.h"

namespace roialign {
namespace {

// A sample along one axis: a pointer to the first of its two taps.
template <class S>
using Pair = const Tap<S>*;

// One axis of a RoI: the samples of each bin that matter, in ascending order of position.
template <class S>
class SampledAxis {
 public:
  SampledAxis(const Attributes& attributes, const Axis<S>& axis, int64_t bins, int64_t length)
      : start_(axis.start),
        step_(axis.size / static_cast<S>(bins)),
        count_(samples_of(attributes, step_)),
        length_(length),
        exclusive_(attributes.semantics.border_exclusive) {
    if (count_ <= 0) return;
    const int32_t last = static_cast<int32_t>(length - 1);
    // A sample has two taps, and between two neighbouring pixels at most two samples are kept.
    const double most = std::min(static_cast<double>(count_), 2.0 * static_cast<double>(length + 1));
    std::vector<Tap<S>> room(2 * static_cast<size_t>(most));
    for (int64_t p = 0; p < bins; ++p) {
      MaxTaps<S> list(room.data(), last, 1);
      const bool inside = count_ > kWalk ? walk_inside(bin(p), last, list) : walk(bin(p), last, list);
      const int32_t filled = list.finish();
      bins_.push_back({static_cast<int32_t>(taps_.size()), filled, !inside});
      taps_.insert(taps_.end(), room.begin(), room.begin() + filled);
    }
  }

  S count() const { return count_; }
  BinSamples<S> bin(int64_t p) const {
    return samples_of_bin(start_, p, step_, count_, static_cast<S>(length_), exclusive_);
  }
  const Bin& taken(int64_t p) const { return bins_[static_cast<size_t>(p)]; }
  Pair<S> taps() const { return taps_.data(); }

 private:
  S start_;
  S step_;
  S count_;  // of samples a bin
  int64_t length_;
  bool exclusive_;
  std::vector<Tap<S>> taps_;
  std::vector<Bin> bins_;
};

// One bin of a sampled axis.
template <class S>
struct BinPairs {
  BinPairs(const SampledAxis<S>& axis, int64_t p)
      : begin(axis.taps() + axis.taken(p).first_tap),
        end(begin + axis.taken(p).tap_count),
        dropped(axis.taken(p).dropped) {
    const BinSamples<S> samples = axis.bin(p);
    const S at = samples.position(S{0});
    begins_inside = !samples.below(at) && !samples.above(at);
    if (begins_inside) first = samples.bin < 0 ? end - 2 : begin;
  }

  Pair<S> begin;
  Pair<S> end;
  bool dropped;
  bool begins_inside;
  Pair<S> first = nullptr;  // the grid's first sample, where it lies inside the map
};

// Returns b where a < b, else a, as std::max does: a NaN in a stays, and a NaN in b is ignored.
template <class S>
S later_if_larger(S a, S b) {
  return a < b ? b : a;
}

// One channel of one image, from which samples are read.
template <class T, class S>
struct Plane {
  // Calls f(weight * feature) for the four taps of a sample.
  template <class F>
  void for_taps(Pair<S> y, Pair<S> x, const F& f) const {
    for (int i = 0; i < 2; ++i) {
      const T* const row = pixels + y[i].position * width;
      for (int j = 0; j < 2; ++j) f(y[i].weight * x[j].weight * to_compute(row[x[j].position]));
    }
  }

  const T* pixels;
  int64_t width;
};

template <class T, class S>
class SpecialBins {
 public:
  SpecialBins(const Attributes& attributes, const Plane<T, S>& plane, const BinPairs<S>& y, const BinPairs<S>& x)
      : attributes_(attributes), plane_(plane), y_(y), x_(x) {}

  bool touched() const {
    bool finite = true;
    for (Pair<S> y = y_.begin; y < y_.end; ++y) {
      const T* const row = plane_.pixels + y->position * plane_.width;
      for (Pair<S> x = x_.begin; x < x_.end; ++x) finite &= is_finite(to_compute(row[x->position]));
    }
    return !finite;
  }

  // Beside an infinite or NaN product finite ones do not matter: they need not be summed, nor the sum be divided by the
  // number of samples.
  S mean() const {
    S total = 0;
    for_samples([&](Pair<S> y, Pair<S> x) {
      plane_.for_taps(y, x, [&](S product) {
        if (!is_finite(product)) total += product;
      });
    });
    return total;
  }

  S maximum() const {
    const bool started = attributes_.semantics.max_start > -std::numeric_limits<double>::infinity();
    S best = static_cast<S>(attributes_.semantics.max_start);
    if (!started && y_.begins_inside && x_.begins_inside) best = value(y_.first, x_.first);
    for_samples([&](Pair<S> y, Pair<S> x) { best = later_if_larger(best, value(y, x)); });
    return y_.dropped || x_.dropped ? later_if_larger(best, S{0}) : best;
  }

 private:
  template <class F>
  void for_samples(const F& f) const {
    for (Pair<S> y = y_.begin; y < y_.end; y += 2) {
      for (Pair<S> x = x_.begin; x < x_.end; x += 2) f(y, x);
    }
  }

  S value(Pair<S> y, Pair<S> x) const {
    S result = 0;
    bool any = false;
    plane_.for_taps(y, x, [&](S product) {
      if (attributes_.semantics.max_samples) {
        result += product;
      } else {
        result = any ? later_if_larger(result, product) : product;
      }
      any = true;
    });
    return result;
  }

  const Attributes& attributes_;
  const Plane<T, S>& plane_;
  const BinPairs<S>& y_;
  const BinPairs<S>& x_;
};

}  // namespace

template <class T, class S>
void pool_special(const Attributes& attributes, const Arrays& arrays, int64_t roi, const Range& channels) {
  const Corners<S> corners = corners_of<S, T>(arrays, roi);
  const Scaling<S> scale(attributes);
  const int64_t height = attributes.output_height, width = attributes.output_width;
  const SampledAxis<S> y(attributes, scale(corners[1], corners[3]), height, arrays.H);
  const SampledAxis<S> x(attributes, scale(corners[0], corners[2]), width, arrays.W);
  if (y.count() <= 0 || x.count() <= 0) return;
  const int64_t first = arrays.batch_indices[roi] * arrays.C;
  for (int64_t c = channels.first; c < channels.last; ++c) {
    const Plane<T, S> plane{static_cast<const T*>(arrays.X) + (first + c) * arrays.H * arrays.W, arrays.W};
    T* out = static_cast<T*>(arrays.Y) + (roi * arrays.C + c) * height * width;
    for (int64_t p = 0; p < height; ++p) {
      const BinPairs<S> row(y, p);
      for (int64_t q = 0; q < width; ++q, ++out) {
        const BinPairs<S> column(x, q);
        const SpecialBins<T, S> bin(attributes, plane, row, column);
        if (bin.touched()) from_compute(attributes.mode_max ? bin.maximum() : bin.mean(), *out);
      }
    }
  }
}

template void pool_special<float, float>(const Attributes&, const Arrays&, int64_t, const Range&);
template void pool_special<Half, float>(const Attributes&, const Arrays&, int64_t, const Range&);
template void pool_special<BFloat16, float>(const Attributes&, const Arrays&, int64_t, const Range&);
template void pool_special<double, double>(const Attributes&, const Arrays&, int64_t, const Range&);

}  // namespace roialign
