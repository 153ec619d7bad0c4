// Pools RoIs, written once over a vector type V and an element type T. Each file of isa/ includes it inside its own
// namespace and target region, so that no other code is compiled for that instruction set.
//
// A row of bins is pooled in two steps: down its touched rows to one row of pixels, then across, where each bin takes
// its columns out of that row. The second step runs once per row of bins, not once per row of the map. There are three
// ways to lay this out in vectors, each in its own file: tile.inl, columns.inl, points.inl.

template <class V>
struct Mean {
  static constexpr bool kMax = false;
  static constexpr bool kPairs = false;
  using Reg = typename V::Reg;
  static Reg start() { return V::zero(); }
  static Reg step(Reg sum, Reg weight, Reg value) { return V::multiply_add(weight, value, sum); }
};

// The max over (row, column) of wy * wx * v equals the max over columns of wx * (max over rows of wy * v), since no
// weight is negative and every value is finite. Where a value is not, pool_special() pools the RoI again.
template <class V>
struct MaxCorners {
  static constexpr bool kMax = true;
  static constexpr bool kPairs = false;
  using Reg = typename V::Reg;
  static Reg start() { return V::lowest(); }
  static Reg step(Reg best, Reg weight, Reg value) { return V::max(best, V::multiply(weight, value)); }
};

template <class V>
struct MaxSamples : Mean<V> {
  static constexpr bool kMax = true;
  static constexpr bool kPairs = true;
};

// Calls f(0) ... f(N - 1) without a loop, in which GCC 12, which unrolls too late, would keep indexed vectors in
// memory.
template <class F, int... I>
inline __attribute__((always_inline)) void each(std::integer_sequence<int, I...>, const F& f) {
  (f(std::integral_constant<int, I>()), ...);
}
template <int N, class F>
inline __attribute__((always_inline)) void each(const F& f) {
  each(std::make_integer_sequence<int, N>(), f);
}
#define ROIALIGN_INLINE __attribute__((always_inline))

// One channel of one image, whose origin is a window's first column.
template <class T>
struct View {
  const T* plane;
  int64_t width;
  bool may_overrun;  // a full vector load that passes the last column stays inside X
};

// `seen` is a sum that becomes infinite or NaN where some touched feature is. For columns and points the mean adds its
// bins to it, which are then infinite or NaN too; a maximum may hide such a feature, so there the features themselves
// are added. A tile adds each pixel that it turns.

// Does the first step: sweeps R vectors of columns down the taps of B rows of bins. Several rows at a time hide the
// latency of each row's chain of multiply-adds: four took fpn_box_7x7_s2 from 26.9 to 25.6 ms on AVX-512.
template <class V, class Rule, bool kListed, int B, int R, class T>
inline ROIALIGN_INLINE void sweep(const Window& window, const View<T>& view,
                                  const Tap<typename V::Scalar>* const (&taps)[B], int32_t count, int32_t column,
                                  typename V::Reg (&swept)[B][R], typename V::Reg& seen) {
  constexpr int kLanes = V::kLanes;
  const int32_t left = window.columns - column - (R - 1) * kLanes;
  const int32_t tail = left < kLanes ? left : kLanes;
  const bool whole = tail == kLanes || (!V::kMasks && view.may_overrun);
  const auto load = [&](const T* row, int r) ROIALIGN_INLINE {
    if constexpr (kListed) return V::gather(row, window.list + column + r * kLanes);
    const T* from = row + column + r * kLanes;
    if (r < R - 1) return V::load(from);
    return !V::kMasks && whole ? V::load(from) : V::load_first(from, tail);
  };
  each<B * R>([&](auto i) ROIALIGN_INLINE { swept[i / R][i % R] = Rule::start(); });
  auto total = seen;
  for (int32_t t = 0; t < count; ++t) {
    auto sum = V::zero();  // a sum of its own, so that these additions need not wait for those of the last step
    each<B>([&](auto b) ROIALIGN_INLINE {
      const T* row = view.plane + taps[b][t].position * view.width;
      const typename V::Reg weight = V::broadcast(taps[b][t].weight);
      each<R>([&](auto r) ROIALIGN_INLINE {
        const auto value = load(row, r);
        swept[b][r] = Rule::step(swept[b][r], weight, value);
        if constexpr (Rule::kMax) sum = V::add(sum, value);
      });
    });
    if constexpr (Rule::kMax) total = V::add(total, sum);
  }
  seen = total;
}

