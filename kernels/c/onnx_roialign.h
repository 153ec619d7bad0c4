/* The direct C call: RoiAlign on plain arrays, without ONNX Runtime. The only public header; plain C99.
 *
 *   onnx_roialign_args args;
 *   args.struct_size = sizeof args;
 *   onnx_roialign_defaults(&args);
 *   args.X = ...;
 *   if (onnx_roialign_call(&args, message, sizeof message) != ONNX_ROIALIGN_OK) puts(message);
 *
 * The library exports what is declared here and RegisterCustomOps, which ONNX Runtime looks up by name
 * (SessionOptions::RegisterCustomOpsLibrary and its twins in every language).
 */
#ifndef ONNX_ROIALIGN_H_
#define ONNX_ROIALIGN_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(onnx_roialign_EXPORTS) /* by CMake, while the library is built */
#define ONNX_ROIALIGN_API __declspec(dllexport)
#elif defined(_WIN32)
#define ONNX_ROIALIGN_API __declspec(dllimport)
#else
#define ONNX_ROIALIGN_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Element types carry ONNX's own numbers (TensorProto.DataType). */
enum onnx_roialign_type {
  ONNX_ROIALIGN_FLOAT32 = 1,
  ONNX_ROIALIGN_FLOAT16 = 10,
  ONNX_ROIALIGN_FLOAT64 = 11,
  ONNX_ROIALIGN_BFLOAT16 = 16
};

enum onnx_roialign_status {
  ONNX_ROIALIGN_OK = 0,
  ONNX_ROIALIGN_INVALID_ARGUMENT = 1, /* the message names the input, the rule and the value */
  ONNX_ROIALIGN_NOT_SUPPORTED = 2,    /* an instruction set that this library or this CPU lacks */
  ONNX_ROIALIGN_FAILED = 3            /* memory ran out */
};

/* One map of several, of the N, C and type of the call. */
typedef struct onnx_roialign_map {
  const void* X; /* (N, C, H, W), contiguous */
  int64_t H, W;
  double spatial_scale; /* pixels of this map per pixel of the image, finite and > 0 */
} onnx_roialign_map;

/* One call. Set struct_size, let onnx_roialign_defaults fill the rest, then set the arrays, their sizes and whatever
 * else differs. A pointer may be null where its array has no elements, and must be aligned to its element type.
 *
 * The struct grows only at its end, and struct_size says how much of it the caller knows. A library that knows more
 * fields uses their defaults; a library that knows fewer accepts the call if the bytes that it does not know are 0. */
typedef struct onnx_roialign_args {
  size_t struct_size; /* sizeof(onnx_roialign_args), at most 4096 */

  int32_t type;      /* enum onnx_roialign_type, of X and Y */
  int32_t rois_type; /* enum onnx_roialign_type, of rois; 0: the same as type. Coordinates are rounded once to
                      * float64 where X is float64, else to float32 */
  const void* X;     /* (N, C, H, W) feature maps, contiguous */
  const void* rois;  /* (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image */
  const int64_t* batch_indices; /* (num_rois,) image of each RoI, in [0, N) */
  void* Y;                      /* (num_rois, C, output_height, output_width), written */
  int64_t N, C, H, W, num_rois;

  /* ONNX's attributes. */
  int64_t output_height, output_width; /* bins, 1 to 32768; default 1 */
  int64_t sampling_ratio;              /* samples per bin and axis, 0 to 16384; default 0: adaptive */
  double spatial_scale;                /* feature-map pixels per image pixel, finite and > 0; default 1 */
  int32_t mode_max;                    /* 0: mean of the samples (default), 1: max */

  /* Semantics: everything in which RoIAligns differ (see onnx_roialign/definition/semantics.py). The defaults are those
   * of ONNX from opset 16 on: half_pixel. The numbers must be finite in the type that coordinates are computed in:
   * float64 where X is float64, else float32. */
  double offset;          /* subtracted from every scaled coordinate: 0.5 for half_pixel (default), else 0 */
  double min_size;        /* lower bound on the scaled RoI's sides; -INFINITY: none (default) */
  double end_shift;       /* added to x2 and y2 before scaling; default 0 */
  int32_t adaptive_floor; /* adaptive grid: 0 ceil (default), 1 floor of roi_size / output_size */
  int32_t empty_nan;      /* a bin without any sample: 0 zero (default), 1 NaN */
  int32_t max_samples;    /* mode max: 0 over the four weighted corners of each sample (default), 1 over the samples */
  int32_t border_exclusive; /* a sample exactly at -1 or at H (W): 0 counts (default), 1 contributes nothing */

  int32_t threads; /* threads to use, at most 1024; 0: one per core that this process may run on (default) */
  const char* isa; /* one of onnx_roialign_isas(); NULL (default): $ONNX_ROIALIGN_ISA, else the widest of them */
  const char* ran; /* written: the instruction set that ran (a static string) */
  /* The first release had the fields above: a smaller struct_size is refused. */

  /* More of Semantics. */
  double start_shift; /* added to x1 and y1 before scaling; default 0 */
  double max_start;   /* mode max: what the maximum starts from; -INFINITY: from the bin's first sample (default) */

  /* Several maps, the levels of a feature pyramid. X, H, W and spatial_scale are not read then. */
  const onnx_roialign_map* features; /* num_features of them; NULL (default): the one map X */
  int64_t num_features;              /* 1 to 16 where features is not NULL */
  const int64_t* levels; /* (num_rois,) index of the map that each RoI is pooled from; any other number: its row of Y
                          * is 0 */
} onnx_roialign_args;

/* Fills *args with the defaults: X, rois, batch_indices and Y become null, and all sizes 0. struct_size must be set
 * before and stays as it is. Returns ONNX_ROIALIGN_OK, or ONNX_ROIALIGN_INVALID_ARGUMENT where args is null or
 * struct_size is not a size that the struct can have; nothing is written then. */
ONNX_ROIALIGN_API int onnx_roialign_defaults(onnx_roialign_args* args);

/* Computes Y. Returns an enum onnx_roialign_status. Where it is not OK, message holds one line (cut to message_size,
 * always terminated), and Y is untouched or partly written; otherwise message is empty. The checks run in this order:
 * struct_size; fields that are 0 or 1; the numbers of Semantics, then ONNX's attributes, in the order above; threads;
 * type, and the numbers in the type of coordinates; sizes; pointers; batch_indices; coordinates; isa. Of several maps,
 * each check is made of all before the next; messages call them features[0], features[1] ...
 * Any number of threads may call at once, each with its own args; never throws. $ONNX_ROIALIGN_ISA is read once, by the
 * first call that needs it. */
ONNX_ROIALIGN_API int onnx_roialign_call(onnx_roialign_args* args, char* message, size_t message_size);

/* The version of the library, such as "0.1.0". */
ONNX_ROIALIGN_API const char* onnx_roialign_version(void);

/* The instruction sets that both the library and this CPU have, widest first: static names, then NULL. */
ONNX_ROIALIGN_API const char* const* onnx_roialign_isas(void);

#ifdef __cplusplus
}
#endif

#endif /* ONNX_ROIALIGN_H_ */
