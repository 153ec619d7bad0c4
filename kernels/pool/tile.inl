// Pools RoIs with channels as a vector. The touched part of a vector of channels is transposed once ("turned") into a
// tile where each pixel is a vector, and all RoIs are pooled from that tile. Part of pool.inl.

// The turned pixels of a vector of channels, in a window of rows that moves down the map.
template <class V, class T>
class Tile {
  using S = typename V::Scalar;

 public:
  Tile(const PoolTask<S>& task, int64_t first_channel, int channels, S* storage)
      : layout_(task.tile),
        plane_(task.plane),
        width_(task.width),
        planes_(static_cast<const T*>(task.X) + (task.plans[0].image * task.channels + first_channel) * task.plane),
        // A vector that begins after this one passes the end of X in the last channel.
        last_whole_(static_cast<const T*>(task.X) + task.x_elements - V::kLanes - (channels - 1) * task.plane),
        channels_(channels),
        storage_(storage) {}

  // Turns the touched units from the task's first row down to this RoI's last row. row() can then return its
  // rows.
  void reach(const RoiPlan<S>& plan) {
    for (; next_ < layout_.unit_count && layout_.units[next_].row <= plan.last_row; ++next_) {
      if (layout_.units[next_].row >= layout_.first_row) turn(layout_.units[next_]);
    }
    base_ = plan.first_row - plan.first_row % layout_.rows;
  }

  size_t turned() const { return next_; }

  // Returns whether the RoI touches an infinite or NaN feature, and true also where finite features have a sum that is
  // infinite. Its pixels are only looked at where such a feature has been turned. Adding each turned pixel once is
  // cheaper than adding what each RoI takes, or its bins (1.02 to 1.17 times as long for mode max).
  bool is_special(const RoiPlan<S>& plan) const {
    if (V::all_finite(seen_)) return false;
    auto seen = V::zero();
    for (int32_t t = 0; t < plan.rows.tap_count; ++t) {
      const S* const from = row(plan.rows.taps[t].position) + plan.window.first * V::kLanes;
      for (int32_t k = 0; k < plan.touched_count; ++k) {
        seen = V::add(seen, V::load(from + int64_t{plan.touched[k]} * V::kLanes));
      }
    }
    return !V::all_finite(seen);
  }

  // Returns a row of the tile. A RoI's rows lie in one round of the tile or in the next, so a comparison finds the row:
  // a division for each row took 4 % of fpn_box_7x7_s2.
  const S* row(int32_t row) const {
    const int32_t at = row - base_;
    return row_at(at < layout_.rows ? at : at - layout_.rows);
  }

 private:
  void turn(const TileUnit& unit) {
    const T* from = planes_ + unit.row * width_ + unit.column;
    S* to = row_at(unit.row % layout_.rows) + int64_t{unit.column} * V::kLanes;
    const int64_t columns = width_ - unit.column < kUnit ? width_ - unit.column : int64_t{kUnit};
    for (int64_t i = 0; i < columns; i += V::kLanes) {
      const bool whole = from + i <= last_whole_;
      if (whole && channels_ == V::kLanes) {
        V::transpose(from + i, plane_, to + i * V::kLanes, V::kLanes);
        see(to + i * V::kLanes);
        continue;
      }
      alignas(64) S square[V::kLanes * V::kLanes];
      const int left = static_cast<int>(columns - i < V::kLanes ? columns - i : V::kLanes);
      for (int l = 0; l < V::kLanes; ++l) {
        const T* row = from + i + (l < channels_ ? l : channels_ - 1) * plane_;
        V::store(square + l * V::kLanes, whole ? V::load(row) : V::load_first(row, left));
      }
      V::transpose(square, V::kLanes, to + i * V::kLanes, V::kLanes);
      see(to + i * V::kLanes);
    }
  }

  // Adds a turned square to seen_.
  void see(const S* square) {
    typename V::Reg sums[2] = {V::zero(), V::zero()};
    each<V::kLanes>([&](auto c)
                        ROIALIGN_INLINE { sums[c % 2] = V::add(sums[c % 2], V::load(square + c * V::kLanes)); });
    seen_ = V::add(seen_, V::add(sums[0], sums[1]));
  }

  S* row_at(int32_t slot) const {
    return storage_ + (int64_t{slot} * layout_.columns - layout_.first_column) * V::kLanes;
  }

