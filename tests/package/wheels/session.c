/* Runs a model in ONNX Runtime with the library registered, where there is no Python to do it: on any platform.
 *
 *   session RUNTIME LIBRARY DOOR OPSET ISA MODEL INPUTS OUTPUTS
 *
 * RUNTIME is ONNX Runtime's shared library, which is loaded, so that no header of it is needed. DOOR is provider or
 * custom_op. INPUTS has the model's inputs in order and OUTPUTS gets its outputs: of each its element type, its rank
 * and its sizes as int64, then its elements. ISA "" leaves the choice to the library. A second session is created and
 * released at the end, so that a custom op's library is unloaded before the program ends.
 *
 * ONNX Runtime's functions are in a table whose entries never move; each is called by its number. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Entry)(void);

#if defined(_WIN32)
#include <windows.h>
typedef wchar_t PathChar;
static Entry find(const char* path, const char* name) {
  HMODULE library = LoadLibraryA(path);
  if (library == NULL) fprintf(stderr, "%s does not load: error %lu\n", path, GetLastError());
  return library == NULL ? NULL : (Entry)GetProcAddress(library, name);
}
static const PathChar* path_of(const char* path) {
  const size_t size = strlen(path) + 1;
  PathChar* const wide = malloc(size * sizeof *wide);
  return MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, (int)size) == 0 ? NULL : wide;
}
#else
#include <dlfcn.h>
typedef char PathChar;
static Entry find(const char* path, const char* name) {
  void* const library = dlopen(path, RTLD_NOW);
  void* const symbol = library == NULL ? NULL : dlsym(library, name);
  if (symbol == NULL) fprintf(stderr, "%s\n", dlerror());
  return (Entry)(uintptr_t)symbol;
}
static const PathChar* path_of(const char* path) { return path; }
#endif

#define MOST 8 /* dimensions of a tensor, inputs and outputs of a model */

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

static void expect(int condition, const char* problem) {
  if (condition) return;
  fprintf(stderr, "%s\n", problem);
  exit(1);
}

static size_t size_of(int64_t type) {
  switch (type) {
    case 1: /* float32 */
      return 4;
    case 7: /* int64 */
      return 8;
    case 10: /* float16 */
      return 2;
    case 11: /* float64 */
      return 8;
  }
  expect(0, "an unknown element type");
  return 0;
}

/* Registers the library as an execution provider and returns its device. */
static const void* provider_of(void* env, const char* library) {
  const void* const* devices = NULL;
  size_t count = 0, i;
  check(((void* (*)(void*, const char*, const PathChar*))api[301])(
      env, "onnx_roialign", path_of(library))); /* RegisterExecutionProviderLibrary */
  check(((void* (*)(const void*, const void* const**, size_t*))api[303])(env, &devices, &count)); /* GetEpDevices */
  for (i = 0; i < count; ++i) {
    const char* name = ((const char* (*)(const void*))api[312])(devices[i]); /* EpDevice_EpName */
    if (strcmp(name, "RoiAlignExecutionProvider") == 0) return devices[i];
  }
  expect(0, "the library has no provider for this machine");
  return NULL;
}

static void add_custom_op(void* options, const char* library, const char* opset, const char* isa) {
  check(((void* (*)(void*, const char*, const char*))api[130])(options, "onnx_roialign.opset",
                                                               opset)); /* AddSessionConfigEntry */
  if (*isa != '\0') check(((void* (*)(void*, const char*, const char*))api[130])(options, "onnx_roialign.isa", isa));
  check(((void* (*)(void*, const PathChar*))api[228])(options, path_of(library))); /* RegisterCustomOpsLibrary_V2 */
}

/* provider NULL: with the custom op. */
static void* create_session(void* env, const void* provider, const char* library, const char* opset, const char* isa,
                            const char* model) {
  void *options = NULL, *session = NULL;
  const char* const key = "isa";
  check(((void* (*)(void**))api[10])(&options)); /* CreateSessionOptions */
  if (provider == NULL) {
    add_custom_op(options, library, opset, isa);
  } else {
    check((
        (void* (*)(void*, void*, const void* const*, size_t, const char* const*, const char* const*, size_t))api[304])(
        options, env, &provider, 1, &key, &isa, *isa == '\0' ? 0 : 1)); /* SessionOptionsAppendExecutionProvider_V2 */
  }
  check(((void* (*)(void*, const PathChar*, const void*, void**))api[7])(env, path_of(model), options,
                                                                         &session)); /* CreateSession */
  ((void (*)(void*))api[100])(options);                                              /* ReleaseSessionOptions */
  return session;
}

