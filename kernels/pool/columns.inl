// Pools RoIs with neighbouring columns as a vector. As many swept rows as a vector has lanes are transposed, so that
// the taps of a bin are plain loads. Part of pool.inl.

template <class S>
struct Scratch {
  int64_t stride;
  S* swept;   // as many rows as a vector has lanes, each of stride columns
  S* turned;  // the same transposed: each column is a vector
  S* pooled;  // a row of bins: each bin is a vector
};

// Sweeps B rows of bins that have the same number of taps. By the rule over samples it takes the sample of that round,
// or the last one where there are fewer.
template <class V, class Rule, bool kListed, int B, class T>
inline void sweep_rows(const RoiPlan<typename V::Scalar>& plan, const View<T>& view, const Bin* first, int32_t round,
                       typename V::Scalar* swept, int64_t stride, typename V::Reg& seen) {
  const Tap<typename V::Scalar>* rows[B];
  each<B>([&](auto b) ROIALIGN_INLINE { rows[b] = taps_of_round<Rule>(plan, first[b], round).taps; });
  const int32_t count = taps_of_round<Rule>(plan, *first, round).count;
  int32_t column = 0;
  const auto take = [&](auto number) ROIALIGN_INLINE {
    constexpr int kVectors = decltype(number)::value;
    typename V::Reg taken[B][kVectors];
    sweep<V, Rule, kListed>(plan.window, view, rows, count, column, taken, seen);
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

// Does the first step, down, for a group of rows.
template <class V, class Rule, bool kListed, class T>
inline void sweep_group(const RoiPlan<typename V::Scalar>& plan, const View<T>& view, int64_t first, int rows,
                        int32_t round, const Scratch<typename V::Scalar>& scratch, typename V::Reg& seen) {
  int i = 0;
  for (; plan.rows.full && i + 2 <= rows; i += 2) {
    sweep_rows<V, Rule, kListed, 2>(plan, view, plan.rows.bins + first + i, round, scratch.swept + i * scratch.stride,
                                    scratch.stride, seen);
  }
  for (; i < rows; ++i) {
    sweep_rows<V, Rule, kListed, 1>(plan, view, plan.rows.bins + first + i, round, scratch.swept + i * scratch.stride,
                                    scratch.stride, seen);
  }
}

// Pools B bins that have the same number of taps.
template <class V, class Rule, int B>
inline ROIALIGN_INLINE void bin_columns(const Tap<typename V::Scalar>* const (&taps)[B], int32_t count,
                                        const typename V::Scalar* turned, typename V::Reg (&bins)[B]) {
  const auto weigh = [&](const Tap<typename V::Scalar>& tap) ROIALIGN_INLINE { return V::broadcast(tap.weight); };
  const auto look_up = [&](const Tap<typename V::Scalar>& tap)
                           ROIALIGN_INLINE { return V::load(turned + int64_t{tap.position} * V::kLanes); };
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

// Does the second step, across, for a group of rows. scratch.pooled holds the result of earlier rounds.
template <class V, class Rule>
inline void pool_turned(const RoiPlan<typename V::Scalar>& plan, int64_t bins, bool first_round,
                        const Scratch<typename V::Scalar>& scratch) {
  const auto pool = [&](auto number, int64_t b) ROIALIGN_INLINE {
    constexpr int kBins = decltype(number)::value;
    const Tap<typename V::Scalar>* taps[kBins];
    typename V::Reg pooled[kBins];
    each<kBins>([&](auto i) ROIALIGN_INLINE {
      taps[i] = plan.columns.taps + plan.columns.bins[b + i].first_tap;
      const auto start = Rule::kPairs ? V::lowest() : Rule::start();
      pooled[i] = first_round ? start : V::load(scratch.pooled + (b + i) * V::kLanes);
    });
    bin_columns<V, Rule>(taps, plan.columns.bins[b].tap_count, scratch.turned, pooled);
    each<kBins>([&](auto i) ROIALIGN_INLINE { V::store(scratch.pooled + (b + i) * V::kLanes, pooled[i]); });
  };
  int64_t b = 0;
  for (; plan.columns.full && b + 4 <= bins; b += 4) pool(std::integral_constant<int, 4>(), b);
  for (; b < bins; ++b) pool(std::integral_constant<int, 1>(), b);
}

// Finishes the max of a group of rows: a bin without samples inside the map becomes 0, and no bin is less than
// least_of().
template <class V>
inline void finish_max(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan, int64_t first,
                       int rows, typename V::Scalar* pooled) {
  using S = typename V::Scalar;
  S least[V::kLanes] = {};
  S keep[V::kLanes] = {};
  for (int i = 0; i < rows; ++i) {
    const Bin& row = plan.rows.bins[first + i];
    least[i] = row.dropped ? task.least_dropped : task.least;
    std::memset(&keep[i], row.tap_count > 0 ? 0xff : 0, sizeof(S));
  }
  const auto least_dropped = V::broadcast(task.least_dropped);
  for (int64_t b = 0; b < task.output_width; ++b) {
    const Bin& column = plan.columns.bins[b];
    auto bin = column.tap_count == 0 ? V::zero() : V::keep(V::load(pooled + b * V::kLanes), keep);
    if (column.dropped) bin = V::max(bin, least_dropped);
    V::store(pooled + b * V::kLanes, V::max(bin, V::load(least)));
  }
}

template <class V, class T>
inline void store_group(const typename V::Scalar* pooled, const Target<T>& target, int64_t at, int64_t width,
                        int rows) {
  constexpr int kLanes = V::kLanes;
  // Goes from the last bins to the first, so that where a full store runs over into other bins, those are written
  // later.
  for (int64_t b = (width - 1) / kLanes * kLanes; b >= 0; b -= kLanes) {
    alignas(64) typename V::Scalar block[kLanes * kLanes];
    V::transpose(pooled + b * kLanes, kLanes, block, kLanes);
    const int bins = static_cast<int>(width - b < kLanes ? width - b : kLanes);
    for (int i = 0; i < rows; ++i) store_bins<V>(target, at + i * width + b, V::load(block + i * kLanes), bins);
  }
}

// Returns false where the RoI touches an infinite or NaN feature, and sometimes where an earlier RoI did.
template <class V, class Rule, class T>
inline bool pool_columns(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                         const View<T>& view, const Target<T>& target) {
  using S = typename V::Scalar;
  constexpr int kLanes = V::kLanes;
  const int64_t stride = (plan.window.columns + kLanes - 1) / kLanes * kLanes;
  auto seen = V::zero();
  const Scratch<S> scratch{stride, task.scratch, task.scratch + kLanes * stride, task.scratch + 2 * kLanes * stride};
  for (int64_t first = 0; first < task.output_height; first += kLanes) {
    const int rows = static_cast<int>(task.output_height - first < kLanes ? task.output_height - first : kLanes);
    const int32_t rounds = rounds_of<Rule>(plan.rows.bins + first, rows);
    for (int32_t round = 0; round < rounds; ++round) {
      if (plan.window.list != nullptr) {
        sweep_group<V, Rule, true>(plan, view, first, rows, round, scratch, seen);
      } else {
        sweep_group<V, Rule, false>(plan, view, first, rows, round, scratch, seen);
      }
      for (int64_t c = 0; c < stride; c += kLanes) {
        V::transpose(scratch.swept + c, stride, scratch.turned + c * kLanes, kLanes);
      }
      pool_turned<V, Rule>(plan, task.output_width, round == 0, scratch);
    }
    if constexpr (Rule::kMax) {
      finish_max<V>(task, plan, first, rows, scratch.pooled);
    } else {
      for (int64_t b = 0; b < task.output_width; ++b) seen = V::add(seen, V::load(scratch.pooled + b * kLanes));
    }
    store_group<V>(scratch.pooled, target, first * task.output_width, task.output_width, rows);
  }
  return V::all_finite(seen);
}
