// Puts the RoIs of a call in the order of pooling: by image, and within an image by bands of rows.
#ifndef ONNX_ROIALIGN_POOL_ORDER_H_
#define ONNX_ROIALIGN_POOL_ORDER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "plan/corners.h"
#include "problem.h"

namespace roialign {

// Returns roughly the row of the map where a RoI's first sample lies. A large RoI with few samples has it far below its
// upper edge.
template <class C, class T>
int64_t first_row_of(const Attributes& attributes, const Arrays& arrays, int64_t roi) {
  const Corners<C> corners = corners_of<C, T>(arrays, roi);
  const double y1 = static_cast<double>(corners[1]), y2 = static_cast<double>(corners[3]);
  const double samples = static_cast<double>(attributes.output_height) * static_cast<double>(attributes.sampling_ratio);
  const double low = std::min(y1, y2);
  const double top = samples == 0 ? low : low + (std::max(y1, y2) - low) / (2 * samples);
  const double row = top * attributes.spatial_scale;
  if (!(row > 0)) return 0;
  return row < static_cast<double>(arrays.H) ? static_cast<int64_t>(row) : arrays.H - 1;
}

// A band of rows has at most this many values, which stay in the second-level cache: 512 KB of float32. The bound
// counts values and not bytes, so that results do not depend on the element type: RoIs that are pooled together decide
// whether a tile pays, and so which way each goes.
constexpr int64_t kBandValues = int64_t{1} << 17;

// Returns the rows of the RoIs in the order of pooling. The RoIs of one image stand together, from its top to its
// bottom by bands of rows that stay in the second-level cache. Within a band they keep their order, so that they are
// read and written one after the other: 30,000 RoIs of one value and 16 channels took 200 ns each that way, and 360
// sorted by row. They are sorted digit by digit, as sorting by comparisons took another 350 ns each.
template <class C, class T>
std::vector<int64_t> pooling_order(const Attributes& attributes, const Arrays& arrays) {
  struct Entry {
    int64_t place;  // image * bands + band
    int64_t roi;
  };
  const int64_t band = std::max<int64_t>(kBandValues / std::max<int64_t>(arrays.C * arrays.W, 1), 1),
                bands = (arrays.H - 1) / band + 1;
  std::vector<int64_t> order(static_cast<size_t>(arrays.num_rois));
  if (arrays.N * bands == 1) {
    for (int64_t i = 0; i < arrays.num_rois; ++i) order[static_cast<size_t>(i)] = arrays.row(i);
    return order;
  }
  std::vector<Entry> entries(static_cast<size_t>(arrays.num_rois)), sorted(entries.size());
  for (int64_t i = 0; i < arrays.num_rois; ++i) {
    const int64_t roi = arrays.row(i), row = first_row_of<C, T>(attributes, arrays, roi);
    entries[static_cast<size_t>(i)] = {arrays.batch_indices[roi] * bands + row / band, roi};
  }
  constexpr int kBits = 11;
  constexpr size_t kDigits = size_t{1} << kBits;
  const auto digit = [](const Entry& entry, int shift) {
    return static_cast<size_t>(entry.place >> shift) & (kDigits - 1);
  };
  const int64_t last_place = arrays.N * bands - 1;
  for (int shift = 0; shift < 63 && last_place >> shift > 0; shift += kBits) {
    std::array<size_t, kDigits + 1> begin{};
    for (const Entry& entry : entries) ++begin[digit(entry, shift) + 1];
    for (size_t d = 0; d < kDigits; ++d) begin[d + 1] += begin[d];
    for (const Entry& entry : entries) sorted[begin[digit(entry, shift)]++] = entry;
    std::swap(entries, sorted);
  }
  std::transform(entries.begin(), entries.end(), order.begin(), [](const Entry& entry) { return entry.roi; });
  return order;
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_ORDER_H_
