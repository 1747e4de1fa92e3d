/* One usual span, read in one pass: what `otlp.rendering` makes of its bytes, in the same words.

   Law of this file: it never decides an error. A span that is laid out as every encoder lays it out is read;
   for any other (events, links, fields unknown or repeated, text that is not UTF-8, wrong lengths, no memory)
   `read` answers None, and Python reads it and says what is wrong. Whatever is doubtful is answered by 0.

   Safety: every length is held against what is left before a byte is looked at (`take`); every byte is
   written where room was made for it (`more`). No recursion, no globals, nothing kept between calls. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 2         /* of the digest's preimage: `otlp.rendering.VERSION` */
#define MOST 128          /* attributes of a span that is read here, */
#define LARGEST (1 << 24) /* and its bytes: no sum of sizes below comes near an overflow */
#define STATUS_ERROR 2
#define MARK "otel_ext.unknown_fields" /* attributes of ours, which mean more: `otlp.unknown` */
#define RAW_MARK "otel_ext.raw_attribute"

/* ---- Reading: bytes that are left, and what is taken off their front. Each answers whether it could. ---- */

typedef struct {
    const uint8_t *at;
    Py_ssize_t size;
} slice;

static int take(slice *in, uint64_t size, slice *out) {
    if (size > (uint64_t)in->size)
        return 0;
    *out = (slice){in->at, (Py_ssize_t)size};
    in->at += size, in->size -= (Py_ssize_t)size;
    return 1;
}

/* A number up to `most`, written in as few bytes as it can be. */
static int varint(slice *in, uint64_t most, uint64_t *value) {
    slice byte;
    *value = 0;
    for (int shift = 0; shift < 64 && take(in, 1, &byte); shift += 7) {
        if (shift == 63 && *byte.at > 1)
            return 0;
        *value |= (uint64_t)(*byte.at & 0x7F) << shift;
        if (*byte.at < 0x80)
            return (*byte.at || !shift) && *value <= most;
    }
    return 0;
}

static int fixed(slice *in, int size, uint64_t *value) {
    slice found;
    if (!take(in, size, &found))
        return 0;
    *value = 0;
    for (int i = 0; i < size; i++)
        *value |= (uint64_t)found.at[i] << 8 * i;
    return 1;
}

static int sized(slice *in, slice *out) {
    uint64_t size;
    return varint(in, LARGEST, &size) && take(in, size, out);
}

/* What is behind a tag of one byte and a length. */
static int field(slice *in, uint8_t tag, slice *out) {
    slice found;
    return take(in, 1, &found) && *found.at == tag && sized(in, out);
}

static int is(slice text, const char *name) {
    return (size_t)text.size == strlen(name) && !memcmp(text.at, name, text.size);
}

typedef struct {
    slice trace_id, span_id, trace_state, parent_id, name, message;
    uint64_t kind, start, end, dropped_attributes, dropped_events, dropped_links, flags, code;
    int has_status, many;
    slice pairs[MOST]; /* so many attributes, each an encoded KeyValue */
} span;

static int read_status(slice in, span *s) {
    uint64_t tag, last = 0;
    for (; in.size; last = tag) /* in the order of their numbers, as every encoder writes */
        if (!varint(&in, UINT8_MAX, &tag) || tag <= last ||
            !(tag == 0x12 ? sized(&in, &s->message) : tag == 0x18 && varint(&in, INT32_MAX, &s->code)))
            return 0;
    return s->has_status = 1;
}

static int read_field(slice *in, uint64_t tag, span *s) {
    slice status;
    switch (tag) { /* number << 3 | wire type, of opentelemetry-proto's `Span` */
    case 0x0A: return sized(in, &s->trace_id) && s->trace_id.size == 16;
    case 0x12: return sized(in, &s->span_id) && s->span_id.size == 8;
    case 0x1A: return sized(in, &s->trace_state);
    case 0x22: return sized(in, &s->parent_id) && (s->parent_id.size == 8 || !s->parent_id.size);
    case 0x2A: return sized(in, &s->name);
    case 0x30: return varint(in, INT32_MAX, &s->kind);
    case 0x39: return fixed(in, 8, &s->start);
    case 0x41: return fixed(in, 8, &s->end);
    case 0x4A: return s->many < MOST && sized(in, &s->pairs[s->many++]);
    case 0x50: return varint(in, UINT32_MAX, &s->dropped_attributes);
    case 0x60: return varint(in, UINT32_MAX, &s->dropped_events);
    case 0x70: return varint(in, UINT32_MAX, &s->dropped_links);
    case 0x7A: return sized(in, &status) && read_status(status, s);
    case 0x85: return fixed(in, 4, &s->flags);
    default: return 0;
    }
}

