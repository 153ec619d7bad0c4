// Runs a checked call: plans a block of RoIs, then pools it, both cut into tasks for the workers.
#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "element.h"
#include "memory.h"
#include "parallel.h"
#include "plan/corners.h"
#include "plan/costs.h"
#include "plan/geometry.h"
#include "plan/tiling.h"
#include "pool/few.h"
#include "pool/groups.h"
#include "pool/order.h"
#include "pool/pool.h"
#include "pool/special.h"
#include "problem.h"

namespace roialign {
namespace {

// Plans are made for this many RoIs at a time: about 2 KB each at 7 x 7, 20 KB at most, so their memory is bounded.
constexpr int64_t kRoiBlock = 1024;
// An output with more bytes than this is written past the caches, which takes fpn_box_7x7_s2 from 19.6 to 17.7 ms and
// c4_14x14_adaptive from 44 to 30.
constexpr int64_t kStreamBytes = int64_t{1} << 22;
// One thread plans at least this many RoIs by itself, about 100 us of work.
constexpr int64_t kPlannerShare = 128;
// From this many channels on, RoIs are put in order and touched lines are noted: with fewer, that costs more than it
// saves.
constexpr int64_t kManyChannels = 16;
// With fewer channels than that, but at least so many, RoIs are put in order where the maps have more bytes than caches
// keep and are read more than once. In order, smaller maps, maps read less often and 3 channels took up to 1.3 times as
// long.
constexpr int64_t kSomeChannels = 8;
constexpr int64_t kCachedBytes = int64_t{1} << 23;
// Room on the stack for a planner's scratch and for a plan, enough for ordinary RoIs.
constexpr size_t kScratchRoom = size_t{1} << 11, kPlanRoom = size_t{1} << 12;

// T is the element, S the arithmetic and the coordinates.
template <class T, class S>
class Driver {
 public:
  Driver(const Attributes& attributes, const Arrays& arrays, const VectorCosts& costs,
         void (*pool_plans)(const PoolTask<S>&), const Workers& workers)
      : attributes_(attributes), arrays_(arrays), costs_(costs), pool_(pool_plans), workers_(workers) {
    values_ = arrays.num_rois * arrays.C * attributes.output_height * attributes.output_width;
    samples_ = std::max(attributes.sampling_ratio * attributes.sampling_ratio, int64_t{1});
    few_ = !attributes.mode_max && is_few<S>(arrays.num_rois, values_, static_cast<S>(samples_));
    stream_ = values_ > kStreamBytes / static_cast<int64_t>(sizeof(T));
  }

  void run() {
    if (values_ < kSmallCall) return pool_each(nullptr, {0, arrays_.num_rois}, {0, arrays_.C});
    run_large();
  }

 private:
  __attribute__((noinline)) void run_large() {
    sizes_ = tile_sizes(attributes_, arrays_, costs_, static_cast<int32_t>(sizeof(S)));
    tiles_ = sizes_.fit();
    if (!tiles_ && arrays_.C < kManyChannels) return run_each();
    const std::vector<int64_t> order = pooling_order<S, T>(attributes_, arrays_);
    for (int64_t first = 0; first < arrays_.num_rois; first += kRoiBlock) {
      run_block(order.data() + first, std::min(kRoiBlock, arrays_.num_rois - first));
    }
  }

  using Plans = std::vector<RoiPlan<S>>;

  // Runs a call of few channels: each RoI is pooled as soon as it is planned, and for ordinary RoIs no memory is
  // allocated but that of an order.
  void run_each() {
    std::vector<int64_t> order;
    if (rereads_large_maps()) order = pooling_order<S, T>(attributes_, arrays_);
    const int64_t* const rows = order.empty() ? nullptr : order.data();
    if (workers_.threads == 1) return pool_each(rows, {0, arrays_.num_rois}, {0, arrays_.C});
    const int64_t most = std::min(workers_.threads * kTasksPerThread, values_ / kSmallCall + 1);
    const int64_t roi_parts = std::min(arrays_.num_rois, most), channel_parts = std::min(arrays_.C, most / roi_parts);
    parallel(workers_, static_cast<size_t>(roi_parts * channel_parts), [&](size_t i) {
      const size_t parts = static_cast<size_t>(channel_parts);
      pool_each(rows, share(arrays_.num_rois, i / parts, static_cast<size_t>(roi_parts)),
                share(arrays_.C, i % parts, parts));
    });
  }

  // Counts one line for each sample, in each channel.
  bool rereads_large_maps() const {
    const int64_t bytes = arrays_.N * arrays_.H * arrays_.W * static_cast<int64_t>(sizeof(T));
    return arrays_.C >= kSomeChannels && bytes > kCachedBytes / arrays_.C &&
           values_ / arrays_.C > bytes / kLine / samples_;
  }

