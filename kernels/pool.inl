// The pooling, written once over a vector type V and an element type T. Included by each isa_*.cpp inside its own
// namespace and target region, so that no other file's code is compiled for that instruction set.
//
// A row of bins is pooled in two steps: down its touched rows, over neighbouring columns (loads and multiply-adds
// only), then across, each bin picking its columns out of that one row. The second step runs once per row of bins, not
// once per row of the map. Where vectors can be looked up in registers, the swept row never leaves them and a bin is a
// lane; elsewhere a vector's number of swept rows is transposed, so that a row is a lane and a column's taps are plain
// loads.

template <class V>
struct Mean {
  static constexpr bool kMax = false;
  static constexpr bool kPairs = false;
  using Reg = typename V::Reg;
  static Reg start() { return V::zero(); }
  static Reg step(Reg sum, Reg weight, Reg value) { return V::multiply_add(weight, value, sum); }
};

// max over (row, column) of wy * wx * v = max over columns of wx * (max over rows of wy * v), since no weight is
// negative.
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

// f(0) ... f(N - 1), written out: a loop would keep the vectors that it indexes in memory (GCC 12 unrolls too late).
template <class F, int... I>
inline __attribute__((always_inline)) void each(std::integer_sequence<int, I...>, const F& f) {
  (f(std::integral_constant<int, I>()), ...);
}
template <int N, class F>
inline __attribute__((always_inline)) void each(const F& f) {
  each(std::make_integer_sequence<int, N>(), f);
}
#define ROIALIGN_INLINE __attribute__((always_inline))

// One channel of one image, with a window's first column as its origin.
template <class T>
struct View {
  const T* plane;
  bool may_overrun;  // a full vector load past the last column stays inside X
};

// The first step: R vectors of columns, down the taps of B rows of bins. Several rows at a time hide the latency of
// each one's chain of multiply-adds: four took fpn_box_7x7_s2 from 26.9 to 25.6 ms on AVX-512.
template <class V, class Rule, bool kListed, int B, int R, class T>
inline ROIALIGN_INLINE void sweep(const Window& window, const View<T>& view,
                                  const RowTap<typename V::Scalar>* const (&taps)[B], int32_t count, int32_t column,
                                  typename V::Reg (&swept)[B][R]) {
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
  for (int32_t t = 0; t < count; ++t) {
    each<B>([&](auto b) ROIALIGN_INLINE {
      const T* row = view.plane + taps[b][t].offset;
      const typename V::Reg weight = V::broadcast(taps[b][t].weight);
      each<R>([&](auto r) ROIALIGN_INLINE { swept[b][r] = Rule::step(swept[b][r], weight, load(row, r)); });
    });
  }
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
                       int64_t channel, const Window& window) {
  const int64_t plane = (plan.image * task.channels + channel) * task.plane;
  return {static_cast<const T*>(task.X) + plane + window.first, plane + task.plane + V::kLanes <= task.x_elements};
}

template <class T, class S>
inline Target<T> target_of(const PoolTask<S>& task, const RoiPlan<S>& plan, int64_t channel) {
  const int64_t bins = task.output_height * task.output_width;
  T* const y = static_cast<T*>(task.Y) + plan.roi * task.channels * bins;
  return {y + channel * bins, y + task.last_channel * bins};
}

// Fetches the next block's planes into the second-level cache, a few lines at each call. The RoIs' short rows give the
// hardware's own prefetchers nothing to follow: without this the first touch of each line is waited for.
template <class T>
class Ahead {
 public:
  template <class S>
  Ahead(const PoolTask<S>& task, int64_t image, int64_t first, int64_t last, int64_t steps)
      : runs_(task.runs), run_count_(task.run_count), plane_bytes_(task.plane * static_cast<int64_t>(sizeof(T))) {
    const int64_t planes = last - first;
    if (planes <= 0 || run_count_ == 0) return;
    plane_ = static_cast<const char*>(task.X) + (image * task.channels + first) * plane_bytes_;
    end_ = plane_ + planes * plane_bytes_;
    lines_per_step_ = (task.lines * planes + steps - 1) / steps;
  }

