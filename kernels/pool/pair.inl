// Makes one vector type of two: a loop over pairs does everything but the arithmetic half as often. Included
// before pool.inl.

template <class One>
struct Pair {
  using Scalar = typename One::Scalar;
  struct Reg {
    typename One::Reg low;
    typename One::Reg high;
  };
  static constexpr int kHalf = One::kLanes;
  static constexpr int kLanes = 2 * kHalf;
  static constexpr bool kMasks = false;

  static Reg zero() { return {One::zero(), One::zero()}; }
  static Reg broadcast(Scalar value) { return {One::broadcast(value), One::broadcast(value)}; }
  static Reg lowest() { return {One::lowest(), One::lowest()}; }
  static Reg multiply(Reg a, Reg b) { return {One::multiply(a.low, b.low), One::multiply(a.high, b.high)}; }
  static Reg multiply_add(Reg a, Reg b, Reg c) {
    return {One::multiply_add(a.low, b.low, c.low), One::multiply_add(a.high, b.high, c.high)};
  }
  static Reg add(Reg a, Reg b) { return {One::add(a.low, b.low), One::add(a.high, b.high)}; }
  static Reg max(Reg a, Reg b) { return {One::max(a.low, b.low), One::max(a.high, b.high)}; }
  static bool all_finite(Reg a) { return One::all_finite(One::add(a.low, a.high)); }
  static Reg keep(Reg a, const Scalar* mask) { return {One::keep(a.low, mask), One::keep(a.high, mask + kHalf)}; }

  template <class T>
  static Reg load(const T* from) {
    return {One::load(from), One::load(from + kHalf)};
  }
  template <class T>
  static Reg load_first(const T* from, int count) {
    return {One::load_first(from, std::min(count, kHalf)), One::load_first(from + kHalf, std::max(count - kHalf, 0))};
  }
  template <class T>
  static void store(T* to, Reg a) {
    One::store(to, a.low);
    One::store(to + kHalf, a.high);
  }
  template <class T>
  static void store_first(T* to, Reg a, int count) {
    One::store_first(to, a.low, std::min(count, kHalf));
    One::store_first(to + kHalf, a.high, std::max(count - kHalf, 0));
  }
  template <class T>
  static void stream(T* to, const T* from) {
    One::stream(to, from);
  }
  static void fence() { One::fence(); }
  // Clang does not inline it by itself: c4_14x14_adaptive takes 1.09 times as long as with GCC, and 1.06 times inlined.
  template <class From, class To>
#ifdef __clang__
  __attribute__((always_inline))
#endif
  static void transpose(const From* from, int64_t stride, To* to, int64_t to_stride) {
    for (int i = 0; i < kLanes; i += kHalf) {
      One::transpose(from + i * stride, stride, to + i, to_stride);
      One::transpose(from + i * stride + kHalf, stride, to + kHalf * to_stride + i, to_stride);
    }
  }
  template <class T>
  static Reg gather(const T* row, const int32_t* index) {
    return {One::gather(row, index), One::gather(row, index + kHalf)};
  }
};