  // Pools a range of the RoIs, in the given order or, where that is null, in the call's own.
  void pool_each(const int64_t* order, const Range& range, const Range& channels) const {
    int64_t i = range.first;
    while (i < range.last && pooled_by_samples(row(order, i), channels)) ++i;
    if (i < range.last) pool_planned(order, {i, range.last}, channels);
  }

  int64_t row(const int64_t* order, int64_t i) const { return order == nullptr ? arrays_.row(i) : order[i]; }

  bool pooled_by_samples(int64_t roi, const Range& channels) const {
    return few_ && pool_few<T, S>(attributes_, arrays_, roi, channels);
  }

  void pool_planned(const int64_t* order, const Range& range, const Range& channels) const {
    alignas(kLine) std::byte room[kScratchRoom], plan_room[kPlanRoom];
    Memory memory(room, sizeof room), plan_memory(plan_room, sizeof plan_room);
    pool_planned(order, range, channels, memory, plan_memory);
  }

  // Separate from the above so that its stack frame and its code are small: an offset in a large frame takes 4 bytes.
  __attribute__((noinline)) void pool_planned(const int64_t* order, const Range& range, const Range& channels,
                                              Memory& memory, Memory& plan_memory) const {
    Planner<S> planner(attributes_, arrays_.C, arrays_.H, arrays_.W, costs_, nullptr, memory);
    RoiPlan<S> plan;
    PoolTask<S> task = describe(&plan, 1, channels);
    bool special;
    task.special = &special;
    size_t size = 0;
    for (int64_t i = range.first; i < range.last; ++i) {
      const int64_t roi = row(order, i);
      if (i > range.first && pooled_by_samples(roi, channels)) continue;  // pool_each() has just tried the first
      plan_memory.release();
      plan_roi(planner, roi, false, plan_memory, plan);
      const size_t needed = plan.way == Way::kColumns ? columns_size(plan.window.columns) : 0;
      if (needed > size) {
        size = std::max(needed, 2 * size);
        task.scratch = zeros(memory, size, size);
      }
      pool(task);
    }
  }

  // Pools a task: by the instruction set, and where an infinite or NaN feature is touched, once more by pool_special(),
  // which is the same for all instruction sets.
  void pool(PoolTask<S>& task) const {
    std::fill_n(task.special, task.plan_count, false);
    pool_(task);
    const Range channels{task.first_channel, task.last_channel};
    for (size_t r = 0; r < task.plan_count; ++r) {
      if (task.special[r]) pool_special<T, S>(attributes_, arrays_, task.plans[r].roi, channels);
    }
  }

  void run_block(const int64_t* rois, int64_t count) {
    Memory memory;
    Plans plans(static_cast<size_t>(count));
    const size_t planners =
        static_cast<size_t>(std::min<int64_t>(workers_.threads, (count + kPlannerShare - 1) / kPlannerShare));
    std::vector<std::unique_ptr<Memory>> memories;
    while (memories.size() + 1 < planners) memories.push_back(std::make_unique<Memory>());
    std::vector<size_t> kept(planners);
    parallel(workers_, planners, [&](size_t i) {
      const Range range = share(count, i, planners);
      kept[i] = plan_or_pool(rois, range, i == 0 ? memory : *memories[i - 1], plans.data() + range.first);
    });
    auto end = plans.begin() + static_cast<std::ptrdiff_t>(kept[0]);
    for (size_t i = 1; i < planners; ++i) {
      const auto first = plans.begin() + share(count, i, planners).first;
      end = std::copy_n(first, kept[i], end);
    }
    plans.erase(end, plans.end());
    if (!plans.empty()) pool_block(plans);
  }

  // Plans RoIs, and pools those at once whose plans are not worth keeping. Returns how many plans it has kept.
  size_t plan_or_pool(const int64_t* rois, const Range& range, Memory& memory, RoiPlan<S>* plans) const {
    const Range channels{0, arrays_.C};
    Planner<S> planner(attributes_, arrays_.C, arrays_.H, arrays_.W, costs_, tiles_ ? &sizes_ : nullptr, memory);
    PoolTask<S> task = describe(plans, 1, channels);
    bool special;
    task.special = &special;
    size_t kept = 0;
    for (int64_t r = range.first; r < range.last; ++r) {
      if (pooled_by_samples(rois[r], channels)) continue;
      task.plans = plans + kept;
      if (plan_roi(planner, rois[r], true, memory, plans[kept])) {
        ++kept;
      } else {
        pool(task);
      }
    }
    return kept;
  }

  bool plan_roi(Planner<S>& planner, int64_t roi, bool may_keep, Memory& memory, RoiPlan<S>& plan) const {
    plan.roi = roi;
    plan.image = arrays_.batch_indices[roi];
    return planner.plan(corners_of<S, T>(arrays_, roi), may_keep, memory, plan);
  }

