// The pooling, written once over a vector type V and an element type T. Included by each isa_*.cpp inside its own
// namespace and target region, so that no other file's code is compiled for that instruction set.
//
// A strip's row of bins is pooled in two steps: down its touched rows, over neighbouring columns (loads and
// multiply-adds only), then across, each bin picking its columns out of that one row. The second step runs once per
// row of bins, not once per row of the map.

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

// Bins of one row from the row that the first step made; pick(index) answers the columns at index, a bin a lane.
template <class V, class Rule, class Pick>
inline typename V::Reg across(const Strip<typename V::Scalar>& strip, Pick pick) {
  using Reg = typename V::Reg;
  constexpr int kLanes = V::kLanes;
  Reg total = Rule::kMax ? V::lowest() : V::zero();
  if constexpr (Rule::kPairs) {
    for (int32_t k = 0; k < strip.taps; k += 2) {
      const Reg low = V::multiply(V::load(strip.weight + k * kLanes), pick(strip.index + k * kLanes));
      total = V::max(
          total, V::multiply_add(V::load(strip.weight + (k + 1) * kLanes), pick(strip.index + (k + 1) * kLanes), low));
    }
  } else {
    for (int32_t k = 0; k < strip.taps; ++k) {
      total = Rule::step(total, V::load(strip.weight + k * kLanes), pick(strip.index + k * kLanes));
    }
  }
  return total;
}

// One plane and one strip as the loops below see them.
template <class S, class T>
struct View {
  const Strip<S>& strip;
  const T* plane;    // at the strip's first column
  bool may_overrun;  // a full vector load past the last column stays inside X
  S* scratch;
};

template <class V, class T>
inline typename V::Reg load_tail(const T* from, int32_t count, bool may_overrun) {
  if constexpr (V::kMasks) {
    return V::load_first(from, count);
  } else {
    return may_overrun ? V::load(from) : V::load_first(from, count);
  }
}

// The first step with the row kept in R registers and the second as lookups among them.
template <int R>
struct InRegisters {
  template <class V, class Rule, class T>
  static inline typename V::Reg pool(const View<typename V::Scalar, T>& view, const RowTap<typename V::Scalar>* taps,
                                     int32_t count) {
    using Reg = typename V::Reg;
    constexpr int kLanes = V::kLanes;
    Reg row[R];
    for (int r = 0; r < R; ++r) row[r] = Rule::start();
    const int32_t tail = view.strip.columns - (R - 1) * kLanes;
    for (int32_t t = 0; t < count; ++t) {
      const T* from = view.plane + taps[t].offset;
      const Reg weight = V::broadcast(taps[t].weight);
      for (int r = 0; r < R - 1; ++r) row[r] = Rule::step(row[r], weight, V::load(from + r * kLanes));
      row[R - 1] = Rule::step(row[R - 1], weight, V::load_first(from + (R - 1) * kLanes, tail));
    }
    return across<V, Rule>(view.strip, [&](const int32_t* index) { return V::lookup(row, index); });
  }
};

// The same with the row in memory: any width.
struct InScratch {
  template <class V, class Rule, class T, int R>
  static inline void sweep(const View<typename V::Scalar, T>& view, const RowTap<typename V::Scalar>* taps,
                           int32_t count, int32_t column, int32_t tail) {
    using Reg = typename V::Reg;
    constexpr int kLanes = V::kLanes;
    Reg row[R];
    for (int r = 0; r < R; ++r) row[r] = Rule::start();
    for (int32_t t = 0; t < count; ++t) {
      const T* from = view.plane + taps[t].offset + column;
      const Reg weight = V::broadcast(taps[t].weight);
      for (int r = 0; r < R - 1; ++r) row[r] = Rule::step(row[r], weight, V::load(from + r * kLanes));
      const Reg last = tail == kLanes ? V::load(from + (R - 1) * kLanes)
                                      : load_tail<V>(from + (R - 1) * kLanes, tail, view.may_overrun);
      row[R - 1] = Rule::step(row[R - 1], weight, last);
    }
    for (int r = 0; r < R; ++r) V::store(view.scratch + column + r * kLanes, row[r]);
  }

  template <class V, class Rule, class T>
  static inline typename V::Reg pool(const View<typename V::Scalar, T>& view, const RowTap<typename V::Scalar>* taps,
                                     int32_t count) {
    constexpr int kLanes = V::kLanes;
    const int32_t columns = view.strip.columns;
    int32_t column = 0;
    for (; columns - column > 4 * kLanes; column += 4 * kLanes) sweep<V, Rule, T, 4>(view, taps, count, column, kLanes);
    const int32_t left = columns - column;
    const int32_t vectors = (left + kLanes - 1) / kLanes;
    const int32_t tail = left - (vectors - 1) * kLanes;
    if (vectors == 1) sweep<V, Rule, T, 1>(view, taps, count, column, tail);
    if (vectors == 2) sweep<V, Rule, T, 2>(view, taps, count, column, tail);
    if (vectors == 3) sweep<V, Rule, T, 3>(view, taps, count, column, tail);
    if (vectors == 4) sweep<V, Rule, T, 4>(view, taps, count, column, tail);
    view.scratch[columns] = 0;  // where the mean's padding points
    return across<V, Rule>(view.strip, [&](const int32_t* index) { return V::pick(view.scratch, index); });
  }
};

