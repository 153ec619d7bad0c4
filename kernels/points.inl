// A channel a lane, for RoIs with few points: the others' work per plane would outweigh so few. Part of pool.inl.

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
