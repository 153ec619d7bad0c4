// The samples of one bin along one axis: where they lie, and which of them lie inside the map.
#ifndef ONNX_ROIALIGN_BIN_SAMPLES_H_
#define ONNX_ROIALIGN_BIN_SAMPLES_H_

#include <cmath>
#include <cstdint>

namespace roialign {

// Grids up to this many samples a bin are walked; larger ones are entered by bisection, where the map begins.
constexpr int32_t kWalk = 32;
// Beyond this many samples a bin, positions far from zero coincide: equal ones are taken at once, so that the cost
// follows the map, not the RoI.
constexpr int32_t kCoinciding = 65536;

// The lower of the two pixels that a sample inside the map lies between, and what the upper one weighs.
template <class C>
struct Between {
  Between(C at, int32_t last) {
    const C inside = at <= 0 ? C{0} : at;
    low = inside >= static_cast<C>(last) ? last : static_cast<int32_t>(inside);
    high_weight = low == last ? C{0} : inside - static_cast<C>(low);
  }

  int32_t low;
  C high_weight;
};

// The samples of one bin: position(i) is monotone in i, so those inside the map are an index range.
template <class C>
struct BinSamples {
  C base;  // start + p * bin
  C bin;
  C count;     // g
  C low_cut;   // -1
  C high_cut;  // N
  bool exclusive;

  template <class Index>
  C position(Index i) const {
    return base + ((static_cast<C>(i) + static_cast<C>(0.5)) * bin) / count;
  }
  bool below(C at) const { return exclusive ? at <= low_cut : at < low_cut; }
  bool above(C at) const { return exclusive ? at >= high_cut : at > high_cut; }

  // The first index in [from, count) that holds, where holds is false and then true; count where none does.
  template <class Holds>
  double first_index(double from, Holds holds) const {
    double low = from, high = static_cast<double>(count);
    while (low < high) {
      const double middle = std::floor(low + (high - low) / 2);
      // Past 2^53 a double has no room for every index, and the middle of two neighbours is one of them.
      if (middle + 1 == middle && (middle == low || middle == high)) return holds(position(low)) ? low : high;
      if (holds(position(middle))) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_BIN_SAMPLES_H_