// For taps far apart: the second step first, straight from the map's rows, then down.
struct Gathered {
  template <class V, class Rule, class T>
  static inline typename V::Reg pool(const View<typename V::Scalar, T>& view, const RowTap<typename V::Scalar>* taps,
                                     int32_t count) {
    using Reg = typename V::Reg;
    constexpr int kLanes = V::kLanes;
    const Strip<typename V::Scalar>& strip = view.strip;
    Reg total = Rule::kMax ? V::lowest() : V::zero();
    if constexpr (Rule::kPairs) {  // a pair of rows is one sample: interpolate down for each column before the max
      for (int32_t k = 0; k < strip.taps; k += 2) {
        Reg sample = V::zero();
        for (int32_t j = k; j < k + 2; ++j) {
          Reg column = V::zero();
          for (int32_t t = 0; t < count; ++t) {
            column = V::multiply_add(V::broadcast(taps[t].weight),
                                     V::gather(view.plane + taps[t].offset, strip.index + j * kLanes), column);
          }
          sample = V::multiply_add(V::load(strip.weight + j * kLanes), column, sample);
        }
        total = V::max(total, sample);
      }
    } else {
      for (int32_t t = 0; t < count; ++t) {
        const T* row = view.plane + taps[t].offset;
        const Reg bins = across<V, Rule>(strip, [&](const int32_t* index) { return V::gather(row, index); });
        total = Rule::step(total, V::broadcast(taps[t].weight), bins);
      }
    }
    return total;
  }
};

template <class V, class Rule>
inline typename V::Reg finish(const Strip<typename V::Scalar>& strip, const BinRow& row, typename V::Reg bins) {
  if (strip.keep != nullptr) bins = V::keep(bins, strip.keep);
  if constexpr (Rule::kMax) {
    bins = V::max(bins, V::load(strip.floor));
    if (row.dropped) bins = V::max(bins, V::zero());
  }
  return bins;
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

template <class V, class Rule, class T, class Way>
inline void pool_strip(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                       const Strip<typename V::Scalar>& strip, int64_t first, int64_t last, Ahead<T>& ahead) {
  using S = typename V::Scalar;
  using Reg = typename V::Reg;
  const T* const x = static_cast<const T*>(task.X);
  T* const y = static_cast<T*>(task.Y);
  const int64_t bins = task.output_height * task.output_width;
  // A full vector store may run over into bins that are written later, but not past this task's part of the RoI.
  T* const limit = y + (plan.roi * task.channels + task.last_channel) * bins;
  for (int64_t c = first; c < last; ++c) {
    ahead.step();
    const int64_t plane = (plan.image * task.channels + c) * task.plane;
    const View<S, T> view{strip, x + plane + strip.window, plane + task.plane + V::kLanes <= task.x_elements,
                          task.scratch};
    T* out = y + (plan.roi * task.channels + c) * bins + strip.first_bin;
    for (int64_t p = 0; p < task.output_height; ++p, out += task.output_width) {
      const BinRow& row = plan.rows[p];
      const RowTap<S>* taps = plan.row_taps + row.first_tap;
      Reg result;
      if (row.tap_count == 0 || strip.taps == 0) {
        result = V::zero();
      } else if constexpr (Rule::kPairs) {
        result = V::lowest();
        for (int32_t t = 0; t < row.tap_count; t += 2) {
          result = V::max(result, Way::template pool<V, Rule>(view, taps + t, 2));
        }
        result = finish<V, Rule>(strip, row, result);
      } else {
        result = finish<V, Rule>(strip, row, Way::template pool<V, Rule>(view, taps, row.tap_count));
      }
      if (limit - out >= V::kLanes) {
        V::store(out, result);
      } else {
        V::store_first(out, result, strip.bins);
      }
    }
  }
}

template <class V, class Rule, class T>
inline void pool_roi(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan, int64_t first,
                     int64_t last, Ahead<T>& ahead) {
  // From the last strip to the first: what a strip's full store spills over is written after it.
  for (int32_t s = plan.strip_count - 1; s >= 0; --s) {
    const auto& strip = plan.strips[s];
    const int32_t registers = strip.columns / V::kLanes + 1;  // one lane at least stays zero, for the padding
    if (strip.gather) {
      pool_strip<V, Rule, T, Gathered>(task, plan, strip, first, last, ahead);
    } else if (registers > V::kLookupRegisters) {
      pool_strip<V, Rule, T, InScratch>(task, plan, strip, first, last, ahead);
    } else if constexpr (V::kLookupRegisters >= 4) {
      if (registers == 1) pool_strip<V, Rule, T, InRegisters<1>>(task, plan, strip, first, last, ahead);
      if (registers == 2) pool_strip<V, Rule, T, InRegisters<2>>(task, plan, strip, first, last, ahead);
      if (registers == 3) pool_strip<V, Rule, T, InRegisters<3>>(task, plan, strip, first, last, ahead);
      if (registers == 4) pool_strip<V, Rule, T, InRegisters<4>>(task, plan, strip, first, last, ahead);
    }
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