static int read_span(slice in, span *s) {
    uint64_t tag;
    uint32_t seen = 0;                    /* the numbers of fields; all but attributes come once */
    memset(s, 0, offsetof(span, pairs)); /* of the pairs only those that are counted are looked at */
    for (; in.size; seen |= (uint32_t)1 << (tag >> 3))
        if (!varint(&in, UINT8_MAX, &tag) || (tag != 0x4A && seen >> (tag >> 3) & 1) ||
            !read_field(&in, tag, s))
            return 0;
    return s->trace_id.size && s->span_id.size;
}

/* ---- Writing: memory that grows. After a failure nothing is written, so one look at the end is enough. ---- */

typedef struct {
    char *start; /* NULL after a failure */
    Py_ssize_t used, room;
} writer;

static void fail(writer *w) {
    PyMem_Free(w->start);
    w->start = NULL;
}

/* Where `size` more bytes go; NULL after a failure. */
static char *more(writer *w, Py_ssize_t size) {
    if (w->start && w->room - w->used < size) {
        char *grown = PyMem_Realloc(w->start, w->room = (w->used + size) * 2);
        if (!grown)
            fail(w);
        w->start = grown;
    }
    if (!w->start)
        return NULL;
    w->used += size;
    return w->start + w->used - size;
}

static void put(writer *w, const void *data, Py_ssize_t size) {
    char *to = more(w, size);
    if (to && size)
        memcpy(to, data, size);
}

#define PUT(w, text) put(w, text, sizeof(text) - 1)

static void put_decimal(writer *w, uint64_t number) {
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    put(w, at, digits + sizeof digits - at);
}

static const char hex[] = "0123456789abcdef";

static void put_hex(writer *w, slice id) {
    char *to = more(w, id.size * 2);
    for (Py_ssize_t i = 0; to && i < id.size; i++)
        *to++ = hex[id.at[i] >> 4], *to++ = hex[id.at[i] & 15];
}

static int is_escaped(uint8_t c) {
    return c < 0x20 || c == '"' || c == '\\';
}