// Where one channel of one RoI is written. A full vector store may run over into bins that are written later, but not
// past this task's part of the RoI.
template <class T>
struct Target {
  T* bins;
  T* limit;
};

template <class V, class T>
inline void store_bins(const Target<T>& target, int64_t at, typename V::Reg bins, int count) {
  if (V::kMasks ? count == V::kLanes : target.limit - (target.bins + at) >= V::kLanes) {
    V::store(target.bins + at, bins);
  } else {
    V::store_first(target.bins + at, bins, count);
  }
}

template <class V, class T>
inline View<T> view_of(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                       int64_t channel) {
  const int64_t plane = (plan.image * task.channels + channel) * task.plane;
  return {static_cast<const T*>(task.X) + plane + plan.window.first, task.width,
          plane + task.plane + V::kLanes <= task.x_elements};
}

template <class T, class S>
inline Target<T> target_of(const PoolTask<S>& task, const RoiPlan<S>& plan, int64_t channel) {
  const int64_t bins = task.output_height * task.output_width;
  T* const y = static_cast<T*>(task.Y) + plan.roi * task.channels * bins;
  return {y + channel * bins, y + task.last_channel * bins};
}

// Fetches the touched units of the channels that are pooled next into the second-level cache, a few units at a time.
// The hardware's own prefetchers cannot follow the short rows of RoIs.
template <class T>
class Ahead {
 public:
  // Takes units for `channels` channels at a time, a block. step() is called `steps` times while one block is pooled.
  // At most `most` units are fetched and not yet used.
  template <class S>
  Ahead(const PoolTask<S>& task, const TileUnit* units, size_t unit_count, int64_t channels, int64_t steps, size_t most)
      : units_(units),
        unit_count_(unit_count),
        plane_(task.plane),
        width_(task.width),
        planes_(static_cast<const T*>(task.X) + (task.plans[0].image * task.channels + task.first_channel) * plane_),
        channels_(channels),
        channels_left_(task.last_channel - task.first_channel),
        per_step_((unit_count + static_cast<size_t>(steps) - 1) / static_cast<size_t>(steps)),
        most_(most) {}

  // Fetches a few units. `used` units, counted over all blocks, need no fetching any more.
  void step(size_t used) {
    if (next_ < used) next_ = used;
    for (size_t i = 0; i < per_step_ && next_ < used + most_; ++i, ++next_) {
      for (; next_ - begin_ >= unit_count_; begin_ += unit_count_) {
        planes_ += channels_ * plane_;
        channels_left_ -= channels_;
      }
      const TileUnit& unit = units_[next_ - begin_];
      const T* line = planes_ + unit.row * width_ + unit.column;
      const int64_t channels = channels_ < channels_left_ ? channels_ : channels_left_;
      for (int64_t c = 0; c < channels; ++c, line += plane_) {
        for (size_t at = 0; at < kUnit; at += kLine / sizeof(T)) __builtin_prefetch(line + at, 0, 2);
      }
    }
  }

 private:
  const TileUnit* const units_;
  const size_t unit_count_;
  const int64_t plane_;
  const int64_t width_;
  const T* planes_;
  const int64_t channels_;
  int64_t channels_left_;
  const size_t per_step_;
  const size_t most_;
  size_t next_ = 0;   // the next unit to fetch, counted over all blocks
  size_t begin_ = 0;  // the first unit of the block at planes_
};

// The taps that one round takes of a row of bins. The mean and the max over corners take all of them in one round; the
// max over samples takes one sample in each round, and the last sample again where a row has fewer samples than rounds.
template <class S>
struct RoundTaps {
  const Tap<S>* taps;
  int32_t count;
};

template <class Rule, class S>
inline RoundTaps<S> taps_of_round(const RoiPlan<S>& plan, const Bin& row, int32_t round) {
  const Tap<S>* const taps = plan.rows.taps + row.first_tap;
  if (!Rule::kPairs || row.tap_count == 0) return {taps, row.tap_count};
  return {taps + (2 * round < row.tap_count ? 2 * round : row.tap_count - 2), 2};
}

template <class Rule>
inline int32_t rounds_of(const Bin* rows, int count) {
  int32_t rounds = 1;
  for (int i = 0; Rule::kPairs && i < count; ++i) {
    const int32_t samples = rows[i].tap_count / 2;
    rounds = rounds < samples ? samples : rounds;
  }
  return rounds;
}

