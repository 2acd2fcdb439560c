/* Loads a SavedModel through TensorFlow's C API, as a server does, and answers recorded requests.
 *
 *   serve VERSION RECORDS OUT
 *
 * RECORDS is a TFRecord of tensorflow.serving.PredictionLog. For each it prints "NUMBER ok SIGNATURE" or
 * "NUMBER error CODE MESSAGE" and writes what was answered: OUT/NUMBER.FIELD, or OUT/NUMBER.FIELD.ROW for strings. */
#include "tensorflow/c/c_api.h"
#include "tensorflow/core/platform/ctstring.h"
#include "wire.h"

enum { MOST_FIELDS = 8, MOST_DIMS = 8 };

static void fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  exit(2);
}

static void require_ok(TF_Status* status) {
  if (TF_GetCode(status) != TF_OK) fail(TF_Message(status));
}

static void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  if (!file || fwrite(data, 1, size, file) != size || fclose(file)) fail(path);
}

/* tensorflow.TensorProto: dtype 1, tensor_shape 2, tensor_content 4, int_val 7, string_val 8, int64_val 10. */
static TF_Tensor* tensor_of(Bytes proto) {
  TF_DataType type = (TF_DataType)wire_find(proto, 1).value;
  int64_t dims[MOST_DIMS], count = 1;
  int rank = 0;
  Bytes shape = wire_find(proto, 2).content;
  Field field;
  while (wire_next(&shape, &field))
    if (field.number == 2 && rank < MOST_DIMS) count *= dims[rank++] = (int64_t)wire_find(field.content, 1).value;
  size_t each = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, rank, each * count);
  uint8_t* data = TF_TensorData(tensor);
  if (type == TF_STRING) {
    TF_TString* strings = (TF_TString*)data;
    int64_t row = 0;
    while (wire_next(&proto, &field))
      if (field.number == 8 && row < count) {
        TF_TString_Init(&strings[row]);
        TF_TString_Copy(&strings[row++], (const char*)field.content.data, field.content.size);
      }
    if (row != count) fail("strings are missing");
    return tensor;
  }
  Bytes content = wire_find(proto, 4).content;
  if (content.size) {
    if (content.size != each * count) fail("tensor_content has another size than the shape");
    memcpy(data, content.data, content.size);
    return tensor;
  }
  Bytes packed = wire_find(proto, type == TF_INT64 ? 10 : 7).content;
  for (int64_t row = 0; row < count; row++) {
    int64_t value = (int64_t)wire_varint(&packed);
    int32_t small = (int32_t)value;
    memcpy(data + row * each, type == TF_INT64 ? (void*)&value : (void*)&small, each);
  }
  return tensor;
}

/* tensorflow.TensorInfo: name 1, "operation:index". */
static TF_Output output_of(TF_Graph* graph, Bytes info) {
  char name[512];
  Bytes text = wire_find(info, 1).content;
  if (text.size >= sizeof name) fail("a tensor's name is too long");
  memcpy(name, text.data, text.size);
  name[text.size] = 0;
  char* colon = strrchr(name, ':');
  if (!colon) fail("a tensor's name has no index");
  *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (!output.oper) fail("an operation of the signature is not in the graph");
  return output;
}

static void write_answer(const char* folder, int number, Bytes field, TF_Tensor* tensor) {
  char path[1024];
  int named = snprintf(path, sizeof path, "%s/%d.%.*s", folder, number, (int)field.size, (const char*)field.data);
  if (TF_TensorType(tensor) != TF_STRING) {
    write_file(path, TF_TensorData(tensor), TF_TensorByteSize(tensor));
    return;
  }
  TF_TString* strings = TF_TensorData(tensor);
  for (int64_t row = 0; row < TF_Dim(tensor, 0); row++) {
    snprintf(path + named, sizeof path - named, ".%d", (int)row);
    write_file(path, TF_TString_GetDataPointer(&strings[row]), TF_TString_GetSize(&strings[row]));
  }
}

/* PredictionLog.predict_log 6, PredictLog.request 1, PredictRequest.model_spec 1 and .inputs 2,
 * ModelSpec.signature_name 3; MetaGraphDef.signature_def 5, SignatureDef.inputs 1 and .outputs 2. */
static void answer(TF_Session* session, TF_Graph* graph, Bytes meta_graph, Bytes record, int number, const char* out) {
  Bytes request = wire_find(wire_find(record, 6).content, 1).content;
  Bytes name = wire_find(wire_find(request, 1).content, 3).content;
  Bytes signature = wire_map_value(meta_graph, 5, name);
  if (!signature.size) fail("there is no such signature");

  TF_Output feeds[MOST_FIELDS], fetches[MOST_FIELDS];
  TF_Tensor *fed[MOST_FIELDS], *fetched[MOST_FIELDS] = {0};
  Bytes fields[MOST_FIELDS];
  int inputs = 0, outputs = 0;
  Field field;
  for (Bytes rest = request; wire_next(&rest, &field);)
    if (field.number == 2 && inputs < MOST_FIELDS) {
      feeds[inputs] = output_of(graph, wire_map_value(signature, 1, wire_find(field.content, 1).content));
      fed[inputs++] = tensor_of(wire_find(field.content, 2).content);
    }
  for (Bytes rest = signature; wire_next(&rest, &field);)
    if (field.number == 2 && outputs < MOST_FIELDS) {
      fields[outputs] = wire_find(field.content, 1).content;
      fetches[outputs++] = output_of(graph, wire_find(field.content, 2).content);
    }

  TF_Status* status = TF_NewStatus();
  TF_SessionRun(session, NULL, feeds, fed, inputs, fetches, fetched, outputs, NULL, 0, NULL, status);
  if (TF_GetCode(status) == TF_OK) {
    printf("%d ok %.*s\n", number, (int)name.size, (const char*)name.data);
    for (int i = 0; i < outputs; i++) write_answer(out, number, fields[i], fetched[i]);
  } else {
    int line = (int)strcspn(TF_Message(status), "\n");
    printf("%d error %d %.*s\n", number, (int)TF_GetCode(status), line, TF_Message(status));
  }
  for (int i = 0; i < inputs; i++) TF_DeleteTensor(fed[i]);
  for (int i = 0; i < outputs; i++)
    if (fetched[i]) TF_DeleteTensor(fetched[i]);
  TF_DeleteStatus(status);
}

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: serve VERSION RECORDS OUT");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_Buffer* meta_graph = TF_NewBuffer();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta_graph, status);
  require_ok(status);
  Bytes definition = {meta_graph->data, meta_graph->length};

  /* A TFRecord: length (8 bytes, little endian), its checksum (4), content, the content's checksum (4). */
  FILE* records = fopen(argv[2], "rb");
  if (!records) fail(argv[2]);
  uint64_t size;
  uint8_t checksum[4];
  for (int number = 0; fread(&size, 8, 1, records) == 1; number++) {
    uint8_t* content = malloc(size);
    if (!content || fread(checksum, 4, 1, records) != 1 || fread(content, 1, size, records) != size ||
        fread(checksum, 4, 1, records) != 1)
      fail("a record is cut off");
    answer(session, graph, definition, (Bytes){content, size}, number, argv[3]);
    free(content);
  }
  fclose(records);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  require_ok(status);
  TF_DeleteSessionOptions(options);
  TF_DeleteBuffer(meta_graph);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
