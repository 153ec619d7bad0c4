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
// each one's chain of multiply-adds: four took fpn_box_7x7_s2 from @ to @ ms on AVX-512.
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

// ---- A bin a lane: the swept row stays in R registers, and the second step looks columns up in them.

template <class V, class Rule, int B, int R>
inline ROIALIGN_INLINE void across(const Strip<typename V::Scalar>& strip, const typename V::Reg (&swept)[B][R],
                                   typename V::Reg (&bins)[B]) {
  constexpr int kLanes = V::kLanes;
  for (int32_t k = 0; k < strip.taps; k += Rule::kPairs ? 2 : 1) {
    const int32_t* index = strip.index + k * kLanes;
    const typename V::Scalar* weights = strip.weight + k * kLanes;
    const typename V::Reg weight = V::load(weights);
    each<B>([&](auto b) ROIALIGN_INLINE {
      if constexpr (Rule::kPairs) {
        const typename V::Reg low = V::multiply(weight, V::lookup(swept[b], index));
        const typename V::Reg high = V::lookup(swept[b], index + kLanes);
        bins[b] = V::max(bins[b], V::multiply_add(V::load(weights + kLanes), high, low));
      } else {
        bins[b] = Rule::step(bins[b], weight, V::lookup(swept[b], index));
      }
    });
  }
}

// B rows of bins, none of them empty.
template <class V, class Rule, bool kListed, int R, int B, class T>
inline ROIALIGN_INLINE void strip_rows(const RoiPlan<typename V::Scalar>& plan, const Strip<typename V::Scalar>& strip,
                                       const View<T>& view, const BinRow* rows, typename V::Reg (&bins)[B]) {
  typename V::Reg swept[B][R];
  const RowTap<typename V::Scalar>* taps[B];
  each<B>([&](auto b) ROIALIGN_INLINE {
    taps[b] = plan.row_taps + rows[b].first_tap;
    bins[b] = Rule::kMax ? V::lowest() : V::zero();
  });
  if constexpr (Rule::kPairs) {
    for (int32_t t = 0; t < rows[0].tap_count; t += 2) {
      sweep<V, Rule, kListed>(strip.window, view, taps, 2, 0, swept);
      across<V, Rule>(strip, swept, bins);
      each<B>([&](auto b) ROIALIGN_INLINE { taps[b] += 2; });
    }
  } else {
    sweep<V, Rule, kListed>(strip.window, view, taps, rows[0].tap_count, 0, swept);
    across<V, Rule>(strip, swept, bins);
  }
  each<B>([&](auto b) ROIALIGN_INLINE {
    if (strip.keep != nullptr) bins[b] = V::keep(bins[b], strip.keep);
    if constexpr (Rule::kMax) {
      bins[b] = V::max(bins[b], V::load(strip.floor));
      if (rows[b].dropped) bins[b] = V::max(bins[b], V::zero());
    }
  });
}

template <class V, class Rule, bool kListed, int R, class T>
inline ROIALIGN_INLINE void strip_plane(const PoolTask<typename V::Scalar>& task,
                                        const RoiPlan<typename V::Scalar>& plan, const Strip<typename V::Scalar>& strip,
                                        const View<T>& view, const Target<T>& target) {
  constexpr int kRows = 4;
  const int64_t height = task.output_height, width = task.output_width;
  if (plan.full_rows && strip.taps > 0 && height >= kRows) {
    for (int64_t p = 0; p < height; p += kRows) {
      p = p + kRows > height ? height - kRows : p;  // the last four once more rather than the rest one by one
      typename V::Reg bins[kRows];
      strip_rows<V, Rule, kListed, R>(plan, strip, view, plan.rows + p, bins);
      each<kRows>([&](auto b) ROIALIGN_INLINE {
        store_bins<V>(target, (p + b) * width + strip.first_bin, bins[b], strip.bins);
      });
    }
    return;
  }
  for (int64_t p = 0; p < height; ++p) {
    typename V::Reg bins[1] = {V::zero()};
    const BinRow* row = plan.rows + p;
    if (row->tap_count > 0 && strip.taps > 0) strip_rows<V, Rule, kListed, R>(plan, strip, view, row, bins);
    store_bins<V>(target, p * width + strip.first_bin, bins[0], strip.bins);
  }
}

