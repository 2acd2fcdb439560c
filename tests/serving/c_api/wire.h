/* Just enough of protobuf's wire format to read requests and signatures. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const uint8_t* data;
  size_t size;
} Bytes;

typedef struct {
  uint32_t number;
  uint64_t value; /* of a varint or a fixed number */
  Bytes content;  /* of anything with a length */
} Field;

static inline uint64_t wire_varint(Bytes* rest) {
  uint64_t value = 0;
  for (int shift = 0; rest->size && shift < 64; shift += 7) {
    uint8_t byte = *rest->data++;
    rest->size--;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fprintf(stderr, "cut off varint\n");
  exit(3);
}

/* Takes the next field off a message; 0 at its end. */
static inline int wire_next(Bytes* rest, Field* field) {
  if (!rest->size) return 0;
  uint64_t key = wire_varint(rest);
  memset(field, 0, sizeof *field);
  field->number = (uint32_t)(key >> 3);
  size_t length = 0;
  switch (key & 7) {
    case 0:
      field->value = wire_varint(rest);
      return 1;
    case 1:
      length = 8;
      break;
    case 2:
      length = wire_varint(rest);
      break;
    case 5:
      length = 4;
      break;
    default:
      fprintf(stderr, "unknown wire type\n");
      exit(3);
  }
  if (length > rest->size) {
    fprintf(stderr, "cut off field\n");
    exit(3);
  }
  field->content = (Bytes){rest->data, length};
  rest->data += length;
  rest->size -= length;
  return 1;
}

/* The last field of that number, empty when there is none. */
static inline Field wire_find(Bytes message, uint32_t number) {
  Field field, found = {0};
  while (wire_next(&message, &field))
    if (field.number == number) found = field;
  return found;
}

static inline int wire_equals(Bytes text, Bytes other) {
  return text.size == other.size && !memcmp(text.data, other.data, text.size);
}

/* The value of a key in a map, which is a repeated field of entries (key 1, value 2). */
static inline Bytes wire_map_value(Bytes message, uint32_t map, Bytes key) {
  Field field;
  while (wire_next(&message, &field))
    if (field.number == map && wire_equals(wire_find(field.content, 1).content, key))
      return wire_find(field.content, 2).content;
  return (Bytes){NULL, 0};
}

#endif