  const TileLayout& layout_;
  const int64_t plane_;
  const int64_t width_;
  const T* const planes_;
  const T* const last_whole_;
  const int channels_;
  S* const storage_;
  size_t next_ = 0;
  typename V::Reg seen_ = V::zero();  // the sum of all turned pixels
  int32_t base_ = 0;                  // the row of the map at the tile's beginning in the round in which the RoI begins
};

// Writes the bins of a RoI, a few lines at a time while the next RoI is pooled.
template <class V, class T>
class TileWriter {
 public:
  explicit TileWriter(bool stream) : stream_(stream) {}

  void start(const T* from, T* to, int64_t count) {
    from_ = from;
    to_ = to;
    end_ = from + count;
    if (!stream_) return;
    for (; from_ < end_ && reinterpret_cast<uintptr_t>(to_) % kLine != 0; ++from_, ++to_) *to_ = *from_;
  }

  void step(int64_t lines) {
    if (stream_) {
      for (; lines > 0 && end_ - from_ >= kCount; --lines, from_ += kCount, to_ += kCount) V::stream(to_, from_);
    }
  }

  void finish() {
    step(std::numeric_limits<int64_t>::max());
    if (from_ != end_) std::memcpy(to_, from_, static_cast<size_t>(end_ - from_) * sizeof(T));
    from_ = end_;
  }

 private:
  static constexpr int64_t kCount = kLine / sizeof(T);
  const bool stream_;
  const T* from_ = nullptr;
  const T* end_ = nullptr;
  T* to_ = nullptr;
};

// Sweeps one row of bins, or by the rule over samples its sample for this round, down to one row of pixels.
template <class V, class Rule, class T>
inline void tile_down(const RoiPlan<typename V::Scalar>& plan, const Tile<V, T>& tile, const Bin& row, int32_t round,
                      typename V::Scalar* swept) {
  using S = typename V::Scalar;
  const RoundTaps<S> of_round = taps_of_round<Rule>(plan, row, round);
  const Tap<S>* taps = of_round.taps;
  int32_t count = of_round.count;
  const bool listed = plan.window.list != nullptr;
  const auto take = [&](auto number, auto first) ROIALIGN_INLINE {
    constexpr int kTaps = decltype(number)::value;
    const S* rows[kTaps + 1];
    typename V::Reg weights[kTaps + 1];
    each<kTaps>([&](auto t) ROIALIGN_INLINE {
      rows[t] = tile.row(taps[t].position) + plan.window.first * V::kLanes;
      weights[t] = V::broadcast(taps[t].weight);
    });
    const int32_t* const touched = plan.touched;
    const int32_t touched_count = plan.touched_count;
    for (int32_t k = 0; k < touched_count; ++k) {
      const int64_t from = int64_t{touched[k]} * V::kLanes;
      S* const to = swept + (listed ? k * V::kLanes : from);
      typename V::Reg sum = Rule::start();
      if constexpr (!decltype(first)::value) sum = V::load(to);
      each<kTaps>([&](auto t) ROIALIGN_INLINE { sum = Rule::step(sum, weights[t], V::load(rows[t] + from)); });
      V::store(to, sum);
    }
    taps += kTaps;
    count -= kTaps;
  };
  using std::integral_constant;
  if (count == 0)
    take(integral_constant<int, 0>(), std::true_type());
  else if (count == 1)
    take(integral_constant<int, 1>(), std::true_type());
  else if (count == 2)
    take(integral_constant<int, 2>(), std::true_type());
  else if (count == 3)
    take(integral_constant<int, 3>(), std::true_type());
  else if (count == 4)
    take(integral_constant<int, 4>(), std::true_type());
  else if (count == 5)
    take(integral_constant<int, 5>(), std::true_type());
  else
    take(integral_constant<int, 6>(), std::true_type());
  while (count >= 4) take(integral_constant<int, 4>(), std::false_type());
  while (count >= 2) take(integral_constant<int, 2>(), std::false_type());
  if (count == 1) take(integral_constant<int, 1>(), std::false_type());
}

