// Pools the mean over a few samples one by one, where a plan would cost more than pooling them.
#ifndef ONNX_ROIALIGN_POOL_FEW_H_
#define ONNX_ROIALIGN_POOL_FEW_H_

#include <algorithm>
#include <cstdint>

#include "element.h"
#include "plan/bin_samples.h"
#include "plan/corners.h"
#include "plan/geometry.h"
#include "pool/special.h"
#include "problem.h"

namespace roialign {

// The samples of one RoI along one axis.
template <class C>
class FewSamples {
 public:
  FewSamples(const Attributes& attributes, const Axis<C>& axis, int64_t bins, int64_t length)
      : start_(axis.start),
        bin_(axis.size / static_cast<C>(bins)),
        count_(samples_of(attributes, bin_)),
        length_(static_cast<C>(length)),
        last_(static_cast<int32_t>(length - 1)),
        exclusive_(attributes.semantics.border_exclusive) {}

  C count() const { return count_; }  // samples in a bin

  // Writes the taps of a bin and returns how many there are.
  __attribute__((noinline)) int32_t take(int64_t bin, Tap<C>* taps) const {
    const BinSamples<C> samples = samples_of_bin(start_, bin, bin_, count_, length_, exclusive_);
    return count_ == 1 ? take_as<OneSample<C>>(samples, taps) : take_as<MeanTaps<C>>(samples, taps);
  }

 private:
  template <class Taps>
  int32_t take_as(const BinSamples<C>& samples, Tap<C>* taps) const {
    Taps list(taps, last_, 1.0 / static_cast<double>(count_));
    walk(samples, last_, list);
    return list.finish();
  }

  C start_;
  C bin_;
  C count_;
  C length_;
  int32_t last_;
  bool exclusive_;
};

// A call has few samples where it has at most kFewOfCall, or at most kFewOfRoi for each of its RoIs; those of every
// channel count. With twice kFewOfRoi, 48 samples in each of 100 RoIs took 1.3 times as long as by a plan.
constexpr int64_t kFewOfCall = 64, kFewOfRoi = 8;
// Returns whether a call with so many values in Y and so many samples in each bin has few samples.
template <class C>
bool is_few(int64_t num_rois, int64_t values, C samples) {
  return static_cast<C>(values) * samples <= static_cast<C>(std::max(kFewOfCall, kFewOfRoi * num_rois));
}

// Pools some channels of a RoI. Returns false, and does nothing, where the call has more than a few samples or the RoI
// has none.
template <class T, class C>
__attribute__((noinline)) bool pool_few(const Attributes& attributes, const Arrays& arrays, int64_t roi,
                                        const Range& channels) {
  const Scaling<C> scale(attributes);
  const Corners<C> corners = corners_of<C, T>(arrays, roi);
  const int64_t height = attributes.output_height, width = attributes.output_width;
  const FewSamples<C> y(attributes, scale(corners[1], corners[3]), height, arrays.H);
  const FewSamples<C> x(attributes, scale(corners[0], corners[2]), width, arrays.W);
  const int64_t bins = height * width, plane = arrays.H * arrays.W;
  if (y.count() < 1 || x.count() < 1) return false;
  const bool adaptive = attributes.sampling_ratio == 0;  // otherwise the caller has checked is_few()
  if (adaptive && !is_few(arrays.num_rois, arrays.num_rois * arrays.C * bins, y.count() * x.count())) return false;
  const T* const first =
      static_cast<const T*>(arrays.X) + (arrays.batch_indices[roi] * arrays.C + channels.first) * plane;
  T* to = static_cast<T*>(arrays.Y) + (roi * arrays.C + channels.first) * bins;
  C seen = 0;  // becomes infinite or NaN where some feature is
  Tap<C> rows[2 * kFewOfCall], columns[2 * kFewOfCall];
  for (int64_t p = 0; p < height; ++p) {
    const Tap<C>* const rows_end = rows + y.take(p, rows);
    for (int64_t q = 0; q < width; ++q, ++to) {
      const Tap<C>* const columns_end = columns + x.take(q, columns);
      const T* from = first;
      T* bin = to;
      for (int64_t left = channels.last - channels.first; left > 0; --left, from += plane, bin += bins) {
        C sum = 0;
        for (const Tap<C>* row = rows; row < rows_end; ++row) {
          const T* const pixels = from + row->position * arrays.W;
          for (const Tap<C>* column = columns; column < columns_end; ++column) {
            sum += row->weight * column->weight * to_compute(pixels[column->position]);
          }
        }
        from_compute(sum, *bin);
        seen += sum;
      }
    }
  }
  if (!is_finite(seen)) pool_special<T, C>(attributes, arrays, roi, channels);
  return true;
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_FEW_H_
