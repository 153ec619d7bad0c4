/* A program in C99: the C call keeps what onnx_roialign.h promises. Prints the first promise that is broken.
 *
 *   c_call VERSION
 *
 * Built by test_c_call.py with -std=c99 -Wall -Wextra -pedantic -Werror. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_roialign.h"

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

/* What every release has had, and a struct of tomorrow. */
#define FIRST_SIZE (offsetof(onnx_roialign_args, ran) + sizeof(const char*))
typedef struct {
  onnx_roialign_args args;
  double of_tomorrow[4];
} later_args;

static const float X[4] = {1, 2, 3, 4};
static const float rois[4] = {0, 0, 2, 2};
static const int64_t batch_indices[1] = {0};
static float Y[1];
static char message[256];

/* The mean of the four pixels, sampled in their middle. */
static onnx_roialign_args good_call(void) {
  onnx_roialign_args args;
  args.struct_size = sizeof args;
  CHECK(onnx_roialign_defaults(&args) == ONNX_ROIALIGN_OK);
  args.X = X;
  args.rois = rois;
  args.batch_indices = batch_indices;
  args.Y = Y;
  args.N = args.C = args.num_rois = 1;
  args.H = args.W = 2;
  args.sampling_ratio = 1;
  return args;
}

static void check_answered(onnx_roialign_args* args, float want) {
  Y[0] = -1;
  CHECK(onnx_roialign_call(args, message, sizeof message) == ONNX_ROIALIGN_OK);
  CHECK(message[0] == '\0');
  CHECK(Y[0] == want);
  CHECK(args->ran != NULL);
}

static void check_refused(onnx_roialign_args* args, int status, const char* want) {
  char cut[5] = {'x', 'x', 'x', 'x', 'x'};
  Y[0] = -1;
  CHECK(onnx_roialign_call(args, message, sizeof message) == status);
  if (strncmp(message, want, strlen(want)) != 0) fprintf(stderr, "got: %s\nnot: %s\n", message, want);
  CHECK(strncmp(message, want, strlen(want)) == 0);
  CHECK(Y[0] == -1);
  /* Cut to what there is room for, and nowhere is no room. */
  CHECK(onnx_roialign_call(args, cut, 4) == status);
  CHECK(strncmp(cut, want, 3) == 0 && cut[3] == '\0' && cut[4] == 'x');
  CHECK(onnx_roialign_call(args, cut, 0) == status);
  CHECK(onnx_roialign_call(args, NULL, 100) == status);
  CHECK(strncmp(cut, want, 3) == 0);
}

static void check_defaults(void) {
  onnx_roialign_args args, before;
  const size_t wrong[] = {0, 8, FIRST_SIZE - 1, 4097, (size_t)-1};
  size_t i;
  CHECK(onnx_roialign_defaults(NULL) == ONNX_ROIALIGN_INVALID_ARGUMENT);
  for (i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    memset(&args, 0x55, sizeof args);
    args.struct_size = wrong[i];
    memcpy(&before, &args, sizeof args);
    CHECK(onnx_roialign_defaults(&args) == ONNX_ROIALIGN_INVALID_ARGUMENT);
    CHECK(memcmp(&before, &args, sizeof args) == 0);
  }
  memset(&args, 0x55, sizeof args);
  args.struct_size = sizeof args;
  CHECK(onnx_roialign_defaults(&args) == ONNX_ROIALIGN_OK);
  CHECK(args.struct_size == sizeof args && args.type == ONNX_ROIALIGN_FLOAT32 && args.rois_type == 0);
  CHECK(args.X == NULL && args.rois == NULL && args.batch_indices == NULL && args.Y == NULL);
  CHECK(args.N == 0 && args.C == 0 && args.H == 0 && args.W == 0 && args.num_rois == 0);
  CHECK(args.output_height == 1 && args.output_width == 1 && args.sampling_ratio == 0);
  CHECK(args.spatial_scale == 1 && args.mode_max == 0);
  CHECK(args.offset == 0.5 && args.start_shift == 0 && args.end_shift == 0);
  CHECK(args.min_size == -INFINITY && args.max_start == -INFINITY);
  CHECK(args.adaptive_floor == 0 && args.empty_nan == 0 && args.max_samples == 0 && args.border_exclusive == 0);
  CHECK(args.threads == 0 && args.isa == NULL && args.ran == NULL);
  /* They are those of ONNX, and a call of nothing. */
  CHECK(onnx_roialign_call(&args, NULL, 0) == ONNX_ROIALIGN_OK);
}