// Takes B rows of bins across. pooled holds the result of earlier rounds.
template <class V, class Rule, int B>
inline ROIALIGN_INLINE void tile_across(const RoiPlan<typename V::Scalar>& plan, int64_t width, bool first_round,
                                        const typename V::Scalar* swept, int64_t stride, typename V::Scalar* pooled) {
  using S = typename V::Scalar;
  for (int64_t q = 0; q < width; ++q) {
    const Bin& column = plan.columns.bins[q];
    const Tap<S>* taps = plan.columns.taps + column.first_tap;
    S* const to = pooled + q * V::kLanes;
    typename V::Reg bins[B];
    each<B>([&](auto b) ROIALIGN_INLINE {
      const auto start = Rule::kPairs ? V::lowest() : Rule::start();
      bins[b] = first_round ? start : V::load(to + b * width * V::kLanes);
    });
    for (int32_t k = 0; k < column.tap_count; k += Rule::kPairs ? 2 : 1) {
      const auto weight = V::broadcast(taps[k].weight);
      const S* const from = swept + int64_t{taps[k].position} * V::kLanes;
      if constexpr (Rule::kPairs) {
        const auto high_weight = V::broadcast(taps[k + 1].weight);
        const S* const high = swept + int64_t{taps[k + 1].position} * V::kLanes;
        each<B>([&](auto b) ROIALIGN_INLINE {
          const auto low = V::multiply(weight, V::load(from + b * stride));
          bins[b] = V::max(bins[b], V::multiply_add(high_weight, V::load(high + b * stride), low));
        });
      } else {
        each<B>([&](auto b) ROIALIGN_INLINE { bins[b] = Rule::step(bins[b], weight, V::load(from + b * stride)); });
      }
    }
    each<B>([&](auto b) ROIALIGN_INLINE { V::store(to + b * width * V::kLanes, bins[b]); });
  }
}

// Finishes the max: no bin is less than least_of(). Where a row of bins has no sample inside the map, its swept row is
// -infinity, and 0 times that is NaN, so its bins are set.
template <class V>
inline void tile_finish_max(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                            int64_t first, int64_t last, typename V::Scalar* pooled) {
  using S = typename V::Scalar;
  for (int64_t p = first; p < last; ++p) {
    const Bin& row = plan.rows.bins[p];
    for (int64_t q = 0; q < task.output_width; ++q, pooled += V::kLanes) {
      const Bin& column = plan.columns.bins[q];
      if (row.tap_count == 0) {
        V::store(pooled, V::broadcast(task.least_dropped));
      } else if (const S least = least_of(task, row, column); least > -std::numeric_limits<S>::infinity()) {
        V::store(pooled, V::max(V::load(pooled), V::broadcast(least)));
      }
    }
  }
}

// Pools the rows of bins [first, last) of a RoI.
template <class V, class Rule, class T, class Step>
inline void pool_from_tile(const PoolTask<typename V::Scalar>& task, const RoiPlan<typename V::Scalar>& plan,
                           const Tile<V, T>& tile, int64_t first, int64_t last, typename V::Scalar* swept,
                           typename V::Scalar* pooled, const Step& step) {
  const int64_t width = task.output_width;
  const int64_t stride = int64_t{plan.window.columns} * V::kLanes;
  for (int64_t p = first; p < last; p += kTileRows) {
    const int rows = static_cast<int>(last - p < kTileRows ? last - p : kTileRows);
    const int32_t rounds = rounds_of<Rule>(plan.rows.bins + p, rows);
    for (int32_t round = 0; round < rounds; ++round) {
      for (int b = 0; b < rows; ++b) {
        tile_down<V, Rule>(plan, tile, plan.rows.bins[p + b], round, swept + b * stride);
        step();
      }
      typename V::Scalar* const to = pooled + (p - first) * width * V::kLanes;
      if (rows == 4) tile_across<V, Rule, 4>(plan, width, round == 0, swept, stride, to);
      if (rows == 3) tile_across<V, Rule, 3>(plan, width, round == 0, swept, stride, to);
      if (rows == 2) tile_across<V, Rule, 2>(plan, width, round == 0, swept, stride, to);
      if (rows == 1) tile_across<V, Rule, 1>(plan, width, round == 0, swept, stride, to);
    }
  }
  if constexpr (Rule::kMax) tile_finish_max<V>(task, plan, first, last, pooled);
}