  void step() {
    for (int64_t left = lines_per_step_; left > 0 && plane_ != end_; --left) {
      __builtin_prefetch(plane_ + runs_[run_].first + at_, 0, 2);
      at_ += kLine;
      if (at_ < runs_[run_].bytes) continue;
      at_ = 0;
      if (++run_ < run_count_) continue;
      run_ = 0;
      plane_ += plane_bytes_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const Run* runs_;
  size_t run_count_;
  int64_t plane_bytes_;
  const char* plane_ = nullptr;
  const char* end_ = nullptr;
  int64_t lines_per_step_ = 0;
  size_t run_ = 0;
  int64_t at_ = 0;
};

#include "columns.inl"
#include "points.inl"
#include "strips.inl"

template <class V, class Rule, class T>
inline void pool_roi(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan, int64_t first,
                     int64_t last, Ahead<T>& ahead) {
  if constexpr (!Rule::kPairs) {
    if (plan.bins != nullptr) {
      for (int64_t c = first; c < last; ++c) ahead.step();
      return pool_points<V, Rule, T>(task, plan, first, last);
    }
  }
  if constexpr (V::kLookupRegisters > 0) {
    if (plan.strip_count > 0) return pool_strips<V, Rule>(task, plan, first, last, ahead);
  }
  for (int64_t c = first; c < last; ++c) {
    ahead.step();
    pool_columns<V, Rule>(task, plan, view_of<V, T>(task, plan, c, plan.window), target_of<T>(task, plan, c));
  }
}

// Output lines are fetched too, some RoIs ahead: a store to a line that is not in the cache waits for it to be read.
// Where a row is a lane fpn_box_7x7_s2 took 34.3 ms instead of 40.9 (AVX2); with AVX-512's strips 26.0 instead of 25.1,
// so there they are not. Always inlined: GCC 12 takes a function that only fetches for one without effect.
constexpr size_t kAhead = 2;
template <class T, class S>
inline ROIALIGN_INLINE void fetch_target(const PoolTask<S>& task, const RoiPlan<S>& plan, int64_t first, int64_t last) {
  constexpr int64_t kLine = 64, kMost = 64;  // lines: more would push out what they are to stand beside
  const int64_t bins = task.output_height * task.output_width;
  const T* const out = static_cast<const T*>(task.Y) + (plan.roi * task.channels + first) * bins;
  const int64_t lines = (last - first) * bins * static_cast<int64_t>(sizeof(T)) / kLine + 1;
  for (int64_t line = 0; line < lines && line < kMost; ++line) {
    __builtin_prefetch(reinterpret_cast<const char*>(out) + line * kLine, 1, 2);
  }
}

template <class V, class Rule, class T>
void pool_rule(const PoolTask<typename V::Scalar>& task) {
  const int64_t bins = task.output_height * task.output_width;
  for (int64_t first = task.first_channel; first < task.last_channel; first += task.block) {
    const int64_t last = first + task.block < task.last_channel ? first + task.block : task.last_channel;
    const int64_t next = last + task.block < task.last_channel ? last + task.block : task.last_channel;
    Ahead<T> ahead(task, task.plans[0].image, last, next, static_cast<int64_t>(task.plan_count) * (last - first));
    for (size_t r = 0; r < task.plan_count; ++r) {
      const auto& plan = task.plans[r];
      if (V::kLookupRegisters == 0 && r + kAhead < task.plan_count)
        fetch_target<T>(task, task.plans[r + kAhead], first, last);
      if (!plan.constant) {
        pool_roi<V, Rule, T>(task, plan, first, last, ahead);
        continue;
      }
      T* out = static_cast<T*>(task.Y) + (plan.roi * task.channels + first) * bins;
      T fill;
      from_compute(plan.fill, fill);
      for (int64_t i = 0; i < (last - first) * bins; ++i) out[i] = fill;
    }
  }
}

template <class V, class T>
void pool(const PoolTask<typename V::Scalar>& task) {
  if (task.pooling == Pooling::kMean) pool_rule<V, Mean<V>, T>(task);
  if (task.pooling == Pooling::kMaxCorners) pool_rule<V, MaxCorners<V>, T>(task);
  if (task.pooling == Pooling::kMaxSamples) pool_rule<V, MaxSamples<V>, T>(task);
}

#undef ROIALIGN_INLINE