// Not inlined: on its own it gets the registers that the loops around it would take.
template <class V, class Rule, bool kListed, int R, class T>
__attribute__((noinline)) void pool_strip(const PoolTask<typename V::Scalar>& task,
                                          const RoiPlan<typename V::Scalar>& plan,
                                          const Strip<typename V::Scalar>& strip, int64_t first, int64_t last,
                                          Ahead<T>& ahead) {
  for (int64_t c = first; c < last; ++c) {
    ahead.step();
    const View<T> view = view_of<V, T>(task, plan, c, strip.window);
    strip_plane<V, Rule, kListed, R>(task, plan, strip, view, target_of<T>(task, plan, c));
  }
}

template <class V, class Rule, bool kListed, class T>
inline void pool_strip_of(int32_t registers, const PoolTask<typename V::Scalar>& task,
                          const RoiPlan<typename V::Scalar>& plan, const Strip<typename V::Scalar>& strip,
                          int64_t first, int64_t last, Ahead<T>& ahead) {
  if (registers <= 1) pool_strip<V, Rule, kListed, 1>(task, plan, strip, first, last, ahead);
  if (registers == 2) pool_strip<V, Rule, kListed, 2>(task, plan, strip, first, last, ahead);
  if (registers == 3) pool_strip<V, Rule, kListed, 3>(task, plan, strip, first, last, ahead);
  if (registers == 4) pool_strip<V, Rule, kListed, 4>(task, plan, strip, first, last, ahead);
}

template <class V, class Rule, class T>
inline void pool_strips(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                        int64_t first, int64_t last, Ahead<T>& ahead) {
  for (int32_t s = 0; s < plan.strip_count; ++s) {
    const auto& strip = plan.strips[s];
    const int32_t registers = (strip.window.columns + V::kLanes - 1) / V::kLanes;
    if (strip.window.list != nullptr) {
      pool_strip_of<V, Rule, true>(registers, task, plan, strip, first, last, ahead);
    } else {
      pool_strip_of<V, Rule, false>(registers, task, plan, strip, first, last, ahead);
    }
  }
}

// ---- A row a lane: as many swept rows as a vector has lanes are transposed, and then a bin's taps are plain loads.

template <class S>
struct Scratch {
  int64_t stride;
  S* swept;   // lanes rows of stride columns
  S* turned;  // stride columns of lanes rows
  S* pooled;  // output_width bins of lanes rows
};

// B rows of bins with as many taps each; of their samples the one that round asks for, the last again where there are
// fewer.
template <class V, class Rule, bool kListed, int B, class T>
inline void sweep_rows(const RoiPlan<typename V::Scalar>& plan, const View<T>& view, const BinRow* first, int32_t round,
                       typename V::Scalar* swept, int64_t stride) {
  const RowTap<typename V::Scalar>* rows[B];
  int32_t count = first->tap_count;
  const int32_t skip = !Rule::kPairs || count == 0 ? 0 : 2 * round < count ? 2 * round : count - 2;
  if (Rule::kPairs && count > 0) count = 2;
  each<B>([&](auto b) ROIALIGN_INLINE { rows[b] = plan.row_taps + first[b].first_tap + skip; });
  int32_t column = 0;
  const auto take = [&](auto number) ROIALIGN_INLINE {
    constexpr int kVectors = decltype(number)::value;
    typename V::Reg taken[B][kVectors];
    sweep<V, Rule, kListed>(plan.window, view, rows, count, column, taken);
    each<B * kVectors>([&](auto i) ROIALIGN_INLINE {
      V::store(swept + i / kVectors * stride + column + i % kVectors * V::kLanes, taken[i / kVectors][i % kVectors]);
    });
    column += kVectors * V::kLanes;
  };
  int32_t vectors = (plan.window.columns + V::kLanes - 1) / V::kLanes;
  for (; vectors >= 4; vectors -= 4) take(std::integral_constant<int, 4>());
  if (vectors == 3) take(std::integral_constant<int, 3>());
  if (vectors == 2) take(std::integral_constant<int, 2>());
  if (vectors == 1) take(std::integral_constant<int, 1>());
}

