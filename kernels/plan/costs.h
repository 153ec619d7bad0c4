// The assumed costs of pooling, by which a call chooses among ways that give equally right results.
//
// A cost is in nanoseconds per plane (one channel of one RoI) unless its comment says otherwise. All were fitted to
// medians of calls whose maps lie in the caches, on an AMD EPYC with AVX-512 ("Zen 4"), and need not be exact: near the
// border between two ways either one is good. kernels/tools/fit_costs.py measures and fits them on another machine and
// prints the lines to paste. A changed cost can change the last bits of results, as RoIs then go another way.
#ifndef ONNX_ROIALIGN_PLAN_COSTS_H_
#define ONNX_ROIALIGN_PLAN_COSTS_H_

namespace roialign {

// What differs between instruction sets. Each file of kernels/isa/ fills one of these for float and one for double.
struct VectorCosts {
  int lanes = 0;               // of the vectors of Way::kColumns
  int tile_lanes = 0;          // of Way::kTile where the channels fill them and the tile has room; else lanes are used
  double gathered_vector = 0;  // a ratio: gathering one vector takes as long as loading this many
  double columns_plane = 0;    // Way::kColumns: the cost of a plane that does not depend on what is swept
  double swept_vector = 0;     // Way::kColumns: each vector of a row of the map that is swept
  double tile_pixel = 0;       // Way::kTile: each tap on a pixel of the tile
  double point = 0;            // Way::kPoints: each touched pixel of a bin
};

// Way::kPoints: the cost of a plane that does not depend on its points.
constexpr double kPointsPlane = 2.5;

// Way::kColumns: turning and picking a vector of bins; a bin costs this divided by the lanes.
constexpr double kColumnsVectorOfBins = 4.5;

// Way::kTile: the cost of a RoI for a vector of channels that does not depend on what is pooled; a plane costs this
// divided by the lanes.
constexpr double kTileVectorOfChannels = 64;
// Way::kTile: each bin, which is turned back and written out.
constexpr double kTileBin = 0.2;
// Way::kTile: turning a TileUnit of one channel, once for all RoIs that touch it.
constexpr double kTurnedUnit = 1.5;

// The rest is paid once for all channels, so these are nanoseconds per RoI or per image. The script does not fit them.

// Listing a RoI's points so that many channels can pool from the list: each point.
constexpr double kListedPoint = 1;
// Listing the rows and columns of a RoI with as many taps for each bin, which Way::kColumns needs.
constexpr double kListedAxes = 200;
// Keeping a RoI's plan until those of its block are made: its lists are written to memory and read from there again.
// Measured as 150 and more; a tile must save at least this much for a plan to be kept.
constexpr double kKeptPlan = 150;
// A RoI that takes longer than this to pool is kept in any case: keeping it is then cheap beside pooling it, and
// threads can share the channels of kept RoIs.
constexpr double kLongRoi = 2000;
// Noting which units an image's RoIs touch: a part that does not depend on the map, and a part for each unit of it.
constexpr double kNotes = 500;
constexpr double kNotedUnit = 0.2;
// Notes that only serve to fetch ahead are made where pooling takes more than so many times as long: fetching ahead
// saves a part of that time, not all of it. Unmeasured.
constexpr double kPoolingPerNotes = 4;

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PLAN_COSTS_H_
