/* One look at a whole ExportTraceServiceRequest: how many spans it holds, if everything in it is certainly good.

   Law of this file: it never decides an error. What it vouches for OTLP's own schema reads, of whatever version;
   of anything rare or doubtful (groups, unknown fields that have a length, a field in another wire type than its
   own, numbers in more bytes than they need, deep nesting) `vouch` answers None, and `otlp.vouch` looks itself.

   Safety: the bytes are only read, and each only after it was held against the end of the message it is in;
   a message's end is held against that of the one around it. No allocation, no recursion, no globals.

   The interpreter's lock is kept: measured beside a thread that computes, giving it up for the tenth of a
   millisecond that 500 spans take gained nothing. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define DEEPEST 32 /* messages inside one another, the request included; protobuf reads 100 */
#define FIELDS 17  /* one more than the greatest field number of OTLP's traces */

/* What a field holds; from REQUEST on a message, and which. */
enum {
    UNKNOWN, NUMBER, FIXED64, FIXED32, BYTES, TEXT, TRACE_ID, SPAN_ID,
    REQUEST, RESOURCE_SPANS, SCOPE_SPANS, RESOURCE, ENTITY, SCOPE, SPAN, EVENT, LINK, STATUS,
    PAIR, VALUE, ARRAY, PAIRS, KINDS
};

/* Message, field number: what it holds (opentelemetry-proto 1.x: collector/trace, trace, resource, common). */
static const uint8_t schema[KINDS][FIELDS] = {
    [REQUEST] = {[1] = RESOURCE_SPANS},
    [RESOURCE_SPANS] = {[1] = RESOURCE, [2] = SCOPE_SPANS, [3] = TEXT},
    [SCOPE_SPANS] = {[1] = SCOPE, [2] = SPAN, [3] = TEXT},
    [RESOURCE] = {[1] = PAIR, [2] = NUMBER, [3] = ENTITY},
    [ENTITY] = {[1] = TEXT, [2] = TEXT, [3] = TEXT, [4] = TEXT},
    [SCOPE] = {[1] = TEXT, [2] = TEXT, [3] = PAIR, [4] = NUMBER},
    [SPAN] = {[1] = TRACE_ID, [2] = SPAN_ID, [3] = TEXT, [4] = BYTES, [5] = TEXT, [6] = NUMBER,
              [7] = FIXED64, [8] = FIXED64, [9] = PAIR, [10] = NUMBER, [11] = EVENT, [12] = NUMBER,
              [13] = LINK, [14] = NUMBER, [15] = STATUS, [16] = FIXED32},
    [EVENT] = {[1] = FIXED64, [2] = TEXT, [3] = PAIR, [4] = NUMBER},
    [LINK] = {[1] = BYTES, [2] = BYTES, [3] = TEXT, [4] = PAIR, [5] = NUMBER, [6] = FIXED32},
    [STATUS] = {[2] = TEXT, [3] = NUMBER},
    [PAIR] = {[1] = TEXT, [2] = VALUE, [3] = NUMBER},
    [VALUE] = {[1] = TEXT, [2] = NUMBER, [3] = NUMBER, [4] = FIXED64, [5] = ARRAY, [6] = PAIRS, [7] = BYTES,
               [8] = NUMBER},
    [ARRAY] = {[1] = VALUE},
    [PAIRS] = {[1] = PAIR},
};

/* What stands behind a number of up to 64 bits, in as few bytes as it can be written in; NULL when it is none. */
static const uint8_t *long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 64 && at < end; shift += 7) {
        uint64_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;
        *value |= (byte & 0x7F) << shift;
        if (byte < 0x80)
            return byte || !shift ? at : NULL;
    }
    return NULL;
}

/* The same; nearly every tag and length is a byte. */
static inline const uint8_t *varint(const uint8_t *at, const uint8_t *end, uint64_t *value) {
    if (at == end || *at >= 0x80)
        return long_varint(at, end, value);
    *value = *at;
    return at + 1;
}