// The first step for a group of rows.
template <class V, class Rule, bool kListed, class T>
inline void sweep_group(const RoiPlan<typename V::Scalar>& plan, const View<T>& view, int64_t first, int rows,
                        int32_t round, const Scratch<typename V::Scalar>& scratch) {
  int i = 0;
  for (; plan.full_rows && i + 2 <= rows; i += 2) {
    sweep_rows<V, Rule, kListed, 2>(plan, view, plan.rows + first + i, round, scratch.swept + i * scratch.stride,
                                    scratch.stride);
  }
  for (; i < rows; ++i) {
    sweep_rows<V, Rule, kListed, 1>(plan, view, plan.rows + first + i, round, scratch.swept + i * scratch.stride,
                                    scratch.stride);
  }
}

// B bins that have as many taps each.
template <class V, class Rule, int B>
inline ROIALIGN_INLINE void bin_columns(const ColumnTap<typename V::Scalar>* const (&taps)[B], int32_t count,
                                        const typename V::Scalar* turned, typename V::Reg (&bins)[B]) {
  const auto weigh = [&](const ColumnTap<typename V::Scalar>& tap) ROIALIGN_INLINE { return V::broadcast(tap.weight); };
  const auto look_up = [&](const ColumnTap<typename V::Scalar>& tap)
                           ROIALIGN_INLINE { return V::load(turned + int64_t{tap.column} * V::kLanes); };
  for (int32_t k = 0; k < count; k += Rule::kPairs ? 2 : 1) {
    each<B>([&](auto b) ROIALIGN_INLINE {
      if constexpr (Rule::kPairs) {
        const auto low = V::multiply(weigh(taps[b][k]), look_up(taps[b][k]));
        bins[b] = V::max(bins[b], V::multiply_add(weigh(taps[b][k + 1]), look_up(taps[b][k + 1]), low));
      } else {
        bins[b] = Rule::step(bins[b], weigh(taps[b][k]), look_up(taps[b][k]));
      }
    });
  }
}

// The second step for a group of rows: pooled holds what earlier rounds left there.
template <class V, class Rule>
inline void pool_turned(const RoiPlan<typename V::Scalar>& plan, int64_t bins, bool first_round,
                        const Scratch<typename V::Scalar>& scratch) {
  const auto pool = [&](auto number, int64_t b) ROIALIGN_INLINE {
    constexpr int kBins = decltype(number)::value;
    const ColumnTap<typename V::Scalar>* taps[kBins];
    typename V::Reg pooled[kBins];
    each<kBins>([&](auto i) ROIALIGN_INLINE {
      taps[i] = plan.column_taps + plan.columns[b + i].first_tap;
      const auto start = Rule::kPairs ? V::lowest() : Rule::start();
      pooled[i] = first_round ? start : V::load(scratch.pooled + (b + i) * V::kLanes);
    });
    bin_columns<V, Rule>(taps, plan.columns[b].tap_count, scratch.turned, pooled);
    each<kBins>([&](auto i) ROIALIGN_INLINE { V::store(scratch.pooled + (b + i) * V::kLanes, pooled[i]); });
  };
  int64_t b = 0;
  for (; plan.full_columns && b + 4 <= bins; b += 4) pool(std::integral_constant<int, 4>(), b);
  for (; b < bins; ++b) pool(std::integral_constant<int, 1>(), b);
}

// The max's last word on a group of rows: a dropped sample counts as 0, and a bin without samples inside is 0.
template <class V>
inline void finish_max(const RoiPlan<typename V::Scalar>& plan, int64_t first, int rows, int64_t bins,
                       typename V::Scalar* pooled) {
  using S = typename V::Scalar;
  S floor[V::kLanes] = {};
  S keep[V::kLanes] = {};
  for (int i = 0; i < rows; ++i) {
    const BinRow& row = plan.rows[first + i];
    floor[i] = row.dropped ? S{0} : -std::numeric_limits<S>::infinity();
    std::memset(&keep[i], row.tap_count > 0 ? 0xff : 0, sizeof(S));
  }
  for (int64_t b = 0; b < bins; ++b) {
    auto bin = V::load(pooled + b * V::kLanes);
    const BinColumn& column = plan.columns[b];
    if (column.tap_count == 0) bin = V::zero();
    if (column.dropped) bin = V::max(bin, V::zero());
    V::store(pooled + b * V::kLanes, V::keep(V::max(bin, V::load(floor)), keep));
  }
}