  void pool_block(Plans& plans) {
    const std::vector<Group> groups = group_by_image(sizes_, sizeof(T), plans);
    const Cut cut = cut_of(sizes_, static_cast<int64_t>(plans.size()), workers_.threads);
    const int64_t most_columns = most_columns_of(plans);
    const size_t size = scratch_size(sizes_, groups, most_columns);
    const size_t zeroed = most_columns < 0 ? 0 : columns_size(most_columns);
    parallel(workers_, cut.tasks(), [&](size_t i) {
      Memory memory;
      S* const scratch = zeros(memory, size, zeroed);
      for (const Group& group : groups) {
        const Range part = cut.plans_of(i, group);
        if (part.first == part.last) continue;
        PoolTask<S> task =
            describe(plans.data() + part.first, static_cast<size_t>(part.last - part.first), cut.channels_of(i));
        add_group(group, task);
        task.most_columns = most_columns;
        task.scratch = scratch;
        task.special = memory.take<bool>(task.plan_count);
        pool(task);
      }
    });
  }

  size_t columns_size(int64_t columns) const {
    return roialign::columns_size(costs_.lanes, attributes_.output_width, columns);
  }

  // Takes scratch of which the first `zeroed` values are 0. Way::kColumns also computes on lanes that hold no row, and
  // in fresh memory they may hold subnormals, on which Intel's CPUs are slow: 139 us instead of 14 for a RoI of 7 x 7
  // bins and 64 channels.
  static S* zeros(Memory& memory, size_t size, size_t zeroed) {
    S* const scratch = memory.take<S>(size);
    std::fill_n(scratch, zeroed, S{0});
    return scratch;
  }

  // Returns a task that has neither a tile nor scratch yet.
  PoolTask<S> describe(const RoiPlan<S>* plans, size_t plan_count, const Range& channels) const {
    PoolTask<S> task;
    task.pooling = !attributes_.mode_max               ? Pooling::kMean
                   : attributes_.semantics.max_samples ? Pooling::kMaxSamples
                                                       : Pooling::kMaxCorners;
    task.least = static_cast<S>(attributes_.semantics.max_start);
    task.least_dropped = std::max(task.least, S{0});
    task.plans = plans;
    task.plan_count = plan_count;
    task.X = arrays_.X;
    task.Y = arrays_.Y;
    task.x_elements = arrays_.N * arrays_.C * arrays_.H * arrays_.W;
    task.channels = arrays_.C;
    task.plane = arrays_.H * arrays_.W;
    task.width = arrays_.W;
    task.output_height = attributes_.output_height;
    task.output_width = attributes_.output_width;
    task.first_channel = channels.first;
    task.last_channel = channels.last;
    task.stream = stream_;
    task.channel_block = arrays_.C;
    return task;
  }

  void add_group(const Group& group, PoolTask<S>& task) const {
    const Tiling& tiling = group.tiling;
    task.tile_lanes = tiling.lanes;
    task.tile = {tiling.units.data(), tiling.units.size(), tiling.rows,
                 tiling.first_column, tiling.columns,      std::numeric_limits<int32_t>::max()};
    for (size_t r = 0; r < task.plan_count; ++r) {
      const RoiPlan<S>& plan = task.plans[r];
      if (plan.way == Way::kTile) task.tile.first_row = std::min(task.tile.first_row, plan.first_row);
    }
    task.channel_block = group.channel_block;
    task.units = group.units.data();
    task.unit_count = group.units.size();
  }

  const Attributes& attributes_;
  const Arrays& arrays_;
  const VectorCosts& costs_;
  void (*const pool_)(const PoolTask<S>&);
  const Workers& workers_;
  TileSizes sizes_;
  int64_t values_;   // in Y
  int64_t samples_;  // of each value; 1 where the grid is adaptive
  bool tiles_;       // whether RoIs may be pooled from a tile
  bool stream_;      // whether Y is written past the caches
  bool few_;         // whether RoIs may be pooled without a plan
};

}  // namespace

void roi_align(const Attributes& attributes, const Arrays& arrays, const Isa& isa, const Workers& workers) {
  if (arrays.num_rois == 0 || arrays.C == 0) return;
  switch (arrays.type) {
    case ElementType::kFloat32:
      return Driver<float, float>(attributes, arrays, isa.costs32, isa.pool_float32, workers).run();
    case ElementType::kFloat16:
      return Driver<Half, float>(attributes, arrays, isa.costs32, isa.pool_float16, workers).run();
    case ElementType::kBFloat16:
      return Driver<BFloat16, float>(attributes, arrays, isa.costs32, isa.pool_bfloat16, workers).run();
    case ElementType::kFloat64:
      return Driver<double, double>(attributes, arrays, isa.costs64, isa.pool_float64, workers).run();
  }
}

}  // namespace roialign
