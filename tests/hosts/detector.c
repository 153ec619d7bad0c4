/* Runs a detector in ONNX Runtime from C99 through one of the library's two doors, and writes what it returns.
 *
 * detector RUNTIME LIBRARY MODEL DOOR HEIGHT WIDTH IMAGE OUTPUT
 *   RUNTIME  ONNX Runtime's shared library, which is loaded, so that no header of it is needed
 *   LIBRARY  onnx_roialign's
 *   DOOR     provider or custom_op
 *   IMAGE    a file of 3 x HEIGHT x WIDTH float32
 *   OUTPUT   a file: of each output its rank and sizes as int64, then its elements
 *
 * ONNX Runtime's functions are in a table whose entries never move; each is called by its number. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Entry)(void);
typedef struct {
  const Entry* (*get_api)(uint32_t version);
  const char* (*get_version)(void);
} ApiBase;

static const Entry* api;

/* Ends the program with ONNX Runtime's message where a call failed. */
static void check(void* status) {
  if (status == NULL) return;
  fprintf(stderr, "%s\n", ((const char* (*)(const void*))api[2])(status)); /* GetErrorMessage */
  exit(1);
}

static void* loaded(const char* path, const char* name) {
  void* library = dlopen(path, RTLD_NOW);
  void* symbol = library == NULL ? NULL : dlsym(library, name);
  if (symbol == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return symbol;
}

static float* read_image(const char* path, size_t count) {
  float* image = malloc(count * sizeof *image);
  FILE* file = fopen(path, "rb");
  if (image == NULL || file == NULL || fread(image, sizeof *image, count, file) != count) {
    fprintf(stderr, "%s must hold %zu numbers\n", path, count);
    exit(1);
  }
  fclose(file);
  return image;
}

/* The five lines of the execution provider. */
static void add_provider(void* env, void* options, const char* path) {
  const void* const* devices = NULL;
  size_t count = 0, i;
  check(((void* (*)(void*, const char*, const char*))api[301])(env, "onnx_roialign",
                                                               path)); /* RegisterExecutionProviderLibrary */
  check(((void* (*)(const void*, const void* const**, size_t*))api[303])(env, &devices, &count)); /* GetEpDevices */
  for (i = 0; i < count; ++i) {
    const char* name = ((const char* (*)(const void*))api[312])(devices[i]); /* EpDevice_EpName */
    if (strcmp(name, "RoiAlignExecutionProvider") != 0) continue;
    check(
        ((void* (*)(void*, void*, const void* const*, size_t, const char* const*, const char* const*, size_t))api[304])(
            options, env, &devices[i], 1, NULL, NULL, 0)); /* SessionOptionsAppendExecutionProvider_V2 */
    return;
  }
  fprintf(stderr, "the library has no provider for this machine\n");
  exit(1);
}

/* The two lines of the custom op. */
static void add_custom_op(void* options, const char* path) {
  check(((void* (*)(void*, const char*, const char*))api[130])(options, "onnx_roialign.opset",
                                                               "22")); /* AddSessionConfigEntry */
  check(((void* (*)(void*, const char*))api[228])(options, path));     /* RegisterCustomOpsLibrary_V2 */
}

static void write_output(FILE* file, void* value, size_t size) {
  void *info = NULL, *data = NULL;
  size_t rank = 0, count = 0;
  int64_t dims[8], wide;
  check(((void* (*)(const void*, void**))api[65])(value, &info));               /* GetTensorTypeAndShape */
  check(((void* (*)(const void*, size_t*))api[61])(info, &rank));               /* GetDimensionsCount */
  check(((void* (*)(const void*, int64_t*, size_t))api[62])(info, dims, rank)); /* GetDimensions */
  check(((void* (*)(const void*, size_t*))api[64])(info, &count));              /* GetTensorShapeElementCount */
  check(((void* (*)(void*, void**))api[51])(value, &data));                     /* GetTensorMutableData */
  wide = (int64_t)rank;
  fwrite(&wide, sizeof wide, 1, file);
  fwrite(dims, sizeof *dims, rank, file);
  fwrite(data, size, count, file);
  ((void (*)(void*))api[99])(info); /* ReleaseTensorTypeAndShapeInfo */
}

int main(int argc, char** argv) {
  static const char* const inputs[] = {"image"};
  static const char* const outputs[] = {"boxes", "labels", "scores", "masks"};
  static const size_t sizes[] = {sizeof(float), sizeof(int64_t), sizeof(float), sizeof(float)};
  void *env = NULL, *options = NULL, *session = NULL, *memory = NULL, *image = NULL,
       *results[4] = {NULL, NULL, NULL, NULL};
  const ApiBase* base;
  int64_t dims[3];
  size_t bytes, i;
  float* pixels;
  FILE* file;
  int by_provider;
  if (argc != 9) return 2;
  by_provider = strcmp(argv[4], "provider") == 0;
  base = ((const ApiBase* (*)(void))(Entry)(uintptr_t)loaded(argv[1], "OrtGetApiBase"))();
  api = base->get_api(by_provider ? 24 : 17);
  if (api == NULL) {
    fprintf(stderr, "this door needs a newer ONNX Runtime than %s\n", base->get_version());
    return 1;
  }
  check(((void* (*)(int, const char*, void**))api[3])(3, "detector", &env)); /* CreateEnv */
  check(((void* (*)(void**))api[10])(&options));                             /* CreateSessionOptions */
  if (by_provider) {
    add_provider(env, options, argv[2]);
  } else {
    add_custom_op(options, argv[2]);
  }
  check(((void* (*)(void*, const char*, void*, void**))api[7])(env, argv[3], options, &session)); /* CreateSession */

  dims[0] = 3;
  dims[1] = atoi(argv[5]);
  dims[2] = atoi(argv[6]);
  bytes = (size_t)(dims[0] * dims[1] * dims[2]) * sizeof(float);
  pixels = read_image(argv[7], bytes / sizeof(float));
  check(((void* (*)(int, int, void**))api[69])(1, 0, &memory)); /* CreateCpuMemoryInfo */
  check(((void* (*)(const void*, void*, size_t, const int64_t*, size_t, int, void**))api[49])(
      memory, pixels, bytes, dims, 3, 1, &image)); /* CreateTensorWithDataAsOrtValue, of floats */
  check(
      ((void* (*)(void*, const void*, const char* const*, const void* const*, size_t, const char* const*, size_t,
                  void**))api[9])(session, NULL, inputs, (const void* const*)&image, 1, outputs, 4, results)); /* Run */

  file = fopen(argv[8], "wb");
  if (file == NULL) return 1;
  for (i = 0; i < 4; ++i) write_output(file, results[i], sizes[i]);
  fclose(file);
  for (i = 0; i < 4; ++i) ((void (*)(void*))api[96])(results[i]); /* ReleaseValue */
  ((void (*)(void*))api[96])(image);
  ((void (*)(void*))api[94])(memory);   /* ReleaseMemoryInfo */
  ((void (*)(void*))api[95])(session);  /* ReleaseSession */
  ((void (*)(void*))api[100])(options); /* ReleaseSessionOptions */
  ((void (*)(void*))api[92])(env);      /* ReleaseEnv */
  free(pixels);
  return 0;
}
