/* The direct C call: RoiAlign on plain arrays, without ONNX Runtime. The only public header; plain C99.
 *
 * The library exports two symbols: onnx_roialign_call, declared here, and RegisterCustomOps, which ONNX Runtime
 * looks up by name (SessionOptions::RegisterCustomOpsLibrary and its twins in every language).
 */
#ifndef ONNX_ROIALIGN_H_
#define ONNX_ROIALIGN_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define ONNX_ROIALIGN_API
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
  ONNX_ROIALIGN_FAILED = 3            /* out of memory, threads that cannot be started */
};

/* One call. Zero it, set struct_size and the fields; every field without a remark is required. */
typedef struct onnx_roialign_args {
  size_t struct_size; /* sizeof(onnx_roialign_args): lets the struct grow at its end */

  int32_t type;                 /* enum onnx_roialign_type, of X and Y */
  int32_t rois_type;            /* the same of rois, which are rounded once to X's type or, if that is a 16-bit one, to
                                 * float32; 0: type */
  const void* X;                /* (N, C, H, W) feature maps, contiguous */
  const void* rois;             /* (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image */
  const int64_t* batch_indices; /* (num_rois,) image of each RoI, in [0, N) */
  void* Y;                      /* (num_rois, C, output_height, output_width), written */
  int64_t N, C, H, W, num_rois;

  /* ONNX's attributes. */
  int64_t output_height, output_width; /* bins, >= 1 */
  int64_t sampling_ratio;              /* samples per bin and axis; 0: adaptive */
  double spatial_scale;                /* feature-map pixels per image pixel, finite and > 0 */
  int32_t mode_max;                    /* 0: mean of the samples, 1: max */

  /* Semantics: everything in which RoIAligns differ (see onnx_roialign/semantics.py). */
  double offset;            /* subtracted from every scaled coordinate: 0.5 for half_pixel, else 0 */
  double min_size;          /* lower bound on the scaled RoI's sides; -INFINITY: none */
  double start_shift;       /* added to x1 and y1 before scaling */
  double end_shift;         /* added to x2 and y2 before scaling */
  double max_start;         /* mode max: what the maximum starts from; -INFINITY: from the bin's first sample */
  int32_t adaptive_floor;   /* adaptive grid: 0 ceil, 1 floor of roi_size / output_size */
  int32_t empty_nan;        /* a bin without any sample: 0 zero, 1 NaN */
  int32_t max_samples;      /* mode max: 0 over the four weighted corners of each sample, 1 over the samples */
  int32_t border_exclusive; /* a sample exactly at -1 or at H (W): 0 counts, 1 contributes nothing */

  int32_t threads; /* threads to use; 0: one per core that this process may run on */
  const char* isa; /* instruction set to use; NULL: $ONNX_ROIALIGN_ISA, else the widest that this CPU has */
  const char* ran; /* written: the instruction set that ran (a static string) */
} onnx_roialign_args;

/* Computes Y. Answers an enum onnx_roialign_status; where it is not OK, message holds one line (cut to message_size,
 * always terminated) and Y is untouched or partly written. Thread-safe; keeps no state; never throws. */
ONNX_ROIALIGN_API int onnx_roialign_call(onnx_roialign_args* args, char* message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif /* ONNX_ROIALIGN_H_ */
