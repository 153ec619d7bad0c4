// Pools RoIs that touch few pixels one pixel at a time, since the other ways do more work for each plane before they
// pool any. Part of pool.inl.

// The totals of one bin in several channels side by side, so that the additions of one channel do not wait for those of
// another. They are scalars: a gather of as many pixels takes longer than as many loads, 26.8 ms instead of 5.4 for
// 1000 RoIs of one pixel (AVX-512, Zen 4).
template <class Rule, int kChannels, class S>
struct BinTotals {
  explicit BinTotals(bool any) {
    const S start = Rule::kMax && any ? -std::numeric_limits<S>::infinity() : S{0};
    each<kChannels>([&](auto i) ROIALIGN_INLINE { totals[i] = start; });
  }

  template <class T>
  ROIALIGN_INLINE void add(const T* pixel, int64_t plane, S weight) {
    S sum = 0;
    each<kChannels>([&](auto i) ROIALIGN_INLINE {
      const S value = to_compute(pixel[i * plane]);
      totals[i] = Rule::kMax ? larger(totals[i], weight * value) : totals[i] + weight * value;
      if (Rule::kMax) sum += value;
    });
    if (Rule::kMax) seen += sum;
  }

  template <class T>
  ROIALIGN_INLINE void write(S least, T* to, int64_t bins) {
    each<kChannels>([&](auto i) ROIALIGN_INLINE {
      from_compute(Rule::kMax ? larger(totals[i], least) : totals[i], to[i * bins]);
      if (!Rule::kMax) seen += totals[i];
    });
  }

  S totals[kChannels];
  S seen = 0;
};

// Calls f(offset, weight) for each touched pixel of a bin; the weight is the product of a row's and a column's.
template <class S, class F>
inline ROIALIGN_INLINE void for_points(const RoiPlan<S>& plan, const Bin& row, const Bin& column, int64_t width,
                                       const F& f) {
  const Tap<S>* const rows = plan.rows.taps + row.first_tap;
  const Tap<S>* const columns = plan.columns.taps + column.first_tap;
  for (const Tap<S>* down = rows; down < rows + row.tap_count; ++down) {
    for (const Tap<S>* across = columns; across < columns + column.tap_count; ++across) {
      f(down->position * width + across->position, down->weight * across->weight);
    }
  }
}

// Pools kChannels channels of a RoI from its taps. Returns what pool_points() returns.
template <class V, class Rule, int kChannels, class T>
inline typename V::Scalar pool_taps(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                                    int64_t channel) {
  using S = typename V::Scalar;
  const int64_t bins = task.output_height * task.output_width;
  const T* const x = view_of<V, T>(task, plan, channel).plane;
  T* y = target_of<T>(task, plan, channel).bins;
  S seen = 0;
  for (int64_t p = 0; p < task.output_height; ++p) {
    const Bin& row = plan.rows.bins[p];
    for (int64_t q = 0; q < task.output_width; ++q, ++y) {
      const Bin& column = plan.columns.bins[q];
      BinTotals<Rule, kChannels, S> totals(row.tap_count > 0 && column.tap_count > 0);
      for_points(plan, row, column, task.width,
                 [&](int64_t offset, S weight) ROIALIGN_INLINE { totals.add(x + offset, task.plane, weight); });
      totals.write(least_of(task, row, column), y, bins);
      seen += totals.seen;
    }
  }
  return seen;
}

template <class S>
struct Point {
  int32_t offset;
  S weight;
};

// The points of a RoI, bin by bin.
template <class S>
struct PointList {
  Point<S> points[kMostPoints];
  struct {
    int32_t point_count;
    S least;
  } bins[kMostPoints];
};

template <class S>
inline void list_points(const PoolTask<S>& task, const RoiPlan<S>& plan, PointList<S>& list) {
  Point<S>* point = list.points;
  auto* bin = list.bins;
  for (int64_t p = 0; p < task.output_height; ++p) {
    const Bin& row = plan.rows.bins[p];
    for (int64_t q = 0; q < task.output_width; ++q, ++bin) {
      const Bin& column = plan.columns.bins[q];
      *bin = {row.tap_count * column.tap_count, least_of(task, row, column)};
      for_points(plan, row, column, task.width,
                 [&](int64_t offset, S weight) ROIALIGN_INLINE { *point++ = {static_cast<int32_t>(offset), weight}; });
    }
  }
}

// Pools kChannels channels of a RoI from its list. The loop is kept short, because the CPU then looks further ahead and
// reads more cache lines at a time.
template <class Rule, int kChannels, class T, class S>
inline S pool_listed(const PointList<S>& list, int64_t bins, int64_t plane, const T* x, T* y) {
  S seen = 0;
  const Point<S>* point = list.points;
  for (int64_t b = 0; b < bins; ++b) {
    const Point<S>* const end = point + list.bins[b].point_count;
    BinTotals<Rule, kChannels, S> totals(point < end);
    for (; point < end; ++point) totals.add(x + point->offset, plane, point->weight);
    totals.write(list.bins[b].least, y + b, bins);
    seen += totals.seen;
  }
  return seen;
}

// Pools the channels from c on from a list, eight at a time, and returns the first channel that is left. With four at a
// time, 1000 RoIs of one value and 1024 channels took 20.8 ms instead of 18.5.
template <class V, class Rule, class T>
__attribute__((noinline)) int64_t pool_from_list(const PoolTask<typename V::Scalar>& task,
                                                 const RoiPlan<typename V::Scalar>& plan, int64_t c,
                                                 typename V::Scalar& seen) {
  constexpr int kTogether = 8;
  const int64_t bins = task.output_height * task.output_width;
  const int64_t points = int64_t{plan.rows.tap_count} * plan.columns.tap_count;
  if (std::max(bins, points) > kMostPoints || task.plane > std::numeric_limits<int32_t>::max()) return c;
  PointList<typename V::Scalar> list;
  list_points(task, plan, list);
  const T* x = view_of<V, T>(task, plan, c).plane;
  T* y = target_of<T>(task, plan, c).bins;
  for (; c + kTogether <= task.last_channel; c += kTogether, x += kTogether * task.plane, y += kTogether * bins) {
    seen += pool_listed<Rule, kTogether>(list, bins, task.plane, x, y);
  }
  return c;
}

// Pools all channels of a RoI. Returns a sum that is infinite or NaN where some touched feature is.
template <class V, class Rule, class T>
inline typename V::Scalar pool_points(const PoolTask<typename V::Scalar>& task,
                                      const RoiPlan<typename V::Scalar>& plan) {
  constexpr int64_t kMany = 16;  // from this many channels on, points are listed. Unmeasured.
  int64_t c = task.first_channel;
  typename V::Scalar seen = 0;
  if (task.last_channel - c >= kMany) c = pool_from_list<V, Rule, T>(task, plan, c, seen);
  for (; c + 4 <= task.last_channel; c += 4) seen += pool_taps<V, Rule, 4, T>(task, plan, c);
  const int64_t left = task.last_channel - c;
  if (left == 3) seen += pool_taps<V, Rule, 3, T>(task, plan, c);
  if (left == 2) seen += pool_taps<V, Rule, 2, T>(task, plan, c);
  if (left == 1) seen += pool_taps<V, Rule, 1, T>(task, plan, c);
  return seen;
}
