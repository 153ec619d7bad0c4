// One checked call: plans for a block of RoIs, then their pooling, both cut into tasks for the workers.
#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory_resource>
#include <numeric>
#include <vector>

#include "dispatch.h"
#include "element.h"
#include "geometry.h"
#include "pool.h"
#include "problem.h"

namespace roialign {
namespace {

// Plans are made for this many RoIs at a time: about 2 KB each at 7 x 7, so their memory is bounded.
constexpr int64_t kRoiBlock = 2048;
// A block of channels is as many planes as fit with the next block's beside them in half a 1 MB second-level cache.
constexpr int64_t kBlockBytes = int64_t{1} << 18;
constexpr int64_t kLine = 64;
// Below this many output values a second thread costs more than it takes off the first.
constexpr int64_t kSmallCall = 4096;
// RoIs that one thread plans by itself: about 10 us of work.
constexpr int64_t kPlannerShare = 128;
// From here on RoIs are put in order and touched lines noted: fewer channels do not pay for it.
constexpr int64_t kManyChannels = 16;
// Larger planes are not fetched ahead: what the RoIs touch is noted in a byte a line, half a megabyte at most.
constexpr int64_t kMaxNotedBytes = int64_t{1} << 25;

// Runs body(i) for i in [0, count) on the workers; an exception of any of them is thrown here, after all have ended.
template <class Body>
void parallel(const Workers& workers, size_t count, const Body& body) {
  if (count <= 1 || workers.threads <= 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Shared {
    const Body& body;
    std::vector<std::exception_ptr> failures;
  } shared{body, std::vector<std::exception_ptr>(count)};
  workers.parallel_for(
      workers.context,
      [](void* user, size_t i) {
        auto& work = *static_cast<Shared*>(user);
        try {
          work.body(i);
        } catch (...) {
          work.failures[i] = std::current_exception();
        }
      },
      count, &shared);
  for (const auto& failure : shared.failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

struct Range {
  int64_t first;
  int64_t last;
};

Range share(int64_t count, size_t i, size_t parts) {
  const int64_t part = static_cast<int64_t>(i), all = static_cast<int64_t>(parts);
  return {count * part / all, count * (part + 1) / all};
}

// T is the element, S the arithmetic and the coordinates.
template <class T, class S>
class Driver {
 public:
  Driver(const Attributes& attributes, const Arrays& arrays, const Shape& shape, void (*pool)(const PoolTask<S>&),
         const Workers& workers)
      : attributes_(attributes), arrays_(arrays), shape_(shape), pool_(pool), workers_(workers) {
    const int64_t values = arrays.num_rois * arrays.C * attributes.output_height * attributes.output_width;
    threads_ = values < kSmallCall ? 1 : workers.threads;
  }

  void run() {
    // RoIs of one image together, so that its planes stay in the second-level cache, and from its top to its bottom, so
    // that the rows that neighbours share stay in the first. Few channels do not pay for the sorting.
    if (many_channels()) {
      order_.resize(static_cast<size_t>(arrays_.num_rois));
      std::iota(order_.begin(), order_.end(), int64_t{0});
      std::stable_sort(order_.begin(), order_.end(), [this](int64_t a, int64_t b) {
        const int64_t image_a = arrays_.batch_indices[a], image_b = arrays_.batch_indices[b];
        return image_a != image_b ? image_a < image_b : middle(a) < middle(b);
      });
    }
    for (int64_t first = 0; first < arrays_.num_rois; first += kRoiBlock) {
      run_block(first, std::min(first + kRoiBlock, arrays_.num_rois));
    }
  }

 private:
  using Plans = std::pmr::vector<RoiPlan<S>>;

  bool many_channels() const { return arrays_.C >= kManyChannels; }

  S middle(int64_t roi) const {
    const T* from = static_cast<const T*>(arrays_.rois) + roi * 4;
    return to_compute(from[1]) + to_compute(from[3]);
  }

  void run_block(int64_t first, int64_t last) {
    const int64_t count = last - first;
    // A small call's plans fit here: it then allocates nothing.
    alignas(64) std::byte room[1 << 13];
    Memory memory(room, sizeof room);
    Plans plans(static_cast<size_t>(count), &memory);
    const size_t planners =
        static_cast<size_t>(std::min<int64_t>(threads_, (count + kPlannerShare - 1) / kPlannerShare));
    std::deque<Memory> memories;
    while (memories.size() + 1 < planners) memories.emplace_back();
    parallel(workers_, planners, [&](size_t i) {
      const Range range = share(count, i, planners);
      Planner<S> planner(attributes_, arrays_.H, arrays_.W, shape_, i == 0 ? memory : memories[i - 1]);
      for (int64_t r = range.first; r < range.last; ++r) {
        const int64_t roi = order_.empty() ? first + r : order_[static_cast<size_t>(first + r)];
        plan_roi(planner, roi, plans[static_cast<size_t>(r)]);
      }
    });
    pool_block(plans);
  }

  void plan_roi(Planner<S>& planner, int64_t roi, RoiPlan<S>& plan) const {
    const T* from = static_cast<const T*>(arrays_.rois) + roi * 4;
    const S coordinates[4] = {to_compute(from[0]), to_compute(from[1]), to_compute(from[2]), to_compute(from[3])};
    plan.roi = roi;
    plan.image = arrays_.batch_indices[roi];
    planner.plan(coordinates, plan);
  }

  // The RoIs of one image, and what they touch of each of its planes.
  struct Group {
    size_t first;
    size_t last;
    std::vector<Run> runs;
    int64_t lines;
    int64_t block;
  };

  void note_touched(const Plans& plans, Group& group) const {
    const int64_t plane_bytes = arrays_.H * arrays_.W * static_cast<int64_t>(sizeof(T));
    // What fits in the cache as a whole needs no blocks, and nothing is there to fetch ahead.
    group.block = arrays_.C;
    if (plane_bytes * arrays_.C <= 2 * kBlockBytes) return;
    group.block = block_of(plane_bytes);
    if (plane_bytes > kMaxNotedBytes) return;
    std::vector<uint8_t> touched(static_cast<size_t>(plane_bytes / kLine + 1));
    for (size_t r = group.first; r < group.last; ++r) {
      if (!plans[r].constant) mark(plans[r], touched);
    }
    for (size_t line = 0; line < touched.size(); ++line) {
      if (touched[line] == 0) continue;
      const bool extends = line > 0 && touched[line - 1] != 0;
      if (!extends) group.runs.push_back({static_cast<int64_t>(line) * kLine, 0});
      group.runs.back().bytes += kLine;
      ++group.lines;
    }
    if (group.lines > 0) group.block = block_of(group.lines * kLine);
  }

  // Whole vectors of channels where a block has that many, for the RoIs that are pooled a channel a lane.
  int64_t block_of(int64_t bytes) const {
    const int64_t block = std::clamp<int64_t>(kBlockBytes / bytes, 1, arrays_.C);
    return block < shape_.lanes ? block : block / shape_.lanes * shape_.lanes;
  }

  void mark(const RoiPlan<S>& plan, std::vector<uint8_t>& touched) const {
    const int64_t size = static_cast<int64_t>(sizeof(T));
    if (plan.bins != nullptr) {
      const BinPoints& last = plan.bins[attributes_.output_height * attributes_.output_width - 1];
      for (int32_t i = 0; i < last.first_point + last.point_count; ++i) {
        touched[static_cast<size_t>(plan.points[i].offset * size / kLine)] = 1;
      }
      return;
    }
    for (int64_t p = 0; p < attributes_.output_height; ++p) {
      const BinRow& row = plan.rows[p];
      for (int32_t t = row.first_tap; t < row.first_tap + row.tap_count; ++t) {
        for (int32_t s = 0; s < std::max(plan.strip_count, 1); ++s) {
          const Window& window = plan.strip_count > 0 ? plan.strips[s].window : plan.window;
          if (window.list != nullptr || window.columns == 0) continue;
          const int64_t begin = (plan.row_taps[t].offset + window.first) * size;
          const int64_t end = begin + window.columns * size;
          std::fill(touched.begin() + begin / kLine, touched.begin() + (end - 1) / kLine + 1, uint8_t{1});
        }
      }
    }
  }

  std::vector<Group> group_by_image(const Plans& plans) const {
    std::vector<Group> groups;
    for (size_t r = 0; r < plans.size(); ++r) {
      if (r == 0 || (many_channels() && plans[r].image != plans[r - 1].image))
        groups.push_back({r, r, {}, 0, arrays_.C});
      groups.back().last = r + 1;
    }
    if (many_channels()) {
      for (Group& group : groups) note_touched(plans, group);
    }
    return groups;
  }

  void pool_block(const Plans& plans) {
    const std::vector<Group> groups = group_by_image(plans);
    // Few channels: cut the RoIs too, so that every thread has work.
    const size_t threads = static_cast<size_t>(threads_);
    const size_t channel_parts = threads == 1 ? 1 : std::min(static_cast<size_t>(arrays_.C), threads * 4);
    const size_t roi_parts = threads == 1 ? 1 : (threads * 4 + channel_parts - 1) / channel_parts;
    parallel(workers_, channel_parts * roi_parts, [&](size_t i) {
      const Range channels = share(arrays_.C, i % channel_parts, channel_parts);
      std::vector<S> scratch(scratch_size(plans));
      for (const Group& group : groups) {
        const Range rois = share(static_cast<int64_t>(group.last - group.first), i / channel_parts, roi_parts);
        if (rois.first == rois.last) continue;
        PoolTask<S> task = describe(group, channels, scratch.data());
        task.plans = plans.data() + group.first + rois.first;
        task.plan_count = static_cast<size_t>(rois.last - rois.first);
        pool_(task);
      }
    });
  }

  // For the RoIs that are pooled in columns: swept rows, the same transposed, and a row of bins, each times the lanes.
  size_t scratch_size(const Plans& plans) const {
    int64_t columns = -1;
    for (const RoiPlan<S>& plan : plans) {
      if (!plan.constant && plan.bins == nullptr && plan.strip_count == 0)
        columns = std::max<int64_t>(columns, plan.window.columns);
    }
    if (columns < 0) return 0;
    const int64_t width = 2 * (columns + shape_.lanes) + attributes_.output_width + shape_.lanes;
    return static_cast<size_t>(width * shape_.lanes);
  }

  PoolTask<S> describe(const Group& group, const Range& channels, S* scratch) const {
    PoolTask<S> task{};
    task.pooling = !attributes_.mode_max               ? Pooling::kMean
                   : attributes_.semantics.max_samples ? Pooling::kMaxSamples
                                                       : Pooling::kMaxCorners;
    task.X = arrays_.X;
    task.Y = arrays_.Y;
    task.x_elements = arrays_.N * arrays_.C * arrays_.H * arrays_.W;
    task.channels = arrays_.C;
    task.plane = arrays_.H * arrays_.W;
    task.output_height = attributes_.output_height;
    task.output_width = attributes_.output_width;
    task.first_channel = channels.first;
    task.last_channel = channels.last;
    task.block = group.block;
    task.runs = group.runs.data();
    task.run_count = group.runs.size();
    task.lines = group.lines;
    task.scratch = scratch;
    return task;
  }

  const Attributes& attributes_;
  const Arrays& arrays_;
  const Shape shape_;
  void (*const pool_)(const PoolTask<S>&);
  const Workers& workers_;
  int threads_;                 // that the work is cut for
  std::vector<int64_t> order_;  // empty: as they come
};

}  // namespace

void roi_align(const Attributes& attributes, const Arrays& arrays, const Isa& isa, const Workers& workers) {
  if (arrays.num_rois == 0 || arrays.C == 0) return;
  switch (arrays.type) {
    case ElementType::kFloat32:
      return Driver<float, float>(attributes, arrays, isa.shape32, isa.pool_float32, workers).run();
    case ElementType::kFloat16:
      return Driver<Half, float>(attributes, arrays, isa.shape32, isa.pool_float16, workers).run();
    case ElementType::kBFloat16:
      return Driver<BFloat16, float>(attributes, arrays, isa.shape32, isa.pool_bfloat16, workers).run();
    case ElementType::kFloat64:
      return Driver<double, double>(attributes, arrays, isa.shape64, isa.pool_float64, workers).run();
  }
}

}  // namespace roialign