static void check_sizes_of_the_struct(void) {
  onnx_roialign_args args = good_call();
  /* An older caller's, at exactly its size. */
  onnx_roialign_args* const older = malloc(FIRST_SIZE);
  later_args later, unchanged;
  CHECK(older != NULL);
  memcpy(older, &args, FIRST_SIZE);
  older->struct_size = FIRST_SIZE;
  check_answered(older, 2.5F);
  CHECK(onnx_roialign_defaults(older) == ONNX_ROIALIGN_OK);
  CHECK(older->struct_size == FIRST_SIZE && older->X == NULL && older->offset == 0.5);
  free(older);

  args.struct_size = FIRST_SIZE - 1;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "struct_size must be in [");
  args.struct_size = 4097;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "struct_size must be in [");

  memset(&later, 0, sizeof later);
  later.args = good_call();
  later.args.struct_size = sizeof later;
  check_answered(&later.args, 2.5F);
  later.of_tomorrow[3] = 1;
  check_refused(&later.args, ONNX_ROIALIGN_INVALID_ARGUMENT, "struct_size must be at most ");
  CHECK(strstr(message, "a newer library than ") != NULL);
  CHECK(onnx_roialign_defaults(&later.args) == ONNX_ROIALIGN_OK);
  memset(&unchanged, 0, sizeof unchanged);
  CHECK(memcmp(later.of_tomorrow, unchanged.of_tomorrow, sizeof later.of_tomorrow) == 0);
}

static void check_pointers(void) {
  onnx_roialign_args args;
  check_refused(NULL, ONNX_ROIALIGN_INVALID_ARGUMENT, "args must not be null, got null");
  args = good_call();
  args.X = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "X must not be null, got null");
  args = good_call();
  args.rois = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "rois must not be null, got null");
  args = good_call();
  args.batch_indices = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "batch_indices must not be null, got null");
  args = good_call();
  args.Y = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "Y must not be null, got null");
  args = good_call();
  args.rois = (const char*)rois + 1;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "rois must be aligned to 4 bytes, got an address of 1 more");
  /* Null where there is nothing. */
  args = good_call();
  args.num_rois = 0;
  args.X = args.rois = args.Y = NULL;
  args.batch_indices = NULL;
  args.N = 0;
  CHECK(onnx_roialign_call(&args, message, sizeof message) == ONNX_ROIALIGN_OK);
}

static void check_instruction_sets(void) {
  const char* const* isa = onnx_roialign_isas();
  onnx_roialign_args args = good_call();
  CHECK(isa[0] != NULL);
  for (; *isa != NULL; ++isa) {
    args = good_call();
    args.isa = *isa;
    check_answered(&args, 2.5F);
    CHECK(strcmp(args.ran, *isa) == 0);
  }
  CHECK(strcmp(isa[-1], "baseline") == 0);
  args = good_call();
  args.isa = "sse9000";
  check_refused(&args, ONNX_ROIALIGN_NOT_SUPPORTED, "isa must be one of ");
}

static void check_flags_and_numbers(void) {
  onnx_roialign_args args = good_call();
  args.empty_nan = 2;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "empty_nan must be 0 or 1, got 2");
  args = good_call();
  args.offset = NAN;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "offset must be a finite number, got nan");
  args = good_call();
  args.spatial_scale = 1e39;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "spatial_scale must be finite and > 0 in float32, got 1e+39");
  args = good_call();
  args.threads = 1025;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "threads must be in [0, 1024], got 1025");
  args.threads = 1024;
  check_answered(&args, 2.5F);
}

/* Three RoIs, of the second map, the first and none. */
static void check_several_maps(void) {
  static const float boxes[12] = {0, 0, 4, 4, 0, 0, 2, 2, 0, 0, 2, 2};
  static const int64_t images[3] = {0, 0, 0}, levels[3] = {1, 0, 7};
  static const float coarse[4] = {10, 20, 30, 40};
  const onnx_roialign_map good[2] = {{X, 2, 2, 1}, {coarse, 2, 2, 0.5}};
  onnx_roialign_map maps[2];
  float three[3] = {-1, -1, -1};
  onnx_roialign_args args = good_call();
  memcpy(maps, good, sizeof maps);
  CHECK(args.features == NULL && args.num_features == 0 && args.levels == NULL);
  args.X = NULL;
  args.H = args.W = -1;
  args.spatial_scale = NAN;
  args.rois = boxes;
  args.batch_indices = images;
  args.num_rois = 3;
  args.Y = three;
  args.features = maps;
  args.num_features = 2;
  args.levels = levels;
  CHECK(onnx_roialign_call(&args, message, sizeof message) == ONNX_ROIALIGN_OK);
  CHECK(three[0] == 25 && three[1] == 2.5F && three[2] == 0);
  args.num_features = 0;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "num_features must be in [1, 16], got 0");
  args.num_features = 17;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "num_features must be in [1, 16], got 17");
  args.num_features = 2;
  maps[1].X = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "features[1] must not be null, got null");
  maps[1] = good[1];
  maps[1].W = 0;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT,
                "features[1] must have H and W of at least 1, got shape (1, 1, 2, 0)");
  maps[1] = good[1];
  maps[1].spatial_scale = 0;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "spatial_scale must be finite and > 0, got 0");
  maps[1] = good[1];
  args.levels = NULL;
  check_refused(&args, ONNX_ROIALIGN_INVALID_ARGUMENT, "levels must not be null, got null");
  args.num_rois = 0;
  CHECK(onnx_roialign_call(&args, message, sizeof message) == ONNX_ROIALIGN_OK);
}

int main(int count, char** arguments) {
  CHECK(count == 2);
  CHECK(strcmp(onnx_roialign_version(), arguments[1]) == 0);
  check_defaults();
  check_sizes_of_the_struct();
  check_pointers();
  check_instruction_sets();
  check_flags_and_numbers();
  check_several_maps();
  puts("every promise is kept");
  return 0;
}