/* Returns the tensor that the file has next; its elements stay in memory of their own. */
static void* read_tensor(FILE* file, void* memory) {
  int64_t head[2], sizes[MOST], count = 1;
  size_t bytes, i;
  void *data, *value = NULL;
  expect(fread(head, sizeof *head, 2, file) == 2 && head[1] <= MOST, "INPUTS ends early");
  expect(fread(sizes, sizeof *sizes, (size_t)head[1], file) == (size_t)head[1], "INPUTS ends early");
  for (i = 0; i < (size_t)head[1]; ++i) count *= sizes[i];
  bytes = (size_t)count * size_of(head[0]);
  data = malloc(bytes + 1);
  expect(data != NULL && fread(data, 1, bytes, file) == bytes, "INPUTS ends early");
  check(((void* (*)(const void*, void*, size_t, const int64_t*, size_t, int, void**))api[49])(
      memory, data, bytes, sizes, (size_t)head[1], (int)head[0], &value)); /* CreateTensorWithDataAsOrtValue */
  return value;
}

static void write_tensor(FILE* file, void* value) {
  void *info = NULL, *data = NULL;
  size_t rank = 0, count = 0;
  int type = 0;
  int64_t head[2], sizes[MOST];
  check(((void* (*)(const void*, void**))api[65])(value, &info)); /* GetTensorTypeAndShape */
  check(((void* (*)(const void*, int*))api[60])(info, &type));    /* GetTensorElementType */
  check(((void* (*)(const void*, size_t*))api[61])(info, &rank)); /* GetDimensionsCount */
  expect(rank <= MOST, "an output has too many dimensions");
  check(((void* (*)(const void*, int64_t*, size_t))api[62])(info, sizes, rank)); /* GetDimensions */
  check(((void* (*)(const void*, size_t*))api[64])(info, &count));               /* GetTensorShapeElementCount */
  check(((void* (*)(void*, void**))api[51])(value, &data));                      /* GetTensorMutableData */
  head[0] = type;
  head[1] = (int64_t)rank;
  fwrite(head, sizeof *head, 2, file);
  fwrite(sizes, sizeof *sizes, rank, file);
  fwrite(data, size_of(type), count, file);
  ((void (*)(void*))api[99])(info); /* ReleaseTensorTypeAndShapeInfo */
}

/* Fills in the names of the session's inputs or outputs and returns their number. */
static size_t names_of(void* session, int count_entry, int name_entry, void* allocator, char** names) {
  size_t count = 0, i;
  check(((void* (*)(const void*, size_t*))api[count_entry])(session, &count));
  expect(count <= MOST, "the model has too many inputs or outputs");
  for (i = 0; i < count; ++i) {
    check(((void* (*)(const void*, size_t, void*, char**))api[name_entry])(session, i, allocator, &names[i]));
  }
  return count;
}

int main(int argc, char** argv) {
  const void* provider;
  void *env = NULL, *session, *allocator = NULL, *memory = NULL, *inputs[MOST], *outputs[MOST] = {NULL};
  char *input_names[MOST], *output_names[MOST];
  size_t num_inputs, num_outputs, i;
  int by_provider;
  Entry get_base;
  FILE* file;
  expect(argc == 9, "session RUNTIME LIBRARY DOOR OPSET ISA MODEL INPUTS OUTPUTS");
  get_base = find(argv[1], "OrtGetApiBase");
  if (get_base == NULL) return 1;
  by_provider = strcmp(argv[3], "provider") == 0;
  api = ((const ApiBase* (*)(void))get_base)()->get_api(by_provider ? 24 : 17);
  check(((void* (*)(int, const char*, void**))api[3])(3, "session", &env)); /* CreateEnv */
  provider = by_provider ? provider_of(env, argv[2]) : NULL;
  session = create_session(env, provider, argv[2], argv[4], argv[5], argv[6]);

  check(((void* (*)(void**))api[78])(&allocator));              /* GetAllocatorWithDefaultOptions */
  check(((void* (*)(int, int, void**))api[69])(1, 0, &memory)); /* CreateCpuMemoryInfo */
  num_inputs = names_of(session, 30, 36, allocator, input_names);
  num_outputs = names_of(session, 31, 37, allocator, output_names);
  file = fopen(argv[7], "rb");
  expect(file != NULL, "INPUTS cannot be read");
  for (i = 0; i < num_inputs; ++i) inputs[i] = read_tensor(file, memory);
  fclose(file);
  check(((void* (*)(void*, const void*, char* const*, void* const*, size_t, char* const*, size_t, void**))api[9])(
      session, NULL, input_names, inputs, num_inputs, output_names, num_outputs, outputs)); /* Run */
  file = fopen(argv[8], "wb");
  expect(file != NULL, "OUTPUTS cannot be written");
  for (i = 0; i < num_outputs; ++i) write_tensor(file, outputs[i]);
  expect(fclose(file) == 0, "OUTPUTS cannot be written");

  for (i = 0; i < num_inputs; ++i) ((void (*)(void*))api[96])(inputs[i]); /* ReleaseValue */
  for (i = 0; i < num_outputs; ++i) ((void (*)(void*))api[96])(outputs[i]);
  ((void (*)(void*))api[95])(session); /* ReleaseSession */
  ((void (*)(void*))api[95])(create_session(env, provider, argv[2], argv[4], argv[5], argv[6]));
  ((void (*)(void*))api[94])(memory); /* ReleaseMemoryInfo */
  ((void (*)(void*))api[92])(env);    /* ReleaseEnv */
  return 0;
}
