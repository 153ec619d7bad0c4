// Pools quantized feature maps. Compiled without contraction, as a fused multiply-add would move ties.
#include "pool/qlinear.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parallel.h"
#include "plan/bin_samples.h"
#include "plan/geometry.h"
#include "shown.h"

namespace roialign {
namespace {

// A bin costs the square of the sampling ratio, since torchvision's sums are not separable to the last bit. An adaptive
// grid needs no bound, as it has no more samples than the map has pixels.
constexpr int64_t kMaxSamplingRatio = 32;

struct Sample {
  int32_t low;
  int32_t high;
  float low_weight;
  float high_weight;
  float times;  // how often the sample counts, in the unit of AxisSamples::divisor
};

// The samples of one axis that lie inside the map, bin by bin, in the order of the grid.
struct AxisSamples {
  float divisor = 0;  // samples per bin, those outside the map included; 1 where samples count as parts of a bin
  std::vector<Sample> samples;
  std::vector<size_t> first;  // the first sample of each bin, and the end
};

Sample interpolate(float at, int64_t length, float times) {
  const int32_t last = static_cast<int32_t>(length - 1);
  const Between<float> pixels(at, last);
  return {pixels.low, std::min(pixels.low + 1, last), 1 - pixels.high_weight, pixels.high_weight, times};
}

void sample_bin(const BinSamples<float>& bin, int64_t length, AxisSamples& axis) {
  const bool forward = bin.bin >= 0;
  const auto before = [&](float at) { return forward ? bin.below(at) : bin.above(at); };
  const auto beyond = [&](float at) { return forward ? bin.above(at) : bin.below(at); };
  double i = bin.count > kWalk ? bin.first_index(0, [&](float at) { return !before(at); }) : 0;
  while (i < static_cast<double>(bin.count)) {
    const float at = bin.position(i);
    if (beyond(at)) break;
    double next = i + 1, times = 1;
    if (bin.count > kCoinciding) {
      // Each sample counts as its part of the bin's samples, because float32 cannot hold the square of their number.
      next = std::max(next, bin.first_index(i, [&](float other) { return other != at; }));
      times = (next - i) / static_cast<double>(bin.count);
    }
    if (!before(at)) axis.samples.push_back(interpolate(at, length, static_cast<float>(times)));
    i = next;
  }
}

AxisSamples sample_axis(const Axis<float>& axis, int64_t bins, int64_t length, const Attributes& attributes) {
  const float bin = axis.size / static_cast<float>(bins);
  const float count = samples_of(attributes, bin);
  AxisSamples result;
  result.divisor = count > kCoinciding ? 1 : count;
  for (int64_t p = 0; p < bins; ++p) {
    result.first.push_back(result.samples.size());
    const auto samples =
        samples_of_bin(axis.start, p, bin, count, static_cast<float>(length), attributes.semantics.border_exclusive);
    sample_bin(samples, length, result);
  }
  result.first.push_back(result.samples.size());
  return result;
}

template <class T>
class RoiPooler {
 public:
  RoiPooler(const Attributes& attributes, const QuantizedArrays<T>& arrays, int64_t roi)
      : attributes_(attributes), arrays_(arrays), roi_(roi) {
    const Corners<float> corners = read_corners<float, float>(arrays.rois, roi);
    const Scaling<float> scale(attributes);
    y_ = sample_axis(scale(corners[1], corners[3]), attributes.output_height, arrays.H, attributes);
    x_ = sample_axis(scale(corners[0], corners[2]), attributes.output_width, arrays.W, attributes);
    divisor_ = static_cast<float>(std::max(static_cast<double>(y_.divisor) * static_cast<double>(x_.divisor), 1.0));
  }

  void pool() const {
    const size_t height = static_cast<size_t>(attributes_.output_height);
    const size_t width = static_cast<size_t>(attributes_.output_width);
    const T* plane = static_cast<const T*>(arrays_.X) + arrays_.batch_indices[roi_] * arrays_.C * arrays_.H * arrays_.W;
    T* out = static_cast<T*>(arrays_.Y) + roi_ * arrays_.C * attributes_.output_height * attributes_.output_width;
    for (int64_t c = 0; c < arrays_.C; ++c, plane += arrays_.H * arrays_.W) {
      for (size_t p = 0; p < height; ++p) {
        for (size_t q = 0; q < width; ++q) *out++ = quantize(mean(plane, p, q));
      }
    }
  }

 private:
  float mean(const T* plane, size_t p, size_t q) const {
    float values = 0, weights = 0;
    for (size_t i = y_.first[p]; i < y_.first[p + 1]; ++i) {
      const Sample& y = y_.samples[i];
      const T* low = plane + y.low * arrays_.W;
      const T* high = plane + y.high * arrays_.W;
      for (size_t j = x_.first[q]; j < x_.first[q + 1]; ++j) {
        const Sample& x = x_.samples[j];
        const float w1 = y.low_weight * x.low_weight, w2 = y.low_weight * x.high_weight;
        const float w3 = y.high_weight * x.low_weight, w4 = y.high_weight * x.high_weight;
        const float times = y.times * x.times;
        const auto number = [](T value) { return static_cast<float>(value); };
        values += times * (w1 * number(low[x.low]) + w2 * number(low[x.high]) + w3 * number(high[x.low]) +
                           w4 * number(high[x.high]));
        weights += times * (w1 + w2 + w3 + w4);
      }
    }
    return arrays_.scale * (values - static_cast<float>(arrays_.zero_point) * weights) / divisor_;
  }

  T quantize(float value) const {
    const float rounded = std::nearbyint(value * (1 / arrays_.scale)) + static_cast<float>(arrays_.zero_point);
    const double lowest = std::numeric_limits<T>::min(), highest = std::numeric_limits<T>::max();
    return static_cast<T>(std::min(std::max(static_cast<double>(rounded), lowest), highest));
  }

  const Attributes& attributes_;
  const QuantizedArrays<T>& arrays_;
  const int64_t roi_;
  AxisSamples y_;
  AxisSamples x_;
  float divisor_;
};

}  // namespace

std::string check_qlinear_attributes(const Attributes& attributes) {
  if (attributes.mode_max) return "mode must be 'avg', got 'max'";
  if (attributes.semantics.empty_nan) return "empty must be 'zero' where the output is quantized, got 'nan'";
  if (attributes.sampling_ratio > kMaxSamplingRatio) {
    return "sampling_ratio must be at most " + std::to_string(kMaxSamplingRatio) +
           " where the output is quantized, got " + std::to_string(attributes.sampling_ratio);
  }
  return {};
}

std::string check_scale(float scale) {
  if (scale > 0 && std::isfinite(scale) && std::isfinite(1 / scale)) return {};
  return "x_scale must be finite and > 0, and so must 1 / x_scale, got " + shown(static_cast<double>(scale));
}

template <class T>
void qlinear_roi_align(const Attributes& attributes, const QuantizedArrays<T>& arrays, const Workers& workers) {
  parallel(workers, static_cast<size_t>(arrays.num_rois),
           [&](size_t roi) { RoiPooler<T>(attributes, arrays, static_cast<int64_t>(roi)).pool(); });
}

template void qlinear_roi_align(const Attributes&, const QuantizedArrays<uint8_t>&, const Workers&);
template void qlinear_roi_align(const Attributes&, const QuantizedArrays<int8_t>&, const Workers&);
template void qlinear_roi_align(const Attributes&, const QuantizedArrays<int32_t>&, const Workers&);

}  // namespace roialign
