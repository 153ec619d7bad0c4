// Pixel by pixel, for RoIs with few: what the others do once per plane would outweigh so little. Part of pool.inl.

template <class V, class Rule, int kChannels, class T>
inline ROIALIGN_INLINE void pool_points_of(const PoolTask<typename V::Scalar>& task,
                                           const RoiPlan<typename V::Scalar>& plan, int64_t channel) {
  using S = typename V::Scalar;
  const int64_t bins = task.output_height * task.output_width;
  const T* const x = static_cast<const T*>(task.X) + (plan.image * task.channels + channel) * task.plane;
  T* const y = target_of<T>(task, plan, channel).bins;
  for (int64_t b = 0; b < bins; ++b) {
    const BinPoints& bin = plan.bins[b];
    const Point<S>* points = plan.points + bin.first_point;
    S totals[kChannels];
    const S start = Rule::kMax && bin.point_count > 0 ? -std::numeric_limits<S>::infinity() : S{0};
    each<kChannels>([&](auto i) ROIALIGN_INLINE { totals[i] = start; });
    for (int32_t p = 0; p < bin.point_count; ++p) {
      each<kChannels>([&](auto i) ROIALIGN_INLINE {
        const S value = points[p].weight * to_compute(x[i * task.plane + points[p].offset]);
        totals[i] = Rule::kMax ? larger(totals[i], value) : totals[i] + value;
      });
    }
    each<kChannels>([&](auto i) ROIALIGN_INLINE {
      from_compute(Rule::kMax && bin.dropped ? larger(totals[i], S{0}) : totals[i], y[i * bins + b]);
    });
  }
}

// A few channels side by side, so that one's additions do not wait for the other's. Scalars: a gather of as many pixels
// takes longer than their loads, 26.8 ms against 5.4 for 1000 RoIs of one pixel (AVX-512, Zen 4).
template <class V, class Rule, class T>
inline void pool_points(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan) {
  int64_t c = task.first_channel;
  for (; c + 4 <= task.last_channel; c += 4) pool_points_of<V, Rule, 4, T>(task, plan, c);
  for (; c < task.last_channel; ++c) pool_points_of<V, Rule, 1, T>(task, plan, c);
}