static void put_escaped(writer *w, uint8_t c) {
    static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c < 0x20 ? letters[c] : (char)c;
    if (letter)
        put(w, (char[]){'\\', letter}, 2);
    else
        put(w, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Whether one of eight bytes is to be escaped: a byte below a limit borrows into its upper bit. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define UNDER(word, limit) (((word) - EACH(limit)) & ~(word) & EACH(0x80))
#define SOME_ESCAPED(word) (UNDER(word, 0x20) | UNDER((word) ^ EACH('"'), 1) | UNDER((word) ^ EACH('\\'), 1))

/* A JSON string of UTF-8; of anything but ASCII, Python's own decoder says whether it is that. */
static void put_quoted(writer *w, slice text) {
    const uint8_t *at = text.at, *end = at + text.size, *from = at;
    uint64_t word, seen = 0;
    PUT(w, "\"");
    for (;; from = ++at) {
        for (; end - at >= 8; at += 8) {
            memcpy(&word, at, 8);
            if (SOME_ESCAPED(word))
                break;
            seen |= word;
        }
        while (at < end && !is_escaped(*at))
            seen |= *at++;
        put(w, from, at - from);
        if (at == end)
            break;
        put_escaped(w, *at);
    }
    PUT(w, "\"");
    if (seen & EACH(0x80)) {
        PyObject *decoded = PyUnicode_DecodeUTF8((const char *)text.at, text.size, NULL);
        if (!decoded)
            fail(w);
        Py_XDECREF(decoded);
    }
}

/* MessagePack: a tag and a number behind it, in so many bytes, the highest first. */
static void pack(writer *w, uint8_t tag, int size, uint64_t number) {
    put(w, &tag, 1);
    while (size--)
        put(w, &(char){(char)(number >> 8 * size)}, 1);
}

static void pack_number(writer *w, uint64_t n) {
    if (n < 0x80)
        pack(w, (uint8_t)n, 0, 0);
    else if (n <= UINT16_MAX)
        n <= UINT8_MAX ? pack(w, 0xCC, 1, n) : pack(w, 0xCD, 2, n);
    else
        n <= UINT32_MAX ? pack(w, 0xCE, 4, n) : pack(w, 0xCF, 8, n);
}

static void pack_bytes(writer *w, const void *data, Py_ssize_t size) {
    if (size <= UINT8_MAX)
        pack(w, 0xC4, 1, size);
    else
        size <= UINT16_MAX ? pack(w, 0xC5, 2, size) : pack(w, 0xC6, 4, size);
    put(w, data, size);
}

/* ---- A span as JSON, and the preimage of its digest ---- */

typedef struct {
    writer json, content, keys;
    Py_ssize_t times, own, own_end, middle, status, end; /* where these parts begin in `json` */
} output;

/* The member "value" and an attribute's end; 0 when the value is rare or nested, and so not written here. */
static int put_value(writer *w, slice value) {
    slice text;
    uint64_t number;
    uint8_t tag = value.size ? *value.at : 0;
    if (tag == 0x0A && field(&value, tag, &text) && !value.size) {
        PUT(w, ",\"value\":{\"stringValue\":");
        put_quoted(w, text);
        PUT(w, "}}");
        return 1;
    }
    if ((tag != 0x10 && tag != 0x18) || !take(&value, 1, &text) ||
        !varint(&value, tag == 0x10 ? 1 : UINT64_MAX, &number) || value.size)
        return 0;
    if (tag == 0x18) {
        PUT(w, ",\"value\":{\"intValue\":\"");
        if (number > INT64_MAX)
            PUT(w, "-");
        put_decimal(w, number > INT64_MAX ? 0 - number : number);
        PUT(w, "\"}}");
    } else if (number)
        PUT(w, ",\"value\":{\"boolValue\":true}}");
    else
        PUT(w, ",\"value\":{\"boolValue\":false}}");
    return 1;
}

/* An attribute, laid out as key and value or key alone. What is not written here `reader.json` writes. */
static void put_attribute(output *out, slice in, PyObject *pair, PyObject *reader) {
    writer *w = &out->json;
    slice whole = in, key, value = {NULL, 0};
    char *data;
    Py_ssize_t size, before = w->used;
    if (!field(&in, 0x0A, &key) || (in.size && !field(&in, 0x12, &value)) || in.size || is(key, MARK)) {
        fail(w);
        return;
    }
    put(&out->keys, whole.at, key.at + key.size - whole.at);
    PUT(w, "{\"key\":");
    put_quoted(w, key);
    if (!w->start || (!is(key, RAW_MARK) && put_value(w, value)))
        return;
    w->used = before;
    PyObject *json = PyObject_CallMethod(reader, "json", "O", pair);
    if (json && !PyBytes_AsStringAndSize(json, &data, &size))
        put(w, data, size);
    else
        fail(w);
    Py_XDECREF(json);
}

/* A number that is left out when it is 0; `name` is the member's, with what stands before and after it. */
static void put_count(writer *w, const char *name, uint64_t number) {
    if (number) {
        put(w, name, (Py_ssize_t)strlen(name));
        put_decimal(w, number);
    }
}

static void put_json(output *out, const span *s, PyObject *pairs, PyObject *reader) {
    writer *w = &out->json;
    PUT(w, "{\"traceId\":\"");
    put_hex(w, s->trace_id);
    PUT(w, "\",\"spanId\":\"");
    put_hex(w, s->span_id);
    PUT(w, "\"");
    if (s->trace_state.size) {
        PUT(w, ",\"traceState\":");
        put_quoted(w, s->trace_state);
    }
    if (s->parent_id.size) {
        PUT(w, ",\"parentSpanId\":\"");
        put_hex(w, s->parent_id);
        PUT(w, "\"");
    }
    put_count(w, ",\"flags\":", s->flags);
    PUT(w, ",\"name\":");
    put_quoted(w, s->name);
    PUT(w, ",\"kind\":");
    put_decimal(w, s->kind);
    out->times = w->used;
    PUT(w, ",\"startTimeUnixNano\":\"");
    put_decimal(w, s->start);
    PUT(w, "\",\"endTimeUnixNano\":\"");
    put_decimal(w, s->end);
    PUT(w, "\"");
    if (s->many)
        PUT(w, ",\"attributes\":[");
    out->own = w->used;
    for (int i = 0; i < s->many && w->start; i++) {
        if (i)
            PUT(w, ",");
        put_attribute(out, s->pairs[i], PyList_GetItem(pairs, i), reader);
    }
    out->own_end = w->used;
    if (s->many)
        PUT(w, "]");
    out->middle = w->used;
    put_count(w, ",\"droppedAttributesCount\":", s->dropped_attributes);
    put_count(w, ",\"droppedEventsCount\":", s->dropped_events);
    put_count(w, ",\"droppedLinksCount\":", s->dropped_links);
    out->status = w->used;
    if (s->has_status) {
        PUT(w, ",\"status\":{");
        if (s->message.size) {
            PUT(w, "\"message\":");
            put_quoted(w, s->message);
        }
        put_count(w, s->message.size ? ",\"code\":" : "\"code\":", s->code);
        PUT(w, "}");
    }
    out->end = w->used;
    PUT(w, "}");
}

static int by_bytes(const void *one, const void *other) {
    const slice *a = one, *b = other;
    int order = memcmp(a->at, b->at, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* The fields of the digest, of which an empty status says no more than none. Sorts the span's pairs. */
static void put_content(output *out, span *s) {
    writer *w = &out->content;
    const char *json = out->json.start;
    pack(w, 0x97, 0, 0); /* an array of seven */
    pack_number(w, VERSION);
    pack_bytes(w, json, out->times);
    pack_number(w, s->start);
    pack_number(w, s->end);
    if (s->many < 16)
        pack(w, (uint8_t)(0x90 | s->many), 0, 0);
    else
        pack(w, 0xDC, 2, s->many);
    qsort(s->pairs, s->many, sizeof(slice), by_bytes);
    for (int i = 0; i < s->many; i++)
        pack_bytes(w, s->pairs[i].at, s->pairs[i].size);
    pack_bytes(w, json + out->middle, out->status - out->middle);
    pack_bytes(w, json + out->status, s->message.size || s->code ? out->end - out->status : 0);
}

/* ---- What Python sees ---- */

static PyObject *bytes_of(slice data) {
    return PyBytes_FromStringAndSize((const char *)data.at, data.size);
}

static PyObject *written(const writer *w) {
    return PyBytes_FromStringAndSize(w->start, w->used);
}

/* `make(...)` of what was read, in the order of `Usual`. */
static PyObject *made(PyObject *make, const span *s, const output *out, PyObject *pairs, PyObject *reader) {
    PyObject *items[] = {
        bytes_of(s->trace_id), bytes_of(s->span_id), bytes_of(s->parent_id),
        PyUnicode_DecodeUTF8((const char *)s->name.at, s->name.size, NULL),
        PyLong_FromUnsignedLongLong(s->start), PyLong_FromUnsignedLongLong(s->end),
        PyLong_FromUnsignedLongLong(s->flags), PyBool_FromLong(s->code == STATUS_ERROR),
        Py_NewRef(pairs), written(&out->keys), written(&out->content), written(&out->json),
        PyLong_FromSsize_t(out->times), PyLong_FromSsize_t(out->own), PyLong_FromSsize_t(out->own_end),
        Py_NewRef(reader),
    };
    int many = sizeof items / sizeof *items, whole = 1;
    PyObject *arguments = PyTuple_New(many);
    for (int i = 0; i < many; i++) {
        whole &= items[i] != NULL;
        if (!arguments)
            Py_XDECREF(items[i]);
        else
            PyTuple_SetItem(arguments, i, items[i]); /* takes the reference */
    }
    PyObject *result = arguments && whole ? PyObject_Call(make, arguments, NULL) : NULL;
    Py_XDECREF(arguments);
    return result;
}

static PyObject *list_of(const slice *pairs, int many) {
    PyObject *list = PyList_New(many);
    for (int i = 0; list && i < many; i++) {
        PyObject *pair = bytes_of(pairs[i]);
        if (!pair || PyList_SetItem(list, i, pair)) /* takes the reference */
            Py_CLEAR(list);
    }
    return list;
}

static writer roomy(Py_ssize_t room) {
    return (writer){PyMem_Malloc(room), 0, room};
}

static PyObject *read_usual(PyObject *raw, PyObject *reader, PyObject *make) {
    span s;
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(raw, &data, &size) || size > LARGEST ||
        !read_span((slice){(const uint8_t *)data, size}, &s))
        return NULL;
    PyObject *result = NULL, *pairs = list_of(s.pairs, s.many);
    if (!pairs)
        return NULL;
    Py_ssize_t room = size + size / 4 + 40 * s.many + 256; /* enough for most */
    output out = {.json = roomy(room), .content = roomy(room), .keys = roomy(512)};
    put_json(&out, &s, pairs, reader);
    if (out.json.start)
        put_content(&out, &s);
    if (out.json.start && out.content.start && out.keys.start)
        result = made(make, &s, &out, pairs, reader);
    Py_DECREF(pairs);
    fail(&out.json), fail(&out.content), fail(&out.keys);
    return result;
}

static PyObject *read_one(PyObject *module, PyObject *const *arguments, Py_ssize_t many) {
    (void)module;
    if (many != 3) {
        PyErr_SetString(PyExc_TypeError, "read(raw, reader, make)");
        return NULL;
    }
    PyObject *result = read_usual(arguments[0], arguments[1], arguments[2]);
    /* Python meets again whatever went wrong, but not what came from outside, as an interrupt does. */
    if (result || (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)))
        return result;
    PyErr_Clear();
    return Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))read_one, METH_FASTCALL,
     "read(raw, reader, make): make(...) of what a usual span holds; None for any other span."},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module) {
    return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_read", "One usual span, read in one pass.", 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__read(void) {
    return PyModuleDef_Init(&definition);
}