/* Unicode's table 3-7 of well-formed UTF-8: no surrogate, nothing longer than needed, nothing past U+10FFFF. */
static int is_utf8(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80)
            continue;
        int more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (first < 0xC2 || first > 0xF4 || end - at < more)
            return 0;
        uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        if (*at < low || *at > high)
            return 0;
        for (int i = 1; i < more; i++)
            if (at[i] >> 6 != 2)
                return 0;
        at += more;
    }
    return 1;
}

/* Nearly all text is ASCII: no byte of it has its upper bit. The last eight bytes may overlap those before. */
static int is_text(const uint8_t *at, Py_ssize_t size) {
    uint64_t word, seen = 0;
    Py_ssize_t i = 0;
    for (; size - i >= 8; i += 8) {
        memcpy(&word, at + i, 8);
        seen |= word;
    }
    if (size >= 8) {
        memcpy(&word, at + size - 8, 8);
        seen |= word;
    } else
        for (; i < size; i++)
            seen |= at[i];
    return !(seen & UINT64_C(0x8080808080808080)) || is_utf8(at, at + size);
}

static int is_id(const uint8_t *at, Py_ssize_t size, Py_ssize_t wanted) {
    static const uint8_t none[16];
    return size == wanted && memcmp(at, none, (size_t)size);
}

/* How many spans; -1 when something may be bad. */
static long long look(const uint8_t *at, const uint8_t *end) {
    struct { const uint8_t *end; int message; } around[DEEPEST];
    int depth = 0, message = REQUEST, ids = 0; /* that the span has */
    long long spans = 0;
    uint64_t tag, value;
    for (;;) {
        while (at == end) {
            if (message == SPAN && ids != (1 << TRACE_ID | 1 << SPAN_ID))
                return -1;
            if (!depth--)
                return spans;
            end = around[depth].end, message = around[depth].message;
        }
        if (!(at = varint(at, end, &tag)) || tag < 8 || tag > UINT32_MAX)
            return -1;
        int kind = tag >> 3 < FIELDS ? schema[message][tag >> 3] : UNKNOWN, wire = tag & 7;
        if (wire == 0) {
            if (kind > NUMBER || !(at = varint(at, end, &value)))
                return -1;
        } else if (wire == 1 || wire == 5) {
            int size = wire == 1 ? 8 : 4;
            if ((kind && kind != (wire == 1 ? FIXED64 : FIXED32)) || end - at < size)
                return -1;
            at += size;
        } else {
            /* A newer schema may know an unknown field, and find a fault in it. */
            if (wire != 2 || kind < BYTES || !(at = varint(at, end, &value)) || value > (uint64_t)(end - at))
                return -1;
            Py_ssize_t size = (Py_ssize_t)value;
            if (kind >= REQUEST) {
                if (depth == DEEPEST - 1)
                    return -1;
                around[depth].end = end, around[depth++].message = message;
                end = at + size, message = kind;
                if (kind == SPAN)
                    spans++, ids = 0;
                continue;
            }
            if (kind == TEXT && !is_text(at, size))
                return -1;
            if (kind == TRACE_ID || kind == SPAN_ID) {
                if (!is_id(at, size, kind == TRACE_ID ? 16 : 8))
                    return -1;
                ids |= 1 << kind;
            }
            at += size;
        }
    }
}

static PyObject *vouch(PyObject *module, PyObject *body) {
    (void)module;
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(body, &data, &size))
        return NULL;
    long long spans = size > INT32_MAX ? -1 : look((const uint8_t *)data, (const uint8_t *)data + size);
    return spans < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(spans);
}

static PyMethodDef methods[] = {
    {"vouch", vouch, METH_O, "vouch(body): spans of an encoded request; None when something in it may be bad."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_vouch", "One look at a whole request.", 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__vouch(void) {
    return PyModuleDef_Init(&definition);
}
