// Pixel by pixel, for RoIs with few: what the others do once per plane would outweigh so little. Part of pool.inl.

template <class V, class Rule, int kChannels, class T>
inline ROIALIGN_INLINE void pool_points_of(const PoolTask<typename V::Scalar>& task,
                                           const RoiPlan<typename V::Scalar>& plan, int64_t channel) {
  using S = typename V::Scalar;
  const int64_t bins = task.output_height * task.output_width;
  const T* const x = view_of<V, T>(task, plan, channel).plane;
  T* y = target_of<T>(task, plan, channel).bins;
  for (int64_t p = 0; p < task.output_height; ++p) {
    const Bin& row = plan.rows.bins[p];
    for (int64_t q = 0; q < task.output_width; ++q, ++y) {
      const Bin& column = plan.columns.bins[q];
      const bool any = row.tap_count > 0 && column.tap_count > 0;
      S totals[kChannels];
      each<kChannels>(
          [&](auto i) ROIALIGN_INLINE { totals[i] = Rule::kMax && any ? -std::numeric_limits<S>::infinity() : S{0}; });
      for (int32_t j = row.first_tap; j < row.first_tap + row.tap_count; ++j) {
        const Tap<S>& down = plan.rows.taps[j];
        const T* const from = x + down.position * task.width;
        for (int32_t k = column.first_tap; k < column.first_tap + column.tap_count; ++k) {
          const Tap<S>& across = plan.columns.taps[k];
          const S weight = down.weight * across.weight;
          each<kChannels>([&](auto i) ROIALIGN_INLINE {
            const S value = weight * to_compute(from[i * task.plane + across.position]);
            totals[i] = Rule::kMax ? larger(totals[i], value) : totals[i] + value;
          });
        }
      }
      const bool dropped = Rule::kMax && (row.dropped || column.dropped);
      each<kChannels>(
          [&](auto i) ROIALIGN_INLINE { from_compute(dropped ? larger(totals[i], S{0}) : totals[i], y[i * bins]); });
    }
  }
}

// A few channels side by side, so that one's additions do not wait for the other's. Scalars: a gather of as many pixels
// takes longer than their loads, 26.8 ms against 5.4 for 1000 RoIs of one pixel (AVX-512, Zen 4).
template <class V, class Rule, class T>
inline void pool_points(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan) {
  int64_t c = task.first_channel;
  for (; c + 4 <= task.last_channel; c += 4) pool_points_of<V, Rule, 4, T>(task, plan, c);
  const int64_t left = task.last_channel - c;
  if (left == 3) pool_points_of<V, Rule, 3, T>(task, plan, c);
  if (left == 2) pool_points_of<V, Rule, 2, T>(task, plan, c);
  if (left == 1) pool_points_of<V, Rule, 1, T>(task, plan, c);
}
