// The order in which the RoIs of a call are pooled.
#ifndef ONNX_ROIALIGN_ORDER_H_
#define ONNX_ROIALIGN_ORDER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "element.h"
#include "problem.h"

namespace roialign {

// About the row of the map where a RoI's first sample lies: a large RoI with few samples begins far below its upper
// edge.
template <class T>
int64_t first_row_of(const Attributes& attributes, const Arrays& arrays, int64_t roi) {
  const T* const from = static_cast<const T*>(arrays.rois) + roi * 4;
  const double y1 = static_cast<double>(to_compute(from[1])), y2 = static_cast<double>(to_compute(from[3]));
  const double low = std::min(y1, y2), samples = static_cast<double>(attributes.output_height) *
                                                 static_cast<double>(attributes.sampling_ratio);
  const double top = samples == 0 ? low : low + (std::max(y1, y2) - low) / (2 * samples);
  const double row = top * attributes.spatial_scale;
  if (!(row > 0)) return 0;
  return row < static_cast<double>(arrays.H) ? static_cast<int64_t>(row) : arrays.H - 1;
}

// RoIs of one image together, so that its planes stay in the second-level cache, and from its top to its bottom, so
// that the rows that neighbours share stay in the first; within a row as they came. Sorted digit by digit: comparisons
// took 350 ns a RoI for 30,000 of them, a third of what pooling 16 channels took.
template <class T>
std::vector<int64_t> pooling_order(const Attributes& attributes, const Arrays& arrays) {
  struct Entry {
    int64_t place;  // image * H + row
    int64_t roi;
  };
  std::vector<Entry> entries(static_cast<size_t>(arrays.num_rois)), sorted(entries.size());
  for (int64_t roi = 0; roi < arrays.num_rois; ++roi) {
    const int64_t row = first_row_of<T>(attributes, arrays, roi);
    entries[static_cast<size_t>(roi)] = {arrays.batch_indices[roi] * arrays.H + row, roi};
  }
  constexpr int kBits = 11;
  constexpr size_t kDigits = size_t{1} << kBits;
  const auto digit = [](const Entry& entry, int shift) {
    return static_cast<size_t>(entry.place >> shift) & (kDigits - 1);
  };
  const int64_t last_place = arrays.N * arrays.H - 1;
  for (int shift = 0; shift < 63 && last_place >> shift > 0; shift += kBits) {
    std::array<size_t, kDigits + 1> begin{};
    for (const Entry& entry : entries) ++begin[digit(entry, shift) + 1];
    for (size_t d = 0; d < kDigits; ++d) begin[d + 1] += begin[d];
    for (const Entry& entry : entries) sorted[begin[digit(entry, shift)]++] = entry;
    std::swap(entries, sorted);
  }
  std::vector<int64_t> order(entries.size());
  std::transform(entries.begin(), entries.end(), order.begin(), [](const Entry& entry) { return entry.roi; });
  return order;
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORDER_H_
