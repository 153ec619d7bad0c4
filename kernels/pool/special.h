// RoIs that touch an infinite or NaN feature, by the definition, sample by sample; once for all instruction sets.
#ifndef ONNX_ROIALIGN_SPECIAL_H_
#define ONNX_ROIALIGN_SPECIAL_H_

#include <cstdint>

#include "problem.h"

namespace roialign {

// Pools those bins of a RoI again, in some channels, that touch a feature which is infinite or NaN; leaves the others.
//
// What a sample makes of such a feature is ONNX Runtime's rule. Its value is the sum of its four taps, weight *
// feature, or over corners their std::max in the order (low, low), (low, high), (high, low), (high, high). A weight of
// 0 takes part: 0 * infinity is NaN. std::max(a, b) is b only where a < b: so a NaN is the result where it comes first,
// and is passed over where it comes later. A bin's maximum is the std::max of its samples in the order of the grid,
// beginning with max_start where there is one. A sample past the cut is 0 and touches nothing.
//
// Of the samples between the same four pixels only those decide that have the least and the greatest weights: the cost
// follows the touched pixels, not the samples. T is the element, S the arithmetic and the coordinates.
// Throws std::bad_alloc.
template <class T, class S>
void pool_special(const Attributes& attributes, const Arrays& arrays, int64_t roi, const Range& channels);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_SPECIAL_H_
