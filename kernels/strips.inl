// A bin a lane: the swept row stays in R registers, and the second step looks columns up in them. Part of pool.inl.

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