// Turns count pooled bins back, so that the bins of a channel lie side by side.
template <class V, class T>
inline void turn_back(const typename V::Scalar* pooled, int64_t count, int64_t bins, int channels, T* lines) {
  constexpr int kLanes = V::kLanes;
  int64_t b = 0;
  for (; b + kLanes <= count; b += kLanes) V::transpose(pooled + b * kLanes, kLanes, lines + b, bins);
  if (count - b > kLanes / 4) {  // fewer bins are written one by one below. Unmeasured.
    if (count >= kLanes) {       // turn the last bins back together with some that were turned back before
      return V::transpose(pooled + (count - kLanes) * kLanes, kLanes, lines + count - kLanes, bins);
    }
    if (count == bins) {
      alignas(64) typename V::Scalar block[kLanes * kLanes];
      V::transpose(pooled, kLanes, block, kLanes);
      // Where a full store runs over into the next channel's bins, those are written later.
      for (int l = 0; l < channels; ++l) V::store(lines + l * bins, V::load(block + l * kLanes));
      return;
    }
  }
  for (; b < count; ++b) {
    T taken[kLanes];
    V::store(taken, V::load(pooled + b * kLanes));
    for (int l = 0; l < channels; ++l) lines[l * bins + b] = taken[l];
  }
}

// As many rows of bins are turned back at once as fit in this many bytes of the first-level cache. Unmeasured against
// other numbers.
constexpr int64_t kPooledBytes = int64_t{1} << 13;

// Pools all RoIs that go by a tile. Not inlined: GCC would inline two of these into one function, which it compiles for
// longer under the sanitizers.
template <class V, class Rule, class T>
__attribute__((noinline)) void pool_tiled(const PoolTask<typename V::Scalar>& task) {
  using S = typename V::Scalar;
  constexpr int kLanes = V::kLanes;
  const int64_t height = task.output_height, width = task.output_width, bins = height * width;
  const int64_t fitting = kPooledBytes / (width * kLanes * static_cast<int64_t>(sizeof(S)));
  const int64_t part = fitting < kTileRows ? kTileRows : fitting / kTileRows * kTileRows;
  S* const storage = task.scratch;
  S* const pooled = storage + int64_t{task.tile.rows} * task.tile.columns * kLanes;
  S* const swept = pooled + (bins + kLanes) * kLanes;
  T* lines = reinterpret_cast<T*>(swept + kTileRows * task.most_columns * kLanes);
  T* other_lines = lines + (bins + kLanes) * kLanes;
  const int64_t steps = static_cast<int64_t>(task.plan_count) * height;
  constexpr size_t kMostAhead = 128;  // units: 128 KB of float32 with AVX-512. Unmeasured against other numbers.
  Ahead<T> ahead(task, task.tile.units, task.tile.unit_count, kLanes, steps, kMostAhead);
  TileWriter<V, T> writer(task.stream);
  const int64_t lines_per_step = width * kLanes * static_cast<int64_t>(sizeof(T)) / kLine + 1;
  size_t turned_before = 0;
  for (int64_t from = task.first_channel; from < task.last_channel; from += kLanes) {
    // The last channels are pooled together with some that were pooled before, so that the vector is full.
    const bool full = from + kLanes <= task.last_channel || task.last_channel - task.first_channel < kLanes;
    const int64_t first = full ? from : task.last_channel - kLanes;
    const int channels = static_cast<int>(task.last_channel - first < kLanes ? task.last_channel - first : kLanes);
    Tile<V, T> tile(task, first, channels, storage);
    for (size_t r = 0; r < task.plan_count; ++r) {
      const auto& plan = task.plans[r];
      if (plan.way != Way::kTile) continue;
      tile.reach(plan);
      const auto step = [&]() {
        ahead.step(turned_before + tile.turned());
        writer.step(lines_per_step);
      };
      if (tile.is_special(plan)) task.special[r] = true;
      for (int64_t p = 0; p < height; p += part) {
        const int64_t end = p + part < height ? p + part : height;
        pool_from_tile<V, Rule>(task, plan, tile, p, end, swept, pooled, step);
        turn_back<V>(pooled, (end - p) * width, bins, channels, lines + p * width);
      }
      writer.finish();
      writer.start(lines, target_of<T>(task, plan, first).bins, channels * bins);
      std::swap(lines, other_lines);
    }
    turned_before += task.tile.unit_count;
  }
  writer.finish();
  if (task.stream) V::fence();
}
