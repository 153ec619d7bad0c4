// Groups planned RoIs by image, and cuts the work on them into tasks for the workers.
#include "pool/groups.h"

#include <algorithm>

#include "pool/pool.h"

namespace roialign {
namespace {

// The touched part of a block of channels takes at most this much, so that two blocks fit in half of a 1 MB
// second-level cache.
constexpr int64_t kChannelBlockBytes = int64_t{1} << 18;
// A part of the RoIs has at least this many output values, 50 us of work, as it turns a tile of its own.
constexpr int64_t kLeastRoiPart = 4 * kSmallCall;

// Cuts the channels into blocks. An image that fits in the cache as a whole needs none, and nothing of it is fetched
// ahead.
template <class S>
void lay_channel_blocks(const TileSizes& sizes, int64_t element_bytes, const RoiPlan<S>* plans, Group& group) {
  const int64_t plane_bytes = sizes.height * sizes.width * element_bytes;
  if (plane_bytes * sizes.channels <= 2 * kChannelBlockBytes) return;
  group.units = touched_units(sizes, plans + group.first, group.last - group.first, Way::kColumns);
  const int64_t touched = static_cast<int64_t>(group.units.size()) * kUnit * element_bytes;
  group.channel_block =
      std::clamp<int64_t>(kChannelBlockBytes / (touched == 0 ? plane_bytes : touched), 1, sizes.channels);
}

}  // namespace

template <class S>
std::vector<Group> group_by_image(const TileSizes& sizes, int64_t element_bytes, std::vector<RoiPlan<S>>& plans) {
  std::vector<Group> groups;
  for (size_t r = 0; r < plans.size(); ++r) {
    if (r == 0 || plans[r].image != plans[r - 1].image) groups.push_back({r, r, {}, {}, sizes.channels});
    groups.back().last = r + 1;
  }
  const bool tiles = sizes.fit();
  for (Group& group : groups) {
    if (tiles) group.tiling = lay_tile(sizes, plans.data() + group.first, group.last - group.first);
    lay_channel_blocks(sizes, element_bytes, plans.data(), group);
  }
  return groups;
}

Range Cut::channels_of(size_t task) const {
  const Range part = share(vectors(), task % channel_parts, channel_parts);
  return {part.first * lanes, std::min(part.last * lanes, channels)};
}

Range Cut::plans_of(size_t task, const Group& group) const {
  const int64_t first = static_cast<int64_t>(group.first), count = static_cast<int64_t>(group.last) - first;
  const Range part = share(count, task / channel_parts, roi_parts);
  return {first + part.first, first + part.last};
}

Cut cut_of(const TileSizes& sizes, int64_t rois, int threads) {
  Cut cut{sizes.channels, sizes.wide_lanes, 1, 1};
  if (threads == 1) return cut;
  const int64_t values = rois * sizes.channels * sizes.bins();
  const int64_t channel_parts = std::min({cut.vectors(), threads * kTasksPerThread, values / kSmallCall + 1});
  // Each part of the RoIs turns its own tile, so there are no more parts than threads.
  const int64_t threads_left = (threads + channel_parts - 1) / channel_parts;
  cut.channel_parts = static_cast<size_t>(channel_parts);
  cut.roi_parts = static_cast<size_t>(std::min({rois, threads_left, values / kLeastRoiPart + 1}));
  return cut;
}

template <class S>
int64_t most_columns_of(const std::vector<RoiPlan<S>>& plans) {
  int64_t columns = -1;
  for (const RoiPlan<S>& plan : plans) {
    if (plan.way == Way::kColumns || plan.way == Way::kTile) columns = std::max<int64_t>(columns, plan.window.columns);
  }
  return columns;
}

size_t scratch_size(const TileSizes& sizes, const std::vector<Group>& groups, int64_t most_columns) {
  size_t size = most_columns < 0 ? 0 : columns_size(sizes.lanes, sizes.output_width, most_columns);
  for (const Group& group : groups) {
    const Tiling& tiling = group.tiling;
    if (tiling.rows == 0) continue;
    // A tile needs itself, swept rows, a RoI's bins, and twice the bins turned back, each times the lanes.
    const int64_t pixels =
        int64_t{tiling.rows} * tiling.columns + kTileRows * most_columns + 3 * (sizes.bins() + tiling.lanes);
    size = std::max(size, static_cast<size_t>(pixels * tiling.lanes));
  }
  return size;
}

template std::vector<Group> group_by_image(const TileSizes&, int64_t, std::vector<RoiPlan<float>>&);
template std::vector<Group> group_by_image(const TileSizes&, int64_t, std::vector<RoiPlan<double>>&);
template int64_t most_columns_of(const std::vector<RoiPlan<float>>&);
template int64_t most_columns_of(const std::vector<RoiPlan<double>>&);

}  // namespace roialign