template <class V, class T>
inline void store_group(const typename V::Scalar* pooled, const Target<T>& target, int64_t at, int64_t width,
                        int rows) {
  constexpr int kLanes = V::kLanes;
  // From the last bins to the first: what a full store spills over is written after it.
  for (int64_t b = (width - 1) / kLanes * kLanes; b >= 0; b -= kLanes) {
    alignas(64) typename V::Scalar block[kLanes * kLanes];
    V::transpose(pooled + b * kLanes, kLanes, block);
    const int bins = static_cast<int>(width - b < kLanes ? width - b : kLanes);
    for (int i = 0; i < rows; ++i) store_bins<V>(target, at + i * width + b, V::load(block + i * kLanes), bins);
  }
}

template <class V, class Rule, class T>
inline void pool_columns(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                         const View<T>& view, const Target<T>& target) {
  using S = typename V::Scalar;
  constexpr int kLanes = V::kLanes;
  const int64_t stride = (plan.window.columns + kLanes - 1) / kLanes * kLanes;
  const Scratch<S> scratch{stride, task.scratch, task.scratch + kLanes * stride, task.scratch + 2 * kLanes * stride};
  for (int64_t first = 0; first < task.output_height; first += kLanes) {
    const int rows = static_cast<int>(task.output_height - first < kLanes ? task.output_height - first : kLanes);
    int32_t rounds = 1;
    for (int i = 0; Rule::kPairs && i < rows; ++i) {
      const int32_t samples = plan.rows[first + i].tap_count / 2;
      rounds = rounds < samples ? samples : rounds;
    }
    for (int32_t round = 0; round < rounds; ++round) {
      if (plan.window.list != nullptr) {
        sweep_group<V, Rule, true>(plan, view, first, rows, round, scratch);
      } else {
        sweep_group<V, Rule, false>(plan, view, first, rows, round, scratch);
      }
      for (int64_t c = 0; c < stride; c += kLanes) {
        V::transpose(scratch.swept + c, stride, scratch.turned + c * kLanes);
      }
      pool_turned<V, Rule>(plan, task.output_width, round == 0, scratch);
    }
    if constexpr (Rule::kMax) finish_max<V>(plan, first, rows, task.output_width, scratch.pooled);
    store_group<V>(scratch.pooled, target, first * task.output_width, task.output_width, rows);
  }
}

// ---- A channel a lane, for RoIs with few points: the others' work per plane would outweigh so few.

template <class V, class Rule, class T>
inline void pool_points(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                        int64_t first, int64_t last) {
  constexpr int kLanes = V::kLanes;
  const int64_t bins = task.output_height * task.output_width;
  for (int64_t c = first; c < last; c += kLanes) {
    const int lanes = static_cast<int>(last - c < kLanes ? last - c : kLanes);
    int32_t planes[kLanes];
    for (int l = 0; l < kLanes; ++l) planes[l] = l < lanes ? static_cast<int32_t>(l * task.plane) : -1;
    const T* x = static_cast<const T*>(task.X) + (plan.image * task.channels + c) * task.plane;
    T* y = static_cast<T*>(task.Y) + (plan.roi * task.channels + c) * bins;
    for (int64_t b = 0; b < bins; ++b) {
      const BinPoints& bin = plan.bins[b];
      const auto* points = plan.points + bin.first_point;
      auto total = Rule::start();
      for (int32_t i = 0; i < bin.point_count; ++i) {
        total = Rule::step(total, V::broadcast(points[i].weight), V::gather(x + points[i].offset, planes));
      }
      if (Rule::kMax && bin.dropped) total = V::max(total, V::zero());
      if (bin.point_count == 0) total = V::zero();
      T pooled[kLanes];
      V::store(pooled, total);
      for (int l = 0; l < lanes; ++l) y[l * bins + b] = pooled[l];
    }
  }
}

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