// Returns what no bin may be less than in mode max. A sample outside the map counts as 0.
template <class S>
inline S least_of(const PoolTask<S>& task, const Bin& row, const Bin& column) {
  return row.dropped || column.dropped ? task.least_dropped : task.least;
}

#include "pool/columns.inl"
#include "pool/points.inl"
#include "pool/tile.inl"

// Output lines are fetched this many RoIs ahead. Unmeasured against other numbers.
constexpr size_t kAhead = 2;
// At most so many lines of a RoI are fetched, since more would push other useful ones out of the cache. Unmeasured.
constexpr int64_t kMostLinesAhead = 64;

// Fetches the output lines of a RoI. A store to a line that is not in the cache waits until the line is read: without
// this, fpn_box_7x7_s2 took 40.9 ms instead of 34.3 when all of it was pooled in columns (AVX2). It is always inlined,
// as GCC 12 removes calls to a function that only fetches.
template <class T, class S>
inline ROIALIGN_INLINE void fetch_target(const PoolTask<S>& task, const RoiPlan<S>& plan, int64_t first, int64_t last) {
  const int64_t bins = task.output_height * task.output_width;
  const T* const out = static_cast<const T*>(task.Y) + (plan.roi * task.channels + first) * bins;
  const int64_t lines = (last - first) * bins * static_cast<int64_t>(sizeof(T)) / kLine + 1;
  for (int64_t line = 0; line < lines && line < kMostLinesAhead; ++line) {
    __builtin_prefetch(reinterpret_cast<const char*>(out) + line * kLine, 1, 2);
  }
}

template <class V, class Rule, class T>
inline void pool_in_columns(const PoolTask<typename V::Scalar>& task) {
  const int64_t steps = static_cast<int64_t>(task.plan_count) * task.channel_block;
  Ahead<T> ahead(task, task.units, task.unit_count, task.channel_block, steps, task.unit_count);
  size_t used = 0;
  for (int64_t first = task.first_channel; first < task.last_channel; first += task.channel_block) {
    const int64_t last =
        first + task.channel_block < task.last_channel ? first + task.channel_block : task.last_channel;
    used += task.unit_count;
    for (size_t r = 0; r < task.plan_count; ++r) {
      const auto& plan = task.plans[r];
      if (plan.way != Way::kColumns) continue;
      if (r + kAhead < task.plan_count) fetch_target<T>(task, task.plans[r + kAhead], first, last);
      for (int64_t c = first; c < last; ++c) {
        if (last < task.last_channel && task.unit_count > 0) ahead.step(used);
        const bool finite =
            pool_columns<V, Rule>(task, plan, view_of<V, T>(task, plan, c), target_of<T>(task, plan, c));
        if (!finite) task.special[r] = true;
      }
    }
  }
}

template <template <class> class Rule, class V, class TileV, class T>
inline void pool_rule(const PoolTask<typename V::Scalar>& task) {
  bool columns = false;
  for (size_t r = 0; r < task.plan_count; ++r) {
    const auto& plan = task.plans[r];
    columns = columns || plan.way == Way::kColumns;
    if (plan.way == Way::kPoints) {
      if constexpr (!Rule<V>::kPairs) task.special[r] = !is_finite(pool_points<V, Rule<V>, T>(task, plan));
    }
    if (plan.way == Way::kConstant) {
      const Target<T> target = target_of<T>(task, plan, task.first_channel);
      T fill;
      from_compute(plan.fill, fill);
      std::fill(target.bins, target.limit, fill);
    }
  }
  if (task.tile.rows > 0) {
    task.tile_lanes == V::kLanes ? pool_tiled<V, Rule<V>, T>(task) : pool_tiled<TileV, Rule<TileV>, T>(task);
  }
  if (columns) pool_in_columns<V, Rule<V>, T>(task);
}

// Pools a task. TileV is the vector of channels where there are many of them; V is every other vector.
template <class V, class TileV, class T>
void pool(const PoolTask<typename V::Scalar>& task) {
  if (task.pooling == Pooling::kMean) pool_rule<Mean, V, TileV, T>(task);
  if (task.pooling == Pooling::kMaxCorners) pool_rule<MaxCorners, V, TileV, T>(task);
  if (task.pooling == Pooling::kMaxSamples) pool_rule<MaxSamples, V, TileV, T>(task);
}

#undef ROIALIGN_INLINE
