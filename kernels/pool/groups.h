// Groups planned RoIs by image, and cuts the work on them into tasks for the workers.
#ifndef ONNX_ROIALIGN_POOL_GROUPS_H_
#define ONNX_ROIALIGN_POOL_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/plan.h"
#include "plan/tiling.h"
#include "problem.h"

namespace roialign {

// Below this many output values a second thread costs more than it takes off the first. The C call, which starts its
// threads anew, would need more: 6,272 values take 38 us on 2 threads and 16 on one (Zen 4, a loaded host).
constexpr int64_t kSmallCall = 4096;
// Work is cut into this many tasks for each thread, so that no thread waits long for the last one. Unmeasured.
constexpr int64_t kTasksPerThread = 4;

// Returns part i of [0, count), cut into parts of about the same size.
inline Range share(int64_t count, size_t i, size_t parts) {
  const int64_t part = static_cast<int64_t>(i), all = static_cast<int64_t>(parts);
  return {count * part / all, count * (part + 1) / all};
}

// The plans [first, last), whose RoIs lie on one image.
struct Group {
  size_t first;
  size_t last;
  Tiling tiling;                // for the RoIs that are pooled from a tile
  std::vector<TileUnit> units;  // the units that the RoIs pooled in columns touch
  int64_t channel_block;        // for the RoIs pooled in columns: channels that are pooled together
};

// Groups plans, which stand together by image, and sets the way of those to kTile that are pooled more quickly from a
// tile. An element of X takes element_bytes.
template <class S>
std::vector<Group> group_by_image(const TileSizes& sizes, int64_t element_bytes, std::vector<RoiPlan<S>>& plans);

// How groups are cut into tasks: first into whole vectors of channels, then into RoIs.
struct Cut {
  int64_t channels;
  int64_t lanes;  // of a vector of channels
  size_t channel_parts;
  size_t roi_parts;

  size_t tasks() const { return channel_parts * roi_parts; }
  int64_t vectors() const { return (channels + lanes - 1) / lanes; }
  Range channels_of(size_t task) const;
  // Returns the task's range of a group's plans.
  Range plans_of(size_t task, const Group& group) const;
};
Cut cut_of(const TileSizes& sizes, int64_t rois, int threads);

// Returns the most columns of a window, or -1 where no plan has a window.
template <class S>
int64_t most_columns_of(const std::vector<RoiPlan<S>>& plans);

// Returns the scratch that Way::kColumns needs for a window of so many columns, in values: swept rows, the same
// transposed, and a row of bins, each times the lanes.
inline size_t columns_size(int64_t lanes, int64_t output_width, int64_t columns) {
  return static_cast<size_t>((2 * (columns + lanes) + output_width + lanes) * lanes);
}

// Returns the scratch, in values, that every way fits in for these groups and windows of up to most_columns.
size_t scratch_size(const TileSizes& sizes, const std::vector<Group>& groups, int64_t most_columns);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_GROUPS_H_
