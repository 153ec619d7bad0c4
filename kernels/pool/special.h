// Pools RoIs that touch an infinite or NaN feature sample by sample, in the same way for all instruction sets.
#ifndef ONNX_ROIALIGN_POOL_SPECIAL_H_
#define ONNX_ROIALIGN_POOL_SPECIAL_H_

#include <cstdint>

#include "problem.h"

namespace roialign {

// Pools those bins of a RoI again, in some channels, that touch an infinite or NaN feature, and leaves the others
// alone.
//
// Such a feature is treated as ONNX Runtime treats it. A sample's value is the sum of its four taps, weight * feature,
// or by the rule over corners their std::max in the order (low, low), (low, high), (high, low), (high, high). A tap of
// weight 0 takes part: 0 * infinity is NaN. std::max(a, b) is b only where a < b, so a NaN is the result where it comes
// first, and is ignored where it comes later. A bin's maximum is the std::max of its samples in the order of the grid,
// beginning with max_start where there is one. A sample outside the map is 0 and touches nothing.
//
// Of the samples between the same four pixels only those with the least and the greatest weights matter, so the cost
// depends on the touched pixels and not on the samples. T is the element, S the type of arithmetic and coordinates.
// Throws std::bad_alloc.
template <class T, class S>
void pool_special(const Attributes& attributes, const Arrays& arrays, int64_t roi, const Range& channels);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_POOL_SPECIAL_H_
